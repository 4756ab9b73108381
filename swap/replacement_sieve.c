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

static uint64_t evict(struct nw_replacement *r, uint64_t incoming)
{
    struct sieve *s = (struct sieve *)r;
    uint32_t node = s->hand;
    (void)incoming;
    for (;;) {
        if (node == NO_NODE)
            node = r->list[PAGES].oldest;
        if (!r->node[node].count)
            break;
        r->node[node].count = 0;
        node = r->node[node].newer;
    }
    s->hand = r->node[node].newer;
    return replacement_give_up(r, node);
}

static uint32_t admit(struct nw_replacement *r, uint64_t page) { return replacement_add(r, PAGES, page); }

static void leave(struct nw_replacement *r, uint32_t node)
{
    struct sieve *s = (struct sieve *)r;
    if (s->hand == node)
        s->hand = r->node[node].newer;
}

const struct nw_replacement_policy replacement_sieve = {
    .name = "sieve",
    .doc = "a queue that a hand sifts: pages used since are spared and keep their places",
    .bytes = sizeof(struct sieve),
    .init = init,
    .hit = hit,
    .evict = evict,
    .admit = admit,
    .leave = leave
};
