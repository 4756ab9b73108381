/* vtd_stale.h - DMA through mappings that software has removed: which, when, and for how long it was possible.
 *
 *     struct nw_vtd_stale *s;
 *     if ((status = nw_vtd_stale_create(&s, u, on_use, context, err))) return status;
 *     ...
 *     nw_physmem_write64(pm, nw_hpa(entry_at), 0, err);      // software unmaps
 *     nw_vtd_stale_written(s, entry_at, now_ns);             // and says so
 *     nw_vtd_unit_dma(u, &request, &r);                      // on_use() is called when the unit used the old mapping
 *     nw_vtd_stale_summary(s, &total);
 *     nw_vtd_stale_destroy(s);                               // before its unit
 *
 * Caches that a stale DMA may have come from: IOTLB, paging-structure cache, PASID cache, context cache, device TLB. What counts as
 * stale, and as an exposure, is in stale.h; what is under way, and when it is drained, in vtd_unit.h. */
#ifndef NESTWALK_IOMMU_VTD_STALE_H
#define NESTWALK_IOMMU_VTD_STALE_H

#include <nestwalk/iommu/stale.h>
#include <nestwalk/iommu/vtd_device.h>

struct nw_vtd_stale;

enum nw_vtd_stale_from { NW_VTD_STALE_UNIT, NW_VTD_STALE_DEVICE_TLB };

struct nw_vtd_stale_use {
    struct nw_vtd_request request; /* as the device made it: its address is the IOVA */
    enum nw_vtd_stale_from from;   /* whose caches had it */
    struct nw_vtd_result used,
        now;                   /* what the DMA went by, and what the tables say: now.fault.reason, or another now.hpa */
    uint64_t time_ns;          /* of the DMA */
    bool since_known;          /* false: the write was not announced, or the page had never been seen before */
    uint64_t since_ns, age_ns; /* when the mapping was removed, and how long ago that was */
    uint64_t page, page_bytes; /* IOVA of the page, and its size, as used */
};

/* Called within the DMA; must not use the unit. NULL: uses are only counted. */
typedef void (*nw_vtd_stale_fn)(void *context, const struct nw_vtd_stale_use *use);

/* The unit's caches may hold anything already. NW_ERR_INPUT: the unit has a detector. */
enum nw_status nw_vtd_stale_create(struct nw_vtd_stale **out, struct nw_vtd_unit *u, nw_vtd_stale_fn on_use,
                                   void *context, struct nw_error *err) NW_MUST_USE;
void nw_vtd_stale_destroy(struct nw_vtd_stale *s); /* NULL is allowed */

/* The time from now on; announced writes set it too. */
void nw_vtd_stale_time(struct nw_vtd_stale *s, uint64_t now_ns);
/* Bytes that the DMAs from now on move, for the sums; 0 at first. */
void nw_vtd_stale_bytes(struct nw_vtd_stale *s, uint64_t bytes);
/* Software has written the table word at this host-physical address. Words that no known page depends on cost a look-up. */
void nw_vtd_stale_written(struct nw_vtd_stale *s, uint64_t hpa, uint64_t now_ns);

void nw_vtd_stale_summary(struct nw_vtd_stale *s, struct nw_stale_summary *out);
/* NW_ERR_NOMEM when there was no memory to keep track of everything: the summary is too small then. */
enum nw_status nw_vtd_stale_status(const struct nw_vtd_stale *s, struct nw_error *err) NW_MUST_USE;

#endif
