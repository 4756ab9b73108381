#include "reports_internal.h"
#include <math.h>
#include <nestwalk/base/bits.h>
#include <nestwalk/reports/exit_check.h>
#include <nestwalk/sim/measure.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char nw_exit_check_claim[] =
    "claim: each operation's cost is within 25 % of that in other virtual machines, and a mix "
    "within 25 % of the sum of its parts";
enum { WITHIN_PERCENT = 25, MACHINES_MAX = 256 };

struct progress {
    const struct nw_exit_check_options *options;
    uint64_t done, total;
};

static bool keep_going(void *context)
{
    const struct progress *p = context;
    return !p->options->progress || p->options->progress(p->options->context, p->done, p->total);
}

static enum nw_status measure(struct nw_exit_check *c, const struct nw_exit_check_options *o,
                              double cycles[NW_EXIT_COST_OPERATIONS][MACHINES_MAX], struct nw_error *err)
{
    struct progress p = { o, 0, (uint64_t)c->machines * NW_EXIT_COST_OPERATIONS };
    const struct nw_exit_cost_options each = { .chunks = o->chunks, .keep_going = keep_going, .context = &p };
    struct nw_measure_clock clock;
    for (uint32_t i = 0; i < c->machines; i++)
        for (unsigned k = 0; k < NW_EXIT_COST_OPERATIONS; k++, p.done++) {
            struct nw_exit_timing t;
            if (c->figure[k].skipped[0])
                continue;
            enum nw_status s = nw_exit_cost_measure(k, &each, &t, err);
            if (s == NW_ERR_UNSUPPORTED && k == NW_EXIT_COST_HYPERCALL) {
                snprintf(c->figure[k].skipped, sizeof c->figure[k].skipped, "%.199s", err->text);
                continue;
            }
            if (s)
                return s;
            nw_measure_clock_read(&clock);
            cycles[k][i] = t.tsc_cycles * clock.core_ghz / clock.tsc_ghz;
            c->core_ghz = clock.core_ghz;
            memcpy(c->backend, t.backend, sizeof c->backend);
        }
    return NW_OK;
}

static void judge(struct nw_exit_check *c, double cycles[NW_EXIT_COST_OPERATIONS][MACHINES_MAX])
{
    static const enum nw_exit_cost_operation parts[] = { NW_EXIT_COST_CPUID, NW_EXIT_COST_PORT, NW_EXIT_COST_MMIO,
                                                         NW_EXIT_COST_HYPERCALL };
    const uint32_t half = c->machines / 2, rest = c->machines - half;
    double error[NW_EXIT_COST_OPERATIONS];
    size_t judged = 0;
    for (unsigned k = 0; k < NW_EXIT_COST_OPERATIONS; k++) {
        struct nw_exit_figure *f = &c->figure[k];
        if (f->skipped[0])
            continue;
        f->predicted = nw_median(cycles[k], half);
        f->held_out = nw_median(cycles[k] + half, rest); /* sorts */
        f->low = cycles[k][half];
        f->high = cycles[k][c->machines - 1];
    }
    c->figure[NW_EXIT_COST_MIX].predicted = 0;
    for (size_t i = 0; i < NW_ARRAY_LEN(parts); i++)
        c->figure[NW_EXIT_COST_MIX].predicted += c->figure[parts[i]].predicted; /* 0 of one that is skipped */
    c->max_error_percent = 0;
    for (unsigned k = 0; k < NW_EXIT_COST_OPERATIONS; k++) {
        struct nw_exit_figure *f = &c->figure[k];
        if (f->skipped[0])
            continue;
        f->error_percent = 100 * (f->predicted / f->held_out - 1);
        error[judged] = fabs(f->error_percent);
        c->max_error_percent = fmax(c->max_error_percent, error[judged++]);
    }
    c->judged = (uint32_t)judged;
    c->median_error_percent = nw_median(error, judged);
    c->holds = c->max_error_percent <= WITHIN_PERCENT;
}

enum nw_status nw_exit_check_run(struct nw_exit_check *c, const struct nw_exit_check_options *o, struct nw_error *err)
{
    struct nw_measure_pin pin;
    *c = (struct nw_exit_check){ .machines = o->machines < 2              ? 2
                                             : o->machines > MACHINES_MAX ? MACHINES_MAX
                                                                          : o->machines };
    double(*cycles)[MACHINES_MAX] = calloc(NW_EXIT_COST_OPERATIONS, sizeof *cycles);
    if (!cycles)
        return nw_fail_nomem(err, "costs of exits");
    nw_measure_pin(&pin);
    enum nw_status s = measure(c, o, cycles, err);
    nw_measure_unpin(&pin);
    if (!s)
        judge(c, cycles);
    free(cycles);
    return s;
}

static json_t *point_json(const struct nw_exit_check *c, unsigned k)
{
    const struct nw_exit_figure *f = &c->figure[k];
    json_t *row = json_object();
    if (row && json_put(row, "regime", json_text(k == NW_EXIT_COST_MIX ? "mix" : "exits")) &&
        json_put(row, "operation", json_text(nw_exit_cost_row[k].name)) &&
        json_put(row, "measured_cycles", json_number(f->held_out)) &&
        json_put(row, "low_cycles", json_number(f->low)) && json_put(row, "high_cycles", json_number(f->high)) &&
        json_put(row, "predicted_cycles", json_number(f->predicted)) &&
        json_put(row, "error_percent", json_number(f->error_percent)))
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
