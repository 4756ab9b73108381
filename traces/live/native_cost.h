/* native_cost.h - the operations of exit_cost.h that are timed in a process of this machine, without a virtual machine. */
#ifndef NESTWALK_NATIVE_COST_H
#define NESTWALK_NATIVE_COST_H

#include <nestwalk/traces/exit_cost.h>

enum nw_status native_cost_measure(enum nw_exit_cost_operation operation, const struct nw_exit_cost_options *options,
                                   struct nw_exit_timing *out, struct nw_error *err) NW_MUST_USE;

/* exit_cost.c: what both kinds are timed with. */
uint64_t exit_cost_tsc(void);
long exit_cost_preemptions(void); /* of the calling thread */

/* *cycles: TSC cycles an operation, below 0 for a chunk to drop. `empty`: the same loop without the operation. */
typedef enum nw_status (*exit_cost_chunk_fn)(void *context, bool empty, double *cycles, struct nw_error *err);

/* Chunks with and without the operation in turn. */
enum nw_status exit_cost_time_chunks(enum nw_exit_cost_operation operation, exit_cost_chunk_fn chunk_of, void *context,
                                     const struct nw_exit_cost_options *o, struct nw_exit_timing *out,
                                     struct nw_error *err) NW_MUST_USE;

#endif
