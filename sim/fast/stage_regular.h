/* stage_regular.h - stages 2 and 3 over *regular* pages: the TLBs first, for many touches, and then the walks that they call for. See kernel.c.
 *
 * A machine is regular when all its translations are of one size that every TLB array keeps whole, its data class has two levels of one true-LRU
 * array each, its walk caches are true LRU, and nothing changes a mapping once it is made (an imitation guest without faults of the model,
 * large-page collapse, prefetching, or a page-modification log). A page is regular from its first successful walk on. What is then known:
 *   - every entry on the way is present, valid, and has A set, for good. So a walk cannot fault and changes no table; nothing in it
 *     has to be checked, and whether it is made now or some touches later changes nothing but the order of walks, which is kept.
 *   - the rights of all regular pages are the same but for D, and D of a TLB entry is what the page's last walk left in the tables: one bit
 *     a page (`dirty`) says it for all arrays. So words need no D, look-up and fill compare and move whole words, and the TLBs do
 *     not wait for the walk's result.
 * Anything else (a first touch, a store to a page without D) goes the general way, after the walks before it. */
#ifndef NW_SIM_STAGE_REGULAR_H
#define NW_SIM_STAGE_REGULAR_H

#include "stage_tlb.h"

static bool assoc_is_regular(const struct packed_assoc *a) { return !a->entries || (a->lru && a->sets.divisor == 1); }

static bool machine_is_regular(const struct kernel *k)
{
    const struct nw_config *c = k->c;
    const struct machine *m = k->m;
    if (m->traced || m->flat || (c->mode != NW_MODE_NATIVE && c->mode != NW_MODE_NESTED) || k->p->levels != 2 ||
        !k->exact_filter || c->fidelity != NW_FIDELITY_WALK || c->walker.prefetch != NW_PREFETCH_NONE ||
        c->guest.page_policy == NW_PAGES_THP || c->guest.demand_faults || c->vmm.demand_backing || c->vmm.pml)
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

/* ---- paths: all that a walk reads above the leaf, by the leaves' table ---- */

NW_INLINE uint64_t regular_key(const struct kernel *k, enum nw_dimension d, uint64_t address)
{
    return (address >> (NW_PAGE_2M_LOG2 + 9 * k->regular.leaf_level[d])) + 1;
}
NW_INLINE struct regular_path *regular_path_slot(const struct kernel *k, enum nw_dimension d, uint64_t address)
{
    uint64_t key = regular_key(k, d, address);
    return &k->regular.path[d][(key ^ key >> PATHS_LOG2) & ((1u << PATHS_LOG2) - 1)];
}

static enum nw_status regular_init(struct kernel *k, struct nw_error *err)
{
    struct flat_walk flat = machine_flat_walk(k->c);
    k->regular.size = size_class(flat.page_log2);
    k->regular.rights = REGULAR_RIGHTS_UNKNOWN;
    if (!machine_is_regular(k))
        return NW_OK;
    k->regular.possible = true;
    k->regular.leaf_level[NW_GUEST] = k->c->guest.page_policy == NW_PAGES_2M   ? 1
                                      : k->c->guest.page_policy == NW_PAGES_1G ? 2
                                                                               : 0;
    k->regular.leaf_level[NW_NESTED] = (machine_backing_log2(k->c) - NW_PAGE_LOG2) / 9;
    k->regular.page = malloc(REGULAR_WALKS_MAX * sizeof *k->regular.page);
    for (unsigned d = 0; d < 2; d++)
        k->regular.path[d] = calloc(1u << PATHS_LOG2, sizeof *k->regular.path[d]);
    return k->regular.page && k->regular.path[0] && k->regular.path[1] ? NW_OK
                                                                       : nw_fail_nomem(err, "the replay engine");
}

/* ---- walks ---- */

/* The entry's word, read without any effect. */
static uint64_t regular_word(const struct kernel *k, uint64_t table, unsigned level, uint64_t address, uint64_t *line)
{
    uint64_t hpa = table + (address >> (NW_PAGE_LOG2 + 9 * level) & 511) * 8;
    *line = hpa >> NW_LINE_LOG2;
    return nw_physmem_read64(k->m->pm, nw_hpa(hpa));
}

static void regular_path_make(struct kernel *k, enum nw_dimension d, uint64_t address, struct regular_path *path)
{
    const struct nw_paging *p = d == NW_GUEST ? k->m->hw_guest : k->m->hw_nested, *nested = k->m->hw_nested;
    struct packed_entry at = { p->root, p->root, ~UINT64_C(0), 3 };
    for (unsigned level = p->levels - 1u;; level--) {
        if (d == NW_GUEST && nested) { /* from the table's GPA to its HPA */
            struct packed_entry of = { nested->root, nested->root, ~UINT64_C(0), 0 };
            uint64_t need = nested->need[NW_SUPERVISOR][NW_ACCESS_WRITE], word, line;
            for (unsigned l = nested->levels - 1u;; l--) {
                word = regular_word(k, of.a, l, at.b, &line);
                of.c &= (word ^ nested->invert) | nested->level[l].grants;
                of.a = word & nested->table_address;
                if (nw_entry_is_leaf(nested, l, word)) {
                    at.a = nw_entry_page(nested, l, word) | (at.b & (NW_BIT(NW_PAGE_LOG2 + 9 * l) - 1));
                    break;
                }
            }
            at.d = 1 | ((of.c & need) == need ? 2 : 0);
        }
        path->table[level] = at;
        if (level == k->regular.leaf_level[d])
            break;
        uint64_t word = regular_word(k, at.a, level, address, &path->line[level]);
        at.c &= (word ^ p->invert) | p->level[level].grants;
        at.a = at.b = word & p->table_address;
    }
    path->leaf = nw_physmem_find(k->m->pm, nw_hpa(at.a));
    path->key = regular_key(k, d, address);
}

NW_INLINE const struct regular_path *regular_path(struct kernel *k, enum nw_dimension d, uint64_t address)
{
    struct regular_path *path = regular_path_slot(k, d, address);
    if (NW_UNLIKELY(path->key != regular_key(k, d, address)))
        regular_path_make(k, d, address, path);
    return path;
}

NW_INLINE unsigned leaf_index(const struct kernel *k, enum nw_dimension d, uint64_t address)
{
    return address >> (NW_PAGE_LOG2 + 9 * k->regular.leaf_level[d]) & 511;
}

/* Where the walk begins: the level of the first table read. *hit: a cache knows it, else it is the root. */
NW_INLINE unsigned regular_start(struct kernel *k, enum nw_dimension d, uint64_t address, unsigned root_level,
                                 bool *hit)
{
    struct packed_assoc *psc = d == NW_GUEST ? k->psc_guest : k->psc_nested;
    struct nw_hitmiss *count = d == NW_GUEST ? k->r->psc_guest : k->r->psc_nested;
    for (unsigned n = 0; n < k->psc_count[d]; n++) {
        unsigned i = k->psc_index[d][n];
        if (i >= root_level)
            break;
        if (assoc_lookup(&psc[i], 0, psc_tag(k, d, i, address))) {
            count[i].hits++;
            *hit = true;
            return i;
        }
        count[i].misses++;
    }
    *hit = false;
    return root_level;
}

NW_INLINE void regular_keep(struct kernel *k, enum nw_dimension d, uint64_t address, unsigned level,
                            const struct regular_path *path)
{
    struct packed_assoc *psc = d == NW_GUEST ? k->psc_guest : k->psc_nested;
    if (level < NW_PSC_LEVELS && psc[level].entries)
        *assoc_insert(&psc[level], 0, psc_tag(k, d, level, address)) = path->table[level];
}

/* As nw_walk_nested_step(), without what cannot happen. */
NW_INLINE void regular_nested_step(struct kernel *k, uint64_t gpa, bool final)
{
    const struct nw_paging *nested = k->m->hw_nested;
    const unsigned leaf_level = k->regular.leaf_level[NW_NESTED], log2 = NW_PAGE_LOG2 + 9 * leaf_level,
                   size = leaf_level;
    const bool ask = k->nested_tlb.entries && !(final && k->c->nested_tlb_tables_only);
    if (ask) {
        if (assoc_lookup(&k->nested_tlb, 0, nested_tag(gpa, size))) {
            k->r->nested_tlb.hits++;
            return;
        }
        k->r->nested_tlb.misses++;
    }
    bool hit;
    unsigned level = regular_start(k, NW_NESTED, gpa, nested->levels - 1u, &hit);
    const struct regular_path *path = regular_path(k, NW_NESTED, gpa);
    k->nested_references += level - leaf_level + 1;
    for (; level > leaf_level; level--) {
        k->line[k->line_count++] = path->line[level];
        regular_keep(k, NW_NESTED, gpa, level - 1, path);
    }
    const unsigned index = leaf_index(k, NW_NESTED, gpa);
    k->line[k->line_count++] = (path->table[leaf_level].a >> NW_LINE_LOG2) + (index >> 3);
    if (ask) {
        const uint64_t entry = path->leaf[index];
        k->nested_tlb.present |= 1u << size;
        *assoc_insert(&k->nested_tlb, 0, nested_tag(gpa, size)) =
            (struct packed_entry){ nw_entry_page(nested, leaf_level, entry) & ~(NW_BIT(log2) - 1), 0,
                                   path->table[leaf_level].c &
                                       ((entry ^ nested->invert) | nested->level[leaf_level].grants),
                                   !(~entry & nested->dirty) };
    }
}

/* As nw_walk_run(), without what cannot happen. */
NW_INLINE void regular_walk(struct kernel *k, uint64_t page, const bool nested)
{
    const struct nw_paging *guest = k->m->hw_guest;
    const uint64_t gva = page << NW_PAGE_LOG2;
    const unsigned leaf_level = k->regular.leaf_level[NW_GUEST], index = leaf_index(k, NW_GUEST, gva);
    bool known;
    const unsigned start = regular_start(k, NW_GUEST, gva, guest->levels - 1u, &known);
    const struct regular_path *path = regular_path(k, NW_GUEST, gva);
    k->guest_references += start - leaf_level + 1;
    for (unsigned level = start;; level--) {
        if (nested && !known)
            regular_nested_step(k, path->table[level].b + (gva >> (NW_PAGE_LOG2 + 9 * level) & 511) * 8, false);
        known = false;
        if (level != start)
            regular_keep(k, NW_GUEST, gva, level, path);
        if (level == leaf_level)
            break;
        k->line[k->line_count++] = path->line[level];
    }
    k->line[k->line_count++] = (path->table[leaf_level].a >> NW_LINE_LOG2) + (index >> 3);
    if (nested)
        regular_nested_step(k,
                            nw_entry_page(guest, leaf_level, path->leaf[index]) |
                                (gva & (NW_BIT(NW_PAGE_LOG2 + 9 * leaf_level) - 1)),
                            true);
}

/* Words and paths are scattered: bring them near some walks before. */
NW_INLINE void look_ahead_at(struct kernel *k, const uint64_t *page, uint32_t left, const bool nested)
{
    if (!nested || left <= FAR_AHEAD)
        return;
    const uint64_t far = page[FAR_AHEAD] << NW_PAGE_LOG2, near = page[NEAR_AHEAD] << NW_PAGE_LOG2;
    const struct regular_path *path = regular_path_slot(k, NW_GUEST, far);
    if (NW_LIKELY(path->key == regular_key(k, NW_GUEST, far)))
        NW_PREFETCH(path->leaf + leaf_index(k, NW_GUEST, far));
    path = regular_path_slot(k, NW_GUEST, near);
    if (NW_LIKELY(path->key == regular_key(k, NW_GUEST, near))) {
        const unsigned level = k->regular.leaf_level[NW_GUEST];
        uint64_t gpa = nw_entry_page(k->m->hw_guest, level, path->leaf[leaf_index(k, NW_GUEST, near)]) |
                       (near & (NW_BIT(NW_PAGE_LOG2 + 9 * level) - 1));
        const struct regular_path *next = regular_path_slot(k, NW_NESTED, gpa);
        if (NW_LIKELY(next->key == regular_key(k, NW_NESTED, gpa)))
            NW_PREFETCH(next->leaf + leaf_index(k, NW_NESTED, gpa));
    }
}

NW_INLINE void regular_walks(struct kernel *k, const bool nested)
{
    const uint32_t count = k->regular.count;
    k->guest_references = k->nested_references = 0;
    for (uint32_t i = 0; i < count; i++) {
        look_ahead_at(k, k->regular.page + i, count - i, nested);
        regular_walk(k, k->regular.page[i], nested);
        k->walk[k->walk_count++] = (struct waiting_walk){ k->line_count, WALK_MISS };
        if (NW_UNLIKELY(k->line_count > LINES_MAX - LINES_A_WALK || k->walk_count == LINES_MAX))
            settle_lines(k);
    }
    k->r->walks.references += k->guest_references + k->nested_references;
    k->r->walks.references_guest += k->guest_references;
    k->r->walks.references_nested += k->nested_references;
    k->regular.count = 0;
}

static NW_NOINLINE void regular_walks_native(struct kernel *k) { regular_walks(k, false); }
static NW_NOINLINE void regular_walks_nested(struct kernel *k) { regular_walks(k, true); }

/* ---- TLBs ---- */

/* Takes touches [t, end) up to the first that has to go the general way; the walks that they call for are made. *accesses: of them, those that
 * are no upper page of a crossing access. */
static uint32_t take_regular(struct kernel *k, const struct nw_touch *touch, uint32_t t, uint32_t end,
                             uint32_t *accesses)
{
    struct packed_tlb *l1 = k->looks[0][0].array[0], *l2 = k->looks[0][1].array[0];
    const unsigned lanes1 = l1->lanes, lanes2 = l2->lanes, ways1 = l1->ways, ways2 = l2->ways, size = k->regular.size;
    const struct packed_modulus sets1 = l1->sets, sets2 = l2->sets;
    const uint64_t space = k->space, rights = k->regular.rights;
    uint64_t hits1 = 0, hits2 = 0, misses = 0, out1 = 0, out2 = 0, *const words1 = l1->word, *const words2 = l2->word;
    uint32_t upper = 0, from = t;
    if (rights == REGULAR_RIGHTS_UNKNOWN)
        return t;
    for (; t < end; t++) {
        const uint64_t page = touch[t].page, piece = page_of_class(page, size);
        const uint64_t word = tlb_word(page, space, size, rights);
        uint64_t *set1 = words1 + packed_mod(&sets1, piece) * lanes1, evicted;
        const bool store = nw_kind_type((uint8_t)touch[t].kind) == NW_STORE;
        int at = packed_find(set1, lanes1, word, 0);
        if (at >= 0 && !store) {
            packed_push(set1, lanes1, (unsigned)at, word);
            hits1++;
        } else {
            const struct prepared_region *region = region_known(k, page);
            if (!region || !region_bit(store ? region->dirty : region->regular, regular_page(k, page)))
                break;
            if (at >= 0) {
                packed_push(set1, lanes1, (unsigned)at, word);
                hits1++;
            } else {
                out1 += packed_push(set1, lanes1, ways1 - 1, word) != PACKED_EMPTY;
                if (packed_touch(words2 + packed_mod(&sets2, piece) * lanes2, lanes2, ways2, word, &evicted)) {
                    hits2++;
                } else {
                    out2 += evicted != PACKED_EMPTY;
                    misses++;
                    k->regular.page[k->regular.count++] = page;
                    if (k->regular.count == REGULAR_WALKS_MAX) {
                        upper += (touch[t].kind & NW_TOUCH_UPPER) != 0;
                        t++;
                        break;
                    }
                }
            }
        }
        upper += (touch[t].kind & NW_TOUCH_UPPER) != 0;
    }
    *accesses += t - from - upper;
    l1->hits += hits1;
    l1->misses += hits2 + misses;
    l2->hits += hits2;
    l2->misses += misses;
    l1->evictions += out1;
    l2->evictions += out2;
    l1->held[size] += hits2 + misses - out1;
    l2->held[size] += misses - out2;
    l1->present |= (unsigned)(l1->held[size] != 0) << size;
    l2->present |= (unsigned)(l2->held[size] != 0) << size;
    if (k->m->hw_nested)
        regular_walks_nested(k);
    else
        regular_walks_native(k);
    return t;
}

#endif
