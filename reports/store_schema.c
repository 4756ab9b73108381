#include "store_internal.h"
#include <stdio.h>

const char *const nw_store_step[] = {
    /* 0 -> 1. `value` has no declared type, so that it keeps the one it is given: INTEGER for
     * counts, REAL for ratios; counts above 2^63 - 1, SQLite's largest, are REAL. */
    "CREATE TABLE runs ("
    "  id INTEGER PRIMARY KEY,"
    "  group_id INTEGER NOT NULL,"
    "  created TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%S', 'now')),"
    "  version TEXT NOT NULL, scenario TEXT NOT NULL, label TEXT NOT NULL, mode TEXT NOT NULL, machine TEXT NOT NULL,"
    "  trace TEXT NOT NULL, trace_sha256 TEXT NOT NULL, engine TEXT NOT NULL, fidelity TEXT NOT NULL, seed INTEGER NOT "
    "NULL,"
    "  seconds REAL NOT NULL, accesses_per_second REAL NOT NULL);"
    "CREATE TABLE metrics ("
    "  run_id INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE,"
    "  position INTEGER NOT NULL, path TEXT NOT NULL, value, unit TEXT NOT NULL, derived INTEGER NOT NULL,"
    "  PRIMARY KEY (run_id, path)) WITHOUT ROWID;"
    "CREATE TABLE metric_docs (path TEXT PRIMARY KEY, doc TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE histogram ("
    "  run_id INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE,"
    "  bucket INTEGER NOT NULL, upper_cycles INTEGER, count INTEGER NOT NULL,"
    "  PRIMARY KEY (run_id, bucket)) WITHOUT ROWID;"
    "CREATE TABLE parameters ("
    "  run_id INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE,"
    "  position INTEGER NOT NULL, path TEXT NOT NULL, value TEXT NOT NULL, unit TEXT NOT NULL, source TEXT NOT NULL,"
    "  PRIMARY KEY (run_id, path)) WITHOUT ROWID;"
    "CREATE INDEX runs_by_label ON runs(label);"
    "CREATE INDEX runs_by_group ON runs(group_id);",
    /* 1 -> 2. Points of sweeps: each has a run, or an error. Without its run a point is as if it had never been. */
    "CREATE TABLE points ("
    "  identity TEXT PRIMARY KEY,"
    "  run_id INTEGER UNIQUE REFERENCES runs(id) ON DELETE CASCADE,"
    "  label TEXT NOT NULL, error TEXT,"
    "  CHECK ((run_id IS NULL) <> (error IS NULL))) WITHOUT ROWID;",
    /* 2 -> 3. Quantities over time or another quantity. */
    "CREATE TABLE series ("
    "  run_id INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE,"
    "  position INTEGER NOT NULL, path TEXT NOT NULL, x_unit TEXT NOT NULL, unit TEXT NOT NULL, doc TEXT NOT NULL,"
    "  PRIMARY KEY (run_id, position)) WITHOUT ROWID;"
    "CREATE TABLE series_points ("
    "  run_id INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE,"
    "  position INTEGER NOT NULL, n INTEGER NOT NULL, x REAL NOT NULL, y REAL NOT NULL,"
    "  PRIMARY KEY (run_id, position, n)) WITHOUT ROWID;",
};
const int nw_store_step_count = (int)NW_ARRAY_LEN(nw_store_step);

enum nw_status nw_store_fail(sqlite3 *db, const char *path, const char *doing, struct nw_error *err)
{
    int code = db ? sqlite3_extended_errcode(db) : SQLITE_NOMEM;
    const char *text = db ? sqlite3_errmsg(db) : "out of memory";
    switch (code & 0xff) {
    case SQLITE_NOTADB: return nw_fail(err, NW_ERR_INPUT, "%s is not a results store: it is no SQLite database", path);
    case SQLITE_CORRUPT: return nw_fail(err, NW_ERR_INPUT, "%s is damaged (%s: %s)", path, doing, text);
    case SQLITE_NOMEM: return nw_fail_nomem(err, "the results store");
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return nw_fail(err, NW_ERR_IO, "%s is in use by another program that does not let go of it (%s)", path, doing);
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_CANTOPEN:
        return nw_fail(err, NW_ERR_IO, "%s: %s: %s; the file and its folder must be writable", path, doing, text);
    case SQLITE_ERROR: /* the statements are ours, so what they miss is the file's fault */
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
        return nw_fail(err, NW_ERR_INPUT, "%s does not have the tables of a results store (%s: %s)", path, doing, text);
    default: return nw_fail(err, NW_ERR_IO, "%s: %s: %s", path, doing, text);
    }
}

enum nw_status nw_store_migrate(sqlite3 *db, const char *path, int from, const char *const *step, int step_count,
                                struct nw_error *err)
{
    for (int version = from; version < step_count; version++) {
        if (sqlite3_exec(db, step[version], NULL, NULL, NULL))
            return nw_store_fail(db, path, "bringing its schema up to date", err);
    }
    char pragma[64];
    snprintf(pragma, sizeof pragma, "PRAGMA user_version = %d", step_count);
    if (sqlite3_exec(db, pragma, NULL, NULL, NULL))
        return nw_store_fail(db, path, "bringing its schema up to date", err);
    return NW_OK;
}
