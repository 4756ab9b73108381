/* The stale-translation detector: guests that forget an invalidation are found out, with the write they should have followed up, and guests
 * that do not forget are left alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "script.h"
#include <nestwalk/traces/nwt.h>

static const struct nw_stale_use *run(struct script *t, const char *mode, uint64_t accesses, uint64_t translations)
{
    replay(t, mode, NW_ENGINE_FAST, true);
    if (t->result.stale.accesses != accesses || t->result.stale.translations != translations)
        fail_msg("%s: %llu stale uses of %llu translations, expected %llu of %llu", mode,
                 (unsigned long long)t->result.stale.accesses, (unsigned long long)t->result.stale.translations,
                 (unsigned long long)accesses, (unsigned long long)translations);
    return t->result.stale.use;
}

/* Access, change of its entry, something in between, access. */
static struct script *change_then(uint64_t cr4, uint64_t gva, uint64_t word_flip)
{
    struct script *t = script_new(cr4);
    start(t);
    struct nw_leaf leaf = leaf_of(t, gva);
    access_page(t, gva, NW_LOAD);
    write_entry(t, leaf.entry_address, leaf.entry ^ word_flip);
    return t;
}

static void an_unmapped_page__still_used_is_reported_with_the_write(void **state)
{
    (void)state;
    static const char *const modes[] = { "native", "nested" };
    for (unsigned i = 0; i < 2; i++) {
        struct script *t = change_then(0, PAGE, 1);
        struct nw_leaf leaf = leaf_of(t, PAGE);
        access_page(t, GLOBAL_PAGE, NW_LOAD);
        access_page(t, PAGE, NW_LOAD);
        access_page(t, PAGE, NW_STORE);
        const struct nw_stale_use *u = run(t, modes[i], 2, 1);
        assert_int_equal(t->result.stale.use_count, 1);
        assert_int_equal(u->access, 2);
        assert_int_equal(u->uses, 2);
        assert_int_equal(u->gva, PAGE + 8);
        assert_int_equal(u->cached_hpa & 0xfff, 8);
        assert_false(u->granted);
        assert_non_null(strstr(u->outcome, "not present"));
        assert_true(u->change_known);
        assert_int_equal(u->change.gpa, leaf.entry_address);
        assert_int_equal(u->change.old_word, leaf.entry);
        assert_int_equal(u->change.new_word, leaf.entry ^ 1);
        assert_int_equal(u->change.before_access, 1);
        script_free(t);
    }
}

static void another_frame__is_reported_with_both_addresses(void **state)
{
    (void)state;
    struct script *t = change_then(0, PAGE, FRAME ^ OTHER_FRAME);
    access_page(t, PAGE, NW_LOAD);
    const struct nw_stale_use *u = run(t, "native", 1, 1);
    assert_true(u->granted);
    assert_int_equal(u->cached_hpa, FRAME + 8);
    assert_int_equal(u->hpa, OTHER_FRAME + 8);
    script_free(t);
}

static void fewer_rights__matter_only_to_accesses_that_need_them(void **state)
{
    (void)state;
    struct script *t = change_then(0, PAGE, 2); /* read-only now */
    access_page(t, PAGE, NW_LOAD);
    access_page(t, PAGE, NW_LOAD);
    run(t, "nested", 0, 0);
    again(t);
    access_page(t, PAGE, NW_STORE);
    const struct nw_stale_use *u = run(t, "nested", 1, 1);
    assert_int_equal(u->access, 3);
    assert_true(u->cached_rights & NW_STALE_WRITE);
    assert_non_null(strstr(u->outcome, "protection"));
    script_free(t);
}

static void more_rights__are_no_stale_use(void **state)
{
    (void)state;
    struct script *t = script_new(0);
    map(t, PAGE + 0x2000, FRAME + 0x2000, NW_PAGE_LOG2, all & ~(unsigned)NW_MAP_WRITE);
    start(t);
    struct nw_leaf leaf = leaf_of(t, PAGE + 0x2000);
    access_page(t, PAGE + 0x2000, NW_LOAD);
    write_entry(t, leaf.entry_address, leaf.entry | 2);
    access_page(t, PAGE + 0x2000, NW_LOAD);
    access_page(t, PAGE + 0x2000, NW_STORE); /* the spurious fault drops the entry */
    access_page(t, PAGE + 0x2000, NW_STORE);
    run(t, "native", 0, 0);
    script_free(t);
}

static void a_covering_invalidation__is_silence(void **state)
{
    (void)state;
    static const struct {
        uint64_t cr4, page;
        uint16_t kind;
        uint64_t a, b, c;
        bool silent;
    } rows[] = {
        { 0, PAGE, NW_EV_INVLPG, PAGE + 100, 0, 0, true },
        { 0, PAGE, NW_EV_INVLPG, PAGE + 0x1000, 0, 0, false },
        { 0, PAGE, NW_EV_CR_WRITE, 3, 0, 0, true }, /* the root is filled in below */
        { 0, GLOBAL_PAGE, NW_EV_CR_WRITE, 3, 0, 0, false },
        { 0, GLOBAL_PAGE, NW_EV_INVLPG, GLOBAL_PAGE, 0, 0, true },
        { NW_CR4_PCIDE, PAGE, NW_EV_CR_WRITE, 3, 0, 0, true },
        { NW_CR4_PCIDE, PAGE, NW_EV_CR_WRITE, 3, UINT64_C(1) << 63, 0, false },
        { NW_CR4_PCIDE, PAGE, NW_EV_INVPCID, 0, 0, PAGE, true },
        { NW_CR4_PCIDE, PAGE, NW_EV_INVPCID, 0, 5, PAGE, false },
        { NW_CR4_PCIDE, PAGE, NW_EV_INVPCID, 1, 0, 0, true },
        { NW_CR4_PCIDE, GLOBAL_PAGE, NW_EV_INVPCID, 1, 0, 0, false },
        { NW_CR4_PCIDE, GLOBAL_PAGE, NW_EV_INVPCID, 3, 0, 0, false },
        { NW_CR4_PCIDE, GLOBAL_PAGE, NW_EV_INVPCID, 2, 0, 0, true },
        { 0, PAGE, NW_EV_INVVPID, 0, 1, PAGE, true },
        { 0, PAGE, NW_EV_INVEPT, 1, 0, 0, true },
        { 0, GLOBAL_PAGE, NW_EV_TLB_CONTROL, 7, 0, 0, false },
        { 0, GLOBAL_PAGE, NW_EV_TLB_CONTROL, 3, 0, 0, true },
        { 0, PAGE, NW_EV_MARKER, NW_MARKER_PHASE, 0, 0, false },
    };
    for (size_t i = 0; i < NW_ARRAY_LEN(rows); i++) {
        struct script *t = change_then(rows[i].cr4, rows[i].page, 1);
        bool load_cr3 = rows[i].kind == NW_EV_CR_WRITE;
        event(t, rows[i].kind, rows[i].a, load_cr3 ? t->builder.paging.root | rows[i].b : rows[i].b, rows[i].c);
        access_page(t, rows[i].page, NW_LOAD);
        print_message("%s %zu\n", nw_event_kind_table[rows[i].kind].name, i);
        run(t, "nested", !rows[i].silent, !rows[i].silent);
        script_free(t);
    }
}

static void a_page_directory_entry__is_on_the_way(void **state)
{
    (void)state;
    struct script *t = script_new(0);
    start(t);
    struct nw_leaf leaf = leaf_of(t, PAGE);
    /* The entry that points to the leaf's table: found by what it points to. */
    uint64_t table = leaf.entry_address & ~(NW_PAGE_BYTES - 1), pde = 0, word = 0;
    for (uint32_t p = 0; p < t->info.table_count; p++)
        for (unsigned w = 0; w < NW_WORDS_PER_PAGE; w++)
            if ((t->info.table[p].word[w] & nw_mask(51, 12)) == table) {
                pde = t->info.table[p].gpa + 8 * w;
                word = t->info.table[p].word[w];
            }
    assert_true(pde);
    access_page(t, PAGE, NW_LOAD);
    write_entry(t, pde, 0);
    access_page(t, PAGE, NW_LOAD);
    const struct nw_stale_use *u = run(t, "nested", 1, 1);
    assert_int_equal(u->change.gpa, pde);
    assert_int_equal(u->change.old_word, word);
    assert_int_equal(u->change.new_word, 0);
    script_free(t);
}

/* A 2 MiB page becomes a table of 512 entries. */
static struct script *split(uint64_t first_frame)
{
    static uint64_t words[2 * NW_WORDS_PER_PAGE];
    enum { NEW_TABLE = 0x100000 };
    struct script *t = script_new(0);
    start(t);
    struct nw_leaf leaf = leaf_of(t, LARGE);
    access_page(t, LARGE, NW_LOAD);
    for (unsigned i = 0; i < NW_WORDS_PER_PAGE; i++) {
        words[2 * i] = i;
        words[2 * i + 1] = (i ? LARGE_FRAME + i * NW_PAGE_BYTES : first_frame) | 0x67;
    }
    event(t, NW_EV_TABLE_PAGE, NEW_TABLE, 0, 0);
    t->event[t->events - 1].data = words;
    t->event[t->events - 1].data_words = 2 * NW_WORDS_PER_PAGE;
    write_entry(t, leaf.entry_address, NEW_TABLE | 0x67);
    access_page(t, LARGE, NW_LOAD);
    access_page(t, LARGE + 0x3000, NW_STORE);
    return t;
}

static void a_split_large_page__is_stale_only_where_it_differs(void **state)
{
    (void)state;
    struct script *t = split(LARGE_FRAME);
    run(t, "native", 0, 0);
    script_free(t);
    t = split(OTHER_FRAME);
    const struct nw_stale_use *u = run(t, "native", 1, 1);
    assert_int_equal(u->access, 1);
    assert_int_equal(u->hpa, OTHER_FRAME + 8);
    assert_int_equal(u->change.gpa, leaf_of(t, LARGE).entry_address);
    script_free(t);
}

/* A 2 MiB page of the guest over 4 KiB backing stands in the TLBs as 4 KiB pieces: one INVLPG, anywhere in it, reaches all of them. */
static void one_invlpg__reaches_every_piece_of_a_large_page(void **state)
{
    (void)state;
    static const uint64_t operand[] = { 0, 0x5000, 0x1ff000 };
    static const char *const modes[] = { "native", "nested", "shadow" };
    for (unsigned m = 0; m < NW_ARRAY_LEN(modes); m++)
        for (unsigned i = 0; i < NW_ARRAY_LEN(operand); i++) {
            struct script *t = script_new(0);
            start(t);
            struct nw_leaf leaf = leaf_of(t, LARGE);
            access_page(t, LARGE, NW_LOAD);
            access_page(t, LARGE + 0x5000, NW_LOAD);
            write_entry(t, leaf.entry_address, leaf.entry & ~UINT64_C(1));
            event(t, NW_EV_INVLPG, LARGE + operand[i], 0, 0);
            access_page(t, LARGE, NW_LOAD);
            access_page(t, LARGE + 0x5000, NW_LOAD);
            run(t, modes[m], 0, 0);
            assert_int_equal(t->result.faults.guest_page_faults, 2);
            script_free(t);
        }
}

static void a_stale_walk_cache__spoils_new_translations(void **state)
{
    (void)state;
    enum { NEW_TABLE = 0x100000 };
    uint64_t words[2] = { 3, OTHER_FRAME | 0x67 }; /* PAGE + 0x2000 */
    struct script *t = script_new(0);
    map(t, PAGE + 0x2000, FRAME + 0x2000, NW_PAGE_LOG2, all);
    start(t);
    struct nw_leaf leaf = leaf_of(t, PAGE);
    uint64_t table = leaf.entry_address & ~(NW_PAGE_BYTES - 1), pde = 0;
    for (uint32_t p = 0; p < t->info.table_count; p++)
        for (unsigned w = 0; w < NW_WORDS_PER_PAGE; w++)
            if ((t->info.table[p].word[w] & nw_mask(51, 12)) == table)
                pde = t->info.table[p].gpa + 8 * w;
    set(t, "psc.guest.pde.entries", "8");
    access_page(t, PAGE, NW_LOAD); /* the PDE is cached */
    event(t, NW_EV_TABLE_PAGE, NEW_TABLE, 0, 0);
    t->event[t->events - 1].data = words;
    t->event[t->events - 1].data_words = 2;
    write_entry(t, pde, NEW_TABLE | 0x67);
    access_page(t, PAGE + 0x2000, NW_LOAD);
    const struct nw_stale_use *u = run(t, "native", 1, 1);
    assert_true(u->through_walk_cache);
    assert_int_equal(u->cached_hpa, FRAME + 0x2008);
    assert_int_equal(u->hpa, OTHER_FRAME + 8);
    assert_int_equal(u->change.gpa, pde);
    script_free(t);
}

static void another_root_under_the_same_pcid__has_no_write_to_blame(void **state)
{
    (void)state;
    struct script *t = script_new(NW_CR4_PCIDE);
    start(t);
    uint64_t empty_root = 0x200000;
    access_page(t, PAGE, NW_LOAD);
    event(t, NW_EV_CR_WRITE, 3, empty_root | NO_FLUSH, 0);
    access_page(t, PAGE, NW_LOAD);
    const struct nw_stale_use *u = run(t, "nested", 1, 1);
    assert_false(u->change_known);
    script_free(t);
}

static void reports__are_bounded_and_counts_are_not(void **state)
{
    (void)state;
    enum { PAGES = 1100 };
    struct script *t = script_new(0);
    for (uint64_t i = 0; i < PAGES; i++)
        map(t, 0x400000 + (i << 12), FRAME + 0x100000 + (i << 12), NW_PAGE_LOG2, all);
    start(t);
    for (unsigned round = 0; round < 3; round++) {
        for (uint64_t i = 0; i < PAGES; i++)
            access_page(t, 0x400000 + (i << 12), NW_LOAD);
        for (uint64_t i = 0; round == 0 && i < PAGES; i++)
            write_entry(t, leaf_of(t, 0x400000 + (i << 12)).entry_address, 0);
    }
    const struct nw_stale_use *u = run(t, "native", 2 * PAGES, PAGES);
    assert_int_equal(t->result.stale.use_count, NW_STALE_USES_MAX);
    assert_int_equal(u[0].uses, 2);
    assert_int_equal(u[NW_STALE_USES_MAX - 1].uses, 2);
    script_free(t);
}

static void detection__changes_no_other_counter(void **state)
{
    (void)state;
    static const char *const modes[] = { "native", "nested", "shadow" };
    for (unsigned i = 0; i < NW_ARRAY_LEN(modes); i++) {
        struct script *t = change_then(0, PAGE, 1);
        access_page(t, PAGE, NW_STORE);
        access_page(t, LARGE, NW_STORE);
        access_page(t, GLOBAL_PAGE, NW_FETCH);
        replay(t, modes[i], NW_ENGINE_FAST, false);
        struct nw_result plain = t->result;
        char difference[256];
        replay(t, modes[i], NW_ENGINE_FAST, true);
        t->result.config.detect_stale = 0; /* leaves the detector's own counters out */
        if (nw_result_differ(&plain, &t->result, difference, sizeof difference))
            fail_msg("%s: %s", modes[i], difference);
        nw_result_fini(&plain);
        script_free(t);
    }
}

/* The file is what the command-line tests replay. NW_TEST_REGENERATE=1 in the environment writes it anew. */
static void the_example_file__lacks_one_flush(void **state)
{
    (void)state;
    const char *path = NW_TEST_DATA "/traces/missing-flush.nwt";
    struct script *t = change_then(0, PAGE, FRAME ^ OTHER_FRAME);
    struct nw_error err = { 0 };
    struct nw_source *source;
    struct nw_result r;
    struct nw_config c;
    access_page(t, GLOBAL_PAGE, NW_FETCH);
    access_page(t, PAGE, NW_STORE);
    access_page(t, PAGE, NW_LOAD);
    event(t, NW_EV_INVLPG, PAGE, 0, 0);
    access_page(t, PAGE, NW_LOAD);
    if (getenv("NW_TEST_REGENERATE")) {
        struct nw_nwt_writer *w;
        snprintf(t->info.origin, sizeof t->info.origin, "written by hand");
        snprintf(t->info.workload, sizeof t->info.workload,
                 "a page is remapped, and its INVLPG comes two accesses late");
        need(nw_nwt_writer_create(&w, path, &t->info, &err), &err);
        for (uint32_t i = 0, e = 0; i < t->accesses; i++) {
            for (; e < t->events && t->event[e].at == i; e++)
                need(nw_nwt_write_event(w, &t->event[e], &err), &err);
            need(nw_nwt_write_access(w, t->address[i], t->kind[i], &err), &err);
        }
        need(nw_nwt_writer_close(w, &err), &err);
    }
    nw_config_init(&c);
    c.detect_stale = 1;
    need(nw_nwt_open(&source, path, &err), &err);
    need(nw_replay(source, &c, NULL, &r, &err), &err);
    const struct nw_stale_use *u = run(t, "native", 2, 1);
    assert_int_equal(r.stale.accesses, 2);
    assert_int_equal(r.stale.use_count, 1);
    assert_memory_equal(&r.stale.use[0], u, sizeof *u);
    nw_source_destroy(source);
    nw_result_fini(&r);
    nw_config_fini(&c);
    script_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unmapped_page__still_used_is_reported_with_the_write),
        cmocka_unit_test(another_frame__is_reported_with_both_addresses),
        cmocka_unit_test(fewer_rights__matter_only_to_accesses_that_need_them),
        cmocka_unit_test(more_rights__are_no_stale_use),
        cmocka_unit_test(a_covering_invalidation__is_silence),
        cmocka_unit_test(a_page_directory_entry__is_on_the_way),
        cmocka_unit_test(a_split_large_page__is_stale_only_where_it_differs),
        cmocka_unit_test(one_invlpg__reaches_every_piece_of_a_large_page),
        cmocka_unit_test(a_stale_walk_cache__spoils_new_translations),
        cmocka_unit_test(another_root_under_the_same_pcid__has_no_write_to_blame),
        cmocka_unit_test(reports__are_bounded_and_counts_are_not),
        cmocka_unit_test(detection__changes_no_other_counter),
        cmocka_unit_test(the_example_file__lacks_one_flush),
    };
    return cmocka_run_group_tests_name("stale translations", tests, NULL, NULL);
}
