#include "mrc_intervals.h"

#include <stdlib.h>
#include <string.h>

enum { ROOM_MIN = 64 };

enum nw_status mrc_intervals_reserve(struct mrc_intervals *v, uint32_t pages, struct nw_error *err)
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

void mrc_intervals_finish(struct mrc_intervals *v, uint64_t references, uint64_t repeats, uint32_t pages)
{
    v->turn[0][0].count += repeats;
    v->turn[0][0].sum += repeats;
    if (pages)
        v->last[v->page] = references;
    for (uint32_t i = 0; i < pages; i++) {
        uint64_t interval = references + 1 - v->last[i];
        unsigned bucket = nw_log2_ceil(interval);
        v->turn[0][bucket].count++;
        v->turn[0][bucket].sum += interval;
    }
}

double mrc_intervals_average(const struct mrc_intervals *v, unsigned k, uint64_t references)
{
    double sum = 0;
    for (unsigned b = 0; b < MRC_INTERVAL_BUCKETS; b++) {
        uint64_t intervals = 0, together = 0;
        for (unsigned t = 0; t < MRC_INTERVAL_TURNS; t++) {
            intervals += v->turn[t][b].count;
            together += v->turn[t][b].sum;
        }
        sum += b <= k ? (double)together : (double)intervals * (double)NW_BIT(k);
    }
    return sum / (double)references;
}

void mrc_intervals_fini(struct mrc_intervals *v)
{
    free(v->last);
    *v = (struct mrc_intervals){ 0 };
}
