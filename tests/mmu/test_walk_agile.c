/* The agile walk: shadow tables down to a switching entry, the guest's own tables and the second stage below it. Counts are
 * those of Gandhi, Hill and Swift, "Agile Paging" (ISCA 2016): 4 references all shadow, and 4 more for each level that is
 * nested. */
#include "mmu_common.h"
#include <nestwalk/mmu/walk_template.h>

enum { ALL_SHADOW = -1 };
static const uint64_t GVA = UINT64_C(0x7f5540000000), GPA = UINT64_C(32) << 20;

/* One page, mapped by the guest, and a shadow tree that maps it too; the second stage is the identity. */
struct agile {
    struct machine m;
    struct nw_builder tree;
    struct nw_paging shadow; /* what is walked: its root may have the switching bit */
    uint64_t guest_entry[NW_LEVELS_MAX], shadow_entry[NW_LEVELS_MAX]; /* where they are, by level */
};

static void agile_init(struct agile *a, unsigned levels, unsigned guest_log2, unsigned backing_log2,
                       unsigned attributes)
{
    struct nw_walk_log log;
    struct nw_walk_result r;
    struct nw_access read = { .kind = NW_ACCESS_READ };
    memset(a, 0, sizeof *a);
    machine_init(&a->m);
    machine_nested(&a->m, ept_paging(4, true), x86_paging(levels), backing_log2, UINT64_C(64) << 20);
    must(nw_builder_map(&a->m.guest, GVA, GPA, guest_log2, attributes, err));
    struct nw_paging p = x86_paging(levels);
    struct nw_builder_memory host = nw_builder_memory_frames(&a->m.frames);
    must(nw_builder_init(&a->tree, a->m.pm, &p, &host, err));
    must(nw_builder_map(&a->tree, GVA, GPA, guest_log2 < backing_log2 ? guest_log2 : backing_log2, attributes, err));
    nw_walk_native(a->m.pm, &a->m.guest.paging, nw_gva(GVA), &read, &log, &r); /* GPA = HPA */
    for (unsigned i = 0; i < log.count; i++)
        a->guest_entry[log.reference[i].level] = log.reference[i].hpa.v;
    nw_walk_native(a->m.pm, &a->tree.paging, nw_gva(GVA), &read, &log, &r);
    for (unsigned i = 0; i < log.count; i++)
        a->shadow_entry[log.reference[i].level] = log.reference[i].hpa.v;
    a->shadow = a->tree.paging;
}

static uint64_t get(struct agile *a, uint64_t hpa) { return nw_physmem_read64(a->m.pm, nw_hpa(hpa)); }
static void set(struct agile *a, uint64_t hpa, uint64_t word)
{
    must(nw_physmem_write64(a->m.pm, nw_hpa(hpa), word, err));
}

static const uint64_t P = 1, W = 2, U = 4, A = 1 << 5, D = 1 << 6, NX = UINT64_C(1) << 63;

/* The guest's tables are used from `level` down. */
static void switch_at(struct agile *a, int level, uint64_t rights)
{
    if (level == ALL_SHADOW)
        return;
    uint64_t table = a->guest_entry[level] & ~(NW_PAGE_BYTES - 1);
    if (level + 1 == a->shadow.levels)
        a->shadow.root = table | NW_AGILE_SWITCH;
    else
        set(a, a->shadow_entry[level + 1], table | P | A | NW_AGILE_SWITCH | rights);
}

static struct nw_walk_result walk(struct agile *a, uint64_t gva, enum nw_access_kind kind, bool user,
                                  struct nw_walk_log *log)
{
    struct nw_walk_result r;
    nw_walk_agile(a->m.pm, &a->shadow, &a->m.guest.paging, &a->m.nested.paging, nw_gva(gva),
                  &(struct nw_access){ .kind = kind, .user = user }, log, &r);
    return r;
}

static void counts(unsigned levels, int level, unsigned guest_log2, unsigned backing_log2, unsigned shadow,
                   unsigned guest, unsigned nested)
{
    struct agile a;
    struct nw_walk_log log;
    agile_init(&a, levels, guest_log2, backing_log2, NW_MAP_ALL);
    switch_at(&a, level, W | U);
    struct nw_walk_result r = walk(&a, GVA + 0x128, NW_ACCESS_WRITE, false, &log);
    assert_int_equal(r.outcome, NW_WALK_OK);
    assert_int_equal(r.hpa.v, GPA + 0x128);
    assert_int_equal(r.page_log2, guest_log2 < backing_log2 ? guest_log2 : backing_log2);
    assert_true(r.rights & NW_RIGHT_DIRTY);
    assert_int_equal(log.shadow, shadow);
    assert_int_equal(log.guest, guest);
    assert_int_equal(log.nested, nested);
    assert_int_equal(log.count, shadow + guest + nested);
    machine_fini(&a.m);
}

static void agile__each_nested_level_adds_four_references(void **state)
{
    (void)state;
    counts(4, ALL_SHADOW, 12, 12, 4, 0, 0);
    counts(4, 0, 12, 12, 3, 1, 4);  /* 8 */
    counts(4, 1, 12, 12, 2, 2, 8);  /* 12 */
    counts(4, 2, 12, 12, 1, 3, 12); /* 16 */
    counts(4, 3, 12, 12, 0, 4, 16); /* 20: a nested walk but for finding the root */
}

static void agile__five_levels_add_as_many(void **state)
{
    (void)state;
    counts(5, ALL_SHADOW, 12, 12, 5, 0, 0);
    counts(5, 0, 12, 12, 4, 1, 4);
    counts(5, 3, 12, 12, 1, 4, 16);
    counts(5, 4, 12, 12, 0, 5, 20);
}

static void agile__large_pages_shorten_either_part(void **state)
{
    (void)state;
    counts(4, ALL_SHADOW, 21, 21, 3, 0, 0);
    counts(4, 1, 21, 12, 2, 1, 4); /* 2M guest page over 4K */
    counts(4, 0, 12, 21, 3, 1, 3); /* 4K over 2M */
    counts(4, 2, 21, 21, 1, 2, 6);
}

static void agile__references_go_from_shadow_to_guest_tables(void **state)
{
    (void)state;
    struct agile a;
    struct nw_walk_log log;
    agile_init(&a, 4, 12, 12, NW_MAP_ALL);
    switch_at(&a, 1, W | U);
    walk(&a, GVA, NW_ACCESS_READ, false, &log);
    static const struct {
        bool shadow;
        enum nw_dimension dimension;
        unsigned level;
    } expected[] = {
        { true, NW_GUEST, 3 },   { true, NW_GUEST, 2 },   { false, NW_GUEST, 1 },  { false, NW_NESTED, 3 },
        { false, NW_NESTED, 2 }, { false, NW_NESTED, 1 }, { false, NW_NESTED, 0 }, { false, NW_GUEST, 0 },
        { false, NW_NESTED, 3 }, { false, NW_NESTED, 2 }, { false, NW_NESTED, 1 }, { false, NW_NESTED, 0 }
    };
    assert_int_equal(log.count, NW_ARRAY_LEN(expected));
    for (unsigned i = 0; i < log.count; i++) {
        assert_int_equal(log.reference[i].shadow, expected[i].shadow);
        assert_int_equal(log.reference[i].dimension, expected[i].dimension);
        assert_int_equal(log.reference[i].level, expected[i].level);
    }
    assert_int_equal(log.reference[2].hpa.v, a.guest_entry[1]);
    assert_int_equal(log.reference[7].address, a.guest_entry[0]);
    machine_fini(&a.m);
}

/* ---- rights and faults -------------------------------------------------------------------------- */

static void expect_fault(struct nw_walk_result r, uint64_t code, int level, bool shadow)
{
    assert_int_equal(r.outcome, NW_WALK_PAGE_FAULT);
    assert_int_equal(r.fault.code, code);
    assert_int_equal(r.fault.level, level);
    assert_int_equal(r.fault.shadow, shadow);
    assert_false(r.fault.nested);
}

static void agile__switching_entry_withholds_what_the_entries_above_it_do(void **state)
{
    (void)state;
    for (int level = 0; level < 3; level++) {
        struct agile a;
        agile_init(&a, 4, 12, 12, NW_MAP_ALL);
        switch_at(&a, level, W | U);
        assert_int_equal(walk(&a, GVA, NW_ACCESS_WRITE, true, NULL).outcome, NW_WALK_OK);
        switch_at(&a, level, U);
        expect_fault(walk(&a, GVA, NW_ACCESS_WRITE, true, NULL), NW_PF_P | NW_PF_W | NW_PF_U, 0, false);
        assert_false(walk(&a, GVA, NW_ACCESS_READ, true, NULL).rights & NW_RIGHT_WRITE);
        switch_at(&a, level, W);
        expect_fault(walk(&a, GVA, NW_ACCESS_READ, true, NULL), NW_PF_P | NW_PF_U, 0, false);
        assert_false(walk(&a, GVA, NW_ACCESS_READ, false, NULL).rights & NW_RIGHT_USER);
        switch_at(&a, level, W | U | NX);
        expect_fault(walk(&a, GVA, NW_ACCESS_FETCH, false, NULL), NW_PF_P | NW_PF_ID, 0, false);
        assert_false(walk(&a, GVA, NW_ACCESS_READ, false, NULL).rights & NW_RIGHT_EXECUTE);
        machine_fini(&a.m);
    }
}

static void agile__fault_above_the_switch_is_the_vmms(void **state)
{
    (void)state;
    struct agile a;
    agile_init(&a, 4, 12, 12, NW_MAP_ALL);
    switch_at(&a, 0, W | U);
    expect_fault(walk(&a, GVA + NW_BIT(39), NW_ACCESS_READ, false, NULL), 0, 3, true);
    expect_fault(walk(&a, GVA + NW_BIT(21), NW_ACCESS_READ, false, NULL), 0, 1, true);
    set(&a, a.shadow_entry[2], get(&a, a.shadow_entry[2]) | NW_BIT(7) | NW_BIT(20)); /* a 1G leaf with address bit 20 */
    expect_fault(walk(&a, GVA, NW_ACCESS_READ, false, NULL), NW_PF_P | NW_PF_RSVD, 2, true);
    machine_fini(&a.m);

    agile_init(&a, 4, 12, 12, NW_MAP_ALL);
    set(&a, a.shadow_entry[0], get(&a, a.shadow_entry[0]) & ~(W | D)); /* as while the guest's D is clear */
    expect_fault(walk(&a, GVA, NW_ACCESS_WRITE, false, NULL), NW_PF_P | NW_PF_W, 0, true);
    assert_int_equal(walk(&a, GVA, NW_ACCESS_READ, false, NULL).outcome, NW_WALK_OK);
    machine_fini(&a.m);
}

static void agile__fault_below_the_switch_is_the_guests_or_the_second_stages(void **state)
{
    (void)state;
    struct agile a;
    agile_init(&a, 4, 12, 12, NW_MAP_ALL);
    switch_at(&a, 1, W | U);
    expect_fault(walk(&a, GVA + 0x1000, NW_ACCESS_READ, false, NULL), 0, 0, false);
    expect_fault(walk(&a, GVA + NW_BIT(21), NW_ACCESS_READ, true, NULL), NW_PF_U, 1, false);
    set(&a, a.guest_entry[0], get(&a, a.guest_entry[0]) | NW_BIT(51)); /* a page that the second stage lacks */
    struct nw_walk_result r = walk(&a, GVA + 8, NW_ACCESS_READ, false, NULL);
    assert_int_equal(r.outcome, NW_WALK_EPT_VIOLATION);
    assert_int_equal(r.fault.address, (GPA | NW_BIT(51)) + 8);
    assert_true(r.fault.nested);
    assert_false(r.fault.shadow);
    r = walk(&a, UINT64_C(1) << 62, NW_ACCESS_READ, false, NULL);
    assert_int_equal(r.outcome, NW_WALK_NONCANONICAL);
    assert_false(r.fault.shadow);
    machine_fini(&a.m);
}

static void agile__flags_are_set_in_the_guests_entries_below_the_switch(void **state)
{
    (void)state;
    for (int level = 0; level < 4; level++) {
        struct agile a;
        agile_init(&a, 4, 12, 12, NW_MAP_READ | NW_MAP_WRITE);
        for (int l = 0; l < 4; l++)
            set(&a, a.guest_entry[l], get(&a, a.guest_entry[l]) & ~(A | D));
        switch_at(&a, level, W | U);
        struct nw_walk_result r = walk(&a, GVA, NW_ACCESS_READ, false, NULL);
        assert_int_equal(r.outcome, NW_WALK_OK);
        assert_false(r.rights & NW_RIGHT_DIRTY);
        assert_int_equal(walk(&a, GVA + 0x1000, NW_ACCESS_WRITE, false, NULL).outcome, NW_WALK_PAGE_FAULT);
        assert_int_equal(get(&a, a.guest_entry[0]) & (A | D), A);
        assert_int_equal(walk(&a, GVA, NW_ACCESS_WRITE, false, NULL).outcome, NW_WALK_OK);
        assert_int_equal(get(&a, a.guest_entry[0]) & (A | D), A | D);
        for (int l = 1; l < 4; l++)
            assert_int_equal(get(&a, a.guest_entry[l]) & (A | D), l <= level ? A : 0);
        machine_fini(&a.m);
    }
}

/* ---- paging-structure caches -------------------------------------------------------------------- */

struct cache {
    struct agile *a;
    struct nw_walk_start seen[NW_LEVELS_MAX];
    unsigned known, references;
    int resume; /* from the table of this level; -1: from the root */
};

static uint64_t cache_load(void *context, hpa_t hpa) { return get(((struct cache *)context)->a, hpa.v); }
static void cache_reference(void *context, const struct nw_reference *r)
{
    (void)r;
    ((struct cache *)context)->references++;
}
static void cache_start(void *context, enum nw_dimension dimension, uint64_t address, struct nw_walk_start *start)
{
    (void)address;
    struct cache *c = context;
    if (dimension == NW_GUEST && c->resume >= 0)
        *start = c->seen[c->resume];
}
static void cache_table(void *context, enum nw_dimension dimension, uint64_t address, const struct nw_walk_start *next)
{
    (void)address;
    struct cache *c = context;
    if (dimension == NW_NESTED)
        return;
    c->seen[next->level] = *next;
    c->known |= 1u << next->level;
}
static const struct nw_walk_hooks cache_hooks = {
    .load = cache_load, .reference = cache_reference, .start = cache_start, .table = cache_table
};

static void agile__caches_hold_tables_of_both_kinds(void **state)
{
    (void)state;
    struct agile a;
    agile_init(&a, 4, 12, 12, NW_MAP_ALL);
    switch_at(&a, 1, U); /* no writes */
    struct cache c = { .a = &a, .resume = -1 };
    struct nw_access write = { .kind = NW_ACCESS_WRITE }, read = { .kind = NW_ACCESS_READ };
    struct nw_walk_result r = { 0 };
    nw_walk_agile_run(&cache_hooks, &c, &a.shadow, &a.m.guest.paging, &a.m.nested.paging, nw_gva(GVA), &read, &r);
    assert_int_equal(c.references, 12);
    assert_int_equal(c.known, 7);
    assert_false(c.seen[2].switched);
    assert_true(c.seen[1].switched && c.seen[0].switched);
    assert_int_equal(c.seen[1].table.v, a.guest_entry[1] & ~(NW_PAGE_BYTES - 1));
    static const unsigned expected[] = { 5, 10, 11 }; /* from there on, with four nested references a GPA */
    for (c.resume = 0; c.resume < 3; c.resume++) {
        c.references = 0;
        nw_walk_agile_run(&cache_hooks, &c, &a.shadow, &a.m.guest.paging, &a.m.nested.paging, nw_gva(GVA), &read, &r);
        assert_int_equal(r.outcome, NW_WALK_OK);
        assert_int_equal(r.hpa.v, GPA);
        assert_int_equal(c.references, expected[c.resume]);
        nw_walk_agile_run(&cache_hooks, &c, &a.shadow, &a.m.guest.paging, &a.m.nested.paging, nw_gva(GVA), &write, &r);
        expect_fault(r, NW_PF_P | NW_PF_W, 0, false);
    }
    machine_fini(&a.m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agile__each_nested_level_adds_four_references),
        cmocka_unit_test(agile__five_levels_add_as_many),
        cmocka_unit_test(agile__large_pages_shorten_either_part),
        cmocka_unit_test(agile__references_go_from_shadow_to_guest_tables),
        cmocka_unit_test(agile__switching_entry_withholds_what_the_entries_above_it_do),
        cmocka_unit_test(agile__fault_above_the_switch_is_the_vmms),
        cmocka_unit_test(agile__fault_below_the_switch_is_the_guests_or_the_second_stages),
        cmocka_unit_test(agile__flags_are_set_in_the_guests_entries_below_the_switch),
        cmocka_unit_test(agile__caches_hold_tables_of_both_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
