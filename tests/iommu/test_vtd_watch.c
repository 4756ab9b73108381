/* What a watcher is told: every word that a translation reads, as many as the result counts, and nothing that changes it. */
#include "random_vtd.h"
#include <nestwalk/iommu/vtd_watch.h>

static void vtd__every_reason_has_text_and_remedy(void **state)
{
    (void)state;
    unsigned reasons = 0;
    for (unsigned reason = 0; reason < 256; reason++) {
        const char *text = nw_vtd_fault_text(reason), *remedy = nw_vtd_fault_remedy(reason);
        if (!text != !remedy)
            fail_msg("reason %x has %s", reason, text ? "no remedy" : "no text");
        if (!text)
            continue;
        reasons++;
        assert_true(strlen(text) > 10 && strlen(remedy) > 20);
        assert_true(remedy[0] >= 'A' && remedy[0] <= 'Z' && remedy[strlen(remedy) - 1] == '.');
    }
    assert_true(reasons > 60);
    assert_null(nw_vtd_fault_remedy(0));
    assert_null(nw_vtd_fault_remedy(NW_VTD_FAULT_REASONS));
}

struct told {
    struct world *w;
    unsigned needs;
    uint64_t address;
};

static void need(void *context, uint64_t address)
{
    struct told *t = context;
    assert_int_equal(t->needs, t->w->t.watch->count); /* before the word is kept */
    t->needs++;
    t->address = address;
}

static bool in_ram(uint64_t address)
{
    bool in = false;
    for (unsigned i = 0; i < NW_ARRAY_LEN(ram); i++)
        in |= address >= ram[i].start && address < ram[i].end;
    return in;
}

#define FLAGS (NW_BIT(5) | NW_BIT(6) | NW_BIT(8) | NW_BIT(9) | NW_BIT(10)) /* A and D of either stage, EA */

static void check_reads(const struct world *w, const struct nw_vtd_watch *watch)
{
    for (unsigned i = 0; i < watch->count; i++) {
        const struct nw_vtd_read *r = &watch->read[i];
        char name[64], decoded[256];
        nw_vtd_read_name(r, name, sizeof name);
        nw_vtd_read_decode(r, decoded, sizeof decoded);
        assert_true(name[0] && decoded[0] && strlen(decoded) < sizeof decoded - 1);
        assert_int_equal(r->readable, in_ram(r->address));
        bool paging = r->table >= NW_VTD_FIRST_STAGE_ENTRY;
        assert_true(paging ? r->level >= 1 && r->level <= 5 && !r->word : !r->level && r->word < 8);
        if (!paging && r->word) /* the words of an entry lie side by side */
            assert_true(r->address == r[-1].address + 8 && r->word == r[-1].word + 1 && r->table == r[-1].table);
        /* Memory as it was, but for the flags that the request has set when it came by before. */
        uint64_t changed = r->value ^ (r->readable ? get(w, r->address) : 0);
        bool before = false;
        for (unsigned j = 0; j < i; j++)
            before |= watch->read[j].address == r->address;
        assert_true(!(changed & ~FLAGS) && (!changed || before));
    }
}

/* Twice the same request, from the same tables: with a watcher and without. */
static void vtd__a_watcher_is_told_of_each_word_and_changes_nothing(void **state)
{
    (void)state;
    struct world *w = malloc(sizeof *w);
    unsigned met[NW_VTD_TABLES] = { 0 }, faults = 0, done = 0;
    assert_non_null(w);
    for (uint64_t seed = 1; seed <= 500; seed++) {
        for (unsigned half = 0; half < 2; half++) { /* a read or write with or without PASID, and another */
            unsigned k = (unsigned)(seed % 8) ^ (half ? 7 : 0);
            struct nw_vtd_watch watch = { .need = need };
            struct nw_vtd_result seen, plain;
            struct told told = { .w = w };
            build(w, seed, true);
            struct nw_vtd_request q = { .source_id = w->source[k & 1],
                                        .address = w->iova[k % PATHS],
                                        .kind = k & 2 ? NW_VTD_WRITE : NW_VTD_READ,
                                        .has_pasid = (w->t.rtaddr & 0x400) && (k & 4),
                                        .pasid = w->pasid[k >> 1 & 1] };
            watch.context = &told;
            w->t.watch = &watch;
            nw_vtd_translate(&w->t, &q, &seen);
            assert_int_equal(watch.count, seen.references);
            assert_int_equal(told.needs, seen.references);
            assert_true(watch.count <= NW_VTD_READS_MAX);
            if (watch.count)
                assert_true(told.address == watch.read[watch.count - 1].address);
            check_reads(w, &watch);
            for (unsigned i = 0; i < watch.count; i++)
                met[watch.read[i].table]++;
            nw_physmem_destroy(w->pm);
            build(w, seed, true);
            nw_vtd_translate(&w->t, &q, &plain);
            assert_int_equal(plain.fault.reason, seen.fault.reason);
            assert_int_equal(plain.references, seen.references);
            assert_true(plain.fault.reason || plain.hpa.v == seen.hpa.v);
            faults += plain.fault.reason != 0;
            done++;
            nw_physmem_destroy(w->pm);
        }
    }
    free(w);
    for (unsigned i = 0; i < NW_VTD_TABLES; i++)
        assert_true(met[i] > 100);
    assert_true(faults > 100 && done - faults > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(vtd__every_reason_has_text_and_remedy),
                                        cmocka_unit_test(vtd__a_watcher_is_told_of_each_word_and_changes_nothing) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
