/* amdvi_cache.h - the caches of an AMD IOMMU.
 *
 * The architecture leaves sizes, replacement and most of the tagging to the unit; this is the closest reading of what software has to
 * invalidate. A translation once cached stays in use, whatever memory says since, until an invalidation covers it or it is
 * replaced. Entries that are absent, faulty or permit nothing are not cached; a device table entry with V = 0 is: it
 * says that the device's DMA passes, and software that makes it valid has to invalidate it. */
#ifndef NESTWALK_IOMMU_AMDVI_CACHE_H
#define NESTWALK_IOMMU_AMDVI_CACHE_H

#include <nestwalk/iommu/cache.h>

enum nw_amdvi_cache {
    NW_AMDVI_DEVICE_CACHE, /* device table entries, by device id */
    NW_AMDVI_GCR3_CACHE,   /* guest CR3s, by domain id and PASID */
    NW_AMDVI_IOTLB,        /* by domain id, of guests' also PASID and privilege, and page: of any power of two */
    NW_AMDVI_PDE_CACHE,    /* tables, of the host by domain id, of guests by domain id and PASID; level and address */
    NW_AMDVI_INTERRUPT_CACHE, /* interrupt remapping table entries, by device id and index */
    NW_AMDVI_CACHES
};
extern const char *const nw_amdvi_cache_name[NW_AMDVI_CACHES]; /* "device table cache", ... */

#endif
