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
        cmocka_unit_test(simulated_memory__used_up_is_an_error),
        cmocka_unit_test(replay__stops_when_asked),
    };
    return cmocka_run_group_tests_name("known answers", tests, NULL, NULL);
}
