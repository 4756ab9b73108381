#include "mrc_few.h"

#include <stdlib.h>
#include <string.h>

enum { ROOM_MIN = 64, LINE_BYTES = 64 };
#define ORDER_MADE UINT64_C(0xfedcba9876543210)

enum nw_status mrc_few_init(struct mrc_few *f, uint32_t sets, struct nw_error *err)
{
    *f = (struct mrc_few){ .sets = sets,
                           .order = malloc(sets * sizeof *f->order),
                           .page = aligned_alloc(LINE_BYTES, sets * MRC_FEW_WAYS * sizeof *f->page) };
    if (!f->order || !f->page)
        return nw_fail_nomem(err, "the sets of an array");
    memset(f->page, 0, sets * MRC_FEW_WAYS * sizeof *f->page);
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

enum nw_status mrc_few_reserve(struct mrc_few *f, uint32_t pages, struct nw_error *err)
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
    memset(slot + old, MRC_FEW_ABSENT, (size_t)room + 1 - old);
    f->slot = slot;
    f->room = room;
    return NW_OK;
}
