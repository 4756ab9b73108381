/* What can be said of a .nwt file without replaying it: summary, verification, repair. */
#include "nwt_format.h"

#include <inttypes.h>
#include <nestwalk/traces/nwt.h>
#include <stdlib.h>
#include <string.h>

static void count_block(struct nw_nwt_summary *sum, const struct nwt_block_header *h)
{
    sum->blocks++;
    sum->accesses += h->access_count;
    sum->events += h->event_count;
    sum->fetches += h->fetches;
    sum->loads += h->loads;
    sum->stores += h->stores;
}

static void start_summary(struct nw_nwt_summary *sum, const struct nwt_file *f)
{
    *sum = (struct nw_nwt_summary){ .file_bytes = f->bytes, .version = NWT_VERSION, .index_present = f->has_footer };
}

enum nw_status nw_nwt_summarise(const char *path, struct nw_nwt_summary *out, struct nw_trace_info *info,
                                struct nw_error *err)
{
    struct nwt_file f;
    struct nw_trace_info own;
    enum nw_status s = nwt_file_open(&f, path, &own, err);
    if (s)
        return s;
    start_summary(out, &f);
    if (f.has_footer) {
        const struct nwt_footer *t = &f.footer;
        out->blocks = t->blocks;
        out->accesses = t->accesses;
        out->events = t->events;
        out->fetches = t->fetches;
        out->loads = t->loads;
        out->stores = t->stores;
    } else {
        /* Whatever ends the run of sound block headers is the damage; it is `repair` that says what. */
        struct nwt_place at = { .path = f.path, .offset = f.blocks_offset };
        struct nwt_block_header h;
        while (!nwt_file_block_header(&f, &at, out->accesses, own.vcpu_count, &h, NULL)) {
            count_block(out, &h);
            at.offset += h.block_bytes;
            at.block++;
        }
    }
    nwt_file_close(&f);
    if (info)
        *info = own;
    else
        nw_trace_info_fini(&own);
    return NW_OK;
}

/* ---- one block, completely ---- */

struct checker {
    struct nwt_file file;
    struct nw_trace_info info;
    struct nwt_decoder *decoder;
    struct nwt_buffer block; /* header and columns as stored */
    struct nw_touch *touch;
    struct nwt_place at;
    struct nw_nwt_summary seen;
};

static void checker_close(struct checker *c)
{
    nwt_decoder_destroy(c->decoder);
    nwt_buffer_free(&c->block);
    free(c->touch);
    nw_trace_info_fini(&c->info);
    nwt_file_close(&c->file);
}

static enum nw_status checker_open(struct checker *c, const char *path, struct nw_error *err)
{
    memset(c, 0, sizeof *c);
    c->file.fd = -1;
    enum nw_status s = nwt_file_open(&c->file, path, &c->info, err);
    if (!s)
        s = nwt_decoder_create(&c->decoder, err);
    if (!s && !(c->touch = malloc(NW_BLOCK_TOUCHES_MAX * sizeof *c->touch)))
        s = nw_fail_nomem(err, "a trace block's touches");
    if (s) {
        checker_close(c);
        return s;
    }
    c->at = (struct nwt_place){ .path = c->file.path, .offset = c->file.blocks_offset };
    start_summary(&c->seen, &c->file);
    return NW_OK;
}

/* The page lists are an extract of the accesses; a block whose extract is not exactly what the touch rule says is not sound. */
static enum nw_status check_touches(struct checker *c, struct nw_block *b, struct nw_error *err)
{
    uint32_t crossings = 0;
    for (uint32_t i = 0; i < b->access_count; i++)
        crossings += nw_access_crosses(b->address[i], nw_block_kind(b, i));
    struct nw_block honest = *b;
    honest.crosses_page = crossings;
    uint32_t n = nw_touches_of(&honest, 0, c->touch);
    if (b->crosses_page != honest.crosses_page || n != b->touch_count ||
        (n && memcmp(c->touch, b->touch, n * sizeof *c->touch) != 0))
        return nwt_fail_at(err, &c->at, "the page lists are not the touches of the accesses");
    return NW_OK;
}

static enum nw_status check_block(struct checker *c, struct nw_error *err)
{
    struct nwt_block_header h;
    enum nw_status s = nwt_file_block_header(&c->file, &c->at, c->seen.accesses, c->info.vcpu_count, &h, err);
    if (!s)
        s = nwt_buffer_reserve(&c->block, h.block_bytes, err);
    if (!s)
        s = nwt_file_read(&c->file, c->block.bytes, h.block_bytes, c->at.offset, err);
    struct nw_block b;
    if (!s)
        s = nwt_decode(c->decoder, &h, c->block.bytes + sizeof h, NW_WANT_ADDRESSES | NW_WANT_TOUCHES,
                       c->info.vcpu_count, &c->at, &b, err);
    if (!s)
        s = check_touches(c, &b, err);
    if (s)
        return s;
    count_block(&c->seen, &h);
    c->at.offset += h.block_bytes;
    c->at.block++;
    return NW_OK;
}

/* ---- verify ---- */

static enum nw_status check_footer(const struct checker *c, struct nw_error *err)
{
    const struct nwt_footer *t = &c->file.footer;
    const struct nw_nwt_summary *n = &c->seen;
    if (t->blocks != n->blocks || t->accesses != n->accesses || t->events != n->events || t->fetches != n->fetches ||
        t->loads != n->loads || t->stores != n->stores)
        return nw_fail(err, NW_ERR_INPUT, "%s: footer at offset %" PRIu64 ": its totals are not the blocks'",
                       c->file.path, c->file.bytes - sizeof *t);
    struct nwt_index_entry *index;
    enum nw_status s = nwt_file_index(&c->file, &index, err);
    if (!s)
        free(index);
    return s;
}

enum nw_status nw_nwt_verify(const char *path, struct nw_nwt_summary *out, struct nw_error *err)
{
    struct checker c;
    enum nw_status s = checker_open(&c, path, err);
    if (s)
        return s;
    while (!s && c.at.offset < c.file.blocks_end && !(s = check_block(&c, err)))
        ;
    if (!s && !c.file.has_footer)
        s = nw_fail(err, NW_ERR_INPUT, "%s: no valid index and footer at the end (offset %" PRIu64 ")", path,
                    c.file.bytes);
    if (!s)
        s = check_footer(&c, err);
    if (out)
        *out = c.seen;
    checker_close(&c);
    return s;
}

/* ---- repair ---- */

/* Bytes behind the last good block that were trace and not merely its index. */
static uint64_t lost_behind(const struct checker *c)
{
    if (c->file.has_footer && c->at.offset == c->file.blocks_end)
        return 0;
    uint32_t magic = 0;
    if (c->file.bytes - c->at.offset >= sizeof magic &&
        !nwt_file_read(&c->file, &magic, sizeof magic, c->at.offset, NULL) && magic == NWT_INDEX_MAGIC)
        return 0;
    return c->file.bytes - c->at.offset;
}

enum nw_status nw_nwt_repair(const char *from, const char *to, struct nw_nwt_summary *kept, uint64_t *lost_bytes,
                             struct nw_error *err)
{
    struct checker c;
    struct nwt_output o = { .fd = -1 };
    uint8_t *header = NULL;
    enum nw_status s = checker_open(&c, from, err);
    if (s)
        return s;
    header = malloc(c.file.blocks_offset);
    s = header ? nwt_file_read(&c.file, header, c.file.blocks_offset, 0, err) : nw_fail_nomem(err, "a trace's header");
    if (!s)
        s = nwt_output_open(&o, to, err);
    if (!s)
        s = nwt_output_append(&o, header, c.file.blocks_offset, err);
    struct nw_error why = { 0 };
    enum nw_status end = NW_OK;
    while (!s && c.at.offset < c.file.blocks_end && !(end = check_block(&c, &why)))
        s = nwt_output_block(&o, c.block.bytes, err);
    /* A block that is not sound ends the repair; a disk that cannot be read, or no memory, fails it. */
    if (!s && end && end != NW_ERR_INPUT) {
        s = end;
        if (err)
            *err = why;
    }
    if (!s)
        s = nwt_output_finish(&o, NULL, 0, err);
    if (!s) {
        *lost_bytes = lost_behind(&c);
        *kept = c.seen;
        kept->index_present = true;
    }
    nwt_output_discard(&o);
    free(header);
    checker_close(&c);
    return s;
}
