/* lab_ivrs.h - the lab's IVRS tables. */
#ifndef NESTWALK_TESTS_LAB_IVRS_H
#define NESTWALK_TESTS_LAB_IVRS_H

#include "lab.h"

enum { IOMMU = 0xfd000000 };

/* An IVRS that nothing is wrong with; the IVHD is still open for entries. */
static void sound_ivrs(struct builder *b, unsigned type)
{
    begin(b, false);
    ivhd(b, type, 2, IOMMU);
    special(b, 1, 0xa0, NW_IVHD_IOAPIC);
}
static void t01_length(struct builder *b, bool broken)
{
    sound_ivrs(b, NW_IVHD_10);
    finish(b);
    b->size += broken; /* more bytes than the header knows */
}
static void t02_entry(struct builder *b, bool broken)
{
    sound_ivrs(b, NW_IVHD_40);
    acpi_hid(b, "AMDI0020", 2, "\\_SB.FUR0");
    if (broken)
        b->byte[b->size - 10]++; /* the length of the unique id */
}
static void t04_block(struct builder *b, bool broken)
{
    sound_ivrs(b, NW_IVHD_10);
    ivmd(b, broken ? 0x51 : NW_IVMD_ONE, NW_IVMD_UNITY | 6, 0x300, 0, 0xccd42000, 0x26000);
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
static void v07_empty(struct builder *b, bool broken)
{
    sound_ivrs(b, NW_IVHD_10);
    ivmd(b, NW_IVMD_ONE, NW_IVMD_UNITY | 6, 0x300, 0, broken ? 0 : 0xccd42000, broken ? 0 : 0x26000);
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
/* One unit by two blocks: the second image is only in the newer one, and may differ; the first may not. */
static void v09_one_unit(struct builder *b, bool broken)
{
    sound_ivrs(b, NW_IVHD_11);
    put(b, b->structure + 24, 8, 0xf77ef22294ada);
    ivhd(b, NW_IVHD_40, 2, IOMMU);
    put(b, b->structure + 24, 8, broken ? 0xf77ef22294a5a : 0xf77ef22294ada);
    put(b, b->structure + 32, 8, 0x10);
}
static void v18(struct builder *b, bool broken)
{
    if (broken)
        begin(b, false);
    else
        sound_ivrs(b, NW_IVHD_10);
    ivmd(b, NW_IVMD_ONE, NW_IVMD_UNITY | 6, 0x300, 0, 0xccd42000, 0x26000);
}

static const struct lab_case lab_ivrs[] = {
    { .rule = "T01", .build = t01_length, .sealed = true },
    { .rule = "T02", .build = t02_entry },
    { .rule = "T04", .build = t04_block },
    { .rule = "V01", .build = v01 },
    { .rule = "V01", .build = v01_overlap },
    { .rule = "V02", .build = v02 },
    { .rule = "V02", .build = v02_order },
    { .rule = "V02", .build = v02_between },
    { .rule = "V02", .build = v02_no_start },
    { .rule = "V03", .build = v03 },
    { .rule = "V03", .build = v03_segment },
    { .rule = "V04", .build = v04 },
    { .rule = "V05", .build = v05 },
    { .rule = "V05", .build = v05_uid },
    { .rule = "V05", .build = v05_handle },
    { .rule = "V05", .build = v05_variety },
    { .rule = "V07", .build = v07 },
    { .rule = "V07", .build = v07_both },
    { .rule = "V07", .build = v07_empty, .severity = "warning" },
    { .rule = "V07", .build = v07_range },
    { .rule = "V07", .build = v07_interrupts },
    { .rule = "V07", .build = v07_hypertransport },
    { .rule = "V08", .build = v08 },
    { .rule = "V09", .build = v09, .severity = "info" },
    { .rule = "V09", .build = v09_one_unit },
    { .rule = "V18", .build = v18 },
};

#endif
