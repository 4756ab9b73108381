#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <inttypes.h>
#include <nestwalk/traces/input.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { READ_BYTES = 1 << 18 };

struct nw_input {
    char *path;
    struct archive *archive;
    uint64_t file_bytes, line_number, offset;
    bool ended;   /* the archive has no more data */
    char *buffer; /* capacity + 1 bytes: room for a line's NUL */
    size_t capacity, start, end;
};

static void close_archive(struct nw_input *in)
{
    if (in->archive)
        archive_read_free(in->archive);
    in->archive = NULL;
}

/* libarchive can also run other programs as filters; only the built-in ones are let in. */
static bool support_filters(struct archive *a)
{
    int (*const support[])(struct archive *) = { archive_read_support_filter_gzip, archive_read_support_filter_bzip2,
                                                 archive_read_support_filter_xz,   archive_read_support_filter_lzma,
                                                 archive_read_support_filter_zstd, archive_read_support_filter_lz4 };
    for (size_t i = 0; i < NW_ARRAY_LEN(support); i++)
        if (support[i](a) != ARCHIVE_OK)
            return false;
    return archive_read_support_format_raw(a) == ARCHIVE_OK && archive_read_support_format_empty(a) == ARCHIVE_OK;
}

static enum nw_status fail_archive(const struct nw_input *in, struct nw_error *err)
{
    const char *text = archive_error_string(in->archive);
    return nw_fail(err, NW_ERR_INPUT, "%s: at byte %" PRIu64 " of the content: %s", in->path,
                   in->offset + (in->end - in->start), text ? text : "cannot be read");
}

/* Files of /proc and of debugfs have no size and content all the same. */
static bool is_empty(const char *path)
{
    char byte;
    FILE *f = fopen(path, "rb");
    const bool empty = f && fread(&byte, 1, 1, f) == 0 && feof(f);
    if (f)
        fclose(f);
    return empty;
}

static enum nw_status open_archive(struct nw_input *in, struct nw_error *err)
{
    struct stat st;
    if (stat(in->path, &st))
        return nw_fail_errno(err, errno == ENOENT || errno == ENOTDIR ? NW_ERR_INPUT : NW_ERR_IO, errno,
                             "%s: cannot open", in->path);
    if (S_ISDIR(st.st_mode))
        return nw_fail(err, NW_ERR_INPUT, "%s: is a directory", in->path);
    in->file_bytes = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
    in->line_number = in->offset = 0;
    in->start = in->end = 0;
    /* libarchive takes an empty file for an error; it is an input without content. */
    in->ended = S_ISREG(st.st_mode) && !st.st_size && is_empty(in->path);
    if (in->ended)
        return NW_OK;
    in->archive = archive_read_new();
    if (!in->archive || !support_filters(in->archive))
        return nw_fail_nomem(err, "reading a file");
    struct archive_entry *entry;
    if (archive_read_open_filename(in->archive, in->path, READ_BYTES) != ARCHIVE_OK)
        return fail_archive(in, err);
    int r = archive_read_next_header(in->archive, &entry);
    if (r == ARCHIVE_EOF)
        in->ended = true;
    else if (r != ARCHIVE_OK)
        return fail_archive(in, err);
    return NW_OK;
}

enum nw_status nw_input_open(struct nw_input **out, const char *path, struct nw_error *err)
{
    struct nw_input *in = calloc(1, sizeof *in);
    if (!in)
        return nw_fail_nomem(err, "an input file");
    enum nw_status s = NW_OK;
    in->path = strdup(path);
    in->capacity = READ_BYTES;
    in->buffer = malloc(in->capacity + 1);
    if (!in->path || !in->buffer)
        s = nw_fail_nomem(err, "an input file");
    if (!s)
        s = open_archive(in, err);
    if (s) {
        nw_input_close(in);
        return s;
    }
    *out = in;
    return NW_OK;
}

void nw_input_close(struct nw_input *in)
{
    if (!in)
        return;
    close_archive(in);
    free(in->path);
    free(in->buffer);
    free(in);
}

enum nw_status nw_input_rewind(struct nw_input *in, struct nw_error *err)
{
    close_archive(in);
    return open_archive(in, err);
}

/* More bytes behind `end`, where there is room; `ended` when there are none. */
static enum nw_status fill(struct nw_input *in, struct nw_error *err)
{
    la_ssize_t n = archive_read_data(in->archive, in->buffer + in->end, in->capacity - in->end);
    if (n < 0)
        return fail_archive(in, err);
    in->end += (size_t)n;
    in->ended = !n;
    return NW_OK;
}

/* Room behind `end`: what is left moves to the front, or the buffer grows. */
static enum nw_status make_room(struct nw_input *in, struct nw_error *err)
{
    if (in->start) {
        memmove(in->buffer, in->buffer + in->start, in->end - in->start);
        in->end -= in->start;
        in->start = 0;
        return NW_OK;
    }
    if (in->end < in->capacity)
        return NW_OK;
    if (in->capacity >= NW_INPUT_LINE_MAX) {
        in->line_number++;
        return nw_input_fail(in, err, "the line is longer than %d bytes", NW_INPUT_LINE_MAX);
    }
    char *grown = realloc(in->buffer, in->capacity * 2 + 1);
    if (!grown)
        return nw_fail_nomem(err, "a line");
    in->buffer = grown;
    in->capacity *= 2;
    return NW_OK;
}

enum nw_status nw_input_line(struct nw_input *in, char **line, size_t *length, struct nw_error *err)
{
    *line = NULL;
    *length = 0;
    size_t searched = 0;
    char *newline;
    while (!(newline = memchr(in->buffer + in->start + searched, '\n', in->end - in->start - searched)) && !in->ended) {
        searched = in->end - in->start;
        enum nw_status s = make_room(in, err);
        if (!s)
            s = fill(in, err);
        if (s)
            return s;
    }
    if (!newline && in->start == in->end)
        return NW_OK;
    char *end = newline ? newline : in->buffer + in->end;
    *line = in->buffer + in->start;
    size_t used = (size_t)(end - *line) + (newline != NULL);
    in->start += used;
    in->offset += used;
    in->line_number++;
    if (end > *line && end[-1] == '\r')
        end--;
    *end = '\0';
    *length = (size_t)(end - *line);
    return NW_OK;
}

enum nw_status nw_input_read(struct nw_input *in, void *to, size_t bytes, size_t *got, struct nw_error *err)
{
    *got = 0;
    while (*got < bytes) {
        if (in->start == in->end) {
            if (in->ended)
                break;
            in->start = in->end = 0;
            enum nw_status s = fill(in, err);
            if (s)
                return s;
            continue;
        }
        size_t n = in->end - in->start < bytes - *got ? in->end - in->start : bytes - *got;
        memcpy((char *)to + *got, in->buffer + in->start, n);
        in->start += n;
        in->offset += n;
        *got += n;
    }
    return NW_OK;
}

const char *nw_input_path(const struct nw_input *in) { return in->path; }
uint64_t nw_input_line_number(const struct nw_input *in) { return in->line_number; }
uint64_t nw_input_offset(const struct nw_input *in) { return in->offset; }
uint64_t nw_input_file_bytes(const struct nw_input *in) { return in->file_bytes; }
uint64_t nw_input_bytes_consumed(const struct nw_input *in)
{
    la_int64_t n = in->archive ? archive_filter_bytes(in->archive, -1) : 0;
    return n > 0 ? (uint64_t)n : 0;
}

enum nw_status nw_input_fail(const struct nw_input *in, struct nw_error *err, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    nw_fail_v(err, NW_ERR_INPUT, format, ap);
    va_end(ap);
    nw_error_context(err, "%s:%" PRIu64, in->path, in->line_number);
    return NW_ERR_INPUT;
}
