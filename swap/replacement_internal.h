/* replacement_internal.h - what the policies have in common: the pages that one remembers, each on one list, found by number. */
#ifndef NESTWALK_SWAP_REPLACEMENT_INTERNAL_H
#define NESTWALK_SWAP_REPLACEMENT_INTERNAL_H

#include <nestwalk/base/rng.h>
#include <nestwalk/swap/replacement.h>

#define NO_NODE UINT32_MAX
enum { LISTS_MAX = 4 };

enum { NO_LIST = 0xff }; /* of a node that is on the free chain */
struct node {
    uint64_t page;
    uint32_t newer, older; /* neighbours on its list; NO_NODE at the ends */
    uint8_t list;
    uint8_t count; /* of uses, or one bit of it: the policy's */
};
struct list {
    uint32_t newest, oldest;
    uint64_t length;
};

/* Lists named by `resident` hold pages that have frames; on the others are pages that are only remembered. */
struct nw_replacement {
    const struct nw_replacement_policy *policy;
    uint64_t frames;
    struct list list[LISTS_MAX];
    unsigned resident; /* bit i: list i */
    struct nw_rng rng;
    struct node *node; /* [node_capacity]; those in use are [0, node_used) without the ones on the free chain */
    uint32_t node_capacity, node_used, node_free;
    uint32_t resident_pages;
    bool indexed;   /* pages are found by number: the policy remembers some, or they are touched by number */
    uint32_t *slot; /* hash table with linear probing: node numbers */
    uint32_t slot_mask, slot_used;
};

/* A node for a page that is not remembered, as the newest of a list. There is room: nw_replacement_touch() has seen to it. */
uint32_t replacement_add(struct nw_replacement *r, unsigned list, uint64_t page);
/* The page is forgotten. */
void replacement_drop(struct nw_replacement *r, uint32_t node);
/* To the newest end of a list, its own or another. */
void replacement_move(struct nw_replacement *r, uint32_t node, unsigned list);
/* The node of a page that has no frame, if it is remembered; else NO_NODE. */
uint32_t replacement_find(const struct nw_replacement *r, uint64_t page);

/* Drops the page and says which it was. */
static inline uint64_t replacement_give_up(struct nw_replacement *r, uint32_t node)
{
    const uint64_t page = r->node[node].page;
    replacement_drop(r, node);
    return page;
}

#endif
