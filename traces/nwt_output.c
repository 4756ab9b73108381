#include "nwt_format.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A new file with a name that nobody has, with the rights that the user's umask leaves (mkstemp would make it private). */
static int create_beside(const char *path, char *name, size_t bytes)
{
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(name, bytes, "%s.%ld.%u.tmp", path, (long)getpid(), i);
        int fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0 || errno != EEXIST)
            return fd;
    }
    return -1;
}

enum nw_status nwt_output_open(struct nwt_output *o, const char *path, struct nw_error *err)
{
    *o = (struct nwt_output){ .fd = -1 };
    struct stat st;
    /* Renaming onto a device or a directory would replace it, or fail when all the work is done. */
    if (!stat(path, &st) && !S_ISREG(st.st_mode))
        return nw_fail(err, NW_ERR_USAGE, "%s: a trace can only be written to a regular file", path);
    size_t bytes = strlen(path) + sizeof ".0123456789.999.tmp" + 20;
    o->path = strdup(path);
    o->temporary = malloc(bytes);
    if (!o->path || !o->temporary) {
        nwt_output_discard(o);
        return nw_fail_nomem(err, "a file name");
    }
    o->fd = create_beside(path, o->temporary, bytes);
    if (o->fd < 0) {
        int e = errno;
        nwt_output_discard(o);
        return nw_fail_errno(err, NW_ERR_IO, e, "%s: cannot create a file beside it", path);
    }
    return NW_OK;
}

static enum nw_status write_at(struct nwt_output *o, const void *bytes, size_t count, uint64_t offset,
                               struct nw_error *err)
{
    for (size_t done = 0; done < count;) {
        ssize_t n = pwrite(o->fd, (const uint8_t *)bytes + done, count - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return nw_fail_errno(err, NW_ERR_IO, n ? errno : ENOSPC, "%s: cannot write", o->temporary);
        done += (size_t)n;
    }
    return NW_OK;
}

enum nw_status nwt_output_append(struct nwt_output *o, const void *bytes, size_t count, struct nw_error *err)
{
    enum nw_status s = write_at(o, bytes, count, o->offset, err);
    if (!s)
        o->offset += count;
    return s;
}

enum nw_status nwt_output_block(struct nwt_output *o, const uint8_t *block, struct nw_error *err)
{
    struct nwt_block_header h;
    memcpy(&h, block, sizeof h);
    if (o->total.blocks == o->index_capacity) {
        size_t capacity = o->index_capacity ? o->index_capacity * 2 : 64;
        struct nwt_index_entry *grown = realloc(o->index, capacity * sizeof *grown);
        if (!grown)
            return nw_fail_nomem(err, "a trace's index");
        o->index = grown;
        o->index_capacity = capacity;
    }
    uint64_t offset = o->offset;
    enum nw_status s = nwt_output_append(o, block, h.block_bytes, err);
    if (s)
        return s;
    o->index[o->total.blocks++] = (struct nwt_index_entry){
        .offset = offset,
        .first_access = h.first_access,
        .block_bytes = h.block_bytes,
        .access_count = h.access_count,
        .event_count = h.event_count,
        .vcpu = h.vcpu,
    };
    o->total.accesses += h.access_count;
    o->total.events += h.event_count;
    o->total.fetches += h.fetches;
    o->total.loads += h.loads;
    o->total.stores += h.stores;
    return NW_OK;
}

static enum nw_status write_index(struct nwt_output *o, struct nw_error *err)
{
    struct nwt_index_head head = {
        .magic = NWT_INDEX_MAGIC,
        .entry_bytes = sizeof *o->index,
        .count = o->total.blocks,
    };
    size_t entries = o->total.blocks * sizeof *o->index;
    uint8_t *bytes = malloc(sizeof head + entries);
    if (!bytes)
        return nw_fail_nomem(err, "a trace's index");
    memcpy(bytes, &head, sizeof head);
    if (entries)
        memcpy(bytes + sizeof head, o->index, entries);
    struct nwt_footer *f = &o->total;
    f->magic = NWT_FOOTER_MAGIC;
    f->version = NWT_VERSION;
    f->index_offset = o->offset;
    f->index_bytes = sizeof head + entries;
    f->index_checksum = nwt_checksum(bytes, f->index_bytes);
    f->checksum = nwt_checksum(f, offsetof(struct nwt_footer, checksum));
    enum nw_status s = nwt_output_append(o, bytes, f->index_bytes, err);
    free(bytes);
    return s ? s : nwt_output_append(o, f, sizeof *f, err);
}

enum nw_status nwt_output_finish(struct nwt_output *o, const uint8_t *header, size_t header_bytes, struct nw_error *err)
{
    enum nw_status s = write_index(o, err);
    if (!s && header)
        s = write_at(o, header, header_bytes, 0, err);
    if (!s) {
        int fd = o->fd;
        o->fd = -1;
        if (close(fd))
            s = nw_fail_errno(err, NW_ERR_IO, errno, "%s: cannot write", o->temporary);
    }
    if (!s && rename(o->temporary, o->path))
        s = nw_fail_errno(err, NW_ERR_IO, errno, "%s: cannot be renamed to %s", o->temporary, o->path);
    if (!s) {
        free(o->temporary);
        o->temporary = NULL;
    }
    nwt_output_discard(o);
    return s;
}

void nwt_output_discard(struct nwt_output *o)
{
    if (o->fd >= 0) {
        close(o->fd);
        unlink(o->temporary);
    } else if (o->temporary && o->offset) {
        unlink(o->temporary); /* complete, but not renamed */
    }
    free(o->path);
    free(o->temporary);
    free(o->index);
    *o = (struct nwt_output){ .fd = -1 };
}
