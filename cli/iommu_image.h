/* iommu_image.h - a physical memory dump: its pages come into simulated memory when a table in them is read. */
#ifndef NESTWALK_CLI_IOMMU_IMAGE_H
#define NESTWALK_CLI_IOMMU_IMAGE_H

#include <nestwalk/iommu/amdvi_watch.h>
#include <nestwalk/iommu/vtd_watch.h>

struct iommu_image {
    const char *path;
    int fd;
    struct nw_vtd_range range; /* of host-physical addresses that the file holds */
    struct nw_physmem *pm;     /* owned */
    struct {                   /* pages brought in: a walk reads few */
        uint64_t page[NW_AMDVI_READS_MAX];
        unsigned count;
    } loaded;
    struct nw_error error; /* of the first page that could not be read */
};

/* NW_ERR_INPUT: not a regular file, empty, not whole 4 KiB pages, `start` not aligned, or its end is at or above
 * 2^haw. After a failure too, iommu_image_close() frees all. */
enum nw_status iommu_image_open(struct iommu_image *image, const char *path, uint64_t start, unsigned haw,
                                struct nw_error *err) NW_MUST_USE;
void iommu_image_close(struct iommu_image *image);
/* nw_vtd_watch.need and nw_amdvi_watch.need; `context` is the image. A failure is kept in image->error. */
void iommu_image_need(void *context, uint64_t address);

#endif
