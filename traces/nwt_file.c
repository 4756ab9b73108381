#include "nwt_format.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum nw_status nwt_file_read(const struct nwt_file *f, void *to, size_t bytes, uint64_t offset, struct nw_error *err)
{
    for (size_t done = 0; done < bytes;) {
        ssize_t n = pread(f->fd, (uint8_t *)to + done, bytes - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return nw_fail_errno(err, NW_ERR_IO, errno, "%s: cannot read at offset %" PRIu64, f->path, offset + done);
        if (!n)
            return nw_fail(err, NW_ERR_INPUT, "%s: the file ends at offset %" PRIu64 ", %zu bytes too early", f->path,
                           offset + done, bytes - done);
        done += (size_t)n;
    }
    return NW_OK;
}

static enum nw_status open_regular(struct nwt_file *f, const char *path, struct nw_error *err)
{
    f->path = strdup(path);
    if (!f->path)
        return nw_fail_nomem(err, "a file name");
    f->fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (f->fd < 0 || fstat(f->fd, &st))
        return nw_fail_errno(err, errno == ENOENT || errno == ENOTDIR ? NW_ERR_INPUT : NW_ERR_IO, errno,
                             "%s: cannot open", path);
    if (!S_ISREG(st.st_mode))
        return nw_fail(err, NW_ERR_INPUT, "%s: not a regular file; a trace must be seekable", path);
    f->bytes = (uint64_t)st.st_size;
    return NW_OK;
}

static enum nw_status read_header(struct nwt_file *f, struct nw_trace_info *info, struct nw_error *err)
{
    struct nwt_prefix p = { 0 };
    size_t have = f->bytes < sizeof p ? (size_t)f->bytes : sizeof p;
    enum nw_status s = nwt_file_read(f, &p, have, 0, err);
    if (s)
        return s;
    if (memcmp(p.magic, NWT_MAGIC, have < NWT_MAGIC_BYTES ? have : NWT_MAGIC_BYTES) || !have)
        return nw_fail(err, NW_ERR_INPUT, "%s: not a .nwt trace (it does not begin with its signature)", f->path);
    if (have < sizeof p)
        return nw_fail(err, NW_ERR_INPUT, "%s: the file ends at offset %zu, inside its header", f->path, have);
    if (p.version != NWT_VERSION)
        return nw_fail(err, NW_ERR_INPUT, "%s: trace version %" PRIu32 ", this program reads version %d", f->path,
                       p.version, NWT_VERSION);
    if (p.body_bytes > NWT_HEADER_BYTES_MAX || p.body_bytes > f->bytes - sizeof p)
        return nw_fail(err, NW_ERR_INPUT, "%s: the header announces %" PRIu32 " bytes, the file has %" PRIu64 " more",
                       f->path, p.body_bytes, f->bytes - sizeof p);
    uint64_t checksum = p.checksum;
    uint8_t *header = malloc(sizeof p + p.body_bytes);
    if (!header)
        return nw_fail_nomem(err, "a trace's header");
    p.checksum = 0;
    memcpy(header, &p, sizeof p);
    s = nwt_file_read(f, header + sizeof p, p.body_bytes, sizeof p, err);
    if (!s && nwt_checksum(header, sizeof p + p.body_bytes) != checksum)
        s = nw_fail(err, NW_ERR_INPUT, "%s: header at offset 0: the checksum is wrong", f->path);
    if (!s)
        s = nwt_header_decode(header + sizeof p, p.body_bytes, f->path, info, err);
    free(header);
    f->blocks_offset = sizeof p + p.body_bytes;
    return s;
}

static enum nw_status read_footer(struct nwt_file *f, struct nw_error *err)
{
    struct nwt_footer t;
    f->blocks_end = f->bytes;
    if (f->bytes - f->blocks_offset < sizeof t)
        return NW_OK;
    enum nw_status s = nwt_file_read(f, &t, sizeof t, f->bytes - sizeof t, err);
    if (s)
        return s;
    uint64_t room = f->bytes - sizeof t - f->blocks_offset;
    if (t.magic != NWT_FOOTER_MAGIC || t.checksum != nwt_checksum(&t, offsetof(struct nwt_footer, checksum)) ||
        t.version != NWT_VERSION || t.index_bytes > room || t.index_offset != f->bytes - sizeof t - t.index_bytes ||
        t.index_bytes != sizeof(struct nwt_index_head) + t.blocks * sizeof(struct nwt_index_entry) ||
        t.blocks > room / sizeof(struct nwt_index_entry))
        return NW_OK;
    f->footer = t;
    f->has_footer = true;
    f->blocks_end = t.index_offset;
    return NW_OK;
}

enum nw_status nwt_file_open(struct nwt_file *f, const char *path, struct nw_trace_info *info, struct nw_error *err)
{
    *f = (struct nwt_file){ .fd = -1 };
    enum nw_status s = open_regular(f, path, err);
    if (!s)
        s = read_header(f, info, err);
    if (!s && (s = read_footer(f, err)))
        nw_trace_info_fini(info);
    if (s)
        nwt_file_close(f);
    return s;
}

void nwt_file_close(struct nwt_file *f)
{
    if (f->fd >= 0)
        close(f->fd);
    free(f->path);
    *f = (struct nwt_file){ .fd = -1 };
}

enum nw_status nwt_file_block_header(const struct nwt_file *f, const struct nwt_place *at, uint64_t first_access,
                                     uint16_t vcpu_count, struct nwt_block_header *h, struct nw_error *err)
{
    uint64_t available = f->blocks_end - at->offset;
    if (available < sizeof *h)
        return nwt_fail_at(err, at, "a block header needs %zu bytes, %" PRIu64 " are left", sizeof *h, available);
    enum nw_status s = nwt_file_read(f, h, sizeof *h, at->offset, err);
    if (!s)
        s = nwt_block_header_check(h, at, vcpu_count, available, err);
    if (!s && (h->ordinal != at->block || h->first_access != first_access))
        s = nwt_fail_at(err, at, "this is block %" PRIu64 " with access %" PRIu64 ", expected was access %" PRIu64,
                        h->ordinal, h->first_access, first_access);
    return s;
}

static bool in_order(const struct nwt_file *f, const struct nwt_index_entry *e, uint64_t count)
{
    uint64_t offset = f->blocks_offset, access = 0;
    for (uint64_t i = 0; i < count; i++) {
        if (e[i].offset != offset || e[i].first_access != access || e[i].block_bytes < sizeof(struct nwt_block_header))
            return false;
        offset += e[i].block_bytes;
        access += e[i].access_count;
    }
    return offset == f->blocks_end && access == f->footer.accesses;
}

static enum nw_status bad_index(const struct nwt_file *f, const char *what, struct nw_error *err)
{
    return nw_fail(err, NW_ERR_INPUT, "%s: index at offset %" PRIu64 ": %s (`nestwalk trace repair` rebuilds it)",
                   f->path, f->footer.index_offset, what);
}

enum nw_status nwt_file_index(const struct nwt_file *f, struct nwt_index_entry **out, struct nw_error *err)
{
    const struct nwt_footer *t = &f->footer;
    uint8_t *bytes = malloc(t->index_bytes);
    if (!bytes)
        return nw_fail_nomem(err, "a trace's index");
    enum nw_status s = nwt_file_read(f, bytes, t->index_bytes, t->index_offset, err);
    struct nwt_index_head head;
    struct nwt_index_entry *entry = (struct nwt_index_entry *)(void *)bytes;
    if (!s && nwt_checksum(bytes, t->index_bytes) != t->index_checksum)
        s = bad_index(f, "the checksum is wrong", err);
    if (!s) {
        memcpy(&head, bytes, sizeof head);
        memmove(bytes, bytes + sizeof head, t->index_bytes - sizeof head);
        if (head.magic != NWT_INDEX_MAGIC || head.entry_bytes != sizeof *entry || head.count != t->blocks ||
            !in_order(f, entry, t->blocks))
            s = bad_index(f, "it contradicts the blocks", err);
    }
    if (s) {
        free(bytes);
        return s;
    }
    *out = entry;
    return NW_OK;
}
