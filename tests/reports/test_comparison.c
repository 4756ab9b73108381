#include "reports/fixture.h"
#include <math.h>
#include <nestwalk/reports/comparison.h>

static struct nw_comparison compare(const struct nw_run *runs, size_t count, enum nw_compare_scope scope)
{
    struct nw_comparison c;
    struct nw_error err = { 0 };
    if (nw_report_comparison(runs, count, scope, &c, &err))
        fail_msg("%s", err.text);
    return c;
}

static const struct nw_comparison_row *row_of(const struct nw_comparison *c, const char *path)
{
    for (size_t i = 0; i < c->row_count; i++)
        if (!strcmp(c->row[i].path, path))
            return c->row + i;
    fail_msg("no row %s", path);
    return NULL;
}

static void format__exact_where_it_fits_else_four_digits(void **state)
{
    (void)state;
    static const struct {
        uint64_t count;
        unsigned width;
        const char *text;
    } known[] = {
        { 0, 12, "0" },
        { 999, 12, "999" },
        { 1000, 12, "1,000" },
        { 30411665, 12, "30,411,665" },
        { 999999999, 12, "999,999,999" },
        { 12345678901, 12, "12.35 G" },
        { 30411665, 8, "30.41 M" },
        { 999960, 6, "1.000 M" },
        { UINT64_MAX, 12, "18.45 E" },
        { UINT64_MAX, 32, "18,446,744,073,709,551,615" },
    };
    for (size_t i = 0; i < NW_ARRAY_LEN(known); i++) {
        char text[40];
        nw_format_count(known[i].count, known[i].width, text, sizeof text);
        assert_string_equal(text, known[i].text);
    }
}

static void change__is_against_the_first_run(void **state)
{
    (void)state;
    struct nw_run runs[] = { fixture_run(false), fixture_run(true) };
    struct nw_comparison c = compare(runs, 2, NW_COMPARE_INTEREST);
    assert_string_equal(c.heading[0], "bare metal");
    assert_string_equal(c.heading[1], "EPT");
    const struct nw_comparison_row *r = row_of(&c, "cycles.total");
    assert_string_equal(r->cell[0].text, "5,600,000");
    assert_string_equal(r->cell[0].change, "");
    assert_string_equal(r->cell[1].text, "13,744,000");
    assert_string_equal(r->cell[1].change, "+145.4%");
    assert_true(fabs(r->cell[1].change_percent - 145.428571) < 1e-6);
    assert_true(r->differs);
    assert_string_equal(row_of(&c, "accesses.total")->cell[1].change, "=");
    assert_false(row_of(&c, "accesses.total")->differs);
    assert_string_equal(row_of(&c, "walks.references_per_walk")->cell[1].text, "24.00");
    nw_comparison_fini(&c);

    struct nw_run swapped[] = { runs[1], runs[0] };
    c = compare(swapped, 2, NW_COMPARE_INTEREST);
    assert_string_equal(row_of(&c, "cycles.total")->cell[1].change, "-59.3%");
    nw_comparison_fini(&c);
    nw_run_fini(runs);
    nw_run_fini(runs + 1);
}

static void change__from_nothing_has_no_percentage(void **state)
{
    (void)state;
    struct nw_run runs[] = { fixture_run(false), fixture_run(true) };
    struct nw_comparison c = compare(runs, 2, NW_COMPARE_INTEREST);
    const struct nw_comparison_row *r = row_of(&c, "faults.ept_violations"); /* 0, then 12 */
    assert_true(isnan(r->cell[1].change_percent));
    assert_string_equal(r->cell[1].change, "");
    assert_true(r->differs);
    r = row_of(&c, "exits.ept_violation.count"); /* absent, then 12 */
    assert_false(r->cell[0].present);
    assert_string_equal(r->cell[0].text, "-");
    assert_true(r->differs);
    nw_comparison_fini(&c);
    nw_run_fini(runs);
    nw_run_fini(runs + 1);
}

static void change__tenfold_is_told_as_a_factor(void **state)
{
    (void)state;
    struct nw_run runs[] = { { 0 }, { 0 } };
    fixture_metric(runs, "cycles.total", "cycles", 100);
    fixture_metric(runs + 1, "cycles.total", "cycles", 2400);
    struct nw_comparison c = compare(runs, 2, NW_COMPARE_INTEREST);
    assert_string_equal(row_of(&c, "cycles.total")->cell[1].change, "x24.0");
    nw_comparison_fini(&c);
    nw_run_fini(runs);
    nw_run_fini(runs + 1);
}

static void rows__of_interest_leave_out_what_is_zero_everywhere(void **state)
{
    (void)state;
    struct nw_run runs[] = { fixture_run(false), fixture_run(false) };
    struct nw_comparison c = compare(runs, 2, NW_COMPARE_INTEREST);
    for (size_t i = 0; i < c.row_count; i++) {
        assert_string_not_equal(c.row[i].path, "faults.ept_violations");
        assert_true(c.row[i].label[0] != 0);
        assert_null(strchr(c.row[i].label, '_'));
    }
    assert_string_equal(row_of(&c, "cycles.exits")->cell[0].text, "0"); /* but the cycles are always told whole */
    assert_string_equal(row_of(&c, "tlb.l2.misses")->label, "l2 TLB misses");
    assert_string_equal(c.heading[0], "#1 bare metal"); /* titles alone would not tell them apart */
    nw_comparison_fini(&c);
    c = compare(runs, 2, NW_COMPARE_ALL);
    assert_int_equal(c.row_count, runs[0].metric_count);
    nw_comparison_fini(&c);
    nw_run_fini(runs);
    nw_run_fini(runs + 1);
}

static void same__ratios_and_speed_do_not_count(void **state)
{
    (void)state;
    struct nw_run a = fixture_run(true), b = fixture_run(true);
    char why[128];
    b.seconds = 99;
    for (size_t i = 0; i < b.metric_count; i++)
        if (b.metric[i].derived)
            b.metric[i].real += 1;
    assert_true(nw_run_same(&a, &b, why, sizeof why));
    b.metric[3].count++;
    assert_false(nw_run_same(&a, &b, why, sizeof why));
    assert_string_equal(why, "tlb.l1d.misses: 100000 and 100001");
    b.metric[3].count--;
    b.bucket[1].count++;
    assert_false(nw_run_same(&a, &b, why, sizeof why));
    b.bucket[1].count--;
    fixture_metric(&b, "swap.faults", "faults", 3);
    assert_false(nw_run_same(&a, &b, why, sizeof why));
    assert_string_equal(why, "swap.faults: none and 3");
    nw_run_fini(&a);
    nw_run_fini(&b);
}

static void csv__has_values_and_changes(void **state)
{
    (void)state;
    struct nw_run runs[] = { fixture_run(false), fixture_run(true) };
    struct nw_comparison c = compare(runs, 2, NW_COMPARE_ALL);
    struct nw_error err = { 0 };
    char *text;
    assert_int_equal(nw_comparison_csv_text(&c, &text, &err), NW_OK);
    static const char head[] =
        "metric,unit,bare metal,EPT,EPT change percent\naccesses.total,accesses,1000000,1000000,0\n";
    assert_memory_equal(text, head, sizeof head - 1);
    assert_non_null(strstr(text, "\nwalks.references,references,160000,960000,500\n"));
    assert_non_null(strstr(text, "\nexits.ept_violation.count,exits,,12,\n"));
    free(text);
    assert_int_equal(nw_comparison_json_text(runs, 2, &c, &text, &err), NW_OK);
    assert_non_null(strstr(text, "\"base\": \"bare metal\""));
    assert_non_null(strstr(text, "\"path\": \"walks.references\""));
    free(text);
    nw_comparison_fini(&c);
    nw_run_fini(runs);
    nw_run_fini(runs + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(format__exact_where_it_fits_else_four_digits),
        cmocka_unit_test(change__is_against_the_first_run),
        cmocka_unit_test(change__from_nothing_has_no_percentage),
        cmocka_unit_test(change__tenfold_is_told_as_a_factor),
        cmocka_unit_test(rows__of_interest_leave_out_what_is_zero_everywhere),
        cmocka_unit_test(same__ratios_and_speed_do_not_count),
        cmocka_unit_test(csv__has_values_and_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
