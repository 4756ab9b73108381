/* A cached mapping stays in use until an invalidation covers it: one change of the tables after another, and for each
 * invalidation whether the unit still goes by the old ones. */
#include "mapping_bench.h"

/* ---- descriptors: what a change of a leaf needs ------------------------------------------------- */

static const struct {
    const char *what;
    uint64_t low, high;
    bool covers[4]; /* legacy second stage, first stage, scalable second stage, nested (leaf of the first stage) */
} leaf_changes[] = {
    { "nothing but a wait", 5, 0, { false, false, false, false } },
    { "context, global", DESCRIPTOR(1, 1, 0), 0, { false, false, false, false } },
    { "IOTLB, global", DESCRIPTOR(2, 1, 0), 0, { true, true, true, true } },
    { "IOTLB, the domain", DESCRIPTOR(2, 2, DID), 0, { true, true, true, true } },
    { "IOTLB, another domain", DESCRIPTOR(2, 2, DID + 1), 0, { false, false, false, false } },
    { "IOTLB, the page", DESCRIPTOR(2, 3, DID), IOVA, { true, true, true, true } },
    { "IOTLB, the page, leaf only", DESCRIPTOR(2, 3, DID), IOVA | 1 << 6, { true, true, true, true } },
    { "IOTLB, the next page", DESCRIPTOR(2, 3, DID), IOVA + 0x1000, { false, true, false, true } },
    { "IOTLB, 2 pages", DESCRIPTOR(2, 3, DID), (IOVA & ~UINT64_C(0x1fff)) | 1, { true, true, true, true } },
    { "IOTLB, 512 pages", DESCRIPTOR(2, 3, DID), (IOVA & ~UINT64_C(0x1fffff)) | 9, { true, true, true, true } },
    { "IOTLB, the page of another domain", DESCRIPTOR(2, 3, DID + 1), IOVA, { false, false, false, false } },
    { "PASID cache, global", DESCRIPTOR(7, 3, 0), 0, { false, false, false, false } },
    { "PASID IOTLB", DESCRIPTOR(6, 2, DID) | WITH_PASID(PASID), 0, { false, true, true, true } },
    { "PASID IOTLB, another PASID", DESCRIPTOR(6, 2, DID) | WITH_PASID(PASID + 1), 0, { false, false, false, false } },
    { "PASID IOTLB, another domain", DESCRIPTOR(6, 2, DID + 1) | WITH_PASID(PASID), 0, { false, false, false, false } },
    { "PASID IOTLB, the page", DESCRIPTOR(6, 3, DID) | WITH_PASID(PASID), IOVA, { false, true, false, true } },
    { "PASID IOTLB, the next page",
      DESCRIPTOR(6, 3, DID) | WITH_PASID(PASID),
      IOVA + 0x1000,
      { false, false, false, false } },
};

static void caches__a_leaf_stays_until_covered(void **state)
{
    (void)state;
    static const unsigned pgtt[4] = { 0, 1, 2, 3 };
    for (unsigned kind = 0; kind < 4; kind++)
        for (unsigned i = 0; i < NW_ARRAY_LEN(leaf_changes); i++) {
            unsigned type = (unsigned)leaf_changes[i].low & 15;
            struct bench b;
            if (!kind && type >= 6)
                continue; /* not in legacy mode */
            begin(&b, pgtt[kind], false);
            unsigned stage = pgtt[kind] & 1;
            assert_int_equal(dma(&b, IOVA | 0x12).hpa.v, OLD | 0x12);
            put64(b.pm, b.leaf[stage], NEW | (stage ? 7 : 3));
            assert_int_equal(dma(&b, IOVA | 0x34).hpa.v, OLD | 0x34);
            push(&b, leaf_changes[i].low, leaf_changes[i].high);
            bool covered = dma(&b, IOVA).hpa.v == NEW;
            if (covered != leaf_changes[i].covers[kind])
                fail_msg("kind %u: %s: %s", kind, leaf_changes[i].what, covered ? "covered" : "still the old one");
            finish(&b);
        }
}

/* One address of a large page is enough to drop it; what lies beside it is not touched. */
static void caches__a_large_page_goes_as_a_whole(void **state)
{
    (void)state;
    struct bench b;
    begin(&b, 0, true);
    assert_int_equal(dma(&b, IOVA).hpa.v, 0x600000 | (IOVA & 0x1fffff));
    put64(b.pm, b.leaf[0], 0x800000 | 0x83);
    push(&b, DESCRIPTOR(2, 3, DID), (IOVA ^ 0x200000) & ~UINT64_C(0xfff));
    assert_int_equal(dma(&b, IOVA).hpa.v, 0x600000 | (IOVA & 0x1fffff));
    push(&b, DESCRIPTOR(2, 3, DID), (IOVA ^ 0x100000) & ~UINT64_C(0xfff));
    assert_int_equal(dma(&b, IOVA).hpa.v, 0x800000 | (IOVA & 0x1fffff));
    finish(&b);
}

/* A changed table: the invalidation hint keeps the paging-structure caches, so a neighbour still goes through the old one. */
static void caches__the_hint_keeps_paging_structures(void **state)
{
    (void)state;
    for (unsigned hint = 0; hint < 2; hint++) {
        struct bench b;
        begin(&b, 0, false);
        assert_int_equal(dma(&b, IOVA).hpa.v, OLD);
        put64(b.pm, 0x30000 + (IOVA >> 12 & 511) * 8, NEW | 3); /* another leaf table */
        put64(b.pm, b.table[0], 0x30000 | 3);
        push(&b, DESCRIPTOR(2, 3, DID), IOVA | (uint64_t)hint << 6);
        assert_int_equal(dma(&b, IOVA).hpa.v, hint ? OLD : NEW);
        finish(&b);
    }
}

static void caches__context_entries_stay_until_covered(void **state)
{
    (void)state;
    static const struct {
        uint64_t low;
        bool covers;
    } change[] = {
        { DESCRIPTOR(1, 1, 0), true },
        { DESCRIPTOR(1, 2, DID), true },
        { DESCRIPTOR(1, 2, DID + 1), false },
        { DESCRIPTOR(1, 3, DID) | (uint64_t)SOURCE << 32, true },
        { DESCRIPTOR(1, 3, DID) | (uint64_t)(SOURCE + 1) << 32, false },
        { DESCRIPTOR(1, 3, DID) | (uint64_t)(SOURCE + 4) << 32, false },
        { DESCRIPTOR(1, 3, DID) | (uint64_t)(SOURCE + 4) << 32 | UINT64_C(1) << 48, true }, /* FM 1: function bit 2 */
        { DESCRIPTOR(1, 3, DID) | (uint64_t)(SOURCE + 6) << 32 | UINT64_C(2) << 48, true },
        { DESCRIPTOR(1, 3, DID) | (uint64_t)(SOURCE + 7) << 32 | UINT64_C(2) << 48, false },
        { DESCRIPTOR(1, 3, DID) | (uint64_t)(SOURCE + 7) << 32 | UINT64_C(3) << 48, true },
        { DESCRIPTOR(2, 1, 0), false },
    };
    for (unsigned i = 0; i < NW_ARRAY_LEN(change); i++) {
        struct bench b;
        begin(&b, 0, false);
        dma(&b, IOVA);
        put64(b.pm, CONTEXT + SOURCE * 16, 0);
        push(&b, change[i].low, 0);
        if ((dma(&b, IOVA).fault.reason == 0x02) != change[i].covers)
            fail_msg("descriptor %llx", (unsigned long long)change[i].low);
        finish(&b);
    }
}

static void caches__pasid_entries_stay_until_covered(void **state)
{
    (void)state;
    static const struct {
        uint64_t low;
        bool covers;
    } change[] = {
        { DESCRIPTOR(7, 3, 0), true },
        { DESCRIPTOR(7, 0, DID), true },
        { DESCRIPTOR(7, 0, DID + 1), false },
        { DESCRIPTOR(7, 1, DID) | WITH_PASID(PASID), true },
        { DESCRIPTOR(7, 1, DID) | WITH_PASID(PASID + 1), false },
        { DESCRIPTOR(1, 1, 0), false },
        { DESCRIPTOR(2, 1, 0), false },
    };
    for (unsigned pasid = 0; pasid < 2; pasid++)
        for (unsigned i = 0; i < NW_ARRAY_LEN(change); i++) {
            struct bench b;
            begin(&b, 2, false);
            b.pasid = pasid; /* a request with the PASID, or with none and RID_PASID */
            assert_int_equal(dma(&b, IOVA).hpa.v, OLD);
            put64(b.pm, PASIDS + PASID * 64, 0);
            push(&b, change[i].low, 0);
            if ((dma(&b, IOVA).fault.reason == 0x59) != change[i].covers)
                fail_msg("descriptor %llx", (unsigned long long)change[i].low);
            finish(&b);
        }
}

/* A unit that finds translations by source id uses one before it looks at the PASID table. */
static void caches__tags_of_source_come_before_the_pasid_table(void **state)
{
    (void)state;
    struct bench b;
    begin(&b, 2, false);
    nw_vtd_unit_destroy(b.u);
    b.config.tags_source = true;
    start(&b, true, NW_VTD_GCMD_QIE);
    dma(&b, IOVA);
    put64(b.pm, PASIDS + PASID * 64, 0);
    push(&b, DESCRIPTOR(7, 3, 0), 0);
    assert_int_equal(dma(&b, IOVA).hpa.v, OLD);
    assert_int_equal(dma(&b, IOVA + 0x1000).fault.reason, 0x59);
    push(&b, DESCRIPTOR(2, 2, DID), 0);
    assert_int_equal(dma(&b, IOVA).fault.reason, 0x59);
    finish(&b);
}

/* A write finds a translation that a read has cached, but not its dirty flag: it walks. */
static void caches__a_clean_translation_does_not_serve_writes(void **state)
{
    (void)state;
    struct bench b;
    struct nw_vtd_result r;
    begin(&b, 1, false);
    dma(&b, IOVA);
    assert_true((get64(b.pm, b.leaf[1]) & 0x60) == 0x20);
    nw_vtd_unit_dma(b.u, &(struct nw_vtd_request){ .source_id = SOURCE, .address = IOVA, .kind = NW_VTD_WRITE }, &r);
    assert_int_equal(r.fault.reason, 0);
    assert_true((get64(b.pm, b.leaf[1]) & 0x60) == 0x60);
    finish(&b);
}

/* Three pages in three ways, the first used again, then a fourth: who is left? */
static void caches__policies_choose_who_makes_room(void **state)
{
    (void)state;
    static const bool stays[][3] = { [NW_IOMMU_LRU] = { true, false, true }, [NW_IOMMU_FIFO] = { false, true, true } };
    unsigned gone[3] = { 0 };
    struct bench b;
    for (unsigned round = 0; round < 40; round++) {
        const enum nw_iommu_policy policy = round < 2 ? (enum nw_iommu_policy)round : NW_IOMMU_RANDOM;
        begin(&b, 0, false);
        nw_vtd_unit_destroy(b.u);
        b.config.cache[NW_VTD_IOTLB] = (struct nw_iommu_cache_shape){ .entries = 3, .ways = 3, .policy = policy };
        b.config.cache[NW_VTD_PAGING_CACHE] = (struct nw_iommu_cache_shape){ 0 };
        for (unsigned i = 0; i < 4 + round; i++)
            put64(b.pm, b.leaf[0] + i * 8, (OLD + i * 0x1000) | 3);
        start(&b, false, NW_VTD_GCMD_QIE);
        for (unsigned i = 0; i < round; i++) /* the random choices go on from there */
            dma(&b, IOVA + (4 + i) * 0x1000);
        nw_vtd_unit_flush(b.u);
        for (unsigned i = 0; i < 3; i++)
            dma(&b, IOVA + i * 0x1000);
        dma(&b, IOVA);
        dma(&b, IOVA + 0x3000);
        for (unsigned i = 0; i < 3 && policy != NW_IOMMU_RANDOM; i++) {
            const bool there = stays[policy][i];
            if (there) /* an absent one would drive out another */
                assert_int_equal(dma(&b, IOVA + i * 0x1000).references, 0);
        }
        if (policy == NW_IOMMU_RANDOM) {
            struct nw_iommu_cache_counts before = nw_vtd_unit_counts(b.u, NW_VTD_IOTLB);
            const unsigned asked = round % 3;
            dma(&b, IOVA + asked * 0x1000);
            gone[asked] += nw_vtd_unit_counts(b.u, NW_VTD_IOTLB).hits == before.hits;
        }
        finish(&b);
    }
    assert_true(gone[0] + gone[1] + gone[2] > 3 && gone[0] + gone[1] + gone[2] < 25);
    struct nw_error error;
    begin(&b, 0, false);
    nw_vtd_unit_destroy(b.u);
    b.config.cache[NW_VTD_IOTLB].policy = NW_IOMMU_POLICIES;
    assert_int_equal(nw_vtd_unit_create(&b.u, &b.config, &error), NW_ERR_INPUT);
    assert_non_null(strstr(error.text, "VT-d IOTLB: replacement policy 3"));
    b.u = NULL;
    finish(&b);
    assert_string_equal(nw_iommu_policy_name[NW_IOMMU_FIFO], "fifo");
}

static void caches__entries_and_ways_bound_what_is_kept(void **state)
{
    (void)state;
    struct bench b;
    begin(&b, 0, false);
    nw_vtd_unit_destroy(b.u);
    b.config.cache[NW_VTD_IOTLB] = (struct nw_iommu_cache_shape){ .entries = 3, .ways = 3 };
    b.config.cache[NW_VTD_PAGING_CACHE] = (struct nw_iommu_cache_shape){ 0 };
    for (unsigned i = 0; i < 4; i++)
        put64(b.pm, b.leaf[0] + i * 8, (OLD + i * 0x1000) | 3);
    start(&b, false, NW_VTD_GCMD_QIE);
    for (unsigned i = 0; i < 4; i++) /* the fourth drives out the first */
        dma(&b, IOVA + i * 0x1000);
    struct nw_iommu_cache_counts c = nw_vtd_unit_counts(b.u, NW_VTD_IOTLB);
    assert_true(c.lookups == 4 && !c.hits && c.fills == 4 && c.evictions == 1);
    assert_int_equal(dma(&b, IOVA + 0x1000).references, 0);
    assert_int_equal(dma(&b, IOVA).references, 4);          /* the context entry is cached, the tables are read */
    assert_int_equal(dma(&b, IOVA + 0x2000).references, 4); /* least recently used, so it went */
    assert_int_equal(nw_vtd_unit_counts(b.u, NW_VTD_IOTLB).hits, 1);
    assert_int_equal(nw_vtd_unit_counts(b.u, NW_VTD_PAGING_CACHE).lookups, 0);
    finish(&b);
}

/* With everything cached but the leaf, a walk reads one entry. */
static void caches__a_walk_continues_where_the_caches_end(void **state)
{
    (void)state;
    struct bench b;
    begin(&b, 0, false);
    put64(b.pm, b.leaf[0] + 8, NEW | 3);
    assert_int_equal(dma(&b, IOVA).references, 2 + 2 + 4); /* root and context entry of two words, four levels */
    assert_int_equal(dma(&b, IOVA + 0x1000).references, 1);
    assert_int_equal(dma(&b, IOVA + 0x1000).references, 0);
    finish(&b);
}

/* ---- registers ---------------------------------------------------------------------------------- */

static void caches__registers_invalidate_in_legacy_mode(void **state)
{
    (void)state;
    struct bench b;
    begin(&b, 0, false);
    unsigned iva = nw_vtd_iva_offset(b.config.unit.ecap);
    nw_vtd_unit_write(b.u, NW_VTD_GCMD, 4, NW_VTD_GCMD_TE); /* the queue off */
    dma(&b, IOVA);
    put64(b.pm, b.leaf[0], NEW | 3);
    nw_vtd_unit_write(b.u, iva, 8, IOVA + 0x1000);
    nw_vtd_unit_write(b.u, iva + 8, 8, NW_BIT(63) | UINT64_C(3) << 60 | (uint64_t)DID << 32);
    assert_true(nw_vtd_unit_read(b.u, iva + 8, 8) == (UINT64_C(3) << 60 | UINT64_C(3) << 57 | (uint64_t)DID << 32));
    assert_int_equal(dma(&b, IOVA).hpa.v, OLD);
    nw_vtd_unit_write(b.u, iva, 8, IOVA);
    nw_vtd_unit_write(b.u, iva + 12, 4, NW_BIT(31) | UINT64_C(3) << 28 | DID); /* by its upper half */
    assert_int_equal(dma(&b, IOVA).hpa.v, NEW);
    put64(b.pm, b.leaf[0], OLD | 3);
    nw_vtd_unit_write(b.u, iva, 8, IOVA | 50); /* AM above MAMV: the whole domain */
    nw_vtd_unit_write(b.u, iva + 8, 8, NW_BIT(63) | UINT64_C(3) << 60 | (uint64_t)DID << 32);
    assert_int_equal(nw_field(nw_vtd_unit_read(b.u, iva + 8, 8), 58, 57), 2);
    assert_int_equal(dma(&b, IOVA).hpa.v, OLD);
    put64(b.pm, CONTEXT + SOURCE * 16, 0);
    nw_vtd_unit_write(b.u, NW_VTD_CCMD, 8, NW_BIT(63) | UINT64_C(2) << 61 | (DID + 1));
    assert_int_equal(dma(&b, IOVA).fault.reason, 0);
    nw_vtd_unit_write(b.u, NW_VTD_CCMD, 8, NW_BIT(63) | UINT64_C(3) << 61 | SOURCE << 16 | DID);
    assert_int_equal(nw_field(nw_vtd_unit_read(b.u, NW_VTD_CCMD, 8), 63, 59), 0xf); /* ICC gone, CIRG and CAIG 3 */
    assert_int_equal(dma(&b, IOVA).fault.reason, 0x02);
    /* With the queue on the registers do nothing, and say so. */
    nw_vtd_unit_write(b.u, NW_VTD_GCMD, 4, NW_VTD_GCMD_TE | NW_VTD_GCMD_QIE);
    nw_vtd_unit_write(b.u, NW_VTD_CCMD, 8, NW_BIT(63) | UINT64_C(1) << 61);
    assert_int_equal(nw_field(nw_vtd_unit_read(b.u, NW_VTD_CCMD, 8), 60, 59), 0);
    finish(&b);
}

static void caches__setting_the_root_invalidates_where_the_unit_says_so(void **state)
{
    (void)state;
    for (unsigned enhanced = 0; enhanced < 2; enhanced++) {
        struct bench b;
        begin(&b, 0, false);
        nw_vtd_unit_destroy(b.u);
        b.config.unit.cap |= enhanced ? NW_VTD_CAP_ESRTPS : 0;
        start(&b, false, 0);
        dma(&b, IOVA);
        put64(b.pm, b.leaf[0], NEW | 3);
        nw_vtd_unit_write(b.u, NW_VTD_GCMD, 4, NW_VTD_GCMD_TE | NW_VTD_GCMD_SRTP);
        assert_int_equal(dma(&b, IOVA).hpa.v, enhanced ? NEW : OLD);
        finish(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(caches__a_leaf_stays_until_covered),
                                        cmocka_unit_test(caches__a_large_page_goes_as_a_whole),
                                        cmocka_unit_test(caches__the_hint_keeps_paging_structures),
                                        cmocka_unit_test(caches__context_entries_stay_until_covered),
                                        cmocka_unit_test(caches__pasid_entries_stay_until_covered),
                                        cmocka_unit_test(caches__tags_of_source_come_before_the_pasid_table),
                                        cmocka_unit_test(caches__a_clean_translation_does_not_serve_writes),
                                        cmocka_unit_test(caches__policies_choose_who_makes_room),
                                        cmocka_unit_test(caches__entries_and_ways_bound_what_is_kept),
                                        cmocka_unit_test(caches__a_walk_continues_where_the_caches_end),
                                        cmocka_unit_test(caches__registers_invalidate_in_legacy_mode),
                                        cmocka_unit_test(caches__setting_the_root_invalidates_where_the_unit_says_so) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
