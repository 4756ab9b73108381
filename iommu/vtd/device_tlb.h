/* device_tlb.h - the TLB inside a device: what the unit has told it, by PASID and page. Never leaves this folder. */
#ifndef NESTWALK_IOMMU_VTD_DEVICE_TLB_H
#define NESTWALK_IOMMU_VTD_DEVICE_TLB_H

#include <nestwalk/base/rng.h>
#include <nestwalk/iommu/vtd_device.h>

/* Page number and tag find an entry: bits of the tag are PASID 19:0, has PASID 20, privileged 21, valid 22, size 31:24. */
struct vtd_device_line {
    uint64_t page, hpa;
    uint64_t used; /* by LRU: last use; by FIFO: fill */
    uint32_t tag;
    uint8_t rights;
};

struct vtd_device_tlb {
    struct vtd_device_line *line;
    unsigned sets, ways;
    enum nw_vtd_device_policy policy;
    struct nw_rng rng;
    uint64_t clock;
    struct nw_vtd_device_counts *counts;
};

enum nw_status vtd_device_tlb_init(struct vtd_device_tlb *t, const struct nw_vtd_device_config *config,
                                   struct nw_vtd_device_counts *counts, struct nw_error *err) NW_MUST_USE;
void vtd_device_tlb_fini(struct vtd_device_tlb *t);

/* The entry that serves the request with these rights, or NULL. */
const struct vtd_device_line *vtd_device_tlb_lookup(struct vtd_device_tlb *t, const struct nw_vtd_request *q,
                                                    unsigned need);
/* The same, without a trace: for who only looks. */
const struct vtd_device_line *vtd_device_tlb_peek(const struct vtd_device_tlb *t, const struct nw_vtd_request *q,
                                                  unsigned need);
void vtd_device_tlb_fill(struct vtd_device_tlb *t, const struct nw_vtd_request *q, const struct nw_vtd_completion *c);
void vtd_device_tlb_invalidate(struct vtd_device_tlb *t, const struct nw_vtd_device_tlb *q);

static inline unsigned vtd_device_line_log2(const struct vtd_device_line *l) { return l->tag >> 24; }

#endif
