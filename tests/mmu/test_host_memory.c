/* test_host_memory.c - conservation of frames and of contents over random operations, and what the check finds. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
/* after those four */
#include <cmocka.h>
#include <nestwalk/base/rng.h>
#include <nestwalk/mmu/host_memory.h>

enum { GUESTS = 3, GPNS = 700, FRAMES = 900, SLOTS = 1100, CONTENTS = 40 };

/* Frames that may be taken, as whoever chooses victims would keep them. */
struct world {
    struct nw_hostmem *h;
    struct nw_rng rng;
    bool takable[FRAMES];
    uint64_t takable_count;
    uint64_t expected[GUESTS][GPNS]; /* the oracle: what was stored last */
    uint64_t version;
};

static void gained(void *context, uint32_t frame)
{
    struct world *w = context;
    assert_false(w->takable[frame]);
    w->takable[frame] = true;
    w->takable_count++;
}
static void lost(void *context, uint32_t frame)
{
    struct world *w = context;
    assert_true(w->takable[frame]);
    assert_int_not_equal(w->h->frame[frame].user, NW_NONE32);
    w->takable[frame] = false;
    w->takable_count--;
}

static void begin(struct world *w, uint64_t seed)
{
    struct nw_error err = { 0 };
    *w = (struct world){ .rng = nw_rng_seeded(seed) };
    const struct nw_hostmem_config c = {
        .frames = FRAMES, .slots = SLOTS, .guests = GUESTS, .shares = true, .gained = gained, .lost = lost, .context = w
    };
    assert_int_equal(nw_hostmem_create(&w->h, &c, &err), NW_OK);
}

static void check(const struct world *w, uint64_t seed, int step)
{
    struct nw_error err = { 0 };
    if (nw_hostmem_check(w->h, &err))
        fail_msg("seed %d, step %d: %s", (int)seed, step, err.text);
}

/* The cheap part, after every step. */
static void check_counts(const struct world *w, uint64_t seed, int step)
{
    uint64_t all = 0;
    for (int k = 0; k < NW_FRAME_KINDS; k++)
        all += w->h->kind[k];
    if (all != FRAMES || w->takable_count != w->h->kind[NW_FRAME_GUEST] + w->h->kind[NW_FRAME_SHARED])
        fail_msg("seed %d, step %d: %" PRIu64 " frames, %" PRIu64 " takable", (int)seed, step, all, w->takable_count);
}

static uint32_t random_takable(struct world *w)
{
    uint32_t frame;
    do
        frame = (uint32_t)nw_rng_below(&w->rng, FRAMES);
    while (!w->takable[frame]);
    return frame;
}

static uint64_t new_content(struct world *w)
{
    return nw_rng_below(&w->rng, 2) ? nw_rng_below(&w->rng, CONTENTS) : 1000 + ++w->version;
}

static void resident(struct world *w, uint32_t page)
{
    switch ((enum nw_backing)nw_hostmem_at(w->h, page)->backing) {
    case NW_BACKING_NONE: nw_hostmem_back(w->h, page); break;
    case NW_BACKING_SLOT: nw_hostmem_swap_in(w->h, page); break;
    case NW_BACKING_BLOCK: nw_hostmem_fill(w->h, page, nw_hostmem_at(w->h, page)->place); break;
    case NW_BACKING_FRAME: break;
    }
}

/* Room for whatever comes. */
static void make_room(struct world *w)
{
    while (w->h->kind[NW_FRAME_FREE] < 6) {
        const uint32_t frame = random_takable(w), page = w->h->frame[frame].user;
        if (w->h->free_slots) {
            nw_hostmem_swap_out(w->h, frame);
            continue;
        }
        nw_hostmem_discard(w->h, page);
        w->expected[nw_hostmem_guest_of(w->h, page)][nw_hostmem_gpn_of(w->h, page)] = 0;
    }
}

static void one_step(struct world *w, uint64_t seed, int step)
{
    struct nw_hostmem *h = w->h;
    struct nw_error err = { 0 };
    const unsigned guest = (unsigned)nw_rng_below(&w->rng, GUESTS);
    const uint64_t gpn = nw_rng_below(&w->rng, GPNS);
    uint32_t page, other;
    make_room(w);
    assert_int_equal(nw_hostmem_page(h, guest, gpn, &page, &err), NW_OK);
    struct nw_page *p = nw_hostmem_at(h, page);
    assert_int_equal(nw_hostmem_guest_of(h, page), guest);
    assert_int_equal(nw_hostmem_gpn_of(h, page), gpn);
    const uint32_t kind = p->backing == NW_BACKING_FRAME ? h->frame[p->place].kind : NW_FRAME_FREE;
    uint64_t *expected = &w->expected[guest][gpn];
    switch (nw_rng_below(&w->rng, 12)) {
    case 0: /* read */
    case 1:
        resident(w, page);
        if (h->frame[p->place].content != *expected || !nw_hostmem_intact(h, page))
            fail_msg("seed %d, step %d: guest %u reads %" PRIu64 " in page %" PRIu64 ", wrote %" PRIu64, (int)seed,
                     step, guest, h->frame[p->place].content, gpn, *expected);
        break;
    case 2: /* write */
    case 3:
    case 4:
        resident(w, page);
        if (h->frame[p->place].kind == NW_FRAME_SHARED)
            nw_hostmem_break(h, page);
        nw_hostmem_store(h, page, *expected = new_content(w));
        break;
    case 5: /* a whole page overwritten */
        if (p->backing != NW_BACKING_FRAME)
            nw_hostmem_fill(h, page, *expected = new_content(w));
        break;
    case 6: /* balloon */
        if (kind != NW_FRAME_PINNED) {
            nw_hostmem_discard(h, page);
            *expected = 0;
        }
        break;
    case 7: /* swap */
        if (w->takable_count && h->free_slots)
            nw_hostmem_swap_out(h, random_takable(w));
        break;
    case 8: /* sharing */
        if (kind == NW_FRAME_GUEST)
            nw_hostmem_share(h, page);
        break;
    case 9:
        assert_int_equal(
            nw_hostmem_page(h, (unsigned)nw_rng_below(&w->rng, GUESTS), nw_rng_below(&w->rng, GPNS), &other, &err),
            NW_OK);
        if (kind == NW_FRAME_SHARED && nw_hostmem_at(h, other)->backing == NW_BACKING_FRAME &&
            h->frame[nw_hostmem_at(h, other)->place].kind == NW_FRAME_GUEST) {
            const bool equal = h->frame[p->place].content == h->frame[nw_hostmem_at(h, other)->place].content;
            assert_int_equal(nw_hostmem_merge(h, other, p->place), equal);
        }
        break;
    case 10: /* device */
        if (kind == NW_FRAME_GUEST && h->kind[NW_FRAME_PINNED] < FRAMES / 8)
            nw_hostmem_pin(h, page);
        else if (kind == NW_FRAME_PINNED)
            nw_hostmem_unpin(h, page);
        break;
    case 11: /* the disk image: here block n's content is n */
        if (kind == NW_FRAME_GUEST && *expected < CONTENTS) {
            nw_hostmem_link_block(h, page, (uint32_t)*expected);
            if (nw_rng_below(&w->rng, 2))
                nw_hostmem_drop_to_block(h, p->place, (uint32_t)*expected);
        } else if (kind == NW_FRAME_GUEST && p->link != NW_NONE32 && !p->linked_block) {
            nw_hostmem_forget_slot(h, page);
        }
        break;
    }
}

/* Whether others have a page of the same frame, by looking at all of them. */
static void check_across(const struct world *w)
{
    const struct nw_hostmem *h = w->h;
    for (uint32_t page = 0; page < h->pages; page++) {
        const struct nw_page *p = nw_hostmem_at(h, page);
        if (p->backing != NW_BACKING_FRAME || h->frame[p->place].kind != NW_FRAME_SHARED)
            continue;
        const unsigned guest = nw_hostmem_guest_of(h, page);
        bool across = false;
        for (uint32_t other = 0; other < h->pages && !across; other++)
            across = nw_hostmem_at(h, other)->backing == NW_BACKING_FRAME &&
                     nw_hostmem_at(h, other)->place == p->place && nw_hostmem_guest_of(h, other) != guest;
        assert_int_equal(nw_hostmem_shared_across(h, guest, p->place), across);
    }
}

static void contents__survive_a_million_random_operations(void **state)
{
    (void)state;
    static struct world w;
    for (uint64_t seed = 1; seed <= 2; seed++) {
        begin(&w, seed);
        for (int i = 0; i < 1000000; i++) {
            one_step(&w, seed, i);
            check_counts(&w, seed, i);
            if (i % 2000 == 0)
                check(&w, seed, i);
        }
        check(&w, seed, -1);
        nw_hostmem_destroy(w.h);
    }
}

static void conservation__holds_at_every_step(void **state)
{
    (void)state;
    static struct world w;
    begin(&w, 99);
    for (int i = 0; i < 20000; i++) {
        one_step(&w, 99, i);
        check(&w, 99, i);
        if (i % 1000 == 0)
            check_across(&w);
    }
    nw_hostmem_destroy(w.h);
}

/* What was made wrong on purpose is found. */
static void check__finds_what_is_wrong(void **state)
{
    (void)state;
    static struct world w;
    static const char *const found[] = { "written last", "which counts", "are counted as", "free frame",
                                         "kept has another" };
    for (int wrong = 0; wrong < 5; wrong++) {
        struct nw_error err = { 0 };
        uint32_t page, other;
        begin(&w, 7);
        assert_int_equal(nw_hostmem_page(w.h, 0, 5, &page, &err), NW_OK);
        assert_int_equal(nw_hostmem_page(w.h, 1, 600, &other, &err), NW_OK);
        nw_hostmem_back(w.h, page);
        nw_hostmem_store(w.h, page, 77);
        nw_hostmem_back(w.h, other);
        nw_hostmem_store(w.h, other, 77);
        assert_true(nw_hostmem_swap_out(w.h, nw_hostmem_at(w.h, other)->place));
        nw_hostmem_swap_in(w.h, other);
        check(&w, 7, wrong);
        struct nw_page *p = nw_hostmem_at(w.h, page);
        switch (wrong) {
        case 0: w.h->frame[p->place].content = 78; break;
        case 1: w.h->frame[p->place].users = 2; break;
        case 2: w.h->kind[NW_FRAME_TABLE]++; break;
        case 3: w.h->fresh_frame++; break;
        case 4: w.h->slot[nw_hostmem_at(w.h, other)->link].content = 1; break;
        }
        assert_int_equal(nw_hostmem_check(w.h, &err), NW_ERR_INTERNAL);
        if (!strstr(err.text, found[wrong]))
            fail_msg("wrong %d: %s", wrong, err.text);
        nw_hostmem_destroy(w.h);
    }
}

static void swap__a_clean_page_is_not_written_again(void **state)
{
    (void)state;
    static struct world w;
    struct nw_error err = { 0 };
    uint32_t page;
    begin(&w, 1);
    assert_int_equal(nw_hostmem_page(w.h, 0, 0, &page, &err), NW_OK);
    nw_hostmem_back(w.h, page);
    nw_hostmem_store(w.h, page, 5);
    assert_true(nw_hostmem_swap_out(w.h, nw_hostmem_at(w.h, page)->place));
    nw_hostmem_swap_in(w.h, page);
    assert_false(nw_hostmem_swap_out(w.h, nw_hostmem_at(w.h, page)->place));
    nw_hostmem_swap_in(w.h, page);
    nw_hostmem_store(w.h, page, 6);
    assert_int_equal(w.h->free_slots, SLOTS);
    assert_true(nw_hostmem_swap_out(w.h, nw_hostmem_at(w.h, page)->place));
    nw_hostmem_destroy(w.h);
}

/* Four levels of tables with the first page, a leaf more for each 512 pages, two where a second level begins. */
static void tables__are_counted(void **state)
{
    (void)state;
    static struct world w;
    struct nw_error err = { 0 };
    uint32_t page;
    begin(&w, 1);
    assert_int_equal(nw_hostmem_page(w.h, 0, 0, &page, &err), NW_OK);
    assert_int_equal(w.h->kind[NW_FRAME_TABLE], 4);
    assert_int_equal(nw_hostmem_page(w.h, 0, 511, &page, &err), NW_OK);
    assert_int_equal(w.h->kind[NW_FRAME_TABLE], 4);
    assert_int_equal(nw_hostmem_page(w.h, 0, 512, &page, &err), NW_OK);
    assert_int_equal(w.h->kind[NW_FRAME_TABLE], 5);
    assert_int_equal(nw_hostmem_tables_needed(w.h, 0, 512 * 512), 2);
    nw_hostmem_destroy(w.h);
}

static void sizes__that_make_no_sense_are_refused(void **state)
{
    (void)state;
    struct nw_error err = { 0 };
    struct nw_hostmem *h;
    assert_int_equal(nw_hostmem_create(&h, &(struct nw_hostmem_config){ .guests = 1 }, &err), NW_ERR_USAGE);
    assert_int_equal(nw_hostmem_create(&h, &(struct nw_hostmem_config){ .frames = 10 }, &err), NW_ERR_USAGE);
    assert_non_null(strstr(err.text, "allowed are"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contents__survive_a_million_random_operations),
        cmocka_unit_test(conservation__holds_at_every_step),
        cmocka_unit_test(check__finds_what_is_wrong),
        cmocka_unit_test(swap__a_clean_page_is_not_written_again),
        cmocka_unit_test(tables__are_counted),
        cmocka_unit_test(sizes__that_make_no_sense_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
