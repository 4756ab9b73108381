/* kernel.c - the fast engine. Compiled once for each instruction set (NW_ISA names it); isa.h says how one is chosen.
 *
 * Stages, over a block of touches (traces/block.h):
 *   1. filter   done by the source: accesses that cannot change any TLB are not even seen.
 *   2. TLB      levels in order, entries as packed words in recency order (structures.h).
 *   3. walk     the one walk template of mmu/, instantiated over the packed walk caches; it only *emits* the lines it reads.
 *      Where a page's walk is known to find what it found before, 2 goes ahead of 3 for many touches at once (stage_regular.h).
 *   4. caches   the emitted lines of many walks go through the modelled caches in one tight loop.
 *
 * Why it is exact, trick by trick:
 *   - Filter: touching the most recent entry of an L1 array again changes nothing, and permissions were judged for every kind of access seen
 *     since. It needs L1 arrays that data and fetches do not share, and nothing removed or refused in between. Where either does not hold, the
 *     rest of the stretch is done access by access (`expand`): the accesses dropped are known, they are those of the touch's page.
 *   - Caches last: the latency of a line never decides what a walk does next, so the lines can wait, in order.
 *   - prepare: a page of an imitation guest that was prepared once stays so until its range is invalidated (`prepared`).
 *   - Flat machines (nothing walked): entries differ in nothing but their page, so looking up and filling are one movement. */
#include "stage_regular.h"
#include <inttypes.h>
#include <sys/mman.h>

#define JOIN2(a, b) a##b
#define JOIN(a, b)  JOIN2(a, b)

/* ---- stage 1: from a block's touches ---- */

#define NO_PAGE UINT64_MAX

NW_INLINE enum nw_status touch_one(struct kernel *k, uint64_t page, uint8_t kind, struct nw_error *err)
{
    if (NW_UNLIKELY(k->alike.narrow))
        make_wide(k);
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
        if (k->regular.possible && !b->fetches)
            while (t < end) {
                uint32_t start = t;
                if ((s = take_regular(k, b->touch, &t, end, &touched[0], err)))
                    return s;
                if (t < end && t - start < REGULAR_WALKS_MAX)
                    break;
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

/* As take_stretch(), with the ends of intervals that lie in the stretch. Behind one, accesses are taken one by one: the filter knows of
 * none. */
static enum nw_status take_intervals(struct kernel *k, const struct nw_block *b, uint32_t from, uint32_t to, uint32_t t,
                                     uint32_t end, struct nw_error *err)
{
    uint64_t page[2] = { NO_PAGE, NO_PAGE };
    bool whole = true;
    enum nw_status s;
    while (from < to) {
        uint64_t first = b->first_access, due = k->m->next_interval;
        uint32_t stop = due >= first + to ? to : due > first + from ? (uint32_t)(due - first) : from, upto = t;
        while (upto < end && b->touch[upto].at < stop)
            upto++;
        if (from < stop &&
            (s = whole ? take_stretch(k, b, from, stop, t, upto, err) : expand(k, b, from, stop, t, page, err)))
            return s;
        whole &= from == stop;
        for (; t < upto; t++)
            page[(b->touch[t].kind & NW_KIND_TYPE) == NW_FETCH] = b->touch[t].page;
        from = stop;
        if (from == to)
            break;
        if ((s = machine_interval(k->m, first + from, err)))
            return s;
        if (k->m->pending_count)
            forget(k);
    }
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
        if (to > from && (s = k->m->next_interval < b->first_access + to ? take_intervals(k, b, from, to, t, end, err)
                                                                         : take_stretch(k, b, from, to, t, end, err)))
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
    free(a->ring);
    policy_fini(&a->policy);
}

static void kernel_destroy(void *state)
{
    struct kernel *k = state;
    for (size_t i = 0; i < NW_TLB_ARRAYS_MAX; i++) {
        free(k->tlb[i].word);
        free(k->tlb[i].narrow);
        policy_fini(&k->tlb[i].policy);
    }
    for (unsigned i = 0; i < NW_PSC_LEVELS; i++) {
        assoc_fini(&k->psc_guest[i]);
        assoc_fini(&k->psc_nested[i]);
    }
    assoc_fini(&k->nested_tlb);
    for (size_t i = 0; i < NW_CACHES_MAX; i++)
        free(k->cache[i].narrow), free(k->cache[i].wide);
    for (size_t i = 0; i < k->region_capacity; i++)
        free(k->region[i]);
    free(k->region);
    free(k->hint[0]);
    free(k->hint[1]);
    free(k->line);
    free(k->walk_end);
    free(k->walk_purpose);
    free(k->walk_cycles);
    free(k->missed);
    free(k->regular.chunk);
    free(k->regular.path[0]);
    free(k->regular.path[1]);
    free(k->regular.tables[0]);
    free(k->regular.tables[1]);
    free(k);
}

/* `count` words, EMPTY, aligned for whole-register access; of huge pages when they are many, since every access to them is a random one. */
static uint64_t *empty_words(uint64_t count)
{
    const size_t huge = (size_t)1 << NW_PAGE_2M_LOG2, least = (count * sizeof(uint64_t) + 63) / 64 * 64,
                 bytes = least < huge ? least : (least + huge - 1) / huge * huge;
    uint64_t *words = aligned_alloc(least < huge ? 64 : huge, bytes);
    if (words && bytes >= huge)
        madvise(words, bytes, MADV_HUGEPAGE);
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
    if (a->lru && sets == 1 && a->entries <= RING_ENTRIES_MAX) {
        a->entry = calloc(c->entries, sizeof *a->entry);
        a->ring = ring_create(a->entries);
        return a->entry && a->ring ? NW_OK : nw_fail_nomem(err, "a modelled walk cache");
    }
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
    t->sets_log2 = t->sets.mask ? (unsigned)__builtin_ctzll(sets) : 0;
    t->word = empty_words(sets * t->lanes);
    t->narrow = (uint32_t *)empty_words((sets * t->lanes + 1) / 2);
    if (!t->word || !t->narrow)
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
        /* The wide words are not touched until they are needed. */
        lines->narrow = (uint32_t *)empty_words((sets * lines->lanes + 1) / 2);
        lines->wide = aligned_alloc(64, sets * lines->lanes * sizeof *lines->wide);
        if (!lines->narrow || !lines->wide)
            s = nw_fail_nomem(err, "a modelled cache");
    }
    k->line = calloc(LINES_MAX + LINES_AHEAD, sizeof *k->line);
    k->walk_end = malloc(LINES_MAX * sizeof *k->walk_end);
    k->walk_purpose = malloc(LINES_MAX * sizeof *k->walk_purpose);
    k->missed = malloc(REGULAR_WALKS_MAX * sizeof *k->missed);
    k->walk_cycles = malloc(LINES_MAX * sizeof *k->walk_cycles);
    for (unsigned d = 0; d < 2; d++)
        k->hint[d] = calloc(1u << HINTS_LOG2, sizeof *k->hint[d]);
    if (!s &&
        (!k->line || !k->walk_end || !k->walk_purpose || !k->missed || !k->walk_cycles || !k->hint[0] || !k->hint[1]))
        s = nw_fail_nomem(err, "the replay engine");
    if (!s)
        s = regular_init(k, err);
    if (s)
        kernel_destroy(k);
    else
        *state = k;
    return s;
}

static void kernel_finish(void *state)
{
    struct kernel *k = state;
    book_walks_of(k);
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
