/* What a device behind an AMD IOMMU can reach, all at once, against one translation after the other, over random host tables with
 * special ranges and an exclusion range. Guests' tables are in test_amdvi_sequence.c. */
#include "random_amdvi.h"
#include "reach_list.h"

static uint64_t asked, reached[4], identities, nothing;

static void compare(struct world *w, const struct nw_reach_request *q, const struct list *l,
                    const struct nw_reach_summary *sum, uint64_t iova, uint64_t seed)
{
    const struct nw_reach_window *window = window_of(l, iova);
    unsigned rights = 0;
    uint64_t hpa = 0;
    for (unsigned kind = 0; kind < 2; kind++) {
        struct nw_amdvi_result r;
        const struct nw_amdvi_request request = { .device_id = q->source_id,
                                                  .address = iova,
                                                  .kind = kind ? NW_AMDVI_WRITE : NW_AMDVI_READ };
        nw_amdvi_translate(&w->t, &request, &r);
        rights |= r.event.code ? 0 : kind ? NW_REACH_WRITE : NW_REACH_READ;
        hpa = r.event.code ? hpa : r.hpa.v;
        for (unsigned i = 0; i < w->words; i++) /* flags that it has set: now and then a table is also something else */
            put64(w->pm, w->at[i], w->word[i]);
    }
    asked++;
    reached[rights]++;
    if (sum->reason)
        assert_int_equal(rights, 0);
    else if ((window ? window->rights : 0) != rights || (rights && window->target + (iova - window->iova) != hpa))
        fail_msg("seed %llu: device %x iova %llx: rights %u at %llx, expected %u at %llx", (unsigned long long)seed,
                 q->source_id, (unsigned long long)iova, window ? window->rights : 0,
                 window ? (unsigned long long)(window->target + (iova - window->iova)) : 0, rights,
                 (unsigned long long)hpa);
}

struct sources {
    struct world *w;
    bool found[2];
};
static bool note_source(void *context, const struct nw_reach_request *q)
{
    struct sources *s = context;
    for (unsigned i = 0; i < 2; i++)
        s->found[i] |= q->source_id == s->w->device[i];
    return true;
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 0) : otherwise;
}

static void amdvi__windows_are_what_requests_find(void **state)
{
    (void)state;
    static const uint64_t special[] = { 0xfee00000,
                                        0xfedff000,
                                        0xfef00000,
                                        UINT64_C(0xfdf9100000),
                                        UINT64_C(0xfdf9200000),
                                        UINT64_C(0xfdfc000000),
                                        UINT64_C(0xfdfe000000),
                                        UINT64_C(0xfdfbfff000) };
    const uint64_t first = number_of("NW_SEED", 1), worlds = number_of("NW_WORLDS", 2000);
    static struct world w;
    static struct list l;
    for (uint64_t seed = first; seed < first + worlds; seed++) {
        build(&w, seed, true);
        struct sources s = { .w = &w };
        bool more;
        nw_amdvi_reach_sources(&w.t, NULL, note_source, &s, &more);
        assert_false(more);
        for (unsigned d = 0; d < 2; d++) {
            struct nw_reach_request q = { .source_id = w.device[d] };
            struct nw_reach_summary sum, once;
            l.count = 0;
            must(nw_amdvi_reach(&w.t, &q, take, &l, &sum, err));
            identities += sum.identity;
            nothing += sum.reason != 0;
            assert_true(!l.count || s.found[d]);
            if (sum.identity || sum.stopped)
                continue;
            for (unsigned i = 0; i < PATHS; i++) {
                compare(&w, &q, &l, &sum, w.address[i], seed);
                compare(&w, &q, &l, &sum, w.address[i] ^ NW_BIT(below(&w, 64)), seed);
            }
            for (unsigned i = 0; i < NW_ARRAY_LEN(special); i++)
                compare(&w, &q, &l, &sum, special[i] + below(&w, 4096), seed);
            compare(&w, &q, &l, &sum, (w.t.exclusion_base & nw_mask(51, 12)) + below(&w, 4096), seed);
            for (unsigned i = 0; i < l.count && i < 30; i++) {
                compare(&w, &q, &l, &sum, l.w[i].iova, seed);
                compare(&w, &q, &l, &sum, l.w[i].iova - 1, seed);
                compare(&w, &q, &l, &sum, l.w[i].iova + l.w[i].bytes, seed);
                compare(&w, &q, &l, &sum, l.w[i].iova + below(&w, l.w[i].bytes), seed);
            }
            struct nw_frame_set *all = once_set(&l), *some;
            must(nw_frame_set_create(&some, err));
            q.targets_once = true;
            must(nw_amdvi_reach(&w.t, &q, nw_frame_set_take, some, &once, err));
            same_sets(all, some);
        }
        nw_physmem_destroy(w.pm);
    }
    if (worlds < 2000)
        return;
    assert_true(asked > 50000 && reached[1] > 300 && reached[2] > 300 && reached[3] > 3000 && nothing > 50 &&
                identities > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(amdvi__windows_are_what_requests_find) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
