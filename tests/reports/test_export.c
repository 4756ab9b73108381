#include "reports/fixture.h"
#include <math.h>
#include <nestwalk/reports/export.h>
#include <sys/stat.h>

/* Compares with a file under tests/data/reports; NW_REGENERATE=1 writes it instead. */
static void assert_golden(const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/reports/%s", NW_TEST_DATA, name);
    if (getenv("NW_REGENERATE")) {
        struct nw_error err;
        assert_int_equal(nw_report_write(path, text, strlen(text), &err), NW_OK);
        return;
    }
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    static char golden[65536];
    size_t n = fread(golden, 1, sizeof golden - 1, f);
    golden[n] = 0;
    fclose(f);
    assert_string_equal(text, golden);
}

/* The line that names this program's own version is checked, then left out. */
static void cut_version_line(char *text)
{
    static const char line[] = "  \"nestwalk\": \"";
    char *start = strstr(text, line), *end = start ? strchr(start, '\n') : NULL;
    assert_ptr_equal(start, text + 2);
    assert_non_null(end);
    memmove(start, end + 1, strlen(end + 1) + 1);
}

static void json__is_byte_for_byte_the_golden(void **state)
{
    (void)state;
    struct nw_run runs[] = { fixture_run(false), fixture_run(true) };
    struct nw_error err = { 0 };
    char *text;
    assert_int_equal(nw_report_json_text(runs, 2, &text, &err), NW_OK);
    cut_version_line(text);
    assert_golden("two-runs.json", text);
    free(text);
    nw_run_fini(runs);
    nw_run_fini(runs + 1);
}

static void csv__is_byte_for_byte_the_golden(void **state)
{
    (void)state;
    struct nw_run runs[] = { fixture_run(false), fixture_run(true) };
    struct nw_error err = { 0 };
    char *text;
    assert_int_equal(nw_report_csv_text(runs, 2, &text, &err), NW_OK);
    assert_golden("two-runs.csv", text);
    free(text);
    nw_run_fini(runs);
    nw_run_fini(runs + 1);
}

static void json__escapes_what_text_may_hold(void **state)
{
    (void)state;
    struct nw_run run = { 0 };
    struct nw_error err = { 0 };
    char *text;
    strcpy(run.label, "a \"b\" \\ c\n\x01");
    assert_int_equal(nw_report_json_text(&run, 1, &text, &err), NW_OK);
    assert_non_null(strstr(text, "\"label\": \"a \\\"b\\\" \\\\ c\\u000a\\u0001\""));
    free(text);
    nw_run_fini(&run);
}

static void json__numbers_read_back_equal(void **state)
{
    (void)state;
    static const double value[] = { 0.1, 1.0 / 3, 24, 1e30, 123456789.125, 5e-324 };
    for (size_t i = 0; i < NW_ARRAY_LEN(value); i++) {
        struct nw_run run = { 0 };
        struct nw_error err = { 0 };
        char *text;
        fixture_ratio(&run, "x", "percent", value[i]);
        assert_int_equal(nw_report_json_text(&run, 1, &text, &err), NW_OK);
        const char *at = strstr(text, "\"x\": ");
        assert_non_null(at);
        assert_true(strtod(at + 5, NULL) == value[i]);
        free(text);
        nw_run_fini(&run);
    }
}

static void json__what_is_no_number_is_null(void **state)
{
    (void)state;
    struct nw_run run = { 0 };
    struct nw_error err = { 0 };
    char *text;
    fixture_ratio(&run, "x", "percent", (double)NAN);
    assert_int_equal(nw_report_json_text(&run, 1, &text, &err), NW_OK);
    assert_non_null(strstr(text, "\"x\": null"));
    free(text);
    nw_run_fini(&run);
}

static void json__a_result_has_the_keys_of_the_reference(void **state)
{
    (void)state;
    static const char *const key[] = {
        "nestwalk",
        "runs",
        "scenario",
        "label",
        "mode",
        "machine",
        "trace",
        "trace_sha256",
        "accesses",
        "tlb",
        "walks",
        "references",
        "references_guest",
        "references_nested",
        "references_per_walk",
        "latency_histogram_cycles",
        "faults",
        "guest_page_faults",
        "ept_violations",
        "ept_misconfigurations",
        "dmar",
        "cycles",
        "base",
        "translation",
        "exits",
        "total",
        "overhead_percent",
        "replay",
        "seconds",
        "accesses_per_second",
        "engine",
        "fidelity",
        "parameters",
        "source",
        "units",
    };
    struct nw_result result = { 0 };
    struct nw_run run;
    struct nw_error err = { 0 };
    char *text, quoted[64];
    nw_config_init(&result.config);
    assert_int_equal(nw_run_from_result(&result, &run, &err), NW_OK);
    assert_int_equal(nw_report_json_text(&run, 1, &text, &err), NW_OK);
    for (size_t i = 0; i < NW_ARRAY_LEN(key); i++) {
        snprintf(quoted, sizeof quoted, "\"%s\":", key[i]);
        if (!strstr(text, quoted))
            fail_msg("the result JSON lacks %s", quoted);
    }
    free(text);
    nw_run_fini(&run);
    nw_config_fini(&result.config);
}

static void run__a_name_that_is_not_utf8_is_replaced_not_lost(void **state)
{
    (void)state;
    struct nw_result result = { 0 };
    struct nw_run run;
    struct nw_error err = { 0 };
    nw_config_init(&result.config);
    strcpy(result.trace, "b\xff\xc3\xa9\xed\xa0\x80.nwt");
    assert_int_equal(nw_run_from_result(&result, &run, &err), NW_OK);
    assert_string_equal(run.trace, "b\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd.nwt");
    nw_run_fini(&run);
    nw_config_fini(&result.config);
}

static void compare_text(void *context, const char *path, const char *value, const char *source,
                         const struct nw_param *p)
{
    (void)p;
    const struct nw_config *other = context;
    char now[256];
    struct nw_error err = { 0 };
    assert_int_equal(nw_config_get(other, path, now, sizeof now, &err), NW_OK);
    assert_string_equal(now, value);
    assert_string_equal(nw_config_source(other, path), source);
}

static void run__its_configuration_comes_back_with_sources(void **state)
{
    (void)state;
    struct nw_result result = { 0 };
    struct nw_config again;
    struct nw_run run;
    struct nw_error err = { 0 };
    nw_config_init(&result.config);
    assert_int_equal(nw_config_set(&result.config, "tlb.l2.entries", "3072", "cpuid", &err), NW_OK);
    assert_int_equal(nw_config_set(&result.config, "vmm.backing", "2M", "--set", &err), NW_OK);
    assert_int_equal(nw_run_from_result(&result, &run, &err), NW_OK);
    assert_int_equal(nw_run_config(&run, &again, &err), NW_OK);
    assert_int_equal(again.tlb_count, result.config.tlb_count);
    assert_int_equal(again.cache_count, result.config.cache_count);
    nw_config_visit(&result.config, compare_text, &again);
    nw_config_fini(&again);

    fixture_parameter(&run, "no.such.parameter", "1", "", "--set");
    assert_int_equal(nw_run_config(&run, &again, &err), NW_ERR_INPUT);
    assert_non_null(strstr(err.text, "does not fit this version"));
    nw_run_fini(&run);
    nw_config_fini(&result.config);
}

static void write__replaces_a_file_whole_and_leaves_nothing_beside_it(void **state)
{
    (void)state;
    struct nw_error err = { 0 };
    const char *path = fixture_path("out.json");
    struct stat st;
    assert_int_equal(nw_report_write(path, "first", 5, &err), NW_OK);
    assert_int_equal(nw_report_write(path, "second!", 7, &err), NW_OK);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 7);
    assert_int_equal(st.st_mode & 0700, 0600);
    assert_int_equal(remove(path), 0);
    assert_int_equal(rmdir(fixture_path("")), 0); /* nothing else was left there */
    assert_int_equal(mkdir(fixture_path(""), 0700), 0);
}

static void write__tells_what_cannot_be_written(void **state)
{
    (void)state;
    struct nw_error err = { 0 };
    const char *path = fixture_path("no-such-folder/out.json");
    assert_int_equal(nw_report_write(path, "x", 1, &err), NW_ERR_IO);
    assert_non_null(strstr(err.text, "no-such-folder/out.json"));
    assert_int_equal(nw_report_write("/dev/full", "x", 1, &err), NW_ERR_IO);
    assert_non_null(strstr(err.text, "/dev/full"));
    assert_int_equal(nw_report_write("/dev/null", "x", 1, &err), NW_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json__is_byte_for_byte_the_golden),
        cmocka_unit_test(csv__is_byte_for_byte_the_golden),
        cmocka_unit_test(json__escapes_what_text_may_hold),
        cmocka_unit_test(json__numbers_read_back_equal),
        cmocka_unit_test(json__what_is_no_number_is_null),
        cmocka_unit_test(json__a_result_has_the_keys_of_the_reference),
        cmocka_unit_test(run__a_name_that_is_not_utf8_is_replaced_not_lost),
        cmocka_unit_test(run__its_configuration_comes_back_with_sources),
        cmocka_unit_test(write__replaces_a_file_whole_and_leaves_nothing_beside_it),
        cmocka_unit_test(write__tells_what_cannot_be_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
