/* mrc_take.c - references of one page size through everything that is exact. Compiled once for each instruction set (NW_ISA names it);
 * isa.h says how one is chosen. */
#include "mrc_internal.h"
#include "mrc_take_few.h"
#include "mrc_take_intervals.h"
#include "mrc_take_stack.h"

#define JOIN2(a, b) a##b
#define JOIN(a, b)  JOIN2(a, b)

static NW_NOINLINE enum nw_status number_pages(struct mrc_pages *pages, const uint64_t *name, uint32_t count,
                                               uint32_t *number, struct nw_error *err)
{
    enum { AHEAD = 32, NEAR_LOG2 = 8 };
    bool far = pages->log2 > NEAR_LOG2; /* what is in the processor's first level needs no prefetch */
    for (uint32_t i = 0; i < count; i++) {
        if (far && i + AHEAD < count)
            mrc_pages_prefetch(pages, name[i + AHEAD]);
        enum nw_status s = mrc_pages_number(pages, name[i], &number[i], err);
        if (s)
            return s;
    }
    return NW_OK;
}

mrc_take_fn JOIN(mrc_take_, NW_ISA);
enum nw_status JOIN(mrc_take_, NW_ISA)(struct mrc_level *l, const uint64_t *name, const uint64_t *time, uint32_t count,
                                       bool repeats, struct nw_error *err)
{
    uint32_t number[MRC_CHUNK];
    enum nw_status s = number_pages(&l->pages, name, count, number, err);
    for (size_t i = 0; i < l->stack_count && !s; i++)
        if (!(s = mrc_stack_reserve(&l->stack[i], l->pages.count, err)))
            s = stack_take(&l->stack[i], number, name, count, err);
    for (size_t i = 0; i < l->few_count && !s; i++)
        if (!(s = mrc_few_reserve(&l->few[i], l->pages.count, err)))
            few_take(&l->few[i], number, name, count);
    if (l->intervals && !s && !(s = mrc_intervals_reserve(&l->interval, l->pages.count, err)))
        intervals_take(&l->interval, number + repeats, time + repeats, count - repeats);
    return s;
}
