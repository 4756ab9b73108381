/* sample.c - sampled replays as JSON and CSV. */
#include "reports_internal.h"
#include <nestwalk/reports/sample.h>
#include <stdlib.h>

static bool put_figures(json_t *sample, const struct nw_sample_result *r)
{
    json_t *figures = json_object();
    bool ok = json_put(sample, "figures", figures);
    for (size_t i = 0; ok && i < r->figure_count; i++) {
        const struct nw_sample_figure *f = &r->figure[i];
        json_t *row = json_object();
        ok = json_put(figures, f->path, row) && json_put(row, "estimate", json_number(f->estimate)) &&
             json_put(row, "low", json_number(f->low)) && json_put(row, "high", json_number(f->high)) &&
             json_put(row, "unit", json_text(f->unit));
    }
    return ok;
}

static bool put_sample(json_t *run, const struct nw_sample_result *r)
{
    json_t *sample = json_object();
    return json_put(run, "sample", sample) && json_put(sample, "windows", json_count(r->windows)) &&
           json_put(sample, "window_accesses", json_count(r->window_accesses)) &&
           json_put(sample, "warm_accesses", json_count(r->warm_accesses)) &&
           json_put(sample, "measured_accesses", json_count(r->measured_accesses)) &&
           json_put(sample, "replayed_accesses", json_count(r->replayed_accesses)) &&
           json_put(sample, "confidence_percent", json_count(95)) && put_figures(sample, r);
}

struct parameters {
    json_t *object;
    bool ok;
};

static void put_parameter(void *context, const char *path, const char *value, const char *source,
                          const struct nw_param *param)
{
    struct parameters *p = context;
    json_t *row = json_object();
    p->ok = p->ok && json_put(p->object, path, row) && json_put(row, "value", json_text(value)) &&
            (!param->unit || !param->unit[0] || json_put(row, "unit", json_text(param->unit))) &&
            json_put(row, "source", json_text(source));
}

static bool put_run(json_t *run, const struct nw_sample_report *report, const struct nw_sample_result *r)
{
    const struct nw_config *c = &r->config;
    json_t *accesses = json_object();
    struct parameters p = { json_object(), true };
    bool ok = json_put(run, "sampled", json_boolean(r->windows != 0)) &&
              json_put(run, "scenario", json_text(c->scenario)) && json_put(run, "label", json_text(c->label)) &&
              json_put(run, "mode", json_text(nw_mode_name[c->mode])) &&
              json_put(run, "machine", json_text(c->machine)) && json_put(run, "trace", json_text(report->trace)) &&
              json_put(run, "trace_sha256", json_text(report->trace_sha256)) &&
              json_put(run, "fidelity", json_text(nw_fidelity_name[c->fidelity])) &&
              json_put(run, "seed", json_count(c->seed));
    ok = json_put(run, "accesses", accesses) && ok && json_put(accesses, "total", json_count(r->accesses.total)) &&
         json_put(accesses, "fetch", json_count(r->accesses.fetch)) &&
         json_put(accesses, "load", json_count(r->accesses.load)) &&
         json_put(accesses, "store", json_count(r->accesses.store)) && put_sample(run, r);
    ok = json_put(run, "parameters", p.object) && ok;
    if (ok)
        nw_config_visit(c, put_parameter, &p);
    return ok && p.ok;
}

enum nw_status nw_sample_json_text(const struct nw_sample_report *report, char **out, struct nw_error *err)
{
    json_t *root = json_object(), *runs = json_array();
    struct text t = { 0 };
    bool ok = root && json_put(root, "nestwalk", json_text(NESTWALK_VERSION));
    ok = json_put(root, "sampled_runs", runs) && ok;
    for (size_t i = 0; ok && i < report->count; i++) {
        json_t *run = json_object();
        ok = !json_array_append_new(runs, run) && put_run(run, report, &report->result[i]);
    }
    if (ok) {
        json_write(&t, root);
        text_add(&t, "\n");
    }
    json_decref(root);
    return ok ? text_take(&t, out, "the sample's JSON", err) : nw_fail_nomem(err, "the sample's JSON");
}

enum nw_status nw_sample_csv_text(const struct nw_sample_report *report, char **out, struct nw_error *err)
{
    struct text t = { 0 };
    text_add(&t, "label,sampled,path,unit,estimate,low,high\n");
    for (size_t k = 0; k < report->count; k++) {
        const struct nw_sample_result *r = &report->result[k];
        for (size_t i = 0; i < r->figure_count; i++) {
            const struct nw_sample_figure *f = &r->figure[i];
            char number[3][32];
            real_text(f->estimate, number[0]);
            real_text(f->low, number[1]);
            real_text(f->high, number[2]);
            text_add_csv(&t, r->config.label);
            text_printf(&t, ",%d,%s,%s,%s,%s,%s\n", r->windows != 0, f->path, f->unit, number[0], number[1], number[2]);
        }
    }
    return text_take(&t, out, "the sample's CSV", err);
}
