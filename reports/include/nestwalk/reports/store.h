/* store.h - the results store: one SQLite file that many runs, and many processes, add to.
 *
 *     struct nw_store *store;
 *     if ((s = nw_store_open("results.db", NW_STORE_WRITE, &store, err))) return s;
 *     for (...) if ((s = nw_store_add(store, &run, NULL, err))) break;
 *     nw_store_close(store);
 *
 * One transaction a run: a reader sees a run wholly or not at all, and an interrupted program leaves whole runs. The journal is a
 * write-ahead log, so readers and one writer do not wait for each other; a second writer waits its turn (up to 30 s). Nothing
 * is written outside the named file but SQLite's own -wal and -shm beside it, which the last one to close removes.
 *
 * The file carries SQLite's application_id NW_STORE_APPLICATION_ID and its schema version in user_version; an older store is brought up to date when it
 * is opened for writing. A file that is not a store, is damaged, or is of a newer version: NW_ERR_INPUT, and it is left as it
 * was. docs/results.md describes the tables. */
#ifndef NESTWALK_REPORTS_STORE_H
#define NESTWALK_REPORTS_STORE_H

#include <nestwalk/reports/run.h>

enum {
    NW_STORE_APPLICATION_ID = 0x4e57726c, /* "NWrl" */
    NW_STORE_SCHEMA_VERSION = 3,
};
enum nw_store_access { NW_STORE_READ, NW_STORE_WRITE };

struct nw_store;

/* WRITE makes the file when there is none; READ of a missing file is NW_ERR_INPUT. */
enum nw_status nw_store_open(const char *path, enum nw_store_access access, struct nw_store **out,
                             struct nw_error *err) NW_MUST_USE;
void nw_store_close(struct nw_store *store); /* NULL is allowed */

/* Adds one run in one transaction; *id (may be NULL) becomes its number. Runs added through one open store form a group. */
enum nw_status nw_store_add(struct nw_store *store, const struct nw_run *run, int64_t *id,
                            struct nw_error *err) NW_MUST_USE;

/* All runs in the order they were stored, without metrics, buckets and parameters. nw_runs_free() them. */
enum nw_status nw_store_list(struct nw_store *store, struct nw_run **runs, size_t *count,
                             struct nw_error *err) NW_MUST_USE;

/* One run, whole. NW_ERR_INPUT when there is no such run, naming those that there are. */
enum nw_status nw_store_load(struct nw_store *store, int64_t id, struct nw_run *run, struct nw_error *err) NW_MUST_USE;

/* The runs that a command line names, whole, in the order named: a name is a run's number, or a label or mode (the latest run that bears it).
 * No names: all runs of the last group. NW_ERR_INPUT for a name that fits no run, naming those that there are, and for
 * an empty store. */
enum nw_status nw_store_select(struct nw_store *store, const char *const *names, size_t name_count,
                               struct nw_run **runs, size_t *count, struct nw_error *err) NW_MUST_USE;

/* ---- points of a sweep ----
 * A point is a run that is known beforehand by its identity, a text that says all that decides its result. It is added together with its run,
 * in one transaction, or with the reason why it has none; so who comes after an interruption, of whatever kind, finds what is still to
 * be done, and two processes at the same sweep store no point twice. */
enum nw_point_state { NW_POINT_NEW, NW_POINT_DONE, NW_POINT_FAILED };
struct nw_store_point {
    enum nw_point_state state;
    int64_t run, group; /* DONE */
    char error[512];    /* FAILED */
};

enum nw_status nw_store_point_find(struct nw_store *store, const char *identity, struct nw_store_point *out,
                                   struct nw_error *err) NW_MUST_USE;
/* Adds the run; nothing, when the point is done already. A failure noted before is forgotten. */
enum nw_status nw_store_point_done(struct nw_store *store, const char *identity, const struct nw_run *run,
                                   struct nw_error *err) NW_MUST_USE;
/* Notes a failure, in the place of one noted before; nothing, when the point is done already. */
enum nw_status nw_store_point_failed(struct nw_store *store, const char *identity, const char *label, const char *error,
                                     struct nw_error *err) NW_MUST_USE;

/* Runs added from now on belong to a group that is in the store. */
void nw_store_join_group(struct nw_store *store, int64_t group);

#endif
