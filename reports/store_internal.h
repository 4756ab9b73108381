/* store_internal.h - the store's inside: its schema as a list of steps, and what its files share. */
#ifndef NESTWALK_REPORTS_STORE_INTERNAL_H
#define NESTWALK_REPORTS_STORE_INTERNAL_H

#include <nestwalk/reports/store.h>
#include <sqlite3.h>

struct nw_store {
    sqlite3 *db;
    char *path;
    int64_t group; /* of the runs added; 0 before the first */
};

/* Step i takes a file of schema version i to version i + 1; version 0 is an empty file. A step that was released never changes:
 * a new version is a new step at the end. */
extern const char *const nw_store_step[];
extern const int nw_store_step_count;

/* Runs the steps from `from` on, inside the caller's transaction, and sets user_version. */
enum nw_status nw_store_migrate(sqlite3 *db, const char *path, int from, const char *const *step, int step_count,
                                struct nw_error *err) NW_MUST_USE;

/* The failure that SQLite reports: NW_ERR_INPUT for a file that is damaged or none of SQLite's, else NW_ERR_IO, NW_ERR_NOMEM. */
enum nw_status nw_store_fail(sqlite3 *db, const char *path, const char *doing, struct nw_error *err);

/* The same for an open store; a statement that yields nothing; a prepared one (sqlite3_finalize() it in any case). */
enum nw_status store_fail(const struct nw_store *store, const char *doing, struct nw_error *err);
enum nw_status store_execute(const struct nw_store *store, const char *sql, const char *doing,
                             struct nw_error *err) NW_MUST_USE;
enum nw_status store_prepare(const struct nw_store *store, const char *sql, sqlite3_stmt **out,
                             struct nw_error *err) NW_MUST_USE;

/* All rows of a run, inside the caller's transaction. store_add.c */
enum nw_status store_add_rows(struct nw_store *store, const struct nw_run *run, int64_t *id,
                              struct nw_error *err) NW_MUST_USE;

#endif
