/* Random sequences of DMA, edits of tables and the invalidations that they ask for, by a unit with small caches: each request must
 * end as one that reads the tables anew, and leave no A or D bit unset that such a one would set. NW_SEED and NW_WORLDS
 * repeat or lengthen a run. */
#include "amdvi_bench.h"
#include "reach_list.h"

enum { HOST_TREES = 3, GUEST_TREES = 3, PAGES = 6, STEPS = 300, WORDS = 4096 };
enum { TREES = 0x1000000, GCR3 = 0x800000, DEVICES = 5, PASIDS = 3 };
/* Neighbours, pages below other tables of each level, some that leave levels out. */
static const uint64_t iova[PAGES] = { 0x5000, 0x6000, 0x207000, 0x40005000, 0x8000005000, 0x3000000 };

struct sequence {
    struct nw_rng rng;
    struct bench *b;
    struct nw_amdvi_tables plain;
    uint64_t next, seed, word[WORDS];
    unsigned words, step;
    uint64_t host[HOST_TREES], guest[GUEST_TREES];
    unsigned mode[HOST_TREES];
    uint64_t had[HOST_TREES];
    unsigned host_of[DEVICES];
    int64_t tree_of[HOST_TREES][PASIDS]; /* guest trees by domain and PASID; -1: none */
};
static uint64_t done, hits, faults, edits;

static uint64_t below(struct sequence *s, uint64_t n) { return nw_rng_below(&s->rng, n); }
static bool chance(struct sequence *s, unsigned percent) { return below(s, 100) < percent; }

/* Every word that may get flags is remembered. */
static void put(struct sequence *s, uint64_t at, uint64_t value)
{
    unsigned i = 0;
    while (i < s->words && s->word[i] != at)
        i++;
    assert_true(i < WORDS);
    s->word[i] = at;
    s->words += i == s->words;
    put64(s->b->pm, at, value);
}

static uint64_t page(struct sequence *s) { return s->next += 0x1000; }

static uint64_t host_rights(struct sequence *s)
{
    return (chance(s, 90) ? IR : 0) | (chance(s, 85) ? IW : 0) | (chance(s, 92) ? 1 : 0) |
           (chance(s, 10) ? NW_BIT(59) : 0) | (chance(s, 10) ? NW_BIT(60) : 0);
}

/* A leaf of a host level: of the level's size, or of one of its own that no other page lies in (a page of two slots stands in
 * both, and here but one is written). */
static uint64_t host_leaf(struct sequence *s, unsigned level, uint64_t address)
{
    unsigned log2 = 12 + 9 * (level - 1);
    const uint64_t to = 0x20000000 + (below(s, 64) << 21);
    const unsigned larger = level == 1 ? 1 : level == 2 && address >= 0x3000000 ? 3 : 0;
    if (!larger || !chance(s, 40))
        return (to & ~nw_mask(log2 - 1, 0)) | host_rights(s);
    log2 += 1 + (unsigned)below(s, larger);
    return (to & ~nw_mask(log2 - 1, 0)) | nw_mask(log2 - 2, 12) * (log2 > 13) | UINT64_C(7) << 9 | host_rights(s);
}

static void build_host(struct sequence *s, unsigned t)
{
    s->host[t] = page(s);
    s->mode[t] = 4 + (unsigned)below(s, 3);
    s->had[t] = chance(s, 50) ? 0 : chance(s, 50) ? 1 : 3;
    for (unsigned i = 0; i < PAGES; i++) {
        uint64_t table = s->host[t];
        for (unsigned level = s->mode[t]; level;) {
            const unsigned low = 12 + 9 * (level - 1);
            const uint64_t at = table + (iova[i] >> low & 511) * 8, old = get64(s->b->pm, at);
            const bool leaf = level == 1 || (level < 4 && !old && chance(s, 15));
            if (leaf) {
                put(s, at, host_leaf(s, level, iova[i]));
                break;
            }
            if (!old) {
                const unsigned next = chance(s, 70) ? level - 1 : 1 + (unsigned)below(s, level - 1);
                const uint64_t rights = host_rights(s) & ~(NW_BIT(59) | NW_BIT(60));
                put(s, at, page(s) | (uint64_t)next << 9 | rights | (chance(s, 90) ? 1 : 0));
            }
            const uint64_t entry = get64(s->b->pm, at);
            level = (unsigned)nw_field(entry, 11, 9);
            table = entry & nw_mask(51, 12);
            if (level == 7)
                break;
        }
    }
    /* GPAs from TREES on, where guests have their tables, are at their own place: large pages below the same root. */
    for (uint64_t gpa = TREES; gpa < TREES + 0x800000; gpa += 0x200000) {
        uint64_t table = s->host[t];
        for (unsigned level = s->mode[t]; level > 2; level--) {
            const uint64_t at = table + (gpa >> (12 + 9 * (level - 1)) & 511) * 8;
            if (nw_field(get64(s->b->pm, at), 11, 9) != level - 1 || !(get64(s->b->pm, at) & 1))
                put(s, at, page(s) | (uint64_t)(level - 1) << 9 | ACCESS | 1);
            table = get64(s->b->pm, at) & nw_mask(51, 12);
        }
        put(s, table + (gpa >> 21 & 511) * 8, gpa | (chance(s, 90) ? ACCESS : IR) | 1);
    }
}

static uint64_t guest_flags(struct sequence *s)
{
    return (chance(s, 93) ? 1 : 0) | (chance(s, 85) ? 2 : 0) | (chance(s, 90) ? 4 : 0) | (chance(s, 50) ? 0x20 : 0) |
           (chance(s, 10) ? NW_BIT(63) : 0);
}

static uint64_t guest_leaf(struct sequence *s)
{
    const uint64_t gpa = chance(s, 80) ? iova[below(s, PAGES)] & ~nw_mask(11, 0) : below(s, 1 << 18) << 12;
    return gpa | guest_flags(s) | (chance(s, 40) ? 0x40 : 0);
}

static void build_guest(struct sequence *s, unsigned t)
{
    s->guest[t] = page(s);
    for (unsigned i = 0; i < PAGES; i++) {
        uint64_t table = s->guest[t];
        for (unsigned level = 4; level; level--) {
            const uint64_t at = table + (iova[i] >> (12 + 9 * (level - 1)) & 511) * 8;
            if (level == 1)
                put(s, at, guest_leaf(s));
            else if (!get64(s->b->pm, at))
                put(s, at, page(s) | guest_flags(s));
            table = get64(s->b->pm, at) & nw_mask(51, 12);
        }
    }
}

static uint64_t gcr3_at(unsigned domain, unsigned pasid) { return GCR3 + domain * 0x1000u + pasid * 8u; }

static void write_cr3(struct sequence *s, unsigned domain, unsigned pasid)
{
    const bool there = chance(s, 90);
    put64(s->b->pm, gcr3_at(domain, pasid), there ? s->guest[below(s, GUEST_TREES)] | 1 : 0);
}

/* Devices of one domain may differ in what they are permitted, and in nothing else. */
static void write_device(struct sequence *s, unsigned device)
{
    const unsigned d = s->host_of[device] = (unsigned)below(s, HOST_TREES);
    const uint64_t guests = d ? GV | (chance(s, 50) ? NW_BIT(54) : 0) : 0;
    const uint64_t mode0 = d == 2 ? 0 : s->host[d] | (uint64_t)s->mode[d] << 9;
    set_dte(s->b, (uint16_t)device,
            (uint64_t)chance(s, 96) | 2 | mode0 | s->had[d] << 7 | (chance(s, 90) ? IR : 0) | (chance(s, 90) ? IW : 0) |
                guests,
            d ? GCR3 + d * 0x1000u : 0, (20 + d) | (chance(s, 70) ? NW_BIT(32) : 0), 0);
}

static void begin(struct sequence *s, uint64_t seed)
{
    struct nw_iommu_cache_shape shape[NW_AMDVI_CACHES];
    memset(s, 0, sizeof *s);
    s->seed = seed;
    s->rng = nw_rng_seeded(seed);
    s->next = TREES;
    for (unsigned i = 0; i < NW_AMDVI_CACHES; i++) {
        const unsigned ways = 1 + (unsigned)below(s, 4);
        shape[i] = (struct nw_iommu_cache_shape){ .entries = ways * (unsigned)below(s, 12),
                                                  .ways = ways,
                                                  .policy = (enum nw_iommu_policy)below(s, NW_IOMMU_POLICIES) };
    }
    s->b = begin_bench(shape);
    wr(s->b, NW_AMDVI_CONTROL, all_on() & ~NW_AMDVI_CONTROL_EVENT_LOG_EN);
    s->plain = (struct nw_amdvi_tables){ .unit = s->b->config.unit,
                                         .memory = s->b->config.memory,
                                         .device_table = DTES | 1,
                                         .wide_interrupt_entries = true };
    for (unsigned t = 0; t < HOST_TREES; t++)
        build_host(s, t);
    for (unsigned t = 0; t < GUEST_TREES; t++)
        build_guest(s, t);
    for (unsigned d = 1; d < HOST_TREES; d++)
        for (unsigned p = 0; p < PASIDS; p++)
            write_cr3(s, d, p);
    for (unsigned i = 0; i < DEVICES; i++)
        write_device(s, i);
}

/* ---- edits, each with the commands that software has to give ------------------------------------ */

static void invalidate_guests(struct sequence *s)
{
    for (unsigned d = 1; d < HOST_TREES; d++)
        for (unsigned p = 0; p < PASIDS; p++)
            invalidate_domain(s->b, (uint16_t)(20 + d), p);
}

static void edit_word(struct sequence *s)
{
    const uint64_t at = s->word[below(s, s->words)], old = get64(s->b->pm, at);
    static const uint8_t bits[] = { 0, 1, 2, 61, 62, 63, 5, 6 };
    put64(s->b->pm, at, old ^ NW_BIT(bits[below(s, sizeof bits)]));
    for (unsigned d = 0; d < HOST_TREES; d++)
        invalidate_domain(s->b, (uint16_t)(20 + d), -1);
    invalidate_guests(s);
}

/* A leaf of the host's: the page alone, without PDE. */
static void edit_host_leaf(struct sequence *s)
{
    const unsigned t = (unsigned)below(s, HOST_TREES);
    const uint64_t address = iova[below(s, PAGES)];
    uint64_t table = s->host[t], entry;
    for (unsigned level = s->mode[t];; level = (unsigned)nw_field(entry, 11, 9), table = entry & nw_mask(51, 12)) {
        const uint64_t at = table + (address >> (12 + 9 * (level - 1)) & 511) * 8;
        entry = get64(s->b->pm, at);
        if (!(entry & 1) || !nw_field(entry, 11, 9)) {
            if (level == 1)
                put(s, at, host_leaf(s, 1, address));
            break;
        }
        if (nw_field(entry, 11, 9) == 7)
            break;
    }
    invalidate_pages(s->b, (uint16_t)(20 + t), -1, false, address & ~nw_mask(11, 0), 12 + (unsigned)below(s, 3));
}

static void edit_guest_leaf(struct sequence *s)
{
    const unsigned t = (unsigned)below(s, GUEST_TREES);
    const uint64_t address = iova[below(s, PAGES)];
    uint64_t table = s->guest[t];
    for (unsigned level = 4; level > 1; level--)
        table = get64(s->b->pm, table + (address >> (12 + 9 * (level - 1)) & 511) * 8) & nw_mask(51, 12);
    put(s, table + (address >> 12 & 511) * 8, guest_leaf(s));
    for (unsigned d = 1; d < HOST_TREES; d++)
        for (unsigned p = 0; p < PASIDS; p++)
            invalidate_pages(s->b, (uint16_t)(20 + d), p, false, address & ~nw_mask(11, 0), 12);
}

static void edit(struct sequence *s)
{
    edits++;
    switch (below(s, 5)) {
    case 0: edit_word(s); break;
    case 1: edit_host_leaf(s); break;
    case 2: edit_guest_leaf(s); break;
    case 3: {
        const unsigned d = 1 + (unsigned)below(s, HOST_TREES - 1), p = (unsigned)below(s, PASIDS);
        write_cr3(s, d, p);
        invalidate_domain(s->b, (uint16_t)(20 + d), p);
        break;
    }
    default: {
        const unsigned device = (unsigned)below(s, DEVICES);
        write_device(s, device);
        invalidate_device(s->b, (uint16_t)device);
        break;
    }
    }
}

/* ---- requests ----------------------------------------------------------------------------------- */

static uint64_t fingerprint(const struct sequence *s)
{
    uint64_t h = 0;
    for (unsigned i = 0; i < s->words; i++)
        h = nw_mix64(h ^ get64(s->b->pm, s->word[i]));
    return h;
}

static void request(struct sequence *s)
{
    struct nw_amdvi_request q = { .device_id = (uint16_t)below(s, DEVICES),
                                  .address = iova[below(s, PAGES)] + below(s, 4096),
                                  .kind = (enum nw_amdvi_request_kind)below(s, 3),
                                  .type = chance(s, 85) ? NW_AMDVI_UNTRANSLATED : NW_AMDVI_TRANSLATION_REQUEST,
                                  .has_pasid = chance(s, 60),
                                  .privileged = chance(s, 30) };
    q.pasid = q.has_pasid ? (uint32_t)below(s, PASIDS) : 0;
    q.execute = q.has_pasid && q.kind == NW_AMDVI_READ && chance(s, 20);
    q.privileged = q.has_pasid && q.privileged;
    struct nw_amdvi_result got, expected;
    nw_amdvi_unit_dma(s->b->u, &q, &got);
    const uint64_t flags = fingerprint(s);
    nw_amdvi_translate(&s->plain, &q, &expected);
    if (fingerprint(s) != flags)
        fail_msg("seed %llu step %u: the walk set a flag that the unit had not set", (unsigned long long)s->seed,
                 s->step);
    hits += got.references == 0;
    faults += got.event.code != 0;
    done++;
    expected.references = got.references;
    /* Field by field: there is padding. */
    const bool same = got.event.code == expected.event.code && got.event.flags == expected.event.flags &&
                      got.event.logged == expected.event.logged && got.event.address == expected.event.address &&
                      got.event.level == expected.event.level && got.event.pasid == expected.event.pasid &&
                      got.event.domain_id == expected.event.domain_id;
    const bool alike =
        got.event.code ||
        (got.hpa.v == expected.hpa.v && got.page_log2 == expected.page_log2 && got.rights == expected.rights &&
         got.translation == expected.translation && got.untranslated_only == expected.untranslated_only &&
         got.force_coherent == expected.force_coherent && got.domain_id == expected.domain_id);
    if (!same || !alike)
        fail_msg(
            "seed %llu step %u: device %u address %llx kind %d type %d pasid %d: event %u flags %x level %d hpa %llx "
            "2^%u rights %u, expected %u %x %d %llx 2^%u %u",
            (unsigned long long)s->seed, s->step, q.device_id, (unsigned long long)q.address, q.kind, q.type,
            q.has_pasid ? (int)q.pasid : -1, got.event.code, got.event.flags, got.event.level,
            (unsigned long long)got.hpa.v, got.page_log2, got.rights, expected.event.code, expected.event.flags,
            expected.event.level, (unsigned long long)expected.hpa.v, expected.page_log2, expected.rights);
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 0) : otherwise;
}

static void amdvi__sequences_are_as_without_caches(void **state)
{
    (void)state;
    const uint64_t seed = number_of("NW_SEED", 1), worlds = number_of("NW_WORLDS", 2000);
    static struct sequence s;
    for (uint64_t i = 0; i < worlds; i++) {
        begin(&s, seed + i);
        for (s.step = 0; s.step < STEPS; s.step++)
            if (chance(&s, 8))
                edit(&s);
            else
                request(&s);
        assert_true(rd(s.b, NW_AMDVI_STATUS) & NW_AMDVI_STATUS_CMD_RUN);
        end_bench(s.b);
    }
    if (worlds < 2000)
        return;
    assert_true(hits > done / 20 && faults > done / 20 && faults < done - done / 10 && edits > 1000);
}

/* ---- the same tables as a whole ----------------------------------------------------------------- */

static void compare(struct sequence *s, const struct nw_reach_request *q, const struct list *l, uint64_t address)
{
    const struct nw_reach_window *window = window_of(l, address);
    unsigned rights = 0;
    uint64_t hpa = 0;
    for (unsigned kind = 0; kind < 2; kind++) {
        struct nw_amdvi_result r;
        const struct nw_amdvi_request request = { .device_id = q->source_id,
                                                  .address = address,
                                                  .kind = kind ? NW_AMDVI_WRITE : NW_AMDVI_READ,
                                                  .has_pasid = q->has_pasid,
                                                  .pasid = q->pasid };
        nw_amdvi_translate(&s->plain, &request, &r);
        rights |= r.event.code ? 0 : kind ? NW_REACH_WRITE : NW_REACH_READ;
        hpa = r.event.code ? hpa : r.hpa.v;
    }
    done++;
    faults += !rights;
    if ((window ? window->rights : 0) != rights || (rights && window->target + (address - window->iova) != hpa))
        fail_msg("seed %llu: device %u pasid %d iova %llx: rights %u, expected %u at %llx", (unsigned long long)s->seed,
                 q->source_id, q->has_pasid ? (int)q->pasid : -1, (unsigned long long)address,
                 window ? window->rights : 0, rights, (unsigned long long)hpa);
}

static void amdvi__windows_are_what_requests_find(void **state)
{
    (void)state;
    const uint64_t seed = number_of("NW_SEED", 50000), worlds = number_of("NW_WORLDS", 400);
    static struct sequence s;
    static struct list l;
    done = faults = 0;
    for (uint64_t i = 0; i < worlds; i++) {
        begin(&s, seed + i);
        for (uint16_t device = 0; device < DEVICES; device++)
            for (int pasid = -1; pasid < PASIDS; pasid++) {
                struct nw_reach_request q = { .source_id = device,
                                              .has_pasid = pasid >= 0,
                                              .pasid = pasid < 0 ? 0 : (uint32_t)pasid };
                struct nw_reach_summary sum;
                l.count = 0;
                must(nw_amdvi_reach(&s.plain, &q, take, &l, &sum, err));
                if (sum.identity || sum.stopped)
                    continue;
                for (unsigned k = 0; k < PAGES; k++)
                    compare(&s, &q, &l, iova[k] + below(&s, 4096));
                for (unsigned k = 0; k < l.count && k < 30; k++) {
                    compare(&s, &q, &l, l.w[k].iova);
                    compare(&s, &q, &l, l.w[k].iova - 1);
                    compare(&s, &q, &l, l.w[k].iova + l.w[k].bytes);
                    compare(&s, &q, &l, l.w[k].iova + below(&s, l.w[k].bytes));
                }
                struct nw_frame_set *some = once_set(&l);
                q.targets_once = true;
                struct nw_frame_set *once;
                must(nw_frame_set_create(&once, err));
                must(nw_amdvi_reach(&s.plain, &q, nw_frame_set_take, once, &sum, err));
                same_sets(some, once);
            }
        end_bench(s.b);
    }
    assert_true(worlds < 400 || (done > 50000 && faults > done / 20 && faults < done - done / 20));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(amdvi__sequences_are_as_without_caches),
                                        cmocka_unit_test(amdvi__windows_are_what_requests_find) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
