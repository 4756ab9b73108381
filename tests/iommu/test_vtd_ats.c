/* Translation requests, page requests and devices with a TLB. */
#include "mapping_bench.h"
#include <nestwalk/iommu/vtd_device.h>

enum { PRQ = 0x90000, STATUS = 0xa0000 };
static const unsigned pgtts[4] = { 0, 1, 2, 3 };

static struct nw_vtd_completion ats(struct bench *b, uint64_t address, enum nw_vtd_request_kind kind)
{
    struct nw_vtd_completion c;
    struct nw_vtd_request q = {
        .source_id = SOURCE, .address = address, .kind = kind, .has_pasid = b->pasid, .pasid = PASID
    };
    nw_vtd_unit_ats(b->u, &q, &c);
    return c;
}

static uint64_t rd(const struct bench *b, unsigned offset, unsigned bytes)
{
    return nw_vtd_unit_read(b->u, offset, bytes);
}

static unsigned first_record(const struct bench *b)
{
    uint64_t high = rd(b, nw_vtd_record_offset(b->config.unit.cap, 0) + 8, 8);
    return high >> 63 ? (unsigned)(high >> 32 & 0xff) : 0;
}

/* ---- translation requests ----------------------------------------------------------------------- */

static void ats__what_is_mapped_is_told_with_its_rights(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < 4; kind++)
        for (unsigned large = 0; large < 2; large++) {
            struct bench b;
            begin_with(&b, pgtts[kind], large, true, false);
            struct nw_vtd_completion c = ats(&b, IOVA | 0x321, NW_VTD_WRITE);
            uint64_t to = large ? 0x600000 | (IOVA & 0x1fffff) : OLD;
            assert_int_equal(c.status, NW_VTD_ATS_SUCCESS);
            assert_true(c.hpa.v == (to | 0x321) && !c.untranslated_only && !c.fault.reason);
            assert_int_equal(c.page_log2, large ? 21 : 12);
            assert_int_equal(c.rights & 7, NW_VTD_RIGHT_READ | NW_VTD_RIGHT_WRITE);
            finish(&b);
        }
}

/* First-stage pages: writing is granted with D set, and D is set only for who wants to write. */
static void ats__dirty_goes_with_the_right_to_write(void **state)
{
    (void)state;
    struct bench b;
    begin_with(&b, 1, false, true, false);
    assert_int_equal(ats(&b, IOVA, NW_VTD_READ).rights & 3, NW_VTD_RIGHT_READ);
    assert_int_equal(get64(b.pm, b.leaf[1]) & 0x60, 0x20);
    assert_int_equal(ats(&b, IOVA, NW_VTD_WRITE).rights & 3, NW_VTD_RIGHT_READ | NW_VTD_RIGHT_WRITE);
    assert_int_equal(get64(b.pm, b.leaf[1]) & 0x60, 0x60);
    assert_int_equal(ats(&b, IOVA, NW_VTD_READ).rights & 3, NW_VTD_RIGHT_READ | NW_VTD_RIGHT_WRITE);
    put64(b.pm, b.leaf[1], OLD | 5); /* read-only */
    push(&b, DESCRIPTOR(2, 1, 0), 0);
    struct nw_vtd_completion c = ats(&b, IOVA, NW_VTD_WRITE);
    assert_true(c.status == NW_VTD_ATS_SUCCESS && (c.rights & 3) == NW_VTD_RIGHT_READ && c.fault.reason == 0x85);
    finish(&b);
    begin_with(&b, 0, false, true, false);
    put64(b.pm, b.leaf[0], OLD | 2); /* second stage: for writing only */
    assert_int_equal(ats(&b, IOVA, NW_VTD_READ).rights & 3, 0);
    assert_int_equal(ats(&b, IOVA, NW_VTD_WRITE).rights & 3, NW_VTD_RIGHT_WRITE);
    assert_int_equal(first_record(&b), 0);
    finish(&b);
}

static void ats__refusals(void **state)
{
    (void)state;
    static const struct {
        unsigned pgtt;
        bool allowed;
        uint64_t at, word; /* at 0: the leaf */
        enum nw_vtd_ats_status status;
        uint8_t reason, recorded;
    } c[] = {
        { 0, false, 1, 0, NW_VTD_ATS_UNSUPPORTED, 0x0d, 1 },
        { 1, false, 1, 0, NW_VTD_ATS_UNSUPPORTED, 0x44, 1 },
        { 0, true, 0, 0, NW_VTD_ATS_SUCCESS, 0x06, 0 }, /* not mapped: an answer without rights */
        { 1, true, 0, 0, NW_VTD_ATS_SUCCESS, 0x71, 0 },
        { 2, true, 0, 0, NW_VTD_ATS_SUCCESS, 0x79, 0 },
        { 0, true, 0, OLD | 3 | UINT64_C(1) << 50, NW_VTD_ATS_ABORT, 0x0c, 1 },
        { 1, true, 0, OLD | 7 | UINT64_C(1) << 50, NW_VTD_ATS_ABORT, 0x72, 1 },
        { 0, true, 0, 0xfee01003, NW_VTD_ATS_SUCCESS, 0x0e, 0 },
        { 0, true, CONTEXT + SOURCE * 16, 0, NW_VTD_ATS_UNSUPPORTED, 0x02, 1 },
        { 2, true, PASIDS + PASID * 64, 0, NW_VTD_ATS_UNSUPPORTED, 0x59, 1 },
        { 2, true, PASIDS + PASID * 64 + 24, 1, NW_VTD_ATS_ABORT, 0x5a, 1 },
    };
    for (unsigned i = 0; i < NW_ARRAY_LEN(c); i++) {
        struct bench b;
        begin_with(&b, c[i].pgtt, false, c[i].allowed, false);
        if (c[i].at != 1)
            put64(b.pm, c[i].at ? c[i].at : b.leaf[c[i].pgtt & 1], c[i].word);
        struct nw_vtd_completion r = ats(&b, IOVA, NW_VTD_READ);
        if (r.status != c[i].status || r.fault.reason != c[i].reason || r.rights)
            fail_msg("case %u: status %d, reason %x, rights %x", i, r.status, r.fault.reason, r.rights);
        assert_int_equal(first_record(&b), c[i].recorded ? c[i].reason : 0);
        finish(&b);
    }
}

static void ats__off_and_messages(void **state)
{
    (void)state;
    struct bench b;
    begin_with(&b, 0, false, true, false);
    struct nw_vtd_completion c = ats(&b, 0xfee00000, NW_VTD_WRITE);
    assert_true(c.status == NW_VTD_ATS_SUCCESS && c.untranslated_only && c.rights == NW_VTD_RIGHT_WRITE);
    nw_vtd_unit_write(b.u, NW_VTD_GCMD, 4, 0);
    assert_int_equal(ats(&b, IOVA, NW_VTD_READ).status, NW_VTD_ATS_UNSUPPORTED);
    finish(&b);
}

/* Every size that S can say, and what lies one byte beside it. */
static void ats__sizes_of_invalidations(void **state)
{
    (void)state;
    uint64_t start, last;
    struct nw_vtd_device_tlb q = { .address = UINT64_C(0x123456789000) };
    nw_vtd_device_range(&q, &start, &last);
    assert_true(start == q.address && last == q.address + 0xfff);
    for (unsigned ones = 0; ones < 51; ones++) { /* the lowest zero bit is bit 12 + ones */
        q = (struct nw_vtd_device_tlb){ .large = true };
        q.address = (UINT64_C(0x9234567890abc000) & ~(NW_BIT(13 + ones) - 1)) | ((NW_BIT(ones) - 1) << 12);
        nw_vtd_device_range(&q, &start, &last);
        assert_true(last - start == NW_BIT(13 + ones) - 1 && start == (q.address & ~(NW_BIT(13 + ones) - 1)));
    }
    q.address = UINT64_C(0x7ffffffffffff000); /* bit 63 is the zero: everything, as with ones everywhere */
    nw_vtd_device_range(&q, &start, &last);
    assert_true(start == 0 && last == UINT64_MAX);
    q.address = ~UINT64_C(0xfff);
    nw_vtd_device_range(&q, &start, &last);
    assert_true(start == 0 && last == UINT64_MAX);
}

/* ---- devices ------------------------------------------------------------------------------------ */

static struct nw_vtd_device *device_of(struct bench *b, struct nw_vtd_device_config c)
{
    struct nw_vtd_device *d;
    c.source_id = SOURCE;
    if (!c.ways)
        c.entries = c.ways = 8;
    must(nw_vtd_device_create(&d, b->u, &c, err));
    return d;
}

static struct nw_vtd_device_result access_by(struct nw_vtd_device *d, uint64_t address, enum nw_vtd_request_kind kind,
                                             bool pasid)
{
    struct nw_vtd_device_result r;
    struct nw_vtd_request q = { .address = address, .kind = kind, .has_pasid = pasid, .pasid = PASID };
    nw_vtd_device_dma(d, &q, &r);
    return r;
}

static void device__keeps_what_it_was_told(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < 4; kind++) {
        struct bench b;
        begin_with(&b, pgtts[kind], false, true, false);
        struct nw_vtd_device *d = device_of(&b, (struct nw_vtd_device_config){ 0 });
        struct nw_vtd_device_result r = access_by(d, IOVA | 8, NW_VTD_READ, false);
        assert_true(r.outcome == NW_VTD_DEVICE_DONE && !r.hit && r.result.hpa.v == (OLD | 8));
        unsigned stage = pgtts[kind] & 1;
        put64(b.pm, b.leaf[stage], 0);
        push(&b, DESCRIPTOR(2, 1, 0), 0); /* the unit forgets, the device does not */
        r = access_by(d, IOVA | 16, NW_VTD_READ, false);
        assert_true(r.outcome == NW_VTD_DEVICE_DONE && r.hit && r.result.hpa.v == (OLD | 16));
        push(&b, 3 | (uint64_t)SOURCE << 32, IOVA + 0x1000);
        assert_true(access_by(d, IOVA, NW_VTD_READ, false).hit);
        push(&b, 3 | (uint64_t)(SOURCE + 1) << 32, IOVA);
        assert_true(access_by(d, IOVA, NW_VTD_READ, false).hit);
        push(&b, 3 | (uint64_t)SOURCE << 32, IOVA);
        r = access_by(d, IOVA, NW_VTD_READ, false);
        assert_true(r.outcome == NW_VTD_DEVICE_REFUSED && !r.hit && r.result.fault.reason);
        struct nw_device_tlb_counts c = nw_vtd_device_counts(d);
        assert_true(c.lookups == 5 && c.hits == 3 && c.fills == 1 && c.invalidations == 2 && c.invalidated == 1);
        nw_vtd_device_destroy(d);
        finish(&b);
    }
}

/* The unit may still refuse a translated request: the context entry says that this device may send none. */
static void device__translated_requests_are_checked(void **state)
{
    (void)state;
    struct bench b;
    begin_with(&b, 0, false, true, false);
    struct nw_vtd_device *d = device_of(&b, (struct nw_vtd_device_config){ 0 });
    assert_int_equal(access_by(d, IOVA, NW_VTD_READ, false).outcome, NW_VTD_DEVICE_DONE);
    put64(b.pm, CONTEXT + SOURCE * 16, SECOND | 1); /* TT 00 */
    push(&b, DESCRIPTOR(1, 1, 0), 0);
    struct nw_vtd_device_result r = access_by(d, IOVA, NW_VTD_READ, false);
    assert_true(r.hit && r.outcome == NW_VTD_DEVICE_REFUSED && r.result.fault.reason == 0x0d);
    assert_int_equal(first_record(&b), 0x0d);
    nw_vtd_device_destroy(d);
    finish(&b);
}

static void device__shape_and_policy(void **state)
{
    (void)state;
    for (enum nw_device_tlb_policy p = 0; p < NW_DEVICE_TLB_POLICIES; p++) {
        struct bench b;
        begin_with(&b, 0, false, true, false);
        for (unsigned i = 0; i < 4; i++)
            put64(b.pm, b.leaf[0] + i * 8, (OLD + i * 0x1000) | 3);
        struct nw_vtd_device *d = device_of(&b, (struct nw_vtd_device_config){ .entries = 3, .ways = 3, .policy = p });
        for (unsigned i = 0; i < 3; i++)
            access_by(d, IOVA + i * 0x1000, NW_VTD_READ, false);
        assert_true(access_by(d, IOVA, NW_VTD_READ, false).hit);
        access_by(d, IOVA + 0x3000, NW_VTD_READ, false); /* drives one out: LRU the second, FIFO the first */
        assert_int_equal(nw_vtd_device_counts(d).evictions, 1);
        if (p == NW_DEVICE_TLB_LRU)
            assert_false(access_by(d, IOVA + 0x1000, NW_VTD_READ, false).hit);
        else if (p == NW_DEVICE_TLB_FIFO)
            assert_false(access_by(d, IOVA, NW_VTD_READ, false).hit);
        nw_vtd_device_destroy(d);
        finish(&b);
    }
    struct bench b;
    struct nw_vtd_device *d, *second;
    struct nw_error err;
    begin_with(&b, 0, false, true, false);
    const struct nw_vtd_device_config bad[] = {
        { .entries = 5, .ways = 2 }, { .entries = 4 }, { .groups = 513 }, { .policy = NW_DEVICE_TLB_POLICIES }
    };
    for (unsigned i = 0; i < NW_ARRAY_LEN(bad); i++)
        assert_int_equal(nw_vtd_device_create(&d, b.u, &bad[i], &err), NW_ERR_INPUT);
    d = device_of(&b, (struct nw_vtd_device_config){ 0 });
    assert_int_equal(nw_vtd_device_create(&second, b.u, &(struct nw_vtd_device_config){ .source_id = SOURCE }, &err),
                     NW_ERR_INPUT);
    nw_vtd_device_destroy(d);
    finish(&b);
}

/* ---- answers to invalidations ------------------------------------------------------------------- */

static void queue_only(struct bench *b, uint64_t low, uint64_t high) /* without the tail */
{
    put64(b->pm, QUEUE + b->tail, low);
    put64(b->pm, QUEUE + b->tail + 8, high);
    b->tail += 16;
}

static void device__that_does_not_answer_stops_the_queue(void **state)
{
    (void)state;
    struct bench b;
    begin_with(&b, 0, false, true, false);
    struct nw_vtd_device *d = device_of(&b, (struct nw_vtd_device_config){ .answer = NW_VTD_ANSWER_NONE });
    access_by(d, IOVA, NW_VTD_READ, false);
    /* invalidation, a context invalidation, a wait, another wait: the first wait is dropped, the second comes after ITE. */
    queue_only(&b, 3 | (uint64_t)SOURCE << 32, IOVA);
    queue_only(&b, DESCRIPTOR(1, 1, 0), 0);
    queue_only(&b, 5 | 1 << 5 | 1 << 6 | UINT64_C(1) << 32, STATUS);
    queue_only(&b, 5 | 1 << 5 | UINT64_C(2) << 32, STATUS + 8);
    nw_vtd_unit_write(b.u, NW_VTD_IQT, 8, b.tail);
    assert_int_equal(rd(&b, NW_VTD_FSTS, 4), NW_VTD_FSTS_ITE);
    assert_true((rd(&b, NW_VTD_IQERCD, 8) >> 32 & 0xffff) == SOURCE);
    assert_int_equal(rd(&b, NW_VTD_IQH, 8), b.tail - 16);
    assert_int_equal(get64(b.pm, STATUS), 0);
    assert_true(access_by(d, IOVA, NW_VTD_READ, false).hit);
    nw_vtd_device_set_answer(d, NW_VTD_ANSWER_DONE);
    nw_vtd_unit_write(b.u, NW_VTD_FSTS, 4, NW_VTD_FSTS_ITE);
    assert_int_equal(rd(&b, NW_VTD_IQH, 8), b.tail);
    assert_true(get64(b.pm, STATUS) == 0 && get64(b.pm, STATUS + 8) == 2);
    push(&b, 3 | (uint64_t)SOURCE << 32, IOVA);
    assert_false(access_by(d, IOVA, NW_VTD_READ, false).hit);
    nw_vtd_device_set_answer(d, NW_VTD_ANSWER_ERROR);
    put64(b.pm, QUEUE + b.tail, 3 | (uint64_t)SOURCE << 32);
    push(&b, 3 | (uint64_t)SOURCE << 32, IOVA);
    assert_int_equal(rd(&b, NW_VTD_FSTS, 4), NW_VTD_FSTS_ICE);
    assert_true(rd(&b, NW_VTD_IQERCD, 8) >> 48 == SOURCE);
    push(&b, 5 | 1 << 5 | UINT64_C(3) << 32, STATUS); /* the queue goes on */
    assert_int_equal(get64(b.pm, STATUS), 3);
    nw_vtd_device_destroy(d);
    finish(&b);
}

/* ---- page requests ------------------------------------------------------------------------------ */

static unsigned page_events;
static void on_event(void *context, enum nw_vtd_event event, uint64_t address, uint32_t data)
{
    (void)context;
    if (event == NW_VTD_PAGE_REQUEST_EVENT) {
        assert_true(address == UINT64_C(0x1fee01000) && data == 0x41);
        page_events++;
    }
}

/* Page requests possible, one page of queue (128 requests), the event unmasked. */
static void begin_pages(struct bench *b, unsigned pgtt)
{
    begin_with(b, pgtt, false, true, true);
    nw_vtd_unit_destroy(b->u);
    b->config.event = on_event;
    start(b, pgtt, NW_VTD_GCMD_QIE);
    nw_vtd_unit_write(b->u, NW_VTD_PQA, 8, PRQ);
    nw_vtd_unit_write(b->u, NW_VTD_PEADDR, 4, 0xfee01000);
    nw_vtd_unit_write(b->u, NW_VTD_PEUADDR, 4, 1);
    nw_vtd_unit_write(b->u, NW_VTD_PEDATA, 4, 0x41);
    nw_vtd_unit_write(b->u, NW_VTD_PECTL, 4, 0);
    page_events = 0;
}

static void pages__a_device_asks_and_is_answered(void **state)
{
    (void)state;
    struct bench b;
    begin_pages(&b, 1);
    struct nw_vtd_device *d = device_of(&b, (struct nw_vtd_device_config){ .page_requests = true, .groups = 2 });
    put64(b.pm, b.leaf[1], 0);
    struct nw_vtd_device_result r = access_by(d, IOVA | 0x88, NW_VTD_WRITE, true);
    assert_int_equal(r.outcome, NW_VTD_DEVICE_ASKED);
    assert_int_equal(page_events, 1);
    assert_true(rd(&b, NW_VTD_PQT, 8) == 32 && rd(&b, NW_VTD_PRS, 4) == NW_VTD_PRS_PPR);
    assert_true(get64(b.pm, PRQ) == (1 | 1 << 8 | (uint64_t)SOURCE << 16 | (uint64_t)PASID << 32));
    assert_true(get64(b.pm, PRQ + 8) == (IOVA | 2 | 4 | (uint64_t)r.group << 3));
    assert_int_equal(nw_vtd_device_outstanding(d), 1);
    assert_int_equal(access_by(d, IOVA, NW_VTD_READ, false).outcome, NW_VTD_DEVICE_ASKED);
    assert_true(get64(b.pm, PRQ + 32) == (1 | (uint64_t)SOURCE << 16)); /* without a PASID */
    assert_true((get64(b.pm, PRQ + 40) & 7) == (1 | 4));
    assert_int_equal(page_events, 1); /* PPR stands still */
    assert_int_equal(access_by(d, IOVA + 0x1000, NW_VTD_READ, true).outcome, NW_VTD_DEVICE_WAITS);
    /* Software maps, answers, and the device goes on. */
    put64(b.pm, b.leaf[1], NEW | 7);
    nw_vtd_unit_write(b.u, NW_VTD_PQH, 8, 64);
    nw_vtd_unit_write(b.u, NW_VTD_PRS, 4, NW_VTD_PRS_PPR);
    push(&b, 9 | 1 << 4 | (uint64_t)SOURCE << 16 | (uint64_t)PASID << 32, (uint64_t)((r.group + 9) & 511) << 3);
    assert_int_equal(nw_vtd_device_outstanding(d), 2); /* no such group */
    push(&b, 9 | 1 << 4 | (uint64_t)SOURCE << 16 | (uint64_t)PASID << 32, (uint64_t)r.group << 3);
    push(&b, 9 | 15 << 12 | (uint64_t)SOURCE << 16, (uint64_t)(r.group + 1) << 3);
    assert_int_equal(nw_vtd_device_outstanding(d), 0);
    struct nw_device_tlb_counts c = nw_vtd_device_counts(d);
    assert_true(c.page_requests == 2 && c.page_responses == 2 && c.page_failures == 1);
    r = access_by(d, IOVA | 0x88, NW_VTD_WRITE, true);
    assert_true(r.outcome == NW_VTD_DEVICE_DONE && r.result.hpa.v == (NEW | 0x88));
    assert_true(get64(b.pm, b.leaf[1]) & 0x40);
    nw_vtd_device_destroy(d);
    finish(&b);
}

static bool page_request(struct bench *b, struct nw_vtd_page_request q, uint8_t *code)
{
    struct nw_vtd_page_response r;
    q.source_id = SOURCE;
    bool queued = nw_vtd_unit_page_request(b->u, &q, &r);
    *code = r.code;
    return queued;
}

static void pages__overflow(void **state)
{
    (void)state;
    struct bench b;
    uint8_t code;
    begin_pages(&b, 1);
    const struct nw_vtd_page_request q = { .read = true, .last = true, .address = IOVA };
    for (unsigned i = 0; i < 127; i++) /* one place stays free */
        assert_true(page_request(&b, q, &code));
    assert_int_equal(rd(&b, NW_VTD_PRS, 4), NW_VTD_PRS_PPR);
    assert_false(page_request(&b, q, &code));
    assert_int_equal(code, NW_VTD_PAGE_SUCCESS);
    assert_int_equal(rd(&b, NW_VTD_PRS, 4), NW_VTD_PRS_PPR | NW_VTD_PRS_PRO);
    assert_int_equal(page_events, 1);
    nw_vtd_unit_write(b.u, NW_VTD_PQH, 8, 64 * 32); /* there is room, but the overflow stands */
    assert_false(page_request(&b, q, &code));
    assert_int_equal(rd(&b, NW_VTD_PQT, 8), 127 * 32);
    nw_vtd_unit_write(b.u, NW_VTD_PRS, 4, NW_VTD_PRS_PRO);
    assert_true(page_request(&b, q, &code));
    assert_int_equal(rd(&b, NW_VTD_PQT, 8), 0); /* around the end */
    assert_int_equal(page_events, 1);
    nw_vtd_unit_write(b.u, NW_VTD_PRS, 4, NW_VTD_PRS_PPR);
    nw_vtd_unit_write(b.u, NW_VTD_PECTL, 4, NW_BIT(31));
    assert_true(page_request(&b, q, &code));
    assert_true(page_events == 1 && rd(&b, NW_VTD_PECTL, 4) == (NW_BIT(31) | NW_BIT(30)));
    nw_vtd_unit_write(b.u, NW_VTD_PECTL, 4, 0);
    assert_true(page_events == 2 && rd(&b, NW_VTD_PECTL, 4) == 0);
    nw_vtd_unit_write(b.u, NW_VTD_PQA, 8, NW_BIT(47)); /* a queue where there is no memory */
    b.config.memory.ram = NULL;
    nw_vtd_unit_write(b.u, NW_VTD_PQA, 8, NW_BIT(60));
    assert_false(page_request(&b, q, &code));
    nw_vtd_unit_write(b.u, NW_VTD_PRS, 4, 3);
    nw_vtd_unit_write(b.u, NW_VTD_PQA, 8, PRQ);
    nw_vtd_unit_write(b.u, NW_VTD_PQT, 8, 0x7ffe0); /* a tail beyond the queue */
    assert_false(page_request(&b, q, &code));
    finish(&b);
}

static void pages__what_tables_must_allow(void **state)
{
    (void)state;
    static const struct {
        unsigned pgtt;
        uint64_t context; /* of the scalable context entry; 0: as it is */
        bool pasid;
        uint32_t value;
        uint8_t reason;
    } c[] = {
        { 0, 0, false, 0, 0x32 },
        { 1, DIRECTORY | 9 | 4, false, 0, 0x47 },
        { 1, DIRECTORY | 1 | 4 | 16, true, PASID, 0x45 },
        { 1, DIRECTORY | 9 | 4 | 16, true, 0x2000, 0x46 },
        { 1, DIRECTORY | 9 | 4 | 16 | 1 << 5, false, 0, 0x42 },
        { 1, DIRECTORY | 8 | 4 | 16, false, 0, 0x41 },
        { 1, 0, true, PASID, 0 },
    };
    for (unsigned i = 0; i < NW_ARRAY_LEN(c); i++) {
        struct bench b;
        uint8_t code;
        begin_pages(&b, c[i].pgtt);
        if (c[i].context)
            put64(b.pm, CONTEXT + SOURCE * 32, c[i].context);
        const struct nw_vtd_page_request q = {
            .has_pasid = c[i].pasid, .pasid = c[i].value, .write = true, .last = true, .address = IOVA
        };
        bool queued = page_request(&b, q, &code);
        if (queued != !c[i].reason || first_record(&b) != c[i].reason)
            fail_msg("case %u: %s, reason %x", i, queued ? "queued" : "refused", first_record(&b));
        if (!queued) {
            assert_int_equal(code, NW_VTD_PAGE_INVALID);
            uint64_t high = rd(&b, nw_vtd_record_offset(b.config.unit.cap, 0) + 8, 8);
            assert_true((high & NW_BIT(28)) && !(high & NW_BIT(62))); /* T2, T1: a page request */
        }
        finish(&b);
    }
}

/* The unit drops what it has cached for the page: software need not invalidate to let a retry succeed. */
static void pages__a_request_drops_what_is_cached(void **state)
{
    (void)state;
    for (unsigned kind = 1; kind < 4; kind++) {
        struct bench b;
        uint8_t code;
        begin_pages(&b, pgtts[kind]);
        unsigned stage = pgtts[kind] & 1;
        dma(&b, IOVA);
        put64(b.pm, b.leaf[stage], NEW | (stage ? 7 : 3));
        assert_int_equal(dma(&b, IOVA).hpa.v, OLD);
        assert_true(page_request(&b, (struct nw_vtd_page_request){ .write = true, .address = IOVA + 0x1000 }, &code));
        assert_int_equal(dma(&b, IOVA).hpa.v, OLD);
        assert_true(page_request(&b, (struct nw_vtd_page_request){ .write = true, .address = IOVA }, &code));
        assert_int_equal(dma(&b, IOVA).hpa.v, NEW);
        finish(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(ats__what_is_mapped_is_told_with_its_rights),
                                        cmocka_unit_test(ats__dirty_goes_with_the_right_to_write),
                                        cmocka_unit_test(ats__refusals),
                                        cmocka_unit_test(ats__off_and_messages),
                                        cmocka_unit_test(ats__sizes_of_invalidations),
                                        cmocka_unit_test(device__keeps_what_it_was_told),
                                        cmocka_unit_test(device__translated_requests_are_checked),
                                        cmocka_unit_test(device__shape_and_policy),
                                        cmocka_unit_test(device__that_does_not_answer_stops_the_queue),
                                        cmocka_unit_test(pages__a_device_asks_and_is_answered),
                                        cmocka_unit_test(pages__overflow),
                                        cmocka_unit_test(pages__what_tables_must_allow),
                                        cmocka_unit_test(pages__a_request_drops_what_is_cached) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
