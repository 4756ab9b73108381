/* The AMD IOMMU against a second one that was written anew (naive_amdvi.h), over random tables. The
 * environment variables NW_SEED and NW_WORLDS repeat or lengthen a run. */
#include "naive_amdvi.h"

enum { WORDS_MAX = 256, PATHS = 4, REQUESTS = 24 };
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

static struct nw_amdvi_request random_request(struct world *w)
{
    struct nw_amdvi_request q = { .device_id = chance(w, 970) ? w->device[below(w, 2)] : (uint16_t)below(w, 0x400),
                                  .address = w->address[below(w, PATHS)] };
    q.kind = chance(w, 100) ? NW_AMDVI_ATOMIC : (enum nw_amdvi_request_kind)below(w, 2);
    q.type = chance(w, 800) ? NW_AMDVI_UNTRANSLATED : (enum nw_amdvi_address_type)below(w, 3);
    q.intx = chance(w, 200);
    if (chance(w, 80))
        q.address ^= NW_BIT(below(w, 64));
    return q;
}

static unsigned seen[16], seen_flags[4], sizes[64], set_flags;

static void check_request(struct world *w, struct nw_amdvi_request q, uint64_t seed)
{
    struct naive n = { .t = w->t, .q = q };
    struct nw_amdvi_result r;
    naive_translate(&n);
    nw_amdvi_translate(&w->t, &q, &r);
    bool same = r.event.code == n.code;
    if (n.code)
        same = same && r.event.flags == n.flags && r.event.address == n.event_address && r.event.logged == n.logged &&
               r.event.domain_id == n.domain && r.event.device_id == q.device_id;
    else
        same = same && r.hpa.v == n.hpa && r.rights == (n.read ? 1 : 0) + (n.write ? 2 : 0) &&
               r.page_log2 == (n.page_log2 ? n.page_log2 : 64) && r.untranslated_only == n.u &&
               r.force_coherent == n.fc;
    if (!same)
        fail_msg("seed %llu: device %x address %llx kind %d type %d: event %x flags %x hpa %llx, naive %x %x %llx",
                 (unsigned long long)seed, q.device_id, (unsigned long long)q.address, q.kind, q.type, r.event.code,
                 r.event.flags, (unsigned long long)r.hpa.v, n.code, n.flags, (unsigned long long)n.hpa);
    for (int i = 0; i < n.sets; i++)
        for (unsigned k = 0; k < w->words; k++)
            if (w->at[k] == n.set[i].address) {
                set_flags += (w->word[k] | n.set[i].bits) != w->word[k];
                w->word[k] |= n.set[i].bits;
            }
    for (unsigned i = 0; i < w->words; i++)
        if (get64(w->pm, w->at[i]) != w->word[i])
            fail_msg("seed %llu: word at %llx is %llx, not %llx", (unsigned long long)seed,
                     (unsigned long long)w->at[i], (unsigned long long)get64(w->pm, w->at[i]),
                     (unsigned long long)w->word[i]);
    seen[n.code]++;
    sizes[n.page_log2]++;
    if (n.code == 2)
        seen_flags[!(n.flags & F_PR) ? 0 : n.flags & F_PE ? 1 : n.flags & F_RZ ? 2 : 3]++;
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 0) : otherwise;
}

static void amdvi__random_tables_agree_with_the_second_walk(void **state)
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
    if (worlds < 6000)
        return;
    static const uint8_t codes[] = { 0, 1, 2, 3, 4, 8 };
    for (unsigned i = 0; i < sizeof codes; i++)
        assert_true(seen[codes[i]] > 50);
    for (unsigned i = 0; i < 4; i++)
        assert_true(seen_flags[i] > 50);
    for (unsigned log2 = 12; log2 <= 52; log2++)
        if (!sizes[log2])
            fail_msg("no page of 2^%u bytes was met", log2);
    assert_true(set_flags > 1000);
}

/* Each bit of each word that a request may read, flipped and put back. */
static void amdvi__every_bit_of_every_entry_agrees(void **state)
{
    (void)state;
    uint64_t seed = number_of("NW_SEED", 100000), worlds = number_of("NW_WORLDS", 200);
    struct world *w = malloc(sizeof *w);
    assert_non_null(w);
    memset(seen, 0, sizeof seen);
    memset(seen_flags, 0, sizeof seen_flags);
    for (uint64_t i = 0; i < worlds; i++) {
        build(w, seed + i, false);
        for (unsigned word = 0; word < w->words; word++) {
            struct nw_amdvi_request q = random_request(w);
            for (unsigned bit = 0; bit < 64; bit++) {
                put(w, w->at[word], w->word[word] ^ NW_BIT(bit));
                check_request(w, q, seed + i);
                put(w, w->at[word], w->word[word] ^ NW_BIT(bit));
            }
        }
        nw_physmem_destroy(w->pm);
    }
    free(w);
    if (worlds < 200)
        return;
    assert_true(seen[1] > 50);
    for (unsigned i = 0; i < 4; i++)
        assert_true(seen_flags[i] > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(amdvi__random_tables_agree_with_the_second_walk),
                                        cmocka_unit_test(amdvi__every_bit_of_every_entry_agrees) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
