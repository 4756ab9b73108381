/* sweep_estimate.h - how long a sweep will take, from a few of its points and the first blocks of the trace. */
#ifndef NESTWALK_CLI_SWEEP_ESTIMATE_H
#define NESTWALK_CLI_SWEEP_ESTIMATE_H

#include "sweep_plan.h"
#include <nestwalk/traces/block.h>

/* Processor seconds of the points points[0 .. count), about. Takes about a second at most; `source` is left somewhere in the trace. */
enum nw_status sweep_estimate(const struct sweep_plan *p, const size_t *points, size_t count, struct nw_source *source,
                              double *seconds, struct nw_error *err) NW_MUST_USE;

/* "less than a second", "about 42 seconds", "about 3 hours" */
void sweep_duration_text(double seconds, char *out, size_t out_size);

#endif
