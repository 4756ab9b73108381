#include "../../reports/store_internal.h"
#include "reports/fixture.h"
#include <fcntl.h>
#include <nestwalk/reports/export.h>
#include <sys/stat.h>
#include <sys/wait.h>

static struct nw_store *open_ok(const char *path, enum nw_store_access access)
{
    struct nw_store *store = NULL;
    struct nw_error err = { 0 };
    if (nw_store_open(path, access, &store, &err))
        fail_msg("%s", err.text);
    return store;
}

static void add_ok(struct nw_store *store, bool nested)
{
    struct nw_run run = fixture_run(nested);
    struct nw_error err = { 0 };
    if (nw_store_add(store, &run, NULL, &err))
        fail_msg("%s", err.text);
    nw_run_fini(&run);
}

static void remove_store(const char *path)
{
    char side[256];
    remove(path);
    for (int i = 0; i < 2; i++) {
        snprintf(side, sizeof side, "%s%s", path, i ? "-shm" : "-wal");
        remove(side);
    }
}

static bool exists(const char *path, const char *suffix)
{
    char name[256];
    snprintf(name, sizeof name, "%s%s", path, suffix);
    return access(name, F_OK) == 0;
}

static void write_file(const char *path, const void *bytes, size_t count)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, count, f), count);
    assert_int_equal(fclose(f), 0);
}

/* Opening must fail with NW_ERR_INPUT, say `what`, and leave the file and its folder as they were. */
static void assert_refused(const char *path, enum nw_store_access access, const char *what)
{
    struct nw_store *store = NULL;
    struct nw_error err = { 0 };
    struct stat before, after;
    assert_int_equal(stat(path, &before), 0);
    assert_int_equal(nw_store_open(path, access, &store, &err), NW_ERR_INPUT);
    assert_null(store);
    if (!strstr(err.text, what))
        fail_msg("\"%s\" does not say \"%s\"", err.text, what);
    assert_non_null(strstr(err.text, path));
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(before.st_size, after.st_size);
    assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
    assert_false(exists(path, "-wal"));
    assert_false(exists(path, "-shm"));
}

static void store__a_run_comes_back_as_it_was(void **state)
{
    (void)state;
    const char *path = fixture_path("a.db");
    struct nw_store *store = open_ok(path, NW_STORE_WRITE);
    struct nw_run run = fixture_run(true), back;
    struct nw_error err = { 0 };
    int64_t id = 0;
    fixture_metric(&run, "huge", "cycles", UINT64_MAX - 7);
    assert_int_equal(nw_store_add(store, &run, &id, &err), NW_OK);
    nw_store_close(store);

    store = open_ok(path, NW_STORE_READ);
    assert_int_equal(nw_store_load(store, id, &back, &err), NW_OK);
    assert_int_equal(strlen(back.created), strlen("2025-01-31 12:00:00"));
    assert_int_equal(back.id, id);
    assert_int_equal(back.group, id);
    assert_int_equal(back.metric[back.metric_count - 1].type, NW_METRIC_REAL); /* above what SQLite holds exactly */
    assert_true(back.metric[back.metric_count - 1].real == 0x1p64);
    nw_run_fini(&run);
    run = fixture_run(true);
    back.id = back.group = 0;
    back.metric_count--;
    free(back.metric[back.metric_count].path);
    free(back.metric[back.metric_count].unit);
    free(back.metric[back.metric_count].doc);
    char *expected, *got;
    assert_int_equal(nw_report_json_text(&run, 1, &expected, &err), NW_OK);
    assert_int_equal(nw_report_json_text(&back, 1, &got, &err), NW_OK);
    assert_string_equal(got, expected);
    for (size_t i = 0; i < run.metric_count; i++) {
        assert_string_equal(back.metric[i].doc, run.metric[i].doc);
        assert_int_equal(back.metric[i].derived, run.metric[i].derived);
        assert_int_equal(back.metric[i].type, run.metric[i].type);
    }
    free(expected);
    free(got);
    nw_run_fini(&run);
    nw_run_fini(&back);
    nw_store_close(store);
    remove_store(path);
}

static void store__closing_leaves_one_file(void **state)
{
    (void)state;
    const char *path = fixture_path("one.db");
    struct nw_store *store = open_ok(path, NW_STORE_WRITE);
    add_ok(store, true);
    assert_true(exists(path, "-wal")); /* a write-ahead log is in use */
    nw_store_close(store);
    store = open_ok(path, NW_STORE_READ);
    struct nw_run *runs;
    size_t count;
    struct nw_error err;
    assert_int_equal(nw_store_list(store, &runs, &count, &err), NW_OK);
    nw_runs_free(runs, count);
    nw_store_close(store);
    assert_false(exists(path, "-wal"));
    assert_false(exists(path, "-shm"));
    remove_store(path);
}

static void store__names_choose_runs(void **state)
{
    (void)state;
    const char *path = fixture_path("names.db");
    struct nw_error err = { 0 };
    struct nw_run *runs;
    size_t count;
    struct nw_store *store = open_ok(path, NW_STORE_WRITE); /* group of 1 and 2 */
    add_ok(store, false);
    add_ok(store, true);
    nw_store_close(store);
    store = open_ok(path, NW_STORE_WRITE); /* group of 3, 4 and 5 */
    add_ok(store, true);
    add_ok(store, false);
    add_ok(store, true);

    assert_int_equal(nw_store_select(store, NULL, 0, &runs, &count, &err), NW_OK);
    assert_int_equal(count, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(runs[i].id, 3 + i);
        assert_int_equal(runs[i].group, 3);
        assert_true(runs[i].metric_count > 0);
    }
    nw_runs_free(runs, count);

    const char *const names[] = { "EPT", "1", "native", "bare metal" };
    assert_int_equal(nw_store_select(store, names, 4, &runs, &count, &err), NW_OK);
    assert_int_equal(count, 4);
    assert_int_equal(runs[0].id, 5); /* the latest with that label */
    assert_int_equal(runs[1].id, 1);
    assert_int_equal(runs[2].id, 4); /* the latest of that mode */
    assert_int_equal(runs[3].id, 4);
    nw_runs_free(runs, count);

    const char *const wrong[] = { "1", "77" };
    assert_int_equal(nw_store_select(store, wrong, 2, &runs, &count, &err), NW_ERR_INPUT);
    assert_non_null(strstr(err.text, "no run \"77\""));
    assert_non_null(strstr(err.text, "1 (bare metal), 2 (EPT), 3 (EPT), 4 (bare metal), 5 (EPT)"));
    struct nw_run run;
    assert_int_equal(nw_store_load(store, 99, &run, &err), NW_ERR_INPUT);
    assert_non_null(strstr(err.text, "no run \"99\""));
    nw_store_close(store);
    remove_store(path);
}

static void store__an_empty_one_says_so(void **state)
{
    (void)state;
    const char *path = fixture_path("empty.db");
    struct nw_error err = { 0 };
    struct nw_run *runs;
    size_t count;
    struct nw_store *store = open_ok(path, NW_STORE_WRITE);
    assert_int_equal(nw_store_select(store, NULL, 0, &runs, &count, &err), NW_ERR_INPUT);
    assert_non_null(strstr(err.text, "holds no runs"));
    nw_store_close(store);
    remove_store(path);
}

static void store__a_missing_file_is_bad_input_to_read(void **state)
{
    (void)state;
    struct nw_store *store = NULL;
    struct nw_error err = { 0 };
    const char *path = fixture_path("missing.db");
    assert_int_equal(nw_store_open(path, NW_STORE_READ, &store, &err), NW_ERR_INPUT);
    assert_non_null(strstr(err.text, "No such file"));
    assert_false(exists(path, ""));
    assert_int_equal(nw_store_open(fixture_path("no-folder/x.db"), NW_STORE_WRITE, &store, &err), NW_ERR_IO);
}

static void store__other_files_are_refused_and_left_alone(void **state)
{
    (void)state;
    const char *path = fixture_path("other.db");
    static const char text[] = "this is not a database at all, but it is long enough to have the header of one; "
                               "so it is read, and found to be something else entirely, as it should be.........";
    write_file(path, text, sizeof text);
    assert_refused(path, NW_STORE_READ, "no SQLite database");
    assert_refused(path, NW_STORE_WRITE, "no SQLite database");
    remove_store(path);

    write_file(path, "", 0);
    assert_refused(path, NW_STORE_READ, "it is empty");
    remove_store(path);

    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "CREATE TABLE runs (id); INSERT INTO runs VALUES (1)", NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(db);
    assert_refused(path, NW_STORE_READ, "some other program's");
    assert_refused(path, NW_STORE_WRITE, "some other program's");
    remove_store(path);

    const char *folder = fixture_path("");
    struct nw_store *store = NULL;
    struct nw_error err = { 0 };
    assert_int_equal(nw_store_open(folder, NW_STORE_READ, &store, &err), NW_ERR_INPUT);
    assert_non_null(strstr(err.text, "not a regular file"));
}

static void store__a_newer_version_is_refused(void **state)
{
    (void)state;
    const char *path = fixture_path("newer.db");
    nw_store_close(open_ok(path, NW_STORE_WRITE));
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA user_version = 1000", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_refused(path, NW_STORE_READ, "newer version");
    assert_refused(path, NW_STORE_WRITE, "newer version");
    remove_store(path);
}

/* Any prefix of a store is refused or, when only what comes after the tables is gone, read without a crash. */
static void store__a_truncated_file_is_bad_input(void **state)
{
    (void)state;
    const char *path = fixture_path("whole.db"), *cut = fixture_path("cut.db");
    struct nw_store *store = open_ok(path, NW_STORE_WRITE);
    add_ok(store, true);
    nw_store_close(store);
    static char bytes[1 << 20];
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t size = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    assert_true(size > 8192 && size < sizeof bytes);
    for (size_t keep = 1; keep < size; keep += 997) {
        write_file(cut, bytes, keep);
        struct nw_error err = { 0 };
        struct nw_run *runs;
        size_t count;
        enum nw_status s = nw_store_open(cut, NW_STORE_READ, &store, &err);
        if (!s) {
            s = nw_store_select(store, NULL, 0, &runs, &count, &err);
            nw_store_close(store);
        }
        if (s != NW_ERR_INPUT)
            fail_msg("cut to %zu of %zu bytes: status %d, %s", keep, size, (int)s, err.text);
        remove_store(cut);
    }
    remove_store(path);
}

/* Damage inside: an answer or one error, never a crash. The seed is fixed so that a failure can be repeated. */
static void store__a_damaged_file_never_crashes(void **state)
{
    (void)state;
    const char *path = fixture_path("sound.db"), *damaged = fixture_path("damaged.db");
    struct nw_store *store = open_ok(path, NW_STORE_WRITE);
    add_ok(store, true);
    nw_store_close(store);
    static char bytes[1 << 20];
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t size = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    uint64_t seed = 20240607;
    print_message("seed %llu\n", (unsigned long long)seed);
    size_t refused = 0;
    for (int round = 0; round < 200; round++) {
        char keep[16];
        size_t at[16];
        for (int i = 0; i < 16; i++) {
            seed = nw_mix64(seed + (uint64_t)round + 1);
            at[i] = seed % size;
            keep[i] = bytes[at[i]];
            bytes[at[i]] = (char)(seed >> 40);
        }
        write_file(damaged, bytes, size);
        for (int i = 15; i >= 0; i--)
            bytes[at[i]] = keep[i];
        struct nw_error err = { 0 };
        struct nw_run *runs;
        size_t count;
        enum nw_status s = nw_store_open(damaged, NW_STORE_READ, &store, &err);
        if (!s) {
            s = nw_store_select(store, NULL, 0, &runs, &count, &err);
            if (!s)
                nw_runs_free(runs, count);
            nw_store_close(store);
        }
        refused += s != NW_OK;
        assert_true(s == NW_OK || s == NW_ERR_INPUT || s == NW_ERR_IO);
        remove_store(damaged);
    }
    assert_true(refused > 0);
    remove_store(path);
}

static void store__two_processes_write_at_once(void **state)
{
    (void)state;
    enum { PROCESSES = 2, EACH = 12 };
    const char *path = fixture_path("both.db");
    pid_t child[PROCESSES];
    for (int p = 0; p < PROCESSES; p++) {
        child[p] = fork();
        assert_true(child[p] >= 0);
        if (child[p] == 0) { /* no assertions here: the exit status tells */
            struct nw_store *store;
            struct nw_error err = { 0 };
            int failed = nw_store_open(path, NW_STORE_WRITE, &store, &err) != NW_OK;
            for (int i = 0; !failed && i < EACH; i++) {
                struct nw_run run = fixture_run(p == 1);
                failed = nw_store_add(store, &run, NULL, &err) != NW_OK;
                nw_run_fini(&run);
            }
            if (failed)
                fprintf(stderr, "%s\n", err.text);
            else
                nw_store_close(store);
            _exit(failed);
        }
    }
    for (int p = 0; p < PROCESSES; p++) {
        int status;
        assert_int_equal(waitpid(child[p], &status, 0), child[p]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    struct nw_store *store = open_ok(path, NW_STORE_READ);
    struct nw_error err = { 0 };
    struct nw_run *runs, reference[2] = { fixture_run(false), fixture_run(true) };
    size_t count, nested = 0;
    assert_int_equal(nw_store_list(store, &runs, &count, &err), NW_OK);
    assert_int_equal(count, PROCESSES * EACH);
    for (size_t i = 0; i < count; i++) {
        struct nw_run run;
        char why[128];
        assert_int_equal(nw_store_load(store, runs[i].id, &run, &err), NW_OK);
        bool is_nested = !strcmp(run.mode, "nested");
        nested += is_nested;
        assert_true(nw_run_same(&run, &reference[is_nested], why, sizeof why)); /* each run is whole */
        for (size_t j = 0; j < i; j++) /* and a group holds the runs of one process */
            if (runs[j].group == runs[i].group)
                assert_string_equal(runs[j].mode, runs[i].mode);
        nw_run_fini(&run);
    }
    assert_int_equal(nested, EACH);
    nw_runs_free(runs, count);
    nw_run_fini(&reference[0]);
    nw_run_fini(&reference[1]);
    nw_store_close(store);
    remove_store(path);
}

static void store__a_reader_sees_whole_runs_while_another_writes(void **state)
{
    (void)state;
    const char *path = fixture_path("reading.db");
    struct nw_store *writer = open_ok(path, NW_STORE_WRITE);
    add_ok(writer, false);
    struct nw_store *reader = open_ok(path, NW_STORE_READ);
    sqlite3_exec(writer->db,
                 "BEGIN IMMEDIATE; INSERT INTO runs SELECT 99, group_id, created, version, scenario, label, mode,"
                 " machine, trace, trace_sha256, engine, fidelity, seed, seconds, accesses_per_second FROM runs",
                 NULL, NULL, NULL);
    struct nw_run *runs;
    size_t count;
    struct nw_error err = { 0 };
    assert_int_equal(nw_store_list(reader, &runs, &count, &err), NW_OK);
    assert_int_equal(count, 1);
    nw_runs_free(runs, count);
    assert_int_equal(sqlite3_exec(writer->db, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(nw_store_list(reader, &runs, &count, &err), NW_OK);
    assert_int_equal(count, 2);
    nw_runs_free(runs, count);
    nw_store_close(reader);
    nw_store_close(writer);
    remove_store(path);
}

/* As somebody who may not write there; the superuser may write everywhere, and becomes somebody else for it. */
static void store__is_readable_where_nothing_can_be_written(void **state)
{
    (void)state;
    const char *path = fixture_path("shelf.db"), *folder = fixture_path("");
    struct nw_store *store = open_ok(path, NW_STORE_WRITE);
    add_ok(store, true);
    nw_store_close(store);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(chmod(folder, 0555), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct nw_error err = { 0 };
        struct nw_run *runs, run = fixture_run(false);
        size_t count = 0;
        if (geteuid() == 0 && setresuid(65534, 65534, 65534))
            _exit(1);
        if (nw_store_open(path, NW_STORE_READ, &store, &err) || nw_store_select(store, NULL, 0, &runs, &count, &err))
            _exit(2);
        nw_runs_free(runs, count);
        nw_store_close(store);
        if (nw_store_open(path, NW_STORE_WRITE, &store, &err) != NW_ERR_IO || !strstr(err.text, "must be writable"))
            _exit(3);
        nw_run_fini(&run);
        _exit(count == 1 ? 0 : 4);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(chmod(folder, 0700), 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_false(exists(path, "-wal"));
    remove_store(path);
}

static void store__reading_cannot_write(void **state)
{
    (void)state;
    const char *path = fixture_path("readonly.db");
    struct nw_store *store = open_ok(path, NW_STORE_WRITE);
    add_ok(store, false);
    nw_store_close(store);
    store = open_ok(path, NW_STORE_READ);
    struct nw_run run = fixture_run(true);
    struct nw_error err = { 0 };
    assert_int_equal(nw_store_add(store, &run, NULL, &err), NW_ERR_IO);
    nw_run_fini(&run);
    nw_store_close(store);
    remove_store(path);
}

static void store__a_failed_run_leaves_nothing(void **state)
{
    (void)state;
    const char *path = fixture_path("whole-runs.db");
    struct nw_store *store = open_ok(path, NW_STORE_WRITE);
    struct nw_run run = fixture_run(true), *runs;
    struct nw_error err = { 0 };
    size_t count;
    fixture_metric(&run, "accesses.total", "accesses", 1); /* twice the same path: the store refuses */
    assert_true(nw_store_add(store, &run, NULL, &err) != NW_OK);
    nw_run_fini(&run);
    assert_int_equal(nw_store_list(store, &runs, &count, &err), NW_OK);
    assert_int_equal(count, 0);
    nw_runs_free(runs, count);
    add_ok(store, true); /* and the store is usable still */
    nw_store_close(store);
    remove_store(path);
}

static void migration__runs_the_steps_that_a_file_lacks(void **state)
{
    (void)state;
    static const char *const steps[] = { "CREATE TABLE a (x)",
                                         "ALTER TABLE a ADD COLUMN y; INSERT INTO a VALUES (1, 2)",
                                         "CREATE INDEX a_by_y ON a(y)" };
    const char *path = fixture_path("steps.db");
    struct nw_error err = { 0 };
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(nw_store_migrate(db, path, 0, steps, 1, &err), NW_OK);
    assert_int_equal(sqlite3_exec(db, "SELECT y FROM a", NULL, NULL, NULL), SQLITE_ERROR);
    assert_int_equal(nw_store_migrate(db, path, 1, steps, 3, &err), NW_OK);
    assert_int_equal(sqlite3_exec(db, "SELECT y FROM a INDEXED BY a_by_y WHERE y = 2", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_stmt *q;
    assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &q, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(q), SQLITE_ROW);
    assert_int_equal(sqlite3_column_int(q, 0), 3);
    sqlite3_finalize(q);
    assert_true(nw_store_migrate(db, path, 0, steps, 3, &err) != NW_OK); /* the table is there already */
    sqlite3_close(db);
    remove_store(path);
    assert_int_equal(nw_store_step_count, NW_STORE_SCHEMA_VERSION);
}

static struct nw_store_point point_ok(struct nw_store *store, const char *identity)
{
    struct nw_store_point p;
    struct nw_error err = { 0 };
    if (nw_store_point_find(store, identity, &p, &err))
        fail_msg("%s", err.text);
    return p;
}

static size_t run_count(struct nw_store *store)
{
    struct nw_run *runs;
    size_t count;
    struct nw_error err = { 0 };
    assert_int_equal(nw_store_list(store, &runs, &count, &err), NW_OK);
    nw_runs_free(runs, count);
    return count;
}

static void store__a_point_is_stored_once(void **state)
{
    (void)state;
    const char *path = fixture_path("points.db");
    struct nw_store *store = open_ok(path, NW_STORE_WRITE), *other = open_ok(path, NW_STORE_WRITE);
    struct nw_run run = fixture_run(true);
    struct nw_error err = { 0 };
    assert_int_equal(point_ok(store, "p").state, NW_POINT_NEW);
    assert_int_equal(nw_store_point_done(store, "p", &run, &err), NW_OK);
    assert_int_equal(nw_store_point_done(other, "p", &run, &err), NW_OK);
    assert_int_equal(nw_store_point_failed(other, "p", "EPT", "too late", &err), NW_OK);
    struct nw_store_point p = point_ok(other, "p");
    assert_int_equal(p.state, NW_POINT_DONE);
    assert_int_equal(p.run, 1);
    assert_int_equal(p.group, 1);
    assert_int_equal(run_count(store), 1);
    nw_store_join_group(other, p.group);
    assert_int_equal(nw_store_point_done(other, "q", &run, &err), NW_OK);
    assert_int_equal(point_ok(store, "q").group, 1);
    nw_run_fini(&run);
    nw_store_close(other);
    nw_store_close(store);
    remove_store(path);
}

static void store__a_failed_point_may_be_done_later(void **state)
{
    (void)state;
    const char *path = fixture_path("points.db");
    struct nw_store *store = open_ok(path, NW_STORE_WRITE);
    struct nw_run run = fixture_run(true);
    struct nw_error err = { 0 };
    assert_int_equal(nw_store_point_failed(store, "p", "EPT", "no memory", &err), NW_OK);
    assert_int_equal(nw_store_point_failed(store, "p", "EPT", "no memory again", &err), NW_OK);
    struct nw_store_point p = point_ok(store, "p");
    assert_int_equal(p.state, NW_POINT_FAILED);
    assert_string_equal(p.error, "no memory again");
    assert_int_equal(run_count(store), 0);
    assert_int_equal(nw_store_point_done(store, "p", &run, &err), NW_OK);
    p = point_ok(store, "p");
    assert_int_equal(p.state, NW_POINT_DONE);
    assert_string_equal(p.error, "");
    assert_int_equal(run_count(store), 1);
    /* Who deletes the run wants it made again. */
    assert_int_equal(sqlite3_exec(store->db, "DELETE FROM runs", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(point_ok(store, "p").state, NW_POINT_NEW);
    nw_run_fini(&run);
    nw_store_close(store);
    remove_store(path);
}

/* A store of schema 1, as the version before points made it. */
static void store__one_without_points_is_brought_up_to_date(void **state)
{
    (void)state;
    const char *path = fixture_path("one.db");
    struct nw_error err = { 0 };
    char pragma[64];
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(nw_store_migrate(db, path, 0, nw_store_step, 1, &err), NW_OK);
    snprintf(pragma, sizeof pragma, "PRAGMA application_id = %d", NW_STORE_APPLICATION_ID);
    assert_int_equal(sqlite3_exec(db, pragma, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_refused(path, NW_STORE_READ, "older version");
    struct nw_store *store = open_ok(path, NW_STORE_WRITE);
    assert_int_equal(point_ok(store, "p").state, NW_POINT_NEW);
    nw_store_close(store);
    nw_store_close(open_ok(path, NW_STORE_READ));
    remove_store(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(store__a_run_comes_back_as_it_was),
        cmocka_unit_test(store__closing_leaves_one_file),
        cmocka_unit_test(store__names_choose_runs),
        cmocka_unit_test(store__an_empty_one_says_so),
        cmocka_unit_test(store__a_missing_file_is_bad_input_to_read),
        cmocka_unit_test(store__other_files_are_refused_and_left_alone),
        cmocka_unit_test(store__a_newer_version_is_refused),
        cmocka_unit_test(store__a_truncated_file_is_bad_input),
        cmocka_unit_test(store__a_damaged_file_never_crashes),
        cmocka_unit_test(store__two_processes_write_at_once),
        cmocka_unit_test(store__a_reader_sees_whole_runs_while_another_writes),
        cmocka_unit_test(store__is_readable_where_nothing_can_be_written),
        cmocka_unit_test(store__reading_cannot_write),
        cmocka_unit_test(store__a_failed_run_leaves_nothing),
        cmocka_unit_test(store__a_point_is_stored_once),
        cmocka_unit_test(store__a_failed_point_may_be_done_later),
        cmocka_unit_test(store__one_without_points_is_brought_up_to_date),
        cmocka_unit_test(migration__runs_the_steps_that_a_file_lacks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
