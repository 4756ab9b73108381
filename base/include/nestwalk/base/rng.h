/* rng.h - the deterministic random generator: xoshiro256** seeded by splitmix64 (Blackman and Vigna).
 *
 * Each component has its own generator, derived from the run's seed and the component's name, so that adding a
 * component does not shift another's numbers.
 *
 *     struct nw_rng rng = nw_rng_for(seed, "tlb.l2");
 *     size_t way = nw_rng_below(&rng, ways); */
#ifndef NESTWALK_BASE_RNG_H
#define NESTWALK_BASE_RNG_H

#include <stdint.h>

struct nw_rng {
    uint64_t s[4];
};

struct nw_rng nw_rng_seeded(uint64_t seed);
struct nw_rng nw_rng_for(uint64_t seed, const char *component);

static inline uint64_t nw_rng_rotl(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

static inline uint64_t nw_rng_next(struct nw_rng *r)
{
    uint64_t *s = r->s, result = nw_rng_rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = nw_rng_rotl(s[3], 45);
    return result;
}

/* Uniform in [0, n), n > 0, by multiply-shift; the bias is below n / 2^64. */
static inline uint64_t nw_rng_below(struct nw_rng *r, uint64_t n)
{
    return (uint64_t)(((unsigned __int128)nw_rng_next(r) * n) >> 64);
}

/* Uniform in [0, 1) with 53 bits. */
static inline double nw_rng_unit(struct nw_rng *r) { return (double)(nw_rng_next(r) >> 11) * 0x1p-53; }

#endif
