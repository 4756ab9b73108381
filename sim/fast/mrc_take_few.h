/* mrc_take_few.h - the loop over references of mrc_few.h. Part of mrc_take.c. Hot. */
#ifndef NW_SIM_MRC_TAKE_FEW_H
#define NW_SIM_MRC_TAKE_FEW_H

#include "mrc_internal.h"
#if defined(__AVX512F__)
#    include <immintrin.h>
#endif

enum { FEW_BITS = 4, FEW_AHEAD = 24 };
#define FEW_SLOT UINT64_C(0x1111111111111111)
#define FEW_HIGH UINT64_C(0x8888888888888888)

/* A slice's distances are written down and counted afterwards, in turns: a count that waits for the one before it is slower than all the rest. */
static void few_count(struct mrc_few *f, const uint8_t *distance, uint32_t n)
{
    uint32_t counts[4][MRC_FEW_WAYS + 1] = { 0 };
    uint32_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (unsigned k = 0; k < 4; k++)
            counts[k][distance[i + k]]++;
    for (; i < n; i++)
        counts[0][distance[i]]++;
    for (unsigned d = 0; d <= MRC_FEW_WAYS; d++)
        f->count[d] += counts[0][d] + counts[1][d] + counts[2][d] + counts[3][d];
}

/* `power_of_two`: the number of sets is one; a compile-time value where this is used. */
NW_INLINE uint64_t few_set(const struct mrc_few *f, uint64_t name, bool power_of_two)
{
    uint64_t page = mrc_page_of(name), sets = f->sets;
    return power_of_two ? page & (sets - 1) : page % sets;
}

#if defined(__AVX512F__) && defined(__BMI__)

/* A set is one vector, in recency order: found with one comparison, and moved with one shift of lanes. */
NW_INLINE void few_loop(struct mrc_few *f, const uint32_t *number, const uint64_t *name, uint8_t *distance,
                        uint32_t count, bool power_of_two)
{
    const uint32_t nowhere = UINT32_C(1) << MRC_FEW_WAYS;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t *set = f->page + few_set(f, name[i], power_of_two) * MRC_FEW_WAYS;
        __m512i here = _mm512_set1_epi32((int)(number[i] + 1)), pages = _mm512_load_si512(set);
        uint32_t found = _mm512_cmpeq_epi32_mask(pages, here) | nowhere;
        distance[i] = (uint8_t)_tzcnt_u32(found);
        _mm512_store_si512(
            set, _mm512_mask_alignr_epi32(pages, (__mmask16)_blsmsk_u32(found), pages, here, MRC_FEW_WAYS - 1));
    }
}

#else

/* A set is its slots, and their order in one word. */
/* How many bits lie below the place of `slot`, which is in the order. The lowest group of 4 that is zero after the exclusive or is found exactly:
 * a borrow only reaches groups above one that is zero. */
NW_INLINE unsigned few_shift(uint64_t order, uint64_t slot)
{
    uint64_t other = order ^ slot * FEW_SLOT;
    return (unsigned)__builtin_ctzll((other - FEW_SLOT) & ~other & FEW_HIGH) & ~(FEW_BITS - 1u);
}

NW_INLINE void few_loop(struct mrc_few *f, const uint32_t *number, const uint64_t *name, uint8_t *distance,
                        uint32_t count, bool power_of_two)
{
    uint8_t *restrict slots = f->slot;
    uint64_t *restrict orders = f->order;
    uint32_t *restrict pages = f->page;
    for (uint32_t i = 0; i < count; i++) {
        if (i + FEW_AHEAD < count)
            NW_PREFETCH(slots + number[i + FEW_AHEAD] + 1);
        uint64_t set = few_set(f, name[i], power_of_two);
        uint32_t here = number[i] + 1;
        uint64_t slot = slots[here], order = orders[set];
        uint64_t absent = slot / MRC_FEW_ABSENT; /* 1 or 0; arithmetic, where a compiler would make a choice a branch */
        slot = (slot & (MRC_FEW_ABSENT - 1)) | (order >> (64 - FEW_BITS) & (0 - absent));
        unsigned shift = few_shift(order, slot);
        distance[i] = (uint8_t)(shift / FEW_BITS + absent); /* the last slot is at the greatest distance: one more */
        uint64_t before = (UINT64_C(1) << shift) - 1, up_to = (UINT64_C(16) << shift) - 1;
        orders[set] = (order & ~up_to) | (order & before) << FEW_BITS | slot;
        uint32_t *restrict held = pages + set * MRC_FEW_WAYS + slot;
        slots[*held] = MRC_FEW_ABSENT;
        *held = here;
        slots[here] = (uint8_t)slot;
    }
}

#endif

static NW_NOINLINE void few_take(struct mrc_few *f, const uint32_t *number, const uint64_t *name, uint32_t count)
{
    uint8_t distance[MRC_CHUNK];
    if (nw_is_pow2(f->sets))
        few_loop(f, number, name, distance, count, true);
    else
        few_loop(f, number, name, distance, count, false);
    few_count(f, distance, count);
}

#endif
