/* replay_internal.h - private to sim/: what sampling needs of a replayer beyond replay.h. */
#ifndef NW_SIM_REPLAY_INTERNAL_H
#define NW_SIM_REPLAY_INTERNAL_H

#include "engine.h"
#include <nestwalk/sim/replay.h>

struct replay *replayer_inside(struct nw_replayer *r);
/* As nw_replayer_take(), without counting accesses and time. */
enum nw_status replayer_feed(struct nw_replayer *r, const struct nw_block *block, struct nw_error *err) NW_MUST_USE;
/* Brings the result's TLB counters up to date, and the numbers that replayer_settled_walks() tells: those of all walks up to here. */
void replayer_settle(struct nw_replayer *r);
void replayer_settled_walks(const struct nw_replayer *r, uint64_t *count, uint64_t *cycles);
/* Empties every TLB, walk cache and modelled cache. Tables and registers stay. What the engine had counted by itself is lost: settle before. */
enum nw_status replayer_forget_caches(struct nw_replayer *r, struct nw_error *err) NW_MUST_USE;

#endif
