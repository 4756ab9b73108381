/* working_set_ghost.c - working sets by what comes back after it was taken. See working_set.h. */
#include "working_set_internal.h"
#include <stdlib.h>
#include <string.h>

struct ghost {
    struct nw_wss base;
    uint64_t *taken_at; /* by page: how many had been taken with it, 0: it is not remembered */
    uint64_t pages, remembered, taken;
    uint64_t *distance; /* of each that came back in this window: how many were taken after it */
    size_t distances, capacity;
};

enum { KEPT_PERCENT = 95 };

static int by_size(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static enum nw_status ghost_step(struct nw_wss *w, const struct nw_wss_view *view, struct nw_error *err)
{
    struct ghost *g = (struct ghost *)w;
    uint64_t more = 0;
    (void)err;
    if (g->distances) {
        qsort(g->distance, g->distances, sizeof *g->distance, by_size);
        /* The smallest number of frames that keeps so many of them. */
        const size_t kept = (g->distances * KEPT_PERCENT + 99) / 100;
        more = g->distance[kept - 1] + 1;
        g->distances = 0;
    }
    w->estimate = (double)(view->resident + more);
    return NW_OK;
}

enum nw_status nw_wss_taken(struct nw_wss *w, uint64_t page, struct nw_error *err)
{
    struct ghost *g = (struct ghost *)w;
    if (page >= g->pages) {
        uint64_t pages = g->pages ? g->pages : 1024;
        while (pages <= page)
            pages *= 2;
        uint64_t *more = reallocarray(g->taken_at, pages, sizeof *more);
        if (!more)
            return nw_fail_nomem(err, "the pages that were taken from a guest");
        memset(more + g->pages, 0, (pages - g->pages) * sizeof *more);
        g->taken_at = more;
        g->pages = pages;
    }
    g->remembered += !g->taken_at[page];
    wss_remembers(w, g->remembered * sizeof *g->taken_at);
    g->taken_at[page] = ++g->taken;
    return NW_OK;
}

enum nw_status nw_wss_came_back(struct nw_wss *w, uint64_t page, struct nw_error *err)
{
    struct ghost *g = (struct ghost *)w;
    if (page >= g->pages || !g->taken_at[page])
        return NW_OK; /* it was taken before anybody took note */
    if (g->distances == g->capacity) {
        const size_t capacity = g->capacity ? 2 * g->capacity : 256;
        uint64_t *more = reallocarray(g->distance, capacity, sizeof *more);
        if (!more)
            return nw_fail_nomem(err, "the pages that came back to a guest");
        g->distance = more;
        g->capacity = capacity;
    }
    g->distance[g->distances++] = g->taken - g->taken_at[page];
    g->taken_at[page] = 0;
    g->remembered--;
    return NW_OK;
}

static void ghost_fini(struct nw_wss *w)
{
    free(((struct ghost *)w)->taken_at);
    free(((struct ghost *)w)->distance);
}

const struct wss_ops wss_ghost = { .bytes = sizeof(struct ghost), .step = ghost_step, .fini = ghost_fini };
