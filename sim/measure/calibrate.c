/* A machine profile fitted to the calibration set: a search over geometry, one dimension after the other, with the latencies fitted anew at each
 * step. Latencies need no replay: a prediction is linear in them. */
#include "measure_internal.h"
#include <assert.h>
#include <math.h>
#include <nestwalk/base/addr.h>
#include <nestwalk/sim/calibrate.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CANDIDATES_MAX = 16,
    ROUNDS = 2,
    DIMENSIONS_MAX = 16,
    LATENCY_MAX = 2000,                /* cycles */
    LATENCIES_MAX = NW_CACHES_MAX + 3, /* caches, DRAM, overhead a reference, a later TLB's hit */
    SEARCHED_LINES_MAX = 6200,         /* longer chases are replayed for the last fit, */
    CACHE_LINES_MAX = 260000           /* and for the size of the last cache */
};

struct point {
    size_t chase;
    double measured, weight;
    struct nw_chase_counts counts;
};

struct search {
    const struct nw_measurement *m;
    struct nw_chase_world *world;
    struct nw_config *config;
    const struct nw_calibrate_options *options;
    struct nw_fit *fit;
    struct point point[NW_FIT_POINTS];
    size_t points;
    size_t array; /* of config->tlb: the last data TLB for 4 KiB pages */
    double latency[LATENCIES_MAX], error;
    uint64_t done, total;
    /* Of the geometry: counts its changes; and where that stood after a dimension was last tried. */
    unsigned version, tried_at[DIMENSIONS_MAX];
};

/* ---- latencies ---- */

static size_t latencies(const struct search *f) { return f->config->cache_count + 3; }

static double feature(const struct search *f, const struct nw_chase_counts *n, size_t i)
{
    const size_t caches = f->config->cache_count;
    if (i <= caches)
        return n->data_line[i] + n->table_line[i];
    if (i == caches + 1)
        return n->references;
    double hits = 0;
    for (size_t t = 0; t < f->config->tlb_count; t++)
        hits += f->config->tlb[t].level > 1 ? n->tlb[t] : 0;
    return hits;
}

static double fitted_cycles(const struct search *f, const struct point *p, const double *latency)
{
    double cycles = 0;
    for (size_t i = 0; i < latencies(f); i++)
        cycles += latency[i] * feature(f, &p->counts, i);
    return cycles;
}

static double error_of(const struct search *f, const struct point *point, const double *latency)
{
    double sum = 0, weights = 0;
    for (size_t p = 0; p < f->points; p++) {
        const double cycles = fitted_cycles(f, &point[p], latency);
        sum += point[p].weight * fabs(log((cycles > 0.1 ? cycles : 0.1) / point[p].measured));
        weights += point[p].weight;
    }
    return sum / weights;
}

static void keep_residuals(struct search *f)
{
    f->fit->points = f->points;
    for (size_t i = 0; i < f->points; i++) {
        const struct point *p = &f->point[i];
        f->fit->point[i] = (struct nw_fit_point){ p->chase, p->measured, fitted_cycles(f, p, f->latency), p->counts };
    }
}

static bool in_order(const struct search *f, const double *latency)
{
    for (size_t i = 0; i < latencies(f); i++)
        if (latency[i] < 0 || latency[i] > LATENCY_MAX ||
            (i && i <= f->config->cache_count && latency[i] < latency[i - 1]))
            return false;
    return true;
}

/* Coordinate descent; the error is no sum of squares, as single points may be far off. */
static double fit_latencies(const struct search *f, const struct point *point, double *latency)
{
    double best = error_of(f, point, latency);
    for (double step = 0.4; step > 0.004;) {
        bool better = false;
        for (size_t i = 0; i < latencies(f); i++)
            for (int sign = -1; sign <= 1; sign += 2) {
                const double kept = latency[i];
                latency[i] += sign * step * (kept > 5 ? kept : 5);
                const double e = in_order(f, latency) ? error_of(f, point, latency) : INFINITY;
                if (e < best - 1e-9)
                    best = e, better = true;
                else
                    latency[i] = kept;
            }
        step = better ? step : step / 2;
    }
    return best;
}

/* ---- geometry ---- */

/* Which points a dimension can change, so that only they are replayed. */
static bool any_point(const struct nw_chase *c) { return c->count > 0; }
static bool near_capacity(const struct nw_chase *c)
{
    return c->count > 64 && c->count <= 3072 && c->spacing_bytes >= NW_PAGE_BYTES;
}
static bool walks(const struct nw_chase *c) { return c->count > 64 && c->spacing_bytes >= NW_PAGE_BYTES; }
static bool sparse(const struct nw_chase *c) { return c->spacing_bytes > NW_PAGE_BYTES && c->group == 1; }
static bool large(const struct nw_chase *c) { return c->count >= 12000; }

enum { PATHS_MAX = 3 };
struct dimension {
    const char *path
        [PATHS_MAX]; /* set together, to the words of a candidate. "@": of the last data TLB; "!": of the second cache; "$": of the last */
    bool (*touches)(const struct nw_chase *c);
    bool second_dimension; /* only with a hypervisor above */
    const char *candidate[CANDIDATES_MAX];
};
/* clang-format off */
static const struct dimension dimensions[] = {
    { { "psc.nested.pde.entries" }, walks, true, { "8", "16", "32", "64", "128" } },
    { { "nested_tlb.entries", "nested_tlb.in_tlb", "nested_tlb.tables_only" }, walks, true,
      { "0 0 0", "16 0 0", "64 0 0", "256 0 0", "16 0 1", "64 0 1", "256 0 1", "64 1 0", "64 1 1" } },
    { { "psc.guest.pde.in_tlb", "psc.guest.pde.entries", "psc.guest.pde.ways" }, sparse, false,
      { "1 1024 8", "0 32 8", "0 64 8", "0 128 8", "0 256 8", "0 512 8", "0 512 16", "0 1024 8", "0 1024 16", "0 2048 16", "0 3072 24" } },
    { { "@.entries", "@.ways", "@.policy" }, near_capacity, false,
      { "1024 8 lru", "1536 12 lru", "2048 8 lru", "2048 16 lru", "2048 16 nru", "2048 16 random", "1536 12 nru", "3072 24 lru", "3072 24 nru", "3072 24 random",
        "2688 21 nru", "2560 20 nru", "2304 18 nru", "2560 20 random", "2304 18 random", "2304 18 plru" } },
    { { "psc.guest.pdpte.entries" }, sparse, false, { "4", "16", "64" } },
    { { "walker.first_cache" }, walks, false, { "0", "1" } },
    { { "!.index" }, walks, false, { "low-bits", "hashed" } },
    /* Others' lines come between ours in a cache that is shared, so that what is left is not in the order of use. */
    { { "$.size", "$.ways", "$.policy" }, large, false,
      { "1M 16 random", "2M 16 random", "3M 16 random", "4M 16 random", "6M 16 random", "8M 16 random", "12M 16 random", "16M 16 random", "32M 16 lru" } },
};
/* clang-format on */

static_assert(NW_ARRAY_LEN(dimensions) <= DIMENSIONS_MAX, "tried_at has a place for each");

static uint64_t candidates_of(const struct dimension *d)
{
    uint64_t n = 0;
    while (n < CANDIDATES_MAX && d->candidate[n])
        n++;
    return n;
}

static const char *full_path(const struct search *f, const char *path, char out[64])
{
    if (path[0] == '@')
        snprintf(out, 64, "tlb.%s%s", f->config->tlb[f->array].name, path + 1);
    else if (path[0] == '$')
        snprintf(out, 64, "memory.%s%s", f->config->cache[f->config->cache_count - 1].name, path + 1);
    else if (path[0] == '!')
        snprintf(out, 64, "memory.%s%s", f->config->cache[f->config->cache_count > 1].name, path + 1);
    else
        snprintf(out, 64, "%s", path);
    return out;
}

/* The nth word of a candidate. */
static const char *word_of(const char *value, unsigned nth, char out[32])
{
    while (nth--)
        value += strcspn(value, " ") + 1;
    snprintf(out, 32, "%.*s", (int)strcspn(value, " "), value);
    return out;
}

static enum nw_status apply(const struct search *f, struct nw_config *c, const struct dimension *d, const char *value,
                            const char *source, struct nw_error *err)
{
    char path[64], word[32];
    enum nw_status s = NW_OK;
    for (unsigned i = 0; i < PATHS_MAX && d->path[i] && !s; i++)
        s = nw_config_set(c, full_path(f, d->path[i], path), word_of(value, i, word), source, err);
    return s;
}

static enum nw_status current(const struct search *f, const struct dimension *d, char out[32], struct nw_error *err)
{
    char path[64], word[16];
    enum nw_status s = NW_OK;
    *out = 0;
    for (unsigned i = 0; i < PATHS_MAX && d->path[i] && !s; i++)
        if (!(s = nw_config_get(f->config, full_path(f, d->path[i], path), word, sizeof word, err))) {
            const size_t length = strlen(out);
            snprintf(out + length, 32 - length, "%s%s", i ? " " : "", word);
        }
    return s;
}

static enum nw_status replay_points(struct search *f, const struct nw_config *c, struct point *point,
                                    bool (*touches)(const struct nw_chase *), uint32_t lines_max, struct nw_error *err)
{
    for (size_t i = 0; i < f->points; i++) {
        const struct nw_chase *chase = &f->m->chase[point[i].chase];
        if (!touches(chase) || chase->count > lines_max)
            continue;
        if (f->options->progress && !f->options->progress(f->options->context, f->done, f->total))
            return nw_fail(err, NW_ERR_INTERRUPTED, "interrupted");
        enum nw_status s = nw_chase_predict(f->world, c, point[i].chase, &point[i].counts, err);
        if (s)
            return s;
    }
    return NW_OK;
}

static void widen(struct nw_fit_value *v, const char *value)
{
    const double x = strtod(value, NULL) * (strchr(value, 'M') ? 0x1p20 : strchr(value, 'K') ? 0x1p10 : 1);
    v->low = x < v->low ? x : v->low;
    v->high = x > v->high ? x : v->high;
}

static enum nw_status try_candidates(struct search *f, const struct dimension *d, struct nw_fit_value *v,
                                     struct nw_error *err)
{
    struct nw_config trial = { 0 };
    struct point *point = malloc(sizeof f->point);
    char best[32], start[32];
    double errors[CANDIDATES_MAX];
    enum nw_status s = point ? current(f, d, start, err) : nw_fail_nomem(err, "a trial fit");
    memcpy(best, start, sizeof best);
    for (size_t i = 0; i < CANDIDATES_MAX && d->candidate[i] && !s; i++) {
        double latency[LATENCIES_MAX];
        f->done++;
        errors[i] = f->error;
        if (!strcmp(d->candidate[i], start))
            continue;
        memcpy(point, f->point, sizeof f->point);
        memcpy(latency, f->latency, sizeof latency);
        if ((s = nw_config_copy(&trial, f->config, err)) || (s = apply(f, &trial, d, d->candidate[i], "trial", err)) ||
            (s = replay_points(f, &trial, point, d->touches, d->touches == large ? CACHE_LINES_MAX : SEARCHED_LINES_MAX,
                               err)))
            break;
        errors[i] = fit_latencies(f, point, latency);
        if (errors[i] < f->error - 1e-6) {
            memcpy(f->point, point, sizeof f->point);
            memcpy(f->latency, latency, sizeof latency);
            memcpy(best, d->candidate[i], strlen(d->candidate[i]) + 1);
            f->error = errors[i];
            f->version++;
            s = apply(f, f->config, d, best, "trial", err);
        }
        nw_config_fini(&trial);
        trial = (struct nw_config){ 0 };
    }
    nw_config_fini(&trial);
    free(point);
    if (s)
        return s;
    full_path(f, d->path[0], v->path);
    memcpy(v->value, best, sizeof best);
    v->low = INFINITY, v->high = -INFINITY;
    widen(v, best);
    for (size_t i = 0; i < CANDIDATES_MAX && d->candidate[i]; i++)
        if (errors[i] <= f->error * 1.1)
            widen(v, d->candidate[i]);
    return NW_OK;
}

/* ---- the whole ---- */

/* A point that processes agree on to 2 % says more than one on which they differ by half: weights are as the inverse of the spread. */
static double weight_of(const struct nw_chase_figure *n)
{
    static const double floor = 0.1;
    return 1 / (floor + (n->high - n->low) / (2 * n->cycles));
}

static enum nw_status choose_points(struct search *f, struct nw_error *err)
{
    for (size_t i = 0; i < f->m->chase_count && f->points < NW_FIT_POINTS; i++) {
        const struct nw_chase *c = &f->m->chase[i];
        const struct nw_chase_figure measured = nw_chase_figure(f->m, i, NW_PART_FIT);
        /* Packed lines are what the textbook model is fed with: a prefetcher sees them coming. */
        if (c->set == NW_CHASE_CALIBRATE && measured.processes && f->m->process[0].there[c->pages] &&
            (c->spacing_bytes > 1 << NW_LINE_LOG2))
            f->point[f->points++] =
                (struct point){ .chase = i, .measured = measured.cycles, .weight = weight_of(&measured) };
    }
    return f->points ? NW_OK : nw_fail(err, NW_ERR_INPUT, "no chase of the calibration set was measured");
}

static enum nw_status find_array(struct search *f, struct nw_error *err)
{
    uint64_t level = 0;
    for (size_t i = 0; i < f->config->tlb_count; i++) {
        const struct nw_tlb_config *t = &f->config->tlb[i];
        if (t->class != NW_TLB_INSTRUCTION && (t->pages & NW_HOLDS_4K) && t->level > level)
            f->array = i, level = t->level;
    }
    return level && f->config->cache_count
               ? NW_OK
               : nw_fail(err, NW_ERR_USAGE,
                         "machine %s has no data TLB for 4K pages, or no cache: nothing can be fitted",
                         f->config->machine);
}

static void start_latencies(struct search *f)
{
    const size_t caches = f->config->cache_count;
    for (size_t i = 0; i < caches; i++)
        f->latency[i] = (double)f->config->cache[i].latency_cycles;
    f->latency[caches] = (double)f->config->memory.dram_latency_cycles;
    f->latency[caches + 1] = (double)f->config->walker.level_cycles;
    f->latency[caches + 2] = (double)f->config->tlb[f->array].hit_cycles;
}

static void latency_path(const struct search *f, size_t i, char out[64])
{
    const size_t caches = f->config->cache_count;
    if (i < caches)
        snprintf(out, 64, "memory.%s.latency_cycles", f->config->cache[i].name);
    else
        full_path(f,
                  i == caches       ? "memory.dram.latency_cycles"
                  : i == caches + 1 ? "walker.level_cycles"
                                    : "@.hit_cycles",
                  out);
}

/* How far each latency can go alone until the error is a tenth larger. */
static void latency_spread(const struct search *f, size_t i, struct nw_fit_value *v)
{
    double latency[LATENCIES_MAX];
    memcpy(latency, f->latency, sizeof latency);
    v->low = v->high = f->latency[i];
    for (int sign = -1; sign <= 1; sign += 2)
        for (double x = f->latency[i]; x >= 0 && fabs(x - f->latency[i]) < 400; x += sign * 0.5) {
            latency[i] = x;
            if (error_of(f, f->point, latency) > f->error * 1.1)
                break;
            *(sign < 0 ? &v->low : &v->high) = x;
        }
}

static struct nw_fit_value *fit_value(struct nw_fit *fit, const char *path)
{
    for (size_t i = 0; i < fit->value_count; i++)
        if (!strcmp(fit->value[i].path, path))
            return &fit->value[i];
    struct nw_fit_value *v = &fit->value[fit->value_count++];
    snprintf(v->path, sizeof v->path, "%s", path);
    return v;
}

static enum nw_status keep_value(struct search *f, const char *path, const char *value, const struct nw_fit_value *v,
                                 struct nw_error *err)
{
    char source[160];
    snprintf(source, sizeof source,
             "measured by nestwalk validate: %zu chases, mean error %.1f %%; %g to %g raise it by less than a tenth",
             f->points, 100 * f->error, v->low, v->high);
    return nw_config_set(f->config, path, value, source, err);
}

static enum nw_status keep_all(struct search *f, struct nw_error *err)
{
    enum nw_status s = NW_OK;
    for (size_t i = 0; i < NW_ARRAY_LEN(dimensions) && !s; i++) {
        const struct dimension *d = &dimensions[i];
        char path[64], value[32];
        if (d->second_dimension && !f->options->nested)
            continue;
        const struct nw_fit_value *v = fit_value(f->fit, full_path(f, d->path[0], path));
        for (unsigned k = 0; k < PATHS_MAX && d->path[k] && !s; k++)
            s = keep_value(f, full_path(f, d->path[k], path), word_of(v->value, k, value), v, err);
    }
    for (size_t i = 0; i < latencies(f) && !s; i++) {
        char path[64];
        latency_path(f, i, path);
        struct nw_fit_value *v = fit_value(f->fit, path);
        latency_spread(f, i, v);
        snprintf(v->value, sizeof v->value, "%.0f", f->latency[i]);
        s = keep_value(f, path, v->value, v, err);
    }
    if (!s)
        s = nw_config_set(f->config, "cost.base.load", "4", "definition: in the latency of the first cache", err);
    f->fit->error_percent = 100 * f->error;
    return s;
}

/* By most of the splinter map; samples without one have a chase of 128 pages within one 2 MiB page: with a translation of that size in the first-level TLB it costs no more than two pages do. */
static bool is_splintered(const struct search *f)
{
    const struct nw_splinter_map map = nw_splinter_map(f->m);
    if (map.mappings)
        return 2 * map.splintered > map.mappings;
    double few = 0, many = 0;
    for (size_t i = 0; i < f->m->chase_count; i++) {
        const struct nw_chase *c = &f->m->chase[i];
        const struct nw_chase_figure n = nw_chase_figure(f->m, i, NW_PART_FIT);
        if (!n.processes || c->spacing_bytes != NW_PAGE_BYTES || c->set != NW_CHASE_CALIBRATE)
            continue;
        if (c->pages == NW_CHASE_4K && c->count < 64)
            few = n.cycles;
        if (c->pages == NW_CHASE_2M && c->count == 128)
            many = n.cycles;
    }
    return many <= 0 || few <= 0 || many > 1.4 * few;
}

static enum nw_status search_run(struct search *f, struct nw_error *err)
{
    const uint32_t lines_max = f->options->frozen ? UINT32_MAX : CACHE_LINES_MAX;
    enum nw_status s = replay_points(f, f->config, f->point, any_point, lines_max, err);
    if (s)
        return s;
    if (f->options->frozen) {
        keep_residuals(f);
        f->fit->error_percent = 100 * error_of(f, f->point, f->latency);
        return NW_OK;
    }
    f->error = fit_latencies(f, f->point, f->latency);
    for (unsigned round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < NW_ARRAY_LEN(dimensions); i++) {
            char path[64];
            if (dimensions[i].second_dimension && !f->options->nested)
                continue;
            /* When nothing has changed since, it would come out the same; the size of the last cache costs as much as all others, and they hardly change it. */
            if (f->tried_at[i] == f->version || (round && dimensions[i].touches == large)) {
                f->done += candidates_of(&dimensions[i]);
                continue;
            }
            struct nw_fit_value *v = fit_value(f->fit, full_path(f, dimensions[i].path[0], path));
            if ((s = try_candidates(f, &dimensions[i], v, err)))
                return s;
            f->tried_at[i] = f->version;
        }
    if ((s = replay_points(f, f->config, f->point, any_point, UINT32_MAX, err)))
        return s;
    f->error = fit_latencies(f, f->point, f->latency);
    keep_residuals(f);
    return keep_all(f, err);
}

/* The machine that is measured, seen from inside the guest that measures. */
static enum nw_status set_up(struct search *f, struct nw_error *err)
{
    f->fit->nested = f->options->nested;
    f->fit->splintered = f->options->nested && is_splintered(f);
    char last_index[64];
    full_path(f, "$.index", last_index);
    const struct {
        const char *path, *value;
    } fixed[] = { { "run.mode", f->fit->nested ? "nested" : "native" },
                  { "run.fidelity", "full" },
                  { "run.engine", "reference" },
                  { "guest.levels", "4" },
                  { "vmm.levels", "4" },
                  { "vmm.backing", f->fit->splintered ? "4K" : "2M" },
                  { last_index, "hashed" }, /* AMD and Intel spread lines over the slices of the last cache by a hash */
                  { "vmm.frames", f->fit->splintered ? "scattered" : "in-order" } };
    enum nw_status s = NW_OK;
    for (size_t i = 0; i < NW_ARRAY_LEN(fixed) && !s; i++)
        s = nw_config_set(f->config, fixed[i].path, fixed[i].value, "validate", err);
    return s;
}

enum nw_status nw_calibrate(const struct nw_measurement *m, struct nw_config *config, struct nw_fit *fit,
                            const struct nw_calibrate_options *options, struct nw_error *err)
{
    struct search *f = calloc(1, sizeof *f);
    if (!f)
        return nw_fail_nomem(err, "a fit");
    *fit = (struct nw_fit){ 0 };
    f->m = m, f->config = config, f->options = options, f->fit = fit;
    f->version = 1;
    for (size_t i = 0; i < NW_ARRAY_LEN(dimensions); i++)
        f->total += ROUNDS * candidates_of(&dimensions[i]);
    enum nw_status s = choose_points(f, err);
    if (!s && !(s = find_array(f, err)) && !(s = set_up(f, err)) &&
        !(s = nw_chase_world_create(&f->world, m, 0, err))) {
        start_latencies(f);
        s = search_run(f, err);
    }
    nw_chase_world_destroy(f->world);
    free(f);
    return s;
}

/* ---- the models beside it ---- */

static double packed_cycles(const struct nw_measurement *m)
{
    double cycles = 0;
    uint32_t count = 0;
    for (size_t i = 0; i < m->chase_count; i++) {
        const struct nw_chase_figure n = nw_chase_figure(m, i, NW_PART_FIT);
        if (n.processes && m->chase[i].spacing_bytes == 1 << NW_LINE_LOG2 && m->chase[i].count > count)
            count = m->chase[i].count, cycles = n.cycles;
    }
    return cycles;
}

enum nw_status nw_calibrate_textbook(const struct nw_measurement *m, const struct nw_config *start,
                                     const struct nw_config *fitted, struct nw_config *out, struct nw_error *err)
{
    static const char *const run[] = { "run.mode",   "run.fidelity", "run.engine", "guest.levels",
                                       "vmm.levels", "vmm.backing",  "vmm.frames" };
    char value[64], path[64];
    enum nw_status s = nw_config_copy(out, start, err);
    for (size_t i = 0; i < NW_ARRAY_LEN(run) && !s; i++)
        if (!(s = nw_config_get(fitted, run[i], value, sizeof value, err)))
            s = nw_config_set(out, run[i], value, "validate", err);
    for (size_t i = 0; i < out->tlb_count && !s; i++) {
        snprintf(path, sizeof path, "tlb.%s.policy", out->tlb[i].name);
        s = nw_config_set(out, path, "lru", "textbook", err);
    }
    if (!s)
        s = nw_config_set(out, "psc.nested.pde.entries", "4096", "textbook: it never misses", err);
    if (!s)
        s = nw_config_set(out, "psc.nested.pde.ways", "4", "textbook", err);
    const double packed = packed_cycles(m);
    snprintf(value, sizeof value, "%.0f", packed);
    if (!s && packed > 0)
        s = nw_config_set(out, "memory.dram.latency_cycles", value, "measured: packed lines", err);
    return s;
}

enum nw_status nw_calibrate_one_dimensional(const struct nw_config *fitted, struct nw_config *out, struct nw_error *err)
{
    enum nw_status s = nw_config_copy(out, fitted, err);
    return s ? s : nw_config_set(out, "run.mode", "native", "validate: the guest's walk alone", err);
}
