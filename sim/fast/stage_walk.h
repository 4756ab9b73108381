/* stage_walk.h - stage 3 of the fast engine: the walk, instantiated over the packed walk caches. See kernel.c. */
#ifndef NW_SIM_STAGE_WALK_H
#define NW_SIM_STAGE_WALK_H

#include "stage_caches.h"

NW_INLINE uint64_t hook_load(void *context, hpa_t hpa)
{
    return nw_physmem_read64(((struct kernel *)context)->m->pm, hpa);
}

static void hook_update(void *context, hpa_t hpa, uint64_t set)
{
    uint64_t *word = nw_physmem_find(((struct kernel *)context)->m->pm, hpa);
    if (word)
        *word |= set;
}

NW_INLINE void hook_reference(void *context, const struct nw_reference *reference)
{
    struct kernel *k = context;
    k->line[k->line_count++] = reference->hpa.v >> NW_LINE_LOG2 | (uint64_t)k->walk_count << LINE_WALK_SHIFT;
    if (reference->dimension == NW_NESTED)
        k->nested_references++;
    else
        k->guest_references++;
}

/* Tag of a guest PSC entry: 36 bits of GVA from 21 up (57-bit addresses), 12 of PCID. */
enum { PSC_TAG_SHIFT = 12 };
#define PSC_TAG_SPACE ((UINT64_C(1) << PSC_TAG_SHIFT) - 1)
NW_INLINE uint64_t psc_piece(unsigned i, uint64_t address)
{
    return (address & ((UINT64_C(1) << 57) - 1)) >> (NW_PAGE_2M_LOG2 + 9 * i);
}
NW_INLINE uint64_t psc_tag(const struct kernel *k, enum nw_dimension d, unsigned i, uint64_t address)
{
    uint64_t piece = psc_piece(i, address);
    return d == NW_GUEST ? piece << PSC_TAG_SHIFT | k->space : piece;
}

NW_INLINE uint64_t psc_number(unsigned i, uint64_t address) { return address >> (NW_PAGE_2M_LOG2 + 9 * i); }

/* ---- what regular pages leave to be found when somebody asks (regular_walk.h) ---- */

/* What the second stage's tables say of a GPA that they map, found without any effect. */
static NW_NOINLINE struct nw_nested_translation nested_translation(const struct kernel *k, uint64_t gpa)
{
    const struct nw_paging *nested = k->m->hw_nested;
    uint64_t table = nested->root, allowed = ~UINT64_C(0);
    for (unsigned level = nested->levels - 1u;; level--) {
        uint64_t word = nw_physmem_read64(k->m->pm, nw_hpa(table + (gpa >> (NW_PAGE_LOG2 + 9 * level) & 511) * 8));
        allowed &= (word ^ nested->invert) | nested->level[level].grants;
        if (nw_entry_is_leaf(nested, level, word)) {
            const unsigned log2 = NW_PAGE_LOG2 + 9 * level;
            return (struct nw_nested_translation){ .hpa = nw_hpa(nw_entry_page(nested, level, word) |
                                                                 (gpa & (NW_BIT(log2) - 1))),
                                                   .allowed = allowed,
                                                   .page_log2 = (uint8_t)log2,
                                                   .dirty = !(~word & nested->dirty) };
        }
        table = word & nested->table_address;
    }
}

static NW_NOINLINE void regular_path_make(struct kernel *k, enum nw_dimension d, uint64_t address,
                                          struct regular_path *path, struct regular_tables *tables)
{
    const struct nw_paging *p = d == NW_GUEST ? k->m->hw_guest : k->m->hw_nested, *nested = k->m->hw_nested;
    struct packed_entry at = { p->root, p->root, ~UINT64_C(0), 3 };
    for (unsigned level = p->levels - 1u;; level--) {
        if (d == NW_GUEST && nested) { /* from the table's GPA to its HPA */
            const uint64_t need = nested->need[NW_SUPERVISOR][NW_ACCESS_WRITE];
            struct nw_nested_translation t = nested_translation(k, at.b);
            at.a = t.hpa.v;
            at.d = 1 | ((t.allowed & need) == need ? 2 : 0);
        }
        tables->table[level] = at;
        if (level == k->regular.leaf_level[d])
            break;
        const uint64_t entry_hpa = at.a + (address >> (NW_PAGE_LOG2 + 9 * level) & 511) * 8;
        const uint64_t word = nw_physmem_read64(k->m->pm, nw_hpa(entry_hpa));
        path->line[p->levels - 1u - level] = entry_hpa >> NW_LINE_LOG2;
        at.c &= (word ^ p->invert) | p->level[level].grants;
        at.a = at.b = word & p->table_address;
    }
    path->line[p->levels - 1u - k->regular.leaf_level[d]] = at.a >> NW_LINE_LOG2;
    path->leaf_table = at.b;
    path->leaf = nw_physmem_find(k->m->pm, nw_hpa(at.a));
    path->key = (address >> (NW_PAGE_2M_LOG2 + 9 * k->regular.leaf_level[d])) + 1;
}

NW_INLINE uint64_t path_key(unsigned leaf, uint64_t address) { return (address >> (NW_PAGE_2M_LOG2 + 9 * leaf)) + 1; }
NW_INLINE uint16_t path_slot(uint64_t key) { return (uint16_t)((key ^ key >> PATHS_LOG2) & ((1u << PATHS_LOG2) - 1)); }

/* The path to `address`, if it is known; else NULL. */
NW_INLINE const struct regular_path *path_known(const struct kernel *k, enum nw_dimension d, uint64_t address)
{
    const uint64_t key = path_key(k->regular.leaf_level[d], address);
    const struct regular_path *path = &k->regular.path[d][path_slot(key)];
    return path->key == key ? path : NULL;
}

static NW_NOINLINE const struct regular_path *path_learn(struct kernel *k, enum nw_dimension d, uint64_t address)
{
    const uint16_t slot = path_slot(path_key(k->regular.leaf_level[d], address));
    struct regular_path *path = &k->regular.path[d][slot];
    regular_path_make(k, d, address, path, &k->regular.tables[d][slot]);
    return path;
}

/* Finds what a paging-structure cache keeps: the tables say so still. */
static NW_NOINLINE void resolve_lazy_table(struct kernel *k, enum nw_dimension d, unsigned i, uint64_t address,
                                           struct packed_entry *entry)
{
    struct regular_path path;
    struct regular_tables tables;
    regular_path_make(k, d, address, &path, &tables);
    *entry = tables.table[i];
}

NW_INLINE void hook_start(void *context, enum nw_dimension d, uint64_t address, struct nw_walk_start *start)
{
    struct kernel *k = context;
    struct packed_assoc *psc = d == NW_GUEST ? k->psc_guest : k->psc_nested;
    struct nw_hitmiss *count = d == NW_GUEST ? k->r->psc_guest : k->r->psc_nested;
    for (unsigned n = 0; n < k->psc_count[d]; n++) {
        unsigned i = k->psc_index[d][n];
        if (i >= start->level)
            return;
        struct packed_entry *hit = assoc_lookup(&psc[i], psc_number(i, address), psc_tag(k, d, i, address));
        if (!hit) {
            count[i].misses++;
            continue;
        }
        if (NW_UNLIKELY(hit->d & ENTRY_LAZY))
            resolve_lazy_table(k, d, i, address, hit);
        count[i].hits++;
        *start = (struct nw_walk_start){ .level = (uint8_t)i,
                                         .table_known = hit->d & 1,
                                         .table_writable = hit->d & 2,
                                         .switched = hit->d & 4,
                                         .table = nw_hpa(hit->a),
                                         .table_gpa = nw_gpa(hit->b),
                                         .allowed = hit->c };
        return;
    }
}

NW_INLINE size_t hint_slot(uint64_t key) { return (key ^ key >> HINTS_LOG2) & ((1u << HINTS_LOG2) - 1); }

/* The leaf entry's place for `address`, if a hint knows. */
NW_INLINE const uint64_t *hinted(const struct kernel *k, enum nw_dimension d, uint64_t address)
{
    uint64_t key = address >> NW_PAGE_2M_LOG2;
    const struct hint *h = &k->hint[d][hint_slot(key)];
    return NW_LIKELY(h->key == key + 1) && h->table ? h->table + (address >> NW_PAGE_LOG2 & 511) : NULL;
}

/* Stage 3 reads words that are scattered over simulated memory: bring the guest's leaf entry near FAR_AHEAD touches before, and NEAR_AHEAD touches
 * before read it to know which second-stage entry will follow. */
NW_INLINE void look_ahead(const struct kernel *k, const struct nw_touch *touch, uint32_t left)
{
    if (left > FAR_AHEAD) {
        const uint64_t *leaf = hinted(k, NW_GUEST, touch[FAR_AHEAD].page << NW_PAGE_LOG2);
        if (leaf)
            NW_PREFETCH(leaf);
    }
    if (left > NEAR_AHEAD && k->m->hw_nested) {
        const uint64_t *leaf = hinted(k, NW_GUEST, touch[NEAR_AHEAD].page << NW_PAGE_LOG2);
        if (leaf && (leaf = hinted(k, NW_NESTED, *leaf & nw_mask(51, 12))))
            NW_PREFETCH(leaf);
    }
}

NW_INLINE void hook_table(void *context, enum nw_dimension d, uint64_t address, const struct nw_walk_start *next)
{
    struct kernel *k = context;
    unsigned i = next->level;
    struct packed_assoc *psc = d == NW_GUEST ? k->psc_guest : k->psc_nested;
    if (i == 0) {
        uint64_t key = address >> NW_PAGE_2M_LOG2;
        struct hint *h = &k->hint[d][hint_slot(key)];
        if (NW_UNLIKELY(h->key != key + 1))
            *h = (struct hint){ key + 1, nw_physmem_find(k->m->pm, nw_hpa(next->table.v & ~(NW_PAGE_BYTES - 1))) };
    }
    if (i >= NW_PSC_LEVELS || !psc[i].entries)
        return;
    /* `start` has asked this cache in the same walk and missed, else the walk would have begun below the entry. */
    *assoc_insert(&psc[i], psc_number(i, address), psc_tag(k, d, i, address)) =
        (struct packed_entry){ next->table.v, next->table_gpa.v, next->allowed,
                               (next->table_known ? 1u : 0u) | (next->table_writable ? 2u : 0u) |
                                   (next->switched ? 4u : 0u) };
}

NW_INLINE uint64_t nested_tag(uint64_t gpa, unsigned size) { return gpa >> size_log2[size] << 2 | size; }

/* Finds what the entry of a regular page keeps: its tables say so still. */
static void resolve_lazy(const struct kernel *k, struct packed_entry *entry)
{
    struct nw_nested_translation t = nested_translation(k, entry->b);
    *entry = (struct packed_entry){ t.hpa.v & ~(NW_BIT(t.page_log2) - 1), 0, t.allowed, t.dirty };
}

NW_INLINE bool hook_nested_lookup(void *context, gpa_t gpa, const struct nw_nested_request *q,
                                  struct nw_nested_translation *out)
{
    struct kernel *k = context;
    if (!k->nested_tlb.entries || (q->final && k->c->nested_tlb_tables_only))
        return false;
    for (unsigned left = k->nested_tlb.present; left; left &= left - 1) {
        unsigned size = (unsigned)__builtin_ctz(left);
        struct packed_entry *hit = assoc_lookup(&k->nested_tlb, gpa.v >> size_log2[size], nested_tag(gpa.v, size));
        if (!hit)
            continue;
        if (NW_UNLIKELY(hit->d & ENTRY_LAZY))
            resolve_lazy(k, hit);
        *out = (struct nw_nested_translation){ .hpa = nw_hpa(hit->a + (gpa.v & ((UINT64_C(1) << size_log2[size]) - 1))),
                                               .allowed = hit->c,
                                               .page_log2 = (uint8_t)size_log2[size],
                                               .dirty = hit->d };
        if (nw_nested_serves(out, q)) {
            k->r->nested_tlb.hits++;
            return true;
        }
        k->refill = true;
        k->r->nested_tlb.misses++;
        return false;
    }
    k->refill = false;
    k->r->nested_tlb.misses++;
    return false;
}

NW_INLINE void hook_nested_fill(void *context, gpa_t gpa, const struct nw_nested_request *q,
                                const struct nw_nested_translation *t)
{
    struct kernel *k = context;
    if (!k->nested_tlb.entries || (q->final && k->c->nested_tlb_tables_only))
        return;
    unsigned size = size_class(t->page_log2);
    k->nested_tlb.present |= 1u << size;
    uint64_t tag = nested_tag(gpa.v, size);
    struct packed_entry *entry = k->refill ? assoc_lookup(&k->nested_tlb, gpa.v >> size_log2[size], tag) : NULL;
    if (!entry)
        entry = assoc_insert(&k->nested_tlb, gpa.v >> size_log2[size], tag);
    *entry = (struct packed_entry){ t->hpa.v & ~((UINT64_C(1) << size_log2[size]) - 1), 0, t->allowed, t->dirty };
}

static bool hook_log_dirty(void *context, gpa_t page)
{
    (void)page;
    return machine_log_dirty(((struct kernel *)context)->m);
}

static const struct nw_walk_hooks hooks = { .load = hook_load,
                                            .update = hook_update,
                                            .start = hook_start,
                                            .table = hook_table,
                                            .nested_lookup = hook_nested_lookup,
                                            .nested_fill = hook_nested_fill,
                                            .reference = hook_reference,
                                            .log_dirty = hook_log_dirty };

static NW_NOINLINE void walk_nested(struct kernel *k, uint64_t gva, const struct nw_access *access,
                                    struct nw_walk_result *w)
{
    nw_walk_run(&hooks, k, k->m->hw_guest, k->m->hw_nested, nw_gva(gva), access, w);
}

static NW_NOINLINE void walk_native(struct kernel *k, uint64_t gva, const struct nw_access *access,
                                    struct nw_walk_result *w)
{
    nw_walk_run(&hooks, k, k->m->hw_guest, NULL, nw_gva(gva), access, w);
}

static NW_NOINLINE void walk_agile(struct kernel *k, uint64_t gva, uint8_t kind, const struct nw_access *access,
                                   struct nw_walk_result *w)
{
    nw_walk_agile_run(&hooks, k, k->m->hw_switched, k->m->hw_guest, k->m->hw_nested, nw_gva(gva), access, w);
    /* Granted, but no hit will be: a store that needs the guest's WP to be clear. What the filter dropped behind it walks as well. */
    if (w->outcome == NW_WALK_OK && (k->m->rule[rule_index(kind)].need & ~rights_of(w->rights)))
        k->irregular = true;
}

NW_INLINE void walk(struct kernel *k, uint64_t gva, uint8_t kind, enum walk_purpose purpose, struct nw_walk_result *w)
{
    struct nw_access access = access_of(kind);
    struct nw_result *r = k->r;
    k->guest_references = k->nested_references = 0;
    if (k->m->hw_nested && NW_UNLIKELY(k->m->hw_switched != NULL))
        walk_agile(k, gva, kind, &access, w);
    else if (k->m->hw_nested)
        walk_nested(k, gva, &access, w);
    else
        walk_native(k, gva, &access, w);
    uint64_t references = k->guest_references + k->nested_references;
    if (NW_LIKELY(purpose == WALK_MISS)) {
        r->walks.references += references;
        r->walks.references_guest += k->guest_references;
        r->walks.references_nested += k->nested_references;
    } else if (purpose == WALK_ASSIST) {
        r->walks.dirty_assists++;
        r->walks.dirty_assist_references += references;
    } else {
        r->prefetch.walks++;
        r->prefetch.references += references;
    }
    if (k->c->fidelity == NW_FIDELITY_TLB) { /* every reference costs the same: nothing has to wait */
        k->line_count = 0;
        book_cycles(k, purpose, references * k->p->flat_reference_cycles);
        return;
    }
    k->walk_end[k->walk_count] = k->line_count;
    k->walk_purpose[k->walk_count++] = (uint8_t)purpose;
    k->walk_extra |= purpose != WALK_MISS;
    if (k->line_count > LINES_MAX - LINES_A_WALK || k->walk_count == LINES_MAX)
        settle_lines(k);
}

#endif
