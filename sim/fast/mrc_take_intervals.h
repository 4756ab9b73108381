/* mrc_take_intervals.h - the loop over references of mrc_intervals.h. Part of mrc_take.c. Hot. */
#ifndef NW_SIM_MRC_TAKE_INTERVALS_H
#define NW_SIM_MRC_TAKE_INTERVALS_H

#include "mrc_intervals.h"
#include <stdbool.h>

enum { INTERVALS_AHEAD = 24, INTERVALS_NEAR = 2048 };

/* References that change the page, in order: pages' numbers and times. Those in between repeat the page. */
static NW_NOINLINE void intervals_take(struct mrc_intervals *v, const uint32_t *number, const uint64_t *time,
                                       uint32_t count)
{
    uint64_t *last_of = v->last;
    bool far = v->room > INTERVALS_NEAR;
    uint32_t page = v->page; /* at first page 0, which is the first one, and comes at time 0: nothing was before */
    for (uint32_t i = 0; i < count; i++) {
        if (far && i + INTERVALS_AHEAD < count)
            NW_PREFETCH(last_of + number[i + INTERVALS_AHEAD]);
        last_of[page] = time[i]; /* the run of the page before ended just now: its last reference is at time - 1 */
        page = number[i];
        uint64_t last = last_of[page], interval = time[i] + 1 - last; /* 2 or more: another page was in between */
        if (NW_UNLIKELY(!last))
            continue;
        unsigned bucket = nw_log2_floor(interval - 1) + 1;
        v->turn[i % MRC_INTERVAL_TURNS][bucket].sum += interval;
        v->turn[i % MRC_INTERVAL_TURNS][bucket].count++;
    }
    v->page = page;
}

#endif
