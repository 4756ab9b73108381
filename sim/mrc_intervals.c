#include "mrc_intervals.h"

#include <nestwalk/base/bits.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM_MIN = 64 };

static enum nw_status reserve(struct mrc_intervals *v, uint32_t pages, struct nw_error *err)
{
    if (pages <= v->room)
        return NW_OK;
    uint32_t room = v->room ? v->room : ROOM_MIN;
    while (room < pages)
        room = room < UINT32_MAX / 2 ? 2 * room : UINT32_MAX;
    uint64_t *last = reallocarray(v->last, room, sizeof *last);
    if (!last)
        return nw_fail_nomem(err, "the intervals between references");
    memset(last + v->room, 0, (room - v->room) * sizeof *last);
    v->last = last;
    v->room = room;
    return NW_OK;
}

static inline void add(struct mrc_intervals *v, uint64_t interval)
{
    unsigned bucket = nw_log2_ceil(interval);
    v->count[bucket]++;
    v->sum[bucket] += interval;
}

enum nw_status mrc_intervals_take(struct mrc_intervals *v, const uint32_t *number, const uint64_t *time, uint32_t count,
                                  uint32_t pages, struct nw_error *err)
{
    enum { AHEAD = 16 };
    enum nw_status s = reserve(v, pages, err);
    if (s)
        return s;
    uint64_t *last_of = v->last;
    uint32_t page = v->page; /* at first page 0, which is the first one, and comes at time 0: nothing was before */
    for (uint32_t i = 0; i < count; i++) {
        if (i + AHEAD < count)
            NW_PREFETCH(last_of + number[i + AHEAD]);
        last_of[page] = time[i]; /* the run of the page before ended just now: its last reference is at time - 1 */
        page = number[i];
        uint64_t last = last_of[page];
        if (NW_LIKELY(last))
            add(v, time[i] + 1 - last);
    }
    v->page = page;
    return NW_OK;
}

void mrc_intervals_finish(struct mrc_intervals *v, uint64_t references, uint64_t repeats, uint32_t pages)
{
    v->count[0] += repeats;
    v->sum[0] += repeats;
    if (pages)
        v->last[v->page] = references;
    for (uint32_t i = 0; i < pages; i++)
        add(v, references + 1 - v->last[i]);
}

double mrc_intervals_average(const struct mrc_intervals *v, unsigned k, uint64_t references)
{
    double sum = 0;
    for (unsigned b = 0; b < MRC_INTERVAL_BUCKETS; b++)
        sum += b <= k ? (double)v->sum[b] : (double)v->count[b] * (double)NW_BIT(k);
    return sum / (double)references;
}

void mrc_intervals_fini(struct mrc_intervals *v)
{
    free(v->last);
    *v = (struct mrc_intervals){ 0 };
}
