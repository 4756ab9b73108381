/* random_vtd.h - worlds of random tables: a legacy or scalable root, two functions, two PASIDs each, and trees for a few
 * addresses, mostly good ones. */
#ifndef NESTWALK_TESTS_RANDOM_VTD_H
#define NESTWALK_TESTS_RANDOM_VTD_H

#include "iommu_common.h"

enum { WORDS_MAX = 1024, PATHS = 5 };
static const struct nw_vtd_range ram[] = { { 0x1000, 0x40000000 }, { 0x100000000, 0x108000000 } };

struct world {
    struct nw_rng rng;
    struct nw_physmem *pm;
    struct nw_vtd_tables t;
    uint64_t at[WORDS_MAX], word[WORDS_MAX]; /* every word that is not zero */
    unsigned words;
    uint64_t iova[PATHS];
    uint16_t source[2];
    uint32_t pasid[2];
    unsigned domains;
    unsigned spoil; /* chance in 1000 that an entry gets a random bit flipped */
};

static uint64_t below(struct world *w, uint64_t n) { return nw_rng_below(&w->rng, n); }
static bool chance(struct world *w, unsigned thousandths) { return below(w, 1000) < thousandths; }

static unsigned find(const struct world *w, uint64_t at)
{
    unsigned i = 0;
    while (i < w->words && w->at[i] != at)
        i++;
    return i;
}

static uint64_t get(const struct world *w, uint64_t at)
{
    unsigned i = find(w, at);
    return i < w->words ? w->word[i] : 0;
}

static void put(struct world *w, uint64_t at, uint64_t word)
{
    unsigned i = find(w, at);
    assert_true(i < WORDS_MAX);
    w->at[i] = at;
    w->word[i] = word;
    w->words += i == w->words;
    put64(w->pm, at, word);
}

/* A page for a table: mostly in memory. */
static uint64_t frame(struct world *w)
{
    if (chance(w, 4))
        return UINT64_C(0x7fff0000) + below(w, 16) * 4096; /* no memory there */
    return chance(w, 100) ? 0x100000000 + below(w, 0x8000) * 4096 : 0x1000000 + below(w, 0x3f000) * 4096;
}

static uint64_t spoiled(struct world *w, uint64_t word)
{
    return chance(w, w->spoil) ? word ^ NW_BIT(below(w, 64)) : word;
}

/* ---- paging entries ----------------------------------------------------------------------------- */

static uint64_t second_entry(struct world *w, uint64_t to, bool large, bool leaf)
{
    uint64_t e = to | (large ? 0x80 : 0) | (chance(w, 930) ? 3 : below(w, 4));
    e |= below(w, 2) << 2 | below(w, 16) << 3 | below(w, 4) << 8 | below(w, 2) << 10;
    if (leaf)
        e |= (chance(w, 100) ? NW_BIT(11) : 0) | (chance(w, 30) ? NW_BIT(62) : 0);
    if (chance(w, 200))
        e |= below(w, 1024) << 52 | NW_BIT(63);
    return spoiled(w, e);
}

static uint64_t first_entry(struct world *w, uint64_t to, bool large)
{
    uint64_t e =
        to | (large ? 0x80 : 0) | (chance(w, 980) ? 1 : 0) | (chance(w, 900) ? 2 : 0) | (chance(w, 900) ? 4 : 0);
    e |= below(w, 4) << 3 | below(w, 4) << 5 | below(w, 16) << 8 | (chance(w, 50) ? NW_BIT(63) : 0);
    if (chance(w, 200))
        e |= below(w, 2048) << 52;
    return spoiled(w, e);
}

/* What a leaf maps: now and then the interrupt address range. */
static uint64_t target(struct world *w, int log2)
{
    uint64_t to = chance(w, 30) ? 0xfee00000 : below(w, NW_BIT(w->t.unit.haw));
    return to >> log2 << log2;
}

/* `table_there`: a first-stage table lies there, so the leaf maps to memory. */
static void build_second(struct world *w, uint64_t root, int levels, uint64_t address, bool table_there)
{
    uint64_t table = root;
    for (int level = levels; level >= 1; level--) {
        int log2 = 12 + 9 * (level - 1);
        uint64_t at = table + (address >> log2 & 511) * 8;
        bool large = (level == 2 || level == 3) && chance(w, 120), leaf = level == 1 || large;
        if (!get(w, at))
            put(w, at,
                second_entry(w,
                             !leaf         ? frame(w)
                             : table_there ? frame(w) >> log2 << log2
                                           : target(w, log2),
                             large, leaf));
        uint64_t e = get(w, at);
        if (level == 1 || e >> 7 & 1)
            return;
        table = e & nw_mask(w->t.unit.haw - 1, 12);
    }
}

/* The HPA that a GPA has in the second stage built so far, whatever permissions say; a path is made where there is none. */
static uint64_t through_second(struct world *w, uint64_t root, int levels, uint64_t gpa)
{
    if (!levels)
        return gpa;
    build_second(w, root, levels, gpa, true);
    uint64_t table = root;
    for (int level = levels; level >= 1; level--) {
        int log2 = 12 + 9 * (level - 1);
        uint64_t e = get(w, table + (gpa >> log2 & 511) * 8);
        if (level == 1 || e >> 7 & 1)
            return (e & nw_mask(w->t.unit.haw - 1, (unsigned)log2)) | (gpa & (NW_BIT(log2) - 1));
        table = e & nw_mask(w->t.unit.haw - 1, 12);
    }
    return gpa;
}

static void build_first(struct world *w, uint64_t root, int levels, uint64_t address, uint64_t ss_root, int ss_levels)
{
    uint64_t table = root;
    for (int level = levels; level >= 1; level--) {
        int log2 = 12 + 9 * (level - 1);
        uint64_t at = through_second(w, ss_root, ss_levels, table + (address >> log2 & 511) * 8) & ~UINT64_C(7);
        bool large = (level == 2 || level == 3) && chance(w, 120);
        uint64_t below_2g = frame(w);
        uint64_t to = level == 1 || large ? (ss_levels ? below_2g >> log2 << log2 : target(w, log2)) : below_2g;
        if (!get(w, at))
            put(w, at, first_entry(w, to, large));
        uint64_t e = get(w, at);
        if (level == 1 || e >> 7 & 1) {
            if (ss_levels)
                build_second(w, ss_root, ss_levels,
                             (e & nw_mask(w->t.unit.haw - 1, (unsigned)log2)) | (address & (NW_BIT(log2) - 1)), false);
            return;
        }
        table = e & nw_mask(w->t.unit.haw - 1, 12);
    }
}

/* Two trees never share a domain id: software that lets them gets either's translations. */
static uint64_t new_domain(struct world *w) { return below(w, 0x4000) * 4 + w->domains++ % 4; }

/* ---- the structures above them ------------------------------------------------------------------ */

static int levels_of(struct world *w, unsigned *aw)
{
    unsigned sagaw = nw_vtd_sagaw(w->t.unit.cap);
    do
        *aw = 1 + (unsigned)below(w, 3);
    while (!(sagaw >> *aw & 1));
    int levels = (int)*aw + 2;
    if (chance(w, 15))
        *aw = (unsigned)below(w, 8);
    return levels;
}

static void build_legacy(struct world *w, uint16_t source)
{
    static const uint8_t types[] = { 0, 0, 0, 0, 0, 0, 1, 1, 2, 3 };
    uint64_t root_at = (w->t.rtaddr & ~UINT64_C(0xfff)) + (uint64_t)(source >> 8) * 16, ss_root = frame(w);
    unsigned aw;
    int levels = levels_of(w, &aw);
    if (!get(w, root_at)) {
        put(w, root_at, spoiled(w, frame(w) | (chance(w, 985) ? 1 : 0)));
        put(w, root_at + 8, chance(w, 5) ? NW_BIT(below(w, 64)) : 0);
    }
    uint64_t context = (get(w, root_at) & nw_mask(w->t.unit.haw - 1, 12)) + (uint64_t)(source & 255) * 16;
    put(w, context,
        spoiled(w, ss_root | (chance(w, 985) ? 1 : 0) | (chance(w, 100) ? 2 : 0) |
                       (uint64_t)types[below(w, sizeof types)] << 2));
    put(w, context + 8, spoiled(w, aw | below(w, 16) << 3 | new_domain(w) << 8));
    for (unsigned i = 0; i < PATHS; i++)
        build_second(w, ss_root, levels, w->iova[i], false);
}

static void build_pasid_entry(struct world *w, uint64_t at)
{
    static const uint8_t types[] = { 1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 4 };
    uint64_t ss_root = frame(w), fs_root = frame(w), ecap = w->t.unit.ecap, word_1 = new_domain(w);
    unsigned aw, type = types[below(w, sizeof types)];
    int ss_levels = levels_of(w, &aw), fs_levels = w->t.unit.cap & NW_VTD_CAP_FL5LP && chance(w, 400) ? 5 : 4;
    if (chance(w, 10))
        type = (unsigned)below(w, 8);
    put(w, at,
        spoiled(w, ss_root | (chance(w, 985) ? 1 : 0) | (chance(w, 100) ? 2 : 0) | (uint64_t)aw << 2 |
                       (uint64_t)type << 6 | (ecap & NW_VTD_ECAP_SLADS ? below(w, 2) << 9 : 0)));
    word_1 |= (ecap & NW_VTD_ECAP_SMPWCS && chance(w, 800) ? NW_BIT(23) : 0) |
              (ecap & NW_VTD_ECAP_SC ? below(w, 2) << 24 : 0) |
              (ecap & NW_VTD_ECAP_MTS ? below(w, 4) << 25 | below(w, NW_BIT(32)) << 32 : 0);
    put(w, at + 8, spoiled(w, word_1));
    put(w, at + 16,
        spoiled(w, fs_root | below(w, 2) | (chance(w, 700) ? 3 : 0) | (uint64_t)(fs_levels == 5) << 2 |
                       below(w, 2) << 4 | below(w, 4) << 5 | (ecap & NW_VTD_ECAP_EAFS ? below(w, 2) << 7 : 0)));
    if (chance(w, 10))
        put(w, at + 24 + below(w, 5) * 8, NW_BIT(below(w, 64)));
    for (unsigned i = 0; i < PATHS; i++)
        if (type == 2)
            build_second(w, ss_root, ss_levels, w->iova[i], false);
        else if (type == 1 || type == 3)
            build_first(w, fs_root, fs_levels, w->iova[i], ss_root, type == 3 ? ss_levels : 0);
}

static void build_scalable(struct world *w, uint16_t source)
{
    uint64_t root_at = (w->t.rtaddr & ~UINT64_C(0xfff)) + (uint64_t)(source >> 8) * 16 + (source & 0x80 ? 8 : 0);
    uint64_t ecap = w->t.unit.ecap;
    if (!get(w, root_at))
        put(w, root_at, spoiled(w, frame(w) | (chance(w, 985) ? 1 : 0)));
    uint64_t context = (get(w, root_at) & nw_mask(w->t.unit.haw - 1, 12)) + (uint64_t)(source & 127) * 32;
    uint64_t directory = frame(w), word_1 = chance(w, 950) ? w->pasid[below(w, 2)] : below(w, NW_BIT(20));
    if (ecap & NW_VTD_ECAP_RPRIVS)
        word_1 |= below(w, 2) << 20;
    put(w, context,
        spoiled(w, directory | (chance(w, 985) ? 1 : 0) | (chance(w, 100) ? 2 : 0) |
                       (ecap & NW_VTD_ECAP_DT && chance(w, 700) ? 4 : 0) |
                       (ecap & NW_VTD_ECAP_PASID && chance(w, 950) ? 8 : 0) |
                       (ecap & NW_VTD_ECAP_PRS ? below(w, 2) << 4 : 0) | below(w, 8) << 9));
    put(w, context + 8, spoiled(w, word_1));
    if (chance(w, 10))
        put(w, context + 16 + below(w, 2) * 8, NW_BIT(below(w, 64)));
    for (unsigned i = 0; i < 2; i++) {
        uint64_t at = directory + w->pasid[i] / 64 * 8;
        if (!get(w, at))
            put(w, at, spoiled(w, frame(w) | (chance(w, 985) ? 1 : 0) | (chance(w, 50) ? 2 : 0)));
        build_pasid_entry(w, (get(w, at) & nw_mask(w->t.unit.haw - 1, 12)) + w->pasid[i] % 64 * 64);
    }
}

static void build(struct world *w, uint64_t seed, bool may_spoil)
{
    static const uint8_t mgaw[] = { 39, 48, 57 }, haw[] = { 36, 39, 46, 48, 52 };
    memset(w, 0, sizeof *w);
    w->rng = nw_rng_seeded(seed);
    must(nw_physmem_create(&w->pm, err));
    w->spoil = may_spoil && chance(w, 700) ? 12 : 0;
    uint64_t cap = 6 | (uint64_t)(mgaw[below(w, 3)] - 1) << 16 | (2 + below(w, 7) * 2) << 8 | below(w, 2) << 22 |
                   (chance(w, 800) ? UINT64_C(3) << 34 : 0) | (chance(w, 700) ? NW_BIT(56) : 0) | below(w, 2) << 60;
    uint64_t ecap = 0;
    static const uint8_t ecap_bits[] = { 2, 6, 7, 25, 26, 29, 30, 31, 34, 40, 43, 45, 46, 47, 48, 53 };
    for (unsigned i = 0; i < sizeof ecap_bits; i++)
        ecap |= chance(w, 850) ? NW_BIT(ecap_bits[i]) : 0;
    w->t.unit = (struct nw_vtd_capabilities){ cap, ecap, haw[below(w, sizeof haw)] };
    w->t.memory = (struct nw_vtd_memory){ w->pm, ram, NW_ARRAY_LEN(ram) };
    w->t.rtaddr = frame(w) | (chance(w, 300) ? 0 : chance(w, 985) ? 0x400 : below(w, 3) << 10);
    for (unsigned i = 0; i < PATHS; i++)
        w->iova[i] = i && chance(w, 500) ? w->iova[0] ^ below(w, NW_BIT(22))
                                         : below(w, NW_BIT(12 + below(w, 46))) | (chance(w, 50) ? nw_mask(63, 47) : 0);
    for (unsigned i = 0; i < 2; i++) {
        w->source[i] = (uint16_t)below(w, 0x10000);
        w->pasid[i] = (uint32_t)below(w, chance(w, 500) ? 64 : 20000);
    }
    for (unsigned i = 0; i < 2; i++)
        if (w->t.rtaddr & 0x400)
            build_scalable(w, w->source[i]);
        else
            build_legacy(w, w->source[i]);
}

#endif
