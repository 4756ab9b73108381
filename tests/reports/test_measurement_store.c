/* What the processor counted, kept in a file of samples and read again; and files of earlier versions, which have none of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <nestwalk/reports/measurement_store.h>
#include <sqlite3.h>
#include <stdio.h>
#include <unistd.h>

static struct nw_error error;
enum { PROCESSES = 4, REPEATS = 3, SAMPLES = PROCESSES * REPEATS };
static struct nw_chase chase = { .count = 64, .group = 1, .spacing_bytes = 4096, .purpose = "a chase" };
static struct nw_measure_process process[PROCESSES];
static struct nw_chase_sample sample[SAMPLES];

/* Of odd processes walks are 0, 1 and 5 in the first and 3, 4 and 8 in the second; cycles of walks only in one sample; no references. */
static struct nw_measurement counted(void)
{
    static const double walks[PROCESSES][REPEATS] = { { 9, 9, 9 }, { 0, 1, 5 }, { 9, 9, 9 }, { 3, 4, 8 } };
    for (uint32_t i = 0; i < SAMPLES; i++) {
        const uint32_t p = i / REPEATS, r = i % REPEATS;
        process[p] = (struct nw_measure_process){ .core_ghz = 3, .tsc_ghz = 2 };
        sample[i] = (struct nw_chase_sample){ .process = p, .repeat = r, .chunks = 9, .cycles = 4 + r };
        for (unsigned q = 0; q < NW_COUNTED; q++)
            sample[i].counted[q] = -1;
        sample[i].counted[NW_COUNTED_WALKS] = walks[p][r];
    }
    sample[REPEATS].counted[NW_COUNTED_WALK_CYCLES] = 62.5;
    return (struct nw_measurement){ .machine = "m",
                                    .profile = "textbook",
                                    .counters = "a processor: a document",
                                    .chase = &chase,
                                    .chase_count = 1,
                                    .process = process,
                                    .process_count = PROCESSES,
                                    .sample = sample,
                                    .sample_count = SAMPLES };
}

static void scratch(char path[64])
{
    snprintf(path, 64, "measurement_store_%ld.db", (long)getpid());
    unlink(path);
}

static void execute(const char *path, const char *sql)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL))
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    sqlite3_close(db);
}

static void counts__are_kept_and_read_again(void **state)
{
    (void)state;
    char path[64];
    struct nw_measurement m = counted(), again;
    scratch(path);
    assert_int_equal(nw_measurement_save(&m, path, &error), NW_OK);
    assert_int_equal(nw_measurement_load(&again, path, &error), NW_OK);
    assert_string_equal(again.counters, m.counters);
    assert_int_equal(again.sample_count, SAMPLES);
    for (size_t i = 0; i < SAMPLES; i++)
        assert_memory_equal(again.sample[i].counted, m.sample[i].counted, sizeof m.sample[i].counted);
    nw_measurement_fini(&again);
    unlink(path);
}

static void counts__of_an_earlier_file_are_none(void **state)
{
    (void)state;
    char path[64];
    struct nw_measurement m = counted(), again;
    scratch(path);
    assert_int_equal(nw_measurement_save(&m, path, &error), NW_OK);
    execute(path, "DROP TABLE counts; DELETE FROM session WHERE name = 'counters'");
    assert_int_equal(nw_measurement_load(&again, path, &error), NW_OK);
    assert_string_equal(again.counters, "");
    for (size_t i = 0; i < SAMPLES; i++)
        for (unsigned q = 0; q < NW_COUNTED; q++)
            assert_true(again.sample[i].counted[q] < 0);
    nw_measurement_fini(&again);
    unlink(path);
}

static void figure__is_the_median_of_processes(void **state)
{
    (void)state;
    const struct nw_measurement m = counted();
    const struct nw_chase_figure f = nw_chase_figure(&m, 0, NW_PART_JUDGE), other = nw_chase_figure(&m, 0, NW_PART_FIT);
    assert_true(f.processes == 2 && f.cycles == 4);
    assert_true(f.counted[NW_COUNTED_WALKS] == 2.5); /* of 1 and 4 */
    assert_true(f.counted[NW_COUNTED_WALK_CYCLES] == 62.5);
    assert_true(f.counted[NW_COUNTED_WALK_REFERENCES] < 0 && f.counted[NW_COUNTED_DTLB_MISSES] < 0);
    assert_true(other.counted[NW_COUNTED_WALKS] == 9 && other.counted[NW_COUNTED_WALK_CYCLES] < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts__are_kept_and_read_again),
        cmocka_unit_test(counts__of_an_earlier_file_are_none),
        cmocka_unit_test(figure__is_the_median_of_processes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
