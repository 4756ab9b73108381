/* The comparison of the model's counters with KVM's, on made-up runs: it must see every difference. */
#include <jansson.h>
#include <nestwalk/reports/shadow_check.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct nw_shadow_check fresh(void)
{
    return (struct nw_shadow_check){ .host = { .backend = "pvm", .release = "6.18", .counted = UINT32_MAX } };
}

static void compare(struct nw_shadow_check *c, const char *name, const struct nw_kvm_counters *model, size_t models,
                    const struct nw_kvm_counters *kvm, size_t kvms)
{
    assert_int_equal(nw_shadow_check_compare(c, name, "touch", model, models, kvm, kvms, NULL), NW_OK);
}

static const struct nw_kvm_counters run_a[] = { { .pf_taken = 2, .pages_4k = 11 }, { .pf_taken = 6, .pages_4k = 9 } };
/* The same at the end, by another way. */
static const struct nw_kvm_counters run_b[] = { { .pf_taken = 3, .pages_4k = 11 }, { .pf_taken = 6, .pages_4k = 9 } };

static void check__equal_runs_hold_and_only_counters_that_moved_are_points(void **state)
{
    (void)state;
    struct nw_shadow_check c = fresh();
    compare(&c, "same", run_a, 2, run_a, 2);
    assert_true(nw_shadow_check_holds(&c));
    assert_int_equal(c.point_count, 2);
    assert_int_equal(c.program[0].agreeing, 2);
    nw_shadow_check_fini(&c);
}

static void check__equal_sums_with_unequal_segments_do_not_hold(void **state)
{
    (void)state;
    struct nw_shadow_check c = fresh();
    compare(&c, "same", run_a, 2, run_a, 2);
    compare(&c, "other", run_b, 2, run_a, 2);
    assert_false(nw_shadow_check_holds(&c));
    assert_string_equal(c.program[1].difference, "segment 0: pf_taken +3, KVM +2");
    assert_int_equal(c.program[1].agreeing, 1);
    nw_shadow_check_fini(&c);
}

static void check__a_run_that_ends_early_does_not_hold(void **state)
{
    (void)state;
    struct nw_shadow_check c = fresh();
    compare(&c, "short", run_a, 2, run_a, 1);
    assert_false(nw_shadow_check_holds(&c));
    assert_string_equal(c.program[0].difference, "2 segments, KVM 1");
    nw_shadow_check_fini(&c);
}

static void check__what_the_kernel_does_not_count_is_no_point(void **state)
{
    (void)state;
    struct nw_shadow_check c = fresh();
    c.host.counted = UINT32_MAX & ~UINT32_C(1); /* pf_taken is row 0 */
    assert_string_equal(nw_kvm_counter_row[0].path, "pf_taken");
    compare(&c, "other", run_b, 2, run_a, 2);
    assert_true(nw_shadow_check_holds(&c));
    nw_shadow_check_fini(&c);
}

static void check__json_has_a_regime_a_group_and_its_errors(void **state)
{
    (void)state;
    struct nw_shadow_check c = fresh();
    const struct nw_kvm_counters model[] = { { .pf_taken = 15, .pages_4k = 4 } };
    const struct nw_kvm_counters kvm[] = { { .pf_taken = 10, .pages_4k = 4 } };
    char *text = NULL;
    compare(&c, "off", model, 1, kvm, 1);
    assert_int_equal(nw_shadow_check_json_text(&c, &text, NULL), NW_OK);
    json_t *root = json_loads(text, 0, NULL), *regime = json_array_get(json_object_get(root, "regimes"), 0);
    assert_true(json_is_false(json_object_get(root, "holds")));
    assert_int_equal(json_array_size(json_object_get(root, "points")), 2);
    assert_string_equal(json_string_value(json_object_get(regime, "name")), "touch");
    assert_true(json_is_false(json_object_get(regime, "holds")));
    assert_true(json_number_value(json_object_get(regime, "max_error_percent")) == 50);
    json_decref(root);
    free(text);
    nw_shadow_check_fini(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check__equal_runs_hold_and_only_counters_that_moved_are_points),
        cmocka_unit_test(check__equal_sums_with_unequal_segments_do_not_hold),
        cmocka_unit_test(check__a_run_that_ends_early_does_not_hold),
        cmocka_unit_test(check__what_the_kernel_does_not_count_is_no_point),
        cmocka_unit_test(check__json_has_a_regime_a_group_and_its_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
