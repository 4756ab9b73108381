/* store_point.c - points of sweeps: what is done, and what could not be done. */
#include "reports_internal.h"
#include "store_internal.h"
#include <stdio.h>
#include <string.h>

static enum nw_status find(const struct nw_store *store, const char *identity, struct nw_store_point *out,
                           struct nw_error *err)
{
    sqlite3_stmt *q = NULL;
    *out = (struct nw_store_point){ .state = NW_POINT_NEW };
    enum nw_status s =
        store_prepare(store,
                      "SELECT p.run_id, r.group_id, p.error FROM points AS p LEFT JOIN runs AS r ON r.id = p.run_id"
                      " WHERE p.identity = ?",
                      &q, err);
    if (s)
        return s;
    int code = sqlite3_bind_text(q, 1, identity, -1, SQLITE_STATIC);
    if (!code)
        code = sqlite3_step(q);
    if (code == SQLITE_ROW) {
        const unsigned char *error = sqlite3_column_text(q, 2);
        out->state = error ? NW_POINT_FAILED : NW_POINT_DONE;
        out->run = sqlite3_column_int64(q, 0);
        out->group = sqlite3_column_int64(q, 1);
        utf8_copy(out->error, sizeof out->error, error ? (const char *)error : "");
    } else if (code != SQLITE_DONE) {
        s = store_fail(store, "looking for a point", err);
    }
    sqlite3_finalize(q);
    return s;
}

enum nw_status nw_store_point_find(struct nw_store *store, const char *identity, struct nw_store_point *out,
                                   struct nw_error *err)
{
    return find(store, identity, out, err);
}

static enum nw_status put(const struct nw_store *store, const char *identity, int64_t run, const char *label,
                          const char *error, struct nw_error *err)
{
    sqlite3_stmt *q = NULL;
    enum nw_status s = store_prepare(
        store, "INSERT OR REPLACE INTO points (identity, run_id, label, error) VALUES (?,?,?,?)", &q, err);
    if (s)
        return s;
    int bound = sqlite3_bind_text(q, 1, identity, -1, SQLITE_STATIC) |
                (error ? sqlite3_bind_null(q, 2) : sqlite3_bind_int64(q, 2, run)) |
                sqlite3_bind_text(q, 3, label, -1, SQLITE_STATIC) | sqlite3_bind_text(q, 4, error, -1, SQLITE_STATIC);
    if (bound || sqlite3_step(q) != SQLITE_DONE)
        s = store_fail(store, "adding a point", err);
    sqlite3_finalize(q);
    return s;
}

/* `run` NULL: the point failed, for the reason `error`. */
static enum nw_status settle(struct nw_store *store, const char *identity, const struct nw_run *run, const char *label,
                             const char *error, struct nw_error *err)
{
    struct nw_store_point before;
    int64_t id = 0;
    enum nw_status s = store_execute(store, "BEGIN IMMEDIATE", "adding a point", err);
    if (s)
        return s;
    s = find(store, identity, &before, err);
    bool add = !s && before.state != NW_POINT_DONE;
    if (add && run)
        s = store_add_rows(store, run, &id, err);
    if (add && !s)
        s = put(store, identity, id, label, error, err);
    if (!s)
        s = store_execute(store, "COMMIT", "adding a point", err);
    if (s)
        sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    else if (id && !store->group)
        store->group = id;
    return s;
}

enum nw_status nw_store_point_done(struct nw_store *store, const char *identity, const struct nw_run *run,
                                   struct nw_error *err)
{
    return settle(store, identity, run, run->label, NULL, err);
}

enum nw_status nw_store_point_failed(struct nw_store *store, const char *identity, const char *label, const char *error,
                                     struct nw_error *err)
{
    return settle(store, identity, NULL, label, error, err);
}

void nw_store_join_group(struct nw_store *store, int64_t group) { store->group = group; }
