/* vtd_cache.h - the sizes of a remapping unit's caches, and what they counted.
 *
 * Five caches, as VT-d's chapter "Caching Translation Information" has them: context cache, PASID cache, IOTLB,
 * paging-structure caches (one for all levels of both stages) and interrupt entry cache. The architecture leaves sizes
 * and replacement to the unit (cache.h). A translation once cached stays in use, whatever memory says since, until an invalidation covers it or it is
 * replaced. Entries that are not present or faulty are never cached, with caching mode (CAP.CM) neither. */
#ifndef NESTWALK_IOMMU_VTD_CACHE_H
#define NESTWALK_IOMMU_VTD_CACHE_H

#include <nestwalk/iommu/cache.h>

enum nw_vtd_cache {
    NW_VTD_CONTEXT_CACHE,   /* by source id; tag domain id */
    NW_VTD_PASID_CACHE,     /* by source id and PASID; tag domain id */
    NW_VTD_IOTLB,           /* by domain id, PASID, privilege and page; sizes of 4 KiB, 2 MiB, 1 GiB */
    NW_VTD_PAGING_CACHE,    /* by domain id, PASID (first stage), stage, level and the address bits above it */
    NW_VTD_INTERRUPT_CACHE, /* by index */
    NW_VTD_CACHES
};
extern const char *const nw_vtd_cache_name[NW_VTD_CACHES]; /* "context cache", ... */

#endif
