/* replay_many.h - one trace through many machines at once: each block is decoded once and given to all of them, by several threads.
 *
 *     struct nw_replay_many_hooks hooks = { .finished = keep, .context = &mine };
 *     s = nw_replay_many(source, configs, n, 4, &hooks, err);
 *
 * Each machine takes the blocks in their order, one thread at a time, and shares nothing with the others: its counters are those of nw_replay()
 * alone, whatever the number of threads.
 *
 * Memory: all `count` machines live at the same time, and beside them NW_REPLAY_BLOCKS_AHEAD decoded blocks; the fastest machine is never
 * further ahead of the slowest than that. Who has more machines than fit gives them in parts, and rewinds the source between two. */
#ifndef NESTWALK_SIM_REPLAY_MANY_H
#define NESTWALK_SIM_REPLAY_MANY_H

#include <nestwalk/sim/result.h>
#include <nestwalk/traces/block.h>

enum { NW_REPLAY_BLOCKS_AHEAD = 4, NW_REPLAY_THREADS_MAX = 1024 };

/* Both are called by the thread that called nw_replay_many(), and may be NULL. */
struct nw_replay_many_hooks {
    /* Machine `index` is through, in ascending order of index, one call for each: with its result, which it takes over (nw_result_fini() it),
     * or, when `failure` is not NULL, with what went wrong in this machine alone. A status other than NW_OK ends everything with that. */
    enum nw_status (*finished)(void *context, size_t index, struct nw_result *result, const struct nw_error *failure,
                               struct nw_error *err);
    /* Several times a second. `done` and `total` are accesses, summed over the machines; total is 0 when unknown. Return false to stop with
     * NW_ERR_INTERRUPTED. */
    bool (*progress)(void *context, uint64_t done, uint64_t total);
    void *context;
};

/* Replays `source` from its present position to its end through `count` machines, by `threads` (at least 1) threads, one of which decodes now
 * and then. NW_OK when every machine was told of, be it as failed; else the source's failure, a hook's, or NW_ERR_ENV when no thread could be
 * had: those that were not told of are lost. */
enum nw_status nw_replay_many(struct nw_source *source, const struct nw_config *config, size_t count, unsigned threads,
                              const struct nw_replay_many_hooks *hooks, struct nw_error *err) NW_MUST_USE;

#endif
