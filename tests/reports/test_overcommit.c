/* test_overcommit.c - what runs of several guests say together: knees of known curves, the frontier, the page, and series through the store. */
#include "reports/fixture.h"
#include <math.h>
#include <nestwalk/reports/export.h>
#include <nestwalk/reports/html.h>
#include <nestwalk/reports/overcommit.h>
#include <nestwalk/reports/store.h>

static void knee__of_curves_whose_bend_is_known(void **state)
{
    (void)state;
    /* Flat to 4, then steep: furthest below the line from (0, 0) to (10, 60) at 4. */
    struct nw_run_point bent[11], straight[11], flat[11], falling[11], smooth[101];
    for (int i = 0; i <= 10; i++) {
        bent[i] = (struct nw_run_point){ i, i <= 4 ? 0.1 * i : 0.4 + 10 * (i - 4) };
        straight[i] = (struct nw_run_point){ i, 3 * i };
        flat[i] = (struct nw_run_point){ i, 1 };
        falling[i] = (struct nw_run_point){ i, -i };
    }
    assert_int_equal(nw_knee(bent, 11), 4);
    assert_int_equal(nw_knee(straight, 11), NW_OVERCOMMIT_NONE);
    assert_int_equal(nw_knee(flat, 11), NW_OVERCOMMIT_NONE);
    assert_int_equal(nw_knee(falling, 11), NW_OVERCOMMIT_NONE);
    assert_int_equal(nw_knee(bent, 2), NW_OVERCOMMIT_NONE);
    /* y = x^2 on 0 .. 1: x - x^2 is largest at 1/2 */
    for (int i = 0; i <= 100; i++)
        smooth[i] = (struct nw_run_point){ i / 100., i / 100. * i / 100. };
    assert_int_equal(nw_knee(smooth, 101), 50);
}

/* 4 GiB of guests on so many MiB. */
static struct nw_run guests_run(const char *balloon, unsigned mib, double slowdown, bool whole)
{
    struct nw_run r = { .seed = 1 };
    strcpy(r.scenario, "how <far>");
    snprintf(r.label, sizeof r.label, "%s %u", balloon, mib);
    strcpy(r.mode, "guests");
    fixture_metric(&r, "host.frames", "frames", (uint64_t)mib * 256);
    fixture_metric(&r, "guests.memory_pages", "pages", 4096 * 256);
    fixture_metric(&r, "guests.count", "guests", 2);
    fixture_metric(&r, "guests.finished", "guests", whole ? 2 : 1);
    fixture_ratio(&r, "guests.slowdown_mean", "", 1 + (slowdown - 1) / 2);
    fixture_ratio(&r, "guests.slowdown_worst", "", slowdown);
    fixture_metric(&r, "vm.a.memory_pages", "pages", 2048 * 256);
    fixture_metric(&r, "vm.b&c.memory_pages", "pages", 2048 * 256);
    fixture_metric(&r, "vm.a.took.b&c", "frames", 768);
    fixture_parameter(&r, "balloon.policy", balloon, "", "test");
    fixture_parameter(&r, "swap.policy", "two-list", "", "test");
    fixture_parameter(&r, "swap.device", "nvme", "", "test");
    fixture_parameter(&r, "sharing.kind", "none", "", "test");
    return r;
}

static struct nw_run *sweep(size_t *count)
{
    static const struct {
        const char *balloon;
        unsigned mib;
        double slowdown;
        bool whole;
    } row[] = {
        { "idle-tax", 1024, 4, true },   { "idle-tax", 4096, 1, true }, { "idle-tax", 2048, 1.05, true },
        { "idle-tax", 1365, 1.2, true }, { "none", 4096, 1, true },     { "none", 2048, 3, true },
        { "none", 1024, 1.5, false },
    };
    struct nw_run *runs = calloc(NW_ARRAY_LEN(row), sizeof *runs);
    for (size_t i = 0; i < NW_ARRAY_LEN(row); i++)
        runs[i] = guests_run(row[i].balloon, row[i].mib, row[i].slowdown, row[i].whole);
    *count = NW_ARRAY_LEN(row);
    return runs;
}

static void overcommit__orders_policies_and_finds_where_it_hurts(void **state)
{
    (void)state;
    size_t count;
    struct nw_run *runs = sweep(&count);
    struct nw_overcommit o;
    struct nw_error err = { 0 };
    assert_int_equal(nw_overcommit_find(runs, count, 1.1, &o, &err), NW_OK);
    assert_int_equal(o.policies, 2);
    const struct nw_overcommit_policy *tax = &o.policy[0], *none = &o.policy[1];
    assert_string_equal(tax->name, "balloon idle-tax, swap two-list on nvme");
    assert_string_equal(none->name, "swap two-list on nvme");
    assert_int_equal(tax->points, 4);
    for (size_t i = 1; i < 4; i++)
        assert_true(tax->point[i].ratio > tax->point[i - 1].ratio);
    assert_true(tax->point[1].ratio == 2 && tax->point[1].saved_percent == 50);
    assert_int_equal(tax->within, 1); /* 2.0: 1.05 */
    assert_int_equal(tax->knee, 2);   /* 3.0: two thirds of the way, and 0.2 of 3 high */
    assert_true(tax->point[2].efficient && tax->point[3].efficient && tax->point[1].efficient);
    assert_false(none->point[1].efficient); /* the tax saves as much with 1.05 */
    assert_false(none->point[2].whole || none->point[2].efficient);
    assert_int_equal(none->within, 0);

    char *json, *csv;
    assert_int_equal(nw_overcommit_json_text(&o, &json, &err), NW_OK);
    assert_non_null(strstr(json, "\"within\": 2"));
    assert_non_null(strstr(json, "\"scenario\": \"how <far>\""));
    assert_int_equal(nw_overcommit_csv_text(&o, &csv, &err), NW_OK);
    assert_non_null(
        strstr(csv, "\"balloon idle-tax, swap two-list on nvme\",how <far>,idle-tax 2048,2,50,1.025,1.05,1,1,0\n"));
    free(json);
    free(csv);
    nw_overcommit_fini(&o);

    struct nw_run other = fixture_run(true);
    assert_int_equal(nw_overcommit_find(&other, 1, 1.1, &o, &err), NW_ERR_INPUT);
    nw_run_fini(&other);
    nw_runs_free(runs, count);
}

static void add_series(struct nw_run *run, const char *path, const char *unit, size_t count, double factor)
{
    run->series = realloc(run->series, (run->series_count + 1) * sizeof *run->series);
    struct nw_run_series *s = &run->series[run->series_count++];
    *s = (struct nw_run_series){ strdup(path), strdup("ns"), strdup(unit), strdup("a <doc>"), NULL, count };
    s->point = calloc(count + 1, sizeof *s->point);
    for (size_t i = 0; i < count; i++)
        s->point[i] = (struct nw_run_point){ (double)i * 1e8, factor * (double)i };
}

static void series__come_back_from_the_store(void **state)
{
    (void)state;
    struct nw_run run = guests_run("none", 2048, 1.5, true), back;
    add_series(&run, "vm.a.timeline.resident", "pages", 20, 0.1);
    add_series(&run, "vm.a.timeline.empty", "pages", 0, 1);
    add_series(&run, "vm.b&c.timeline.resident", "pages", 3, 7);
    const char *path = fixture_path("series.db");
    struct nw_store *store;
    struct nw_error err = { 0 };
    int64_t id;
    assert_int_equal(nw_store_open(path, NW_STORE_WRITE, &store, &err), NW_OK);
    assert_int_equal(nw_store_add(store, &run, &id, &err), NW_OK);
    assert_int_equal(nw_store_load(store, id, &back, &err), NW_OK);
    nw_store_close(store);
    assert_int_equal(back.series_count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(back.series[i].path, run.series[i].path);
        assert_string_equal(back.series[i].x_unit, "ns");
        assert_string_equal(back.series[i].doc, "a <doc>");
        assert_int_equal(back.series[i].count, run.series[i].count);
        assert_memory_equal(back.series[i].point, run.series[i].point,
                            (run.series[i].count ? 1 : 0) * run.series[i].count * sizeof *run.series[i].point);
    }
    assert_ptr_equal(nw_run_series(&back, "vm.b&c.timeline.resident"), &back.series[2]);
    assert_null(nw_run_series(&back, "vm.a"));
    char *json;
    assert_int_equal(nw_report_json_text(&back, 1, &json, &err), NW_OK);
    assert_non_null(strstr(json, "\"vm.b&c.timeline.resident\""));
    assert_non_null(strstr(json, "[100000000, 7]"));
    free(json);
    nw_run_fini(&run);
    nw_run_fini(&back);
    unlink(path);
}

static size_t times(const char *text, const char *what)
{
    size_t n = 0;
    for (; (text = strstr(text, what)) != NULL; text++)
        n++;
    return n;
}

static void page__of_guests_has_what_they_have(void **state)
{
    (void)state;
    size_t count;
    struct nw_run *runs = sweep(&count);
    add_series(&runs[0], "vm.a.timeline.resident", "pages", 20, 256);
    add_series(&runs[0], "vm.b&c.timeline.resident", "pages", 20, 512);
    add_series(&runs[0], "vm.a.timeline.swapped", "pages", 20, 0);
    add_series(&runs[0], "vm.a.miss_ratio", "", 5, 0.01);
    fixture_metric(&runs[0], "vm.a.monitor.damon.windows", "windows", 9);
    fixture_ratio(&runs[0], "vm.a.monitor.damon.error_percent", "percent", 12.5);
    const struct nw_page page = { .runs = runs, .run_count = count };
    char *html;
    struct nw_error err = { 0 };
    assert_int_equal(nw_report_html(&page, &html, &err), NW_OK);
    assert_non_null(strstr(html, "how &lt;far&gt;"));
    assert_null(strstr(html, "b&c<"));
    assert_null(strstr(html, "{{"));
    assert_null(strstr(html, "Where the cycles go"));
    assert_int_equal(times(html, "<svg"), 4); /* frontier, knee, resident, curve */
    assert_int_equal(times(html, "<path class=\"line\""), 2 + 2 + 2 + 1);
    assert_null(strstr(html, ">-0</text>"));
    assert_int_equal(times(html, ">knee</text>"), 1);
    assert_non_null(
        strstr(html, "the knee is at 3.00, where the worst guest is slowed 1.20 times; up to 2.00 no guest"));
    assert_non_null(strstr(html, "swapped, MiB: 0 at all times."));
    assert_non_null(strstr(html, "<td class=\"number\">3.0</td>")); /* a took 768 frames of b&c */
    assert_non_null(strstr(html, "<td>damon</td>"));
    assert_non_null(strstr(html, "<td class=\"number\">12.5</td>"));
    free(html);

    /* Whatever order the runs come in, the page has one: policies, then overcommitment. */
    struct nw_run *backwards = calloc(count, sizeof *backwards);
    for (size_t i = 0; i < count; i++)
        backwards[i] = runs[count - 1 - i];
    char *again;
    assert_int_equal(nw_report_html(&(struct nw_page){ .runs = backwards, .run_count = count }, &again, &err), NW_OK);
    const char *cards = strstr(again, "<div class=\"cards\">"), *end = strstr(again, "</section>");
    const char *small = strstr(cards, runs[1].label), *large = strstr(cards, runs[0].label);
    assert_true(small && large && small < large && large < end);
    free(again);
    free(backwards);
    assert_int_equal(nw_report_html(&(struct nw_page){ .runs = runs, .run_count = 1 }, &again, &err), NW_OK);
    assert_non_null(strstr(again, "All runs have the same overcommitment"));
    free(again);

    /* Beside a run of another mode it is the usual page. */
    struct nw_run both[2] = { fixture_run(true), runs[0] };
    assert_int_equal(nw_report_html(&(struct nw_page){ .runs = both, .run_count = 2 }, &html, &err), NW_OK);
    assert_non_null(strstr(html, "Where the cycles go"));
    free(html);
    nw_run_fini(&both[0]);
    nw_runs_free(runs, count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knee__of_curves_whose_bend_is_known),
        cmocka_unit_test(overcommit__orders_policies_and_finds_where_it_hurts),
        cmocka_unit_test(series__come_back_from_the_store),
        cmocka_unit_test(page__of_guests_has_what_they_have),
    };
    return cmocka_run_group_tests_name("overcommit", tests, NULL, NULL);
}
