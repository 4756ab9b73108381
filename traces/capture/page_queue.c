#include "page_queue.h"

#include <nestwalk/base/addr.h>
#include <stdlib.h>

enum nw_status page_queue_init(struct page_queue *q, uint64_t pages, struct nw_error *err)
{
    *q = (struct page_queue){ .state = calloc(pages, 1), .pages = pages };
    for (size_t i = 0; i < NW_SAME_PAGES_KEPT; i++)
        q->kept[i] = UINT32_MAX;
    return q->state ? NW_OK : nw_fail_nomem(err, "the pages of a guest");
}

void page_queue_fini(struct page_queue *q)
{
    free(q->state);
    free(q->fetched);
    *q = (struct page_queue){ 0 };
}

enum nw_status page_queue_fetch(struct page_queue *q, uint32_t page, uint32_t *gone, struct nw_error *err)
{
    if (q->count == q->room) {
        const size_t room = q->room ? 2 * q->room : 4096;
        uint32_t *more = realloc(q->fetched, room * sizeof *more);
        if (!more)
            return nw_fail_nomem(err, "the order of a guest's pages");
        q->fetched = more;
        q->room = room;
    }
    q->fetched[q->count++] = page;
    *gone = q->kept[q->next];
    q->kept[q->next] = page;
    q->next = (q->next + 1) % NW_SAME_PAGES_KEPT;
    q->state[page] = PAGE_KEPT;
    if (*gone != UINT32_MAX)
        q->state[*gone] = PAGE_AWAY;
    return NW_OK;
}
