/* test_vms_walk.c - several guests with tables and TLBs: they follow the account of frames, and walks cost what the tables make them cost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
/* after those */
#include "vms_case.h"
#include <nestwalk/balloon/allocation.h>

static void check_agrees(const struct nw_vms_result *r, const char *what)
{
    check_sound(r, what);
    for (size_t i = 0; i < r->guests; i++) {
        const struct nw_vms_guest_counters *g = &r->guest[i].counters;
        if (g->disagreed)
            fail_msg("%s: %d translations of guest %s are not where the account says", what, (int)g->disagreed,
                     r->guest[i].name);
        if (r->guest[i].state == NW_VMS_FINISHED)
            assert_true(g->tlb_hits <= g->accesses && g->tlb_hits + g->walks >= g->accesses);
    }
}

/* With all that takes, gives, shares and pins pages. nw_vms_run() compares all tables with the account at its end. */
static void tables__follow_whatever_takes_pages(void **state)
{
    (void)state;
    uint64_t accesses = 0, faults_in_walks = 0, splits = 0;
    for (size_t p = 0; nw_allocation_policies[p]; p++)
        for (unsigned how = 0; how < 4; how++) {
            struct nw_vms_config c = tight();
            guest(&c, "file", "sequential", "20M", "20000");
            set(&c, "host.fidelity", "walk");
            set(&c, "host.backing", how & 1 ? "2M" : "4K");
            set(&c, "host.tlb_entries", how & 2 ? "64" : "0");
            set(&c, "vm.file.memory", "32M");
            set(&c, "vm.file.work.file", "1");
            set(&c, "vm.file.work.keep", "0");
            set(&c, "vm.file.pinned", "1M");
            set(&c, "vm.a.zero", "0.2");
            set(&c, "vm.a.common", "0.3");
            set(&c, "vm.a.image", "x");
            set(&c, "vm.b.common", "0.5");
            set(&c, "vm.b.image", "x");
            set(&c, "balloon.policy", nw_allocation_policies[p]->name);
            set(&c, "balloon.interval_ns", "3000000");
            set(&c, "balloon.batch_ns", "10000");
            set(&c, "balloon.unit", how & 1 ? "2M" : "4K");
            set(&c, "balloon.reporting", how & 2 ? "2M" : "4K");
            set(&c, "balloon.reporting_ns", "5000000");
            set(&c, "sharing.kind", how & 2 ? "ksm" : "hints");
            set(&c, "sharing.sleep_ns", "500000");
            set(&c, "swap.mapper", how & 1 ? "1" : "0");
            set(&c, "swap.device", how == 3 ? "zram" : "nvme");
            set(&c, "swap.policy", how == 2 ? "guest-informed" : "two-list");
            struct nw_vms_result r = run(&c);
            check_agrees(&r, nw_allocation_policies[p]->name);
            for (size_t i = 0; i < r.guests; i++) {
                accesses += r.guest[i].counters.accesses;
                faults_in_walks += r.guest[i].counters.walk_faults;
                splits += r.guest[i].counters.large_split;
            }
            assert_int_equal(r.guest[2].counters.iommu_mapped, 256);
            nw_vms_result_fini(&r);
            nw_vms_config_fini(&c);
        }
    assert_true(accesses > 5000000);
    assert_true(faults_in_walks > 0); /* pages with tables were taken, too */
    assert_true(splits > 0);
}

static double references_a_walk(const struct nw_vms_result *r)
{
    return (double)r->guest[0].counters.walk_references / (double)r->guest[0].counters.walks;
}

static struct nw_vms_config alone(const char *backing)
{
    struct nw_vms_config c;
    nw_vms_config_init(&c);
    set(&c, "host.memory", "256M");
    set(&c, "host.fidelity", "walk");
    set(&c, "host.backing", backing);
    guest(&c, "a", "uniform", "96M", "400000");
    set(&c, "vm.a.memory", "128M");
    return c;
}

/* Memory enough. By 4 KiB, walks whose tables of upper levels are cached make two references; by 2 MiB the nested TLB has what 64 groups need, and one is left. */
static void walks__are_shorter_with_large_backing(void **state)
{
    (void)state;
    struct nw_vms_config small = alone("4K"), large = alone("2M");
    struct nw_vms_result s = run(&small), l = run(&large);
    check_agrees(&s, "4K");
    check_agrees(&l, "2M");
    assert_int_equal(s.guest[0].counters.walks, l.guest[0].counters.walks);
    assert_int_equal(s.guest[0].counters.backed_large, 0);
    assert_true(l.guest[0].counters.backed_large >= 48);
    assert_int_equal(l.guest[0].counters.large_split, 0);
    assert_true(l.guest[0].counters.minor_faults < s.guest[0].counters.minor_faults / 100);
    assert_true(references_a_walk(&s) > references_a_walk(&l) + 0.7);
    assert_int_equal(s.guest[0].counters.walk_ns, 10 * s.guest[0].counters.walk_references);
    nw_vms_result_fini(&s);
    nw_vms_result_fini(&l);
    nw_vms_config_fini(&small);
    nw_vms_config_fini(&large);
}

/* A balloon that takes pages of the guest's memory after it was backed by 2 MiB: mappings are split, and walks get longer than with memory enough. */
static void balloon__splits_large_backing(void **state)
{
    (void)state;
    double references[2];
    for (int enough = 0; enough < 2; enough++) {
        struct nw_vms_config c = alone("2M");
        set(&c, "host.memory", enough ? "512M" : "150M");
        set(&c, "vm.a.work.span", "118M");
        set(&c, "vm.a.work.accesses", "500000");
        guest(&c, "b", "sequential", "60M", "15000");
        set(&c, "vm.b.memory", "64M");
        set(&c, "vm.b.start_ns", "15000000");
        set(&c, "balloon.policy", "shares");
        set(&c, "balloon.interval_ns", "5000000");
        set(&c, "balloon.batch_ns", "10000");
        struct nw_vms_result r = run(&c);
        check_agrees(&r, enough ? "enough" : "short");
        assert_true((r.guest[0].counters.inflated > 0) == !enough);
        assert_true(enough ? !r.guest[0].counters.large_split : r.guest[0].counters.large_split > 10);
        references[enough] = references_a_walk(&r);
        nw_vms_result_fini(&r);
        nw_vms_config_fini(&c);
    }
    assert_true(references[0] > references[1] + 0.2);
}

/* What the host takes has to be forgotten: the same accesses miss the TLB more often when pages come and go. */
static void tlb__forgets_what_is_taken(void **state)
{
    (void)state;
    struct nw_vms_config c = tight(), enough = tight();
    set(&c, "host.memory", "30M");
    set(&c, "host.fidelity", "walk");
    set(&enough, "host.memory", "256M");
    set(&enough, "host.fidelity", "walk");
    struct nw_vms_result r = run(&c), e = run(&enough);
    check_agrees(&r, "tight");
    check_agrees(&e, "enough");
    assert_int_equal(e.guest[0].counters.tlb_invalidated, 0);
    assert_true(r.guest[0].counters.tlb_invalidated > 1000);
    assert_true(r.guest[0].counters.tlb_hits < e.guest[0].counters.tlb_hits);
    nw_vms_result_fini(&r);
    nw_vms_result_fini(&e);
    nw_vms_config_fini(&c);
    nw_vms_config_fini(&enough);
}

/* Pinned pages stay mapped for the device while all others are taken; they leave its tables when the guest is ended. */
static void iommu__keeps_what_is_pinned_until_the_end(void **state)
{
    (void)state;
    struct nw_vms_config c = tight();
    set(&c, "host.memory", "30M");
    set(&c, "host.fidelity", "walk");
    set(&c, "vm.a.pinned", "4M");
    struct nw_vms_result r = run(&c);
    check_agrees(&r, "pinned");
    assert_int_equal(r.host.frames_pinned, 1024);
    assert_int_equal(r.guest[0].counters.iommu_mapped, 1024);
    assert_int_equal(r.guest[0].counters.iommu_unmapped, 0);
    nw_vms_result_fini(&r);

    set(&c, "vm.a.swap", "0"); /* the guest runs out of memory */
    set(&c, "vm.a.work.span", "60M");
    r = run(&c);
    check_agrees(&r, "ended");
    assert_int_equal(r.guest[0].state, NW_VMS_OUT_OF_MEMORY);
    assert_int_equal(r.guest[0].counters.iommu_unmapped, 1024);
    assert_int_equal(r.host.frames_pinned, 0);
    nw_vms_result_fini(&r);
    nw_vms_config_fini(&c);
}

static void fidelity__walk_gives_the_same_twice_and_pages_alone_have_no_walks(void **state)
{
    (void)state;
    struct nw_vms_config c = tight();
    struct nw_vms_result page = run(&c);
    set(&c, "host.fidelity", "walk");
    struct nw_vms_result r = run(&c), again = run(&c);
    assert_int_equal(page.guest[0].counters.walks + page.guest[0].counters.tlb_hits, 0);
    assert_true(r.guest[0].counters.walks > 0);
    assert_true(same_counters(&r, &again));
    nw_vms_result_fini(&page);
    nw_vms_result_fini(&r);
    nw_vms_result_fini(&again);
    struct nw_error err = { 0 };
    set(&c, "vm.a.memory", "513G");
    set(&c, "swap.size", "1T");
    assert_int_equal(nw_vms_config_check(&c, &err), NW_ERR_USAGE);
    assert_non_null(strstr(err.text, "512 GiB"));
    nw_vms_config_fini(&c);
}

/* A guest backed by 2 MiB loses pages to a second one, which gives all of them back when it is done. Some of the first one's are in its balloon. */
static struct nw_vms_config lost_and_free_again(void)
{
    struct nw_vms_config c;
    nw_vms_config_init(&c);
    set(&c, "host.memory", "50M");
    set(&c, "host.cores", "2");
    set(&c, "host.fidelity", "walk");
    set(&c, "host.backing", "2M");
    guest(&c, "first", "zipf", "24M", "1500000");
    set(&c, "vm.first.work.exponent", "0.6");
    guest(&c, "second", "sequential", "44M", "11264");
    set(&c, "vm.first.memory", "48M");
    set(&c, "vm.second.memory", "48M");
    set(&c, "vm.second.start_ns", "20000000");
    set(&c, "vm.second.work.keep", "0");
    set(&c, "vm.first.balloon", "5M");
    set(&c, "balloon.reporting", "4K");
    set(&c, "balloon.reporting_ns", "10000000");
    return c;
}

static void khugepaged__makes_walks_short_again(void **state)
{
    (void)state;
    struct nw_vms_result r[5];
    for (int k = 0; k < 5; k++) {
        struct nw_vms_config c = lost_and_free_again();
        if (k) {
            set(&c, "host.collapse_pages", "8192");
            set(&c, "host.collapse_sleep_ns", "5000000");
            set(&c, "host.max_ptes_swap", k == 2 ? "0" : "511");
        }
        if (k == 3)
            set(&c, "host.max_ptes_none", "0");
        if (k == 4) { /* no balloon, and shared pages are what splits */
            set(&c, "balloon.reporting", "none");
            set(&c, "host.memory", "50M");
            set(&c, "sharing.kind", "ksm");
            set(&c, "sharing.pages_to_scan", "1000");
            set(&c, "sharing.sleep_ns", "20000000");
            set(&c, "sharing.page_ns", "1");
            set(&c, "vm.first.zero", "0.1");
            set(&c, "host.max_ptes_shared", "511");
        }
        r[k] = run(&c);
        check_sound(&r[k], "khugepaged");
        assert_int_equal(r[k].guest[0].counters.disagreed, 0);
        nw_vms_config_fini(&c);
    }
    const struct nw_vms_guest_counters *never = &r[0].guest[0].counters, *all = &r[1].guest[0].counters,
                                       *no_swap = &r[2].guest[0].counters, *no_none = &r[3].guest[0].counters,
                                       *shared = &r[4].guest[0].counters;
    assert_true(never->large_split > 5 && !never->collapsed && !r[0].host.collapse_scanned);
    assert_true(all->collapsed > 5 && all->collapse_read > 0 && all->collapse_refilled > 100 &&
                r[1].host.collapse_ns > 0);
    assert_true((double)all->walk_references / (double)all->walks <
                0.8 * (double)never->walk_references / (double)never->walks);
    assert_int_equal(no_swap->collapse_read, 0);
    assert_int_equal(no_none->collapse_refilled, 0);
    assert_true(shared->collapse_copied > 10 && shared->collapsed > 0);
    for (int k = 0; k < 5; k++)
        nw_vms_result_fini(&r[k]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables__follow_whatever_takes_pages),
        cmocka_unit_test(walks__are_shorter_with_large_backing),
        cmocka_unit_test(balloon__splits_large_backing),
        cmocka_unit_test(tlb__forgets_what_is_taken),
        cmocka_unit_test(iommu__keeps_what_is_pinned_until_the_end),
        cmocka_unit_test(fidelity__walk_gives_the_same_twice_and_pages_alone_have_no_walks),
        cmocka_unit_test(khugepaged__makes_walks_short_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
