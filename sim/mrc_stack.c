#include "mrc_stack.h"

#include <stdlib.h>
#include <string.h>

enum { ROOM_MIN = 64 };

enum nw_status mrc_stack_init(struct mrc_stack *s, uint32_t sets, struct nw_error *err)
{
    *s = (struct mrc_stack){ .sets = sets, .order = calloc(sets, sizeof *s->order) };
    enum nw_status status = s->order ? NW_OK : nw_fail_nomem(err, "the LRU stacks of an array");
    for (uint32_t i = 0; i < sets && !status; i++)
        status = recency_init(&s->order[i], err);
    return status;
}

void mrc_stack_fini(struct mrc_stack *s)
{
    for (uint32_t i = 0; s->order && i < s->sets; i++)
        recency_fini(&s->order[i]);
    free(s->order);
    free(s->position);
    free(s->count);
    *s = (struct mrc_stack){ 0 };
}

enum nw_status mrc_stack_reserve(struct mrc_stack *s, uint32_t pages, struct nw_error *err)
{
    if (pages <= s->room)
        return NW_OK;
    uint32_t room = s->room ? s->room : ROOM_MIN;
    while (room < pages)
        room = room < UINT32_MAX / 2 ? 2 * room : UINT32_MAX;
    uint32_t *position = reallocarray(s->position, room, sizeof *position);
    if (position)
        s->position = position;
    uint64_t *count = reallocarray(s->count, room, sizeof *count);
    if (count)
        s->count = count;
    if (!position || !count)
        return nw_fail_nomem(err, "the pages of an LRU stack");
    for (uint32_t i = s->room; i < room; i++) {
        position[i] = RECENCY_NEVER;
        count[i] = 0;
    }
    s->room = room;
    return NW_OK;
}
