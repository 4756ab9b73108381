/* image_findings.h - what the checks of images share. Never leaves this folder. */
#ifndef NESTWALK_IOMMU_IMAGE_FINDINGS_H
#define NESTWALK_IOMMU_IMAGE_FINDINGS_H

#include "../reach/collect.h"
#include "../rules/rules_internal.h"
#include <nestwalk/iommu/check_image.h>

struct image {
    const char *unit;
    struct nw_iommu_findings *findings;
    unsigned found[RULES];
    struct iommu_seen seen; /* pages of tables, by what they are */
    size_t pages;
    bool no_memory;
};

/* `where`: the unit, the device and `place`. */
void image_add(struct image *i, enum rule rule, uint16_t source_id, const char *place, const char *format, ...)
    NW_PRINTF(5, 6);
/* A page that is looked at for the first time as this kind, at this level. */
bool image_enter(struct image *i, const struct nw_reach_table *t);
/* Counts what was not listed, puts the findings from `first` on in order, and frees what there is. NW_ERR_NOMEM. */
enum nw_status image_end(struct image *i, size_t first, size_t *pages, struct nw_error *err) NW_MUST_USE;

#endif
