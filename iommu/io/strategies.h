/* strategies.h - the parts of strategies, by the file that has them. */
#ifndef NW_IOMMU_STRATEGIES_H
#define NW_IOMMU_STRATEGIES_H

#include "io_internal.h"

/* strategies.c */
enum nw_status unmap_strictly(struct nw_dma *d, struct dma_device *v, struct mapping *m,
                              struct nw_error *err) NW_MUST_USE;
enum nw_status unmap_later(struct nw_dma *d, struct dma_device *v, struct mapping *m, struct nw_error *err) NW_MUST_USE;
enum nw_status flush_waiting(struct nw_dma *d, struct dma_device *v, struct nw_error *err) NW_MUST_USE;

/* reuse.c: mappings that outlive their users */
enum nw_status map_reusing(struct nw_dma *d, struct dma_device *v, struct mapping **m, bool *reused,
                           struct nw_error *err);
enum nw_status map_huge(struct nw_dma *d, struct dma_device *v, struct mapping **m, bool *reused, struct nw_error *err);
enum nw_status unmap_never(struct nw_dma *d, struct dma_device *v, struct mapping *m, struct nw_error *err);
enum nw_status unmap_last(struct nw_dma *d, struct dma_device *v, struct mapping *m, struct nw_error *err);
enum nw_status unmap_maybe_later(struct nw_dma *d, struct dma_device *v, struct mapping *m, struct nw_error *err);
enum nw_status work_optimistic(struct nw_dma *d, struct dma_device *v, bool all, struct nw_error *err);

/* bounce.c: copies through a pool */
enum nw_status map_bounced(struct nw_dma *d, struct dma_device *v, struct mapping **m, bool *reused,
                           struct nw_error *err);
enum nw_status unmap_bounced(struct nw_dma *d, struct dma_device *v, struct mapping *m, struct nw_error *err);
void sync_bounced(struct nw_dma *d, const struct mapping *m, uint64_t bytes, bool for_device);

#endif
