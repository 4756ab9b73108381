/* Known answers: how many table entries a cold walk reads (Bhargava et al., ASPLOS 2008, figure 1: 24 for 4 levels
 * over 4). */
#include "mmu_common.h"

static void native(unsigned levels, unsigned page_log2, unsigned expected)
{
    struct machine m;
    machine_init(&m);
    struct nw_paging p = x86_paging(levels);
    struct nw_builder_memory memory = nw_builder_memory_frames(&m.frames);
    must(nw_builder_init(&m.guest, m.pm, &p, &memory, err));
    uint64_t gva = UINT64_C(0x7f5540000000);
    must(nw_builder_map(&m.guest, gva, UINT64_C(0x80000000), page_log2, NW_MAP_ALL, err));
    struct nw_walk_log log;
    struct nw_walk_result r;
    nw_walk_native(m.pm, &m.guest.paging, nw_gva(gva + 0x123), &(struct nw_access){ .kind = NW_ACCESS_READ }, &log, &r);
    assert_int_equal(r.outcome, NW_WALK_OK);
    assert_int_equal(r.hpa.v, 0x80000123);
    assert_int_equal(r.page_log2, page_log2);
    assert_int_equal(log.count, expected);
    assert_int_equal(log.nested, 0);
    machine_fini(&m);
}

static void nested(struct nw_paging second, unsigned guest_levels, unsigned guest_log2, unsigned backing_log2,
                   unsigned guest_refs, unsigned nested_refs)
{
    struct machine m;
    machine_init(&m);
    machine_nested(&m, second, x86_paging(guest_levels), backing_log2, UINT64_C(64) << 20);
    uint64_t gva = UINT64_C(0x7f5540000000), gpa = UINT64_C(32) << 20;
    must(nw_builder_map(&m.guest, gva, gpa, guest_log2, NW_MAP_ALL, err));
    for (int again = 0; again < 2; again++) { /* the second walk finds A and D set: as many references */
        struct nw_walk_log log;
        struct nw_walk_result r;
        nw_walk_nested(m.pm, &m.guest.paging, &m.nested.paging, nw_gva(gva + 8),
                       &(struct nw_access){ .kind = NW_ACCESS_WRITE }, &log, &r);
        assert_int_equal(r.outcome, NW_WALK_OK);
        assert_int_equal(r.hpa.v, gpa + 8);
        assert_int_equal(r.guest_page_log2, guest_log2);
        assert_int_equal(r.nested_page_log2, backing_log2);
        assert_int_equal(r.page_log2, guest_log2 < backing_log2 ? guest_log2 : backing_log2);
        assert_int_equal(log.guest, guest_refs);
        assert_int_equal(log.nested, nested_refs);
        assert_int_equal(log.count, guest_refs + nested_refs);
    }
    machine_fini(&m);
}

static void walk__native_four_levels_is_4_references(void **state)
{
    (void)state;
    native(4, 12, 4);
    native(4, 21, 3);
    native(4, 30, 2);
}

static void walk__native_five_levels_is_5_references(void **state)
{
    (void)state;
    native(5, 12, 5);
    native(5, 21, 4);
}

static void walk__four_over_four_is_24_references(void **state)
{
    (void)state;
    nested(ept_paging(4, true), 4, 12, 12, 4, 20);
    nested(ept_paging(4, false), 4, 12, 12, 4, 20);
    nested(npt_paging(4), 4, 12, 12, 4, 20);
}

static void walk__five_over_five_is_35_references(void **state)
{
    (void)state;
    nested(ept_paging(5, true), 5, 12, 12, 5, 30);
    nested(npt_paging(5), 5, 12, 12, 5, 30);
}

static void walk__large_pages_shorten_either_dimension(void **state)
{
    (void)state;
    nested(ept_paging(4, true), 4, 21, 12, 3, 16); /* 2M guest page over 4K: 19 */
    nested(ept_paging(4, true), 4, 12, 21, 4, 15); /* 4K over 2M: 19 */
    nested(npt_paging(4), 4, 21, 21, 3, 12);       /* 2M over 2M: 15 */
}

static void walk__references_come_in_the_order_of_the_two_dimensional_walk(void **state)
{
    (void)state;
    struct machine m;
    machine_init(&m);
    machine_nested(&m, npt_paging(4), x86_paging(4), 12, UINT64_C(16) << 20);
    must(nw_builder_map(&m.guest, 0x1000, 0x200000, 12, NW_MAP_ALL, err));
    struct nw_walk_log log;
    struct nw_walk_result r;
    nw_walk_nested(m.pm, &m.guest.paging, &m.nested.paging, nw_gva(0x1008),
                   &(struct nw_access){ .kind = NW_ACCESS_READ }, &log, &r);
    assert_int_equal(log.count, 24);
    for (unsigned i = 0; i < 24; i++) {
        const struct nw_reference *ref = &log.reference[i];
        int guest_level = 3 - (int)i / 5;
        assert_int_equal(ref->dimension, i % 5 == 4 ? NW_GUEST : NW_NESTED);
        assert_int_equal(ref->level, i % 5 == 4 ? (unsigned)guest_level : 3 - i % 5);
        assert_int_equal(ref->for_guest_level, guest_level < 0 ? NW_FOR_FINAL : guest_level);
        assert_int_equal(nw_physmem_read64(m.pm, ref->hpa) & ref->entry, ref->entry);
    }
    assert_int_equal(log.reference[20].address, 0x200008);
    machine_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(walk__native_four_levels_is_4_references),
        cmocka_unit_test(walk__native_five_levels_is_5_references),
        cmocka_unit_test(walk__four_over_four_is_24_references),
        cmocka_unit_test(walk__five_over_five_is_35_references),
        cmocka_unit_test(walk__large_pages_shorten_either_dimension),
        cmocka_unit_test(walk__references_come_in_the_order_of_the_two_dimensional_walk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
