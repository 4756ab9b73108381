/* The proof of an intent over VT-d's tables against a request for every page, by naive_vtd.h: small random machines in legacy and scalable
 * mode, with first stages, second stages, both nested, and pass-through; tables that are shared, of wrong levels, and that point at
 * themselves; large pages; and random intents. */
#include "naive_vtd.h"
#include "proof_brute.h"

static const struct nw_vtd_range ram[] = { { 0x1000, 0x800000 } };
enum { POOL = 0x10000, TABLES_MAX = 64, WORDS_MAX = 4096 };

struct world {
    struct brute b;
    struct nw_vtd_tables t;
    uint64_t next_table;
    struct {
        uint64_t at;
        unsigned level;
        bool second;
    } table[TABLES_MAX];
    unsigned tables;
    bool huge; /* pages of 1 GiB; then of three levels only */
    bool
        mixed; /* tables may be used at other levels, and then no page is large: one could come to cover more than is asked for */
    bool five; /* some first stage has five levels */
};

static uint64_t new_page(struct world *w)
{
    const uint64_t page = w->next_table;
    w->next_table += 4096;
    assert_true(page < DATA);
    return page;
}

static uint64_t target(struct world *w, unsigned log2)
{
    if (log2 > 12)
        return chance(&w->b, 300) ? below(&w->b, 4) << log2 : DATA & ~nw_mask(log2 - 1, 0);
    if (chance(&w->b, 20))
        return POOL + below(&w->b, 16) * 4096; /* tables of the unit */
    return chance(&w->b, 10) ? 0xfee00000 : DATA + below(&w->b, DATA_PAGES) * 4096;
}

static uint64_t second_entry(struct world *w, uint64_t to, bool large, bool leaf)
{
    const uint64_t rights = chance(&w->b, 800) ? 3 : below(&w->b, 4);
    return to | rights | (large ? 0x80 : 0) | (chance(&w->b, 500) ? 0x100 : 0) |
           (leaf && chance(&w->b, 500) ? 0x200 : 0) | (chance(&w->b, 10) ? NW_BIT(51) : 0);
}

static uint64_t first_entry(struct world *w, uint64_t to, bool large)
{
    return to | (chance(&w->b, 950) ? 1 : 0) | (chance(&w->b, 850) ? 2 : 0) | (chance(&w->b, 950) ? 4 : 0) |
           (chance(&w->b, 600) ? 0x20 : 0) | (chance(&w->b, 600) ? 0x40 : 0) | (large ? 0x80 : 0);
}

static bool is_leaf(struct world *w, unsigned level)
{
    return level == 1 || (level == 2 && !w->mixed && chance(&w->b, 60)) ||
           (level == 3 && w->huge && chance(&w->b, 300));
}

/* A table of the same level that is there already, now and then, or of any. 0: a new one is to be made. */
static uint64_t old_table(struct world *w, unsigned level, bool second)
{
    if (!w->tables || !chance(&w->b, 220))
        return 0;
    const unsigned i = (unsigned)below(&w->b, w->tables);
    return (w->table[i].level == level && w->table[i].second == second) || (w->mixed && chance(&w->b, 250))
               ? w->table[i].at
               : 0;
}

static uint64_t second_table(struct world *w, unsigned level)
{
    uint64_t at = old_table(w, level, true);
    if (at)
        return at;
    at = new_page(w);
    for (unsigned i = 0; i < INDICES; i++) {
        const bool leaf = is_leaf(w, level);
        const uint64_t slot = at + table_index[i] * 8;
        if (chance(&w->b, level == 1 ? 150 : 450))
            continue;
        put64(w->b.pm, slot,
              second_entry(w, leaf ? target(w, 12 + 9 * (level - 1)) : second_table(w, level - 1), leaf && level > 1,
                           leaf));
    }
    if (w->tables < TABLES_MAX) {
        w->table[w->tables].at = at;
        w->table[w->tables].level = level;
        w->table[w->tables++].second = true;
    }
    return at;
}

/* Of a first stage that has no second. */
static uint64_t first_table(struct world *w, unsigned level)
{
    uint64_t at = old_table(w, level, false);
    if (at)
        return at;
    at = new_page(w);
    for (unsigned i = 0; i < INDICES; i++) {
        const bool leaf = is_leaf(w, level);
        if (!chance(&w->b, level == 1 ? 150 : 450))
            put64(
                w->b.pm, at + table_index[i] * 8,
                first_entry(w, leaf ? target(w, 12 + 9 * (level - 1)) : first_table(w, level - 1), leaf && level > 1));
    }
    if (w->tables < TABLES_MAX) {
        w->table[w->tables].at = at;
        w->table[w->tables].level = level;
        w->table[w->tables++].second = false;
    }
    return at;
}

/* A guest-physical page that the second stage leads to memory of its own; tables on the way are made. */
static uint64_t guest_page(struct world *w, uint64_t root, unsigned levels, uint64_t *gpa)
{
    uint64_t table = root;
    *gpa = 0;
    for (unsigned level = levels; level >= 1; level--) {
        const unsigned low = 12 + 9 * (level - 1), index = table_index[below(&w->b, INDICES)];
        const uint64_t slot = table + index * 8;
        *gpa |= (uint64_t)index << low;
        if (level == 1) {
            put64(w->b.pm, slot, DATA | below(&w->b, DATA_PAGES) << 12 | (chance(&w->b, 900) ? 3 : 1) | 0x300);
            return get64(w->b.pm, slot) & nw_mask(47, 12);
        }
        if (!(get64(w->b.pm, slot) & 3) || (get64(w->b.pm, slot) & 0x80))
            put64(w->b.pm, slot, second_table(w, level - 1) | 0x103);
        table = get64(w->b.pm, slot) & nw_mask(47, 12);
    }
    return 0;
}

static uint64_t nested_table(struct world *w, uint64_t root, unsigned levels, unsigned level)
{
    uint64_t gpa, child;
    const uint64_t hpa = guest_page(w, root, levels, &gpa);
    for (unsigned i = 0; i < INDICES; i++) {
        if (chance(&w->b, level == 1 ? 150 : 500))
            continue;
        if (level == 1)
            guest_page(w, root, levels, &child);
        else
            child = nested_table(w, root, levels, level - 1);
        put64(w->b.pm, hpa + table_index[i] * 8, first_entry(w, child, false));
    }
    return gpa;
}

/* ---- above the trees ---------------------------------------------------------------------------- */

static void build_legacy(struct world *w, uint16_t source)
{
    const uint64_t context = 0x2000 + (source & 255u) * 16;
    const unsigned aw = w->huge || chance(&w->b, 700) ? 1 : 2;
    const bool passes = chance(&w->b, 120);
    uint64_t root = new_page(w);
    if (w->b.askers > 1 && chance(&w->b, 250)) { /* in a domain that is there */
        put64(w->b.pm, context, get64(w->b.pm, 0x2000 + w->b.asker[0].d.source_id % 256 * 16u));
        put64(w->b.pm, context + 8, get64(w->b.pm, 0x2008 + w->b.asker[0].d.source_id % 256 * 16u));
        return;
    }
    if (!passes)
        root = second_table(w, aw + 2);
    put64(w->b.pm, context, root | (chance(&w->b, 960) ? 1 : 0) | (passes ? 8 : 0));
    put64(w->b.pm, context + 8, aw | below(&w->b, 256) << 8);
}

static void build_pasid(struct world *w, uint64_t entry)
{
    const unsigned type = chance(&w->b, 40) ? 4 : 1 + (unsigned)below(&w->b, 3), aw = chance(&w->b, 800) ? 1 : 2;
    const bool five = chance(&w->b, 60);
    w->five |= five && type == 1;
    uint64_t second = type == 2 || type == 3 ? second_table(w, aw + 2) : 0, first = 0;
    if (type == 1)
        first = first_table(w, five ? 5 : 4);
    if (type == 3) /* of its own: others would see the guest's tables come */
        first = nested_table(w, second = new_page(w), aw + 2, 4);
    put64(w->b.pm, entry,
          second | (chance(&w->b, 960) ? 1 : 0) | aw << 2 | type << 6 | (chance(&w->b, 400) ? 0x200 : 0));
    put64(w->b.pm, entry + 8, below(&w->b, 1024) | (chance(&w->b, 700) ? NW_BIT(23) : 0));
    put64(w->b.pm, entry + 16,
          first | (chance(&w->b, 800) ? 1 : 0) | (five && type == 1 ? 4 : 0) | (chance(&w->b, 500) ? 0x10 : 0));
}

static void build_scalable(struct world *w, uint16_t source)
{
    const uint64_t context = (source & 128 ? 0x4000 : 0x2000) + (source & 127u) * 32, directory = new_page(w),
                   table = new_page(w);
    put64(w->b.pm, context, directory | 1 | (chance(&w->b, 900) ? 8 : 0));
    put64(w->b.pm, context + 8, (chance(&w->b, 100) ? NW_BIT(20) : 0));
    put64(w->b.pm, directory, table | 1);
    build_pasid(w, table);
    build_pasid(w, table + 64);
}

static void build(struct world *w, uint64_t seed)
{
    *w = (struct world){ .b = { .rng = nw_rng_seeded(seed), .seed = seed }, .next_table = POOL };
    must(nw_physmem_create(&w->b.pm, err));
    const bool scalable = chance(&w->b, 550);
    w->huge = !scalable && chance(&w->b, 12);
    w->mixed = !w->huge && chance(&w->b, 500);
    w->t = (struct nw_vtd_tables){ .unit = nw_vtd_config_default(NULL).unit,
                                   .memory = { w->b.pm, ram, 1 },
                                   .rtaddr = 0x1000 | (scalable ? 0x400 : 0) };
    if (chance(&w->b, 200))
        w->t.unit.cap &= ~NW_VTD_CAP_SLLPS2M;
    put64(w->b.pm, 0x1000, 0x2001);
    put64(w->b.pm, 0x1008, scalable ? 0x4001 : 0);
    for (unsigned i = 0; i < 3; i++) {
        const uint16_t source = (uint16_t)(i * 80 + below(&w->b, 80));
        add_asker(&w->b, source, false, 0);
        if (scalable) {
            add_asker(&w->b, source, true, 0);
            add_asker(&w->b, source, true, 1);
            build_scalable(w, source);
        } else {
            build_legacy(w, source);
        }
    }
}

/* ---- every page --------------------------------------------------------------------------------- */

static uint64_t asked, found_pages[4], kinds[NW_VTD_TRANSLATIONS];

struct question {
    struct world *w;
    struct asker *a;
    unsigned sign; /* bits of an address; 0: it is not extended */
};
static void ask(void *context, uint64_t iova)
{
    struct question *q = context;
    unsigned rights = 0;
    uint64_t hpa = 0;
    iova = q->sign ? nw_sign_extend(iova, q->sign) : iova;
    for (unsigned write = 0; write < 2; write++) {
        struct naive n = { .t = q->w->t,
                           .q = { .source_id = q->a->d.source_id,
                                  .address = iova,
                                  .kind = write ? NW_VTD_WRITE : NW_VTD_READ,
                                  .has_pasid = q->a->d.has_pasid,
                                  .pasid = q->a->d.pasid } };
        naive_translate(&n);
        asked++;
        if (n.reason)
            continue;
        rights |= 1u << write;
        hpa = n.hpa;
    }
    found_pages[rights]++;
    if (rights)
        note(q->a, iova, hpa, rights);
}

static bool stop(void *context, const struct nw_reach_window *window)
{
    (void)context, (void)window;
    return false;
}

static void ask_all(struct world *w, struct asker *a)
{
    const struct nw_reach_request q = { .source_id = a->d.source_id, .has_pasid = a->d.has_pasid, .pasid = a->d.pasid };
    struct nw_reach_summary sum;
    struct naive n = {
        .t = w->t, .q = { .source_id = q.source_id, .address = 0x123456000, .has_pasid = q.has_pasid, .pasid = q.pasid }
    };
    must(nw_vtd_reach(&w->t, &q, stop, NULL, &sum, err)); /* which translation it is decides what is counted */
    naive_translate(&n);
    a->identity = !n.reason && n.hpa == 0x123456000;
    kinds[sum.translation] += !sum.reason;
    if (a->identity)
        return;
    const bool first = sum.translation == NW_VTD_FIRST_STAGE || sum.translation == NW_VTD_NESTED;
    const unsigned levels = w->huge ? 3 : w->five ? 5 : 4;
    each_page(levels, w->huge, 0, ask, &(struct question){ w, a, 0 });
    if (first) { /* the upper half */
        each_page(4, false, nw_mask(63, 48), ask, &(struct question){ w, a, 48 });
    }
}

static void vtd__every_page_is_as_the_proof_says(void **state)
{
    (void)state;
    const uint64_t first = number_of("NW_SEED", 1), worlds = number_of("NW_WORLDS", 200);
    static struct world w;
    print_message("seeds %llu to %llu\n", (unsigned long long)first, (unsigned long long)(first + worlds - 1));
    for (uint64_t seed = first; seed < first + worlds; seed++) {
        build(&w, seed);
        for (unsigned i = 0; i < w.b.askers; i++)
            ask_all(&w, &w.b.asker[i]);
        random_intent(&w.b);
        must(nw_proof_create(&w.b.in, &w.b.proof, err));
        must(nw_proof_add_vtd(w.b.proof, "unit", 0, &w.t, err));
        must(nw_proof_judge(w.b.proof, &w.b.found, &w.b.proved, err));
        check_world(&w.b);
        end_world(&w.b);
    }
    print_message("%llu requests; pages reached r %llu, w %llu, rw %llu; %llu pages of findings compared\n",
                  (unsigned long long)asked, (unsigned long long)found_pages[1], (unsigned long long)found_pages[2],
                  (unsigned long long)found_pages[3], (unsigned long long)pages_compared);
    if (worlds < 200)
        return;
    assert_true(found_pages[1] > 1000 && found_pages[2] > 100 && found_pages[3] > 10000 && pages_compared > 1000);
    for (unsigned i = 0; i < 7; i++)
        if (findings_read[i] < 5)
            fail_msg("findings of kind %u: only %llu", i, (unsigned long long)findings_read[i]);
    for (unsigned i = 0; i < NW_VTD_TRANSLATIONS; i++)
        assert_true(kinds[i] > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(vtd__every_page_is_as_the_proof_says) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
