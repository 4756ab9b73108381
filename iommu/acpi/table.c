/* table.c - finds DMAR, IVRS and APIC tables in a binary or in the text of acpidump.
 * Source: ACPI specification, "System Description Table Header"; the text form is that of ACPICA's acpidump: a line
 * "DMAR @ 0x..." and lines "    0000: 44 4D 41 52 ...  DMAR...", an offset and up to 16 bytes. */
#include "acpi_internal.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

enum { TABLE_BYTES_MAX = 128 << 10 /* the largest of machines need a tenth */, ROW_BYTES = 16 };

static const char signatures[][5] = { [NW_ACPI_DMAR] = "DMAR", [NW_ACPI_IVRS] = "IVRS", [NW_ACPI_MADT] = "APIC" };

const char *nw_acpi_kind_name(enum nw_acpi_kind kind) { return signatures[kind]; }

void *nw_acpi_grow(void **array, size_t *count, size_t bytes)
{
    if (!(*count & (*count - 1))) { /* none, or a power of two: full */
        void *more = realloc(*array, (*count ? 2 * *count : 1) * bytes);
        if (!more)
            return NULL;
        *array = more;
    }
    char *element = (char *)*array + (*count)++ * bytes;
    return memset(element, 0, bytes);
}

enum nw_status nw_acpi_problem_add(struct nw_acpi_problems *problems, struct nw_error *err, uint32_t offset,
                                   const uint8_t *rest, uint32_t left, const char *format, ...)
{
    struct nw_acpi_problem *p = nw_acpi_grow((void **)&problems->at, &problems->count, sizeof *p);
    if (!p)
        return nw_fail_nomem(err, "the problems of a table");
    p->offset = offset;
    p->zeros = left > 0;
    for (uint32_t i = 0; i < left && p->zeros; i++)
        p->zeros = !rest[i];
    va_list ap;
    va_start(ap, format);
    vsnprintf(p->text, sizeof p->text, format, ap);
    va_end(ap);
    return NW_OK;
}

bool nw_acpi_whole(const struct nw_acpi_table *table, const struct nw_acpi_problems *problems)
{
    bool whole = table->length <= table->size;
    for (size_t i = 0; i < problems->count; i++)
        whole &= problems->at[i].zeros;
    return whole;
}

static bool kind_of(const void *signature, enum nw_acpi_kind *kind)
{
    for (size_t i = 0; i < NW_ARRAY_LEN(signatures); i++)
        if (!memcmp(signature, signatures[i], 4)) {
            *kind = (enum nw_acpi_kind)i;
            return true;
        }
    return false;
}

static enum nw_status add(struct nw_acpi_file *file, const uint8_t *bytes, size_t size, uint64_t line, const char *name,
                          struct nw_error *err)
{
    enum nw_acpi_kind kind;
    if (!kind_of(bytes, &kind))
        return nw_fail(err, NW_ERR_INPUT, "%s: no signature DMAR, IVRS or APIC", name);
    if (size < nw_acpi_fixed(kind))
        return nw_fail(err, NW_ERR_INPUT, "%s: the %s table ends at offset 0x%zx, within its fixed part of %u bytes",
                       name, nw_acpi_kind_name(kind), size, nw_acpi_fixed(kind));
    if (size > TABLE_BYTES_MAX)
        return nw_fail(err, NW_ERR_INPUT, "%s: %zu bytes for a table %s; at most %d are read", name, size,
                       nw_acpi_kind_name(kind), TABLE_BYTES_MAX);
    uint8_t *copy = malloc(size);
    struct nw_acpi_table *t = !copy                  ? NULL
                              : kind == NW_ACPI_MADT ? nw_acpi_grow((void **)&file->madt, &file->madts, sizeof *t)
                                                     : nw_acpi_grow((void **)&file->table, &file->count, sizeof *t);
    if (!t) {
        free(copy);
        return nw_fail_nomem(err, "a table");
    }
    memcpy(copy, bytes, size);
    *t = (struct nw_acpi_table){ .kind = kind,
                                 .bytes = copy,
                                 .size = (uint32_t)size,
                                 .length = get32(copy + 4),
                                 .revision = copy[8],
                                 .checksum = copy[9],
                                 .line = line };
    for (uint32_t i = 0; i < nw_acpi_end(t); i++)
        t->sum = (uint8_t)(t->sum + copy[i]);
    return NW_OK;
}

/* ---- text ------------------------------------------------------------------------------------------ */

struct text {
    const char *name;
    struct nw_acpi_file *file;
    uint64_t line;
    char signature[5]; /* of the table being read; empty: none */
    bool wanted;
    uint64_t first_line;
    uint8_t *bytes;
    size_t size, room;
};

static enum nw_status finish_table(struct text *t, struct nw_error *err)
{
    enum nw_status s = NW_OK;
    if (t->wanted) {
        char name[512];
        snprintf(name, sizeof name, "%s:%llu", t->name, (unsigned long long)t->first_line);
        if (t->size < 4)
            s = nw_fail(err, NW_ERR_INPUT, "%s: \"%s @\" is followed by no bytes", name, t->signature);
        else if (memcmp(t->bytes, t->signature, 4))
            s = nw_fail(err, NW_ERR_INPUT, "%s: the bytes behind \"%s @\" have another signature", name, t->signature);
        else
            s = add(t->file, t->bytes, t->size, t->first_line, name, err);
    }
    t->wanted = false;
    t->signature[0] = 0;
    t->size = 0;
    return s;
}

/* "DMAR @ 0x00000000": a table begins. */
static bool is_heading(const char *p, const char *end)
{
    if (end - p < 9 || memcmp(p + 4, " @ 0x", 5))
        return false;
    for (int i = 0; i < 4; i++)
        if (!isprint((unsigned char)p[i]) || p[i] == ' ')
            return false;
    return true;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Blanks, a hexadecimal offset, a colon; returns what is behind it, or NULL when the line is none of a dump. */
static const char *row_offset(const char *p, const char *end, uint64_t *offset)
{
    while (p < end && (*p == ' ' || *p == '\t'))
        p++;
    const char *first = p;
    for (*offset = 0; p < end && digit(*p) >= 0 && p - first < 8; p++)
        *offset = *offset << 4 | (uint64_t)digit(*p);
    return p > first && p < end && *p == ':' ? p + 1 : NULL;
}

static enum nw_status take_row(struct text *t, const char *p, const char *end, struct nw_error *err)
{
    uint64_t offset;
    const char *q = row_offset(p, end, &offset);
    unsigned got = 0;
    if (!q)
        return nw_fail(err, NW_ERR_INPUT,
                       "%s:%llu: expected an offset, a colon and bytes, as in \"    0000: 44 4D\", in the %s table",
                       t->name, (unsigned long long)t->line, t->signature);
    if (offset != t->size)
        return nw_fail(err, NW_ERR_INPUT, "%s:%llu: the %s table goes on at offset 0x%llx; 0x%zx is expected here",
                       t->name, (unsigned long long)t->line, t->signature, (unsigned long long)offset, t->size);
    if (t->size + ROW_BYTES > t->room) {
        size_t room = t->room ? 2 * t->room : 4096;
        uint8_t *more = realloc(t->bytes, room);
        if (!more)
            return nw_fail_nomem(err, "a table");
        t->bytes = more;
        t->room = room;
    }
    /* One blank before each byte; two come before the characters, also in a row that is cut short. */
    for (; got < ROW_BYTES && end - q >= 3 && *q == ' ' && digit(q[1]) >= 0 && digit(q[2]) >= 0 &&
           (end - q == 3 || q[3] == ' ');
         q += 3)
        t->bytes[t->size + got++] = (uint8_t)(digit(q[1]) << 4 | digit(q[2]));
    if (!got)
        return nw_fail(err, NW_ERR_INPUT, "%s:%llu: no bytes behind the offset, in the %s table", t->name,
                       (unsigned long long)t->line, t->signature);
    t->size += got;
    return NW_OK;
}

static enum nw_status take_line(struct text *t, const char *p, const char *end, struct nw_error *err)
{
    if (end > p && end[-1] == '\r')
        end--;
    const char *blank = p;
    while (blank < end && (*blank == ' ' || *blank == '\t'))
        blank++;
    if (blank == end)
        return finish_table(t, err);
    if (is_heading(p, end)) {
        enum nw_status s = finish_table(t, err);
        enum nw_acpi_kind kind;
        memcpy(t->signature, p, 4);
        t->wanted = kind_of(p, &kind);
        t->first_line = t->line;
        return s;
    }
    return t->wanted ? take_row(t, p, end, err) : NW_OK;
}

static enum nw_status load_text(struct nw_acpi_file *file, const char *p, size_t size, const char *name,
                                struct nw_error *err)
{
    struct text t = { .name = name, .file = file };
    enum nw_status s = NW_OK;
    bool headings = false;
    for (const char *end = p + size; p < end && !s;) {
        const char *newline = memchr(p, '\n', (size_t)(end - p)), *line_end = newline ? newline : end;
        t.line++;
        headings |= is_heading(p, line_end);
        s = take_line(&t, p, line_end, err);
        p = newline ? newline + 1 : end;
    }
    if (!s)
        s = finish_table(&t, err);
    free(t.bytes);
    if (!s && !file->count && !file->madts)
        s = headings ? nw_fail(err, NW_ERR_INPUT, "%s: the tables in it are neither DMAR, IVRS nor APIC", name)
                     : nw_fail(err, NW_ERR_INPUT,
                               "%s: neither a binary DMAR, IVRS or APIC table nor text of acpidump (\"DMAR @ 0x...\")",
                               name);
    return s;
}

enum nw_status nw_acpi_load(const void *bytes, size_t size, const char *name, struct nw_acpi_file *out,
                            struct nw_error *err)
{
    struct nw_acpi_file file = { 0 };
    enum nw_acpi_kind kind;
    enum nw_status s;
    *out = file;
    bool text = is_heading(bytes, (const char *)bytes + size);
    if (size >= 4 && !text && kind_of(bytes, &kind))
        s = add(&file, bytes, size, 0, name, err);
    else
        s = load_text(&file, bytes, size, name, err);
    if (s)
        nw_acpi_file_fini(&file);
    *out = file;
    return s;
}

void nw_acpi_file_fini(struct nw_acpi_file *file)
{
    for (size_t i = 0; i < file->count; i++)
        free(file->table[i].bytes);
    free(file->table);
    for (size_t i = 0; i < file->madts; i++)
        free(file->madt[i].bytes);
    free(file->madt);
    *file = (struct nw_acpi_file){ 0 };
}
