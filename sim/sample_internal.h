/* sample_internal.h - private to sim/: what the files of sampling share. sample.c replays, sample_figures.c makes intervals. */
#ifndef NW_SIM_SAMPLE_INTERNAL_H
#define NW_SIM_SAMPLE_INTERNAL_H

#include "replay_internal.h"
#include <nestwalk/sim/sample.h>

/* What is counted in each window. Figures are sums of these, with factors that are not negative. */
enum {
    COUNT_TLB_MISSES = 0,
    COUNT_TLB_HITS = COUNT_TLB_MISSES + NW_TLB_ARRAYS_MAX,
    COUNT_WALKS = COUNT_TLB_HITS + NW_TLB_ARRAYS_MAX,
    COUNT_REFERENCES,
    COUNT_REFERENCES_GUEST,
    COUNT_REFERENCES_NESTED,
    COUNT_WALK_CYCLES,
    COUNT_ASSIST_CYCLES,
    COUNT_NONCANONICAL,
    /* From here on those that events make too, and that are exact where these do. */
    COUNT_GUEST_PAGE_FAULTS,
    COUNT_OF_EVENTS = COUNT_GUEST_PAGE_FAULTS,
    COUNT_EPT_VIOLATIONS,
    COUNT_EPT_MISCONFIGURATIONS,
    COUNT_GUEST_FAULT_CYCLES,
    COUNT_EXITS,
    COUNT_EXIT_CYCLES = COUNT_EXITS + NW_EXIT_COUNT,
    COUNTS = COUNT_EXIT_CYCLES + NW_EXIT_COUNT
};

struct sample_window {
    double high[COUNTS], low[COUNTS]; /* as replayed, and with all that is unknown taken for hits */
    double stratum;                   /* windows in its stratum, this one included */
};

/* Everything from the sums: `fixed` is what was counted exactly. Fills out->figure. */
enum nw_status sample_figures(struct nw_sample_result *out, const double fixed[COUNTS],
                              const struct sample_window *window, size_t count, struct nw_error *err) NW_MUST_USE;
/* The same figures from a whole replay. */
enum nw_status sample_figures_exact(struct nw_sample_result *out, const struct nw_result *r,
                                    struct nw_error *err) NW_MUST_USE;

#endif
