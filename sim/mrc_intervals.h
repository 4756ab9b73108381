/* mrc_intervals.h - private to sim/: the average working set for windows of every length, from the intervals between references to a page (Denning and
 * Schwartz, "Properties of the working-set model", Communications of the ACM 15(3), 1972).
 *
 * A page is in the working set of the last T references for min(x, T) moments after each reference to it, x being how long the next one
 * takes to come; after the last one, until the trace ends. So the average size is the sum of these over all references, divided by their
 * number. Time is counted in references of the stream. Intervals are kept by powers of two, for which the average is then exact. */
#ifndef NW_SIM_MRC_INTERVALS_H
#define NW_SIM_MRC_INTERVALS_H

#include <nestwalk/base/bits.h>
#include <nestwalk/base/status.h>
#include <stdint.h>

enum { MRC_INTERVAL_BUCKETS = 65, MRC_INTERVAL_TURNS = 4 };

struct mrc_intervals {
    uint64_t *
        last; /* [page]: its most recent reference, plus 1; 0: none. Of `page`, whose run lasts, that of the run before */
    uint32_t room, page;
    struct {
        uint64_t count, sum;
    } turn
        [MRC_INTERVAL_TURNS]
        [MRC_INTERVAL_BUCKETS]; /* [][b]: of intervals above 2^(b-1), to 2^b; added up by turns, which do not wait for each other */
};

/* Makes room for pages 0 .. pages - 1. */
enum nw_status mrc_intervals_reserve(struct mrc_intervals *v, uint32_t pages, struct nw_error *err) NW_MUST_USE;
/* The stream is over, after `references`, of which so many repeated the page before; there were so many pages. */
void mrc_intervals_finish(struct mrc_intervals *v, uint64_t references, uint64_t repeats, uint32_t pages);
/* Average distinct pages of the last 2^k references. */
double mrc_intervals_average(const struct mrc_intervals *v, unsigned k, uint64_t references);
void mrc_intervals_fini(struct mrc_intervals *v);

#endif
