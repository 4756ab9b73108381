/* A block's columns from its accesses. The page lists are made with the touch filter itself, so that a reader gets touches
 * without looking at a single address. */
#include "nwt_format.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

/* Level 3 compresses an incompressible column at several hundred MB/s, and what it makes decodes as fast as any level's. */
enum { ZSTD_LEVEL = 3, ACCESSES = NW_BLOCK_ACCESSES_MAX, LENGTHS = 8 };

struct nwt_encoder {
    ZSTD_CCtx *zstd;
    struct nwt_buffer out;    /* the encoded block */
    struct nwt_buffer events; /* grows with what comes */
    size_t out_used;
    uint64_t class_bits[ACCESSES / 64], touch_bits[ACCESSES / 64];
    uint64_t delta[NWT_CLASSES][ACCESSES]; /* zigzag page differences, one an entry */
    uint8_t page_lengths[ACCESSES / 4 + NWT_CLASSES];
    uint8_t page_bytes[ACCESSES * 7 + 8];
    uint8_t crossings[ACCESSES * 3];
    uint8_t kind[ACCESSES], offset_low[ACCESSES], offset_high[ACCESSES / 2];
};

enum nw_status nwt_encoder_create(struct nwt_encoder **out, struct nw_error *err)
{
    struct nwt_encoder *e = calloc(1, sizeof *e);
    if (e)
        e->zstd = ZSTD_createCCtx();
    if (!e || !e->zstd) {
        nwt_encoder_destroy(e);
        return nw_fail_nomem(err, "a trace block encoder");
    }
    *out = e;
    return NW_OK;
}

void nwt_encoder_destroy(struct nwt_encoder *e)
{
    if (!e)
        return;
    ZSTD_freeCCtx(e->zstd);
    nwt_buffer_free(&e->out);
    nwt_buffer_free(&e->events);
    free(e);
}

/* ---- pass over the accesses ---- */

struct pass {
    struct recent {
        uint64_t page;
        unsigned seen;
    } recent[NWT_CLASSES];                                     /* the touch filter: see block.h */
    uint64_t first_page[NWT_CLASSES], entry_page[NWT_CLASSES]; /* of the first and of the latest entry */
    uint32_t entries[NWT_CLASSES], cursor[NWT_CLASSES];
    uint32_t types[3], crossings;
    uint32_t next_crossing; /* the first access that could be the next crossing */
    uint8_t *crossing_end;
};

static bool filter(struct recent *r, uint64_t page, unsigned bit)
{
    if (r->page == page) {
        bool fresh = !(r->seen & bit);
        r->seen |= bit;
        return fresh;
    }
    r->page = page;
    r->seen = bit;
    return true;
}

static void filter_afresh(struct pass *p)
{
    for (unsigned c = 0; c < NWT_CLASSES; c++)
        p->recent[c] = (struct recent){ .page = UINT64_MAX };
}

/* The difference modulo 2^52 as a signed number, its sign moved to bit 0. */
static uint64_t page_delta(uint64_t page, uint64_t before)
{
    uint64_t d = (uint64_t)((int64_t)((page - before) << 12) >> 12);
    return d << 1 ^ (uint64_t)((int64_t)d >> 63);
}

static void take(struct nwt_encoder *e, struct pass *p, const struct nw_block *b, uint32_t i)
{
    uint8_t kind = nw_block_kind(b, i);
    enum nw_access_type type = nw_kind_type(kind);
    unsigned c = type == NW_FETCH ? NWT_FETCH : NWT_DATA, bit = 1u << ((kind & 1u) | (kind & NW_KIND_USER ? 2u : 0u));
    uint64_t gva = b->address[i], page = gva >> NW_PAGE_LOG2;
    bool touch = filter(&p->recent[c], page, bit);
    p->types[type]++;

    if (NW_UNLIKELY(nw_access_crosses(gva, kind))) {
        p->crossing_end = nwt_varint_put(p->crossing_end, (uint64_t)(i - p->next_crossing) * 2 + touch);
        p->next_crossing = i + 1;
        p->crossings++;
        filter(&p->recent[c], (page + 1) & NW_PAGE_NUMBER_MASK, bit);
        touch = true;
    }
    if (touch) {
        if (NW_UNLIKELY(!p->entries[c]))
            p->first_page[c] = p->entry_page[c] = page;
        e->delta[c][p->entries[c]++] = page_delta(page, p->entry_page[c]);
        p->entry_page[c] = page;
    }
    e->class_bits[i / 64] |= (uint64_t)c << i % 64;
    e->touch_bits[i / 64] |= (uint64_t)touch << i % 64;

    uint32_t at = p->cursor[c]++;
    e->kind[at] = kind;
    e->offset_low[at] = (uint8_t)gva;
    e->offset_high[at / 2] |= (uint8_t)((gva >> 8 & 0xf) << at % 2 * 4);
}

static uint32_t count_fetches(const struct nw_block *b)
{
    if (!b->kind)
        return nw_kind_type(b->kind_constant) == NW_FETCH ? b->access_count : 0;
    uint32_t n = 0;
    for (uint32_t i = 0; i < b->access_count; i++)
        n += nw_kind_type(b->kind[i]) == NW_FETCH;
    return n;
}

static void pass_over_accesses(struct nwt_encoder *e, struct pass *p, const struct nw_block *b)
{
    size_t bitmap = nwt_bitmap_bytes(b->access_count);
    memset(e->class_bits, 0, bitmap);
    memset(e->touch_bits, 0, bitmap);
    memset(e->offset_high, 0, (b->access_count + 1) / 2);
    *p = (struct pass){ .cursor = { [NWT_FETCH] = b->access_count - count_fetches(b) }, .crossing_end = e->crossings };

    uint32_t next_event = 0;
    for (uint32_t i = 0; i < b->access_count;) {
        filter_afresh(p);
        while (next_event < b->event_count && b->event[next_event].at <= i)
            next_event++;
        uint32_t end = next_event < b->event_count ? b->event[next_event].at : b->access_count;
        for (; i < end; i++)
            take(e, p, b, i);
    }
}

/* ---- page lists ---- */

static unsigned length_of(uint64_t v) { return v ? (71u - (unsigned)__builtin_clzll(v)) / 8 : 0; }

static uint64_t cost(const uint32_t histogram[LENGTHS], const uint8_t length[4])
{
    uint64_t bytes = 0;
    for (unsigned l = 0, code = 0; l <= length[3]; l++) {
        while (l > length[code])
            code++;
        bytes += (uint64_t)histogram[l] * length[code];
    }
    return bytes;
}

/* The four lengths, ascending, that store these differences in the fewest bytes. The last one is the longest that occurs. */
static void choose_lengths(const uint32_t histogram[LENGTHS], uint8_t best[4])
{
    uint8_t longest = LENGTHS - 1;
    while (longest && !histogram[longest])
        longest--;
    uint64_t best_cost = UINT64_MAX;
    for (uint8_t a = 0; a <= longest; a++)
        for (uint8_t b = a; b <= longest; b++)
            for (uint8_t c = b; c <= longest; c++) {
                uint8_t length[4] = { a, b, c, longest };
                uint64_t now = cost(histogram, length);
                if (now < best_cost) {
                    best_cost = now;
                    memcpy(best, length, sizeof length);
                }
            }
}

static uint8_t *put_page_list(const uint64_t *delta, uint32_t count, uint8_t length[4], uint8_t *codes, uint8_t *bytes)
{
    uint32_t histogram[LENGTHS] = { 0 };
    for (uint32_t i = 0; i < count; i++)
        histogram[length_of(delta[i])]++;
    choose_lengths(histogram, length);
    uint8_t code_of[LENGTHS] = { 0 };
    for (uint8_t l = 0, code = 0; l <= length[3]; l++) {
        while (l > length[code])
            code++;
        code_of[l] = code;
    }
    memset(codes, 0, (count + 3) / 4);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t code = code_of[length_of(delta[i])];
        codes[i / 4] |= (uint8_t)(code << i % 4 * 2);
        nwt_store64(bytes, delta[i]);
        bytes += length[code];
    }
    return bytes;
}

/* ---- columns ---- */

static bool all_equal(const uint8_t *p, size_t n) { return n && !memcmp(p, p + 1, n - 1); }

static enum nw_status put_column(struct nwt_encoder *e, struct nwt_block_header *h, enum nwt_column_id id,
                                 const void *raw, size_t bytes, struct nw_error *err)
{
    enum nw_status s = nwt_buffer_reserve(&e->out, e->out_used + ZSTD_compressBound(bytes), err);
    if (s)
        return s;
    uint8_t *to = e->out.bytes + e->out_used;
    size_t stored = bytes;
    enum nwt_encoding encoding = NWT_RAW;
    if (all_equal(raw, bytes)) {
        encoding = NWT_FILL;
        stored = 1;
        *to = *(const uint8_t *)raw;
    } else if (bytes) {
        size_t r = ZSTD_compressCCtx(e->zstd, to, ZSTD_compressBound(bytes), raw, bytes, ZSTD_LEVEL);
        if (ZSTD_isError(r))
            return nw_fail(err, NW_ERR_NOMEM, "zstd: %s", ZSTD_getErrorName(r));
        if (r < bytes - bytes / 4) { /* a smaller gain is not worth the time to decode it */
            encoding = NWT_ZSTD;
            stored = r;
        } else {
            memcpy(to, raw, bytes);
        }
    }
    h->encoding[id] = (uint8_t)encoding;
    h->column[id] = (struct nwt_column){ (uint32_t)bytes, (uint32_t)stored, nwt_checksum(to, stored) };
    e->out_used += stored;
    return NW_OK;
}

enum nw_status nwt_encode(struct nwt_encoder *e, const struct nw_block *b, uint64_t ordinal, const uint8_t **out,
                          struct nw_error *err)
{
    struct nwt_block_header h = {
        .magic = NWT_BLOCK_MAGIC,
        .ordinal = ordinal,
        .first_access = b->first_access,
        .access_count = b->access_count,
        .event_count = b->event_count,
        .vcpu = b->vcpu,
    };
    struct pass p;
    pass_over_accesses(e, &p, b);
    h.loads = p.types[NW_LOAD];
    h.stores = p.types[NW_STORE];
    h.fetches = p.types[NW_FETCH];
    h.crossings = p.crossings;
    for (uint32_t i = 0; i < b->event_count; i++)
        h.event_data_words += b->event[i].data_words;

    uint8_t *codes = e->page_lengths, *bytes = e->page_bytes;
    for (unsigned c = 0; c < NWT_CLASSES; c++) {
        h.page_entries[c] = p.entries[c];
        h.page_base[c] = p.first_page[c];
        bytes = put_page_list(e->delta[c], p.entries[c], h.page_length[c], codes, bytes);
        codes += (p.entries[c] + 3) / 4;
    }
    size_t event_bytes = 0;
    enum nw_status s = nwt_events_encode(b->event, b->event_count, b->vcpu, &e->events, &event_bytes, err);
    if (s)
        return s;

    bool both = h.fetches && h.fetches != b->access_count;
    size_t bitmap = nwt_bitmap_bytes(b->access_count), n = b->access_count;
    const struct {
        const void *raw;
        size_t bytes;
    } column[NWT_COLUMNS] = {
        [NWT_EVENTS] = { e->events.bytes, event_bytes },
        [NWT_CLASS] = { e->class_bits, both ? bitmap : 0 },
        [NWT_TOUCH] = { e->touch_bits, bitmap },
        [NWT_CROSSINGS] = { e->crossings, (size_t)(p.crossing_end - e->crossings) },
        [NWT_PAGE_LENGTHS] = { e->page_lengths, (size_t)(codes - e->page_lengths) },
        [NWT_PAGE_BYTES] = { e->page_bytes, (size_t)(bytes - e->page_bytes) },
        [NWT_KIND] = { e->kind, n },
        [NWT_OFFSET_LOW] = { e->offset_low, n },
        [NWT_OFFSET_HIGH] = { e->offset_high, (n + 1) / 2 },
    };
    s = nwt_buffer_reserve(&e->out, sizeof h, err);
    e->out_used = sizeof h;
    for (unsigned id = 0; !s && id < NWT_COLUMNS; id++)
        s = put_column(e, &h, id, column[id].raw, column[id].bytes, err);
    if (s)
        return s;
    h.block_bytes = (uint32_t)e->out_used;
    h.checksum = nwt_checksum(&h, offsetof(struct nwt_block_header, checksum));
    memcpy(e->out.bytes, &h, sizeof h);
    *out = e->out.bytes;
    return NW_OK;
}
