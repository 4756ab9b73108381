/* replay.h - the main job: a trace through a machine.
 *
 *     struct nw_result r;
 *     s = nw_replay(source, &config, NULL, &r, err);
 *     ... nw_result_visit(&r, print, NULL);
 *     nw_result_fini(&r); */
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

#endif
