/* amdvi_bench.h - an AMD IOMMU with rings in memory, a few devices, and a second unit's view of the same tables without caches. */
#ifndef NESTWALK_TESTS_AMDVI_BENCH_H
#define NESTWALK_TESTS_AMDVI_BENCH_H

#include "iommu_common.h"
#include <nestwalk/iommu/amdvi_unit.h>

enum { DTES = 0x100000, COMMANDS = 0x80000, EVENTS = 0x90000, PPRS = 0xa0000, STORE = 0xb0000, RING = 4096 };
static const struct nw_amdvi_range ram[] = { { 0, 0x40000000 } };
#define IR     NW_BIT(61)
#define IW     NW_BIT(62)
#define ACCESS (IR | IW)
#define GV     NW_BIT(55)

struct bench {
    struct nw_physmem *pm;
    struct nw_amdvi_config config;
    struct nw_amdvi_unit *u;
    unsigned signals[3];
    uint64_t tail;
    bool answers;
    unsigned invalidations, responses;
    struct nw_amdvi_device_tlb device;
    struct nw_amdvi_page_response response;
};

static inline void on_signal(void *context, enum nw_amdvi_signal signal)
{
    ((struct bench *)context)->signals[signal]++;
}
static inline bool on_device_tlb(void *context, const struct nw_amdvi_device_tlb *q)
{
    struct bench *b = context;
    b->invalidations++;
    b->device = *q;
    return b->answers;
}
static inline void on_response(void *context, const struct nw_amdvi_page_response *r)
{
    struct bench *b = context;
    b->responses++;
    b->response = *r;
}

static inline uint64_t rd(const struct bench *b, unsigned offset) { return nw_amdvi_unit_read(b->u, offset, 8); }
static inline void wr(struct bench *b, unsigned offset, uint64_t v) { nw_amdvi_unit_write(b->u, offset, 8, v); }

/* Everything on, with interrupts; rings of 256 entries. */
static inline uint64_t all_on(void)
{
    return NW_AMDVI_CONTROL_IOMMU_EN | NW_AMDVI_CONTROL_EVENT_LOG_EN | NW_AMDVI_CONTROL_EVENT_INT_EN |
           NW_AMDVI_CONTROL_COM_WAIT_INT_EN | NW_AMDVI_CONTROL_CMD_BUF_EN | NW_AMDVI_CONTROL_PPR_LOG_EN |
           NW_AMDVI_CONTROL_PPR_INT_EN | NW_AMDVI_CONTROL_PPR_EN | NW_AMDVI_CONTROL_GT_EN | NW_AMDVI_CONTROL_GA_EN;
}

static inline struct bench *begin_bench(const struct nw_iommu_cache_shape *shape_or_null)
{
    struct bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    must(nw_physmem_create(&b->pm, err));
    b->config = nw_amdvi_config_default(b->pm);
    b->config.memory.ram = ram;
    b->config.memory.ram_count = 1;
    b->config.signal = on_signal;
    b->config.device_tlb = on_device_tlb;
    b->config.page_response = on_response;
    b->config.context = b;
    b->answers = true;
    if (shape_or_null)
        memcpy(b->config.cache, shape_or_null, sizeof b->config.cache);
    must(nw_amdvi_unit_create(&b->u, &b->config, err));
    wr(b, NW_AMDVI_DEVICE_TABLE, DTES | 1);
    wr(b, NW_AMDVI_COMMAND_BASE, COMMANDS | UINT64_C(8) << 56);
    wr(b, NW_AMDVI_EVENT_BASE, EVENTS | UINT64_C(8) << 56);
    wr(b, NW_AMDVI_PPR_BASE, PPRS | UINT64_C(8) << 56);
    wr(b, NW_AMDVI_CONTROL, all_on());
    return b;
}

static inline void end_bench(struct bench *b)
{
    nw_amdvi_unit_destroy(b->u);
    nw_physmem_destroy(b->pm);
    free(b);
}

static inline void command(struct bench *b, uint64_t w0, uint64_t w1)
{
    put64(b->pm, COMMANDS + b->tail, w0);
    put64(b->pm, COMMANDS + b->tail + 8, w1);
    b->tail = (b->tail + 16) % RING;
    wr(b, NW_AMDVI_COMMAND_TAIL, b->tail);
}

#define OPCODE(n) ((uint64_t)(n) << 60)
static inline void invalidate_device(struct bench *b, uint16_t device) { command(b, OPCODE(2) | device, 0); }
/* pasid < 0: GN = 0. log2 12: S = 0. */
static inline uint64_t sized(uint64_t address, unsigned log2)
{
    return log2 == 12 ? address : (address & ~nw_mask(log2 - 1, 0)) | nw_mask(log2 - 2, 12) * (log2 > 13) | 1;
}
static inline void invalidate_pages(struct bench *b, uint16_t domain, int64_t pasid, bool tables, uint64_t address,
                                    unsigned log2)
{
    command(b, OPCODE(3) | (uint64_t)domain << 32 | (pasid < 0 ? 0 : (uint64_t)pasid),
            sized(address, log2) | (tables ? 2 : 0) | (pasid < 0 ? 0 : 4));
}
#define ALL_PAGES UINT64_C(0x7ffffffffffff000)
static inline void invalidate_domain(struct bench *b, uint16_t domain, int64_t pasid)
{
    command(b, OPCODE(3) | (uint64_t)domain << 32 | (pasid < 0 ? 0 : (uint64_t)pasid),
            ALL_PAGES | 3 | (pasid < 0 ? 0 : 4));
}

/* The GCR3 table's address stands in words 0 and 1. */
static inline void set_dte(struct bench *b, uint16_t device, uint64_t w0, uint64_t gcr3, uint64_t w1, uint64_t w2)
{
    const uint64_t at = DTES + device * UINT64_C(32);
    put64(b->pm, at, w0 | (gcr3 >> 12 & 7) << 58);
    put64(b->pm, at + 8, w1 | (gcr3 >> 15 & 0xffff) << 16 | gcr3 >> 31 << 43);
    put64(b->pm, at + 16, w2);
}

static inline struct nw_amdvi_result dma(struct bench *b, uint16_t device, int64_t pasid, uint64_t address,
                                         enum nw_amdvi_request_kind kind)
{
    struct nw_amdvi_request q = { .device_id = device,
                                  .address = address,
                                  .kind = kind,
                                  .has_pasid = pasid >= 0,
                                  .pasid = pasid < 0 ? 0 : (uint32_t)pasid };
    struct nw_amdvi_result r;
    nw_amdvi_unit_dma(b->u, &q, &r);
    return r;
}

#endif
