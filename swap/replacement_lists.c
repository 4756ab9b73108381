/* replacement_lists.c - the policies that keep one list and no history: LRU, FIFO, clock, random. */
#include "replacement_internal.h"

enum { PAGES };

static void make_frame(struct nw_replacement *r)
{
    if (r->list[PAGES].length == r->frames)
        replacement_drop(r, r->list[PAGES].oldest);
}

static void oldest_out(struct nw_replacement *r, uint64_t page)
{
    make_frame(r);
    replacement_add(r, PAGES, page);
}

static void used_now(struct nw_replacement *r, uint32_t node) { replacement_move(r, node, PAGES); }

static void no_matter(struct nw_replacement *r, uint32_t node)
{
    (void)r;
    (void)node;
}

static void mark(struct nw_replacement *r, uint32_t node) { r->node[node].count = 1; }

/* A page comes without its bit set, and goes round once more for each time that the hand finds it set. */
static void clock_fault(struct nw_replacement *r, uint64_t page)
{
    if (r->list[PAGES].length == r->frames)
        for (uint32_t node; r->node[node = r->list[PAGES].oldest].count;) {
            r->node[node].count = 0;
            replacement_move(r, node, PAGES);
        }
    oldest_out(r, page);
}

/* Nodes are never more than frames, and none is free between two faults: their numbers are the frames'. */
static void random_fault(struct nw_replacement *r, uint64_t page)
{
    if (r->list[PAGES].length == r->frames)
        replacement_drop(r, (uint32_t)nw_rng_below(&r->rng, r->frames));
    replacement_add(r, PAGES, page);
}

#define ONE_LIST .bytes = sizeof(struct nw_replacement)
const struct nw_replacement_policy replacement_lru = {
    .name = "lru", .doc = "the page used longest ago", ONE_LIST, .hit = used_now, .fault = oldest_out
};
const struct nw_replacement_policy replacement_fifo = {
    .name = "fifo", .doc = "the page that came first", ONE_LIST, .hit = no_matter, .fault = oldest_out
};
const struct nw_replacement_policy replacement_clock = {
    .name = "clock",
    .doc = "as fifo, but a page used since is spared once (one bit, clear at first)",
    ONE_LIST,
    .hit = mark,
    .fault = clock_fault
};
const struct nw_replacement_policy replacement_random = {
    .name = "random", .doc = "any page, by --seed", ONE_LIST, .hit = no_matter, .fault = random_fault
};
