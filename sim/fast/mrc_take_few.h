/* mrc_take_few.h - the loop over references of mrc_few.h. Part of mrc_take.c. Hot. */
#ifndef NW_SIM_MRC_TAKE_FEW_H
#define NW_SIM_MRC_TAKE_FEW_H

#include "mrc_few.h"

enum { FEW_BITS = 4, FEW_AHEAD = 24 };
#define FEW_SLOT  UINT64_C(0x1111111111111111)
#define FEW_HIGH  UINT64_C(0x8888888888888888)

/* How many bits lie below the place of `slot`, which is in the order. The lowest group of 4 that is zero after the exclusive or is found exactly:
 * a borrow only reaches groups above one that is zero. */
NW_INLINE unsigned few_shift(uint64_t order, uint64_t slot)
{
    uint64_t other = order ^ slot * FEW_SLOT;
    return (unsigned)__builtin_ctzll((other - FEW_SLOT) & ~other & FEW_HIGH) & ~(FEW_BITS - 1u);
}

/* `power_of_two`: the number of sets is one; a compile-time value where this is used. */
NW_INLINE void few_loop(struct mrc_few *f, const uint32_t *number, const uint64_t *name, uint32_t count, bool power_of_two)
{
    uint8_t *restrict slots = f->slot;
    uint64_t *restrict orders = f->order, counts[MRC_FEW_WAYS + 1] = { 0 }, sets = f->sets;
    uint32_t *restrict pages = f->page;
    for (uint32_t i = 0; i < count; i++) {
        if (i + FEW_AHEAD < count)
            NW_PREFETCH(slots + number[i + FEW_AHEAD] + 1);
        uint64_t page = mrc_page_of(name[i]), set = power_of_two ? page & (sets - 1) : page % sets;
        uint32_t here = number[i] + 1;
        uint64_t slot = slots[here], order = orders[set];
        uint64_t absent = slot / MRC_FEW_ABSENT; /* 1 or 0; arithmetic, where a compiler would make a choice a branch */
        slot = (slot & (MRC_FEW_ABSENT - 1)) | (order >> (64 - FEW_BITS) & (0 - absent));
        unsigned shift = few_shift(order, slot);
        counts[shift / FEW_BITS + absent]++; /* the last slot is at the greatest distance: one more */
        uint64_t before = (UINT64_C(1) << shift) - 1, up_to = (UINT64_C(16) << shift) - 1;
        orders[set] = (order & ~up_to) | (order & before) << FEW_BITS | slot;
        uint32_t *restrict held = pages + set * MRC_FEW_WAYS + slot;
        slots[*held] = MRC_FEW_ABSENT;
        *held = here;
        slots[here] = (uint8_t)slot;
    }
    for (unsigned i = 0; i <= MRC_FEW_WAYS; i++)
        f->count[i] += counts[i];
}

static NW_NOINLINE void few_take(struct mrc_few *f, const uint32_t *number, const uint64_t *name, uint32_t count)
{
    if (nw_is_pow2(f->sets))
        few_loop(f, number, name, count, true);
    else
        few_loop(f, number, name, count, false);
}

#endif
