/* A traced guest under agile paging: stable tables walk as natively, tables written often stop costing exits, quiet ones come back, and what
 * a load of CR3 costs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "script.h"

/* Replays on both engines, which agree, with the detector too; the result is the fast one's. */
static void go(struct script *t)
{
    char difference[256];
    replay(t, "agile", NW_ENGINE_REFERENCE, true);
    assert_int_equal(t->result.stale.accesses, 0);
    nw_result_fini(&t->result);
    replay(t, "agile", NW_ENGINE_REFERENCE, false);
    struct nw_result reference = t->result;
    replay(t, "agile", NW_ENGINE_FAST, false);
    if (nw_result_differ(&reference, &t->result, difference, sizeof difference))
        fail_msg("%s", difference);
    nw_result_fini(&reference);
}

static uint64_t entry_of(struct script *t, uint64_t gva) { return leaf_of(t, gva).entry_address; }
static uint64_t exits(const struct script *t, enum nw_exit_reason reason) { return t->result.exits[reason].count; }

/* The walk is made again, and nothing else happens. */
static void walk_again(struct script *t, uint64_t gva)
{
    event(t, NW_EV_INVLPG, gva, 0, 0);
    access_page(t, gva, NW_LOAD);
}

/* `count` writes to PAGE's leaf table, to entries that nobody uses. */
static void churn(struct script *t, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        write_entry(t, entry_of(t, PAGE) + 8 * (i + 32), OTHER_FRAME + 0x1000 * i + 0x67);
}

/* References that the last event and access add. */
static uint64_t more_references(struct script *t, void (*step)(struct script *t, uint64_t gva), uint64_t gva,
                                uint64_t *nested)
{
    go(t);
    uint64_t all_before = t->result.walks.references, nested_before = t->result.walks.references_nested;
    again(t);
    step(t, gva);
    go(t);
    *nested = t->result.walks.references_nested - nested_before;
    return t->result.walks.references - all_before;
}

static void a_stable_table__walks_as_natively(void **state)
{
    (void)state;
    struct script *t = script_new(0);
    uint64_t nested;
    start(t);
    access_page(t, PAGE, NW_LOAD);
    assert_int_equal(more_references(t, walk_again, PAGE, &nested), 4);
    assert_int_equal(nested, 0);
    assert_int_equal(exits(t, NW_EXIT_SHADOW_FAULT), 1);
    assert_int_equal(exits(t, NW_EXIT_INVLPG), 0);
    assert_int_equal(t->result.shadow.switched_to_nested, 0);
    assert_true(t->result.memory.shadow_table_pages >= 4);
    assert_true(t->result.memory.nested_table_pages >= 4);
    script_free(t);
}

static void a_table_written_often__is_nested_and_costs_no_exits(void **state)
{
    (void)state;
    for (unsigned writes = 1; writes < 5; writes++) {
        struct script *t = script_new(0);
        char text[8];
        uint64_t nested;
        start(t);
        snprintf(text, sizeof text, "%u", writes);
        set(t, "vmm.agile_writes", text);
        access_page(t, PAGE, NW_LOAD);
        churn(t, writes + 7);
        access_page(t, PAGE, NW_LOAD); /* its translation went with the change */
        assert_int_equal(more_references(t, walk_again, PAGE, &nested), 8);
        assert_int_equal(nested, 4);
        assert_int_equal(exits(t, NW_EXIT_TABLE_WRITE), writes);
        assert_int_equal(exits(t, NW_EXIT_SHADOW_FAULT), 1);
        assert_int_equal(t->result.shadow.nested_tables, 1);
        assert_int_equal(t->result.shadow.switched_to_nested, 1);
        script_free(t);
    }
}

static void a_quiet_interval__brings_the_table_back(void **state)
{
    (void)state;
    for (unsigned late = 0; late < 2; late++) {
        struct script *t = script_new(0);
        uint64_t nested;
        start(t);
        set(t, "vmm.agile_interval_accesses", "16");
        access_page(t, PAGE, NW_LOAD);
        churn(t, 5);
        while (t->accesses < 16 + late)
            access_page(t, GLOBAL_PAGE, NW_LOAD);
        churn(t, 1); /* with the last accesses of the first interval, or in the second */
        while (t->accesses < 33)
            access_page(t, GLOBAL_PAGE, NW_LOAD);
        access_page(t, PAGE, NW_LOAD);
        assert_int_equal(more_references(t, walk_again, PAGE, &nested), late ? 8 : 4);
        assert_int_equal(t->result.shadow.switched_to_shadow, !late);
        assert_int_equal(exits(t, NW_EXIT_TABLE_WRITE), 2);
        again(t);
        churn(t, 1);
        go(t);
        assert_int_equal(exits(t, NW_EXIT_TABLE_WRITE), late ? 2 : 3);
        script_free(t);
    }
}

static void faults_of_the_guest__are_exits_in_shadow_parts_only(void **state)
{
    (void)state;
    for (unsigned nested = 0; nested < 2; nested++) {
        struct script *t = script_new(0);
        start(t);
        access_page(t, PAGE, NW_LOAD);
        churn(t, nested ? 2 : 0);
        access_page(t, PAGE + 0x1000, NW_LOAD); /* not mapped */
        go(t);
        assert_int_equal(t->result.faults.guest_page_faults, 1);
        assert_int_equal(exits(t, NW_EXIT_GUEST_PAGE_FAULT), !nested);
        script_free(t);
    }
}

static void stores_that_trap__count_as_writes(void **state)
{
    (void)state;
    struct script *t = script_new(0);
    uint64_t alias = PAGE + 0x2000, table = entry_of(t, PAGE) & ~(NW_PAGE_BYTES - 1);
    map(t, alias, table, NW_PAGE_LOG2, all);
    start(t);
    access_page(t, PAGE, NW_LOAD);
    for (unsigned i = 0; i < 6; i++) /* none of them changes the table */
        access_page(t, alias, NW_STORE);
    go(t);
    assert_int_equal(exits(t, NW_EXIT_TABLE_WRITE), 2);
    assert_int_equal(t->result.shadow.switched_to_nested, 1);
    script_free(t);
}

/* Another address space over the same tables. */
static uint64_t second_root(struct script *t)
{
    struct nw_error err = { 0 };
    uint64_t pfn;
    need(nw_frames_alloc(&t->frames, NW_PAGE_LOG2, &pfn, &err), &err);
    for (unsigned w = 0; w < NW_WORDS_PER_PAGE; w++) {
        uint64_t word = nw_physmem_read64(t->pm, nw_hpa(t->builder.paging.root + 8 * w));
        if (word)
            need(nw_physmem_write64(t->pm, nw_hpa((pfn << NW_PAGE_LOG2) + 8 * w), word, &err), &err);
    }
    return pfn << NW_PAGE_LOG2;
}

static void load_cr3(struct script *t, uint64_t root) { event(t, NW_EV_CR_WRITE, 3, root, 0); }

static void loads_of_cr3__are_exits_unless_the_root_is_cached(void **state)
{
    (void)state;
    static const struct {
        const char *entries;
        uint64_t exits;
    } rows[] = { { "0", 8 }, { "1", 7 }, { "2", 1 }, { "8", 1 } };
    for (size_t r = 0; r < NW_ARRAY_LEN(rows); r++) {
        struct script *t = script_new(0);
        uint64_t first = t->builder.paging.root, second = second_root(t);
        start(t);
        set(t, "vmm.agile_cr3_cache", rows[r].entries);
        for (unsigned i = 0; i < 7; i++) {
            load_cr3(t, i & 1 ? first : second);
            access_page(t, PAGE, NW_LOAD);
        }
        load_cr3(t, second); /* as it is already */
        access_page(t, PAGE, NW_LOAD);
        go(t);
        assert_int_equal(exits(t, NW_EXIT_CR_WRITE), rows[r].exits);
        assert_int_equal(t->result.shadow.cr3_without_exit, 8 - rows[r].exits);
        script_free(t);
    }
}

static void control_registers__empty_the_cache_of_roots(void **state)
{
    (void)state;
    struct script *t = script_new(0);
    start(t);
    set(t, "vmm.agile_cr3_cache", "4");
    load_cr3(t, t->builder.paging.root);
    event(t, NW_EV_CR_WRITE, 0, t->info.vcpu[0].cr0 ^ NW_CR0_WP, 0);
    load_cr3(t, t->builder.paging.root); /* the VMM entered it with the change */
    access_page(t, PAGE, NW_LOAD);
    go(t);
    assert_int_equal(exits(t, NW_EXIT_CR_WRITE), 1);
    assert_int_equal(t->result.shadow.cr3_without_exit, 2);
    script_free(t);
}

/* The first space's root is nested, the second's is not; both reach the same leaf table. */
static void a_nested_root__loads_without_exit_and_its_stores_to_shadowed_tables_are_seen(void **state)
{
    (void)state;
    struct script *t = script_new(0);
    uint64_t first = t->builder.paging.root, second = second_root(t);
    struct nw_leaf leaf = leaf_of(t, PAGE);
    start(t);
    access_page(t, PAGE, NW_LOAD);
    write_entry(t, first + 8 * 5, 0);
    write_entry(t, first + 8 * 5, 0x67);
    write_entry(t, first + 8 * 5, 0); /* no exit any more */
    load_cr3(t, second);
    access_page(t, PAGE, NW_LOAD);
    load_cr3(t, first);
    go(t);
    assert_int_equal(exits(t, NW_EXIT_TABLE_WRITE), 2);
    assert_int_equal(exits(t, NW_EXIT_CR_WRITE), 1);
    assert_int_equal(t->result.shadow.cr3_without_exit, 1);
    again(t);
    access_page(t, PAGE, NW_LOAD);
    write_entry(t, leaf.entry_address, (leaf.entry & ~FRAME) | OTHER_FRAME);
    event(t, NW_EV_INVLPG, PAGE, 0, 0);
    load_cr3(t, second);
    access_page(t, PAGE, NW_LOAD);
    go(t);
    assert_int_equal(exits(t, NW_EXIT_TABLE_WRITE), 3);
    script_free(t);
}

static void a_space_that_begins_nested__is_shadowed_after_a_quiet_interval(void **state)
{
    (void)state;
    struct script *t = script_new(0);
    uint64_t nested, first = t->builder.paging.root, second = second_root(t);
    start(t);
    set(t, "vmm.agile_start", "nested");
    set(t, "vmm.agile_interval_accesses", "16");
    access_page(t, PAGE, NW_LOAD);
    assert_int_equal(more_references(t, walk_again, PAGE, &nested), 20);
    assert_int_equal(nested, 16);
    assert_int_equal(exits(t, NW_EXIT_SHADOW_FAULT), 0);
    again(t);
    churn(t, 5);
    load_cr3(t, second); /* not known yet */
    load_cr3(t, first);
    load_cr3(t, second);
    go(t);
    assert_int_equal(exits(t, NW_EXIT_TABLE_WRITE), 0);
    assert_int_equal(exits(t, NW_EXIT_CR_WRITE), 1);
    assert_int_equal(t->result.shadow.nested_tables, 2);
    again(t);
    while (t->accesses < 33)
        access_page(t, GLOBAL_PAGE, NW_LOAD);
    access_page(t, PAGE, NW_LOAD);
    assert_int_equal(more_references(t, walk_again, PAGE, &nested), 4);
    assert_int_equal(t->result.shadow.switched_to_nested, 0);
    assert_int_equal(t->result.shadow.switched_to_shadow, 2);
    script_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stable_table__walks_as_natively),
        cmocka_unit_test(a_table_written_often__is_nested_and_costs_no_exits),
        cmocka_unit_test(a_quiet_interval__brings_the_table_back),
        cmocka_unit_test(faults_of_the_guest__are_exits_in_shadow_parts_only),
        cmocka_unit_test(stores_that_trap__count_as_writes),
        cmocka_unit_test(loads_of_cr3__are_exits_unless_the_root_is_cached),
        cmocka_unit_test(control_registers__empty_the_cache_of_roots),
        cmocka_unit_test(a_nested_root__loads_without_exit_and_its_stores_to_shadowed_tables_are_seen),
        cmocka_unit_test(a_space_that_begins_nested__is_shadowed_after_a_quiet_interval),
    };
    return cmocka_run_group_tests_name("agile paging", tests, NULL, NULL);
}
