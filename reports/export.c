#include "reports_internal.h"
#include <errno.h>
#include <fcntl.h>
#include <nestwalk/reports/export.h>
#include <nestwalk/traces/block.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- JSON ---- */

/* The object at a dotted path below `root`, made on the way; *last is the final name. NULL when out of memory, or when a name
 * on the way already holds a number. */
static json_t *parent_of(json_t *root, const char *path, const char **last)
{
    json_t *at = root;
    const char *dot;
    for (; (dot = strchr(path, '.')) != NULL; path = dot + 1) {
        char name[128];
        snprintf(name, sizeof name, "%.*s", (int)(dot - path), path);
        json_t *child = json_object_get(at, name);
        if (!child) {
            child = json_object();
            if (!json_put(at, name, child))
                return NULL;
        }
        if (!json_is_object(child))
            return NULL;
        at = child;
    }
    *last = path;
    return at;
}

static bool put_metric(json_t *root, const struct nw_run_metric *m)
{
    const char *name;
    json_t *parent = parent_of(root, m->path, &name);
    return parent && json_put(parent, name, m->type == NW_METRIC_COUNT ? json_count(m->count) : json_number(m->real));
}

static bool put_histogram(json_t *root, const struct nw_run *run)
{
    const char *name;
    json_t *parent = parent_of(root, "walks.latency_histogram_cycles", &name), *list = json_array();
    if (!parent || !json_put(parent, name, list))
        return false;
    for (size_t i = 0; i < run->bucket_count; i++) {
        const struct nw_run_bucket *b = run->bucket + i;
        json_t *pair = json_array();
        if (!pair)
            return false;
        int failed =
            json_array_append_new(pair, b->upper_cycles == UINT64_MAX ? json_null() : json_count(b->upper_cycles)) |
            json_array_append_new(pair, json_count(b->count));
        if (json_array_append_new(list, pair) || failed)
            return false;
    }
    return true;
}

static bool put_replay(json_t *root, const struct nw_run *run)
{
    json_t *replay = json_object_get(root, "replay");
    if (!json_is_object(replay)) {
        replay = json_object();
        if (!json_put(root, "replay", replay))
            return false;
    }
    return json_put(replay, "seconds", json_number(run->seconds)) &&
           json_put(replay, "accesses_per_second", json_number(run->accesses_per_second)) &&
           json_put(replay, "engine", json_text(run->engine));
}

static bool put_stale_use(json_t *row, const struct nw_stale_use *u)
{
    static const char *const type[] = { "load", "store", "fetch", "" };
    json_t *cached = json_object(), *now = json_object(), *write = u->change_known ? json_object() : json_null();
    bool ok = json_put(row, "access", json_count(u->access)) && json_put(row, "uses", json_count(u->uses)) &&
              json_put(row, "gva", json_hex(u->gva)) && json_put(row, "type", json_text(type[nw_kind_type(u->kind)])) &&
              json_put(row, "user", json_boolean(nw_kind_user(u->kind))) &&
              json_put(row, "through_walk_cache", json_boolean(u->through_walk_cache));
    char rights[8], sentence[640];
    stale_rights_text(u->cached_rights, rights);
    ok = json_put(row, "cached", cached) && ok && json_put(cached, "hpa", json_hex(u->cached_hpa)) &&
         json_put(cached, "rights", json_text(rights));
    stale_rights_text(u->rights, rights);
    ok = json_put(row, "tables", now) && ok && json_put(now, "outcome", json_text(u->outcome)) &&
         json_put(now, "hpa", u->granted ? json_hex(u->hpa) : json_null()) &&
         json_put(now, "rights", u->granted ? json_text(rights) : json_null());
    ok = json_put(row, "write", write) && ok;
    if (ok && u->change_known)
        ok = json_put(write, "before_access", json_count(u->change.before_access)) &&
             json_put(write, "gpa", json_hex(u->change.gpa)) && json_put(write, "old", json_hex(u->change.old_word)) &&
             json_put(write, "new", json_hex(u->change.new_word));
    nw_stale_sentence(u, sentence, sizeof sentence);
    return ok && json_put(row, "sentence", json_text(sentence));
}

static bool put_stale(json_t *root, const struct nw_run *run)
{
    json_t *list = json_array();
    if (!nw_run_metric(run, "stale.accesses") || run->id) {
        json_decref(list);
        return true;
    }
    bool ok = json_put(root, "stale_translations", list);
    for (size_t i = 0; ok && i < run->stale_count; i++) {
        json_t *row = json_object();
        ok = json_array_append_new(list, row) == 0 && put_stale_use(row, run->stale + i);
    }
    return ok;
}

static bool put_events(json_t *root, const struct nw_run *run)
{
    json_t *list = run->event_count ? json_array() : NULL;
    bool ok = !run->event_count || json_put(root, "events", list);
    for (size_t i = 0; ok && i < run->event_count; i++) {
        json_t *row = json_object();
        ok = json_array_append_new(list, row) == 0 && json_put(row, "time_ns", json_count(run->event[i].time_ns)) &&
             json_put(row, "text", json_text(run->event[i].text));
    }
    return ok;
}

static bool put_series(json_t *root, const struct nw_run *run)
{
    json_t *all = run->series_count ? json_object() : NULL;
    bool ok = !run->series_count || json_put(root, "series", all);
    for (size_t i = 0; ok && i < run->series_count; i++) {
        const struct nw_run_series *s = run->series + i;
        json_t *row = json_object(), *points = json_array();
        ok = json_put(all, s->path, row);
        ok = ok && json_put(row, "x_unit", json_text(s->x_unit)) && json_put(row, "unit", json_text(s->unit));
        ok = json_put(row, "points", points) && ok;
        for (size_t n = 0; ok && n < s->count; n++) {
            json_t *pair = json_array();
            ok = !json_array_append_new(points, pair) && !json_array_append_new(pair, json_number(s->point[n].x)) &&
                 !json_array_append_new(pair, json_number(s->point[n].y));
        }
    }
    return ok;
}

static bool put_parameters(json_t *root, const struct nw_run *run)
{
    json_t *parameters = json_object();
    if (!json_put(root, "parameters", parameters))
        return false;
    for (size_t i = 0; i < run->parameter_count; i++) {
        const struct nw_run_parameter *p = run->parameter + i;
        json_t *row = json_object();
        if (!json_put(parameters, p->path, row) || !json_put(row, "value", json_text(p->value)) ||
            (p->unit[0] && !json_put(row, "unit", json_text(p->unit))) ||
            !json_put(row, "source", json_text(p->source)))
            return false;
    }
    return true;
}

static bool put_run(json_t *root, const struct nw_run *run)
{
    bool ok = true;
    if (run->id)
        ok = json_put(root, "id", json_integer(run->id)) && json_put(root, "group", json_integer(run->group));
    ok = ok && json_put(root, "scenario", json_text(run->scenario)) && json_put(root, "label", json_text(run->label)) &&
         json_put(root, "mode", json_text(run->mode)) && json_put(root, "machine", json_text(run->machine)) &&
         json_put(root, "trace", json_text(run->trace)) &&
         json_put(root, "trace_sha256", json_text(run->trace_sha256)) &&
         json_put(root, "fidelity", json_text(run->fidelity)) && json_put(root, "seed", json_count(run->seed)) &&
         json_put(root, "version", json_text(run->version));
    for (size_t i = 0; ok && i < run->metric_count; i++)
        ok = put_metric(root, run->metric + i);
    return ok && (!run->bucket_count || put_histogram(root, run)) && put_stale(root, run) && put_events(root, run) &&
           put_series(root, run) && put_replay(root, run) && put_parameters(root, run);
}

json_t *run_json(const struct nw_run *run)
{
    json_t *root = json_object();
    if (root && !put_run(root, run)) {
        json_decref(root);
        root = NULL;
    }
    return root;
}

/* Path -> unit of every metric that any of the runs has. */
static json_t *units_json(const struct nw_run *runs, size_t count)
{
    json_t *units = json_object();
    bool ok = units != NULL;
    for (size_t r = 0; ok && r < count; r++)
        for (size_t i = 0; ok && i < runs[r].metric_count; i++)
            ok = json_put(units, runs[r].metric[i].path, json_text(runs[r].metric[i].unit));
    ok = ok && json_put(units, "walks.latency_histogram_cycles", json_text("cycles, walks")) &&
         json_put(units, "replay.seconds", json_text("seconds")) &&
         json_put(units, "replay.accesses_per_second", json_text("accesses per second"));
    if (!ok) {
        json_decref(units);
        return NULL;
    }
    return units;
}

json_t *runs_json(const struct nw_run *runs, size_t count)
{
    json_t *root = json_object(), *list = json_array();
    bool ok = root && json_put(root, "nestwalk", json_text(NESTWALK_VERSION)) && json_put(root, "runs", list);
    for (size_t i = 0; ok && i < count; i++)
        ok = json_array_append_new(list, run_json(runs + i)) == 0;
    if (!ok || !json_put(root, "units", units_json(runs, count))) {
        json_decref(root);
        return NULL;
    }
    return root;
}

enum nw_status nw_report_json_text(const struct nw_run *runs, size_t count, char **out, struct nw_error *err)
{
    json_t *root = runs_json(runs, count);
    if (!root)
        return nw_fail_nomem(err, "the result JSON");
    struct text t = { 0 };
    json_write(&t, root);
    text_add(&t, "\n");
    json_decref(root);
    return text_take(&t, out, "the result JSON", err);
}

/* ---- CSV: one line a metric, so that runs with different metrics go into one file ---- */

static void csv_line(struct text *t, const struct nw_run *run, size_t ordinal, const char *path, const char *value,
                     const char *unit)
{
    text_printf(t, "%lld,", run->id ? (long long)run->id : (long long)ordinal);
    const char *const field[] = { run->scenario, run->label, run->mode, run->machine, run->trace, path, value, unit };
    for (size_t i = 0; i < NW_ARRAY_LEN(field); i++) {
        text_add_csv(t, field[i]);
        text_add(t, i + 1 < NW_ARRAY_LEN(field) ? "," : "\n");
    }
}

static void csv_run(struct text *t, const struct nw_run *run, size_t ordinal)
{
    char value[40], path[64];
    for (size_t i = 0; i < run->metric_count; i++) {
        const struct nw_run_metric *m = run->metric + i;
        if (m->type == NW_METRIC_COUNT)
            snprintf(value, sizeof value, "%llu", (unsigned long long)m->count);
        else
            real_text(m->real, value);
        csv_line(t, run, ordinal, m->path, value, m->unit);
    }
    for (size_t i = 0; i < run->bucket_count; i++) {
        const struct nw_run_bucket *b = run->bucket + i;
        if (b->upper_cycles == UINT64_MAX)
            snprintf(path, sizeof path, "walks.latency_histogram_cycles.more");
        else
            snprintf(path, sizeof path, "walks.latency_histogram_cycles.%llu", (unsigned long long)b->upper_cycles);
        snprintf(value, sizeof value, "%llu", (unsigned long long)b->count);
        csv_line(t, run, ordinal, path, value, "walks");
    }
}

enum nw_status nw_report_csv_text(const struct nw_run *runs, size_t count, char **out, struct nw_error *err)
{
    struct text t = { 0 };
    text_add(&t, "run,scenario,label,mode,machine,trace,metric,value,unit\n");
    for (size_t i = 0; i < count; i++)
        csv_run(&t, runs + i, i + 1);
    return text_take(&t, out, "the CSV text", err);
}

/* ---- files ---- */

static enum nw_status write_all(int fd, const char *path, const char *text, size_t bytes, struct nw_error *err)
{
    while (bytes) {
        ssize_t n = write(fd, text, bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return nw_fail_errno(err, NW_ERR_IO, errno, "cannot write %s", path);
        text += n;
        bytes -= (size_t)n;
    }
    return NW_OK;
}

/* What is no regular file (/dev/null, a pipe) cannot be replaced by renaming and is written in place. */
static bool is_special(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
}

static enum nw_status write_special(const char *path, const char *text, size_t bytes, struct nw_error *err)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return nw_fail_errno(err, NW_ERR_IO, errno, "cannot write %s", path);
    enum nw_status s = write_all(fd, path, text, bytes, err);
    close(fd);
    return s;
}

enum nw_status nw_report_write(const char *path, const char *text, size_t bytes, struct nw_error *err)
{
    if (!strcmp(path, "-")) {
        if (fwrite(text, 1, bytes, stdout) != bytes || fflush(stdout))
            return nw_fail_errno(err, NW_ERR_IO, errno, "cannot write to standard output");
        return NW_OK;
    }
    if (is_special(path))
        return write_special(path, text, bytes, err);
    struct text temporary = { 0 };
    text_printf(&temporary, "%s.XXXXXX", path);
    if (temporary.failed)
        return nw_fail_nomem(err, "a file name");
    enum nw_status s = NW_OK;
    mode_t mask = umask(0);
    umask(mask);
    int fd = mkostemp(temporary.p, O_CLOEXEC);
    if (fd < 0) {
        s = nw_fail_errno(err, NW_ERR_IO, errno, "cannot write %s", path);
        goto out;
    }
    s = write_all(fd, path, text, bytes, err);
    if (!s && fchmod(fd, 0666 & ~mask)) /* as an ordinary new file; mkostemp makes a private one */
        s = nw_fail_errno(err, NW_ERR_IO, errno, "cannot write %s", path);
    if (close(fd) && !s)
        s = nw_fail_errno(err, NW_ERR_IO, errno, "cannot write %s", path);
    if (!s && rename(temporary.p, path))
        s = nw_fail_errno(err, NW_ERR_IO, errno, "cannot write %s", path);
    if (s)
        unlink(temporary.p);
out:
    text_free(&temporary);
    return s;
}

static enum nw_status write_and_free(const char *path, char *text, enum nw_status s, struct nw_error *err)
{
    if (!s)
        s = nw_report_write(path, text, strlen(text), err);
    free(text);
    return s;
}

enum nw_status nw_report_json(const struct nw_run *runs, size_t count, const char *path, struct nw_error *err)
{
    char *text = NULL;
    enum nw_status s = nw_report_json_text(runs, count, &text, err);
    return write_and_free(path, text, s, err);
}

enum nw_status nw_report_csv(const struct nw_run *runs, size_t count, const char *path, struct nw_error *err)
{
    char *text = NULL;
    enum nw_status s = nw_report_csv_text(runs, count, &text, err);
    return write_and_free(path, text, s, err);
}
