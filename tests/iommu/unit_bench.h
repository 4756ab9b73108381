/* unit_bench.h - a unit with one domain on bus 0, its messages and its devices' answers. */
#ifndef NESTWALK_TESTS_UNIT_BENCH_H
#define NESTWALK_TESTS_UNIT_BENCH_H

#include "iommu_common.h"

enum { ROOT = 0x1000, CONTEXT = 0x2000, TREE = 0x10000, QUEUE = 0x80000, STATUS = 0x90000, SOURCE = 0x0010 };
static const struct nw_vtd_range ram[] = { { 0, 0x1000000 } };

struct bench {
    struct nw_physmem *pm;
    struct nw_vtd_config config;
    struct nw_vtd_unit *u;
    unsigned fault_events, invalidation_events;
    uint64_t event_address;
    uint32_t event_data;
    enum nw_vtd_answer answer;
    struct nw_vtd_device_tlb device;
    uint64_t tail;
};

static inline void on_event(void *context, enum nw_vtd_event event, uint64_t address, uint32_t data)
{
    struct bench *b = context;
    b->fault_events += event == NW_VTD_FAULT_EVENT;
    b->invalidation_events += event == NW_VTD_INVALIDATION_EVENT;
    b->event_address = address;
    b->event_data = data;
}

static inline enum nw_vtd_answer on_device_tlb(void *context, const struct nw_vtd_device_tlb *q)
{
    struct bench *b = context;
    b->device = *q;
    return b->answer;
}

/* Every function of bus 0 has domain 7 and an empty 4-level tree. */
static inline int set_up(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    must(nw_physmem_create(&b->pm, err));
    put64(b->pm, ROOT, CONTEXT | 1);
    for (unsigned f = 0; f < 256; f++) {
        put64(b->pm, CONTEXT + f * 16, TREE | 1);
        put64(b->pm, CONTEXT + f * 16 + 8, 2 | 7 << 8);
    }
    b->config = nw_vtd_config_default(b->pm);
    b->config.memory.ram = ram;
    b->config.memory.ram_count = 1;
    b->config.event = on_event;
    b->config.device_tlb = on_device_tlb;
    b->config.context = b;
    must(nw_vtd_unit_create(&b->u, &b->config, err));
    *state = b;
    return 0;
}

static inline int tear_down(void **state)
{
    struct bench *b = *state;
    nw_vtd_unit_destroy(b->u);
    nw_physmem_destroy(b->pm);
    free(b);
    return 0;
}

static inline uint64_t rd(const struct bench *b, unsigned offset, unsigned bytes)
{
    return nw_vtd_unit_read(b->u, offset, bytes);
}
static inline void wr(struct bench *b, unsigned offset, unsigned bytes, uint64_t v)
{
    nw_vtd_unit_write(b->u, offset, bytes, v);
}

static inline struct nw_vtd_result dma(struct bench *b, uint16_t source, uint64_t address,
                                       enum nw_vtd_request_kind kind)
{
    struct nw_vtd_result r;
    nw_vtd_unit_dma(b->u, &(struct nw_vtd_request){ .source_id = source, .address = address, .kind = kind }, &r);
    return r;
}

static inline void turn_on(struct bench *b, uint64_t bits)
{
    wr(b, NW_VTD_RTADDR, 8, ROOT);
    wr(b, NW_VTD_GCMD, 4, NW_VTD_GCMD_SRTP);
    wr(b, NW_VTD_IQA, 8, QUEUE);
    wr(b, NW_VTD_GCMD, 4, bits);
}

static inline void push(struct bench *b, uint64_t low, uint64_t high)
{
    put64(b->pm, QUEUE + b->tail, low);
    put64(b->pm, QUEUE + b->tail + 8, high);
    b->tail = (b->tail + 16) % 4096;
    wr(b, NW_VTD_IQT, 8, b->tail);
}

#endif
