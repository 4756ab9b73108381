/* What a reclaim program may be; on any host. */
#include <nestwalk/traces/live_reclaim.h>

const char *const nw_reclaim_way_name[NW_RECLAIM_WAYS] = { "any", "zram", "swap", "swap-file", "file" };

enum nw_status nw_reclaim_check(const struct nw_reclaim_program *p, struct nw_error *err)
{
    if (!p->pages || p->pages > NW_RECLAIM_PAGES_MAX || p->touches > NW_RECLAIM_TOUCHES_MAX || !p->steps ||
        p->steps > NW_RECLAIM_STEPS_MAX)
        return nw_fail(
            err, NW_ERR_INPUT,
            "%u pages, %zu touches, %zu steps: 1 to %d pages, up to %d touches and 1 to %d steps are allowed", p->pages,
            p->touches, p->steps, NW_RECLAIM_PAGES_MAX, NW_RECLAIM_TOUCHES_MAX, NW_RECLAIM_STEPS_MAX);
    for (size_t i = 0; i < p->touches; i++)
        if (p->touch[i].page >= p->pages)
            return nw_fail(err, NW_ERR_INPUT, "touch %zu is of page %u of %u", i, p->touch[i].page, p->pages);
    for (size_t i = 0; i < p->victims; i++)
        if (p->victim[i] >= p->pages)
            return nw_fail(err, NW_ERR_INPUT, "victim %zu is page %u of %u", i, p->victim[i], p->pages);
    struct nw_reclaim_step before = { 0, 0 };
    for (size_t i = 0; i < p->steps; before = p->step[i++])
        if (p->step[i].touches_end < before.touches_end || p->step[i].victims_end < before.victims_end ||
            p->step[i].touches_end > p->touches || p->step[i].victims_end > p->victims)
            return nw_fail(err, NW_ERR_INPUT, "step %zu ends before the one before it, or after the program", i);
    return NW_OK;
}
