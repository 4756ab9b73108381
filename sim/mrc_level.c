/* mrc_level.c - one page size of one stream: references through every stack. */
#include "isa.h"
#include "mrc_internal.h"

#include <stdlib.h>
#include <string.h>

extern mrc_take_fn mrc_take_portable, mrc_take_avx2, mrc_take_avx512;

static mrc_take_fn *chosen(void)
{
#if defined(__x86_64__)
    static mrc_take_fn *const take[] = {
        [ISA_PORTABLE] = mrc_take_portable, [ISA_AVX2] = mrc_take_avx2, [ISA_AVX512] = mrc_take_avx512
    };
    return take[isa_chosen()];
#else
    return mrc_take_portable;
#endif
}

enum nw_status mrc_level_init(struct mrc_level *l, const struct nw_mrc_options *o, unsigned stream, unsigned log2,
                              struct nw_error *err)
{
    enum nw_status s;
    l->exact = o->exact;
    l->take = chosen();
    l->sampled = o->rate > 0;
    l->intervals = o->exact && o->window_accesses;
    l->stack = calloc(o->array_count + 1, sizeof *l->stack);
    l->few = calloc(o->array_count + 1, sizeof *l->few);
    if (!l->stack || !l->few)
        return nw_fail_nomem(err, "the curves");
    if (l->sampled && (s = mrc_sample_init(&l->sample, o->rate, o->seed, o->size, o->size_count, err)))
        return s;
    if (!l->exact)
        return NW_OK;
    if ((s = mrc_pages_init(&l->pages, err)) || (s = mrc_stack_init(&l->stack[l->stack_count++], 1, err)))
        return s;
    for (size_t i = 0; i < o->array_count; i++) {
        const struct nw_mrc_array *a = &o->array[i];
        if ((unsigned)a->stream != stream || a->page_log2 != log2 || a->sets == 1)
            continue;
        s = a->few_ways ? mrc_few_init(&l->few[l->few_count++], a->sets, err)
                        : mrc_stack_init(&l->stack[l->stack_count++], a->sets, err);
        if (s)
            return s;
    }
    return NW_OK;
}

void mrc_level_fini(struct mrc_level *l)
{
    for (size_t i = 0; i < l->stack_count; i++)
        mrc_stack_fini(&l->stack[i]);
    for (size_t i = 0; i < l->few_count; i++)
        mrc_few_fini(&l->few[i]);
    free(l->stack);
    free(l->few);
    free(l->window);
    mrc_intervals_fini(&l->interval);
    mrc_pages_fini(&l->pages);
    mrc_sample_fini(&l->sample);
}

/* References of one page size, in order, each to another page than the one before; but the first may repeat the page before it (`repeats`), for the
 * sake of its window. */
static enum nw_status level_take(struct mrc_level *l, const uint64_t *name, const uint64_t *time, uint32_t count,
                                 bool repeats, struct nw_error *err)
{
    enum nw_status s = l->sampled ? mrc_sample_take(&l->sample, name + repeats, count - repeats, err) : NW_OK;
    return s || !l->exact ? s : l->take(l, name, time, count, repeats, err);
}

enum nw_status mrc_level_filter(struct mrc_level *l, uint64_t *name, uint64_t *time, uint32_t *count,
                                struct nw_error *err)
{
    if (!*count)
        return NW_OK;
    bool first = !l->any || name[0] != l->last, repeats = l->fresh && !first;
    uint64_t last = name[0];
    uint32_t begin = first || repeats, n = begin, all = *count;
    /* When the first one is left out, the next overwrites it. */
    for (uint32_t i = 1; i < all; i++) {
        uint64_t here = name[i];
        name[n] = here;
        time[n] = time[i];
        n += here != last;
        last = here;
    }
    l->changes += first + n - begin;
    l->last = last;
    l->any = true;
    l->fresh = false;
    *count = n;
    return n ? level_take(l, name, time, n, repeats, err) : NW_OK;
}
