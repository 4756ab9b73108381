/* Scenarios: what each element and attribute does, in which order, and with which source. */
#include "scenarios/scratch.h"
#include <nestwalk/scenarios/guests.h>
#include <nestwalk/scenarios/machine.h>
#include <nestwalk/scenarios/scenario.h>

#define ROOT "<scenario xmlns=\"urn:nestwalk:scenario:1\" name=\"x\""

static struct nw_scenario load_from(const char *path, const char *machine)
{
    struct nw_scenario sc;
    struct nw_error err = { 0 };
    if (nw_scenario_load(path, machine, &sc, &err))
        fail_msg("%s", err.text);
    return sc;
}

static struct nw_scenario load(const char *text) { return load_from(scratch_write("x.xml", text, strlen(text)), NULL); }

static struct nw_config run_of(const struct nw_scenario *sc, size_t index)
{
    struct nw_config c;
    struct nw_error err = { 0 };
    if (nw_scenario_config(sc, index, &c, &err))
        fail_msg("%s", err.text);
    return c;
}

static void scenario__an_empty_one_is_one_run_of_the_defaults(void **state)
{
    (void)state;
    struct nw_scenario sc = load(ROOT "/>");
    assert_string_equal(sc.name, "x");
    assert_null(sc.trace);
    assert_int_equal(sc.run_count, 0);
    struct nw_config c = run_of(&sc, 0);
    assert_string_equal(c.machine, "textbook");
    assert_string_equal(c.scenario, "x");
    assert_int_equal(c.mode, NW_MODE_NATIVE);
    struct nw_error err = { 0 };
    struct nw_config none;
    assert_int_equal(nw_scenario_config(&sc, 1, &none, &err), NW_ERR_USAGE);
    nw_config_fini(&c);
    nw_scenario_fini(&sc);
}

static void scenario__the_trace_is_relative_to_the_file(void **state)
{
    (void)state;
    struct nw_scenario sc = load(ROOT "><trace src='t/btree.nwt'/></scenario>");
    assert_string_equal(sc.trace, scratch_path("t/btree.nwt"));
    nw_scenario_fini(&sc);
    sc = load(ROOT "><trace src='/t/btree.nwt'/></scenario>");
    assert_string_equal(sc.trace, "/t/btree.nwt");
    nw_scenario_fini(&sc);
}

static void scenario__settings_apply_in_order_and_remember_their_line(void **state)
{
    (void)state;
    struct nw_scenario sc = load(ROOT " seed='7' fidelity='tlb'>\n"
                                      "<run mode='shadow'/>\n"
                                      "<run mode='nested' label='big' seed='9'>\n"
                                      "  <set path='tlb.l2.entries' value='6144'/>\n"
                                      "</run>\n"
                                      "<guest paging='5-level' page-policy='thp' thp-threshold-pages='64'/>\n"
                                      "<vmm backing='2M' memory='512M' vpid='false'/>\n"
                                      "<set path='tlb.l2.entries' value='3072'/>\n"
                                      "<machine profile='intel-skylake'/>\n"
                                      "</scenario>");
    assert_int_equal(sc.run_count, 2);
    assert_string_equal(sc.run[0].label, "shadow");
    assert_string_equal(sc.run[1].label, "big");
    assert_string_equal(sc.run[1].mode, "nested");

    struct nw_config c = run_of(&sc, 0);
    assert_string_equal(c.machine, "intel-skylake");
    assert_string_equal(c.label, "shadow");
    assert_int_equal(c.mode, NW_MODE_SHADOW);
    assert_int_equal(c.fidelity, NW_FIDELITY_TLB);
    assert_int_equal(c.seed, 7);
    assert_int_equal(c.guest.levels, 5);
    assert_int_equal(c.guest.page_policy, NW_PAGES_THP);
    assert_int_equal(c.guest.thp_threshold_pages, 64);
    assert_int_equal(c.vmm.backing, NW_PAGES_2M);
    assert_int_equal(c.vmm.memory_bytes, 512 << 20);
    assert_int_equal(c.vmm.vpid, 0);
    assert_string_equal(nw_config_source(&c, "tlb.l2.entries"), "x.xml:8");
    assert_string_equal(nw_config_source(&c, "guest.levels"), "x.xml:6");
    assert_string_equal(nw_config_source(&c, "run.seed"), "x.xml:1");
    nw_config_fini(&c);

    c = run_of(&sc, 1);
    assert_int_equal(c.mode, NW_MODE_NESTED);
    assert_int_equal(c.seed, 9);
    char value[32];
    struct nw_error err = { 0 };
    assert_int_equal(nw_config_get(&c, "tlb.l2.entries", value, sizeof value, &err), NW_OK);
    assert_string_equal(value, "6144");
    assert_string_equal(nw_config_source(&c, "tlb.l2.entries"), "x.xml:4");
    nw_config_fini(&c);
    nw_scenario_fini(&sc);
}

static void scenario__the_caller_may_replace_the_machine_before_settings_apply(void **state)
{
    (void)state;
    static const char text[] =
        ROOT "><machine profile='absent-one'/><set path='tlb.l2d.entries' value='1536'/></scenario>";
    struct nw_scenario sc = load_from(scratch_write("x.xml", text, strlen(text)), "amd-zen4");
    assert_string_equal(sc.base.machine, "amd-zen4");
    char value[32];
    struct nw_error err = { 0 };
    assert_int_equal(nw_config_get(&sc.base, "tlb.l2d.entries", value, sizeof value, &err), NW_OK);
    assert_string_equal(value, "1536");
    nw_scenario_fini(&sc);
}

static void scenario__a_machine_file_is_relative_to_the_scenario(void **state)
{
    (void)state;
    struct nw_config c;
    struct nw_error err = { 0 };
    nw_config_init(&c);
    assert_int_equal(nw_config_set(&c, "machine.name", "mine", "test", &err), NW_OK);
    assert_int_equal(nw_machine_save(&c, scratch_path("mine.xml"), &err), NW_OK);
    nw_config_fini(&c);
    struct nw_scenario sc = load(ROOT "><machine profile='mine.xml'/></scenario>");
    assert_string_equal(sc.base.machine, "mine");
    nw_scenario_fini(&sc);
}

static void scenario__an_error_in_its_machine_file_names_that_file(void **state)
{
    (void)state;
    static const char machine[] = "<machine xmlns='urn:nestwalk:machine:1' name='m'>\n<wlaker/></machine>";
    static const char text[] = ROOT "><machine profile='m.xml'/></scenario>";
    scratch_write("m.xml", machine, strlen(machine));
    struct nw_scenario sc;
    struct nw_error err = { 0 };
    assert_int_equal(nw_scenario_load(scratch_write("x.xml", text, strlen(text)), NULL, &sc, &err), NW_ERR_INPUT);
    assert_non_null(strstr(err.text, "m.xml:2:1: <wlaker>: there is no such element in <machine>"));
}

static void scenario__sweeps_keep_their_values_in_order(void **state)
{
    (void)state;
    struct nw_scenario sc = load(ROOT "><sweep path='tlb.l2.entries' values=' 512 1024\n2048'/>"
                                      "<sweep path='vmm.backing' values='4K 2M'/></scenario>");
    assert_int_equal(sc.sweep_count, 2);
    assert_string_equal(sc.sweep[0].path, "tlb.l2.entries");
    assert_int_equal(sc.sweep[0].value_count, 3);
    assert_string_equal(sc.sweep[0].value[0], "512");
    assert_string_equal(sc.sweep[0].value[2], "2048");
    assert_int_equal(sc.sweep[1].value_count, 2);
    assert_string_equal(sc.sweep[0].source, "x.xml:1");
    char place[300];
    snprintf(place, sizeof place, "%s:2:34: <sweep>", scratch_path("x.xml"));
    assert_string_equal(sc.sweep[1].place, place);
    nw_scenario_fini(&sc);
}

/* 100,000 points are allowed, the runs counted in: 2 runs of 10 x 5000 values. */
static void scenario__sweeps_make_points_up_to_the_limit(void **state)
{
    (void)state;
    static char text[64 << 10];
    size_t used = (size_t)snprintf(text, sizeof text, "%s",
                                   ROOT "><run mode='native'/><run mode='nested'/>"
                                        "<sweep path='run.seed' values='1 2 3 4 5 6 7 8 9 10'/>"
                                        "<sweep path='cost.base.load' values='");
    for (int i = 0; i < 5000; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%d ", i);
    snprintf(text + used, sizeof text - used, "'/></scenario>");
    struct nw_scenario sc = load(text);
    assert_int_equal(sc.run_count * sc.sweep[0].value_count * sc.sweep[1].value_count, NW_SCENARIO_POINTS_MAX);
    nw_scenario_fini(&sc);
    snprintf(text + used, sizeof text - used, "5000'/></scenario>");
    struct nw_error err = { 0 };
    assert_int_equal(nw_scenario_load(scratch_write("x.xml", text, strlen(text)), NULL, &sc, &err), NW_ERR_INPUT);
    assert_non_null(strstr(err.text, "x.xml:1:"));
    assert_non_null(strstr(err.text, "<sweep>: its 5001 values"));
    assert_non_null(strstr(err.text, "at most 100000 are allowed"));
}

static void scenario__a_combination_that_an_override_may_mend_loads(void **state)
{
    (void)state;
    struct nw_scenario sc = load(ROOT "><set path='tlb.l2.entries' value='1000'/></scenario>");
    struct nw_config c = run_of(&sc, 0);
    struct nw_error err = { 0 };
    assert_int_equal(nw_config_check(&c, &err), NW_ERR_USAGE); /* 1000 entries in 12 ways */
    assert_int_equal(nw_config_set(&c, "tlb.l2.ways", "10", "--set", &err), NW_OK);
    assert_int_equal(nw_config_check(&c, &err), NW_OK);
    nw_config_fini(&c);
    nw_scenario_fini(&sc);
}

/* Every row of the table is an attribute of its group's element, so a new row needs no edit of schema or loader. */
static void schema__every_guest_vmm_and_run_parameter_is_an_attribute(void **state)
{
    (void)state;
    size_t count, seen = 0;
    const struct nw_param *p = nw_params(&count);
    for (size_t i = 0; i < count; i++) {
        const char *element = p[i].group == NW_GROUP_GUEST ? "guest"
                              : p[i].group == NW_GROUP_VMM ? "vmm"
                              : p[i].group == NW_GROUP_RUN ? "run"
                                                           : NULL;
        if (!element || !strcmp(p[i].path, "run.scenario"))
            continue;
        char attribute[64], text[512];
        const char *value = p[i].type == NW_PARAM_TEXT ? "some text" : p[i].initial;
        snprintf(attribute, sizeof attribute, "%s", strchr(p[i].path, '.') + 1);
        for (char *a = attribute; *a; a++)
            if (*a == '_')
                *a = '-';
        snprintf(text, sizeof text, ROOT "><%s %s %s=\"%s\"/></scenario>", element,
                 strcmp(element, "run") || !strcmp(attribute, "mode") ? "" : "mode=\"native\"", attribute, value);
        struct nw_scenario sc = load(text);
        struct nw_config c = run_of(&sc, 0);
        assert_string_equal(nw_config_source(&c, p[i].path), "x.xml:1");
        nw_config_fini(&c);
        nw_scenario_fini(&sc);
        seen++;
    }
    assert_true(seen >= 15);
}

static void check_guests(const char *path, const char *name)
{
    struct nw_guests_scenario sc;
    struct nw_error err = { 0 };
    if (nw_guests_load(path, &sc, &err))
        fail_msg("%s", err.text);
    assert_int_equal(strlen(sc.name), strlen(name) - 4);
    assert_memory_equal(sc.name, name, strlen(sc.name));
    for (size_t i = 0; i < (sc.run_count ? sc.run_count : 1); i++) {
        struct nw_vms_config c;
        if (nw_guests_config(&sc, i, &c, &err) || nw_vms_config_check(&c, &err))
            fail_msg("%s: %s", name, err.text);
        nw_vms_config_fini(&c);
    }
    nw_guests_fini(&sc);
}

static void shipped__every_scenario_loads_and_is_consistent(void **state)
{
    (void)state;
    unsigned files = 0;
    DIR *d = opendir(NW_SOURCE_DIR "/scenarios/shipped");
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        if (!strstr(e->d_name, ".xml"))
            continue;
        char path[512];
        snprintf(path, sizeof path, NW_SOURCE_DIR "/scenarios/shipped/%s", e->d_name);
        bool several;
        struct nw_error unread = { 0 };
        assert_int_equal(nw_guests_recognise(path, &several, &unread), NW_OK);
        if (several) {
            check_guests(path, e->d_name);
            continue;
        }
        struct nw_scenario sc = load_from(path, NULL);
        assert_int_equal(strlen(sc.name), strlen(e->d_name) - 4);
        assert_memory_equal(sc.name, e->d_name, strlen(sc.name));
        assert_true(sc.run_count > 1);
        for (size_t i = 0; i < sc.run_count; i++) {
            struct nw_config c = run_of(&sc, i);
            struct nw_error err = { 0 };
            if (nw_config_check(&c, &err))
                fail_msg("%s, run %s: %s", e->d_name, c.label, err.text);
            nw_config_fini(&c);
        }
        nw_scenario_fini(&sc);
        files++;
    }
    closedir(d);
    assert_true(files >= 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scenario__an_empty_one_is_one_run_of_the_defaults),
        cmocka_unit_test(scenario__the_trace_is_relative_to_the_file),
        cmocka_unit_test(scenario__settings_apply_in_order_and_remember_their_line),
        cmocka_unit_test(scenario__the_caller_may_replace_the_machine_before_settings_apply),
        cmocka_unit_test(scenario__a_machine_file_is_relative_to_the_scenario),
        cmocka_unit_test(scenario__an_error_in_its_machine_file_names_that_file),
        cmocka_unit_test(scenario__sweeps_keep_their_values_in_order),
        cmocka_unit_test(scenario__sweeps_make_points_up_to_the_limit),
        cmocka_unit_test(scenario__a_combination_that_an_override_may_mend_loads),
        cmocka_unit_test(schema__every_guest_vmm_and_run_parameter_is_an_attribute),
        cmocka_unit_test(shipped__every_scenario_loads_and_is_consistent),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
