/* Nonsense: memory full of random words whose pointers lead in circles or nowhere, registers written at random, queues of
 * any size anywhere. Each request ends with an address or a known reason, each register write returns, and counts of words
 * read stay below what the longest walk can need. For sanitizers. NW_SEED and NW_WORLDS repeat or lengthen a run. */
#include "iommu_common.h"
#include <nestwalk/iommu/vtd_stale.h>
#include <nestwalk/iommu/vtd_watch.h>

enum { PAGES = 48, STEPS = 300, DEVICES = 2 };
static const struct nw_vtd_range ram[] = { { 0, PAGES * 4096 } };

struct garbage {
    struct nw_rng rng;
    struct nw_physmem *pm;
    struct nw_vtd_unit *u;
    struct nw_vtd_device *device[DEVICES];
    struct nw_vtd_stale *stale;
    uint64_t translated, faults, queue_errors, pages_asked;
};

static uint64_t below(struct garbage *g, uint64_t n) { return nw_rng_below(&g->rng, n); }
static bool chance(struct garbage *g, unsigned percent) { return below(g, 100) < percent; }
static uint64_t page(struct garbage *g) { return below(g, PAGES) * 4096; }

/* A word that may be an entry of some kind, or a descriptor: mostly few bits, and a pointer that stays in memory. */
static uint64_t word(struct garbage *g)
{
    switch (below(g, 8)) {
    case 0: return 0;
    case 1: return nw_rng_next(&g->rng);
    case 2: return below(g, 10) | below(g, 4) << 4 | below(g, 0x10000) << 16; /* a descriptor */
    case 3: return nw_mask(63, 12) | below(g, 4096);
    case 4: return 2 | below(g, 4) << 8; /* upper half of a legacy context entry */
    default: return page(g) | 3 | (chance(g, 40) ? 0x24 : 0) | (chance(g, 10) ? below(g, 4096) : 0);
    }
}

static uint64_t address(struct garbage *g)
{
    return chance(g, 70) ? page(g) | below(g, 512) * 8 : nw_rng_next(&g->rng) >> below(g, 64);
}

static struct nw_vtd_request random_request(struct garbage *g)
{
    return (struct nw_vtd_request){ .source_id = (uint16_t)(chance(g, 90) ? below(g, 4) : nw_rng_next(&g->rng)),
                                    .address = address(g),
                                    .kind = (enum nw_vtd_request_kind)below(g, 3),
                                    .type = (enum nw_vtd_address_type)below(g, 3),
                                    .zero_length = chance(g, 5),
                                    .has_pasid = chance(g, 40),
                                    .pasid = (uint32_t)(chance(g, 90) ? below(g, 8) : below(g, 1 << 20)),
                                    .privileged = chance(g, 20),
                                    .execute = chance(g, 20) };
}

static void check_result(struct garbage *g, const struct nw_vtd_result *r)
{
    assert_true(r->references <= NW_VTD_READS_MAX);
    if (r->fault.reason)
        assert_non_null(nw_vtd_fault_text(r->fault.reason));
    g->faults += r->fault.reason != 0;
    g->translated += !r->fault.reason;
}

static void random_write(struct garbage *g)
{
    static const uint16_t known[] = { NW_VTD_GCMD,    NW_VTD_RTADDR,
                                      NW_VTD_CCMD,    NW_VTD_FSTS,
                                      NW_VTD_FECTL,   NW_VTD_PMEN,
                                      NW_VTD_PLMBASE, NW_VTD_PLMLIMIT,
                                      NW_VTD_PHMBASE, NW_VTD_PHMLIMIT,
                                      NW_VTD_IQT,     NW_VTD_IQA,
                                      NW_VTD_ICS,     NW_VTD_IECTL,
                                      NW_VTD_IRTA,    NW_VTD_PQH,
                                      NW_VTD_PQT,     NW_VTD_PQA,
                                      NW_VTD_PRS,     NW_VTD_PECTL,
                                      0xf0,           0xf8 };
    unsigned offset = chance(g, 90) ? known[below(g, NW_ARRAY_LEN(known))] : (unsigned)below(g, 0x1000) & ~3u;
    uint64_t value = chance(g, 70) ? page(g) | below(g, 4096) : nw_rng_next(&g->rng);
    if (offset == NW_VTD_GCMD)
        value = NW_VTD_GCMD_TE | (chance(g, 50) ? NW_VTD_GCMD_QIE : 0) | (nw_rng_next(&g->rng) & 0x7f800000);
    if (offset == NW_VTD_RTADDR && chance(g, 70))
        return; /* the way there stays, mostly */
    if (offset == NW_VTD_RTADDR && chance(g, 70))
        value = page(g) | below(g, 2) << 10;
    nw_vtd_unit_write(g->u, offset, chance(g, 50) && offset % 8 == 0 ? 8 : 4, value);
    g->queue_errors += (nw_vtd_unit_read(g->u, NW_VTD_FSTS, 4) & NW_VTD_FSTS_IQE) != 0;
}

static void step(struct garbage *g)
{
    struct nw_vtd_request q = random_request(g);
    struct nw_vtd_result r;
    struct nw_vtd_device_result d;
    struct nw_vtd_page_response response;
    struct nw_vtd_interrupt interrupt;
    uint64_t at = page(g) | below(g, 512) * 8;
    switch (below(g, 10)) {
    case 0:
    case 1: random_write(g); break;
    case 2:
        put64(g->pm, at, word(g));
        nw_vtd_stale_written(g->stale, at, 0);
        break;
    case 3:
    case 4:
        nw_vtd_device_dma(g->device[below(g, DEVICES)], &q, &d);
        if (d.outcome == NW_VTD_DEVICE_DONE)
            check_result(g, &d.result);
        g->pages_asked += d.outcome == NW_VTD_DEVICE_ASKED;
        break;
    case 5: {
        struct nw_vtd_page_request p = { .source_id = q.source_id,
                                         .has_pasid = q.has_pasid,
                                         .pasid = q.pasid,
                                         .address = q.address,
                                         .write = true,
                                         .last = true,
                                         .group = (uint16_t)below(g, 1024) };
        nw_vtd_unit_page_request(g->u, &p, &response);
        break;
    }
    case 6: {
        struct nw_vtd_interrupt_request i = { q.source_id, 0xfee00000 | below(g, 0x100000),
                                              (uint32_t)below(g, 1 << 17) };
        nw_vtd_unit_interrupt(g->u, &i, &interrupt);
        break;
    }
    default: nw_vtd_unit_dma(g->u, &q, &r); check_result(g, &r);
    }
}

/* In most worlds the way to the trees is a good one, so that requests get into the garbage at all: root table in page 0, contexts in
 * page 1, PASID directory and table in pages 2 and 3. */
static void lay_way(struct garbage *g, bool scalable)
{
    put64(g->pm, 0, 0x1001);
    put64(g->pm, 8, 0);
    for (unsigned f = 0; f < 4; f++) {
        put64(g->pm, 0x1000 + f * (scalable ? 32 : 16), scalable ? 0x201d : page(g) | 1 | below(g, 3) << 2);
        put64(g->pm, 0x1008 + f * (scalable ? 32 : 16), scalable ? below(g, 8) : 2 | below(g, 4) << 8);
        for (unsigned i = 2; i < 4 && scalable; i++)
            put64(g->pm, 0x1000 + f * 32 + i * 8, 0);
    }
    put64(g->pm, 0x2000, 0x3001);
    for (unsigned pasid = 0; pasid < 8 && scalable; pasid++) {
        put64(g->pm, 0x3000 + pasid * 64, page(g) | 1 | 2 << 2 | (1 + below(g, 4)) << 6);
        put64(g->pm, 0x3008 + pasid * 64, below(g, 4) | NW_BIT(23));
        put64(g->pm, 0x3010 + pasid * 64, page(g) | 3);
        for (unsigned i = 3; i < 8; i++)
            put64(g->pm, 0x3000 + pasid * 64 + i * 8, 0);
    }
}

static void begin(struct garbage *g, uint64_t seed)
{
    bool scalable;
    memset(g, 0, offsetof(struct garbage, translated));
    g->rng = nw_rng_seeded(seed);
    must(nw_physmem_create(&g->pm, err));
    for (uint64_t i = 0; i < PAGES * 512; i++)
        put64(g->pm, i * 8, word(g));
    scalable = chance(g, 60);
    bool good = chance(g, 80);
    if (good)
        lay_way(g, scalable);
    struct nw_vtd_config c = nw_vtd_config_default(g->pm);
    c.memory.ram = chance(g, 50) ? ram : NULL; /* with and without holes */
    c.memory.ram_count = 1;
    c.unit.cap |= NW_VTD_CAP_PLMR | NW_VTD_CAP_PHMR;
    c.unit.ecap |= NW_VTD_ECAP_PRS | NW_VTD_ECAP_PDS;
    c.under_way = (unsigned)below(g, 5);
    for (unsigned i = 0; i < NW_VTD_CACHES; i++) {
        unsigned ways = 1 + (unsigned)below(g, 4);
        c.cache[i] = (struct nw_iommu_cache_shape){ .entries = ways * (unsigned)below(g, 20), .ways = ways };
    }
    must(nw_vtd_unit_create(&g->u, &c, err));
    must(nw_vtd_stale_create(&g->stale, g->u, NULL, NULL, err));
    for (unsigned i = 0; i < DEVICES; i++) {
        const struct nw_vtd_device_config d = { .source_id = (uint16_t)i,
                                                .entries = 12,
                                                .ways = 4,
                                                .policy = (enum nw_device_tlb_policy)below(g, NW_DEVICE_TLB_POLICIES),
                                                .page_requests = true,
                                                .groups = 3,
                                                .answer = (enum nw_vtd_answer)below(g, 3) };
        must(nw_vtd_device_create(&g->device[i], g->u, &d, err));
    }
    nw_vtd_unit_write(g->u, NW_VTD_RTADDR, 8, (good ? 0 : page(g)) | (uint64_t)scalable << 10);
    nw_vtd_unit_write(g->u, NW_VTD_GCMD, 4, NW_VTD_GCMD_SRTP | NW_VTD_GCMD_TE);
}

static void finish(struct garbage *g)
{
    struct nw_stale_summary t;
    nw_vtd_stale_summary(g->stale, &t);
    nw_vtd_stale_destroy(g->stale);
    for (unsigned i = 0; i < DEVICES; i++)
        nw_vtd_device_destroy(g->device[i]);
    nw_vtd_unit_destroy(g->u);
    nw_physmem_destroy(g->pm);
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 0) : otherwise;
}

static void vtd__garbage_has_an_outcome(void **state)
{
    (void)state;
    uint64_t seed = number_of("NW_SEED", 1), worlds = number_of("NW_WORLDS", 300);
    struct garbage *g = calloc(1, sizeof *g);
    assert_non_null(g);
    for (uint64_t i = 0; i < worlds; i++) {
        begin(g, seed + i);
        for (unsigned k = 0; k < STEPS; k++)
            step(g);
        finish(g);
    }
    if (worlds >= 300)
        assert_true(g->translated > 1000 && g->faults > 10000 && g->queue_errors > 100 && g->pages_asked > 100);
    free(g);
}

/* A table that points to itself at each level: the walk ends after as many entries as there are levels. */
static void vtd__a_table_that_points_to_itself(void **state)
{
    (void)state;
    struct nw_physmem *pm;
    must(nw_physmem_create(&pm, err));
    for (unsigned i = 0; i < 512; i++)
        put64(pm, 0x3000 + i * 8, 0x3003);
    put64(pm, 0x1000, 0x2001);
    put64(pm, 0x2000, 0x3001);
    put64(pm, 0x2008, 2);
    struct nw_vtd_config c = nw_vtd_config_default(pm);
    struct nw_vtd_tables t = { .unit = c.unit, .memory = { .pm = pm }, .rtaddr = 0x1000 };
    struct nw_vtd_result r;
    nw_vtd_translate(&t, &(struct nw_vtd_request){ .address = 0x123456789000 }, &r);
    assert_true(!r.fault.reason && r.hpa.v == 0x3000 && r.references == 8);
    nw_physmem_destroy(pm);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(vtd__garbage_has_an_outcome),
                                        cmocka_unit_test(vtd__a_table_that_points_to_itself) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
