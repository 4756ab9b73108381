/* stale_core.h - the detector of stale mappings (nestwalk/iommu/stale.h), for any kind of unit. Never leaves iommu/. */
#ifndef NESTWALK_IOMMU_STALE_CORE_H
#define NESTWALK_IOMMU_STALE_CORE_H

#include "stale_index.h"
#include <nestwalk/base/status.h>
#include <nestwalk/iommu/stale.h>

enum { IOMMU_STALE_WORDS_MAX = 96 };

/* What the tables say now. */
struct iommu_fresh_walk {
    bool refused;
    uint64_t hpa; /* of the DMA's byte */
    unsigned words;
    uint64_t word[IOMMU_STALE_WORDS_MAX]; /* addresses of those that it reads */
};

struct iommu_stale_ops {
    /* Walks the tables, sets no flag and fills no cache. */
    void (*walk)(void *unit, const struct iommu_dma *d, struct iommu_fresh_walk *out);
    /* Could the DMA, or one under way to those bytes, still be done to `hpa` by what the unit and the device keep? */
    bool (*holds)(void *unit, const struct iommu_dma *d, uint64_t hpa, uint64_t bytes);
};

struct iommu_stale {
    const struct iommu_stale_ops *ops;
    void *unit;
    uint64_t now_ns, bytes; /* bytes that a DMA moves */
    bool no_memory;
    struct nw_stale_summary sums; /* but for what is open */
    struct iommu_stale_index index;
    struct iommu_fresh_walk fresh; /* the last */
};

void iommu_stale_fini(struct iommu_stale *s);
/* The table word has been written. */
void iommu_stale_written(struct iommu_stale *s, uint64_t hpa, uint64_t now_ns);
/* Invalidations have completed. */
void iommu_stale_settle(struct iommu_stale *s);
void iommu_stale_sum(struct iommu_stale *s, struct nw_stale_summary *out);
enum nw_status iommu_stale_status(const struct iommu_stale *s, struct nw_error *err) NW_MUST_USE;

/* A stale use, for the unit's own report. */
struct iommu_stale_use {
    bool since_known;
    uint64_t since_ns, age_ns;
    uint64_t page, page_bytes;
};
/* The DMA has gone to `hpa`, through a page of 2^log2 bytes. True: it was stale; *use says since when. */
bool iommu_stale_check(struct iommu_stale *s, const struct iommu_dma *d, uint64_t hpa, unsigned log2,
                       struct iommu_stale_use *use);

#endif
