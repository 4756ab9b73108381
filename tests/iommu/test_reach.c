/* What a device can reach, all at once, against one translation after the other; and sets of memory against a plain array. */
#include "random_vtd.h"
#include "reach_list.h"

/* ---- sets of memory ----------------------------------------------------------------------------- */

enum { PAGES = 1 << 17 }; /* four chunks and parts of them */

static void check_set(struct nw_frame_set *s, const uint8_t *plain)
{
    uint64_t expected[4] = { 0 };
    struct nw_frame_range r;
    uint64_t at = 0;
    for (uint64_t i = 0; i < PAGES; i++) {
        expected[1] += plain[i] & 1 ? 4096 : 0;
        expected[2] += plain[i] & 2 ? 4096 : 0;
        expected[3] += plain[i] == 3 ? 4096 : 0;
    }
    for (unsigned rights = 1; rights < 4; rights++)
        assert_true(nw_frame_set_bytes(s, rights) == expected[rights]);
    while (nw_frame_set_next(s, at, &r)) {
        assert_true(r.start >= at && r.end > r.start && r.rights);
        for (uint64_t p = at; p < r.start; p += 4096)
            assert_int_equal(plain[p / 4096], 0);
        for (uint64_t p = r.start; p < r.end; p += 4096)
            assert_int_equal(plain[p / 4096], r.rights);
        assert_true(r.end / 4096 == PAGES || plain[r.end / 4096] != r.rights);
        at = r.end;
    }
    for (uint64_t p = at / 4096; p < PAGES; p++)
        assert_int_equal(plain[p], 0);
}

static void sets__hold_what_was_added(void **state)
{
    (void)state;
    uint8_t *plain = malloc(PAGES);
    assert_non_null(plain);
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct nw_rng rng = nw_rng_seeded(seed);
        struct nw_frame_set *s;
        memset(plain, 0, PAGES);
        must(nw_frame_set_create(&s, err));
        check_set(s, plain);
        for (unsigned i = 0; i < 40; i++) {
            const uint64_t first = nw_rng_below(&rng, PAGES);
            uint64_t count = 1 + nw_rng_below(&rng, nw_rng_below(&rng, 3) ? 300 : PAGES);
            const unsigned rights = 1 + (unsigned)nw_rng_below(&rng, 3);
            count = count < PAGES - first ? count : PAGES - first;
            must(nw_frame_set_add(s, first * 4096, count * 4096, rights, err));
            for (uint64_t p = first; p < first + count; p++)
                plain[p] |= (uint8_t)rights;
            const uint64_t probe = nw_rng_below(&rng, PAGES);
            assert_int_equal(nw_frame_set_rights(s, probe * 4096 + 17), plain[probe]);
        }
        check_set(s, plain);
        must(nw_frame_set_status(s, err));
        nw_frame_set_destroy(s);
    }
    nw_frame_set_destroy(NULL);
    free(plain);
    /* all of 2^52 costs little when it is uniform */
    struct nw_frame_set *s;
    struct nw_frame_range r;
    must(nw_frame_set_create(&s, err));
    must(nw_frame_set_add(s, UINT64_C(1) << 40, UINT64_C(1) << 40, NW_REACH_BOTH, err));
    assert_true(nw_frame_set_next(s, 0, &r) && r.start == UINT64_C(1) << 40 && r.end == UINT64_C(1) << 41);
    assert_false(nw_frame_set_next(s, r.end, &r));
    /* with parts before, in and behind it */
    must(nw_frame_set_add(s, (UINT64_C(1) << 40) - 8192, 8192, NW_REACH_BOTH, err));
    must(nw_frame_set_add(s, (UINT64_C(1) << 40) + 0x5000, 4096, NW_REACH_READ, err));
    must(nw_frame_set_add(s, UINT64_C(1) << 41, (UINT64_C(1) << 40) + 4096, NW_REACH_READ, err));
    must(nw_frame_set_add(s, (UINT64_C(1) << 41) + 0x7000, 4096, NW_REACH_WRITE, err));
    must(nw_frame_set_add(s, UINT64_C(1) << 51, UINT64_C(1) << 60, NW_REACH_READ, err)); /* up to 2^52 */
    static const struct nw_frame_range expected[] = {
        { 0xffffffe000, 0x20000000000, 3 },       { 0x20000000000, 0x20000007000, 1 },
        { 0x20000007000, 0x20000008000, 3 },      { 0x20000008000, 0x30000001000, 1 },
        { 0x8000000000000, 0x10000000000000, 1 },
    };
    uint64_t from = 0;
    for (unsigned i = 0; i < NW_ARRAY_LEN(expected); i++, from = r.end)
        assert_true(nw_frame_set_next(s, from, &r) && r.start == expected[i].start && r.end == expected[i].end &&
                    r.rights == expected[i].rights);
    assert_false(nw_frame_set_next(s, from, &r));
    assert_int_equal(nw_frame_set_rights(s, 0x20000007123), 3);
    assert_int_equal(nw_frame_set_rights(s, 0x8123456789abc), 1);
    nw_frame_set_destroy(s);
}

/* ---- windows ------------------------------------------------------------------------------------ */

static uint64_t asked, reached[4], translations[NW_VTD_TRANSLATIONS], nothing, identities;

static void compare(struct world *w, const struct nw_reach_request *q, const struct list *l,
                    const struct nw_reach_summary *sum, uint64_t iova, uint64_t seed)
{
    const struct nw_reach_window *window = window_of(l, iova);
    unsigned rights = 0;
    uint64_t hpa = 0;
    for (unsigned kind = 0; kind < 2; kind++) {
        struct nw_vtd_result r;
        const struct nw_vtd_request request = { .source_id = q->source_id,
                                                .address = iova,
                                                .kind = kind ? NW_VTD_WRITE : NW_VTD_READ,
                                                .has_pasid = q->has_pasid,
                                                .pasid = q->pasid };
        nw_vtd_translate(&w->t, &request, &r);
        rights |= r.fault.reason ? 0 : kind ? NW_REACH_WRITE : NW_REACH_READ;
        hpa = r.fault.reason ? hpa : r.hpa.v;
        for (unsigned i = 0; i < w->words; i++) /* flags that it has set: now and then a table is also a root */
            put64(w->pm, w->at[i], w->word[i]);
    }
    asked++;
    reached[rights]++;
    if (sum->reason)
        assert_int_equal(rights, 0);
    else if (!sum->identity &&
             ((window ? window->rights : 0) != rights || (rights && window->target + (iova - window->iova) != hpa)))
        fail_msg("seed %llu: source %x pasid %d iova %llx (%s): rights %u at %llx, expected %u at %llx",
                 (unsigned long long)seed, q->source_id, q->has_pasid ? (int)q->pasid : -1, (unsigned long long)iova,
                 nw_vtd_translation_name[sum->translation], window ? window->rights : 0,
                 window ? (unsigned long long)(window->target + (iova - window->iova)) : 0, rights,
                 (unsigned long long)hpa);
}

static void check_requester(struct world *w, struct nw_reach_request q, uint64_t seed)
{
    static struct list l;
    struct nw_reach_summary sum, once;
    struct nw_frame_set *all, *some;
    l.count = 0;
    must(nw_vtd_reach(&w->t, &q, take, &l, &sum, err));
    translations[sum.reason ? 0 : sum.translation]++;
    nothing += sum.reason != 0;
    identities += sum.identity;
    if (sum.stopped)
        return; /* too many for this test */
    for (unsigned i = 0; i < PATHS; i++) {
        compare(w, &q, &l, &sum, w->iova[i], seed);
        compare(w, &q, &l, &sum, w->iova[i] ^ NW_BIT(below(w, 64)), seed);
        compare(w, &q, &l, &sum, w->iova[i] + 4096, seed);
    }
    for (unsigned i = 0; i < l.count && i < 40; i++) {
        assert_true(l.w[i].bytes && l.w[i].bytes % 4096 == 0 && l.w[i].iova % 4096 == 0 && l.w[i].rights);
        compare(w, &q, &l, &sum, l.w[i].iova, seed);
        compare(w, &q, &l, &sum, l.w[i].iova - 1, seed);
        compare(w, &q, &l, &sum, l.w[i].iova + l.w[i].bytes, seed);
        compare(w, &q, &l, &sum, l.w[i].iova + below(w, l.w[i].bytes), seed);
    }
    /* the same memory, each table read once */
    all = once_set(&l);
    must(nw_frame_set_create(&some, err));
    q.targets_once = true;
    must(nw_vtd_reach(&w->t, &q, nw_frame_set_take, some, &once, err));
    same_sets(all, some);
}

struct sources {
    struct world *w;
    unsigned count;
    bool found[2][3];
};
static bool note_source(void *context, const struct nw_reach_request *q)
{
    struct sources *s = context;
    s->count++;
    for (unsigned i = 0; i < 2; i++)
        if (q->source_id == s->w->source[i]) {
            s->found[i][2] |= !q->has_pasid;
            for (unsigned k = 0; k < 2; k++)
                s->found[i][k] |= q->has_pasid && q->pasid == s->w->pasid[k];
        }
    return true;
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 0) : otherwise;
}

static void vtd__windows_are_what_requests_find(void **state)
{
    (void)state;
    const uint64_t first = number_of("NW_SEED", 1), worlds = number_of("NW_WORLDS", 1500);
    static struct world w;
    for (uint64_t seed = first; seed < first + worlds; seed++) {
        build(&w, seed, true);
        struct sources s = { .w = &w };
        bool more;
        nw_vtd_reach_sources(&w.t, NULL, note_source, &s, &more);
        assert_false(more);
        for (unsigned i = 0; i < 2; i++)
            for (unsigned k = 0; k < 3; k++) {
                struct nw_reach_request q = { .source_id = w.source[i],
                                              .has_pasid = k < 2,
                                              .pasid = k < 2 ? w.pasid[k] : 0 };
                struct nw_reach_summary sum;
                static struct list l;
                l.count = 0;
                must(nw_vtd_reach(&w.t, &q, take, &l, &sum, err));
                if (l.count && !s.found[i][k])
                    fail_msg("seed %llu: source %x reaches memory and was not told of", (unsigned long long)seed,
                             q.source_id);
                check_requester(&w, q, seed);
            }
        nw_physmem_destroy(w.pm);
    }
    if (worlds < 1500)
        return;
    assert_true(asked > 50000 && reached[1] > 500 && reached[2] > 100 && reached[3] > 5000 && nothing > 200 &&
                identities > 50);
    assert_true(translations[NW_VTD_SECOND_STAGE] > 500 && translations[NW_VTD_FIRST_STAGE] > 200 &&
                translations[NW_VTD_NESTED] > 200);
}

/* A table whose every entry is itself, at each level: 512^3 ways to 512 pages. */
static void vtd__tables_that_point_at_themselves(void **state)
{
    (void)state;
    struct nw_physmem *pm;
    struct nw_frame_set *s;
    struct nw_reach_summary sum;
    struct nw_frame_range r;
    must(nw_physmem_create(&pm, err));
    put64(pm, 0x1000, 0x2001);
    put64(pm, 0x2000, 0x3001);
    put64(pm, 0x2008, 2);
    for (unsigned i = 0; i < 512; i++)
        put64(pm, 0x3000 + i * 8, 0x3003);
    struct nw_vtd_tables t = { .unit = nw_vtd_config_default(pm).unit, .memory = { .pm = pm }, .rtaddr = 0x1000 };
    struct nw_reach_request q = { .targets_once = true };
    must(nw_frame_set_create(&s, err));
    must(nw_vtd_reach(&t, &q, nw_frame_set_take, s, &sum, err));
    assert_int_equal(sum.tables, 4);
    assert_true(nw_frame_set_next(s, 0, &r) && r.start == 0x3000 && r.end == 0x4000 && r.rights == 3);
    assert_false(nw_frame_set_next(s, r.end, &r));
    nw_frame_set_destroy(s);
    /* one leaf table, first below an entry that permits reading only, then below one that permits both */
    for (unsigned i = 0; i < 512; i++)
        put64(pm, 0x3000 + i * 8, 0);
    put64(pm, 0x3000, 0x4003);
    put64(pm, 0x4000, 0x5003);
    put64(pm, 0x5000, 0x6001);
    put64(pm, 0x5008, 0x6003);
    put64(pm, 0x6000, 0x9003);
    must(nw_frame_set_create(&s, err));
    must(nw_vtd_reach(&t, &q, nw_frame_set_take, s, &sum, err));
    assert_int_equal(nw_frame_set_rights(s, 0x9000), NW_REACH_BOTH);
    nw_frame_set_destroy(s);
    nw_physmem_destroy(pm);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(sets__hold_what_was_added),
                                        cmocka_unit_test(vtd__windows_are_what_requests_find),
                                        cmocka_unit_test(vtd__tables_that_point_at_themselves) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
