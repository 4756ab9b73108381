/* A judgement as JSON. */
#include "reports_internal.h"
#include <inttypes.h>
#include <nestwalk/reports/judgement.h>
#include <stdio.h>

void nw_judged_point_name(const struct nw_chase *c, char *out, size_t out_size)
{
    static const struct {
        unsigned log2;
        const char *unit;
    } units[] = { { 30, "GiB" }, { 20, "MiB" }, { 10, "KiB" }, { 0, "B" } };
    for (size_t i = 0; i < NW_ARRAY_LEN(units); i++)
        if (!(c->spacing_bytes & ((UINT64_C(1) << units[i].log2) - 1))) {
            snprintf(out, out_size, "%s %u at %" PRIu64 " %s", nw_chase_pages_name[c->pages], c->count,
                     c->spacing_bytes >> units[i].log2, units[i].unit);
            return;
        }
}

static const char *const model_key[NW_JUDGED_MODELS] = { "", "textbook_", "one_dimension_" };

/* `prefix`model`suffix`: number, for each of the models. */
static bool put_models(json_t *row, const char *suffix, const double value[NW_JUDGED_MODELS])
{
    bool ok = true;
    for (unsigned i = 0; i < NW_JUDGED_MODELS && ok; i++) {
        char key[64];
        snprintf(key, sizeof key, "%s%s", model_key[i], suffix);
        ok = json_put(row, key, json_number(value[i]));
    }
    return ok;
}

static json_t *regime_json(const struct nw_judged_regime *r)
{
    json_t *row = json_object();
    if (row && json_put(row, "name", json_text(r->name)) && json_put(row, "points", json_count(r->points)) &&
        json_put(row, "excluded", json_count(r->excluded)) &&
        put_models(row, "median_error_percent", r->median_error_percent) &&
        put_models(row, "max_error_percent", r->max_error_percent) &&
        json_put(row, "inside_measured_range", json_count(r->inside)) && json_put(row, "claim", json_text(r->claim)) &&
        json_put(row, "holds", json_boolean(r->holds)))
        return row;
    json_decref(row);
    return NULL;
}

/* Null where the point is not one of walks. */
static bool put_walk(json_t *row, const struct nw_judged_point *p)
{
    const struct nw_chase_figure *m = &p->walk_measured;
    if (!p->walks)
        return json_put(row, "walk_measured_cycles", json_null());
    return json_put(row, "walk_measured_cycles", json_number(m->cycles)) &&
           json_put(row, "walk_low_cycles", json_number(m->low)) &&
           json_put(row, "walk_high_cycles", json_number(m->high)) &&
           put_models(row, "walk_predicted_cycles", p->walk_predicted);
}

/* Of each quantity that processors count: what was counted and what was predicted, an access; null where nothing counted it. */
static json_t *point_counters_json(const struct nw_judged_point *p)
{
    json_t *all = json_object();
    bool ok = all;
    for (unsigned q = 0; q < NW_COUNTED && ok; q++)
        ok = json_put(all, nw_counted_name[q],
                      p->measured.counted[q] < 0 ? json_null()
                                                 : json_pack("{s:f, s:f}", "counted", p->measured.counted[q],
                                                             "predicted", nw_judged_counted(p, q)));
    if (ok)
        return all;
    json_decref(all);
    return NULL;
}

/* The same over all points, null where nothing counted a quantity. */
static json_t *counters_json(const struct nw_judgement *j, const struct nw_measurement *m)
{
    json_t *all = json_object();
    bool ok = all && json_put(all, "source", m->counters[0] ? json_text(m->counters) : json_null());
    for (unsigned q = 0; q < NW_COUNTED && ok; q++) {
        const struct nw_judged_counter *c = &j->counter[q];
        ok = json_put(all, nw_counted_name[q],
                      c->points ? json_pack("{s:I, s:f, s:f}", "points", (json_int_t)c->points, "median_difference",
                                            c->median_difference, "max_difference", c->max_difference)
                                : json_null());
    }
    if (ok)
        return all;
    json_decref(all);
    return NULL;
}

static json_t *point_json(const struct nw_judged_point *p, const struct nw_chase *c)
{
    json_t *row = json_object();
    if (row && json_put(row, "regime", json_text(nw_regime_name[p->regime])) &&
        json_put(row, "purpose", json_text(c->purpose)) &&
        json_put(row, "pages", json_text(nw_chase_pages_name[c->pages])) &&
        json_put(row, "count", json_count(c->count)) && json_put(row, "spacing_bytes", json_count(c->spacing_bytes)) &&
        json_put(row, "measured_cycles", json_number(p->measured.cycles)) &&
        json_put(row, "low_cycles", json_number(p->measured.low)) &&
        json_put(row, "high_cycles", json_number(p->measured.high)) &&
        json_put(row, "processes", json_count(p->measured.processes)) &&
        json_put(row, "measured_dtlb_misses",
                 p->measured.counted[NW_COUNTED_DTLB_MISSES] < 0
                     ? json_null()
                     : json_number(p->measured.counted[NW_COUNTED_DTLB_MISSES])) &&
        put_models(row, "predicted_cycles", p->predicted) &&
        json_put(row, "error_percent", json_number(nw_judged_error_percent(p, NW_JUDGED_OURS))) &&
        json_put(row, "predicted_walks", json_number(p->counts.walks)) &&
        json_put(row, "predicted_references", json_number(p->counts.references)) &&
        json_put(row, "predicted_nested_references", json_number(p->counts.references_nested)) && put_walk(row, p) &&
        json_put(row, "counters", point_counters_json(p)) && json_put(row, "capacity_edge", json_text(p->edge)))
        return row;
    json_decref(row);
    return NULL;
}

static json_t *lines_json(const double *lines, size_t levels)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < levels; i++)
        if (json_array_append_new(list, json_number(lines[i]))) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static json_t *residual_json(const struct nw_fit_point *p, const struct nw_chase *c, size_t caches)
{
    json_t *row = json_object();
    if (row && json_put(row, "pages", json_text(nw_chase_pages_name[c->pages])) &&
        json_put(row, "count", json_count(c->count)) && json_put(row, "grouped", json_count(c->group)) &&
        json_put(row, "spacing_bytes", json_count(c->spacing_bytes)) &&
        json_put(row, "measured_cycles", json_number(p->measured)) &&
        json_put(row, "fitted_cycles", json_number(p->fitted)) &&
        json_put(row, "walks", json_number(p->counts.walks)) &&
        json_put(row, "references", json_number(p->counts.references)) &&
        json_put(row, "data_lines", lines_json(p->counts.data_line, caches + 1)) &&
        json_put(row, "table_lines", lines_json(p->counts.table_line, caches + 1)))
        return row;
    json_decref(row);
    return NULL;
}

static json_t *fit_json(const struct nw_judgement *j, const struct nw_measurement *m)
{
    json_t *fit = json_object(), *values = json_array(), *residuals = json_array();
    bool ok = fit && values && residuals;
    for (size_t i = 0; i < j->fit.points && ok; i++)
        ok = !json_array_append_new(residuals, residual_json(&j->fit.point[i], &m->chase[j->fit.point[i].chase],
                                                             j->model[NW_JUDGED_OURS].cache_count));
    for (size_t i = 0; i < j->fit.value_count && ok; i++) {
        const struct nw_fit_value *v = &j->fit.value[i];
        ok = !json_array_append_new(values, json_pack("{s:s, s:s, s:f, s:f}", "path", v->path, "value", v->value, "low",
                                                      v->low, "high", v->high));
    }
    const struct nw_splinter_map map = nw_splinter_map(m);
    ok = ok && json_put(fit, "large_mappings", json_count(map.mappings)) &&
         json_put(fit, "splintered_mappings", json_count(map.splintered)) &&
         json_put(fit, "points", json_count(j->fit.points)) &&
         json_put(fit, "error_percent", json_number(j->fit.error_percent)) &&
         json_put(fit, "processes", json_count(j->fitted_processes)) &&
         json_put(fit, "two_dimensional", json_boolean(j->fit.nested)) &&
         json_put(fit, "backing",
                  json_text(!j->fit.nested      ? ""
                            : j->fit.splintered ? "4K"
                                                : "2M")) &&
         !json_object_set(fit, "values", values) && !json_object_set(fit, "residuals", residuals);
    json_decref(values);
    json_decref(residuals);
    if (ok)
        return fit;
    json_decref(fit);
    return NULL;
}

enum nw_status nw_judgement_json_text(const struct nw_judgement *j, const struct nw_measurement *m, char **out,
                                      struct nw_error *err)
{
    json_t *root = json_object(), *regimes = json_array(), *walks = json_array(), *points = json_array(),
           *notes = json_array();
    struct text t = { 0 };
    bool ok = root && regimes && walks && points && notes;
    for (size_t i = 0; i < j->walk_regime_count && ok; i++)
        ok = !json_array_append_new(walks, regime_json(&j->walk_regime[i]));
    for (size_t i = 0; i < j->regime_count && ok; i++)
        ok = !json_array_append_new(regimes, regime_json(&j->regime[i]));
    for (size_t i = 0; i < j->point_count && ok; i++)
        ok = !json_array_append_new(points, point_json(&j->point[i], &m->chase[j->point[i].chase]));
    for (size_t i = 0; i < m->note_count && ok; i++)
        ok = !json_array_append_new(notes, json_text(m->note[i]));
    ok = ok && json_put(root, "holds", json_boolean(j->holds)) && !json_object_set(root, "regimes", regimes) &&
         json_put(root, "walks_hold", json_boolean(j->walks_hold)) && !json_object_set(root, "walk_regimes", walks) &&
         !json_object_set(root, "points", points) && json_put(root, "fit", fit_json(j, m)) &&
         json_put(root, "counters", counters_json(j, m)) &&
         json_put(root, "judged_processes", json_count(j->judged_processes)) &&
         json_put(root, "predicted_processes", json_count(j->predicted_processes)) &&
         !json_object_set(root, "notes", notes);
    if (ok)
        json_write(&t, root);
    json_decref(notes);
    json_decref(points);
    json_decref(walks);
    json_decref(regimes);
    json_decref(root);
    return ok ? text_take(&t, out, "the judgement's JSON", err) : nw_fail_nomem(err, "the judgement's JSON");
}
