/* Replays whose counters are known from outside: an independent two-level LRU, and the arithmetic of page walks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <nestwalk/base/rng.h>
#include <nestwalk/sim/replay.h>
#include <nestwalk/traces/generate.h>
#include <nestwalk/traces/memory_source.h>
#include <stdlib.h>
#include <string.h>

/* ---- an independent model of textbook's TLBs: 64 entries 4-way, 1536 entries 12-way ---- */

struct lru_set {
    uint64_t page[12];
    unsigned ways;
};
struct two_levels {
    struct lru_set l1[16], l2[128];
    uint64_t hits1, hits2, misses;
};

static bool to_front(struct lru_set *s, uint64_t page)
{
    unsigned at = 0;
    while (at < s->ways && s->page[at] != page)
        at++;
    bool hit = at < s->ways;
    for (unsigned i = hit ? at : s->ways - 1; i > 0; i--)
        s->page[i] = s->page[i - 1];
    s->page[0] = page;
    return hit;
}

static struct two_levels *two_levels_new(void)
{
    struct two_levels *t = calloc(1, sizeof *t);
    assert_non_null(t);
    for (unsigned i = 0; i < 16; i++)
        t->l1[i].ways = 4;
    for (unsigned i = 0; i < 128; i++)
        t->l2[i].ways = 12;
    return t;
}

static void two_levels_touch(struct two_levels *t, uint64_t gva)
{
    uint64_t page = gva >> 12;
    if (to_front(&t->l1[page % 16], page))
        t->hits1++;
    else if (to_front(&t->l2[page % 128], page))
        t->hits2++;
    else
        t->misses++;
}

static void replay(struct nw_source *source, const struct nw_config *c, struct nw_result *r)
{
    struct nw_error err = { 0 };
    if (nw_replay(source, c, NULL, r, &err))
        fail_msg("%s", err.text);
}

static void set(struct nw_config *c, const char *path, const char *value)
{
    struct nw_error err = { 0 };
    if (nw_config_set(c, path, value, "test", &err))
        fail_msg("%s", err.text);
}

static void check_generator(const char *kind, uint64_t span, const char *mode, const char *fidelity)
{
    struct nw_generate_options o;
    struct nw_error err = { 0 };
    struct nw_source *source;
    struct nw_block b;
    nw_generate_defaults(&o);
    o.accesses = 300000;
    o.span_bytes = span;
    assert_int_equal(nw_generator_find(kind)->open(&source, &o, &err), NW_OK);
    source->want = NW_WANT_ADDRESSES;
    struct two_levels *expected = two_levels_new();
    while (!nw_source_next(source, &b, &err) && !b.end)
        for (uint32_t i = 0; i < b.access_count; i++)
            two_levels_touch(expected, b.address[i]);
    for (unsigned engine = 0; engine < NW_ENGINE_COUNT; engine++) {
        struct nw_config c;
        struct nw_result r;
        nw_config_init(&c);
        set(&c, "run.mode", mode);
        set(&c, "run.fidelity", fidelity);
        c.engine = engine;
        assert_int_equal(nw_source_rewind(source, &err), NW_OK);
        replay(source, &c, &r);
        assert_int_equal(r.accesses.total, o.accesses);
        assert_int_equal(r.tlb[0].hits, expected->hits1);
        assert_int_equal(r.tlb[2].hits, expected->hits2);
        assert_int_equal(r.tlb[2].misses, expected->misses);
        assert_int_equal(r.walks.count, expected->misses);
        assert_int_equal(r.walks.references, expected->misses * (strcmp(mode, "nested") ? 4 : 24));
        nw_result_fini(&r);
        nw_config_fini(&c);
    }
    nw_source_destroy(source);
    free(expected);
}

static void textbook__equals_an_independent_two_level_lru(void **state)
{
    (void)state;
    check_generator("uniform", 8 << 20, "native", "tlb");
    check_generator("uniform", 64 << 20, "native", "walk");
    check_generator("zipf", 256 << 20, "native", "tlb");
    check_generator("zipf", 256 << 20, "nested", "walk");
    check_generator("sequential", 16 << 20, "nested", "tlb");
    check_generator("pointer-chase", 16 << 20, "nested", "walk");
}

/* ---- references of a walk without any walk cache ---- */

struct shape {
    const char *mode, *guest_levels, *guest_page, *nested_levels, *backing;
    unsigned references;
};

static void walks__make_the_references_the_literature_counts(void **state)
{
    (void)state;
    static const struct shape shapes[] = {
        { "native", "4", "4K", "4", "4K", 4 },  { "native", "5", "4K", "4", "4K", 5 },
        { "native", "4", "2M", "4", "4K", 3 },  { "native", "4", "1G", "4", "4K", 2 },
        { "nested", "4", "4K", "4", "4K", 24 }, { "nested", "5", "4K", "5", "4K", 35 },
        { "nested", "4", "2M", "4", "4K", 19 }, { "nested", "4", "4K", "4", "2M", 19 },
        { "nested", "4", "2M", "4", "2M", 15 }, { "nested", "4", "1G", "4", "1G", 8 },
    };
    uint64_t gva[] = { 0x7f0000000000, 0x7f0040000000, 0x7f8000000000, 0x400000, 0x40000000000 };
    for (unsigned engine = 0; engine < NW_ENGINE_COUNT; engine++)
        for (unsigned fidelity = 0; fidelity <= NW_FIDELITY_WALK; fidelity++)
            for (size_t i = 0; i < NW_ARRAY_LEN(shapes); i++) {
                struct nw_config c;
                struct nw_result r;
                struct nw_source *source;
                struct nw_error err = { 0 };
                nw_config_init(&c);
                set(&c, "run.mode", shapes[i].mode);
                set(&c, "guest.levels", shapes[i].guest_levels);
                set(&c, "guest.page_policy", shapes[i].guest_page);
                set(&c, "vmm.levels", shapes[i].nested_levels);
                set(&c, "vmm.backing", shapes[i].backing);
                c.engine = engine;
                c.fidelity = fidelity;
                assert_int_equal(nw_memory_source_create(&source, NULL, gva, NULL, NW_ARRAY_LEN(gva), NULL, 0, 0, &err),
                                 NW_OK);
                replay(source, &c, &r);
                assert_int_equal(r.walks.count, NW_ARRAY_LEN(gva));
                assert_int_equal(r.walks.references, r.walks.count * shapes[i].references);
                nw_result_fini(&r);
                nw_config_fini(&c);
                nw_source_destroy(source);
            }
}

/* Paging-structure caches that hold everything leave one reference in each dimension, once they are warm. */
static void walks__with_ideal_caches_read_only_the_leaves(void **state)
{
    (void)state;
    struct nw_generate_options o;
    struct nw_error err = { 0 };
    struct nw_source *source;
    nw_generate_defaults(&o);
    o.accesses = 400000;
    o.span_bytes = UINT64_C(256) << 20;
    assert_int_equal(nw_generator_find("uniform")->open(&source, &o, &err), NW_OK);
    for (unsigned engine = 0; engine < NW_ENGINE_COUNT; engine++) {
        struct nw_config c;
        struct nw_result r;
        nw_config_init(&c);
        set(&c, "run.mode", "nested");
        set(&c, "psc.guest.pde.entries", "4096");
        set(&c, "psc.nested.pde.entries", "4096");
        c.engine = engine;
        assert_int_equal(nw_source_rewind(source, &err), NW_OK);
        replay(source, &c, &r);
        /* Cold visits of the 128 leaf tables of each dimension add less than one in a hundred. */
        assert_true(r.walks.references_guest >= r.walks.count && r.walks.references_guest * 100 < r.walks.count * 101);
        assert_true(r.walks.references_nested >= r.walks.count &&
                    r.walks.references_nested * 100 < r.walks.count * 102);
        nw_result_fini(&r);
        nw_config_fini(&c);
    }
    nw_source_destroy(source);
}

/* ---- costs ---- */

static void costs__add_up_from_the_profile(void **state)
{
    (void)state;
    uint64_t gva[] = { 0x1000, 0x1008, 0x2000, 0x1010 };
    uint8_t kind[] = { nw_kind_make(NW_LOAD, 8, true), nw_kind_make(NW_STORE, 8, true), nw_kind_make(NW_LOAD, 8, true),
                       nw_kind_make(NW_FETCH, 4, true) };
    struct nw_config c;
    struct nw_result r;
    struct nw_source *source;
    struct nw_error err = { 0 };
    nw_config_init(&c);
    assert_int_equal(nw_memory_source_create(&source, NULL, gva, kind, 4, NULL, 0, 0, &err), NW_OK);
    replay(source, &c, &r);
    /* Base: load 4, store 1, load 4, fetch 1. Walks: the first page reads four lines from DRAM (250 + 2 each); the store finds D
     * clear and walks again, all lines in L1 (4 + 2 each); the second page has its lines near (4 + 2 each: its leaf is in the first's line); the
     * fetch misses L1i and hits L2 (7). */
    assert_int_equal(r.cycles.base, 10);
    assert_int_equal(r.walks.count, 2);
    assert_int_equal(r.walks.dirty_assists, 1);
    assert_int_equal(r.walks.cycles, 4 * 252 + 4 * 6);
    assert_int_equal(r.cycles.translation, 4 * 252 + 4 * 6 + 4 * 6 + 7);
    assert_int_equal(r.cycles.exits, 0);
    assert_int_equal(r.cycles.total, r.cycles.base + r.cycles.translation);
    nw_result_fini(&r);
    nw_source_destroy(source);

    set(&c, "walker.overlap", "2");
    set(&c, "run.mode", "nested");
    set(&c, "vmm.demand_backing", "1");
    assert_int_equal(nw_memory_source_create(&source, NULL, gva, kind, 4, NULL, 0, 0, &err), NW_OK);
    replay(source, &c, &r);
    /* Four table pages and two data pages are used for the first time. */
    assert_int_equal(r.faults.ept_violations, 6);
    assert_int_equal(r.exits[NW_EXIT_EPT_VIOLATION].count, 6);
    assert_int_equal(r.cycles.exits, 6 * 12000);
    nw_result_fini(&r);
    nw_source_destroy(source);
    nw_config_fini(&c);
}

static void demand_faults__are_counted_once_a_page(void **state)
{
    (void)state;
    /* KVM's shadow MMU faults once more: the first entry the guest adds to a table that is shadowed already makes that table unsync. */
    static const struct {
        const char *mode, *policy;
        bool shadow;
        unsigned more_faults;
    } rows[] = { { "native", "kvm", false, 0 },
                 { "shadow", "eager", true, 0 },
                 { "shadow", "virtual-tlb", true, 0 },
                 { "shadow", "kvm", true, 1 },
                 { "nested", "kvm", false, 0 } };
    uint64_t gva[64];
    struct nw_rng rng = nw_rng_seeded(3);
    bool seen[16] = { false };
    unsigned pages = 0;
    for (size_t i = 0; i < NW_ARRAY_LEN(gva); i++) {
        uint64_t page = nw_rng_below(&rng, 16);
        gva[i] = 0x400000 + (page << 12);
        pages += !seen[page];
        seen[page] = true;
    }
    for (size_t m = 0; m < NW_ARRAY_LEN(rows); m++)
        for (unsigned engine = 0; engine < NW_ENGINE_COUNT; engine++) {
            struct nw_config c;
            struct nw_result r;
            struct nw_source *source;
            struct nw_error err = { 0 };
            nw_config_init(&c);
            set(&c, "run.mode", rows[m].mode);
            set(&c, "vmm.shadow_policy", rows[m].policy);
            set(&c, "guest.demand_faults", "1");
            c.engine = engine;
            assert_int_equal(nw_memory_source_create(&source, NULL, gva, NULL, NW_ARRAY_LEN(gva), NULL, 0, 0, &err),
                             NW_OK);
            replay(source, &c, &r);
            assert_int_equal(r.faults.guest_page_faults, pages);
            assert_int_equal(r.exits[NW_EXIT_GUEST_PAGE_FAULT].count, rows[m].shadow ? pages : 0);
            assert_int_equal(r.exits[NW_EXIT_SHADOW_FAULT].count, rows[m].shadow ? pages + rows[m].more_faults : 0);
            nw_result_fini(&r);
            nw_config_fini(&c);
            nw_source_destroy(source);
        }
}

/* `rounds` times around `count` loads, `spacing` bytes apart. */
static void replay_cycle(const struct nw_config *c, unsigned count, uint64_t spacing, unsigned rounds,
                         struct nw_result *r)
{
    uint64_t *gva = calloc((size_t)count * rounds, sizeof *gva);
    struct nw_error err = { 0 };
    struct nw_source *source;
    assert_non_null(gva);
    for (unsigned i = 0; i < count * rounds; i++)
        gva[i] = UINT64_C(0x40000000) + i % count * spacing;
    assert_int_equal(nw_memory_source_create(&source, NULL, gva, NULL, (size_t)count * rounds, NULL, 0, 0, &err),
                     NW_OK);
    replay(source, c, r);
    nw_source_destroy(source);
    free(gva);
}

/* 24 pages, each in a 2 MiB of its own, and a last TLB of one set of 32 ways: the translations fit, and so do the guest's PDEs in 32 entries of their
 * own; both together do not, and with true LRU a cycle then never hits. */
static void guest_pdes__in_the_tlb_compete_with_translations(void **state)
{
    (void)state;
    enum { PAGES = 24, ROUNDS = 4, LARGE = 2 << 20 };
    struct nw_config c;
    struct nw_result r;
    nw_config_init(&c);
    set(&c, "run.mode", "native");
    set(&c, "tlb.l1d.entries", "4");
    set(&c, "tlb.l2.entries", "32");
    set(&c, "tlb.l2.ways", "32");
    set(&c, "psc.guest.pde.entries", "32");
    replay_cycle(&c, PAGES, LARGE, ROUNDS, &r);
    assert_int_equal(r.walks.count, PAGES);
    assert_int_equal(r.config.engine, NW_ENGINE_FAST);
    nw_result_fini(&r);
    set(&c, "psc.guest.pde.in_tlb", "1");
    replay_cycle(&c, PAGES, LARGE, ROUNDS, &r);
    assert_int_equal(r.walks.count, PAGES * ROUNDS);
    assert_int_equal(r.psc_guest[0].misses, PAGES * ROUNDS);
    assert_int_equal(r.config.engine, NW_ENGINE_REFERENCE); /* the fast one has no such entries */
    nw_result_fini(&r);
    replay_cycle(&c, 15, LARGE, ROUNDS, &r); /* 15 of each fit */
    assert_int_equal(r.walks.count, 15);
    nw_result_fini(&r);
    replay_cycle(&c, 31, 4096, ROUNDS, &r); /* one PDE for all */
    assert_int_equal(r.walks.count, 31);
    assert_int_equal(r.psc_guest[0].hits, 30);
    nw_result_fini(&r);
    nw_config_fini(&c);
}

/* A walk of 4 KiB pages in a guest of four levels asks for the frames of four tables and of the data; only the data's differ here. */
static void nested_translations__in_the_tlb_compete_with_translations(void **state)
{
    (void)state;
    enum { ROUNDS = 4 };
    struct nw_config c;
    struct nw_result r;
    nw_config_init(&c);
    set(&c, "run.mode", "nested");
    set(&c, "tlb.l1d.entries", "4");
    set(&c, "tlb.l2.entries", "32");
    set(&c, "tlb.l2.ways", "32");
    set(&c, "nested_tlb.in_tlb", "1");
    replay_cycle(&c, 24, 4096, ROUNDS, &r); /* 24 translations, 24 frames of data, 4 of tables */
    assert_int_equal(r.walks.count, 24 * ROUNDS);
    nw_result_fini(&r);
    set(&c, "nested_tlb.tables_only", "1");
    replay_cycle(&c, 24, 4096, ROUNDS, &r);
    assert_int_equal(r.walks.count, 24);
    assert_int_equal(r.nested_tlb.misses, 4);
    assert_int_equal(r.nested_tlb.hits, 23 * 4);
    nw_result_fini(&r);
    nw_config_fini(&c);
}

/* The leaf entries of ten pages 2 MiB apart lie at one offset of ten table pages, so that by low bits their lines share a set of eight ways: true LRU
 * keeps none of a cycle, a random choice some, and a hash spreads them over the sets. */
static void caches__hashed_and_random_keep_what_low_bits_and_lru_do_not(void **state)
{
    (void)state;
    enum { PAGES = 10, ROUNDS = 200, LARGE = 2 << 20, COLD = 4 * PAGES };
    static const struct {
        const char *index, *policy;
        uint64_t least, most;
    } row[] = { { "low-bits", "lru", 0, COLD },
                { "hashed", "lru", PAGES * (ROUNDS - 1), PAGES * ROUNDS + COLD },
                { "low-bits", "random", PAGES * ROUNDS / 4, PAGES * ROUNDS * 9 / 10 } };
    struct nw_config c;
    struct nw_result r;
    nw_config_init(&c);
    set(&c, "run.mode", "native");
    set(&c, "tlb.l1d.entries", "4");
    set(&c, "tlb.l2.entries", "8");
    set(&c, "tlb.l2.ways", "8");
    set(&c, "psc.guest.pde.entries", "32");
    for (size_t i = 0; i < NW_ARRAY_LEN(row); i++) {
        set(&c, "memory.l1d.index", row[i].index);
        set(&c, "memory.l1d.policy", row[i].policy);
        replay_cycle(&c, PAGES, LARGE, ROUNDS, &r);
        assert_int_equal(r.walks.count, PAGES * ROUNDS);
        assert_in_range(r.cache[0].hits, row[i].least, row[i].most);
        assert_int_equal(r.config.engine, i ? NW_ENGINE_REFERENCE : NW_ENGINE_FAST);
        nw_result_fini(&r);
    }
    nw_config_fini(&c);
}

static void simulated_memory__used_up_is_an_error(void **state)
{
    (void)state;
    uint64_t gva[64];
    for (size_t i = 0; i < NW_ARRAY_LEN(gva); i++)
        gva[i] = 0x7f0000000000 + (i << 12);
    struct nw_config c;
    struct nw_result r;
    struct nw_source *source;
    struct nw_error err = { 0 };
    nw_config_init(&c);
    set(&c, "guest.memory", "128K");
    assert_int_equal(nw_memory_source_create(&source, NULL, gva, NULL, NW_ARRAY_LEN(gva), NULL, 0, 0, &err), NW_OK);
    set(&c, "run.mode", "nested");
    assert_int_equal(nw_replay(source, &c, NULL, &r, &err), NW_ERR_NOMEM);
    assert_non_null(strstr(err.text, "used up"));
    nw_source_destroy(source);
    nw_config_fini(&c);
}

static bool stop_at_once(void *context, uint64_t done, uint64_t total)
{
    (void)context, (void)total;
    return done == 0;
}

static void replay__stops_when_asked(void **state)
{
    (void)state;
    uint64_t gva[4] = { 0 };
    struct nw_config c;
    struct nw_result r;
    struct nw_source *source;
    struct nw_error err = { 0 };
    struct nw_replay_hooks hooks = { .progress = stop_at_once };
    nw_config_init(&c);
    assert_int_equal(nw_memory_source_create(&source, NULL, gva, NULL, 4, NULL, 0, 0, &err), NW_OK);
    assert_int_equal(nw_replay(source, &c, &hooks, &r, &err), NW_ERR_INTERRUPTED);
    nw_source_destroy(source);
    nw_config_fini(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(textbook__equals_an_independent_two_level_lru),
        cmocka_unit_test(walks__make_the_references_the_literature_counts),
        cmocka_unit_test(walks__with_ideal_caches_read_only_the_leaves),
        cmocka_unit_test(costs__add_up_from_the_profile),
        cmocka_unit_test(demand_faults__are_counted_once_a_page),
        cmocka_unit_test(guest_pdes__in_the_tlb_compete_with_translations),
        cmocka_unit_test(nested_translations__in_the_tlb_compete_with_translations),
        cmocka_unit_test(caches__hashed_and_random_keep_what_low_bits_and_lru_do_not),
        cmocka_unit_test(simulated_memory__used_up_is_an_error),
        cmocka_unit_test(replay__stops_when_asked),
    };
    return cmocka_run_group_tests_name("known answers", tests, NULL, NULL);
}
