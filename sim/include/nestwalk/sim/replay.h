/* replay.h - the main job: a trace through a machine.
 *
 *     struct nw_result r;
 *     s = nw_replay(source, &config, NULL, &r, err);
 *     ... nw_result_visit(&r, print, NULL);
 *     nw_result_fini(&r);
 *
 * The same step by step, for who has the blocks from elsewhere, or gives each to many machines (replay_many.h):
 *
 *     struct nw_replayer *machine;
 *     if ((s = nw_replayer_create(&machine, &config, nw_source_info(source), err))) return s;
 *     source->want = nw_replay_want(&config);
 *     while (!(s = nw_source_next(source, &b, err)) && !b.end)
 *         if ((s = nw_replayer_take(machine, &b, err))) break;
 *     if (!s) nw_replayer_finish(machine, &r);
 *     nw_replayer_destroy(machine);
 *
 * Replayers share nothing: different ones may be used by different threads at the same time, and the same one by one thread after
 * another. */
#ifndef NESTWALK_SIM_REPLAY_H
#define NESTWALK_SIM_REPLAY_H

#include <nestwalk/sim/result.h>
#include <nestwalk/traces/block.h>

struct nw_replay_hooks {
    /* Called between blocks; return false to stop with NW_ERR_INTERRUPTED. `total` is 0 when unknown. */
    bool (*progress)(void *context, uint64_t accesses_done, uint64_t total);
    void *context;
};

/* Replays `source` from its present position to its end. `hooks` may be NULL. On success *out is filled (nw_result_fini it);
 * result.trace and trace_sha256 are left empty for the caller. NW_ERR_NOMEM when simulated or real memory runs out. */
enum nw_status nw_replay(struct nw_source *source, const struct nw_config *config, const struct nw_replay_hooks *hooks,
                         struct nw_result *out, struct nw_error *err) NW_MUST_USE;

struct nw_replayer;

/* `config` and `info` are borrowed until nw_replayer_destroy(). NW_ERR_USAGE for a configuration that does not fit together, NW_ERR_UNSUPPORTED
 * for one that no engine models, NW_ERR_NOMEM. */
enum nw_status nw_replayer_create(struct nw_replayer **out, const struct nw_config *config,
                                  const struct nw_trace_info *info, struct nw_error *err) NW_MUST_USE;
/* What the blocks for a replay of `config` must have, enum nw_want; more is allowed. */
unsigned nw_replay_want(const struct nw_config *config);
/* The next block of the trace, which is read only and not kept. After a failure the replayer can only be destroyed. */
enum nw_status nw_replayer_take(struct nw_replayer *r, const struct nw_block *block, struct nw_error *err) NW_MUST_USE;
/* Fills *out (nw_result_fini it), once, after the last block. result.seconds is the processor time of these calls alone. */
void nw_replayer_finish(struct nw_replayer *r, struct nw_result *out);
void nw_replayer_destroy(struct nw_replayer *r); /* NULL is allowed */

#endif
