/* Linux's trace events as its ring buffers hold them: a directory as tracefs has it, with
 *
 *     events/header_page                     where the data of a page begins, and how long it is
 *     events/SYSTEM/EVENT/format             of the events to take: their numbers, and where their fields are
 *     per_cpu/cpuN/trace_pipe_raw            pages of each processor, compressed or not
 *
 * Pages are decoded, the processors' events merged by time, and each event that an importer knows written as the line that the kernel would have
 * printed; from there it goes the way of the text (import_ftrace.c).
 *
 * Sources: Linux, Documentation/trace/ring-buffer-design.rst and include/linux/ring_buffer.h, the entries; kernel/trace/ring_buffer.c, what `commit`
 * says of lost events; Documentation/trace/events.rst, "Event formats". */
#include "import_ftrace_raw.h"
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <nestwalk/base/bits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIELDS_MAX = 24, PAGE_MAX = 1 << 20, PATH_ROOM = 4096 };

struct field {
    char name[32];
    unsigned offset, size;
    bool located; /* __data_loc: an offset and a length, to the field itself */
};
struct format {
    char name[40];
    unsigned id, fields;
    struct field field[FIELDS_MAX];
};

struct cpu {
    unsigned number;
    struct nw_input *input;
    uint8_t *page;
    size_t at, end; /* in the page's data */
    uint64_t time;  /* of the event read last */
    uint64_t lost;  /* before the next event */
    const uint8_t *event;
    size_t event_bytes; /* 0: there are no more */
};

struct nw_ftrace_raw {
    char *path;
    struct format *format;
    size_t formats;
    struct cpu *cpu;
    size_t cpus;
    unsigned commit_offset, commit_size, data_offset, page_bytes;
    char *line;
    size_t line_room;
};

/* A path that is put together. NW_ERR_INPUT: it is too long. */
static NW_PRINTF(3, 4) enum nw_status join(char out[PATH_ROOM], struct nw_error *err, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    const int n = vsnprintf(out, PATH_ROOM, format, ap);
    va_end(ap);
    return n >= 0 && n < PATH_ROOM ? NW_OK : nw_fail(err, NW_ERR_INPUT, "%.80s...: the path is too long", out);
}

/* ---- formats ------------------------------------------------------------------------------------ */

/* "field:TYPE NAME[...];	offset:N;	size:N;	signed:N;" */
static bool parse_field(const char *line, struct field *f)
{
    const char *at = strstr(line, "field:"), *end = at ? strchr(at, ';') : NULL;
    const char *offset = end ? strstr(end, "offset:") : NULL, *size = offset ? strstr(offset, "size:") : NULL;
    if (!size)
        return false;
    f->located = !strncmp(at + 6, "__data_loc ", 11);
    const char *last = end;
    while (last > at && last[-1] == ']') { /* NAME[4] */
        while (last > at && *--last != '[')
            ;
    }
    const char *first = last;
    while (first > at && first[-1] != ' ' && first[-1] != ':' && first[-1] != '*')
        first--;
    const size_t length = (size_t)(last - first);
    if (!length || length >= sizeof f->name)
        return false;
    memcpy(f->name, first, length);
    f->name[length] = 0;
    f->offset = (unsigned)strtoul(offset + 7, NULL, 10);
    f->size = (unsigned)strtoul(size + 5, NULL, 10);
    return true;
}

static enum nw_status read_format(const char *path, struct format *f, struct nw_error *err)
{
    struct nw_input *in;
    char *line;
    size_t length;
    enum nw_status s = nw_input_open(&in, path, err);
    *f = (struct format){ .id = 0 };
    if (s)
        return s;
    while (!(s = nw_input_line(in, &line, &length, err)) && line) {
        struct field field;
        if (!strncmp(line, "name: ", 6))
            snprintf(f->name, sizeof f->name, "%.39s", line + 6);
        else if (!strncmp(line, "ID: ", 4))
            f->id = (unsigned)strtoul(line + 4, NULL, 10);
        else if (f->fields < FIELDS_MAX && parse_field(line, &field))
            f->field[f->fields++] = field;
    }
    if (!s && (!f->name[0] || !f->id || f->id > 0xffff))
        s = nw_input_fail(in, err, "an event's format has \"name:\", \"ID:\" (1 to 65535) and fields");
    nw_input_close(in);
    return s;
}

static enum nw_status read_header(struct nw_ftrace_raw *r, struct nw_error *err)
{
    char path[PATH_ROOM];
    struct nw_input *in;
    char *line;
    size_t length;
    unsigned data_size = 0;
    enum nw_status s = join(path, err, "%s/events/header_page", r->path);
    if (s || (s = nw_input_open(&in, path, err)))
        return s;
    while (!(s = nw_input_line(in, &line, &length, err)) && line) {
        struct field f;
        if (!parse_field(line, &f))
            continue;
        if (!strcmp(f.name, "commit"))
            r->commit_offset = f.offset, r->commit_size = f.size;
        else if (!strcmp(f.name, "data"))
            r->data_offset = f.offset, data_size = f.size;
    }
    const bool sizes = (r->commit_size == 4 || r->commit_size == 8) && r->commit_offset >= 8 &&
                       r->data_offset >= r->commit_offset + r->commit_size && r->data_offset <= 64;
    r->page_bytes = r->data_offset + data_size;
    if (!s && (!sizes || data_size < 64 || r->page_bytes > PAGE_MAX))
        s = nw_input_fail(in, err,
                          "a ring buffer's page has \"commit\" of 4 or 8 bytes and \"data\" of 64 bytes to 1 MiB");
    nw_input_close(in);
    return s;
}

/* Calls `take` with each name in a directory that does not begin with a dot, in order. */
static enum nw_status each_name(const char *path,
                                enum nw_status (*take)(struct nw_ftrace_raw *, const char *path, const char *name,
                                                       struct nw_error *),
                                struct nw_ftrace_raw *r, struct nw_error *err)
{
    struct dirent **name;
    const int n = scandir(path, &name, NULL, alphasort);
    enum nw_status s = NW_OK;
    if (n < 0)
        return nw_fail_errno(err, errno == ENOENT || errno == ENOTDIR ? NW_ERR_INPUT : NW_ERR_IO, errno, "%s", path);
    for (int i = 0; i < n; i++) {
        if (!s && name[i]->d_name[0] != '.')
            s = take(r, path, name[i]->d_name, err);
        free(name[i]);
    }
    free(name);
    return s;
}

static bool is_file(const char *path)
{
    FILE *f = fopen(path, "r");
    if (f)
        fclose(f);
    return f;
}

static enum nw_status take_event(struct nw_ftrace_raw *r, const char *path, const char *name, struct nw_error *err)
{
    char file[PATH_ROOM];
    enum nw_status s = join(file, err, "%s/%s/format", path, name);
    if (s || !is_file(file))
        return s; /* "enable", "filter" */
    struct format *more = realloc(r->format, (r->formats + 1) * sizeof *more);
    if (!more)
        return nw_fail_nomem(err, "the formats of trace events");
    r->format = more;
    return read_format(file, &r->format[r->formats++], err);
}

static enum nw_status take_system(struct nw_ftrace_raw *r, const char *path, const char *name, struct nw_error *err)
{
    static const char *const systems[] = { "dma", "iommu", "intel_iommu" };
    char below[PATH_ROOM];
    for (size_t i = 0; i < NW_ARRAY_LEN(systems); i++)
        if (!strcmp(name, systems[i])) {
            enum nw_status s = join(below, err, "%s/%s", path, name);
            return s ? s : each_name(below, take_event, r, err);
        }
    return NW_OK;
}

static enum nw_status take_cpu(struct nw_ftrace_raw *r, const char *path, const char *name, struct nw_error *err)
{
    char file[PATH_ROOM];
    unsigned number;
    enum nw_status s = join(file, err, "%s/%s/trace_pipe_raw", path, name);
    if (s || sscanf(name, "cpu%u", &number) != 1 || !is_file(file))
        return s;
    struct cpu *more = realloc(r->cpu, (r->cpus + 1) * sizeof *more);
    if (!more)
        return nw_fail_nomem(err, "a processor's trace");
    r->cpu = more;
    struct cpu *c = &r->cpu[r->cpus++];
    *c = (struct cpu){ .number = number, .page = malloc(r->page_bytes) };
    return c->page ? nw_input_open(&c->input, file, err) : nw_fail_nomem(err, "a processor's trace");
}

/* ---- pages -------------------------------------------------------------------------------------- */

enum { PADDING = 29, TIME_EXTEND = 30, TIME_STAMP = 31 };
#define COMMIT_LENGTH nw_mask(19, 0)
#define COMMIT_STORED NW_BIT(30) /* how many events were lost stands behind the data */
#define COMMIT_MISSED NW_BIT(31)

static uint64_t word_at(const uint8_t *at, unsigned bytes)
{
    uint64_t v = 0;
    memcpy(&v, at, bytes);
    return v;
}

static enum nw_status bad_page(const struct cpu *c, struct nw_error *err, const char *what)
{
    return nw_fail(err, NW_ERR_INPUT, "%s: page that ends at byte %" PRIu64 ": %s", nw_input_path(c->input),
                   nw_input_offset(c->input), what);
}

/* The next page; c->end stays 0 at the end of the input. */
static enum nw_status read_page(const struct nw_ftrace_raw *r, struct cpu *c, struct nw_error *err)
{
    size_t got;
    c->at = c->end = 0;
    enum nw_status s = nw_input_read(c->input, c->page, r->page_bytes, &got, err);
    if (s || !got)
        return s;
    if (got < r->page_bytes)
        return bad_page(c, err, "the file ends within a page");
    const uint64_t commit = word_at(c->page + r->commit_offset, r->commit_size);
    const size_t length = commit & COMMIT_LENGTH, room = r->page_bytes - r->data_offset;
    if (length > room)
        return bad_page(c, err, "it says that it has more than a page's data");
    c->time = word_at(c->page, 8);
    c->at = r->data_offset;
    c->end = r->data_offset + length;
    if (commit & COMMIT_MISSED)
        c->lost += (commit & COMMIT_STORED) && length + 8 <= room ? word_at(c->page + c->end, 8) : 1;
    return NW_OK;
}

/* One entry of the page. *event: it is one. */
static enum nw_status read_entry(struct cpu *c, bool *event, struct nw_error *err)
{
    *event = false;
    if (c->end - c->at < 4) {
        c->at = c->end;
        return NW_OK;
    }
    const uint32_t header = (uint32_t)word_at(c->page + c->at, 4);
    const unsigned type = header & 31;
    const uint64_t delta = header >> 5;
    const bool has_word = type == 0 || type >= PADDING;
    if (has_word && type != PADDING && c->end - c->at < 8)
        return bad_page(c, err, "an entry reaches beyond the page's data");
    const uint64_t word = has_word && c->end - c->at >= 8 ? word_at(c->page + c->at + 4, 4) : 0;
    size_t bytes = 8;
    if (type == TIME_EXTEND) {
        c->time += (word << 27) + delta;
    } else if (type == TIME_STAMP) { /* 59 bits of it */
        c->time = (c->time & nw_mask(63, 59)) | (((word << 27) + delta) & nw_mask(58, 0));
    } else if (type == PADDING && !delta) {
        bytes = c->end - c->at; /* the rest of the page */
    } else {
        bytes = 4 + (has_word ? (size_t)word : type * (size_t)4);
        c->time += delta;
        *event = type != PADDING;
        if (has_word && word < 4)
            return bad_page(c, err, "an entry of no length");
    }
    if (bytes > c->end - c->at)
        return bad_page(c, err, "an entry reaches beyond the page's data");
    c->event = c->page + c->at + (has_word ? 8 : 4);
    c->event_bytes = bytes - (has_word ? 8 : 4);
    c->at += (bytes + 3) & ~(size_t)3;
    return NW_OK;
}

static enum nw_status next_event(const struct nw_ftrace_raw *r, struct cpu *c, struct nw_error *err)
{
    for (bool event = false; !event;) {
        enum nw_status s = NW_OK;
        c->event_bytes = 0;
        while (!s && c->at >= c->end) {
            s = read_page(r, c, err);
            if (!s && !c->end)
                return NW_OK;
        }
        if (!s)
            s = read_entry(c, &event, err);
        if (s)
            return s;
    }
    return NW_OK;
}

/* ---- events as lines ---------------------------------------------------------------------------- */

struct view {
    const struct format *format;
    const uint8_t *data;
    size_t bytes;
};

static const struct field *field_of(const struct view *v, const char *name)
{
    for (unsigned i = 0; i < v->format->fields; i++)
        if (!strcmp(v->format->field[i].name, name))
            return &v->format->field[i];
    return NULL;
}

/* A number; `other`: another name that kernels have for it, or NULL. 0 where there is none. */
static uint64_t number(const struct view *v, const char *name, const char *other)
{
    const struct field *f = field_of(v, name);
    if (!f && other)
        f = field_of(v, other);
    return f && (f->size == 1 || f->size == 2 || f->size == 4 || f->size == 8) && f->offset + f->size <= v->bytes
               ? word_at(v->data + f->offset, f->size)
               : 0;
}

/* What a __data_loc field names; *bytes 0: nothing. */
static const uint8_t *located(const struct view *v, const char *name, size_t *bytes)
{
    const struct field *f = field_of(v, name);
    *bytes = 0;
    if (!f || !f->located || f->offset + 4 > v->bytes)
        return NULL;
    const uint64_t word = word_at(v->data + f->offset, 4);
    const size_t at = word & 0xffff, length = word >> 16;
    if (at > v->bytes || length > v->bytes - at)
        return NULL;
    *bytes = length;
    return v->data + at;
}

static void put_string(FILE *out, const struct view *v, const char *name)
{
    size_t bytes;
    const uint8_t *at = located(v, name, &bytes);
    for (size_t i = 0; i < bytes && at[i] > ' ' && at[i] < 127; i++)
        fputc(at[i], out);
}

/* "LABEL={0x1,0x2}" of elements of this size. */
static void put_array(FILE *out, const struct view *v, const char *label, const char *name, unsigned size)
{
    size_t bytes;
    const uint8_t *at = located(v, name, &bytes);
    fprintf(out, " %s={", label);
    for (size_t i = 0; i + size <= bytes; i += size)
        fprintf(out, "%s0x%" PRIx64, i ? "," : "", word_at(at + i, size));
    fputc('}', out);
}

/* enum dma_data_direction */
static const char *direction(const struct view *v)
{
    static const char *const names[] = { "BIDIRECTIONAL", "TO_DEVICE", "FROM_DEVICE", "NONE" };
    return names[number(v, "dir", NULL) & 3];
}

/* As kernels print it, as far as import_ftrace.c reads it. False: an event of no interest. */
static bool put_fields(FILE *out, const struct view *v)
{
    const char *name = v->format->name;
    if (!strcmp(name, "map") || !strcmp(name, "unmap")) {
        fprintf(out, "IOMMU: iova=0x%" PRIx64, number(v, "iova", NULL));
        if (field_of(v, "paddr"))
            fprintf(out, " paddr=0x%" PRIx64, number(v, "paddr", NULL));
        fprintf(out, " size=%" PRIu64, number(v, "size", NULL));
    } else if (!strcmp(name, "io_page_fault")) {
        fputs("IOMMU:", out);
        put_string(out, v, "driver");
        fputc(' ', out);
        put_string(out, v, "device");
        fprintf(out, " iova=0x%" PRIx64 " flags=0x%" PRIx64, number(v, "iova", NULL), number(v, "flags", NULL));
    } else if (!strcmp(name, "qi_submit")) {
        const uint64_t low = number(v, "qw0", NULL);
        fprintf(out, "%s ", (low & 15) == 2 ? "iotlb_inv" : "other_inv");
        put_string(out, v, "iommu");
        fprintf(out, ": 0x%" PRIx64 " 0x%" PRIx64, low, number(v, "qw1", NULL));
    } else if (!strncmp(name, "dma_map_sg", 10) || !strcmp(name, "dma_unmap_sg")) {
        put_string(out, v, "device");
        fprintf(out, " dir=%s", direction(v));
        if (field_of(v, "dma_addrs")) {
            put_array(out, v, "dma_addrs", "dma_addrs", 8);
            put_array(out, v, "sizes", "lengths", 4);
        }
        put_array(out, v, "phys_addrs", field_of(v, "phys_addrs") ? "phys_addrs" : "addrs", 8);
    } else if (!strncmp(name, "dma_", 4)) {
        put_string(out, v, "device");
        fprintf(out, " dir=%s dma_addr=%" PRIx64 " size=%" PRIu64, direction(v), number(v, "dma_addr", "addr"),
                number(v, "size", NULL));
        if (field_of(v, "phys_addr"))
            fprintf(out, " phys_addr=%" PRIx64, number(v, "phys_addr", NULL));
    } else {
        return false;
    }
    return true;
}

static enum nw_status write_line(struct nw_ftrace_raw *r, struct cpu *c, bool *written, struct nw_error *err)
{
    *written = false;
    const unsigned id = c->event_bytes >= 2 ? (unsigned)word_at(c->event, 2) : 0;
    struct view v = { .data = c->event, .bytes = c->event_bytes };
    for (size_t i = 0; i < r->formats && !v.format; i++)
        if (r->format[i].id == id)
            v.format = &r->format[i];
    if (!v.format)
        return NW_OK;
    free(r->line);
    r->line = NULL;
    FILE *out = open_memstream(&r->line, &r->line_room);
    if (!out)
        return nw_fail_nomem(err, "a line of a trace");
    fprintf(out, "raw-0 [%03u] ..... %" PRIu64 ".%09" PRIu64 ": %s: ", c->number, c->time / 1000000000,
            c->time % 1000000000, v.format->name);
    *written = put_fields(out, &v);
    return fclose(out) ? nw_fail_nomem(err, "a line of a trace") : NW_OK;
}

/* ---- the directory ------------------------------------------------------------------------------ */

enum nw_status nw_ftrace_raw_rewind(struct nw_ftrace_raw *r, struct nw_error *err)
{
    for (size_t i = 0; i < r->cpus; i++) {
        struct cpu *c = &r->cpu[i];
        enum nw_status s = nw_input_rewind(c->input, err);
        c->at = c->end = 0;
        c->lost = 0;
        if (s || (s = next_event(r, c, err)))
            return s;
    }
    return NW_OK;
}

enum nw_status nw_ftrace_raw_open(struct nw_ftrace_raw **out, const char *path, struct nw_error *err)
{
    char below[PATH_ROOM];
    struct nw_ftrace_raw *r = calloc(1, sizeof *r);
    enum nw_status s;
    if (!r || !(r->path = strdup(path))) {
        free(r);
        return nw_fail_nomem(err, "an importer");
    }
    s = read_header(r, err);
    if (!s)
        s = join(below, err, "%s/events", path);
    if (!s)
        s = each_name(below, take_system, r, err);
    if (!s && !r->formats)
        s = nw_fail(err, NW_ERR_INPUT, "%s: no format of an event of dma, iommu or intel_iommu", below);
    if (!s)
        s = join(below, err, "%s/per_cpu", path);
    if (!s)
        s = each_name(below, take_cpu, r, err);
    if (!s && !r->cpus)
        s = nw_fail(err, NW_ERR_INPUT, "%s: no cpuN/trace_pipe_raw", below);
    for (size_t i = 0; !s && i < r->cpus; i++)
        s = next_event(r, &r->cpu[i], err);
    if (s)
        nw_ftrace_raw_close(r);
    else
        *out = r;
    return s;
}

void nw_ftrace_raw_close(struct nw_ftrace_raw *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->cpus; i++) {
        nw_input_close(r->cpu[i].input);
        free(r->cpu[i].page);
    }
    free(r->cpu);
    free(r->format);
    free(r->line);
    free(r->path);
    free(r);
}

/* The processor whose event is the oldest; NULL: there are none. */
static struct cpu *oldest(struct nw_ftrace_raw *r)
{
    struct cpu *best = NULL;
    for (size_t i = 0; i < r->cpus; i++)
        if (r->cpu[i].event_bytes && (!best || r->cpu[i].time < best->time))
            best = &r->cpu[i];
    return best;
}

enum nw_status nw_ftrace_raw_line(struct nw_ftrace_raw *r, const char **line, struct nw_input **input,
                                  struct nw_error *err)
{
    struct cpu *c;
    *line = NULL;
    while ((c = oldest(r)) != NULL) {
        bool written;
        enum nw_status s;
        *input = c->input;
        if (c->lost) {
            free(r->line);
            r->line = NULL;
            if (asprintf(&r->line, "CPU:%u [LOST %" PRIu64 " EVENTS]", c->number, c->lost) < 0) {
                r->line = NULL;
                return nw_fail_nomem(err, "a line of a trace");
            }
            c->lost = 0;
            *line = r->line;
            return NW_OK;
        }
        if ((s = write_line(r, c, &written, err)) || (s = next_event(r, c, err)))
            return s;
        if (written) {
            *line = r->line;
            return NW_OK;
        }
    }
    return NW_OK;
}
