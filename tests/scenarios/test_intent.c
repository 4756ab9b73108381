/* Intent files: what each element gives, and that what is wrong is told with its place and what is allowed. */
#include "scenarios/scratch.h"
#include <nestwalk/iommu/reach.h>
#include <nestwalk/scenarios/intent.h>

#define ROOT "<intent xmlns=\"urn:nestwalk:intent:1\" others=\"blocked\""

static struct nw_intent load(const char *text)
{
    struct nw_intent in;
    struct nw_error err = { 0 };
    if (nw_intent_load(scratch_write("intent.xml", text, strlen(text)), &in, &err))
        fail_msg("%s", err.text);
    return in;
}

static void intent__everything_is_taken(void **state)
{
    (void)state;
    struct nw_intent in =
        load(ROOT " name='two guests'>\n"
                  "<shared first='0x9000' last='0x9fff' access='r' with='a hypervisor'/>\n"
                  "<guest name='a'>\n"
                  "  <memory first='0x100000000' last='0x13fffffff'/>\n"
                  "  <memory first='0x10000' last='0x1ffff' access='r'/>\n"
                  "  <device bdf='03:00.0' last='03:00.3'>\n"
                  "    <window first='0x7c000000' last='0x7c0fffff' target='0x7c000000' required='yes'/></device>\n"
                  "  <device bdf='0001:04:1f.7' pasid='0x12345'/>\n"
                  "  <window first='4096' last='0xffffffffff' access='w'/>\n"
                  "</guest>\n"
                  "<guest name='b'/>\n"
                  "<hypervisor><device bdf='00:1f.0'/></hypervisor>\n"
                  "<blocked><device bdf='05:00.0'/></blocked>\n"
                  "<tables><memory first='0x1000' last='0x1fff'/></tables></intent>");
    assert_string_equal(in.name, "two guests");
    assert_int_equal(in.others, NW_INTENT_BLOCKED);
    assert_int_equal(in.owners, 5);
    assert_string_equal(in.owner[0].name, "a");
    assert_true(in.owner[0].has_memory && !in.owner[1].has_memory);
    assert_int_equal(in.owner[4].kind, NW_INTENT_TABLES);
    assert_int_equal(in.memories, 3); /* in order */
    assert_true(in.memory[0].start == 0x1000 && in.memory[1].start == 0x10000 && in.memory[2].end == 0x140000000);
    assert_int_equal(in.memory[1].rights, NW_REACH_READ);
    assert_int_equal(in.memory[2].rights, NW_REACH_BOTH);
    assert_int_equal(in.shareds, 2);
    assert_int_equal(in.shared[0].owner, 0);
    assert_int_equal(in.shared[1].owner, 2);
    assert_int_equal(in.windows, 2);
    assert_true(in.window[0].device == 0 && in.window[0].required && in.window[0].has_target &&
                in.window[0].target == 0x7c000000 && in.window[0].line == 7);
    assert_true(in.window[1].device == -1 && in.window[1].owner == 0 && in.window[1].rights == NW_REACH_WRITE);
    assert_int_equal(in.devices, 4);
    assert_int_equal(nw_intent_device_of(&in, 0, 0x0302, false, 0), 0);
    assert_int_equal(nw_intent_device_of(&in, 0, 0x0302, true, 7), 0);
    assert_int_equal(nw_intent_device_of(&in, 0, 0x0304, false, 0), -1);
    assert_int_equal(nw_intent_device_of(&in, 1, 0x04ff, true, 0x12345), 1);
    assert_int_equal(nw_intent_device_of(&in, 1, 0x04ff, true, 0x12346), -1);
    assert_int_equal(nw_intent_device_of(&in, 1, 0x0302, false, 0), -1);
    char text[64];
    nw_intent_owner_text(&in, 0, text, sizeof text);
    assert_string_equal(text, "guest a");
    nw_intent_owner_text(&in, -1, text, sizeof text);
    assert_string_equal(text, "nobody");
    nw_intent_fini(&in);
}

static void intent__what_is_wrong_is_told(void **state)
{
    (void)state;
#define G(content) ROOT ">\n<guest name=\"a\">" content "</guest></intent>"
    static const struct {
        const char *text, *place, *said[2];
    } bad[] = {
        { "<intent xmlns=\"urn:nestwalk:intent:1\"/>",
          ":1:1:",
          { "\"others\" is missing", "blocked, hypervisor, unchecked" } },
        { "<intent xmlns=\"urn:nestwalk:intent:1\" others=\"all\"/>", ":1:39:", { "others=\"all\"", "unchecked" } },
        { "<intents/>", ":1:1:", { "<intent xmlns=\"urn:nestwalk:intent:1\">" } },
        { ROOT "><gest/></intent>", ":1:56:", { "did you mean \"guest\"" } },
        { G("<memmory/>"), ":2:17:", { "did you mean \"memory\"", "device" } },
        { G("<memory first='0x1000'/>"), ":2:17:", { "\"last\" is missing" } },
        { G("<memory first='0x1000' last='0x1fff' acces='r'/>"), ":2:54:", { "did you mean \"access\"" } },
        { G("<memory first='0x1000' last='0x1fff' access='x'/>"), ":2:54:", { "access=\"x\"", "r, w, rw" } },
        { G("<memory first='0x1001' last='0x1fff'/>"), ":2:25:", { "first byte of a page" } },
        { G("<memory first='0x1000' last='0x2000'/>"), ":2:40:", { "last byte of a page" } },
        { G("<memory first='4K' last='0x2fff'/>"), ":2:25:", { "an address, like" } },
        { G("<memory first='0x10000000000000000' last='0x2fff'/>"), ":2:25:", { "an address, like" } },
        { G("<memory first='0x2000' last='0xfff'/>"), ":2:40:", { "ends before its first byte 0x2000" } },
        { G("<memory first='0' last='0xffffffffffffffff'/>"), ":2:35:", { "below 2^52" } },
        { G("<memory first='0x1000' last='0x2fff'/>\n<memory first='0x2000' last='0x3fff'/>"),
          ":3:9:",
          { "overlaps the memory of line 2, 0x1000-0x2fff" } },
        { G("<device bdf='03:20.0'/>"), ":2:25:", { "bus:device.function" } },
        { G("<device bdf='03:00.0' last='02:00.0'/>"), ":2:39:", { "does not come before" } },
        { G("<device bdf='03:00.0' last='0001:04:00.0'/>"), ":2:39:", { "the same segment" } },
        { G("<device bdf='03:00.0' pasid='0x100000'/>"), ":2:39:", { "below 0x100000" } },
        { G("<device bdf='03:00.0' last='03:00.7'/>\n<device bdf='03:00.5'/>"),
          ":3:9:",
          { "named in line 2 already" } },
        { G("<window first='0x1000' last='0x1fff' target='0xffffffffffffe000'/>"), ":2:54:", { "2^52" } },
        { G("") "<!-- -->x", ":2:42:", { "Extra content" } },
        { ROOT "><guest name='a'/><guest name='a'/></intent>", ":1:80:", { "a guest \"a\" already" } },
        { ROOT "><guest name='a b'/></intent>", ":1:63:", { "letters, digits" } },
        { ROOT "><guest name='blocked'/></intent>", ":1:63:", { "none of hypervisor" } },
        { ROOT "><tables/><tables/></intent>", ":1:65:", { "\"tables\" already" } },
        { ROOT "><tables><device bdf='00:00.0'/></tables></intent>", ":1:64:", { "no such element in <tables>" } },
        { ROOT "><shared first='0' last='0xfff' with='b'/></intent>", ":1:87:", { "there is no guest \"b\"" } },
        { "<!DOCTYPE intent []>" G(""), ":1:1:", { "document type" } },
        { ROOT ">", ":1:", { "ends too early" } },
    };
    unsigned wrong = 0;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct nw_intent in;
        struct nw_error err = { 0 };
        const char *path = scratch_write("bad.xml", bad[i].text, strlen(bad[i].text));
        const enum nw_status s = nw_intent_load(path, &in, &err);
        const size_t n = strlen(path);
        bool good = s == NW_ERR_INPUT && !strncmp(err.text, path, n) &&
                    !strncmp(err.text + n, bad[i].place, strlen(bad[i].place));
        for (unsigned k = 0; k < 2 && bad[i].said[k]; k++)
            good &= strstr(err.text, bad[i].said[k]) != NULL;
        if (!good)
            print_error("%s\n  gives %d: %s\n  not %s %s\n", bad[i].text, s, err.text, bad[i].place, bad[i].said[0]);
        wrong += !good;
    }
    assert_int_equal(wrong, 0);
    struct nw_intent in;
    struct nw_error err = { 0 };
    assert_int_equal(nw_intent_load(scratch_path("none.xml"), &in, &err), NW_ERR_INPUT);
}

/* Cut off anywhere it is refused, with a place; nothing is lost. */
static void intent__cut_off_it_is_refused(void **state)
{
    (void)state;
    static const char text[] =
        ROOT "><guest name='a'><device bdf='03:00.0'><window first='0' last='0xfff'/></device>"
             "<memory first='0x1000' last='0x1fff'/></guest><shared first='0' last='0xfff' with='a'/></intent>";
    for (size_t n = 0; n < sizeof text - 1; n++) {
        struct nw_intent in;
        struct nw_error err = { 0 };
        assert_int_equal(nw_intent_load(scratch_write("cut.xml", text, n), &in, &err), NW_ERR_INPUT);
        assert_non_null(strstr(err.text, "cut.xml:"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(intent__everything_is_taken),
                                        cmocka_unit_test(intent__what_is_wrong_is_told),
                                        cmocka_unit_test(intent__cut_off_it_is_refused) };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
