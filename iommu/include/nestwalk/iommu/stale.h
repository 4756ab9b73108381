/* stale.h - DMA through mappings that software has removed: what the detectors of vtd_stale.h and amdvi_stale.h sum up.
 *
 * While a detector exists, every DMA that the unit or a device of it lets through is compared with a fresh walk of the
 * tables, which sets no flags and fills no cache. A DMA is stale when the fresh walk refuses it or leads elsewhere:
 * something it was translated with is older than the tables. Without a detector a unit pays one comparison with NULL for
 * each DMA.
 *
 * An exposure of a page begins when software writes a table word that its translation was made from, and ends when the
 * unit and the page's device could no longer do a DMA by the old translation, and none is under way. It is looked for whenever an
 * invalidation completes, and when the sums are asked for; a mapping that has left the caches by replacement alone counts
 * until then. A write that changes nothing for the page (a flag, a neighbour) is no exposure.
 *
 * Pages are known from the first DMA through them that was not stale, with each table word that it depends on: some
 * 1.5 KiB a page. Time is the caller's, in nanoseconds, and must not go backwards. */
#ifndef NESTWALK_IOMMU_STALE_H
#define NESTWALK_IOMMU_STALE_H

#include <stdint.h>

struct nw_stale_summary {
    uint64_t uses, used_bytes;         /* stale DMAs, and what they moved */
    uint64_t longest_age_ns;           /* of a use */
    uint64_t windows;                  /* exposures that have ended: pages, each as often as it was exposed */
    uint64_t window_ns, window_max_ns; /* their lengths: sum and maximum */
    uint64_t window_bytes;             /* sum of their pages' sizes */
    uint64_t open_pages, open_bytes;   /* exposed still; open_max_ns for as long */
    uint64_t open_max_ns;
    uint64_t used_windows; /* of the ended and the open, those that a DMA made use of */
};

#endif
