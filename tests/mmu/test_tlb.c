/* The TLB array's rules as its header states them, each against a model of its own. */
#include "mmu_common.h"
#include <nestwalk/mmu/tlb.h>

static struct nw_tlb tlb_of(uint32_t entries, uint32_t ways, enum nw_tlb_replacement policy, uint64_t seed)
{
    struct nw_tlb t;
    struct nw_tlb_geometry g = {
        .entries = entries, .ways = ways, .policy = policy, .page_log2 = { 12, 21, 30 }, .page_sizes = 3
    };
    must(nw_tlb_init(&t, "tlb.test", &g, seed, err));
    return t;
}

static void fill(struct nw_tlb *t, uint64_t address, unsigned log2, struct nw_tlb_tag tag, bool global)
{
    struct nw_tlb_entry e = {
        .page_log2 = (uint8_t)log2, .page = address >> log2, .tag = tag, .global = global, .hpa = address
    };
    nw_tlb_insert(t, &e, NULL);
}

static const struct nw_tlb_tag plain = { 0 };

static void tlb__lru_equals_a_stack_of_each_set(void **state)
{
    (void)state;
    static const struct {
        uint32_t entries, ways;
    } shapes[] = { { 64, 4 }, { 1536, 12 }, { 15, 5 }, { 21, 3 }, { 16, 16 }, { 7, 1 } };
    for (size_t i = 0; i < NW_ARRAY_LEN(shapes); i++) {
        uint32_t ways = shapes[i].ways, sets = shapes[i].entries / ways;
        struct nw_tlb t = tlb_of(shapes[i].entries, ways, NW_REPLACE_LRU, 1);
        struct nw_rng rng = nw_rng_seeded(i + 1);
        uint64_t *stack = calloc(shapes[i].entries, sizeof *stack), hits = 0,
                 evictions = 0; /* most recent first; page + 1 */
        assert_non_null(stack);
        for (unsigned n = 0; n < 50000; n++) {
            uint64_t page = nw_rng_below(&rng, shapes[i].entries * 2u), *s = &stack[(page % sets) * ways];
            unsigned at = 0;
            while (at < ways && s[at] != page + 1)
                at++;
            bool hit = at < ways;
            if (!hit) {
                at = ways - 1;
                evictions += s[at] != 0;
            }
            memmove(s + 1, s, at * sizeof *s);
            s[0] = page + 1;
            hits += hit;
            struct nw_tlb_entry *e = nw_tlb_lookup(&t, page << 12, &plain);
            assert_int_equal(e != NULL, hit);
            if (!e)
                fill(&t, page << 12, 12, plain, false);
        }
        assert_int_equal(t.hits, hits);
        assert_int_equal(t.misses, 50000 - hits);
        assert_int_equal(t.evictions, evictions);
        free(stack);
        nw_tlb_fini(&t);
    }
}

static void tlb__tree_plru_of_four_ways_follows_its_three_bits(void **state)
{
    (void)state;
    struct nw_tlb t = tlb_of(4, 4, NW_REPLACE_PLRU, 1);
    bool root = false, left = false, right = false; /* false: points left */
    uint64_t way[4] = { 0 };
    struct nw_rng rng = nw_rng_seeded(5);
    for (unsigned n = 0; n < 5000; n++) {
        uint64_t page = 1 + nw_rng_below(&rng, 7);
        unsigned at = 0;
        while (at < 4 && way[at] != page)
            at++;
        bool hit = at < 4;
        if (!hit) {
            for (at = 0; at < 4 && way[at]; at++)
                ;
            if (at == 4)
                at = root ? 2u + right : 0u + left;
            way[at] = page;
        }
        root = at < 2;
        if (at < 2)
            left = at == 0;
        else
            right = at == 2;
        assert_int_equal(nw_tlb_lookup(&t, page << 12, &plain) != NULL, hit);
        if (!hit)
            fill(&t, page << 12, 12, plain, false);
    }
    nw_tlb_fini(&t);
}

static void tlb__tree_plru_never_leaves_its_ways(void **state)
{
    (void)state;
    static const uint32_t ways[] = { 1, 2, 3, 5, 6, 7, 12, 20, 100 };
    for (size_t i = 0; i < NW_ARRAY_LEN(ways); i++) {
        struct nw_tlb t = tlb_of(ways[i] * 3, ways[i], NW_REPLACE_PLRU, 1);
        struct nw_rng rng = nw_rng_seeded(i);
        for (unsigned n = 0; n < 4000; n++) {
            uint64_t a = nw_rng_below(&rng, ways[i] * 9) << 12;
            if (!nw_tlb_lookup(&t, a, &plain))
                fill(&t, a, 12, plain, false);
            assert_non_null(nw_tlb_peek(&t, a, &plain)); /* what was put in is there */
        }
        assert_true(t.evictions > 100 && t.hits > 100);
        nw_tlb_fini(&t);
    }
}

static void tlb__random_draws_once_an_eviction_and_never_otherwise(void **state)
{
    (void)state;
    struct nw_tlb t = tlb_of(24, 6, NW_REPLACE_RANDOM, 77);
    struct nw_rng model = nw_rng_for(77, "tlb.test"), rng = nw_rng_seeded(3);
    uint64_t way[4][6] = { { 0 } };
    for (unsigned n = 0; n < 20000; n++) {
        uint64_t page = 1 + nw_rng_below(&rng, 60), *s = way[page % 4];
        unsigned at = 0;
        while (at < 6 && s[at] != page)
            at++;
        bool hit = at < 6;
        if (!hit) {
            for (at = 0; at < 6 && s[at]; at++)
                ;
            if (at == 6)
                at = (unsigned)nw_rng_below(&model, 6);
            s[at] = page;
        }
        assert_int_equal(nw_tlb_lookup(&t, page << 12, &plain) != NULL, hit);
        if (!hit)
            fill(&t, page << 12, 12, plain, false);
    }
    assert_memory_equal(&t.rng, &model, sizeof model);
    nw_tlb_fini(&t);
}

static void tlb__each_page_size_is_indexed_by_its_own_page_number(void **state)
{
    (void)state;
    struct nw_tlb t = tlb_of(12, 1, NW_REPLACE_LRU, 1); /* 12 sets of one way */
    fill(&t, UINT64_C(5) << 21, 21, plain, false);
    fill(&t, UINT64_C(6) << 12, 12, plain, false);
    assert_non_null(nw_tlb_peek(&t, (UINT64_C(5) << 21) + 0x1fffff, &plain));
    assert_non_null(nw_tlb_peek(&t, UINT64_C(6) << 12, &plain));
    fill(&t, UINT64_C(17) << 30, 30, plain, false); /* 17 mod 12 = 5: takes the place of the 2 MiB page */
    assert_null(nw_tlb_peek(&t, UINT64_C(5) << 21, &plain));
    assert_non_null(nw_tlb_peek(&t, (UINT64_C(17) << 30) + 12345, &plain));
    assert_int_equal(t.evictions, 1);
    nw_tlb_fini(&t);
}

static void tlb__tags_keep_address_spaces_apart_and_global_joins_them(void **state)
{
    (void)state;
    struct nw_tlb t = tlb_of(64, 64, NW_REPLACE_LRU, 1);
    struct nw_tlb_tag a = { .vpid = 1, .pcid = 1, .root = 0x1000 }, other_pcid = a, other_vpid = a, other_root = a;
    other_pcid.pcid = 2;
    other_vpid.vpid = 2;
    other_root.root = 0x2000;
    fill(&t, 0x1000, 12, a, false);
    fill(&t, 0x2000, 12, a, true);
    assert_non_null(nw_tlb_peek(&t, 0x1000, &a));
    assert_null(nw_tlb_peek(&t, 0x1000, &other_pcid));
    assert_null(nw_tlb_peek(&t, 0x1000, &other_vpid));
    assert_null(nw_tlb_peek(&t, 0x1000, &other_root));
    assert_non_null(nw_tlb_peek(&t, 0x2000, &other_pcid));
    assert_null(nw_tlb_peek(&t, 0x2000, &other_vpid));
    assert_null(nw_tlb_peek(&t, 0x2000, &other_root));
    nw_tlb_fini(&t);
}

/* Two address spaces of one guest and one of another, each with a plain and a global page: what is left after each
 * operation? */
static struct nw_tlb populated(void)
{
    struct nw_tlb t = tlb_of(64, 64, NW_REPLACE_LRU, 1);
    for (uint16_t vpid = 1; vpid <= 2; vpid++)
        for (uint16_t pcid = 1; pcid <= 2; pcid++) {
            struct nw_tlb_tag tag = { .vpid = vpid, .pcid = pcid, .root = vpid };
            fill(&t, 0x10000u * pcid, 12, tag, false);
            fill(&t, 0x10000u * pcid + 0x1000, 12, tag, true);
        }
    return t;
}

static void invalidation(struct nw_tlb_predicate p, uint64_t expected)
{
    struct nw_tlb t = populated();
    assert_int_equal(nw_tlb_invalidate(&t, &p), expected);
    assert_int_equal(t.invalidated, expected);
    assert_int_equal(nw_tlb_invalidate(&t, &p), 0);
    nw_tlb_fini(&t);
}

static void tlb__invalidations_reach_what_the_architecture_says(void **state)
{
    (void)state;
    struct nw_tlb_tag a = { .vpid = 1, .pcid = 1, .root = 1 };
    invalidation(nw_tlb_invlpg(0x10123, &a), 1);
    invalidation(nw_tlb_invlpg(0x20123, &a), 0); /* another PCID's page */
    invalidation(nw_tlb_invlpg(0x21123, &a), 1); /* ... but a global one */
    invalidation(nw_tlb_load_cr3(&a), 1);
    invalidation(nw_tlb_flush_guest(&a), 4);
    invalidation(nw_tlb_flush_root(2), 4);
    invalidation(nw_tlb_flush_all(), 8);
    invalidation((struct nw_tlb_predicate){ .match = NW_TLB_MATCH_ADDRESS, .first = 0x10fff, .last = 0x20000 }, 6);
    invalidation((struct nw_tlb_predicate){ .match = NW_TLB_MATCH_NONGLOBAL }, 4);
}

static void tlb__invalid_ways_are_filled_lowest_first(void **state)
{
    (void)state;
    struct nw_tlb t = tlb_of(4, 4, NW_REPLACE_LRU, 1);
    for (uint64_t page = 1; page <= 4; page++)
        fill(&t, page << 12, 12, plain, false);
    struct nw_tlb_predicate p = { .match = NW_TLB_MATCH_ADDRESS, .first = 0x2000, .last = 0x3fff };
    assert_int_equal(nw_tlb_invalidate(&t, &p), 2);
    fill(&t, 0x9000, 12, plain, false);
    assert_int_equal(t.entry[1].page, 9);
    assert_false(t.entry[2].valid);
    assert_int_equal(t.evictions, 0);
    nw_tlb_fini(&t);
}

static void tlb__same_page_is_replaced_in_place_and_dirty_is_no_use(void **state)
{
    (void)state;
    struct nw_tlb t = tlb_of(2, 2, NW_REPLACE_LRU, 1);
    fill(&t, 0x1000, 12, plain, false);
    fill(&t, 0x2000, 12, plain, false);
    fill(&t, 0x1000, 12, plain, false);
    assert_int_equal(t.evictions, 0);
    nw_tlb_update_dirty(&t, 0x2000, &plain);
    assert_true(nw_tlb_peek(&t, 0x2000, &plain)->rights & NW_RIGHT_DIRTY);
    struct nw_tlb_entry evicted, e = { .page_log2 = 12, .page = 3 };
    assert_true(nw_tlb_insert(&t, &e, &evicted));
    assert_int_equal(evicted.page, 2);
    nw_tlb_fini(&t);
}

static void tlb__impossible_geometry_is_refused(void **state)
{
    (void)state;
    struct nw_tlb t;
    struct nw_error e = { 0 };
    struct nw_tlb_geometry g = { .entries = 10, .ways = 4, .page_log2 = { 12 }, .page_sizes = 1 };
    assert_int_equal(nw_tlb_init(&t, "tlb.x", &g, 1, &e), NW_ERR_USAGE);
    assert_non_null(strstr(e.text, "tlb.x"));
    g = (struct nw_tlb_geometry){ .entries = 8, .ways = 4 };
    assert_int_equal(nw_tlb_init(&t, "tlb.x", &g, 1, &e), NW_ERR_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tlb__lru_equals_a_stack_of_each_set),
        cmocka_unit_test(tlb__tree_plru_of_four_ways_follows_its_three_bits),
        cmocka_unit_test(tlb__tree_plru_never_leaves_its_ways),
        cmocka_unit_test(tlb__random_draws_once_an_eviction_and_never_otherwise),
        cmocka_unit_test(tlb__each_page_size_is_indexed_by_its_own_page_number),
        cmocka_unit_test(tlb__tags_keep_address_spaces_apart_and_global_joins_them),
        cmocka_unit_test(tlb__invalidations_reach_what_the_architecture_says),
        cmocka_unit_test(tlb__invalid_ways_are_filled_lowest_first),
        cmocka_unit_test(tlb__same_page_is_replaced_in_place_and_dirty_is_no_use),
        cmocka_unit_test(tlb__impossible_geometry_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
