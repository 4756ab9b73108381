/* An AMD IOMMU as software drives it: registers, the command buffer and its errors, the logs, the interrupts. */
#include "amdvi_bench.h"

enum { DEVICE = 3, ROOT = 0x200000, LEAVES = 0x201000, PAGE = 0x600000, DOMAIN = 9 };

/* Two levels; pages 0 to 15 are at PAGE. */
static int set_up(void **state)
{
    struct bench *b = begin_bench(NULL);
    put64(b->pm, ROOT, LEAVES | 1 << 9 | ACCESS | 1);
    for (unsigned i = 0; i < 16; i++)
        put64(b->pm, LEAVES + i * 8, (PAGE + i * 0x1000u) | ACCESS | 1);
    set_dte(b, DEVICE, 3 | 2 << 9 | ROOT | ACCESS, 0, DOMAIN, 0);
    *state = b;
    return 0;
}
static int tear_down(void **state)
{
    end_bench(*state);
    return 0;
}

static void unit__capabilities_and_shapes(void **state)
{
    (void)state;
    struct nw_error err = { 0 };
    struct nw_amdvi_unit *u;
    struct nw_amdvi_config c = nw_amdvi_config_default(NULL);
    c.unit.efr |= NW_AMDVI_EFR_PREF;
    assert_int_equal(nw_amdvi_unit_create(&u, &c, &err), NW_ERR_INPUT);
    assert_non_null(strstr(err.text, "PreFSup is 1"));
    c = nw_amdvi_config_default(NULL);
    c.unit.efr |= UINT64_C(2) << 38;
    assert_int_equal(nw_amdvi_unit_create(&u, &c, &err), NW_ERR_INPUT);
    c = nw_amdvi_config_default(NULL);
    c.unit.pa_bits = 20;
    assert_int_equal(nw_amdvi_unit_create(&u, &c, &err), NW_ERR_INPUT);
    c = nw_amdvi_config_default(NULL);
    c.cache[NW_AMDVI_IOTLB] = (struct nw_iommu_cache_shape){ .entries = 10, .ways = 4 };
    assert_int_equal(nw_amdvi_unit_create(&u, &c, &err), NW_ERR_INPUT);
    assert_non_null(strstr(err.text, "AMD-Vi IOTLB: 10 entries in 4 ways"));
    nw_amdvi_unit_destroy(NULL);
}

static void registers__read_back(void **state)
{
    struct bench *b = *state;
    assert_true(rd(b, NW_AMDVI_EFR) == b->config.unit.efr);
    wr(b, NW_AMDVI_EFR, 0);
    assert_true(rd(b, NW_AMDVI_EFR) == b->config.unit.efr);
    wr(b, NW_AMDVI_DEVICE_TABLE, ~UINT64_C(0));
    assert_true(rd(b, NW_AMDVI_DEVICE_TABLE) == UINT64_C(0x000ffffffffff1ff));
    wr(b, NW_AMDVI_EXCLUSION_BASE, ~UINT64_C(0));
    assert_true(rd(b, NW_AMDVI_EXCLUSION_BASE) == UINT64_C(0x000ffffffffff003));
    wr(b, NW_AMDVI_EXCLUSION_LIMIT, ~UINT64_C(0));
    assert_true(rd(b, NW_AMDVI_EXCLUSION_LIMIT) == UINT64_C(0x000ffffffffff000));
    nw_amdvi_unit_write(b->u, NW_AMDVI_DEVICE_TABLE + 4, 4, 0x12);
    nw_amdvi_unit_write(b->u, NW_AMDVI_DEVICE_TABLE, 4, 0x3456f007);
    assert_true(rd(b, NW_AMDVI_DEVICE_TABLE) == UINT64_C(0x123456f007));
    assert_true(nw_amdvi_unit_read(b->u, NW_AMDVI_DEVICE_TABLE + 4, 4) == 0x12);
    /* no register, no such access */
    wr(b, 0x3000, 5);
    assert_true(rd(b, 0x3000) == 0);
    assert_true(nw_amdvi_unit_read(b->u, NW_AMDVI_EFR, 2) == 0 && nw_amdvi_unit_read(b->u, NW_AMDVI_EFR + 2, 4) == 0);
    nw_amdvi_unit_write(b->u, NW_AMDVI_DEVICE_TABLE + 4, 8, 0);
    assert_true(rd(b, NW_AMDVI_DEVICE_TABLE) == UINT64_C(0x123456f007));
    wr(b, NW_AMDVI_EVENT_HEAD, ~UINT64_C(0));
    assert_true(rd(b, NW_AMDVI_EVENT_HEAD) == 0x7fff0);
    wr(b, NW_AMDVI_EVENT_BASE, EVENTS);
    assert_true(rd(b, NW_AMDVI_EVENT_HEAD) == 0 && rd(b, NW_AMDVI_EVENT_TAIL) == 0);
}

static void dma__off_is_untranslated_and_uncounted(void **state)
{
    struct bench *b = *state;
    wr(b, NW_AMDVI_CONTROL, 0);
    struct nw_amdvi_result r = dma(b, DEVICE, -1, 0x123456789a, NW_AMDVI_WRITE);
    assert_true(!r.event.code && r.hpa.v == 0x123456789a && r.page_log2 == 64);
    assert_true(nw_amdvi_unit_counts(b->u, NW_AMDVI_DEVICE_CACHE).lookups == 0);
    assert_true(rd(b, NW_AMDVI_STATUS) == 0);
}

static void dma__hits_read_no_words(void **state)
{
    struct bench *b = *state;
    struct nw_amdvi_result r = dma(b, DEVICE, -1, 0x3123, NW_AMDVI_WRITE);
    assert_true(r.hpa.v == PAGE + 0x3123);
    assert_int_equal(r.references, 4 + 2);
    r = dma(b, DEVICE, -1, 0x3ff8, NW_AMDVI_READ);
    assert_true(r.hpa.v == PAGE + 0x3ff8);
    assert_int_equal(r.references, 0);
    assert_int_equal(r.domain_id, DOMAIN);
    r = dma(b, DEVICE, -1, 0x4000, NW_AMDVI_READ); /* the leaf table is known */
    assert_int_equal(r.references, 1);
    struct nw_iommu_cache_counts c = nw_amdvi_unit_counts(b->u, NW_AMDVI_IOTLB);
    assert_true(c.lookups == 3 && c.hits == 1 && c.fills == 2);
    nw_amdvi_unit_flush(b->u);
    assert_int_equal(dma(b, DEVICE, -1, 0x3123, NW_AMDVI_WRITE).references, 6);
}

/* D is set by the first write, though a read has the page cached; IR and IW are each device's own. */
static void dma__flags_and_rights_are_those_of_a_walk(void **state)
{
    struct bench *b = *state;
    set_dte(b, DEVICE, 3 | 3 << 7 | 2 << 9 | ROOT | ACCESS, 0, DOMAIN, 0);
    set_dte(b, 4, 3 | 2 << 9 | ROOT | IR, 0, DOMAIN, 0);
    dma(b, DEVICE, -1, 0, NW_AMDVI_READ);
    assert_true((get64(b->pm, LEAVES) & 0x60) == 0x20);
    dma(b, DEVICE, -1, 0, NW_AMDVI_WRITE);
    assert_true((get64(b->pm, LEAVES) & 0x60) == 0x60);
    put64(b->pm, LEAVES, get64(b->pm, LEAVES) & ~UINT64_C(0x60));
    dma(b, DEVICE, -1, 0, NW_AMDVI_WRITE); /* a hit */
    assert_true((get64(b->pm, LEAVES) & 0x60) == 0);
    assert_int_equal(dma(b, 4, -1, 0, NW_AMDVI_WRITE).event.code, NW_AMDVI_IO_PAGE_FAULT);
    assert_int_equal(dma(b, 4, -1, 0, NW_AMDVI_READ).event.code, 0);
}

static void commands__wait_stores_and_interrupts(void **state)
{
    struct bench *b = *state;
    command(b, OPCODE(1) | STORE | 1, UINT64_C(0x1122334455667788));
    assert_true(get64(b->pm, STORE) == UINT64_C(0x1122334455667788));
    assert_true(rd(b, NW_AMDVI_COMMAND_HEAD) == 16 && b->signals[NW_AMDVI_WAIT_COMPLETED] == 0);
    command(b, OPCODE(1) | STORE | 2 | 4, 7); /* no store */
    assert_true(get64(b->pm, STORE) == UINT64_C(0x1122334455667788));
    assert_int_equal(b->signals[NW_AMDVI_WAIT_COMPLETED], 1);
    command(b, OPCODE(1) | 2, 0); /* the bit still stands */
    assert_int_equal(b->signals[NW_AMDVI_WAIT_COMPLETED], 1);
    assert_true(rd(b, NW_AMDVI_STATUS) & NW_AMDVI_STATUS_COM_WAIT_INT);
    nw_amdvi_unit_write(b->u, NW_AMDVI_STATUS + 4, 4, ~UINT64_C(0)); /* the other half clears nothing */
    assert_true(rd(b, NW_AMDVI_STATUS) & NW_AMDVI_STATUS_COM_WAIT_INT);
    nw_amdvi_unit_write(b->u, NW_AMDVI_STATUS, 4, NW_AMDVI_STATUS_COM_WAIT_INT);
    assert_false(rd(b, NW_AMDVI_STATUS) & NW_AMDVI_STATUS_COM_WAIT_INT);
    wr(b, NW_AMDVI_CONTROL, all_on() & ~NW_AMDVI_CONTROL_COM_WAIT_INT_EN);
    command(b, OPCODE(1) | 2, 0);
    assert_int_equal(b->signals[NW_AMDVI_WAIT_COMPLETED], 1);
    assert_true(rd(b, NW_AMDVI_STATUS) & NW_AMDVI_STATUS_COM_WAIT_INT);
    /* a store outside memory is lost; the buffer goes round */
    command(b, OPCODE(1) | UINT64_C(0xfffff00000) | 1, 1);
    for (unsigned i = 0; i < 300; i++)
        command(b, OPCODE(1) | STORE | 1, i);
    assert_true(get64(b->pm, STORE) == 299 && rd(b, NW_AMDVI_COMMAND_HEAD) == b->tail);
}

/* The newest entry of the event log. */
static void last_event(struct bench *b, uint64_t out[2])
{
    uint64_t tail = (rd(b, NW_AMDVI_EVENT_TAIL) + RING - 16) % RING;
    out[0] = get64(b->pm, EVENTS + tail);
    out[1] = get64(b->pm, EVENTS + tail + 8);
}

static void restart_commands(struct bench *b)
{
    wr(b, NW_AMDVI_CONTROL, all_on() & ~NW_AMDVI_CONTROL_CMD_BUF_EN);
    wr(b, NW_AMDVI_COMMAND_HEAD, b->tail = 0);
    wr(b, NW_AMDVI_COMMAND_TAIL, 0);
    wr(b, NW_AMDVI_CONTROL, all_on());
}

static void commands__illegal_ones_stop_the_buffer(void **state)
{
    struct bench *b = *state;
    const uint64_t reserved[][2] = {
        { OPCODE(0), 0 },
        { OPCODE(1) | NW_BIT(52), 0 },
        { OPCODE(1) | NW_BIT(59), 0 },
        { OPCODE(2) | NW_BIT(16), 0 },
        { OPCODE(2), 1 },
        { OPCODE(3) | NW_BIT(20), 0 },
        { OPCODE(3) | NW_BIT(48), 0 },
        { OPCODE(3), 8 },
        { OPCODE(3), NW_BIT(11) },
        { OPCODE(4), 2 },
        { OPCODE(4), NW_BIT(6) },
        { OPCODE(5) | NW_BIT(32), 0 },
        { OPCODE(5), NW_BIT(63) },
        { OPCODE(6), 0 }, /* prefetches are not supported */
        { OPCODE(7) | NW_BIT(16), 0 },
        { OPCODE(7) | NW_BIT(52), 0 },
        { OPCODE(7), NW_BIT(48) },
        { OPCODE(8) | 1, 0 },
        { OPCODE(8), NW_BIT(12) },
        { OPCODE(9), 0 },
        { OPCODE(15), 0 },
    };
    for (unsigned i = 0; i < NW_ARRAY_LEN(reserved); i++) {
        uint64_t e[2], at = COMMANDS + b->tail;
        command(b, reserved[i][0], reserved[i][1]);
        last_event(b, e);
        if (e[0] != OPCODE(5) || e[1] != at)
            fail_msg("command %llx %llx: event %llx %llx", (unsigned long long)reserved[i][0],
                     (unsigned long long)reserved[i][1], (unsigned long long)e[0], (unsigned long long)e[1]);
        assert_false(rd(b, NW_AMDVI_STATUS) & NW_AMDVI_STATUS_CMD_RUN);
        assert_true(COMMANDS + rd(b, NW_AMDVI_COMMAND_HEAD) == at);
        /* nothing goes on until the buffer has been turned off and on */
        command(b, OPCODE(1) | STORE | 1, i + 1);
        wr(b, NW_AMDVI_CONTROL, all_on());
        assert_true(get64(b->pm, STORE) == i);
        restart_commands(b);
        command(b, OPCODE(1) | STORE | 1, i + 1);
        assert_true(get64(b->pm, STORE) == i + 1 && (rd(b, NW_AMDVI_STATUS) & NW_AMDVI_STATUS_CMD_RUN));
    }
}

static void commands__need_their_features(void **state)
{
    (void)state;
    static const struct {
        uint64_t without, w0, w1;
    } row[] = { { NW_AMDVI_EFR_IA, OPCODE(8), 0 },
                { NW_AMDVI_EFR_GT, OPCODE(3), 4 },
                { NW_AMDVI_EFR_GT, OPCODE(4), 4 },
                { NW_AMDVI_EFR_PPR, OPCODE(7), 0 },
                { 0, OPCODE(4), 0 } };
    for (unsigned i = 0; i < NW_ARRAY_LEN(row); i++)
        for (unsigned has = 0; has < 2; has++) {
            struct bench *b = begin_bench(NULL);
            nw_amdvi_unit_destroy(b->u);
            if (!has && row[i].without)
                b->config.unit.efr &= ~row[i].without;
            b->config.remote_iotlbs = has || row[i].without;
            must(nw_amdvi_unit_create(&b->u, &b->config, err));
            wr(b, NW_AMDVI_COMMAND_BASE, COMMANDS | UINT64_C(8) << 56);
            wr(b, NW_AMDVI_CONTROL, all_on());
            command(b, row[i].w0, row[i].w1);
            assert_int_equal(!!(rd(b, NW_AMDVI_STATUS) & NW_AMDVI_STATUS_CMD_RUN), has);
            end_bench(b);
        }
}

static void commands__outside_memory(void **state)
{
    struct bench *b = *state;
    uint64_t e[2];
    wr(b, NW_AMDVI_COMMAND_BASE, UINT64_C(0x50000000) | UINT64_C(8) << 56);
    wr(b, NW_AMDVI_COMMAND_TAIL, 16);
    last_event(b, e);
    assert_true(e[0] == (OPCODE(6) | UINT64_C(0x200) << 48) && e[1] == 0x50000000);
    assert_false(rd(b, NW_AMDVI_STATUS) & NW_AMDVI_STATUS_CMD_RUN);
    /* a tail beyond the buffer is never reached, and never waited for */
    wr(b, NW_AMDVI_COMMAND_BASE, COMMANDS | UINT64_C(8) << 56);
    restart_commands(b);
    wr(b, NW_AMDVI_COMMAND_TAIL, 0x1000);
    assert_true(rd(b, NW_AMDVI_COMMAND_HEAD) == 0);
}

static void commands__for_devices(void **state)
{
    struct bench *b = *state;
    uint64_t e[2];
    command(b, OPCODE(4) | 0x0102 | UINT64_C(0x12) << 16 | UINT64_C(0xa34) << 48, 0x5000 | 4 | 1);
    assert_int_equal(b->invalidations, 1);
    assert_true(b->device.device_id == 0x0102 && b->device.has_pasid && b->device.large && b->device.address == 0x5000);
    assert_int_equal(b->device.pasid, 0xa1234);
    b->answers = false;
    uint64_t at = COMMANDS + b->tail;
    command(b, OPCODE(4) | 0x0103, 0x7000);
    assert_true(!b->device.has_pasid && !b->device.large);
    last_event(b, e);
    assert_true(e[0] == (OPCODE(7) | 0x0103) && e[1] == at);
    assert_true(rd(b, NW_AMDVI_STATUS) & NW_AMDVI_STATUS_CMD_RUN); /* it goes on */
    command(b, OPCODE(7) | 0x0102 | UINT64_C(0xa1234) << 32, 4 | UINT64_C(0x155) << 32 | UINT64_C(15) << 44);
    assert_int_equal(b->responses, 1);
    assert_true(b->response.device_id == 0x0102 && b->response.has_pasid && b->response.pasid == 0xa1234);
    assert_true(b->response.tag == 0x155 && b->response.code == NW_AMDVI_PAGE_FAILURE);
}

static void range__sizes(void **state)
{
    (void)state;
    uint64_t start, last;
    nw_amdvi_range(0x7123456000, false, &start, &last);
    assert_true(start == 0x7123456000 && last == 0x7123456fff);
    nw_amdvi_range(0x7123456000, true, &start, &last); /* bit 12 is clear: two pages */
    assert_true(start == 0x7123456000 && last == 0x7123457fff);
    nw_amdvi_range(0x7123457000, true, &start, &last); /* bit 15 is the lowest clear one: 2^16 bytes */
    assert_true(start == 0x7123450000 && last == 0x712345ffff);
    nw_amdvi_range(ALL_PAGES, true, &start, &last);
    assert_true(start == 0 && last == UINT64_MAX);
    nw_amdvi_range(nw_mask(50, 12), true, &start, &last);
    assert_true(start == 0 && last == UINT64_MAX);
    nw_amdvi_range(nw_mask(63, 12), true, &start, &last);
    assert_true(start == 0 && last == UINT64_MAX);
}

static void events__are_logged_until_the_log_is_full(void **state)
{
    struct bench *b = *state;
    uint64_t e[2];
    struct nw_amdvi_result r = dma(b, DEVICE, -1, 0x20000, NW_AMDVI_WRITE);
    assert_int_equal(r.event.code, NW_AMDVI_IO_PAGE_FAULT);
    last_event(b, e);
    assert_true(e[0] == (OPCODE(2) | DEVICE | (uint64_t)DOMAIN << 32 | UINT64_C(0x20) << 48) && e[1] == 0x20000);
    assert_int_equal(b->signals[NW_AMDVI_EVENT_LOGGED], 1);
    for (unsigned i = 1; i < 255; i++)
        dma(b, DEVICE, -1, 0x20000, NW_AMDVI_WRITE);
    assert_int_equal(b->signals[NW_AMDVI_EVENT_LOGGED], 1); /* the bit stands */
    assert_true(rd(b, NW_AMDVI_EVENT_TAIL) == 255 * 16);
    assert_true((rd(b, NW_AMDVI_STATUS) & 0xb) == (NW_AMDVI_STATUS_EVENT_RUN | NW_AMDVI_STATUS_EVENT_INT));
    wr(b, NW_AMDVI_STATUS, NW_AMDVI_STATUS_EVENT_INT);
    dma(b, DEVICE, -1, 0x20000, NW_AMDVI_WRITE);
    assert_true((rd(b, NW_AMDVI_STATUS) & 0xb) == (NW_AMDVI_STATUS_EVENT_OVERFLOW | NW_AMDVI_STATUS_EVENT_INT));
    assert_int_equal(b->signals[NW_AMDVI_EVENT_LOGGED], 2);
    /* room alone does not start it again */
    wr(b, NW_AMDVI_EVENT_HEAD, rd(b, NW_AMDVI_EVENT_TAIL));
    dma(b, DEVICE, -1, 0x20000, NW_AMDVI_WRITE);
    assert_true(rd(b, NW_AMDVI_EVENT_TAIL) == 255 * 16);
    wr(b, NW_AMDVI_CONTROL, all_on() & ~NW_AMDVI_CONTROL_EVENT_LOG_EN);
    wr(b, NW_AMDVI_STATUS, NW_AMDVI_STATUS_EVENT_OVERFLOW | NW_AMDVI_STATUS_EVENT_INT);
    wr(b, NW_AMDVI_CONTROL, all_on());
    dma(b, DEVICE, -1, 0x20000, NW_AMDVI_WRITE);
    assert_true(rd(b, NW_AMDVI_EVENT_TAIL) == 0); /* round the end */
    /* what a device table entry suppresses is not logged */
    set_dte(b, 5, 3 | 2 << 9 | ROOT | ACCESS, 0, DOMAIN | NW_BIT(34), 0);
    assert_int_equal(dma(b, 5, -1, 0x20000, NW_AMDVI_WRITE).event.code, NW_AMDVI_IO_PAGE_FAULT);
    assert_true(rd(b, NW_AMDVI_EVENT_TAIL) == 0);
}

static void page_requests__are_logged_and_answered(void **state)
{
    struct bench *b = *state;
    struct nw_amdvi_page_response r;
    struct nw_amdvi_page_request q = { .device_id = DEVICE,
                                       .tag = 0x2aa,
                                       .has_pasid = true,
                                       .pasid = 0xa1234,
                                       .read = true,
                                       .write = true,
                                       .address = 0x7123456789 };
    uint64_t e[2];
    assert_false(nw_amdvi_unit_page_request(b->u, &q, &r)); /* DTE.PPR is clear */
    assert_int_equal(r.code, NW_AMDVI_PAGE_INVALID);
    last_event(b, e);
    assert_true(e[0] >> 60 == NW_AMDVI_INVALID_PPR_REQUEST && e[1] == 0x7123456000);
    set_dte(b, DEVICE, 3 | 2 << 9 | ROOT | ACCESS | NW_BIT(52), 0, DOMAIN, 0);
    invalidate_device(b, DEVICE);
    assert_true(nw_amdvi_unit_page_request(b->u, &q, &r));
    assert_true(get64(b->pm, PPRS) == (OPCODE(1) | UINT64_C(0x164) << 48 | UINT64_C(0xa) << 42 | UINT64_C(0x2aa) << 32 |
                                       UINT64_C(0x1234) << 16 | DEVICE));
    assert_true(get64(b->pm, PPRS + 8) == 0x7123456000);
    assert_int_equal(b->signals[NW_AMDVI_PPR_LOGGED], 1);
    for (unsigned i = 1; i < 255; i++)
        assert_true(nw_amdvi_unit_page_request(b->u, &q, &r));
    assert_false(nw_amdvi_unit_page_request(b->u, &q, &r));
    assert_int_equal(r.code, NW_AMDVI_PAGE_FAILURE);
    assert_true((rd(b, NW_AMDVI_STATUS) & 0xe0) == (NW_AMDVI_STATUS_PPR_OVERFLOW | NW_AMDVI_STATUS_PPR_INT));
    wr(b, NW_AMDVI_CONTROL, all_on() & ~NW_AMDVI_CONTROL_PPR_EN);
    assert_false(nw_amdvi_unit_page_request(b->u, &q, &r));
    assert_int_equal(r.code, NW_AMDVI_PAGE_INVALID);
}

static void interrupts__cached_and_logged(void **state)
{
    struct bench *b = *state;
    const uint64_t table = 0x300000;
    struct nw_amdvi_interrupt_request q = { DEVICE, 0xfee00000, 5 };
    struct nw_amdvi_interrupt r;
    put64(b->pm, DTES + DEVICE * 32 + 16, 1 | 4 << 1 | table | UINT64_C(2) << 60);
    put64(b->pm, table + 5 * 16, 1 | 0x42 << 8);
    put64(b->pm, table + 5 * 16 + 8, 0x31);
    nw_amdvi_unit_interrupt(b->u, &q, &r);
    assert_true(r.form == NW_AMDVI_INTERRUPT_REMAPPED && r.destination == 0x42 && r.vector == 0x31);
    put64(b->pm, table + 5 * 16, 0);
    nw_amdvi_unit_interrupt(b->u, &q, &r); /* from the cache */
    assert_int_equal(r.form, NW_AMDVI_INTERRUPT_REMAPPED);
    command(b, OPCODE(5) | DEVICE, 0);
    nw_amdvi_unit_interrupt(b->u, &q, &r);
    assert_int_equal(r.event.code, NW_AMDVI_IO_PAGE_FAULT);
    assert_true(rd(b, NW_AMDVI_EVENT_TAIL) == 16);
    wr(b, NW_AMDVI_CONTROL, 0);
    nw_amdvi_unit_interrupt(b->u, &q, &r);
    assert_true(r.form == NW_AMDVI_INTERRUPT_PASSED && r.vector == 5);
}

/* GTEn off: guest fields of a device table entry are reserved. */
static void guests__need_gt_en(void **state)
{
    struct bench *b = *state;
    set_dte(b, DEVICE, 3 | 2 << 9 | ROOT | ACCESS | GV, 0, DOMAIN, 0);
    wr(b, NW_AMDVI_CONTROL, all_on() & ~NW_AMDVI_CONTROL_GT_EN);
    assert_int_equal(dma(b, DEVICE, -1, 0, NW_AMDVI_READ).event.code, NW_AMDVI_ILLEGAL_DEV_TABLE_ENTRY);
    wr(b, NW_AMDVI_CONTROL, all_on());
    assert_int_equal(dma(b, DEVICE, -1, 0, NW_AMDVI_READ).event.code, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(unit__capabilities_and_shapes),
                                        TEST(registers__read_back),
                                        TEST(dma__off_is_untranslated_and_uncounted),
                                        TEST(dma__hits_read_no_words),
                                        TEST(dma__flags_and_rights_are_those_of_a_walk),
                                        TEST(commands__wait_stores_and_interrupts),
                                        TEST(commands__illegal_ones_stop_the_buffer),
                                        cmocka_unit_test(commands__need_their_features),
                                        TEST(commands__outside_memory),
                                        TEST(commands__for_devices),
                                        cmocka_unit_test(range__sizes),
                                        TEST(events__are_logged_until_the_log_is_full),
                                        TEST(page_requests__are_logged_and_answered),
                                        TEST(interrupts__cached_and_logged),
                                        TEST(guests__need_gt_en) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
