/* A block's accesses from its columns. Hot: the replay engine is often waiting for this file. Three stages:
 *
 *   1. stored bytes -> raw columns     checksum, then zstd, fill or nothing
 *   2. page lists -> page numbers      length codes and bytes, one list a class
 *   3. touches, addresses              bitmaps say which access has the next page
 *
 * Nothing here trusts a column. Stage 2 bounds what it reads by the column's end; the bitmaps of stage 3 cannot name more pages
 * than access_count, for which there is always room; the counts in the header are compared with what was found. */
#include "nwt_format.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

struct nwt_decoder {
    ZSTD_DCtx *zstd;
    struct nwt_buffer raw[NWT_COLUMNS]; /* decompressed columns */
    struct nwt_buffer page[NWT_CLASSES], address, kind, touch, event, word, crossing_bits;
};

/* The raw columns of the block being decoded. */
struct columns {
    const struct nwt_block_header *h;
    const struct nwt_place *at;
    const uint8_t *raw[NWT_COLUMNS];
};

enum nw_status nwt_decoder_create(struct nwt_decoder **out, struct nw_error *err)
{
    struct nwt_decoder *d = calloc(1, sizeof *d);
    if (d)
        d->zstd = ZSTD_createDCtx();
    if (!d || !d->zstd) {
        free(d);
        return nw_fail_nomem(err, "a trace block decoder");
    }
    *out = d;
    return NW_OK;
}

void nwt_decoder_destroy(struct nwt_decoder *d)
{
    if (!d)
        return;
    struct nwt_buffer *const own[] = { &d->page[0], &d->page[1], &d->address, &d->kind,
                                       &d->touch,   &d->event,   &d->word,    &d->crossing_bits };
    for (size_t i = 0; i < NW_ARRAY_LEN(own); i++)
        nwt_buffer_free(own[i]);
    for (unsigned i = 0; i < NWT_COLUMNS; i++)
        nwt_buffer_free(&d->raw[i]);
    ZSTD_freeDCtx(d->zstd);
    free(d);
}

/* ---- stage 1: raw columns ---- */

unsigned nwt_columns_wanted(unsigned want)
{
    return want & NW_WANT_ADDRESSES ? NWT_COLUMNS : want & NW_WANT_TOUCHES ? NWT_OFFSET_LOW : NWT_CLASS;
}

static enum nw_status open_column(struct nwt_decoder *d, struct columns *c, enum nwt_column_id id,
                                  const uint8_t *stored, struct nw_error *err)
{
    const struct nwt_column *column = &c->h->column[id];
    enum nwt_encoding encoding = c->h->encoding[id];
    if (column->checksum != nwt_checksum(stored, column->stored_bytes))
        return nwt_fail_at(err, c->at, "column %s: the checksum is wrong", nwt_column_name[id]);
    c->raw[id] = stored;
    if (encoding == NWT_RAW)
        return NW_OK;
    enum nw_status s = nwt_buffer_reserve(&d->raw[id], column->raw_bytes, err);
    if (s)
        return s;
    c->raw[id] = d->raw[id].bytes;
    if (encoding == NWT_FILL) {
        memset(d->raw[id].bytes, stored[0], column->raw_bytes);
        return NW_OK;
    }
    size_t r = ZSTD_decompressDCtx(d->zstd, d->raw[id].bytes, column->raw_bytes, stored, column->stored_bytes);
    if (ZSTD_isError(r) || r != column->raw_bytes)
        return nwt_fail_at(err, c->at, "column %s does not decompress to %" PRIu32 " bytes", nwt_column_name[id],
                           column->raw_bytes);
    return NW_OK;
}

/* Bits behind the last access must be 0: the loops below take whole words. */
static enum nw_status check_bitmap_tail(const struct columns *c, enum nwt_column_id id, struct nw_error *err)
{
    uint32_t n = c->h->access_count, spare = n % 64;
    if (spare && nwt_load64(c->raw[id] + n / 64 * 8) >> spare)
        return nwt_fail_at(err, c->at, "column %s has bits behind the last access", nwt_column_name[id]);
    return NW_OK;
}

/* ---- kinds ---- */

static enum nw_status check_kinds(const struct columns *c, struct nw_error *err)
{
    const struct nwt_block_header *h = c->h;
    const uint8_t *kind = c->raw[NWT_KIND];
    uint32_t data = h->loads + h->stores, stores = 0;
    unsigned not_data = 0, not_fetch = 0;
    for (uint32_t i = 0; i < data; i++) {
        stores += kind[i] & 1u;
        not_data |= kind[i] & 2u;
    }
    for (uint32_t i = data; i < h->access_count; i++)
        not_fetch |= (kind[i] & 3u) ^ NW_FETCH;
    if (not_data || not_fetch || stores != h->stores)
        return nwt_fail_at(err, c->at, "the kinds contradict the counts of fetches, loads and stores");
    return NW_OK;
}

/* block->kind in access order, or kind_constant. */
static enum nw_status set_kinds(struct nwt_decoder *d, const struct columns *c, struct nw_block *b,
                                struct nw_error *err)
{
    const struct nwt_block_header *h = c->h;
    if (!h->access_count)
        return NW_OK;
    enum nw_status s = check_kinds(c, err);
    if (s)
        return s;
    const uint8_t *grouped = c->raw[NWT_KIND];
    if (h->encoding[NWT_KIND] == NWT_FILL) {
        b->kind_constant = grouped[0];
        return NW_OK;
    }
    b->kind = grouped;
    if (!h->column[NWT_CLASS].raw_bytes)
        return NW_OK;
    s = nwt_buffer_reserve(&d->kind, h->access_count, err);
    if (s)
        return s;
    uint32_t cursor[NWT_CLASSES] = { 0, h->access_count - h->fetches };
    for (uint32_t i = 0; i < h->access_count; i += 64) {
        uint64_t class = nwt_load64(c->raw[NWT_CLASS] + i / 8);
        uint32_t end = h->access_count - i < 64 ? h->access_count : i + 64;
        for (uint32_t j = i; j < end; j++, class >>= 1) {
            uint32_t fetch = class & 1, at = fetch ? cursor[1] : cursor[0];
            d->kind.bytes[j] = grouped[at < h->access_count ? at : 0];
            cursor[1] += fetch;
            cursor[0] += 1 - fetch;
        }
    }
    if (cursor[1] != h->access_count)
        return nwt_fail_at(err, c->at, "the class bitmap contradicts the count of fetches");
    b->kind = d->kind.bytes;
    return NW_OK;
}

/* ---- stage 2: page numbers ---- */

static inline uint64_t undo_zigzag(uint64_t z) { return z >> 1 ^ (0 - (z & 1)); }

/* `count` pages to out[0...]. Returns where the list's bytes end, NULL when they end too early. Reads up to 8 bytes past `end`. */
static const uint8_t *decode_pages(const uint8_t *code, uint32_t count, const uint8_t length[4], uint64_t base,
                                   const uint8_t *p, const uint8_t *end, uint64_t *out)
{
    uint64_t mask[4], bytes[4], page = base;
    for (unsigned i = 0; i < 4; i++) {
        bytes[i] = length[i];
        mask[i] = length[i] ? ~UINT64_C(0) >> (64 - 8 * length[i]) : 0;
    }
    uint32_t i = 0;
    /* Four at a time while the longest four would fit: the only branch of this loop. */
    for (; i + 4 <= count && end - p >= 28; i += 4) {
        unsigned codes = code[i / 4], c0 = codes & 3, c1 = codes >> 2 & 3, c2 = codes >> 4 & 3, c3 = codes >> 6;
        const uint8_t *p1 = p + bytes[c0], *p2 = p1 + bytes[c1], *p3 = p2 + bytes[c2];
        uint64_t d0 = undo_zigzag(nwt_load64(p) & mask[c0]), d1 = undo_zigzag(nwt_load64(p1) & mask[c1]),
                 d2 = undo_zigzag(nwt_load64(p2) & mask[c2]), d3 = undo_zigzag(nwt_load64(p3) & mask[c3]);
        uint64_t two = page + d0 + d1;
        out[i] = (page + d0) & NW_PAGE_NUMBER_MASK;
        out[i + 1] = two & NW_PAGE_NUMBER_MASK;
        out[i + 2] = (two + d2) & NW_PAGE_NUMBER_MASK;
        page = two + d2 + d3;
        out[i + 3] = page & NW_PAGE_NUMBER_MASK;
        p = p3 + bytes[c3];
    }
    for (; i < count; i++) {
        unsigned c = code[i / 4] >> i % 4 * 2 & 3;
        if ((uint64_t)(end - p) < bytes[c])
            return NULL;
        page += undo_zigzag(nwt_load64(p) & mask[c]);
        out[i] = page & NW_PAGE_NUMBER_MASK;
        p += bytes[c];
    }
    return p;
}

static enum nw_status set_pages(struct nwt_decoder *d, const struct columns *c, struct nw_error *err)
{
    const struct nwt_block_header *h = c->h;
    const uint8_t *p = c->raw[NWT_PAGE_BYTES], *end = p + h->column[NWT_PAGE_BYTES].raw_bytes,
                  *code = c->raw[NWT_PAGE_LENGTHS];
    for (unsigned k = 0; k < NWT_CLASSES; k++) {
        uint32_t n = h->page_entries[k];
        bool used = k == NWT_FETCH ? h->fetches : h->loads || h->stores;
        if (!used)
            continue;
        enum nw_status s = nwt_buffer_reserve(&d->page[k], (h->access_count + (size_t)1) * sizeof(uint64_t), err);
        if (s)
            return s;
        uint64_t *page = (uint64_t *)(void *)d->page[k].bytes;
        page[0] = 0; /* of accesses before the first page, which a sound block has not */
        p = decode_pages(code, n, h->page_length[k], h->page_base[k], p, end, page + 1);
        if (!p)
            return nwt_fail_at(err, c->at, "the page lists end early");
        code += (n + 3) / 4;
    }
    if (p != end)
        return nwt_fail_at(err, c->at, "the page lists are followed by something else");
    return NW_OK;
}

/* ---- crossings: bit i of the bitmaps = access i crosses a page; and its first page is a touch ---- */

static enum nw_status set_crossings(struct nwt_decoder *d, const struct columns *c, const uint64_t **crossing,
                                    const uint64_t **first_is_touch, struct nw_error *err)
{
    const struct nwt_block_header *h = c->h;
    size_t words = nwt_bitmap_bytes(h->access_count) / sizeof(uint64_t);
    enum nw_status s = nwt_buffer_reserve(&d->crossing_bits, 2 * words * sizeof(uint64_t), err);
    if (s)
        return s;
    uint64_t *bits = (uint64_t *)(void *)d->crossing_bits.bytes;
    memset(bits, 0, 2 * words * sizeof *bits);
    const uint8_t *p = c->raw[NWT_CROSSINGS], *end = p + h->column[NWT_CROSSINGS].raw_bytes;
    uint64_t at = 0;
    for (uint32_t i = 0; i < h->crossings; i++, at++) {
        uint64_t v;
        p = nwt_varint_get(p, end, &v);
        if (!p || v / 2 >= h->access_count - at)
            return nwt_fail_at(err, c->at, "the list of crossings is malformed");
        at += v / 2;
        if (!(nwt_load64(c->raw[NWT_TOUCH] + at / 64 * 8) >> at % 64 & 1))
            return nwt_fail_at(err, c->at, "an access that crosses a page is no touch");
        bits[at / 64] |= UINT64_C(1) << at % 64;
        bits[words + at / 64] |= (v & 1) << at % 64;
    }
    if (p != end)
        return nwt_fail_at(err, c->at, "the list of crossings is followed by something else");
    *crossing = bits;
    *first_is_touch = bits + words;
    return NW_OK;
}

/* ---- stage 3: touches ---- */

static inline void put_touch(struct nw_touch *t, uint64_t page, uint32_t at, uint32_t kind)
{
    *t = (struct nw_touch){ .page = page, .at = at, .kind = kind };
}

/* One class, no crossings: the common case. Returns the count of touches. */
NW_INLINE uint32_t touches_of_one_class(const struct columns *c, const uint64_t *page, const uint8_t *kind,
                                        uint8_t constant, struct nw_touch *out)
{
    uint32_t n = 0;
    for (uint32_t base = 0; base < c->h->access_count; base += 64) {
        uint64_t bits = nwt_load64(c->raw[NWT_TOUCH] + base / 8);
        if (bits == ~UINT64_C(0)) {
            for (uint32_t i = 0; i < 64; i++)
                put_touch(&out[n + i], page[n + i], base + i, kind ? kind[base + i] : constant);
            n += 64;
            continue;
        }
        for (; bits; bits &= bits - 1, n++) {
            uint32_t at = base + (uint32_t)__builtin_ctzll(bits);
            put_touch(&out[n], page[n], at, kind ? kind[at] : constant);
        }
    }
    return n;
}

/* Any block. `used` says how many pages of each class were taken. */
static uint32_t touches_of_any(const struct columns *c, const uint64_t *const page[NWT_CLASSES],
                               const struct nw_block *b, const uint64_t *crossing, const uint64_t *first_is_touch,
                               uint32_t used[NWT_CLASSES], struct nw_touch *out)
{
    bool both = c->h->column[NWT_CLASS].raw_bytes;
    uint64_t only = c->h->fetches ? ~UINT64_C(0) : 0;
    uint32_t n = 0;
    for (uint32_t base = 0; base < c->h->access_count; base += 64) {
        uint64_t bits = nwt_load64(c->raw[NWT_TOUCH] + base / 8),
                 class = both ? nwt_load64(c->raw[NWT_CLASS] + base / 8) : only;
        uint64_t cross = crossing ? crossing[base / 64] : 0, first = crossing ? first_is_touch[base / 64] : 0;
        for (; bits; bits &= bits - 1) {
            unsigned bit = (unsigned)__builtin_ctzll(bits), k = class >> bit & 1;
            uint32_t at = base + bit, kind = nw_block_kind(b, at);
            uint64_t pg = page[k][used[k]++];
            if (NW_LIKELY(!(cross >> bit & 1))) {
                put_touch(&out[n++], pg, at, kind);
                continue;
            }
            if (first >> bit & 1)
                put_touch(&out[n++], pg, at, kind);
            put_touch(&out[n++], (pg + 1) & NW_PAGE_NUMBER_MASK, at, kind | NW_TOUCH_UPPER);
        }
    }
    return n;
}

/* ---- stage 3: addresses ---- */

static inline uint64_t offset_of(const struct columns *c, uint32_t i)
{
    return c->raw[NWT_OFFSET_LOW][i] | (uint64_t)(c->raw[NWT_OFFSET_HIGH][i / 2] >> i % 2 * 4 & 0xf) << 8;
}

/* One class, no crossings. `page` has the page before the first one at index 0. */
static uint32_t addresses_of_one_class(const struct columns *c, const uint64_t *page, uint64_t *out)
{
    uint32_t j = 0, n = c->h->access_count;
    for (uint32_t base = 0; base < n; base += 64) {
        uint64_t bits = nwt_load64(c->raw[NWT_TOUCH] + base / 8);
        uint32_t end = n - base < 64 ? n : base + 64;
        for (uint32_t i = base; i < end; i++, bits >>= 1) {
            j += (uint32_t)(bits & 1);
            out[i] = page[j] << NW_PAGE_LOG2 | offset_of(c, i);
        }
    }
    return j;
}

static void addresses_of_any(const struct columns *c, const uint64_t *const page[NWT_CLASSES], const uint64_t *crossing,
                             uint32_t used[NWT_CLASSES], uint64_t *out)
{
    const struct nwt_block_header *h = c->h;
    bool both = h->column[NWT_CLASS].raw_bytes;
    uint64_t only = h->fetches ? ~UINT64_C(0) : 0, recent[NWT_CLASSES] = { 0 };
    uint32_t n = h->access_count, cursor[NWT_CLASSES] = { 0, n - h->fetches };
    for (uint32_t base = 0; base < n; base += 64) {
        uint64_t bits = nwt_load64(c->raw[NWT_TOUCH] + base / 8),
                 class = both ? nwt_load64(c->raw[NWT_CLASS] + base / 8) : only;
        uint64_t cross = crossing ? crossing[base / 64] : 0;
        uint32_t end = n - base < 64 ? n : base + 64;
        for (uint32_t i = base; i < end; i++, bits >>= 1, class >>= 1, cross >>= 1) {
            unsigned k = class & 1;
            if (bits & 1)
                recent[k] = page[k][used[k]++];
            out[i] = recent[k] << NW_PAGE_LOG2 | offset_of(c, cursor[k]++);
            if (NW_UNLIKELY(cross & 1))
                recent[k] = (recent[k] + 1) & NW_PAGE_NUMBER_MASK;
        }
    }
}

/* ---- the block ---- */

static enum nw_status set_events(struct nwt_decoder *d, const struct columns *c, uint16_t vcpu_count,
                                 struct nw_block *b, struct nw_error *err)
{
    const struct nwt_block_header *h = c->h;
    enum nw_status s = nwt_buffer_reserve(&d->event, h->event_count * sizeof(struct nw_event), err);
    if (!s)
        s = nwt_buffer_reserve(&d->word, h->event_data_words * sizeof(uint64_t), err);
    if (s)
        return s;
    struct nw_event *event = (struct nw_event *)(void *)d->event.bytes;
    s = nwt_events_decode(c->raw[NWT_EVENTS], h->column[NWT_EVENTS].raw_bytes, h->access_count, h->vcpu, vcpu_count,
                          event, h->event_count, (uint64_t *)(void *)d->word.bytes, h->event_data_words, err);
    if (s == NW_ERR_INPUT)
        nw_error_context(err, "%s: block %" PRIu64 " at offset %" PRIu64, c->at->path, c->at->block, c->at->offset);
    b->event = event;
    return s;
}

static enum nw_status wrong_page_count(const struct columns *c, struct nw_error *err)
{
    return nwt_fail_at(err, c->at, "the touch bitmap contradicts the count of pages");
}

/* Of a class: the pages behind the first, which is where its accesses begin; NULL when it has none. */
static const uint64_t *pages_of(const struct nwt_decoder *d, unsigned class)
{
    const uint64_t *page = (const uint64_t *)(const void *)d->page[class].bytes;
    return page ? page + 1 : NULL;
}

static enum nw_status set_touches(struct nwt_decoder *d, const struct columns *c, const uint64_t *crossing,
                                  const uint64_t *first_is_touch, struct nw_block *b, struct nw_error *err)
{
    const struct nwt_block_header *h = c->h;
    enum nw_status s =
        nwt_buffer_reserve(&d->touch, (h->access_count + (size_t)h->crossings) * sizeof(struct nw_touch), err);
    if (s)
        return s;
    struct nw_touch *touch = (struct nw_touch *)(void *)d->touch.bytes;
    const uint64_t *page[NWT_CLASSES];
    for (unsigned k = 0; k < NWT_CLASSES; k++)
        page[k] = pages_of(d, k);
    b->touch = touch;
    if (!crossing && !h->column[NWT_CLASS].raw_bytes) {
        unsigned k = h->fetches ? NWT_FETCH : NWT_DATA;
        b->touch_count = b->kind ? touches_of_one_class(c, page[k], b->kind, 0, touch)
                                 : touches_of_one_class(c, page[k], NULL, b->kind_constant, touch);
        return b->touch_count == h->page_entries[k] ? NW_OK : wrong_page_count(c, err);
    }
    uint32_t used[NWT_CLASSES] = { 0 };
    b->touch_count = touches_of_any(c, page, b, crossing, first_is_touch, used, touch);
    return used[0] == h->page_entries[0] && used[1] == h->page_entries[1] ? NW_OK : wrong_page_count(c, err);
}

static enum nw_status set_addresses(struct nwt_decoder *d, const struct columns *c, const uint64_t *crossing,
                                    struct nw_block *b, struct nw_error *err)
{
    const struct nwt_block_header *h = c->h;
    enum nw_status s = nwt_buffer_reserve(&d->address, h->access_count * sizeof(uint64_t), err);
    if (s)
        return s;
    uint64_t *address = (uint64_t *)(void *)d->address.bytes;
    b->address = address;
    if (!crossing && !h->column[NWT_CLASS].raw_bytes) {
        unsigned k = h->fetches ? NWT_FETCH : NWT_DATA;
        uint32_t used = addresses_of_one_class(c, (const uint64_t *)(const void *)d->page[k].bytes, address);
        return used == h->page_entries[k] ? NW_OK : wrong_page_count(c, err);
    }
    const uint64_t *page[NWT_CLASSES];
    for (unsigned k = 0; k < NWT_CLASSES; k++)
        page[k] = pages_of(d, k);
    uint32_t used[NWT_CLASSES] = { 0 };
    addresses_of_any(c, page, crossing, used, address);
    return used[0] == h->page_entries[0] && used[1] == h->page_entries[1] ? NW_OK : wrong_page_count(c, err);
}

enum nw_status nwt_decode(struct nwt_decoder *d, const struct nwt_block_header *h, const uint8_t *columns,
                          unsigned want, uint16_t vcpu_count, const struct nwt_place *at, struct nw_block *block,
                          struct nw_error *err)
{
    *block = (struct nw_block){
        .first_access = h->first_access,
        .access_count = h->access_count,
        .event_count = h->event_count,
        .vcpu = h->vcpu,
        .crosses_page = h->crossings,
        .fetches = h->fetches,
        .loads = h->loads,
        .stores = h->stores,
    };
    struct columns c = { .h = h, .at = at };
    enum nw_status s = NW_OK;
    unsigned wanted = nwt_columns_wanted(want);
    for (unsigned id = 0; !s && id < wanted; columns += h->column[id].stored_bytes, id++)
        s = open_column(d, &c, id, columns, err);
    if (!s && h->event_count)
        s = set_events(d, &c, vcpu_count, block, err);
    if (s || wanted <= NWT_TOUCH || !h->access_count)
        return s;

    const uint64_t *crossing = NULL, *first_is_touch = NULL;
    s = check_bitmap_tail(&c, NWT_TOUCH, err);
    if (!s && h->column[NWT_CLASS].raw_bytes)
        s = check_bitmap_tail(&c, NWT_CLASS, err);
    if (!s)
        s = set_kinds(d, &c, block, err);
    if (!s)
        s = set_pages(d, &c, err);
    if (!s && h->crossings)
        s = set_crossings(d, &c, &crossing, &first_is_touch, err);
    if (!s && (want & NW_WANT_TOUCHES))
        s = set_touches(d, &c, crossing, first_is_touch, block, err);
    if (!s && (want & NW_WANT_ADDRESSES))
        s = set_addresses(d, &c, crossing, block, err);
    return s;
}
