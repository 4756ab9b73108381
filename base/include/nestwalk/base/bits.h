/* bits.h - small bit helpers; bit positions are architectural (63 is the top). */
#ifndef NESTWALK_BASE_BITS_H
#define NESTWALK_BASE_BITS_H

#include <nestwalk/base/compiler.h>
#include <stdbool.h>
#include <stdint.h>

#define NW_BIT(n) ((uint64_t)1 << (n))

/* Bits high..low inclusive, both 0..63. nw_mask(51, 12) is the address field of a page-table entry. */
static inline uint64_t nw_mask(unsigned high, unsigned low)
{
    return high < low ? 0 : (~(uint64_t)0 >> (63 - (high - low))) << low;
}

/* The field high..low of `word`, shifted down. */
static inline uint64_t nw_field(uint64_t word, unsigned high, unsigned low)
{
    return (word & nw_mask(high, low)) >> low;
}

static inline uint64_t nw_align_down(uint64_t v, uint64_t align) { return v & ~(align - 1); }
static inline uint64_t nw_align_up(uint64_t v, uint64_t align) { return (v + align - 1) & ~(align - 1); }
static inline bool nw_is_pow2(uint64_t v) { return v && !(v & (v - 1)); }
static inline unsigned nw_log2_floor(uint64_t v) { return v ? 63u - (unsigned)__builtin_clzll(v) : 0; }
static inline unsigned nw_log2_ceil(uint64_t v) { return v <= 1 ? 0 : nw_log2_floor(v - 1) + 1; }

/* Sign-extends `v` from bit `bits`-1: a canonical address equals its own extension (SDM vol. 1, "Canonical Addressing"). */
static inline uint64_t nw_sign_extend(uint64_t v, unsigned bits)
{
    return (uint64_t)((int64_t)(v << (64 - bits)) >> (64 - bits));
}

/* A full-avalanche 64-bit mix (the finaliser of splitmix64). */
static inline uint64_t nw_mix64(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

#endif
