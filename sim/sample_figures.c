/* sample_figures.c - from the counts of windows to figures with intervals; see sample.h.
 *
 * Stratified estimate: total = sum over strata of N_h y_h, with N_h windows in stratum h, of which one was taken (Cochran, "Sampling Techniques", chapter
 * 5). One window a stratum gives no variance within it. Two estimates that are too large rather than too small: that of successive
 * differences, which takes neighbouring strata for one (Wolter, "Introduction to Variance Estimation", chapter on systematic sampling), and
 * that of simple random sampling. */
#include "exit_reason.h"
#include "sample_internal.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Upper 2.5 % point of the normal distribution. */
static const double normal = 1.959963984540054;

/* ... and of Student's with n degrees of freedom: the expansion in 1/n (Abramowitz and Stegun, 26.7.5), good to 0.001 from n = 7 on. */
static double student(double n)
{
    double z = normal, z2 = z * z;
    return z * (1 + (z2 + 1) / (4 * n) + ((5 * z2 + 16) * z2 + 3) / (96 * n * n) +
                (((3 * z2 + 19) * z2 + 17) * z2 - 15) / (384 * n * n * n));
}

/* ---- figures as sums of counts ---- */

struct figure {
    struct nw_sample_figure *out;
    double factor[COUNTS];
    double constant;
};

enum { FIGURES_MAX = NW_TLB_ARRAYS_MAX + 2 * NW_EXIT_COUNT + 32 };

struct figures {
    struct nw_sample_figure *out;
    struct figure *figure;
    size_t used;
};

static double *add(struct figures *f, const char *unit, const char *path)
{
    struct figure *at = &f->figure[f->used];
    at->out = &f->out[f->used++];
    at->out->unit = unit;
    snprintf(at->out->path, sizeof at->out->path, "%s", path);
    return at->factor;
}

static void add_translation(double *factor, const struct nw_config *c, double by)
{
    factor[COUNT_WALK_CYCLES] += by / c->walker.overlap;
    factor[COUNT_ASSIST_CYCLES] += by / c->walker.overlap;
    for (size_t i = 0; i < c->tlb_count; i++)
        factor[COUNT_TLB_HITS + i] += by * (double)c->tlb[i].hit_cycles;
}

static void add_exits(double *factor, double by)
{
    factor[COUNT_GUEST_FAULT_CYCLES] += by;
    for (unsigned i = 0; i < NW_EXIT_COUNT; i++)
        factor[COUNT_EXIT_CYCLES + i] += by;
}

static double base_cycles(const struct nw_sample_result *r)
{
    const struct nw_config *c = &r->config;
    return c->mix.base_cycles
               ? (double)c->mix.base_cycles
               : (double)(r->accesses.fetch * c->cost.fetch_cycles + r->accesses.load * c->cost.load_cycles +
                          r->accesses.store * c->cost.store_cycles);
}

static void add_all(struct figures *f, const struct nw_sample_result *r)
{
    static const struct {
        const char *path, *unit;
        unsigned count;
    } single[] = {
        { "walks.count", "walks", COUNT_WALKS },
        { "walks.references", "references", COUNT_REFERENCES },
        { "walks.references_guest", "references", COUNT_REFERENCES_GUEST },
        { "walks.references_nested", "references", COUNT_REFERENCES_NESTED },
        { "walks.cycles", "cycles", COUNT_WALK_CYCLES },
        { "faults.guest_page_faults", "faults", COUNT_GUEST_PAGE_FAULTS },
        { "faults.ept_violations", "faults", COUNT_EPT_VIOLATIONS },
        { "faults.ept_misconfigurations", "faults", COUNT_EPT_MISCONFIGURATIONS },
        { "faults.noncanonical", "accesses", COUNT_NONCANONICAL },
    };
    const struct nw_config *c = &r->config;
    char path[64];
    for (size_t i = 0; i < c->tlb_count; i++) {
        snprintf(path, sizeof path, "tlb.%s.misses", c->tlb[i].name);
        add(f, "accesses", path)[COUNT_TLB_MISSES + i] = 1;
    }
    for (size_t i = 0; i < NW_ARRAY_LEN(single); i++)
        add(f, single[i].unit, single[i].path)[single[i].count] = 1;
    for (unsigned i = 0; i < NW_EXIT_COUNT; i++) {
        snprintf(path, sizeof path, "exits.%s.count", nw_exit_name[i]);
        add(f, "exits", path)[COUNT_EXITS + i] = 1;
        snprintf(path, sizeof path, "exits.%s.cycles", nw_exit_name[i]);
        add(f, "cycles", path)[COUNT_EXIT_CYCLES + i] = 1;
    }
    add_translation(add(f, "cycles", "cycles.translation"), c, 1);
    add_exits(add(f, "cycles", "cycles.exits"), 1);
    double *total = add(f, "cycles", "cycles.total");
    f->figure[f->used - 1].constant = base_cycles(r);
    add_translation(total, c, 1);
    add_exits(total, 1);
    double base = base_cycles(r), *overhead = add(f, "percent", "overhead_percent");
    add_translation(overhead, c, base > 0 ? 100 / base : 0);
    add_exits(overhead, base > 0 ? 100 / base : 0);
}

/* ---- intervals ---- */

static double value_of(const struct figure *f, const double count[COUNTS])
{
    double sum = 0;
    for (unsigned i = 0; i < COUNTS; i++)
        sum += f->factor[i] * count[i];
    return sum;
}

struct estimate {
    double total, down, up; /* beyond what is exact, and its margins */
    double seen;            /* the sum over windows, as it is */
};

/* With the first-order correction for skewness (Hall, "On the Removal of Skewness by Transformation", 1992), on the side that it lengthens. */
static struct estimate estimate(const struct figure *f, const struct sample_window *w, size_t n, bool high)
{
    struct estimate e = { 0 };
    double differences = 0, last = 0, strata = 0, squares = 0, cubes = 0, count = (double)n;
    for (size_t i = 0; i < n; i++) {
        double here = value_of(f, high ? w[i].high : w[i].low), scaled = here * w[i].stratum;
        e.seen += here;
        e.total += scaled;
        differences += i ? (scaled - last) * (scaled - last) : 0;
        last = scaled;
        strata += w[i].stratum;
    }
    for (size_t i = 0; i < n; i++) {
        double from = value_of(f, high ? w[i].high : w[i].low) * w[i].stratum - e.total / count;
        squares += from * from;
        cubes += from * from * from;
    }
    double simple = squares / (count - 1), successive = differences / (2 * (count - 1));
    double variance = simple > successive ? simple : successive, t = student(count - 1);
    if (!(squares > 0))
        return e;
    double skewness = cubes / count / pow(squares / count, 1.5), more = skewness * (2 * t * t + 1) / (6 * sqrt(count));
    double error = sqrt(variance * count * (1 - count / strata));
    e.up = error * (t + fmax(more, 0));
    e.down = error * (t + fmax(-more, 0));
    return e;
}

/* ---- few occurrences ----
 * Where a count is small, or comes in few bursts, or none was seen at all, the variance between windows says too little. A Poisson count's is the
 * least there is; and that of how many windows have a burst. */

/* MODEL: what was seen in no window is taken to come in twos; misses seldom come alone. */
enum { UNSEEN_BURST = 2 };

/* From the number seen to that end of the score interval of a Poisson mean. */
static double poisson_margin(double k, double sign)
{
    double z2 = normal * normal;
    return sign * z2 / 2 + normal * sqrt(k + z2 / 4);
}

/* Half the width of the score interval (Wilson) for a proportion of k in n, as far as it reaches in the direction of `sign`. */
static double proportion_margin(double k, double n, double sign)
{
    double z2 = normal * normal, p = k / n, middle = (k + z2 / 2) / (n + z2);
    double half = normal / (n + z2) * sqrt(k * (n - k) / n + z2 / 4);
    return fmax(sign * (middle - p) + half, 0);
}

/* Whether an access can make what is counted at all, in this configuration. */
static bool is_possible(const struct nw_config *c, unsigned count)
{
    switch (count) {
    case COUNT_GUEST_PAGE_FAULTS: return c->guest.demand_faults;
    case COUNT_EPT_VIOLATIONS:
    case COUNT_EXITS + NW_EXIT_EPT_VIOLATION: return c->mode == NW_MODE_NESTED && c->vmm.demand_backing;
    case COUNT_EXITS + NW_EXIT_PML_FULL: return c->mode == NW_MODE_NESTED && c->vmm.pml;
    default: return count < COUNT_OF_EVENTS;
    }
}

/* least[i]: no margin of count i is smaller. `sign` +1 for the high end, -1 for the low one. */
static void least_margins(const struct nw_config *c, const struct sample_window *w, size_t n, double strata,
                          double sign, double least[COUNTS])
{
    struct flat_walk flat = machine_flat_walk(c);
    double seen[COUNTS] = { 0 }, squares[COUNTS] = { 0 }, with[COUNTS] = { 0 }, count = (double)n,
           scale = strata / count;
    for (size_t i = 0; i < n; i++)
        for (unsigned k = 0; k < COUNTS; k++) {
            double here = sign > 0 ? w[i].high[k] : w[i].low[k];
            seen[k] += here;
            squares[k] += here * here;
            with[k] += here > 0;
        }
    for (unsigned k = 0; k < COUNTS; k++) {
        /* How many windows have any is a proportion, and what one has that has any the size of a burst. */
        double burst = seen[k] > 0 ? squares[k] / seen[k] : 0;
        double alone = seen[k] > 0 ? 1 : UNSEEN_BURST;
        least[k] = seen[k] > 0 || is_possible(c, k) ? fmax(scale * alone * poisson_margin(seen[k], sign),
                                                           strata * burst * proportion_margin(with[k], count, sign))
                                                    : 0;
    }
    /* What comes in walks and exits varies as these do; of one that was never seen, its size is that of a cold one. */
    double walks = seen[COUNT_WALKS], guest = flat.references_guest, nested = flat.references_nested;
    double reference = (double)(c->walker.level_cycles + c->memory.dram_latency_cycles);
    double cycles = (guest + nested) * reference;
    if (walks > 0) {
        guest = seen[COUNT_REFERENCES_GUEST] / walks;
        nested = seen[COUNT_REFERENCES_NESTED] / walks;
        cycles = seen[COUNT_WALK_CYCLES] / walks;
    }
    least[COUNT_REFERENCES] = least[COUNT_WALKS] * (guest + nested);
    least[COUNT_REFERENCES_GUEST] = least[COUNT_WALKS] * guest;
    least[COUNT_REFERENCES_NESTED] = least[COUNT_WALKS] * nested;
    least[COUNT_WALK_CYCLES] = least[COUNT_WALKS] * cycles;
    least[COUNT_ASSIST_CYCLES] = 0; /* less than the walks' */
    least[COUNT_GUEST_FAULT_CYCLES] = least[COUNT_GUEST_PAGE_FAULTS] * (double)c->cost.guest_fault_cycles;
    for (unsigned i = 0; i < NW_EXIT_COUNT; i++)
        least[COUNT_EXIT_CYCLES + i] = least[COUNT_EXITS + i] * (double)nw_exit_cost_total(&c->cost.exit[i]);
}

static void make_interval(const struct figure *f, const struct nw_config *c, const double fixed[COUNTS],
                          const struct sample_window *w, size_t n)
{
    struct nw_sample_figure *out = f->out;
    struct estimate low = estimate(f, w, n, false), high = estimate(f, w, n, true);
    double down[COUNTS], up[COUNTS], exact = f->constant + value_of(f, fixed), strata = 0;
    for (size_t i = 0; i < n; i++)
        strata += w[i].stratum;
    least_margins(c, w, n, strata, -1, down);
    least_margins(c, w, n, strata, 1, up);
    double bottom = low.total - fmax(low.down, value_of(f, down));
    out->estimate = exact + (low.total + high.total) / 2;
    out->low = exact + fmax(bottom, low.seen); /* so much was there */
    out->high = exact + high.total + fmax(high.up, value_of(f, up));
}

/* ---- making the list ---- */

static enum nw_status figures_init(struct figures *f, struct nw_sample_result *out, struct nw_error *err)
{
    *f = (struct figures){ .out = calloc(FIGURES_MAX, sizeof *f->out),
                           .figure = calloc(FIGURES_MAX, sizeof *f->figure) };
    if (!f->out || !f->figure) {
        free(f->out);
        free(f->figure);
        return nw_fail_nomem(err, "the figures of a sample");
    }
    add_all(f, out);
    return NW_OK;
}

/* Hands the list over, without exits that did not happen and references to a second stage that is not there. */
static void figures_finish(struct figures *f, struct nw_sample_result *out)
{
    size_t kept = 0;
    for (size_t i = 0; i < f->used; i++) {
        const char *path = f->out[i].path;
        bool optional = !strncmp(path, "exits.", 6) ||
                        (out->config.mode == NW_MODE_NATIVE && !strcmp(path, "walks.references_nested"));
        if (!optional || f->out[i].high > 0)
            f->out[kept++] = f->out[i];
    }
    out->figure = f->out;
    out->figure_count = kept;
    free(f->figure);
}

enum nw_status sample_figures(struct nw_sample_result *out, const double fixed[COUNTS],
                              const struct sample_window *window, size_t count, struct nw_error *err)
{
    struct figures f;
    double all[COUNTS];
    struct nw_result mix = { 0 };
    enum nw_status s = figures_init(&f, out, err);
    if (s)
        return s;
    exits_add_mix(&mix, &out->config);
    memcpy(all, fixed, sizeof all);
    for (unsigned i = 0; i < NW_EXIT_COUNT; i++) {
        all[COUNT_EXITS + i] += (double)mix.exits[i].count;
        all[COUNT_EXIT_CYCLES + i] += (double)mix.exits[i].cycles;
    }
    for (size_t i = 0; i < f.used; i++)
        make_interval(&f.figure[i], &out->config, all, window, count);
    figures_finish(&f, out);
    return NW_OK;
}

static void take_metric(void *context, const struct nw_metric *m)
{
    const struct figures *f = context;
    for (size_t i = 0; i < f->used; i++)
        if (!strcmp(f->out[i].path, m->path))
            f->out[i].estimate = f->out[i].low = f->out[i].high =
                m->type == NW_METRIC_COUNT ? (double)m->count : m->real;
}

enum nw_status sample_figures_exact(struct nw_sample_result *out, const struct nw_result *r, struct nw_error *err)
{
    struct figures f;
    enum nw_status s = figures_init(&f, out, err);
    if (s)
        return s;
    nw_result_visit(r, take_metric, &f);
    figures_finish(&f, out);
    return NW_OK;
}
