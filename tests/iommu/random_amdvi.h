/* random_amdvi.h - worlds of random tables of an AMD IOMMU: two devices and host trees for a few addresses, mostly good ones. */
#ifndef NESTWALK_TESTS_RANDOM_AMDVI_H
#define NESTWALK_TESTS_RANDOM_AMDVI_H

#include "iommu_common.h"
#include <nestwalk/iommu/amdvi.h>

enum { WORDS_MAX = 256, PATHS = 4 };
static const struct nw_amdvi_range ram[] = { { 0x1000, 0x40000000 }, { 0x100000000, 0x108000000 } };

struct world {
    struct nw_rng rng;
    struct nw_physmem *pm;
    struct nw_amdvi_tables t;
    uint64_t at[WORDS_MAX], word[WORDS_MAX]; /* every word that was written */
    unsigned words;
    uint64_t address[PATHS];
    uint16_t device[2];
    unsigned spoil; /* chance in 1000 that an entry gets a random bit flipped */
};

static uint64_t below(struct world *w, uint64_t n) { return nw_rng_below(&w->rng, n); }
static bool chance(struct world *w, unsigned thousandths) { return below(w, 1000) < thousandths; }

static void put(struct world *w, uint64_t at, uint64_t word)
{
    unsigned i = 0;
    while (i < w->words && w->at[i] != at)
        i++;
    assert_true(i < WORDS_MAX);
    w->at[i] = at;
    w->word[i] = word;
    w->words += i == w->words;
    put64(w->pm, at, word);
}

static uint64_t spoiled(struct world *w, uint64_t word)
{
    return chance(w, w->spoil) ? word ^ NW_BIT(below(w, 64)) : word;
}

/* A page for a table: mostly in memory. */
static uint64_t frame(struct world *w)
{
    if (chance(w, 5))
        return UINT64_C(0x7fff0000) + below(w, 16) * 4096; /* no memory there */
    return chance(w, 100) ? 0x100000000 + below(w, 0x8000) * 4096 : 0x1000000 + below(w, 0x3f000) * 4096;
}

static uint64_t permissions(struct world *w)
{
    return (chance(w, 950) ? NW_BIT(61) : 0) | (chance(w, 950) ? NW_BIT(62) : 0) | (chance(w, 990) ? 1 : 0) |
           (chance(w, 200) ? below(w, 16) << 1 | below(w, 16) << 5 | below(w, 2) << 63 : 0);
}

static uint64_t sized_leaf(struct world *w, unsigned level)
{
    unsigned low = 12 + 9 * (level - 1), log2 = low + 1 + (unsigned)below(w, 8);
    if (chance(w, 50))
        log2 = 13 + (unsigned)below(w, 41);
    uint64_t page = below(w, NW_BIT(52));
    if (log2 > 52)
        return nw_mask(51, 12) | 7 << 9;
    return ((page & ~nw_mask(log2 - 1, 0)) | nw_mask(log2 - 2, 12)) | 7 << 9;
}

static void build_tree(struct world *w, uint64_t table, unsigned level, uint64_t address)
{
    for (;;) {
        uint64_t at = table + (address >> (12 + 9 * (level - 1)) & 511) * 8;
        bool leaf = level == 1 || chance(w, 200);
        uint64_t entry = permissions(w);
        if (leaf && chance(w, 500)) {
            entry |= sized_leaf(w, level) | below(w, 4) << 59;
        } else if (leaf) {
            entry |= (below(w, NW_BIT(52)) & ~UINT64_C(0xfff)) | below(w, 4) << 59;
        } else {
            unsigned next = chance(w, 700) ? level - 1 : 1 + (unsigned)below(w, level - 1);
            table = frame(w);
            entry |= table | (uint64_t)next << 9;
            level = next;
        }
        put(w, at, spoiled(w, entry));
        if (leaf)
            return;
    }
}

static uint64_t random_dte0(struct world *w, unsigned mode, uint64_t root)
{
    uint64_t e = (chance(w, 970) ? 1 : 0) | (chance(w, 970) ? 2 : 0) | (uint64_t)mode << 9 | root;
    e |= (chance(w, 950) ? NW_BIT(61) : 0) | (chance(w, 950) ? NW_BIT(62) : 0);
    if (w->t.unit.efr & NW_AMDVI_EFR_HA)
        e |= chance(w, 600) ? (w->t.unit.efr & NW_AMDVI_EFR_HD && chance(w, 600) ? 3u : 1u) << 7 : 0;
    return spoiled(w, e);
}

static void build_device(struct world *w, uint16_t device)
{
    uint64_t root = frame(w), at = (w->t.device_table & ~UINT64_C(0xfff)) + (uint64_t)device * 32;
    unsigned mode = chance(w, 950) ? 1 + (unsigned)below(w, 4 + nw_field(w->t.unit.efr, 11, 10)) : 0;
    uint64_t w1 = below(w, 0x10000) | (chance(w, 500) ? NW_BIT(32) : 0) | below(w, 8) << 32 | below(w, 3) << 35 |
                  below(w, 8) << 37 | below(w, 4) << 40;
    put(w, at, random_dte0(w, mode, root));
    put(w, at + 8, spoiled(w, w1));
    put(w, at + 16, below(w, NW_BIT(63)));
    put(w, at + 24, below(w, NW_BIT(63)));
    for (unsigned i = 0; mode && i < PATHS; i++)
        build_tree(w, root, mode, w->address[i]);
}

static void build(struct world *w, uint64_t seed, bool spoils)
{
    *w = (struct world){ .rng = nw_rng_seeded(seed) };
    must(nw_physmem_create(&w->pm, err));
    w->spoil = spoils ? (unsigned)below(w, 60) : 0;
    w->t = (struct nw_amdvi_tables){ .unit = { .efr = below(w, 3) << 10 | below(w, 2) << 1, .pa_bits = 52 },
                                     .memory = { .pm = w->pm, .ram = ram, .ram_count = 2 } };
    if (chance(w, 600))
        w->t.unit.efr |= NW_AMDVI_EFR_HA | (chance(w, 700) ? NW_AMDVI_EFR_HD : 0);
    w->t.device_table = (0x100000 + below(w, 64) * 4096) | below(w, 3);
    if (chance(w, 10))
        w->t.device_table = 0x40000000;
    if (chance(w, 300)) {
        w->t.exclusion_base = below(w, 0x100000000) << below(w, 20);
        w->t.exclusion_limit = w->t.exclusion_base + below(w, 0x100000);
    }
    for (unsigned i = 0; i < PATHS; i++) { /* bits of some levels are zero: these can be left out */
        uint64_t a = below(w, NW_BIT(63)) * 2 + below(w, 2);
        if (chance(w, 700))
            a &= nw_mask((unsigned)below(w, 52) + 12, 0);
        for (unsigned level = 2; level <= 6; level++)
            if (chance(w, 400))
                a &= ~(UINT64_C(511) << (12 + 9 * (level - 1)));
        w->address[i] = a;
    }
    if (chance(w, 50))
        w->address[0] = (w->t.exclusion_base & ~UINT64_C(0xfff)) + below(w, 4096);
    if (chance(w, 100)) {
        static const uint64_t range[] = { 0xfee00000, UINT64_C(0xfdf9100000), UINT64_C(0xfdfc000000) };
        w->address[1] = range[below(w, 3)] + below(w, 0x200000);
    }
    for (unsigned i = 0; i < 2; i++)
        w->device[i] = (uint16_t)below(w, 128);
    for (unsigned i = 0; i < 2; i++)
        build_device(w, w->device[i]);
}

#endif
