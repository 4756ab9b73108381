/* Single rules of access rights, faults and exits, each as the manuals state it. */
#include "mmu_common.h"
#include <nestwalk/mmu/walk_template.h>

static const uint64_t GVA = 0x40000000, GPA = 0x800000;

/* A 4-level guest over EPT or NPT with one page mapped. */
struct fixture {
    struct machine m;
    struct nw_guest_registers r;
    struct nw_ept_registers e;
};

static void setup(struct fixture *f, unsigned attributes)
{
    machine_init(&f->m);
    f->r = nw_guest_registers_long(4, 0);
    f->e = (struct nw_ept_registers){ .eptp = 0x1e, .maxphyaddr = 46, .huge_1g = true, .execute_only = true };
    struct nw_paging ept;
    must(nw_paging_init_ept(&ept, &f->e, err));
    ept.root = NW_ROOT_NEW;
    machine_nested(&f->m, ept, x86_paging(4), 12, 16 << 20);
    must(nw_builder_map(&f->m.guest, GVA, GPA, 12, attributes | NW_MAP_ACCESSED | NW_MAP_DIRTY, err));
    f->r.cr3 = f->m.guest.paging.root;
    f->e.eptp |= f->m.nested.paging.root;
}

static struct nw_walk_result access_at(struct fixture *f, uint64_t gva, enum nw_access_kind kind, bool user, bool ac)
{
    struct nw_paging guest, nested;
    struct nw_walk_result r;
    must(nw_paging_init_guest(&guest, &f->r, err));
    must(nw_paging_init_ept(&nested, &f->e, err));
    nw_walk_nested(f->m.pm, &guest, &nested, nw_gva(gva), &(struct nw_access){ kind, user, ac }, NULL, &r);
    return r;
}

static void page_fault(struct fixture *f, enum nw_access_kind kind, bool user, bool ac, uint64_t code)
{
    struct nw_walk_result r = access_at(f, GVA, kind, user, ac);
    assert_int_equal(r.outcome, NW_WALK_PAGE_FAULT);
    assert_int_equal(r.fault.code, code);
    assert_int_equal(r.fault.address, GVA);
}

static void granted(struct fixture *f, enum nw_access_kind kind, bool user, bool ac)
{
    struct nw_walk_result r = access_at(f, GVA, kind, user, ac);
    assert_int_equal(r.outcome, NW_WALK_OK);
    struct nw_paging guest;
    must(nw_paging_init_guest(&guest, &f->r, err));
    assert_true(nw_rights_serve(&guest, r.rights, r.pkey, &(struct nw_access){ kind, user, ac }));
}

static void rights__wp_smep_and_smap_as_written(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, NW_MAP_READ | NW_MAP_EXECUTE | NW_MAP_USER); /* a read-only user page */
    page_fault(&f, NW_ACCESS_WRITE, false, false, 3);
    page_fault(&f, NW_ACCESS_RMW, true, false, 7);
    f.r.cr0 &= ~NW_CR0_WP;
    granted(&f, NW_ACCESS_WRITE, false, false);
    page_fault(&f, NW_ACCESS_WRITE, true, false, 7);
    granted(&f, NW_ACCESS_FETCH, false, false);
    f.r.cr4 |= NW_CR4_SMEP;
    page_fault(&f, NW_ACCESS_FETCH, false, false, 0x11);
    granted(&f, NW_ACCESS_FETCH, true, false);
    f.r.efer &= ~NW_EFER_NXE; /* I/D is reported with SMEP alone as well */
    page_fault(&f, NW_ACCESS_FETCH, false, false, 0x11);
    f.r.cr4 |= NW_CR4_SMAP;
    page_fault(&f, NW_ACCESS_READ, false, false, 1);
    granted(&f, NW_ACCESS_READ, false, true);
    granted(&f, NW_ACCESS_READ, true, false);
    machine_fini(&f.m);
}

static void rights__protection_keys_judge_data_accesses_only(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, NW_MAP_RWX | NW_MAP_USER);
    struct nw_leaf leaf;
    must(nw_builder_lookup(&f.m.guest, GVA, &leaf, err));
    must(nw_physmem_write64(f.m.pm, leaf.entry_hpa, leaf.entry | UINT64_C(5) << 59, err));
    granted(&f, NW_ACCESS_WRITE, true, false); /* off: the field is ignored */
    f.r.cr4 |= NW_CR4_PKE;
    f.r.pkru = 2u << 10; /* key 5: write disable */
    granted(&f, NW_ACCESS_READ, true, false);
    page_fault(&f, NW_ACCESS_WRITE, true, false, 0x27);
    page_fault(&f, NW_ACCESS_WRITE, false, false, 0x23);
    f.r.cr0 &= ~NW_CR0_WP;
    granted(&f, NW_ACCESS_WRITE, false, false);
    f.r.pkru = 1u << 10; /* access disable */
    page_fault(&f, NW_ACCESS_READ, false, false, 0x21);
    granted(&f, NW_ACCESS_FETCH, true, false);
    must(nw_builder_protect(&f.m.guest, GVA, NW_MAP_RWX, err)); /* a supervisor page: PKRS judges */
    granted(&f, NW_ACCESS_WRITE, false, false);
    f.r.cr4 |= NW_CR4_PKS;
    f.r.pkrs = 1u << 10;
    page_fault(&f, NW_ACCESS_READ, false, false, 0x21);
    machine_fini(&f.m);
}

static void input__noncanonical_addresses_are_no_page_faults(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, NW_MAP_RWX);
    assert_int_equal(access_at(&f, UINT64_C(1) << 47, NW_ACCESS_READ, false, false).outcome, NW_WALK_NONCANONICAL);
    assert_int_equal(access_at(&f, UINT64_C(0xffff800000000000), NW_ACCESS_READ, false, false).outcome,
                     NW_WALK_PAGE_FAULT);
    machine_fini(&f.m);
}

/* ---- EPT ---------------------------------------------------------------------------------------- */

static void violation(struct fixture *f, enum nw_access_kind kind, uint64_t qualification, uint64_t gpa)
{
    struct nw_walk_result r = access_at(f, GVA, kind, true, false);
    assert_int_equal(r.outcome, NW_WALK_EPT_VIOLATION);
    assert_int_equal(r.fault.code, qualification);
    assert_int_equal(r.fault.address, gpa);
    assert_int_equal(r.fault.gla, GVA);
}

static void ept__qualification_says_access_and_permissions(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, NW_MAP_RWX | NW_MAP_USER);
    must(nw_builder_protect(&f.m.nested, GPA, NW_MAP_READ, err));
    violation(&f, NW_ACCESS_WRITE, 0x18a, GPA);
    violation(&f, NW_ACCESS_RMW, 0x18a, GPA);
    violation(&f, NW_ACCESS_FETCH, 0x18c, GPA);
    f.e.advanced_exit_info = true; /* user-mode address, writable, executable page */
    violation(&f, NW_ACCESS_WRITE, 0x78a, GPA);
    must(nw_builder_protect(&f.m.guest, GVA, NW_MAP_RW | NW_MAP_USER, err));
    violation(&f, NW_ACCESS_WRITE, 0xf8a, GPA);
    f.e.advanced_exit_info = false;
    must(nw_builder_unmap(&f.m.nested, GPA, err));
    violation(&f, NW_ACCESS_READ, 0x181, GPA);
    machine_fini(&f.m);
}

static void ept__execute_only_is_a_misconfiguration_without_support(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, NW_MAP_RWX | NW_MAP_USER);
    must(nw_builder_protect(&f.m.nested, GPA, NW_MAP_EXECUTE, err));
    granted(&f, NW_ACCESS_FETCH, true, false);
    violation(&f, NW_ACCESS_READ, 0x1a1, GPA);
    f.e.execute_only = false;
    struct nw_walk_result r = access_at(&f, GVA, NW_ACCESS_FETCH, true, false);
    assert_int_equal(r.outcome, NW_WALK_EPT_MISCONFIG);
    assert_int_equal(r.fault.address, GPA);
    must(nw_builder_protect(&f.m.nested, GPA, NW_MAP_WRITE, err)); /* W without R never is */
    f.e.execute_only = true;
    assert_int_equal(access_at(&f, GVA, NW_ACCESS_WRITE, true, false).outcome, NW_WALK_EPT_MISCONFIG);
    machine_fini(&f.m);
}

static void ept__mode_based_execute_looks_at_the_linear_address(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, NW_MAP_RWX | NW_MAP_USER);
    f.e.mode_based_execute = true;
    must(nw_builder_protect(&f.m.nested, GPA, NW_MAP_READ | NW_MAP_EXECUTE, err)); /* supervisor-mode addresses only */
    violation(&f, NW_ACCESS_FETCH, 0x1ac, GPA);
    assert_int_equal(access_at(&f, GVA, NW_ACCESS_FETCH, false, false).outcome,
                     NW_WALK_EPT_VIOLATION); /* CPL 0, user page */
    must(nw_builder_protect(&f.m.nested, GPA, NW_MAP_READ | NW_MAP_EXECUTE_USER, err));
    granted(&f, NW_ACCESS_FETCH, true, false);
    must(nw_builder_protect(&f.m.guest, GVA, NW_MAP_RWX, err));
    struct nw_walk_result r = access_at(&f, GVA, NW_ACCESS_FETCH, false, false);
    assert_int_equal(r.outcome, NW_WALK_EPT_VIOLATION);
    assert_int_equal(r.fault.code, 0x1cc);
    must(nw_builder_protect(&f.m.nested, GPA, NW_MAP_EXECUTE_USER, err)); /* present by bit 10 alone */
    r = access_at(&f, GVA, NW_ACCESS_READ, false, false);
    assert_int_equal(r.fault.code, 0x1c1);
    f.e.mode_based_execute = false;
    r = access_at(&f, GVA, NW_ACCESS_READ, false, false);
    assert_int_equal(r.fault.code, 0x181); /* not present */
    machine_fini(&f.m);
}

/* The guest's leaf table in the nested tree. */
static uint64_t leaf_table(struct fixture *f, struct nw_leaf *leaf)
{
    must(nw_builder_lookup(&f->m.guest, GVA, leaf, err));
    return leaf->entry_address;
}

static void ept__tables_are_read_without_and_written_with_accessed_dirty(void **state)
{
    (void)state;
    struct fixture f;
    struct nw_leaf leaf;
    setup(&f, NW_MAP_RWX | NW_MAP_USER);
    uint64_t entry = leaf_table(&f, &leaf);
    must(nw_builder_protect(&f.m.nested, entry, NW_MAP_READ | NW_MAP_EXECUTE, err));
    granted(&f, NW_ACCESS_WRITE, true, false); /* A and D of the guest are set already */
    must(nw_physmem_write64(f.m.pm, leaf.entry_hpa, leaf.entry & ~UINT64_C(0x40), err));
    granted(&f, NW_ACCESS_READ, true, false);
    violation(&f, NW_ACCESS_WRITE, 0xaa, entry); /* setting D is a data write of a table */
    f.e.eptp |= 0x40;
    violation(&f, NW_ACCESS_READ, 0xab, entry); /* read and write */
    must(nw_builder_protect(&f.m.nested, entry, NW_MAP_RWX, err));
    granted(&f, NW_ACCESS_READ, true, false);
    struct nw_leaf nested;
    must(nw_builder_lookup(&f.m.nested, entry, &nested, err));
    assert_int_equal(nested.entry & 0x300, 0x300); /* the page of a guest table becomes dirty */
    must(nw_builder_lookup(&f.m.nested, GPA, &nested, err));
    assert_int_equal(nested.entry & 0x300, 0x100); /* the page that was read does not */
    machine_fini(&f.m);
}

static void ept__guest_fault_comes_before_the_final_translation(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, NW_MAP_READ | NW_MAP_USER);
    must(nw_builder_unmap(&f.m.nested, GPA, err));
    page_fault(&f, NW_ACCESS_WRITE, true, false, 7);
    violation(&f, NW_ACCESS_READ, 0x181, GPA);
    machine_fini(&f.m);
}

struct logged {
    struct nw_physmem *pm;
    unsigned room, count;
    uint64_t page[8];
};
static uint64_t logged_load(void *context, hpa_t hpa) { return nw_physmem_read64(((struct logged *)context)->pm, hpa); }
static void logged_update(void *context, hpa_t hpa, uint64_t set)
{
    *nw_physmem_find(((struct logged *)context)->pm, hpa) |= set;
}
static bool log_dirty(void *context, gpa_t page)
{
    struct logged *l = context;
    if (l->count == l->room)
        return false;
    l->page[l->count++] = page.v;
    return true;
}
static const struct nw_walk_hooks pml_hooks = { .load = logged_load, .update = logged_update, .log_dirty = log_dirty };

static void ept__page_modification_log_takes_each_page_once_and_stops_when_full(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, NW_MAP_RWX | NW_MAP_USER);
    f.e.eptp |= 0x40;
    f.e.page_modification_log = true;
    struct nw_paging guest, nested;
    must(nw_paging_init_guest(&guest, &f.r, err));
    must(nw_paging_init_ept(&nested, &f.e, err));
    struct logged log = { .pm = f.m.pm, .room = 4 };
    struct nw_walk_result r;
    struct nw_access store = { .kind = NW_ACCESS_WRITE, .user = true };
    nw_walk_run(&pml_hooks, &log, &guest, &nested, nw_gva(GVA + 0x123), &store, &r);
    assert_int_equal(r.outcome, NW_WALK_PML_FULL); /* four table pages filled it */
    assert_int_equal(r.fault.address, GPA + 0x123);
    struct nw_leaf leaf;
    must(nw_builder_lookup(&f.m.nested, GPA, &leaf, err));
    assert_int_equal(leaf.entry & 0x200, 0);
    log.count = 0;
    nw_walk_run(&pml_hooks, &log, &guest, &nested, nw_gva(GVA + 0x123), &store, &r);
    assert_int_equal(r.outcome, NW_WALK_OK);
    assert_int_equal(log.count, 1);
    assert_int_equal(log.page[0], GPA);
    nw_walk_run(&pml_hooks, &log, &guest, &nested, nw_gva(GVA), &store, &r);
    assert_int_equal(log.count, 1);
    machine_fini(&f.m);
}

static void ept__gpa_too_wide_for_the_tables_has_no_translation(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, NW_MAP_RWX | NW_MAP_USER);
    must(nw_builder_map(&f.m.guest, GVA + 0x1000, UINT64_C(1) << 48, 12, NW_MAP_ALL | NW_MAP_ACCESSED, err));
    struct nw_walk_result r = access_at(&f, GVA + 0x1000, NW_ACCESS_READ, true, false);
    assert_int_equal(r.outcome, NW_WALK_EPT_VIOLATION);
    assert_int_equal(r.fault.code, 0x181);
    assert_int_equal(r.fault.address, UINT64_C(1) << 48);
    machine_fini(&f.m);
}

/* ---- the rest ----------------------------------------------------------------------------------- */

static void npt__exitinfo_tells_final_address_from_guest_table(void **state)
{
    (void)state;
    struct machine m;
    struct nw_leaf leaf;
    struct nw_walk_result r;
    machine_init(&m);
    machine_nested(&m, npt_paging(4), x86_paging(4), 12, 16 << 20);
    must(nw_builder_map(&m.guest, GVA, GPA, 12, NW_MAP_ALL, err));
    must(nw_builder_protect(&m.nested, GPA, NW_MAP_READ | NW_MAP_USER, err));
    nw_walk_nested(m.pm, &m.guest.paging, &m.nested.paging, nw_gva(GVA), &(struct nw_access){ .kind = NW_ACCESS_FETCH },
                   NULL, &r);
    assert_int_equal(r.outcome, NW_WALK_NPF);
    assert_int_equal(r.fault.code, UINT64_C(0x100000015));
    assert_int_equal(r.fault.address, GPA);
    must(nw_builder_lookup(&m.guest, GVA, &leaf, err));
    must(nw_builder_protect(&m.nested, leaf.entry_address, NW_MAP_READ | NW_MAP_USER,
                            err)); /* guest tables are written */
    nw_walk_nested(m.pm, &m.guest.paging, &m.nested.paging, nw_gva(GVA), &(struct nw_access){ .kind = NW_ACCESS_READ },
                   NULL, &r);
    assert_int_equal(r.fault.code, UINT64_C(0x200000007));
    assert_int_equal(r.fault.address, leaf.entry_address);
    machine_fini(&m);
}

static void pae__vm_entry_refuses_pdptes_with_reserved_bits(void **state)
{
    (void)state;
    uint64_t pdpte[4] = { 0x1001, 0x2019, 0, UINT64_C(0x8000000000000000) /* not present: not looked at */ };
    assert_int_equal(nw_pdptes_refused(pdpte, 40), -1);
    for (unsigned bit = 0; bit < 64; bit++) {
        bool reserved = bit == 1 || bit == 2 || (bit >= 5 && bit <= 8) || bit >= 40;
        pdpte[1] = 0x2001 | NW_BIT(bit);
        assert_int_equal(nw_pdptes_refused(pdpte, 40), reserved ? 1 : -1);
    }
    struct nw_walk_result r;
    nw_walk_entry_refused(&r, 1);
    assert_int_equal(r.outcome, NW_WALK_ENTRY_FAIL);
    assert_int_equal(r.fault.code, 2);
}

static void span__an_access_across_pages_faults_at_the_page_that_refuses(void **state)
{
    (void)state;
    struct fixture f;
    struct nw_walk_result r[2];
    struct nw_access store = { .kind = NW_ACCESS_WRITE, .user = true };
    setup(&f, NW_MAP_RWX | NW_MAP_USER);
    must(nw_builder_map(&f.m.guest, GVA + 0x1000, GPA + 0x5000, 12, NW_MAP_READ | NW_MAP_USER, err));
    struct nw_paging guest, nested;
    must(nw_paging_init_guest(&guest, &f.r, err));
    must(nw_paging_init_ept(&nested, &f.e, err));
    assert_false(nw_walk_span(f.m.pm, &guest, &nested, nw_gva(GVA + 0xff8), 8, &store, r));
    assert_true(nw_walk_span(f.m.pm, &guest, &nested, nw_gva(GVA + 0xffc), 8, &store, r));
    assert_int_equal(r[0].outcome, NW_WALK_OK);
    assert_int_equal(r[1].outcome, NW_WALK_PAGE_FAULT);
    assert_int_equal(r[1].fault.address, GVA + 0x1000);
    assert_true(nw_walk_span(f.m.pm, &guest, &nested, nw_gva(GVA + 0xffc), 8, &(struct nw_access){ .user = true }, r));
    assert_int_equal(r[0].hpa.v, GPA + 0xffc);
    assert_int_equal(r[1].hpa.v, GPA + 0x5000);
    machine_fini(&f.m);
}

static void registers__impossible_ones_are_refused_with_a_reason(void **state)
{
    (void)state;
    struct nw_paging p;
    struct nw_error e = { 0 };
    struct nw_guest_registers g = nw_guest_registers_long(4, 0x1000);
    g.cr4 &= ~NW_CR4_PAE;
    assert_int_equal(nw_paging_init_guest(&p, &g, &e), NW_ERR_INPUT);
    assert_non_null(strstr(e.text, "CR4.PAE"));
    g = nw_guest_registers_long(4, UINT64_C(1) << 41);
    g.maxphyaddr = 40;
    assert_int_equal(nw_paging_init_guest(&p, &g, &e), NW_ERR_INPUT);
    static const uint64_t bad[] = { 0x16 /* 3 levels */, 0x1f /* memory type 7 */, 0x11e /* bit 8 */,
                                    UINT64_C(1) << 46 | 0x1e };
    for (size_t i = 0; i < NW_ARRAY_LEN(bad); i++)
        assert_int_equal(nw_paging_init_ept(&p, &(struct nw_ept_registers){ .eptp = bad[i], .maxphyaddr = 46 }, &e),
                         NW_ERR_INPUT);
    assert_int_equal(nw_paging_init_npt(&p, &(struct nw_npt_registers){ .levels = 6, .maxphyaddr = 46 }, &e),
                     NW_ERR_INPUT);
    assert_int_equal(nw_paging_init_npt(&p, &(struct nw_npt_registers){ .levels = 4, .maxphyaddr = 53 }, &e),
                     NW_ERR_INPUT);
}

static void describe__outcomes_and_entries_in_words(void **state)
{
    (void)state;
    char text[200];
    struct nw_walk_result r = { .outcome = NW_WALK_PAGE_FAULT, .fault = { .code = 7, .address = 0x1000 } };
    nw_walk_describe(&r, text, sizeof text);
    assert_string_equal(text, "page fault: protection, write, user (0x7), CR2 0x1000");
    r = (struct nw_walk_result){ .outcome = NW_WALK_EPT_VIOLATION, .fault = { .code = 0x18a, .address = 0x2000 } };
    nw_walk_describe(&r, text, sizeof text);
    assert_string_equal(text,
                        "EPT violation: write, entries permit r-- (qualification 0x18a), GPA 0x2000, final address");
    struct nw_paging p = x86_paging(4);
    nw_entry_describe(&p, 0, UINT64_C(0x8000000000003067), text, sizeof text);
    assert_string_equal(text, "present writable user no-execute accessed dirty frame 0x3");
    nw_entry_describe(&p, 3, 0, text, sizeof text);
    assert_string_equal(text, "not present");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rights__wp_smep_and_smap_as_written),
        cmocka_unit_test(rights__protection_keys_judge_data_accesses_only),
        cmocka_unit_test(input__noncanonical_addresses_are_no_page_faults),
        cmocka_unit_test(ept__qualification_says_access_and_permissions),
        cmocka_unit_test(ept__execute_only_is_a_misconfiguration_without_support),
        cmocka_unit_test(ept__mode_based_execute_looks_at_the_linear_address),
        cmocka_unit_test(ept__tables_are_read_without_and_written_with_accessed_dirty),
        cmocka_unit_test(ept__guest_fault_comes_before_the_final_translation),
        cmocka_unit_test(ept__page_modification_log_takes_each_page_once_and_stops_when_full),
        cmocka_unit_test(ept__gpa_too_wide_for_the_tables_has_no_translation),
        cmocka_unit_test(npt__exitinfo_tells_final_address_from_guest_table),
        cmocka_unit_test(pae__vm_entry_refuses_pdptes_with_reserved_bits),
        cmocka_unit_test(span__an_access_across_pages_faults_at_the_page_that_refuses),
        cmocka_unit_test(registers__impossible_ones_are_refused_with_a_reason),
        cmocka_unit_test(describe__outcomes_and_entries_in_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
