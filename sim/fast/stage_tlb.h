/* stage_tlb.h - stage 2 of the fast engine: the TLBs, and the flat machines that need nothing more. See kernel.c. */
#ifndef NW_SIM_STAGE_TLB_H
#define NW_SIM_STAGE_TLB_H

#include "forget.h"
#include "narrow_tlb.h"

/* ---- stage 2: the TLBs ---- */

struct translation {
    unsigned size;
    uint64_t rights, space;
};

NW_INLINE void fill(struct kernel *k, unsigned class, unsigned level, uint64_t page, const struct translation *t)
{
    const struct kernel_home *home = &k->home[class][level][t->size];
    tlb_insert(home->array, page, t->space, home->size, t->rights);
}

NW_INLINE void count_misses(struct kernel *k, unsigned class, unsigned levels, unsigned size)
{
    for (unsigned l = 0; l < levels; l++)
        k->home[class][l][size].array->misses++;
}

/* On a regular machine words have no D. */
static NW_NOINLINE bool is_dirty(struct kernel *k, uint64_t page)
{
    uint64_t first = regular_page(k, page);
    struct nw_error err;
    const struct prepared_region *region = region_known(k, first);
    if (!region && !find_region(k, first >> REGION_LOG2, &err))
        region = k->last_region;
    return region && region_bit(region->dirty, first);
}

/* The page was walked: it is regular from now on (stage_regular.h). */
static NW_NOINLINE enum nw_status note_regular(struct kernel *k, uint64_t page, uint64_t *rights, struct nw_error *err)
{
    uint64_t first = regular_page(k, page);
    enum nw_status s = find_region(k, first >> REGION_LOG2, err);
    if (s)
        return s;
    if (*rights & RIGHT_D)
        region_set(k->last_region->dirty, first);
    *rights &= ~(uint64_t)RIGHT_D;
    if (k->regular.rights == REGULAR_RIGHTS_UNKNOWN)
        k->regular.rights = *rights;
    if (k->regular.rights == *rights)
        region_set(k->last_region->regular, first);
    return NW_OK;
}

enum lookup { LOOKUP_MISS, LOOKUP_HIT, LOOKUP_NEEDS_DIRTY };

NW_INLINE enum lookup look_up(struct kernel *k, unsigned class, uint64_t page, uint8_t kind)
{
    struct rights_rule rule = k->m->rule[rule_index(kind)];
    for (unsigned level = 0; level < k->p->levels; level++)
        for (unsigned i = 0; i < k->looks[class][level].count; i++) {
            struct packed_tlb *array = k->looks[class][level].array[i];
            struct tlb_place place = tlb_peek(array, page, k->space);
            if (!place.set)
                continue;
            uint64_t word = tlb_use(array, place), rights = word & WORD_RIGHTS, lacks = rule.need & ~rights;
            if (lacks == RIGHT_D && k->regular.possible && is_dirty(k, page))
                lacks = 0;
            if (NW_UNLIKELY((lacks & ~(uint64_t)RIGHT_D) || (rule.forbid & rights))) {
                drop_page(k, page);
                break;
            }
            array->hits++;
            if (level) {
                struct translation t = { word_size(word), rights, word_space(word) };
                count_misses(k, class, level, t.size);
                for (unsigned l = level; l-- > 0;)
                    fill(k, class, l, page, &t);
            }
            return NW_LIKELY(!lacks) ? LOOKUP_HIT : LOOKUP_NEEDS_DIRTY;
        }
    return LOOKUP_MISS;
}

static void set_dirty(struct kernel *k, uint64_t page)
{
    if (k->regular.possible)
        return; /* note_regular() has it */
    for (size_t i = 0; i < k->c->tlb_count; i++) {
        struct tlb_place place = tlb_peek(&k->tlb[i], page, k->space);
        if (place.set)
            place.set[place.at] |= RIGHT_D;
    }
}

NW_INLINE bool canonical(const struct kernel *k, uint64_t page)
{
    return machine_canonical(k->m, page << NW_PAGE_LOG2);
}

/* Rule 5. */
static NW_NOINLINE void prefetch_next(struct kernel *k, unsigned class, uint64_t page, uint8_t kind, unsigned size)
{
    struct nw_walk_result w;
    unsigned last = k->p->levels - 1;
    uint64_t next = ((page_of_class(page, size) + 1) << (9 * size)) & NW_PAGE_NUMBER_MASK;
    if (!canonical(k, next) || tlb_peek(k->home[class][last][size].array, next, k->space).set)
        return;
    walk(k, next << NW_PAGE_LOG2, prefetch_kind(kind), WALK_PREFETCH, &w);
    if (w.outcome != NW_WALK_OK)
        return;
    struct translation t = { size_class(w.page_log2), rights_of(w.rights),
                             w.rights & NW_RIGHT_GLOBAL ? GLOBAL_SPACE : k->space };
    note_if_splintered(k->p, class, next << NW_PAGE_LOG2, &w);
    fill(k, class, last, next, &t);
    k->r->prefetch.fills++;
}

static NW_NOINLINE enum nw_status miss(struct kernel *k, unsigned class, uint64_t page, uint8_t kind, enum lookup found,
                                       struct nw_error *err)
{
    uint64_t gva = page << NW_PAGE_LOG2;
    enum nw_status s;
    for (unsigned attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
        struct nw_walk_result w;
        if ((s = prepare(k, page, gva, kind, err)))
            return s;
        walk(k, gva, kind, found == LOOKUP_NEEDS_DIRTY ? WALK_ASSIST : WALK_MISS, &w);
        if (NW_LIKELY(w.outcome == NW_WALK_OK)) {
            uint64_t rights = rights_of(w.rights);
            if (k->regular.possible && (s = note_regular(k, page, &rights, err)))
                return s;
            if (found == LOOKUP_NEEDS_DIRTY) {
                set_dirty(k, page);
                return NW_OK;
            }
            struct translation t = { size_class(w.page_log2), rights,
                                     w.rights & NW_RIGHT_GLOBAL ? GLOBAL_SPACE : k->space };
            note_if_splintered(k->p, class, gva, &w);
            count_misses(k, class, k->p->levels, t.size);
            for (unsigned l = k->p->levels; l-- > 0;)
                fill(k, class, l, page, &t);
            if (NW_UNLIKELY(k->c->walker.prefetch == NW_PREFETCH_NEXT_PAGE))
                prefetch_next(k, class, page, kind, t.size);
            return NW_OK;
        }
        if (found == LOOKUP_NEEDS_DIRTY)
            drop_page(k, page);
        else
            count_misses(k, class, k->p->levels, 0);
        enum fault_action action;
        if ((s = machine_fault(k->m, nw_gva(gva), kind, &w, &action, err)))
            return s;
        if (k->m->pending_count)
            forget(k);
        if (action == FAULT_GIVE_UP) {
            k->irregular = true; /* the next access to the page, dropped by the filter, would fault as well */
            return NW_OK;
        }
        if ((found = look_up(k, class, page, kind)) == LOOKUP_HIT)
            return NW_OK;
    }
    return nw_fail(err, NW_ERR_INTERNAL, "access to 0x%" PRIx64 " faults for ever", gva);
}

NW_INLINE enum nw_status touch(struct kernel *k, uint64_t page, uint8_t kind, struct nw_error *err)
{
    unsigned class = nw_kind_type(kind) == NW_FETCH;
    if (NW_UNLIKELY(!canonical(k, page))) {
        k->irregular = true; /* what the filter dropped behind it is no hit */
        k->r->faults.noncanonical++;
        return NW_OK;
    }
    enum lookup found = look_up(k, class, page, kind);
    return NW_LIKELY(found == LOOKUP_HIT) ? NW_OK : miss(k, class, page, kind, found, err);
}

/* ---- flat machines ---- */

static enum nw_status touch_flat(struct kernel *k, uint64_t page, uint8_t kind)
{
    struct replay *p = k->p;
    unsigned class = nw_kind_type(kind) == NW_FETCH;
    if (!canonical(k, page)) {
        k->irregular = true;
        k->r->faults.noncanonical++;
        return NW_OK;
    }
    if (look_up(k, class, page, kind) != LOOKUP_MISS)
        return NW_OK;
    struct translation t = { size_class(p->flat.page_log2), RIGHT_ALL, k->space };
    count_misses(k, class, p->levels, t.size);
    p->r->walks.references_guest += p->flat.references_guest;
    p->r->walks.references_nested += p->flat.references_nested;
    p->r->walks.references += p->flat.references_guest + p->flat.references_nested;
    book_walk(p->r, p->flat_cycles);
    for (unsigned l = p->levels; l-- > 0;)
        fill(k, class, l, page, &t);
    return NW_OK;
}

/* Two LRU levels with one array each, data only, one page size: the shape of the common what-if. Looking up and filling are one movement, and
 * the numbers of a stretch are counted at its end. */
static bool flat_two_levels(const struct kernel *k, const struct nw_block *b)
{
    const struct packed_tlb *l1 = k->looks[0][0].array[0], *l2 = k->looks[0][1].array[0];
    return k->m->flat && k->p->levels == 2 && !b->fetches && k->looks[0][0].count == 1 && k->looks[0][1].count == 1 &&
           l1->lru && l2->lru && k->p->flat.page_log2 == NW_PAGE_LOG2;
}

static void book_flat(struct kernel *k, uint64_t misses)
{
    const struct replay *p = k->p;
    k->r->walks.references_guest += misses * p->flat.references_guest;
    k->r->walks.references_nested += misses * p->flat.references_nested;
    k->r->walks.references += misses * (p->flat.references_guest + p->flat.references_nested);
    k->r->walks.count += misses;
    k->r->walks.cycles += misses * p->flat_cycles;
    k->r->walks.histogram[histogram_bucket(p->flat_cycles)] += misses;
}

/* Those of `count` touches that come before one which does not fit. */
static uint32_t take_flat_narrow(struct kernel *k, const struct nw_touch *touch, uint32_t count)
{
    const unsigned bits = k->m->guest.input_bits - NW_PAGE_LOG2 - 1;
    uint64_t misses = 0;
    uint32_t done = 0;
    while (done < count) {
        const uint32_t some = count - done < FLAT_BATCH ? count - done : FLAT_BATCH;
        uint64_t pages = 0;
        for (uint32_t i = 0; i < some; i++)
            pages |= touch[done + i].page;
        if (pages >> bits || !narrow_for(k, pages, some, k->space, 0, RIGHT_ALL))
            break;
        misses += narrow_look_up(k, touch + done, some, k->missed);
        done += some;
    }
    book_flat(k, misses);
    return done;
}

/* Stops at the first touch that is not canonical; returns how many were taken. */
static uint32_t take_flat_two_levels(struct kernel *k, const struct nw_touch *touch, uint32_t count)
{
    struct packed_tlb *l1 = k->looks[0][0].array[0], *l2 = k->looks[0][1].array[0];
    const unsigned bits = k->m->guest.input_bits, lanes1 = l1->lanes, lanes2 = l2->lanes, ways1 = l1->ways,
                   ways2 = l2->ways;
    const struct packed_modulus sets1 = l1->sets, sets2 = l2->sets;
    uint64_t hits1 = 0, hits2 = 0, misses = 0, out1 = 0, out2 = 0, *const words1 = l1->word, *const words2 = l2->word;
    const uint64_t space = k->space;
    uint32_t i = take_flat_narrow(k, touch, count);
    if (i < count && k->alike.narrow)
        make_wide(k);
    for (; i < count; i++) {
        uint64_t page = touch[i].page, evicted;
        if (NW_UNLIKELY(nw_sign_extend(page << NW_PAGE_LOG2, bits) != page << NW_PAGE_LOG2))
            break;
        uint64_t word = tlb_word(page, space, 0, RIGHT_ALL);
        if (packed_touch(words1 + packed_mod(&sets1, page) * lanes1, lanes1, ways1, word, &evicted)) {
            hits1++;
            continue;
        }
        out1 += evicted != PACKED_EMPTY;
        if (packed_touch(words2 + packed_mod(&sets2, page) * lanes2, lanes2, ways2, word, &evicted)) {
            hits2++;
            continue;
        }
        out2 += evicted != PACKED_EMPTY;
        misses++;
    }
    l1->hits += hits1;
    l1->misses += hits2 + misses;
    l2->hits += hits2;
    l2->misses += misses;
    l1->evictions += out1;
    l2->evictions += out2;
    l1->held[0] += hits2 + misses - out1;
    l2->held[0] += misses - out2;
    l1->present |= l1->held[0] != 0;
    l2->present |= l2->held[0] != 0;
    book_flat(k, misses);
    return i;
}

#endif
