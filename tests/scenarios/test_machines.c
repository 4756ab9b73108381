/* Machine profiles: the shipped ones are right and whole, others load from files, and what is saved comes back. */
#include "scenarios/scratch.h"
#include <nestwalk/scenarios/machine.h>

static void load(struct nw_config *c, const char *profile)
{
    struct nw_error err = { 0 };
    nw_config_init(c);
    if (nw_machine_load(profile, NULL, c, &err))
        fail_msg("%s: %s", profile, err.text);
}

static uint64_t number(const struct nw_config *c, const char *path)
{
    char text[64];
    struct nw_error err = { 0 };
    if (nw_config_get(c, path, text, sizeof text, &err))
        fail_msg("%s", err.text);
    return strtoull(text, NULL, 10);
}

/* Parameter by parameter: "path=value" lines, with sources if wanted. */
struct listing {
    char *text;
    size_t used, size;
    bool with_sources;
    unsigned parameters;
};

static void add_line(void *context, const char *path, const char *value, const char *source,
                     const struct nw_param *param)
{
    struct listing *l = context;
    if (param->group != NW_GROUP_MACHINE && l->with_sources)
        return;
    l->used += (size_t)snprintf(l->text + l->used, l->size - l->used, "%s=%s%s%s\n", path, value,
                                l->with_sources ? " from " : "", l->with_sources ? source : "");
    l->parameters++;
}

static struct listing list(const struct nw_config *c, bool with_sources)
{
    struct listing l = { .text = malloc(1 << 18), .size = 1 << 18, .with_sources = with_sources };
    assert_non_null(l.text);
    nw_config_visit(c, add_line, &l);
    assert_true(l.used < l.size && l.parameters > 40);
    return l;
}

static void assert_same(struct listing a, struct listing b)
{
    assert_string_equal(a.text, b.text);
    free(a.text);
    free(b.text);
}

static void profiles__the_shipped_ones_are_listed_in_order(void **state)
{
    (void)state;
    static const char *const wanted[] = {
        "amd-zen2",      "amd-zen3",         "amd-zen4",      "amd-zen5",
        "intel-haswell", "intel-icelake-sp", "intel-nehalem", "intel-sapphire-rapids",
        "intel-skylake", "intel-skylake-sp", "textbook",
    };
    for (size_t i = 0; i < NW_ARRAY_LEN(wanted); i++)
        assert_string_equal(nw_machine_name(i), wanted[i]);
    assert_null(nw_machine_name(NW_ARRAY_LEN(wanted)));
}

static void check_source(void *context, const char *path, const char *value, const char *source,
                         const struct nw_param *param)
{
    (void)value;
    const char *profile = context;
    if (param->group != NW_GROUP_MACHINE)
        return;
    if (!strcmp(source, "default"))
        fail_msg("%s does not give %s", profile, path);
    if (!strncmp(source, "assumed", 7) && (strncmp(source, "assumed: ", 9) != 0 || strlen(source) < 14))
        fail_msg("%s assumes %s without a reason", profile, path);
}

static void profiles__each_shipped_one_is_consistent_and_gives_every_parameter_a_source(void **state)
{
    (void)state;
    for (size_t i = 0; nw_machine_name(i); i++) {
        struct nw_config c;
        struct nw_error err = { 0 };
        load(&c, nw_machine_name(i));
        assert_string_equal(c.machine, nw_machine_name(i));
        if (nw_config_check(&c, &err))
            fail_msg("%s: %s", nw_machine_name(i), err.text);
        nw_config_visit(&c, check_source, (void *)nw_machine_name(i));
        nw_config_fini(&c);
    }
}

static void textbook__is_the_built_in_default_parameter_by_parameter(void **state)
{
    (void)state;
    struct nw_config built_in, loaded;
    nw_config_init(&built_in);
    load(&loaded, "textbook");
    assert_same(list(&built_in, false), list(&loaded, false));
    nw_config_fini(&built_in);
    nw_config_fini(&loaded);
}

static void textbook__has_the_geometry_of_its_definition(void **state)
{
    (void)state;
    struct nw_config c;
    load(&c, "textbook");
    static const struct nw_tlb_config wanted[] = {
        { "l1d", 1, NW_TLB_DATA, NW_HOLDS_ALL, 64, 4, NW_TLB_LRU, 0 },
        { "l1i", 1, NW_TLB_INSTRUCTION, NW_HOLDS_ALL, 128, 8, NW_TLB_LRU, 0 },
        { "l2", 2, NW_TLB_UNIFIED, NW_HOLDS_ALL, 1536, 12, NW_TLB_LRU, 0 },
    };
    assert_int_equal(c.tlb_count, NW_ARRAY_LEN(wanted));
    for (size_t i = 0; i < NW_ARRAY_LEN(wanted); i++) {
        assert_string_equal(c.tlb[i].name, wanted[i].name);
        assert_int_equal(c.tlb[i].level, wanted[i].level);
        assert_int_equal(c.tlb[i].class, wanted[i].class);
        assert_int_equal(c.tlb[i].pages, wanted[i].pages);
        assert_int_equal(c.tlb[i].entries, wanted[i].entries);
        assert_int_equal(c.tlb[i].ways, wanted[i].ways);
        assert_int_equal(c.tlb[i].policy, wanted[i].policy);
    }
    for (int level = 0; level < NW_PSC_LEVELS; level++)
        assert_true(c.psc_guest[level].entries == 0 && c.psc_nested[level].entries == 0);
    assert_int_equal(c.nested_tlb.entries, 0);
    assert_int_equal(c.cache_count, 3);
    assert_true(c.cache[0].size_bytes == 32 << 10 && c.cache[0].ways == 8);
    assert_true(c.cache[1].size_bytes == 1 << 20 && c.cache[1].ways == 16);
    assert_true(c.cache[2].size_bytes == 32 << 20 && c.cache[2].ways == 16);
    nw_config_fini(&c);
}

static void skylake__splits_its_first_level_by_page_size(void **state)
{
    (void)state;
    struct nw_config c;
    load(&c, "intel-skylake");
    assert_int_equal(number(&c, "tlb.l1d.entries"), 64);
    assert_int_equal(number(&c, "tlb.l1d-2m.entries"), 32);
    assert_int_equal(number(&c, "tlb.l1d-1g.entries"), 4);
    assert_int_equal(number(&c, "tlb.l2.entries"), 1536);
    assert_int_equal(number(&c, "tlb.l2.ways"), 12);
    assert_int_equal(number(&c, "tlb.l2-1g.entries"), 16);
    assert_int_equal(c.tlb[0].pages, NW_HOLDS_4K);
    assert_int_equal(number(&c, "psc.guest.pml5e.entries"), 0);
    assert_non_null(strstr(nw_config_source(&c, "tlb.l2.entries"), "Optimization Reference Manual"));
    nw_config_fini(&c);
}

static void zen4__has_its_cpuid_capacities_and_measured_latencies(void **state)
{
    (void)state;
    struct nw_config c;
    load(&c, "amd-zen4");
    assert_int_equal(number(&c, "tlb.l1d.entries"), 72);
    assert_int_equal(number(&c, "tlb.l1d.ways"), 72);
    assert_int_equal(number(&c, "tlb.l2d.entries"), 3072);
    assert_int_equal(number(&c, "tlb.l2d.hit_cycles"), 7);
    assert_int_equal(number(&c, "walker.first_cache"), 1);
    assert_true(!strncmp(nw_config_source(&c, "tlb.l1d.entries"), "cpuid", 5));
    assert_true(!strncmp(nw_config_source(&c, "tlb.l2d.hit_cycles"), "measured", 8));
    nw_config_fini(&c);
}

static void load__replaces_the_machine_and_nothing_else(void **state)
{
    (void)state;
    struct nw_config c;
    struct nw_error err = { 0 };
    nw_config_init(&c);
    assert_int_equal(nw_config_set(&c, "vmm.backing", "2M", "--set", &err), NW_OK);
    assert_int_equal(nw_config_set(&c, "tlb.l2.entries", "3072", "--set", &err), NW_OK);
    assert_int_equal(nw_machine_load("intel-skylake", NULL, &c, &err), NW_OK);
    assert_int_equal(c.vmm.backing, NW_PAGES_2M);
    assert_string_equal(nw_config_source(&c, "vmm.backing"), "--set");
    assert_int_equal(number(&c, "tlb.l2.entries"), 1536);
    nw_config_fini(&c);
}

static void load__a_wrong_name_gets_the_nearest_and_the_list_and_changes_nothing(void **state)
{
    (void)state;
    struct nw_config c;
    struct nw_error err = { 0 };
    load(&c, "intel-skylake");
    struct listing before = list(&c, true);
    assert_int_equal(nw_machine_load("intel-haswel", NULL, &c, &err), NW_ERR_USAGE);
    assert_string_equal(
        err.text, "there is no machine profile or file \"intel-haswel\"; did you mean \"intel-haswell\"?; shipped "
                  "profiles: amd-zen2, amd-zen3, amd-zen4, amd-zen5, intel-haswell, intel-icelake-sp, "
                  "intel-nehalem, intel-sapphire-rapids, intel-skylake, intel-skylake-sp, textbook");
    assert_int_equal(nw_machine_load("zzz", NULL, &c, &err), NW_ERR_USAGE);
    assert_null(strstr(err.text, "did you mean"));
    static const char bad[] = "<machine xmlns='urn:nestwalk:machine:1' name='b'><cost><frequency value='5' source='s'/>"
                              "<guest-fault value='-1' source='s'/></cost></machine>";
    assert_int_equal(nw_machine_load(scratch_write("b.xml", bad, strlen(bad)), NULL, &c, &err), NW_ERR_INPUT);
    assert_same(before, list(&c, true));
    nw_config_fini(&c);
}

static void load__files_are_found_from_the_directory_given(void **state)
{
    (void)state;
    static const char one[] = "<machine xmlns='urn:nestwalk:machine:1' name='one'>\n <tlb><array name='only'/></tlb>\n"
                              " <cost><frequency value='2.5' source='measured here'/></cost></machine>";
    scratch_write("one.xml", one, strlen(one));
    scratch_write("plain", one, strlen(one));
    static const char *const names[] = { "one.xml", "./one.xml", "plain" };
    for (size_t i = 0; i < NW_ARRAY_LEN(names); i++) {
        struct nw_config c;
        struct nw_error err = { 0 };
        nw_config_init(&c);
        if (nw_machine_load(names[i], scratch_directory, &c, &err))
            fail_msg("%s", err.text);
        assert_string_equal(c.machine, "one");
        assert_int_equal(c.tlb_count, 1);
        assert_int_equal(c.cache_count, 0);
        assert_string_equal(nw_config_source(&c, "cost.frequency"), "measured here");
        assert_string_equal(nw_config_source(&c, "tlb.only.entries"), "default");
        nw_config_fini(&c);
    }
}

static void save__comes_back_with_the_same_values_and_sources(void **state)
{
    (void)state;
    for (size_t i = 0; nw_machine_name(i); i++) {
        struct nw_config c, again;
        struct nw_error err = { 0 };
        load(&c, nw_machine_name(i));
        assert_int_equal(nw_config_set(&c, "machine.model", "a <b> & \"c\"\td", "it's \"measured\"\n& more", &err),
                         NW_OK);
        const char *path = scratch_path("saved.xml");
        if (nw_machine_save(&c, path, &err))
            fail_msg("%s", err.text);
        load(&again, path);
        assert_string_equal(again.model, "a <b> & \"c\"\td");
        assert_same(list(&c, true), list(&again, true));
        nw_config_fini(&c);
        nw_config_fini(&again);
    }
}

static void save__the_same_machine_gives_the_same_bytes_and_no_other_file(void **state)
{
    (void)state;
    struct nw_config c;
    struct nw_error err = { 0 };
    load(&c, "amd-zen4");
    const char *first = scratch_path("first.xml"), *second = scratch_path("second.xml");
    assert_int_equal(nw_machine_save(&c, first, &err), NW_OK);
    assert_int_equal(nw_machine_save(&c, second, &err), NW_OK);
    assert_int_equal(nw_machine_save(&c, second, &err), NW_OK); /* over an older one */
    size_t n[2];
    char *text[2] = { scratch_read(first, &n[0]), scratch_read(second, &n[1]) };
    assert_int_equal(n[0], n[1]);
    assert_memory_equal(text[0], text[1], n[0]);
    free(text[0]);
    free(text[1]);
    DIR *d = opendir(scratch_directory);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));)
        assert_null(strstr(e->d_name, ".tmp"));
    closedir(d);
    nw_config_fini(&c);
}

static void save__where_it_cannot_write_it_says_so(void **state)
{
    (void)state;
    struct nw_config c;
    struct nw_error err = { 0 };
    nw_config_init(&c);
    assert_int_equal(nw_machine_save(&c, scratch_path("absent/m.xml"), &err), NW_ERR_IO);
    assert_non_null(strstr(err.text, "cannot be written: No such file"));
    nw_config_fini(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(profiles__the_shipped_ones_are_listed_in_order),
        cmocka_unit_test(profiles__each_shipped_one_is_consistent_and_gives_every_parameter_a_source),
        cmocka_unit_test(textbook__is_the_built_in_default_parameter_by_parameter),
        cmocka_unit_test(textbook__has_the_geometry_of_its_definition),
        cmocka_unit_test(skylake__splits_its_first_level_by_page_size),
        cmocka_unit_test(zen4__has_its_cpuid_capacities_and_measured_latencies),
        cmocka_unit_test(load__replaces_the_machine_and_nothing_else),
        cmocka_unit_test(load__a_wrong_name_gets_the_nearest_and_the_list_and_changes_nothing),
        cmocka_unit_test(load__files_are_found_from_the_directory_given),
        cmocka_unit_test(save__comes_back_with_the_same_values_and_sources),
        cmocka_unit_test(save__the_same_machine_gives_the_same_bytes_and_no_other_file),
        cmocka_unit_test(save__where_it_cannot_write_it_says_so),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
