/* docs/scenarios.md is true: its examples load, its error is the one given, and it names every attribute and element there is. */
#include "scenarios/scratch.h"
#include <nestwalk/scenarios/machine.h>
#include <nestwalk/scenarios/scenario.h>

static char *document(void)
{
    size_t size;
    return scratch_read(NW_SOURCE_DIR "/docs/scenarios.md", &size);
}

static void reference__its_examples_load_and_are_consistent(void **state)
{
    (void)state;
    static const char fence[] = "\n```xml\n";
    char *text = document();
    unsigned scenarios = 0, machines = 0;
    for (char *at = text; (at = strstr(at, fence));) {
        at += strlen(fence);
        size_t size = (size_t)(strstr(at, "\n```\n") - at);
        const char *path = scratch_write("example.xml", at, size);
        struct nw_error err = { 0 };
        if (memmem(at, size, "<scenario", 9)) {
            struct nw_scenario sc;
            if (nw_scenario_load(path, NULL, &sc, &err))
                fail_msg("%s", err.text);
            for (size_t i = 0; i < sc.run_count; i++) {
                struct nw_config c;
                if (nw_scenario_config(&sc, i, &c, &err) || nw_config_check(&c, &err))
                    fail_msg("run %zu: %s", i, err.text);
                nw_config_fini(&c);
            }
            nw_scenario_fini(&sc);
            scenarios++;
        } else {
            struct nw_config c;
            nw_config_init(&c);
            if (nw_machine_load(path, NULL, &c, &err) || nw_config_check(&c, &err))
                fail_msg("%s", err.text);
            nw_config_fini(&c);
            machines++;
        }
    }
    free(text);
    assert_true(scenarios >= 1 && machines >= 1);
}

static void reference__its_error_is_the_one_given(void **state)
{
    (void)state;
    static const char wrong[] =
        "<scenario xmlns=\"urn:nestwalk:scenario:1\" name=\"study\">\n  <guest pagepolicy=\"4K\"/>\n</scenario>\n";
    struct nw_scenario sc;
    struct nw_error err = { 0 };
    assert_int_equal(nw_scenario_load(scratch_write("study.xml", wrong, strlen(wrong)), NULL, &sc, &err), NW_ERR_INPUT);
    char *text = document();
    const char *line = err.text + strlen(scratch_directory) + 1;
    if (!strstr(text, line))
        fail_msg("the document has another line than: %s", line);
    free(text);
}

static void reference__names_every_attribute_and_element(void **state)
{
    (void)state;
    char *text = document();
    size_t count, seen = 0;
    const struct nw_param *p = nw_params(&count);
    for (size_t i = 0; i < count; i++) {
        char name[64];
        snprintf(name, sizeof name, "`%s`", strrchr(p[i].path, '.') + 1);
        for (char *a = name; *a; a++)
            if (*a == '_')
                *a = '-';
        if (!strcmp(p[i].path,
                    "mix.base_cycles")) /* the mix has no elements; its reasons are named as those of <exit> */
            strcpy(name, "`mix.base_cycles`");
        if (!strcmp(p[i].path, "run.scenario"))
            continue;
        if (!strstr(text, name))
            fail_msg("the document does not name %s (%s)", name, p[i].path);
        seen++;
    }
    for (size_t i = 0; nw_machine_name(i); i++)
        assert_non_null(strstr(text, nw_machine_name(i)));
    free(text);
    assert_true(seen > 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reference__its_examples_load_and_are_consistent),
        cmocka_unit_test(reference__its_error_is_the_one_given),
        cmocka_unit_test(reference__names_every_attribute_and_element),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
