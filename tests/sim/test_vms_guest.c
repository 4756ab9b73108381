/* test_vms_guest.c - what a guest does by itself: its own swap area, works that go on in others' memory, pauses; and a balloon that follows what guests report. */
#include "vms_case.h"

/* A guest of 16 MiB that goes twice through 24 MiB in order: what it pages out lies in order, and comes back several pages at a time. */
static struct nw_vms_config two_passes(const char *generate, const char *read_ahead)
{
    struct nw_vms_config c;
    nw_vms_config_init(&c);
    set(&c, "host.memory", "64M");
    set(&c, "host.disk", "disk");
    guest(&c, "g", generate, "24M", "12288");
    set(&c, "vm.g.memory", "16M");
    set(&c, "vm.g.work.stores", "1");
    set(&c, "vm.g.swap_read_ahead", read_ahead);
    return c;
}

static void guest_swap__reads_ahead_when_that_is_of_use(void **state)
{
    (void)state;
    uint64_t requests[2];
    for (int ahead = 0; ahead < 2; ahead++) {
        struct nw_vms_config c = two_passes("sequential", ahead ? "8" : "1");
        struct nw_vms_result r = run(&c);
        const struct nw_vms_guest_counters *g = &r.guest[0].counters;
        check_sound(&r, "two passes");
        /* LRU and a loop: all of the second pass; what was read behind its end is of no use. */
        assert_in_range(g->guest_swapped_in, 6144, 6144 + 8);
        if (ahead)
            assert_true(g->guest_read_ahead > 5000 && g->guest_read_ahead_used + 8 >= g->guest_read_ahead);
        else
            assert_int_equal(g->guest_read_ahead, 0);
        requests[ahead] = r.host.disk_reads;
        nw_vms_result_fini(&r);
        nw_vms_config_fini(&c);
    }
    assert_int_equal(requests[0], 6144);
    assert_true(requests[1] < 6144 / 7);
}

static void guest_swap__reads_little_ahead_when_it_is_of_none(void **state)
{
    (void)state;
    struct nw_vms_config c = two_passes("uniform", "8");
    set(&c, "vm.g.work.span", "512M");
    set(&c, "vm.g.work.accesses", "200000");
    struct nw_vms_result r = run(&c);
    check_sound(&r, "uniform");
    assert_true(r.guest[0].counters.guest_swapped_in > 50000);
    assert_true(r.guest[0].counters.guest_read_ahead < r.guest[0].counters.guest_swapped_in / 20);
    nw_vms_result_fini(&r);
    nw_vms_config_fini(&c);
}

static void guest_swap__writes_neighbours_as_one_request(void **state)
{
    (void)state;
    struct nw_vms_config c = two_passes("sequential", "8");
    set(&c, "vm.g.work.accesses", "6144"); /* one pass */
    struct nw_vms_result r = run(&c);
    const uint64_t pages = r.guest[0].counters.guest_swapped_out;
    assert_true(pages > 2000);
    assert_int_equal(r.host.disk_writes, pages / 32); /* the last ones wait for others */
    nw_vms_result_fini(&r);
    nw_vms_config_fini(&c);
}

static void work__goes_on_in_the_memory_of_another(void **state)
{
    (void)state;
    for (int own = 0; own < 2; own++) {
        struct nw_vms_config c;
        struct nw_error err = { 0 };
        size_t w;
        nw_vms_config_init(&c);
        set(&c, "host.memory", "64M");
        guest(&c, "g", "sequential", "8M", "2048");
        set(&c, "vm.g.memory", "32M");
        assert_int_equal(nw_vms_config_add_work(&c, 0, &w, &err), NW_OK);
        set(&c, "vm.g.work.1.generate", "uniform");
        set(&c, "vm.g.work.1.span", "8M");
        set(&c, "vm.g.work.1.accesses", "20000");
        set(&c, "vm.g.work.1.memory_of", own ? "0" : "1");
        set(&c, "vm.g.work.1.keep", "0");
        set(&c, "balloon.reporting", "4K");
        struct nw_vms_result r = run(&c);
        check_sound(&r, "memory of another");
        if (own)
            assert_true(r.guest[0].counters.first_touches > 4000);
        else
            assert_int_equal(r.guest[0].counters.first_touches, 2048);
        nw_vms_result_fini(&r);
        set(&c, "vm.g.work.0.memory_of", "1");
        assert_int_equal(nw_vms_config_check(&c, &err), NW_ERR_USAGE);
        assert_non_null(strstr(err.text, "vm.g.work.0.memory_of is 1; allowed are 0"));
        nw_vms_config_fini(&c);
    }
}

/* Three guests that sleep have one core, and are none the slower for it; each begins when it is its turn. */
static void pause__leaves_the_core_to_others(void **state)
{
    (void)state;
    struct nw_vms_config c;
    nw_vms_config_init(&c);
    set(&c, "host.memory", "64M");
    guest(&c, "g", "uniform", "4M", "1000");
    set(&c, "vm.g.count", "3");
    set(&c, "vm.g.memory", "8M");
    set(&c, "vm.g.work.access_ns", "10000");
    set(&c, "vm.g.work.pause_ns", "990000");
    set(&c, "vm.g.work.start_ns", "1000000000");
    set(&c, "vm.g.work.stagger_ns", "500000000");
    struct nw_vms_result r = run(&c);
    for (unsigned i = 0; i < 3; i++) {
        const double ms = (double)r.guest[i].work_ns[0] / 1e6,
                     end = (double)(r.guest[i].ended_ns - r.guest[i].started_ns) / 1e6;
        assert_int_equal(r.guest[i].alone_ns, 1000 * 1000000);
        if (ms < 1000 || ms > 1010)
            fail_msg("guest %u took %g ms", i, ms);
        if (end < 2000 + i * 500 || end > 2015 + i * 500)
            fail_msg("guest %u ended after %g ms", i, end);
    }
    nw_vms_result_fini(&r);
    nw_vms_config_fini(&c);
}

/* What the controller knows is old: it sees the host's memory run out so many reports later. */
static void mom__goes_by_the_mean_of_reports(void **state)
{
    (void)state;
    uint64_t inflated[2];
    for (int slow = 0; slow < 2; slow++) {
        struct nw_vms_config c;
        nw_vms_config_init(&c);
        set(&c, "host.memory", "80M");
        guest(&c, "g", "sequential", "32M", "60000");
        set(&c, "vm.g.count", "2");
        set(&c, "vm.g.memory", "48M");
        set(&c, "vm.g.work.access_ns", "10000");
        set(&c, "balloon.policy", "mom");
        set(&c, "balloon.interval_ns", "20000000");
        set(&c, "balloon.stats_ns", "10000000");
        set(&c, "balloon.step", "0.05");
        set(&c, "balloon.history", slow ? "40" : "1");
        struct nw_vms_result r = run(&c);
        check_sound(&r, "mom");
        inflated[slow] = r.guest[0].counters.inflated + r.guest[1].counters.inflated;
        nw_vms_result_fini(&r);
        nw_vms_config_fini(&c);
    }
    assert_true(inflated[0] > 2000 && inflated[1] < inflated[0]);
}

/* A few pages that stay in use, the oldest of all: scans see that they are, though they look at what was touched only. */
static void scans__see_the_few_pages_that_are_used(void **state)
{
    (void)state;
    static const char *const policies[] = { "lru", "clock", "two-list", "mglru", "s3fifo" };
    for (unsigned i = 0; i < sizeof policies / sizeof *policies; i++) {
        struct nw_vms_config c;
        struct nw_error err = { 0 };
        size_t w;
        nw_vms_config_init(&c);
        set(&c, "host.memory", "48M");
        set(&c, "host.cores", "2");
        set(&c, "swap.policy", policies[i]);
        set(&c, "swap.scan_ns", "10000000");
        set(&c, "swap.read_ahead", "1");
        guest(&c, "old", "sequential", "32M", "8192");
        set(&c, "vm.old.memory", "40M");
        assert_int_equal(nw_vms_config_add_work(&c, 0, &w, &err), NW_OK);
        set(&c, "vm.old.work.1.generate", "uniform");
        set(&c, "vm.old.work.1.span", "512K");
        set(&c, "vm.old.work.1.accesses", "50000");
        set(&c, "vm.old.work.1.access_ns", "10000");
        set(&c, "vm.old.work.1.memory_of", "1");
        guest(&c, "new", "sequential", "32M", "8192");
        set(&c, "vm.new.memory", "40M");
        set(&c, "vm.new.start_ns", "100000000");
        set(&c, "vm.new.work.access_ns", "30000");
        struct nw_vms_result r = run(&c);
        check_sound(&r, policies[i]);
        assert_true(r.guest[0].counters.swapped_out > 1000);
        assert_int_equal(r.host.scanned_pages, r.guest[0].counters.scanned + r.guest[1].counters.scanned);
        assert_true(r.host.scanned_pages > 8192 * (r.host.scans / 2));
        if (r.guest[0].counters.swapped_in > 0)
            fail_msg("%s: %d pages were read in", policies[i], (int)r.guest[0].counters.swapped_in);
        nw_vms_result_fini(&r);
        nw_vms_config_fini(&c);
    }
}

/* The VMM processes' pages that were never touched are not looked for among what can be taken. */
static void hypervisor__pages_take_no_frame_while_there_is_none(void **state)
{
    (void)state;
    struct nw_vms_config c;
    nw_vms_config_init(&c);
    set(&c, "host.memory", "24M");
    set(&c, "swap.device", "disk");
    set(&c, "host.low", "0");
    set(&c, "host.high", "0");
    guest(&c, "g", "uniform", "12M", "40000");
    set(&c, "vm.g.count", "4");
    set(&c, "vm.g.memory", "16M");
    set(&c, "vm.g.hypervisor", "16M");
    set(&c, "vm.g.work.stores", "1");
    struct nw_vms_result r = run(&c); /* ends with the account being checked */
    check_sound(&r, "hypervisor");
    assert_true(r.host.direct_reclaims > 100);
    nw_vms_result_fini(&r);
    nw_vms_config_fini(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(guest_swap__reads_ahead_when_that_is_of_use),
        cmocka_unit_test(guest_swap__reads_little_ahead_when_it_is_of_none),
        cmocka_unit_test(guest_swap__writes_neighbours_as_one_request),
        cmocka_unit_test(work__goes_on_in_the_memory_of_another),
        cmocka_unit_test(pause__leaves_the_core_to_others),
        cmocka_unit_test(mom__goes_by_the_mean_of_reports),
        cmocka_unit_test(scans__see_the_few_pages_that_are_used),
        cmocka_unit_test(hypervisor__pages_take_no_frame_while_there_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
