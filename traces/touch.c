#include <nestwalk/traces/block.h>

/* What the filter remembers of one class of access. */
struct recent {
    uint64_t page;
    unsigned seen; /* bit (type, user): seen since the class came to `page` */
};

static inline bool is_touch(struct recent *r, uint64_t page, unsigned bit)
{
    if (r->page == page) {
        if (r->seen & bit)
            return false;
        r->seen |= bit;
        return true;
    }
    r->page = page;
    r->seen = bit;
    return true;
}

/* Touches of [first, last): no event inside. `constant` and `crosses` are compile-time values where this is used. */
NW_INLINE uint32_t stretch(const struct nw_block *b, uint32_t first, uint32_t last, struct nw_touch *out, bool constant,
                           bool crosses)
{
    struct recent recent[2] = { { .page = UINT64_MAX }, { .page = UINT64_MAX } };
    uint32_t n = 0;
    for (uint32_t i = first; i < last; i++) {
        uint8_t kind = constant ? b->kind_constant : b->kind[i];
        struct recent *r = &recent[nw_kind_type(kind) == NW_FETCH];
        unsigned bit = 1u << ((kind & 1u) | (kind & NW_KIND_USER ? 2u : 0u));
        uint64_t gva = b->address[i], page = gva >> NW_PAGE_LOG2;
        if (is_touch(r, page, bit))
            out[n++] = (struct nw_touch){ .page = page, .at = i, .kind = kind };
        if (crosses && NW_UNLIKELY(nw_access_crosses(gva, kind))) {
            page = (page + 1) & NW_PAGE_NUMBER_MASK;
            if (is_touch(r, page, bit))
                out[n++] = (struct nw_touch){ .page = page, .at = i, .kind = kind | NW_TOUCH_UPPER };
        }
    }
    return n;
}

uint32_t nw_touches_of(const struct nw_block *b, uint32_t start, struct nw_touch *out)
{
    uint32_t n = 0, e = 0;
    for (uint32_t first = start; first < b->access_count;) {
        while (e < b->event_count && b->event[e].at <= first)
            e++;
        uint32_t last = e < b->event_count && b->event[e].at < b->access_count ? b->event[e].at : b->access_count;
        if (b->kind)
            n += b->crosses_page ? stretch(b, first, last, out + n, false, true)
                                 : stretch(b, first, last, out + n, false, false);
        else
            n += b->crosses_page ? stretch(b, first, last, out + n, true, true)
                                 : stretch(b, first, last, out + n, true, false);
        first = last;
    }
    return n;
}
