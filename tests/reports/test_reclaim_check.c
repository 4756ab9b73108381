/* The judgement of a check of refaults, on results that are made up; and, live, that a wrong model would be found out. */
#include <nestwalk/reports/reclaim_check.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

enum { STEPS = 3 };
static const struct nw_reclaim_program program = { .name = "made-up", .pages = 8, .steps = STEPS };
static const struct nw_refault_step model[STEPS] = { { 0, 100, 100 }, { 40, 50, 50 }, { 50, 0, 0 } };

static struct nw_reclaim_check check_of(enum nw_reclaim_way way, const struct nw_live_reclaim_step *first,
                                        const struct nw_live_reclaim_step *second)
{
    struct nw_reclaim_check c = { .host.way = way };
    struct nw_error err = { 0 };
    assert_int_equal(nw_reclaim_check_add(&c, &program, 0, model, first, &err), NW_OK);
    assert_int_equal(nw_reclaim_check_add(&c, &program, 1, model, second, &err), NW_OK);
    assert_int_equal(nw_reclaim_check_conclude(&c, &program, 2, &err), NW_OK);
    return c;
}

static const struct nw_live_reclaim_step same[STEPS] = { { .asked = 100, .taken = 100 },
                                                         { .returned = 40, .major = 40, .asked = 50, .taken = 50 },
                                                         { .returned = 50, .major = 50 } };

static void check__holds_when_every_step_is_equal(void **state)
{
    (void)state;
    struct nw_reclaim_check c = check_of(NW_RECLAIM_ZRAM, same, same);
    const struct nw_reclaim_verdict *v = &c.program[0];
    assert_true(nw_reclaim_check_holds(&c));
    assert_true(v->points == 6 && v->holding == 6 && v->unjudged == 0 && v->runs == 2);
    assert_true(v->asked == 300 && v->taken == 300);
    assert_true(v->model_least == 90 && v->model_most == 90 && v->returned_least == 90 && v->major_most == 90);
    assert_true(v->max_error_percent == 0);
    nw_reclaim_check_fini(&c);
}

static void check__one_page_more_in_one_step_is_enough_to_fail(void **state)
{
    (void)state;
    struct nw_live_reclaim_step other[STEPS];
    memcpy(other, same, sizeof other);
    other[1].returned = 50;
    other[1].major = 50;
    struct nw_reclaim_check c = check_of(NW_RECLAIM_ZRAM, same, other);
    assert_false(nw_reclaim_check_holds(&c));
    assert_true(c.program[0].holding == 5 && c.program[0].returned_most == 100);
    assert_true(c.program[0].max_error_percent == 20); /* 40 for 50 */
    nw_reclaim_check_fini(&c);
}

static void check__major_faults_are_a_witness_where_pages_are_always_read(void **state)
{
    (void)state;
    struct nw_live_reclaim_step cached[STEPS];
    memcpy(cached, same, sizeof cached);
    cached[2].major = 7;
    struct nw_reclaim_check c = check_of(NW_RECLAIM_FILE, same, cached);
    assert_false(nw_reclaim_check_holds(&c));
    nw_reclaim_check_fini(&c);
    c = check_of(NW_RECLAIM_SWAP_FILE, same, cached); /* they may come from the swap cache there */
    assert_true(nw_reclaim_check_holds(&c));
    nw_reclaim_check_fini(&c);
}

static void check__steps_of_a_host_short_of_memory_are_not_judged(void **state)
{
    (void)state;
    struct nw_live_reclaim_step astray[STEPS];
    memcpy(astray, same, sizeof astray);
    astray[1].returned = 3;
    astray[1].astray = 1;
    struct nw_reclaim_check c = check_of(NW_RECLAIM_ZRAM, same, astray);
    assert_true(nw_reclaim_check_holds(&c));
    assert_true(c.program[0].points == 5 && c.program[0].unjudged == 1);
    nw_reclaim_check_fini(&c);
    for (unsigned i = 0; i < STEPS; i++)
        astray[i].astray = 1;
    c = check_of(NW_RECLAIM_ZRAM, astray, astray); /* nothing judged proves nothing */
    assert_false(nw_reclaim_check_holds(&c));
    nw_reclaim_check_fini(&c);
}

static void check__json_has_what_the_design_promises(void **state)
{
    (void)state;
    struct nw_reclaim_check c = check_of(NW_RECLAIM_ZRAM, same, same);
    char *text;
    snprintf(c.host.note[0], sizeof c.host.note[0], "no \"%s\"", "swap");
    c.host.notes = 1;
    assert_int_equal(nw_reclaim_check_json_text(&c, &text, NULL), NW_OK);
    json_t *root = json_loads(text, 0, NULL);
    assert_non_null(root);
    assert_true(json_is_true(json_object_get(root, "holds")));
    const json_t *regime = json_array_get(json_object_get(root, "regimes"), 0);
    assert_string_equal(json_string_value(json_object_get(regime, "name")), "made-up");
    assert_int_equal(json_integer_value(json_object_get(regime, "points")), 6);
    assert_non_null(json_object_get(regime, "median_error_percent"));
    assert_non_null(json_object_get(regime, "max_error_percent"));
    assert_true(json_is_string(json_object_get(regime, "claim")) && json_is_true(json_object_get(regime, "holds")));
    assert_int_equal(json_array_size(json_object_get(root, "points")), 6);
    const json_t *host = json_object_get(root, "host");
    assert_string_equal(json_string_value(json_object_get(host, "way")), "zram");
    assert_string_equal(json_string_value(json_array_get(json_object_get(host, "notes"), 0)), "no \"swap\"");
    json_decref(root);
    free(text);
    nw_reclaim_check_fini(&c);
}

/* The guest does one touch more than the model is told of: one page more has to come back. */
static void live__a_touch_that_the_model_does_not_know_is_found(void **state)
{
    (void)state;
    struct nw_reclaim_touch touch[] = {
        { 0, true }, { 1, true }, { 2, true }, { 3, true }, { 1, false }, { 2, false }
    };
    uint32_t victim[] = { 0, 1, 2 };
    struct nw_reclaim_step step[] = { { 4, 3 }, { 6, 3 } }, less[] = { { 4, 3 }, { 5, 3 } };
    const struct nw_reclaim_program whole = { .name = "whole",
                                              .pages = 4,
                                              .touch = touch,
                                              .victim = victim,
                                              .step = step,
                                              .touches = 6,
                                              .victims = 3,
                                              .steps = 2 };
    struct nw_reclaim_program told = whole;
    struct nw_live_reclaim_step kernel[2];
    struct nw_refault_step model_step[2];
    struct nw_reclaim_check c;
    struct nw_error err = { 0 };
    uint64_t taken[2] = { 0 };
    if (nw_reclaim_check_start(&c, NW_RECLAIM_ANY, ".", &(struct nw_live_reclaim_options){ .timeout_seconds = 60 },
                               &err)) {
        print_message("skipped: %s\n", err.text);
        skip();
    }
    if (nw_live_reclaim_run(&c.host, &whole, &c.options, kernel, taken, &err))
        fail_msg("%s", err.text);
    assert_int_equal(nw_reclaim_check_stop(&c, &err), NW_OK);
    if (taken[0] != 7) {
        print_message("skipped: the kernel gave up pages %llx, not 7\n", (unsigned long long)taken[0]);
        skip();
    }
    told.step = less;
    told.touches = 5;
    assert_int_equal(nw_refault_run(&told, taken, model_step, &err), NW_OK);
    assert_int_equal(nw_reclaim_check_add(&c, &told, 0, model_step, kernel, &err), NW_OK);
    assert_true(kernel[1].returned == 2 && model_step[1].refaults == 1);
    assert_false(nw_reclaim_check_holds(&c));
    nw_reclaim_check_fini(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check__holds_when_every_step_is_equal),
        cmocka_unit_test(check__one_page_more_in_one_step_is_enough_to_fail),
        cmocka_unit_test(check__major_faults_are_a_witness_where_pages_are_always_read),
        cmocka_unit_test(check__steps_of_a_host_short_of_memory_are_not_judged),
        cmocka_unit_test(check__json_has_what_the_design_promises),
        cmocka_unit_test(live__a_touch_that_the_model_does_not_know_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
