/* exit_check.c - what is claimed of exits, from samples alone. See exit_check.h. */
#include "reports_internal.h"
#include <math.h>
#include <nestwalk/base/bits.h>
#include <nestwalk/reports/exit_check.h>
#include <nestwalk/sim/measure.h>
#include <stdio.h>
#include <string.h>

const char nw_exit_check_claim[] = "each operation's cost is within 25 % of that in other virtual machines, and a mix "
                                   "within 25 % of the sum of its parts";
enum { WITHIN_PERCENT = 25 };

static double sample_of(const struct nw_exit_samples *m, unsigned operation, uint32_t machine)
{
    for (size_t i = 0; i < m->count; i++)
        if (m->sample[i].machine == machine && m->sample[i].operation == operation)
            return m->sample[i].cycles;
    return NAN;
}

/* Sorted, in order of machines [first, end). */
static size_t gather(const struct nw_exit_samples *m, unsigned operation, uint32_t first, uint32_t end, double *out)
{
    size_t n = 0;
    for (uint32_t i = first; i < end; i++) {
        const double cycles = sample_of(m, operation, i);
        if (!isnan(cycles))
            out[n++] = cycles;
    }
    return n;
}

static void judge_figure(struct nw_exit_figure *f, const struct nw_exit_samples *m, unsigned operation)
{
    double v[NW_EXIT_MACHINES_MAX];
    const uint32_t half = m->machines / 2;
    const size_t first = gather(m, operation, 0, half, v);
    f->predicted = first ? nw_median(v, first) : NAN;
    const size_t rest = gather(m, operation, half, m->machines, v);
    f->held_out = rest ? nw_median(v, rest) : NAN; /* sorts */
    f->low = rest ? v[0] : NAN;
    f->high = rest ? v[rest - 1] : NAN;
    const size_t all = gather(m, operation, 0, m->machines, v);
    f->price = all ? nw_median(v, all) : NAN;
    f->least = all ? v[0] : NAN;
    f->most = all ? v[all - 1] : NAN;
    if (!f->skipped[0] && (!first || !rest))
        snprintf(f->skipped, sizeof f->skipped, "%s has no samples in one half of the virtual machines",
                 nw_exit_cost_row[operation].name);
}

void nw_exit_check_judge(struct nw_exit_check *c, const struct nw_exit_samples *m)
{
    static const enum nw_exit_cost_operation parts[] = { NW_EXIT_COST_CPUID, NW_EXIT_COST_PORT, NW_EXIT_COST_MMIO,
                                                         NW_EXIT_COST_HYPERCALL };
    double error[NW_EXIT_COST_OPERATIONS];
    size_t judged = 0;
    *c = (struct nw_exit_check){ .core_ghz = m->core_ghz, .machines = m->machines, .second_stage = m->second_stage };
    memcpy(c->processor, m->processor, sizeof c->processor);
    memcpy(c->backend, m->backend, sizeof c->backend);
    for (unsigned k = 0; k < NW_EXIT_COST_OPERATIONS; k++) {
        memcpy(c->figure[k].skipped, m->skipped[k], sizeof c->figure[k].skipped);
        judge_figure(&c->figure[k], m, k);
    }
    struct nw_exit_figure *mix = &c->figure[NW_EXIT_COST_MIX];
    mix->predicted = 0;
    for (size_t i = 0; i < NW_ARRAY_LEN(parts); i++)
        mix->predicted += c->figure[parts[i]].skipped[0] ? 0 : c->figure[parts[i]].predicted;
    for (unsigned k = 0; k < NW_EXIT_COST_OPERATIONS; k++) {
        struct nw_exit_figure *f = &c->figure[k];
        if (f->skipped[0])
            continue;
        f->error_percent = 100 * (f->predicted / f->held_out - 1);
        error[judged] = fabs(f->error_percent);
        c->max_error_percent = fmax(c->max_error_percent, error[judged++]);
    }
    c->judged = (uint32_t)judged;
    c->median_error_percent = judged ? nw_median(error, judged) : NAN;
    c->holds = judged && c->max_error_percent <= WITHIN_PERCENT;
}

static json_t *point_json(const struct nw_exit_check *c, unsigned k)
{
    const struct nw_exit_figure *f = &c->figure[k];
    json_t *row = json_object();
    if (row &&
        json_put(row, "regime",
                 json_text(k == NW_EXIT_COST_MIX        ? "mix"
                           : nw_exit_cost_row[k].native ? "native"
                                                        : "exits")) &&
        json_put(row, "operation", json_text(nw_exit_cost_row[k].name)) &&
        json_put(row, "measured_cycles", json_number(f->held_out)) &&
        json_put(row, "low_cycles", json_number(f->low)) && json_put(row, "high_cycles", json_number(f->high)) &&
        json_put(row, "predicted_cycles", json_number(f->predicted)) &&
        json_put(row, "error_percent", json_number(f->error_percent)) &&
        json_put(row, "price_cycles", json_number(f->price)) && json_put(row, "least_cycles", json_number(f->least)) &&
        json_put(row, "most_cycles", json_number(f->most)) &&
        json_put(row, "parameter", nw_exit_check_priced(c, k) ? json_text(nw_exit_check_priced(c, k)) : json_null()))
        return row;
    json_decref(row);
    return NULL;
}

enum nw_status nw_exit_check_json_text(const struct nw_exit_check *c, char **out, struct nw_error *err)
{
    json_t *root = json_object(), *points = json_array(), *regime = json_object(), *regimes = json_array(),
           *skipped = json_array();
    struct text t = { 0 };
    bool ok = root && points && regime && regimes && skipped;
    for (unsigned k = 0; k < NW_EXIT_COST_OPERATIONS && ok; k++)
        ok = c->figure[k].skipped[0] ? !json_array_append_new(skipped, json_text(c->figure[k].skipped))
                                     : !json_array_append_new(points, point_json(c, k));
    ok = ok && json_put(regime, "name", json_text("exits")) && json_put(regime, "points", json_count(c->judged)) &&
         json_put(regime, "median_error_percent", json_number(c->median_error_percent)) &&
         json_put(regime, "max_error_percent", json_number(c->max_error_percent)) &&
         json_put(regime, "claim", json_text(nw_exit_check_claim)) &&
         json_put(regime, "holds", json_boolean(c->holds)) && !json_array_append(regimes, regime) &&
         json_put(root, "holds", json_boolean(c->holds)) && json_put(root, "kvm_backend", json_text(c->backend)) &&
         json_put(root, "processor", json_text(c->processor)) &&
         json_put(root, "second_stage", json_boolean(c->second_stage)) &&
         json_put(root, "core_ghz", json_number(c->core_ghz)) && json_put(root, "machines", json_count(c->machines)) &&
         !json_object_set(root, "regimes", regimes) && !json_object_set(root, "points", points) &&
         !json_object_set(root, "notes", skipped);
    if (ok)
        json_write(&t, root);
    json_decref(skipped);
    json_decref(regimes);
    json_decref(regime);
    json_decref(points);
    json_decref(root);
    return ok ? text_take(&t, out, "the check's JSON", err) : nw_fail_nomem(err, "the check's JSON");
}
