/* Random sequences of DMA, table edits and invalidations, by a unit with caches and devices with TLBs, against naive_caches.h. Each
 * request must end as there, from the same caches; the detector of stale mappings must report just the requests that
 * a walk without caches would have ended otherwise. NW_SEED and NW_WORLDS repeat or lengthen a run. */
#include "naive_caches.h"
#include <nestwalk/iommu/vtd_stale.h>

enum { ROOT = 0x1000, CONTEXT = 0x2000, DIRECTORY = 0x4000, PASIDS = 0x6000, TREES = 0x100000, QUEUE = 0x80000 };
enum { TREE_COUNT = 4, PAGE_COUNT = 8, STEPS = 400 };
static const uint16_t sources[2] = { 0x10, 0x19 };
/* Neighbours, pages below other tables of each level, and one that is large. */
static const uint64_t iova[PAGE_COUNT] = { 0x7123400000, 0x7123401000, 0x7123407000, 0x7123600000,
                                           0x7163400000, 0x123400000,  0x7123a00000, 0x7123a05000 };

struct sequence {
    struct nw_rng rng;
    struct nw_physmem *pm;
    struct nw_vtd_unit *u;
    struct nw_vtd_device *device[2];
    struct nw_vtd_stale *stale;
    struct naive_unit naive;
    bool scalable;
    uint64_t next, tail, entry[TREE_COUNT][PAGE_COUNT][4], now;
    uint64_t seed, step;
    unsigned uses; /* reported */
};
static uint64_t done_hits, done_stale, done_faults, done_device_hits;

static uint64_t below(struct sequence *s, uint64_t n) { return nw_rng_below(&s->rng, n); }
static bool chance(struct sequence *s, unsigned percent) { return below(s, 100) < percent; }

/* ---- tables ------------------------------------------------------------------------------------- */

/* In scalable mode trees 0 and 1 are first stages. */
static bool is_first(const struct sequence *s, unsigned tree) { return s->scalable && tree < 2; }
static uint64_t flags_of(const struct sequence *s, unsigned tree) { return is_first(s, tree) ? 0x27 : 3; } /* A set */
static uint64_t root_of(unsigned tree) { return TREES + tree * UINT64_C(0x1000); }

static uint64_t random_leaf(struct sequence *s, unsigned tree, bool large)
{
    uint64_t to = large ? 0x40000000 + below(s, 64) * 0x200000 : 0x20000000 + below(s, 4096) * 0x1000;
    return to | (flags_of(s, tree) & (chance(s, 80) ? ~UINT64_C(0) : ~UINT64_C(2))) | (large ? 0x80 : 0);
}

static void build_tree(struct sequence *s, unsigned tree)
{
    for (unsigned i = 0; i < PAGE_COUNT; i++) {
        uint64_t table = root_of(tree);
        int leaf = i >= 6 ? 1 : 0;
        for (int level = 3; level >= leaf; level--) {
            uint64_t at = table + (iova[i] >> (12 + 9 * level) & 511) * 8;
            s->entry[tree][i][level] = at;
            if (level == leaf)
                put64(s->pm, at, random_leaf(s, tree, leaf));
            else if (!get64(s->pm, at))
                put64(s->pm, at, (s->next += 0x1000) | flags_of(s, tree));
            table = get64(s->pm, at) & nw_mask(47, 12);
        }
    }
}

/* Two domain ids may not share a number with different trees: DID is 20 + tree. */
static void write_entry(struct sequence *s, unsigned source, unsigned pasid, bool present)
{
    unsigned tree = (unsigned)below(s, TREE_COUNT);
    uint64_t at;
    if (!s->scalable) {
        at = CONTEXT + sources[source] * UINT64_C(16);
        put64(s->pm, at, root_of(tree) | 4 | present);
        put64(s->pm, at + 8, 2 | (20 + tree) << 8);
    } else {
        at = PASIDS + source * 0x1000u + pasid * UINT64_C(64);
        put64(s->pm, at,
              (is_first(s, tree) ? 0 : root_of(tree)) | 2 << 2 | (is_first(s, tree) ? 1u : 2u) << 6 | present);
        put64(s->pm, at + 8, (20 + tree) | NW_BIT(23));
        put64(s->pm, at + 16, is_first(s, tree) ? root_of(tree) : 0);
        nw_vtd_stale_written(s->stale, at + 8, s->now);
        nw_vtd_stale_written(s->stale, at + 16, s->now);
    }
    nw_vtd_stale_written(s->stale, at, s->now);
    nw_vtd_stale_written(s->stale, at + 8, s->now);
}

static void on_use(void *context, const struct nw_vtd_stale_use *use)
{
    struct sequence *s = context;
    s->uses++;
    assert_true(use->now.fault.reason || use->now.hpa.v != use->used.hpa.v);
    assert_true(!use->since_known || (use->since_ns <= use->time_ns && use->age_ns == use->time_ns - use->since_ns));
}

static void begin(struct sequence *s, uint64_t seed)
{
    memset(s, 0, sizeof *s);
    s->seed = seed;
    s->rng = nw_rng_seeded(seed);
    s->scalable = chance(s, 70);
    s->next = TREES + 0x10000;
    must(nw_physmem_create(&s->pm, err));
    struct nw_vtd_config c = nw_vtd_config_default(s->pm);
    for (unsigned i = 0; i < NW_VTD_CACHES; i++)
        c.cache[i] = (struct nw_iommu_cache_shape){ .entries = 512, .ways = 512 }; /* never full */
    must(nw_vtd_unit_create(&s->u, &c, err));
    must(nw_vtd_stale_create(&s->stale, s->u, on_use, s, err));
    put64(s->pm, ROOT, CONTEXT | 1);
    for (unsigned i = 0; i < TREE_COUNT; i++)
        build_tree(s, i);
    for (unsigned i = 0; i < 2; i++) {
        const struct nw_vtd_device_config d = { .source_id = sources[i], .entries = 128, .ways = 128 };
        must(nw_vtd_device_create(&s->device[i], s->u, &d, err));
        if (s->scalable) {
            put64(s->pm, CONTEXT + sources[i] * UINT64_C(32), (DIRECTORY + i * 0x1000) | 1 | 4 | 8);
            put64(s->pm, CONTEXT + sources[i] * UINT64_C(32) + 8, 1 + i);
            put64(s->pm, DIRECTORY + i * UINT64_C(0x1000), (PASIDS + i * 0x1000) | 1);
        }
        for (unsigned pasid = 0; pasid < 4; pasid++)
            write_entry(s, i, pasid, true);
    }
    s->naive = (struct naive_unit){ .pm = s->pm, .scalable = s->scalable, .root = ROOT };
    nw_vtd_unit_write(s->u, NW_VTD_RTADDR, 8, ROOT | (s->scalable ? 0x400 : 0));
    nw_vtd_unit_write(s->u, NW_VTD_GCMD, 4, NW_VTD_GCMD_SRTP);
    nw_vtd_unit_write(s->u, NW_VTD_IQA, 8, QUEUE);
    nw_vtd_unit_write(s->u, NW_VTD_GCMD, 4, NW_VTD_GCMD_TE | NW_VTD_GCMD_QIE);
}

static void finish(struct sequence *s)
{
    nw_vtd_stale_destroy(s->stale);
    for (unsigned i = 0; i < 2; i++)
        nw_vtd_device_destroy(s->device[i]);
    nw_vtd_unit_destroy(s->u);
    nw_physmem_destroy(s->pm);
}

/* ---- steps -------------------------------------------------------------------------------------- */

static void edit(struct sequence *s)
{
    if (chance(s, 20)) {
        if (s->scalable && chance(s, 30)) { /* a context entry goes or comes */
            uint64_t at = CONTEXT + sources[below(s, 2)] * UINT64_C(32);
            put64(s->pm, at, get64(s->pm, at) ^ 1);
            nw_vtd_stale_written(s->stale, at, s->now);
        } else {
            write_entry(s, (unsigned)below(s, 2), (unsigned)below(s, 4), chance(s, 70));
        }
        return;
    }
    unsigned tree = (unsigned)below(s, TREE_COUNT), page = (unsigned)below(s, PAGE_COUNT), leaf = page >= 6 ? 1 : 0;
    unsigned level = chance(s, 60) ? leaf : leaf + (unsigned)below(s, 4 - leaf);
    uint64_t at = s->entry[tree][page][level], word = get64(s->pm, at);
    if (level == leaf)
        word = chance(s, 30) ? 0 : random_leaf(s, tree, leaf);
    else if (chance(s, 50)) /* the table goes, or comes back */
        word = word ? 0 : (s->next += 0x1000) | flags_of(s, tree);
    else /* another table in its place, a copy */
    {
        uint64_t copy = s->next += 0x1000, old = word & nw_mask(47, 12);
        for (unsigned i = 0; i < 512 && old; i++)
            if (get64(s->pm, old + i * 8))
                put64(s->pm, copy + i * 8, chance(s, 80) ? get64(s->pm, old + i * 8) : 0);
        word = copy | flags_of(s, tree);
    }
    put64(s->pm, at, word);
    nw_vtd_stale_written(s->stale, at, s->now);
}

static void invalidate(struct sequence *s)
{
    static const struct {
        uint8_t type, granularity;
    } legacy[] = { { 1, 1 }, { 1, 2 }, { 1, 3 }, { 2, 1 }, { 2, 2 }, { 2, 3 }, { 2, 3 }, { 3, 0 }, { 3, 0 } },
      more[] = { { 6, 2 }, { 6, 3 }, { 6, 3 }, { 7, 0 }, { 7, 1 }, { 7, 3 }, { 8, 0 }, { 8, 0 }, { 8, 1 } };
    unsigned pick = (unsigned)below(s, s->scalable ? 18 : 9), log2 = (unsigned)below(s, chance(s, 80) ? 4 : 19);
    struct naive_invalidation v = { .type = pick < 9 ? legacy[pick].type : more[pick - 9].type,
                                    .granularity = pick < 9 ? legacy[pick].granularity : more[pick - 9].granularity,
                                    .did = 20 + (int)below(s, TREE_COUNT + 1),
                                    .pasid = (int)below(s, 4),
                                    .source = sources[below(s, 2)],
                                    .address = iova[below(s, PAGE_COUNT)],
                                    .bytes = NW_BIT(12 + log2),
                                    .hint = chance(s, 30) };
    bool device = v.type == 3 || v.type == 8, pages = !device && v.granularity == 3 && (v.type == 2 || v.type == 6);
    uint64_t low = (uint64_t)v.type | (device ? 0 : (uint64_t)v.granularity << 4), high = 0;
    if (v.type == 3)
        low |= (uint64_t)v.source << 32;
    else if (v.type == 8)
        low |= (uint64_t)v.source << 16 | (uint64_t)v.pasid << 32;
    else
        low |= (uint64_t)v.did << 16 | (v.type == 1 ? (uint64_t)v.source << 32 : 0) |
               (v.type >= 6 ? (uint64_t)v.pasid << 32 : 0);
    if (pages)
        high = v.address | (uint64_t)v.hint << 6 | log2;
    if (device) { /* zero at bit 11 + log2, ones below it */
        high = v.address & ~(v.bytes - 1);
        high |= log2 ? ((NW_BIT(log2 - 1) - 1) << 12) | (v.type == 3 ? 1 : 1 << 11) : 0;
        high |= v.type == 8 ? (uint64_t)v.granularity : 0;
    }
    put64(s->pm, QUEUE + s->tail, low);
    put64(s->pm, QUEUE + s->tail + 8, high);
    s->tail = (s->tail + 16) % 4096;
    nw_vtd_unit_write(s->u, NW_VTD_IQT, 8, s->tail);
    assert_int_equal(nw_vtd_unit_read(s->u, NW_VTD_FSTS, 4) & NW_VTD_FSTS_IQE, 0);
    naive_invalidate(&s->naive, &v);
}

static void request(struct sequence *s)
{
    unsigned source = (unsigned)below(s, 2);
    struct nw_vtd_request q = { .source_id = sources[source],
                                .address = iova[below(s, PAGE_COUNT)] | below(s, 512) * 8,
                                .kind = chance(s, 40) ? NW_VTD_WRITE : NW_VTD_READ,
                                .has_pasid = s->scalable && chance(s, 70) };
    q.pasid = q.has_pasid ? (uint32_t)below(s, 4) : 0;
    const int pasid = q.has_pasid ? (int)q.pasid : -1;
    const bool write = q.kind == NW_VTD_WRITE, by_device = chance(s, 40);
    /* What a walk without caches says is asked first: the request may set a flag, which it would not mind. */
    struct naive_answer fresh = naive_dma(&s->naive, q.source_id, pasid, q.address, write, false), expected;
    struct nw_vtd_result r;
    bool hit = false, naive_hit = false;
    unsigned uses = s->uses;
    if (by_device) {
        struct nw_vtd_device_result d;
        nw_vtd_device_dma(s->device[source], &q, &d);
        expected = naive_device_dma(&s->naive, q.source_id, pasid, q.address, write, &naive_hit);
        r = d.result;
        hit = d.hit;
        done_device_hits += hit;
    } else {
        nw_vtd_unit_dma(s->u, &q, &r);
        expected = naive_dma(&s->naive, q.source_id, pasid, q.address, write, true);
        done_hits += !r.fault.reason && !r.references;
    }
    if (r.fault.reason != expected.reason || hit != naive_hit || (!expected.reason && r.hpa.v != expected.hpa))
        fail_msg(
            "seed %llu step %llu: source %x pasid %d address %llx %s%s: reason %x hpa %llx hit %d; naive %x %llx %d",
            (unsigned long long)s->seed, (unsigned long long)s->step, q.source_id, pasid, (unsigned long long)q.address,
            write ? "write" : "read", by_device ? " by the device" : "", r.fault.reason, (unsigned long long)r.hpa.v,
            hit, expected.reason, (unsigned long long)expected.hpa, naive_hit);
    bool stale = !expected.reason && (fresh.reason || fresh.hpa != expected.hpa);
    if (s->uses - uses != stale)
        fail_msg("seed %llu step %llu: %u stale uses reported, expected %d", (unsigned long long)s->seed,
                 (unsigned long long)s->step, s->uses - uses, stale);
    done_stale += stale;
    done_faults += expected.reason != 0;
}

/* When everything has been invalidated nothing is exposed. */
static void end_of_exposures(struct sequence *s)
{
    struct nw_stale_summary t;
    nw_vtd_unit_flush(s->u);
    for (unsigned i = 0; i < 2; i++)
        nw_vtd_device_destroy(s->device[i]);
    s->device[0] = s->device[1] = NULL;
    nw_vtd_stale_summary(s->stale, &t);
    must(nw_vtd_stale_status(s->stale, err));
    assert_int_equal(t.uses, s->uses);
    assert_true(t.open_pages == 0 && t.used_windows <= t.windows && t.window_max_ns <= t.window_ns);
    assert_true(t.window_ns <= t.windows * s->now && t.longest_age_ns <= s->now);
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 0) : otherwise;
}

static void vtd__sequences_agree_with_the_naive_caches(void **state)
{
    (void)state;
    uint64_t seed = number_of("NW_SEED", 1), worlds = number_of("NW_WORLDS", 300);
    struct sequence *s = malloc(sizeof *s);
    assert_non_null(s);
    for (uint64_t i = 0; i < worlds; i++) {
        begin(s, seed + i);
        for (s->step = 0; s->step < STEPS; s->step++) {
            uint64_t what = below(s, 100);
            nw_vtd_stale_time(s->stale, s->now += 10);
            if (what < 12)
                edit(s);
            else if (what < 24)
                invalidate(s);
            else
                request(s);
        }
        end_of_exposures(s);
        finish(s);
    }
    free(s);
    if (worlds >= 300)
        assert_true(done_hits > 3000 && done_stale > 1000 && done_faults > 1000 && done_device_hits > 3000);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(vtd__sequences_agree_with_the_naive_caches) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
