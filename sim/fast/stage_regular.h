/* stage_regular.h - stages 2 and 3 over *regular* pages: the TLBs first, for many touches, and then the walks that they call for
 * (regular_walk.h). See kernel.c.
 *
 * A machine is regular when all its translations are of one size, that of the guest's pages, which every TLB array keeps whole, its data
 * class has two levels of one true-LRU array each, its walk caches are true LRU, and nothing changes a mapping once it is made (an imitation
 * guest without faults of the model, large-page collapse, prefetching, or a page-modification log). A page is regular from its first successful walk on. What is then known:
 *   - every entry on the way is present, valid, and has A set, for good. So a walk cannot fault and changes no table; nothing in it
 *     has to be checked, and whether it is made now or some touches later changes nothing but the order of walks, which is kept.
 *   - the rights of all regular pages are the same but for D, and D of a TLB entry is what the page's last walk left in the tables: one bit
 *     a page (`dirty`) says it for all arrays. So words need no D, look-up and fill compare and move whole words, and the TLBs do
 *     not wait for the walk's result.
 * A first touch makes its page regular before its walk: regular_first() maps it and sets the flags that the walk would set.
 * Anything else (a store to a page without D, other rights) goes the general way, after the walks before it. */
#ifndef NW_SIM_STAGE_REGULAR_H
#define NW_SIM_STAGE_REGULAR_H

#include "regular_walk.h"

static bool assoc_is_regular(const struct packed_assoc *a) { return !a->entries || a->ring; }

static bool machine_is_regular(const struct kernel *k)
{
    const struct nw_config *c = k->c;
    const struct machine *m = k->m;
    if (m->traced || m->flat || (c->mode != NW_MODE_NATIVE && c->mode != NW_MODE_NESTED) || k->p->levels != 2 ||
        !k->exact_filter || c->fidelity != NW_FIDELITY_WALK || c->walker.prefetch != NW_PREFETCH_NONE ||
        k->regular.leaf_level[NW_GUEST] != k->regular.size || c->guest.page_policy == NW_PAGES_THP ||
        c->guest.demand_faults || c->vmm.demand_backing || c->vmm.pml)
        return false;
    for (unsigned class = 0; class < 2; class ++)
        for (unsigned level = 0; level < 2; level++)
            if (k->looks[class][level].count != 1 || !k->looks[class][level].array[0]->lru ||
                k->home[class][level][k->regular.size].array != k->looks[class][level].array[0] ||
                k->home[class][level][k->regular.size].size != k->regular.size)
                return false;
    for (unsigned i = 0; i < NW_PSC_LEVELS; i++)
        if (!assoc_is_regular(&k->psc_guest[i]) || !assoc_is_regular(&k->psc_nested[i]))
            return false;
    return assoc_is_regular(&k->nested_tlb);
}

static enum nw_status regular_init(struct kernel *k, struct nw_error *err)
{
    struct flat_walk flat = machine_flat_walk(k->c);
    k->regular.size = size_class(flat.page_log2);
    k->regular.rights = REGULAR_RIGHTS_UNKNOWN;
    k->regular.leaf_level[NW_GUEST] = k->c->guest.page_policy == NW_PAGES_2M   ? 1
                                      : k->c->guest.page_policy == NW_PAGES_1G ? 2
                                                                               : 0;
    k->regular.leaf_level[NW_NESTED] = (machine_backing_log2(k->c) - NW_PAGE_LOG2) / 9;
    if (!machine_is_regular(k))
        return NW_OK;
    k->regular.possible = true;
    k->regular.chunk = calloc(1, sizeof *k->regular.chunk);
    for (unsigned d = 0; d < 2; d++) {
        if ((k->regular.path[d] = aligned_alloc(64, sizeof *k->regular.path[d] << PATHS_LOG2)))
            memset(k->regular.path[d], 0, sizeof *k->regular.path[d] << PATHS_LOG2);
        if (!(k->regular.tables[d] = calloc(1u << PATHS_LOG2, sizeof *k->regular.tables[d])))
            return nw_fail_nomem(err, "the replay engine");
    }
    return k->regular.chunk && k->regular.path[0] && k->regular.path[1] ? NW_OK
                                                                        : nw_fail_nomem(err, "the replay engine");
}

/* ---- TLBs ---- */

/* Walked for good, and, for a store, with D set. Both bits are on one line of the region's tables. */
NW_INLINE bool is_regular(const struct kernel *k, uint64_t page, bool store)
{
    const struct prepared_region *region = region_known(k, page);
    const uint64_t first = regular_page(k, page);
    return NW_LIKELY(region != NULL) && region_bit(region->regular, first) &&
           (!store || region_bit(region->dirty, first));
}

/* ---- first touches ---- */

static const struct nw_walk_hooks plain_hooks = { .load = hook_load, .update = hook_update };

/* The walk without caches and without a trace of it but the flags it sets. */
static NW_NOINLINE void plain_walk_nested(struct kernel *k, uint64_t gva, const struct nw_access *access,
                                          struct nw_walk_result *w)
{
    nw_walk_run(&plain_hooks, k, k->m->hw_guest, k->m->hw_nested, nw_gva(gva), access, w);
}
static NW_NOINLINE void plain_walk_native(struct kernel *k, uint64_t gva, const struct nw_access *access,
                                          struct nw_walk_result *w)
{
    nw_walk_run(&plain_hooks, k, k->m->hw_guest, NULL, nw_gva(gva), access, w);
}

/* Of the allowed bits of entries combined, those that any access may need. */
static uint64_t rights_above(const struct nw_paging *p, const struct packed_entry *table)
{
    uint64_t any = 0;
    for (unsigned who = 0; who < NW_ARRAY_LEN(p->need); who++)
        for (unsigned kind = 0; kind < NW_ARRAY_LEN(p->need[0]); kind++)
            any |= p->need[who][kind];
    return table->c & any;
}

/* The path's leaf entry for `address`, if it and what is above it are as those of the first regular page, but for A and D; else NULL. */
static uint64_t *leaf_alike(const struct kernel *k, enum nw_dimension d, uint64_t address)
{
    const struct nw_paging *p = d == NW_GUEST ? k->m->hw_guest : k->m->hw_nested;
    const unsigned leaf = k->regular.leaf_level[d];
    const uint16_t slot = path_slot(path_key(leaf, address));
    const struct regular_path *path = path_known(k, d, address);
    if (!path || rights_above(p, &k->regular.tables[d][slot].table[leaf]) != k->regular.above[d])
        return NULL;
    uint64_t *word = path->leaf + (address >> (NW_PAGE_LOG2 + 9 * leaf) & 511);
    const uint64_t same = ~(p->level[leaf].leaf_address | p->level[leaf].accessed | p->dirty);
    return (*word & same) == k->regular.leaf_bits[d] ? word : NULL;
}

static void leaf_learn(struct kernel *k, enum nw_dimension d, uint64_t address)
{
    const struct nw_paging *p = d == NW_GUEST ? k->m->hw_guest : k->m->hw_nested;
    const unsigned leaf = k->regular.leaf_level[d];
    struct regular_path path;
    struct regular_tables tables;
    regular_path_make(k, d, address, &path, &tables);
    k->regular.above[d] = rights_above(p, &tables.table[leaf]);
    k->regular.leaf_bits[d] = path.leaf[address >> (NW_PAGE_LOG2 + 9 * leaf) & 511] &
                              ~(p->level[leaf].leaf_address | p->level[leaf].accessed | p->dirty);
}

/* The page's tables have served walks before: only its leaves lack flags. False: not known to be so. */
static bool regular_first_quick(struct kernel *k, uint64_t gva, bool store, uint64_t *rights)
{
    const struct nw_paging *guest = k->m->hw_guest, *nested = k->m->hw_nested;
    const unsigned leaf = k->regular.leaf_level[NW_GUEST];
    uint64_t *word = leaf_alike(k, NW_GUEST, gva), *below = NULL;
    if (!word)
        return false;
    const uint64_t within = gva & (NW_BIT(NW_PAGE_LOG2 + 9 * leaf) - 1);
    if (nested && !(below = leaf_alike(k, NW_NESTED, (*word & guest->level[leaf].leaf_address) | within)))
        return false;
    if (nested && store && k->regular.leaf_level[NW_NESTED] > leaf && (~*below & nested->dirty))
        return false; /* see regular_first() */
    *word |= guest->level[leaf].accessed | (store ? guest->dirty : 0);
    bool dirty = !(~*word & guest->dirty);
    if (nested) {
        *below |= nested->level[k->regular.leaf_level[NW_NESTED]].accessed | (store ? nested->dirty : 0);
        dirty &= !(~*below & nested->dirty);
    }
    *rights = k->regular.rights | (dirty ? RIGHT_D : 0);
    return true;
}

/* Makes known the path to `gva`, if its table of leaves is known to have served the walk of a regular page; and from such a page, what all of
 * them have in common. */
static void regular_learn(struct kernel *k, uint64_t gva)
{
    const unsigned leaf = k->regular.leaf_level[NW_GUEST];
    const struct regular_path *path = path_known(k, NW_GUEST, gva);
    if (path && k->regular.learnt)
        return;
    const unsigned from = leaf ? 0 : gva >> NW_PAGE_2M_LOG2 << 3 & (REGION_WORDS - 1),
                   to = leaf ? REGION_WORDS : from + 8;
    unsigned word = from;
    while (word < to && !k->last_region->regular[word])
        word++;
    if (word == to)
        return;
    if (!path)
        path = path_learn(k, NW_GUEST, gva);
    if (k->regular.learnt)
        return;
    const uint64_t page =
        k->last_region->key << REGION_LOG2 | word << 6 | (unsigned)__builtin_ctzll(k->last_region->regular[word]);
    const uint64_t regular = page << NW_PAGE_LOG2, within = regular & (NW_BIT(NW_PAGE_LOG2 + 9 * leaf) - 1);
    leaf_learn(k, NW_GUEST, regular);
    if (k->m->hw_nested)
        leaf_learn(k, NW_NESTED,
                   (path->leaf[regular >> (NW_PAGE_LOG2 + 9 * leaf) & 511] & k->m->hw_guest->level[leaf].leaf_address) |
                       within);
    k->regular.learnt = true;
}

/* Makes a page regular whose walk has not been made yet: maps it, in the order of touches, and sets the flags that its walk sets. A page that
 * cannot be made regular is left for the general way.
 * Exact: the walk itself, made later and in its turn, finds the same entries and sets nothing; and walks of other pages that wait do not see
 * the flags. They read no A, and the D of the page's own leaf is nobody else's. A second-stage leaf of several guest pages is: its D
 * is part of what the nested TLB keeps for all of them, and may have to be walked for again. So flags of such leaves are never set here. */
static NW_NOINLINE enum nw_status regular_first(struct kernel *k, uint64_t page, uint8_t kind, struct nw_error *err)
{
    const uint64_t gva = page << NW_PAGE_LOG2, first = regular_page(k, page);
    const bool shared = k->m->hw_nested && k->regular.leaf_level[NW_NESTED] > k->regular.leaf_level[NW_GUEST];
    enum nw_status s;
    uint64_t rights;
    if (k->regular.mixed || !canonical(k, page))
        return NW_OK;
    if ((s = find_region(k, first >> REGION_LOG2, err)) || region_bit(k->last_region->regular, first) ||
        (s = prepare(k, page, gva, kind, err)))
        return s;
    regular_learn(k, gva);
    if (!k->regular.learnt || !regular_first_quick(k, gva, nw_kind_type(kind) == NW_STORE, &rights)) {
        struct nw_access access = access_of(kind);
        struct nw_walk_result w;
        if (shared)
            return NW_OK;
        (k->m->hw_nested ? plain_walk_nested : plain_walk_native)(k, gva, &access, &w);
        if (w.outcome != NW_WALK_OK) {
            k->regular.mixed = true;
            return NW_OK;
        }
        rights = rights_of(w.rights);
        if (k->m->hw_nested &&
            !path_known(
                k, NW_NESTED,
                w.gpa.v)) /* the second stage's tables have served: the next page whose leaf they hold is quick */
            path_learn(k, NW_NESTED, w.gpa.v);
    }
    if ((s = note_regular(k, page, &rights, err)))
        return s;
    k->regular.mixed |= rights != k->regular.rights;
    return NW_OK;
}

/* ---- runs ---- */

/* Of up to 64 touches, those that are not to regular pages: bit i for touch[i]. Without a branch. */
NW_INLINE uint64_t irregular_among(const struct kernel *k, const struct nw_touch *touch, unsigned count,
                                   uint64_t *pages)
{
    uint64_t irregular = 0, any = 0;
    for (unsigned i = 0; i < count; i++) {
        const uint64_t page = touch[i].page;
        any |= page;
        irregular |= (uint64_t)!is_regular(k, page, nw_kind_type((uint8_t)touch[i].kind) == NW_STORE) << i;
    }
    *pages |= any;
    return irregular;
}

static NW_NOINLINE void prefetch_first(const struct kernel *k, const struct nw_touch *touch, uint64_t which)
{
    const unsigned leaf = k->regular.leaf_level[NW_GUEST];
    for (; which; which &= which - 1) {
        const uint64_t gva = touch[__builtin_ctzll(which)].page << NW_PAGE_LOG2;
        const struct regular_path *path = path_known(k, NW_GUEST, gva);
        if (path)
            NW_PREFETCH(path->leaf + index_at(leaf, gva));
    }
}

/* Where a run of regular touches that begins at t ends: at an irregular one, or when there is no room for more. */
NW_INLINE enum nw_status regular_run(struct kernel *k, const struct nw_touch *touch, uint32_t *t, uint32_t end,
                                     uint32_t *uppers, uint64_t *pages, struct nw_error *err)
{
    uint32_t upper = 0, i = *t;
    enum nw_status s = NW_OK;
    *pages = 0;
    if (end - i > REGULAR_WALKS_MAX)
        end = i + REGULAR_WALKS_MAX;
    while (i < end) {
        const unsigned some = end - i < 64 ? end - i : 64;
        uint64_t irregular = irregular_among(k, touch + i, some, pages);
        if (NW_UNLIKELY(irregular != 0)) {
            if (irregular & (irregular - 1))
                prefetch_first(k, touch + i, irregular);
            for (; irregular; irregular &= irregular - 1) {
                const unsigned at = (unsigned)__builtin_ctzll(irregular);
                const uint64_t page = touch[i + at].page;
                const uint8_t kind = (uint8_t)touch[i + at].kind;
                const bool store = nw_kind_type(kind) == NW_STORE;
                if (!is_regular(k, page, store) &&
                    ((s = regular_first(k, page, kind, err)) || !is_regular(k, page, store))) {
                    end = i + at;
                    break;
                }
            }
        }
        i = i + some < end ? i + some : end;
    }
    for (uint32_t n = *t; n < i; n++)
        upper += (touch[n].kind & NW_TOUCH_UPPER) != 0;
    *uppers = upper;
    *t = i;
    return s;
}

/* Of a run, the touches [t, end): one array after the other, each a loop that appends what it misses to a list. Nothing in them branches on
 * a hit, which no predictor foresees. Exact, because an array's state depends on nothing but the order of what it is asked for. `lanes` are
 * arguments so that the common shapes are constants. */
NW_INLINE void regular_look_up(struct kernel *k, const struct nw_touch *touch, uint32_t t, uint32_t end,
                               const unsigned lanes1, const unsigned lanes2)
{
    struct packed_tlb *l1 = k->looks[0][0].array[0], *l2 = k->looks[0][1].array[0];
    const unsigned ways1 = l1->ways, ways2 = l2->ways, size = k->regular.size;
    const struct packed_modulus sets1 = l1->sets, sets2 = l2->sets;
    const uint64_t space = k->space, rights = k->regular.rights;
    uint64_t *const words1 = l1->word, *const words2 = l2->word, *const missed = k->missed;
    uint64_t out;
    uint32_t misses1 = 0, misses2 = 0, out1 = 0, out2 = 0;
    for (uint32_t i = t; i < end; i++) {
        const uint64_t page = touch[i].page, piece = page_of_class(page, size);
        out = PACKED_EMPTY;
        const bool miss = !packed_touch(words1 + packed_mod(&sets1, piece) * lanes1, lanes1, ways1,
                                        tlb_word(page, space, size, rights), &out);
        missed[misses1] = page;
        misses1 += miss;
        out1 += miss & (out != PACKED_EMPTY);
    }
    for (uint32_t i = 0; i < misses1; i++) {
        const uint64_t page = missed[i], piece = page_of_class(page, size);
        out = PACKED_EMPTY;
        const bool miss = !packed_touch(words2 + packed_mod(&sets2, piece) * lanes2, lanes2, ways2,
                                        tlb_word(page, space, size, rights), &out);
        missed[misses2] = page; /* in place: never ahead of what is read */
        misses2 += miss;
        out2 += miss & (out != PACKED_EMPTY);
    }
    l1->hits += end - t - misses1;
    l1->misses += misses1;
    l2->hits += misses1 - misses2;
    l2->misses += misses2;
    l1->evictions += out1;
    l2->evictions += out2;
    l1->held[size] += misses1 - out1;
    l2->held[size] += misses2 - out2;
    l1->present |= (unsigned)(l1->held[size] != 0) << size;
    l2->present |= (unsigned)(l2->held[size] != 0) << size;
    k->regular.count = misses2;
}

static NW_NOINLINE void regular_look_up_small(struct kernel *k, const struct nw_touch *touch, uint32_t t, uint32_t end)
{
    regular_look_up(k, touch, t, end, 8, 16);
}

/* Takes touches [*t, end) up to the first that has to go the general way; the walks that they call for are made. *accesses: of them, those that
 * are no upper page of a crossing access. */
static enum nw_status take_regular(struct kernel *k, const struct nw_touch *touch, uint32_t *t, uint32_t end,
                                   uint32_t *accesses, struct nw_error *err)
{
    const unsigned lanes1 = k->looks[0][0].array[0]->lanes, lanes2 = k->looks[0][1].array[0]->lanes;
    const uint32_t from = *t;
    uint64_t pages;
    uint32_t uppers;
    if (k->regular.rights == REGULAR_RIGHTS_UNKNOWN)
        return NW_OK;
    enum nw_status s = regular_run(k, touch, t, end, &uppers, &pages, err);
    if (s || *t == from)
        return s;
    if (narrow_for(k, pages, *t - from, k->space, k->regular.size, k->regular.rights))
        k->regular.count = narrow_look_up(k, touch + from, *t - from, k->missed);
    else if (lanes1 == 8 && lanes2 == 16)
        regular_look_up_small(k, touch, from, *t);
    else
        regular_look_up(k, touch, from, *t, lanes1, lanes2);
    *accesses += *t - from - uppers;
    const bool small = !k->regular.leaf_level[NW_GUEST] && !k->regular.leaf_level[NW_NESTED] &&
                       k->m->hw_guest->levels == 4 && (!k->m->hw_nested || k->m->hw_nested->levels == 4);
    if (k->regular.count && k->m->hw_nested)
        (small ? regular_walks_nested_small : regular_walks_nested)(k);
    else if (k->regular.count)
        (small ? regular_walks_native_small : regular_walks_native)(k);
    return NW_OK;
}

#endif
