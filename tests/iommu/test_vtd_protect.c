/* Protected memory regions: what they stop with translation off and on, and how their registers read. */
#include "unit_bench.h"

enum { LOW_BASE = 0x400000, LOW_LIMIT = 0x600000 }; /* the limit's low 21 bits count as ones: to 0x7fffff */
#define HIGH_BASE  UINT64_C(0x140000000)
#define HIGH_LIMIT UINT64_C(0x140000000)

static int set_up_regions(void **state)
{
    set_up(state);
    struct bench *b = *state;
    nw_vtd_unit_destroy(b->u);
    b->config.unit.cap |= NW_VTD_CAP_PLMR | NW_VTD_CAP_PHMR;
    must(nw_vtd_unit_create(&b->u, &b->config, err));
    wr(b, NW_VTD_PLMBASE, 4, LOW_BASE);
    wr(b, NW_VTD_PLMLIMIT, 4, LOW_LIMIT);
    wr(b, NW_VTD_PHMBASE, 8, HIGH_BASE);
    wr(b, NW_VTD_PHMLIMIT, 8, HIGH_LIMIT);
    return 0;
}

static unsigned reason(struct bench *b, uint64_t address) { return dma(b, SOURCE, address, NW_VTD_READ).fault.reason; }

static void protect__registers_keep_whole_regions(void **state)
{
    struct bench *b = *state;
    wr(b, NW_VTD_PLMBASE, 4, 0xffffffff);
    assert_int_equal(rd(b, NW_VTD_PLMBASE, 4), 0xffe00000);
    wr(b, NW_VTD_PHMLIMIT, 8, ~UINT64_C(0));
    assert_true(rd(b, NW_VTD_PHMLIMIT, 8) == ~UINT64_C(0x1fffff));
    wr(b, NW_VTD_PMEN, 4, NW_VTD_PMEN_PRS); /* read-only */
    assert_int_equal(rd(b, NW_VTD_PMEN, 4), 0);
    wr(b, NW_VTD_PMEN, 4, NW_VTD_PMEN_EPM);
    assert_true(rd(b, NW_VTD_PMEN, 4) == (NW_VTD_PMEN_EPM | NW_VTD_PMEN_PRS));
    wr(b, NW_VTD_PMEN, 4, 0);
    assert_int_equal(rd(b, NW_VTD_PMEN, 4), 0);
}

/* Each byte next to an edge. */
static void protect__off_all_dma_is_held_back(void **state)
{
    struct bench *b = *state;
    static const struct {
        uint64_t address;
        bool stopped;
    } at[] = { { 0, false },
               { LOW_BASE - 1, false },
               { LOW_BASE, true },
               { 0x7fffff, true },
               { 0x800000, false },
               { HIGH_BASE - 1, false },
               { HIGH_BASE, true },
               { HIGH_LIMIT + 0x1fffff, true },
               { HIGH_LIMIT + 0x200000, false } };
    for (unsigned i = 0; i < NW_ARRAY_LEN(at); i++)
        assert_int_equal(reason(b, at[i].address), 0);
    wr(b, NW_VTD_PMEN, 4, NW_VTD_PMEN_EPM);
    for (unsigned i = 0; i < NW_ARRAY_LEN(at); i++)
        assert_int_equal(reason(b, at[i].address), at[i].stopped ? NW_VTD_PROTECTED_MEMORY : 0);
    assert_int_equal(rd(b, NW_VTD_FSTS, 4), 0); /* told nowhere */
    assert_non_null(nw_vtd_fault_text(NW_VTD_PROTECTED_MEMORY));
    wr(b, NW_VTD_PLMBASE, 4, 0x800000); /* above the limit: no region */
    assert_int_equal(reason(b, LOW_BASE), 0);
    assert_int_equal(reason(b, 0x7fffff), 0);
}

/* On: pass-through and translated requests are stopped, remapped ones by the tables, or where the unit does so too. */
static void protect__on_what_is_not_remapped_is_held_back(void **state)
{
    struct bench *b = *state;
    const struct nw_vtd_request translated = { .source_id = SOURCE + 2,
                                               .type = NW_VTD_TRANSLATED,
                                               .address = LOW_BASE };
    struct nw_vtd_result r;
    for (unsigned everything = 0; everything < 2; everything++) {
        nw_vtd_unit_destroy(b->u);
        b->config.protects_remapped = everything;
        must(nw_vtd_unit_create(&b->u, &b->config, err));
        wr(b, NW_VTD_PLMBASE, 4, LOW_BASE);
        wr(b, NW_VTD_PLMLIMIT, 4, LOW_LIMIT);
        wr(b, NW_VTD_PHMBASE, 8, HIGH_BASE);         /* above its limit: else it would begin at 0 */
        for (unsigned level = 0; level < 3; level++) /* IOVA 0x5000 -> 0x405000 */
            put64(b->pm, TREE + level * 0x1000, (TREE + (level + 1) * 0x1000) | 3);
        put64(b->pm, TREE + 0x3000 + 5 * 8, 0x405000 | 3);
        put64(b->pm, CONTEXT + (SOURCE + 1) * 16, TREE | 1 | 2 << 2); /* pass-through */
        put64(b->pm, CONTEXT + (SOURCE + 2) * 16, TREE | 1 | 1 << 2);
        turn_on(b, NW_VTD_GCMD_TE);
        for (unsigned protects = 0; protects < 2; protects++) {
            wr(b, NW_VTD_PMEN, 4, protects ? NW_VTD_PMEN_EPM : 0);
            const unsigned stopped = protects ? NW_VTD_PROTECTED_MEMORY : 0;
            for (unsigned again = 0; again < 2; again++) /* walked, then from the IOTLB */
                assert_int_equal(reason(b, 0x5000), everything ? stopped : 0);
            assert_int_equal(dma(b, SOURCE + 1, LOW_BASE, NW_VTD_WRITE).fault.reason, stopped);
            assert_int_equal(dma(b, SOURCE + 1, 0x5000, NW_VTD_WRITE).fault.reason, 0);
            nw_vtd_unit_dma(b->u, &translated, &r);
            assert_int_equal(r.fault.reason, stopped);
        }
        assert_int_equal(rd(b, NW_VTD_FSTS, 4), 0);
    }
}

static void protect__registers_are_those_of_the_capabilities(void **state)
{
    struct bench *b = *state;
    for (unsigned have = 0; have < 4; have++) {
        nw_vtd_unit_destroy(b->u);
        b->config.unit.cap &= ~(NW_VTD_CAP_PLMR | NW_VTD_CAP_PHMR);
        b->config.unit.cap |= (have & 1 ? NW_VTD_CAP_PLMR : 0) | (have & 2 ? NW_VTD_CAP_PHMR : 0);
        must(nw_vtd_unit_create(&b->u, &b->config, err));
        wr(b, NW_VTD_PLMLIMIT, 4, LOW_LIMIT);
        wr(b, NW_VTD_PHMLIMIT, 8, HIGH_LIMIT);
        wr(b, NW_VTD_PMEN, 4, NW_VTD_PMEN_EPM);
        assert_int_equal(rd(b, NW_VTD_PLMLIMIT, 4), have & 1 ? LOW_LIMIT : 0);
        assert_true(rd(b, NW_VTD_PHMLIMIT, 8) == (have & 2 ? HIGH_LIMIT : 0));
        assert_true(rd(b, NW_VTD_PMEN, 4) == (have ? NW_VTD_PMEN_EPM | NW_VTD_PMEN_PRS : 0));
        assert_int_equal(reason(b, LOW_BASE), have ? NW_VTD_PROTECTED_MEMORY : 0); /* each region from 0 on */
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_regions, tear_down)
    const struct CMUnitTest tests[] = { TEST(protect__registers_keep_whole_regions),
                                        TEST(protect__off_all_dma_is_held_back),
                                        TEST(protect__on_what_is_not_remapped_is_held_back),
                                        TEST(protect__registers_are_those_of_the_capabilities) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
