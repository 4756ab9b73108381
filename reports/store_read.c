#include "reports_internal.h"
#include "store_internal.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *column_text(sqlite3_stmt *q, int column)
{
    const unsigned char *s = sqlite3_column_text(q, column);
    return s ? (const char *)s : "";
}

/* Whole numbers above SQLite's largest were stored as REAL. */
static uint64_t column_count(sqlite3_stmt *q, int column)
{
    if (sqlite3_column_type(q, column) == SQLITE_FLOAT) {
        double v = sqlite3_column_double(q, column);
        return v >= 0x1p64 ? UINT64_MAX : v > 0 ? (uint64_t)v : 0;
    }
    sqlite3_int64 v = sqlite3_column_int64(q, column);
    return v > 0 ? (uint64_t)v : 0;
}

/* ---- rows of runs ---- */

#define RUN_COLUMNS                                                                                                    \
    "id, group_id, created, version, scenario, label, mode, machine, trace, trace_sha256, engine, fidelity, seed, "    \
    "seconds, accesses_per_second"

static void read_run_row(sqlite3_stmt *q, struct nw_run *run)
{
    *run = (struct nw_run){ .id = sqlite3_column_int64(q, 0), .group = sqlite3_column_int64(q, 1) };
    struct {
        char *to;
        size_t size;
    } const field[] = {
        { run->created, sizeof run->created },   { run->version, sizeof run->version },
        { run->scenario, sizeof run->scenario }, { run->label, sizeof run->label },
        { run->mode, sizeof run->mode },         { run->machine, sizeof run->machine },
        { run->trace, sizeof run->trace },       { run->trace_sha256, sizeof run->trace_sha256 },
        { run->engine, sizeof run->engine },     { run->fidelity, sizeof run->fidelity },
    };
    for (int i = 0; i < (int)NW_ARRAY_LEN(field); i++)
        utf8_copy(field[i].to, field[i].size, column_text(q, i + 2));
    run->seed = column_count(q, 12);
    run->seconds = sqlite3_column_double(q, 13);
    run->accesses_per_second = sqlite3_column_double(q, 14);
}

enum nw_status nw_store_list(struct nw_store *store, struct nw_run **runs, size_t *count, struct nw_error *err)
{
    struct nw_run *list = NULL;
    size_t n = 0, capacity = 0;
    sqlite3_stmt *q = NULL;
    *runs = NULL;
    *count = 0;
    enum nw_status s = store_prepare(store, "SELECT " RUN_COLUMNS " FROM runs ORDER BY id", &q, err);
    int code = SQLITE_DONE;
    while (!s && (code = sqlite3_step(q)) == SQLITE_ROW) {
        if (n == capacity) {
            capacity = capacity ? 2 * capacity : 16;
            struct nw_run *more = reallocarray(list, capacity, sizeof *more);
            if (!more) {
                s = nw_fail_nomem(err, "the list of runs");
                break;
            }
            list = more;
        }
        read_run_row(q, list + n++);
    }
    if (!s && code != SQLITE_DONE)
        s = store_fail(store, "listing its runs", err);
    sqlite3_finalize(q);
    if (s) {
        free(list);
        return s;
    }
    *runs = list;
    *count = n;
    return NW_OK;
}

/* ---- one run ---- */

static bool read_metric(sqlite3_stmt *q, struct nw_run *run)
{
    int type = sqlite3_column_type(q, 1);
    struct nw_metric m = {
        .path = column_text(q, 0),
        .unit = column_text(q, 2),
        .derived = sqlite3_column_int(q, 3) != 0,
        .doc = column_text(q, 4),
        .type = type == SQLITE_INTEGER ? NW_METRIC_COUNT : NW_METRIC_REAL,
    };
    if (m.type == NW_METRIC_COUNT)
        m.count = column_count(q, 1);
    else
        m.real = type == SQLITE_NULL ? NAN : sqlite3_column_double(q, 1);
    return run_add_metric(run, &m);
}

static bool read_bucket(sqlite3_stmt *q, struct nw_run *run)
{
    uint64_t upper = sqlite3_column_type(q, 0) == SQLITE_NULL ? UINT64_MAX : column_count(q, 0);
    return run_add_bucket(run, upper, column_count(q, 1));
}

static bool read_parameter(sqlite3_stmt *q, struct nw_run *run)
{
    return run_add_parameter(run, column_text(q, 0), column_text(q, 1), column_text(q, 2), column_text(q, 3));
}

/* One row a point, those of a series together; a series without points has one row, of no point. */
static bool read_series(sqlite3_stmt *q, struct nw_run *run)
{
    const bool begins = sqlite3_column_int64(q, 4) == 0;
    if (begins && !run_add_series(run, column_text(q, 0), column_text(q, 1), column_text(q, 2), column_text(q, 3)))
        return false;
    if (!run->series_count || sqlite3_column_type(q, 5) == SQLITE_NULL)
        return true;
    return run_add_point(run, sqlite3_column_double(q, 5), sqlite3_column_double(q, 6));
}

static const struct {
    const char *sql;
    bool (*read)(sqlite3_stmt *q, struct nw_run *run);
} part[] = {
    { "SELECT m.path, m.value, m.unit, m.derived, d.doc FROM metrics AS m LEFT JOIN metric_docs AS d ON d.path = m.path"
      " WHERE m.run_id = ? ORDER BY m.position",
      read_metric },
    { "SELECT upper_cycles, count FROM histogram WHERE run_id = ? ORDER BY bucket", read_bucket },
    { "SELECT path, value, unit, source FROM parameters WHERE run_id = ? ORDER BY position", read_parameter },
    { "SELECT s.path, s.x_unit, s.unit, s.doc, coalesce(p.n, 0), p.x, p.y FROM series AS s LEFT JOIN series_points AS p"
      " ON p.run_id = s.run_id AND p.position = s.position WHERE s.run_id = ? ORDER BY s.position, p.n",
      read_series },
};

static enum nw_status load_part(struct nw_store *store, size_t i, struct nw_run *run, struct nw_error *err)
{
    sqlite3_stmt *q = NULL;
    enum nw_status s = store_prepare(store, part[i].sql, &q, err);
    if (!s && sqlite3_bind_int64(q, 1, run->id))
        s = store_fail(store, "reading a run", err);
    int code = SQLITE_DONE;
    while (!s && (code = sqlite3_step(q)) == SQLITE_ROW)
        if (!part[i].read(q, run))
            s = nw_fail_nomem(err, "a stored run");
    if (!s && code != SQLITE_DONE)
        s = store_fail(store, "reading a run", err);
    sqlite3_finalize(q);
    return s;
}

/* "1 (native), 2 (shadow), ..." of the latest runs, for messages. */
static void describe_runs(const struct nw_run *runs, size_t count, char *out, size_t out_size)
{
    enum { SHOWN = 12 };
    size_t used = 0, first = count > SHOWN ? count - SHOWN : 0;
    out[0] = 0;
    for (size_t i = first; i < count && used < out_size; i++) {
        int n = snprintf(out + used, out_size - used, "%s%lld (%s)", i == first ? (first ? "..., " : "") : ", ",
                         (long long)runs[i].id, nw_run_title(runs + i));
        used += n > 0 ? (size_t)n : 0;
    }
}

static enum nw_status no_such_run(struct nw_store *store, const char *name, struct nw_error *err)
{
    struct nw_run *runs;
    size_t count;
    char there[640];
    enum nw_status s = nw_store_list(store, &runs, &count, err);
    if (s)
        return s;
    describe_runs(runs, count, there, sizeof there);
    s = count ? nw_fail(err, NW_ERR_INPUT, "%s has no run \"%s\"; it has %s", store->path, name, there)
              : nw_fail(err, NW_ERR_INPUT, "%s holds no runs", store->path);
    nw_runs_free(runs, count);
    return s;
}

enum nw_status nw_store_load(struct nw_store *store, int64_t id, struct nw_run *out, struct nw_error *err)
{
    sqlite3_stmt *q = NULL;
    struct nw_run run = { 0 };
    enum nw_status s = store_prepare(store, "SELECT " RUN_COLUMNS " FROM runs WHERE id = ?", &q, err);
    if (!s && sqlite3_bind_int64(q, 1, id))
        s = store_fail(store, "reading a run", err);
    int code = s ? SQLITE_DONE : sqlite3_step(q);
    if (code == SQLITE_ROW)
        read_run_row(q, &run);
    else if (!s && code != SQLITE_DONE)
        s = store_fail(store, "reading a run", err);
    sqlite3_finalize(q);
    if (!s && code == SQLITE_DONE) {
        char name[24];
        snprintf(name, sizeof name, "%lld", (long long)id);
        return no_such_run(store, name, err);
    }
    for (size_t i = 0; !s && i < NW_ARRAY_LEN(part); i++)
        s = load_part(store, i, &run, err);
    if (s)
        nw_run_fini(&run);
    else
        *out = run;
    return s;
}

/* ---- runs by name ---- */

static bool is_number(const char *name)
{
    return *name && strlen(name) < 19 && strspn(name, "0123456789") == strlen(name);
}

/* The run that a name means: a number first, then the latest with that label, then the latest of that mode. 0 = none. */
static int64_t find_run(const struct nw_run *runs, size_t count, const char *name)
{
    if (is_number(name)) {
        int64_t id = strtoll(name, NULL, 10);
        for (size_t i = 0; i < count; i++)
            if (runs[i].id == id)
                return id;
    }
    for (size_t i = count; i-- > 0;)
        if (!strcmp(runs[i].label, name))
            return runs[i].id;
    for (size_t i = count; i-- > 0;)
        if (!strcmp(runs[i].mode, name))
            return runs[i].id;
    return 0;
}

/* Numbers of the wanted runs; ids has room for max(count, name_count). */
static enum nw_status choose(struct nw_store *store, const struct nw_run *all, size_t count, const char *const *names,
                             size_t name_count, int64_t *ids, size_t *chosen, struct nw_error *err)
{
    *chosen = 0;
    for (size_t i = 0; i < name_count; i++) {
        ids[i] = find_run(all, count, names[i]);
        if (!ids[i])
            return no_such_run(store, names[i], err);
        ++*chosen;
    }
    if (name_count)
        return NW_OK;
    for (size_t i = 0; i < count; i++)
        if (all[i].group == all[count - 1].group)
            ids[(*chosen)++] = all[i].id;
    return *chosen ? NW_OK : nw_fail(err, NW_ERR_INPUT, "%s holds no runs", store->path);
}

enum nw_status nw_store_select(struct nw_store *store, const char *const *names, size_t name_count,
                               struct nw_run **runs, size_t *count, struct nw_error *err)
{
    struct nw_run *all = NULL, *out = NULL;
    size_t all_count = 0, chosen = 0, loaded = 0;
    int64_t *ids = NULL;
    *runs = NULL;
    *count = 0;
    /* One view of the store: runs that others add meanwhile do not matter. */
    enum nw_status s = store_execute(store, "BEGIN", "reading it", err);
    if (s)
        return s;
    if ((s = nw_store_list(store, &all, &all_count, err)))
        goto out;
    ids = calloc(all_count + name_count + 1, sizeof *ids);
    if (!ids) {
        s = nw_fail_nomem(err, "a list of runs");
        goto out;
    }
    if ((s = choose(store, all, all_count, names, name_count, ids, &chosen, err)))
        goto out;
    out = calloc(chosen, sizeof *out);
    if (!out) {
        s = nw_fail_nomem(err, "a list of runs");
        goto out;
    }
    for (; !s && loaded < chosen; loaded += !s)
        s = nw_store_load(store, ids[loaded], out + loaded, err);
out:
    sqlite3_exec(store->db, "COMMIT", NULL, NULL, NULL);
    nw_runs_free(all, all_count);
    free(ids);
    if (s) {
        nw_runs_free(out, loaded);
        return s;
    }
    *runs = out;
    *count = chosen;
    return NW_OK;
}
