/* working_set.c - what all estimators share, and the two that look at pages one by one. See working_set.h. */
#include "working_set_internal.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

const char *const nw_wss_name[NW_WSS_KINDS] = { "scan", "sampling", "ghost", "damon" };

static const double SLOW = 0.2, FAST = 0.6; /* weight of the latest window; MODEL: the paper gives no numbers */

double nw_wss_average_take(struct nw_wss_average *a, double share)
{
    a->slow += SLOW * (share - a->slow);
    a->fast += FAST * (share - a->fast);
    return fmax(share, fmax(a->slow, a->fast));
}

/* ---- scan ---- */

struct scan {
    struct nw_wss base;
    uint64_t from;
    uint32_t cleared; /* the moment of the last scan that cleared what is looked at now */
};

/* A flag is cleared where it is read, so the next look at the same page finds what happened since: with `every` above 1 that is several windows ago. Then
 * all flags that will be looked at next are cleared one window before, which costs a look each as well. */
static enum nw_status scan_step(struct nw_wss *w, const struct nw_wss_view *view, struct nw_error *err)
{
    struct scan *s = (struct scan *)w;
    const uint64_t every = w->config.every, next = (s->from + 1) % every;
    uint64_t found = 0;
    (void)err;
    for (uint64_t page = s->from; page < view->pages; page += every, w->cost.looked++)
        found += view->flag[page] > s->cleared;
    for (uint64_t page = next; every > 1 && page < view->pages; page += every)
        w->cost.looked++;
    s->from = next;
    s->cleared = view->moment;
    w->estimate = (double)(found * every);
    return NW_OK;
}

const struct wss_ops wss_scan = { .bytes = sizeof(struct scan), .step = scan_step };

/* ---- sampling ---- */

struct sampling {
    struct nw_wss base;
    struct nw_wss_average average;
    uint64_t *page, pages;
    uint32_t unmapped; /* the moment */
};

static enum nw_status sampling_step(struct nw_wss *w, const struct nw_wss_view *view, struct nw_error *err)
{
    struct sampling *s = (struct sampling *)w;
    uint64_t faulted = 0;
    if (!s->page && !(s->page = calloc(w->config.sample_pages, sizeof *s->page)))
        return nw_fail_nomem(err, "a sample of a guest's pages");
    wss_remembers(w, w->config.sample_pages * sizeof *s->page);
    for (uint64_t i = 0; i < s->pages; i++)
        faulted += view->flag[s->page[i]] > s->unmapped;
    w->cost.faults += faulted;
    if (s->pages)
        w->estimate = nw_wss_average_take(&s->average, (double)faulted / (double)s->pages) * (double)view->pages;
    else
        w->estimate = (double)view->pages; /* nothing was watched: all of it may be active */
    s->pages = view->pages ? w->config.sample_pages : 0;
    for (uint64_t i = 0; i < s->pages; i++)
        s->page[i] = nw_rng_below(&w->rng, view->pages);
    w->cost.unmapped += s->pages;
    s->unmapped = view->moment;
    return NW_OK;
}

static void sampling_fini(struct nw_wss *w) { free(((struct sampling *)w)->page); }

const struct wss_ops wss_sampling = { .bytes = sizeof(struct sampling), .step = sampling_step, .fini = sampling_fini };

/* ---- all ---- */

static const struct wss_ops *const ops[NW_WSS_KINDS] = { &wss_scan, &wss_sampling, &wss_ghost, &wss_damon };

static enum nw_status check(enum nw_wss_kind kind, const struct nw_wss_config *c, struct nw_error *err)
{
    if (kind == NW_WSS_SCAN && !c->every)
        return nw_fail(err, NW_ERR_USAGE, "a scan looks at every 1st, 2nd, ... page, not at every 0th");
    if (kind == NW_WSS_SAMPLING && !c->sample_pages)
        return nw_fail(err, NW_ERR_USAGE, "a sample has 1 page or more");
    if (kind == NW_WSS_DAMON && !c->samples)
        return nw_fail(err, NW_ERR_USAGE, "a window has 1 look at each region or more");
    if (kind == NW_WSS_DAMON && (c->min_regions < 3 || c->min_regions > c->max_regions))
        return nw_fail(err, NW_ERR_USAGE,
                       "%" PRIu64 " to %" PRIu64 " regions; allowed are 3 and more, and no fewer at most than at least",
                       c->min_regions, c->max_regions);
    return NW_OK;
}

enum nw_status nw_wss_create(struct nw_wss **out, enum nw_wss_kind kind, const struct nw_wss_config *config,
                             struct nw_error *err)
{
    enum nw_status s = check(kind, config, err);
    if (s)
        return s;
    struct nw_wss *w = calloc(1, ops[kind]->bytes);
    if (!w)
        return nw_fail_nomem(err, "an estimate of a working set");
    w->ops = ops[kind];
    w->config = *config;
    w->rng = nw_rng_for(config->seed, config->component ? config->component : nw_wss_name[kind]);
    *out = w;
    return NW_OK;
}

void nw_wss_destroy(struct nw_wss *w)
{
    if (w && w->ops->fini)
        w->ops->fini(w);
    free(w);
}

uint64_t nw_wss_ticks(const struct nw_wss *w) { return w->ops == &wss_damon ? w->config.samples : 1; }

enum nw_status nw_wss_step(struct nw_wss *w, const struct nw_wss_view *view, struct nw_error *err)
{
    const bool ends = ++w->tick == nw_wss_ticks(w);
    enum nw_status s = w->ops->step(w, view, err);
    if (ends) {
        w->tick = 0;
        w->cost.windows++;
    }
    return s;
}

double nw_wss_estimate(const struct nw_wss *w) { return w->estimate; }
const struct nw_wss_cost *nw_wss_cost(const struct nw_wss *w) { return &w->cost; }
