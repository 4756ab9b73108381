/* replacement_sieve.c - SIEVE: one queue in order of arrival, one bit a page, and a hand that moves from the oldest to the newest and sifts. Unlike the
 * clock's, pages that are spared keep their places. */
#include "replacement_internal.h"

enum { PAGES };
struct sieve {
    struct nw_replacement r;
    uint32_t hand; /* NO_NODE: at the oldest */
};

static void init(struct nw_replacement *r) { ((struct sieve *)r)->hand = NO_NODE; }

static void hit(struct nw_replacement *r, uint32_t node) { r->node[node].count = 1; }

static void fault(struct nw_replacement *r, uint64_t page)
{
    struct sieve *s = (struct sieve *)r;
    if (r->list[PAGES].length == r->frames) {
        uint32_t node = s->hand;
        for (;;) {
            if (node == NO_NODE)
                node = r->list[PAGES].oldest;
            if (!r->node[node].count)
                break;
            r->node[node].count = 0;
            node = r->node[node].newer;
        }
        s->hand = r->node[node].newer;
        replacement_drop(r, node);
    }
    replacement_add(r, PAGES, page);
}

const struct nw_replacement_policy replacement_sieve = {
    .name = "sieve",
    .doc = "a queue that a hand sifts: pages used since are spared and keep their places",
    .bytes = sizeof(struct sieve),
    .init = init,
    .hit = hit,
    .fault = fault
};
