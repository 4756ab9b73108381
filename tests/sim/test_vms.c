/* test_vms.c - several guests on one host: nothing is lost under any policy, known answers, and ends that are modelled. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* after those four */
#include "vms_case.h"
#include <nestwalk/balloon/allocation.h>
#include <nestwalk/swap/device.h>
#include <nestwalk/swap/replacement.h>

static void swap__every_policy_keeps_every_page(void **state)
{
    (void)state;
    for (size_t p = 0;; p++) {
        const char *name = nw_replacement_policies[p] ? nw_replacement_policies[p]->name : "guest-informed";
        for (int how = 0; how < 4; how++) {
            struct nw_vms_config c = tight();
            set(&c, "host.memory", "30M");
            set(&c, "swap.policy", name);
            set(&c, "swap.scope", how & 1 ? "vm" : "host");
            set(&c, "swap.sees", how & 2 ? "accesses" : "scans");
            set(&c, "swap.scan_ns", "1000000");
            struct nw_vms_result r = run(&c), again = run(&c);
            check_sound(&r, name);
            assert_int_equal(r.guest[0].counters.accesses, 200000);
            if (r.guest[0].counters.swapped_out < 500 || r.guest[0].counters.swapped_in < 100)
                fail_msg("%s, way %d: %d out, %d in", name, how, (int)r.guest[0].counters.swapped_out,
                         (int)r.guest[0].counters.swapped_in);
            assert_int_equal(r.guest[1].state, NW_VMS_FINISHED);
            if (!same_counters(&r, &again))
                fail_msg("%s: the same run twice differs", name);
            nw_vms_result_fini(&r);
            nw_vms_result_fini(&again);
            nw_vms_config_fini(&c);
        }
        if (!nw_replacement_policies[p])
            break;
    }
}

/* With all of everything: nothing is lost, and the account is right (nw_vms_run() checks it at the end). */
static void everything__at_once_loses_nothing(void **state)
{
    (void)state;
    for (size_t p = 0; nw_allocation_policies[p]; p++)
        for (unsigned how = 0; how < 6; how++) {
            struct nw_vms_config c = tight();
            guest(&c, "file", "sequential", "20M", "20000");
            set(&c, "vm.file.memory", "32M");
            set(&c, "vm.file.work.file", "1");
            set(&c, "vm.file.hypervisor", "1M");
            set(&c, "vm.file.pinned", "1M");
            set(&c, "vm.a.zero", "0.2");
            set(&c, "vm.a.common", "0.3");
            set(&c, "vm.a.image", "x");
            set(&c, "vm.b.common", "0.5");
            set(&c, "vm.b.image", "x");
            set(&c, "balloon.policy", nw_allocation_policies[p]->name);
            set(&c, "balloon.interval_ns", "3000000");
            set(&c, "balloon.batch_ns", "10000");
            set(&c, "balloon.reporting", how % 3 == 0 ? "none" : how % 3 == 1 ? "4K" : "2M");
            set(&c, "balloon.reporting_ns", "5000000");
            set(&c, "sharing.kind", how % 2 ? "ksm" : "hints");
            set(&c, "sharing.sleep_ns", "500000");
            set(&c, "sharing.use_zero_pages", how % 2 ? "1" : "0");
            set(&c, "swap.mapper", how & 1 ? "1" : "0");
            set(&c, "swap.preventer", how & 2 ? "1" : "0");
            set(&c, "swap.policy", how == 4 ? "guest-informed" : "two-list");
            set(&c, "swap.device", how == 5 ? "zswap" : "nvme");
            set(&c, "host.cores", how == 3 ? "3" : "1");
            set(&c, "host.timeline_ns", "2000000");
            struct nw_vms_result r = run(&c);
            check_sound(&r, nw_allocation_policies[p]->name);
            for (size_t i = 0; i < r.guests; i++)
                if (r.guest[i].state != NW_VMS_FINISHED)
                    fail_msg("%s, way %u: guest %s %s", nw_allocation_policies[p]->name, how, r.guest[i].name,
                             nw_vms_state_name[r.guest[i].state]);
            assert_true(r.samples > 10 * r.guests);
            nw_vms_result_fini(&r);
            nw_vms_config_fini(&c);
        }
}

static void memory__enough_costs_first_touches_only(void **state)
{
    (void)state;
    struct nw_vms_config c = tight();
    set(&c, "host.memory", "256M");
    set(&c, "host.cores", "2");
    struct nw_vms_result r = run(&c);
    check_sound(&r, "enough");
    for (size_t i = 0; i < 2; i++) {
        const struct nw_vms_guest_counters *g = &r.guest[i].counters;
        assert_int_equal(g->swapped_out + g->swapped_in + g->major_faults + g->waited_ns, 0);
        /* the kernel's pages besides */
        assert_int_equal(g->minor_faults, g->first_touches + (uint64_t)(0.03 * 8192));
        assert_int_equal(r.guest[i].ended_ns - r.guest[i].started_ns, 200000 * 100 + g->fault_ns);
        assert_int_equal(g->fault_ns, 1500 * g->minor_faults);
    }
    nw_vms_result_fini(&r);
    nw_vms_config_fini(&c);
}

/* One core: two guests that never wait take twice as long as one; with weights 3 : 1 the first is done when the other has a third of it. */
static void cores__are_shared_by_weight(void **state)
{
    (void)state;
    struct nw_vms_config c = tight();
    set(&c, "host.memory", "256M");
    set(&c, "host.quantum_ns", "100000");
    set(&c, "vm.a.weight", "3072");
    struct nw_vms_result r = run(&c);
    const double a = (double)r.guest[0].ended_ns, b = (double)r.guest[1].ended_ns;
    assert_true(fabs(a / b - 4. / 6.) < 0.02);
    nw_vms_result_fini(&r);
    nw_vms_config_fini(&c);
}

/* Cyclic use of one page more than fit: least recently used misses each time. */
static void swap__lru_on_a_loop_faults_each_time(void **state)
{
    (void)state;
    struct nw_vms_config c;
    nw_vms_config_init(&c);
    set(&c, "host.memory", "16M");
    set(&c, "swap.policy", "lru");
    set(&c, "swap.sees", "accesses");
    set(&c, "swap.read_ahead", "1");
    guest(&c, "loop", "sequential", "20M", "51200");
    set(&c, "vm.loop.memory", "32M");
    set(&c, "vm.loop.kernel", "0");
    struct nw_vms_result r = run(&c);
    check_sound(&r, "loop");
    assert_int_equal(r.guest[0].counters.major_faults, 51200 - 5120);
    nw_vms_result_fini(&r);
    nw_vms_config_fini(&c);
}

static void balloon__inflates_to_its_target_and_the_guest_pages(void **state)
{
    (void)state;
    struct nw_vms_config c;
    nw_vms_config_init(&c);
    set(&c, "host.memory", "64M");
    guest(&c, "g", "uniform", "24M", "200000");
    set(&c, "vm.g.memory", "32M");
    set(&c, "vm.g.balloon", "16M");
    set(&c, "vm.g.work.start_ns", "1000000000");
    struct nw_vms_result r = run(&c);
    check_sound(&r, "balloon");
    assert_int_equal(r.guest[0].counters.inflated, 4096);
    assert_true(r.guest[0].counters.guest_swapped_out > 2000 && r.guest[0].counters.guest_swapped_in > 1000);
    assert_int_equal(r.guest[0].counters.swapped_out, 0);
    assert_int_equal(r.sample[r.samples - 1].ballooned, 4096);
    assert_true(r.sample[r.samples - 1].resident <= 4096);
    nw_vms_result_fini(&r);
    nw_vms_config_fini(&c);
}

/* What one guest freed is backed until it is reported. */
static void reporting__gives_free_pages_back(void **state)
{
    (void)state;
    for (int reporting = 0; reporting < 2; reporting++) {
        struct nw_vms_config c;
        nw_vms_config_init(&c);
        guest(&c, "g", "sequential", "16M", "8192");
        set(&c, "vm.g.memory", "32M");
        set(&c, "vm.g.work.keep", "0");
        struct nw_error err = { 0 };
        size_t w;
        assert_int_equal(nw_vms_config_add_work(&c, 0, &w, &err), NW_OK);
        set(&c, "vm.g.work.1.generate", "uniform");
        set(&c, "vm.g.work.1.span", "1M");
        set(&c, "vm.g.work.1.accesses", "10");
        set(&c, "vm.g.work.1.start_ns", "5000000000");
        set(&c, "balloon.reporting", reporting ? "2M" : "none");
        struct nw_vms_result r = run(&c);
        check_sound(&r, "reporting");
        assert_true(reporting ? r.guest[0].counters.reported >= 6 * 512 : r.guest[0].counters.reported == 0);
        assert_true(reporting ? r.sample[r.samples - 1].resident < 1300 : r.sample[r.samples - 1].resident > 4096);
        nw_vms_result_fini(&r);
        nw_vms_config_fini(&c);
    }
}

static void mapper__writes_nothing_that_is_on_the_disk(void **state)
{
    (void)state;
    for (int mapper = 0; mapper < 2; mapper++) {
        struct nw_vms_config c;
        nw_vms_config_init(&c);
        set(&c, "host.memory", "16M");
        set(&c, "swap.mapper", mapper ? "1" : "0");
        guest(&c, "g", "sequential", "24M", "30000");
        set(&c, "vm.g.memory", "64M");
        set(&c, "vm.g.work.file", "1");
        set(&c, "vm.g.work.stores", "0");
        struct nw_vms_result r = run(&c);
        const struct nw_vms_guest_counters *g = &r.guest[0].counters;
        check_sound(&r, "mapper");
        assert_true(g->swapped_out > 10000);
        if (mapper) {
            assert_int_equal(g->silent_writes, 0);
            assert_true(g->silent_writes_avoided > 10000 && r.host.swap_written_pages < 1000);
        } else {
            assert_true(g->silent_writes > 5000 && g->decayed_reads + g->read_ahead_used > 1000);
        }
        nw_vms_result_fini(&r);
        nw_vms_config_fini(&c);
    }
}

static void memory__that_runs_out_is_an_event(void **state)
{
    (void)state;
    struct nw_vms_config c = tight();
    set(&c, "swap.size", "0");
    set(&c, "sharing.kind", "ksm");
    struct nw_vms_result r = run(&c);
    check_sound(&r, "no swap");
    assert_int_equal(r.events, 1);
    assert_non_null(strstr(r.event[0].text, "the host is out of memory and swap space"));
    assert_true((r.guest[0].state == NW_VMS_KILLED) != (r.guest[1].state == NW_VMS_KILLED));
    nw_vms_result_fini(&r);
    set(&c, "swap.size", "1G");
    set(&c, "vm.a.swap", "0");
    set(&c, "vm.a.memory", "16M");
    r = run(&c);
    assert_int_equal(r.guest[0].state, NW_VMS_OUT_OF_MEMORY);
    assert_non_null(strstr(r.event[0].text, "a is ended: the guest is out of memory"));
    nw_vms_result_fini(&r);
    nw_vms_config_fini(&c);
}

static void reservation__is_kept(void **state)
{
    (void)state;
    struct nw_vms_config c = tight();
    set(&c, "vm.a.min", "24M");
    set(&c, "host.timeline_ns", "200000");
    struct nw_vms_result r = run(&c);
    uint64_t most = 0;
    check_sound(&r, "reservation");
    for (size_t i = 0; i < r.samples; i++) {
        if (r.sample[i].guest || r.sample[i].accesses == 200000)
            continue; /* one that has finished has no claim */
        assert_true(r.sample[i].resident >= most || r.sample[i].resident >= 24 * 256);
        most = r.sample[i].resident > most ? r.sample[i].resident : most;
    }
    nw_vms_result_fini(&r);
    nw_vms_config_fini(&c);
}

static void limit__is_kept(void **state)
{
    (void)state;
    struct nw_vms_config c = tight();
    set(&c, "host.memory", "256M");
    set(&c, "swap.scope", "vm");
    set(&c, "vm.a.max", "10M");
    struct nw_vms_result r = run(&c);
    check_sound(&r, "limit");
    for (size_t i = 0; i < r.samples; i++)
        assert_true(r.sample[i].guest || r.sample[i].resident <= 10 * 256 + 8);
    assert_true(r.guest[0].counters.swapped_out > 2000);
    assert_int_equal(r.guest[1].counters.swapped_out, 0);
    nw_vms_result_fini(&r);
    nw_vms_config_fini(&c);
}

/* ---- configurations ---- */

static void config__every_default_is_allowed(void **state)
{
    (void)state;
    struct nw_vms_config c = tight();
    size_t count;
    const struct nw_param *p = nw_vms_params(&count);
    for (size_t i = 0; i < count; i++) {
        char path[128];
        const char *dot = strchr(p[i].path, '.');
        if (!strncmp(p[i].path, "vm.", 3))
            snprintf(path, sizeof path, "vm.a%s", dot);
        else if (!strncmp(p[i].path, "work.", 5))
            snprintf(path, sizeof path, "vm.a.work%s", dot);
        else
            snprintf(path, sizeof path, "%s", p[i].path);
        set(&c, path, p[i].initial);
    }
    nw_vms_config_fini(&c);
}

/* The choices that the table spells are those that there are. */
static void config__choices_are_the_policies(void **state)
{
    (void)state;
    size_t count, seen = 0;
    const struct nw_param *p = nw_vms_params(&count);
    for (size_t i = 0; i < count; i++)
        if (!strcmp(p[i].path, "swap.policy")) {
            size_t k = 0;
            for (; nw_replacement_policies[k]; k++)
                assert_string_equal(p[i].choices[k], nw_replacement_policies[k]->name);
            assert_string_equal(p[i].choices[k], "guest-informed");
            assert_null(p[i].choices[k + 1]);
            seen++;
        } else if (!strcmp(p[i].path, "balloon.policy")) {
            size_t k = 0;
            for (; nw_allocation_policies[k]; k++)
                assert_string_equal(p[i].choices[k], nw_allocation_policies[k]->name);
            assert_null(p[i].choices[k]);
            seen++;
        } else if (!strcmp(p[i].path, "swap.device") || !strcmp(p[i].path, "host.disk")) {
            for (size_t k = 0; p[i].choices[k]; k++)
                assert_string_equal(p[i].choices[k], nw_swap_device_kinds[k].name);
            seen++;
        }
    assert_int_equal(seen, 4);
}

static void config__nonsense_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *path[3], *value[3], *says;
    } cases[] = {
        { { "vm.a.min", "vm.b.min" },
          { "30M", "30M" },
          "reservations (vm.*.min) are 60.0 MiB together; host.memory leaves 39.4 MiB" },
        { { "vm.a.balloon" }, { "64M" }, "vm.a.balloon is 64.0 MiB; the guest has 32.0 MiB" },
        { { "vm.a.max" }, { "64M" }, "vm.a.max is 64.0 MiB, more than vm.a.memory" },
        { { "vm.a.min", "vm.a.max", "swap.scope" },
          { "20M", "10M", "vm" },
          "vm.a.min, a reservation of 20.0 MiB, is more than it may have" },
        { { "vm.a.max" }, { "10M" }, "needs something that holds the guest to it" },
        { { "swap.size" }, { "4M" }, "nothing else gives memory back; swap.size=26M would do" },
        { { "vm.a.zero", "vm.a.common" }, { "0.7", "0.7" }, "together 1.4 is more than 1" },
        { { "vm.a.work.trace" }, { "x.nwt" }, "trace and generate are both given" },
        { { "vm.a.count" }, { "512" }, "there are 513 guests" },
        { { "vm.a.balloon", "balloon.policy" }, { "4M", "shares" }, "both say how large its balloon is" },
        { { "host.low" }, { "0.4" }, "host.low is 0.4, more than host.high" },
        { { "vm.a.pinned", "vm.b.pinned" }, { "30M", "30M" }, "pinned memory (vm.*.pinned) is 60.0 MiB" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nw_vms_config c = tight();
        struct nw_error err = { 0 };
        for (size_t k = 0; k < 3 && cases[i].path[k]; k++)
            set(&c, cases[i].path[k], cases[i].value[k]);
        assert_int_equal(nw_vms_config_check(&c, &err), NW_ERR_USAGE);
        if (!strstr(err.text, cases[i].says))
            fail_msg("case %d: %s", (int)i, err.text);
        nw_vms_config_fini(&c);
    }
}

static void config__paths_that_do_not_exist_are_named(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        { "host.memroy", "after \"host.\" are allowed: memory cores" },
        { "vm.c.memory", "no guest has this name; there are: a b" },
        { "vm.a.work.3.span", "guest a has 1 works" },
        { "nothing", "allowed are host.*, swap.*" },
        { "vm.a.work.spam", "after \"work.\" are allowed: trace generate" },
    };
    struct nw_vms_config c = tight();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nw_error err = { 0 };
        assert_int_equal(nw_vms_config_set(&c, cases[i][0], "1", "test", &err), NW_ERR_USAGE);
        if (!strstr(err.text, cases[i][1]))
            fail_msg("%s: %s", cases[i][0], err.text);
    }
    nw_vms_config_fini(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory__enough_costs_first_touches_only),
        cmocka_unit_test(cores__are_shared_by_weight),
        cmocka_unit_test(swap__every_policy_keeps_every_page),
        cmocka_unit_test(everything__at_once_loses_nothing),
        cmocka_unit_test(swap__lru_on_a_loop_faults_each_time),
        cmocka_unit_test(balloon__inflates_to_its_target_and_the_guest_pages),
        cmocka_unit_test(reporting__gives_free_pages_back),
        cmocka_unit_test(mapper__writes_nothing_that_is_on_the_disk),
        cmocka_unit_test(memory__that_runs_out_is_an_event),
        cmocka_unit_test(reservation__is_kept),
        cmocka_unit_test(limit__is_kept),
        cmocka_unit_test(config__every_default_is_allowed),
        cmocka_unit_test(config__choices_are_the_policies),
        cmocka_unit_test(config__nonsense_is_refused),
        cmocka_unit_test(config__paths_that_do_not_exist_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
