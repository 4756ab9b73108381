#include "mrc_few.h"

#include <stdlib.h>
#include <string.h>

enum { ROOM_MIN = 64, SLOT_BITS = 4, ABSENT = MRC_FEW_WAYS };
#define EACH_SLOT  UINT64_C(0x1111111111111111)
#define EACH_HIGH  UINT64_C(0x8888888888888888)
#define ORDER_MADE UINT64_C(0xfedcba9876543210)

enum nw_status mrc_few_init(struct mrc_few *f, uint32_t sets, struct nw_error *err)
{
    *f = (struct mrc_few){ .sets = sets,
                           .order = malloc(sets * sizeof *f->order),
                           .page = calloc(sets, MRC_FEW_WAYS * sizeof *f->page) };
    if (!f->order || !f->page)
        return nw_fail_nomem(err, "the sets of an array");
    for (uint32_t i = 0; i < sets; i++)
        f->order[i] = ORDER_MADE;
    return NW_OK;
}

void mrc_few_fini(struct mrc_few *f)
{
    free(f->order);
    free(f->page);
    free(f->slot);
    *f = (struct mrc_few){ 0 };
}

static enum nw_status reserve(struct mrc_few *f, uint32_t pages, struct nw_error *err)
{
    if (pages <= f->room)
        return NW_OK;
    uint32_t room = f->room ? f->room : ROOM_MIN;
    while (room < pages)
        room = room < UINT32_MAX / 2 ? 2 * room : UINT32_MAX;
    uint8_t *slot = realloc(f->slot, (size_t)room + 1);
    if (!slot)
        return nw_fail_nomem(err, "the pages of an array");
    size_t old = f->room ? (size_t)f->room + 1 : 0;
    memset(slot + old, ABSENT, (size_t)room + 1 - old);
    f->slot = slot;
    f->room = room;
    return NW_OK;
}

/* How many bits lie below the place of `slot`, which is in the order. The lowest group of 4 that is zero after the exclusive or is found exactly:
 * a borrow only reaches groups above one that is zero. */
NW_INLINE unsigned shift_of(uint64_t order, uint64_t slot)
{
    uint64_t other = order ^ slot * EACH_SLOT;
    return (unsigned)__builtin_ctzll((other - EACH_SLOT) & ~other & EACH_HIGH) & ~(SLOT_BITS - 1u);
}

/* `power_of_two`: the number of sets is one; a compile-time value where this is used. */
NW_INLINE void take(struct mrc_few *f, const uint32_t *number, const uint64_t *name, uint32_t count, bool power_of_two)
{
    enum { AHEAD = 16 };
    uint8_t *restrict slots = f->slot;
    uint64_t *restrict orders = f->order, counts[MRC_FEW_WAYS + 1] = { 0 }, sets = f->sets;
    uint32_t *restrict pages = f->page;
    for (uint32_t i = 0; i < count; i++) {
        if (i + AHEAD < count)
            NW_PREFETCH(slots + number[i + AHEAD] + 1);
        uint64_t page = mrc_page_of(name[i]), set = power_of_two ? page & (sets - 1) : page % sets;
        uint32_t here = number[i] + 1;
        uint64_t slot = slots[here], order = orders[set];
        uint64_t absent = slot / ABSENT; /* 1 or 0; arithmetic, where a compiler would make a choice a branch */
        slot = (slot & (ABSENT - 1)) | (order >> (64 - SLOT_BITS) & (0 - absent));
        unsigned shift = shift_of(order, slot);
        counts[shift / SLOT_BITS + absent]++; /* the last slot is at the greatest distance: one more */
        uint64_t before = (UINT64_C(1) << shift) - 1, up_to = (UINT64_C(16) << shift) - 1;
        orders[set] = (order & ~up_to) | (order & before) << SLOT_BITS | slot;
        uint32_t *restrict held = pages + set * MRC_FEW_WAYS + slot;
        slots[*held] = ABSENT;
        *held = here;
        slots[here] = (uint8_t)slot;
    }
    for (unsigned i = 0; i <= MRC_FEW_WAYS; i++)
        f->count[i] += counts[i];
}

enum nw_status mrc_few_take(struct mrc_few *f, const uint32_t *number, const uint64_t *name, uint32_t count,
                            uint32_t pages, struct nw_error *err)
{
    enum nw_status s = reserve(f, pages, err);
    if (s)
        return s;
    if (nw_is_pow2(f->sets))
        take(f, number, name, count, true);
    else
        take(f, number, name, count, false);
    return NW_OK;
}
