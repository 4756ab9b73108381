/* The AMD IOMMU against a second one that was written anew (naive_amdvi.h), over random tables. The
 * environment variables NW_SEED and NW_WORLDS repeat or lengthen a run. */
#include "naive_amdvi.h"

#include "random_amdvi.h"

enum { REQUESTS = 24 };

static struct nw_amdvi_request random_request(struct world *w)
{
    struct nw_amdvi_request q = { .device_id = chance(w, 970) ? w->device[below(w, 2)] : (uint16_t)below(w, 0x400),
                                  .address = w->address[below(w, PATHS)] };
    q.kind = chance(w, 100) ? NW_AMDVI_ATOMIC : (enum nw_amdvi_request_kind)below(w, 2);
    q.type = chance(w, 800) ? NW_AMDVI_UNTRANSLATED : (enum nw_amdvi_address_type)below(w, 3);
    q.intx = chance(w, 200);
    if (chance(w, 80))
        q.address ^= NW_BIT(below(w, 64));
    return q;
}

static unsigned seen[16], seen_flags[4], sizes[64], set_flags;

static void check_request(struct world *w, struct nw_amdvi_request q, uint64_t seed)
{
    struct naive n = { .t = w->t, .q = q };
    struct nw_amdvi_result r;
    naive_translate(&n);
    nw_amdvi_translate(&w->t, &q, &r);
    bool same = r.event.code == n.code;
    if (n.code)
        same = same && r.event.flags == n.flags && r.event.address == n.event_address && r.event.logged == n.logged &&
               r.event.domain_id == n.domain && r.event.device_id == q.device_id;
    else
        same = same && r.hpa.v == n.hpa && r.rights == (n.read ? 1 : 0) + (n.write ? 2 : 0) &&
               r.page_log2 == (n.page_log2 ? n.page_log2 : 64) && r.untranslated_only == n.u &&
               r.force_coherent == n.fc;
    if (!same)
        fail_msg("seed %llu: device %x address %llx kind %d type %d: event %x flags %x hpa %llx, naive %x %x %llx",
                 (unsigned long long)seed, q.device_id, (unsigned long long)q.address, q.kind, q.type, r.event.code,
                 r.event.flags, (unsigned long long)r.hpa.v, n.code, n.flags, (unsigned long long)n.hpa);
    for (int i = 0; i < n.sets; i++)
        for (unsigned k = 0; k < w->words; k++)
            if (w->at[k] == n.set[i].address) {
                set_flags += (w->word[k] | n.set[i].bits) != w->word[k];
                w->word[k] |= n.set[i].bits;
            }
    for (unsigned i = 0; i < w->words; i++)
        if (get64(w->pm, w->at[i]) != w->word[i])
            fail_msg("seed %llu: word at %llx is %llx, not %llx", (unsigned long long)seed,
                     (unsigned long long)w->at[i], (unsigned long long)get64(w->pm, w->at[i]),
                     (unsigned long long)w->word[i]);
    seen[n.code]++;
    sizes[n.page_log2]++;
    if (n.code == 2)
        seen_flags[!(n.flags & F_PR) ? 0 : n.flags & F_PE ? 1 : n.flags & F_RZ ? 2 : 3]++;
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 0) : otherwise;
}

static void amdvi__random_tables_agree_with_the_second_walk(void **state)
{
    (void)state;
    uint64_t seed = number_of("NW_SEED", 1), worlds = number_of("NW_WORLDS", 6000);
    struct world *w = malloc(sizeof *w);
    assert_non_null(w);
    for (uint64_t i = 0; i < worlds; i++) {
        build(w, seed + i, true);
        for (unsigned k = 0; k < REQUESTS; k++)
            check_request(w, random_request(w), seed + i);
        nw_physmem_destroy(w->pm);
    }
    free(w);
    if (worlds < 6000)
        return;
    static const uint8_t codes[] = { 0, 1, 2, 3, 4, 8 };
    for (unsigned i = 0; i < sizeof codes; i++)
        assert_true(seen[codes[i]] > 50);
    for (unsigned i = 0; i < 4; i++)
        assert_true(seen_flags[i] > 50);
    for (unsigned log2 = 12; log2 <= 52; log2++)
        if (!sizes[log2])
            fail_msg("no page of 2^%u bytes was met", log2);
    assert_true(set_flags > 1000);
}

/* Each bit of each word that a request may read, flipped and put back. */
static void amdvi__every_bit_of_every_entry_agrees(void **state)
{
    (void)state;
    uint64_t seed = number_of("NW_SEED", 100000), worlds = number_of("NW_WORLDS", 200);
    struct world *w = malloc(sizeof *w);
    assert_non_null(w);
    memset(seen, 0, sizeof seen);
    memset(seen_flags, 0, sizeof seen_flags);
    for (uint64_t i = 0; i < worlds; i++) {
        build(w, seed + i, false);
        for (unsigned word = 0; word < w->words; word++) {
            struct nw_amdvi_request q = random_request(w);
            for (unsigned bit = 0; bit < 64; bit++) {
                put(w, w->at[word], w->word[word] ^ NW_BIT(bit));
                check_request(w, q, seed + i);
                put(w, w->at[word], w->word[word] ^ NW_BIT(bit));
            }
        }
        nw_physmem_destroy(w->pm);
    }
    free(w);
    if (worlds < 200)
        return;
    assert_true(seen[1] > 50);
    for (unsigned i = 0; i < 4; i++)
        assert_true(seen_flags[i] > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(amdvi__random_tables_agree_with_the_second_walk),
                                        cmocka_unit_test(amdvi__every_bit_of_every_entry_agrees) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
