/* device_tlb.h - the TLB inside a device: what the unit has told it, by PASID and page. Never leaves iommu/. */
#ifndef NESTWALK_IOMMU_DEVICE_TLB_INTERNAL_H
#define NESTWALK_IOMMU_DEVICE_TLB_INTERNAL_H

#include "dma.h"
#include <nestwalk/base/bits.h>
#include <nestwalk/base/rng.h>
#include <nestwalk/base/status.h>
#include <nestwalk/iommu/cache.h>
#include <nestwalk/iommu/device_tlb.h>

/* Page number and tag find an entry: bits of the tag are PASID 19:0, has PASID 20, privileged 21, valid 22, size 31:24. */
struct iommu_device_line {
    uint64_t page, hpa;
    uint64_t used; /* by LRU: last use; by FIFO: fill */
    uint32_t tag;
    uint8_t rights; /* the unit's own bits */
};

struct iommu_device_tlb {
    struct iommu_device_line *line;
    unsigned sets, ways;
    enum nw_device_tlb_policy policy;
    struct nw_rng rng;
    uint64_t clock;
    uint64_t sizes; /* bit n: pages of 2^n bytes have been entered; others are not looked for */
    struct nw_device_tlb_counts *counts;
};

enum nw_status iommu_device_tlb_init(struct iommu_device_tlb *t, const struct nw_iommu_cache_shape *shape,
                                     enum nw_device_tlb_policy policy, uint64_t seed,
                                     struct nw_device_tlb_counts *counts, struct nw_error *err) NW_MUST_USE;
void iommu_device_tlb_fini(struct iommu_device_tlb *t);

/* The entry that serves the DMA with these rights, or NULL. */
const struct iommu_device_line *iommu_device_tlb_lookup(struct iommu_device_tlb *t, const struct iommu_dma *d,
                                                        unsigned need);
/* The same, without a trace: for who only looks. */
const struct iommu_device_line *iommu_device_tlb_peek(const struct iommu_device_tlb *t, const struct iommu_dma *d,
                                                      unsigned need);
void iommu_device_tlb_fill(struct iommu_device_tlb *t, const struct iommu_dma *d, uint64_t hpa, unsigned log2,
                           unsigned rights);

/* What an invalidation names: with a PASID entries of that PASID, or with `global` of every one; without, those without. */
struct iommu_device_cover {
    bool has_pasid, global;
    uint32_t pasid;
    uint64_t start, last; /* inclusive; a page is dropped when any part of it is named */
};
void iommu_device_tlb_invalidate(struct iommu_device_tlb *t, const struct iommu_device_cover *v);

static inline unsigned iommu_device_line_log2(const struct iommu_device_line *l) { return l->tag >> 24; }
/* Where the DMA goes by that entry. */
static inline uint64_t iommu_device_line_hpa(const struct iommu_device_line *l, uint64_t address)
{
    return l->hpa | (address & (NW_BIT(iommu_device_line_log2(l)) - 1));
}

#endif
