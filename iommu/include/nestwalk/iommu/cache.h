/* cache.h - the size of one cache of a remapping unit, and what it counted. The caches of VT-d are in vtd_cache.h, those of
 * AMD-Vi in amdvi_cache.h. All are set-associative with LRU; entries need not be powers of two. */
#ifndef NESTWALK_IOMMU_CACHE_H
#define NESTWALK_IOMMU_CACHE_H

#include <stdint.h>

struct nw_iommu_cache_shape {
    unsigned entries; /* 0: the unit lacks this cache */
    unsigned ways;    /* divides entries */
};

struct nw_iommu_cache_counts {
    uint64_t lookups, hits, fills, evictions, invalidated; /* entries, the last three */
};

#endif
