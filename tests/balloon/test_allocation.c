/* test_allocation.c - who gets how much: known answers, and bounds that every policy keeps. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
/* after those four */
#include <cmocka.h>
#include <nestwalk/balloon/allocation.h>
#include <nestwalk/base/rng.h>

static const struct nw_allocation_config config = {
    .tax = 0.75, .slack = 0.1, .low = 0.04, .high = 0.08, .step = 0.1, .goal = 1.1
};

/* "a tax rate of 75 %: an idle page costs four times an active one". */
static void tax__an_idle_page_costs_four_times(void **state)
{
    (void)state;
    struct nw_allocation_guest g = { .shares = 1000, .active = 0 };
    const double idle = nw_allocation_rho(&g, 0.75, 100);
    g.active = 100;
    assert_true(fabs(nw_allocation_rho(&g, 0.75, 100) / idle - 4) < 1e-9);
    g.active = 50;
    assert_true(fabs(nw_allocation_rho(&g, 0.75, 100) - 1000. / (100 * (0.5 + 4 * 0.5))) < 1e-9);
}

/* Two equal guests, the one held by its balloon to what it uses: what it uses is no measure of what it wants, so that the idle one is not left with the rest. */
static void shares__a_guest_that_uses_all_it_has_wants_more(void **state)
{
    (void)state;
    const struct nw_allocation_config c = { 0 };
    struct nw_allocation_guest g[2] = {
        { .size = 10000, .max = 10000, .used = 10000, .has = 10000, .shares = 1 },
        { .size = 10000, .max = 10000, .used = 2000, .has = 2000, .shares = 1 },
    };
    nw_allocation_policy_find("shares")->targets(&c, g, 2, 12000);
    assert_in_range(g[0].target, 5900, 6100);
    assert_in_range(g[1].target, 5900, 6100);
    g[1].has = 4000; /* it has more than it uses: an eighth of that is for the other */
    nw_allocation_policy_find("shares")->targets(&c, g, 2, 12000);
    assert_in_range(g[0].target, 8400, 8600);
    assert_in_range(g[1].target, 3400, 3600);
}

/* Two equal guests, one idle. Without tax each has half; with it the busy one has all but what a quarter of the price leaves the idle one. */
static void tax__moves_memory_to_the_busy_guest(void **state)
{
    (void)state;
    struct nw_allocation_guest g[2] = {
        { .size = 65536, .max = 65536, .used = 65536, .shares = 1000, .active = 0 },
        { .size = 65536, .max = 65536, .used = 65536, .shares = 1000, .active = 65536 }
    };
    struct nw_allocation_config c = config;
    c.tax = 0;
    nw_allocation_policy_find("idle-tax")->targets(&c, g, 2, 80000);
    assert_true(llabs((long long)g[0].target - 40000) < 700);
    assert_int_equal(g[0].target + g[1].target, 80000);
    c.tax = 0.75;
    nw_allocation_policy_find("idle-tax")->targets(&c, g, 2, 80000);
    assert_true(llabs((long long)g[0].target - 16000) < 700); /* 1 : 4 */
    assert_int_equal(g[0].target + g[1].target, 80000);
}

static void shares__two_to_one(void **state)
{
    (void)state;
    struct nw_allocation_guest g[2] = { { .size = 90000, .max = 90000, .used = 90000, .shares = 2000 },
                                        { .size = 90000, .max = 90000, .used = 90000, .shares = 1000 } };
    nw_allocation_policy_find("shares")->targets(&config, g, 2, 90000);
    assert_true(llabs((long long)g[0].target - 60000) < 800);
    g[0].max = 40000; /* what a limit keeps from one the other has */
    nw_allocation_policy_find("shares")->targets(&config, g, 2, 90000);
    assert_int_equal(g[0].target, 40000);
    assert_int_equal(g[1].target, 50000);
}

static void working_set__is_scaled_when_it_does_not_fit(void **state)
{
    (void)state;
    struct nw_allocation_guest g[2] = { { .size = 90000, .max = 90000, .used = 90000, .shares = 1, .active = 80000 },
                                        { .size = 90000, .max = 90000, .used = 90000, .shares = 1, .active = 40000 } };
    nw_allocation_policy_find("working-set")->targets(&config, g, 2, 60000);
    assert_true(g[0].target > 39900 && g[0].target <= 40000 && g[1].target > 19900 && g[1].target <= 20000);
}

static void tracking__does_nothing_between_the_marks(void **state)
{
    (void)state;
    struct nw_allocation_guest g = { .size = 10000, .max = 10000, .used = 9000, .shares = 1, .has = 8000 };
    struct nw_allocation_config c = config;
    const struct nw_allocation_policy *p = nw_allocation_policy_find("tracking");
    for (c.free = 400; c.free <= 800; c.free += 50) {
        p->targets(&c, &g, 1, 10000);
        assert_int_equal(g.target, 8000);
    }
    c.free = 399;
    p->targets(&c, &g, 1, 10000);
    assert_true(g.target < 8000);
    c.free = 801;
    p->targets(&c, &g, 1, 10000);
    assert_true(g.target > 8000);
}

/* 10,000 pages of host, a guest of 4,000 of which 2,000 hold something. */
static void mom__shrinks_and_grows_with_the_hosts_free_memory(void **state)
{
    (void)state;
    static const struct {
        double free, in_use;
        uint64_t current, target;
        const char *why;
    } cases[] = {
        { 1500, 2000, 4000, 3800, "pressure: 5 % at once" },
        { 1500, 3300, 4000, 3900, "pressure: what it uses and 0.2 * 0.15 / 0.2 of it stay" },
        { 1500, 3395, 4000, 4000, "a change of less than 0.25 % is not made" },
        { 1500, 3900, 4000, 4000, "it has less free than it should, and is not made to grow" },
        { 400, 4000, 4000, 3960, "need: into what it uses, by 5 % less the 4 % that the host has" },
        { 0, 4000, 4000, 3800, "need: 5 % of it" },
        { 2000, 2000, 3000, 3150, "no pressure: 5 % at once" },
        { 2000, 2900, 3000, 3500, "no pressure: as much as leaves it 20 % free" },
        { 2000, 3900, 3950, 4000, "and no more than it may have" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nw_allocation_guest g = {
            .size = 4000, .max = 4000, .shares = 1, .current = cases[i].current, .in_use = cases[i].in_use
        };
        struct nw_allocation_config c = config;
        c.pressure = 0.2, c.critical = 0.05, c.guest_free = 0.2, c.step = 0.05, c.free_average = cases[i].free;
        nw_allocation_policy_find("mom")->targets(&c, &g, 1, 10000);
        if (g.target != cases[i].target)
            fail_msg("%s: %d pages", cases[i].why, (int)g.target);
    }
}

static void slowdown__moves_a_step_from_the_least_slowed(void **state)
{
    (void)state;
    struct nw_allocation_guest g[2] = {
        { .size = 10000, .max = 10000, .used = 9000, .shares = 1, .has = 5000, .slowdown = 1 },
        { .size = 10000, .max = 10000, .used = 9000, .shares = 1, .has = 5000, .slowdown = 3 }
    };
    nw_allocation_policy_find("slowdown")->targets(&config, g, 2, 10000);
    assert_int_equal(g[0].target, 4000);
    assert_int_equal(g[1].target, 6000);
}

static void policies__keep_minima_maxima_and_the_sum(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 2000; seed++) {
        struct nw_rng rng = nw_rng_seeded(seed);
        struct nw_allocation_guest g[8];
        const size_t n = 1 + nw_rng_below(&rng, 8);
        uint64_t least = 0;
        for (size_t i = 0; i < n; i++) {
            const uint64_t size = 1 + nw_rng_below(&rng, 100000), max = 1 + nw_rng_below(&rng, size);
            g[i] = (struct nw_allocation_guest){ .size = size,
                                                 .max = max,
                                                 .min = nw_rng_below(&rng, 2) ? nw_rng_below(&rng, max + 1) : 0,
                                                 .shares = 1 + nw_rng_below(&rng, 5000),
                                                 .has = nw_rng_below(&rng, size + 1),
                                                 .used = nw_rng_below(&rng, size + 1),
                                                 .active = (double)nw_rng_below(&rng, size + 1),
                                                 .slowdown = 1 + 5 * nw_rng_unit(&rng) };
            least += g[i].min;
        }
        const uint64_t pages = least + nw_rng_below(&rng, 200000);
        for (size_t p = 0; nw_allocation_policies[p]; p++) {
            struct nw_allocation_config c = config;
            const char *name = nw_allocation_policies[p]->name;
            uint64_t sum = 0;
            c.free = nw_rng_below(&rng, pages + 1);
            nw_allocation_policies[p]->targets(&c, g, n, pages);
            for (size_t i = 0; i < n; i++) {
                if (g[i].target < g[i].min || g[i].target > g[i].max)
                    fail_msg("%s, seed %d: guest %d has a target outside its limits", name, (int)seed, (int)i);
                sum += g[i].target;
            }
            /* These do not look at the sum: the one has no balloon, the others look at what is free. */
            if (strcmp(name, "none") != 0 && strcmp(name, "tracking") != 0 && strcmp(name, "mom") != 0 && sum > pages)
                fail_msg("%s, seed %d: targets are more than there is", name, (int)seed);
        }
    }
}

/* Goal 1.2: the guest at 1.5 gets a tenth of its size, the one at 1.15 keeps what it has, the one at 1.05 gives a tenth; nothing is handed on. */
static void slowdown_target__moves_each_guest_by_itself(void **state)
{
    (void)state;
    struct nw_allocation_config c = config;
    c.goal = 1.2;
    struct nw_allocation_guest g[3] = {
        { .size = 1000, .max = 1000, .used = 900, .has = 500, .shares = 1, .slowdown = 1.5 },
        { .size = 1000, .max = 1000, .used = 900, .has = 500, .shares = 1, .slowdown = 1.15 },
        { .size = 1000, .max = 1000, .used = 400, .has = 500, .shares = 1, .slowdown = 1.05 },
    };
    nw_allocation_policy_find("slowdown-target")->targets(&c, g, 3, 5000);
    assert_int_equal(g[0].target, 600);
    assert_int_equal(g[1].target, 500);
    assert_int_equal(g[2].target, 300); /* of what it uses */
    nw_allocation_policy_find("slowdown-target")->targets(&c, g, 3, 1200);
    assert_true(g[0].target + g[1].target + g[2].target <= 1200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares__a_guest_that_uses_all_it_has_wants_more),
        cmocka_unit_test(tax__an_idle_page_costs_four_times),
        cmocka_unit_test(tax__moves_memory_to_the_busy_guest),
        cmocka_unit_test(shares__two_to_one),
        cmocka_unit_test(working_set__is_scaled_when_it_does_not_fit),
        cmocka_unit_test(tracking__does_nothing_between_the_marks),
        cmocka_unit_test(mom__shrinks_and_grows_with_the_hosts_free_memory),
        cmocka_unit_test(slowdown__moves_a_step_from_the_least_slowed),
        cmocka_unit_test(policies__keep_minima_maxima_and_the_sum),
        cmocka_unit_test(slowdown_target__moves_each_guest_by_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
