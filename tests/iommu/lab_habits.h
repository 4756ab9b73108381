/* lab_habits.h - what firmware does that is legal and looks odd: no finding above info may come of it. */
#ifndef NESTWALK_TESTS_LAB_HABITS_H
#define NESTWALK_TESTS_LAB_HABITS_H

#include "lab.h"

/* Two sockets, four units each in a segment of its own, the catch-all last; everything of the newer revisions. */
static void habit_server(struct builder *b)
{
    begin(b, true);
    b->byte[8] = 5;
    b->byte[36] = 45;
    for (unsigned segment = 0; segment < 2; segment++)
        for (unsigned i = 0; i < 4; i++) {
            drhd(b, i == 3, segment, UINT64_C(0x200ffffc000) * (segment + 1) + 0x40000000 * i);
            put(b, b->structure + 5, 1, 1); /* two pages of registers */
            if (i == 3)
                scope(b, NW_DMAR_SCOPE_IOAPIC, 8 + segment, 0xf0 + segment, 0x1f, 0),
                    scope(b, NW_DMAR_SCOPE_HPET, 0, 0, 0x1f, 0);
            else
                scope(b, NW_DMAR_SCOPE_BRIDGE, 0, 0x15 + 0x10 * i, 1, 0),
                    scope(b, NW_DMAR_SCOPE_ENDPOINT, 0, 0x15 + 0x10 * i, 0, 5);
        }
    rmrr(b, 0, 0x6d0e0000, 0x6d0e3fff);
    for (unsigned i = 0; i < 8; i++) /* one region, many functions */
        scope(b, NW_DMAR_SCOPE_ENDPOINT, 0, 0, 0x1a + i % 2, i / 2);
    rmrr(b, 0, 0xe7000, 0xeafff); /* below 1 MiB */
    scope(b, NW_DMAR_SCOPE_ENDPOINT, 0, 0, 0x14, 0);
    for (unsigned segment = 0; segment < 2; segment++) {
        atsr(b, 0);
        put(b, b->structure + 6, 2, segment);
        for (unsigned i = 0; i < 3; i++)
            scope(b, NW_DMAR_SCOPE_BRIDGE, 0, 0x15 + 0x10 * i, 1, 0);
    }
    for (unsigned segment = 0; segment < 2; segment++)
        for (unsigned i = 0; i < 4; i++)
            rhsa(b, UINT64_C(0x200ffffc000) * (segment + 1) + 0x40000000 * i, segment);
    structure(b, NW_DMAR_SATC, 8);
    put(b, b->structure + 4, 1, 1);
    scope(b, NW_DMAR_SCOPE_ENDPOINT, 0, 0x6a, 1, 0);
    structure(b, NW_DMAR_SIDP, 8);
    scope(b, NW_DMAR_SCOPE_ENDPOINT, 0, 0x6a, 2, 0);
    put(b, b->size - 6, 1, 0x1f);
}

/* A notebook: pseudo requester ids, a function behind a Thunderbolt port of its own, interrupt controllers that share a function. */
static void habit_notebook(struct builder *b)
{
    begin(b, true);
    b->byte[37] = NW_DMAR_INTR_REMAP | NW_DMAR_PLATFORM_OPT_IN | NW_DMAR_X2APIC_OPT_OUT;
    drhd(b, 0, 0, 0xfed90000);
    scope(b, NW_DMAR_SCOPE_ENDPOINT, 0, 0, 2, 0);
    for (unsigned i = 0; i < 2; i++) {
        drhd(b, 0, 0, 0xfed84000 + 0x1000 * i);
        scope(b, NW_DMAR_SCOPE_BRIDGE, 0, 0, 7, i);
    }
    drhd(b, NW_DRHD_INCLUDE_PCI_ALL, 0, 0xfed91000);
    scope(b, NW_DMAR_SCOPE_IOAPIC, 2, 0, 0x1e, 7);
    for (unsigned i = 0; i < 8; i++) /* timers of one block */
        scope(b, NW_DMAR_SCOPE_HPET, 0, 0, 0x1e, 6);
    scope(b, NW_DMAR_SCOPE_ANDD, 1, 0, 0x15, 0);
    rmrr(b, 0, 0x7bf00000, 0x8a7fffff); /* across 2 GiB */
    scope(b, NW_DMAR_SCOPE_ENDPOINT, 0, 0, 2, 0);
    rmrr(b, 0, 0x6d0e0000, 0x6d0e2fff);           /* no power of two */
    scope(b, NW_DMAR_SCOPE_ENDPOINT, 0, 5, 0, 0); /* behind a bridge, by its bus number */
    atsr(b, 0);
    scope(b, NW_DMAR_SCOPE_BRIDGE, 0, 0, 7, 0);
    atsr(b, 0);
    scope(b, NW_DMAR_SCOPE_BRIDGE, 0, 0, 7, 1);
    andd(b, 1, "\\_SB.PCI0.I2C0", true);
    append(b, 6, 0); /* the name is filled up */
    fit(b);
}

static void habit_ivhd(struct builder *b, unsigned type, unsigned i, bool first)
{
    ivhd(b, type, 0x2000 * i + 2, UINT64_C(0xfd400000) - 0x8000000 * i);
    put(b, b->structure + 16, 2, i / 2);
    entry(b, NW_IVHD_RANGE_START, 0x2000 * i + 3, 0);
    entry(b, NW_IVHD_RANGE_END, 0x2000 * i + 0x1ffe, 0);
    entry(b, NW_IVHD_ALIAS_START, 0xff00, 0xa500);
    entry(b, NW_IVHD_RANGE_END, 0xffff, 0);
    entry(b, NW_IVHD_PAD4, 0, 0);
    if (type != NW_IVHD_10)
        put(b, b->structure + 24, 8, UINT64_C(0x246577efa2254afa));
    if (type == NW_IVHD_40)
        put(b, b->structure + 32, 8, 0x10);
    special(b, 0xf0 + i, 0x2001 * i + 1, NW_IVHD_IOAPIC);
    if (first) {
        special(b, 0, 0xa0, NW_IVHD_HPET);
        special(b, 0x80, 0xa0, NW_IVHD_IOAPIC);
        put(b, b->size - 5, 1, 0xd7);
    }
    for (unsigned n = 0; type == NW_IVHD_40 && first && n < 4; n++)
        acpi_hid(b, "AMDI0020", 2, "\\_SB.FUR0");
}

/* Four units in two segments, each told three times. */
static void habit_epyc(struct builder *b)
{
    static const unsigned types[] = { NW_IVHD_10, NW_IVHD_11, NW_IVHD_40 };
    begin(b, false);
    b->byte[8] = 2;
    for (unsigned t = 0; t < NW_ARRAY_LEN(types); t++) {
        for (unsigned i = 0; i < 4; i++)
            habit_ivhd(b, types[t], i, i == 0);
        if (t == 1)
            ivmd(b, NW_IVMD_ONE, NW_IVMD_UNITY | 6, 0x300, 0, 0xccd42000, 0x26000);
    }
    ivmd(b, 0x51, 8, 0x300, 0, 0xccd42000, 0x26000);
}

static void (*const lab_habits[])(struct builder *b) = { habit_server, habit_notebook, habit_epyc };

#endif
