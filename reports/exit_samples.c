/* exit_samples.c - exits timed in one virtual machine after the other. See exit_check.h. */
#include <nestwalk/reports/exit_check.h>
#include <nestwalk/sim/measure.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct progress {
    const struct nw_exit_samples_options *options;
    uint64_t done, total;
};

static bool keep_going(void *context)
{
    const struct progress *p = context;
    return !p->options->progress || p->options->progress(p->options->context, p->done, p->total);
}

/* Native operations choose processors themselves. */
static enum nw_status time_one(unsigned operation, const struct nw_exit_cost_options *each, struct nw_exit_timing *t,
                               struct nw_error *err)
{
    struct nw_measure_pin pin = { NULL };
    if (!nw_exit_cost_row[operation].native)
        nw_measure_pin(&pin);
    enum nw_status s = nw_exit_cost_measure(operation, each, t, err);
    nw_measure_unpin(&pin);
    return s;
}

static bool may_be_left_out(unsigned operation)
{
    return operation == NW_EXIT_COST_HYPERCALL || nw_exit_cost_row[operation].native;
}

static enum nw_status measure(struct nw_exit_samples *m, const struct nw_exit_samples_options *o, struct nw_error *err)
{
    struct progress p = { o, 0, (uint64_t)m->machines * NW_EXIT_COST_OPERATIONS };
    const struct nw_exit_cost_options each = { .chunks = o->chunks, .keep_going = keep_going, .context = &p };
    struct nw_measure_clock clock;
    for (uint32_t i = 0; i < m->machines; i++)
        for (unsigned k = 0; k < NW_EXIT_COST_OPERATIONS; k++, p.done++) {
            struct nw_exit_timing t;
            if (m->skipped[k][0])
                continue;
            enum nw_status s = time_one(k, &each, &t, err);
            if (s == NW_ERR_UNSUPPORTED && may_be_left_out(k)) {
                snprintf(m->skipped[k], sizeof m->skipped[k], "%.199s", err->text);
                continue;
            }
            if (s)
                return s;
            nw_measure_clock_read(&clock);
            const double core = clock.core_ghz / clock.tsc_ghz;
            m->core_ghz = clock.core_ghz;
            m->sample[m->count++] = (struct nw_exit_sample){ .machine = i,
                                                             .operation = k,
                                                             .cycles = t.tsc_cycles * core,
                                                             .quarter_cycles = t.quarter * core,
                                                             .three_quarters = t.three_quarters * core,
                                                             .chunks = t.chunks,
                                                             .dropped = t.dropped };
            if (!nw_exit_cost_row[k].native) {
                memcpy(m->backend, t.backend, sizeof m->backend);
                m->second_stage = t.second_stage;
            }
        }
    return NW_OK;
}

enum nw_status nw_exit_samples_measure(struct nw_exit_samples *m, const struct nw_exit_samples_options *o,
                                       struct nw_error *err)
{
    *m = (struct nw_exit_samples){ .machines = o->machines < NW_EXIT_MACHINES_MIN   ? NW_EXIT_MACHINES_MIN
                                               : o->machines > NW_EXIT_MACHINES_MAX ? NW_EXIT_MACHINES_MAX
                                                                                    : o->machines };
    m->sample = calloc((size_t)m->machines * NW_EXIT_COST_OPERATIONS, sizeof *m->sample);
    if (!m->sample)
        return nw_fail_nomem(err, "costs of exits");
    enum nw_status s = measure(m, o, err);
    if (s)
        nw_exit_samples_fini(m);
    return s;
}

void nw_exit_samples_fini(struct nw_exit_samples *m)
{
    free(m->sample);
    *m = (struct nw_exit_samples){ 0 };
}
