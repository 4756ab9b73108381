/* zipf.h - exact draws from a Zipf distribution over n ranks, in constant memory and time.
 *
 * P(rank r) is proportional to r^-s, r = 1..n. The ranks fall into octaves [2^k, 2^(k+1)). An octave's largest weight is that of
 * its first rank, 2^(-ks); so 2^k ranks of weight 2^(-ks) each lie over the wanted distribution like a staircase. A draw picks an
 * octave by the staircase's weight 2^(k(1-s)), a rank of it uniformly, and accepts it with probability (2^k / r)^s, beginning
 * anew otherwise: rank r then comes with probability proportional to 2^(k(1-s)) * 2^-k * (2^k / r)^s = r^-s, exactly. Ranks of
 * the last octave beyond n are rejected as well. For s = 1 a draw takes 1.44 tries (and up to twice that when n lies just above
 * a power of two); no table grows with n. */
#ifndef NESTWALK_TRACES_ZIPF_H
#define NESTWALK_TRACES_ZIPF_H

#include <nestwalk/base/rng.h>
#include <stdint.h>

enum { NW_ZIPF_OCTAVES = 64 };

struct nw_zipf {
    uint64_t n;
    double exponent;
    unsigned octaves;
    double cumulative[NW_ZIPF_OCTAVES]; /* weight of octaves 0..k */
};

void nw_zipf_init(struct nw_zipf *z, uint64_t n, double exponent);  /* n > 0, exponent >= 0 */
uint64_t nw_zipf_draw(const struct nw_zipf *z, struct nw_rng *rng); /* a rank, 1..n; 1 is the most frequent */

#endif
