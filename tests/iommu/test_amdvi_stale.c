/* Devices with a TLB behind an AMD IOMMU, and the detector of stale mappings: random sequences of DMA, edits and invalidations that may be
 * forgotten, where just the DMAs that the tables would have ended otherwise are to be reported. */
#include "amdvi_bench.h"
#include <nestwalk/iommu/amdvi_stale.h>

enum { DEVICE = 3, ROOT = 0x200000, LEAVES = 0x201000, PAGE = 0x600000, DOMAIN = 9, PAGES = 16 };

static uint64_t leaf(unsigned i) { return LEAVES + i * 8u; }

static struct bench *begin(void)
{
    struct bench *b = begin_bench(NULL);
    put64(b->pm, ROOT, LEAVES | 1 << 9 | ACCESS | 1);
    for (unsigned i = 0; i < PAGES; i++)
        put64(b->pm, leaf(i), (PAGE + i * 0x1000u) | ACCESS | 1);
    set_dte(b, DEVICE, 3 | 2 << 9 | ROOT | ACCESS | NW_BIT(52), 0, DOMAIN | NW_BIT(32), 0);
    set_dte(b, 4, 3 | 2 << 9 | ROOT | ACCESS, 0, DOMAIN | NW_BIT(32), 0);
    return b;
}

static struct nw_amdvi_device_result ask(struct nw_amdvi_device *d, uint64_t address, enum nw_amdvi_request_kind kind)
{
    struct nw_amdvi_request q = { .address = address, .kind = kind };
    struct nw_amdvi_device_result r;
    nw_amdvi_device_dma(d, &q, &r);
    return r;
}

static void device__keeps_translations_until_it_is_told(void **state)
{
    (void)state;
    struct bench *b = begin();
    struct nw_amdvi_device *d, *other;
    struct nw_error error = { 0 };
    struct nw_amdvi_device_config c = { .device_id = DEVICE, .entries = 16, .ways = 4, .page_requests = true };
    must(nw_amdvi_device_create(&d, b->u, &c, err));
    assert_int_equal(nw_amdvi_device_create(&other, b->u, &c, &error), NW_ERR_INPUT);
    assert_non_null(strstr(error.text, "id 0x3 already"));
    c = (struct nw_amdvi_device_config){ .device_id = 4, .entries = 7, .ways = 2 };
    assert_int_equal(nw_amdvi_device_create(&other, b->u, &c, &error), NW_ERR_INPUT);
    c = (struct nw_amdvi_device_config){ .device_id = 4, .tags = 513 };
    assert_int_equal(nw_amdvi_device_create(&other, b->u, &c, &error), NW_ERR_INPUT);

    struct nw_amdvi_device_result r = ask(d, 0x3123, NW_AMDVI_READ);
    assert_true(r.outcome == NW_AMDVI_DEVICE_DONE && !r.hit && r.result.hpa.v == PAGE + 0x3123);
    assert_true(ask(d, 0x3123, NW_AMDVI_READ).hit);
    assert_false(ask(d, 0x3123, NW_AMDVI_WRITE).hit); /* asked with NW before */
    assert_true(ask(d, 0x3123, NW_AMDVI_WRITE).hit);
    /* the unit is told, and the device is not */
    put64(b->pm, leaf(3), 0);
    invalidate_domain(b, DOMAIN, -1);
    assert_true(ask(d, 0x3123, NW_AMDVI_WRITE).hit);
    nw_amdvi_device_set_silent(d, true);
    command(b, OPCODE(4) | DEVICE, 0x3000);
    assert_true(ask(d, 0x3123, NW_AMDVI_WRITE).hit);
    assert_true(get64(b->pm, EVENTS) == (OPCODE(7) | DEVICE));
    nw_amdvi_device_set_silent(d, false);
    command(b, OPCODE(4) | DEVICE, 0x3000 | 4); /* of a PASID */
    assert_true(ask(d, 0x3123, NW_AMDVI_WRITE).hit);
    command(b, OPCODE(4) | DEVICE, 0x3000);
    assert_int_equal(b->invalidations, 0); /* the callback is not for it */

    /* not there: a page request, once; then the page comes */
    r = ask(d, 0x3123, NW_AMDVI_WRITE);
    assert_int_equal(r.outcome, NW_AMDVI_DEVICE_ASKED);
    assert_int_equal(ask(d, 0x3123, NW_AMDVI_WRITE).outcome, NW_AMDVI_DEVICE_WAITS);
    assert_true(nw_field(get64(b->pm, PPRS), 41, 32) == r.tag && get64(b->pm, PPRS + 8) == 0x3000);
    put64(b->pm, leaf(3), PAGE | ACCESS | 1);
    command(b, OPCODE(7) | DEVICE, (uint64_t)(r.tag + 1u) << 32); /* another's: dropped */
    assert_int_equal(nw_amdvi_device_outstanding(d), 1);
    command(b, OPCODE(7) | DEVICE, (uint64_t)r.tag << 32);
    assert_int_equal(nw_amdvi_device_outstanding(d), 0);
    assert_true(ask(d, 0x3123, NW_AMDVI_WRITE).result.hpa.v == PAGE + 0x123);

    /* U: the device is to use the address untranslated; ATS off: refused */
    put64(b->pm, leaf(5), (PAGE + 0x5000) | ACCESS | NW_BIT(59) | 1);
    r = ask(d, 0x5008, NW_AMDVI_READ);
    assert_true(r.outcome == NW_AMDVI_DEVICE_DONE && r.untranslated && r.result.hpa.v == PAGE + 0x5008);
    put64(b->pm, DTES + DEVICE * 32 + 8, DOMAIN);
    invalidate_device(b, DEVICE);
    r = ask(d, 0x3123, NW_AMDVI_WRITE);
    assert_true(r.hit && r.outcome == NW_AMDVI_DEVICE_REFUSED &&
                r.result.event.code == NW_AMDVI_INVALID_DEVICE_REQUEST);
    struct nw_device_tlb_counts n = nw_amdvi_device_counts(d);
    assert_true(n.page_requests == 1 && n.page_responses == 1 && n.page_failures == 0 && n.invalidations == 3);
    nw_amdvi_device_destroy(d);
    nw_amdvi_device_destroy(NULL);
    end_bench(b);
}

/* ---- the detector ------------------------------------------------------------------------------- */

static struct nw_amdvi_stale_use last;
static unsigned uses;
static void on_use(void *context, const struct nw_amdvi_stale_use *use)
{
    (void)context;
    last = *use;
    uses++;
}

static void stale__window_of_a_page(void **state)
{
    (void)state;
    struct bench *b = begin();
    struct nw_amdvi_stale *s, *second;
    struct nw_stale_summary t;
    struct nw_error error = { 0 };
    must(nw_amdvi_stale_create(&s, b->u, on_use, NULL, err));
    assert_int_equal(nw_amdvi_stale_create(&second, b->u, NULL, NULL, &error), NW_ERR_INPUT);
    nw_amdvi_stale_bytes(s, 64);
    uses = 0;
    dma(b, DEVICE, -1, 0x3000, NW_AMDVI_WRITE);
    dma(b, DEVICE, -1, 0x4000, NW_AMDVI_WRITE);
    put64(b->pm, leaf(3), 0);
    nw_amdvi_stale_written(s, leaf(3), 1000);
    nw_amdvi_stale_time(s, 1500);
    assert_int_equal(dma(b, DEVICE, -1, 0x3008, NW_AMDVI_WRITE).event.code, 0);
    assert_int_equal(uses, 1);
    assert_true(last.since_known && last.since_ns == 1000 && last.age_ns == 500 && last.page == 0x3000);
    assert_true(last.page_bytes == 4096 && !last.from_device && last.now.event.code == NW_AMDVI_IO_PAGE_FAULT);
    nw_amdvi_stale_summary(s, &t);
    assert_true(t.uses == 1 && t.used_bytes == 64 && t.windows == 0 && t.open_pages == 1 && t.open_max_ns == 500);
    nw_amdvi_stale_time(s, 3000);
    invalidate_pages(b, DOMAIN, -1, false, 0x4000, 12); /* a neighbour */
    nw_amdvi_stale_summary(s, &t);
    assert_true(t.windows == 0 && t.open_pages == 1);
    invalidate_pages(b, DOMAIN, -1, false, 0x3000, 12);
    nw_amdvi_stale_summary(s, &t);
    assert_true(t.windows == 1 && t.window_ns == 2000 && t.window_bytes == 4096 && t.used_windows == 1 &&
                !t.open_pages);
    assert_int_equal(dma(b, DEVICE, -1, 0x3008, NW_AMDVI_WRITE).event.code, NW_AMDVI_IO_PAGE_FAULT);
    assert_int_equal(uses, 1);
    must(nw_amdvi_stale_status(s, err));
    nw_amdvi_stale_destroy(s);
    nw_amdvi_stale_destroy(NULL);
    end_bench(b);
}

/* Every DMA is asked of the tables first; it is reported just when they say otherwise. */
static void stale__random_sequences(void **state)
{
    (void)state;
    struct nw_rng rng = nw_rng_seeded(7);
    unsigned stale = 0, fresh = 0, windows = 0;
    for (unsigned world = 0; world < 60; world++) {
        struct bench *b = begin();
        struct nw_amdvi_stale *s;
        struct nw_amdvi_device *d[2];
        struct nw_stale_summary t;
        const struct nw_amdvi_tables plain = { .unit = b->config.unit,
                                               .memory = b->config.memory,
                                               .device_table = DTES | 1 };
        must(nw_amdvi_stale_create(&s, b->u, on_use, NULL, err));
        for (unsigned i = 0; i < 2; i++) {
            const struct nw_amdvi_device_config c = { .device_id = (uint16_t)(DEVICE + i), .entries = 8, .ways = 2 };
            must(nw_amdvi_device_create(&d[i], b->u, &c, err));
        }
        uses = 0;
        unsigned expected = 0;
        for (unsigned step = 0; step < 400; step++) {
            const unsigned i = (unsigned)nw_rng_below(&rng, PAGES), who = (unsigned)nw_rng_below(&rng, 2);
            const uint64_t address = i * UINT64_C(0x1000) + 8;
            switch (nw_rng_below(&rng, 8)) {
            case 0: {
                const uint64_t to = PAGE + nw_rng_below(&rng, 64) * 0x1000;
                put64(b->pm, leaf(i), to | (nw_rng_below(&rng, 4) ? ACCESS : IR) | (nw_rng_below(&rng, 4) != 0));
                nw_amdvi_stale_written(s, leaf(i), step * UINT64_C(100));
                break;
            }
            case 1: invalidate_pages(b, DOMAIN, -1, false, address & ~UINT64_C(0xfff), 12); break;
            case 2: command(b, OPCODE(4) | (DEVICE + who), address & ~UINT64_C(0xfff)); break;
            default: {
                struct nw_amdvi_request q = { .device_id = (uint16_t)(DEVICE + who), .address = address };
                struct nw_amdvi_result truth, got;
                bool through;
                q.kind = nw_rng_below(&rng, 2) ? NW_AMDVI_WRITE : NW_AMDVI_READ;
                nw_amdvi_translate(&plain, &q, &truth);
                if (nw_rng_below(&rng, 2)) {
                    struct nw_amdvi_device_result r = ask(d[who], address, q.kind);
                    through = r.outcome == NW_AMDVI_DEVICE_DONE;
                    got = r.result;
                } else {
                    nw_amdvi_unit_dma(b->u, &q, &got);
                    through = !got.event.code;
                }
                const bool is_stale = through && (truth.event.code || truth.hpa.v != got.hpa.v);
                expected += is_stale;
                stale += is_stale;
                fresh += through && !is_stale;
                if (uses != expected)
                    fail_msg("world %u step %u: %u uses, expected %u", world, step, uses, expected);
            }
            }
        }
        nw_amdvi_unit_flush(b->u);
        for (unsigned i = 0; i < 2; i++)
            command(b, OPCODE(4) | (DEVICE + i), ALL_PAGES | 1);
        nw_amdvi_stale_summary(s, &t);
        assert_true(t.uses == expected && t.open_pages == 0);
        windows += (unsigned)t.windows;
        for (unsigned i = 0; i < 2; i++)
            nw_amdvi_device_destroy(d[i]);
        nw_amdvi_stale_destroy(s);
        end_bench(b);
    }
    assert_true(stale > 500 && fresh > 5000 && windows > 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(device__keeps_translations_until_it_is_told),
                                        cmocka_unit_test(stale__window_of_a_page),
                                        cmocka_unit_test(stale__random_sequences) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
