/* Predictions for the held-out chases, and whether what is claimed of them holds. */
#include "measure_internal.h"
#include <assert.h>
#include <math.h>
#include <nestwalk/base/addr.h>
#include <nestwalk/sim/judge.h>
#include <nestwalk/sim/measure.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SMALL_PAGES = 2048, LARGE_PAGES = 32768, PREDICTED_MAX = 64 };

double nw_judged_error_percent(const struct nw_judged_point *p, enum nw_judged_model model)
{
    return 100 * (p->predicted[model] / p->measured.cycles - 1);
}

/* ---- points ---- */

/* Near a capacity a chase is half of one regime and half of another, and its cost is the steepest function of what is not known. */
static void find_edge(const struct nw_config *c, const struct nw_chase *chase, char out[48])
{
    static const double below = 0.75, above = 1.3;
    for (size_t i = 0; i < c->tlb_count; i++) {
        const double share = (double)chase->count / (double)c->tlb[i].entries;
        if (c->tlb[i].class != NW_TLB_INSTRUCTION && share > below && share < above)
            snprintf(out, 48, "the %llu entries of %.16s", (unsigned long long)c->tlb[i].entries, c->tlb[i].name);
    }
    for (size_t i = 0; i < c->cache_count; i++) {
        const double lines = (double)(c->cache[i].size_bytes >> NW_LINE_LOG2), share = chase->count / lines;
        if (share > below && share < above)
            snprintf(out, 48, "the %.0f lines of %.16s", lines, c->cache[i].name);
    }
}

struct judging {
    const struct nw_measurement *m;
    const struct nw_judge_options *options;
    struct nw_judgement *j;
    double *predicted, *walk; /* [point][model][process] */
    uint64_t done, total;
};

static enum nw_status predict_process(struct judging *g, uint32_t nth, struct nw_error *err)
{
    struct nw_chase_world *world = NULL;
    struct nw_judgement *j = g->j;
    const uint32_t process = 2 * nth + 1; /* nw_measure_part_of() */
    enum nw_status s = nw_chase_world_create(&world, g->m, process, err);
    for (size_t i = 0; i < j->point_count && !s; i++)
        for (unsigned model = 0; model < NW_JUDGED_MODELS && !s; model++) {
            struct nw_judged_point *p = &j->point[i];
            struct nw_chase_counts counts;
            if (g->options->progress && !g->options->progress(g->options->context, g->done++, g->total))
                s = nw_fail(err, NW_ERR_INTERRUPTED, "interrupted");
            if (s || (s = nw_chase_predict(world, &j->model[model], p->chase, &counts, err)))
                break;
            const size_t at = (i * NW_JUDGED_MODELS + model) * PREDICTED_MAX + nth;
            g->predicted[at] = nw_chase_cycles(&j->model[model], &counts);
            g->walk[at] = nw_chase_walk_cycles(&j->model[model], &counts);
            if (model == NW_JUDGED_OURS) {
                p->counts = counts;
                p->regime = nw_chase_regime(&j->model[model], &counts);
            }
        }
    nw_chase_world_destroy(world);
    return s;
}

static enum nw_status choose_points(struct judging *g, struct nw_error *err)
{
    struct nw_judgement *j = g->j;
    if (!(j->point = calloc(g->m->chase_count, sizeof *j->point)))
        return nw_fail_nomem(err, "the points of a judgement");
    for (size_t i = 0; i < g->m->chase_count; i++) {
        const struct nw_chase *c = &g->m->chase[i];
        struct nw_judged_point *p = &j->point[j->point_count];
        p->measured = nw_chase_figure(g->m, i, NW_PART_JUDGE);
        if (c->set != NW_CHASE_HOLD_OUT || !p->measured.processes)
            continue;
        p->chase = i;
        find_edge(&j->model[NW_JUDGED_OURS], c, p->edge);
        j->point_count++;
    }
    return j->point_count ? NW_OK : nw_fail(err, NW_ERR_INPUT, "no chase of the held-out set was measured");
}

static void take_data_away(struct nw_judged_point *p)
{
    const double data = p->predicted[NW_JUDGED_OURS] - p->walk_predicted[NW_JUDGED_OURS];
    p->walks = p->counts.walks >= NW_JUDGED_WALKS;
    p->walk_measured = p->measured;
    p->walk_measured.cycles -= data;
    p->walk_measured.low -= data;
    p->walk_measured.high -= data;
    p->walks &= p->walk_measured.cycles > 0;
}

static enum nw_status predict(struct judging *g, struct nw_error *err)
{
    struct nw_judgement *j = g->j;
    enum nw_status s = NW_OK;
    const size_t room = j->point_count * NW_JUDGED_MODELS * PREDICTED_MAX;
    g->predicted = calloc(room, sizeof *g->predicted);
    g->walk = calloc(room, sizeof *g->walk);
    if (!g->predicted || !g->walk)
        s = nw_fail_nomem(err, "predictions");
    g->total = (uint64_t)j->point_count * NW_JUDGED_MODELS * j->predicted_processes;
    for (uint32_t i = 0; i < j->predicted_processes && !s; i++)
        s = predict_process(g, i, err);
    for (size_t i = 0; i < j->point_count && !s; i++)
        for (unsigned model = 0; model < NW_JUDGED_MODELS; model++) {
            const size_t at = (i * NW_JUDGED_MODELS + model) * PREDICTED_MAX;
            j->point[i].predicted[model] = nw_median(&g->predicted[at], j->predicted_processes);
            j->point[i].walk_predicted[model] = nw_median(&g->walk[at], j->predicted_processes);
        }
    for (size_t i = 0; i < j->point_count && !s; i++)
        take_data_away(&j->point[i]);
    free(g->predicted);
    free(g->walk);
    return s;
}

/* ---- claims ---- */

static bool dense(const struct nw_chase *c) { return c->spacing_bytes == NW_PAGE_BYTES; }
static bool is_small(const struct nw_chase *c, const struct nw_judged_point *p)
{
    (void)p;
    return dense(c) && c->count <= SMALL_PAGES;
}
static bool is_middle(const struct nw_chase *c, const struct nw_judged_point *p)
{
    (void)p;
    return dense(c) && c->count > SMALL_PAGES && c->count <= LARGE_PAGES;
}
static bool is_sparse(const struct nw_chase *c, const struct nw_judged_point *p)
{
    (void)p;
    return !dense(c);
}
static bool is_large(const struct nw_chase *c, const struct nw_judged_point *p)
{
    (void)p;
    return dense(c) && c->count > LARGE_PAGES;
}
#define IN_REGIME(name_, regime_)                                                                                      \
    static bool name_(const struct nw_chase *c, const struct nw_judged_point *p)                                       \
    {                                                                                                                  \
        (void)c;                                                                                                       \
        return p->regime == regime_;                                                                                   \
    }
IN_REGIME(in_l1_tlb, NW_REGIME_L1_TLB)
IN_REGIME(in_l2_tlb, NW_REGIME_L2_TLB)
IN_REGIME(in_cache, NW_REGIME_WALK_IN_CACHE)
IN_REGIME(in_memory, NW_REGIME_WALK_IN_MEMORY)

static bool within_5(const struct nw_judged_regime *r) { return r->max_error_percent[NW_JUDGED_OURS] <= 5; }
static bool median_10_worst_30(const struct nw_judged_regime *r)
{
    return r->median_error_percent[NW_JUDGED_OURS] <= 10 && r->max_error_percent[NW_JUDGED_OURS] <= 30;
}
static bool median_20(const struct nw_judged_regime *r) { return r->median_error_percent[NW_JUDGED_OURS] <= 20; }
static bool mostly_inside(const struct nw_judged_regime *r) { return r->inside * 10 >= r->points * 8; }
static bool beats_both(const struct nw_judged_regime *r)
{
    return r->median_error_percent[NW_JUDGED_OURS] < r->median_error_percent[NW_JUDGED_TEXTBOOK] &&
           r->median_error_percent[NW_JUDGED_OURS] < r->median_error_percent[NW_JUDGED_ONE_DIMENSION];
}

#define BEATS_BOTH "median error below that of the textbook and of the one-dimensional model"
static const struct regime {
    const char *name, *claim;
    bool excludes_edges, nested_only;
    bool (*has)(const struct nw_chase *c, const struct nw_judged_point *p);
    bool (*holds)(const struct nw_judged_regime *r);
} regimes[NW_JUDGED_REGIMES] = {
    { "to 2 K pages, dense", "every point within 5 %, points at a capacity edge excluded", true, false, is_small,
      within_5 },
    { "2.5 K to 32 K pages, dense", "median within 10 %, worst within 30 %", false, false, is_middle,
      median_10_worst_30 },
    { "sparse strides", "median within 20 %", false, false, is_sparse, median_20 },
    { "above 32 K pages, dense", "at least 80 % of the predictions inside the measured range", false, false, is_large,
      mostly_inside },
    { "L1 TLB", "", false, false, in_l1_tlb, NULL },
    { "L2 TLB", "", false, false, in_l2_tlb, NULL },
    { "walk in cache", BEATS_BOTH, false, true, in_cache, beats_both },
    { "walk in memory", BEATS_BOTH, false, true, in_memory, beats_both },
};

/* ---- the same of walks ---- */

static bool has_4k(const struct nw_chase *c, const struct nw_judged_point *p)
{
    (void)p;
    return c->pages == NW_CHASE_4K;
}
static bool has_2m(const struct nw_chase *c, const struct nw_judged_point *p)
{
    (void)p;
    return c->pages == NW_CHASE_2M;
}
static double references_of(const struct nw_judged_point *p) { return p->counts.references / p->counts.walks; }
static bool is_short(const struct nw_chase *c, const struct nw_judged_point *p)
{
    (void)c;
    return references_of(p) <= 2.2;
}
static bool is_medium(const struct nw_chase *c, const struct nw_judged_point *p)
{
    return !is_short(c, p) && references_of(p) <= 3.2;
}
static bool is_long(const struct nw_chase *c, const struct nw_judged_point *p)
{
    return !is_short(c, p) && !is_medium(c, p);
}
static const struct regime walk_regimes[] = {
    { "walk in cache", BEATS_BOTH, false, true, in_cache, beats_both },
    { "walk in memory", BEATS_BOTH, false, true, in_memory, beats_both },
    { "guest pages of 4K", "", false, false, has_4k, NULL },
    { "guest pages of 2M", "", false, false, has_2m, NULL },
    { "about two references a walk", "", false, false, is_short, NULL },
    { "about three", "", false, false, is_medium, NULL },
    { "more", "", false, false, is_long, NULL },
};
static_assert(NW_ARRAY_LEN(walk_regimes) <= NW_JUDGED_WALK_REGIMES, "a judgement has a place for each");

/* What is judged of a point: all of its cycles, or those of its walks. */
static const struct nw_chase_figure *measured_of(const struct nw_judged_point *p, bool walks)
{
    return walks ? &p->walk_measured : &p->measured;
}
static double predicted_of(const struct nw_judged_point *p, bool walks, unsigned model)
{
    return walks ? p->walk_predicted[model] : p->predicted[model];
}

static enum nw_status judge_regime(struct judging *g, const struct regime *rule, bool walks, struct nw_judged_regime *r,
                                   struct nw_error *err)
{
    struct nw_judgement *j = g->j;
    double *error = malloc(j->point_count * sizeof *error);
    if (!error)
        return nw_fail_nomem(err, "a regime");
    *r = (struct nw_judged_regime){ .holds = true };
    snprintf(r->name, sizeof r->name, "%s", rule->name);
    if (!rule->nested_only || j->fit.nested)
        snprintf(r->claim, sizeof r->claim, "%s", rule->claim);
    for (unsigned model = 0; model < NW_JUDGED_MODELS; model++) {
        r->points = r->excluded = r->inside = 0;
        for (size_t i = 0; i < j->point_count; i++) {
            const struct nw_judged_point *p = &j->point[i];
            if ((walks && !p->walks) || !rule->has(&g->m->chase[p->chase], p))
                continue;
            const struct nw_chase_figure *measured = measured_of(p, walks);
            const double ours = predicted_of(p, walks, NW_JUDGED_OURS);
            if (rule->excludes_edges && p->edge[0]) {
                r->excluded++;
                continue;
            }
            r->inside += ours >= measured->low && ours <= measured->high;
            error[r->points++] = fabs(100 * (predicted_of(p, walks, model) / measured->cycles - 1));
        }
        if (r->points) {
            r->median_error_percent[model] = nw_median(error, r->points); /* sorts */
            r->max_error_percent[model] = error[r->points - 1];
        }
    }
    free(error);
    if (r->claim[0] && r->points)
        r->holds = rule->holds(r);
    return NW_OK;
}

/* ---- counters ---- */

double nw_judged_counted(const struct nw_judged_point *p, enum nw_counted quantity)
{
    switch (quantity) {
    case NW_COUNTED_WALK_CYCLES: return p->walk_predicted[NW_JUDGED_OURS];
    case NW_COUNTED_WALK_REFERENCES: return p->counts.references - p->counts.references_nested;
    default: return p->counts.walks; /* a miss of the last TLB is a walk */
    }
}

static enum nw_status compare_counts(struct nw_judgement *j, struct nw_error *err)
{
    double *apart = malloc(j->point_count * sizeof *apart);
    if (!apart)
        return nw_fail_nomem(err, "what was counted");
    for (unsigned q = 0; q < NW_COUNTED; q++) {
        struct nw_judged_counter *c = &j->counter[q];
        for (size_t i = 0; i < j->point_count; i++)
            if (j->point[i].measured.counted[q] >= 0)
                apart[c->points++] = fabs(nw_judged_counted(&j->point[i], q) - j->point[i].measured.counted[q]);
        if (c->points) {
            c->median_difference = nw_median(apart, c->points); /* sorts */
            c->max_difference = apart[c->points - 1];
        }
    }
    free(apart);
    return NW_OK;
}

enum nw_status nw_judge(const struct nw_measurement *m, const struct nw_config *start,
                        const struct nw_judge_options *options, struct nw_judgement *j, struct nw_error *err)
{
    struct judging g = { .m = m, .options = options, .j = j };
    *j = (struct nw_judgement){ .holds = true };
    if (m->process_count < 2)
        return nw_fail(err, NW_ERR_INPUT,
                       "one process was measured: at least one to fit on and one to judge are needed");
    j->fitted_processes = nw_measure_part_size(m, NW_PART_FIT);
    j->judged_processes = nw_measure_part_size(m, NW_PART_JUDGE);
    j->predicted_processes =
        options->predicted && options->predicted < j->judged_processes ? options->predicted : j->judged_processes;
    if (j->predicted_processes > PREDICTED_MAX)
        j->predicted_processes = PREDICTED_MAX;
    const struct nw_calibrate_options fit = {
        .nested = options->nested, .frozen = options->frozen, .progress = options->progress, .context = options->context
    };
    struct nw_config *model = j->model;
    enum nw_status s;
    (void)((s = nw_config_copy(&model[NW_JUDGED_OURS], start, err)) ||
           (s = nw_calibrate(m, &model[NW_JUDGED_OURS], &j->fit, &fit, err)) ||
           (s = nw_calibrate_textbook(m, options->textbook ? options->textbook : start, &model[NW_JUDGED_OURS],
                                      &model[NW_JUDGED_TEXTBOOK], err)) ||
           (s = nw_calibrate_one_dimensional(&model[NW_JUDGED_OURS], &model[NW_JUDGED_ONE_DIMENSION], err)) ||
           (s = choose_points(&g, err)) || (s = predict(&g, err)) || (s = compare_counts(j, err)));
    for (size_t i = 0; i < NW_ARRAY_LEN(regimes) && !s; i++) {
        struct nw_judged_regime *r = &j->regime[j->regime_count];
        s = judge_regime(&g, &regimes[i], false, r, err);
        j->holds &= r->holds;
        j->regime_count += r->points || r->excluded;
    }
    j->walks_hold = true;
    for (size_t i = 0; i < NW_ARRAY_LEN(walk_regimes) && !s; i++) {
        struct nw_judged_regime *r = &j->walk_regime[j->walk_regime_count];
        s = judge_regime(&g, &walk_regimes[i], true, r, err);
        j->walks_hold &= r->holds;
        j->walk_regime_count += r->points > 0;
    }
    if (s)
        nw_judgement_fini(j);
    return s;
}

void nw_judgement_fini(struct nw_judgement *j)
{
    for (unsigned i = 0; i < NW_JUDGED_MODELS; i++)
        nw_config_fini(&j->model[i]);
    free(j->point);
    *j = (struct nw_judgement){ 0 };
}
