#include "reports_internal.h"
#include "store_internal.h"
#include <math.h>
#include <nestwalk/base/bits.h>
#include <nestwalk/reports/measurement_store.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SCHEMA_VERSION = 1, ROWS_MAX = 1 << 24, PROCESSES_MAX = 256, CHASES_MAX = 1024 };

static const char schema[] =
    "CREATE TABLE session (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE chases (id INTEGER PRIMARY KEY, calibrates INTEGER NOT NULL, pages INTEGER NOT NULL,"
    "  count INTEGER NOT NULL, grouped INTEGER NOT NULL, spacing_bytes INTEGER NOT NULL, purpose TEXT NOT NULL);"
    "CREATE TABLE processes (id INTEGER PRIMARY KEY, core_ghz REAL NOT NULL, tsc_ghz REAL NOT NULL,"
    "  frames_known INTEGER NOT NULL, base_4k INTEGER NOT NULL, base_2m INTEGER NOT NULL, base_1g INTEGER NOT NULL,"
    "  there INTEGER NOT NULL);" /* bit i: pages of size i */
    "CREATE TABLE samples (process INTEGER NOT NULL, chase INTEGER NOT NULL, repeat INTEGER NOT NULL,"
    "  cycles REAL NOT NULL, chunks INTEGER NOT NULL, dropped INTEGER NOT NULL, dtlb_misses REAL,"
    "  PRIMARY KEY (process, chase, repeat)) WITHOUT ROWID;"
    "CREATE TABLE frames (process INTEGER NOT NULL, pages INTEGER NOT NULL, page INTEGER NOT NULL,"
    "  pfn INTEGER NOT NULL, length INTEGER NOT NULL, PRIMARY KEY (process, pages, page)) WITHOUT ROWID;"
    "CREATE TABLE mappings (process INTEGER NOT NULL, number INTEGER NOT NULL, cycles REAL NOT NULL,"
    "  PRIMARY KEY (process, number)) WITHOUT ROWID;"
    "CREATE TABLE counts (process INTEGER NOT NULL, chase INTEGER NOT NULL, repeat INTEGER NOT NULL,"
    "  walks REAL, walk_cycles REAL, walk_references REAL, PRIMARY KEY (process, chase, repeat)) WITHOUT ROWID;"
    "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL);";

struct file {
    sqlite3 *db;
    const char *path;
};

static enum nw_status fail(const struct file *f, const char *doing, struct nw_error *err)
{
    return nw_store_fail(f->db, f->path, doing, err);
}

static enum nw_status execute(const struct file *f, const char *sql, const char *doing, struct nw_error *err)
{
    return sqlite3_exec(f->db, sql, NULL, NULL, NULL) ? fail(f, doing, err) : NW_OK;
}

/* ---- writing ---- */

/* A row of numbers, and a text at the end when there is one. */
static enum nw_status put_row(const struct file *f, sqlite3_stmt *st, const int64_t *whole, int wholes,
                              const double *real, int reals, const char *text, struct nw_error *err)
{
    int at = 1;
    for (int i = 0; i < wholes; i++)
        sqlite3_bind_int64(st, at++, whole[i]);
    for (int i = 0; i < reals; i++)
        sqlite3_bind_double(st, at++, real[i]); /* NaN is NULL */
    if (text)
        sqlite3_bind_text(st, at, text, -1, SQLITE_STATIC);
    const bool done = sqlite3_step(st) == SQLITE_DONE;
    enum nw_status s = done ? NW_OK : fail(f, "writing a row", err);
    sqlite3_reset(st);
    return s;
}

struct table_writer {
    const char *sql;
    size_t (*rows)(const struct nw_measurement *m);
    enum nw_status (*put)(const struct file *f, sqlite3_stmt *st, const struct nw_measurement *m, size_t i,
                          struct nw_error *err);
};

#define ROWS_OF(name_, field_)                                                                                         \
    static size_t name_(const struct nw_measurement *m) { return m->field_; }
ROWS_OF(chase_rows, chase_count)
ROWS_OF(process_rows, process_count)
ROWS_OF(sample_rows, sample_count)
ROWS_OF(frame_rows, frame_count)
ROWS_OF(mapping_rows, mapping_count)
ROWS_OF(note_rows, note_count)
#define PUT_ROW(whole_, real_, text_)                                                                                  \
    put_row(f, st, whole_, (int)NW_ARRAY_LEN(whole_), real_, (int)NW_ARRAY_LEN(real_), text_, err)

static enum nw_status put_chase(const struct file *f, sqlite3_stmt *st, const struct nw_measurement *m, size_t i,
                                struct nw_error *err)
{
    const struct nw_chase *c = &m->chase[i];
    const int64_t whole[] = { (int64_t)i, c->set == NW_CHASE_CALIBRATE, (int64_t)c->pages, c->count,
                              c->group,   (int64_t)c->spacing_bytes };
    return put_row(f, st, whole, (int)NW_ARRAY_LEN(whole), NULL, 0, c->purpose, err);
}
static enum nw_status put_process(const struct file *f, sqlite3_stmt *st, const struct nw_measurement *m, size_t i,
                                  struct nw_error *err)
{
    const struct nw_measure_process *p = &m->process[i];
    int64_t whole[] = { (int64_t)i, p->frames_known, 0, 0, 0, 0 };
    const double real[] = { p->core_ghz, p->tsc_ghz };
    for (unsigned k = 0; k < NW_CHASE_PAGES; k++) {
        whole[2 + k] = (int64_t)p->base[k];
        whole[5] |= p->there[k] ? INT64_C(1) << k : 0;
    }
    return PUT_ROW(whole, real, NULL);
}
static double or_null(double count) { return count < 0 ? NAN : count; } /* NaN is NULL */
static enum nw_status put_sample(const struct file *f, sqlite3_stmt *st, const struct nw_measurement *m, size_t i,
                                 struct nw_error *err)
{
    const struct nw_chase_sample *x = &m->sample[i];
    const int64_t whole[] = { x->process, x->chase, x->repeat, x->chunks, x->dropped };
    const double real[] = { x->cycles, or_null(x->counted[NW_COUNTED_DTLB_MISSES]) };
    return PUT_ROW(whole, real, NULL);
}
/* Of samples of which something was counted. */
static enum nw_status put_counts(const struct file *f, sqlite3_stmt *st, const struct nw_measurement *m, size_t i,
                                 struct nw_error *err)
{
    const struct nw_chase_sample *x = &m->sample[i];
    const int64_t whole[] = { x->process, x->chase, x->repeat };
    const double real[] = { or_null(x->counted[NW_COUNTED_WALKS]), or_null(x->counted[NW_COUNTED_WALK_CYCLES]),
                            or_null(x->counted[NW_COUNTED_WALK_REFERENCES]) };
    return isnan(real[0]) && isnan(real[1]) && isnan(real[2]) ? NW_OK : PUT_ROW(whole, real, NULL);
}
static enum nw_status put_frames(const struct file *f, sqlite3_stmt *st, const struct nw_measurement *m, size_t i,
                                 struct nw_error *err)
{
    const struct nw_frame_run *r = &m->frames[i];
    const int64_t whole[] = { r->process, (int64_t)r->pages, (int64_t)r->page, (int64_t)r->pfn, (int64_t)r->length };
    return put_row(f, st, whole, (int)NW_ARRAY_LEN(whole), NULL, 0, NULL, err);
}
static enum nw_status put_mapping(const struct file *f, sqlite3_stmt *st, const struct nw_measurement *m, size_t i,
                                  struct nw_error *err)
{
    const struct nw_mapping_sample *x = &m->mapping[i];
    const int64_t whole[] = { x->process, x->number };
    return put_row(f, st, whole, (int)NW_ARRAY_LEN(whole), &x->cycles, 1, NULL, err);
}
static enum nw_status put_note(const struct file *f, sqlite3_stmt *st, const struct nw_measurement *m, size_t i,
                               struct nw_error *err)
{
    const int64_t whole[] = { (int64_t)i };
    return put_row(f, st, whole, 1, NULL, 0, m->note[i], err);
}

static const struct table_writer writers[] = {
    { "INSERT INTO chases (id, calibrates, pages, count, grouped, spacing_bytes, purpose) VALUES (?,?,?,?,?,?,?)",
      chase_rows, put_chase },
    { "INSERT INTO processes (id, frames_known, base_4k, base_2m, base_1g, there, core_ghz, tsc_ghz)"
      " VALUES (?,?,?,?,?,?,?,?)",
      process_rows, put_process },
    { "INSERT INTO samples (process, chase, repeat, chunks, dropped, cycles, dtlb_misses) VALUES (?,?,?,?,?,?,?)",
      sample_rows, put_sample },
    { "INSERT INTO counts (process, chase, repeat, walks, walk_cycles, walk_references) VALUES (?,?,?,?,?,?)",
      sample_rows, put_counts },
    { "INSERT INTO frames (process, pages, page, pfn, length) VALUES (?,?,?,?,?)", frame_rows, put_frames },
    { "INSERT INTO mappings (process, number, cycles) VALUES (?,?,?)", mapping_rows, put_mapping },
    { "INSERT INTO notes (id, text) VALUES (?,?)", note_rows, put_note },
};

static enum nw_status put_session(const struct file *f, const struct nw_measurement *m, struct nw_error *err)
{
    char seed[24];
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)m->seed);
    const char *const value[][2] = { { "seed", seed },
                                     { "nested", m->nested ? "1" : "0" },
                                     { "machine", m->machine },
                                     { "profile", m->profile },
                                     { "counters", m->counters } };
    sqlite3_stmt *st = NULL;
    enum nw_status s = NW_OK;
    if (sqlite3_prepare_v2(f->db, "INSERT INTO session VALUES (?,?)", -1, &st, NULL))
        s = fail(f, "preparing to write", err);
    for (size_t i = 0; i < NW_ARRAY_LEN(value) && !s; i++) {
        sqlite3_bind_text(st, 1, value[i][0], -1, SQLITE_STATIC);
        sqlite3_bind_text(st, 2, value[i][1], -1, SQLITE_STATIC);
        if (sqlite3_step(st) != SQLITE_DONE)
            s = fail(f, "writing a row", err);
        sqlite3_reset(st);
    }
    sqlite3_finalize(st);
    return s;
}

static enum nw_status write_all(const struct file *f, const struct nw_measurement *m, struct nw_error *err)
{
    char text[96];
    enum nw_status s = execute(f, "BEGIN", "beginning to write", err);
    if (!s)
        s = execute(f, schema, "making the tables", err);
    if (!s)
        s = put_session(f, m, err);
    for (size_t w = 0; w < NW_ARRAY_LEN(writers) && !s; w++) {
        sqlite3_stmt *st = NULL;
        if (sqlite3_prepare_v2(f->db, writers[w].sql, -1, &st, NULL))
            s = fail(f, "preparing to write", err);
        for (size_t i = 0; i < writers[w].rows(m) && !s; i++)
            s = writers[w].put(f, st, m, i, err);
        sqlite3_finalize(st);
    }
    snprintf(text, sizeof text, "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
             NW_SAMPLES_APPLICATION_ID, SCHEMA_VERSION);
    return s ? s : execute(f, text, "ending", err);
}

enum nw_status nw_measurement_save(const struct nw_measurement *m, const char *path, struct nw_error *err)
{
    const size_t room = strlen(path) + 32;
    char *temporary = malloc(room);
    struct file f = { NULL, path };
    if (!temporary)
        return nw_fail_nomem(err, "the name of a file of samples");
    snprintf(temporary, room, "%s.%ld.tmp", path, (long)getpid());
    unlink(temporary);
    enum nw_status s = sqlite3_open_v2(temporary, &f.db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL)
                           ? fail(&f, "making it", err)
                           : execute(&f, "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF", "making it", err);
    if (!s)
        s = write_all(&f, m, err);
    sqlite3_close(f.db);
    if (!s && rename(temporary, path))
        s = nw_fail(err, NW_ERR_IO, "%s cannot be put in its place", path);
    if (s)
        unlink(temporary);
    free(temporary);
    return s;
}

/* ---- reading ---- */

struct reader {
    struct file f;
    struct nw_measurement *m;
    const char *table;
    size_t row;
    struct nw_error *err;
};

static enum nw_status bad(const struct reader *r, const char *what)
{
    return nw_fail(r->err, NW_ERR_INPUT, "%s: table %s, row %zu: %s", r->f.path, r->table, r->row + 1, what);
}

static bool whole_in(sqlite3_stmt *st, int column, int64_t first, int64_t last, int64_t *out)
{
    *out = sqlite3_column_int64(st, column);
    return sqlite3_column_type(st, column) == SQLITE_INTEGER && *out >= first && *out <= last;
}

static bool real_in(sqlite3_stmt *st, int column, double first, double last, double *out)
{
    *out = sqlite3_column_double(st, column);
    const int type = sqlite3_column_type(st, column);
    return (type == SQLITE_FLOAT || type == SQLITE_INTEGER) && *out >= first && *out <= last;
}

/* A count of an access, below 0 for NULL. */
static bool count_in(sqlite3_stmt *st, int column, double *out)
{
    *out = -1;
    return sqlite3_column_type(st, column) == SQLITE_NULL || real_in(st, column, 0, 1e6, out);
}

static enum nw_status get_chase(struct reader *r, sqlite3_stmt *st)
{
    int64_t id, calibrates, pages, count, group, spacing;
    struct nw_chase *c = &r->m->chase[r->row];
    if (!whole_in(st, 0, (int64_t)r->row, (int64_t)r->row, &id) || !whole_in(st, 1, 0, 1, &calibrates) ||
        !whole_in(st, 2, 0, NW_CHASE_PAGES - 1, &pages) || !whole_in(st, 3, 1, 1 << 24, &count) ||
        !whole_in(st, 4, 1, 1 << 16, &group) || !whole_in(st, 5, 8, INT64_C(1) << 40, &spacing) ||
        spacing > (INT64_C(1) << 46) / count)
        return bad(r, "id in order, calibrates 0 or 1, pages 0 to 2, count 1 to 2^24, grouped 1 to 2^16, spacing_bytes "
                      "8 to 2^40, count * spacing_bytes at most 2^46");
    *c = (struct nw_chase){ .set = calibrates ? NW_CHASE_CALIBRATE : NW_CHASE_HOLD_OUT,
                            .pages = (enum nw_chase_pages)pages,
                            .count = (uint32_t)count,
                            .group = (uint32_t)group,
                            .spacing_bytes = (uint64_t)spacing };
    const unsigned char *text = sqlite3_column_text(st, 6);
    snprintf(c->purpose, sizeof c->purpose, "%s", text ? (const char *)text : "");
    return NW_OK;
}
static enum nw_status get_process(struct reader *r, sqlite3_stmt *st)
{
    int64_t id, known, there, base;
    struct nw_measure_process *p = &r->m->process[r->row];
    if (!whole_in(st, 0, (int64_t)r->row, (int64_t)r->row, &id) || !whole_in(st, 1, 0, 1, &known) ||
        !whole_in(st, 5, 0, (1 << NW_CHASE_PAGES) - 1, &there) || !real_in(st, 6, 0.01, 100, &p->core_ghz) ||
        !real_in(st, 7, 0.01, 100, &p->tsc_ghz))
        return bad(r, "id in order, frames_known 0 or 1, there 0 to 7, core_ghz and tsc_ghz 0.01 to 100");
    p->frames_known = known;
    for (unsigned k = 0; k < NW_CHASE_PAGES; k++) {
        if (!whole_in(st, 2 + (int)k, 0, INT64_C(1) << 47, &base) || base & 4095)
            return bad(r, "base_4k, base_2m and base_1g are addresses of pages below 2^47");
        p->base[k] = (uint64_t)base;
        p->there[k] = there >> k & 1;
    }
    return NW_OK;
}
static enum nw_status get_sample(struct reader *r, sqlite3_stmt *st)
{
    int64_t process, chase, repeat, chunks, dropped;
    struct nw_chase_sample *x = &r->m->sample[r->row];
    if (!whole_in(st, 0, 0, (int64_t)r->m->process_count - 1, &process) ||
        !whole_in(st, 1, 0, (int64_t)r->m->chase_count - 1, &chase) || !whole_in(st, 2, 0, 1 << 16, &repeat) ||
        !whole_in(st, 3, 1, INT32_MAX, &chunks) || !whole_in(st, 4, 0, INT32_MAX, &dropped) ||
        !real_in(st, 5, 0.01, 1e9, &x->cycles))
        return bad(r, "a process and a chase that exist, repeat, chunks above 0, dropped, cycles 0.01 to 10^9");
    x->process = (uint32_t)process, x->chase = (uint32_t)chase, x->repeat = (uint32_t)repeat;
    x->chunks = (uint32_t)chunks, x->dropped = (uint32_t)dropped;
    for (unsigned q = 0; q < NW_COUNTED; q++)
        x->counted[q] = -1; /* table counts may have them */
    return count_in(st, 6, &x->counted[NW_COUNTED_DTLB_MISSES]) ? NW_OK : bad(r, "dtlb_misses is NULL or 0 to 10^6");
}

/* By process, chase, repeat, as samples were read. */
static int by_identity(const void *a, const void *b)
{
    const struct nw_chase_sample *x = a, *y = b;
    const uint32_t left[] = { x->process, x->chase, x->repeat }, right[] = { y->process, y->chase, y->repeat };
    for (size_t i = 0; i < NW_ARRAY_LEN(left); i++)
        if (left[i] != right[i])
            return left[i] < right[i] ? -1 : 1;
    return 0;
}
static enum nw_status get_counts(struct reader *r, sqlite3_stmt *st)
{
    int64_t process, chase, repeat;
    if (!whole_in(st, 0, 0, UINT32_MAX, &process) || !whole_in(st, 1, 0, UINT32_MAX, &chase) ||
        !whole_in(st, 2, 0, UINT32_MAX, &repeat))
        return bad(r, "process, chase and repeat are whole numbers");
    const struct nw_chase_sample wanted = { .process = (uint32_t)process,
                                            .chase = (uint32_t)chase,
                                            .repeat = (uint32_t)repeat };
    struct nw_chase_sample *x =
        r->m->sample_count ? bsearch(&wanted, r->m->sample, r->m->sample_count, sizeof *x, by_identity) : NULL;
    if (!x)
        return bad(r, "there is no such sample");
    for (unsigned q = NW_COUNTED_WALKS; q < NW_COUNTED; q++)
        if (!count_in(st, 3 + (int)(q - NW_COUNTED_WALKS), &x->counted[q]))
            return bad(r, "walks, walk_cycles and walk_references are NULL or 0 to 10^6");
    return NW_OK;
}
static enum nw_status get_frames(struct reader *r, sqlite3_stmt *st)
{
    int64_t process, pages, page, pfn, length;
    if (!whole_in(st, 0, 0, (int64_t)r->m->process_count - 1, &process) ||
        !whole_in(st, 1, 0, NW_FRAMES_TABLES, &pages) || !whole_in(st, 2, 0, INT64_C(1) << 34, &page) ||
        !whole_in(st, 3, 0, INT64_C(1) << 35, &pfn) || !whole_in(st, 4, 1, 1 << 24, &length))
        return bad(r, "a process that exists, pages 0 to 3, page to 2^34, pfn to 2^35, length 1 to 2^24");
    r->m->frames[r->row] =
        (struct nw_frame_run){ (uint32_t)process, (uint32_t)pages, (uint64_t)page, (uint64_t)pfn, (uint64_t)length };
    return NW_OK;
}
static enum nw_status get_mapping(struct reader *r, sqlite3_stmt *st)
{
    int64_t process, number;
    struct nw_mapping_sample *x = &r->m->mapping[r->row];
    if (!whole_in(st, 0, 0, (int64_t)r->m->process_count - 1, &process) || !whole_in(st, 1, 0, 1 << 24, &number) ||
        !real_in(st, 2, 0.01, 1e9, &x->cycles))
        return bad(r, "a process that exists, number to 2^24, cycles 0.01 to 10^9");
    x->process = (uint32_t)process, x->number = (uint32_t)number;
    return NW_OK;
}
static enum nw_status get_note(struct reader *r, sqlite3_stmt *st)
{
    const unsigned char *text = sqlite3_column_text(st, 0);
    nw_measurement_note(r->m, "%s", text ? (const char *)text : "");
    return NW_OK;
}

static enum nw_status row_count(struct reader *r, size_t most, size_t *out)
{
    char sql[64];
    sqlite3_stmt *st = NULL;
    snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", r->table);
    if (sqlite3_prepare_v2(r->f.db, sql, -1, &st, NULL) || sqlite3_step(st) != SQLITE_ROW) {
        sqlite3_finalize(st);
        return fail(&r->f, "counting rows", r->err);
    }
    const int64_t rows = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    if (rows < 0 || rows > (int64_t)most)
        return nw_fail(r->err, NW_ERR_INPUT, "%s: table %s has %lld rows; at most %zu are allowed", r->f.path, r->table,
                       (long long)rows, most);
    *out = (size_t)rows;
    return NW_OK;
}

static enum nw_status read_table(struct reader *r, const char *table, const char *sql, size_t most, void **array,
                                 size_t *count, size_t size, enum nw_status (*get)(struct reader *, sqlite3_stmt *))
{
    sqlite3_stmt *st = NULL;
    size_t rows = 0;
    r->table = table;
    r->row = 0;
    enum nw_status s = row_count(r, most, &rows);
    if (!s && array && !(*array = calloc(rows + 1, size)))
        s = nw_fail_nomem(r->err, "a measurement");
    if (!s && sqlite3_prepare_v2(r->f.db, sql, -1, &st, NULL))
        s = fail(&r->f, "reading", r->err);
    for (int step; !s && (step = sqlite3_step(st)) != SQLITE_DONE; r->row++) {
        if (step != SQLITE_ROW)
            s = fail(&r->f, "reading", r->err);
        else
            s = get(r, st);
    }
    sqlite3_finalize(st);
    if (!s && count)
        *count = r->row;
    return s;
}

static bool session_has(const struct reader *r, const char *name, char *out, size_t size)
{
    sqlite3_stmt *st = NULL;
    const bool found = !sqlite3_prepare_v2(r->f.db, "SELECT value FROM session WHERE name = ?", -1, &st, NULL) &&
                       !sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC) && sqlite3_step(st) == SQLITE_ROW &&
                       sqlite3_column_text(st, 0);
    if (found)
        utf8_copy(out, size, (const char *)sqlite3_column_text(st, 0));
    sqlite3_finalize(st);
    return found;
}

static enum nw_status session_value(struct reader *r, const char *name, char *out, size_t size)
{
    return session_has(r, name, out, size)
               ? NW_OK
               : nw_fail(r->err, NW_ERR_INPUT, "%s: table session has no value named %s: it is no file of samples",
                         r->f.path, name);
}

static enum nw_status read_session(struct reader *r)
{
    char seed[32], nested[8], *end;
    enum nw_status s;
    if ((s = session_value(r, "seed", seed, sizeof seed)) || (s = session_value(r, "nested", nested, sizeof nested)) ||
        (s = session_value(r, "machine", r->m->machine, sizeof r->m->machine)) ||
        (s = session_value(r, "profile", r->m->profile, sizeof r->m->profile)))
        return s;
    (void)session_has(r, "counters", r->m->counters, sizeof r->m->counters); /* later than the others */
    r->m->seed = strtoull(seed, &end, 10);
    r->m->nested = !strcmp(nested, "1");
    return *seed && !*end && (r->m->nested || !strcmp(nested, "0"))
               ? NW_OK
               : nw_fail(r->err, NW_ERR_INPUT, "%s: table session: seed is a number, nested 0 or 1", r->f.path);
}

static bool has_table(const struct reader *r, const char *name)
{
    sqlite3_stmt *st = NULL;
    const bool found =
        !sqlite3_prepare_v2(r->f.db, "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", -1, &st, NULL) &&
        !sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC) && sqlite3_step(st) == SQLITE_ROW;
    sqlite3_finalize(st);
    return found;
}

static enum nw_status read_all(struct reader *r)
{
    struct nw_measurement *m = r->m;
    enum nw_status s;
    (void)((s = read_session(r)) ||
           (s = read_table(
                r, "chases",
                "SELECT id, calibrates, pages, count, grouped, spacing_bytes, purpose FROM chases ORDER BY id",
                CHASES_MAX, (void **)&m->chase, &m->chase_count, sizeof *m->chase, get_chase)) ||
           (s = read_table(
                r, "processes",
                "SELECT id, frames_known, base_4k, base_2m, base_1g, there, core_ghz, tsc_ghz FROM processes "
                "ORDER BY id",
                PROCESSES_MAX, (void **)&m->process, &m->process_count, sizeof *m->process, get_process)) ||
           (s = read_table(r, "samples",
                           "SELECT process, chase, repeat, chunks, dropped, cycles, dtlb_misses FROM samples "
                           "ORDER BY process, chase, repeat",
                           ROWS_MAX, (void **)&m->sample, &m->sample_count, sizeof *m->sample, get_sample)) ||
           (has_table(r, "counts") && /* later than the others */
            (s = read_table(r, "counts",
                            "SELECT process, chase, repeat, walks, walk_cycles, walk_references FROM counts", ROWS_MAX,
                            NULL, NULL, 0, get_counts))) ||
           (s = read_table(r, "frames",
                           "SELECT process, pages, page, pfn, length FROM frames ORDER BY process, pages, page",
                           ROWS_MAX, (void **)&m->frames, &m->frame_count, sizeof *m->frames, get_frames)) ||
           (has_table(r, "mappings") && /* later than the others */
            (s = read_table(r, "mappings", "SELECT process, number, cycles FROM mappings ORDER BY process, number",
                            ROWS_MAX, (void **)&m->mapping, &m->mapping_count, sizeof *m->mapping, get_mapping))) ||
           (s = read_table(r, "notes", "SELECT text FROM notes ORDER BY id", NW_MEASURE_NOTES, NULL, NULL, 0,
                           get_note)));
    if (!s && (!m->chase_count || !m->process_count))
        s = nw_fail(r->err, NW_ERR_INPUT, "%s: it has no chases or no processes", r->f.path);
    return s;
}

enum nw_status nw_measurement_load(struct nw_measurement *m, const char *path, struct nw_error *err)
{
    struct reader r = { .f = { NULL, path }, .m = m, .table = "session", .err = err };
    *m = (struct nw_measurement){ 0 };
    enum nw_status s = access(path, R_OK)
                           ? nw_fail(err, NW_ERR_INPUT, "%s: there is no such file, or it cannot be read", path)
                       : sqlite3_open_v2(path, &r.f.db, SQLITE_OPEN_READONLY, NULL) ? fail(&r.f, "opening it", err)
                                                                                    : read_all(&r);
    sqlite3_close(r.f.db);
    if (s)
        nw_measurement_fini(m);
    return s;
}
