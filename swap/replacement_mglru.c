/* replacement_mglru.c - generations, as Linux's multi-gen LRU keeps them. Pages come into the youngest; the oldest is evicted from; a page found used there, or by
 * the walk that opens a new generation, goes to the youngest. There are three or four generations while pages are evicted.
 *
 * MODEL: no tiers (they tell file pages apart that are read through descriptors), no feedback from refaults, no look-around at neighbours.
 * Source: Linux, Documentation/mm/multigen_lru.rst, "Aging" and "Eviction". */
#include "replacement_internal.h"

enum { GENERATIONS = LISTS_MAX, LEAST = 2 }; /* MAX_NR_GENS, MIN_NR_GENS */
struct mglru {
    struct nw_replacement r;
    uint32_t oldest, youngest; /* sequence numbers; list i holds the generation with this number modulo GENERATIONS */
};

static void init(struct nw_replacement *r)
{
    struct mglru *m = (struct mglru *)r;
    r->resident = (1 << GENERATIONS) - 1;
    m->youngest = LEAST + 1;
}

static void hit(struct nw_replacement *r, uint32_t node) { r->node[node].count = 1; }

static void rejuvenate(struct mglru *m, uint32_t node)
{
    m->r.node[node].count = 0;
    replacement_move(&m->r, node, m->youngest % GENERATIONS);
}

/* A new generation, and a walk over all pages: those used go there. */
static void age(struct mglru *m)
{
    const uint32_t before = m->youngest++;
    for (uint32_t seq = m->oldest; seq <= before; seq++)
        for (uint32_t node = m->r.list[seq % GENERATIONS].oldest, next; node != NO_NODE; node = next) {
            next = m->r.node[node].newer;
            if (m->r.node[node].count)
                rejuvenate(m, node);
        }
}

static uint64_t evict(struct nw_replacement *r, uint64_t incoming)
{
    struct mglru *m = (struct mglru *)r;
    (void)incoming;
    for (;;) {
        while (m->youngest - m->oldest + 1 <= LEAST)
            age(m);
        const uint32_t node = r->list[m->oldest % GENERATIONS].oldest;
        if (node == NO_NODE)
            m->oldest++;
        else if (r->node[node].count)
            rejuvenate(m, node);
        else
            return replacement_give_up(r, node);
    }
}

static uint32_t admit(struct nw_replacement *r, uint64_t page)
{
    return replacement_add(r, ((struct mglru *)r)->youngest % GENERATIONS, page);
}

const struct nw_replacement_policy replacement_mglru = {
    .name = "mglru",
    .doc = "generations, as Linux's multi-gen LRU has them",
    .bytes = sizeof(struct mglru),
    .init = init,
    .hit = hit,
    .evict = evict,
    .admit = admit,
};
