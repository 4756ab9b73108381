#include <archive.h>
#include <archive_entry.h>
#include <nestwalk/traces/archive.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* ---- reading --------------------------------------------------------------------------------------- */

bool nw_archive_recognise(const void *bytes, size_t size)
{
    enum { MAGIC_AT = 257, HEADER_BYTES = 512 };
    return size >= HEADER_BYTES && !memcmp((const char *)bytes + MAGIC_AT, "ustar", 5);
}

static enum nw_status fail_reading(struct archive *a, const char *name, struct nw_error *err)
{
    const char *text = archive_error_string(a);
    return nw_fail(err, NW_ERR_INPUT, "%s: as an archive: %s", name, text ? text : "cannot be read");
}

static enum nw_status read_member(struct archive *a, struct archive_entry *entry, size_t archive_bytes,
                                  const char *name, nw_archive_member *member, void *context, struct nw_error *err)
{
    const char *path = archive_entry_pathname(entry);
    const int64_t size = archive_entry_size(entry);
    if (!path || archive_entry_filetype(entry) != AE_IFREG)
        return NW_OK;
    if (size < 0 || (uint64_t)size > archive_bytes)
        return nw_fail(err, NW_ERR_INPUT, "%s: %s is said to have %lld bytes, and the archive %zu", name, path,
                       (long long)size, archive_bytes);
    char *bytes = malloc((size_t)size + 1);
    if (!bytes)
        return nw_fail_nomem(err, "a file of an archive");
    enum nw_status s = NW_OK;
    const la_ssize_t got = archive_read_data(a, bytes, (size_t)size);
    if (got < 0)
        s = fail_reading(a, name, err);
    else if (got != size)
        s = nw_fail(err, NW_ERR_INPUT, "%s: %s ends after %lld of %lld bytes", name, path, (long long)got,
                    (long long)size);
    bytes[size] = 0;
    if (!s)
        s = member(context, path, bytes, (size_t)size, err);
    free(bytes);
    return s;
}

enum nw_status nw_archive_each(const void *bytes, size_t size, const char *name, nw_archive_member *member,
                               void *context, struct nw_error *err)
{
    struct archive *a = archive_read_new();
    struct archive_entry *entry;
    enum nw_status s = NW_OK;
    if (!a || archive_read_support_format_tar(a) != ARCHIVE_OK) {
        s = nw_fail_nomem(err, "reading an archive");
        goto out;
    }
    if (archive_read_open_memory(a, bytes, size) != ARCHIVE_OK) {
        s = fail_reading(a, name, err);
        goto out;
    }
    for (int r; !s && (r = archive_read_next_header(a, &entry)) != ARCHIVE_EOF;)
        s = r == ARCHIVE_OK || r == ARCHIVE_WARN ? read_member(a, entry, size, name, member, context, err)
                                                 : fail_reading(a, name, err);
out:
    if (a)
        archive_read_free(a);
    return s;
}

/* ---- making ---------------------------------------------------------------------------------------- */

struct nw_archive {
    struct archive *archive;
    char *bytes;
    size_t size, room;
};

static la_ssize_t take(struct archive *archive, void *context, const void *bytes, size_t size)
{
    struct nw_archive *a = context;
    (void)archive;
    if (size > a->room - a->size) {
        const size_t room = (a->room + size) * 2;
        char *more = realloc(a->bytes, room);
        if (!more)
            return -1;
        a->bytes = more;
        a->room = room;
    }
    memcpy(a->bytes + a->size, bytes, size);
    a->size += size;
    return (la_ssize_t)size;
}

static enum nw_status fail_making(struct nw_archive *a, struct nw_error *err)
{
    const char *text = archive_error_string(a->archive);
    return nw_fail(err, NW_ERR_NOMEM, "an archive cannot be made: %s", text ? text : "out of memory");
}

enum nw_status nw_archive_begin(struct nw_archive **out, struct nw_error *err)
{
    struct nw_archive *a = calloc(1, sizeof *a);
    if (!a || !(a->archive = archive_write_new())) {
        free(a);
        return nw_fail_nomem(err, "an archive");
    }
    if (archive_write_set_format_pax_restricted(a->archive) != ARCHIVE_OK ||
        archive_write_add_filter_zstd(a->archive) != ARCHIVE_OK ||
        archive_write_set_bytes_in_last_block(a->archive, 1) != ARCHIVE_OK ||
        archive_write_open(a->archive, a, NULL, take, NULL) != ARCHIVE_OK) {
        const enum nw_status s = fail_making(a, err);
        nw_archive_drop(a);
        return s;
    }
    *out = a;
    return NW_OK;
}

enum nw_status nw_archive_put(struct nw_archive *a, const char *member, const void *bytes, size_t size,
                              struct nw_error *err)
{
    struct archive_entry *entry = archive_entry_new();
    if (!entry)
        return nw_fail_nomem(err, "an archive");
    archive_entry_set_pathname(entry, member);
    archive_entry_set_size(entry, (int64_t)size);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_mtime(entry, 0, 0);
    enum nw_status s = NW_OK;
    if (archive_write_header(a->archive, entry) != ARCHIVE_OK ||
        archive_write_data(a->archive, bytes, size) != (la_ssize_t)size)
        s = fail_making(a, err);
    archive_entry_free(entry);
    return s;
}

enum nw_status nw_archive_end(struct nw_archive *a, void **out, size_t *out_bytes, struct nw_error *err)
{
    enum nw_status s = archive_write_close(a->archive) == ARCHIVE_OK ? NW_OK : fail_making(a, err);
    if (!s) {
        *out = a->bytes;
        *out_bytes = a->size;
        a->bytes = NULL;
    }
    nw_archive_drop(a);
    return s;
}

void nw_archive_drop(struct nw_archive *a)
{
    if (!a)
        return;
    archive_write_free(a->archive);
    free(a->bytes);
    free(a);
}
