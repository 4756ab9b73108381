/* Random tables of every kind, random requests: the library against naive_vtd.h. Fault reason, whether it is recorded, the
 * translation, its page size and every word of memory afterwards must agree. A seed is printed with a disagreement;
 * NW_SEED and NW_WORLDS in the environment repeat or lengthen a run. */
#include "iommu_common.h"
#include "naive_vtd.h"

enum { WORDS_MAX = 1024, POOL = 48, REQUESTS = 24, PATHS = 5 };
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

/* ---- judging ------------------------------------------------------------------------------------ */

static unsigned seen[NW_VTD_FAULT_REASONS], translated[NW_VTD_TRANSLATIONS], set_flags;

static struct nw_vtd_request random_request(struct world *w)
{
    struct nw_vtd_request q = { .source_id = chance(w, 980) ? w->source[below(w, 2)] : (uint16_t)below(w, 0x10000),
                                .address = w->iova[below(w, PATHS)] };
    q.kind = chance(w, 100) ? NW_VTD_ATOMIC : (enum nw_vtd_request_kind)below(w, 2);
    q.type = chance(w, 900) ? NW_VTD_UNTRANSLATED : (enum nw_vtd_address_type)below(w, 3);
    q.zero_length = q.kind == NW_VTD_READ && chance(w, 100);
    if ((w->t.rtaddr & 0x400) ? chance(w, 500) : chance(w, 20)) {
        q.has_pasid = true;
        q.pasid = chance(w, 950) ? w->pasid[below(w, 2)] : (uint32_t)below(w, NW_BIT(20));
        q.privileged = chance(w, 300);
        q.execute = chance(w, 200);
    }
    if (chance(w, 30))
        q.address ^= NW_BIT(below(w, 64));
    return q;
}

static void check_request(struct world *w, struct nw_vtd_request q, uint64_t seed)
{
    struct naive n = { .t = w->t, .q = q };
    struct nw_vtd_result r;
    naive_translate(&n);
    nw_vtd_translate(&w->t, &q, &r);
    if (r.fault.reason != n.reason || (!n.reason && (r.hpa.v != n.hpa)))
        fail_msg("seed %llu: sid %x address %llx kind %d type %d pasid %d/%x: reason %x hpa %llx, naive %x %llx",
                 (unsigned long long)seed, q.source_id, (unsigned long long)q.address, q.kind, q.type, q.has_pasid,
                 q.pasid, r.fault.reason, (unsigned long long)r.hpa.v, n.reason, (unsigned long long)n.hpa);
    if (n.reason) {
        assert_non_null(nw_vtd_fault_text(n.reason));
        assert_int_equal(r.fault.recorded, naive_unqualified(n.reason) || !n.fpd);
        assert_true(r.fault.address == (q.address & ~UINT64_C(0xfff)));
    } else if (n.page_log2) {
        assert_int_equal(r.page_log2, n.page_log2);
    }
    /* Memory: what was there, with the flags that the naive walk set. With walks that do not snoop nothing is set. */
    if (n.reason == 0x90 || n.reason == 0x7c)
        n.sets = 0;
    bool silent = n.scalable && (w->t.unit.ecap >> 48 & 1) && !n.pwsnp;
    for (int i = 0; i < n.sets && !silent; i++) {
        unsigned at = find(w, n.set[i].address);
        assert_true(at < w->words);
        set_flags += (w->word[at] | n.set[i].bits) != w->word[at];
        w->word[at] |= n.set[i].bits;
    }
    for (unsigned i = 0; i < w->words; i++)
        if (get64(w->pm, w->at[i]) != w->word[i])
            fail_msg("seed %llu: word at %llx is %llx, not %llx", (unsigned long long)seed,
                     (unsigned long long)w->at[i], (unsigned long long)get64(w->pm, w->at[i]),
                     (unsigned long long)w->word[i]);
    seen[n.reason]++;
    if (!n.reason)
        translated[r.translation]++;
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 0) : otherwise;
}

static void vtd__random_tables_agree_with_the_prose(void **state)
{
    (void)state;
    uint64_t seed = number_of("NW_SEED", 1), worlds = number_of("NW_WORLDS", 6000);
    struct world *w = malloc(sizeof *w);
    assert_non_null(w);
    for (uint64_t i = 0; i < worlds; i++) {
        build(w, seed + i, true);
        for (unsigned k = 0; k < REQUESTS; k++)
            check_request(w, random_request(w), seed + i);
        nw_physmem_destroy(w->pm);
    }
    free(w);
    /* The worlds reach everything there is: but for page requests, which are no translations (32, 47), posting (27, 28),
     * and what the model gives no reason for (91), each fault of DMA remapping has been seen. */
    if (worlds < 6000)
        return;
    for (unsigned reason = 1; reason < NW_VTD_FAULT_REASONS; reason++)
        if (nw_vtd_fault_text(reason) && !(reason >= 0x20 && reason <= 0x28) && reason != 0x32 && reason != 0x43 &&
            reason != 0x47 && reason != 0x91 && !seen[reason])
            fail_msg("fault reason %x was never met", reason);
    for (unsigned i = 0; i < NW_VTD_TRANSLATIONS; i++)
        assert_true(translated[i] > 100);
    assert_true(set_flags > 1000);
}

/* Each bit of each word that a request may read, flipped and put back: reserved bits of every structure and level among
 * them. */
static void vtd__every_bit_of_every_entry_agrees(void **state)
{
    (void)state;
    uint64_t seed = number_of("NW_SEED", 100000), worlds = number_of("NW_WORLDS", 250), flips = 0;
    struct world *w = malloc(sizeof *w);
    assert_non_null(w);
    memset(seen, 0, sizeof seen);
    for (uint64_t i = 0; i < worlds; i++) {
        build(w, seed + i, false);
        for (unsigned word = 0; word < w->words; word++) {
            struct nw_vtd_request q = random_request(w);
            for (unsigned bit = 0; bit < 64; bit++, flips++) {
                put(w, w->at[word], w->word[word] ^ NW_BIT(bit));
                check_request(w, q, seed + i);
                put(w, w->at[word], w->word[word] ^ NW_BIT(bit));
            }
        }
        nw_physmem_destroy(w->pm);
    }
    free(w);
    static const uint8_t reserved[] = { 0x0a, 0x0b, 0x0c, 0x3a, 0x42, 0x52, 0x5a, 0x72, 0x7a };
    for (unsigned i = 0; i < sizeof reserved && worlds >= 250; i++)
        if (!seen[reserved[i]])
            fail_msg("of %llu flips none was reason %x", (unsigned long long)flips, reserved[i]);
}

/* While the tables stay as they are, a unit with caches of any size says what the tables say. */
static void vtd__caches_are_transparent(void **state)
{
    (void)state;
    uint64_t seed = number_of("NW_SEED", 200000), worlds = number_of("NW_WORLDS", 1500), hits[NW_VTD_CACHES] = { 0 };
    struct world *w = malloc(sizeof *w);
    assert_non_null(w);
    for (uint64_t i = 0; i < worlds; i++) {
        build(w, seed + i, true);
        struct nw_vtd_unit *u;
        struct nw_vtd_config c = { .unit = w->t.unit, .memory = w->t.memory };
        c.unit.cap |= UINT64_C(0x22) << 24;
        c.unit.ecap |= UINT64_C(0xf) << 8;
        for (unsigned k = 0; k < NW_VTD_CACHES; k++) {
            unsigned ways = 1 + (unsigned)below(w, 3);
            c.cache[k] = (struct nw_vtd_cache_shape){ ways * (unsigned)below(w, 12), ways };
        }
        must(nw_vtd_unit_create(&u, &c, err));
        nw_vtd_unit_write(u, NW_VTD_RTADDR, 8, w->t.rtaddr);
        nw_vtd_unit_write(u, NW_VTD_GCMD, 4, NW_VTD_GCMD_SRTP | NW_VTD_GCMD_TE);
        for (unsigned k = 0; k < 3 * REQUESTS; k++) {
            struct nw_vtd_request q = random_request(w);
            struct nw_vtd_result r, plain;
            nw_vtd_unit_dma(u, &q, &r);
            nw_vtd_translate(&w->t, &q, &plain);
            if (r.fault.reason != plain.fault.reason || r.hpa.v != plain.hpa.v || r.domain_id != plain.domain_id ||
                r.translation != plain.translation || r.fault.recorded != plain.fault.recorded)
                fail_msg("seed %llu: sid %x address %llx: reason %x hpa %llx, without caches %x %llx",
                         (unsigned long long)(seed + i), q.source_id, (unsigned long long)q.address, r.fault.reason,
                         (unsigned long long)r.hpa.v, plain.fault.reason, (unsigned long long)plain.hpa.v);
        }
        for (unsigned k = 0; k < NW_VTD_CACHES; k++)
            hits[k] += nw_vtd_unit_counts(u, k).hits;
        nw_vtd_unit_destroy(u);
        nw_physmem_destroy(w->pm);
    }
    free(w);
    for (unsigned k = 0; k < NW_VTD_INTERRUPT_CACHE; k++)
        assert_true(hits[k] > 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(vtd__random_tables_agree_with_the_prose),
                                        cmocka_unit_test(vtd__every_bit_of_every_entry_agrees),
                                        cmocka_unit_test(vtd__caches_are_transparent) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
