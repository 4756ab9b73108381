/* engine.h - private to sim/: what the two replay engines share. The rules below are the model; each engine implements them, and a test
 * holds the engines against each other counter for counter.
 *
 * One touch (an access, or each of the two pages of an access that crosses):
 *   1. TLB levels are looked up in order. At a level, the access looks in every array of its class. A hit at level n copies the
 *      translation into levels 1..n-1. Hits count in the array that answered. A level that does not answer counts one miss, in the array
 *      where that level keeps a translation of the size found in the end (without one: where it keeps 4 KiB pages).
 *   2. An entry that does not permit the access is dropped from all arrays (counted under `invalidated`) and the look-up counts as a miss.
 *      An entry that permits it but lacks D for a store is a hit, followed by a *dirty assist*: the tables are walked for the
 *      store, and D is set in every array that holds the page.
 *   3. A miss of the last level is a walk. Before it machine_prepare(). On success every level gets the translation, the last level first.
 *      A level that cannot hold its page size keeps the largest piece that it can hold.
 *   4. A fault goes to machine_fault(); after FAULT_RETRY everything starts again from 1.
 *   5. With walker.prefetch = next-page, a successful walk of 3 (not an assist) is followed by one for the page after, of the same
 *      size, unless the last level's array for that size has it. It reads as the same kind of access (a load for a store), makes no page
 *      fault and maps nothing; what it finds goes into the last level only, and its cycles are nobody's.
 * A non-canonical address is given up before 1.
 *
 * Paging-structure caches are asked from the PDE cache upwards; the first hit ends the search, and each cache asked counts a hit or a miss.
 * The nested TLB is asked for every guest-physical address that a walk has to translate (with nested_tlb.tables_only, but for the data's own).
 * Page-table references look their line up in the caches from walker.first_cache on; a miss fills every cache it passed. */
#ifndef NW_SIM_ENGINE_H
#define NW_SIM_ENGINE_H

#include "machine.h"

enum { ATTEMPTS_MAX = 64, LEVELS_OF_TLB = 4 };

/* Where a level keeps a translation of a size class. */
struct tlb_home {
    int8_t array; /* index into config.tlb */
    uint8_t size; /* the size class it is kept as */
};

struct replay {
    const struct nw_config *config;
    struct machine m;
    struct nw_result *r;
    unsigned levels;                           /* TLB levels */
    struct tlb_home home[2][LEVELS_OF_TLB][3]; /* [class: data, instruction][level - 1][size class] */
    bool looks[2][NW_TLB_ARRAYS_MAX];          /* accesses of this class look in this array */
    uint8_t smallest[2][3];                    /* the smallest size class any level keeps a translation as */
    struct flat_walk flat;
    uint64_t flat_cycles; /* of one flat walk */
    uint64_t flat_reference_cycles;
    uint64_t assist_cycles;
};

struct engine {
    unsigned want; /* enum nw_want */
    enum nw_status (*create)(struct replay *replay, void **state, struct nw_error *err);
    enum nw_status (*take)(void *state, const struct nw_block *block, struct nw_error *err);
    void (*finish)(void *state); /* counters kept outside the result go into it */
    void (*destroy)(void *state);
};
extern const struct engine engine_reference, engine_fast;

static inline unsigned histogram_bucket(uint64_t cycles)
{
    unsigned i = 0;
    while (cycles > nw_histogram_upper[i])
        i++;
    return i;
}

/* Whether some level keeps this walk's translation in pieces smaller than the guest's page. */
static inline void note_if_splintered(struct replay *p, unsigned class, uint64_t gva, const struct nw_walk_result *w)
{
    if (w->guest_page_log2 > NW_PAGE_LOG2 &&
        size_log2[p->smallest[class][size_class(w->page_log2)]] < w->guest_page_log2)
        machine_note_splintered(&p->m, gva, w->guest_page_log2);
}

static inline uint8_t prefetch_kind(uint8_t kind)
{
    return nw_kind_type(kind) == NW_STORE ? (uint8_t)((kind & ~NW_KIND_TYPE) | NW_LOAD) : kind;
}

/* Books a finished or faulted walk's latency. */
static inline void book_walk(struct nw_result *r, uint64_t cycles)
{
    r->walks.count++;
    r->walks.cycles += cycles;
    r->walks.histogram[histogram_bucket(cycles)]++;
}

#endif
