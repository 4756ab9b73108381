/* sample.h - a replay of chosen windows of a trace, for traces that are too long to be replayed: each figure with an interval.
 *
 *     struct nw_sample_options o;
 *     struct nw_sample_result r;
 *     nw_sample_defaults(&config, &o);
 *     o.windows = 200;
 *     if ((s = nw_sample(source, &config, &o, NULL, &r, err))) return s;
 *     ... nw_sample_find(&r, "walks.count")->low ... high ...
 *     nw_sample_result_fini(&r);
 *
 * Which windows. The trace's beginning is replayed as it is and counted exactly: there the machine really is cold. What comes after it is cut
 * into windows of equal length and these into as many strata as windows are asked for; one window of each stratum is taken at random
 * (stratified sampling; Wunderlich, Wenisch, Falsafi and Hoe, "SMARTS: Accelerating Microarchitecture Simulation via Rigorous
 * Statistical Sampling", ISCA 2003, take one at a fixed distance). Accesses before each window warm the machine and are not counted.
 *
 * What is skipped. Accesses only: every event (table write, load of a control register, invalidation) is applied and counted, and so is an access that a
 * recorded page fault follows. So a traced guest's tables are at each window what they are in a full replay, but for A and D flags. Exits and
 * faults that events and such accesses make are counted exactly.
 *
 * Two errors, both in the interval.
 *   - Chance: a figure's total is the sum over strata of the window's count times the stratum's length in windows. Its variance is
 *     estimated from the differences of neighbouring strata, and as if there were no strata; the larger counts. The interval is Student's, for
 *     95 %, widened for skewness; and never less than what a Poisson count of that size would have, or bursts in so many windows.
 *   - Cold start: TLBs and caches are empty after a skip. An access to a page that is new since then misses, where in a full replay
 *     it might have hit. So each window is counted twice: as replayed (the high end), and with whatever is not known to be a miss or a reference
 *     to memory taken for a hit (the low end). It is known where so many pages went through the set since that LRU holds nothing older. Lower and upper
 *     end of the interval belong to the low and the high count, and the estimate is the middle of the two.
 *
 * Not modelled: the order of second-level entries under pages whose first-level outcome is not known; policies other than LRU are taken to have
 * forgotten everything after KEPT_FILLS times as many fills as there are ways (SRRIP: never). */
#ifndef NESTWALK_SIM_SAMPLE_H
#define NESTWALK_SIM_SAMPLE_H

#include <nestwalk/sim/replay.h>

enum { NW_SAMPLE_WINDOWS_MIN = 30, NW_SAMPLE_WINDOWS_MAX = 100000, NW_SAMPLE_WINDOWS_DEFAULT = 100 };
#define NW_SAMPLE_ACCESSES_MAX (UINT64_C(1) << 40) /* of a window, and of its warming */

struct nw_sample_options {
    uint64_t windows;         /* NW_SAMPLE_WINDOWS_MIN to _MAX; 0: as many as measure `fraction` */
    double fraction;          /* above 0 to 1: of the accesses after the beginning */
    uint64_t window_accesses; /* 1 to NW_SAMPLE_ACCESSES_MAX */
    uint64_t warm_accesses;   /* 0 to NW_SAMPLE_ACCESSES_MAX */
};

struct nw_sample_figure {
    char path[64]; /* as in the result JSON: "tlb.l2.misses" */
    const char *unit;
    double estimate, low, high;
};

struct nw_sample_result {
    struct nw_config config; /* what was run, with provenance */
    uint64_t windows;        /* measured after the beginning; 0: everything was measured, and every figure is exact */
    uint64_t window_accesses, warm_accesses;
    struct {
        uint64_t total, fetch, load, store;
    } accesses;                                    /* of the trace, exact */
    uint64_t measured_accesses, replayed_accesses; /* replayed: measured, or to warm */
    struct nw_sample_figure *figure;               /* owned */
    size_t figure_count;
    double seconds; /* processor time, decoding included */
};

/* 100 windows of 10,000 accesses, and 16 accesses to warm for each entry of the largest TLB array. */
void nw_sample_defaults(const struct nw_config *config, struct nw_sample_options *o);
/* NW_ERR_USAGE for options out of range, a source that does not know its length, and what cannot be sampled: modes in which what an event costs
 * depends on the accesses before it (shadow, agile, direct), page policy thp, fidelity full, the stale-translation detector. Chosen
 * windows follow config->seed. Otherwise as nw_replay(). */
enum nw_status nw_sample(struct nw_source *source, const struct nw_config *config,
                         const struct nw_sample_options *options, const struct nw_replay_hooks *hooks,
                         struct nw_sample_result *out, struct nw_error *err) NW_MUST_USE;
/* NULL when there is none. */
const struct nw_sample_figure *nw_sample_find(const struct nw_sample_result *r, const char *path);
void nw_sample_result_fini(struct nw_sample_result *r);

#endif
