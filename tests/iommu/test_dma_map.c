/* Strategies of DMA mapping: whatever they put off or keep, a mapped buffer is always reached where it is, and what a device can still reach after an
 * unmap is what the strategy says. Beside each, a plain list of what is mapped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <nestwalk/base/rng.h>
#include <nestwalk/iommu/dma_map.h>
#include <nestwalk/mmu/builder.h>
#include <nestwalk/mmu/walk.h>
#include <stdlib.h>

enum { BDF = 0x0310, OTHER = 0x0418 };
#define MEMORY UINT64_C(0x100000000) /* where buffers are; below it tables and pools */

static struct nw_error error, *const err = &error;

static void must_(enum nw_status s, int line)
{
    if (s)
        fail_msg("line %d: %s", line, error.text);
}
#define must(s) must_(s, __LINE__)

struct world {
    struct nw_physmem *pm;
    struct nw_frames frames;
    struct nw_dma *d;
};

static struct nw_dma_config begin(struct world *w, enum nw_dma_strategy strategy)
{
    must(nw_physmem_create(&w->pm, err));
    nw_frames_init(&w->frames, 0x1000, MEMORY >> 12);
    struct nw_dma_config c = nw_dma_config_default(w->pm, &w->frames);
    c.strategy = strategy;
    return c;
}

static void start(struct world *w, const struct nw_dma_config *c) { must(nw_dma_create(&w->d, c, err)); }

static void end(struct world *w)
{
    nw_dma_destroy(w->d);
    nw_frames_fini(&w->frames);
    nw_physmem_destroy(w->pm);
}

static struct nw_dma_mapping map(struct world *w, uint16_t bdf, uint64_t address, uint64_t bytes,
                                 enum nw_dma_rights rights)
{
    struct nw_dma_mapping m;
    must(nw_dma_map(w->d, bdf, address, bytes, rights, &m, err));
    return m;
}

static uint64_t faults(struct world *w, uint16_t bdf, uint64_t iova, uint64_t bytes, bool write)
{
    struct nw_dma_done done;
    nw_dma_access(w->d, bdf, iova, bytes, write, &done);
    return done.faults;
}

/* Where the unit sends a device's request, or UINT64_MAX. */
static uint64_t target(struct world *w, uint16_t bdf, uint64_t iova)
{
    struct nw_vtd_request q = { .source_id = bdf, .address = iova };
    struct nw_vtd_result r;
    nw_vtd_unit_dma(nw_dma_unit(w->d), &q, &r);
    return r.fault.reason ? UINT64_MAX : r.hpa.v;
}

static void strict__an_unmapped_buffer_is_gone_at_once(void **state)
{
    (void)state;
    struct world w;
    struct nw_dma_config c = begin(&w, NW_DMA_STRICT);
    start(&w, &c);
    struct nw_dma_mapping m = map(&w, BDF, MEMORY + 0x1234, 5000, NW_DMA_BOTH); /* two pages */
    assert_true(m.mapped && !m.reused && (m.iova & 0xfff) == 0x234);
    assert_int_equal(target(&w, BDF, m.iova), MEMORY + 0x1234);
    assert_int_equal(target(&w, BDF, m.iova + 4999), MEMORY + 0x1234 + 4999);
    assert_int_equal(faults(&w, OTHER, m.iova, 64, false), 1); /* another device's domain has nothing there */
    assert_true(nw_dma_is_pinned(w.d, MEMORY + 0x2fff) && !nw_dma_is_pinned(w.d, MEMORY + 0x3000));
    must(nw_dma_unmap(w.d, BDF, m.iova, err));
    assert_int_equal(target(&w, BDF, m.iova), UINT64_MAX);
    assert_false(nw_dma_is_pinned(w.d, MEMORY + 0x1000));
    struct nw_dma_counts n = nw_dma_counts(w.d);
    assert_true(n.range_invalidations == 1 && n.domain_invalidations == 0 && n.waits == 1 && n.announcements == 1);
    assert_int_equal(n.entries_written, 2 + 2 + 3); /* leaves made and cleared, and three tables on the way */
    assert_true(n.stale.uses == 0 && n.ranges_fresh == 1);
    m = map(&w, BDF, MEMORY + 0x9000, 8192, NW_DMA_TO_DEVICE);
    assert_int_equal(nw_dma_counts(w.d).ranges_fresh, 1); /* the freed range again */
    assert_int_equal(faults(&w, BDF, m.iova, 64, true), 1);
    assert_int_equal(faults(&w, BDF, m.iova, 64, false), 0);
    assert_int_equal(nw_dma_unmap(w.d, BDF, m.iova + 0x10000, err), NW_ERR_INPUT);
    end(&w);
}

static void deferred__what_the_iotlb_has_stays_until_the_flush(void **state)
{
    (void)state;
    struct world w;
    struct nw_dma_config c = begin(&w, NW_DMA_DEFERRED);
    c.deferred_ranges = 3;
    start(&w, &c);
    uint64_t iova[4];
    for (unsigned i = 0; i < 4; i++) {
        iova[i] = map(&w, BDF, MEMORY + i * 0x1000, 2048, NW_DMA_BOTH).iova;
        assert_int_equal(faults(&w, BDF, iova[i], 256, true), 0);
    }
    must(nw_dma_time(w.d, 1000, err));
    must(nw_dma_unmap(w.d, BDF, iova[0], err));
    must(nw_dma_time(w.d, 5000, err));
    assert_int_equal(faults(&w, BDF, iova[0], 256, true), 0); /* stale */
    assert_true(nw_dma_is_pinned(w.d, MEMORY));
    assert_true(map(&w, BDF, MEMORY + 0x9000, 64, NW_DMA_BOTH).iova >> 12 !=
                iova[0] >> 12); /* its address is not free yet */
    struct nw_dma_counts n = nw_dma_counts(w.d);
    assert_true(n.stale.uses == 1 && n.stale.used_bytes == 256 && n.stale.longest_age_ns == 4000);
    must(nw_dma_unmap(w.d, BDF, iova[1], err));
    must(nw_dma_unmap(w.d, BDF, iova[2], err)); /* the third: the list is worked off */
    assert_int_equal(faults(&w, BDF, iova[0], 256, true), 1);
    n = nw_dma_counts(w.d);
    assert_true(n.domain_invalidations == 1 && n.range_invalidations == 0 && n.stale.windows == 3);
    assert_int_equal(n.stale.window_ns, 4000); /* two of them were over as they began */
    must(nw_dma_unmap(w.d, BDF, iova[3], err));
    must(nw_dma_time(w.d, 5000 + c.deferred_ns - 1, err));
    assert_int_equal(nw_dma_counts(w.d).domain_invalidations, 1);
    must(nw_dma_time(w.d, 5000 + c.deferred_ns, err)); /* too old */
    assert_int_equal(nw_dma_counts(w.d).domain_invalidations, 2);
    assert_int_equal(faults(&w, BDF, iova[3], 256, true), 1);
    end(&w);
}

static void reuse__mappings_outlive_their_users_as_long_as_they_should(void **state)
{
    (void)state;
    static const enum nw_dma_strategy strategies[] = { NW_DMA_PERSISTENT, NW_DMA_SHARED, NW_DMA_OPTIMISTIC };
    for (unsigned i = 0; i < NW_ARRAY_LEN(strategies); i++) {
        struct world w;
        struct nw_dma_config c = begin(&w, strategies[i]);
        start(&w, &c);
        struct nw_dma_mapping a = map(&w, BDF, MEMORY + 0x100, 1500, NW_DMA_BOTH),
                              b = map(&w, BDF, MEMORY + 0x900, 1500, NW_DMA_TO_DEVICE); /* the same page, less rights */
        assert_true(!a.reused && b.reused && b.iova == a.iova + 0x800);
        must(nw_dma_unmap(w.d, BDF, a.iova, err));
        assert_int_equal(target(&w, BDF, b.iova), MEMORY + 0x900);
        must(nw_dma_unmap(w.d, BDF, b.iova, err));
        bool kept = strategies[i] != NW_DMA_SHARED;
        assert_int_equal(target(&w, BDF, a.iova) == MEMORY + 0x100, kept);
        must(nw_dma_time(w.d, c.optimistic_ns - 1, err));
        b = map(&w, BDF, MEMORY + 0x200, 64, NW_DMA_BOTH);
        assert_int_equal(b.reused, kept);
        must(nw_dma_unmap(w.d, BDF, b.iova, err)); /* idle from now on */
        must(nw_dma_time(w.d, 2 * c.optimistic_ns - 2, err));
        assert_int_equal(target(&w, BDF, b.iova) == MEMORY + 0x200, kept);
        must(nw_dma_time(w.d, 2 * c.optimistic_ns - 1, err));
        kept = strategies[i] == NW_DMA_PERSISTENT;
        assert_int_equal(target(&w, BDF, b.iova) == MEMORY + 0x200, kept);
        assert_int_equal(nw_dma_is_pinned(w.d, MEMORY), kept);
        assert_int_equal(nw_dma_unmap(w.d, BDF, b.iova, err), NW_ERR_INPUT); /* once too often */
        assert_int_equal(nw_dma_counts(w.d).stale.uses, 0);
        end(&w);
    }
}

static void huge__opens_two_mebibytes_and_one_entry_serves_them(void **state)
{
    (void)state;
    struct world w;
    struct nw_dma_config c = begin(&w, NW_DMA_HUGE);
    start(&w, &c);
    struct nw_dma_mapping m = map(&w, BDF, MEMORY + 0x1ff800, 4096, NW_DMA_FROM_DEVICE); /* over the edge */
    assert_false(m.reused);
    assert_true(map(&w, BDF, MEMORY + 0x10000, 4096, NW_DMA_FROM_DEVICE).reused);
    assert_int_equal(target(&w, BDF, m.iova + 4095), MEMORY + 0x1ff800 + 4095);
    struct nw_dma_done done;
    nw_dma_access(w.d, BDF, MEMORY, 0x200000, true, &done);
    assert_true(done.faults == 0 && done.misses == 1 && done.requests == 0x200000 / 256);
    assert_int_equal(faults(&w, BDF, MEMORY + 0x400000, 64, true), 1);
    must(nw_dma_unmap(w.d, BDF, m.iova, err));
    assert_true(nw_dma_is_pinned(w.d, MEMORY));
    end(&w);
}

static void pass_through__devices_reach_everything_and_copies_are_counted(void **state)
{
    (void)state;
    struct world w;
    struct nw_dma_config c = begin(&w, NW_DMA_IDENTITY);
    start(&w, &c);
    struct nw_dma_mapping m = map(&w, BDF, MEMORY + 0x800, 2048, NW_DMA_BOTH);
    assert_true(m.iova == MEMORY + 0x800 && map(&w, BDF, MEMORY + 0x800, 64, NW_DMA_BOTH).iova == m.iova);
    must(nw_dma_unmap(w.d, BDF, m.iova, err));
    must(nw_dma_unmap(w.d, BDF, m.iova, err));
    assert_int_equal(nw_dma_unmap(w.d, BDF, m.iova, err), NW_ERR_INPUT);
    assert_true(target(&w, BDF, MEMORY + 0x7000000) == MEMORY + 0x7000000 && nw_dma_is_pinned(w.d, MEMORY));
    assert_int_equal(nw_dma_counts(w.d).entries_written, 0);
    end(&w);

    c = begin(&w, NW_DMA_GRANT_COPY);
    c.pool_bytes = 2 << 20;
    start(&w, &c);
    struct nw_dma_mapping to = map(&w, BDF, MEMORY, 1500, NW_DMA_TO_DEVICE),
                          from = map(&w, BDF, MEMORY, 3000, NW_DMA_FROM_DEVICE);
    assert_true(to.iova < MEMORY && from.iova == to.iova + 2048);
    assert_int_equal(nw_dma_counts(w.d).copied_bytes, 1500);
    must(nw_dma_sync(w.d, BDF, from.iova, 100, false, err));
    must(nw_dma_unmap(w.d, BDF, to.iova, err));
    must(nw_dma_unmap(w.d, BDF, from.iova, err));
    struct nw_dma_counts n = nw_dma_counts(w.d);
    assert_true(n.copied_bytes == 4600 && n.copies == 3 && n.grant_operations == 3 && !nw_dma_is_pinned(w.d, MEMORY));
    for (unsigned i = 0; i < 1024 / 128; i++) /* eight buffers fill the pool; a larger one never fits */
        assert_true(map(&w, BDF, MEMORY, 256 << 10, NW_DMA_TO_DEVICE).mapped);
    assert_true(!map(&w, BDF, MEMORY, 1, NW_DMA_TO_DEVICE).mapped && nw_dma_counts(w.d).pool_full == 1);
    end(&w);
}

static void emulated__what_is_mapped_is_announced_as_well(void **state)
{
    (void)state;
    struct world w;
    struct nw_dma_config c = begin(&w, NW_DMA_STRICT);
    c.unit = NW_DMA_UNIT_EMULATED;
    start(&w, &c);
    uint64_t iova = map(&w, BDF, MEMORY, 100, NW_DMA_BOTH).iova;
    must(nw_dma_unmap(w.d, BDF, iova, err));
    assert_int_equal(nw_dma_counts(w.d).announcements, 2);
    assert_true(nw_vtd_unit_read(nw_dma_unit(w.d), NW_VTD_CAP, 8) & NW_VTD_CAP_CM);
    end(&w);
}

/* ---- nested translation ---- */

static void nested__maps_are_silent_and_unmaps_are_announced(void **state)
{
    (void)state;
    struct world w;
    struct nw_dma_config c = begin(&w, NW_DMA_STRICT);
    c.unit = NW_DMA_UNIT_NESTED;
    start(&w, &c);
    const uint64_t iova = map(&w, BDF, MEMORY + 0x123, 6000, NW_DMA_TO_DEVICE).iova;
    assert_int_equal(nw_dma_counts(w.d).announcements, 0);
    assert_false(nw_vtd_unit_read(nw_dma_unit(w.d), NW_VTD_CAP, 8) & NW_VTD_CAP_CM);
    assert_true(target(&w, BDF, iova + 5000) == MEMORY + 0x123 + 5000);
    assert_true(faults(&w, BDF, iova, 6000, true) > 0); /* the device may read only */
    const struct nw_vtd_request q = { .source_id = BDF, .address = iova };
    struct nw_vtd_result r;
    nw_vtd_unit_dma(nw_dma_unit(w.d), &q, &r);
    assert_int_equal(r.translation, NW_VTD_NESTED);
    must(nw_dma_unmap(w.d, BDF, iova, err));
    assert_int_equal(nw_dma_counts(w.d).announcements, 1);
    assert_true(target(&w, BDF, iova) == UINT64_MAX);
    end(&w);
    /* a device that the guest passes through is still held to the guest's memory */
    c = begin(&w, NW_DMA_IDENTITY);
    c.unit = NW_DMA_UNIT_NESTED;
    start(&w, &c);
    assert_true(map(&w, BDF, MEMORY, 4096, NW_DMA_BOTH).iova == MEMORY);
    assert_true(target(&w, BDF, MEMORY + 5) == MEMORY + 5);
    assert_true(target(&w, BDF, UINT64_C(0x7000000000)) == UINT64_MAX);
    end(&w);
}

/* What a device may be using stays; what it is not leaves the unit's caches too, and comes back. */
static void nested__pages_are_taken_and_given_back(void **state)
{
    (void)state;
    struct world w;
    bool pinned;
    struct nw_dma_config c = begin(&w, NW_DMA_PERSISTENT);
    c.unit = NW_DMA_UNIT_NESTED;
    start(&w, &c);
    const uint64_t iova = map(&w, BDF, MEMORY, 4096, NW_DMA_BOTH).iova;
    must(nw_dma_unmap(w.d, BDF, iova, err));
    must(nw_dma_take_pages(w.d, MEMORY, 1, &pinned, err));
    assert_true(pinned && target(&w, BDF, iova) == MEMORY); /* it stays mapped */
    end(&w);
    c = begin(&w, NW_DMA_IDENTITY);
    c.unit = NW_DMA_UNIT_NESTED;
    start(&w, &c);
    map(&w, BDF, MEMORY, 4096, NW_DMA_BOTH);
    assert_true(target(&w, BDF, MEMORY + 0x5000) == MEMORY + 0x5000); /* in the same 2 MiB, nobody's buffer */
    must(nw_dma_take_pages(w.d, MEMORY + 0x4000, 4, &pinned, err));
    assert_false(pinned);
    assert_true(target(&w, BDF, MEMORY + 0x5000) == UINT64_MAX && target(&w, BDF, MEMORY) == MEMORY);
    assert_int_equal(nw_dma_counts(w.d).taken_invalidations, 1);
    assert_int_equal(nw_dma_counts(w.d).stale.open_pages, 0);
    must(nw_dma_give_page(w.d, MEMORY + 0x5000, err));
    assert_true(target(&w, BDF, MEMORY + 0x5000) == MEMORY + 0x5000 && target(&w, BDF, MEMORY + 0x6000) == UINT64_MAX);
    must(nw_dma_take_pages(w.d, MEMORY, 4, &pinned, err));
    assert_true(pinned);
    end(&w);
}

static enum nw_status ept_page(void *context, uint64_t *address, struct nw_error *e)
{
    uint64_t pfn;
    enum nw_status s = nw_frames_alloc(context, NW_PAGE_LOG2, &pfn, e);
    *address = s ? 0 : pfn << NW_PAGE_LOG2;
    return s;
}

/* One EPT for the processor and the unit: guest-physical MEMORY + x is at MEMORY + 2^32 + x, tables are where they are. */
static void nested__processor_and_unit_share_the_ept(void **state)
{
    (void)state;
    struct world w;
    bool pinned;
    struct nw_dma_config c = begin(&w, NW_DMA_STRICT);
    const struct nw_ept_registers registers = { .eptp = 0x1e, .maxphyaddr = 48, .huge_1g = true };
    struct nw_paging paging, guest_paging;
    struct nw_builder ept;
    struct nw_walk_result r;
    const struct nw_builder_memory memory = { .allocate = ept_page, .context = &w.frames };
    must(nw_paging_init_ept(&paging, &registers, err));
    paging.root = NW_ROOT_NEW;
    must(nw_builder_init(&ept, w.pm, &paging, &memory, err));
    must(nw_builder_map_range(&ept, 0, 0, MEMORY, NW_PAGE_1G_LOG2, NW_MAP_RWX, err));
    for (uint64_t page = 0; page < 512; page++)
        must(nw_builder_map(&ept, MEMORY + page * 4096, MEMORY + (UINT64_C(1) << 32) + page * 4096, NW_PAGE_LOG2,
                            NW_MAP_RWX, err));
    c.unit = NW_DMA_UNIT_NESTED;
    c.second_stage = ept.paging.root & nw_mask(51, 12);
    start(&w, &c);
    const uint64_t iova = map(&w, BDF, MEMORY + 0x3000, 4096, NW_DMA_BOTH).iova;
    const uint64_t other = map(&w, OTHER, MEMORY + 0x9000, 4096, NW_DMA_BOTH).iova;
    assert_true(target(&w, BDF, iova + 8) == MEMORY + (UINT64_C(1) << 32) + 0x3008);
    assert_true(target(&w, OTHER, other) == MEMORY + (UINT64_C(1) << 32) + 0x9000);
    /* the processor finds the same frame */
    struct nw_guest_registers guest = nw_guest_registers_long(4, 0x40000000);
    must(nw_paging_init_guest(&guest_paging, &guest, err));
    for (unsigned level = 0; level < 3; level++) /* GVA 0: three tables, then the page */
        must(
            nw_physmem_write64(w.pm, nw_hpa(0x40000000 + level * 0x1000u), (0x40001000 + level * 0x1000u) | 0x27, err));
    must(nw_physmem_write64(w.pm, nw_hpa(0x40003000), (MEMORY + 0x3000) | 0x67, err));
    const struct nw_access access = { .kind = NW_ACCESS_READ };
    nw_walk_nested(w.pm, &guest_paging, &ept.paging, nw_gva(8), &access, NULL, &r);
    assert_true(r.outcome == NW_WALK_OK && r.hpa.v == target(&w, BDF, iova + 8));
    /* the VMM swaps: a pinned page stays; of another both lose it, the unit when it has been told */
    must(nw_dma_take_pages(w.d, MEMORY + 0x3000, 1, &pinned, err));
    assert_true(pinned);
    must(nw_dma_unmap(w.d, BDF, iova, err));
    const uint64_t again = map(&w, BDF, MEMORY + 0xa000, 4096, NW_DMA_BOTH).iova;
    assert_true(target(&w, BDF, again) != UINT64_MAX);
    must(nw_builder_unmap(&ept, MEMORY + 0xa000, err)); /* a VMM that does not ask ... */
    assert_true(target(&w, BDF, again) != UINT64_MAX);  /* ... leaves the device with the frame */
    must(nw_dma_unmap(w.d, BDF, again, err));
    must(nw_builder_unmap(&ept, MEMORY + 0x3000, err));
    must(nw_dma_take_pages(w.d, MEMORY + 0x3000, 1, &pinned, err));
    assert_false(pinned);
    assert_true(nw_dma_counts(w.d).taken_invalidations == 2);
    nw_walk_nested(w.pm, &guest_paging, &ept.paging, nw_gva(8), &access, NULL, &r);
    assert_int_equal(r.outcome, NW_WALK_EPT_VIOLATION);
    end(&w);
}

/* ---- all strategies against a list ---- */

enum { LIVE_MAX = 40, STEPS = 4000 };

static void all__random_drivers_reach_their_buffers(void **state)
{
    (void)state;
    for (unsigned strategy = 0; strategy < NW_DMA_STRATEGIES; strategy++)
        for (uint64_t seed = 1; seed <= NW_DMA_UNITS; seed++) {
            struct live {
                uint16_t bdf;
                uint64_t address, bytes, iova;
                enum nw_dma_rights rights;
            } live[LIVE_MAX];
            unsigned count = 0;
            uint64_t now = 0, maps = 0;
            struct nw_rng rng = nw_rng_seeded(seed);
            struct world w;
            struct nw_dma_config c = begin(&w, strategy);
            c.unit = (enum nw_dma_unit)(seed - 1);
            c.deferred_ranges = 1 + nw_rng_below(&rng, 20);
            c.cache[NW_VTD_IOTLB] = (struct nw_iommu_cache_shape){ .entries = 16, .ways = 4 };
            start(&w, &c);
            for (unsigned step = 0; step < STEPS; step++) {
                must(nw_dma_time(w.d, now += nw_rng_below(&rng, 400000), err));
                if (count < LIVE_MAX && nw_rng_below(&rng, 2)) {
                    struct live *l = &live[count++];
                    *l =
                        (struct live){ .bdf = nw_rng_below(&rng, 3) ? BDF : OTHER,
                                       .address = MEMORY + nw_rng_below(&rng, 64) * 4096 + nw_rng_below(&rng, 4) * 1024,
                                       .bytes = 1 + nw_rng_below(&rng, nw_rng_below(&rng, 2) ? 1024 : 20000),
                                       .rights = (enum nw_dma_rights)(1 + nw_rng_below(&rng, 3)) };
                    struct nw_dma_mapping m = map(&w, l->bdf, l->address, l->bytes, l->rights);
                    assert_true(m.mapped);
                    l->iova = m.iova;
                    maps++;
                } else if (count) {
                    struct live *l = &live[nw_rng_below(&rng, count)];
                    must(nw_dma_unmap(w.d, l->bdf, l->iova, err));
                    *l = live[--count];
                }
                for (unsigned i = 0; i < count && step % 8 == 0; i++) {
                    const struct live *l = &live[i];
                    const uint64_t at = nw_rng_below(&rng, l->bytes);
                    if (l->rights & NW_DMA_TO_DEVICE) {
                        const uint64_t to = target(&w, l->bdf, l->iova + at);
                        if (strategy != NW_DMA_SWIOTLB && strategy != NW_DMA_GRANT_COPY)
                            assert_int_equal(to, l->address + at);
                        else
                            assert_true(to < MEMORY);
                    }
                    assert_int_equal(faults(&w, l->bdf, l->iova, l->bytes, l->rights & NW_DMA_FROM_DEVICE), 0);
                    if (strategy != NW_DMA_SWIOTLB && strategy != NW_DMA_GRANT_COPY)
                        assert_true(nw_dma_is_pinned(w.d, l->address) &&
                                    nw_dma_is_pinned(w.d, l->address + l->bytes - 1));
                }
            }
            while (count) {
                struct live *l = &live[--count];
                must(nw_dma_unmap(w.d, l->bdf, l->iova, err));
            }
            must(nw_dma_flush(w.d, err));
            struct nw_dma_counts n = nw_dma_counts(w.d);
            assert_true(n.maps == maps && n.unmaps == maps && n.faults == 0);
            bool takes_down = strategy == NW_DMA_STRICT || strategy == NW_DMA_DEFERRED || strategy == NW_DMA_SHARED ||
                              strategy == NW_DMA_OPTIMISTIC;
            if (takes_down) {
                assert_int_equal(n.pinned_pages, 0);
                assert_true(n.stale.open_pages == 0 && n.ranges_fresh < maps / 4);
            }
            assert_true(n.stale.uses == 0); /* nobody used what was unmapped */
            end(&w);
        }
}

static void configuration__nonsense_is_refused(void **state)
{
    (void)state;
    struct world w;
    struct nw_dma_mapping m;
    const struct nw_dma_config good = begin(&w, NW_DMA_STRICT);
    struct nw_dma_config bad[] = { good, good, good, good, good, good, good };
    bad[0].deferred_ranges = 0;
    bad[1].request_bytes = 100;
    bad[2].pool_bytes = 4096;
    bad[3].strategy = NW_DMA_STRATEGIES;
    bad[4].cache[NW_VTD_IOTLB].ways = 7;
    bad[5].second_page_log2 = 13;
    bad[6].second_stage = 0x1008;
    for (unsigned i = 0; i < NW_ARRAY_LEN(bad); i++)
        assert_int_equal(nw_dma_create(&w.d, &bad[i], err), NW_ERR_INPUT);
    start(&w, &good);
    assert_int_equal(nw_dma_map(w.d, BDF, MEMORY, 0, NW_DMA_BOTH, &m, err), NW_ERR_INPUT);
    assert_int_equal(nw_dma_map(w.d, BDF, UINT64_C(1) << 50, 1, NW_DMA_BOTH, &m, err), NW_ERR_INPUT);
    assert_int_equal(nw_dma_map(w.d, BDF, MEMORY, UINT64_C(1) << 40, NW_DMA_BOTH, &m, err), NW_ERR_INPUT);
    assert_int_equal(nw_dma_unmap(w.d, BDF, 0x1000, err), NW_ERR_INPUT);
    end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strict__an_unmapped_buffer_is_gone_at_once),
        cmocka_unit_test(deferred__what_the_iotlb_has_stays_until_the_flush),
        cmocka_unit_test(reuse__mappings_outlive_their_users_as_long_as_they_should),
        cmocka_unit_test(huge__opens_two_mebibytes_and_one_entry_serves_them),
        cmocka_unit_test(pass_through__devices_reach_everything_and_copies_are_counted),
        cmocka_unit_test(emulated__what_is_mapped_is_announced_as_well),
        cmocka_unit_test(nested__maps_are_silent_and_unmaps_are_announced),
        cmocka_unit_test(nested__pages_are_taken_and_given_back),
        cmocka_unit_test(nested__processor_and_unit_share_the_ept),
        cmocka_unit_test(all__random_drivers_reach_their_buffers),
        cmocka_unit_test(configuration__nonsense_is_refused),
    };
    return cmocka_run_group_tests_name("DMA mapping", tests, NULL, NULL);
}
