/* exit_store.c - samples of exits in an SQLite file, beside those of chases. See exit_check.h. */
#include "reports_internal.h"
#include "store_internal.h"
#include <nestwalk/base/bits.h>
#include <nestwalk/reports/exit_check.h>
#include <nestwalk/reports/measurement_store.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char schema[] =
    "DROP TABLE IF EXISTS exit_session; DROP TABLE IF EXISTS exit_samples; DROP TABLE IF EXISTS exit_notes;"
    "CREATE TABLE exit_session (processor TEXT NOT NULL, profile TEXT NOT NULL, backend TEXT NOT NULL,"
    "  second_stage INTEGER NOT NULL, core_ghz REAL NOT NULL, machines INTEGER NOT NULL);"
    "CREATE TABLE exit_samples (machine INTEGER NOT NULL, operation TEXT NOT NULL, cycles REAL NOT NULL,"
    "  quarter_cycles REAL NOT NULL, three_quarters_cycles REAL NOT NULL, chunks INTEGER NOT NULL,"
    "  dropped INTEGER NOT NULL, PRIMARY KEY (machine, operation)) WITHOUT ROWID;"
    "CREATE TABLE exit_notes (operation TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;";

struct file {
    sqlite3 *db;
    const char *path;
    struct nw_error *err;
};

static enum nw_status fail(const struct file *f, const char *doing)
{
    return nw_store_fail(f->db, f->path, doing, f->err);
}

static enum nw_status execute(const struct file *f, const char *sql, const char *doing)
{
    return sqlite3_exec(f->db, sql, NULL, NULL, NULL) ? fail(f, doing) : NW_OK;
}

static enum nw_status number(const struct file *f, const char *sql, int64_t *out)
{
    sqlite3_stmt *st = NULL;
    const bool read = !sqlite3_prepare_v2(f->db, sql, -1, &st, NULL) && sqlite3_step(st) == SQLITE_ROW;
    enum nw_status s = read ? NW_OK : fail(f, "reading it");
    if (read)
        *out = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return s;
}

/* ---- writing ---- */

static enum nw_status step_and_reset(const struct file *f, sqlite3_stmt *st)
{
    const bool done = sqlite3_step(st) == SQLITE_DONE;
    enum nw_status s = done ? NW_OK : fail(f, "writing a row");
    sqlite3_reset(st);
    return s;
}

static enum nw_status put_session(const struct file *f, const struct nw_exit_samples *m)
{
    sqlite3_stmt *st = NULL;
    if (sqlite3_prepare_v2(f->db, "INSERT INTO exit_session VALUES (?,?,?,?,?,?)", -1, &st, NULL))
        return fail(f, "preparing to write");
    sqlite3_bind_text(st, 1, m->processor, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 2, m->profile, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 3, m->backend, -1, SQLITE_STATIC);
    sqlite3_bind_int(st, 4, m->second_stage);
    sqlite3_bind_double(st, 5, m->core_ghz);
    sqlite3_bind_int64(st, 6, m->machines);
    enum nw_status s = step_and_reset(f, st);
    sqlite3_finalize(st);
    return s;
}

static enum nw_status put_samples(const struct file *f, const struct nw_exit_samples *m)
{
    sqlite3_stmt *st = NULL;
    if (sqlite3_prepare_v2(f->db, "INSERT INTO exit_samples VALUES (?,?,?,?,?,?,?)", -1, &st, NULL))
        return fail(f, "preparing to write");
    enum nw_status s = NW_OK;
    for (size_t i = 0; i < m->count && !s; i++) {
        const struct nw_exit_sample *x = &m->sample[i];
        sqlite3_bind_int64(st, 1, x->machine);
        sqlite3_bind_text(st, 2, nw_exit_cost_row[x->operation].name, -1, SQLITE_STATIC);
        sqlite3_bind_double(st, 3, x->cycles);
        sqlite3_bind_double(st, 4, x->quarter_cycles);
        sqlite3_bind_double(st, 5, x->three_quarters);
        sqlite3_bind_int64(st, 6, x->chunks);
        sqlite3_bind_int64(st, 7, x->dropped);
        s = step_and_reset(f, st);
    }
    sqlite3_finalize(st);
    return s;
}

static enum nw_status put_notes(const struct file *f, const struct nw_exit_samples *m)
{
    sqlite3_stmt *st = NULL;
    if (sqlite3_prepare_v2(f->db, "INSERT INTO exit_notes VALUES (?,?)", -1, &st, NULL))
        return fail(f, "preparing to write");
    enum nw_status s = NW_OK;
    for (unsigned k = 0; k < NW_EXIT_COST_OPERATIONS && !s; k++)
        if (m->skipped[k][0]) {
            sqlite3_bind_text(st, 1, nw_exit_cost_row[k].name, -1, SQLITE_STATIC);
            sqlite3_bind_text(st, 2, m->skipped[k], -1, SQLITE_STATIC);
            s = step_and_reset(f, st);
        }
    sqlite3_finalize(st);
    return s;
}

/* A file without tables is new; one with others has to be of samples. */
static enum nw_status claim(const struct file *f)
{
    char sql[64];
    int64_t tables = 0, id = 0;
    enum nw_status s = number(f, "SELECT count(*) FROM sqlite_master", &tables);
    if (!s)
        s = number(f, "PRAGMA application_id", &id);
    if (!s && tables && id != NW_SAMPLES_APPLICATION_ID)
        s = nw_fail(f->err, NW_ERR_INPUT, "%s: it is a database, but none of samples; it is left as it is", f->path);
    snprintf(sql, sizeof sql, "PRAGMA application_id = %d", NW_SAMPLES_APPLICATION_ID);
    return s || tables ? s : execute(f, sql, "making it");
}

enum nw_status nw_exit_samples_save(const struct nw_exit_samples *m, const char *path, struct nw_error *err)
{
    struct file f = { NULL, path, err };
    const bool made = access(path, F_OK) != 0;
    enum nw_status s =
        sqlite3_open_v2(path, &f.db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) ? fail(&f, "opening it") : NW_OK;
    (void)(s || (s = execute(&f, "BEGIN IMMEDIATE", "beginning to write")) || (s = claim(&f)) ||
           (s = execute(&f, schema, "making the tables")) || (s = put_session(&f, m)) || (s = put_samples(&f, m)) ||
           (s = put_notes(&f, m)) || (s = execute(&f, "COMMIT", "ending")));
    sqlite3_close(f.db); /* what was not committed is rolled back */
    if (s && made)
        unlink(path);
    return s;
}

/* ---- reading ---- */

static enum nw_status bad(const struct file *f, const char *table, size_t row, const char *what)
{
    return nw_fail(f->err, NW_ERR_INPUT, "%s: table %s, row %zu: %s", f->path, table, row + 1, what);
}

static const char *text_in(sqlite3_stmt *st, int column)
{
    const unsigned char *text = sqlite3_column_text(st, column);
    return text ? (const char *)text : "";
}

/* The operation of that name; one that this version does not know: false. */
static bool operation_in(sqlite3_stmt *st, int column, enum nw_exit_cost_operation *out)
{
    for (unsigned k = 0; k < NW_EXIT_COST_OPERATIONS; k++)
        if (!strcmp(text_in(st, column), nw_exit_cost_row[k].name)) {
            *out = k;
            return true;
        }
    return false;
}

static bool whole_in(sqlite3_stmt *st, int column, int64_t first, int64_t last)
{
    const int64_t value = sqlite3_column_int64(st, column);
    return sqlite3_column_type(st, column) == SQLITE_INTEGER && value >= first && value <= last;
}

/* Less than nothing is possible: two timings were subtracted. */
static bool real_in(sqlite3_stmt *st, int column, double first, double last)
{
    const double value = sqlite3_column_double(st, column);
    const int type = sqlite3_column_type(st, column);
    return (type == SQLITE_FLOAT || type == SQLITE_INTEGER) && value >= first && value <= last;
}

static enum nw_status get_session(const struct file *f, struct nw_exit_samples *m, sqlite3_stmt *st, size_t row)
{
    if (row || !whole_in(st, 3, 0, 1) || !real_in(st, 4, 0.01, 100) ||
        !whole_in(st, 5, NW_EXIT_MACHINES_MIN, NW_EXIT_MACHINES_MAX))
        return bad(f, "exit_session", row, "one row; second_stage 0 or 1, core_ghz 0.01 to 100, machines 2 to 256");
    utf8_copy(m->processor, sizeof m->processor, text_in(st, 0));
    utf8_copy(m->profile, sizeof m->profile, text_in(st, 1));
    utf8_copy(m->backend, sizeof m->backend, text_in(st, 2));
    m->second_stage = sqlite3_column_int(st, 3);
    m->core_ghz = sqlite3_column_double(st, 4);
    m->machines = (uint32_t)sqlite3_column_int64(st, 5);
    return NW_OK;
}

static enum nw_status get_sample(const struct file *f, struct nw_exit_samples *m, sqlite3_stmt *st, size_t row)
{
    enum nw_exit_cost_operation operation;
    if (!whole_in(st, 0, 0, (int64_t)m->machines - 1) || !operation_in(st, 1, &operation) ||
        !real_in(st, 2, -1e9, 1e9) || !real_in(st, 3, -1e9, 1e9) || !real_in(st, 4, -1e9, 1e9) ||
        !whole_in(st, 5, 1, INT32_MAX) || !whole_in(st, 6, 0, INT32_MAX))
        return bad(f, "exit_samples", row,
                   "a machine below exit_session's number, an operation that validate exits names, cycles -10^9 to "
                   "10^9, chunks above 0, dropped");
    m->sample[m->count++] = (struct nw_exit_sample){ .machine = (uint32_t)sqlite3_column_int64(st, 0),
                                                     .operation = operation,
                                                     .cycles = sqlite3_column_double(st, 2),
                                                     .quarter_cycles = sqlite3_column_double(st, 3),
                                                     .three_quarters = sqlite3_column_double(st, 4),
                                                     .chunks = (uint32_t)sqlite3_column_int64(st, 5),
                                                     .dropped = (uint32_t)sqlite3_column_int64(st, 6) };
    return NW_OK;
}

static enum nw_status get_note(const struct file *f, struct nw_exit_samples *m, sqlite3_stmt *st, size_t row)
{
    enum nw_exit_cost_operation operation;
    if (!operation_in(st, 0, &operation) || !*text_in(st, 1))
        return bad(f, "exit_notes", row, "an operation that validate exits names, and a text");
    utf8_copy(m->skipped[operation], sizeof m->skipped[operation], text_in(st, 1));
    return NW_OK;
}

/* The key keeps a machine from having an operation twice, so that there are never more rows than `most`. */
static enum nw_status read_table(const struct file *f, struct nw_exit_samples *m, const char *sql, size_t most,
                                 enum nw_status (*get)(const struct file *, struct nw_exit_samples *, sqlite3_stmt *,
                                                       size_t))
{
    sqlite3_stmt *st = NULL;
    enum nw_status s = sqlite3_prepare_v2(f->db, sql, -1, &st, NULL) ? fail(f, "reading samples of exits") : NW_OK;
    size_t row = 0;
    for (int step; !s && (step = sqlite3_step(st)) != SQLITE_DONE; row++)
        s = step != SQLITE_ROW ? fail(f, "reading samples of exits")
            : row == most ? nw_fail(f->err, NW_ERR_INPUT, "%s: it has more than %zu samples of exits", f->path, most)
                          : get(f, m, st, row);
    sqlite3_finalize(st);
    return s;
}

static enum nw_status read_all(const struct file *f, struct nw_exit_samples *m)
{
    int64_t there = 0;
    enum nw_status s = number(f, "SELECT count(*) FROM sqlite_master WHERE name = 'exit_session'", &there);
    if (!s && !there)
        s = nw_fail(f->err, NW_ERR_INPUT, "%s: it has no samples of exits (no table exit_session)", f->path);
    if (!s)
        s = read_table(f, m, "SELECT processor, profile, backend, second_stage, core_ghz, machines FROM exit_session",
                       SIZE_MAX, get_session);
    if (!s && !m->machines)
        s = bad(f, "exit_session", 0, "there is none");
    const size_t most = (size_t)m->machines * NW_EXIT_COST_OPERATIONS;
    if (!s && !(m->sample = calloc(most, sizeof *m->sample)))
        s = nw_fail_nomem(f->err, "samples of exits");
    if (!s)
        s = read_table(f, m,
                       "SELECT machine, operation, cycles, quarter_cycles, three_quarters_cycles, chunks, dropped"
                       " FROM exit_samples ORDER BY machine, operation",
                       most, get_sample);
    if (!s)
        s = read_table(f, m, "SELECT operation, text FROM exit_notes ORDER BY operation", NW_EXIT_COST_OPERATIONS,
                       get_note);
    return s;
}

enum nw_status nw_exit_samples_load(struct nw_exit_samples *m, const char *path, struct nw_error *err)
{
    struct file f = { NULL, path, err };
    *m = (struct nw_exit_samples){ 0 };
    enum nw_status s = access(path, R_OK)
                           ? nw_fail(err, NW_ERR_INPUT, "%s: there is no such file, or it cannot be read", path)
                       : sqlite3_open_v2(path, &f.db, SQLITE_OPEN_READONLY, NULL) ? fail(&f, "opening it")
                                                                                  : read_all(&f, m);
    sqlite3_close(f.db);
    if (s)
        nw_exit_samples_fini(m);
    return s;
}
