/* test_vms_monitor.c - monitors of guests on one host: what they estimate beside what is so, what they cost, and curves. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* after those four */
#include "vms_case.h"
#include <nestwalk/balloon/working_set.h>

/* One guest that goes through 16 MiB in sequence, 4096 pages, again and again, a tenth of a second each time, and has enough memory. */
static struct nw_vms_config loop(const char *rounds)
{
    char accesses[32];
    struct nw_vms_config c;
    nw_vms_config_init(&c);
    set(&c, "host.memory", "128M");
    set(&c, "host.flush_ns", "0");
    snprintf(accesses, sizeof accesses, "%d", atoi(rounds) * 4096);
    guest(&c, "loop", "sequential", "16M", accesses);
    set(&c, "vm.loop.memory", "64M");
    set(&c, "vm.loop.kernel", "0");
    set(&c, "vm.loop.work.access_ns", "24414");
    set(&c, "host.fault_ns", "0");
    set(&c, "monitor.charge", "0");
    return c;
}
static void all_on(struct nw_vms_config *c)
{
    set(c, "monitor.scan", "1");
    set(c, "monitor.sampling", "1");
    set(c, "monitor.ghost", "1");
    set(c, "monitor.damon", "1");
}
static const struct nw_vms_monitor_result *of(const struct nw_vms_result *r, uint32_t guest, enum nw_wss_kind kind)
{
    for (size_t i = 0; i < r->monitors; i++)
        if (r->monitor[i].guest == guest && r->monitor[i].estimator == kind)
            return &r->monitor[i];
    fail_msg("guest %d has no monitor %s", (int)guest, nw_wss_name[kind]);
    return NULL;
}

static void window__of_a_round_is_all_of_it_and_of_a_tenth_a_tenth(void **state)
{
    (void)state;
    static const char *const window[] = { "100000000", "10000000" };
    for (int n = 0; n < 2; n++) {
        struct nw_vms_config c = loop("10");
        set(&c, "monitor.scan", "1");
        set(&c, "monitor.window_ns", window[n]);
        struct nw_vms_result r = run(&c);
        assert_true(r.monitor_samples >= (n ? 90 : 9));
        for (size_t i = 1; i < r.monitor_samples; i++) {
            const double wanted = n ? 409.6 : 4096, exact = (double)r.monitor_sample[i].exact;
            if (fabs(exact - wanted) > 0.12 * wanted) /* a quantum of 1 ms is a tenth of a window of 10 */
                fail_msg("window %d: %g pages", (int)i, exact);
            assert_true(r.monitor_sample[i].estimate == exact);
        }
        assert_true(of(&r, 0, NW_WSS_SCAN)->error_percent == 0);
        nw_vms_result_fini(&r);
        nw_vms_config_fini(&c);
    }
}

/* A TLB that holds the loop: once the translations are there, nothing sets a flag, unless each scan flushes. */
static void scan__without_a_flush_misses_what_the_tlb_holds(void **state)
{
    (void)state;
    for (int flush = 0; flush < 2; flush++) {
        struct nw_vms_config c = loop("20");
        set(&c, "host.tlb_entries", "8192");
        set(&c, "monitor.scan", "1");
        set(&c, "monitor.flush", flush ? "1" : "0");
        struct nw_vms_result r = run(&c);
        const struct nw_vms_monitor_result *m = of(&r, 0, NW_WSS_SCAN);
        if (flush) {
            assert_true(m->error_percent == 0);
            assert_int_equal(m->counters.flushes, m->counters.windows);
        } else {
            assert_true(m->bias_percent < -90 && m->counters.flushes == 0);
        }
        nw_vms_result_fini(&r);
        nw_vms_config_fini(&c);
    }
}

/* A guest whose TLB holds all that it uses sets no flags. When another one needs memory, scans without flushes take its pages for idle ones. */
static void swap__scans_without_a_flush_see_less(void **state)
{
    (void)state;
    uint64_t taken[2];
    for (int flush = 0; flush < 2; flush++) {
        struct nw_vms_config c;
        nw_vms_config_init(&c);
        set(&c, "host.memory", "24M");
        set(&c, "host.tlb_entries", "4096");
        set(&c, "swap.policy", "lru");
        set(&c, "swap.scan_ns", "2000000");
        set(&c, "swap.scan_flush", flush ? "1" : "0");
        guest(&c, "hot", "uniform", "4M", "1000000");
        guest(&c, "cold", "sequential", "40M", "10000");
        set(&c, "vm.hot.memory", "16M");
        set(&c, "vm.cold.memory", "64M");
        set(&c, "vm.cold.start_ns", "20000000");
        set(&c, "vm.cold.work.access_ns", "5000");
        struct nw_vms_result r = run(&c);
        check_sound(&r, "scans");
        assert_true(r.guest[1].counters.swapped_out > 3000);
        taken[flush] = r.guest[0].counters.swapped_out;
        nw_vms_result_fini(&r);
        nw_vms_config_fini(&c);
    }
    if (taken[0] < 1024 || taken[1] > taken[0] / 2) /* all of its 4 MiB, or more, as they come back */
        fail_msg("%d pages of the hot guest were taken without flushes, %d with them", (int)taken[0], (int)taken[1]);
}

static void monitors__all_at_once_are_near_where_they_can_be(void **state)
{
    (void)state;
    struct nw_vms_config c = loop("40");
    all_on(&c);
    struct nw_vms_result r = run(&c), again = run(&c);
    assert_int_equal(r.monitors, 4);
    assert_true(same_counters(&r, &again));
    assert_memory_equal(r.monitor, again.monitor, 4 * sizeof *r.monitor);
    assert_true(of(&r, 0, NW_WSS_SCAN)->error_percent == 0);
    assert_true(of(&r, 0, NW_WSS_SAMPLING)->error_percent <
                10);                                          /* all pages are active: only the first windows are off */
    assert_true(of(&r, 0, NW_WSS_GHOST)->error_percent < 10); /* all of them are resident */
    /* A page is used once a window, in one of 20 looks: a look finds it with probability 1/20, 20 looks at a region find something with 1 - 0.95^20 = 64 %. */
    const double bias = of(&r, 0, NW_WSS_DAMON)->bias_percent;
    if (bias < -56 || bias > -16)
        fail_msg("damon is off by %g %%", bias);
    assert_true(of(&r, 0, NW_WSS_DAMON)->counters.looked < of(&r, 0, NW_WSS_SCAN)->counters.looked);
    assert_int_equal(of(&r, 0, NW_WSS_GHOST)->counters.looked, 0);
    /* Uncharged, they change nothing of the run. */
    struct nw_vms_config without = loop("40");
    struct nw_vms_result plain = run(&without);
    assert_true(same_counters(&r, &plain));
    nw_vms_config_fini(&without);
    nw_vms_result_fini(&plain);
    nw_vms_result_fini(&r);
    nw_vms_result_fini(&again);
    nw_vms_config_fini(&c);
}

static void monitors__cost_what_they_count(void **state)
{
    (void)state;
    struct nw_vms_config c = loop("20");
    set(&c, "host.flush_ns", "1000");
    set(&c, "host.scan_page_ns", "50");
    set(&c, "swap.sees", "accesses"); /* the host scans nothing itself */
    set(&c, "monitor.charge", "1");
    set(&c, "monitor.sampling", "1");
    set(&c, "monitor.scan", "1");
    struct nw_vms_result r = run(&c);
    const struct nw_vms_monitor_counters *scan = &of(&r, 0, NW_WSS_SCAN)->counters,
                                         *sampling = &of(&r, 0, NW_WSS_SAMPLING)->counters;
    assert_int_equal(scan->cost_ns, 50 * scan->looked + 1000 * scan->flushes);
    assert_int_equal(sampling->unmapped, 100 * sampling->windows);
    assert_int_equal(sampling->flushes, 4 * sampling->windows); /* 32 pages each */
    assert_int_equal(sampling->cost_ns, 1000 * sampling->flushes);
    /* Its time: the accesses, and what came in between. Costs of the last window are not paid any more. */
    const uint64_t took = r.guest[0].ended_ns - r.guest[0].started_ns, paid = took - r.guest[0].alone_ns;
    const uint64_t cost = scan->cost_ns + sampling->cost_ns;
    if (paid < cost * 9 / 10 || paid > cost + 1)
        fail_msg("%d ns were paid of %d", (int)paid, (int)cost);
    nw_vms_result_fini(&r);
    nw_vms_config_fini(&c);
}

/* Half of what the guest goes round in: the ghosts say how much is missing. */
static void ghost__says_what_is_missing_under_pressure(void **state)
{
    (void)state;
    struct nw_vms_config c = loop("20");
    set(&c, "host.memory", "12M");
    set(&c, "swap.policy", "lru");
    set(&c, "swap.sees", "accesses");
    set(&c, "swap.read_ahead", "1");
    set(&c, "monitor.window_ns", "400000000");
    set(&c, "monitor.ghost", "1");
    struct nw_vms_result r = run(&c);
    check_sound(&r, "ghosts");
    const struct nw_vms_monitor_result *m = of(&r, 0, NW_WSS_GHOST);
    assert_true(r.guest[0].counters.swapped_in > 10000);
    assert_true(m->estimate_pages > 3300 && fabs(m->bias_percent) < 20);
    nw_vms_result_fini(&r);
    nw_vms_config_fini(&c);
}

/* Everybody its working set, by each estimator: a guest that has used 24 MiB and uses 4 of them, next to one that comes later and uses 24. */
static void balloon__follows_any_estimator(void **state)
{
    (void)state;
    static const char *const by[] = { "own", "scan", "sampling", "damon", "exact" };
    for (size_t i = 0; i < sizeof by / sizeof *by; i++) {
        struct nw_vms_config c;
        struct nw_error err = { 0 };
        nw_vms_config_init(&c);
        set(&c, "host.memory", "40M");
        guest(&c, "idle", "sequential", "24M", "6144");
        guest(&c, "busy", "uniform", "24M", "3000000");
        size_t w;
        assert_int_equal(nw_vms_config_add_work(&c, 0, &w, &err), NW_OK);
        set(&c, "vm.idle.work.1.generate", "uniform");
        set(&c, "vm.idle.work.1.span", "4M");
        set(&c, "vm.idle.work.1.accesses", "5000000");
        set(&c, "vm.idle.memory", "32M");
        set(&c, "vm.busy.memory", "32M");
        set(&c, "vm.busy.start_ns", "250000000");
        set(&c, "balloon.policy", "working-set");
        set(&c, "balloon.slack", "0.5"); /* more than estimates are off */
        set(&c, "host.timeline_ns", "2000000");
        set(&c, "balloon.interval_ns", "50000000");
        set(&c, "balloon.batch_ns", "10000");
        set(&c, "balloon.estimator", by[i]);
        set(&c, "monitor.window_ns", "50000000");
        if (i && i < 4) {
            assert_int_equal(nw_vms_config_check(&c, &err), NW_ERR_USAGE);
            assert_non_null(strstr(err.text, "monitor."));
            char path[64];
            snprintf(path, sizeof path, "monitor.%s", by[i]);
            set(&c, path, "1");
        }
        struct nw_vms_result r = run(&c);
        check_sound(&r, by[i]);
        const struct nw_vms_sample *idle = NULL, *busy = NULL;
        assert_true(r.guest[0].counters.inflated > 1000);
        for (size_t k = 0; k < r.samples && r.sample[k].time_ns < r.guest[0].ended_ns * 3 / 4; k++)
            *(r.sample[k].guest ? &busy : &idle) = &r.sample[k];
        if (idle->resident >= busy->resident)
            fail_msg("by %s: the idle guest has %d pages, the busy one %d", by[i], (int)idle->resident,
                     (int)busy->resident);
        nw_vms_result_fini(&r);
        nw_vms_config_fini(&c);
    }
}

/* The whole sample (rate 1) under LRU that sees each access: the curve at the guest's size is what the host's policy does. */
static void curve__is_what_lru_does(void **state)
{
    (void)state;
    struct nw_vms_config c;
    nw_vms_config_init(&c);
    set(&c, "host.memory", "24M");
    set(&c, "swap.policy", "lru");
    set(&c, "swap.sees", "accesses");
    set(&c, "swap.scope", "vm");
    set(&c, "swap.read_ahead", "1");
    set(&c, "monitor.mrc_rate", "1");
    guest(&c, "a", "zipf", "24M", "300000");
    set(&c, "vm.a.memory", "32M");
    set(&c, "vm.a.max", "16M"); /* 4096 pages */
    set(&c, "vm.a.kernel", "0");
    struct nw_vms_result r = run(&c);
    const struct nw_vms_guest_result *g = &r.guest[0];
    check_sound(&r, "curve");
    assert_int_equal(g->mrc_points, NW_VMS_MRC_POINTS);
    assert_int_equal(g->mrc_references, 300000);
    for (size_t i = 1; i < g->mrc_points; i++)
        assert_true(g->mrc[i].misses <= g->mrc[i - 1].misses);
    const struct nw_mrc_point *at = &g->mrc[15];
    assert_int_equal(at->entries, 4096);
    const double faults = (double)(g->counters.major_faults + g->counters.first_touches);
    if (fabs(at->misses - faults) > 0.01 * faults)
        fail_msg("%g misses by the curve, %g faults", at->misses, faults);
    nw_vms_result_fini(&r);

    set(&c, "monitor.mrc_rate", "0.25");
    r = run(&c);
    assert_true(r.guest[0].mrc[15].low <= faults && faults <= r.guest[0].mrc[15].high);
    nw_vms_result_fini(&r);
    nw_vms_config_fini(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(window__of_a_round_is_all_of_it_and_of_a_tenth_a_tenth),
        cmocka_unit_test(scan__without_a_flush_misses_what_the_tlb_holds),
        cmocka_unit_test(swap__scans_without_a_flush_see_less),
        cmocka_unit_test(monitors__all_at_once_are_near_where_they_can_be),
        cmocka_unit_test(monitors__cost_what_they_count),
        cmocka_unit_test(ghost__says_what_is_missing_under_pressure),
        cmocka_unit_test(balloon__follows_any_estimator),
        cmocka_unit_test(curve__is_what_lru_does),
    };
    return cmocka_run_group_tests_name("vms_monitor", tests, NULL, NULL);
}
