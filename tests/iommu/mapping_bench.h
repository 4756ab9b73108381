/* mapping_bench.h - a unit with one source, one domain and one mapping, IOVA -> OLD, in any of the modes: legacy second
 * stage, or scalable mode with PGTT 1 first stage, 2 second stage, 3 nested. */
#ifndef NESTWALK_TESTS_MAPPING_BENCH_H
#define NESTWALK_TESTS_MAPPING_BENCH_H

#include "iommu_common.h"

enum {
    ROOT = 0x1000,
    CONTEXT = 0x2000,
    DIRECTORY = 0x3000,
    PASIDS = 0x4000,
    SECOND = 0x10000,
    FIRST = 0x20000,
    QUEUE = 0x80000
};
enum { DID = 7, SOURCE = 0x0010, PASID = 3, OLD = 0x500000, NEW = 0x600000 };
#define IOVA UINT64_C(0x7123456000)

struct bench {
    struct nw_physmem *pm;
    struct nw_vtd_config config;
    struct nw_vtd_unit *u;
    uint64_t leaf[2], table[2]; /* address of the leaf entry and of the one above; second stage, first stage */
    uint64_t tail;
    bool pasid;
};

/* Tables of four levels from `root` on, one page each, and a 4 KiB (or with `large` 2 MiB) leaf. */
static inline void map(struct bench *b, unsigned stage, uint64_t root, uint64_t address, uint64_t to, bool large)
{
    uint64_t table = root, flags = stage ? 7 : 3;
    for (int level = 3; level >= (large ? 1 : 0); level--) {
        uint64_t at = table + (address >> (12 + 9 * level) & 511) * 8;
        bool leaf = level == (large ? 1 : 0);
        put64(b->pm, at, leaf ? to | flags | (large ? 0x80 : 0) : (table + 0x1000) | flags);
        b->table[stage] = b->leaf[stage];
        b->leaf[stage] = at;
        table += 0x1000;
    }
}

static inline void start(struct bench *b, bool scalable, uint64_t gcmd)
{
    must(nw_vtd_unit_create(&b->u, &b->config, err));
    nw_vtd_unit_write(b->u, NW_VTD_RTADDR, 8, ROOT | (scalable ? 0x400 : 0));
    nw_vtd_unit_write(b->u, NW_VTD_GCMD, 4, NW_VTD_GCMD_SRTP);
    nw_vtd_unit_write(b->u, NW_VTD_IQA, 8, QUEUE);
    nw_vtd_unit_write(b->u, NW_VTD_GCMD, 4, NW_VTD_GCMD_TE | gcmd);
    b->tail = 0;
    b->pasid = false;
}

/* Afresh: legacy mode with a second stage, or scalable mode with PGTT `pgtt`. */
static inline void begin_with(struct bench *b, unsigned pgtt, bool large, bool ats, bool pages)
{
    memset(b, 0, sizeof *b);
    must(nw_physmem_create(&b->pm, err));
    b->config = nw_vtd_config_default(b->pm);
    b->config.unit.ecap |= pages ? NW_VTD_ECAP_PRS | NW_VTD_ECAP_PDS : 0;
    put64(b->pm, ROOT, CONTEXT | 1);
    if (!pgtt) {
        put64(b->pm, CONTEXT + SOURCE * 16, SECOND | 1 | (ats ? 1 << 2 : 0));
        put64(b->pm, CONTEXT + SOURCE * 16 + 8, 2 | DID << 8);
    } else {
        put64(b->pm, CONTEXT + SOURCE * 32, DIRECTORY | 9 | (ats ? 4 : 0) | (pages ? 16 : 0)); /* PASIDE, DTE, PRE */
        put64(b->pm, CONTEXT + SOURCE * 32 + 8, PASID);
        put64(b->pm, DIRECTORY, PASIDS | 1);
        put64(b->pm, PASIDS + PASID * 64, SECOND | 1 | 2 << 2 | (uint64_t)pgtt << 6);
        put64(b->pm, PASIDS + PASID * 64 + 8, DID | NW_BIT(23));
        put64(b->pm, PASIDS + PASID * 64 + 16, FIRST | 1);
    }
    if (pgtt ==
        3) /* nested: the guest's tables and pages lie where the second stage has them, one to one in 2 MiB pages */
        for (uint64_t gpa = 0; gpa < 0x1000000; gpa += 0x200000)
            map(b, 0, SECOND, gpa, gpa, true);
    map(b, pgtt == 1 || pgtt == 3, pgtt == 1 || pgtt == 3 ? FIRST : SECOND, IOVA, large ? 0x600000 : OLD, large);
    start(b, pgtt, NW_VTD_GCMD_QIE);
}

static inline void begin(struct bench *b, unsigned pgtt, bool large) { begin_with(b, pgtt, large, false, false); }

static inline void finish(struct bench *b)
{
    nw_vtd_unit_destroy(b->u);
    nw_physmem_destroy(b->pm);
}

static inline struct nw_vtd_result dma(struct bench *b, uint64_t address)
{
    struct nw_vtd_result r;
    struct nw_vtd_request q = { .source_id = SOURCE, .address = address, .has_pasid = b->pasid, .pasid = PASID };
    nw_vtd_unit_dma(b->u, &q, &r);
    return r;
}

static inline void push(struct bench *b, uint64_t low, uint64_t high)
{
    put64(b->pm, QUEUE + b->tail, low);
    put64(b->pm, QUEUE + b->tail + 8, high);
    b->tail += 16;
    nw_vtd_unit_write(b->u, NW_VTD_IQT, 8, b->tail);
    assert_int_equal(nw_vtd_unit_read(b->u, NW_VTD_FSTS, 4) & NW_VTD_FSTS_IQE, 0);
}

#define DESCRIPTOR(type, g, did) ((uint64_t)(type) | (uint64_t)(g) << 4 | (uint64_t)(did) << 16)
#define WITH_PASID(pasid)        ((uint64_t)(pasid) << 32)

#endif
