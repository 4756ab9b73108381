/* test_vms_options.c - no parameter of several guests is dead: each, set to another value where it matters, changes what comes out. A new parameter needs a row here. */
#include "vms_case.h"
#include <nestwalk/sim/config.h>
#include <nestwalk/traces/nwt.h>
#include <stdlib.h>
#include <unistd.h>

/* `row` is the parameter; `path`, unless NULL, where it is set; `with` what else has to be so that it matters, apart by blanks. */
struct option {
    const char *row, *value, *with, *path;
};

#define KSM      "sharing.kind=ksm sharing.sleep_ns=1000000 sharing.pages_to_scan=500 sharing.page_ns=10 "
#define TRACKING "balloon.policy=tracking balloon.interval_ns=1000000 balloon.batch_ns=10000 "
#define SHARES   "balloon.policy=shares balloon.interval_ns=1000000 balloon.batch_ns=10000 "
#define TAX      "balloon.policy=idle-tax balloon.interval_ns=1000000 balloon.batch_ns=10000 "
#define MOM      "balloon.policy=mom balloon.interval_ns=1000000 balloon.batch_ns=10000 balloon.stats_ns=500000 "
#define WALK     "host.fidelity=walk "
#define FREE     "balloon.reporting=4K balloon.reporting_ns=1000000 vm.a.work.keep=0 vm.b.work.keep=0 "
/* b takes from a, whose memory is backed by 2 MiB, and gives it back: khugepaged has something to do. */
#define AGAIN                                                                                                          \
    WALK FREE "host.backing=2M host.memory=12M vm.b.start_ns=2000000 vm.b.work.generate=sequential "                   \
              "vm.b.work.accesses=2000 vm.a.work.accesses=200000 vm.a.work.exponent=0.6 vm.a.balloon=1M "              \
              "vm.a.kernel=0.1 "
#define COLLAPSE AGAIN "host.collapse_pages=4096 host.collapse_sleep_ns=1000000 "
#define MONITOR  "monitor.window_ns=1000000 host.tlb_entries=256 "
#define FILES    "vm.b.work.file=1 vm.b.work.generate=sequential vm.b.work.stores=0 "

static const struct option options[] = {
    { "host.memory", "16M", "", NULL },
    { "host.cores", "2", "", NULL },
    { "host.quantum_ns", "5000", "", NULL },
    { "host.timeline_ns", "100000", "", NULL },
    { "host.until_ns", "1000000", "", NULL },
    { "host.fault_ns", "3000", "", NULL },
    { "host.break_ns", "9000", KSM, NULL },
    { "host.flush_ns", "5000", "", NULL },
    { "host.scan_page_ns", "200", "swap.scan_ns=500000", NULL },
    { "host.pml_exit_ns", "50000", "swap.dirty=pml", NULL },
    { "host.low", "0.1", "host.high=0.2", NULL },
    { "host.high", "0.2", "", NULL },
    { "host.disk", "disk", FILES, NULL },
    { "host.tlb_entries", "512", "swap.scan_ns=500000", NULL },
    { "host.fidelity", "walk", "", NULL },
    { "host.backing", "2M", "", NULL },
    { "host.clear_large_ns", "300000", "host.backing=2M", NULL },
    { "host.copy_large_ns", "900000", COLLAPSE, NULL },
    { "host.collapse_pages", "4096", AGAIN "host.collapse_sleep_ns=1000000", NULL },
    { "host.collapse_sleep_ns", "3000000", COLLAPSE, NULL },
    { "host.max_ptes_none", "0", COLLAPSE, NULL },
    { "host.max_ptes_swap", "0", COLLAPSE "swap.read_ahead=1", NULL },
    { "host.max_ptes_shared", "0", COLLAPSE KSM "vm.a.zero=0.1", NULL },
    { "host.reference_ns", "50", WALK, NULL },
    { "swap.size", "1M", KSM, NULL },
    { "swap.device", "disk", "", NULL },
    { "swap.policy", "fifo", "swap.scan_ns=500000", NULL },
    { "swap.scope", "vm", "vm.a.min=5M", NULL },
    { "swap.sees", "accesses", "", NULL },
    { "swap.scan_ns", "500000", "", NULL },
    { "swap.scan_flush", "1", "swap.scan_ns=500000 host.tlb_entries=256", NULL },
    { "swap.read_ahead", "1", "", NULL },
    { "swap.shared_disk", "1", FILES, NULL },
    { "swap.mapper", "1", FILES, NULL },
    { "swap.preventer", "1", "vm.a.work.keep=0 host.memory=8M", NULL },
    { "swap.cluster", "1", "", NULL },
    { "swap.dirty", "write-protection", "", NULL },
    { "swap.zswap_pool", "0.02", "swap.device=zswap", NULL },
    { "swap.zswap_ratio", "1.5", "swap.device=zswap", NULL },
    { "sharing.kind", "ksm", "sharing.sleep_ns=1000000", NULL },
    { "sharing.pages_to_scan", "50", KSM, NULL },
    { "sharing.sleep_ns", "5000000", KSM, NULL },
    { "sharing.use_zero_pages", "1", KSM, NULL },
    { "sharing.smart_scan", "0", KSM, NULL },
    { "sharing.max_page_sharing", "2", KSM, NULL },
    { "sharing.page_ns", "5000", KSM, NULL },
    { "balloon.policy", "shares", "balloon.interval_ns=1000000", NULL },
    { "balloon.interval_ns", "20000000", TRACKING, NULL },
    { "balloon.batch_pages", "16", TRACKING, NULL },
    { "balloon.batch_ns", "900000", TRACKING, NULL },
    { "balloon.unit", "2M", TRACKING, NULL },
    { "balloon.deflate_on_oom", "0", "vm.a.balloon=4M vm.a.swap=0", NULL },
    { "balloon.estimator", "exact", TAX MONITOR "vm.a.memory=16M monitor.scan=1", NULL },
    { "balloon.reporting", "4K", "vm.b.work.keep=0 balloon.reporting_ns=1000000", NULL },
    { "balloon.reporting_ns", "4000000", FREE, NULL },
    { "balloon.hinting", "1",
      "host.memory=20M vm.a.memory=16M vm.b.memory=16M vm.a.work.keep=0 vm.a.work.0.generate=sequential "
      "vm.a.work.0.span=12M "
      "vm.a.work.0.stride=4096 vm.a.work.0.accesses=3072 vm.a.work.1.span=1M vm.a.work.1.accesses=200000 "
      "vm.b.start_ns=10000000 "
      "vm.b.work.generate=sequential vm.b.work.span=15M vm.b.work.accesses=8000 balloon.batch_ns=10000",
      NULL },
    { "balloon.stats_ns", "2000000", SHARES, NULL },
    { "balloon.sample_pages", "10", TAX, NULL },
    { "balloon.tax", "0.2", TAX "vm.a.memory=16M vm.a.work.span=4M", NULL },
    { "balloon.slack", "2", "balloon.policy=working-set balloon.interval_ns=1000000 balloon.batch_ns=10000", NULL },
    { "balloon.low", "0.01", TRACKING, NULL },
    { "balloon.high", "0.3", TRACKING, NULL },
    { "balloon.step", "0.001", TRACKING, NULL },
    { "balloon.pressure", "0.02", MOM, NULL },
    { "balloon.critical", "0.9", MOM "balloon.pressure=0.95 balloon.step=0.9 vm.a.memory=16M vm.b.memory=16M", NULL },
    { "balloon.guest_free", "0.02",
      MOM "balloon.step=0.9 balloon.pressure=0.9 balloon.critical=0 vm.a.memory=16M vm.b.memory=16M", NULL },
    { "balloon.history", "1", MOM, NULL },
    { "balloon.goal", "20", "balloon.policy=slowdown-target balloon.interval_ns=1000000 balloon.batch_ns=10000", NULL },
    { "monitor.scan", "1", MONITOR, NULL },
    { "monitor.sampling", "1", MONITOR, NULL },
    { "monitor.ghost", "1", MONITOR, NULL },
    { "monitor.damon", "1", MONITOR, NULL },
    { "monitor.window_ns", "3000000", MONITOR "monitor.scan=1", NULL },
    { "monitor.every", "4", MONITOR "monitor.scan=1", NULL },
    { "monitor.flush", "0", MONITOR "monitor.scan=1", NULL },
    { "monitor.sample_pages", "20", MONITOR "monitor.sampling=1", NULL },
    { "monitor.damon_samples", "5", MONITOR "monitor.damon=1", NULL },
    { "monitor.min_regions", "200", MONITOR "monitor.damon=1", NULL },
    { "monitor.max_regions", "12", MONITOR "monitor.damon=1", NULL },
    { "monitor.charge", "0", MONITOR "monitor.scan=1", NULL },
    { "monitor.mrc_rate", "0.5", "", NULL },
    { "vm.count", "2", "", "vm.a.count" },
    { "vm.memory", "16M", "", "vm.a.memory" },
    { "vm.min", "7M", "", "vm.a.min" },
    { "vm.max", "4M", "swap.scope=vm", "vm.a.max" },
    { "vm.shares", "9000", SHARES, "vm.a.shares" },
    { "vm.weight", "9000", "", "vm.a.weight" },
    { "vm.start_ns", "3000000", "", "vm.a.start_ns" },
    { "vm.swap", "0", "vm.a.memory=4M", "vm.a.swap" },
    { "vm.pinned", "1M", "", "vm.a.pinned" },
    { "vm.read_ahead", "1", FILES, "vm.b.read_ahead" },
    { "vm.swap_read_ahead", "1", "vm.a.memory=4M", "vm.a.swap_read_ahead" },
    { "vm.hypervisor", "1M", FILES, "vm.b.hypervisor" },
    { "vm.balloon", "3M", "", "vm.a.balloon" },
    { "vm.kernel", "0.2", "", "vm.a.kernel" },
    { "vm.image", "other", KSM, "vm.a.image" },
    { "vm.zero", "0.5", KSM, "vm.a.zero" },
    { "vm.common", "0.5", KSM "vm.a.zero=0 vm.b.common=0.5", "vm.a.common" },
    { "work.trace", "two.nwt", "vm.a.work.generate=none vm.a.work.trace=one.nwt", "vm.a.work.trace" },
    { "work.generate", "uniform", "", "vm.a.work.generate" },
    { "work.accesses", "10K", "", "vm.a.work.accesses" },
    { "work.span", "4M", "", "vm.a.work.span" },
    { "work.stride", "8192", "vm.a.work.generate=sequential", "vm.a.work.stride" },
    { "work.base", "1G", KSM "vm.a.zero=0.5 vm.b.zero=0.5", "vm.a.work.base" },
    { "work.seed", "99", "", "vm.a.work.seed" },
    { "work.skip", "5000", "", "vm.a.work.skip" },
    { "work.repeat", "2", "", "vm.a.work.repeat" },
    { "work.start_ns", "3000000", "", "vm.a.work.start_ns" },
    { "work.stagger_ns", "3000000", "vm.a.count=2", "vm.a.work.stagger_ns" },
    { "work.memory_of", "1", "", "vm.a.work.1.memory_of" },
    { "work.pause_ns", "1000", "", "vm.a.work.pause_ns" },
    { "work.file", "1", "", "vm.a.work.file" },
    { "work.keep", "0", "", "vm.a.work.keep" },
    { "work.exponent", "0.3", "", "vm.a.work.exponent" },
    { "work.stores", "0.9", "", "vm.a.work.stores" },
    { "work.access_ns", "150", "", "vm.a.work.access_ns" },
};

static void set_all(struct nw_vms_config *c, const char *with)
{
    char text[1024], *rest = text;
    snprintf(text, sizeof text, "%s", with);
    for (char *one; (one = strtok_r(rest, " ", &rest));) {
        char *value = strchr(one, '=');
        *value = 0;
        set(c, one, value + 1);
    }
}

/* Two guests of 8 MiB on a host of 10, each touching 6; the first has a second work. */
static struct nw_vms_config small(const struct option *o, bool changed)
{
    struct nw_vms_config c;
    nw_vms_config_init(&c);
    set(&c, "host.memory", "10M");
    set(&c, "host.timeline_ns", "1000000");
    guest(&c, "a", "zipf", "6M", "60000");
    guest(&c, "b", "zipf", "6M", "60000");
    struct nw_error err = { 0 };
    size_t w;
    assert_int_equal(nw_vms_config_add_work(&c, 0, &w, &err), NW_OK);
    set_all(&c, "vm.a.work.1.generate=uniform vm.a.work.1.span=6M vm.a.work.1.accesses=10000");
    set_all(&c, "vm.a.memory=8M vm.b.memory=8M vm.a.work.exponent=0.6 vm.b.work.exponent=0.6 vm.a.image=x vm.b.image=x "
                "vm.a.zero=0.05 vm.a.common=0.05 vm.b.common=0.05");
    set_all(&c, o->with);
    if (changed)
        set(&c, o->path ? o->path : o->row, o->value);
    return c;
}

static bool same_monitors(const struct nw_vms_result *a, const struct nw_vms_result *b)
{
    bool same = a->monitors == b->monitors && a->monitor_samples == b->monitor_samples && a->samples == b->samples &&
                a->guest[0].mrc_points == b->guest[0].mrc_points;
    for (size_t i = 0; same && i < a->monitors; i++)
        same = a->monitor[i].estimate_pages == b->monitor[i].estimate_pages &&
               !memcmp(&a->monitor[i].counters, &b->monitor[i].counters, sizeof a->monitor[i].counters);
    return same;
}

static void option__each_changes_what_comes_out(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        struct nw_vms_config before = small(&options[i], false), after = small(&options[i], true);
        struct nw_vms_result a = run(&before), b = run(&after);
        check_sound(&a, options[i].row);
        check_sound(&b, options[i].row);
        if (same_counters(&a, &b) && same_monitors(&a, &b))
            fail_msg("%s=%s changes nothing", options[i].row, options[i].value);
        nw_vms_result_fini(&a);
        nw_vms_result_fini(&b);
        nw_vms_config_fini(&before);
        nw_vms_config_fini(&after);
    }
}

static void option__each_is_tried(void **state)
{
    (void)state;
    size_t rows;
    const struct nw_param *row = nw_vms_params(&rows);
    for (size_t i = 0; i < rows; i++) {
        size_t k = 0;
        while (k < sizeof options / sizeof *options && strcmp(options[k].row, row[i].path) != 0)
            k++;
        if (k == sizeof options / sizeof *options)
            fail_msg("%s has no row in this test", row[i].path);
    }
    assert_int_equal(rows, sizeof options / sizeof *options);
}

static void make_trace(const char *path, uint64_t pages)
{
    struct nw_error err = { 0 };
    struct nw_trace_info info;
    struct nw_nwt_writer *w;
    nw_trace_info_init(&info);
    assert_int_equal(nw_nwt_writer_create(&w, path, &info, &err), NW_OK);
    for (uint64_t i = 0; i < 5000; i++)
        assert_int_equal(nw_nwt_write_access(w, i % pages * 4096, nw_kind_make(NW_STORE, 8, true), &err), NW_OK);
    assert_int_equal(nw_nwt_writer_close(w, &err), NW_OK);
}

static char directory[] = "/tmp/nestwalk-options-XXXXXX";

static int begin(void **state)
{
    (void)state;
    if (!mkdtemp(directory) || chdir(directory))
        return -1;
    make_trace("one.nwt", 1000);
    make_trace("two.nwt", 1500);
    return 0;
}

static int end(void **state)
{
    (void)state;
    unlink("one.nwt");
    unlink("two.nwt");
    return chdir("/") || rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(option__each_is_tried),
        cmocka_unit_test(option__each_changes_what_comes_out),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
