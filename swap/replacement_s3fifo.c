/* replacement_s3fifo.c - S3-FIFO: newcomers pass through a small queue, of a tenth of the frames, and only those used again there get into the
 * main one; who leaves the small queue is remembered for a while and goes to the main one when it comes back. */
#include "replacement_internal.h"

enum { SMALL, MAIN, GHOST, USES_MAX = 3, USES_TO_MAIN = 2 };
struct s3fifo {
    struct nw_replacement r;
    uint64_t small, main; /* frames that each should have; as many pages as `main` are remembered */
    bool full;            /* a page was evicted before */
    bool back;            /* `returning` was remembered when it was asked for */
    uint64_t returning;
};

static void init(struct nw_replacement *r) { r->resident = 1 << SMALL | 1 << MAIN; }

static void scale(struct nw_replacement *r)
{
    struct s3fifo *s = (struct s3fifo *)r;
    s->small = r->frames / 10 ? r->frames / 10 : 1;
    s->main = r->frames - s->small;
}

static void hit(struct nw_replacement *r, uint32_t node)
{
    if (r->node[node].count < USES_MAX)
        r->node[node].count++;
}

static uint64_t remember(struct s3fifo *s, uint32_t node)
{
    if (!s->main)
        return replacement_give_up(&s->r, node);
    while (s->r.list[GHOST].length >= s->main)
        replacement_drop(&s->r, s->r.list[GHOST].oldest);
    replacement_move(&s->r, node, GHOST);
    return s->r.node[node].page;
}

/* False: all of the small queue has moved on. */
static bool evict_small(struct s3fifo *s, uint64_t *page)
{
    while (s->r.list[SMALL].length) {
        const uint32_t node = s->r.list[SMALL].oldest;
        if (s->r.node[node].count < USES_TO_MAIN) {
            *page = remember(s, node);
            return true;
        }
        s->r.node[node].count = 0;
        replacement_move(&s->r, node, MAIN);
    }
    return false;
}

static uint64_t evict_main(struct s3fifo *s)
{
    for (uint32_t node; s->r.node[node = s->r.list[MAIN].oldest].count;) {
        s->r.node[node].count--;
        replacement_move(&s->r, node, MAIN);
    }
    return replacement_give_up(&s->r, s->r.list[MAIN].oldest);
}

/* Whether the page is remembered; it is not any more. */
static bool recall(struct nw_replacement *r, uint64_t page)
{
    const uint32_t node = replacement_find(r, page);
    if (node != NO_NODE)
        replacement_drop(r, node);
    return node != NO_NODE;
}

/* The page that comes in is recalled first, lest the one that goes out takes its place in the memory. */
static uint64_t evict(struct nw_replacement *r, uint64_t incoming)
{
    struct s3fifo *s = (struct s3fifo *)r;
    uint64_t page;
    s->full = true;
    s->back = recall(r, incoming);
    s->returning = incoming;
    if (r->list[MAIN].length && (r->list[MAIN].length > s->main || !r->list[SMALL].length))
        return evict_main(s);
    return evict_small(s, &page) ? page : evict_main(s);
}

static uint32_t admit(struct nw_replacement *r, uint64_t page)
{
    struct s3fifo *s = (struct s3fifo *)r;
    const bool back = recall(r, page) || (s->back && s->returning == page);
    const bool spare = !s->full && r->list[SMALL].length >= s->small; /* the main queue's frames are still free */
    s->back = false;
    return replacement_add(r, back || spare ? MAIN : SMALL, page);
}

const struct nw_replacement_policy replacement_s3fifo = {
    .name = "s3fifo",
    .doc = "three queues: small (10 %), main, and a memory of what left the small one",
    .bytes = sizeof(struct s3fifo),
    .remembers = true,
    .init = init,
    .scale = scale,
    .hit = hit,
    .evict = evict,
    .admit = admit
};
