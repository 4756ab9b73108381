#include "reports_internal.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Makes room for one more element of `size`; the capacity is the next power of two, so it need not be kept. */
static void *grown(void *array, size_t count, size_t size)
{
    if (count & (count - 1) || (count && count < 8))
        return array;
    return reallocarray(array, count ? 2 * count : 8, size);
}

bool run_add_metric(struct nw_run *run, const struct nw_metric *m)
{
    struct nw_run_metric *array = grown(run->metric, run->metric_count, sizeof *array);
    if (!array)
        return false;
    run->metric = array;
    struct nw_run_metric *to = array + run->metric_count++;
    *to = (struct nw_run_metric){
        .path = utf8_dup(m->path),
        .unit = utf8_dup(m->unit ? m->unit : ""),
        .doc = utf8_dup(m->doc ? m->doc : ""),
        .type = m->type,
        .derived = m->derived,
        .count = m->count,
        .real = m->real,
    };
    return to->path && to->unit && to->doc;
}

bool run_add_bucket(struct nw_run *run, uint64_t upper, uint64_t count)
{
    struct nw_run_bucket *array = grown(run->bucket, run->bucket_count, sizeof *array);
    if (!array)
        return false;
    run->bucket = array;
    array[run->bucket_count++] = (struct nw_run_bucket){ upper, count };
    return true;
}

bool run_add_parameter(struct nw_run *run, const char *path, const char *value, const char *unit, const char *source)
{
    struct nw_run_parameter *array = grown(run->parameter, run->parameter_count, sizeof *array);
    if (!array)
        return false;
    run->parameter = array;
    struct nw_run_parameter *to = array + run->parameter_count++;
    *to = (struct nw_run_parameter){
        .path = utf8_dup(path), .value = utf8_dup(value), .unit = utf8_dup(unit), .source = utf8_dup(source)
    };
    return to->path && to->value && to->unit && to->source;
}

bool run_add_series(struct nw_run *run, const char *path, const char *x_unit, const char *unit, const char *doc)
{
    struct nw_run_series *array = grown(run->series, run->series_count, sizeof *array);
    if (!array)
        return false;
    run->series = array;
    struct nw_run_series *to = array + run->series_count++;
    *to = (struct nw_run_series){
        .path = utf8_dup(path), .x_unit = utf8_dup(x_unit), .unit = utf8_dup(unit), .doc = utf8_dup(doc)
    };
    return to->path && to->x_unit && to->unit && to->doc;
}

bool run_add_point(struct nw_run *run, double x, double y)
{
    struct nw_run_series *to = &run->series[run->series_count - 1];
    struct nw_run_point *array = grown(to->point, to->count, sizeof *array);
    if (!array)
        return false;
    to->point = array;
    array[to->count++] = (struct nw_run_point){ x, y };
    return true;
}

struct collect {
    struct nw_run *run;
    bool failed;
};

static void collect_metric(void *context, const struct nw_metric *m)
{
    struct collect *c = context;
    c->failed = c->failed || !run_add_metric(c->run, m);
}

static void collect_parameter(void *context, const char *path, const char *value, const char *source,
                              const struct nw_param *param)
{
    struct collect *c = context;
    c->failed = c->failed || !run_add_parameter(c->run, path, value, param->unit ? param->unit : "", source);
}

/* The ratios that every report shows; the visit of a result may have brought them already. */
static bool add_real(struct nw_run *run, const char *path, const char *unit, const char *doc, double value)
{
    struct nw_metric m = {
        .path = path, .unit = unit, .doc = doc, .type = NW_METRIC_REAL, .derived = true, .real = value
    };
    return nw_run_metric(run, path) || run_add_metric(run, &m);
}

enum nw_status nw_run_from_result(const struct nw_result *result, struct nw_run *out, struct nw_error *err)
{
    struct nw_run run = { 0 };
    const struct nw_config *config = &result->config;
    snprintf(run.version, sizeof run.version, "%s", NESTWALK_VERSION);
    utf8_copy(run.scenario, sizeof run.scenario, config->scenario);
    utf8_copy(run.label, sizeof run.label, config->label);
    utf8_copy(run.machine, sizeof run.machine, config->machine);
    utf8_copy(run.trace, sizeof run.trace, result->trace);
    utf8_copy(run.trace_sha256, sizeof run.trace_sha256, result->trace_sha256);
    snprintf(run.mode, sizeof run.mode, "%s", config->mode < NW_MODE_COUNT ? nw_mode_name[config->mode] : "");
    snprintf(run.direct_refused, sizeof run.direct_refused, "%s", result->direct_refused);
    snprintf(run.engine, sizeof run.engine, "%s",
             config->engine < NW_ENGINE_COUNT ? nw_engine_name[config->engine] : "");
    snprintf(run.fidelity, sizeof run.fidelity, "%s",
             config->fidelity < NW_FIDELITY_COUNT ? nw_fidelity_name[config->fidelity] : "");
    run.seed = config->seed;
    run.seconds = result->seconds;
    run.accesses_per_second = result->accesses_per_second;

    struct collect c = { .run = &run };
    nw_result_visit(result, collect_metric, &c);
    bool ok = !c.failed;
    ok = ok && add_real(&run, "walks.references_per_walk", "references", "page-table reads a walk makes on average",
                        nw_result_references_per_walk(result));
    ok =
        ok && add_real(&run, "overhead_percent", "percent", "cycles beyond those of the accesses with translation free",
                       nw_result_overhead_percent(result));
    for (size_t i = 0; ok && i < NW_HISTOGRAM_BUCKETS; i++)
        ok = run_add_bucket(&run, nw_histogram_upper[i], result->walks.histogram[i]);
    nw_config_visit(config, collect_parameter, &c);
    if (ok && result->stale.use_count) {
        run.stale = malloc(result->stale.use_count * sizeof *run.stale);
        if ((ok = run.stale != NULL)) {
            memcpy(run.stale, result->stale.use, result->stale.use_count * sizeof *run.stale);
            run.stale_count = result->stale.use_count;
        }
    }
    if (!ok || c.failed) {
        nw_run_fini(&run);
        return nw_fail_nomem(err, "the record of a run");
    }
    *out = run;
    return NW_OK;
}

void nw_run_fini(struct nw_run *run)
{
    for (size_t i = 0; i < run->metric_count; i++) {
        free(run->metric[i].path);
        free(run->metric[i].unit);
        free(run->metric[i].doc);
    }
    for (size_t i = 0; i < run->parameter_count; i++) {
        free(run->parameter[i].path);
        free(run->parameter[i].value);
        free(run->parameter[i].unit);
        free(run->parameter[i].source);
    }
    free(run->metric);
    free(run->bucket);
    free(run->parameter);
    for (size_t i = 0; i < run->series_count; i++) {
        free(run->series[i].path);
        free(run->series[i].x_unit);
        free(run->series[i].unit);
        free(run->series[i].doc);
        free(run->series[i].point);
    }
    free(run->series);
    free(run->stale);
    for (size_t i = 0; i < run->event_count; i++)
        free(run->event[i].text);
    free(run->event);
    *run = (struct nw_run){ 0 };
}

void nw_runs_free(struct nw_run *runs, size_t count)
{
    for (size_t i = 0; runs && i < count; i++)
        nw_run_fini(runs + i);
    free(runs);
}

const char *nw_run_title(const struct nw_run *run) { return run->label[0] ? run->label : run->mode; }

const struct nw_run_metric *nw_run_metric(const struct nw_run *run, const char *path)
{
    for (size_t i = 0; i < run->metric_count; i++)
        if (!strcmp(run->metric[i].path, path))
            return run->metric + i;
    return NULL;
}

double nw_run_metric_value(const struct nw_run_metric *m)
{
    return m->type == NW_METRIC_COUNT ? (double)m->count : m->real;
}

double nw_run_value(const struct nw_run *run, const char *path, double absent)
{
    const struct nw_run_metric *m = nw_run_metric(run, path);
    return m ? nw_run_metric_value(m) : absent;
}

const struct nw_run_series *nw_run_series(const struct nw_run *run, const char *path)
{
    for (size_t i = 0; i < run->series_count; i++)
        if (!strcmp(run->series[i].path, path))
            return &run->series[i];
    return NULL;
}

const struct nw_run_parameter *nw_run_parameter(const struct nw_run *run, const char *path)
{
    for (size_t i = 0; i < run->parameter_count; i++)
        if (!strcmp(run->parameter[i].path, path))
            return run->parameter + i;
    return NULL;
}

static bool metric_equal(const struct nw_run_metric *a, const struct nw_run_metric *b)
{
    if (a->type == NW_METRIC_COUNT && b->type == NW_METRIC_COUNT)
        return a->count == b->count;
    return nw_run_metric_value(a) == nw_run_metric_value(b);
}

static void metric_text(const struct nw_run_metric *m, char out[32])
{
    if (m->type == NW_METRIC_COUNT)
        snprintf(out, 32, "%llu", (unsigned long long)m->count);
    else
        real_text(m->real, out);
}

/* The first metric of `a` that `b` lacks or has otherwise; `swapped` says that they come in the other order. */
static bool metrics_cover(const struct nw_run *a, const struct nw_run *b, bool swapped, char *why, size_t why_size)
{
    for (size_t i = 0; i < a->metric_count; i++) {
        const struct nw_run_metric *m = a->metric + i, *other = nw_run_metric(b, m->path);
        if (m->derived || (other && metric_equal(m, other)))
            continue;
        char mine[32], theirs[32] = "none";
        metric_text(m, mine);
        if (other)
            metric_text(other, theirs);
        if (why)
            snprintf(why, why_size, "%s: %s and %s", m->path, swapped ? theirs : mine, swapped ? mine : theirs);
        return false;
    }
    return true;
}

bool nw_run_same(const struct nw_run *a, const struct nw_run *b, char *why, size_t why_size)
{
    if (!metrics_cover(a, b, false, why, why_size) || !metrics_cover(b, a, true, why, why_size))
        return false;
    size_t n = a->bucket_count < b->bucket_count ? a->bucket_count : b->bucket_count, i = 0;
    while (i < n && a->bucket[i].upper_cycles == b->bucket[i].upper_cycles && a->bucket[i].count == b->bucket[i].count)
        i++;
    if (i == a->bucket_count && i == b->bucket_count)
        return true;
    if (why)
        snprintf(why, why_size, "walks.latency_histogram_cycles: bucket %zu differs", i);
    return false;
}

/* "tlb.NAME.field" -> NAME; false for another path. */
static bool element_of(const char *path, const char *collection, char *name, size_t name_size)
{
    size_t prefix = strlen(collection);
    if (strncmp(path, collection, prefix) != 0)
        return false;
    const char *dot = strchr(path + prefix, '.');
    if (!dot || strchr(dot + 1, '.') || (size_t)(dot - path - (ptrdiff_t)prefix) >= name_size)
        return false;
    snprintf(name, name_size, "%.*s", (int)(dot - path - (ptrdiff_t)prefix), path + prefix);
    return name[0] != 0;
}

static bool have_tlb(const struct nw_config *c, const char *name)
{
    for (size_t i = 0; i < c->tlb_count; i++)
        if (!strcmp(c->tlb[i].name, name))
            return true;
    return false;
}

static bool have_cache(const struct nw_config *c, const char *name)
{
    for (size_t i = 0; i < c->cache_count; i++)
        if (!strcmp(c->cache[i].name, name))
            return true;
    return false;
}

/* Makes the TLB array or cache that a parameter speaks of, when this is the first of its fields. A fixed path that looks like
 * a field ("memory.dram.latency_cycles") is known before any element was made, and makes none. */
static enum nw_status add_element(struct nw_config *c, const char *path, struct nw_error *err)
{
    char name[NW_NAME_MAX], ignored[256];
    if (nw_config_get(c, path, ignored, sizeof ignored, NULL) == NW_OK)
        return NW_OK;
    if (element_of(path, "tlb.", name, sizeof name) && !have_tlb(c, name))
        return nw_config_add_tlb(c, name, err);
    if (element_of(path, "memory.", name, sizeof name) && !have_cache(c, name))
        return nw_config_add_cache(c, name, err);
    return NW_OK;
}

enum nw_status nw_run_config(const struct nw_run *run, struct nw_config *out, struct nw_error *err)
{
    struct nw_config config;
    nw_config_init(&config);
    nw_config_clear_machine(&config);
    enum nw_status s = NW_OK;
    for (size_t i = 0; !s && i < run->parameter_count; i++) {
        const struct nw_run_parameter *p = run->parameter + i;
        s = add_element(&config, p->path, err);
        if (!s && strcmp(p->source, "default") == 0) {
            char now[256];
            if (nw_config_get(&config, p->path, now, sizeof now, NULL) == NW_OK && !strcmp(now, p->value))
                continue; /* setting it would make it look as if somebody had */
        }
        if (!s)
            s = nw_config_set(&config, p->path, p->value, p->source, err);
    }
    if (!s)
        s = nw_config_check(&config, err);
    if (s) {
        nw_config_fini(&config);
        nw_error_context(err, "the stored configuration of run %lld does not fit this version", (long long)run->id);
        if (s == NW_ERR_USAGE) /* there it was a typing mistake; here the store says it */
            s = NW_ERR_INPUT;
        if (err)
            err->status = s;
        return s;
    }
    *out = config;
    return NW_OK;
}
