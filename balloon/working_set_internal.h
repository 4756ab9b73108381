/* working_set_internal.h - the estimators as a table of operations. */
#ifndef NW_BALLOON_WORKING_SET_INTERNAL_H
#define NW_BALLOON_WORKING_SET_INTERNAL_H

#include <nestwalk/balloon/working_set.h>
#include <nestwalk/base/rng.h>
#include <stddef.h>

struct nw_wss {
    const struct wss_ops *ops;
    struct nw_wss_config config;
    struct nw_wss_cost cost;
    struct nw_rng rng;
    uint64_t tick; /* steps of this window */
    double estimate;
};

/* Each estimator's own struct begins with a struct nw_wss. */
struct wss_ops {
    size_t bytes;
    enum nw_status (*step)(struct nw_wss *w, const struct nw_wss_view *view, struct nw_error *err);
    void (*fini)(struct nw_wss *w); /* NULL allowed */
};
extern const struct wss_ops wss_scan, wss_sampling, wss_ghost, wss_damon;

static inline void wss_remembers(struct nw_wss *w, uint64_t bytes)
{
    if (bytes > w->cost.memory_bytes)
        w->cost.memory_bytes = bytes;
}

#endif
