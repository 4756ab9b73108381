/* explain_fault.h - private to sim/: a fault's code, bit by bit. */
#ifndef NW_SIM_EXPLAIN_FAULT_H
#define NW_SIM_EXPLAIN_FAULT_H

#include <nestwalk/mmu/walk.h>
#include <nestwalk/sim/explain.h>

/* *out.kind is NULL when the walk did not fault. `nested` may be NULL. */
void explain_fault(const struct nw_walk_result *r, const struct nw_paging *nested, struct nw_explained_fault *out);

#endif
