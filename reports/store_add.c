#include "store_internal.h"
#include <stdio.h>

static int bind_count(sqlite3_stmt *q, int column, uint64_t v)
{
    return v <= INT64_MAX ? sqlite3_bind_int64(q, column, (sqlite3_int64)v) : sqlite3_bind_double(q, column, (double)v);
}

static int bind_text(sqlite3_stmt *q, int column, const char *s)
{
    return sqlite3_bind_text(q, column, s, -1, SQLITE_STATIC);
}

/* Runs a statement that yields nothing and readies it for the next values. */
static enum nw_status step_and_reset(const struct nw_store *store, sqlite3_stmt *q, int bound, struct nw_error *err)
{
    if (bound || sqlite3_step(q) != SQLITE_DONE)
        return store_fail(store, "adding a run", err);
    sqlite3_reset(q);
    return NW_OK;
}

static enum nw_status add_run_row(struct nw_store *store, const struct nw_run *run, int64_t *id, struct nw_error *err)
{
    sqlite3_stmt *q = NULL;
    enum nw_status s = store_prepare(
        store,
        "INSERT INTO runs (group_id, version, scenario, label, mode, machine, trace, trace_sha256, engine,"
        " fidelity, seed, seconds, accesses_per_second) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
        &q, err);
    if (s)
        return s;
    const char *const field[] = { run->version, run->scenario,     run->label,  run->mode,    run->machine,
                                  run->trace,   run->trace_sha256, run->engine, run->fidelity };
    int bound = sqlite3_bind_int64(q, 1, store->group);
    for (int i = 0; i < (int)NW_ARRAY_LEN(field); i++)
        bound |= bind_text(q, i + 2, field[i]);
    bound |= bind_count(q, 11, run->seed);
    bound |= sqlite3_bind_double(q, 12, run->seconds);
    bound |= sqlite3_bind_double(q, 13, run->accesses_per_second);
    s = step_and_reset(store, q, bound, err);
    sqlite3_finalize(q);
    *id = sqlite3_last_insert_rowid(store->db);
    if (!s && !store->group) { /* the first run of a group names it */
        char sql[96];
        snprintf(sql, sizeof sql, "UPDATE runs SET group_id = id WHERE id = %lld", (long long)*id);
        s = store_execute(store, sql, "adding a run", err);
    }
    return s;
}

static enum nw_status add_metrics(struct nw_store *store, const struct nw_run *run, int64_t id, struct nw_error *err)
{
    sqlite3_stmt *q = NULL, *doc = NULL;
    enum nw_status s = store_prepare(
        store, "INSERT INTO metrics (run_id, position, path, value, unit, derived) VALUES (?,?,?,?,?,?)", &q, err);
    if (!s)
        s = store_prepare(
            store,
            "INSERT INTO metric_docs (path, doc) VALUES (?,?) ON CONFLICT (path) DO UPDATE SET doc = excluded.doc"
            " WHERE doc <> excluded.doc",
            &doc, err);
    for (size_t i = 0; !s && i < run->metric_count; i++) {
        const struct nw_run_metric *m = run->metric + i;
        int bound = sqlite3_bind_int64(q, 1, id) | sqlite3_bind_int64(q, 2, (sqlite3_int64)i) |
                    bind_text(q, 3, m->path) |
                    (m->type == NW_METRIC_COUNT ? bind_count(q, 4, m->count) : sqlite3_bind_double(q, 4, m->real)) |
                    bind_text(q, 5, m->unit) | sqlite3_bind_int(q, 6, m->derived);
        s = step_and_reset(store, q, bound, err);
        if (!s)
            s = step_and_reset(store, doc, bind_text(doc, 1, m->path) | bind_text(doc, 2, m->doc), err);
    }
    sqlite3_finalize(q);
    sqlite3_finalize(doc);
    return s;
}

static enum nw_status add_histogram(struct nw_store *store, const struct nw_run *run, int64_t id, struct nw_error *err)
{
    sqlite3_stmt *q = NULL;
    enum nw_status s =
        store_prepare(store, "INSERT INTO histogram (run_id, bucket, upper_cycles, count) VALUES (?,?,?,?)", &q, err);
    for (size_t i = 0; !s && i < run->bucket_count; i++) {
        const struct nw_run_bucket *b = run->bucket + i;
        int bound = sqlite3_bind_int64(q, 1, id) | sqlite3_bind_int64(q, 2, (sqlite3_int64)i) |
                    (b->upper_cycles == UINT64_MAX ? sqlite3_bind_null(q, 3) : bind_count(q, 3, b->upper_cycles)) |
                    bind_count(q, 4, b->count);
        s = step_and_reset(store, q, bound, err);
    }
    sqlite3_finalize(q);
    return s;
}

static enum nw_status add_parameters(struct nw_store *store, const struct nw_run *run, int64_t id, struct nw_error *err)
{
    sqlite3_stmt *q = NULL;
    enum nw_status s = store_prepare(
        store, "INSERT INTO parameters (run_id, position, path, value, unit, source) VALUES (?,?,?,?,?,?)", &q, err);
    for (size_t i = 0; !s && i < run->parameter_count; i++) {
        const struct nw_run_parameter *p = run->parameter + i;
        int bound = sqlite3_bind_int64(q, 1, id) | sqlite3_bind_int64(q, 2, (sqlite3_int64)i) |
                    bind_text(q, 3, p->path) | bind_text(q, 4, p->value) | bind_text(q, 5, p->unit) |
                    bind_text(q, 6, p->source);
        s = step_and_reset(store, q, bound, err);
    }
    sqlite3_finalize(q);
    return s;
}

static enum nw_status add_series(struct nw_store *store, const struct nw_run *run, int64_t id, struct nw_error *err)
{
    sqlite3_stmt *q = NULL, *point = NULL;
    if (!run->series_count)
        return NW_OK;
    enum nw_status s = store_prepare(
        store, "INSERT INTO series (run_id, position, path, x_unit, unit, doc) VALUES (?,?,?,?,?,?)", &q, err);
    if (!s)
        s = store_prepare(store, "INSERT INTO series_points (run_id, position, n, x, y) VALUES (?,?,?,?,?)", &point,
                          err);
    for (size_t i = 0; !s && i < run->series_count; i++) {
        const struct nw_run_series *r = run->series + i;
        int bound = sqlite3_bind_int64(q, 1, id) | sqlite3_bind_int64(q, 2, (sqlite3_int64)i) |
                    bind_text(q, 3, r->path) | bind_text(q, 4, r->x_unit) | bind_text(q, 5, r->unit) |
                    bind_text(q, 6, r->doc);
        s = step_and_reset(store, q, bound, err);
        for (size_t n = 0; !s && n < r->count; n++) {
            bound = sqlite3_bind_int64(point, 1, id) | sqlite3_bind_int64(point, 2, (sqlite3_int64)i) |
                    sqlite3_bind_int64(point, 3, (sqlite3_int64)n) | sqlite3_bind_double(point, 4, r->point[n].x) |
                    sqlite3_bind_double(point, 5, r->point[n].y);
            s = step_and_reset(store, point, bound, err);
        }
    }
    sqlite3_finalize(q);
    sqlite3_finalize(point);
    return s;
}

enum nw_status store_add_rows(struct nw_store *store, const struct nw_run *run, int64_t *id, struct nw_error *err)
{
    enum nw_status s = add_run_row(store, run, id, err);
    if (!s)
        s = add_metrics(store, run, *id, err);
    if (!s)
        s = add_histogram(store, run, *id, err);
    if (!s)
        s = add_parameters(store, run, *id, err);
    return s ? s : add_series(store, run, *id, err);
}

enum nw_status nw_store_add(struct nw_store *store, const struct nw_run *run, int64_t *id_out, struct nw_error *err)
{
    int64_t id = 0;
    enum nw_status s = store_execute(store, "BEGIN IMMEDIATE", "adding a run", err);
    if (s)
        return s;
    s = store_add_rows(store, run, &id, err);
    if (!s)
        s = store_execute(store, "COMMIT", "adding a run", err);
    if (s) {
        sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
        return s;
    }
    if (!store->group)
        store->group = id;
    if (id_out)
        *id_out = id;
    return NW_OK;
}
