/* mrc_stack.h - private to sim/: the LRU stacks of one array, one for each set, and how often each stack distance came.
 *
 * Pages are numbers (mrc_pages.h), so that one directory serves all arrays that see the same references. */
#ifndef NW_SIM_MRC_STACK_H
#define NW_SIM_MRC_STACK_H

#include "mrc_pages.h"
#include "mrc_recency.h"

struct mrc_stack {
    uint32_t sets;
    struct recency *order; /* [set] */
    uint32_t *position;    /* [page] in its set's order */
    uint64_t *count;       /* [distance] */
    uint64_t cold;         /* first references */
    uint32_t room;         /* pages that position and count have room for */
    uint32_t distinct;     /* pages since the last mrc_stack_mark(); of a single set only */
};

enum nw_status mrc_stack_init(struct mrc_stack *s, uint32_t sets, struct nw_error *err) NW_MUST_USE;
void mrc_stack_fini(struct mrc_stack *s);

/* Makes room for pages 0 .. pages - 1. */
enum nw_status mrc_stack_reserve(struct mrc_stack *s, uint32_t pages, struct nw_error *err) NW_MUST_USE;

/* The stack distance of one reference to a stack of one set, not yet counted; RECENCY_NEVER for the first, which is. `r` is the set's order, or
 * a copy of it: there must be room. */
NW_INLINE uint32_t mrc_stack_one(struct mrc_stack *s, struct recency *r, uint32_t number)
{
    uint32_t at = s->position[number];
    s->position[number] = r->next;
    if (at == RECENCY_NEVER) {
        s->distinct++;
        s->cold++;
        recency_first(r, number);
        return RECENCY_NEVER;
    }
    s->distinct += at < r->mark;
    return recency_again(r, number, at, recency_levels(r));
}

/* From here on `distinct` counts anew. */
static inline void mrc_stack_mark(struct mrc_stack *s)
{
    s->order->mark = s->order->next;
    s->distinct = 0;
}

#endif
