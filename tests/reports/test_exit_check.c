/* What is claimed of exits and what they cost a replay, from samples that are made up; and the file of samples. */
#include <math.h>
#include <nestwalk/base/bits.h>
#include <nestwalk/reports/exit_check.h>
#include <nestwalk/reports/measurement_store.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>
#include <sqlite3.h>

enum { MACHINES = 4 };
static struct nw_error error;

/* Core cycles in each of the virtual machines; the first two are what is predicted from. */
static const double cost[NW_EXIT_COST_OPERATIONS][MACHINES] = {
    [NW_EXIT_COST_CPUID] = { 1000, 1020, 1010, 1030 },         [NW_EXIT_COST_PORT] = { 20000, 20400, 20600, 20000 },
    [NW_EXIT_COST_MMIO] = { 24000, 24200, 24100, 24500 },      [NW_EXIT_COST_INVLPG] = { 500, 520, 510, 505 },
    [NW_EXIT_COST_CR3] = { 2000, 2100, 2050, 2075 },           [NW_EXIT_COST_BACKED] = { 3000, 3100, 3050, 3025 },
    [NW_EXIT_COST_UNBACKED] = { 7000, 7100, 7050, 7025 },      [NW_EXIT_COST_MIX] = { 90000, 90000, 45000, 46000 },
    [NW_EXIT_COST_GUEST_FAULT] = { 4200, 4220, 4210, 4240 },   [NW_EXIT_COST_MPROTECT] = { 8000, 8100, 8050, 8060 },
    [NW_EXIT_COST_SHOOTDOWN] = { 70000, 71000, 70500, 69000 },
};

static struct nw_exit_samples samples_of(bool second_stage)
{
    struct nw_exit_samples m = { .processor = "a processor",
                                 .profile = "textbook",
                                 .backend = "svm",
                                 .second_stage = second_stage,
                                 .core_ghz = 3.5,
                                 .machines = MACHINES };
    m.sample = calloc((size_t)MACHINES * NW_EXIT_COST_OPERATIONS, sizeof *m.sample);
    assert_non_null(m.sample);
    for (uint32_t i = 0; i < MACHINES; i++)
        for (unsigned k = 0; k < NW_EXIT_COST_OPERATIONS; k++)
            if (cost[k][i] > 0)
                m.sample[m.count++] = (struct nw_exit_sample){ .machine = i,
                                                               .operation = k,
                                                               .cycles = cost[k][i],
                                                               .quarter_cycles = cost[k][i] + 1,
                                                               .three_quarters = cost[k][i] + 2.5,
                                                               .chunks = 39,
                                                               .dropped = i };
    strcpy(m.skipped[NW_EXIT_COST_HYPERCALL], "no hypercalls here");
    return m;
}

static void judgement__first_half_against_second_and_the_mix_as_a_sum(void **state)
{
    (void)state;
    struct nw_exit_samples m = samples_of(true);
    struct nw_exit_check c;
    nw_exit_check_judge(&c, &m);
    const struct nw_exit_figure *port = &c.figure[NW_EXIT_COST_PORT], *mix = &c.figure[NW_EXIT_COST_MIX];
    assert_true(port->predicted == 20200 && port->held_out == 20300 && port->low == 20000 && port->high == 20600);
    assert_true(port->price == 20200 && port->least == 20000 && port->most == 20600);
    assert_true(mix->predicted == 1010 + 20200 + 24100 && mix->held_out == 45500);
    assert_true(fabs(mix->error_percent) < 1 && c.holds && c.judged == NW_EXIT_COST_OPERATIONS - 1);
    assert_string_equal(c.figure[NW_EXIT_COST_HYPERCALL].skipped, "no hypercalls here");
    for (size_t i = 0; i < m.count; i++) /* one operation that virtual machines do not agree on */
        if (m.sample[i].operation == NW_EXIT_COST_CR3 && m.sample[i].machine >= MACHINES / 2)
            m.sample[i].cycles *= 1.5;
    nw_exit_check_judge(&c, &m);
    assert_true(!c.holds && c.max_error_percent > 20);
    nw_exit_samples_fini(&m);
}

static void judgement__an_operation_with_half_of_its_samples_gone_is_left_out(void **state)
{
    (void)state;
    struct nw_exit_samples m = samples_of(true);
    struct nw_exit_check c;
    size_t kept = 0;
    for (size_t i = 0; i < m.count; i++)
        if (m.sample[i].operation != NW_EXIT_COST_MMIO || m.sample[i].machine < MACHINES / 2)
            m.sample[kept++] = m.sample[i];
    m.count = kept;
    nw_exit_check_judge(&c, &m);
    assert_non_null(strstr(c.figure[NW_EXIT_COST_MMIO].skipped, "mmio has no samples"));
    assert_true(!c.holds && isfinite(c.max_error_percent)); /* the mix is now far above the sum */
    nw_exit_samples_fini(&m);
}

static uint64_t total(const struct nw_config *c, enum nw_exit_reason reason)
{
    return nw_exit_cost_total(&c->cost.exit[reason]);
}

static void price__is_what_was_measured_with_its_source(void **state)
{
    (void)state;
    for (unsigned second_stage = 0; second_stage <= 1; second_stage++) {
        struct nw_exit_samples m = samples_of(second_stage);
        struct nw_exit_check check;
        struct nw_config c, before;
        nw_config_init(&c);
        nw_config_init(&before);
        nw_exit_check_judge(&check, &m);
        assert_int_equal(nw_exit_check_price(&check, &c, &error), NW_OK);
        assert_true(total(&c, NW_EXIT_CPUID) == 1015 && total(&c, NW_EXIT_IO_INSTRUCTION) == 20200 &&
                    total(&c, NW_EXIT_MMIO) == 24150 && c.cost.guest_fault_cycles == 4215 &&
                    c.cost.frequency_ghz == 3.5);
        assert_true(c.cost.exit[NW_EXIT_MMIO].direct == 1015 && c.cost.exit[NW_EXIT_MMIO].indirect == 0);
        assert_true(total(&c, NW_EXIT_RECORDED) == total(&before, NW_EXIT_RECORDED)); /* hypercalls were left out */
        /* With a second stage, a violation is what was measured, and nothing of shadow tables; without, the other way round. */
        assert_true(total(&c, NW_EXIT_EPT_VIOLATION) == (second_stage ? 7038 : total(&before, NW_EXIT_EPT_VIOLATION)));
        assert_true(total(&c, NW_EXIT_SHADOW_FAULT) == (second_stage ? total(&before, NW_EXIT_SHADOW_FAULT) : 3038));
        assert_true(total(&c, NW_EXIT_CR_WRITE) == (second_stage ? total(&before, NW_EXIT_CR_WRITE) : 2063));
        if (!second_stage) /* cheaper than CPUID: no more than it takes */
            assert_true(c.cost.exit[NW_EXIT_INVLPG].direct == 508 && c.cost.exit[NW_EXIT_INVLPG].synchronous == 0);
        const char *source = nw_config_source(&c, "cost.exit.mmio.synchronous");
        assert_non_null(strstr(source, "measured"));
        assert_non_null(strstr(source, "KVM svm"));
        assert_non_null(strstr(source, "24000 to 24500"));
        nw_config_fini(&before);
        nw_config_fini(&c);
        nw_exit_samples_fini(&m);
    }
}

static void json__has_each_point_with_the_parameter_that_it_becomes(void **state)
{
    (void)state;
    struct nw_exit_samples m = samples_of(true);
    struct nw_exit_check c;
    char *text;
    nw_exit_check_judge(&c, &m);
    assert_int_equal(nw_exit_check_json_text(&c, &text, &error), NW_OK);
    json_t *root = json_loads(text, 0, NULL);
    const json_t *points = json_object_get(root, "points"), *first = json_array_get(points, 0);
    assert_int_equal(json_array_size(points), NW_EXIT_COST_OPERATIONS - 1);
    assert_string_equal(json_string_value(json_object_get(first, "parameter")), "cost.exit.cpuid");
    assert_true(json_number_value(json_object_get(first, "price_cycles")) == 1015);
    assert_true(json_is_true(json_object_get(root, "holds")) && json_is_true(json_object_get(root, "second_stage")));
    json_decref(root);
    free(text);
    nw_exit_samples_fini(&m);
}

/* ---- the file ---- */

static const char *scratch(char path[64])
{
    snprintf(path, 64, "exit_samples_%ld.db", (long)getpid());
    unlink(path);
    return path;
}

static void same(const struct nw_exit_samples *a, const struct nw_exit_samples *b)
{
    assert_true(a->count == b->count && a->machines == b->machines && a->second_stage == b->second_stage &&
                a->core_ghz == b->core_ghz);
    assert_string_equal(a->processor, b->processor);
    assert_string_equal(a->backend, b->backend);
    assert_string_equal(a->profile, b->profile);
    for (size_t i = 0; i < a->count; i++) {
        size_t k = 0; /* in the file they are in order of names */
        while (k < b->count &&
               (a->sample[i].machine != b->sample[k].machine || a->sample[i].operation != b->sample[k].operation))
            k++;
        assert_true(k < b->count && a->sample[i].cycles == b->sample[k].cycles &&
                    a->sample[i].quarter_cycles == b->sample[k].quarter_cycles &&
                    a->sample[i].three_quarters == b->sample[k].three_quarters &&
                    a->sample[i].chunks == b->sample[k].chunks && a->sample[i].dropped == b->sample[k].dropped);
    }
    for (unsigned k = 0; k < NW_EXIT_COST_OPERATIONS; k++)
        assert_string_equal(a->skipped[k], b->skipped[k]);
}

static void file__reads_back_and_takes_the_place_of_earlier_samples(void **state)
{
    (void)state;
    char path[64];
    struct nw_exit_samples m = samples_of(true), again;
    scratch(path);
    for (unsigned i = 0; i < 2; i++) {
        m.core_ghz += i;
        assert_int_equal(nw_exit_samples_save(&m, path, &error), NW_OK);
        assert_int_equal(nw_exit_samples_load(&again, path, &error), NW_OK);
        same(&m, &again);
        nw_exit_samples_fini(&again);
    }
    nw_exit_samples_fini(&m);
    unlink(path);
}

static void file__keeps_chases_that_are_in_it(void **state)
{
    (void)state;
    char path[64];
    struct nw_chase chase = { .count = 64, .group = 1, .spacing_bytes = 4096, .purpose = "a chase" };
    struct nw_measure_process process = { .core_ghz = 3, .tsc_ghz = 2 };
    struct nw_chase_sample sample = { .chunks = 9, .cycles = 4, .counted = { -1, -1, -1, -1 } };
    struct nw_measurement chases = { .machine = "m",
                                     .profile = "textbook",
                                     .chase = &chase,
                                     .chase_count = 1,
                                     .process = &process,
                                     .process_count = 1,
                                     .sample = &sample,
                                     .sample_count = 1 };
    struct nw_measurement read;
    struct nw_exit_samples m = samples_of(false), again;
    scratch(path);
    assert_int_equal(nw_measurement_save(&chases, path, &error), NW_OK);
    assert_int_equal(nw_exit_samples_load(&again, path, &error), NW_ERR_INPUT);
    assert_non_null(strstr(error.text, "no samples of exits"));
    assert_int_equal(nw_exit_samples_save(&m, path, &error), NW_OK);
    assert_int_equal(nw_exit_samples_load(&again, path, &error), NW_OK);
    same(&m, &again);
    assert_int_equal(nw_measurement_load(&read, path, &error), NW_OK);
    assert_true(read.chase_count == 1 && read.sample_count == 1 && read.sample[0].cycles == 4);
    nw_measurement_fini(&read);
    nw_exit_samples_fini(&again);
    nw_exit_samples_fini(&m);
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

static void file__of_something_else_is_left_as_it_is(void **state)
{
    (void)state;
    char path[64];
    struct nw_exit_samples m = samples_of(true), again;
    scratch(path);
    execute(path, "CREATE TABLE mine (x)");
    assert_int_equal(nw_exit_samples_save(&m, path, &error), NW_ERR_INPUT);
    assert_non_null(strstr(error.text, "none of samples"));
    assert_int_equal(nw_exit_samples_load(&again, path, &error), NW_ERR_INPUT);
    execute(path, "INSERT INTO mine VALUES (1)"); /* the table is still there */
    unlink(path);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    for (unsigned i = 0; i < 200; i++)
        fputs("no database at all\n", f);
    fclose(f);
    assert_int_equal(nw_exit_samples_save(&m, path, &error), NW_ERR_INPUT);
    assert_int_equal(access(path, F_OK), 0);
    nw_exit_samples_fini(&m);
    unlink(path);
}

static void file__values_that_no_measurement_has_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *sql, *table;
    } damage[] = {
        { "UPDATE exit_session SET machines = 1", "exit_session" },
        { "UPDATE exit_session SET machines = 257", "exit_session" },
        { "UPDATE exit_session SET core_ghz = 'x'", "exit_session" },
        { "UPDATE exit_session SET second_stage = 2", "exit_session" },
        { "INSERT INTO exit_session SELECT * FROM exit_session", "exit_session" },
        { "DELETE FROM exit_session", "exit_session" },
        { "UPDATE exit_samples SET machine = machine + 4", "exit_samples" },
        { "UPDATE exit_samples SET operation = 'walk' WHERE operation = 'port'", "exit_samples" },
        { "UPDATE exit_samples SET cycles = 1e300", "exit_samples" },
        { "UPDATE exit_samples SET chunks = 0", "exit_samples" },
        { "UPDATE exit_samples SET dropped = -1", "exit_samples" },
        { "UPDATE exit_notes SET operation = 'walk'", "exit_notes" },
        { "UPDATE exit_notes SET text = ''", "exit_notes" },
        { "DROP TABLE exit_notes", "samples of exits" },
    };
    struct nw_exit_samples m = samples_of(true), again;
    for (size_t i = 0; i < NW_ARRAY_LEN(damage); i++) {
        char path[64];
        scratch(path);
        assert_int_equal(nw_exit_samples_save(&m, path, &error), NW_OK);
        execute(path, damage[i].sql);
        const enum nw_status s = nw_exit_samples_load(&again, path, &error);
        if (!s || !strstr(error.text, damage[i].table))
            fail_msg("%s: status %d, %s", damage[i].sql, s, s ? error.text : "");
        unlink(path);
    }
    nw_exit_samples_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(judgement__first_half_against_second_and_the_mix_as_a_sum),
        cmocka_unit_test(judgement__an_operation_with_half_of_its_samples_gone_is_left_out),
        cmocka_unit_test(price__is_what_was_measured_with_its_source),
        cmocka_unit_test(json__has_each_point_with_the_parameter_that_it_becomes),
        cmocka_unit_test(file__reads_back_and_takes_the_place_of_earlier_samples),
        cmocka_unit_test(file__keeps_chases_that_are_in_it),
        cmocka_unit_test(file__of_something_else_is_left_as_it_is),
        cmocka_unit_test(file__values_that_no_measurement_has_are_refused),
    };
    return cmocka_run_group_tests_name("the check of exits", tests, NULL, NULL);
}
