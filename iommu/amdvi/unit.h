/* unit.h - the state of an AMD IOMMU. Never leaves this folder. */
#ifndef NESTWALK_IOMMU_AMDVI_UNIT_INTERNAL_H
#define NESTWALK_IOMMU_AMDVI_UNIT_INTERNAL_H

#include "caches.h"
#include <nestwalk/iommu/amdvi_unit.h>

/* The command buffer, the event log, the page request log: entries of 16 bytes in a ring. */
struct amdvi_ring {
    uint64_t base, head, tail;
    bool run;
};
enum { RING_ENTRY = 16 };
#define RING_POINTER nw_mask(18, 4)

static inline uint64_t amdvi_ring_bytes(const struct amdvi_ring *r)
{
    unsigned log2 = (unsigned)nw_field(r->base, 59, 56);
    return (uint64_t)RING_ENTRY << (log2 < 8 ? 8 : log2);
}
static inline uint64_t amdvi_ring_at(const struct amdvi_ring *r, uint64_t pointer)
{
    return (r->base & nw_mask(51, 12)) + pointer % amdvi_ring_bytes(r);
}

struct nw_amdvi_unit {
    struct nw_amdvi_config config;
    struct nw_amdvi_tables tables; /* as the registers have it now */
    struct amdvi_caches caches;
    uint64_t control, status; /* status: the bits that are written 1 to clear */
    struct amdvi_ring command, event, ppr;
    struct nw_amdvi_device *devices; /* those with a TLB, in a list */
    struct nw_amdvi_stale *stale;    /* NULL: nobody looks for stale mappings */
};

/* log.c: the entry goes into the event log, when that runs. */
void amdvi_log(struct nw_amdvi_unit *u, const struct nw_amdvi_event *e);
/* Into the page request log. False: it does not run, or is full. */
bool amdvi_log_page_request(struct nw_amdvi_unit *u, const uint64_t entry[2]);

/* command.c: everything from head to tail. */
void amdvi_commands_run(struct nw_amdvi_unit *u);

#endif
