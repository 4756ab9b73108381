#include "reports_internal.h"
#include <math.h>
#include <nestwalk/reports/sweep_table.h>
#include <stdlib.h>
#include <string.h>

static uint64_t count_of(const struct nw_run *run, const char *path)
{
    const struct nw_run_metric *m = nw_run_metric(run, path);
    return m && m->type == NW_METRIC_COUNT ? m->count : 0;
}

/* A level that does not answer counts one miss, in one of its arrays: so the last level's arrays together count what no level answered. */
static uint64_t last_level_misses(const struct nw_run *run)
{
    unsigned long last = 0;
    uint64_t misses = 0;
    for (size_t i = 0; i < run->parameter_count; i++) {
        const char *path = run->parameter[i].path, *dot = strrchr(path, '.');
        if (strncmp(path, "tlb.", 4) != 0 || strcmp(dot, ".level") != 0)
            continue;
        unsigned long level = strtoul(run->parameter[i].value, NULL, 10);
        char metric[128];
        snprintf(metric, sizeof metric, "%.*s.misses", (int)(dot - path), path);
        if (level > last) {
            last = level;
            misses = 0;
        }
        if (level == last)
            misses += count_of(run, metric);
    }
    return misses;
}

void nw_sweep_row_take(struct nw_sweep_row *row, const struct nw_run *run)
{
    row->run = run->id;
    row->accesses = count_of(run, "accesses.total");
    row->walks = count_of(run, "walks.count");
    row->references = count_of(run, "walks.references");
    row->cycles = count_of(run, "cycles.total");
    row->miss_percent = row->accesses ? 100 * (double)last_level_misses(run) / (double)row->accesses : NAN;
    row->overhead_percent = nw_run_value(run, "overhead_percent", NAN);
}

static bool put_figures(json_t *point, const struct nw_sweep_row *r)
{
    return json_put(point, "run", json_count((uint64_t)r->run)) &&
           json_put(point, "accesses", json_count(r->accesses)) &&
           json_put(point, "miss_percent", json_number(r->miss_percent)) &&
           json_put(point, "walks", json_count(r->walks)) && json_put(point, "references", json_count(r->references)) &&
           json_put(point, "cycles", json_count(r->cycles)) &&
           json_put(point, "overhead_percent", json_number(r->overhead_percent));
}

/* NULL when out of memory. */
static json_t *point_json(const struct nw_sweep_table *t, const struct nw_sweep_row *r)
{
    json_t *point = json_object(), *values = json_object();
    bool ok = json_put(point, "point", json_count(r->point)) && json_put(point, "label", json_text(r->label)) &&
              json_put(point, "mode", json_text(r->mode));
    for (size_t i = 0; ok && i < t->path_count; i++)
        ok = json_put(values, t->path[i], json_text(r->value[i]));
    if (!ok)
        json_decref(values);
    ok = ok && json_put(point, "values", values) &&
         (r->error ? json_put(point, "error", json_text(r->error)) : put_figures(point, r));
    if (ok)
        return point;
    json_decref(point);
    return NULL;
}

enum nw_status nw_sweep_json_text(const struct nw_sweep_table *t, char **out, struct nw_error *err)
{
    json_t *root = json_object(), *points = json_array();
    bool ok = json_put(root, "nestwalk", json_text(NESTWALK_VERSION)) &&
              json_put(root, "scenario", json_text(t->scenario)) && json_put(root, "trace", json_text(t->trace)) &&
              json_put(root, "trace_sha256", json_text(t->trace_sha256));
    for (size_t i = 0; ok && i < t->row_count; i++)
        ok = !json_array_append_new(points, point_json(t, t->row + i)); /* refuses NULL */
    if (!ok)
        json_decref(points);
    ok = ok && json_put(root, "points", points);
    struct text text = { 0 };
    if (ok) {
        json_write(&text, root);
        text_add(&text, "\n");
    }
    json_decref(root);
    return ok ? text_take(&text, out, "the table of a sweep", err) : nw_fail_nomem(err, "the table of a sweep");
}

static void add_real(struct text *t, double v)
{
    char number[32];
    if (isfinite(v))
        real_text(v, number);
    text_add(t, isfinite(v) ? number : "");
}

enum nw_status nw_sweep_csv_text(const struct nw_sweep_table *table, char **out, struct nw_error *err)
{
    struct text t = { 0 };
    text_add(&t, "point,label,mode");
    for (size_t i = 0; i < table->path_count; i++) {
        text_add(&t, ",");
        text_add_csv(&t, table->path[i]);
    }
    text_add(&t, ",run,accesses,miss_percent,walks,references,cycles,overhead_percent,error\n");
    for (const struct nw_sweep_row *r = table->row; r < table->row + table->row_count; r++) {
        text_printf(&t, "%zu,", r->point);
        text_add_csv(&t, r->label);
        text_add(&t, ",");
        text_add_csv(&t, r->mode);
        for (size_t i = 0; i < table->path_count; i++) {
            text_add(&t, ",");
            text_add_csv(&t, r->value[i]);
        }
        if (r->error) {
            text_add(&t, ",,,,,,,,");
            text_add_csv(&t, r->error);
        } else {
            text_printf(&t, ",%lld,%llu,", (long long)r->run, (unsigned long long)r->accesses);
            add_real(&t, r->miss_percent);
            text_printf(&t, ",%llu,%llu,%llu,", (unsigned long long)r->walks, (unsigned long long)r->references,
                        (unsigned long long)r->cycles);
            add_real(&t, r->overhead_percent);
            text_add(&t, ",");
        }
        text_add(&t, "\n");
    }
    return text_take(&t, out, "the table of a sweep", err);
}
