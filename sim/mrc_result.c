/* mrc_result.c - what the curves have become, and reading them. */
#include "mrc_internal.h"

#include <math.h>
#include <stdlib.h>

/* From how often each distance came, and how often more than all of them. */
static enum nw_status fill_misses(struct nw_mrc_curve *c, const uint64_t *count, size_t distances, uint64_t more,
                                  struct nw_error *err)
{
    if (!(c->misses = calloc(distances + 1, sizeof *c->misses)))
        return nw_fail_nomem(err, "a curve");
    c->misses_count = distances + 1;
    uint64_t sum = more;
    c->misses[distances] = sum;
    for (size_t d = distances; d-- > 0;)
        c->misses[d] = sum += count[d];
    c->followed = sum;
    return NW_OK;
}

static enum nw_status all_misses(struct nw_mrc_curve *c, const struct mrc_stack *stack, struct nw_error *err)
{
    size_t distances = stack->room;
    while (distances && !stack->count[distances - 1])
        distances--;
    c->complete = true;
    return fill_misses(c, stack->count, distances, stack->cold, err);
}

/* When nothing is deeper than the ways that were followed but first references, the curve is complete. */
static enum nw_status few_misses(struct nw_mrc_curve *c, const struct mrc_few *few, uint64_t cold, struct nw_error *err)
{
    size_t distances = MRC_FEW_WAYS;
    c->complete = few->count[MRC_FEW_WAYS] == cold;
    while (c->complete && distances && !few->count[distances - 1])
        distances--;
    return fill_misses(c, few->count, distances, few->count[MRC_FEW_WAYS], err);
}

static enum nw_status level_result(const struct mrc_level *l, struct nw_mrc_curve template, struct nw_mrc_result *out,
                                   struct nw_error *err)
{
    enum nw_status s = NW_OK;
    template.changes = l->changes;
    for (size_t i = 0; i < l->stack_count && !s; i++) {
        struct nw_mrc_curve *c = &out->curve[out->curve_count++];
        *c = template;
        c->sets = l->stack[i].sets;
        c->rate = 1;
        c->pages = l->pages.count;
        s = all_misses(c, &l->stack[i], err);
    }
    for (size_t i = 0; i < l->few_count && !s; i++) {
        struct nw_mrc_curve *c = &out->curve[out->curve_count++];
        *c = template;
        c->sets = l->few[i].sets;
        c->rate = 1;
        c->pages = l->pages.count;
        s = few_misses(c, &l->few[i], l->stack[0].cold, err);
    }
    if (l->sampled && !s) {
        struct nw_mrc_curve *c = &out->curve[out->curve_count++];
        *c = template;
        c->sets = 1;
        c->rate = mrc_sample_rate(&l->sample);
        c->sampled = true;
        c->pages = l->sample.pages.count;
        if (!(s = all_misses(c, &l->sample.stack, err)))
            s = mrc_sample_points(&l->sample, c, err);
    }
    return s;
}

static enum nw_status average_result(struct mrc_level *l, uint64_t references, struct nw_mrc_working_set *w,
                                     struct nw_error *err)
{
    w->average_count = (references ? nw_log2_ceil(references) : 0) + 1;
    if (!(w->average = calloc(w->average_count, sizeof *w->average)))
        return nw_fail_nomem(err, "the working sets");
    mrc_intervals_finish(&l->interval, references, references - l->changes, l->pages.count);
    for (unsigned k = 0; k < w->average_count && references; k++)
        w->average[k] = mrc_intervals_average(&l->interval, k, references);
    return NW_OK;
}

enum nw_status nw_mrc_finish(struct nw_mrc *m, struct nw_mrc_result *out, struct nw_error *err)
{
    struct nw_mrc_result r = { .accesses = m->accesses,
                               .address_spaces = m->roots.count,
                               .window_accesses = m->options.exact ? m->options.window_accesses : 0 };
    size_t most = NW_TLB_CLASS_COUNT * NW_MRC_PAGE_SIZES;
    enum nw_status s = r.window_accesses && m->accesses ? mrc_window_end(m, err) : NW_OK; /* the last one */
    r.curve = calloc(most * 2 + m->options.array_count, sizeof *r.curve);
    r.working_set = calloc(most, sizeof *r.working_set);
    if (!s && (!r.curve || !r.working_set))
        s = nw_fail_nomem(err, "the curves");
    for (unsigned i = 0; i < NW_TLB_CLASS_COUNT && !s; i++)
        for (unsigned k = 0; k < NW_MRC_PAGE_SIZES && m->stream[i].wanted && !s; k++) {
            struct mrc_level *l = &m->stream[i].level[k];
            struct nw_mrc_curve template = { .stream = (enum nw_tlb_class)i, .page_log2 = nw_mrc_page_log2[k] };
            template.references = m->stream[i].references;
            s = level_result(l, template, &r, err);
            if (!r.window_accesses)
                continue;
            r.working_set[r.working_set_count++] = (struct nw_mrc_working_set){ .stream = template.stream,
                                                                                .page_log2 = template.page_log2,
                                                                                .pages = l->window,
                                                                                .window_count = l->window_count };
            l->window = NULL;
            s = s ? s : average_result(l, template.references, &r.working_set[r.working_set_count - 1], err);
        }
    if (s)
        nw_mrc_result_fini(&r);
    else
        *out = r;
    return s;
}

double nw_mrc_misses(const struct nw_mrc_curve *c, uint64_t entries)
{
    if (!entries)
        return (double)c->references;
    double at = ceil((double)entries * c->rate);
    size_t last = c->misses_count - 1, i = at < (double)last ? (size_t)at : last;
    double misses = (double)c->misses[i] / c->rate, most = (double)c->changes;
    return c->sampled && misses > most ? most : misses;
}

const struct nw_mrc_curve *nw_mrc_find(const struct nw_mrc_result *r, enum nw_tlb_class stream, unsigned page_log2,
                                       uint32_t sets, bool sampled)
{
    for (size_t i = 0; i < r->curve_count; i++) {
        const struct nw_mrc_curve *c = &r->curve[i];
        if (c->stream == stream && c->page_log2 == page_log2 && c->sets == sets && c->sampled == sampled)
            return c;
    }
    return NULL;
}

void nw_mrc_result_fini(struct nw_mrc_result *r)
{
    for (size_t i = 0; r->curve && i < r->curve_count; i++) {
        free(r->curve[i].misses);
        free(r->curve[i].point);
    }
    for (size_t i = 0; r->working_set && i < r->working_set_count; i++) {
        free(r->working_set[i].pages);
        free(r->working_set[i].average);
    }
    free(r->curve);
    free(r->working_set);
    *r = (struct nw_mrc_result){ 0 };
}
