/* Mappings that outlive their users: persistent, shared, optimistic, huge. */
#include "strategies.h"

static struct mapping *at(struct nw_dma *d, uint32_t index) { return index ? &d->mapping[index - 1] : NULL; }

/* ---- the list of idle mappings, the oldest first ---- */

static void idle_take(struct nw_dma *d, struct dma_device *v, struct mapping *m)
{
    struct mapping *older = at(d, m->older), *newer = at(d, m->newer);
    *(older ? &older->newer : &v->idle_oldest) = m->newer;
    *(newer ? &newer->older : &v->idle_newest) = m->older;
    m->older = m->newer = 0;
}

static void idle_put(struct nw_dma *d, struct dma_device *v, struct mapping *m)
{
    const uint32_t index = mapping_index(d, m);
    struct mapping *newest = at(d, v->idle_newest);
    m->idle_since_ns = d->now_ns;
    m->older = v->idle_newest;
    m->newer = 0;
    *(newest ? &newest->newer : &v->idle_oldest) = index;
    v->idle_newest = index;
}

/* ---- maps ---- */

/* The buffer's mapping, when one serves: it begins in the same page, and reaches and allows as much. */
enum nw_status map_reusing(struct nw_dma *d, struct dma_device *v, struct mapping **m, bool *reused,
                           struct nw_error *err)
{
    const uint64_t page = (*m)->address >> NW_PAGE_LOG2;
    uint64_t *known;
    enum nw_status s = page_map_make(&v->by_buffer, page, &known, err);
    if (s)
        return s;
    struct mapping *before = at(d, (uint32_t)*known);
    if (before && before->pages >= (*m)->pages && !((*m)->rights & ~(unsigned)before->rights)) {
        if (!before->users && d->config.strategy == NW_DMA_OPTIMISTIC)
            idle_take(d, v, before);
        mapping_free(d, v, *m);
        *m = before;
        *reused = true;
        return NW_OK;
    }
    if ((s = domain_map(d, v, *m, err)))
        return s;
    *known = mapping_index(d, *m);
    return NW_OK;
}

/* All of the 2 MiB pages that the buffer lies in, at their own addresses. */
enum nw_status map_huge(struct nw_dma *d, struct dma_device *v, struct mapping **m, bool *reused, struct nw_error *err)
{
    const uint64_t last = ((*m)->address + (*m)->bytes - 1) >> NW_PAGE_2M_LOG2;
    *reused = true;
    for (uint64_t region = (*m)->address >> NW_PAGE_2M_LOG2; region <= last; region++) {
        uint64_t *known;
        enum nw_status s = page_map_make(&v->by_buffer, region, &known, err);
        if (!s && !*known) {
            *reused = false;
            *known = 1;
            s = domain_map_at(d, v, region << NW_PAGE_2M_LOG2, region << NW_PAGE_2M_LOG2, NW_PAGE_2M_LOG2, 1,
                              NW_DMA_BOTH, err);
        }
        if (s)
            return s;
    }
    (*m)->iova = (*m)->address;
    return NW_OK;
}

/* ---- unmaps ---- */

static void forget_buffer(struct nw_dma *d, struct dma_device *v, const struct mapping *m)
{
    const uint64_t page = m->address >> NW_PAGE_LOG2;
    const uint64_t *known = page_map_find(&v->by_buffer, page);
    if (known && *known == mapping_index(d, m))
        page_map_remove(&v->by_buffer, page);
}

enum nw_status unmap_never(struct nw_dma *d, struct dma_device *v, struct mapping *m, struct nw_error *err)
{
    (void)err;
    if (d->config.strategy == NW_DMA_HUGE && !m->users)
        mapping_free(d, v, m);
    return NW_OK;
}

enum nw_status unmap_last(struct nw_dma *d, struct dma_device *v, struct mapping *m, struct nw_error *err)
{
    if (m->users)
        return NW_OK;
    forget_buffer(d, v, m);
    return unmap_strictly(d, v, m, err);
}

enum nw_status unmap_maybe_later(struct nw_dma *d, struct dma_device *v, struct mapping *m, struct nw_error *err)
{
    (void)err;
    if (!m->users)
        idle_put(d, v, m);
    return NW_OK;
}

/* Takes down what has been idle too long; one invalidation serves all of it. */
enum nw_status work_optimistic(struct nw_dma *d, struct dma_device *v, bool all, struct nw_error *err)
{
    enum nw_status s = NW_OK;
    for (struct mapping *m;
         !s && (m = at(d, v->idle_oldest)) && (all || d->now_ns - m->idle_since_ns >= d->config.optimistic_ns);) {
        idle_take(d, v, m);
        forget_buffer(d, v, m);
        s = unmap_later(d, v, m, err);
    }
    return s ? s : flush_waiting(d, v, err);
}
