/* DMA by mappings that software has removed: each is found, with whose cache had it and how long ago it was removed; exposures
 * begin with the write and end with the invalidation; nothing else is reported. */
#include "mapping_bench.h"
#include <nestwalk/iommu/vtd_stale.h>

struct seen {
    unsigned uses;
    struct nw_vtd_stale_use last;
};

static void on_use(void *context, const struct nw_vtd_stale_use *use)
{
    struct seen *seen = context;
    seen->uses++;
    seen->last = *use;
}

static struct nw_vtd_stale *watch(struct bench *b, struct seen *seen)
{
    struct nw_vtd_stale *s;
    *seen = (struct seen){ 0 };
    must(nw_vtd_stale_create(&s, b->u, on_use, seen, err));
    return s;
}

static void change(struct bench *b, struct nw_vtd_stale *s, uint64_t at, uint64_t word, uint64_t ns)
{
    put64(b->pm, at, word);
    nw_vtd_stale_written(s, at, ns);
}

static struct nw_stale_summary summary(struct nw_vtd_stale *s)
{
    struct nw_stale_summary t;
    nw_vtd_stale_summary(s, &t);
    must(nw_vtd_stale_status(s, err));
    return t;
}

static void stale__a_removed_leaf_is_found_until_invalidated(void **state)
{
    (void)state;
    static const unsigned pgtt[4] = { 0, 1, 2, 3 };
    static const uint8_t reason[4] = { 0x06, 0x71, 0x79, 0x71 };
    for (unsigned kind = 0; kind < 4; kind++) {
        struct bench b;
        struct seen seen;
        begin(&b, pgtt[kind], false);
        struct nw_vtd_stale *s = watch(&b, &seen);
        nw_vtd_stale_bytes(s, 64);
        dma(&b, IOVA);
        change(&b, s, b.leaf[pgtt[kind] & 1], 0, 1000);
        nw_vtd_stale_time(s, 1700);
        assert_int_equal(dma(&b, IOVA | 0x40).hpa.v, OLD | 0x40);
        assert_int_equal(seen.uses, 1);
        const struct nw_vtd_stale_use *u = &seen.last;
        assert_true(u->request.source_id == SOURCE && u->request.address == (IOVA | 0x40));
        assert_true(u->used.hpa.v == (OLD | 0x40) && u->now.fault.reason == reason[kind]);
        assert_true(u->since_known && u->since_ns == 1000 && u->age_ns == 700 && u->time_ns == 1700);
        assert_true(u->page == IOVA && u->page_bytes == 4096 && u->from == NW_VTD_STALE_UNIT);
        push(&b, DESCRIPTOR(2, 2, DID + 1), 0); /* another domain: it stays exposed */
        assert_true(summary(s).windows == 0 && summary(s).open_pages == 1 && summary(s).open_max_ns == 700);
        nw_vtd_stale_time(s, 5000);
        push(&b, DESCRIPTOR(2, 2, DID), 0);
        nw_vtd_stale_time(s, 9000);
        assert_true(dma(&b, IOVA).fault.reason == reason[kind] && seen.uses == 1);
        struct nw_stale_summary t = summary(s);
        assert_true(t.uses == 1 && t.used_bytes == 64 && t.longest_age_ns == 700);
        assert_true(t.windows == 1 && t.window_ns == 4000 && t.window_max_ns == 4000 && t.window_bytes == 4096);
        assert_true(t.open_pages == 0 && t.used_windows == 1);
        nw_vtd_stale_destroy(s);
        finish(&b);
    }
}

/* Moved instead of removed; a large page; and a page that is removed, invalidated and mapped again. */
static void stale__moved_pages_and_several_windows(void **state)
{
    (void)state;
    struct bench b;
    struct seen seen;
    begin(&b, 0, true);
    struct nw_vtd_stale *s = watch(&b, &seen);
    for (unsigned round = 0; round < 3; round++) {
        uint64_t base = 100000 * (round + 1);
        put64(b.pm, b.leaf[0], 0x600000 | 0x83);
        nw_vtd_stale_written(s, b.leaf[0], base);
        dma(&b, IOVA);
        change(&b, s, b.leaf[0], 0x800000 | 0x83, base + 10);
        if (round == 1) {
            dma(&b, IOVA ^ 0x5000);
            assert_true(seen.uses == 1 && seen.last.now.hpa.v == (0x800000 | ((IOVA ^ 0x5000) & 0x1fffff)));
            assert_true(seen.last.page_bytes == 0x200000 && seen.last.page == (IOVA & ~UINT64_C(0x1fffff)));
        }
        nw_vtd_stale_time(s, base + 10 + (round + 1) * 100);
        push(&b, DESCRIPTOR(2, 3, DID), IOVA & ~UINT64_C(0xfff));
    }
    struct nw_stale_summary t = summary(s);
    assert_true(t.windows == 3 && t.window_ns == 600 && t.window_max_ns == 300 && t.window_bytes == 3 * 0x200000);
    assert_true(t.uses == 1 && t.used_windows == 1);
    nw_vtd_stale_destroy(s);
    finish(&b);
}

/* Writes that change nothing for the page, and permissions that it does not need. */
static void stale__harmless_writes_are_no_exposure(void **state)
{
    (void)state;
    struct bench b;
    struct seen seen;
    begin(&b, 1, false);
    struct nw_vtd_stale *s = watch(&b, &seen);
    dma(&b, IOVA);
    change(&b, s, b.leaf[1], OLD | 7 | 0x60 | NW_BIT(9), 10); /* flags */
    change(&b, s, b.leaf[1] + 8, NEW | 7, 20);                /* a neighbour, never seen */
    change(&b, s, b.leaf[1], OLD | 5, 30);                    /* read-only now, and only read so far */
    dma(&b, IOVA);
    assert_true(seen.uses == 0 && summary(s).open_pages == 0 && summary(s).windows == 0);
    change(&b, s, b.leaf[1], OLD | 7 | 0x60, 40);
    push(&b, DESCRIPTOR(2, 1, 0), 0);
    struct nw_vtd_result r;
    nw_vtd_unit_dma(b.u, &(struct nw_vtd_request){ .source_id = SOURCE, .address = IOVA, .kind = NW_VTD_WRITE }, &r);
    change(&b, s, b.leaf[1], OLD | 5 | 0x60, 50); /* now writing counts */
    nw_vtd_unit_dma(b.u, &(struct nw_vtd_request){ .source_id = SOURCE, .address = IOVA, .kind = NW_VTD_WRITE }, &r);
    assert_true(seen.uses == 1 && seen.last.now.fault.reason == 0x85);
    assert_int_equal(summary(s).open_pages, 1);
    nw_vtd_stale_destroy(s);
    finish(&b);
}

/* What each cache holds makes DMA stale on its own: a table, a PASID-table entry, a context entry. */
static void stale__every_cache_is_a_source(void **state)
{
    (void)state;
    struct bench b;
    struct seen seen;
    for (unsigned what = 0; what < 3; what++) {
        begin(&b, 2, false);
        put64(b.pm, b.leaf[0] + 8, NEW | 3);
        struct nw_vtd_stale *s = watch(&b, &seen);
        dma(&b, IOVA);
        dma(&b, IOVA + 0x1000);
        const uint64_t at[3] = { b.table[0], PASIDS + PASID * 64, CONTEXT + SOURCE * 32 };
        change(&b, s, at[what], 0, 100);
        assert_int_equal(summary(s).open_pages, 2);
        nw_vtd_stale_time(s, 200);
        push(&b, DESCRIPTOR(2, 3, DID), (IOVA & ~UINT64_C(0xfff)) | 1 << 6); /* the leaf alone goes */
        assert_int_equal(summary(s).open_pages, 2);                          /* but the way to it stays */
        assert_int_equal(dma(&b, IOVA).hpa.v, OLD);
        assert_true(seen.uses == 1 && seen.last.age_ns == 100 && seen.last.now.fault.reason);
        nw_vtd_stale_time(s, 300);
        push(&b, DESCRIPTOR(1, 1, 0), 0);
        push(&b, DESCRIPTOR(7, 3, 0), 0);
        push(&b, DESCRIPTOR(2, 1, 0), 0);
        struct nw_stale_summary t = summary(s);
        assert_true(t.windows == 2 && t.window_ns == 400 && t.open_pages == 0);
        assert_true(dma(&b, IOVA).fault.reason && seen.uses == 1);
        nw_vtd_stale_destroy(s);
        finish(&b);
    }
}

static void stale__device_tlbs_outlive_the_units_caches(void **state)
{
    (void)state;
    struct bench b;
    struct seen seen;
    struct nw_vtd_device *d;
    struct nw_vtd_device_result r;
    const struct nw_vtd_device_config c = { .source_id = SOURCE, .entries = 8, .ways = 2 };
    const struct nw_vtd_request q = { .address = IOVA };
    begin_with(&b, 0, false, true, false);
    must(nw_vtd_device_create(&d, b.u, &c, err));
    struct nw_vtd_stale *s = watch(&b, &seen);
    nw_vtd_device_dma(d, &q, &r);
    change(&b, s, b.leaf[0], 0, 100);
    push(&b, DESCRIPTOR(2, 1, 0), 0);
    assert_int_equal(summary(s).open_pages, 1);
    nw_vtd_stale_time(s, 150);
    nw_vtd_device_dma(d, &q, &r);
    assert_true(r.hit && seen.uses == 1 && seen.last.from == NW_VTD_STALE_DEVICE_TLB && seen.last.age_ns == 50);
    assert_true(seen.last.request.address == IOVA && seen.last.request.source_id == SOURCE);
    nw_vtd_stale_time(s, 400);
    push(&b, 3 | (uint64_t)SOURCE << 32, IOVA & ~UINT64_C(0xfff));
    struct nw_stale_summary t = summary(s);
    assert_true(t.windows == 1 && t.window_ns == 300 && t.open_pages == 0);
    nw_vtd_device_dma(d, &q, &r);
    assert_true(r.outcome == NW_VTD_DEVICE_REFUSED && seen.uses == 1);
    nw_vtd_stale_destroy(s);
    nw_vtd_device_destroy(d);
    finish(&b);
}

/* The detector looks, and changes nothing: flags, counts and results are those of a unit without one. */
static void stale__looking_leaves_no_trace(void **state)
{
    (void)state;
    struct nw_iommu_cache_counts counts[2][NW_VTD_CACHES];
    uint64_t leaf[2];
    struct seen seen;
    for (unsigned on = 0; on < 2; on++) {
        struct bench b;
        begin(&b, 3, false);
        struct nw_vtd_stale *s = on ? watch(&b, &seen) : NULL;
        dma(&b, IOVA);
        put64(b.pm, b.leaf[1] + 8, NEW | 7);
        if (on)
            nw_vtd_stale_written(s, b.leaf[1] + 8, 1);
        dma(&b, IOVA + 0x1000);
        push(&b, DESCRIPTOR(2, 3, DID), IOVA & ~UINT64_C(0xfff));
        dma(&b, IOVA);
        if (on)
            summary(s);
        leaf[on] = get64(b.pm, b.leaf[1]);
        for (unsigned c = 0; c < NW_VTD_CACHES; c++)
            counts[on][c] = nw_vtd_unit_counts(b.u, c);
        if (on) {
            struct nw_vtd_stale *second;
            struct nw_error err;
            assert_int_equal(nw_vtd_stale_create(&second, b.u, NULL, NULL, &err), NW_ERR_INPUT);
        }
        nw_vtd_stale_destroy(s);
        finish(&b);
    }
    assert_memory_equal(counts[0], counts[1], sizeof counts[0]);
    assert_true(leaf[0] == leaf[1]);
}

/* A DMA that is under way reaches the page after the invalidation, unless that drains it. */
static void stale__drains_end_exposures(void **state)
{
    (void)state;
    static const struct {
        bool write;
        uint64_t drain;   /* DW bit 6, DR bit 7 */
        uint64_t without; /* CAP bits taken away */
        bool drained;
    } c[] = { { false, 0, 0, false },
              { true, 0, 0, false },
              { false, 1 << 7, 0, true },
              { true, 1 << 7, 0, false },
              { false, 1 << 6, 0, false },
              { true, 1 << 6, 0, true },
              { true, 3 << 6, NW_VTD_CAP_DWD, false },
              { false, 3 << 6, NW_VTD_CAP_DRD, false },
              { false, 3 << 6, NW_VTD_CAP_DWD, true } };
    for (unsigned by_register = 0; by_register < 2; by_register++)
        for (unsigned i = 0; i < NW_ARRAY_LEN(c); i++) {
            struct bench b;
            struct seen seen;
            struct nw_vtd_result r;
            unsigned reads, writes;
            begin(&b, 0, false);
            nw_vtd_unit_destroy(b.u);
            b.config.under_way = 4;
            b.config.unit.cap &= ~c[i].without;
            start(&b, false, by_register ? 0 : NW_VTD_GCMD_QIE);
            struct nw_vtd_stale *s = watch(&b, &seen);
            struct nw_vtd_request q = { .source_id = SOURCE,
                                        .address = IOVA,
                                        .kind = c[i].write ? NW_VTD_WRITE : NW_VTD_READ };
            for (unsigned k = 0; k < 6; k++)
                nw_vtd_unit_dma(b.u, &q, &r);
            nw_vtd_unit_under_way(b.u, &reads, &writes);
            assert_true(reads == (c[i].write ? 0u : 4u) && writes == (c[i].write ? 4u : 0u));
            change(&b, s, b.leaf[0], 0, 100);
            nw_vtd_stale_time(s, 200);
            unsigned iva = nw_vtd_iva_offset(b.config.unit.ecap);
            if (by_register)
                nw_vtd_unit_write(b.u, iva + 8, 8, NW_BIT(63) | UINT64_C(1) << 60 | c[i].drain << 42);
            else
                push(&b, DESCRIPTOR(2, 1, 0) | c[i].drain, 0);
            assert_int_equal(summary(s).open_pages, !c[i].drained);
            nw_vtd_unit_arrive(b.u, 3);
            assert_int_equal(summary(s).open_pages, !c[i].drained);
            nw_vtd_stale_time(s, 500);
            nw_vtd_unit_arrive(b.u, 3);
            assert_int_equal(summary(s).window_ns, c[i].drained ? 100 : 400);
            assert_int_equal(seen.uses, 0);
            nw_vtd_stale_destroy(s);
            finish(&b);
        }
}

/* A device answers an invalidation after what it has sent, and PASID-based invalidations drain everything. */
static void stale__answers_and_pasid_invalidations_drain(void **state)
{
    (void)state;
    struct bench b;
    struct nw_vtd_device *d;
    struct nw_vtd_device_result r;
    unsigned reads, writes;
    begin_with(&b, 1, false, true, false);
    nw_vtd_unit_destroy(b.u);
    b.config.under_way = 8;
    start(&b, true, NW_VTD_GCMD_QIE);
    must(nw_vtd_device_create(&d, b.u, &(struct nw_vtd_device_config){ .source_id = SOURCE }, err));
    nw_vtd_device_dma(d, &(struct nw_vtd_request){ .address = IOVA }, &r);
    dma(&b, IOVA);
    nw_vtd_device_set_answer(d, NW_VTD_ANSWER_ERROR);
    push(&b, 3 | (uint64_t)SOURCE << 32, 0);
    nw_vtd_unit_under_way(b.u, &reads, &writes);
    assert_true(reads == 2 && writes == 0);
    nw_vtd_device_set_answer(d, NW_VTD_ANSWER_DONE);
    push(&b, 3 | (uint64_t)SOURCE << 32, 0);
    nw_vtd_unit_under_way(b.u, &reads, &writes);
    assert_int_equal(reads, 1);
    push(&b, DESCRIPTOR(6, 2, DID) | WITH_PASID(PASID), 0);
    nw_vtd_unit_under_way(b.u, &reads, &writes);
    assert_int_equal(reads, 0);
    nw_vtd_device_destroy(d);
    finish(&b);
}

/* Many pages below one table; the table goes, and all are exposed, and no more afterwards. */
static void stale__a_table_exposes_all_its_pages(void **state)
{
    (void)state;
    enum { PAGES = 300 };
    struct bench b;
    struct seen seen;
    begin(&b, 0, false);
    nw_vtd_unit_destroy(b.u);
    b.config.cache[NW_VTD_IOTLB] = (struct nw_iommu_cache_shape){ .entries = 4096, .ways = 4096 };
    start(&b, false, NW_VTD_GCMD_QIE);
    struct nw_vtd_stale *s = watch(&b, &seen);
    uint64_t table = b.leaf[0] & ~UINT64_C(0xfff), region = IOVA & ~UINT64_C(0x1fffff);
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < PAGES; i++) {
            put64(b.pm, table + i * 8, (OLD + i * 0x1000) | 3);
            dma(&b, region + i * 0x1000);
        }
        uint64_t entry = get64(b.pm, b.table[0]);
        change(&b, s, b.table[0], 0, 1000);
        change(&b, s, b.table[0], 0, 2000); /* exposed since the first */
        assert_int_equal(summary(s).open_pages, PAGES);
        assert_int_equal(summary(s).open_max_ns, 1000);
        push(&b, DESCRIPTOR(2, 1, 0), 0);
        assert_int_equal(summary(s).windows, (round + 1) * PAGES);
        change(&b, s, b.table[0], entry, 3000);
        assert_int_equal(summary(s).open_pages, 0);
        nw_vtd_stale_time(s, 0);
    }
    assert_int_equal(seen.uses, 0);
    assert_int_equal(summary(s).window_ns, 2 * PAGES * 1000);
    nw_vtd_stale_destroy(s);
    finish(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(stale__a_removed_leaf_is_found_until_invalidated),
                                        cmocka_unit_test(stale__moved_pages_and_several_windows),
                                        cmocka_unit_test(stale__harmless_writes_are_no_exposure),
                                        cmocka_unit_test(stale__every_cache_is_a_source),
                                        cmocka_unit_test(stale__device_tlbs_outlive_the_units_caches),
                                        cmocka_unit_test(stale__looking_leaves_no_trace),
                                        cmocka_unit_test(stale__drains_end_exposures),
                                        cmocka_unit_test(stale__answers_and_pasid_invalidations_drain),
                                        cmocka_unit_test(stale__a_table_exposes_all_its_pages) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
