/* mrc_sample.h - private to sim/: a curve from a sample of the pages (SHARDS at a fixed rate; mrc.h says what that is), with its bound.
 *
 * The bound. Let R be the rate, n a size, M the estimated and m_i the misses of sampled page i at that size.
 *   Which pages: a page is followed with probability R, so the estimate's variance is (1 - R) / R times the sum of m_i^2 over all pages; the sample
 *   estimates it as (1 - R) / R^2 times the sum over the sampled ones. Heavy pages that the sample lacks do not show in that; but then it
 *   has fewer references than R times all, and an estimate as a ratio within the sample is another than M: that difference is added.
 *   Neither need be believed beyond this: between two misses of a page lie n references that change the page, so with F of these in the trace no page
 *   misses more than F / n + 1 times, and the sum of the squares is at most that times M.
 *   Which distances: of d pages between two references, the sample sees d * R with a standard deviation of sqrt(d R (1 - R)): the curve is read up to
 *   so many entries beside n.
 * So the exact count is taken to lie between M(n + z sqrt(n (1 - R) / R)) and M(n - the same), widened by z standard errors of the first
 * kind, with z = 3. No distribution is assumed, and it is no certainty: a normal one would be outside in 0.3 % of cases. */
#ifndef NW_SIM_MRC_SAMPLE_H
#define NW_SIM_MRC_SAMPLE_H

#include "mrc_stack.h"
#include <nestwalk/sim/mrc.h>

enum { MRC_RATE_LOG2 = 24, MRC_SIGMAS = 3 };

struct mrc_sample {
    uint32_t threshold; /* of the hash, out of 2^MRC_RATE_LOG2 */
    uint64_t seed;
    struct mrc_pages pages;
    struct mrc_stack stack;
    uint32_t *needed; /* [size]: sampled distances from this on miss */
    uint32_t *tally;  /* [page][sizes that the reference missed, 0 .. size_count] */
    uint32_t tally_room;
    const uint64_t *size; /* borrowed */
    size_t size_count;
};

enum nw_status mrc_sample_init(struct mrc_sample *s, double rate, uint64_t seed, const uint64_t *size,
                               size_t size_count, struct nw_error *err) NW_MUST_USE;
void mrc_sample_fini(struct mrc_sample *s);
enum nw_status mrc_sample_take(struct mrc_sample *s, const uint64_t *name, uint32_t count,
                               struct nw_error *err) NW_MUST_USE;
static inline double mrc_sample_rate(const struct mrc_sample *s) { return s->threshold * 0x1p-24; }
/* Fills c->point from a curve that has everything else. */
enum nw_status mrc_sample_points(const struct mrc_sample *s, struct nw_mrc_curve *c, struct nw_error *err) NW_MUST_USE;

#endif
