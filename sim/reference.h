/* reference.h - private to sim/: the naive engine, also what explain.c watches. */
#ifndef NW_SIM_REFERENCE_H
#define NW_SIM_REFERENCE_H

#include "engine.h"
#include <nestwalk/mmu/tlb.h>

struct line_cache { /* set-associative, true LRU by time stamps, or random */
    uint64_t sets, ways, clock;
    bool random, hashed;
    struct nw_rng rng;
    uint64_t *line, *used; /* [set * ways + way]; used 0 = empty */
};

struct reference_engine;
/* Told of each reference of a walk after it was made and priced. `found` is an index into config.cache, or -1: DRAM, or -2: fidelity tlb. */
typedef void (*reference_watch_fn)(void *context, const struct nw_reference *reference, int found, uint64_t cycles);
/* Told of each look-up in a PSC or in the nested TLB, before the references that it saves or does not save: `name` as in result paths; for a
 * PSC `level` is the next table read after a hit, for the nested TLB the guest level it is asked for. */
typedef void (*reference_lookup_fn)(void *context, enum nw_dimension dimension, uint64_t address, int level,
                                    const char *name, bool hit);

struct reference_engine {
    struct replay *p;
    struct nw_tlb tlb[NW_TLB_ARRAYS_MAX];
    struct nw_tlb psc_guest[NW_PSC_LEVELS], psc_nested[NW_PSC_LEVELS], nested_tlb;
    struct nw_tlb *guest_pde, *nested; /* which of these, or of tlb[], serves as such; NULL: none does */
    struct line_cache cache[NW_CACHES_MAX];
    uint64_t walk_cycles, *references, *references_guest,
        *references_nested; /* of the walk under way: where it counts */
    uint64_t ignored;
    uint64_t data_gva, data_hpa; /* the last address that was translated, plus 1, and to what */
    reference_watch_fn watch;
    reference_lookup_fn lookup;
    void *watch_context;
};

enum nw_status reference_create(struct replay *replay, void **state, struct nw_error *err) NW_MUST_USE;
void reference_destroy(void *state);
/* One walk with the engine's walk caches, counted by its purpose. */
enum walk_purpose { WALK_MISS, WALK_ASSIST, WALK_PREFETCH };
void reference_walk(struct reference_engine *e, gva_t gva, uint8_t kind, enum walk_purpose purpose,
                    struct nw_walk_result *result);
/* Applies and empties the machine's list of invalidations. */
void reference_forget(struct reference_engine *e);

#endif
