/* Texts of a running machine: what texts are known, and damaged ones. The rules' own inputs are in the lab (lab.h). */
#include "lab_texts.h"

static void add_dmar(struct nw_dump *d)
{
    static struct builder built; /* too large for the stack */
    struct nw_acpi_file file;
    two_units(&built, false);
    finish(&built);
    must(nw_acpi_load(built.byte, built.size, "built", &file, err));
    must(nw_dump_add_table(d, &file.table[0], 1, err));
    nw_acpi_file_fini(&file);
}

/* ---- texts -------------------------------------------------------------------------------------- */

static void texts__are_known_by_their_content(void **state)
{
    (void)state;
    const struct {
        const char *text;
        const char *kind;
    } row[] = { { regset, "iommu_regset" },
                { translation, "dmar_translation_struct" },
                { "DMA Remapping is not enabled on dmar0\n", "dmar_translation_struct" },
                { mappings, "domain_translation_struct" },
                { "Device 0000:00:0a.0 with pasid 1 @0x1017f8000\n", "domain_translation_struct" },
                { interrupts, "ir_translation_struct" },
                { queue, "invalidation_queue" },
                { iomem, "iomem" },
                { cmdline, "cmdline" },
                { lspci, "lspci" },
                { "0000:00:02.0 0300: 8086:3e92 (rev 02)\n", "lspci" },
                { "", NULL },
                { "DMAR @ 0x00000000\n    0000: 44 4D 41 52\n", NULL },
                { "hello\n", NULL } };
    for (size_t i = 0; i < NW_ARRAY_LEN(row); i++) {
        const char *kind = nw_dump_recognise(row[i].text, strlen(row[i].text));
        if ((kind == NULL) != (row[i].kind == NULL) || (kind && strcmp(kind, row[i].kind) != 0))
            fail_msg("text %zu is taken for %s", i, kind ? kind : "none");
    }
}

/* Rows that go on where the one before ends are one mapping; what is behind a large page's entry may be missing or 0. */
static void texts__neighbouring_rows_are_one_mapping(void **state)
{
    (void)state;
    static const char text[] = "Device 0000:00:02.0 with pasid 1a @0x1\n"
                               "0x1000 |\t0x0\t0x1003\t0x2003\t0x3003\t0x7000003\n"
                               "0x1001 |\t0x0\t0x1003\t0x2003\t0x3003\t0x7001003\n" /* goes on */
                               "0x1002 |\t0x0\t0x1003\t0x2003\t0x3003\t0x7002001\n" /* other rights */
                               "0x1003 |\t0x0\t0x1003\t0x2003\t0x3003\t0x7004001\n" /* elsewhere */
                               "0x1200 |\t0x0\t0x1003\t0x2003\t0x8000883\t0x0\n"    /* 2 MiB */
                               "0x1400 |\t0x0\t0x1003\t0x2003\t0x8200883\n"
                               "0x1600 |\t0x0\t0x0\t0x0\t0x0\t0x0\n" /* nothing */
                               "Device 0000:00:14.0 @0x2\n"
                               "0x1600 |\t0x0\t0x1003\t0x2003\t0x8400883\n";
    static const struct {
        uint64_t iova, target, bytes;
        bool write, has_pasid;
        uint32_t line;
    } row[] = { { 0x1000000, 0x7000000, 0x2000, true, true, 2 },
                { 0x1002000, 0x7002000, 0x1000, false, true, 4 },
                { 0x1003000, 0x7004000, 0x1000, false, true, 5 },
                { 0x1200000, 0x8000000, 0x400000, true, true, 6 },
                { 0x1600000, 0x8400000, 0x200000, true, false, 10 } };
    struct nw_dump d = { .has_dmar = false };
    size_t items;
    must(nw_dump_add(&d, text, strlen(text), "t", 0, &items, err));
    assert_int_equal(items, 8);
    assert_int_equal(d.mappings, NW_ARRAY_LEN(row));
    for (size_t i = 0; i < NW_ARRAY_LEN(row); i++) {
        const struct nw_dump_mapping *m = &d.mapping[i];
        assert_int_equal(m->iova, row[i].iova);
        assert_int_equal(m->target, row[i].target);
        assert_int_equal(m->bytes, row[i].bytes);
        assert_true(m->read && m->write == row[i].write);
        assert_int_equal(m->pasid, row[i].has_pasid ? 0x1a : 0);
        assert_true(m->has_pasid == row[i].has_pasid);
        assert_int_equal(m->place.line, row[i].line);
    }
    nw_dump_fini(&d);
}

static void texts__errors_have_their_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *error;
    } row[] = {
        { "IOMMU: dmar0 Register Base Address: x\n", "t:1: expected the base address" },
        { "IOMMU: dmar0 Register Base Address: fed90000\nCAP 0x08 zz\n", "t:2: expected a register's name" },
        { "IOMMU dmar0: Root Table Address: 0x1\n00:02.0 0x0 0x0\n", "t:2: expected BB:DD.F" },
        { "IOMMU dmar0: Root Table Address: 0x1\n00:02.0 0x0:0x1 0x0:0x1 5 0x0:0x1\n", "t:2: expected a PASID-table" },
        { "Device 0000:00:02.0 @0x1\n0x1 | 0x0 0x3\n", "t:2: expected an IOVA page" },
        { "Device 0000:00:02.0 @0x1\n0x1 | 0x0 0x3 0x0 0x0 0x0\n", "t:2: expected an IOVA page" },
        { "Device 0000:00:02.0 @0x1\n0x1 | 0x0 0x3 0x3 0x3 3\n", "t:2: expected an IOVA page" },
        { "0x1 | 0x0 0x3 0x3 0x3 0x3\nDevice 0000:00:02.0 @0x1\n", "t:1: expected \"Device" },
        { "Remapped Interrupt supported on IOMMU: dmar0\n 0 f0:1f.0 00000100 24 zz 1\n", "t:2: expected an interrupt" },
        { "Invalidation queue on IOMMU: dmar0\n 0 12 zz 0\n", "t:2: expected an index" },
        { "what\n", "not a text that is known" }
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

/* Texts with bytes changed, cut and repeated: findings or an error. */
static void texts__damaged_ones_are_survived(void **state)
{
    (void)state;
    const char *const texts[] = { regset, translation, scalable, mappings, interrupts, queue, iomem, cmdline, lspci };
    struct nw_rng rng = nw_rng_seeded(11);
    unsigned errors = 0, findings = 0;
    for (unsigned i = 0; i < 6000; i++) {
        const char *base = texts[nw_rng_below(&rng, NW_ARRAY_LEN(texts))];
        char text[8192];
        size_t size = strlen(base), items;
        memcpy(text, base, size);
        for (unsigned n = 1 + (unsigned)nw_rng_below(&rng, 6); n; n--)
            text[nw_rng_below(&rng, size)] = (char)nw_rng_below(&rng, 256);
        if (nw_rng_below(&rng, 3) == 0)
            size = nw_rng_below(&rng, size);
        struct nw_dump d = { .has_dmar = false };
        struct nw_iommu_findings found = { 0 };
        struct nw_error error = { 0 };
        if (nw_rng_below(&rng, 2))
            add_dmar(&d);
        if (nw_dump_add(&d, text, size, "t", 0, &items, &error))
            errors++;
        else
            must(nw_iommu_check_dump(&d, 0, &found, err));
        findings += found.count > 0;
        nw_iommu_findings_fini(&found);
        nw_dump_fini(&d);
    }
    assert_true(errors > 100 && findings > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(texts__are_known_by_their_content),
                                        cmocka_unit_test(texts__neighbouring_rows_are_one_mapping),
                                        cmocka_unit_test(texts__errors_have_their_line),
                                        cmocka_unit_test(texts__damaged_ones_are_survived) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
