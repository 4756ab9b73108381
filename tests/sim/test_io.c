/* Devices in a replay: counters are what a plain reading of the trace gives, in both engines; the price is the sum of what was counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <math.h>
#include <nestwalk/sim/replay.h>
#include <nestwalk/traces/generate_io.h>
#include <nestwalk/traces/memory_source.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct nw_error error;
static void must_(enum nw_status s, int line)
{
    if (s)
        fail_msg("line %d: %s", line, error.text);
}
#define must(s) must_(s, __LINE__)

static void set(struct nw_config *c, const char *path, const char *value)
{
    must(nw_config_set(c, path, value, "test", &error));
}

static void metric(void *context, const struct nw_metric *m)
{
    const char *const *wanted = context;
    if (!strcmp(m->path, wanted[0]))
        snprintf((char *)(uintptr_t)wanted[1], 64, "%.17g", m->type == NW_METRIC_COUNT ? (double)m->count : m->real);
}

static double value(const struct nw_result *r, const char *path)
{
    char text[64] = "";
    const char *const wanted[2] = { path, text };
    nw_result_visit(r, metric, (void *)(uintptr_t)wanted);
    if (!text[0])
        fail_msg("no metric %s", path);
    return strtod(text, NULL);
}

static struct nw_source *nic(uint64_t requests, bool mixed)
{
    struct nw_generate_io_options o;
    struct nw_source *source;
    nw_generate_io_defaults(&o);
    o.requests = requests;
    o.direction = mixed ? NW_IO_MIXED : NW_IO_IN;
    o.queues = mixed ? 2 : 1;
    must(nw_io_generator_find("nic")->open(&source, &o, &error));
    return source;
}

static void run(struct nw_source *source, struct nw_config *c, struct nw_result *out)
{
    must(nw_source_rewind(source, &error));
    must(nw_replay(source, c, NULL, out, &error));
}

static void engines__agree_on_devices(void **state)
{
    static const char *const strategies[] = { "strict",     "deferred", "identity", "persistent", "shared",
                                              "optimistic", "huge",     "swiotlb",  "grant-copy" };
    static const char *const devices[] = { "passed-through", "paravirtual", "emulated" }, *const units[] = {
        "hardware", "emulated", "sidecore", "nested"
    };
    (void)state;
    struct nw_source *source = nic(2000, true);
    for (unsigned i = 0; i < NW_ARRAY_LEN(strategies); i++)
        for (unsigned j = 0; j < 4; j++) {
            struct nw_config c;
            struct nw_result fast, naive;
            char difference[256];
            nw_config_init(&c);
            set(&c, "run.mode", "nested");
            set(&c, "iommu.kind", "vtd");
            set(&c, "iommu.strategy", strategies[i]);
            set(&c, "iommu.unit", units[j]);
            set(&c, "io.device", devices[j % 3]);
            run(source, &c, &fast);
            set(&c, "run.engine", "reference");
            run(source, &c, &naive);
            if (nw_result_differ(&naive, &fast, difference, sizeof difference))
                fail_msg("%s, %s: %s", strategies[i], units[j], difference);
            assert_true(value(&fast, "iommu.packets") == 2000 && value(&fast, "iommu.faults") == 0 &&
                        value(&fast, "iommu.stray") == 0);
            nw_result_fini(&fast);
            nw_result_fini(&naive);
            nw_config_fini(&c);
        }
    nw_source_destroy(source);
}

/* 1000 frames of 1514 bytes received in one flow: 2 rings and 512 + 1000 buffers are mapped, 1000 unmapped. */
static void prices__are_the_sum_of_what_was_counted(void **state)
{
    (void)state;
    struct nw_source *source = nic(1000, false);
    struct nw_config c;
    struct nw_result r;
    nw_config_init(&c);
    set(&c, "iommu.kind", "vtd");
    set(&c, "cost.io.packet", "1000");
    set(&c, "cost.io.call", "10");
    set(&c, "cost.io.address", "7");
    set(&c, "cost.io.entry", "3");
    set(&c, "cost.io.invalidation", "500");
    set(&c, "dmar.paging_cache.entries", "0");
    run(source, &c, &r);
    const double maps = 2 + 512 + 1000, unmaps = 1000, entries = value(&r, "iommu.entries_written");
    assert_true(value(&r, "iommu.maps") == maps && value(&r, "iommu.unmaps") == unmaps &&
                value(&r, "iommu.waits") == unmaps);
    assert_true(value(&r, "iommu.range_invalidations") == unmaps && value(&r, "iommu.domain_invalidations") == 0);
    /* Leaves made (rings: 8 pages each) and cleared, and tables: how many these are is told apart. */
    assert_true(entries == 16 + 1512 + 1000 + value(&r, "iommu.table_pages") - 1);
    /* Rings and the first buffers are set up before the first packet, and cost none of them anything. */
    assert_true(value(&r, "iommu.cycles") ==
                1000 * 1000 + (1000 + unmaps) * 10 + 1000 * 7 + (1000 + 1000) * 3 + unmaps * 500);
    assert_true(value(&r, "cycles.io") == value(&r, "iommu.cycles") &&
                value(&r, "cycles.total") == value(&r, "cycles.io"));
    assert_true(value(&r, "iommu.link_ns") == 1000 * (1514 + 24) * 8 / 10.0);
    const double misses = value(&r, "iommu.iotlb_misses"), references = value(&r, "iommu.references");
    assert_true(misses > 1000 &&
                references == misses * 4 + 4); /* four levels each, and once the two words of root and context entry */
    assert_true(fabs(value(&r, "iommu.unit_ns") - references * 60 / 2) < 1);
    const double cycles = value(&r, "iommu.cycles_per_packet"), rate = 3e9 / cycles, link = 10e9 / 8 / 1538;
    assert_true(rate > link && fabs(value(&r, "iommu.packets_per_second") - link) < 1e-3 * link);
    assert_true(fabs(value(&r, "iommu.link_percent") - 100) < 1e-2);
    assert_true(value(&r, "iommu.stale_uses") == 0 && value(&r, "iommu.exposed_max_ns") == 0);
    nw_result_fini(&r);
    set(&c, "cost.frequency", "0.5"); /* now the processor is the slowest */
    run(source, &c, &r);
    assert_true(fabs(value(&r, "iommu.packets_per_second") - 0.5e9 / cycles) < 1);
    nw_result_fini(&r);
    nw_config_fini(&c);
    nw_source_destroy(source);
}

/* A device that goes on using a buffer after its unmap, and one that reads what nobody mapped. */
static void attacks__are_found_or_refused_as_the_strategy_has_it(void **state)
{
    static const struct nw_event events[] = {
        { .kind = NW_EV_TIME, .arg = { 1000 } },
        { .kind = NW_EV_DMA_MAP, .arg = { 0x300, 0x5000, 0x5000, 4096, 3 } },
        { .kind = NW_EV_IO_BEGIN, .arg = { 0x300, NW_IO_RECEIVE, 0, 64, 0 } },
        { .kind = NW_EV_DMA_ACCESS, .arg = { 0x300, 0x5000, 64, 1 } },
        { .kind = NW_EV_IO_END, .arg = { 0x300, 0 } },
        { .kind = NW_EV_DMA_UNMAP, .arg = { 0x300, 0x5000, 4096 } },
        { .kind = NW_EV_DMA_UNMAP, .arg = { 0x300, 0x5000, 4096 } }, /* once too often */
        { .kind = NW_EV_TIME, .arg = { 4000 } },
        { .kind = NW_EV_DMA_ACCESS, .arg = { 0x300, 0xfffff000, 64, 1 } },  /* where the first map's addresses were */
        { .kind = NW_EV_DMA_ACCESS, .arg = { 0x300, 0x123456000, 64, 0 } }, /* anywhere */
    };
    static const struct {
        const char *strategy;
        double faults, stale;
    } expected[] = { { "strict", 2, 0 }, { "deferred", 1, 1 }, { "identity", 0, 0 } };
    (void)state;
    for (unsigned i = 0; i < NW_ARRAY_LEN(expected); i++) {
        struct nw_source *source;
        struct nw_config c;
        struct nw_result r;
        nw_config_init(&c);
        set(&c, "iommu.kind", "vtd");
        set(&c, "iommu.strategy", expected[i].strategy);
        must(nw_memory_source_create(&source, NULL, NULL, NULL, 0, events, NW_ARRAY_LEN(events), 0, &error));
        must(nw_replay(source, &c, NULL, &r, &error));
        assert_true(value(&r, "iommu.stray") == 2 && value(&r, "iommu.unmapped_unknown") == 1);
        assert_true(value(&r, "iommu.faults") == expected[i].faults && value(&r, "faults.dmar") == expected[i].faults);
        assert_true(value(&r, "iommu.stale_uses") == expected[i].stale);
        if (expected[i].stale > 0)
            assert_true(value(&r, "iommu.exposed_max_ns") == 3000);
        nw_result_fini(&r);
        nw_config_fini(&c);
        nw_source_destroy(source);
    }
}

static void models__have_the_exits_that_they_are_said_to_have(void **state)
{
    (void)state;
    struct nw_source *source = nic(800, false);
    static const struct {
        const char *device, *exitless, *split;
        uint64_t mmio, io, interrupts, bare, apic;
        double notifications;
    } expected[] = {
        { "emulated", "0", "0", 1600, 0, 100, 0, 100, 0 },   { "emulated", "1", "1", 0, 0, 0, 0, 0, 1800 },
        { "paravirtual", "0", "0", 0, 200, 100, 0, 100, 0 }, { "passed-through", "0", "0", 0, 0, 0, 100, 100, 0 },
        { "passed-through", "1", "0", 0, 0, 0, 0, 0, 0 },
    };
    for (unsigned i = 0; i < NW_ARRAY_LEN(expected); i++) {
        struct nw_config c;
        struct nw_result r;
        nw_config_init(&c);
        set(&c, "run.mode", "nested");
        set(&c, "iommu.kind", "vtd");
        set(&c, "iommu.strategy", "identity");
        set(&c, "io.device", expected[i].device);
        set(&c, "io.exitless", expected[i].exitless);
        set(&c, "io.split", expected[i].split);
        set(&c, "io.kick_batch", "4");
        run(source, &c, &r);
        assert_true(r.exits[NW_EXIT_MMIO].count == expected[i].mmio &&
                    r.exits[NW_EXIT_IO_INSTRUCTION].count == expected[i].io);
        assert_true(r.exits[NW_EXIT_EXTERNAL_INTERRUPT].count == expected[i].interrupts);
        assert_true(r.exits[NW_EXIT_RECORDED].count == expected[i].bare &&
                    r.exits[NW_EXIT_APIC_ACCESS].count == expected[i].apic);
        assert_true(value(&r, "iommu.notifications") == expected[i].notifications &&
                    value(&r, "iommu.interrupts") == 100);
        assert_true(value(&r, "iommu.copied_bytes") == (strcmp(expected[i].device, "passed-through") ? 800 * 1514 : 0));
        nw_result_fini(&r);
        nw_config_fini(&c);
    }
    nw_source_destroy(source);
}

static void configuration__what_cannot_be_is_refused(void **state)
{
    static const char *const bad[][2] = { { "io.device", "emulated" },
                                          { "iommu.unit", "sidecore" },
                                          { "iommu.pool", "3M" },
                                          { "iommu.request_bytes", "100" },
                                          { "dmar.iotlb.entries", "255" } };
    (void)state;
    for (unsigned i = 0; i < NW_ARRAY_LEN(bad); i++) {
        struct nw_config c;
        nw_config_init(&c);
        set(&c, "iommu.kind", "vtd");
        set(&c, bad[i][0], bad[i][1]);
        assert_int_equal(nw_config_check(&c, &error), NW_ERR_USAGE);
        assert_non_null(strstr(error.text, strncmp(bad[i][0], "dmar", 4) ? bad[i][0] : "dmar"));
        nw_config_fini(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(engines__agree_on_devices),
        cmocka_unit_test(prices__are_the_sum_of_what_was_counted),
        cmocka_unit_test(attacks__are_found_or_refused_as_the_strategy_has_it),
        cmocka_unit_test(models__have_the_exits_that_they_are_said_to_have),
        cmocka_unit_test(configuration__what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests_name("devices", tests, NULL, NULL);
}
