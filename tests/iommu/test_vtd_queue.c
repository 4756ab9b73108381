/* The invalidation queue: completion, errors, reserved fields, devices that answer badly. */
#include "unit_bench.h"

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

/* Every granularity of every descriptor that has one, and AM at and above MAMV, which is 18. */
static void unit__granularities_and_masks(void **state)
{
    struct bench *b = *state;
    static const struct {
        unsigned type;
        uint8_t exist; /* bit g */
    } of[] = { { 1, 0xe }, { 2, 0xe }, { 6, 0xc }, { 7, 0xb } };
    wr(b, NW_VTD_RTADDR, 8, ROOT | 1 << 10);
    wr(b, NW_VTD_GCMD, 4, NW_VTD_GCMD_SRTP);
    wr(b, NW_VTD_IQA, 8, QUEUE);
    wr(b, NW_VTD_GCMD, 4, NW_VTD_GCMD_QIE);
    for (unsigned i = 0; i < NW_ARRAY_LEN(of); i++)
        for (unsigned g = 0; g < 4; g++) {
            uint64_t low = of[i].type | g << 4;
            if (!(of[i].exist >> g & 1)) {
                expect_error(b, low, 0, NW_VTD_QUEUE_RESERVED);
                continue;
            }
            push(b, low, 0);
            assert_int_equal(rd(b, NW_VTD_FSTS, 4), 0);
            if (g == 3 && (of[i].type == 2 || of[i].type == 6)) {
                push(b, low, 18);
                assert_int_equal(rd(b, NW_VTD_FSTS, 4), 0);
                expect_error(b, low, 19, NW_VTD_QUEUE_RESERVED);
                expect_error(b, low, 63, NW_VTD_QUEUE_RESERVED);
            }
        }
    for (uint64_t im = 0; im < 32; im++) { /* MHMV is 15 */
        if (im > nw_field(b->config.unit.ecap, 23, 20)) {
            expect_error(b, 4 | 1 << 4 | im << 27, 0, NW_VTD_QUEUE_RESERVED);
        } else {
            push(b, 4 | 1 << 4 | im << 27, 0);
            assert_int_equal(rd(b, NW_VTD_FSTS, 4), 0);
        }
    }
}

/* Descriptors of 256 bits: every type with its upper half clear, and not clear. */
static void unit__wide_descriptors(void **state)
{
    struct bench *b = *state;
    static const uint64_t low[] = { 1 | 1 << 4, 2 | 1 << 4, 3, 4, 5, 6 | 2 << 4, 7 | 3 << 4, 8, 9 };
    wr(b, NW_VTD_RTADDR, 8, ROOT | 1 << 10);
    wr(b, NW_VTD_GCMD, 4, NW_VTD_GCMD_SRTP);
    wr(b, NW_VTD_IQA, 8, QUEUE | 1 << 11);
    wr(b, NW_VTD_GCMD, 4, NW_VTD_GCMD_QIE);
    for (unsigned i = 0; i < NW_ARRAY_LEN(low); i++)
        for (unsigned half = 0; half < 3; half++) { /* 0: clear; 1, 2: a bit in word 2, in word 3 */
            uint64_t head = rd(b, NW_VTD_IQH, 8), at = QUEUE + head;
            put64(b->pm, at, low[i]);
            put64(b->pm, at + 8, 0);
            put64(b->pm, at + 16, half == 1 ? NW_BIT(7) : 0);
            put64(b->pm, at + 24, half == 2 ? NW_BIT(40) : 0);
            wr(b, NW_VTD_IQT, 8, (head + 32) % 4096);
            bool bad = half && low[i] != 9; /* a page-group response has private data there */
            assert_int_equal(rd(b, NW_VTD_IQERCD, 8) & 15, bad ? NW_VTD_QUEUE_RESERVED : NW_VTD_QUEUE_OK);
            assert_int_equal(rd(b, NW_VTD_IQH, 8), bad ? head : (head + 32) % 4096);
            put64(b->pm, at + 16, 0);
            put64(b->pm, at + 24, 0);
            wr(b, NW_VTD_FSTS, 4, NW_VTD_FSTS_IQE);
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

/* What CAP and ECAP do not promise is no command, no descriptor, no field. */
static void unit__has_what_its_capabilities_say(void **state)
{
    struct bench *b = *state;
    nw_vtd_unit_destroy(b->u);
    b->config.unit.ecap &= ~(NW_VTD_ECAP_DT | NW_VTD_ECAP_IR | NW_VTD_ECAP_PDS);
    must(nw_vtd_unit_create(&b->u, &b->config, err));
    turn_on(b, NW_VTD_GCMD_QIE | NW_VTD_GCMD_IRE | NW_VTD_GCMD_CFI);
    assert_true(rd(b, NW_VTD_GSTS, 4) == (NW_VTD_GCMD_QIE | NW_VTD_GCMD_SRTP));
    expect_error(b, 3, 0, NW_VTD_QUEUE_TYPE);
    expect_error(b, 4, 0, NW_VTD_QUEUE_TYPE);
    expect_error(b, 5 | 1 << 7, 0, NW_VTD_QUEUE_RESERVED); /* page-request drain */
    nw_vtd_unit_destroy(b->u);
    b->config.unit.ecap &= ~NW_VTD_ECAP_QI;
    must(nw_vtd_unit_create(&b->u, &b->config, err));
    turn_on(b, NW_VTD_GCMD_QIE);
    assert_true(rd(b, NW_VTD_GSTS, 4) == NW_VTD_GCMD_SRTP);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = { TEST(unit__wait_writes_status_and_raises_the_event),
                                        TEST(unit__bad_descriptors_stop_the_queue),
                                        TEST(unit__every_reserved_bit_of_descriptors),
                                        TEST(unit__granularities_and_masks),
                                        TEST(unit__wide_descriptors),
                                        TEST(unit__queue_register_errors),
                                        TEST(unit__devices_answer_invalidations),
                                        TEST(unit__has_what_its_capabilities_say) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
