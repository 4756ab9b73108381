/* cache.h - the shape of one cache of a remapping unit, and what it counted. The caches of VT-d are in vtd_cache.h, those of
 * AMD-Vi in amdvi_cache.h. All are set-associative; entries need not be powers of two. */
#ifndef NESTWALK_IOMMU_CACHE_H
#define NESTWALK_IOMMU_CACHE_H

#include <stdint.h>

/* Which entry of a full set makes room: the least recently used, the oldest, or any (the same in every run). */
enum nw_iommu_policy { NW_IOMMU_LRU, NW_IOMMU_FIFO, NW_IOMMU_RANDOM, NW_IOMMU_POLICIES };
extern const char *const nw_iommu_policy_name[NW_IOMMU_POLICIES]; /* "lru", ... */

struct nw_iommu_cache_shape {
    unsigned entries; /* 0: the unit lacks this cache */
    unsigned ways;    /* divides entries */
    enum nw_iommu_policy policy;
};

struct nw_iommu_cache_counts {
    uint64_t lookups, hits, fills, evictions, invalidated; /* entries, the last three */
};

#endif
