/* check_image.h - rules about the tables of a unit in a dump of memory: each entry that a walk could come to, whether or not a request
 * would be let through it.
 *
 *     s = nw_iommu_check_image_vtd(&tables, "dmar0", &found, &pages, err);
 *
 * Findings are X02, X03 (entries that fault every request), X12 (paging entries) of VT-d, and V10, V14 of AMD-Vi. Tables that lie in memory
 * of a guest are the guest's business and are not judged. */
#ifndef NESTWALK_IOMMU_CHECK_IMAGE_H
#define NESTWALK_IOMMU_CHECK_IMAGE_H

#include <nestwalk/iommu/check.h>
#include <nestwalk/iommu/reach.h>

/* Adds to *found, errors first; *pages is the number of pages of paging tables that were looked at. NW_ERR_NOMEM. */
enum nw_status nw_iommu_check_image_vtd(const struct nw_vtd_tables *t, const char *unit,
                                        struct nw_iommu_findings *found, size_t *pages,
                                        struct nw_error *err) NW_MUST_USE;
enum nw_status nw_iommu_check_image_amdvi(const struct nw_amdvi_tables *t, const char *unit,
                                          struct nw_iommu_findings *found, size_t *pages,
                                          struct nw_error *err) NW_MUST_USE;

#endif
