/* replacement_s3fifo.c - S3-FIFO: newcomers pass through a small queue, of a tenth of the frames, and only those used again there get into the
 * main one; who leaves the small queue is remembered for a while and goes to the main one when it comes back. */
#include "replacement_internal.h"

enum { SMALL, MAIN, GHOST, USES_MAX = 3, USES_TO_MAIN = 2 };
struct s3fifo {
    struct nw_replacement r;
    uint64_t small, main; /* frames that each should have; as many pages as `main` are remembered */
    bool full;            /* a page was evicted before */
};

static void init(struct nw_replacement *r)
{
    struct s3fifo *s = (struct s3fifo *)r;
    r->resident = 1 << SMALL | 1 << MAIN;
    s->small = r->frames / 10 ? r->frames / 10 : 1;
    s->main = r->frames - s->small;
}

static void hit(struct nw_replacement *r, uint32_t node)
{
    if (r->node[node].count < USES_MAX)
        r->node[node].count++;
}

static void remember(struct s3fifo *s, uint32_t node)
{
    if (!s->main) {
        replacement_drop(&s->r, node);
        return;
    }
    if (s->r.list[GHOST].length == s->main)
        replacement_drop(&s->r, s->r.list[GHOST].oldest);
    replacement_move(&s->r, node, GHOST);
}

/* False: all of the small queue has moved on. */
static bool evict_small(struct s3fifo *s)
{
    while (s->r.list[SMALL].length) {
        const uint32_t node = s->r.list[SMALL].oldest;
        if (s->r.node[node].count < USES_TO_MAIN) {
            remember(s, node);
            return true;
        }
        s->r.node[node].count = 0;
        replacement_move(&s->r, node, MAIN);
    }
    return false;
}

static void evict_main(struct s3fifo *s)
{
    for (uint32_t node; s->r.node[node = s->r.list[MAIN].oldest].count;) {
        s->r.node[node].count--;
        replacement_move(&s->r, node, MAIN);
    }
    replacement_drop(&s->r, s->r.list[MAIN].oldest);
}

static void fault(struct nw_replacement *r, uint64_t page)
{
    struct s3fifo *s = (struct s3fifo *)r;
    const uint32_t node = replacement_find(r, page);
    if (node != NO_NODE)
        replacement_drop(r, node);
    if (r->list[SMALL].length + r->list[MAIN].length == r->frames) {
        s->full = true;
        if (r->list[MAIN].length > s->main || !evict_small(s))
            evict_main(s);
    }
    const bool spare = !s->full && r->list[SMALL].length >= s->small; /* the main queue's frames are still free */
    replacement_add(r, node != NO_NODE || spare ? MAIN : SMALL, page);
}

const struct nw_replacement_policy replacement_s3fifo = {
    .name = "s3fifo",
    .doc = "three queues: small (10 %), main, and a memory of what left the small one",
    .bytes = sizeof(struct s3fifo),
    .init = init,
    .hit = hit,
    .fault = fault
};
