/* amdvi_stale.h - DMA through an AMD IOMMU by mappings that software has removed: which, when, and for how long it was
 * possible. stale.h says what counts; vtd_stale.h is the same for VT-d, with an example. */
#ifndef NESTWALK_IOMMU_AMDVI_STALE_H
#define NESTWALK_IOMMU_AMDVI_STALE_H

#include <nestwalk/iommu/amdvi_device.h>
#include <nestwalk/iommu/stale.h>

struct nw_amdvi_stale;

struct nw_amdvi_stale_use {
    struct nw_amdvi_request request;  /* as the device made it: its address is the IOVA */
    bool from_device;                 /* its own TLB had it; false: the unit's caches */
    struct nw_amdvi_result used, now; /* what the DMA went by, and what the tables say: now.event, or another now.hpa */
    uint64_t time_ns;                 /* of the DMA */
    bool since_known;                 /* false: the write was not announced, or the page had never been seen before */
    uint64_t since_ns, age_ns;        /* when the mapping was removed, and how long ago that was */
    uint64_t page, page_bytes;        /* IOVA of the page, and its size, as used */
};

/* Called within the DMA; must not use the unit. NULL: uses are only counted. */
typedef void (*nw_amdvi_stale_fn)(void *context, const struct nw_amdvi_stale_use *use);

/* The unit's caches may hold anything already. NW_ERR_INPUT: the unit has a detector. */
enum nw_status nw_amdvi_stale_create(struct nw_amdvi_stale **out, struct nw_amdvi_unit *u, nw_amdvi_stale_fn on_use,
                                     void *context, struct nw_error *err) NW_MUST_USE;
void nw_amdvi_stale_destroy(struct nw_amdvi_stale *s); /* NULL is allowed */

/* The time from now on; announced writes set it too. */
void nw_amdvi_stale_time(struct nw_amdvi_stale *s, uint64_t now_ns);
/* Bytes that the DMAs from now on move, for the sums; 0 at first. */
void nw_amdvi_stale_bytes(struct nw_amdvi_stale *s, uint64_t bytes);
/* Software has written the table word at this system-physical address. */
void nw_amdvi_stale_written(struct nw_amdvi_stale *s, uint64_t hpa, uint64_t now_ns);
void nw_amdvi_stale_summary(struct nw_amdvi_stale *s, struct nw_stale_summary *out);
/* NW_ERR_NOMEM when there was no memory to keep track of everything: the summary is too small then. */
enum nw_status nw_amdvi_stale_status(const struct nw_amdvi_stale *s, struct nw_error *err) NW_MUST_USE;

#endif
