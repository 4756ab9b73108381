/* judge.h - measured against predicted, on chases and processes that nothing was fitted to.
 *
 *     struct nw_judgement j;
 *     if ((s = nw_judge(&measurement, &start, &options, &j, err))) return s; // fits on every other process, judges on the others
 *     j.holds, j.regime[i], j.point[i] ...
 *     nw_judgement_fini(&j);
 *
 * The same measurement gives the same judgement, so that a claim can be computed again from stored samples. */
#ifndef NESTWALK_SIM_JUDGE_H
#define NESTWALK_SIM_JUDGE_H

#include <nestwalk/sim/calibrate.h>

enum nw_judged_model { NW_JUDGED_OURS, NW_JUDGED_TEXTBOOK, NW_JUDGED_ONE_DIMENSION, NW_JUDGED_MODELS };

struct nw_judged_point {
    size_t chase;
    struct nw_chase_figure measured;
    double predicted[NW_JUDGED_MODELS]; /* cycles an access; the median over the processes that were predicted */
    enum nw_regime regime;
    struct nw_chase_counts counts; /* ours, in the last process */
    /* Of points at which at least NW_JUDGED_WALKS of the accesses walk, by our model (`walks`): cycles of walks an access. Measured: what is left of the
     * access when data and TLB hits are taken away as our model has them. */
    bool walks;
    struct nw_chase_figure walk_measured;
    double walk_predicted[NW_JUDGED_MODELS];
    char edge[48]; /* the capacity that its size is near ("the 64 entries of l1d"); "": none */
};
double nw_judged_error_percent(const struct nw_judged_point *p, enum nw_judged_model model); /* signed */

struct nw_judged_regime {
    char name[48], claim[128]; /* claim "": figures only */
    size_t points, excluded;   /* excluded: at a capacity edge */
    double median_error_percent[NW_JUDGED_MODELS], max_error_percent[NW_JUDGED_MODELS];
    size_t inside; /* predictions of ours within the measured range */
    bool holds;
};

/* What our model says of a quantity that processors count, an access; of references those of the first dimension, as the counters have it. */
double nw_judged_counted(const struct nw_judged_point *p, enum nw_counted quantity);

/* Of one such quantity over the points at which it was counted: how far apart counted and predicted are, as absolute differences an access. */
struct nw_judged_counter {
    size_t points; /* 0: counted at none */
    double median_difference, max_difference;
};

enum { NW_JUDGED_REGIMES = 8, NW_JUDGED_WALK_REGIMES = 8 };
#define NW_JUDGED_WALKS 0.9
struct nw_judgement {
    struct nw_config model[NW_JUDGED_MODELS];
    struct nw_fit fit;
    uint32_t fitted_processes, judged_processes, predicted_processes;
    struct nw_judged_point *point;
    size_t point_count;
    struct nw_judged_regime regime[NW_JUDGED_REGIMES];
    size_t regime_count;
    bool holds;
    /* The same of the cycles of walks: by where they are answered, by the guest's pages, and by references a walk. */
    struct nw_judged_regime walk_regime[NW_JUDGED_WALK_REGIMES];
    size_t walk_regime_count;
    bool walks_hold;
    struct nw_judged_counter counter[NW_COUNTED]; /* nothing is claimed of these */
};

struct nw_judge_options {
    bool nested; /* a hypervisor is above */
    bool frozen; /* nothing is fitted: `start` is judged as it is */
    const struct nw_config
        *textbook;      /* what the textbook model is made of: the processor as its documents have it; NULL: `start` */
    uint32_t predicted; /* judged processes to predict for, each with its own frames; 0: all */
    bool (*progress)(void *context, uint64_t done, uint64_t total);
    void *context;
};

/* `start`: the profile that the fit begins with. NW_ERR_INPUT: fewer than two processes, or nothing to judge; what nw_calibrate() returns. */
enum nw_status nw_judge(const struct nw_measurement *m, const struct nw_config *start,
                        const struct nw_judge_options *options, struct nw_judgement *out,
                        struct nw_error *err) NW_MUST_USE;
void nw_judgement_fini(struct nw_judgement *j);

#endif
