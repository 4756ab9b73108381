/* The strategies; dma_map.h says what each does. */
#include "strategies.h"

/* ---- strict, deferred ---- */

static enum nw_status map_always(struct nw_dma *d, struct dma_device *v, struct mapping **m, bool *reused,
                                 struct nw_error *err)
{
    (void)reused;
    return domain_map(d, v, *m, err);
}

enum nw_status unmap_strictly(struct nw_dma *d, struct dma_device *v, struct mapping *m, struct nw_error *err)
{
    const uint64_t page = m->iova >> NW_PAGE_LOG2;
    enum nw_status s;
    if ((s = domain_clear(d, v, page, m->pages, err)) || (s = domain_invalidate_pages(d, v, page, m->pages, err)))
        return s;
    dma_unpin(d, m->address, m->pages);
    s = iova_give(&v->iova, page, m->pages, err);
    mapping_free(d, v, m);
    return s;
}

static enum nw_status unmap_strict(struct nw_dma *d, struct dma_device *v, struct mapping *m, struct nw_error *err)
{
    return unmap_strictly(d, v, m, err);
}

enum nw_status flush_waiting(struct nw_dma *d, struct dma_device *v, struct nw_error *err)
{
    if (!v->waiting_count)
        return NW_OK;
    enum nw_status s = domain_invalidate(d, v, err);
    for (uint64_t i = 0; !s && i < v->waiting_count; i++) {
        const struct waiting_range *r = &v->waiting[i];
        dma_unpin(d, r->address, r->pages);
        s = iova_give(&v->iova, r->iova_page, r->pages, err);
    }
    v->waiting_count = 0;
    return s;
}

/* The entries go at once, the rest later. */
enum nw_status unmap_later(struct nw_dma *d, struct dma_device *v, struct mapping *m, struct nw_error *err)
{
    const uint64_t page = m->iova >> NW_PAGE_LOG2;
    enum nw_status s = domain_clear(d, v, page, m->pages, err);
    if (s)
        return s;
    if (!v->waiting_count)
        v->waiting_since_ns = d->now_ns;
    v->waiting[v->waiting_count++] = (struct waiting_range){ m->address, page, m->pages };
    mapping_free(d, v, m);
    return v->waiting_count < d->config.deferred_ranges ? NW_OK : flush_waiting(d, v, err);
}

static enum nw_status work_deferred(struct nw_dma *d, struct dma_device *v, bool all, struct nw_error *err)
{
    return all || (v->waiting_count && d->now_ns - v->waiting_since_ns >= d->config.deferred_ns)
               ? flush_waiting(d, v, err)
               : NW_OK;
}

/* ---- identity ---- */

static enum nw_status map_identity(struct nw_dma *d, struct dma_device *v, struct mapping **m, bool *reused,
                                   struct nw_error *err)
{
    (void)v;
    (*m)->iova = (*m)->address;
    *reused = true;
    return dma_pin(d, (*m)->address, (*m)->pages, err);
}

/* The device can still reach it: it stays pinned. */
static enum nw_status unmap_identity(struct nw_dma *d, struct dma_device *v, struct mapping *m, struct nw_error *err)
{
    (void)err;
    mapping_free(d, v, m);
    return NW_OK;
}

const struct dma_strategy dma_strategies[NW_DMA_STRATEGIES] = {
    [NW_DMA_STRICT] = { "strict", false, false, map_always, unmap_strict, NULL, NULL },
    [NW_DMA_DEFERRED] = { "deferred", false, false, map_always, unmap_later, work_deferred, NULL },
    [NW_DMA_IDENTITY] = { "identity", true, true, map_identity, unmap_identity, NULL, NULL },
    [NW_DMA_PERSISTENT] = { "persistent", false, false, map_reusing, unmap_never, NULL, NULL },
    [NW_DMA_SHARED] = { "shared", false, false, map_reusing, unmap_last, NULL, NULL },
    [NW_DMA_OPTIMISTIC] = { "optimistic", false, false, map_reusing, unmap_maybe_later, work_optimistic, NULL },
    [NW_DMA_HUGE] = { "huge", false, true, map_huge, unmap_never, NULL, NULL },
    [NW_DMA_SWIOTLB] = { "swiotlb", true, true, map_bounced, unmap_bounced, NULL, sync_bounced },
    [NW_DMA_GRANT_COPY] = { "grant-copy", true, true, map_bounced, unmap_bounced, NULL, sync_bounced },
};

const char *const nw_dma_strategy_name[NW_DMA_STRATEGIES] = { "strict",     "deferred", "identity",
                                                              "persistent", "shared",   "optimistic",
                                                              "huge",       "swiotlb",  "grant-copy" };
const char *const nw_dma_unit_name[NW_DMA_UNITS] = { "hardware", "emulated", "sidecore", "nested" };
