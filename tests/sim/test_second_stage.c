/* Options of the second stage: accessed and dirty flags, and the page-modification log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <nestwalk/sim/replay.h>
#include <nestwalk/traces/memory_source.h>
#include <stdlib.h>
#include <string.h>

enum { PAGES = 1300 }; /* fewer than the last TLB level holds */

static void set(struct nw_config *c, const char *path, const char *value)
{
    struct nw_error err = { 0 };
    if (nw_config_set(c, path, value, "test", &err))
        fail_msg("%s", err.text);
}

/* Each page is loaded, then each is stored to, `rounds` times. Settings come in pairs. */
static struct nw_result replay(enum nw_engine engine, unsigned rounds, const char *const *settings)
{
    uint64_t *gva = calloc((size_t)PAGES * (rounds + 1), sizeof *gva);
    uint8_t *kind = calloc((size_t)PAGES * (rounds + 1), sizeof *kind);
    size_t n = 0;
    struct nw_error err = { 0 };
    struct nw_source *source;
    struct nw_result r = { 0 };
    struct nw_config c;
    assert_non_null(gva);
    assert_non_null(kind);
    for (unsigned round = 0; round <= rounds; round++)
        for (uint64_t i = 0; i < PAGES; i++) {
            gva[n] = 0x7f0000000000 + (i << NW_PAGE_LOG2);
            kind[n++] = nw_kind_make(round ? NW_STORE : NW_LOAD, 8, true);
        }
    nw_config_init(&c);
    set(&c, "run.mode", "nested");
    for (; settings[0]; settings += 2)
        set(&c, settings[0], settings[1]);
    c.engine = engine;
    if (nw_memory_source_create(&source, NULL, gva, kind, n, NULL, 0, 0, &err) || nw_replay(source, &c, NULL, &r, &err))
        fail_msg("%s", err.text);
    nw_source_destroy(source);
    nw_config_fini(&c);
    free(gva);
    free(kind);
    return r;
}

static void the_log__has_each_page_once_and_512_places(void **state)
{
    (void)state;
    static const char *const settings[] = { "vmm.pml", "1", NULL };
    for (unsigned engine = 0; engine < NW_ENGINE_COUNT; engine++) {
        struct nw_result r = replay(engine, 2, settings);
        assert_int_equal(r.pml.logged, PAGES);
        assert_int_equal(r.pml.full_exits, (PAGES - 1) / 512);
        assert_int_equal(r.exits[NW_EXIT_PML_FULL].count, (PAGES - 1) / 512);
        assert_int_equal(r.exits[NW_EXIT_PML_FULL].cycles,
                         r.exits[NW_EXIT_PML_FULL].count * nw_exit_cost_total(&r.config.cost.exit[NW_EXIT_PML_FULL]));
        assert_int_equal(r.faults.ept_violations, 0);
        nw_result_fini(&r);
    }
}

static void large_backing__is_logged_once_a_large_page(void **state)
{
    (void)state;
    static const char *const settings[] = { "vmm.pml", "1", "vmm.backing", "2M", NULL };
    struct nw_result r = replay(NW_ENGINE_FAST, 1, settings);
    assert_true(r.pml.logged >= PAGES / 512);
    assert_true(r.pml.logged <= PAGES / 512 + 2);
    assert_int_equal(r.pml.full_exits, 0);
    nw_result_fini(&r);
}

static void without_the_log__nothing_is_logged(void **state)
{
    (void)state;
    static const char *const settings[] = { NULL };
    struct nw_result r = replay(NW_ENGINE_FAST, 1, settings);
    assert_int_equal(r.pml.logged, 0);
    assert_int_equal(r.exits[NW_EXIT_PML_FULL].count, 0);
    nw_result_fini(&r);
}

static bool refused(const char *const *settings)
{
    struct nw_error err = { 0 };
    struct nw_config c;
    nw_config_init(&c);
    for (; settings[0]; settings += 2)
        set(&c, settings[0], settings[1]);
    bool refused = nw_config_check(&c, &err) == NW_ERR_USAGE;
    if (refused)
        assert_non_null(strstr(err.text, "vmm.pml"));
    nw_config_fini(&c);
    return refused;
}

static void the_log__needs_ept_with_dirty_flags(void **state)
{
    (void)state;
    static const char *const npt[] = { "vmm.pml", "1", "vmm.slat", "npt", NULL };
    static const char *const no_flags[] = { "vmm.pml", "1", "vmm.accessed_dirty", "0", NULL };
    static const char *const right[] = { "vmm.pml", "1", "vmm.slat", "ept", NULL };
    assert_true(refused(npt));
    assert_true(refused(no_flags));
    assert_false(refused(right));
}

/* The guest's own D is preset for no page here either, so that each first store needs one walk either way; with flags in the EPT
 * that walk sets both. */
static void without_flags__stores_find_nothing_to_set_in_the_second_stage(void **state)
{
    (void)state;
    static const char *const with[] = { "vmm.accessed_dirty", "1", NULL };
    static const char *const without[] = { "vmm.accessed_dirty", "0", NULL };
    for (unsigned engine = 0; engine < NW_ENGINE_COUNT; engine++) {
        struct nw_result a = replay(engine, 2, with), b = replay(engine, 2, without);
        assert_int_equal(a.walks.dirty_assists, PAGES);
        assert_int_equal(b.walks.dirty_assists, PAGES);
        assert_int_equal(a.walks.references, b.walks.references);
        nw_result_fini(&a);
        nw_result_fini(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_log__has_each_page_once_and_512_places),
        cmocka_unit_test(large_backing__is_logged_once_a_large_page),
        cmocka_unit_test(without_the_log__nothing_is_logged),
        cmocka_unit_test(the_log__needs_ept_with_dirty_flags),
        cmocka_unit_test(without_flags__stores_find_nothing_to_set_in_the_second_stage),
    };
    return cmocka_run_group_tests_name("second stage", tests, NULL, NULL);
}
