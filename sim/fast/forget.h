/* forget.h - the fast engine: which pages are prepared, and what invalidations reach. See kernel.c. */
#ifndef NW_SIM_FORGET_H
#define NW_SIM_FORGET_H

#include "../pager.h"
#include "narrow_tlb.h"
#include "stage_walk.h"

/* ---- what is prepared ---- */

static NW_NOINLINE enum nw_status find_region(struct kernel *k, uint64_t key, struct nw_error *err)
{
    if (k->region_used * 2 >= k->region_capacity) {
        size_t capacity = k->region_capacity ? k->region_capacity * 2 : 64;
        struct prepared_region **bigger = calloc(capacity, sizeof(*bigger));
        if (!bigger)
            return nw_fail_nomem(err, "the table of prepared pages");
        for (size_t i = 0; i < k->region_capacity; i++) {
            if (!k->region[i])
                continue;
            size_t at = nw_mix64(k->region[i]->key) & (capacity - 1);
            while (bigger[at])
                at = (at + 1) & (capacity - 1);
            bigger[at] = k->region[i];
        }
        free(k->region);
        k->region = bigger;
        k->region_capacity = capacity;
    }
    size_t at = nw_mix64(key) & (k->region_capacity - 1);
    while (k->region[at] && k->region[at]->key != key)
        at = (at + 1) & (k->region_capacity - 1);
    if (!k->region[at]) {
        if (!(k->region[at] = calloc(1, sizeof *k->region[at])))
            return nw_fail_nomem(err, "the table of prepared pages");
        k->region[at]->key = key;
        k->region_used++;
    }
    k->last_region = k->lately[key % REGIONS_LATELY] = k->region[at];
    return NW_OK;
}

/* The page's region, or NULL when it was not asked for lately. */
NW_INLINE struct prepared_region *region_known(const struct kernel *k, uint64_t page)
{
    uint64_t key = page >> REGION_LOG2;
    struct prepared_region *region = k->lately[key % REGIONS_LATELY];
    return NW_LIKELY(region && region->key == key) ? region : NULL;
}

NW_INLINE bool region_bit(const uint64_t *bit, uint64_t page)
{
    return bit[page >> 6 & (REGION_WORDS - 1)] >> (page & 63) & 1;
}
NW_INLINE void region_set(uint64_t *bit, uint64_t page)
{
    bit[page >> 6 & (REGION_WORDS - 1)] |= UINT64_C(1) << (page & 63);
}

/* What stands for all pages of a translation in `regular` and `dirty`. */
NW_INLINE uint64_t regular_page(const struct kernel *k, uint64_t page)
{
    return page_of_class(page, k->regular.size) << 9 * k->regular.size;
}

static NW_NOINLINE void forget(struct kernel *k);

NW_INLINE enum nw_status prepare(struct kernel *k, uint64_t page, uint64_t gva, uint8_t kind, struct nw_error *err)
{
    enum nw_status s;
    if (k->m->pager->fills_on_fault && NW_LIKELY(!k->m->pager->prepare))
        return NW_OK;
    if (!k->m->traced && !k->m->pager->fills_on_fault) {
        uint64_t key = page >> REGION_LOG2;
        if (NW_UNLIKELY(!k->last_region || k->last_region->key != key) && (s = find_region(k, key, err)))
            return s;
        uint64_t *bits = &k->last_region->bit[page >> 6 & (REGION_WORDS - 1)], bit = UINT64_C(1) << (page & 63);
        if (NW_LIKELY(*bits & bit))
            return NW_OK;
        if (!k->c->guest.demand_faults) /* else the page is not there yet, and must be asked for again */
            *bits |= bit;
    }
    s = machine_prepare(k->m, nw_gva(gva), kind, err);
    if (k->m->pending_count)
        forget(k);
    return s;
}

/* ---- invalidation: rare, so a plain scan ---- */

static bool reached(const struct invalidation *v, uint64_t word)
{
    uint64_t space = word_space(word);
    unsigned log2 = size_log2[word_size(word)];
    uint64_t first = nw_sign_extend(word >> WORD_PAGE_SHIFT << log2, 57), last = first + ((UINT64_C(1) << log2) - 1);
    if (v->in_range && (v->end - 1 < first || v->address > last))
        return false;
    return space == GLOBAL_SPACE ? v->global : v->every_space || space == v->pcid;
}

static void forget_in_set(struct kernel *k, struct packed_tlb *t, uint64_t *set, const struct invalidation *v)
{
    for (unsigned at = t->ways; at-- > 0;) { /* from the end, so that closing up moves only what was seen */
        uint64_t word = set[at];
        if (word == PACKED_EMPTY || !reached(v, word))
            continue;
        t->invalidated++;
        k->irregular = true;
        tlb_gone(t, word);
        if (t->lru)
            packed_close(set, t->ways, at);
        else
            set[at] = PACKED_EMPTY;
    }
}

static void forget_in_tlbs(struct kernel *k, const struct invalidation *v)
{
    for (size_t i = 0; i < k->c->tlb_count; i++) {
        struct packed_tlb *t = &k->tlb[i];
        if (v->in_range && v->end - v->address <= NW_PAGE_BYTES) { /* a page can be in one set for each size */
            uint64_t page = v->address >> NW_PAGE_LOG2;
            for (unsigned left = t->present; left; left &= left - 1)
                forget_in_set(k, t, tlb_set(t, page, (unsigned)__builtin_ctz(left)), v);
            continue;
        }
        for (uint64_t *set = t->word, *end = t->word + t->sets.divisor * t->lanes; t->present && set < end;
             set += t->lanes)
            forget_in_set(k, t, set, v);
    }
}

/* Drops the entries whose tags equal `tag` in the bits of `mask`, keeping the order of the rest. */
static void forget_in_assoc(struct packed_assoc *a, uint64_t mask, uint64_t tag)
{
    for (unsigned place = 0; a->ring && place < a->entries; place++)
        if (a->ring->tag[place] != RING_EMPTY && !((a->ring->tag[place] ^ tag) & mask))
            ring_remove(a->ring, place);
    if (a->ring || !a->entries)
        return;
    for (uint64_t *order = a->order, *end = order + a->sets.divisor * a->lanes; order < end; order += a->lanes)
        for (unsigned at = a->ways; at-- > 0;) {
            uint64_t word = order[at], has = word >> SLOT_BITS, empty = TAG_EMPTY << SLOT_BITS | (word & SLOT_MASK);
            if (order_is_empty(word) || ((has ^ tag) & mask))
                continue;
            if (a->lru) {
                memmove(order + at, order + at + 1, (a->ways - 1 - at) * sizeof *order);
                order[a->ways - 1] = empty;
            } else {
                order[at] = empty;
            }
        }
}

/* A range that moved to other frames (policy thp) is to be prepared anew. */
static void unprepare(struct kernel *k, const struct invalidation *v)
{
    const uint64_t first = v->address >> NW_PAGE_LOG2, last = (v->end - 1) >> NW_PAGE_LOG2;
    if (!v->in_range || !v->every_space)
        return;
    for (size_t i = 0; i < k->region_capacity; i++) {
        struct prepared_region *region = k->region[i];
        if (!region || region->key < first >> REGION_LOG2 || region->key > last >> REGION_LOG2)
            continue;
        uint64_t start = region->key << REGION_LOG2, end = start + (UINT64_C(1) << REGION_LOG2) - 1;
        for (uint64_t page = first > start ? first : start; page <= (last < end ? last : end); page++)
            region->bit[page >> 6 & (REGION_WORDS - 1)] &= ~(UINT64_C(1) << (page & 63));
    }
}

static NW_NOINLINE void forget(struct kernel *k)
{
    if (k->alike.narrow)
        make_wide(k);
    for (unsigned i = 0; i < k->m->pending_count; i++) {
        const struct invalidation *v = &k->m->pending[i];
        const uint64_t mask = (v->every_space ? 0 : PSC_TAG_SPACE) | (v->structures_of_address ? ~PSC_TAG_SPACE : 0);
        forget_in_tlbs(k, v);
        unprepare(k, v);
        for (unsigned level = 0; level < NW_PSC_LEVELS; level++) {
            forget_in_assoc(&k->psc_guest[level], mask, psc_piece(level, v->address) << PSC_TAG_SHIFT | v->pcid);
            if (v->guest_physical || v->guest_physical_of_gpa)
                forget_in_assoc(&k->psc_nested[level], v->guest_physical ? 0 : UINT64_MAX, psc_piece(level, v->gpa));
        }
        if (v->guest_physical)
            forget_in_assoc(&k->nested_tlb, 0, 0);
        for (unsigned size = 0; v->guest_physical_of_gpa && size < NW_ARRAY_LEN(size_log2); size++)
            forget_in_assoc(&k->nested_tlb, UINT64_MAX, nested_tag(v->gpa, size));
    }
    k->m->pending_count = 0;
}

static NW_NOINLINE void drop_page(struct kernel *k, uint64_t page)
{
    struct invalidation v = forget_page(page << NW_PAGE_LOG2, (uint16_t)k->space);
    forget_in_tlbs(k, &v);
    k->irregular = true;
}

#endif
