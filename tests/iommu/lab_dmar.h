/* lab_dmar.h - the lab's DMAR tables. */
#ifndef NESTWALK_TESTS_LAB_DMAR_H
#define NESTWALK_TESTS_LAB_DMAR_H

#include "lab.h"

enum { UNIT = 0xfed90000, OTHER = 0xfed91000 };

/* A DMAR that nothing is wrong with, still open behind its last unit. */
static void sound_dmar(struct builder *b)
{
    begin(b, true);
    drhd(b, NW_DRHD_INCLUDE_PCI_ALL, 0, UNIT);
    scope(b, NW_DMAR_SCOPE_IOAPIC, 2, 0xf0, 0x1f, 0);
}

static void t01(struct builder *b, bool broken)
{
    sound_dmar(b);
    finish(b);
    b->byte[10] = (uint8_t)(b->byte[10] + broken);
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
/* Zeros that fill up the table, which Linux takes for its end. */
static void t02_zeros(struct builder *b, bool broken)
{
    sound_dmar(b);
    b->size += broken ? 8 : 0;
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
static void r01_empty(struct builder *b, bool broken)
{
    sound_dmar(b);
    rmrr(b, 0, broken ? 0 : 0x8a76a000, broken ? 0 : 0x8a76afff);
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
static void r08_graphics(struct builder *b, bool broken)
{
    sound_dmar(b);
    rmrr(b, 0, 0x80000000, broken ? 0x9fffffff : 0x83ffffff);
    scope(b, NW_DMAR_SCOPE_ENDPOINT, 0, 0, 2, 0);
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

static const struct lab_case lab_dmar[] = {
    { .rule = "T01", .build = t01, .sealed = true },
    { .rule = "T02", .build = t02 },
    { .rule = "T02", .build = t02_scope },
    { .rule = "T02", .build = t02_zeros, .severity = "warning" },
    { .rule = "T03", .build = t03 },
    { .rule = "T04", .build = t04 },
    { .rule = "T05", .build = t05 },
    { .rule = "T05", .build = t05_unit },
    { .rule = "T06", .build = t06 },
    { .rule = "D01", .build = d01 },
    { .rule = "D02", .build = d02 },
    { .rule = "D02", .build = d02_zero },
    { .rule = "D04", .build = d04 },
    { .rule = "D05", .build = d05 },
    { .rule = "D06", .build = d06 },
    { .rule = "D08", .build = d08 },
    { .rule = "D12", .build = d12 },
    { .rule = "D16", .build = d16, .severity = "info" },
    { .rule = "D16", .build = d16_stale },
    { .rule = "D17", .build = d17 },
    { .rule = "R01", .build = r01 },
    { .rule = "R01", .build = r01_order },
    { .rule = "R01", .build = r01_empty, .severity = "warning" },
    { .rule = "R06", .build = r06 },
    { .rule = "R07", .build = r07 },
    { .rule = "R08", .build = r08 },
    { .rule = "R08", .build = r08_graphics, .severity = "info" },
    { .rule = "R09", .build = r09 },
    { .rule = "R09", .build = r09_interrupts },
    { .rule = "R10", .build = r10 },
    { .rule = "R10", .build = r10_segment },
    { .rule = "A01", .build = a01 },
    { .rule = "A01", .build = a01_all },
    { .rule = "A04", .build = a04 },
    { .rule = "A04", .build = a04_unended },
    { .rule = "A04", .build = a04_twice },
    { .rule = "A04", .build = a04_undeclared },
    { .rule = "I01", .build = i01 },
    { .rule = "I04", .build = i04 },
    { .rule = "I04", .build = i04_source },
    { .rule = "I11", .build = i11 },
};

#endif
