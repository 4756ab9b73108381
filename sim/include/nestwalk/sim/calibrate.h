/* calibrate.h - what the model says of the chases of measure.h, and a machine profile fitted to them.
 *
 *     struct nw_chase_world *w;
 *     if ((s = nw_chase_world_create(&w, &measurement, process, err))) return s; // the guest's tables, with its real frames
 *     s = nw_chase_predict(w, &config, chase, &counts, err);                     // replays the chase on that machine
 *     cycles = nw_chase_cycles(&config, &counts);
 *     nw_chase_world_destroy(w);
 *
 *     s = nw_calibrate(&measurement, &config, &fit, &options, err);   // config: from the start values to the fitted ones
 *
 * The chase is replayed by the reference engine at fidelity full, over guest page tables in which each page has the frame that pagemap
 * reported. MODEL: which frames Linux made page tables of is known where /proc/kpageflags can be read, but not which table is where: they are
 * taken in ascending order. Without that they lie in frames of their own, one after the other, as Linux keeps them apart from the pages of
 * programs. Host frames are not known. */
#ifndef NESTWALK_SIM_CALIBRATE_H
#define NESTWALK_SIM_CALIBRATE_H

#include <nestwalk/sim/config.h>
#include <nestwalk/sim/measure.h>

struct nw_chase_world;
enum nw_status nw_chase_world_create(struct nw_chase_world **out, const struct nw_measurement *m, uint32_t process,
                                     struct nw_error *err) NW_MUST_USE;
void nw_chase_world_destroy(struct nw_chase_world *w);

/* What happened in a replay once the chase was warm; each number is for one access. Where lines were found: by cache of the
 * configuration, and behind the last cache DRAM. */
struct nw_chase_counts {
    double tlb[NW_TLB_ARRAYS_MAX], walks, references;
    double references_nested; /* of these, in tables of the second stage */
    double table_line[NW_CACHES_MAX + 1], data_line[NW_CACHES_MAX + 1];
};
enum nw_status nw_chase_predict(const struct nw_chase_world *w, const struct nw_config *config, size_t chase,
                                struct nw_chase_counts *out, struct nw_error *err) NW_MUST_USE;
/* Cycles an access, at the configuration's latencies. */
double nw_chase_cycles(const struct nw_config *config, const struct nw_chase_counts *counts);

/* Of these, the cycles of page walks: what is left are data and hits in TLBs. */
double nw_chase_walk_cycles(const struct nw_config *config, const struct nw_chase_counts *counts);

/* Where a chase's translations are answered, by the counts: the regime that most accesses are in. */
enum nw_regime {
    NW_REGIME_L1_TLB,
    NW_REGIME_L2_TLB,
    NW_REGIME_WALK_IN_CACHE,
    NW_REGIME_WALK_IN_MEMORY, /* at least one reference in ten walks goes to DRAM */
    NW_REGIMES
};
extern const char *const nw_regime_name[NW_REGIMES];
enum nw_regime nw_chase_regime(const struct nw_config *config, const struct nw_chase_counts *counts);

/* ---- fitting ---- */

enum { NW_FIT_VALUES = 32, NW_FIT_POINTS = 128 };
struct nw_fit {
    struct nw_fit_value {
        char path[64], value[32];
        double low,
            high; /* values that raise the error on the calibration set by less than a tenth; equal: none but this one was tried */
    } value[NW_FIT_VALUES];
    size_t value_count;
    double
        error_percent; /* mean absolute, over the calibration set; points weigh as the inverse of their spread over processes */
    /* What is left between the calibration set and the fit, in cycles an access. */
    struct nw_fit_point {
        size_t chase;
        double measured, fitted;
        struct nw_chase_counts counts;
    } point[NW_FIT_POINTS];
    size_t points;
    bool nested;     /* there is a second dimension: a hypervisor is above */
    bool splintered; /* and it backs the guest with 4 KiB pages */
};
struct nw_calibrate_options {
    bool nested; /* a hypervisor is above */
    bool frozen; /* nothing is fitted: *config is judged as it is */
    bool (*progress)(void *context, uint64_t done, uint64_t total);
    void *context;
};

/* Fits *config, whose values are where the search begins, to the chases of the calibration set as the processes of NW_PART_FIT
 * measured them, with the frames of the first. Fitted values get the source "measured by nestwalk validate, ..." with their spread. NW_ERR_USAGE: *config lacks
 * a data TLB or a cache; NW_ERR_INPUT: no chase of the calibration set was measured. */
enum nw_status nw_calibrate(const struct nw_measurement *m, struct nw_config *config, struct nw_fit *fit,
                            const struct nw_calibrate_options *options, struct nw_error *err) NW_MUST_USE;

/* The models that ours is held against, out of the fitted one. Textbook: latencies as a packed chase gives them, true LRU everywhere, a
 * second-stage PDE cache that never misses, the last-level cache whole as CPUID names it (`start`). One-dimensional: the guest's walk alone. */
enum nw_status nw_calibrate_textbook(const struct nw_measurement *m, const struct nw_config *start,
                                     const struct nw_config *fitted, struct nw_config *out,
                                     struct nw_error *err) NW_MUST_USE;
enum nw_status nw_calibrate_one_dimensional(const struct nw_config *fitted, struct nw_config *out,
                                            struct nw_error *err) NW_MUST_USE;

#endif
