/* exit_check.h - costs of exits on this machine, from one half of the virtual machines to the other.
 *
 *     struct nw_exit_check c;
 *     if ((s = nw_exit_check_run(&c, &options, err))) return s;
 *     c.holds, c.figure[NW_EXIT_COST_CPUID].held_out ... */
#ifndef NESTWALK_REPORTS_EXIT_CHECK_H
#define NESTWALK_REPORTS_EXIT_CHECK_H

#include <nestwalk/traces/exit_cost.h>

struct nw_exit_figure {
    char skipped[200];    /* why it could not be timed here; "": it was */
    double predicted;     /* core cycles: the median of the first half; of the mix: the sum of its parts */
    double held_out;      /* the median of the second half */
    double low, high;     /* of the second half */
    double error_percent; /* predicted against held out */
};
struct nw_exit_check {
    struct nw_exit_figure figure[NW_EXIT_COST_OPERATIONS];
    double core_ghz, median_error_percent, max_error_percent;
    uint32_t machines, judged; /* judged: operations */
    char backend[16];
    bool holds;
};
struct nw_exit_check_options {
    uint32_t machines, chunks; /* virtual machines an operation, at least 2; chunks in each */
    bool (*progress)(void *context, uint64_t done, uint64_t total);
    void *context;
};
extern const char nw_exit_check_claim[];

/* Operations take turns, each in a fresh virtual machine. The calling thread is pinned meanwhile. What nw_exit_cost_measure() returns. */
enum nw_status nw_exit_check_run(struct nw_exit_check *out, const struct nw_exit_check_options *options,
                                 struct nw_error *err) NW_MUST_USE;
/* free() it. Keys: holds, regimes, points; docs/validation.md */
enum nw_status nw_exit_check_json_text(const struct nw_exit_check *c, char **out, struct nw_error *err) NW_MUST_USE;

#endif
