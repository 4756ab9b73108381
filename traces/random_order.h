/* random_order.h - a pseudo-random bijection of [0, n) that needs no memory: a four-round Feistel network on the smallest even
 * count of bits that covers n, applied again while its result is not below n ("cycle walking", Black and Rogaway, "Ciphers with
 * Arbitrary Finite Domains", 2002). At most four applications are expected. */
#ifndef NESTWALK_TRACES_RANDOM_ORDER_H
#define NESTWALK_TRACES_RANDOM_ORDER_H

#include <nestwalk/base/bits.h>
#include <nestwalk/base/rng.h>

enum { NW_RANDOM_ORDER_ROUNDS = 4 };

struct nw_random_order {
    uint64_t n, half_mask, key[NW_RANDOM_ORDER_ROUNDS];
    unsigned half_bits;
};

static inline struct nw_random_order nw_random_order_make(uint64_t n, struct nw_rng *rng)
{
    struct nw_random_order o = { .n = n, .half_bits = (nw_log2_ceil(n) + 1) / 2 };
    if (!o.half_bits)
        o.half_bits = 1;
    o.half_mask = (UINT64_C(1) << o.half_bits) - 1;
    for (unsigned i = 0; i < NW_RANDOM_ORDER_ROUNDS; i++)
        o.key[i] = nw_rng_next(rng);
    return o;
}

/* Where `i`, less than n, goes. */
static inline uint64_t nw_random_order_of(const struct nw_random_order *o, uint64_t i)
{
    do {
        uint64_t left = i >> o->half_bits, right = i & o->half_mask;
        for (unsigned r = 0; r < NW_RANDOM_ORDER_ROUNDS; r++) {
            uint64_t next = left ^ (nw_mix64(right ^ o->key[r]) & o->half_mask);
            left = right;
            right = next;
        }
        i = left << o->half_bits | right;
    } while (i >= o->n);
    return i;
}

#endif
