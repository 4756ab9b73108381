/* Texts of AMD-Vi in debugfs, latencies, queues and paging entries of Intel's: what is read from them, and damaged ones. The rules' own
 * inputs are in the lab (lab.h). */
#include "lab_changes.h"
#include "lab_paging.h"

static void texts__are_known_by_their_content(void **state)
{
    (void)state;
    static const struct {
        const char *text, *kind;
    } row[] = {
        { amd_mmio, "amd mmio" },         { amd_capability, "amd capability" },
        { cmdbuf, "amd cmdbuf" },         { devtbl, "amd devtbl" },
        { irqtbl, "amd irqtbl" },         { irqtbl32, "amd irqtbl" },
        { latency, "dmar_perf_latency" }, { "IOMMU: dmar0 Register Base Address: fed90000\n", "iommu_regset" }
    };
    for (size_t i = 0; i < NW_ARRAY_LEN(row); i++) {
        const char *kind = nw_dump_recognise(row[i].text, strlen(row[i].text));
        if (!kind || strcmp(kind, row[i].kind) != 0)
            fail_msg("text %zu is taken for %s", i, kind ? kind : "none");
    }
}

static void add(struct nw_dump *d, const char *text, const char *file, unsigned input, size_t expected)
{
    size_t items;
    must(nw_dump_add(d, text, strlen(text), file, input, &items, err));
    assert_int_equal(items, expected);
}

static void amd__rows_are_read(void **state)
{
    (void)state;
    struct nw_dump d = { .has_dmar = false };
    const struct nw_dump_amd *a = &d.amd;
    add(&d, amd_mmio, "/sys/kernel/debug/iommu/amd/iommu03/mmio", 0, 3);
    add(&d, amd_capability, "iommu/x/iommu12/capability", 1, 3);
    add(&d, cmdbuf, "cmdbuf", 2, 3);
    add(&d, devtbl, "devtbl", 3, 2);
    add(&d, irqtbl, "irqtbl", 4, 2);
    add(&d, irqtbl32, "irqtbl", 5, 1);
    assert_int_equal(a->regs, 6);
    assert_int_equal(a->reg[1].unit, 3);
    assert_int_equal(a->reg[1].offset, 0x30);
    assert_int_equal(a->reg[1].value, 0x246577efa2254afa);
    assert_int_equal(a->reg[1].place.line, 2);
    assert_true(!a->reg[1].capability && a->reg[3].capability);
    assert_int_equal(a->reg[3].unit, 12);
    assert_int_equal(a->buffers, 1);
    assert_true(a->buffer[0].unit == NW_DUMP_AMD_UNNAMED && a->buffer[0].head == 2 && a->buffer[0].tail == 2 &&
                a->buffer[0].slots == 3 && a->buffer[0].used == 2);
    assert_int_equal(a->commands, 2);
    assert_int_equal(a->command[1].word[0], 0x1000000100a00001);
    assert_int_equal(a->command[1].word[1], 1);
    assert_int_equal(a->dtes, 2);
    assert_int_equal(a->dte[1].device_id, 0x200);
    assert_int_equal(a->dte[1].unit, 0);
    assert_int_equal(a->dte[1].word[0], 0x6000000105300803);
    assert_int_equal(a->dte[1].word[2], 0x2000000105101013);
    assert_int_equal(a->irtes, 3);
    assert_true(a->irte[1].wide && a->irte[1].index == 1 && a->irte[1].word[0] == 0x801 && a->irte[1].word[1] == 0x26);
    assert_true(!a->irte[2].wide && a->irte[2].word[0] == 0x250401 && a->irte[2].device_id == 0x100);
    nw_dump_fini(&d);
}

/* The entries of a level and kind, by the bits that they have; PASIDs by what the text looks like. */
static void intel__entries_and_queues_are_read(void **state)
{
    (void)state;
    struct nw_dump d = { .has_dmar = false };
    add(&d, mappings, "t", 0, 4);
    add(&d, queue_before, "t", 1, 8);
    add(&d, latency, "t", 2, 1);
    assert_int_equal(d.trees, 2);
    assert_int_equal(d.tree[0].root, 0x103ec3000);
    const struct nw_dump_entries *pt = &d.entries[d.tree[0].entries[0][1] - 1];
    assert_int_equal(pt->count, 2);
    assert_int_equal(pt->any, 0x10aebf003);
    assert_int_equal(pt->all, 0x10aeb8003);
    assert_int_equal(pt->line[12], 3);
    assert_int_equal(pt->line[14], 4);
    assert_int_equal(d.tree[0].entries[1][1], 0);
    assert_int_equal(d.entries[d.tree[1].entries[1][1] - 1].any, 0x7600083);
    assert_int_equal(d.queues, 1);
    assert_true(d.queue[0].has_head && d.queue[0].head == 2 && d.queue[0].tail == 2 && d.queue[0].slots == 8 &&
                d.queue[0].base == 0x100a00000);
    assert_int_equal(d.latencies, 1);
    assert_int_equal(d.latency[0].count[2], 390);
    assert_int_equal(d.latency[0].most_us, 370);
    assert_string_equal(d.latency[0].what, "inv_iotlb");
    nw_dump_fini(&d);
}

static void intel__pasids_have_the_radix_of_their_kernel(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t first, second;
    } row[] = { { "Device 0000:00:0a.0 with pasid 10 @0x1000\n", 0x10, 0 },
                { "Device 0000:00:0a.0 with pasid 10 @0x1000\nDevice 0000:00:0b.0 with pasid 12 @0x1000\n", 10, 12 },
                { "Device 0000:00:0a.0 with pasid 10 @0x1000\nDevice 0000:00:0b.0 with pasid 1a @0x1000\n", 0x10,
                  0x1a } };
    for (size_t i = 0; i < NW_ARRAY_LEN(row); i++) {
        struct nw_dump d = { .has_dmar = false };
        size_t items;
        must(nw_dump_add(&d, row[i].text, strlen(row[i].text), "t", 0, &items, err));
        assert_int_equal(d.tree[0].pasid, row[i].first);
        assert_int_equal(d.tree[d.trees - 1].pasid, d.trees > 1 ? row[i].second : row[i].first);
        nw_dump_fini(&d);
    }
}

static void texts__errors_have_their_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *error;
    } row[] = {
        { "Offset:0x18 Value:0x0000000000000001\nOffset:0x30 Value:zz\n", "t:2: expected \"Offset" },
        { "Offset:0x0 Value:0x190b640f\nOffset:0x4 Value:0x0000000000000001\n", "t:2: expected \"Offset" },
        { "CMD Buffer Head Offset:2 Tail Offset:2\n  0: 00000100 20000000 00000000\n", "t:2: expected an index" },
        { "CMD Buffer Head Offset:2 Tail Offset:2\n  0: 00000100 2000000000 0 0\n", "t:2: expected an index" },
        { "DeviceId QWORD[3] QWORD[2] QWORD[1] QWORD[0] iommu\n0000:01:00.0 0 0 0\n", "t:2: expected SSSS:BB:DD.F" },
        { "DeviceId 0000:01:00.0\nIRT[0000] zz\n", "t:2: expected an index and an interrupt" },
        { "DeviceId 0000:01:00.0\nIRT[0000] 100000000\n", "t:2: expected an index and an interrupt" },
        { "IOMMU: dmar0 Register Base Address: 1\n <0.1us\n inv_iotlb 1 2 3\n", "t:3: expected a name, seven counts" },
        { "IOMMU: dmar0 Register Base Address: 1\n <0.1us\n inv_iotlb 1 2 3 4 5 6 7 8 9 x\n",
          "t:3: expected a name, seven counts" },
    };
    for (size_t i = 0; i < NW_ARRAY_LEN(row); i++) {
        struct nw_dump d = { .has_dmar = false };
        struct nw_error error = { 0 };
        size_t items;
        assert_int_equal(nw_dump_add(&d, row[i].text, strlen(row[i].text), "t", 0, &items, &error), NW_ERR_INPUT);
        if (!strstr(error.text, row[i].error))
            fail_msg("text %zu: %s", i, error.text);
        nw_dump_fini(&d);
    }
}

/* Two dumps of damaged texts: findings or an error. */
static void dumps__damaged_ones_are_survived(void **state)
{
    (void)state;
    const char *const texts[] = { amd_mmio,   amd_capability, cmdbuf,      devtbl,      irqtbl,       irqtbl32,
                                  latency,    mappings,       translation, queue_other, queue_before, scalable,
                                  interrupts, first_mappings, first_stage, regset };
    struct nw_rng rng = nw_rng_seeded(12);
    unsigned errors = 0, findings = 0;
    for (unsigned i = 0; i < 3000; i++) {
        struct nw_dump d[2] = { { .has_dmar = false }, { .has_dmar = false } };
        struct nw_iommu_findings found = { 0 };
        for (unsigned n = 0; n < 8; n++) {
            const char *base = texts[nw_rng_below(&rng, NW_ARRAY_LEN(texts))];
            char text[4096];
            size_t size = strlen(base), items;
            struct nw_error error = { 0 };
            memcpy(text, base, size);
            for (unsigned k = (unsigned)nw_rng_below(&rng, 4); k; k--)
                text[nw_rng_below(&rng, size)] = (char)nw_rng_below(&rng, 256);
            if (nw_rng_below(&rng, 4) == 0)
                size = nw_rng_below(&rng, size);
            errors += nw_dump_add(&d[n & 1], text, size, "iommu00/t", n / 2, &items, &error) != NW_OK;
        }
        d[1].earlier = &d[0];
        for (unsigned input = 0; input < 4; input++)
            must(nw_iommu_check_dump(&d[1], input, &found, err));
        findings += found.count > 0;
        nw_iommu_findings_fini(&found);
        nw_dump_fini(&d[0]);
        nw_dump_fini(&d[1]);
    }
    assert_true(errors > 100 && findings > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(texts__are_known_by_their_content),
                                        cmocka_unit_test(amd__rows_are_read),
                                        cmocka_unit_test(intel__entries_and_queues_are_read),
                                        cmocka_unit_test(intel__pasids_have_the_radix_of_their_kernel),
                                        cmocka_unit_test(texts__errors_have_their_line),
                                        cmocka_unit_test(dumps__damaged_ones_are_survived) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
