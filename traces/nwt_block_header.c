/* What can be checked of a block before its columns are read: nothing in its header is believed. */
#include "nwt_format.h"

#include <inttypes.h>

/* Most columns have the size that the counts say; the others have a smallest and a largest one. */
static void raw_range(const struct nwt_block_header *h, enum nwt_column_id id, uint64_t *least, uint64_t *most)
{
    uint64_t n = h->access_count, bitmap = nwt_bitmap_bytes(h->access_count);
    uint64_t entries = (uint64_t)h->page_entries[NWT_DATA] + h->page_entries[NWT_FETCH];
    switch (id) {
    case NWT_EVENTS:
        *least = (uint64_t)h->event_count * 3 + h->event_data_words; /* an event has at least one argument */
        *most = ((uint64_t)h->event_count * (4 + NW_EVENT_ARGS_MAX) + h->event_data_words) * NWT_VARINT_MAX;
        return;
    case NWT_CLASS: *least = *most = h->fetches && h->fetches != n ? bitmap : 0; return;
    case NWT_TOUCH: *least = *most = bitmap; return;
    case NWT_CROSSINGS:
        *least = h->crossings;
        *most = (uint64_t)h->crossings * 3;
        return;
    case NWT_PAGE_LENGTHS:
        *least = *most = ((uint64_t)h->page_entries[NWT_DATA] + 3) / 4 + ((uint64_t)h->page_entries[NWT_FETCH] + 3) / 4;
        return;
    case NWT_PAGE_BYTES:
        *least = 0;
        *most = entries * 7;
        return;
    case NWT_OFFSET_HIGH: *least = *most = (n + 1) / 2; return;
    default: *least = *most = n; return; /* kinds, low offsets */
    }
}

static enum nw_status check_column(const struct nwt_block_header *h, enum nwt_column_id id, const struct nwt_place *at,
                                   struct nw_error *err)
{
    const struct nwt_column *c = &h->column[id];
    uint64_t least, most;
    raw_range(h, id, &least, &most);
    if (c->raw_bytes < least || c->raw_bytes > most)
        return nwt_fail_at(err, at, "column %s has %" PRIu32 " bytes, allowed are %" PRIu64 " to %" PRIu64,
                           nwt_column_name[id], c->raw_bytes, least, most);
    bool fits = h->encoding[id] == NWT_RAW    ? c->stored_bytes == c->raw_bytes
                : h->encoding[id] == NWT_ZSTD ? c->stored_bytes && c->stored_bytes < c->raw_bytes
                : h->encoding[id] == NWT_FILL ? c->stored_bytes == 1 && c->raw_bytes
                                              : false;
    if (!fits)
        return nwt_fail_at(err, at, "column %s: encoding %u does not allow %" PRIu32 " bytes stored as %" PRIu32,
                           nwt_column_name[id], h->encoding[id], c->raw_bytes, c->stored_bytes);
    return NW_OK;
}

enum nw_status nwt_block_header_check(const struct nwt_block_header *h, const struct nwt_place *at, uint16_t vcpu_count,
                                      uint64_t available, struct nw_error *err)
{
    if (h->magic != NWT_BLOCK_MAGIC)
        return nwt_fail_at(err, at, "no block starts here (0x%08" PRIx32 ")", h->magic);
    if (h->checksum != nwt_checksum(h, offsetof(struct nwt_block_header, checksum)))
        return nwt_fail_at(err, at, "the block header's checksum is wrong");
    if (h->access_count > NW_BLOCK_ACCESSES_MAX || h->event_count > NWT_BLOCK_EVENTS_MAX ||
        h->event_data_words > NWT_BLOCK_DATA_WORDS_MAX)
        return nwt_fail_at(err, at,
                           "%" PRIu32 " accesses, %" PRIu32 " events, %" PRIu32 " data words; allowed are %d, %d, %d",
                           h->access_count, h->event_count, h->event_data_words, NW_BLOCK_ACCESSES_MAX,
                           NWT_BLOCK_EVENTS_MAX, NWT_BLOCK_DATA_WORDS_MAX);
    uint64_t data = (uint64_t)h->loads + h->stores;
    if (data + h->fetches != h->access_count || h->crossings > h->access_count || h->page_entries[NWT_DATA] > data ||
        h->page_entries[NWT_FETCH] > h->fetches)
        return nwt_fail_at(err, at, "the counts of fetches, loads, stores, crossings and pages contradict each other");
    if (h->vcpu >= vcpu_count)
        return nwt_fail_at(err, at, "the block is of vCPU %u, the trace has %u", h->vcpu, vcpu_count);
    for (unsigned c = 0; c < NWT_CLASSES; c++)
        for (unsigned i = 0; i < 4; i++)
            if (h->page_length[c][i] > 7)
                return nwt_fail_at(err, at, "a page difference has %u bytes, allowed are 7", h->page_length[c][i]);
    uint64_t bytes = sizeof *h;
    for (unsigned id = 0; id < NWT_COLUMNS; id++) {
        enum nw_status s = check_column(h, id, at, err);
        if (s)
            return s;
        bytes += h->column[id].stored_bytes;
    }
    if (bytes != h->block_bytes)
        return nwt_fail_at(err, at, "the block has %" PRIu32 " bytes, its columns %" PRIu64, h->block_bytes, bytes);
    if (bytes > available)
        return nwt_fail_at(err, at, "the block has %" PRIu64 " bytes, the file only %" PRIu64 " more", bytes,
                           available);
    return NW_OK;
}
