/* test_working_set.c - estimators of working sets against sets that are known. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
/* after those four */
#include <cmocka.h>
#include <nestwalk/balloon/working_set.h>
#include <nestwalk/base/rng.h>

enum { PAGES = 20000 };

static struct nw_wss_config usual(void)
{
    return (struct nw_wss_config){ .every = 1,
                                   .sample_pages = 200,
                                   .samples = 20,
                                   .min_regions = 10,
                                   .max_regions = 1000,
                                   .seed = 7,
                                   .component = NULL };
}
static struct nw_wss *make(enum nw_wss_kind kind, const struct nw_wss_config *c)
{
    struct nw_wss *w;
    struct nw_error err = { 0 };
    if (nw_wss_create(&w, kind, c, &err))
        fail_msg("%s", err.text);
    return w;
}

/* A guest of PAGES pages that uses first .. last - 1, every `step`-th, between any two steps. */
struct guest {
    uint32_t *flag, moment;
};
static struct guest new_guest(void) { return (struct guest){ calloc(PAGES, sizeof(uint32_t)), 1 }; }
static void use(struct guest *g, uint64_t first, uint64_t last, uint64_t step)
{
    for (uint64_t i = first; i < last; i += step)
        g->flag[i] = g->moment;
}
static void step(struct guest *g, struct nw_wss *w)
{
    struct nw_error err = { 0 };
    const struct nw_wss_view view = {
        .flag = g->flag, .pages = PAGES, .size = PAGES, .resident = PAGES, .moment = g->moment
    };
    if (nw_wss_step(w, &view, &err))
        fail_msg("%s", err.text);
    g->moment++;
}
static void windows(struct guest *g, struct nw_wss *w, unsigned count, uint64_t first, uint64_t last, uint64_t every)
{
    for (uint64_t i = 0; i < count * nw_wss_ticks(w); i++) {
        use(g, first, last, every);
        step(g, w);
    }
}

static void scan__is_exact(void **state)
{
    (void)state;
    const struct nw_wss_config c = usual();
    struct nw_wss *w = make(NW_WSS_SCAN, &c);
    struct guest g = new_guest();
    windows(&g, w, 3, 500, 1500, 1);
    assert_true(nw_wss_estimate(w) == 1000);
    windows(&g, w, 1, 0, PAGES, 4);
    assert_true(nw_wss_estimate(w) == PAGES / 4);
    step(&g, w); /* nothing was used */
    assert_true(nw_wss_estimate(w) == 0);
    assert_int_equal(nw_wss_cost(w)->looked, 5 * PAGES);
    assert_int_equal(nw_wss_cost(w)->windows, 5);
    nw_wss_destroy(w);
    free(g.flag);
}

/* A tenth of the pages, other ones each time: a run of pages is estimated well, and a pattern with the same stride is missed nine times out of ten. */
static void scan__of_a_part_costs_less(void **state)
{
    (void)state;
    struct nw_wss_config c = usual();
    c.every = 10;
    struct nw_wss *w = make(NW_WSS_SCAN, &c);
    struct guest g = new_guest();
    windows(&g, w, 5, 500, 1500, 1);
    assert_true(nw_wss_estimate(w) == 1000);
    assert_int_equal(nw_wss_cost(w)->looked, 5 * 2 * PAGES / 10); /* one to read it, one to clear it before */
    double sum = 0;
    for (int i = 0; i < 10; i++) {
        windows(&g, w, 1, 3, PAGES, 10);
        assert_true(nw_wss_estimate(w) == 0 || nw_wss_estimate(w) == PAGES);
        sum += nw_wss_estimate(w);
    }
    assert_true(sum == PAGES); /* 10 times a tenth */
    nw_wss_destroy(w);
    free(g.flag);
}

/* The share of touched pages in samples of 200 has a standard deviation of sqrt(p (1 - p) / 200); the largest of three averages lies above the mean of one. */
static void sampling__is_within_its_deviation(void **state)
{
    (void)state;
    const struct nw_wss_config c = usual();
    struct nw_wss *w = make(NW_WSS_SAMPLING, &c);
    struct guest g = new_guest();
    windows(&g, w, 40, 0, PAGES / 4, 1);
    const double deviation = sqrt(0.25 * 0.75 / 200) * PAGES, off = nw_wss_estimate(w) - PAGES / 4;
    if (fabs(off) > 3 * deviation)
        fail_msg("%g pages off, more than three times %g", off, deviation);
    const struct nw_wss_cost *cost = nw_wss_cost(w);
    assert_int_equal(cost->unmapped, 40 * 200);
    assert_true(fabs((double)cost->faults - 39 * 50) < 3 * sqrt(39 * 200 * 0.25 * 0.75));
    nw_wss_destroy(w);
    free(g.flag);
}

/* What becomes active counts at once; what becomes idle, by and by (the paper's figure 5). */
static void sampling__forgets_slowly(void **state)
{
    (void)state;
    const struct nw_wss_config c = usual();
    struct nw_wss *w = make(NW_WSS_SAMPLING, &c);
    struct guest g = new_guest();
    windows(&g, w, 20, 0, PAGES / 10, 1);
    windows(&g, w, 1, 0, PAGES, 1);
    assert_true(nw_wss_estimate(w) == PAGES);
    windows(&g, w, 30, 0, PAGES, 1);
    windows(&g, w, 1, 0, PAGES / 10, 1);
    assert_true(nw_wss_estimate(w) > 0.7 * PAGES);
    windows(&g, w, 30, 0, PAGES / 10, 1);
    assert_true(nw_wss_estimate(w) < 0.2 * PAGES);
    nw_wss_destroy(w);
    free(g.flag);
}

/* LRU on a loop of 1,000 pages in 900 frames: each page comes back after 99 others were taken since, so 100 frames more would keep all. */
static void ghost__finds_the_loop_that_does_not_fit(void **state)
{
    (void)state;
    const struct nw_wss_config c = usual();
    struct nw_wss *w = make(NW_WSS_GHOST, &c);
    struct nw_error err = { 0 };
    enum { LOOP = 1000, FRAMES = 900 };
    for (unsigned n = 0; n < 5 * LOOP; n++) {
        if (n >= LOOP)
            assert_int_equal(nw_wss_came_back(w, n % LOOP, &err), NW_OK);
        if (n >= FRAMES)
            assert_int_equal(nw_wss_taken(w, (n - FRAMES) % LOOP, &err), NW_OK);
    }
    const struct nw_wss_view view = { .pages = LOOP, .resident = FRAMES, .moment = 1 };
    assert_int_equal(nw_wss_step(w, &view, &err), NW_OK);
    assert_true(nw_wss_estimate(w) == LOOP);
    assert_int_equal(nw_wss_cost(w)->looked, 0);
    assert_int_equal(nw_wss_step(w, &view, &err), NW_OK); /* nothing came back: what is there is enough */
    assert_true(nw_wss_estimate(w) == FRAMES);
    nw_wss_destroy(w);
}

static void damon__finds_hot_regions_with_few_looks(void **state)
{
    (void)state;
    const struct nw_wss_config c = usual();
    struct nw_wss *w = make(NW_WSS_DAMON, &c);
    struct guest g = new_guest();
    windows(&g, w, 50, 3000, 7000, 1);
    double sum = 0;
    for (int i = 0; i < 20; i++) {
        windows(&g, w, 1, 3000, 7000, 1);
        sum += nw_wss_estimate(w) / 20;
    }
    if (fabs(sum - 4000) > 400)
        fail_msg("%g pages on average, and 4000 are used", sum);
    const struct nw_wss_cost *cost = nw_wss_cost(w);
    assert_true(cost->looked < 70 * 20 * 1000 && cost->looked > 70 * 19 * 10);
    assert_true(cost->looked < 70 * (uint64_t)PAGES / 10); /* a tenth of what full scans read */
    assert_int_equal(cost->unmapped, 0);
    nw_wss_destroy(w);
    free(g.flag);
}

/* One page in a hundred, evenly: regions cannot tell, and the estimate is far too high or nothing. */
static void damon__is_wrong_about_scattered_pages(void **state)
{
    (void)state;
    struct nw_wss_config c = usual();
    c.max_regions = 40;
    struct nw_wss *damon = make(NW_WSS_DAMON, &c), *scan = make(NW_WSS_SCAN, &c);
    struct guest g = new_guest();
    double worst = 0;
    for (int i = 0; i < 20; i++) {
        windows(&g, damon, 1, 0, PAGES, 100);
        worst = fmax(worst, nw_wss_estimate(damon));
    }
    windows(&g, scan, 2, 0, PAGES, 100);
    assert_true(nw_wss_estimate(scan) == PAGES / 100);
    assert_true(worst > 3. * PAGES / 100);
    nw_wss_destroy(damon);
    nw_wss_destroy(scan);
    free(g.flag);
}

static void damon__keeps_to_its_number_of_regions(void **state)
{
    (void)state;
    struct nw_wss_config c = usual();
    c.max_regions = 64;
    struct nw_wss *w = make(NW_WSS_DAMON, &c);
    struct guest g = new_guest();
    struct nw_rng rng = nw_rng_seeded(1);
    for (int i = 0; i < 4000; i++) {
        const uint64_t from = nw_rng_below(&rng, PAGES);
        use(&g, from, from + nw_rng_below(&rng, PAGES - from + 1), 1 + nw_rng_below(&rng, 5));
        const uint64_t before = nw_wss_cost(w)->looked;
        step(&g, w);
        const uint64_t regions = nw_wss_cost(w)->looked - before;
        if (i > 100 && (regions > 64 || regions < 10))
            fail_msg("%d regions after %d steps", (int)regions, i);
    }
    nw_wss_destroy(w);
    free(g.flag);
}

static void numbers__that_make_no_sense_are_refused(void **state)
{
    (void)state;
    struct nw_wss *w;
    struct nw_error err = { 0 };
    struct nw_wss_config c = usual();
    c.every = c.sample_pages = c.samples = 0;
    assert_int_equal(nw_wss_create(&w, NW_WSS_SCAN, &c, &err), NW_ERR_USAGE);
    assert_int_equal(nw_wss_create(&w, NW_WSS_SAMPLING, &c, &err), NW_ERR_USAGE);
    assert_int_equal(nw_wss_create(&w, NW_WSS_DAMON, &c, &err), NW_ERR_USAGE);
    c = usual();
    c.max_regions = 9;
    assert_int_equal(nw_wss_create(&w, NW_WSS_DAMON, &c, &err), NW_ERR_USAGE);
    assert_non_null(strstr(err.text, "regions"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scan__is_exact),
        cmocka_unit_test(scan__of_a_part_costs_less),
        cmocka_unit_test(sampling__is_within_its_deviation),
        cmocka_unit_test(sampling__forgets_slowly),
        cmocka_unit_test(ghost__finds_the_loop_that_does_not_fit),
        cmocka_unit_test(damon__finds_hot_regions_with_few_looks),
        cmocka_unit_test(damon__is_wrong_about_scattered_pages),
        cmocka_unit_test(damon__keeps_to_its_number_of_regions),
        cmocka_unit_test(numbers__that_make_no_sense_are_refused),
    };
    return cmocka_run_group_tests_name("working_set", tests, NULL, NULL);
}
