/* One access explained: which look-ups come before which reference, what a warm cache saves in either dimension, both pages of an access that
 * crosses, and faults spelled out bit by bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../../sim/explain_fault.h"
#include <stdlib.h>
#include <string.h>

static const uint64_t GVA = 0x7f0000001234;

static void set(struct nw_config *c, const char *path, const char *value)
{
    struct nw_error err = { 0 };
    if (nw_config_set(c, path, value, "test", &err))
        fail_msg("%s", err.text);
}

static unsigned explain(const char *const *settings, struct nw_explain_request *q, struct nw_explanation out[2])
{
    struct nw_error err = { 0 };
    struct nw_config c;
    unsigned count;
    nw_config_init(&c);
    set(&c, "run.mode", "nested");
    for (; settings[0]; settings += 2)
        set(&c, settings[0], settings[1]);
    q->at_access = UINT64_MAX;
    q->user = true;
    if (nw_explain_access(NULL, &c, q, out, &count, &err))
        fail_msg("%s", err.text);
    nw_config_fini(&c);
    return count;
}

/* "guest_pde+" for a hit, "guest_pde-" for a miss, of the look-ups just before a reference. */
static const char *asked(const struct nw_explanation *x, unsigned reference)
{
    static char text[256];
    const struct nw_explained_reference *r = &x->reference[reference];
    text[0] = 0;
    for (unsigned i = r->first_lookup; i < r->first_lookup + r->lookup_count; i++) {
        assert_true(i < x->lookup_count);
        strcat(text, x->lookup[i].cache);
        strcat(text, x->lookup[i].hit ? "+ " : "- ");
    }
    return text;
}

static void lookups__precede_the_references_they_did_not_save(void **state)
{
    (void)state;
    static const char *const settings[] = { "psc.guest.pde.entries",
                                            "4",
                                            "psc.guest.pml4e.entries",
                                            "4",
                                            "psc.nested.pdpte.entries",
                                            "4",
                                            "nested_tlb.entries",
                                            "4",
                                            NULL };
    struct nw_explain_request q = { .gva = nw_gva(GVA), .bytes = 8 };
    struct nw_explanation x[2];
    assert_int_equal(explain(settings, &q, x), 1);
    assert_string_equal(asked(&x[0], 0), "guest_pde- guest_pml4e- nested_tlb- nested_pdpte- ");
    assert_string_equal(asked(&x[0], 1), "");
    assert_string_equal(asked(&x[0], 4), "");                           /* the guest's PML4 entry */
    assert_string_equal(asked(&x[0], 5), "nested_tlb- nested_pdpte+ "); /* for the PDPT: its first skipped reference */
    assert_string_equal(x[0].reference[5].skipped_by, "nested_pdpte");
    unsigned lookups = 0;
    for (unsigned i = 0; i < x[0].reference_count; i++) {
        assert_int_equal(x[0].reference[i].first_lookup, lookups);
        lookups += x[0].reference[i].lookup_count;
        assert_int_equal(x[0].reference[i].why[0] != 0, x[0].reference[i].skipped_by[0] != 0);
    }
    assert_int_equal(lookups, x[0].lookup_count);
    nw_explanation_fini(&x[0]);
}

/* What is listed, made or skipped, is always the whole grid of 24. */
static void warm_caches__leave_one_reference_in_each_dimension(void **state)
{
    (void)state;
    static const char *const psc[] = { "psc.guest.pde.entries", "4", "psc.nested.pde.entries", "16", NULL };
    static const char *const tlb[] = { "psc.guest.pde.entries", "4", "nested_tlb.entries", "16", NULL };
    const struct nw_explain_before neighbour = { nw_gva(GVA + 0x1000), NW_STORE },
                                   same[] = { { nw_gva(GVA), NW_LOAD }, { nw_gva(GVA), NW_FETCH } };
    struct nw_explain_request q = { .gva = nw_gva(GVA), .bytes = 8, .before = &neighbour, .before_count = 1 };
    struct nw_explanation x[2];
    assert_int_equal(explain(psc, &q, x), 1);
    assert_int_equal(x[0].references_guest, 1);
    assert_int_equal(x[0].references_nested, 1);
    assert_int_equal(x[0].reference_count, 24);
    assert_string_equal(asked(&x[0], 0), "guest_pde+ ");
    unsigned guest = 0;
    for (unsigned i = 0; i < 24; i++)
        guest += !x[0].reference[i].nested && !strcmp(x[0].reference[i].skipped_by, "guest_pde");
    assert_int_equal(guest, 3);
    assert_string_equal(x[0].reference[19].skipped_by, ""); /* the guest's leaf entry */
    assert_int_equal(x[0].reference[19].cycles, 6);         /* its line was read by the neighbour's walk */
    nw_explanation_fini(&x[0]);
    q.before = same;
    q.before_count = 2;
    assert_int_equal(explain(tlb, &q, x), 1);
    assert_int_equal(x[0].references, 1);
    assert_int_equal(x[0].reference_count, 24);
    assert_string_equal(asked(&x[0], 20), "nested_tlb+ ");
    nw_explanation_fini(&x[0]);
}

static void an_access_that_crosses__is_two_walks(void **state)
{
    (void)state;
    static const char *const settings[] = { "psc.guest.pde.entries", "4", NULL };
    struct nw_explain_request q = { .gva = nw_gva(0x7f0000001ffc), .bytes = 8 };
    struct nw_explanation x[2];
    assert_int_equal(explain(settings, &q, x), 2);
    assert_int_equal(x[0].references, 24);
    assert_int_equal(x[1].gva, 0x7f0000002000);
    assert_int_equal(x[1].references, 5); /* the PDE is cached by now: the leaf, and four for the data's address */
    nw_explanation_fini(&x[0]);
    nw_explanation_fini(&x[1]);
    q.bytes = 4;
    assert_int_equal(explain(settings, &q, x), 1);
    nw_explanation_fini(&x[0]);
    q.gva = nw_gva(0x800000000ffc); /* not canonical: the lower page faults, the upper one is not reached */
    q.bytes = 8;
    assert_int_equal(explain(settings, &q, x), 1);
    assert_string_equal(x[0].fault.kind, "non_canonical");
    nw_explanation_fini(&x[0]);
}

/* Every bit that a code can have is among those spelled out, with its value. */
static void check_code(enum nw_outcome outcome, uint64_t code, const char *kind)
{
    struct nw_walk_result r = { .outcome = outcome, .fault = { .code = code, .address = 0x1234, .level = 1 } };
    struct nw_paging nested = { .advanced_exit_info = true };
    struct nw_explained_fault f;
    uint64_t sum = 0;
    explain_fault(&r, &nested, &f);
    assert_string_equal(f.kind, kind);
    assert_int_equal(f.code, code);
    assert_int_equal(f.address, 0x1234);
    for (unsigned i = 0; i < f.bit_count; i++) {
        assert_true(i == 0 || f.bit[i].bit > f.bit[i - 1].bit);
        assert_true(f.bit[i].name[0] && f.bit[i].meaning[0]);
        sum |= (uint64_t)f.bit[i].set << f.bit[i].bit;
    }
    assert_int_equal(sum, code);
}

static void fault_codes__are_spelled_out_whole(void **state)
{
    (void)state;
    for (uint64_t code = 0; code < 64; code++)
        check_code(NW_WALK_PAGE_FAULT, code, "page_fault");
    for (uint64_t code = 0; code < 32; code++) {
        check_code(NW_WALK_NPF, code | NW_NPF_FINAL, "nested_page_fault");
        check_code(NW_WALK_NPF, code | NW_NPF_TABLE, "nested_page_fault");
    }
    for (uint64_t code = 0; code < 4096; code++)
        check_code(NW_WALK_EPT_VIOLATION, code, "ept_violation");
    check_code(NW_WALK_EPT_MISCONFIG, 0, "ept_misconfiguration");
}

/* One letter a reference: the shadow tree's, the guest's and the second stage's; small when a cache made it unnecessary. */
static const char *path_of(const struct nw_explanation *x)
{
    static char text[128];
    for (unsigned i = 0; i < x->reference_count; i++) {
        const struct nw_explained_reference *r = &x->reference[i];
        char letter = (char)(nw_explained_dimension(r)[0] + ('A' - 'a'));
        text[i] = r->skipped_by[0] ? (char)(letter + ('a' - 'A')) : letter;
    }
    text[x->reference_count] = 0;
    return text;
}

/* A table that is nested after its first write: the leaf table, or the PDPT, which gets an entry for another GiB. */
static void an_agile_walk__goes_from_shadow_tables_to_the_guests(void **state)
{
    (void)state;
    const uint64_t far = GVA + (UINT64_C(1) << 30);
    static const char *const stable[] = { "run.mode", "agile", NULL }, *const churned[] = { "run.mode",
                                                                                            "agile",
                                                                                            "vmm.agile_writes",
                                                                                            "1",
                                                                                            "guest.demand_faults",
                                                                                            "1",
                                                                                            NULL },
                             *const cached[] = { "run.mode",
                                                 "agile",
                                                 "vmm.agile_writes",
                                                 "1",
                                                 "guest.demand_faults",
                                                 "1",
                                                 "psc.guest.pdpte.entries",
                                                 "4",
                                                 NULL };
    const struct nw_explain_before near_by[] = { { nw_gva(GVA + 0x1000), NW_LOAD },
                                                 { nw_gva(GVA + 0x2000), NW_LOAD },
                                                 { nw_gva(GVA), NW_LOAD } },
                                   far_off[] = { { nw_gva(GVA), NW_LOAD },
                                                 { nw_gva(far + 0x1000), NW_LOAD },
                                                 { nw_gva(far), NW_LOAD } };
    const struct {
        const char *const *settings;
        const struct nw_explain_before *before;
        size_t count;
        uint64_t gva;
        const char *path;
    } rows[] = { { stable, NULL, 0, GVA, "SSSS" },
                 { churned, near_by, 3, GVA, "SSSGNNNN" },
                 { churned, far_off, 3, far, "SGNNNNGNNNNGNNNN" },
                 { cached, near_by, 3, GVA, "ssSGNNNN" } };
    for (size_t i = 0; i < NW_ARRAY_LEN(rows); i++) {
        struct nw_explain_request q = {
            .gva = nw_gva(rows[i].gva), .bytes = 1, .before = rows[i].before, .before_count = rows[i].count
        };
        struct nw_explanation x[2];
        assert_int_equal(explain(rows[i].settings, &q, x), 1);
        assert_string_equal(x[0].outcome, "ok");
        assert_string_equal(path_of(&x[0]), rows[i].path);
        assert_int_equal(x[0].references, x[0].references_shadow + x[0].references_guest + x[0].references_nested);
        for (unsigned r = 0; r + 1 < x[0].reference_count; r++)
            assert_int_equal(strstr(x[0].reference[r].decoded, "switching") != NULL,
                             x[0].reference[r].shadow && !x[0].reference[r + 1].shadow);
        nw_explanation_fini(&x[0]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lookups__precede_the_references_they_did_not_save),
        cmocka_unit_test(warm_caches__leave_one_reference_in_each_dimension),
        cmocka_unit_test(an_access_that_crosses__is_two_walks),
        cmocka_unit_test(fault_codes__are_spelled_out_whole),
        cmocka_unit_test(an_agile_walk__goes_from_shadow_tables_to_the_guests),
    };
    return cmocka_run_group_tests_name("explain", tests, NULL, NULL);
}
