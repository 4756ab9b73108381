/* stale.h - the detector of stale mappings, as the unit calls it. Never leaves this folder. */
#ifndef NESTWALK_IOMMU_VTD_STALE_INTERNAL_H
#define NESTWALK_IOMMU_VTD_STALE_INTERNAL_H

#include "unit.h"
#include <nestwalk/iommu/vtd_stale.h>

/* An untranslated request has been let through. */
void vtd_stale_check(struct nw_vtd_stale *s, const struct nw_vtd_request *q, const struct nw_vtd_result *used,
                     enum nw_vtd_stale_from from);
/* Invalidations have completed. */
void vtd_stale_settle(struct nw_vtd_stale *s);
static inline void vtd_settle(struct nw_vtd_unit *u)
{
    if (NW_UNLIKELY(u->stale != NULL))
        vtd_stale_settle(u->stale);
}

#endif
