/* The unit as software drives it: commands and fault records. */
#include "unit_bench.h"

/* ---- commands ----------------------------------------------------------------------------------- */

static void unit__registers_at_reset(void **state)
{
    struct bench *b = *state;
    assert_int_equal(rd(b, NW_VTD_VER, 4), 0x40);
    assert_true(rd(b, NW_VTD_CAP, 8) == b->config.unit.cap);
    assert_true(rd(b, NW_VTD_CAP + 4, 4) == b->config.unit.cap >> 32);
    assert_true(rd(b, NW_VTD_ECAP, 8) == b->config.unit.ecap);
    assert_true(rd(b, NW_VTD_FECTL, 4) == NW_BIT(31) && rd(b, NW_VTD_IECTL, 4) == NW_BIT(31));
    assert_int_equal(rd(b, NW_VTD_GSTS, 4), 0);
    wr(b, NW_VTD_CAP, 8, 0); /* read-only */
    wr(b, NW_VTD_GSTS, 4, ~0u);
    wr(b, NW_VTD_IQH, 8, 0x10);
    assert_true(rd(b, NW_VTD_CAP, 8) == b->config.unit.cap && !rd(b, NW_VTD_GSTS, 4) && !rd(b, NW_VTD_IQH, 8));
    wr(b, NW_VTD_RTADDR, 4, 0xabcdefff); /* halves, and bits that are not there */
    wr(b, NW_VTD_RTADDR + 4, 4, 0x12);
    assert_true(rd(b, NW_VTD_RTADDR, 8) == UINT64_C(0x12abcdec00));
    assert_int_equal(rd(b, 0x70, 8), 0);
    assert_int_equal(rd(b, NW_VTD_RTADDR + 2, 4), 0);
}

static void unit__root_table_counts_when_latched(void **state)
{
    struct bench *b = *state;
    assert_true(dma(b, SOURCE, 0x5123, NW_VTD_READ).hpa.v == 0x5123); /* off: as it is */
    wr(b, NW_VTD_RTADDR, 8, ROOT);
    wr(b, NW_VTD_GCMD, 4, NW_VTD_GCMD_TE);
    assert_int_equal(rd(b, NW_VTD_GSTS, 4), NW_VTD_GCMD_TE);
    assert_int_equal(dma(b, SOURCE, 0x5123, NW_VTD_READ).fault.reason, 0x01); /* the table at 0 is empty */
    wr(b, NW_VTD_GCMD, 4, NW_VTD_GCMD_TE | NW_VTD_GCMD_SRTP);
    assert_true(rd(b, NW_VTD_GSTS, 4) == (NW_VTD_GCMD_TE | NW_VTD_GCMD_SRTP));
    assert_int_equal(dma(b, SOURCE, 0x5123, NW_VTD_READ).fault.reason, 0x06);
    wr(b, NW_VTD_GCMD, 4, 0);
    assert_true(dma(b, SOURCE, 0x5123, NW_VTD_READ).hpa.v == 0x5123);
}

static void unit__interrupt_table_counts_when_latched(void **state)
{
    struct bench *b = *state;
    struct nw_vtd_interrupt r;
    const struct nw_vtd_interrupt_request q = { SOURCE, 0xfee00010, 0x31 };
    put64(b->pm, 0x30000, UINT64_C(0x0000090000550001));
    nw_vtd_unit_interrupt(b->u, &q, &r);
    assert_true(r.form == NW_VTD_COMPATIBLE && r.vector == 0x31);
    wr(b, NW_VTD_IRTA, 8, 0x30003);
    wr(b, NW_VTD_GCMD, 4, NW_VTD_GCMD_SIRTP);
    wr(b, NW_VTD_GCMD, 4, NW_VTD_GCMD_IRE);
    nw_vtd_unit_interrupt(b->u, &q, &r);
    assert_true(r.form == NW_VTD_REMAPPED && r.vector == 0x55 && r.destination == 9);
    put64(b->pm, 0x30000, 0); /* cached until an invalidation covers it */
    nw_vtd_unit_interrupt(b->u, &q, &r);
    assert_int_equal(r.vector, 0x55);
    wr(b, NW_VTD_IQA, 8, QUEUE);
    wr(b, NW_VTD_GCMD, 4, NW_VTD_GCMD_IRE | NW_VTD_GCMD_QIE);
    push(b, 4 | 1 << 4 | UINT64_C(2) << 32, 0); /* index 2 alone */
    nw_vtd_unit_interrupt(b->u, &q, &r);
    assert_int_equal(r.fault.reason, 0);
    push(b, 4 | 1 << 4 | 1u << 27 | UINT64_C(1) << 32, 0); /* indexes 0 and 1 */
    nw_vtd_unit_interrupt(b->u, &q, &r);
    assert_int_equal(r.fault.reason, 0x22);
    uint64_t upper = rd(b, nw_vtd_record_offset(b->config.unit.cap, 0) + 8, 8);
    assert_true(upper == (NW_BIT(63) | UINT64_C(0x22) << 32 | SOURCE));
}

/* ---- fault records ------------------------------------------------------------------------------ */

static uint64_t record(const struct bench *b, unsigned i, unsigned half)
{
    return rd(b, nw_vtd_record_offset(b->config.unit.cap, i) + half * 8, 8);
}
static void clear_record(struct bench *b, unsigned i)
{
    wr(b, nw_vtd_record_offset(b->config.unit.cap, i) + 12, 4, 1u << 31);
}

static void unit__records_faults_and_collapses_them(void **state)
{
    struct bench *b = *state;
    turn_on(b, NW_VTD_GCMD_TE);
    dma(b, SOURCE, 0x123456789, NW_VTD_READ);
    assert_true(record(b, 0, 0) == 0x123456000);
    assert_true(record(b, 0, 1) == (NW_BIT(63) | NW_BIT(62) | UINT64_C(6) << 32 | SOURCE));
    assert_int_equal(rd(b, NW_VTD_FSTS, 4), NW_VTD_FSTS_PPF);
    dma(b, SOURCE, 0x999000, NW_VTD_WRITE); /* the same source: collapsed */
    assert_int_equal(record(b, 1, 1), 0);
    dma(b, SOURCE + 1, 0x999000, NW_VTD_WRITE);
    assert_true(record(b, 1, 1) == (NW_BIT(63) | UINT64_C(5) << 32 | (SOURCE + 1)));
    dma(b, SOURCE + 2, 0x999000, NW_VTD_ATOMIC);
    assert_true(record(b, 2, 1) == (NW_BIT(63) | NW_BIT(62) | NW_BIT(28) | UINT64_C(6) << 32 | (SOURCE + 2)));
    /* FRI names the first that became pending. */
    clear_record(b, 0);
    assert_int_equal(rd(b, NW_VTD_FSTS, 4), NW_VTD_FSTS_PPF);
    clear_record(b, 1);
    clear_record(b, 2);
    assert_int_equal(rd(b, NW_VTD_FSTS, 4) & 0xff, 0);
    dma(b, SOURCE, 0x123456789, NW_VTD_READ);
    assert_int_equal(rd(b, NW_VTD_FSTS, 4), NW_VTD_FSTS_PPF | 3 << 8);
    assert_true(record(b, 3, 1) >> 63);
}

static void unit__overflow_stops_recording(void **state)
{
    struct bench *b = *state;
    turn_on(b, NW_VTD_GCMD_TE);
    for (unsigned i = 0; i < 8; i++)
        dma(b, (uint16_t)(SOURCE + i), 0x1000, NW_VTD_READ);
    assert_int_equal(rd(b, NW_VTD_FSTS, 4), NW_VTD_FSTS_PPF);
    dma(b, SOURCE + 8, 0x1000, NW_VTD_READ);
    assert_int_equal(rd(b, NW_VTD_FSTS, 4), NW_VTD_FSTS_PPF | NW_VTD_FSTS_PFO);
    clear_record(b, 0); /* there is room, but the overflow stands */
    dma(b, SOURCE + 8, 0x1000, NW_VTD_READ);
    assert_false(record(b, 0, 1) >> 63);
    wr(b, NW_VTD_FSTS, 4, NW_VTD_FSTS_PFO);
    dma(b, SOURCE + 9, 0x1000, NW_VTD_READ);
    assert_true((uint16_t)record(b, 0, 1) == SOURCE + 9);
}

static void unit__a_qualified_fault_is_not_recorded_with_fpd(void **state)
{
    struct bench *b = *state;
    turn_on(b, NW_VTD_GCMD_TE);
    put64(b->pm, CONTEXT + SOURCE * 16, TREE | 3);
    struct nw_vtd_result r = dma(b, SOURCE, 0x1000, NW_VTD_READ);
    assert_true(r.fault.reason == 0x06 && !r.fault.recorded);
    assert_int_equal(rd(b, NW_VTD_FSTS, 4), 0);
}

static void unit__fault_event_is_one_message_until_dealt_with(void **state)
{
    struct bench *b = *state;
    turn_on(b, NW_VTD_GCMD_TE);
    wr(b, NW_VTD_FEDATA, 4, 0x41);
    wr(b, NW_VTD_FEADDR, 4, 0xfee01003);
    wr(b, NW_VTD_FEUADDR, 4, 2);
    dma(b, SOURCE, 0x1000, NW_VTD_READ);
    assert_int_equal(b->fault_events, 0); /* masked at reset, so pending */
    assert_true(rd(b, NW_VTD_FECTL, 4) == (NW_BIT(31) | NW_BIT(30)));
    wr(b, NW_VTD_FECTL, 4, 0);
    assert_int_equal(b->fault_events, 1);
    assert_true(b->event_address == UINT64_C(0x2fee01000) && b->event_data == 0x41);
    assert_int_equal(rd(b, NW_VTD_FECTL, 4), 0);
    dma(b, SOURCE + 1, 0x1000, NW_VTD_READ);
    assert_int_equal(b->fault_events, 1);
    clear_record(b, 0);
    clear_record(b, 1);
    dma(b, SOURCE + 1, 0x1000, NW_VTD_READ);
    assert_int_equal(b->fault_events, 2);
    /* Masked again, and dealt with before the mask goes: no message. */
    clear_record(b, 2);
    wr(b, NW_VTD_FECTL, 4, NW_BIT(31));
    dma(b, SOURCE, 0x1000, NW_VTD_READ);
    clear_record(b, 3);
    wr(b, NW_VTD_FECTL, 4, 0);
    assert_int_equal(b->fault_events, 2);
}

static void unit__refuses_impossible_configurations(void **state)
{
    struct bench *b = *state;
    struct nw_vtd_unit *u = NULL;
    struct nw_error err = { 0 };
    struct nw_vtd_config c = b->config;
    c.unit.haw = 60;
    assert_int_equal(nw_vtd_unit_create(&u, &c, &err), NW_ERR_INPUT);
    assert_non_null(strstr(err.text, "32 to 52"));
    c = b->config;
    c.cache[NW_VTD_IOTLB] = (struct nw_iommu_cache_shape){ .entries = 10, .ways = 4 };
    assert_int_equal(nw_vtd_unit_create(&u, &c, &err), NW_ERR_INPUT);
    assert_non_null(strstr(err.text, "IOTLB: 10 entries in 4 ways"));
    c = b->config;
    c.unit.cap &= ~(UINT64_C(0x3ff) << 24);
    assert_int_equal(nw_vtd_unit_create(&u, &c, &err), NW_ERR_INPUT);
    assert_null(u);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = { TEST(unit__registers_at_reset),
                                        TEST(unit__root_table_counts_when_latched),
                                        TEST(unit__interrupt_table_counts_when_latched),
                                        TEST(unit__records_faults_and_collapses_them),
                                        TEST(unit__overflow_stops_recording),
                                        TEST(unit__a_qualified_fault_is_not_recorded_with_fpd),
                                        TEST(unit__fault_event_is_one_message_until_dealt_with),
                                        TEST(unit__refuses_impossible_configurations) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
