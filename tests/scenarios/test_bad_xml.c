/* What is not a scenario or profile gives one line that says where, what, and what is allowed. */
#include "scenarios/scratch.h"
#include <nestwalk/base/rng.h>
#include <nestwalk/scenarios/machine.h>
#include <nestwalk/scenarios/scenario.h>

#define S(attributes, content) "<scenario xmlns=\"urn:nestwalk:scenario:1\" " attributes ">" content "</scenario>"
#define M(content)             "<machine xmlns=\"urn:nestwalk:machine:1\" name=\"m\">" content "</machine>"

static enum nw_status load(const char *path, bool machine, struct nw_error *err)
{
    enum nw_status s;
    if (machine) {
        struct nw_config c;
        nw_config_init(&c);
        s = nw_machine_load(path, NULL, &c, err);
        nw_config_fini(&c);
    } else {
        struct nw_scenario sc;
        s = nw_scenario_load(path, NULL, &sc, err);
        if (!s)
            nw_scenario_fini(&sc);
    }
    return s;
}

struct bad {
    const char *text;
    bool machine;
    enum nw_status status;
    const char *place;   /* ":LINE:COLUMN: " */
    const char *said[3]; /* what the message has in it */
};

static void refused(const struct bad *b)
{
    struct nw_error err = { 0 };
    const char *path = scratch_write("bad.xml", b->text, strlen(b->text));
    enum nw_status s = load(path, b->machine, &err);
    if (s != b->status || strncmp(err.text, path, strlen(path)) != 0 ||
        strncmp(err.text + strlen(path), b->place, strlen(b->place)) != 0)
        fail_msg("status %d, \"%s\" for: %s", s, err.text, b->text);
    for (size_t i = 0; i < NW_ARRAY_LEN(b->said) && b->said[i]; i++)
        if (!strstr(err.text, b->said[i]))
            fail_msg("\"%s\" lacks \"%s\"", err.text, b->said[i]);
    assert_null(strchr(err.text, '\n'));
    assert_int_equal(err.status, s);
}

static void all_refused(const struct bad *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        refused(&b[i]);
}

static void xml__what_is_not_well_formed_is_refused(void **state)
{
    (void)state;
    static const struct bad cases[] = {
        { "", false, NW_ERR_INPUT, ":1:1: ", { "no element" } },
        { "[core]\n", false, NW_ERR_INPUT, ":1:1: ", { "text where an XML file has its first tag" } },
        { S("name='x'", "\n<run mode='native'>"), false, NW_ERR_INPUT, ":2:", { "mismatch" } },
        { "<scenario xmlns='urn:nestwalk:scenario:1' name='x'>\n <run mode='nat",
          false,
          NW_ERR_INPUT,
          ":2:",
          { "the file ends too early" } },
        { S("name='\xe9'", ""), false, NW_ERR_INPUT, ":1:", { "UTF-8" } },
        { S("name='a\x01'", ""), false, NW_ERR_INPUT, ":1:", { "does not allow" } },
    };
    all_refused(cases, NW_ARRAY_LEN(cases));
}

static void xml__utf16_and_zero_bytes_are_refused(void **state)
{
    (void)state;
    static const char utf16[] = "\xff\xfe<\0s\0c\0";
    struct nw_error err = { 0 };
    assert_int_equal(load(scratch_write("utf16.xml", utf16, sizeof utf16), false, &err), NW_ERR_INPUT);
    assert_non_null(strstr(err.text, ":1:4: a zero byte"));
}

static void xml__larger_than_the_limit_is_refused(void **state)
{
    (void)state;
    size_t size = (1 << 20) + 1;
    char *text = malloc(size);
    assert_non_null(text);
    memset(text, ' ', size);
    static const char small[] = S("name='x'", "");
    memcpy(text, small, sizeof small - 1);
    struct nw_error err = { 0 };
    assert_int_equal(load(scratch_write("huge.xml", text, size), false, &err), NW_ERR_INPUT);
    assert_non_null(strstr(err.text, "larger than 1048576 bytes"));
    assert_int_equal(load(scratch_write("large.xml", text, size - 1), false, &err), NW_OK);
    free(text);
}

static void xml__a_missing_file_says_so(void **state)
{
    (void)state;
    struct nw_error err = { 0 };
    assert_int_equal(load(scratch_path("absent.xml"), false, &err), NW_ERR_INPUT);
    assert_non_null(strstr(err.text, "absent.xml: cannot be opened: No such file"));
    assert_int_equal(load(scratch_path("absent.xml"), true, &err), NW_ERR_INPUT);
    assert_int_equal(load(scratch_directory, false, &err), NW_ERR_INPUT);
}

static void xml__entities_and_document_types_are_refused(void **state)
{
    (void)state;
    static const struct bad cases[] = {
        { "<?xml version='1.0'?>\n<!-- x -->\n<!DOCTYPE scenario [<!ENTITY a SYSTEM 'file:///etc/hostname'>]>\n"
          "<scenario xmlns='urn:nestwalk:scenario:1' name='x'>&a;</scenario>",
          false,
          NW_ERR_INPUT,
          ":3:1: ",
          { "document type", "not allowed" } },
        { "<!DOCTYPE lolz [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'><!ENTITY c "
          "'&b;&b;&b;&b;&b;&b;&b;'>]>\n"
          "<machine xmlns='urn:nestwalk:machine:1' name='&c;'/>",
          true,
          NW_ERR_INPUT,
          ":1:1: ",
          { "document type" } },
        { "<!DOCTYPE scenario SYSTEM 'http://127.0.0.1:9/x.dtd'><scenario/>",
          false,
          NW_ERR_INPUT,
          ":1:1: ",
          { "document type" } },
        { S("name='x'", "&a;"), false, NW_ERR_INPUT, ":1:", { "'a'" } },
    };
    all_refused(cases, NW_ARRAY_LEN(cases));
}

static void xml__a_schema_named_by_the_file_is_not_read(void **state)
{
    (void)state;
    static const char hint[] = S("name='x' xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance' "
                                 "xsi:schemaLocation='urn:nestwalk:scenario:1 /dev/stdin'",
                                 "<run mode='native'/>");
    struct nw_error err = { 0 };
    assert_int_equal(load(scratch_write("hint.xml", hint, strlen(hint)), false, &err), NW_OK);
}

static void xml__another_root_or_namespace_is_refused(void **state)
{
    (void)state;
    static const struct bad cases[] = {
        { "<scene name='x'/>", false, NW_ERR_INPUT, ":1:1: ", { "<scene>", "must be <scenario xmlns=" } },
        { M(""), false, NW_ERR_INPUT, ":1:1: ", { "<machine>: this is no scenario file" } },
        { S("name='x'", ""), true, NW_ERR_INPUT, ":1:1: ", { "<scenario>: this is no machine file" } },
        { "<scenario name='x'/>", false, NW_ERR_INPUT, ":1:1: ", { "namespace is missing" } },
        { "<scenario xmlns='urn:nestwalk:scenario:2' name='x'/>",
          false,
          NW_ERR_INPUT,
          ":1:11: ",
          { "urn:nestwalk:scenario:2", "allowed: \"urn:nestwalk:scenario:1\"" } },
    };
    all_refused(cases, NW_ARRAY_LEN(cases));
}

static void scenario__unknown_elements_and_attributes_are_refused_with_what_is_allowed(void **state)
{
    (void)state;
    static const struct bad cases[] = {
        { S("name='x'", "\n  <gest/>"),
          false,
          NW_ERR_INPUT,
          ":2:3: ",
          { "<gest>", "did you mean \"guest\"?", "Allowed: trace, machine, guest, vmm, iommu, io, run, set, sweep" } },
        { S("name='x'", "\n<guest\n  pagepolicy='4K'/>"),
          false,
          NW_ERR_INPUT,
          ":3:3: ",
          { "no attribute \"pagepolicy\"", "did you mean \"page-policy\"?", "levels" } },
        { S("name='x'", "<run mode='native'><trace src='a'/></run>"), false, NW_ERR_INPUT, ":1:", { "allowed: set" } },
        { S("name='x'", "<trace src='a'><b/></trace>"),
          false,
          NW_ERR_INPUT,
          ":1:",
          { "<trace>: this element is empty" } },
        { S("name='x'", "hello"), false, NW_ERR_INPUT, ":1:1: ", { "text is not allowed" } },
        { S("name='x' colour='y'", ""),
          false,
          NW_ERR_INPUT,
          ":1:",
          { "<scenario>: there is no attribute \"colour\"" } },
        { S("", ""), false, NW_ERR_INPUT, ":1:1: ", { "attribute \"name\" is missing" } },
        { S("name='x'", "<run label='a'/>"),
          false,
          NW_ERR_INPUT,
          ":1:",
          { "attribute \"mode\" is missing; allowed: native, direct, shadow, nested" } },
    };
    all_refused(cases, NW_ARRAY_LEN(cases));
}

static void scenario__wrong_values_are_refused_with_what_is_allowed(void **state)
{
    (void)state;
    static const struct bad cases[] = {
        { S("name='x'", "\n<guest page-policy='5K'/>"),
          false,
          NW_ERR_INPUT,
          ":2:8: ",
          { "page-policy=\"5K\"", "4K, 2M, 1G, thp" } },
        { S("name='x'", "<vmm levels='9'/>"), false, NW_ERR_INPUT, ":1:", { "vmm.levels=9", "from 4 to 5" } },
        { S("name='x'", "<vmm vpid='perhaps'/>"), false, NW_ERR_INPUT, ":1:", { "0, 1, false, true" } },
        { S("name='x'", "<guest paging='6-level'/>"), false, NW_ERR_INPUT, ":1:", { "4-level, 5-level" } },
        { S("name='x'", "<guest paging='5-level' levels='5'/>"), false, NW_ERR_INPUT, ":1:", { "give one" } },
        { S("name='x' seed='many'", ""), false, NW_ERR_INPUT, ":1:", { "run.seed=many", "whole number" } },
        { S("name='x'", "<run mode='binary'/>"), false, NW_ERR_INPUT, ":1:", { "native, direct, shadow, nested" } },
        { S("name='x'", "<set path='tlb.l2.entreis' value='1'/>"),
          false,
          NW_ERR_INPUT,
          ":1:",
          { "no parameter \"tlb.l2.entreis\"", "tlb.l2.entries" } },
        { S("name='x'", "<set path='run.mode' value='native'/>"),
          false,
          NW_ERR_INPUT,
          ":1:",
          { "attribute of <run>" } },
        { S("name='x'", "\n<run mode='nested'>\n <set path='vmm.backing'\n value='3M'/></run>"),
          false,
          NW_ERR_INPUT,
          ":4:2: ",
          { "<set>: vmm.backing=3M", "4K, 2M, 1G" } },
        { S("name='x'", "<sweep path='tlb.l2.entries' values='512 0'/>"),
          false,
          NW_ERR_INPUT,
          ":1:",
          { "tlb.l2.entries=0", "from 1" } },
        { S("name='x'", "<sweep path='tlb.l2.entries' values=' '/>"),
          false,
          NW_ERR_INPUT,
          ":1:",
          { "no value to try" } },
        { S("name='x'", "\n <sweep path='tlb.l2.entrees' values='1'/>"),
          false,
          NW_ERR_INPUT,
          ":2:9: ",
          { "<sweep>: there is no parameter \"tlb.l2.entrees\"", "the nearest are tlb.l2.entries" } },
        { S("name='x'", "\n <sweep path='run.label' values='a b'/>"),
          false,
          NW_ERR_INPUT,
          ":2:9: ",
          { "run.label is a name" } },
        { S("name='x'", "\n <sweep path='tlb.l2.entries' values='1024 512 1K'/>"),
          false,
          NW_ERR_INPUT,
          ":2:31: ",
          { "tlb.l2.entries=1024 is there twice" } },
        { S("name='x'", "\n <sweep path='vmm.backing' values='4K 2M'/><run mode='nested' label='r'>\n"
                        "<set path='vmm.backing' value='2M'/></run>"),
          false,
          NW_ERR_INPUT,
          ":2:28: ",
          { "<sweep>: run \"r\" sets vmm.backing itself" } },
        { S("name='x'", "<machine profile='textbok'/>"),
          false,
          NW_ERR_INPUT,
          ":1:",
          { "did you mean \"textbook\"?", "intel-skylake, intel-skylake-sp, textbook" } },
    };
    all_refused(cases, NW_ARRAY_LEN(cases));
}

static void scenario__what_may_stand_once_is_refused_twice(void **state)
{
    (void)state;
    static const struct bad cases[] = {
        { S("name='x'", "\n<machine profile='textbook'/>\n<machine profile='textbook'/>"),
          false,
          NW_ERR_INPUT,
          ":3:1: ",
          { "a second <machine>; the first is in line 2" } },
        { S("name='x'", "<trace src='a'/><trace src='a'/>"), false, NW_ERR_INPUT, ":1:", { "a second <trace>" } },
        { S("name='x'", "<guest/>\n<guest/>"), false, NW_ERR_INPUT, ":2:1: ", { "a second <guest>" } },
        { S("name='x'", "<vmm/>\n<vmm/>"), false, NW_ERR_INPUT, ":2:1: ", { "a second <vmm>" } },
        { S("name='x'", "<run mode='nested'/>\n<run mode='nested'/>"),
          false,
          NW_ERR_INPUT,
          ":2:6: ",
          { "labelled \"nested\"" } },
        { S("name='x'", "<run mode='nested' label='a'/>\n<run mode='shadow' label='a'/>"),
          false,
          NW_ERR_INPUT,
          ":2:20: ",
          { "labelled \"a\"" } },
        { S("name='x'", "<sweep path='vmm.levels' values='4'/>\n<sweep path='vmm.levels' values='5'/>"),
          false,
          NW_ERR_INPUT,
          ":2:8: ",
          { "a second sweep of vmm.levels" } },
    };
    all_refused(cases, NW_ARRAY_LEN(cases));
}

static void scenario__reserved_elements_are_unsupported_not_ignored(void **state)
{
    (void)state;
    static const struct bad cases[] = {
        { S("name='x'", "<vmm>\n<balloon target='64M'/></vmm>"),
          false,
          NW_ERR_UNSUPPORTED,
          ":2:1: ",
          { "<balloon>", "<guests>" } },
        { S("name='x'", "<vmm><swap/></vmm>"), false, NW_ERR_UNSUPPORTED, ":1:", { "<swap>" } },
        { S("name='x'", "<vmm><sharing/></vmm>"), false, NW_ERR_UNSUPPORTED, ":1:", { "<sharing>" } },
        { S("name='x'", "<iommu kind='vtd'><unit/></iommu>"), false, NW_ERR_INPUT, ":1:", { "<iommu>", "empty" } },
        { S("name='x'", "<iommu kind='amd'/>"), false, NW_ERR_INPUT, ":1:", { "kind", "none, vtd" } },
    };
    all_refused(cases, NW_ARRAY_LEN(cases));
}

static void machine__every_value_needs_a_source(void **state)
{
    (void)state;
    static const struct bad cases[] = {
        { M("<walker>\n <overlap value='2'/></walker>"),
          true,
          NW_ERR_INPUT,
          ":2:2: ",
          { "<overlap>", "attribute \"source\" is missing", "assumed: reason" } },
        { M("<walker><overlap value='2' source=''/></walker>"), true, NW_ERR_INPUT, ":1:", { "must not be empty" } },
    };
    all_refused(cases, NW_ARRAY_LEN(cases));
}

static void machine__wrong_names_and_values_are_refused(void **state)
{
    (void)state;
    static const struct bad cases[] = {
        { M("<walker><overlp value='2' source='s'/></walker>"),
          true,
          NW_ERR_INPUT,
          ":1:",
          { "did you mean \"overlap\"?", "first-cache, level-cycles, overlap" } },
        { M("<walker><overlap value='1000' source='s'/></walker>"),
          true,
          NW_ERR_INPUT,
          ":1:",
          { "walker.overlap=1000", "from 1 to 64" } },
        { M("<walker><overlap value='2' source='s'/><overlap value='2' source='s'/></walker>"),
          true,
          NW_ERR_INPUT,
          ":1:",
          { "walker.overlap is given twice" } },
        { M("<tlb><array name='a'/>\n<array name='a'/></tlb>"),
          true,
          NW_ERR_INPUT,
          ":2:8: ",
          { "\"a\" exists already" } },
        { M("<tlb><array/></tlb>"), true, NW_ERR_INPUT, ":1:", { "attribute \"name\" is missing" } },
        { M("<tlb><array name='L1'/></tlb>"), true, NW_ERR_INPUT, ":1:", { "L1", "a-z" } },
        { M("<tlb><array name='a'><class value='dat' source='s'/></array></tlb>"),
          true,
          NW_ERR_INPUT,
          ":1:",
          { "data, instruction, unified" } },
        { M("<tlb><array name='a'><pages value='4K 3M' source='s'/></array></tlb>"),
          true,
          NW_ERR_INPUT,
          ":1:",
          { "4K 3M", "4K, 2M, 1G" } },
        { M("<memory><cache name='dram'/></memory>"), true, NW_ERR_INPUT, ":1:", { "\"dram\" is taken" } },
        { M("<vmm><levels value='5' source='s'/></vmm>"),
          true,
          NW_ERR_INPUT,
          ":1:",
          { "no such element in <machine>" } },
    };
    all_refused(cases, NW_ARRAY_LEN(cases));
}

static void machine__too_many_arrays_are_refused(void **state)
{
    (void)state;
    char text[4096] = "<machine xmlns='urn:nestwalk:machine:1' name='m'><tlb>";
    for (int i = 0; i <= NW_TLB_ARRAYS_MAX; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "<array name='a%d'/>", i);
    strcat(text, "</tlb></machine>");
    refused(&(struct bad){ text, true, NW_ERR_INPUT, ":1:", { "at most 16 arrays" } });
}

/* Every file that a cut or a changed byte makes of a good one loads or is refused with one line; the sanitizers watch. */
static void damage(const char *original, bool machine, uint64_t seed)
{
    print_message("seed %llu\n", (unsigned long long)seed);
    struct nw_rng rng = nw_rng_for(seed, original);
    size_t size, loaded = 0, refusals = 0;
    char *text = scratch_read(original, &size), *copy = malloc(size + 1);
    assert_non_null(copy);
    for (int i = 0; i < 400; i++) {
        memcpy(copy, text, size);
        size_t n = size;
        if (i & 1)
            n = nw_rng_below(&rng, size);
        else
            for (uint64_t k = nw_rng_below(&rng, 3) + 1; k; k--)
                copy[nw_rng_below(&rng, size)] = (char)nw_rng_below(&rng, 256);
        struct nw_error err = { 0 };
        enum nw_status s = load(scratch_write("damaged.xml", copy, n), machine, &err);
        loaded += s == NW_OK;
        refusals += s != NW_OK;
        assert_true(s == NW_OK || s == NW_ERR_INPUT);
        assert_true(s == NW_OK || (err.text[0] && !strchr(err.text, '\n')));
    }
    assert_true(refusals >= 200 && loaded > 0); /* each of the 200 cuts is noticed */
    free(copy);
    free(text);
}

static void xml__damaged_files_never_do_harm(void **state)
{
    (void)state;
    damage(NW_SOURCE_DIR "/scenarios/shipped/nested-4k-vs-2m.xml", false, 20240611);
    damage(NW_SOURCE_DIR "/scenarios/machines/textbook.xml", true, 20240612);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(xml__what_is_not_well_formed_is_refused),
        cmocka_unit_test(xml__utf16_and_zero_bytes_are_refused),
        cmocka_unit_test(xml__larger_than_the_limit_is_refused),
        cmocka_unit_test(xml__a_missing_file_says_so),
        cmocka_unit_test(xml__entities_and_document_types_are_refused),
        cmocka_unit_test(xml__a_schema_named_by_the_file_is_not_read),
        cmocka_unit_test(xml__another_root_or_namespace_is_refused),
        cmocka_unit_test(scenario__unknown_elements_and_attributes_are_refused_with_what_is_allowed),
        cmocka_unit_test(scenario__wrong_values_are_refused_with_what_is_allowed),
        cmocka_unit_test(scenario__what_may_stand_once_is_refused_twice),
        cmocka_unit_test(scenario__reserved_elements_are_unsupported_not_ignored),
        cmocka_unit_test(machine__every_value_needs_a_source),
        cmocka_unit_test(machine__wrong_names_and_values_are_refused),
        cmocka_unit_test(machine__too_many_arrays_are_refused),
        cmocka_unit_test(xml__damaged_files_never_do_harm),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
