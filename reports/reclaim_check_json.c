/* The check as JSON. */
#include "reports_internal.h"
#include <nestwalk/reports/reclaim_check.h>
#include <string.h>

static json_t *range_json(uint64_t least, uint64_t most)
{
    json_t *pair = json_array();
    if (pair && !json_array_append_new(pair, json_count(least)) && !json_array_append_new(pair, json_count(most)))
        return pair;
    json_decref(pair);
    return NULL;
}

static json_t *host_json(const struct nw_live_reclaim_host *h)
{
    json_t *row = json_object(), *notes = json_array();
    bool ok = row && notes;
    for (unsigned i = 0; i < h->notes && ok; i++)
        ok = !json_array_append_new(notes, json_text(h->note[i]));
    ok = ok && json_put(row, "backend", json_text(h->backend)) && json_put(row, "kernel", json_text(h->release)) &&
         json_put(row, "way", json_text(nw_reclaim_way_name[h->way])) && json_put(row, "means", json_text(h->means)) &&
         !json_object_set(row, "notes", notes);
    json_decref(notes);
    if (ok)
        return row;
    json_decref(row);
    return NULL;
}

static json_t *regime_json(const struct nw_reclaim_verdict *v)
{
    json_t *row = json_object();
    if (row && json_put(row, "name", json_text(v->name)) && json_put(row, "points", json_count(v->points)) &&
        json_put(row, "median_error_percent", json_number(v->median_error_percent)) &&
        json_put(row, "max_error_percent", json_number(v->max_error_percent)) &&
        json_put(row, "claim", json_text("in every step as many of the taken pages come back as the model says")) &&
        json_put(row, "holds", json_boolean(v->points && v->holding == v->points)) &&
        json_put(row, "runs", json_count(v->runs)) && json_put(row, "asked", json_count(v->asked)) &&
        json_put(row, "taken", json_count(v->taken)) && json_put(row, "not_judged", json_count(v->unjudged)) &&
        json_put(row, "model", range_json(v->model_least, v->model_most)) &&
        json_put(row, "returned", range_json(v->returned_least, v->returned_most)) &&
        json_put(row, "major", range_json(v->major_least, v->major_most)))
        return row;
    json_decref(row);
    return NULL;
}

static json_t *point_json(const struct nw_reclaim_check *c, const struct nw_reclaim_point *p)
{
    json_t *row = json_object();
    if (row && json_put(row, "regime", json_text(c->program[p->program].name)) &&
        json_put(row, "run", json_count(p->run)) && json_put(row, "step", json_count(p->step)) &&
        json_put(row, "asked", json_count(p->kernel.asked)) && json_put(row, "taken", json_count(p->kernel.taken)) &&
        json_put(row, "model", json_count(p->model)) && json_put(row, "returned", json_count(p->kernel.returned)) &&
        json_put(row, "major", json_count(p->kernel.major)) && json_put(row, "minor", json_count(p->kernel.minor)) &&
        json_put(row, "astray", json_count(p->kernel.astray)) &&
        json_put(row, "error_percent", json_number(p->error_percent)) &&
        json_put(row, "judged", json_boolean(p->judged)) && json_put(row, "holds", json_boolean(p->holds)))
        return row;
    json_decref(row);
    return NULL;
}

enum nw_status nw_reclaim_check_json_text(const struct nw_reclaim_check *c, char **out, struct nw_error *err)
{
    json_t *root = json_object(), *regimes = json_array(), *points = json_array();
    struct text t = { 0 };
    bool ok = root && regimes && points;
    for (size_t i = 0; i < c->program_count && ok; i++)
        ok = !json_array_append_new(regimes, regime_json(&c->program[i]));
    for (size_t i = 0; i < c->point_count && ok; i++)
        ok = !json_array_append_new(points, point_json(c, &c->point[i]));
    ok = ok && json_put(root, "holds", json_boolean(nw_reclaim_check_holds(c))) &&
         json_put(root, "host", host_json(&c->host)) && !json_object_set(root, "regimes", regimes) &&
         !json_object_set(root, "points", points);
    if (ok)
        json_write(&t, root);
    json_decref(points);
    json_decref(regimes);
    json_decref(root);
    return ok ? text_take(&t, out, "the check's JSON", err) : nw_fail_nomem(err, "the check's JSON");
}
