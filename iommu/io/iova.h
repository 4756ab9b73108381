/* iova.h - ranges of addresses for a device: from 4 GiB downwards, freed ones of the same size first, the last freed before others; above 4 GiB,
 * upwards, when there is nothing left below. */
#ifndef NW_IOMMU_IOVA_H
#define NW_IOMMU_IOVA_H

#include <nestwalk/base/status.h>
#include <stdbool.h>
#include <stdint.h>

enum { IOVA_SIZES = 19 }; /* ranges of 2^0 to 2^18 pages: up to 1 GiB */

struct iova_space {
    struct iova_stack {
        uint64_t *page, count, capacity;
    } freed[IOVA_SIZES];
    uint64_t lowest; /* page: below it nothing has been given out */
    uint64_t above;  /* page: above 4 GiB, the next one */
};

void iova_init(struct iova_space *v);
void iova_fini(struct iova_space *v);
/* A range is rounded up to a power of two of pages, and aligned to it. *fresh: it had never been given out. */
enum nw_status iova_take(struct iova_space *v, uint64_t pages, uint64_t *first, bool *fresh,
                         struct nw_error *err) NW_MUST_USE;
enum nw_status iova_give(struct iova_space *v, uint64_t first, uint64_t pages, struct nw_error *err) NW_MUST_USE;

#endif
