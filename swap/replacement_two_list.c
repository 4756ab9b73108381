/* replacement_two_list.c - Linux's active and inactive list. A use sets a bit; only where a page is looked at, at the end of a list, does the bit count:
 * on the inactive list the first one keeps the page and the second one makes it active. Pages leave the active list in order, used or not, when the
 * inactive one is too short. Source: Linux, mm/vmscan.c, inactive_is_low(), shrink_active_list(), folio_check_references(). */
#include "replacement_internal.h"
#include <nestwalk/base/addr.h>

enum { INACTIVE, ACTIVE };
enum { USED = 1, REFERENCED = 2 }; /* node.count: the accessed bit; a use was found before */

static void init(struct nw_replacement *r) { r->resident = 1 << INACTIVE | 1 << ACTIVE; }

static void hit(struct nw_replacement *r, uint32_t node) { r->node[node].count |= USED; }

/* The root of 10 a GiB, rounded down; 1 below a GiB. */
static uint64_t active_share(const struct nw_replacement *r)
{
    const uint64_t gib = r->resident_pages >> (NW_PAGE_1G_LOG2 - NW_PAGE_LOG2);
    uint64_t root = 1;
    while ((root + 1) * (root + 1) <= 10 * gib)
        root++;
    return root;
}

static uint64_t evict(struct nw_replacement *r, uint64_t incoming)
{
    const uint64_t share = active_share(r);
    (void)incoming;
    for (;;) {
        while (r->list[ACTIVE].length && r->list[INACTIVE].length * share < r->list[ACTIVE].length) {
            const uint32_t node = r->list[ACTIVE].oldest;
            r->node[node].count = 0;
            replacement_move(r, node, INACTIVE);
        }
        const uint32_t node = r->list[INACTIVE].oldest;
        const uint8_t found = r->node[node].count;
        if (!(found & USED))
            return replacement_give_up(r, node);
        r->node[node].count = found & REFERENCED ? 0 : REFERENCED;
        replacement_move(r, node, found & REFERENCED ? ACTIVE : INACTIVE);
    }
}

static uint32_t admit(struct nw_replacement *r, uint64_t page) { return replacement_add(r, INACTIVE, page); }

const struct nw_replacement_policy replacement_two_list = {
    .name = "two-list",
    .doc = "Linux's active and inactive list",
    .bytes = sizeof(struct nw_replacement),
    .init = init,
    .hit = hit,
    .evict = evict,
    .admit = admit,
};
