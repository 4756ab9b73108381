/* A guest program under capture and at native speed touches the same pages in the same order. Live; skipped, with the reason, where there is no KVM. */
#include "trace_support.h"
#include <nestwalk/base/bits.h>
#include <nestwalk/traces/capture.h>
#include <nestwalk/traces/same_pages.h>

static struct nw_same_pages take(const char *workload, uint64_t seed, bool large_pages)
{
    struct nw_capture_options o;
    struct nw_same_pages same;
    struct nw_error err = { 0 };
    nw_capture_defaults(&o);
    o.workload = workload;
    o.seed = seed;
    o.large_pages = large_pages;
    o.size = 512 << 10;
    o.operations = !strcmp(workload, "vmchurn") ? 100 : 2000;
    o.instructions_max = 8000;
    o.timeout_seconds = 60;
    const enum nw_status s = nw_same_pages(&o, &same, &err);
    if (s == NW_ERR_ENV) {
        print_message("skipped: %s\n", err.text);
        skip();
    }
    if (s)
        fail_msg("%s: %s", workload, err.text);
    return same;
}

static void same_pages__capture_changes_neither_order_nor_contents(void **state)
{
    (void)state;
    static const struct {
        const char *workload;
        bool large_pages;
    } run[] = { { "vmchurn", false }, { "vmchurn", true }, { "btree", false }, { "hashjoin", true } };
    for (size_t i = 0; i < NW_ARRAY_LEN(run); i++) {
        const struct nw_same_pages same = take(run[i].workload, 42, run[i].large_pages);
        assert_string_equal(same.difference, "");
        assert_true(same.contents_equal);
        assert_true(same.memory_pages > 1000);
        assert_int_equal(same.contents_native, same.contents_captured);
        if (!same.order_watched) {
            print_message("without the order: %s\n", same.why);
            continue;
        }
        assert_true(same.order_equal);
        assert_true(same.pages > 4 && same.fetched >= same.pages);
        assert_int_equal(same.order_native, same.order_captured);
    }
}

/* Another seed is another program: what is compared tells the two apart. */
static void same_pages__another_order_is_another_digest(void **state)
{
    (void)state;
    const struct nw_same_pages a = take("gups", 42, false), b = take("gups", 43, false);
    assert_int_not_equal(a.contents_native, b.contents_native);
    assert_int_not_equal(a.contents_captured, b.contents_captured);
    assert_int_not_equal(a.order_captured, b.order_captured);
    if (a.order_watched && b.order_watched)
        assert_int_not_equal(a.order_native, b.order_native);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_pages__capture_changes_neither_order_nor_contents),
        cmocka_unit_test(same_pages__another_order_is_another_digest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
