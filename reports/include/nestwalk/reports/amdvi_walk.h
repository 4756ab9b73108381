/* amdvi_walk.h - what an AMD IOMMU makes of one DMA request, as JSON. */
#ifndef NESTWALK_REPORTS_AMDVI_WALK_H
#define NESTWALK_REPORTS_AMDVI_WALK_H

#include <nestwalk/iommu/amdvi_watch.h>

/* "rwx" of a set of enum nw_amdvi_right; x is for requests with PASID only. out holds 4 bytes. */
void nw_amdvi_rights_text(const struct nw_amdvi_request *q, unsigned rights, char out[4]);

/* docs/iommu.md describes it; free() it. */
enum nw_status nw_amdvi_walk_json_text(const struct nw_amdvi_request *q, const struct nw_amdvi_watch *watch,
                                       const struct nw_amdvi_result *r, char **out, struct nw_error *err) NW_MUST_USE;

#endif
