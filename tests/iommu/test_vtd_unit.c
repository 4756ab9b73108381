/* The unit as software drives it: commands, fault records, the invalidation queue and its errors. */
#include "iommu_common.h"

enum { ROOT = 0x1000, CONTEXT = 0x2000, TREE = 0x10000, QUEUE = 0x80000, STATUS = 0x90000, SOURCE = 0x0010 };
static const struct nw_vtd_range ram[] = { { 0, 0x1000000 } };

struct bench {
    struct nw_physmem *pm;
    struct nw_vtd_config config;
    struct nw_vtd_unit *u;
    unsigned fault_events, invalidation_events;
    uint64_t event_address;
    uint32_t event_data;
    enum nw_vtd_answer answer;
    struct nw_vtd_device_tlb device;
    uint64_t tail;
};

static void on_event(void *context, enum nw_vtd_event event, uint64_t address, uint32_t data)
{
    struct bench *b = context;
    b->fault_events += event == NW_VTD_FAULT_EVENT;
    b->invalidation_events += event == NW_VTD_INVALIDATION_EVENT;
    b->event_address = address;
    b->event_data = data;
}

static enum nw_vtd_answer on_device_tlb(void *context, const struct nw_vtd_device_tlb *q)
{
    struct bench *b = context;
    b->device = *q;
    return b->answer;
}

/* Every function of bus 0 has domain 7 and an empty 4-level tree. */
static int set_up(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    must(nw_physmem_create(&b->pm, err));
    put64(b->pm, ROOT, CONTEXT | 1);
    for (unsigned f = 0; f < 256; f++) {
        put64(b->pm, CONTEXT + f * 16, TREE | 1);
        put64(b->pm, CONTEXT + f * 16 + 8, 2 | 7 << 8);
    }
    b->config = nw_vtd_config_default(b->pm);
    b->config.memory.ram = ram;
    b->config.memory.ram_count = 1;
    b->config.event = on_event;
    b->config.device_tlb = on_device_tlb;
    b->config.context = b;
    must(nw_vtd_unit_create(&b->u, &b->config, err));
    *state = b;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *b = *state;
    nw_vtd_unit_destroy(b->u);
    nw_physmem_destroy(b->pm);
    free(b);
    return 0;
}

static uint64_t rd(const struct bench *b, unsigned offset, unsigned bytes)
{
    return nw_vtd_unit_read(b->u, offset, bytes);
}
static void wr(struct bench *b, unsigned offset, unsigned bytes, uint64_t v)
{
    nw_vtd_unit_write(b->u, offset, bytes, v);
}

static struct nw_vtd_result dma(struct bench *b, uint16_t source, uint64_t address, enum nw_vtd_request_kind kind)
{
    struct nw_vtd_result r;
    nw_vtd_unit_dma(b->u, &(struct nw_vtd_request){ .source_id = source, .address = address, .kind = kind }, &r);
    return r;
}

static void turn_on(struct bench *b, uint64_t bits)
{
    wr(b, NW_VTD_RTADDR, 8, ROOT);
    wr(b, NW_VTD_GCMD, 4, NW_VTD_GCMD_SRTP);
    wr(b, NW_VTD_IQA, 8, QUEUE);
    wr(b, NW_VTD_GCMD, 4, bits);
}

static void push(struct bench *b, uint64_t low, uint64_t high)
{
    put64(b->pm, QUEUE + b->tail, low);
    put64(b->pm, QUEUE + b->tail + 8, high);
    b->tail = (b->tail + 16) % 4096;
    wr(b, NW_VTD_IQT, 8, b->tail);
}

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

/* ---- the queue ---------------------------------------------------------------------------------- */

static void unit__wait_writes_status_and_raises_the_event(void **state)
{
    struct bench *b = *state;
    turn_on(b, NW_VTD_GCMD_QIE);
    wr(b, NW_VTD_IECTL, 4, 0);
    wr(b, NW_VTD_IEDATA, 4, 0x52);
    push(b, 5 | 1 << 5 | UINT64_C(0x12345678) << 32, STATUS + 4);
    assert_true(get64(b->pm, STATUS) == UINT64_C(0x1234567800000000));
    assert_int_equal(b->invalidation_events, 0);
    push(b, 5 | 1 << 4 | 1 << 6, 0);
    assert_int_equal(b->invalidation_events, 1);
    assert_int_equal(b->event_data, 0x52);
    assert_int_equal(rd(b, NW_VTD_ICS, 4), 1);
    push(b, 5 | 1 << 4, 0); /* not before software has cleared IWC */
    assert_int_equal(b->invalidation_events, 1);
    wr(b, NW_VTD_ICS, 4, 1);
    push(b, 5 | 1 << 4, 0);
    assert_int_equal(b->invalidation_events, 2);
    assert_int_equal(rd(b, NW_VTD_IQH, 8), b->tail);
    for (unsigned i = 0; i < 300; i++) /* past the end of its page */
        push(b, 5, 0);
    assert_int_equal(rd(b, NW_VTD_IQH, 8), b->tail);
    assert_int_equal(rd(b, NW_VTD_FSTS, 4), 0);
}

static void expect_error(struct bench *b, uint64_t low, uint64_t high, unsigned error)
{
    uint64_t head = rd(b, NW_VTD_IQH, 8);
    push(b, low, high);
    if (rd(b, NW_VTD_FSTS, 4) != NW_VTD_FSTS_IQE || (rd(b, NW_VTD_IQERCD, 8) & 15) != error ||
        rd(b, NW_VTD_IQH, 8) != head)
        fail_msg("descriptor %llx %llx: FSTS %llx, IQEI %llx, not %u", (unsigned long long)low,
                 (unsigned long long)high, (unsigned long long)rd(b, NW_VTD_FSTS, 4),
                 (unsigned long long)rd(b, NW_VTD_IQERCD, 8), error);
    push(b, 5 | 1 << 5 | UINT64_C(0xdead) << 32, STATUS); /* stopped: this waits */
    assert_int_equal(get64(b->pm, STATUS), 0);
    put64(b->pm, QUEUE + head, 5); /* mended in place; clearing the error goes on */
    put64(b->pm, QUEUE + head + 8, 0);
    wr(b, NW_VTD_FSTS, 4, NW_VTD_FSTS_IQE);
    assert_int_equal(rd(b, NW_VTD_FSTS, 4), 0);
    assert_int_equal(rd(b, NW_VTD_IQERCD, 8) & 15, 0);
    assert_int_equal(get64(b->pm, STATUS), 0xdead);
    put64(b->pm, STATUS, 0);
}

static void unit__bad_descriptors_stop_the_queue(void **state)
{
    struct bench *b = *state;
    turn_on(b, NW_VTD_GCMD_QIE);
    expect_error(b, 0, 0, NW_VTD_QUEUE_TYPE);
    expect_error(b, 10, 0, NW_VTD_QUEUE_TYPE);
    expect_error(b, 5 | 1 << 9, 0, NW_VTD_QUEUE_TYPE); /* upper bits of the type */
    expect_error(b, 1, 0, NW_VTD_QUEUE_RESERVED);      /* granularity 0 */
    expect_error(b, 2, 0, NW_VTD_QUEUE_RESERVED);
    expect_error(b, 2 | 3 << 4, 19, NW_VTD_QUEUE_RESERVED);            /* AM above MAMV, which is 18 */
    expect_error(b, 4 | 1 << 4 | 31u << 27, 0, NW_VTD_QUEUE_RESERVED); /* IM above MHMV */
    expect_error(b, 6 | 2 << 4, 0, NW_VTD_QUEUE_MODE);                 /* PASID descriptors in legacy mode */
    expect_error(b, 7, 0, NW_VTD_QUEUE_MODE);
    expect_error(b, 8, 0, NW_VTD_QUEUE_MODE);
    expect_error(b, 9, 0, NW_VTD_QUEUE_MODE);
}

/* Reserved bits, one at a time, of the descriptors of both modes. */
static void unit__every_reserved_bit_of_descriptors(void **state)
{
    struct bench *b = *state;
    static const struct {
        uint64_t low, used[2];
    } form[] = {
        { 1 | 1 << 4, { UINT64_C(0x0003ffffffff0e3f), 0 } },
        { 2 | 1 << 4, { UINT64_C(0x00000000ffff0eff), UINT64_C(0xfffffffffffff07f) } },
        { 3, { UINT64_C(0xfff0ffff001ffe0f), UINT64_C(0xfffffffffffff001) } },
        { 4, { UINT64_C(0x0000fffff8000e1f), 0 } },
        { 5, { UINT64_C(0xffffffff00000eff), ~UINT64_C(3) } },
        { 6 | 2 << 4, { UINT64_C(0x000fffffffff0e3f), UINT64_C(0xfffffffffffff07f) } },
        { 7 | 3 << 4, { UINT64_C(0x000fffffffff0e3f), 0 } },
        { 8, { ~UINT64_C(0), UINT64_C(0xfffffffffffff801) } },
        { 9, { UINT64_C(0x000ffffffffffe1f), UINT64_C(0xffc) } },
    };
    wr(b, NW_VTD_RTADDR, 8, ROOT | 1 << 10);
    wr(b, NW_VTD_GCMD, 4, NW_VTD_GCMD_SRTP);
    wr(b, NW_VTD_IQA, 8, QUEUE);
    wr(b, NW_VTD_GCMD, 4, NW_VTD_GCMD_QIE);
    for (unsigned i = 0; i < NW_ARRAY_LEN(form); i++) {
        push(b, form[i].low, 0);
        assert_int_equal(rd(b, NW_VTD_FSTS, 4), 0);
        for (unsigned bit = 0; bit < 128; bit++)
            if (!(form[i].used[bit / 64] >> bit % 64 & 1))
                expect_error(b, form[i].low | (bit < 64 ? NW_BIT(bit) : 0), bit < 64 ? 0 : NW_BIT(bit - 64),
                             NW_VTD_QUEUE_RESERVED);
    }
}

static void unit__queue_register_errors(void **state)
{
    struct bench *b = *state;
    turn_on(b, NW_VTD_GCMD_QIE);
    wr(b, NW_VTD_IQT, 8, 4096); /* a queue of one page */
    assert_int_equal(rd(b, NW_VTD_IQERCD, 8), NW_VTD_QUEUE_TAIL);
    wr(b, NW_VTD_GCMD, 4, 0);
    wr(b, NW_VTD_FSTS, 4, NW_VTD_FSTS_IQE);
    wr(b, NW_VTD_IQA, 8, 0x2000000); /* no memory there */
    wr(b, NW_VTD_IQT, 8, 0x10);
    wr(b, NW_VTD_GCMD, 4, NW_VTD_GCMD_QIE);
    assert_int_equal(rd(b, NW_VTD_IQERCD, 8), NW_VTD_QUEUE_FETCH);
    wr(b, NW_VTD_GCMD, 4, 0);
    wr(b, NW_VTD_FSTS, 4, NW_VTD_FSTS_IQE);
    wr(b, NW_VTD_IQA, 8, QUEUE | 1 << 11); /* 256-bit descriptors */
    wr(b, NW_VTD_GCMD, 4, NW_VTD_GCMD_QIE);
    assert_int_equal(rd(b, NW_VTD_IQERCD, 8), NW_VTD_QUEUE_MISALIGNED);
    wr(b, NW_VTD_IQT, 8, 0);
    wr(b, NW_VTD_FSTS, 4, NW_VTD_FSTS_IQE);
    put64(b->pm, QUEUE, 5);
    put64(b->pm, QUEUE + 24, 1); /* the upper half is reserved */
    wr(b, NW_VTD_IQT, 8, 0x20);
    assert_int_equal(rd(b, NW_VTD_IQERCD, 8), NW_VTD_QUEUE_RESERVED);
    nw_vtd_unit_destroy(b->u);
    b->config.unit.ecap &= ~NW_VTD_ECAP_SMTS;
    must(nw_vtd_unit_create(&b->u, &b->config, err));
    turn_on(b, NW_VTD_GCMD_QIE);
    wr(b, NW_VTD_GCMD, 4, 0);
    wr(b, NW_VTD_IQA, 8, QUEUE | 1 << 11);
    wr(b, NW_VTD_GCMD, 4, NW_VTD_GCMD_QIE);
    assert_int_equal(rd(b, NW_VTD_IQERCD, 8), NW_VTD_QUEUE_WIDTH);
}

static void unit__devices_answer_invalidations(void **state)
{
    struct bench *b = *state;
    turn_on(b, NW_VTD_GCMD_QIE);
    push(b, 3 | UINT64_C(0x1234) << 32, 0x7f001);
    assert_true(b->device.source_id == 0x1234 && b->device.large && b->device.address == 0x7f000);
    assert_int_equal(rd(b, NW_VTD_FSTS, 4), 0);
    b->answer = NW_VTD_ANSWER_ERROR;
    push(b, 3 | UINT64_C(0x1234) << 32, 0);
    assert_int_equal(rd(b, NW_VTD_FSTS, 4), NW_VTD_FSTS_ICE);
    assert_true(rd(b, NW_VTD_IQERCD, 8) >> 48 == 0x1234);
    wr(b, NW_VTD_FSTS, 4, NW_VTD_FSTS_ICE);
    b->answer = NW_VTD_ANSWER_NONE;
    push(b, 3 | UINT64_C(0x4321) << 32, 0);
    assert_int_equal(rd(b, NW_VTD_FSTS, 4), NW_VTD_FSTS_ITE);
    assert_true((rd(b, NW_VTD_IQERCD, 8) >> 32 & 0xffff) == 0x4321);
    push(b, 5 | 1 << 5 | UINT64_C(9) << 32, STATUS);
    assert_int_equal(get64(b->pm, STATUS), 0); /* until software has cleared ITE */
    wr(b, NW_VTD_FSTS, 4, NW_VTD_FSTS_ITE);
    assert_int_equal(get64(b->pm, STATUS), 9);
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
    c.cache[NW_VTD_IOTLB] = (struct nw_vtd_cache_shape){ 10, 4 };
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
                                        TEST(unit__wait_writes_status_and_raises_the_event),
                                        TEST(unit__bad_descriptors_stop_the_queue),
                                        TEST(unit__every_reserved_bit_of_descriptors),
                                        TEST(unit__queue_register_errors),
                                        TEST(unit__devices_answer_invalidations),
                                        TEST(unit__refuses_impossible_configurations) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
