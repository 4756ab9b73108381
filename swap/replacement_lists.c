/* replacement_lists.c - the policies that keep one list and no history: LRU, FIFO, clock, random. */
#include "replacement_internal.h"

enum { PAGES };

static uint64_t oldest_out(struct nw_replacement *r, uint64_t incoming)
{
    (void)incoming;
    return replacement_give_up(r, r->list[PAGES].oldest);
}

static uint32_t as_newest(struct nw_replacement *r, uint64_t page) { return replacement_add(r, PAGES, page); }

static void used_now(struct nw_replacement *r, uint32_t node) { replacement_move(r, node, PAGES); }

static void no_matter(struct nw_replacement *r, uint32_t node)
{
    (void)r;
    (void)node;
}

static void mark(struct nw_replacement *r, uint32_t node) { r->node[node].count = 1; }

/* A page comes without its bit set, and goes round once more for each time that the hand finds it set. */
static uint64_t clock_evict(struct nw_replacement *r, uint64_t incoming)
{
    for (uint32_t node; r->node[node = r->list[PAGES].oldest].count;) {
        r->node[node].count = 0;
        replacement_move(r, node, PAGES);
    }
    return oldest_out(r, incoming);
}

/* The first of the pages drawn whose node is in use. Without removals all of them are: nodes are never more than frames. */
static uint64_t random_evict(struct nw_replacement *r, uint64_t incoming)
{
    uint32_t node;
    (void)incoming;
    do
        node = (uint32_t)nw_rng_below(&r->rng, r->node_used);
    while (r->node[node].list == NO_LIST);
    return replacement_give_up(r, node);
}

#define ONE_LIST .bytes = sizeof(struct nw_replacement), .admit = as_newest
const struct nw_replacement_policy replacement_lru = {
    .name = "lru", .doc = "the page used longest ago", ONE_LIST, .hit = used_now, .evict = oldest_out
};
const struct nw_replacement_policy replacement_fifo = {
    .name = "fifo", .doc = "the page that came first", ONE_LIST, .hit = no_matter, .evict = oldest_out
};
const struct nw_replacement_policy replacement_clock = {
    .name = "clock",
    .doc = "as fifo, but a page used since is spared once (one bit, clear at first)",
    ONE_LIST,
    .hit = mark,
    .evict = clock_evict
};
const struct nw_replacement_policy replacement_random = {
    .name = "random", .doc = "any page, by --seed", ONE_LIST, .hit = no_matter, .evict = random_evict
};
