/* A .nwt file as a source: one block in memory, two reads a block. */
#include "nwt_format.h"

#include <fcntl.h>
#include <inttypes.h>
#include <nestwalk/traces/nwt.h>
#include <stdlib.h>
#include <string.h>

struct reader {
    struct nw_source source;
    struct nwt_file file;
    struct nw_trace_info info;
    struct nwt_decoder *decoder;
    struct nwt_buffer columns;
    struct nwt_index_entry *index; /* read when seeking */
    struct nwt_place at;           /* of the next block */
    uint64_t next_access;
};

static enum nw_status check_end(const struct reader *r, struct nw_error *err)
{
    const struct nwt_footer *t = &r->file.footer;
    if (r->at.block != t->blocks || r->next_access != t->accesses)
        return nwt_fail_at(
            err, &r->at, "the trace ends after %" PRIu64 " accesses, its footer says %" PRIu64 " in %" PRIu64 " blocks",
            r->next_access, t->accesses, t->blocks);
    return NW_OK;
}

static enum nw_status reader_next(struct nw_source *self, struct nw_block *block, struct nw_error *err)
{
    struct reader *r = (struct reader *)self;
    if (r->at.offset == r->file.blocks_end) {
        *block = (struct nw_block){ .end = true };
        return check_end(r, err);
    }
    struct nwt_block_header h;
    enum nw_status s = nwt_file_block_header(&r->file, &r->at, r->next_access, r->info.vcpu_count, &h, err);
    if (s)
        return s;
    size_t bytes = 0;
    for (unsigned id = 0, n = nwt_columns_wanted(self->want); id < n; id++)
        bytes += h.column[id].stored_bytes;
    s = nwt_buffer_reserve(&r->columns, bytes, err);
    if (!s)
        s = nwt_file_read(&r->file, r->columns.bytes, bytes, r->at.offset + sizeof h, err);
    if (!s)
        s = nwt_decode(r->decoder, &h, r->columns.bytes, self->want, r->info.vcpu_count, &r->at, block, err);
    if (s)
        return s;
    r->at.offset += h.block_bytes;
    r->at.block++;
    r->next_access += h.access_count;
    return NW_OK;
}

static enum nw_status reader_rewind(struct nw_source *self, struct nw_error *err)
{
    (void)err;
    struct reader *r = (struct reader *)self;
    r->at = (struct nwt_place){ .path = r->file.path, .offset = r->file.blocks_offset };
    r->next_access = 0;
    return NW_OK;
}

static const struct nw_trace_info *reader_info(const struct nw_source *self)
{
    return &((const struct reader *)self)->info;
}

static uint64_t reader_total(const struct nw_source *self)
{
    return ((const struct reader *)self)->file.footer.accesses;
}

static void reader_destroy(struct nw_source *self)
{
    struct reader *r = (struct reader *)self;
    nwt_decoder_destroy(r->decoder);
    nwt_buffer_free(&r->columns);
    free(r->index);
    nw_trace_info_fini(&r->info);
    nwt_file_close(&r->file);
    free(r);
}

static const struct nw_source_ops reader_ops = {
    .next = reader_next,
    .rewind = reader_rewind,
    .info = reader_info,
    .access_total = reader_total,
    .destroy = reader_destroy,
};

enum nw_status nw_nwt_open(struct nw_source **out, const char *path, struct nw_error *err)
{
    struct reader *r = calloc(1, sizeof *r);
    if (!r)
        return nw_fail_nomem(err, "a trace reader");
    r->source = (struct nw_source){ .ops = &reader_ops, .want = NW_WANT_ADDRESSES };
    r->file.fd = -1;
    nw_trace_info_init(&r->info);
    enum nw_status s = nwt_file_open(&r->file, path, &r->info, err);
    if (!s && !r->file.has_footer)
        s = nw_fail(err, NW_ERR_INPUT,
                    "%s: the trace has no valid index at its end (offset %" PRIu64
                    "): it was cut off or damaged; `nestwalk trace repair` keeps its whole blocks",
                    path, r->file.bytes);
    if (!s)
        s = nwt_decoder_create(&r->decoder, err);
    if (s) {
        reader_destroy(&r->source);
        return s;
    }
    posix_fadvise(r->file.fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    *out = &r->source;
    return reader_rewind(&r->source, err);
}

enum nw_status nw_nwt_seek(struct nw_source *source, uint64_t access, struct nw_error *err)
{
    if (source->ops != &reader_ops)
        return nw_fail(err, NW_ERR_USAGE, "only a .nwt file can be sought in");
    struct reader *r = (struct reader *)source;
    enum nw_status s = r->index ? NW_OK : nwt_file_index(&r->file, &r->index, err);
    if (s)
        return s;
    /* The first block that ends behind `access`. */
    uint64_t low = 0, high = r->file.footer.blocks;
    while (low < high) {
        uint64_t mid = low + (high - low) / 2;
        if (r->index[mid].first_access + r->index[mid].access_count > access)
            high = mid;
        else
            low = mid + 1;
    }
    bool end = low == r->file.footer.blocks;
    r->at.block = low;
    r->at.offset = end ? r->file.blocks_end : r->index[low].offset;
    r->next_access = end ? r->file.footer.accesses : r->index[low].first_access;
    return NW_OK;
}
