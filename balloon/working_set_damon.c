/* working_set_damon.c - working sets by adaptive regions, as Linux's DAMON finds them. See working_set.h.
 *
 * Source: Linux 6.12, mm/damon/core.c: damon_merge_regions_of(), kdamond_merge_regions(), damon_split_regions_of(), kdamond_split_regions(). */
#include "working_set_internal.h"
#include <stdlib.h>

struct region {
    uint64_t start, end, looked_at; /* pages; looked_at: whose flag was cleared, at moment `cleared` */
    uint32_t cleared;
    uint32_t found; /* looks in this window that found the flag set */
};
struct damon {
    struct nw_wss base;
    struct region *region; /* in the order of addresses, without gaps */
    size_t regions, capacity, regions_before;
    uint64_t covered; /* pages */
};

static enum nw_status room_for(struct damon *d, size_t regions, struct nw_error *err)
{
    if (regions <= d->capacity)
        return NW_OK;
    size_t capacity = d->capacity ? d->capacity : 64;
    while (capacity < regions)
        capacity *= 2;
    struct region *more = reallocarray(d->region, capacity, sizeof *more);
    if (!more)
        return nw_fail_nomem(err, "regions of a guest's memory");
    d->region = more;
    d->capacity = capacity;
    return NW_OK;
}

/* All of the memory, or what has been added to it: as many regions as there have to be at least. */
static enum nw_status cover(struct damon *d, uint64_t pages, struct nw_error *err)
{
    const uint64_t new = pages - d->covered, least = d->base.config.min_regions;
    const uint64_t piece = new / least ? new / least : 1;
    while (d->covered < pages) {
        enum nw_status s = room_for(d, d->regions + 1, err);
        if (s)
            return s;
        const uint64_t end = pages - d->covered < 2 * piece ? pages : d->covered + piece;
        d->region[d->regions++] = (struct region){ .start = d->covered, .end = end };
        d->covered = end;
    }
    return NW_OK;
}

static uint32_t apart(uint32_t a, uint32_t b) { return a > b ? a - b : b - a; }
static uint64_t size_of(const struct region *r) { return r->end - r->start; }

static void merge_alike(struct damon *d, uint32_t threshold, uint64_t size_most)
{
    size_t kept = 0;
    for (size_t i = 1; i < d->regions; i++) {
        struct region *before = &d->region[kept];
        const struct region *r = &d->region[i];
        const uint64_t size = size_of(before) + size_of(r);
        if (apart(before->found, r->found) > threshold || size > size_most) {
            d->region[++kept] = *r;
            continue;
        }
        before->found = (uint32_t)((before->found * size_of(before) + r->found * size_of(r)) / size);
        before->end = r->end;
    }
    d->regions = d->regions ? kept + 1 : 0;
}

static void merge(struct damon *d)
{
    const struct nw_wss_config *c = &d->base.config;
    uint32_t most = 0;
    for (size_t i = 0; i < d->regions; i++)
        most = d->region[i].found > most ? d->region[i].found : most;
    uint64_t size_most = d->covered / c->min_regions, threshold = most / 10;
    size_most = size_most ? size_most : 1;
    do {
        merge_alike(d, (uint32_t)threshold, size_most);
        threshold = threshold ? threshold * 2 : 1;
    } while (d->regions > c->max_regions && threshold / 2 < c->samples);
}

/* Each into two, or three when the number has not changed, at places that are drawn in tenths of its size. */
static enum nw_status split(struct damon *d, struct nw_error *err)
{
    const size_t before = d->regions, most = d->base.config.max_regions;
    if (before > most / 2)
        return NW_OK;
    const unsigned pieces = d->regions_before == before && before < most / 3 ? 3 : 2;
    d->regions_before = before;
    enum nw_status s = room_for(d, before * pieces, err);
    if (s)
        return s;
    size_t to = before * pieces; /* the regions move to the end of the array, split, and back to its start */
    for (size_t i = before; i-- > 0;)
        d->region[--to] = d->region[i];
    size_t kept = 0;
    for (size_t i = to; i < before * pieces; i++) {
        struct region r = d->region[i];
        for (unsigned n = 1; n < pieces && size_of(&r) > 2; n++) {
            const uint64_t size = (1 + nw_rng_below(&d->base.rng, 9)) * size_of(&r) / 10;
            if (!size || size >= size_of(&r))
                continue;
            struct region left = r;
            left.end = r.start = r.start + size;
            d->region[kept++] = left;
        }
        d->region[kept++] = r;
    }
    d->regions = kept;
    return NW_OK;
}

static enum nw_status end_window(struct damon *d, const struct nw_wss_view *view, struct nw_error *err)
{
    uint64_t used = 0;
    merge(d);
    for (size_t i = 0; i < d->regions; i++) {
        struct region *r = &d->region[i];
        used += r->found ? size_of(r) : 0;
        r->found = 0;
    }
    d->base.estimate = (double)used;
    enum nw_status s = split(d, err);
    return s ? s : cover(d, view->size, err);
}

static enum nw_status damon_step(struct nw_wss *w, const struct nw_wss_view *view, struct nw_error *err)
{
    struct damon *d = (struct damon *)w;
    for (size_t i = 0; i < d->regions; i++) {
        struct region *r = &d->region[i];
        if (!r->cleared)
            continue;
        w->cost.looked++;
        r->found += r->looked_at < view->pages && view->flag[r->looked_at] > r->cleared;
    }
    enum nw_status s = NW_OK;
    if (w->tick == w->config.samples)
        s = end_window(d, view, err);
    else if (!d->regions)
        s = cover(d, view->size, err);
    if (s)
        return s;
    wss_remembers(w, d->regions * sizeof *d->region);
    for (size_t i = 0; i < d->regions; i++) {
        struct region *r = &d->region[i];
        r->looked_at = r->start + nw_rng_below(&w->rng, size_of(r));
        r->cleared = view->moment;
    }
    return NW_OK;
}

static void damon_fini(struct nw_wss *w) { free(((struct damon *)w)->region); }

const struct wss_ops wss_damon = { .bytes = sizeof(struct damon), .step = damon_step, .fini = damon_fini };
