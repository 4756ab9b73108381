/* iommu_image.h - a physical memory dump: its pages are simulated memory, read when a table in them is. */
#ifndef NESTWALK_CLI_IOMMU_IMAGE_H
#define NESTWALK_CLI_IOMMU_IMAGE_H

#include <nestwalk/iommu/vtd.h>

struct iommu_image {
    struct nw_vtd_range range; /* of host-physical addresses that the file holds */
    struct nw_physmem *pm;     /* owned */
};

/* NW_ERR_INPUT: not a regular file, empty, not whole 4 KiB pages, `start` not aligned, or its end is at or above
 * 2^haw. After a failure too, iommu_image_close() frees all. */
enum nw_status iommu_image_open(struct iommu_image *image, const char *path, uint64_t start, unsigned haw,
                                struct nw_error *err) NW_MUST_USE;
void iommu_image_close(struct iommu_image *image);

#endif
