/* test_sharing.c - what is merged, when, and what is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
/* after those four */
#include <cmocka.h>
#include <nestwalk/balloon/sharing.h>
#include <nestwalk/base/rng.h>

enum { PAGES = 400 };
struct world {
    struct nw_hostmem *h;
    struct nw_sharing *s;
    uint32_t page[PAGES];
};

static void begin(struct world *w, const struct nw_sharing_config *config)
{
    struct nw_error err = { 0 };
    const struct nw_hostmem_config c = { .frames = 2000, .slots = 100, .guests = 2, .shares = true };
    assert_int_equal(nw_hostmem_create(&w->h, &c, &err), NW_OK);
    assert_int_equal(nw_sharing_create(&w->s, w->h, config, &err), NW_OK);
    for (unsigned i = 0; i < PAGES; i++) {
        assert_int_equal(nw_hostmem_page(w->h, i % 2, i / 2, &w->page[i], &err), NW_OK);
        nw_hostmem_back(w->h, w->page[i]);
    }
}
static void end(struct world *w)
{
    struct nw_error err = { 0 };
    if (nw_hostmem_check(w->h, &err))
        fail_msg("%s", err.text);
    nw_sharing_destroy(w->s);
    nw_hostmem_destroy(w->h);
}
static void scan(struct world *w, uint64_t pages)
{
    struct nw_error err = { 0 };
    assert_int_equal(nw_sharing_scan(w->s, pages, &err), NW_OK);
}
static void fill(struct world *w, unsigned first, unsigned count, uint64_t content, uint64_t step)
{
    for (unsigned i = 0; i < count; i++)
        nw_hostmem_store(w->h, w->page[first + i], content + step * i);
}

/* The first pass takes checksums, the second merges: pages of one content behind one frame. */
static void ksm__merges_in_the_second_pass(void **state)
{
    (void)state;
    struct world w;
    begin(&w, &(struct nw_sharing_config){ .kind = NW_SHARING_KSM, .max_page_sharing = 1000 });
    fill(&w, 0, 300, 7, 0);
    fill(&w, 300, 100, 1000, 1);
    scan(&w, PAGES);
    assert_int_equal(w.h->shared_users, 0);
    scan(&w, PAGES);
    assert_int_equal(w.h->shared_users, 300);
    assert_int_equal(w.h->kind[NW_FRAME_SHARED], 1);
    assert_int_equal(w.h->kind[NW_FRAME_GUEST], 100);
    end(&w);
}

static void ksm__what_changes_between_looks_is_left_alone(void **state)
{
    (void)state;
    struct world w;
    begin(&w, &(struct nw_sharing_config){ .kind = NW_SHARING_KSM, .max_page_sharing = 1000 });
    for (uint64_t pass = 1; pass < 6; pass++) {
        fill(&w, 0, PAGES, pass, 0);
        scan(&w, PAGES);
    }
    assert_int_equal(w.h->shared_users, 0);
    assert_int_equal(nw_sharing_counters(w.s)->volatile_pages, 4 * PAGES);
    scan(&w, 1); /* the pass is over */
    assert_int_equal(nw_sharing_counters(w.s)->changing, PAGES);
    assert_int_equal(nw_sharing_counters(w.s)->unshared, 0);
    end(&w);
}

static void ksm__a_frame_has_max_page_sharing_users_at_most(void **state)
{
    (void)state;
    struct world w;
    begin(&w, &(struct nw_sharing_config){ .kind = NW_SHARING_KSM, .max_page_sharing = 64 });
    fill(&w, 0, PAGES, 7, 0);
    scan(&w, 3 * PAGES);
    assert_int_equal(w.h->kind[NW_FRAME_SHARED], (PAGES + 63) / 64);
    for (uint32_t f = 0; f < w.h->config.frames; f++)
        assert_true(w.h->frame[f].users <= 64);
    end(&w);
}

/* A frame that was full takes users again when it has lost some, though one of the same content was begun since. */
static void ksm__a_full_frame_that_lost_users_takes_others(void **state)
{
    (void)state;
    struct world w;
    begin(&w, &(struct nw_sharing_config){ .kind = NW_SHARING_KSM, .max_page_sharing = 4 });
    fill(&w, 0, 8, 7, 0);
    fill(&w, 8, PAGES - 8, 1000, 1);
    scan(&w, 3 * PAGES);
    assert_int_equal(w.h->kind[NW_FRAME_SHARED], 2);
    assert_int_equal(w.h->shared_users, 8);
    scan(&w, 1);
    assert_int_equal(nw_sharing_counters(w.s)->unshared, PAGES - 8);
    for (unsigned i = 0; i < 8; i += 4) { /* one of each */
        nw_hostmem_break(w.h, w.page[i]);
        nw_hostmem_store(w.h, w.page[i], 5000 + i);
    }
    fill(&w, 20, 2, 7, 0);
    scan(&w, 2 * PAGES);
    assert_int_equal(w.h->kind[NW_FRAME_SHARED], 2);
    assert_int_equal(w.h->shared_users, 8);
    end(&w);
}

static void ksm__zeros_go_behind_one_frame_without_limit(void **state)
{
    (void)state;
    struct world w;
    begin(&w, &(struct nw_sharing_config){ .kind = NW_SHARING_KSM, .max_page_sharing = 2, .use_zero_pages = true });
    fill(&w, 0, 10, 7, 0);
    scan(&w, 2 * PAGES);
    assert_int_equal(nw_sharing_counters(w.s)->zero_merged, PAGES - 10 - 1);
    assert_int_equal(w.h->kind[NW_FRAME_SHARED], 1 + 5);
    end(&w);
}

/* A page that was written to after it was shared is private again, and is merged again when it is as before. */
static void sharing__writes_break_and_are_merged_again(void **state)
{
    (void)state;
    struct world w;
    begin(&w, &(struct nw_sharing_config){ .kind = NW_SHARING_KSM, .max_page_sharing = 1000 });
    fill(&w, 0, PAGES, 7, 0);
    scan(&w, 2 * PAGES);
    assert_int_equal(w.h->kind[NW_FRAME_GUEST], 0);
    nw_hostmem_break(w.h, w.page[3]);
    nw_hostmem_store(w.h, w.page[3], 7);
    assert_int_equal(w.h->kind[NW_FRAME_GUEST], 1);
    scan(&w, PAGES / 2 + 1); /* the first guest's pages and one of the second's: they are shared already */
    assert_int_equal(w.h->kind[NW_FRAME_GUEST], 1);
    scan(&w, 1);
    assert_int_equal(w.h->kind[NW_FRAME_GUEST], 0);
    end(&w);
}

static void hints__merge_at_the_first_look(void **state)
{
    (void)state;
    struct world w;
    begin(&w, &(struct nw_sharing_config){ .kind = NW_SHARING_HINTS, .max_page_sharing = 1000, .seed = 3 });
    fill(&w, 0, 300, 7, 0);
    fill(&w, 300, 100, 1000, 1);
    scan(&w, 20 * PAGES);
    assert_int_equal(w.h->shared_users, 300);
    assert_int_equal(w.h->kind[NW_FRAME_SHARED], 1);
    end(&w);
}

/* Each page is looked at in three passes, then less and less often. */
static void smart_scan__skips_what_is_never_merged(void **state)
{
    (void)state;
    struct world w;
    begin(&w, &(struct nw_sharing_config){ .kind = NW_SHARING_KSM, .max_page_sharing = 1000, .smart_scan = true });
    fill(&w, 0, PAGES, 1000, 1);
    scan(&w, 4 * PAGES); /* ages 0 to 3; the last look sets one skip */
    assert_int_equal(nw_sharing_counters(w.s)->skipped, 0);
    scan(&w, PAGES);
    assert_int_equal(nw_sharing_counters(w.s)->skipped, PAGES);
    end(&w);
}

/* Random stores between scans: nothing is lost, and frames saved are users beyond the first. */
static void sharing__contents_stay(void **state)
{
    (void)state;
    for (unsigned kind = NW_SHARING_KSM; kind <= NW_SHARING_HINTS; kind++) {
        struct world w;
        struct nw_rng rng = nw_rng_seeded(kind);
        begin(&w,
              &(struct nw_sharing_config){
                  .kind = kind, .max_page_sharing = 16, .use_zero_pages = kind == NW_SHARING_KSM, .smart_scan = true });
        for (int i = 0; i < 20000; i++) {
            const uint32_t page = w.page[nw_rng_below(&rng, PAGES)];
            if (w.h->frame[nw_hostmem_at(w.h, page)->place].kind == NW_FRAME_SHARED)
                nw_hostmem_break(w.h, page);
            nw_hostmem_store(w.h, page, nw_rng_below(&rng, 12));
            scan(&w, nw_rng_below(&rng, 40));
            for (unsigned k = 0; k < 5; k++)
                assert_true(nw_hostmem_intact(w.h, w.page[nw_rng_below(&rng, PAGES)]));
        }
        assert_true(w.h->kind[NW_FRAME_SHARED] > 5);
        end(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ksm__merges_in_the_second_pass),
        cmocka_unit_test(ksm__what_changes_between_looks_is_left_alone),
        cmocka_unit_test(ksm__a_frame_has_max_page_sharing_users_at_most),
        cmocka_unit_test(ksm__a_full_frame_that_lost_users_takes_others),
        cmocka_unit_test(ksm__zeros_go_behind_one_frame_without_limit),
        cmocka_unit_test(sharing__writes_break_and_are_merged_again),
        cmocka_unit_test(hints__merge_at_the_first_look),
        cmocka_unit_test(smart_scan__skips_what_is_never_merged),
        cmocka_unit_test(sharing__contents_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
