#include "reports_internal.h"
#include "store_internal.h"
#include <errno.h>
#include <fcntl.h>
#include <nestwalk/reports/store.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { BUSY_MS = 30000, RETRY_MS = 20 };

/* ---- small helpers over SQLite ---- */

enum nw_status store_fail(const struct nw_store *store, const char *doing, struct nw_error *err)
{
    return nw_store_fail(store->db, store->path, doing, err);
}

enum nw_status store_execute(const struct nw_store *store, const char *sql, const char *doing, struct nw_error *err)
{
    return sqlite3_exec(store->db, sql, NULL, NULL, NULL) ? store_fail(store, doing, err) : NW_OK;
}

enum nw_status store_prepare(const struct nw_store *store, const char *sql, sqlite3_stmt **out, struct nw_error *err)
{
    return sqlite3_prepare_v2(store->db, sql, -1, out, NULL) ? store_fail(store, "reading its tables", err) : NW_OK;
}

/* One whole number that a statement yields; 0 when it yields none. */
static enum nw_status query_int(const struct nw_store *store, const char *sql, int64_t *out, struct nw_error *err)
{
    sqlite3_stmt *q = NULL;
    int code = sqlite3_prepare_v2(store->db, sql, -1, &q, NULL);
    if (!code)
        code = sqlite3_step(q);
    *out = code == SQLITE_ROW ? sqlite3_column_int64(q, 0) : 0;
    enum nw_status s = code == SQLITE_ROW || code == SQLITE_DONE ? NW_OK : store_fail(store, "opening it", err);
    sqlite3_finalize(q);
    return s;
}

static void pause_ms(long ms)
{
    struct timespec t = { .tv_nsec = ms * 1000000 };
    nanosleep(&t, NULL);
}

/* ---- opening ---- */

/* What the file is: *version its schema version, 0 = a new, empty file. Within a transaction, so that its answers belong together even while
 * another process makes the store. */
static enum nw_status identify(const struct nw_store *store, int64_t *version, struct nw_error *err)
{
    int64_t application, objects;
    enum nw_status s = query_int(store, "PRAGMA application_id", &application, err);
    if (!s)
        s = query_int(store, "PRAGMA user_version", version, err);
    if (!s)
        s = query_int(store, "SELECT count(*) FROM sqlite_schema", &objects, err);
    if (s)
        return s;
    if (!application && !*version && !objects)
        return NW_OK;
    if (application != NW_STORE_APPLICATION_ID)
        return nw_fail(err, NW_ERR_INPUT, "%s is not a results store: it is some other program's SQLite database",
                       store->path);
    if (*version > NW_STORE_SCHEMA_VERSION)
        return nw_fail(err, NW_ERR_INPUT,
                       "%s was written by a newer version (schema %lld; this one knows schemas up to %d)", store->path,
                       (long long)*version, NW_STORE_SCHEMA_VERSION);
    if (*version < 1)
        return nw_fail(err, NW_ERR_INPUT, "%s is damaged: it has no schema version", store->path);
    return NW_OK;
}

/* The same on its own. Nothing is written before this has passed. */
static enum nw_status identify_alone(const struct nw_store *store, int64_t *version, struct nw_error *err)
{
    enum nw_status s = store_execute(store, "BEGIN", "opening it", err);
    if (s)
        return s;
    s = identify(store, version, err);
    sqlite3_exec(store->db, "COMMIT", NULL, NULL, NULL);
    return s;
}

/* The change to a write-ahead log needs the file alone and does not wait by itself, as everything else does. */
static enum nw_status use_write_ahead_log(const struct nw_store *store, struct nw_error *err)
{
    for (int waited = 0;; waited += RETRY_MS) {
        int code = sqlite3_exec(store->db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
        if (!code)
            return NW_OK;
        if ((code != SQLITE_BUSY && code != SQLITE_LOCKED) || waited >= BUSY_MS)
            return store_fail(store, "opening it for writing", err);
        pause_ms(RETRY_MS);
    }
}

/* Creates the tables or brings them up to date. The version is read again inside the transaction: another process may
 * have been faster. */
static enum nw_status bring_up_to_date(const struct nw_store *store, struct nw_error *err)
{
    enum nw_status s = store_execute(store, "BEGIN IMMEDIATE", "opening it for writing", err);
    if (s)
        return s;
    int64_t version;
    s = identify(store, &version, err);
    if (!s && !version) {
        char pragma[64];
        snprintf(pragma, sizeof pragma, "PRAGMA application_id = %d", NW_STORE_APPLICATION_ID);
        s = store_execute(store, pragma, "creating it", err);
    }
    if (!s && version < NW_STORE_SCHEMA_VERSION)
        s = nw_store_migrate(store->db, store->path, (int)version, nw_store_step, nw_store_step_count, err);
    if (!s)
        s = store_execute(store, "COMMIT", "creating it", err);
    if (s)
        sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    return s;
}

/* A file name as an SQLite URI that promises nobody changes the file: for a store in a folder where SQLite cannot make its
 * side files. */
static char *immutable_uri(const char *path)
{
    struct text t = { 0 };
    char *uri = NULL;
    text_add(&t, "file:");
    for (const char *p = path; *p; p++)
        if (strchr("?#%", *p))
            text_printf(&t, "%%%02x", (unsigned)(unsigned char)*p);
        else
            text_add_bytes(&t, p, 1);
    text_add(&t, "?immutable=1");
    return text_take(&t, &uri, "a file name", NULL) ? NULL : uri;
}

static enum nw_status configure(struct nw_store *store, struct nw_error *err)
{
    sqlite3_extended_result_codes(store->db, 1);
    sqlite3_busy_timeout(store->db, BUSY_MS);
    /* The file may be anybody's: nothing stored in it is run, and its tables are read with care. */
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    return store_execute(store, "PRAGMA foreign_keys = ON; PRAGMA cell_size_check = ON", "opening it", err);
}

static enum nw_status connect_at(struct nw_store *store, const char *name, int flags, struct nw_error *err)
{
    sqlite3_close(store->db);
    store->db = NULL;
    if (sqlite3_open_v2(name, &store->db, flags | SQLITE_OPEN_NOMUTEX, NULL))
        return store_fail(store, "opening it", err);
    return configure(store, err);
}

/* True when the write-ahead log holds runs that the file itself lacks. */
static bool log_pending(const char *path)
{
    struct text t = { 0 };
    struct stat st;
    text_printf(&t, "%s-wal", path);
    bool pending = t.failed || (stat(t.p, &st) == 0 && st.st_size > 0);
    text_free(&t);
    return pending;
}

/* Does the file end before the pages that its header counts? SQLite itself takes a last page that is there in part for a
 * whole one. While the log holds something the file may be behind its header, which is no damage.
 * Source: SQLite documentation, "Database File Format", "The Database Header". */
static bool ends_early(const char *path)
{
    unsigned char h[100];
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool read_it = fd >= 0 && !fstat(fd, &st) && read(fd, h, sizeof h) == (ssize_t)sizeof h;
    if (fd >= 0)
        close(fd);
    if (!read_it || memcmp(h, "SQLite format 3", 16) != 0 || memcmp(h + 24, h + 92, 4) != 0 || log_pending(path))
        return false;
    uint64_t page = (uint64_t)h[16] << 8 | h[17],
             pages = (uint64_t)h[28] << 24 | (uint64_t)h[29] << 16 | (uint64_t)h[30] << 8 | h[31];
    return (uint64_t)st.st_size < pages * (page == 1 ? 65536 : page);
}

/* Looked at twice, because another process may be moving its log into the file just now. */
static enum nw_status check_whole(const struct nw_store *store, struct nw_error *err)
{
    if (!ends_early(store->path))
        return NW_OK;
    pause_ms(RETRY_MS);
    return ends_early(store->path) ? nw_fail(err, NW_ERR_INPUT, "%s is damaged: its end is missing", store->path)
                                   : NW_OK;
}

static enum nw_status open_to_read(struct nw_store *store, struct nw_error *err)
{
    int64_t version = 0;
    /* Opened as if for writing, because only then does the last one to close tidy up the side files. */
    enum nw_status s = connect_at(store, store->path, SQLITE_OPEN_READWRITE, err);
    if (!s)
        s = store_execute(store, "PRAGMA query_only = ON", "opening it", err);
    if (!s)
        s = identify_alone(store, &version, err);
    if (s == NW_ERR_IO && !log_pending(store->path)) {
        char *uri = immutable_uri(store->path);
        if (!uri)
            return nw_fail_nomem(err, "a file name");
        s = connect_at(store, uri, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, err);
        free(uri);
        if (!s)
            s = identify_alone(store, &version, err);
    }
    if (!s && !version)
        return nw_fail(err, NW_ERR_INPUT, "%s is not a results store: it is empty", store->path);
    if (!s && version < NW_STORE_SCHEMA_VERSION)
        return nw_fail(err, NW_ERR_INPUT, "%s was written by an older version; add a run to it to bring it up to date",
                       store->path);
    return s;
}

static enum nw_status open_to_write(struct nw_store *store, struct nw_error *err)
{
    int64_t version;
    enum nw_status s = connect_at(store, store->path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, err);
    if (!s)
        s = identify_alone(store, &version, err);
    if (!s)
        s = use_write_ahead_log(store, err);
    if (!s)
        s = bring_up_to_date(store, err);
    return s;
}

/* What SQLite would report less clearly. */
static enum nw_status check_path(const char *path, enum nw_store_access access, struct nw_error *err)
{
    struct stat st;
    if (!*path)
        return nw_fail(err, NW_ERR_USAGE, "the name of the results store is empty");
    if (stat(path, &st)) {
        if (access == NW_STORE_WRITE && errno == ENOENT)
            return NW_OK;
        return nw_fail_errno(err, errno == ENOENT ? NW_ERR_INPUT : NW_ERR_IO, errno, "cannot open the results store %s",
                             path);
    }
    if (!S_ISREG(st.st_mode))
        return nw_fail(err, NW_ERR_INPUT, "%s is not a results store: it is not a regular file", path);
    return NW_OK;
}

enum nw_status nw_store_open(const char *path, enum nw_store_access access, struct nw_store **out, struct nw_error *err)
{
    *out = NULL;
    enum nw_status s = check_path(path, access, err);
    if (s)
        return s;
    struct nw_store *store = calloc(1, sizeof *store);
    if (!store || !(store->path = strdup(path))) {
        free(store);
        return nw_fail_nomem(err, "the results store");
    }
    s = check_whole(store, err);
    if (!s)
        s = access == NW_STORE_WRITE ? open_to_write(store, err) : open_to_read(store, err);
    if (s)
        nw_store_close(store);
    else
        *out = store;
    return s;
}

void nw_store_close(struct nw_store *store)
{
    if (!store)
        return;
    sqlite3_close(store->db);
    free(store->path);
    free(store);
}
