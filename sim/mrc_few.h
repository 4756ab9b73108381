/* mrc_few.h - private to sim/: the LRU stacks of one array's sets, followed down to MRC_FEW_WAYS ways. What is deeper, or was never there, is one
 * number: misses of more ways are not told apart. Where few ways are all that is asked for, this is several times faster than a timeline for each set.
 *
 * A set is MRC_FEW_WAYS slots and their order in one word, 4 bits a slot, the most recent one lowest. A reference finds its page's slot in a table by
 * page, or takes the last slot of the order; the slot's place in the order is the stack distance, and the slot moves to the front. All of it
 * without a branch: whether a page is there cannot be foreseen. */
#ifndef NW_SIM_MRC_FEW_H
#define NW_SIM_MRC_FEW_H

#include "mrc_pages.h"
#include <nestwalk/sim/mrc.h>
#include <stdbool.h>

enum { MRC_FEW_WAYS = NW_MRC_WAYS_FEW, MRC_FEW_ABSENT = MRC_FEW_WAYS };

struct mrc_few {
    uint32_t sets;
    uint64_t *order; /* [set] */
    uint32_t *page;  /* [set][slot]: page number plus 1; 0: free */
    uint8_t *slot;   /* [page number plus 1], or MRC_FEW_ABSENT; [0] is written for free slots and never read */
    uint32_t room;   /* pages that slot has room for */
    uint64_t count[MRC_FEW_WAYS + 1]; /* [distance]; the last one: deeper, and first references */
};

enum nw_status mrc_few_init(struct mrc_few *f, uint32_t sets, struct nw_error *err) NW_MUST_USE;
void mrc_few_fini(struct mrc_few *f);
/* Makes room for pages 0 .. pages - 1. */
enum nw_status mrc_few_reserve(struct mrc_few *f, uint32_t pages, struct nw_error *err) NW_MUST_USE;

#endif
