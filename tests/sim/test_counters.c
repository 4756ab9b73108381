/* Which events of walks a processor has, and reading counters: events of Linux's own, which need no hardware, stand in for the processor's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <nestwalk/sim/counters.h>
#include <stdio.h>
#include <string.h>
#if defined(__linux__) && defined(__x86_64__)
#    include <linux/perf_event.h>
#    include <sys/mman.h>
#    include <unistd.h>
#endif

/* ---- the table ---- */

static uint64_t config_of(const struct nw_walk_events *e, const char *name)
{
    for (size_t i = 0; e && i < e->count; i++)
        if (!strcmp(e->event[i].name, name))
            return e->event[i].config;
    return 0;
}

static bool counts(const struct nw_walk_events *e, enum nw_counted q)
{
    for (size_t i = 0; i < e->count; i++)
        if (e->event[i].counted == q)
            return true;
    return false;
}

static void table__each_processor_has_its_generations_events(void **state)
{
    (void)state;
    static const struct {
        const char *vendor;
        unsigned family, model;
        const char *processor, *event;
        uint64_t config;
        bool cycles, references;
    } want[] = {
        { "GenuineIntel", 6, 0x3f, "Intel Haswell", "DTLB_LOAD_MISSES.WALK_DURATION", 0x1008, true, true },
        { "GenuineIntel", 6, 0x4f, "Intel Broadwell", "PAGE_WALKER_LOADS.DTLB_MEMORY", 0x18bc, true, true },
        { "GenuineIntel", 6, 0x55, "Intel Skylake to Comet Lake", "EPT.WALK_PENDING", 0x104f, true, false },
        { "GenuineIntel", 6, 0x6a, "Intel Ice Lake to Rocket Lake", "DTLB_LOAD_MISSES.WALK_ACTIVE", 0x1001008, true,
          false },
        { "GenuineIntel", 6, 0x8f, "Intel Sapphire Rapids and Emerald Rapids", "DTLB_LOAD_MISSES.WALK_COMPLETED",
          0x0e12, true, false },
        { "GenuineIntel", 6, 0xae, "Intel Granite Rapids", "DTLB_LOAD_MISSES.WALK_COMPLETED", 0x0e12, false, false },
        { "AuthenticAMD", 0x17, 0x2f, "AMD Zen and Zen+", "ls_l1_d_tlb_miss.all_l2_miss", 0xf045, false, false },
        { "AuthenticAMD", 0x17, 0x31, "AMD Zen 2", "ls_l1_d_tlb_miss.all_l2_miss", 0xf045, false, false },
        { "AuthenticAMD", 0x19, 0x21, "AMD Zen 3", "ls_l1_d_tlb_miss.all_l2_miss", 0xf045, false, false },
        { "AuthenticAMD", 0x19, 0x11, "AMD Zen 4", "ls_l1_d_tlb_miss.all_l2_miss", 0xf045, false, false },
        { "AuthenticAMD", 0x1a, 0x02, "AMD Zen 5", "ls_l1_d_tlb_miss.all_l2_miss", 0xf045, false, false },
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        const struct nw_walk_events *e = nw_walk_events_of(want[i].vendor, want[i].family, want[i].model);
        if (!e || strcmp(e->processor, want[i].processor) || config_of(e, want[i].event) != want[i].config ||
            counts(e, NW_COUNTED_WALK_CYCLES) != want[i].cycles ||
            counts(e, NW_COUNTED_WALK_REFERENCES) != want[i].references)
            fail_msg("%s family %u model 0x%x: %s, %s is 0x%llx", want[i].vendor, want[i].family, want[i].model,
                     e ? e->processor : "nothing", want[i].event, (unsigned long long)config_of(e, want[i].event));
    }
}

static void table__what_was_not_verified_is_not_known(void **state)
{
    (void)state;
    assert_null(nw_walk_events_of("GenuineIntel", 6, 0x3a));    /* Ivy Bridge */
    assert_null(nw_walk_events_of("GenuineIntel", 6, 0x97));    /* Alder Lake: two kinds of core */
    assert_null(nw_walk_events_of("GenuineIntel", 15, 0x55));   /* another family, same model */
    assert_null(nw_walk_events_of("AuthenticAMD", 0x19, 0x30)); /* between two generations */
    assert_null(nw_walk_events_of("AuthenticAMD", 0x1a, 0x50)); /* Zen 6 */
    assert_null(nw_walk_events_of("AuthenticAMD", 6, 0x55));    /* another vendor */
    assert_null(nw_walk_events_of("HygonGenuine", 0x18, 0x00));
}

/* Whatever is counted is counted whole: the reader needs all events of a quantity in one group, and groups that fit. */
static void table__groups_fit_processors(void **state)
{
    (void)state;
    static const char *const vendor[] = { "GenuineIntel", "AuthenticAMD" };
    enum { PROGRAMMABLE = 4 }; /* counters of a thread of Intel's processors with two threads a core */
    size_t found = 0;
    for (unsigned i = 0; i < 0x20 * 0x100 * 2; i++) {
        const struct nw_walk_events *e = nw_walk_events_of(vendor[i & 1], i >> 9, i >> 1 & 0xff);
        if (!e)
            continue;
        unsigned size[NW_COUNTER_GROUPS] = { 1, 0 }, group_of[NW_COUNTED] = { 0 }; /* 1: dTLB misses are in the first */
        bool seen[NW_COUNTED] = { false };
        found++;
        assert_true(counts(e, NW_COUNTED_WALKS) && e->source[0] && e->processor[0]);
        for (size_t k = 0; k < e->count; k++) {
            const struct nw_counter_event *x = &e->event[k];
            assert_true(x->group < NW_COUNTER_GROUPS && x->counted < NW_COUNTED && x->type == 4);
            assert_true(!seen[x->counted] || group_of[x->counted] == x->group);
            seen[x->counted] = true;
            group_of[x->counted] = x->group;
            size[x->group]++;
        }
        for (unsigned g = 0; g < NW_COUNTER_GROUPS; g++)
            assert_true(size[g] <= PROGRAMMABLE);
    }
    assert_true(found > 200);
}

/* ---- reading ---- */

static void sums__only_what_was_read_is_added(void **state)
{
    (void)state;
    struct nw_counter_reading reading;
    struct nw_counter_sums sums = { { 0 }, { 0 } };
    memset(&reading, 0xff, sizeof reading);
    nw_counters_read(NULL, &reading);
    assert_false(reading.group[0].read || reading.group[1].read);
    assert_int_equal(nw_counters_add(NULL, &reading, &reading, 8, &sums), 0);
    for (unsigned q = 0; q < NW_COUNTED; q++)
        assert_true(!sums.steps[q] && !nw_counters_has(NULL, q));
    nw_counters_close(NULL);
}

#if defined(__linux__) && defined(__x86_64__)

struct refused {
    unsigned events;
    char name[32];
};
static void refuse(void *context, const struct nw_counter_event *event, int error)
{
    struct refused *r = context;
    assert_true(error >= 0);
    snprintf(r->name, sizeof r->name, "%s", event->name);
    r->events++;
}

/* Pages that are touched for the first time: as many faults of the user's. */
enum { PAGES = 64 };
static void touch(void)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *p = mmap(NULL, PAGES * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(p != MAP_FAILED);
    assert_int_equal(madvise(p, PAGES * page, MADV_NOHUGEPAGE), 0);
    for (size_t i = 0; i < PAGES; i++)
        ((volatile uint8_t *)p)[i * page] = 1;
    munmap(p, PAGES * page);
}

#    define SOFTWARE(name_, config_, counted_, group_)                                                                 \
        {                                                                                                              \
            name_, PERF_TYPE_SOFTWARE, config_, counted_, group_                                                       \
        }
static const struct nw_counter_event faults[] = {
    SOFTWARE("faults", PERF_COUNT_SW_PAGE_FAULTS, NW_COUNTED_WALKS, 0),
    SOFTWARE("small faults", PERF_COUNT_SW_PAGE_FAULTS_MIN, NW_COUNTED_WALK_REFERENCES, 1),
    SOFTWARE("large faults", PERF_COUNT_SW_PAGE_FAULTS_MAJ, NW_COUNTED_WALK_REFERENCES, 1),
    { "none", PERF_TYPE_SOFTWARE, 1 << 20, NW_COUNTED_WALK_CYCLES, 1 },
    SOFTWARE("half of a quantity", PERF_COUNT_SW_PAGE_FAULTS, NW_COUNTED_WALK_CYCLES, 1),
};

static struct nw_counters *open_faults(void)
{
    struct refused r = { 0, "" };
    struct nw_counters *c = nw_counters_open(faults, sizeof faults / sizeof *faults, refuse, &r);
    if (!c) {
        print_message("perf_event_open(2) is not to be had here\n");
        skip();
    }
    assert_true(r.events == 1 && !strcmp(r.name, "none"));
    return c;
}

static void reading__counts_what_happened_between_two_readings(void **state)
{
    (void)state;
    struct nw_counter_reading before, after;
    struct nw_counter_sums sums = { { 0 }, { 0 } };
    struct nw_counters *c = open_faults();
    for (unsigned i = 0; i < 3; i++) {
        nw_counters_read(c, &before);
        touch();
        nw_counters_read(c, &after);
        assert_int_equal(nw_counters_add(c, &before, &after, 10, &sums), 0);
        touch(); /* not between readings: not counted */
    }
    assert_true(sums.count[NW_COUNTED_WALKS] >= 3 * PAGES && sums.count[NW_COUNTED_WALKS] < 5 * PAGES);
    assert_int_equal(sums.count[NW_COUNTED_WALK_REFERENCES], sums.count[NW_COUNTED_WALKS]); /* of two events */
    assert_true(sums.steps[NW_COUNTED_WALKS] == 30 && sums.steps[NW_COUNTED_WALK_REFERENCES] == 30);
    assert_true(nw_counters_has(c, NW_COUNTED_WALKS) && nw_counters_has(c, NW_COUNTED_WALK_REFERENCES));
    assert_false(nw_counters_has(c, NW_COUNTED_WALK_CYCLES)); /* one of its two events could not be had */
    assert_false(nw_counters_has(c, NW_COUNTED_DTLB_MISSES));
    assert_true(!sums.steps[NW_COUNTED_WALK_CYCLES] && !sums.count[NW_COUNTED_WALK_CYCLES]);
    nw_counters_close(c);
}

static void reading__a_group_that_had_to_share_is_left_out(void **state)
{
    (void)state;
    struct nw_counter_reading before, after;
    struct nw_counter_sums sums = { { 0 }, { 0 } };
    struct nw_counters *c = open_faults();
    nw_counters_read(c, &before);
    touch();
    nw_counters_read(c, &after);
    after.group[1].running_ns--;
    assert_int_equal(nw_counters_add(c, &before, &after, 10, &sums), 1);
    assert_true(sums.steps[NW_COUNTED_WALKS] == 10 && !sums.steps[NW_COUNTED_WALK_REFERENCES]);
    before.group[0].read = false;
    assert_int_equal(nw_counters_add(c, &before, &after, 10, &sums), 2);
    assert_int_equal(sums.steps[NW_COUNTED_WALKS], 10);
    nw_counters_close(c);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table__each_processor_has_its_generations_events),
        cmocka_unit_test(table__what_was_not_verified_is_not_known),
        cmocka_unit_test(table__groups_fit_processors),
        cmocka_unit_test(sums__only_what_was_read_is_added),
#if defined(__linux__) && defined(__x86_64__)
        cmocka_unit_test(reading__counts_what_happened_between_two_readings),
        cmocka_unit_test(reading__a_group_that_had_to_share_is_left_out),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
