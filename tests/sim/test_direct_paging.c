/* A traced guest under direct paging: what its stores, switches and flushes cost, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "script.h"

/* Replays on both engines, which agree; the result is the fast one's. */
static void go(struct script *t)
{
    char difference[256];
    replay(t, "direct", NW_ENGINE_REFERENCE, false);
    struct nw_result reference = t->result;
    replay(t, "direct", NW_ENGINE_FAST, false);
    if (nw_result_differ(&reference, &t->result, difference, sizeof difference))
        fail_msg("%s", difference);
    nw_result_fini(&reference);
}

static uint64_t entry_of(struct script *t, uint64_t gva) { return leaf_of(t, gva).entry_address; }

static void prices(struct script *t)
{
    set(t, "cost.hypercall_request", "7");
    set(t, "cost.validated_entry", "0");
}

static void a_store_to_a_table__is_a_request_of_one_hypercall(void **state)
{
    (void)state;
    struct script *t = script_new(0);
    start(t);
    prices(t);
    struct nw_leaf leaf = leaf_of(t, PAGE);
    access_page(t, PAGE, NW_LOAD);
    write_entry(t, leaf.entry_address, (leaf.entry & ~FRAME) | OTHER_FRAME);
    event(t, NW_EV_INVLPG, PAGE, 0, 0);
    access_page(t, PAGE, NW_LOAD);
    go(t);
    assert_int_equal(t->result.direct.refused, 0);
    assert_int_equal(t->result.direct.entry_updates, 1);
    assert_int_equal(t->result.direct.invlpg, 1);
    assert_int_equal(t->result.exits[NW_EXIT_HYPERCALL].count, 1); /* the flush and the update before it */
    script_free(t);
}

static void requests__wait_until_a_batch_is_full_or_they_are_needed(void **state)
{
    (void)state;
    static const struct {
        const char *batch;
        uint64_t hypercalls;
    } rows[] = { { "1", 8 }, { "4", 2 }, { "5", 2 }, { "32", 1 } };
    for (size_t r = 0; r < NW_ARRAY_LEN(rows); r++) {
        struct script *t = script_new(0);
        start(t);
        set(t, "vmm.direct_batch", rows[r].batch);
        access_page(t, PAGE, NW_LOAD);
        for (unsigned i = 0; i < 8; i++)
            write_entry(t, entry_of(t, PAGE) + 8 * (i + 8), OTHER_FRAME + 0x1000 * i + 0x67);
        access_page(t, PAGE + 0xf000, NW_LOAD); /* was not there before */
        go(t);
        assert_int_equal(t->result.direct.entry_updates, 8);
        assert_int_equal(t->result.direct.mmu_update, rows[r].hypercalls);
        assert_int_equal(t->result.exits[NW_EXIT_HYPERCALL].count, rows[r].hypercalls);
        assert_int_equal(t->result.faults.guest_page_faults, 0);
        script_free(t);
    }
}

static void writable_tables__trap_each_store(void **state)
{
    (void)state;
    struct script *t = script_new(0);
    start(t);
    set(t, "vmm.direct_writable_tables", "1");
    access_page(t, PAGE, NW_LOAD);
    for (unsigned i = 0; i < 8; i++)
        write_entry(t, entry_of(t, PAGE) + 8 * (i + 8), OTHER_FRAME + 0x1000 * i + 0x67);
    go(t);
    assert_int_equal(t->result.direct.ptwr_emulations, 8);
    assert_int_equal(t->result.exits[NW_EXIT_TABLE_WRITE].count, 8);
    assert_int_equal(t->result.exits[NW_EXIT_HYPERCALL].count, 0);
    script_free(t);
}

static void a_frame_of_somebody_else__is_refused_and_reported(void **state)
{
    (void)state;
    struct script *t = script_new(0);
    start(t);
    t->info.guest_memory_bytes = UINT64_C(1) << 32;
    access_page(t, PAGE, NW_LOAD);
    write_entry(t, entry_of(t, PAGE) + 64, (UINT64_C(1) << 33) + 0x67);
    event(t, NW_EV_INVLPG, PAGE + 0x8000, 0, 0);
    access_page(t, PAGE + 0x8000, NW_LOAD);
    go(t);
    assert_int_equal(t->result.direct.refused, 1);
    assert_non_null(strstr(t->result.direct_refused, "0x200000067"));
    assert_int_equal(t->result.faults.guest_page_faults, 1);
    script_free(t);
}

static void a_page_fault__is_taken_by_the_hypervisor_first(void **state)
{
    (void)state;
    struct script *t = script_new(0);
    start(t);
    access_page(t, PAGE + 0x20000, NW_LOAD);
    go(t);
    assert_int_equal(t->result.faults.guest_page_faults, 1);
    assert_int_equal(t->result.exits[NW_EXIT_TRAP].count, 1);
    script_free(t);
}

static void a_large_page__is_mapped_by_small_ones(void **state)
{
    (void)state;
    struct script *t = script_new(0);
    start(t);
    for (unsigned i = 0; i < 100; i++)
        access_page(t, LARGE + i * UINT64_C(0x1000), NW_STORE);
    go(t);
    assert_int_equal(t->result.walks.count, 100);
    assert_int_equal(t->result.walks.references, 400);
    assert_int_equal(t->result.faults.guest_page_faults, 0);
    script_free(t);
}

static void five_levels__are_refused(void **state)
{
    (void)state;
    struct nw_config c;
    struct nw_result r;
    struct nw_source *source;
    struct nw_error err = { 0 };
    uint64_t gva = PAGE;
    nw_config_init(&c);
    need(nw_config_set(&c, "run.mode", "direct", "test", &err), &err);
    need(nw_config_set(&c, "guest.levels", "5", "test", &err), &err);
    need(nw_memory_source_create(&source, NULL, &gva, NULL, 1, NULL, 0, 0, &err), &err);
    assert_int_equal(nw_replay(source, &c, NULL, &r, &err), NW_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "4-level"));
    nw_source_destroy(source);
    nw_config_fini(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_store_to_a_table__is_a_request_of_one_hypercall),
        cmocka_unit_test(requests__wait_until_a_batch_is_full_or_they_are_needed),
        cmocka_unit_test(writable_tables__trap_each_store),
        cmocka_unit_test(a_frame_of_somebody_else__is_refused_and_reported),
        cmocka_unit_test(a_page_fault__is_taken_by_the_hypervisor_first),
        cmocka_unit_test(a_large_page__is_mapped_by_small_ones),
        cmocka_unit_test(five_levels__are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
