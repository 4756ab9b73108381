/* walk_check.h - the walks that KVM reported of a captured guest, against the model's walks of the same tables.
 *
 *     s = nw_walk_check(source, &check, err);   // a trace of `nestwalk capture --via tracepoints`
 *     check.walks, check.differing, check.difference
 *
 * The guest's tables are kept as the trace says they were; where it holds a walk that KVM made, the model makes it too, and both must
 * have read the same entries at the same levels in the same order. */
#ifndef NESTWALK_SIM_WALK_CHECK_H
#define NESTWALK_SIM_WALK_CHECK_H

#include <nestwalk/base/status.h>
#include <nestwalk/traces/block.h>

struct nw_walk_check {
    uint64_t walks, entries, differing;
    uint64_t walks_by_length[6]; /* of KVM's walks, by how many entries they read */
    char difference[200];        /* the first, in words; "": none */
};

/* From the source's present position to its end. NW_ERR_INPUT: the trace has no page tables; NW_ERR_NOMEM. */
enum nw_status nw_walk_check(struct nw_source *source, struct nw_walk_check *out, struct nw_error *err) NW_MUST_USE;

#endif
