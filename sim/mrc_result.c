/* mrc_result.c - reading a curve. */
#include <math.h>
#include <nestwalk/sim/mrc.h>
#include <stdlib.h>

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
    for (size_t i = 0; r->working_set && i < r->working_set_count; i++)
        free(r->working_set[i].pages);
    free(r->curve);
    free(r->working_set);
    *r = (struct nw_mrc_result){ 0 };
}
