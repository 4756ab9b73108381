/* kernel.c - the fast engine. Compiled once for each instruction set (NW_ISA names it); engine_fast.c chooses at run time.
 *
 * Stages, over a block of touches (traces/block.h):
 *   1. filter   done by the source: accesses that cannot change any TLB are not even seen.
 *   2. TLB      levels in order, entries as packed words in recency order (structures.h).
 *   3. walk     the one walk template of mmu/, instantiated over the packed walk caches; it only *emits* the lines it reads.
 *   4. caches   the emitted lines of many walks go through the modelled caches in one tight loop.
 *
 * Why it is exact, trick by trick:
 *   - Filter: touching the most recent entry of an L1 array again changes nothing, and permissions were judged for every kind of access seen
 *     since. It needs L1 arrays that data and fetches do not share, and nothing removed or refused in between. Where either does not hold, the
 *     rest of the stretch is done access by access (`expand`): the accesses dropped are known, they are those of the touch's page.
 *   - Caches last: the latency of a line never decides what a walk does next, so the lines can wait, in order.
 *   - prepare: a page of an imitation guest that was prepared once stays so until its range is invalidated (`prepared`).
 *   - Flat machines (nothing walked): entries differ in nothing but their page, so looking up and filling are one movement. */
#include "structures.h"
#include <inttypes.h>
#include <nestwalk/mmu/walk_template.h>

#define JOIN2(a, b) a##b
#define JOIN(a, b)  JOIN2(a, b)

enum {
    LINES_MAX = 4096,     /* emitted lines that wait */
    LINES_A_WALK = 64,    /* more than any walk reads */
    REGION_LOG2 = 15,     /* pages a region of `prepared` */
    LINES_AHEAD = 16,     /* sets of the modelled caches are prefetched so many lines ahead */
    AT_HAND_WORDS = 4096, /* a modelled cache of fewer words stays in the processor's own first level */
    HINTS_LOG2 = 12,      /* remembered leaf tables, see `struct hint` */
    FAR_AHEAD = 24,       /* touches */
    NEAR_AHEAD = 12,
};

struct prepared_region {
    uint64_t key;
    uint64_t bit[1u << (REGION_LOG2 - 6)];
};

/* Where the leaf table for an address probably is in our own memory. Only ever used to prefetch: a wrong hint costs time, not exactness, and
 * simulated memory is never unmapped while an engine lives, so reading through an old hint is safe. */
struct hint {
    uint64_t key; /* address >> 21, plus 1 */
    const uint64_t *table;
};

struct kernel {
    struct replay *p;
    struct machine *m;
    const struct nw_config *c;
    struct nw_result *r;
    uint64_t space;    /* present address space of non-global entries */
    bool exact_filter; /* L1 arrays are not shared by the classes */
    bool irregular;    /* something was removed or refused: the filter no longer holds */

    struct packed_tlb tlb[NW_TLB_ARRAYS_MAX];
    struct {
        struct packed_tlb *array[NW_TLB_ARRAYS_MAX];
        unsigned count;
    } looks[2][LEVELS_OF_TLB];
    struct kernel_home { /* as replay.home */
        struct packed_tlb *array;
        unsigned size;
    } home[2][LEVELS_OF_TLB][3];

    struct packed_assoc psc_guest[NW_PSC_LEVELS], psc_nested[NW_PSC_LEVELS], nested_tlb;
    unsigned psc_count[2]; /* PSCs that exist, by dimension, and which they are, the PDE cache first */
    uint8_t psc_index[2][NW_PSC_LEVELS];
    bool refill; /* the nested TLB has an entry for the last GPA asked for, but one that did not serve */
    struct packed_lines cache[NW_CACHES_MAX];

    uint32_t *which; /* numbers of lines on their way through the caches */
    uint8_t *found;  /* by line number: the cache that had it */
    uint64_t *line;  /* emitted, waiting */
    unsigned line_count;
    struct waiting_walk {
        uint32_t end; /* of its lines */
        enum walk_purpose { WALK_MISS, WALK_ASSIST, WALK_PREFETCH } purpose;
    } * walk;
    unsigned walk_count;
    uint64_t guest_references, nested_references; /* of the walk under way */

    struct hint *hint[2]; /* by dimension */

    struct prepared_region **region; /* open addressing by page >> REGION_LOG2 */
    size_t region_capacity, region_used;
    struct prepared_region *last_region;
};

/* ---- stage 4: the caches ---- */

NW_INLINE void book_cycles(struct kernel *k, enum walk_purpose purpose, uint64_t cycles)
{
    if (NW_LIKELY(purpose == WALK_MISS))
        book_walk(k->r, cycles);
    else if (purpose == WALK_ASSIST)
        k->p->assist_cycles += cycles;
}

NW_INLINE uint64_t *set_of_line(const struct packed_lines *cache, uint64_t line)
{
    return cache->line + packed_mod(&cache->sets, line) * cache->lanes;
}

/* One cache: of the lines whose numbers are in which[0..count), those that miss are left there, in order. Returns how many. */
NW_INLINE uint32_t pass_cache(struct kernel *k, size_t level, uint32_t count, unsigned lanes)
{
    const struct packed_lines *cache = &k->cache[level];
    const bool far = cache->sets.divisor * cache->lanes >= AT_HAND_WORDS;
    uint32_t missed = 0, *which = k->which;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t number = which[i];
        uint64_t line = k->line[number], evicted;
        if (far && i + LINES_AHEAD < count) {
            const uint64_t *set = set_of_line(cache, k->line[which[i + LINES_AHEAD]]);
            for (unsigned lane = 0; lane < lanes; lane += PACKED_LANES)
                NW_PREFETCH(set + lane);
        }
        int hit = packed_touch(set_of_line(cache, line), lanes, cache->ways, line, &evicted);
        k->found[number] = (uint8_t)level; /* of a miss: overwritten by the next cache, or by settle_lines */
        which[missed] = number;
        missed += !hit;
    }
    k->r->cache[level].hits += count - missed;
    k->r->cache[level].misses += missed;
    return missed;
}

/* Each cache sees the same lines in the same order as if every line had gone through all of them before the next, because none hears of
 * another. */
static NW_NOINLINE void settle_lines(struct kernel *k)
{
    const struct nw_config *c = k->c;
    uint64_t latency[NW_CACHES_MAX + 1];
    size_t level = c->walker.first_cache, end = c->cache_count;
    uint32_t left = k->line_count;
    for (uint32_t i = 0; i < left; i++)
        k->which[i] = i;
    for (; level < end; level++) {
        latency[level] = c->cache[level].latency_cycles + c->walker.level_cycles;
        unsigned lanes = k->cache[level].lanes; /* the common shapes as constants */
        left = lanes == 8    ? pass_cache(k, level, left, 8)
               : lanes == 16 ? pass_cache(k, level, left, 16)
                             : pass_cache(k, level, left, lanes);
    }
    latency[end] = c->memory.dram_latency_cycles + c->walker.level_cycles;
    for (uint32_t i = 0; i < left; i++)
        k->found[k->which[i]] = (uint8_t)end;
    k->r->memory_references += left;
    uint32_t i = 0;
    for (unsigned w = 0; w < k->walk_count; w++) {
        uint64_t cycles = 0;
        for (; i < k->walk[w].end; i++)
            cycles += latency[k->found[i]];
        book_cycles(k, k->walk[w].purpose, cycles);
    }
    k->line_count = k->walk_count = 0;
}

/* ---- stage 3: the walk and its hooks ---- */

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
    k->line[k->line_count++] = reference->hpa.v >> NW_LINE_LOG2;
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

NW_INLINE void hook_start(void *context, enum nw_dimension d, uint64_t address, struct nw_walk_start *start)
{
    struct kernel *k = context;
    struct packed_assoc *psc = d == NW_GUEST ? k->psc_guest : k->psc_nested;
    struct nw_hitmiss *count = d == NW_GUEST ? k->r->psc_guest : k->r->psc_nested;
    for (unsigned n = 0; n < k->psc_count[d]; n++) {
        unsigned i = k->psc_index[d][n];
        if (i >= start->level)
            return;
        const struct packed_entry *hit = assoc_lookup(&psc[i], psc_number(i, address), psc_tag(k, d, i, address));
        if (!hit) {
            count[i].misses++;
            continue;
        }
        count[i].hits++;
        *start = (struct nw_walk_start){ .level = (uint8_t)i,
                                         .table_known = hit->d & 1,
                                         .table_writable = hit->d & 2,
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
                               (next->table_known ? 1u : 0u) | (next->table_writable ? 2u : 0u) };
}

NW_INLINE uint64_t nested_tag(uint64_t gpa, unsigned size) { return gpa >> size_log2[size] << 2 | size; }

NW_INLINE bool hook_nested_lookup(void *context, gpa_t gpa, const struct nw_nested_request *q,
                                  struct nw_nested_translation *out)
{
    struct kernel *k = context;
    if (!k->nested_tlb.entries || (q->final && k->c->nested_tlb_tables_only))
        return false;
    for (unsigned left = k->nested_tlb.present; left; left &= left - 1) {
        unsigned size = (unsigned)__builtin_ctz(left);
        const struct packed_entry *hit =
            assoc_lookup(&k->nested_tlb, gpa.v >> size_log2[size], nested_tag(gpa.v, size));
        if (!hit)
            continue;
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

NW_INLINE void walk(struct kernel *k, uint64_t gva, uint8_t kind, enum walk_purpose purpose, struct nw_walk_result *w)
{
    struct nw_access access = access_of(kind);
    struct nw_result *r = k->r;
    k->guest_references = k->nested_references = 0;
    if (k->m->hw_nested)
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
    k->walk[k->walk_count++] = (struct waiting_walk){ k->line_count, purpose };
    if (k->line_count > LINES_MAX - LINES_A_WALK || k->walk_count == LINES_MAX)
        settle_lines(k);
}

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
    k->last_region = k->region[at];
    return NW_OK;
}

static NW_NOINLINE void forget(struct kernel *k);

NW_INLINE enum nw_status prepare(struct kernel *k, uint64_t page, uint64_t gva, uint8_t kind, struct nw_error *err)
{
    enum nw_status s;
    if (k->m->shadow)
        return NW_OK;
    if (!k->m->traced) {
        uint64_t key = page >> REGION_LOG2;
        if (NW_UNLIKELY(!k->last_region || k->last_region->key != key) && (s = find_region(k, key, err)))
            return s;
        uint64_t *bits = &k->last_region->bit[page >> 6 & ((1u << (REGION_LOG2 - 6)) - 1)], bit = UINT64_C(1)
                                                                                                  << (page & 63);
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
    for (uint64_t *order = a->order, *end = order + a->sets.divisor * a->lanes; a->entries && order < end;
         order += a->lanes)
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
            region->bit[page >> 6 & ((1u << (REGION_LOG2 - 6)) - 1)] &= ~(UINT64_C(1) << (page & 63));
    }
}

static NW_NOINLINE void forget(struct kernel *k)
{
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
            if (found == LOOKUP_NEEDS_DIRTY) {
                set_dirty(k, page);
                return NW_OK;
            }
            struct translation t = { size_class(w.page_log2), rights_of(w.rights),
                                     w.rights & NW_RIGHT_GLOBAL ? GLOBAL_SPACE : k->space };
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

/* Stops at the first touch that is not canonical; returns how many were taken. */
static uint32_t take_flat_two_levels(struct kernel *k, const struct nw_touch *touch, uint32_t count)
{
    struct replay *p = k->p;
    struct packed_tlb *l1 = k->looks[0][0].array[0], *l2 = k->looks[0][1].array[0];
    const unsigned bits = k->m->guest.input_bits, lanes1 = l1->lanes, lanes2 = l2->lanes, ways1 = l1->ways,
                   ways2 = l2->ways;
    const struct packed_modulus sets1 = l1->sets, sets2 = l2->sets;
    uint64_t hits1 = 0, hits2 = 0, misses = 0, out1 = 0, out2 = 0, *const words1 = l1->word, *const words2 = l2->word;
    const uint64_t space = k->space;
    uint32_t i = 0;
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
    k->r->walks.references_guest += misses * p->flat.references_guest;
    k->r->walks.references_nested += misses * p->flat.references_nested;
    k->r->walks.references += misses * (p->flat.references_guest + p->flat.references_nested);
    k->r->walks.count += misses;
    k->r->walks.cycles += misses * p->flat_cycles;
    k->r->walks.histogram[histogram_bucket(p->flat_cycles)] += misses;
    return i;
}

/* ---- stage 1: from a block's touches ---- */

#define NO_PAGE UINT64_MAX

NW_INLINE enum nw_status touch_one(struct kernel *k, uint64_t page, uint8_t kind, struct nw_error *err)
{
    return k->m->flat ? touch_flat(k, page, kind) : touch(k, page, kind, err);
}

/* The accesses [from, to) of a block one by one: the touches from number `t` on lie in that range, and an access without one is to its
 * class's present page, `page` at the beginning. */
static NW_NOINLINE enum nw_status expand(struct kernel *k, const struct nw_block *b, uint32_t from, uint32_t to,
                                         uint32_t t, const uint64_t page[2], struct nw_error *err)
{
    uint64_t at_page[2] = { page[0], page[1] };
    enum nw_status s = NW_OK;
    for (uint32_t i = from; !s && i < to; i++) {
        uint8_t kind = nw_block_kind(b, i);
        unsigned class = nw_kind_type(kind) == NW_FETCH;
        bool touched = t < b->touch_count && b->touch[t].at == i;
        if (!touched || (b->touch[t].kind & NW_TOUCH_UPPER))
            s = touch_one(k, at_page[class], kind, err);
        for (; !s && t < b->touch_count && b->touch[t].at == i; t++)
            s = touch_one(k, at_page[class] = b->touch[t].page, kind, err);
    }
    return s;
}

/* Accesses of a class among [from, to); each is one look-up, and one more when it crosses into the next page. */
static uint32_t accesses_of_class(const struct nw_block *b, unsigned class, uint32_t from, uint32_t to)
{
    if (!b->kind || !b->fetches || b->fetches == b->access_count)
        return class == (b->fetches != 0) ? to - from : 0;
    uint32_t fetches = 0;
    for (uint32_t i = from; i < to; i++)
        fetches += (b->kind[i] & NW_KIND_TYPE) == NW_FETCH;
    return class ? fetches : to - from - fetches;
}

/* The accesses that the filter dropped are hits of the L1 array that holds their page. Where a class has one L1 array, that is known
 * at the end of a stretch: all its accesses but those that came as touches. */
static void book_dropped(struct kernel *k, const struct nw_block *b, uint32_t from, uint32_t to,
                         const uint32_t touched[2])
{
    for (unsigned class = 0; class < 2; class ++)
        if (k->looks[class][0].count == 1)
            k->looks[class][0].array[0]->hits += accesses_of_class(b, class, from, to) - touched[class];
}

/* With several L1 arrays: the accesses [from, to) that came as no touches hit the array that has their class's page. To be booked before
 * anything can remove the page from there. `lower` is the class of an access at `to` whose lower page was dropped, or -1. */
static void book_dropped_by_array(struct kernel *k, const struct nw_block *b, uint32_t from, uint32_t to,
                                  const uint64_t page[2], int lower)
{
    for (unsigned class = 0; class < 2; class ++) {
        if (page[class] == NO_PAGE || k->looks[class][0].count == 1)
            continue;
        uint32_t count = accesses_of_class(b, class, from, to) + (lower == (int)class);
        for (unsigned i = 0; count && i < k->looks[class][0].count; i++)
            if (tlb_peek(k->looks[class][0].array[i], page[class], k->space).set) {
                k->looks[class][0].array[i]->hits += count;
                break;
            }
    }
}

/* Touches [t, end), which lie in accesses [from, to) between two events. */
static enum nw_status take_stretch(struct kernel *k, const struct nw_block *b, uint32_t from, uint32_t to, uint32_t t,
                                   uint32_t end, struct nw_error *err)
{
    uint64_t page[2] = { NO_PAGE, NO_PAGE };
    uint32_t touched[2] = { 0, 0 };
    enum nw_status s;
    if (!k->exact_filter)
        return expand(k, b, from, to, t, page, err);
    k->irregular = false;
    if (t < end && !b->crosses_page && flat_two_levels(k, b)) {
        touched[0] = take_flat_two_levels(k, b->touch + t, end - t);
        uint32_t stop = touched[0] == end - t ? to : b->touch[t + touched[0]].at;
        book_dropped(k, b, from, stop, touched);
        return stop == to ? NW_OK : expand(k, b, stop, to, t + touched[0], page, err);
    }
    const bool by_array = k->looks[0][0].count > 1 || k->looks[1][0].count > 1;
    for (uint32_t booked = from;; t++) {
        if (by_array) {
            uint32_t upto = t < end ? b->touch[t].at : to;
            bool lower_dropped = t < end && (b->touch[t].kind & NW_TOUCH_UPPER) && booked <= upto;
            if (booked < upto || lower_dropped)
                book_dropped_by_array(k, b, booked, upto > booked ? upto : booked, page,
                                      lower_dropped ? nw_kind_type((uint8_t)b->touch[t].kind) == NW_FETCH : -1);
            booked = upto + 1;
        }
        if (t == end)
            break;
        const struct nw_touch *x = &b->touch[t];
        uint8_t kind = (uint8_t)x->kind;
        unsigned class = nw_kind_type(kind) == NW_FETCH;
        /* Look-ups that came as touches, less the second look-up that a crossing access adds to its first. */
        touched[class] += !(x->kind & NW_TOUCH_UPPER);
        if (!k->m->flat)
            look_ahead(k, x, end - t);
        if ((s = touch_one(k, x->page, kind, err)))
            return s;
        page[class] = x->page;
        if (NW_UNLIKELY(k->irregular) && (t + 1 == end || b->touch[t + 1].at != x->at)) {
            book_dropped(k, b, from, x->at + 1, touched);
            return expand(k, b, x->at + 1, to, t + 1, page, err);
        }
    }
    book_dropped(k, b, from, to, touched);
    return NW_OK;
}

static enum nw_status kernel_take(void *state, const struct nw_block *b, struct nw_error *err)
{
    struct kernel *k = state;
    uint32_t from = 0, t = 0;
    enum nw_status s;
    for (uint32_t next = 0;; next++) {
        uint32_t to = next < b->event_count ? b->event[next].at : b->access_count, end = t;
        if (to == b->access_count)
            end = b->touch_count;
        else
            while (end < b->touch_count && b->touch[end].at < to)
                end++;
        if (to > from && (s = take_stretch(k, b, from, to, t, end, err)))
            return s;
        from = to;
        t = end;
        if (next == b->event_count)
            break;
        if ((s = machine_event(k->m, &b->event[next], err)))
            return s;
        if (k->m->pending_count)
            forget(k);
        k->space = k->m->pcid;
    }
    if (k->walk_count)
        settle_lines(k);
    return NW_OK;
}

/* ---- life cycle ---- */

static void assoc_fini(struct packed_assoc *a)
{
    free(a->order);
    free(a->entry);
    policy_fini(&a->policy);
}

static void kernel_destroy(void *state)
{
    struct kernel *k = state;
    for (size_t i = 0; i < NW_TLB_ARRAYS_MAX; i++) {
        free(k->tlb[i].word);
        policy_fini(&k->tlb[i].policy);
    }
    for (unsigned i = 0; i < NW_PSC_LEVELS; i++) {
        assoc_fini(&k->psc_guest[i]);
        assoc_fini(&k->psc_nested[i]);
    }
    assoc_fini(&k->nested_tlb);
    for (size_t i = 0; i < NW_CACHES_MAX; i++)
        free(k->cache[i].line);
    for (size_t i = 0; i < k->region_capacity; i++)
        free(k->region[i]);
    free(k->region);
    free(k->hint[0]);
    free(k->hint[1]);
    free(k->line);
    free(k->walk);
    free(k->which);
    free(k->found);
    free(k);
}

/* `count` words, EMPTY, aligned for whole-register access. */
static uint64_t *empty_words(uint64_t count)
{
    uint64_t *words = aligned_alloc(64, count * sizeof *words);
    if (words)
        memset(words, 0xff, count * sizeof *words);
    return words;
}

static enum nw_status make_assoc(struct packed_assoc *a, const char *name, const struct nw_psc_config *c, uint64_t seed,
                                 struct nw_error *err)
{
    if (!c->entries)
        return NW_OK;
    uint64_t sets = c->ways ? c->entries / c->ways : 1;
    a->entries = (unsigned)c->entries;
    a->ways = (unsigned)(c->entries / sets);
    a->lanes = packed_lanes(a->ways);
    a->lru = c->policy == NW_TLB_LRU;
    a->sets = packed_modulus_of(sets);
    a->order = empty_words(sets * a->lanes);
    a->entry = calloc(c->entries, sizeof *a->entry);
    if (!a->order || !a->entry)
        return nw_fail_nomem(err, "a modelled walk cache");
    for (uint64_t set = 0; set < sets; set++)
        for (unsigned i = 0; i < a->ways; i++)
            a->order[set * a->lanes + i] = TAG_EMPTY << SLOT_BITS | i;
    return policy_init(&a->policy, c->policy, sets, a->ways, nw_rng_for(seed, name), err);
}

static enum nw_status make_tlb(struct kernel *k, size_t i, struct nw_error *err)
{
    const struct nw_tlb_config *c = &k->c->tlb[i];
    struct packed_tlb *t = &k->tlb[i];
    char name[NW_NAME_MAX + 8] = "tlb.";
    uint64_t sets = c->entries / c->ways;
    t->ways = (unsigned)c->ways;
    t->lanes = packed_lanes(c->ways);
    t->lru = c->policy == NW_TLB_LRU;
    t->sets = packed_modulus_of(sets);
    t->word = empty_words(sets * t->lanes);
    if (!t->word)
        return nw_fail_nomem(err, "a modelled TLB");
    enum nw_status s =
        policy_init(&t->policy, c->policy, sets, c->ways, nw_rng_for(k->c->seed, strcat(name, c->name)), err);
    if (s)
        return s;
    for (unsigned class = 0; class < 2; class ++)
        if (k->p->looks[class][i]) {
            unsigned level = (unsigned)c->level - 1, n = k->looks[class][level].count++;
            k->looks[class][level].array[n] = t;
        }
    /* Under SRRIP a second touch changes the prediction; a prefetch into the first level can displace what was just touched. */
    if (c->level == 1 && (c->class == NW_TLB_UNIFIED || c->policy == NW_TLB_SRRIP ||
                          (k->p->levels == 1 && k->c->walker.prefetch != NW_PREFETCH_NONE)))
        k->exact_filter = false;
    return NW_OK;
}

static enum nw_status kernel_create(struct replay *replay, void **state, struct nw_error *err)
{
    static const char *const guest_name[] = { "guest_pde", "guest_pdpte", "guest_pml4e", "guest_pml5e" },
                             *const nested_name[] = { "nested_pde", "nested_pdpte", "nested_pml4e", "nested_pml5e" };
    const struct nw_config *c = replay->config;
    struct kernel *k = calloc(1, sizeof *k);
    if (!k)
        return nw_fail_nomem(err, "the replay engine");
    *k = (struct kernel){
        .p = replay, .m = &replay->m, .c = c, .r = replay->r, .space = replay->m.pcid, .exact_filter = true
    };
    enum nw_status s = NW_OK;
    for (size_t i = 0; !s && i < c->tlb_count; i++)
        s = make_tlb(k, i, err);
    for (unsigned i = 0; !s && i < NW_PSC_LEVELS; i++)
        if (!(s = make_assoc(&k->psc_guest[i], guest_name[i], &c->psc_guest[i], c->seed, err)))
            s = make_assoc(&k->psc_nested[i], nested_name[i], &c->psc_nested[i], c->seed, err);
    for (unsigned class = 0; class < 2; class ++)
        for (unsigned level = 0; level < replay->levels; level++)
            for (unsigned size = 0; size < 3; size++) {
                struct tlb_home home = replay->home[class][level][size];
                k->home[class][level][size] = (struct kernel_home){ &k->tlb[home.array], home.size };
            }
    for (unsigned i = 0; i < NW_PSC_LEVELS; i++) {
        if (k->psc_guest[i].entries)
            k->psc_index[NW_GUEST][k->psc_count[NW_GUEST]++] = (uint8_t)i;
        if (k->psc_nested[i].entries)
            k->psc_index[NW_NESTED][k->psc_count[NW_NESTED]++] = (uint8_t)i;
    }
    if (!s)
        s = make_assoc(&k->nested_tlb, "nested_tlb", &c->nested_tlb, c->seed, err);
    for (size_t i = 0; !s && i < c->cache_count; i++) {
        struct packed_lines *lines = &k->cache[i];
        uint64_t sets = c->cache[i].size_bytes / (64 * c->cache[i].ways);
        lines->ways = (unsigned)c->cache[i].ways;
        lines->lanes = packed_lanes(lines->ways);
        lines->sets = packed_modulus_of(sets);
        if (!(lines->line = empty_words(sets * lines->lanes)))
            s = nw_fail_nomem(err, "a modelled cache");
    }
    k->line = malloc(LINES_MAX * sizeof *k->line);
    k->walk = malloc(LINES_MAX * sizeof *k->walk);
    k->which = malloc(LINES_MAX * sizeof *k->which);
    k->found = malloc(LINES_MAX * sizeof *k->found);
    for (unsigned d = 0; d < 2; d++)
        k->hint[d] = calloc(1u << HINTS_LOG2, sizeof *k->hint[d]);
    if (!s && (!k->line || !k->walk || !k->which || !k->found || !k->hint[0] || !k->hint[1]))
        s = nw_fail_nomem(err, "the replay engine");
    if (s)
        kernel_destroy(k);
    else
        *state = k;
    return s;
}

static void kernel_finish(void *state)
{
    struct kernel *k = state;
    for (size_t i = 0; i < k->c->tlb_count; i++) {
        k->r->tlb[i].hits = k->tlb[i].hits;
        k->r->tlb[i].misses = k->tlb[i].misses;
        k->r->tlb[i].evictions = k->tlb[i].evictions;
        k->r->tlb[i].invalidated = k->tlb[i].invalidated;
    }
}

extern const struct engine JOIN(engine_fast_, NW_ISA);
const struct engine JOIN(engine_fast_, NW_ISA) = { .want = NW_WANT_TOUCHES,
                                                   .create = kernel_create,
                                                   .take = kernel_take,
                                                   .finish = kernel_finish,
                                                   .destroy = kernel_destroy };
