/* How long invalidations took. */
#include "judge.h"
#include <stdio.h>

enum { SLOW_FROM = 5 /* the counts from 1 ms on */ };

void nw_judge_latency(struct judge *j)
{
    for (size_t i = 0; i < j->d->latencies; i++) {
        const struct nw_dump_latency *l = &j->d->latency[i];
        uint64_t slow = 0, all = 0;
        char where[64];
        for (unsigned k = 0; k < NW_DUMP_LATENCY_COUNTS; k++) {
            all += l->count[k];
            slow += k >= SLOW_FROM ? l->count[k] : 0;
        }
        snprintf(where, sizeof where, "%s %s", l->unit, l->what);
        if (slow)
            nw_judge_add(j, L01, &l->place, where,
                         "%llu of %llu took 1 ms or more; the longest %llu us, average %llu us",
                         (unsigned long long)slow, (unsigned long long)all, (unsigned long long)l->most_us,
                         (unsigned long long)l->average_us);
    }
}
