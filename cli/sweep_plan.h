/* sweep_plan.h - the points of a sweep: every run of a scenario with every combination of the swept values.
 *
 * Point i is run i / (points a run); within a run the first sweep of the file changes slowest. Configurations are made when they are needed:
 * a hundred thousand of them would be a gigabyte. */
#ifndef NESTWALK_CLI_SWEEP_PLAN_H
#define NESTWALK_CLI_SWEEP_PLAN_H

#include "overrides.h"
#include <nestwalk/scenarios/scenario.h>

struct sweep_axis {
    const char *path;
    char name[96]; /* what labels and tables call it: "l2.entries" */
    char **value;  /* as the parameter says them: "1024" for 1K */
    size_t count;
    const char *place, *source;
};

struct sweep_run {
    struct nw_config config; /* everything but the swept values */
    char title[64];
};

struct sweep_plan {
    struct nw_scenario scenario;
    char *trace; /* NULL: none is replayed, see "A mix of exits" in docs/scenarios.md */
    struct sweep_axis *axis;
    size_t axis_count;
    struct sweep_run *run;
    size_t run_count, points_a_run, point_count;
    enum { LABEL_NAMES, LABEL_VALUES, LABEL_NUMBER } labels; /* what fits into a label beside the run's title */
};

struct sweep_request {
    const char *scenario, *trace, *machine;
    const char *const *mode;
    size_t mode_count;
    struct nw_cli_overrides overrides;
};

/* NW_ERR_INPUT, with the place in the file, for sweeps and runs that do not fit together; NW_ERR_USAGE for a command line that does not
 * fit the scenario. Every point has been checked when this returns. */
enum nw_status sweep_plan_make(struct sweep_plan *p, const struct sweep_request *r, struct nw_error *err) NW_MUST_USE;
void sweep_plan_fini(struct sweep_plan *p);

static inline const struct sweep_run *sweep_point_run(const struct sweep_plan *p, size_t point)
{
    return &p->run[point / p->points_a_run];
}
/* The value that the point has on an axis. */
const char *sweep_point_value(const struct sweep_plan *p, size_t point, size_t axis);
void sweep_point_label(const struct sweep_plan *p, size_t point, char *out, size_t out_size);
/* nw_config_fini() it. */
enum nw_status sweep_point_config(const struct sweep_plan *p, size_t point, struct nw_config *out,
                                  struct nw_error *err) NW_MUST_USE;

/* identity[i] = the SHA-256 of this program's version, the trace's SHA-256, and every parameter of point i. Room for point_count. */
enum nw_status sweep_plan_identities(const struct sweep_plan *p, const char *trace_sha256, char (*identity)[65],
                                     struct nw_error *err) NW_MUST_USE;

#endif
