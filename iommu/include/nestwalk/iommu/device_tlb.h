/* device_tlb.h - the TLB inside a device (PCI Express, "Address Translation Services"): its replacement, and what a device with
 * one has counted. Devices are made with vtd_device.h or amdvi_device.h. */
#ifndef NESTWALK_IOMMU_DEVICE_TLB_H
#define NESTWALK_IOMMU_DEVICE_TLB_H

#include <stdint.h>

enum nw_device_tlb_policy { NW_DEVICE_TLB_LRU, NW_DEVICE_TLB_FIFO, NW_DEVICE_TLB_RANDOM, NW_DEVICE_TLB_POLICIES };
extern const char *const nw_device_tlb_policy_name[NW_DEVICE_TLB_POLICIES]; /* "lru", ... */

struct nw_device_tlb_counts {
    uint64_t lookups, hits, fills, evictions, invalidated; /* entries, the last three */
    uint64_t invalidations;                                /* received, answered or not */
    uint64_t page_requests, page_responses, page_failures; /* failures: responses with a code other than success */
};

#endif
