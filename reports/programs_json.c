/* Slowdowns of programs as JSON. */
#include "reports_internal.h"
#include <math.h>
#include <nestwalk/base/bits.h>
#include <nestwalk/reports/programs.h>

const char nw_programs_claim[] =
    "the predicted slowdown is within 15 % of the measured one for at least four of the five programs";

static json_t *program_json(const struct nw_program_judged *p)
{
    const struct {
        const char *key;
        double value;
    } number[] = { { "cycles_4k", p->cycles[NW_CHASE_4K].middle },
                   { "cycles_4k_low", p->cycles[NW_CHASE_4K].low },
                   { "cycles_4k_high", p->cycles[NW_CHASE_4K].high },
                   { "cycles_2m", p->cycles[NW_CHASE_2M].middle },
                   { "cycles_2m_low", p->cycles[NW_CHASE_2M].low },
                   { "cycles_2m_high", p->cycles[NW_CHASE_2M].high },
                   { "slowdown", p->ratio.middle },
                   { "slowdown_low", p->ratio.low },
                   { "slowdown_high", p->ratio.high },
                   { "predicted_slowdown", p->predicted.middle },
                   { "predicted_low", p->predicted.low },
                   { "predicted_high", p->predicted.high },
                   { "error_percent", p->error_percent },
                   { "without_model_error_percent", p->without_error_percent },
                   { "all_exposed_slowdown", p->all_exposed },
                   { "latency_cycles_4k", p->latency[NW_CHASE_4K] },
                   { "latency_cycles_2m", p->latency[NW_CHASE_2M] },
                   { "walks_4k", p->walks[NW_CHASE_4K] },
                   { "walks_2m", p->walks[NW_CHASE_2M] },
                   { "accesses", p->accesses },
                   { "exposed", p->exposed } };
    json_t *row = json_object();
    bool ok = row && json_put(row, "name", json_text(nw_program_name(p->program))) &&
              json_put(row, "operation", json_text(nw_program_operation(p->program))) &&
              json_put(row, "processes", json_count(p->processes));
    for (size_t i = 0; i < NW_ARRAY_LEN(number) && ok; i++)
        ok = json_put(row, number[i].key, json_number(number[i].value));
    if (ok && json_put(row, "within", json_boolean(p->within)))
        return row;
    json_decref(row);
    return NULL;
}

static json_t *regime_json(const struct nw_program_judgement *j)
{
    double error[NW_PROGRAMS] = { 0 };
    for (size_t i = 0; i < j->count; i++)
        error[i] = fabs(j->program[i].error_percent);
    const double median = nw_median(error, j->count); /* sorts */
    json_t *row = json_object();
    if (row && json_put(row, "name", json_text("programs")) && json_put(row, "points", json_count(j->count)) &&
        json_put(row, "median_error_percent", json_number(median)) &&
        json_put(row, "max_error_percent", json_number(error[j->count - 1])) &&
        json_put(row, "claim", json_text(nw_programs_claim)) && json_put(row, "holds", json_boolean(j->holds)))
        return row;
    json_decref(row);
    return NULL;
}

enum nw_status nw_programs_json_text(const struct nw_program_judgement *j, const struct nw_measurement *m, char **out,
                                     struct nw_error *err)
{
    json_t *root = json_object(), *programs = json_array(), *regimes = json_array(), *notes = json_array();
    struct text t = { 0 };
    bool ok = root && programs && notes && regimes && !json_array_append_new(regimes, regime_json(j));
    for (size_t i = 0; i < j->count && ok; i++)
        ok = !json_array_append_new(programs, program_json(&j->program[i]));
    for (size_t i = 0; i < m->note_count && ok; i++)
        ok = !json_array_append_new(notes, json_text(m->note[i]));
    ok = ok && json_put(root, "holds", json_boolean(j->holds)) &&
         json_put(root, "claim", json_text(nw_programs_claim)) && json_put(root, "machine", json_text(m->machine)) &&
         json_put(root, "within", json_count(j->within)) &&
         json_put(root, "last_cache_bytes", json_count(j->last_cache_bytes)) &&
         json_put(root, "walks_at_once", json_number(j->walks_at_once)) &&
         json_put(root, "predicted_processes", json_count(j->predicted_processes)) &&
         !json_object_set(root, "programs", programs) && !json_object_set(root, "regimes", regimes) &&
         !json_object_set(root, "notes", notes);
    if (ok)
        json_write(&t, root);
    json_decref(notes);
    json_decref(regimes);
    json_decref(programs);
    json_decref(root);
    return ok ? text_take(&t, out, "the programs' JSON", err) : nw_fail_nomem(err, "the programs' JSON");
}
