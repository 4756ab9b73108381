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
#include <nestwalk/traces/nwt.h>
#include <unistd.h>

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
            set(&c, "swap.device", how == 5 ? "zswap" : how == 1 ? "zram" : "nvme");
            set(&c, "swap.dirty", how == 2 ? "pml" : how == 3 ? "write-protection" : "flags");
            set(&c, "balloon.unit", how % 2 ? "2M" : "4K");
            set(&c, "balloon.hinting", how == 4 ? "1" : "0");
            set(&c, "balloon.stats_ns", how == 0 ? "3000000" : "0");
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
    assert_int_equal(r.events, 2);
    assert_non_null(strstr(r.event[0].text, "the host is out of memory and swap space"));
    assert_non_null(strstr(r.event[1].text, "found none equal; no trace tells contents"));
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

static void timeline__slowdown_ends_with_the_guest(void **state)
{
    (void)state;
    struct nw_vms_config c;
    nw_vms_config_init(&c);
    set(&c, "host.memory", "64M");
    set(&c, "host.cores", "2");
    set(&c, "host.timeline_ns", "200000000");
    guest(&c, "a", "zipf", "1M", "50000"); /* 500 ms: half of the third interval */
    guest(&c, "b", "zipf", "1M", "100000");
    set(&c, "vm.a.work.access_ns", "10000");
    set(&c, "vm.b.work.access_ns", "10000");
    struct nw_vms_result r = run(&c);
    unsigned working = 0;
    check_sound(&r, "timeline");
    for (size_t i = 0; i < r.samples; i++) {
        assert_true(r.sample[i].slowdown < 1.2); /* first touches */
        working += !r.sample[i].guest && r.sample[i].slowdown >= 0.99;
    }
    assert_int_equal(working, 3);
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
        { { "vm.a.balloon", "vm.a.min" },
          { "16M", "20M" },
          "leaves the guest 16.0 MiB, less than its reservation vm.a.min" },
        { { "host.memory" },
          { "41943041" },
          "host.memory is 41943041 bytes, which is no multiple of a page, 4096; 41947136 is (host.memory: test)" },
        { { "vm.b.memory" }, { "33554433" }, "vm.b.memory is 33554433 bytes" },
        { { "vm.b.min", "swap.scope" },
          { "33M", "vm" },
          "more than it may have, 32.0 MiB (vm.b.min: test, vm.b.memory: test)" },
        { { "host.collapse_pages" }, { "4096" }, "khugepaged has nothing to put together with host.backing=4K" },
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

/* zram has nothing behind it: when its share of the frames is full, no page can be taken. */
static void zram__is_full_when_its_share_of_the_frames_is(void **state)
{
    (void)state;
    for (int big = 0; big < 2; big++) {
        struct nw_vms_config c = tight();
        set(&c, "host.memory", "30M");
        set(&c, "swap.device", "zram");
        set(&c, "swap.zswap_pool", big ? "0.4" : "0.02");
        struct nw_vms_result r = run(&c);
        check_sound(&r, "zram");
        assert_true(r.host.zswap_stored > 300);
        assert_int_equal(r.host.zswap_rejected + r.host.swap_writes + r.host.swap_reads, 0);
        if (big) {
            assert_int_equal(r.host.slots_full, 0);
            assert_int_equal(r.guest[0].state, NW_VMS_FINISHED);
            assert_int_equal(r.guest[1].state, NW_VMS_FINISHED);
        } else {
            assert_true(r.host.slots_full && r.events == 1 && strstr(r.event[0].text, "out of memory"));
            assert_true((double)r.host.zswap_pool_bytes <= 0.02 * 30 * 0x1p20);
        }
        nw_vms_result_fini(&r);
        nw_vms_config_fini(&c);
    }
}

/* 3,000 pages of which a trace says to what size they compress, in a host of 8 MiB with zram: what lies there takes so much, also when the pages were stored to
 * since. */
static void zram__packs_as_the_trace_says(void **state)
{
    (void)state;
    enum { PAGES = 3000 };
    static const uint64_t packed[] = { 100, 400, 1500 };
    double bytes[3];
    for (size_t k = 0; k < NW_ARRAY_LEN(packed); k++) {
        char path[] = "/tmp/nestwalk-vms-XXXXXX";
        const int fd = mkstemp(path);
        assert_true(fd >= 0);
        close(fd);
        struct nw_error err = { 0 };
        struct nw_trace_info info;
        struct nw_nwt_writer *w;
        nw_trace_info_init(&info);
        assert_int_equal(nw_nwt_writer_create(&w, path, &info, &err), NW_OK);
        for (int round = 0; round < 3; round++)
            for (uint64_t i = 0; i < PAGES; i++) {
                assert_int_equal(nw_nwt_write_access(w, i * 4096, nw_kind_make(NW_STORE, 8, true), &err), NW_OK);
                const struct nw_event e = { .kind = NW_EV_PAGE_CONTENT, .arg = { i * 4096, 1000 + i, packed[k] } };
                if (!round)
                    assert_int_equal(nw_nwt_write_event(w, &e, &err), NW_OK);
            }
        assert_int_equal(nw_nwt_writer_close(w, &err), NW_OK);
        struct nw_vms_config c;
        size_t g, n;
        nw_vms_config_init(&c);
        set(&c, "host.memory", "8M");
        set(&c, "swap.device", "zram");
        set(&c, "swap.zswap_pool", "0.9");
        assert_int_equal(nw_vms_config_add_guest(&c, "a", &g, &err), NW_OK);
        assert_int_equal(nw_vms_config_add_work(&c, g, &n, &err), NW_OK);
        set(&c, "vm.a.work.trace", path);
        set(&c, "vm.a.memory", "16M");
        set(&c, "vm.a.kernel", "0");
        struct nw_vms_result r = run(&c);
        check_sound(&r, "zram by a trace");
        assert_int_equal(r.guest[0].counters.hashes, PAGES);
        const uint64_t out = PAGES - r.host.frames_guest;
        assert_true(out > 100 && r.host.zswap_stored > out);
        bytes[k] = (double)r.host.zswap_pool_bytes / (double)out;
        nw_vms_result_fini(&r);
        nw_vms_config_fini(&c);
        unlink(path);
        if (fabs(bytes[k] / (double)packed[k] - 1) > 0.05)
            fail_msg("pages of %u bytes take %.1f", (unsigned)packed[k], bytes[k]);
    }
}

static void swap__pages_taken_together_are_written_together(void **state)
{
    (void)state;
    uint64_t writes[2], pages[2];
    for (int cluster = 0; cluster < 2; cluster++) {
        struct nw_vms_config c = tight();
        set(&c, "host.memory", "30M");
        set(&c, "swap.cluster", cluster ? "32" : "1");
        struct nw_vms_result r = run(&c);
        check_sound(&r, "cluster");
        writes[cluster] = r.host.swap_writes;
        pages[cluster] = r.host.swap_written_pages;
        nw_vms_result_fini(&r);
        nw_vms_config_fini(&c);
    }
    assert_int_equal(writes[0], pages[0]); /* each by itself */
    if (writes[1] * 4 > pages[1])
        fail_msg("%d writes of %d pages", (int)writes[1], (int)pages[1]);
}

/* Each page that is read in and then stored to is found once by whichever way; only what it costs differs. */
static void dirty__is_found_by_flags_faults_or_a_log(void **state)
{
    (void)state;
    static const char *const by[] = { "flags", "write-protection", "pml" };
    for (int i = 0; i < 3; i++) {
        struct nw_vms_config c = tight();
        set(&c, "host.memory", "30M");
        set(&c, "swap.dirty", by[i]);
        set(&c, "host.pml_exit_ns", "8000");
        struct nw_vms_result r = run(&c);
        check_sound(&r, by[i]);
        for (size_t k = 0; k < r.guests; k++) {
            const struct nw_vms_guest_counters *g = &r.guest[k].counters;
            const uint64_t found = i == 1 ? g->dirty_faults : g->dirty_logged;
            assert_true(i ? found > 100 && found <= g->swapped_in + g->read_ahead
                          : !g->dirty_faults && !g->dirty_logged);
            assert_int_equal(g->dirty_exits, g->dirty_logged / NW_VMS_PML_ENTRIES);
            const uint64_t faults = g->minor_faults + g->major_faults + (i == 1 ? found : 0);
            assert_int_equal(g->fault_ns, 1500 * faults + 8000 * g->dirty_exits);
        }
        nw_vms_result_fini(&r);
        nw_vms_config_fini(&c);
    }
}

/* A guest that has given half of its memory in single pages, chosen as they come, has hardly a whole 2 MiB left; in groups, all of them. */
static void balloon__of_2m_pages_leaves_the_others_whole(void **state)
{
    (void)state;
    uint64_t large[2];
    for (int unit = 0; unit < 2; unit++) {
        struct nw_vms_config c;
        struct nw_error err = { 0 };
        size_t w;
        nw_vms_config_init(&c);
        set(&c, "host.memory", "256M");
        guest(&c, "a", "sequential", "8M", "2048");
        set(&c, "vm.a.memory", "64M");
        set(&c, "vm.a.kernel", "0");
        set(&c, "vm.a.work.keep", "0");
        assert_int_equal(nw_vms_config_add_work(&c, 0, &w, &err), NW_OK);
        set(&c, "vm.a.work.1.generate", "uniform");
        set(&c, "vm.a.work.1.span", "24M");
        set(&c, "vm.a.work.1.accesses", "200000");
        set(&c, "vm.a.balloon", "32M");
        set(&c, "balloon.unit", unit ? "2M" : "4K");
        set(&c, "balloon.batch_pages", "2048");
        set(&c, "balloon.batch_ns", "100000");
        struct nw_vms_result r = run(&c);
        check_sound(&r, "unit");
        const struct nw_vms_guest_counters *g = &r.guest[0].counters;
        assert_int_equal(g->inflated, 8192);
        assert_int_equal(g->given_large, unit ? 16 : 0);
        large[unit] = g->large;
        nw_vms_result_fini(&r);
        nw_vms_config_fini(&c);
    }
    assert_int_equal(large[1], 12); /* all that the second work touches */
    if (large[0] >= large[1])
        fail_msg("%d groups are whole with single pages, %d with groups", (int)large[0], (int)large[1]);
}

/* Half of the guest is in the balloon in groups; it needs more and has no swap area: groups come back, and are used page by page. */
static void balloon__of_2m_pages_is_given_back(void **state)
{
    (void)state;
    struct nw_vms_config c;
    nw_vms_config_init(&c);
    set(&c, "host.memory", "128M");
    guest(&c, "a", "sequential", "48M", "24576");
    set(&c, "vm.a.memory", "64M");
    set(&c, "vm.a.swap", "0");
    set(&c, "vm.a.balloon", "32M");
    set(&c, "balloon.unit", "2M");
    set(&c, "balloon.batch_pages", "1024");
    set(&c, "balloon.batch_ns", "1000");
    set(&c, "vm.a.work.start_ns", "100000000");
    struct nw_vms_result r = run(&c);
    check_sound(&r, "groups");
    const struct nw_vms_guest_counters *g = &r.guest[0].counters;
    assert_int_equal(r.guest[0].state, NW_VMS_FINISHED);
    assert_true(g->given_large >= 16 && g->oom_deflated >= 4096);
    assert_int_equal(g->first_touches, 12288);
    nw_vms_result_fini(&r);
    nw_vms_config_fini(&c);
}

/* One guest has freed what it had when another comes: with hints the host takes that and swaps less. */
static void hinting__spares_swapping_free_pages(void **state)
{
    (void)state;
    uint64_t written[2];
    for (int hints = 0; hints < 2; hints++) {
        struct nw_vms_config c;
        struct nw_error err = { 0 };
        size_t w;
        nw_vms_config_init(&c);
        set(&c, "host.memory", "40M");
        set(&c, "balloon.hinting", hints ? "1" : "0");
        set(&c, "balloon.batch_ns", "10000");
        guest(&c, "done", "sequential", "24M", "6144");
        set(&c, "vm.done.memory", "32M");
        set(&c, "vm.done.work.keep", "0");
        assert_int_equal(nw_vms_config_add_work(&c, 0, &w, &err), NW_OK);
        set(&c, "vm.done.work.1.generate", "uniform");
        set(&c, "vm.done.work.1.span", "1M");
        set(&c, "vm.done.work.1.accesses", "2000000");
        guest(&c, "late", "sequential", "30M", "20000");
        set(&c, "vm.late.memory", "32M");
        set(&c, "vm.late.start_ns", "30000000");
        struct nw_vms_result r = run(&c);
        check_sound(&r, "hints");
        written[hints] = r.host.swap_written_pages;
        assert_true(hints ? r.guest[0].counters.hinted > 4000 : !r.guest[0].counters.hinted);
        nw_vms_result_fini(&r);
        nw_vms_config_fini(&c);
    }
    if (written[1] * 4 > written[0])
        fail_msg("%d pages written with hints, %d without", (int)written[1], (int)written[0]);
}

/* The host divides what it was last told of. */
static void stats__are_what_the_policy_goes_by(void **state)
{
    (void)state;
    struct nw_vms_config c = tight();
    set(&c, "balloon.policy", "shares");
    set(&c, "balloon.interval_ns", "2000000");
    set(&c, "balloon.stats_ns", "4000000");
    struct nw_vms_result r = run(&c), at_once;
    check_sound(&r, "stats");
    const uint64_t took = r.guest[0].ended_ns;
    assert_true(r.guest[0].counters.stats >= took / 4000000 - 1 && r.guest[0].counters.stats <= took / 4000000 + 1);
    set(&c, "balloon.stats_ns", "0");
    at_once = run(&c);
    assert_int_equal(at_once.guest[0].counters.stats, 0);
    assert_false(same_counters(&r, &at_once));
    nw_vms_result_fini(&r);
    nw_vms_result_fini(&at_once);
    nw_vms_config_fini(&c);
}

/* Two guests write to pages that KSM has merged across them: each first write to one that the other still has can be told by its time. A guest alone shares with
 * itself, and its breaks tell nobody else's secret. */
static void sharing__breaks_that_another_guest_can_be_seen_by(void **state)
{
    (void)state;
    for (int guests = 1; guests <= 2; guests++) {
        struct nw_vms_config c;
        nw_vms_config_init(&c);
        set(&c, "host.memory", "256M");
        set(&c, "sharing.kind", "ksm");
        set(&c, "sharing.pages_to_scan", "4000");
        set(&c, "sharing.sleep_ns", "100000");
        set(&c, "sharing.page_ns", "10");
        for (int i = 0; i < guests; i++)
            guest(&c, i ? "b" : "a", "zipf", "24M", "200000");
        struct nw_vms_result r = run(&c);
        check_sound(&r, "across");
        uint64_t across = 0, breaks = 0;
        for (size_t i = 0; i < r.guests; i++) {
            across += r.guest[i].counters.breaks_across;
            breaks += r.guest[i].counters.breaks;
        }
        for (size_t i = 0; i < r.guests; i++) /* memory is not short: no wait beside the copy */
            assert_int_equal(r.guest[i].counters.break_ns, r.guest[i].counters.breaks * 2500);
        if (breaks < 100 || across > breaks || (guests == 1 ? across != 0 : across < 100))
            fail_msg("%d guests: %d breaks, %d of pages that another one has", guests, (int)breaks, (int)across);
        nw_vms_result_fini(&r);
        nw_vms_config_fini(&c);
    }
}

/* An early guest that has all of the host, and a late one that takes half: the frames are the early one's. What both lose is at least what both were given. */
static void moved__says_who_took_whose_frames(void **state)
{
    (void)state;
    struct nw_vms_config c;
    nw_vms_config_init(&c);
    set(&c, "host.memory", "40M");
    set(&c, "swap.policy", "lru");
    guest(&c, "early", "sequential", "36M", "9216");
    guest(&c, "late", "sequential", "16M", "8192");
    set(&c, "vm.early.memory", "40M");
    set(&c, "vm.late.memory", "24M");
    set(&c, "vm.late.start_ns", "20000000");
    struct nw_vms_result r = run(&c);
    check_sound(&r, "moved");
    const uint64_t late_from_early = r.moved[1 * 2 + 0], early_from_late = r.moved[0 * 2 + 1];
    assert_true(late_from_early > 2500 && late_from_early <= r.guest[0].counters.swapped_out);
    assert_true(early_from_late < 500);
    nw_vms_result_fini(&r);
    nw_vms_config_fini(&c);
}

/* A trace of 1,000 pages that says of 300 of them that they are zeros, of 400 that they have one of four contents. Two guests replay it, and KSM finds all of them: 2 x 300 behind one
 * frame of zeros (and the pages that are only read), 2 x 400 behind four. */
static void sharing__finds_the_contents_that_a_trace_tells(void **state)
{
    (void)state;
    enum { PAGES = 1000, ZEROS = 300, FOUR = 400 };
    char path[] = "/tmp/nestwalk-vms-XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    struct nw_error err = { 0 };
    struct nw_trace_info info;
    struct nw_nwt_writer *w;
    nw_trace_info_init(&info);
    assert_int_equal(nw_nwt_writer_create(&w, path, &info, &err), NW_OK);
    for (int round = 0; round < 20; round++)
        for (uint64_t i = 0; i < PAGES; i++) {
            /* each is stored to once, and then only read */
            const uint8_t kind = nw_kind_make(round ? NW_LOAD : NW_STORE, 8, true);
            assert_int_equal(nw_nwt_write_access(w, i * 4096, kind, &err), NW_OK);
            if (round || i >= ZEROS + FOUR)
                continue;
            const struct nw_event e = { .kind = NW_EV_PAGE_HASH,
                                        .arg = { i * 4096, i < ZEROS ? nw_page_hash_of_zeros() : 1000 + i % 4 } };
            assert_int_equal(nw_nwt_write_event(w, &e, &err), NW_OK);
        }
    assert_int_equal(nw_nwt_writer_close(w, &err), NW_OK);

    struct nw_vms_config c;
    size_t g, k;
    nw_vms_config_init(&c);
    set(&c, "host.memory", "64M");
    assert_int_equal(nw_vms_config_add_guest(&c, "a", &g, &err), NW_OK);
    assert_int_equal(nw_vms_config_add_work(&c, g, &k, &err), NW_OK);
    set(&c, "vm.a.work.trace", path);
    set(&c, "vm.a.work.access_ns", "1000");
    set(&c, "vm.a.memory", "16M");
    set(&c, "vm.a.kernel", "0");
    set(&c, "vm.a.count", "2");
    set(&c, "sharing.kind", "ksm");
    set(&c, "sharing.pages_to_scan", "4000");
    set(&c, "sharing.sleep_ns", "500000");
    set(&c, "sharing.page_ns", "1");
    set(&c, "sharing.max_page_sharing", "100000");
    struct nw_vms_result r = run(&c);
    check_sound(&r, "hashes");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(r.guest[i].counters.hashes, ZEROS + FOUR);
        assert_int_equal(r.guest[i].counters.accesses, 20 * PAGES);
        assert_int_equal(r.guest[i].counters.stores, PAGES);
    }
    assert_int_equal(r.host.frames_shared, 1 + 4);
    assert_int_equal(r.host.shared_users, 2 * (ZEROS + FOUR));
    nw_vms_result_fini(&r);
    nw_vms_config_fini(&c);
    unlink(path);
}

/* A trace with page tables: 64 virtual pages from 1 GiB on lie in guest-physical pages 100 and on, the first half of which hold one content each of four, before the trace begins. They are only
 * read: KSM finds the 32 of both guests behind four frames, and the others as zeros. What the trace tells of
 * a page later is not used. */
static void sharing__finds_contents_through_the_tables_of_a_trace(void **state)
{
    (void)state;
    enum { PAGES = 64, TOLD = 32, FIRST_GPN = 100 };
    const uint64_t base = UINT64_C(1) << 30;
    char path[] = "/tmp/nestwalk-vms-XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    struct nw_error err = { 0 };
    struct nw_trace_info info;
    struct nw_nwt_writer *w;
    nw_trace_info_init(&info);
    info.has_tables = true;
    info.gpa_bits = 40;
    info.vcpu[0] = (struct nw_vcpu_state){ .cr0 = 0x80000001, .cr3 = 0x1000, .cr4 = 1 << 5, .efer = 0x500 };
    info.table_count = 4;
    info.table = calloc(4, sizeof *info.table);
    for (unsigned i = 0; i < 4; i++)
        info.table[i].gpa = (i + 1) * 0x1000;
    info.table[0].word[0] = 0x2007;
    info.table[1].word[1] = 0x3007;
    info.table[2].word[0] = 0x4007;
    for (uint64_t i = 0; i < PAGES; i++)
        info.table[3].word[i] = (FIRST_GPN + i) << 12 | 7;
    assert_int_equal(nw_nwt_writer_create(&w, path, &info, &err), NW_OK);
    for (uint64_t i = 0; i < TOLD; i++) {
        const struct nw_event e = { .kind = NW_EV_PAGE_CONTENT, .arg = { (FIRST_GPN + i) << 12, 1000 + i % 4, 500 } };
        assert_int_equal(nw_nwt_write_event(w, &e, &err), NW_OK);
    }
    for (int round = 0; round < 100; round++)
        for (uint64_t i = 0; i < PAGES; i++)
            assert_int_equal(nw_nwt_write_access(w, base + i * 4096, nw_kind_make(NW_LOAD, 8, true), &err), NW_OK);
    const struct nw_event late = { .kind = NW_EV_PAGE_CONTENT, .arg = { (FIRST_GPN + 40) << 12, 7777, 500 } };
    assert_int_equal(nw_nwt_write_event(w, &late, &err), NW_OK);
    assert_int_equal(nw_nwt_writer_close(w, &err), NW_OK);
    nw_trace_info_fini(&info);

    struct nw_vms_config c;
    size_t g, k;
    nw_vms_config_init(&c);
    set(&c, "host.memory", "64M");
    assert_int_equal(nw_vms_config_add_guest(&c, "a", &g, &err), NW_OK);
    assert_int_equal(nw_vms_config_add_work(&c, g, &k, &err), NW_OK);
    set(&c, "vm.a.work.trace", path);
    set(&c, "vm.a.work.access_ns", "1000");
    set(&c, "vm.a.memory", "16M");
    set(&c, "vm.a.kernel", "0");
    set(&c, "vm.a.count", "2");
    set(&c, "sharing.kind", "ksm");
    set(&c, "sharing.pages_to_scan", "4000");
    set(&c, "sharing.sleep_ns", "100000");
    set(&c, "sharing.page_ns", "1");
    for (int walk = 0; walk < 2; walk++) {
        set(&c, "host.fidelity", walk ? "walk" : "page");
        struct nw_vms_result r = run(&c);
        check_sound(&r, "contents through tables");
        assert_int_equal(r.guest[0].counters.hashes, TOLD);
        assert_int_equal(r.host.frames_shared, 4 + 1);
        assert_int_equal(r.host.shared_users, 2 * PAGES);
        nw_vms_result_fini(&r);
    }
    nw_vms_config_fini(&c);
    unlink(path);
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
        cmocka_unit_test(timeline__slowdown_ends_with_the_guest),
        cmocka_unit_test(zram__is_full_when_its_share_of_the_frames_is),
        cmocka_unit_test(zram__packs_as_the_trace_says),
        cmocka_unit_test(swap__pages_taken_together_are_written_together),
        cmocka_unit_test(dirty__is_found_by_flags_faults_or_a_log),
        cmocka_unit_test(balloon__of_2m_pages_leaves_the_others_whole),
        cmocka_unit_test(balloon__of_2m_pages_is_given_back),
        cmocka_unit_test(hinting__spares_swapping_free_pages),
        cmocka_unit_test(stats__are_what_the_policy_goes_by),
        cmocka_unit_test(sharing__breaks_that_another_guest_can_be_seen_by),
        cmocka_unit_test(moved__says_who_took_whose_frames),
        cmocka_unit_test(sharing__finds_the_contents_that_a_trace_tells),
        cmocka_unit_test(sharing__finds_contents_through_the_tables_of_a_trace),
        cmocka_unit_test(config__every_default_is_allowed),
        cmocka_unit_test(config__choices_are_the_policies),
        cmocka_unit_test(config__nonsense_is_refused),
        cmocka_unit_test(config__paths_that_do_not_exist_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
