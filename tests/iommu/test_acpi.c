/* The firmware's tables: every rule has an input that fires it and one that differs in one thing and does not; what malformed
 * tables and texts give. */
#include "acpi_builder.h"

enum { UNIT = 0xfed90000, OTHER = 0xfed91000, IOMMU = 0xfd000000 };

/* ---- one pair for each rule ------------------------------------------------------------------------ */

/* A DMAR that nothing is wrong with, still open behind its last unit. */
static void sound_dmar(struct builder *b)
{
    begin(b, true);
    drhd(b, NW_DRHD_INCLUDE_PCI_ALL, 0, UNIT);
    scope(b, NW_DMAR_SCOPE_IOAPIC, 2, 0xf0, 0x1f, 0);
}

/* An IVRS that nothing is wrong with; the IVHD is still open for entries. */
static void sound_ivrs(struct builder *b, unsigned type)
{
    begin(b, false);
    ivhd(b, type, 2, IOMMU);
    special(b, 1, 0xa0, NW_IVHD_IOAPIC);
}

static void t01(struct builder *b, bool broken)
{
    sound_dmar(b);
    finish(b);
    b->byte[10] = (uint8_t)(b->byte[10] + broken);
}
static void t01_length(struct builder *b, bool broken)
{
    sound_ivrs(b, NW_IVHD_10);
    finish(b);
    b->size += broken; /* more bytes than the header knows */
}
static void t02(struct builder *b, bool broken)
{
    sound_dmar(b);
    put(b, b->structure + 2, 2, broken ? 0 : 24);
}
static void t02_scope(struct builder *b, bool broken)
{
    sound_dmar(b);
    put(b, b->structure + 17, 1, broken ? 7 : 8);
}
static void t02_entry(struct builder *b, bool broken)
{
    sound_ivrs(b, NW_IVHD_40);
    acpi_hid(b, "AMDI0020", 2, "\\_SB.FUR0");
    if (broken)
        b->byte[b->size - 10]++; /* the length of the unique id */
}
static void t03(struct builder *b, bool broken)
{
    sound_dmar(b);
    if (!broken)
        rmrr(b, 0, 0x8a76a000, 0x8a789fff), scope(b, NW_DMAR_SCOPE_ENDPOINT, 0, 0, 0x14, 0);
    atsr(b, NW_ATSR_ALL_PORTS);
    if (broken)
        rmrr(b, 0, 0x8a76a000, 0x8a789fff), scope(b, NW_DMAR_SCOPE_ENDPOINT, 0, 0, 0x14, 0);
}
static void t04(struct builder *b, bool broken)
{
    sound_dmar(b);
    structure(b, broken ? 7 : NW_DMAR_SIDP, 8);
}
static void t04_block(struct builder *b, bool broken)
{
    sound_ivrs(b, NW_IVHD_10);
    ivmd(b, broken ? 0x51 : NW_IVMD_ONE, NW_IVMD_UNITY | 6, 0x300, 0, 0xccd42000, 0x26000);
}
static void t05(struct builder *b, bool broken)
{
    sound_dmar(b);
    b->byte[37] |= (uint8_t)(broken ? 0x10 : NW_DMAR_PLATFORM_OPT_IN);
}
static void t05_unit(struct builder *b, bool broken)
{
    sound_dmar(b);
    put(b, b->structure + 4, 1, broken ? 3 : 1);
}
static void t06(struct builder *b, bool broken)
{
    sound_dmar(b);
    const uint64_t top = UINT64_C(1) << 39;
    rmrr(b, 0, top - 0x1000, broken ? top + 0xfff : top - 1);
    scope(b, NW_DMAR_SCOPE_ENDPOINT, 0, 0, 0x14, 0);
}
static void d01(struct builder *b, bool broken)
{
    begin(b, true);
    if (!broken)
        drhd(b, 1, 0, UNIT);
    atsr(b, NW_ATSR_ALL_PORTS);
}
static void d02(struct builder *b, bool broken)
{
    begin(b, true);
    drhd(b, 1, 0, broken ? UNIT + 0x800 : UNIT);
}
static void d02_zero(struct builder *b, bool broken)
{
    begin(b, true);
    drhd(b, 1, 0, broken ? 0 : UNIT);
}
static void d04(struct builder *b, bool broken)
{
    begin(b, true);
    drhd(b, 0, 0, UNIT);
    put(b, b->structure + 5, 1, broken); /* two pages instead of one */
    scope(b, NW_DMAR_SCOPE_BRIDGE, 0, 0, 1, 0);
    drhd(b, 1, 0, OTHER);
}
static void d05(struct builder *b, bool broken)
{
    begin(b, true);
    drhd(b, 1, 0, UNIT);
    drhd(b, 1, broken ? 0 : 1, OTHER);
}
static void d06(struct builder *b, bool broken)
{
    begin(b, true);
    if (broken)
        drhd(b, 1, 0, OTHER);
    drhd(b, 0, 0, UNIT);
    scope(b, NW_DMAR_SCOPE_BRIDGE, 0, 0, 1, 0);
    if (!broken)
        drhd(b, 1, 0, OTHER);
}
static void d08(struct builder *b, bool broken)
{
    begin(b, true);
    drhd(b, 0, 0, UNIT);
    scope(b, NW_DMAR_SCOPE_ENDPOINT, 0, 0, 3, 0);
    drhd(b, 1, 0, OTHER);
    scope(b, NW_DMAR_SCOPE_ENDPOINT, 0, 0, broken ? 3 : 4, 0);
}
static void d12(struct builder *b, bool broken)
{
    begin(b, true);
    drhd(b, 0, 0, UNIT);
    if (!broken)
        scope(b, NW_DMAR_SCOPE_ENDPOINT, 0, 0, 3, 0);
    drhd(b, 1, 0, OTHER);
}
static void d16(struct builder *b, bool broken)
{
    begin(b, true);
    drhd(b, 0, 0, UNIT);
    scope(b, NW_DMAR_SCOPE_ENDPOINT, 0, 0, 3, 0);
    drhd(b, 1, 0, OTHER);
    rhsa(b, UNIT, 0);
    if (!broken)
        rhsa(b, OTHER, 1);
}
static void d16_stale(struct builder *b, bool broken)
{
    sound_dmar(b);
    rhsa(b, UNIT, 0);
    if (broken)
        rhsa(b, OTHER, 1);
}
static void d17(struct builder *b, bool broken)
{
    begin(b, true);
    drhd(b, !broken, 0, UNIT);
    scope(b, NW_DMAR_SCOPE_ENDPOINT, 0, 0, 3, 0);
}
static void r01(struct builder *b, bool broken)
{
    sound_dmar(b);
    rmrr(b, 0, 0x8a76a000, broken ? 0x8a789ff0 : 0x8a789fff);
    scope(b, NW_DMAR_SCOPE_ENDPOINT, 0, 0, 0x14, 0);
}
static void r01_order(struct builder *b, bool broken)
{
    sound_dmar(b);
    rmrr(b, 0, 0x8a76a000, broken ? 0x8a769fff : 0x8a76afff);
    scope(b, NW_DMAR_SCOPE_ENDPOINT, 0, 0, 0x14, 0);
}
static void r06(struct builder *b, bool broken)
{
    begin(b, true);
    drhd(b, 0, 0, UNIT);
    scope(b, NW_DMAR_SCOPE_ENDPOINT, 0, 0, 2, 0);
    drhd(b, 1, 0, OTHER);
    rmrr(b, 0, 0x9a000000, 0x9c7fffff);
    scope(b, NW_DMAR_SCOPE_ENDPOINT, 0, 0, broken ? 0x14 : 2, 0);
}
static void r07(struct builder *b, bool broken)
{
    sound_dmar(b);
    rmrr(b, 0, 0x8a76a000, 0x8a789fff);
    scope(b, NW_DMAR_SCOPE_ENDPOINT, 0, 0, 0x14, 0);
    rmrr(b, 0, broken ? 0x8a789000 : 0x8a78a000, 0x8a799fff);
    scope(b, NW_DMAR_SCOPE_ENDPOINT, 0, 0, 0x1d, 0);
}
static void r08(struct builder *b, bool broken)
{
    sound_dmar(b);
    rmrr(b, 0, 0x80000000, broken ? 0x90000fff : 0x8fffffff);
    scope(b, NW_DMAR_SCOPE_ENDPOINT, 0, 0, 0x14, 0);
}
static void r09(struct builder *b, bool broken)
{
    sound_dmar(b);
    rmrr(b, 0, UNIT - 0x2000, broken ? UNIT + 0xfff : UNIT - 1);
    scope(b, NW_DMAR_SCOPE_ENDPOINT, 0, 0, 0x14, 0);
}
static void r09_interrupts(struct builder *b, bool broken)
{
    sound_dmar(b);
    rmrr(b, 0, 0xfedff000, broken ? 0xfee00fff : 0xfedfffff);
    scope(b, NW_DMAR_SCOPE_ENDPOINT, 0, 0, 0x14, 0);
}
static void r10(struct builder *b, bool broken)
{
    sound_dmar(b);
    rmrr(b, 0, 0x8a76a000, 0x8a789fff);
    if (!broken)
        scope(b, NW_DMAR_SCOPE_ENDPOINT, 0, 0, 0x14, 0);
}
static void r10_segment(struct builder *b, bool broken)
{
    sound_dmar(b);
    rmrr(b, broken, 0x8a76a000, 0x8a789fff);
    scope(b, NW_DMAR_SCOPE_ENDPOINT, 0, 0, 0x14, 0);
}
static void a01(struct builder *b, bool broken)
{
    sound_dmar(b);
    atsr(b, 0);
    scope(b, broken ? NW_DMAR_SCOPE_ENDPOINT : NW_DMAR_SCOPE_BRIDGE, 0, 0, 0x1c, 0);
}
static void a01_all(struct builder *b, bool broken)
{
    sound_dmar(b);
    atsr(b, broken ? NW_ATSR_ALL_PORTS : 0);
    scope(b, NW_DMAR_SCOPE_BRIDGE, 0, 0, 0x1c, 0);
}
static void a04(struct builder *b, bool broken)
{
    sound_dmar(b);
    if (!broken)
        scope(b, NW_DMAR_SCOPE_ANDD, 1, 0, 0x15, 0);
    andd(b, 1, "\\_SB.PCI0.I2C0", true);
}
static void a04_unended(struct builder *b, bool broken)
{
    sound_dmar(b);
    scope(b, NW_DMAR_SCOPE_ANDD, 1, 0, 0x15, 0);
    andd(b, 1, "\\_SB.PCI0.I2C0", !broken);
}
static void a04_twice(struct builder *b, bool broken)
{
    sound_dmar(b);
    scope(b, NW_DMAR_SCOPE_ANDD, 1, 0, 0x15, 0);
    scope(b, NW_DMAR_SCOPE_ANDD, broken ? 1 : 2, 0, 0x15, 1);
    andd(b, 1, "\\_SB.PCI0.I2C0", true);
    andd(b, broken ? 1 : 2, "\\_SB.PCI0.I2C1", true);
}
static void a04_undeclared(struct builder *b, bool broken)
{
    sound_dmar(b);
    scope(b, NW_DMAR_SCOPE_ANDD, 1, 0, 0x15, 0);
    if (!broken)
        andd(b, 1, "\\_SB.PCI0.I2C0", true);
}
static void i01(struct builder *b, bool broken)
{
    sound_dmar(b);
    b->byte[37] = broken ? 0 : NW_DMAR_INTR_REMAP;
}
static void i04(struct builder *b, bool broken)
{
    sound_dmar(b);
    scope(b, NW_DMAR_SCOPE_IOAPIC, broken ? 2 : 9, 0xf0, 0x1e, 0);
}
static void i04_source(struct builder *b, bool broken)
{
    sound_dmar(b);
    scope(b, NW_DMAR_SCOPE_IOAPIC, 9, 0xf0, broken ? 0x1f : 0x1e, 0);
}
static void i11(struct builder *b, bool broken)
{
    sound_dmar(b);
    b->byte[37] = (uint8_t)(NW_DMAR_INTR_REMAP | (broken ? NW_DMAR_X2APIC_OPT_OUT : 0));
}
static void v01(struct builder *b, bool broken)
{
    begin(b, false);
    ivhd(b, NW_IVHD_10, 2, broken ? IOMMU + 0x1000 : IOMMU);
    special(b, 1, 0xa0, NW_IVHD_IOAPIC);
}
static void v01_overlap(struct builder *b, bool broken)
{
    sound_ivrs(b, NW_IVHD_10);
    ivhd(b, NW_IVHD_10, 0x2002, broken ? IOMMU : IOMMU + 0x4000);
}
static void v02(struct builder *b, bool broken)
{
    sound_ivrs(b, NW_IVHD_10);
    entry(b, NW_IVHD_RANGE_START, 8, 0);
    if (!broken)
        entry(b, NW_IVHD_RANGE_END, 0xfffe, 0);
}
static void v02_order(struct builder *b, bool broken)
{
    sound_ivrs(b, NW_IVHD_10);
    entry(b, NW_IVHD_ALIAS_START, 0x100, 0xa500);
    entry(b, NW_IVHD_PAD4, 0, 0);
    entry(b, NW_IVHD_RANGE_END, broken ? 0xff : 0x100, 0);
}
static void v02_between(struct builder *b, bool broken)
{
    sound_ivrs(b, NW_IVHD_10);
    entry(b, NW_IVHD_EXT_START, 0x100, 0);
    if (broken)
        entry(b, NW_IVHD_SELECT, 0x101, 0);
    entry(b, NW_IVHD_RANGE_END, 0x1ff, 0);
}
static void v02_no_start(struct builder *b, bool broken)
{
    sound_ivrs(b, NW_IVHD_10);
    if (!broken)
        entry(b, NW_IVHD_RANGE_START, 0x100, 0);
    entry(b, NW_IVHD_RANGE_END, 0x1ff, 0);
}
static void v03(struct builder *b, bool broken)
{
    sound_ivrs(b, NW_IVHD_10);
    ivhd(b, NW_IVHD_11, 2, broken ? IOMMU + 0x100000 : IOMMU);
}
static void v03_segment(struct builder *b, bool broken)
{
    sound_ivrs(b, NW_IVHD_10);
    ivhd(b, NW_IVHD_11, 2, IOMMU);
    put(b, b->structure + 16, 2, broken);
}
static void v04(struct builder *b, bool broken)
{
    begin(b, false);
    ivhd(b, NW_IVHD_10, 2, IOMMU);
    special(b, 1, broken ? 0xa1 : 0xa0, NW_IVHD_IOAPIC);
}
static void v05(struct builder *b, bool broken)
{
    sound_ivrs(b, NW_IVHD_40);
    acpi_hid(b, broken ? "PNPD0040" : "PNP0D40", 0, "");
}
static void v05_uid(struct builder *b, bool broken)
{
    sound_ivrs(b, NW_IVHD_40);
    acpi_hid(b, "AMDI0020", broken ? 1 : 2, "\\_SB.FUR0");
}
static void v05_handle(struct builder *b, bool broken)
{
    sound_ivrs(b, NW_IVHD_10);
    special(b, broken ? 1 : 2, 1, NW_IVHD_IOAPIC);
}
static void v05_variety(struct builder *b, bool broken)
{
    sound_ivrs(b, NW_IVHD_10);
    special(b, 0, 0xa0, broken ? 3 : NW_IVHD_HPET);
}
static void v07(struct builder *b, bool broken)
{
    sound_ivrs(b, NW_IVHD_10);
    ivmd(b, NW_IVMD_ONE, NW_IVMD_UNITY | 6, 0x300, 0, 0xccd42000, broken ? 0 : 0x26000);
}
static void v07_both(struct builder *b, bool broken)
{
    sound_ivrs(b, NW_IVHD_10);
    ivmd(b, NW_IVMD_ALL, NW_IVMD_UNITY | 6 | (broken ? NW_IVMD_EXCLUSION : 0), 0, 0, 0xccd42000, 0x26000);
}
static void v07_range(struct builder *b, bool broken)
{
    sound_ivrs(b, NW_IVHD_10);
    ivmd(b, NW_IVMD_RANGE, NW_IVMD_UNITY | 6, 0x300, broken ? 0x2ff : 0x3ff, 0xccd42000, 0x26000);
}
static void v07_interrupts(struct builder *b, bool broken)
{
    sound_ivrs(b, NW_IVHD_10);
    ivmd(b, NW_IVMD_ALL, NW_IVMD_UNITY | 6, 0, 0, 0xfedff000, broken ? 0x2000 : 0x1000);
}
static void v07_hypertransport(struct builder *b, bool broken)
{
    sound_ivrs(b, NW_IVHD_10);
    ivmd(b, NW_IVMD_ALL, NW_IVMD_UNITY | 6, 0, 0, UINT64_C(0xfcfffff000), broken ? 0x2000 : 0x1000);
}
static void v08(struct builder *b, bool broken)
{
    sound_ivrs(b, NW_IVHD_10);
    ivmd(b, NW_IVMD_ONE, broken ? NW_IVMD_EXCLUSION : NW_IVMD_UNITY | 6, 0x300, 0, 0xccd42000, 0x26000);
}
static void v09(struct builder *b, bool broken)
{
    sound_ivrs(b, NW_IVHD_11);
    put(b, b->structure + 24, 8, 0xf77ef22294ada);
    ivhd(b, NW_IVHD_11, 0x2002, IOMMU + 0x100000);
    put(b, b->structure + 24, 8, broken ? 0xf77ef22294a5a : 0xf77ef22294ada);
}
static void v18(struct builder *b, bool broken)
{
    if (broken)
        begin(b, false);
    else
        sound_ivrs(b, NW_IVHD_10);
    ivmd(b, NW_IVMD_ONE, NW_IVMD_UNITY | 6, 0x300, 0, 0xccd42000, 0x26000);
}

static const struct pair {
    const char *rule;
    void (*build)(struct builder *b, bool broken);
    bool sealed; /* the builder has set length and checksum */
} pairs[] = {
    { "T01", t01, true },
    { "T01", t01_length, true },
    { "T02", t02, false },
    { "T02", t02_scope, false },
    { "T02", t02_entry, false },
    { "T03", t03, false },
    { "T04", t04, false },
    { "T04", t04_block, false },
    { "T05", t05, false },
    { "T05", t05_unit, false },
    { "T06", t06, false },
    { "D01", d01, false },
    { "D02", d02, false },
    { "D02", d02_zero, false },
    { "D04", d04, false },
    { "D05", d05, false },
    { "D06", d06, false },
    { "D08", d08, false },
    { "D12", d12, false },
    { "D16", d16, false },
    { "D16", d16_stale, false },
    { "D17", d17, false },
    { "R01", r01, false },
    { "R01", r01_order, false },
    { "R06", r06, false },
    { "R07", r07, false },
    { "R08", r08, false },
    { "R09", r09, false },
    { "R09", r09_interrupts, false },
    { "R10", r10, false },
    { "R10", r10_segment, false },
    { "A01", a01, false },
    { "A01", a01_all, false },
    { "A04", a04, false },
    { "A04", a04_unended, false },
    { "A04", a04_twice, false },
    { "A04", a04_undeclared, false },
    { "I01", i01, false },
    { "I04", i04, false },
    { "I04", i04_source, false },
    { "I11", i11, false },
    { "V01", v01, false },
    { "V01", v01_overlap, false },
    { "V02", v02, false },
    { "V02", v02_order, false },
    { "V02", v02_between, false },
    { "V02", v02_no_start, false },
    { "V03", v03, false },
    { "V03", v03_segment, false },
    { "V04", v04, false },
    { "V05", v05, false },
    { "V05", v05_uid, false },
    { "V05", v05_handle, false },
    { "V05", v05_variety, false },
    { "V07", v07, false },
    { "V07", v07_both, false },
    { "V07", v07_range, false },
    { "V07", v07_interrupts, false },
    { "V07", v07_hypertransport, false },
    { "V08", v08, false },
    { "V09", v09, false },
    { "V18", v18, false },
};

static size_t check_bytes(const uint8_t *bytes, size_t size, struct nw_iommu_findings *found)
{
    struct nw_acpi_file file;
    size_t structures;
    must(nw_acpi_load(bytes, size, "built", &file, err));
    assert_int_equal(file.count, 1);
    must(nw_iommu_check_table(&file.table[0], found, &structures, err));
    nw_acpi_file_fini(&file);
    return structures;
}

static struct builder built; /* too large for the stack */

static void rules__each_fires_alone_and_not_without_cause(void **state)
{
    (void)state;
    for (size_t i = 0; i < NW_ARRAY_LEN(pairs); i++)
        for (int broken = 0; broken < 2; broken++) {
            struct nw_iommu_findings found = { 0 };
            pairs[i].build(&built, broken);
            if (!pairs[i].sealed)
                finish(&built);
            check_bytes(built.byte, built.size, &found);
            for (size_t j = 0; j < found.count; j++)
                if (!broken || strcmp(found.at[j].rule->id, pairs[i].rule))
                    fail_msg("pair %zu of %s (%s): %s at %s: %s", i, pairs[i].rule, broken ? "broken" : "sound",
                             found.at[j].rule->id, found.at[j].where, found.at[j].detail);
            if (broken && !found.count)
                fail_msg("pair %zu: %s does not fire", i, pairs[i].rule);
            nw_iommu_findings_fini(&found);
        }
}

static void rules__every_one_has_a_pair_and_a_text(void **state)
{
    (void)state;
    /* Those of running machines have theirs in test_dump.c. */
    const size_t table_rules = (size_t)(nw_iommu_rule_find("V18") - nw_iommu_rules) + 1;
    for (size_t r = 0; r < table_rules; r++) {
        const struct nw_iommu_rule *rule = &nw_iommu_rules[r];
        bool paired = false;
        for (size_t i = 0; i < NW_ARRAY_LEN(pairs); i++)
            paired |= !strcmp(pairs[i].rule, rule->id);
        if (!paired)
            fail_msg("%s has no pair of inputs", rule->id);
        assert_ptr_equal(nw_iommu_rule_find(rule->id), rule);
        if (!*rule->title || !*rule->what || !*rule->why || !*rule->source || !*rule->remedy)
            fail_msg("%s lacks a text", rule->id);
    }
    assert_null(nw_iommu_rule_find("D99"));
}

/* ---- decoding -------------------------------------------------------------------------------------- */

static struct nw_acpi_file load_built(void)
{
    struct nw_acpi_file file;
    finish(&built);
    must(nw_acpi_load(built.byte, built.size, "built", &file, err));
    return file;
}

static void dmar__fields_and_paths(void **state)
{
    (void)state;
    struct nw_dmar d;
    sound_dmar(&built);
    put(&built, built.structure + 5, 1, 3);
    rmrr(&built, 0x1234, 0x8a76a000, 0x8a789fff);
    scope(&built, NW_DMAR_SCOPE_ENDPOINT, 7, 0x20, 0x1c, 5);
    append(&built, 2, 0x0103); /* a second step: 03.1 */
    put(&built, built.size - 9, 1, 10);
    fit(&built);
    rhsa(&built, UNIT, 3);
    andd(&built, 9, "\\_SB.I2C2", true);
    structure(&built, NW_DMAR_SATC, 8);
    scope(&built, NW_DMAR_SCOPE_ENDPOINT, 0, 0, 2, 0);
    put(&built, built.size - 6, 1, 0x10);
    struct nw_acpi_file file = load_built();
    must(nw_dmar_decode(&file.table[0], &d, err));
    assert_int_equal(d.problems.count, 0);
    assert_int_equal(d.structures, 5);
    assert_int_equal(d.scopes, 3);
    assert_int_equal(d.address_bits_minus_1, 38);
    assert_int_equal(d.structure[0].size_log2_pages, 3);
    assert_int_equal(d.structure[0].base, UNIT);
    assert_int_equal(d.structure[1].segment, 0x1234);
    assert_int_equal(d.structure[1].base, 0x8a76a000);
    assert_int_equal(d.structure[1].limit, 0x8a789fff);
    assert_int_equal(d.structure[1].first_scope, 1);
    assert_int_equal(d.scope[1].structure, 1);
    assert_int_equal(d.scope[1].id, 7);
    assert_int_equal(d.scope[1].start_bus, 0x20);
    assert_int_equal(d.scope[1].hops, 2);
    assert_memory_equal(d.scope[1].path, "\x1c\x05\x03\x01", 4);
    assert_int_equal(d.structure[2].proximity, 3);
    assert_int_equal(d.structure[3].number, 9);
    assert_string_equal(d.structure[3].name, "\\_SB.I2C2");
    assert_int_equal(d.scope[2].flags, 0x10);
    uint32_t sum = NW_ACPI_FIXED_BYTES;
    for (size_t i = 0; i < d.structures; i++)
        sum += d.structure[i].length;
    assert_int_equal(sum, file.table[0].length);
    nw_dmar_fini(&d);
    nw_acpi_file_fini(&file);
}

static void ivrs__fields_and_entries(void **state)
{
    (void)state;
    struct nw_ivrs v;
    sound_ivrs(&built, NW_IVHD_40);
    put(&built, built.structure + 16, 2, 5);
    put(&built, built.structure + 24, 8, UINT64_C(0x206d73ef22254ade));
    put(&built, built.structure + 32, 8, 0x77);
    entry(&built, NW_IVHD_ALIAS_SELECT, 0x100, 0xa500);
    entry(&built, NW_IVHD_EXT_SELECT, 0x200, 0x80000000);
    entry(&built, NW_IVHD_PAD8, 0, 0);
    acpi_hid(&built, "AMDI0020", 2, "\\_SB.FUR0");
    ivmd(&built, NW_IVMD_RANGE, 7, 0x300, 0x3ff, 0xccd42000, 0x26000);
    struct nw_acpi_file file = load_built();
    must(nw_ivrs_decode(&file.table[0], &v, err));
    assert_int_equal(v.problems.count, 0);
    assert_int_equal(v.info, 0x203000);
    assert_int_equal(v.blocks, 2);
    assert_int_equal(v.entries, 5);
    assert_int_equal(v.block[0].segment, 5);
    assert_int_equal(v.block[0].base, IOMMU);
    assert_int_equal(v.block[0].capability_offset, 0x40);
    assert_int_equal(v.block[0].efr, UINT64_C(0x206d73ef22254ade));
    assert_int_equal(v.block[0].efr2, 0x77);
    assert_int_equal(v.entry[0].handle, 1);
    assert_int_equal(v.entry[0].device, 0xa0);
    assert_int_equal(v.entry[0].variety, NW_IVHD_IOAPIC);
    assert_int_equal(v.entry[1].device, 0x100);
    assert_int_equal(v.entry[1].alias, 0xa5);
    assert_int_equal(v.entry[2].extended, 0x80000000);
    assert_int_equal(v.entry[4].length, 31);
    assert_memory_equal(v.entry[4].hid, "AMDI0020", 8);
    assert_int_equal(v.entry[4].uid_bytes, 9);
    assert_memory_equal(v.entry[4].uid, "\\_SB.FUR0", 9);
    assert_int_equal(v.block[1].aux, 0x3ff);
    assert_int_equal(v.block[1].base, 0xccd42000);
    assert_int_equal(v.block[1].bytes, 0x26000);
    assert_int_equal(v.block[0].length + v.block[1].length + NW_ACPI_FIXED_BYTES, file.table[0].length);
    nw_ivrs_fini(&v);
    nw_acpi_file_fini(&file);
}

/* ---- malformed ------------------------------------------------------------------------------------- */

/* Tables of each kind with all that can be in them. */
static void rich(struct builder *b, bool dmar)
{
    if (dmar) {
        a04_twice(b, false);
        rhsa(b, UNIT, 0);
        atsr(b, 0);
        scope(b, NW_DMAR_SCOPE_BRIDGE, 0, 0, 0x1c, 0);
    } else {
        v05_uid(b, false);
        entry(b, NW_IVHD_ALIAS_START, 0x100, 0xa500);
        entry(b, NW_IVHD_RANGE_END, 0x1ff, 0);
        ivmd(b, NW_IVMD_ONE, 7, 0x300, 0, 0xccd42000, 0x26000);
    }
    finish(b);
}

static void malformed__every_cut_is_found(void **state)
{
    (void)state;
    for (int dmar = 0; dmar < 2; dmar++) {
        rich(&built, dmar);
        for (uint32_t size = 0; size < built.size; size++) {
            struct nw_acpi_file file;
            struct nw_error e = { 0 };
            uint8_t *exact = malloc(size ? size : 1); /* so that a byte too far shows under the sanitizer */
            assert_non_null(exact);
            memcpy(exact, built.byte, size);
            if (size < NW_ACPI_FIXED_BYTES) {
                assert_int_equal(nw_acpi_load(exact, size, "cut", &file, &e), NW_ERR_INPUT);
                assert_non_null(strstr(e.text, "cut"));
            } else {
                struct nw_iommu_findings found = { 0 };
                check_bytes(exact, size, &found);
                assert_true(found.count >= 1);
                assert_string_equal(found.at[0].rule->id, "T01");
                nw_iommu_findings_fini(&found);
            }
            free(exact);
        }
    }
}

/* Any byte changed to any of some values, and random tables: no crash, no endless loop, and a wrong sum is always found. */
static void malformed__changed_bytes_are_survived(void **state)
{
    (void)state;
    struct nw_rng rng = nw_rng_for(7, "acpi");
    static const uint8_t values[] = { 0, 1, 0x7f, 0x80, 0xff };
    for (int dmar = 0; dmar < 2; dmar++)
        for (uint32_t at = 4;; at++) {
            rich(&built, dmar);
            if (at == built.size)
                break;
            for (size_t i = 0; i < NW_ARRAY_LEN(values); i++) {
                uint8_t old = built.byte[at];
                struct nw_iommu_findings found = { 0 };
                built.byte[at] = values[i];
                check_bytes(built.byte, built.size, &found);
                assert_true(old == values[i] || found.count);
                nw_iommu_findings_fini(&found);
                built.byte[at] = old;
            }
        }
    for (int n = 0; n < 2000; n++) {
        struct nw_iommu_findings found = { 0 };
        begin(&built, n & 1);
        for (int i = 0; i < 200; i++) /* small values, so that types and lengths often make sense */
            append(&built, 1, nw_rng_next(&rng) & (n & 2 ? 0x1f : 0xff));
        finish(&built);
        check_bytes(built.byte, built.size, &found);
        nw_iommu_findings_fini(&found);
    }
}

static void scopes_that_clash(struct builder *b)
{
    begin(b, true);
    drhd(b, 1, 0, UNIT);
    while (b->size + 8 - b->structure < 65536)
        scope(b, NW_DMAR_SCOPE_IOAPIC, 2, 0xf0, 0x1f, 0);
}
static void devices_behind_two_units(struct builder *b)
{
    begin(b, true);
    for (unsigned unit = 0; unit < 2; unit++) {
        drhd(b, unit, 0, unit ? UNIT : OTHER);
        while (b->size + 8 - b->structure < 32768)
            scope(b, NW_DMAR_SCOPE_ENDPOINT, 0, 0, 3, 0);
    }
}
static void units_at_one_base(struct builder *b)
{
    begin(b, true);
    while (b->size + 16 < 65536)
        drhd(b, 1, 0, UNIT);
}
static void regions_at_one_place(struct builder *b)
{
    begin(b, true);
    drhd(b, 1, 0, UNIT);
    while (b->size + 32 < 65536)
        rmrr(b, 0, 0x8a76a000, 0x8a789fff), scope(b, NW_DMAR_SCOPE_ENDPOINT, 0, 0, 0x14, 0);
}
static void handles_given_twice(struct builder *b)
{
    sound_ivrs(b, NW_IVHD_10);
    while (b->size + 8 - b->structure < 65536)
        special(b, 1, 1 + b->size % 64, NW_IVHD_IOAPIC);
}
static void blocks_at_one_base(struct builder *b)
{
    sound_ivrs(b, NW_IVHD_10);
    while (b->size + 24 < 65536)
        ivhd(b, NW_IVHD_10, b->size, IOMMU);
}

/* 65,536 bytes that all clash: time and findings stay bounded. */
static void malformed__findings_of_a_rule_are_bounded(void **state)
{
    (void)state;
    static const struct {
        const char *rule;
        void (*build)(struct builder *b);
    } large[] = {
        { "I04", scopes_that_clash },    { "D08", devices_behind_two_units }, { "D04", units_at_one_base },
        { "R07", regions_at_one_place }, { "V05", handles_given_twice },      { "V01", blocks_at_one_base },
    };
    for (size_t n = 0; n < NW_ARRAY_LEN(large); n++) {
        struct nw_iommu_findings found = { 0 };
        size_t of_rule = 0, rest = 0;
        large[n].build(&built);
        finish(&built);
        check_bytes(built.byte, built.size, &found);
        for (size_t i = 0; i < found.count; i++) {
            of_rule += !strcmp(found.at[i].rule->id, large[n].rule);
            rest += !strcmp(found.at[i].rule->id, large[n].rule) && strstr(found.at[i].detail, "more are not listed");
        }
        assert_int_equal(of_rule, 65);
        assert_int_equal(rest, 1);
        nw_iommu_findings_fini(&found);
    }
}

/* ---- text ------------------------------------------------------------------------------------------ */

static size_t dump(char *text, const char *signature, const uint8_t *bytes, uint32_t size)
{
    size_t used = (size_t)sprintf(text, "%s @ 0x0000000000000000\n", signature);
    for (uint32_t at = 0; at < size; at += 16) {
        used += (size_t)sprintf(text + used, "    %04X:", at);
        for (uint32_t i = at; i < at + 16; i++)
            used += (size_t)(i < size ? sprintf(text + used, " %02X", bytes[i]) : sprintf(text + used, "   "));
        used += (size_t)sprintf(text + used, "  ");
        for (uint32_t i = at; i < at + 16 && i < size; i++)
            text[used++] = (char)(bytes[i] > ' ' && bytes[i] < 127 ? bytes[i] : '.');
        text[used++] = '\n';
    }
    text[used++] = '\n';
    return used;
}

static void text__all_tables_of_a_machine(void **state)
{
    (void)state;
    static char text[16384];
    static const uint8_t apic[20] = "APIC\x14";
    struct nw_acpi_file file;
    size_t used = dump(text, "APIC", apic, sizeof apic);
    rich(&built, true);
    struct builder *dmar = malloc(sizeof *dmar);
    assert_non_null(dmar);
    *dmar = built;
    used += dump(text + used, "DMAR", dmar->byte, dmar->size);
    rich(&built, false);
    used += dump(text + used, "IVRS", built.byte, built.size);
    must(nw_acpi_load(text, used, "dump", &file, err));
    assert_int_equal(file.count, 2);
    assert_int_equal(file.table[0].line, 5);
    assert_int_equal(file.table[0].kind, NW_ACPI_DMAR);
    assert_int_equal(file.table[0].size, dmar->size);
    assert_memory_equal(file.table[0].bytes, dmar->byte, dmar->size);
    assert_int_equal(file.table[1].kind, NW_ACPI_IVRS);
    assert_int_equal(file.table[1].size, built.size);
    assert_memory_equal(file.table[1].bytes, built.byte, built.size);
    free(dmar);
    nw_acpi_file_fini(&file);
}

static void text__errors_name_the_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } wrong[] = {
        { "", "neither a binary" },
        { "hello\n", "neither a binary" },
        { "APIC @ 0x0\n    0000: 41\n", "neither DMAR nor IVRS" },
        { "DMAR @ 0x0\n", "dump:1: \"DMAR @\" is followed by no bytes" },
        { "DMAR @ 0x0\n    0000: 49 56 52 53\n", "dump:1: the bytes behind \"DMAR @\" have another signature" },
        { "DMAR @ 0x0\n    0000: 44 4D 41 52\n    0010: 00\n", "dump:3: the DMAR table goes on at offset 0x10; 0x4" },
        { "DMAR @ 0x0\n    0000: 44 4D 41 52\nrest\n", "dump:3: expected an offset" },
        { "DMAR @ 0x0\n    0000: 44 4D 41 52\n    0004: xx\n", "dump:3: no bytes" },
        { "DMAR @ 0x0\n    0000: 44 4D 41 52 98 00\n", "dump:1: the DMAR table ends at offset 0x6" },
    };
    for (size_t i = 0; i < NW_ARRAY_LEN(wrong); i++) {
        struct nw_acpi_file file;
        struct nw_error e = { 0 };
        assert_int_equal(nw_acpi_load(wrong[i].text, strlen(wrong[i].text), "dump", &file, &e), NW_ERR_INPUT);
        if (!strstr(e.text, wrong[i].message))
            fail_msg("\"%s\" gives \"%s\", without \"%s\"", wrong[i].text, e.text, wrong[i].message);
        assert_int_equal(file.count, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules__each_fires_alone_and_not_without_cause),
        cmocka_unit_test(rules__every_one_has_a_pair_and_a_text),
        cmocka_unit_test(dmar__fields_and_paths),
        cmocka_unit_test(ivrs__fields_and_entries),
        cmocka_unit_test(malformed__every_cut_is_found),
        cmocka_unit_test(malformed__changed_bytes_are_survived),
        cmocka_unit_test(malformed__findings_of_a_rule_are_bounded),
        cmocka_unit_test(text__all_tables_of_a_machine),
        cmocka_unit_test(text__errors_name_the_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
