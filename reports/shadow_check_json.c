/* The check as JSON. */
#include "reports_internal.h"
#include <nestwalk/reports/shadow_check.h>
#include <stdlib.h>
#include <string.h>

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static json_t *host_json(const struct nw_live_shadow_host *h)
{
    return json_pack("{s:s, s:s, s:b, s:b, s:b}", "backend", h->backend, "kernel", h->release, "eager_zap",
                     h->eager_zap, "native_supervisor", h->native_supervisor, "mmio_caching", h->mmio_caching);
}

static json_t *point_json(const struct nw_shadow_check *c, const struct nw_shadow_point *p)
{
    json_t *row = json_object();
    if (row && json_put(row, "regime", json_text(c->program[p->program].group)) &&
        json_put(row, "program", json_text(c->program[p->program].name)) &&
        json_put(row, "counter", json_text(nw_kvm_counter_row[p->counter].path)) &&
        json_put(row, "model", json_count(p->model)) && json_put(row, "kvm", json_count(p->kvm)) &&
        json_put(row, "error_percent", json_number(p->error_percent)) &&
        json_put(row, "segments", json_count(p->segments)) &&
        json_put(row, "segments_agreeing", json_count(p->agreeing)) &&
        json_put(row, "unsteady", json_boolean(p->unsteady)))
        return row;
    json_decref(row);
    return NULL;
}

static bool seen_before(const struct nw_shadow_check *c, size_t program)
{
    for (size_t i = 0; i < program; i++)
        if (!strcmp(c->program[i].group, c->program[program].group))
            return true;
    return false;
}

/* `error` has room for all points. */
static json_t *regime_json(const struct nw_shadow_check *c, const char *group, double *error)
{
    size_t count = 0;
    bool holds = true;
    for (size_t i = 0; i < c->program_count; i++)
        if (!strcmp(c->program[i].group, group) && c->program[i].difference[0])
            holds = false;
    for (size_t i = 0; i < c->point_count; i++)
        if (!strcmp(c->program[c->point[i].program].group, group) && !c->point[i].unsteady)
            error[count++] = c->point[i].error_percent;
    qsort(error, count, sizeof *error, by_value);
    json_t *row = json_object();
    if (row && json_put(row, "name", json_text(group)) && json_put(row, "points", json_count(count)) &&
        json_put(row, "median_error_percent", json_number(count ? error[count / 2] : 0)) &&
        json_put(row, "max_error_percent", json_number(count ? error[count - 1] : 0)) &&
        json_put(row, "claim", json_text("each counter moves as KVM's in every segment")) &&
        json_put(row, "holds", json_boolean(holds)))
        return row;
    json_decref(row);
    return NULL;
}

static bool fill_skipped(const struct nw_shadow_check *c, json_t *skipped)
{
    bool ok = true;
    for (size_t i = 0; i < c->program_count && ok; i++) {
        const struct nw_shadow_verdict *v = &c->program[i];
        if (!v->skipped[0])
            continue;
        json_t *row = json_object();
        ok = row && json_put(row, "program", json_text(v->name)) && json_put(row, "reason", json_text(v->skipped)) &&
             !json_array_append(skipped, row);
        json_decref(row);
    }
    return ok;
}

static bool all_skipped(const struct nw_shadow_check *c, const char *group)
{
    for (size_t i = 0; i < c->program_count; i++)
        if (!strcmp(c->program[i].group, group) && !c->program[i].skipped[0])
            return false;
    return true;
}

static bool fill(const struct nw_shadow_check *c, json_t *regimes, json_t *points, double *error)
{
    bool ok = true;
    for (size_t i = 0; i < c->program_count && ok; i++)
        if (!seen_before(c, i) && !all_skipped(c, c->program[i].group))
            ok = !json_array_append_new(regimes, regime_json(c, c->program[i].group, error));
    for (size_t i = 0; i < c->point_count && ok; i++)
        ok = !json_array_append_new(points, point_json(c, &c->point[i]));
    return ok;
}

enum nw_status nw_shadow_check_json_text(const struct nw_shadow_check *c, char **out, struct nw_error *err)
{
    json_t *root = json_object(), *regimes = json_array(), *points = json_array(), *skipped = json_array();
    double *error = calloc(c->point_count + 1, sizeof *error);
    struct text t = { 0 };
    bool ok = root && regimes && points && skipped && error && fill(c, regimes, points, error) &&
              fill_skipped(c, skipped) && json_put(root, "holds", json_boolean(nw_shadow_check_holds(c))) &&
              json_put(root, "host", host_json(&c->host)) && !json_object_set(root, "regimes", regimes) &&
              !json_object_set(root, "points", points) && !json_object_set(root, "skipped", skipped);
    if (ok)
        json_write(&t, root);
    free(error);
    json_decref(skipped);
    json_decref(points);
    json_decref(regimes);
    json_decref(root);
    return ok ? text_take(&t, out, "the check's JSON", err) : nw_fail_nomem(err, "the check's JSON");
}
