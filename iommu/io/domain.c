/* Tables of a device's domain, and the invalidation queue as a driver of the unit uses it: VT-d, "Queued Invalidation Interface". */
#include "io_internal.h"
#include <nestwalk/base/bits.h>

enum { DOMAIN_SELECTIVE = 2, PAGE_SELECTIVE = 3 };
#define DRAIN           (NW_BIT(6) | NW_BIT(7)) /* DW, DR */
#define DESCRIPTOR_WAIT (5u | NW_BIT(5))        /* with a status write */
#define LEAVES_ONLY     NW_BIT(6)               /* IH: no table was taken away */

static bool is_nested(const struct nw_dma *d) { return d->config.unit == NW_DMA_UNIT_NESTED; }

/* Of a domain's second stage; with nested translation of its first stage, which is PASID 0's: domain-selective is all of the
 * PASID. */
static uint64_t descriptor(const struct nw_dma *d, const struct dma_device *v, unsigned granularity)
{
    const unsigned type = is_nested(d) ? 6 : 2;
    return type | (uint64_t)granularity << 4 | (is_nested(d) ? 0 : DRAIN) | (uint64_t)v->domain_id << 16;
}

/* Descriptors of 256 bits in scalable mode, their upper half zero. */
static enum nw_status push(struct nw_dma *d, uint64_t low, uint64_t high, struct nw_error *err)
{
    const uint64_t at = d->queue + d->queue_tail, bytes = is_nested(d) ? 32 : 16;
    enum nw_status s;
    if ((s = nw_physmem_write64(d->config.pm, nw_hpa(at), low, err)) ||
        (s = nw_physmem_write64(d->config.pm, nw_hpa(at + 8), high, err)))
        return s;
    d->queue_tail = (d->queue_tail + bytes) % QUEUE_BYTES;
    return NW_OK;
}

/* Queues one invalidation and waits until the unit says that it is done. */
static enum nw_status invalidate(struct nw_dma *d, uint64_t low, uint64_t high, struct nw_error *err)
{
    const uint64_t wait = DESCRIPTOR_WAIT | (uint64_t)++d->waits_done << 32;
    enum nw_status s;
    if ((s = push(d, low, high, err)) || (s = push(d, wait, d->status, err)))
        return s;
    nw_vtd_unit_write(d->unit, NW_VTD_IQT, 8, d->queue_tail);
    if ((uint32_t)nw_physmem_read64(d->config.pm, nw_hpa(d->status)) != d->waits_done)
        return nw_fail(err, NW_ERR_INTERNAL, "the unit did not complete an invalidation: FSTS 0x%x",
                       (unsigned)nw_vtd_unit_read(d->unit, NW_VTD_FSTS, 4));
    return NW_OK;
}

/* The driver has told the unit, and waits. */
static void announced(struct nw_dma *d)
{
    d->counts.announcements++;
    d->counts.waits++;
}

enum nw_status domain_invalidate_pages(struct nw_dma *d, const struct dma_device *v, uint64_t iova_page, uint64_t pages,
                                       struct nw_error *err)
{
    const unsigned log2 = nw_log2_ceil(pages);
    d->counts.range_invalidations++;
    announced(d);
    return invalidate(d, descriptor(d, v, PAGE_SELECTIVE),
                      (iova_page >> log2 << log2) << NW_PAGE_LOG2 | LEAVES_ONLY | log2, err);
}

enum nw_status domain_invalidate(struct nw_dma *d, const struct dma_device *v, struct nw_error *err)
{
    d->counts.domain_invalidations++;
    announced(d);
    return invalidate(d, descriptor(d, v, DOMAIN_SELECTIVE), 0, err);
}

enum nw_status domain_invalidate_second(struct nw_dma *d, const struct dma_device *v, uint64_t page, uint64_t pages,
                                        struct nw_error *err)
{
    const unsigned log2 = nw_log2_ceil(pages);
    d->counts.taken_invalidations++;
    return invalidate(d, 2u | PAGE_SELECTIVE << 4 | DRAIN | (uint64_t)v->domain_id << 16,
                      (page >> log2 << log2) << NW_PAGE_LOG2 | log2, err);
}

enum nw_status domain_map_at(struct nw_dma *d, struct dma_device *v, uint64_t iova, uint64_t address,
                             unsigned page_log2, uint64_t pages, enum nw_dma_rights rights, struct nw_error *err)
{
    /* A first stage has no read permission to withhold; its A and D are set beforehand, as Linux does. */
    const unsigned attributes = (rights & NW_DMA_TO_DEVICE ? NW_MAP_READ : 0u) |
                                (rights & NW_DMA_FROM_DEVICE ? NW_MAP_WRITE : 0u) |
                                (is_nested(d) ? NW_MAP_READ | NW_MAP_USER | NW_MAP_ACCESSED | NW_MAP_DIRTY : 0u);
    const uint64_t small = pages << (page_log2 - NW_PAGE_LOG2);
    enum nw_status s = NW_OK;
    for (uint64_t i = 0; !s && i < pages; i++)
        s = nw_builder_map(&v->builder, iova + (i << page_log2), address + (i << page_log2), page_log2, attributes,
                           err);
    if (!s && (d->config.unit == NW_DMA_UNIT_EMULATED ||
               d->config.unit == NW_DMA_UNIT_SIDECORE)) /* caching mode: what is not there may be cached as well */
        s = domain_invalidate_pages(d, v, iova >> NW_PAGE_LOG2, small, err);
    return s ? s : dma_pin(d, address, small, err);
}

enum nw_status domain_map(struct nw_dma *d, struct dma_device *v, struct mapping *m, struct nw_error *err)
{
    const uint64_t within = m->address & (NW_PAGE_BYTES - 1);
    uint64_t first;
    bool fresh;
    enum nw_status s = iova_take(&v->iova, m->pages, &first, &fresh, err);
    if (s)
        return s;
    d->counts.ranges_taken++;
    d->counts.ranges_fresh += fresh;
    m->iova = first << NW_PAGE_LOG2;
    return domain_map_at(d, v, m->iova, m->address - within, NW_PAGE_LOG2, m->pages, m->rights, err);
}

enum nw_status domain_clear(struct nw_dma *d, struct dma_device *v, uint64_t iova_page, uint64_t pages,
                            struct nw_error *err)
{
    enum nw_status s = NW_OK;
    (void)d;
    for (uint64_t i = 0; !s && i < pages; i++)
        s = nw_builder_unmap(&v->builder, (iova_page + i) << NW_PAGE_LOG2, err);
    return s;
}

enum nw_status dma_pin(struct nw_dma *d, uint64_t address, uint64_t pages, struct nw_error *err)
{
    enum nw_status covered = nested_cover(d, address, pages << NW_PAGE_LOG2, err);
    if (covered)
        return covered;
    for (uint64_t i = 0; i < pages; i++) {
        uint64_t *count;
        enum nw_status s = page_map_make(&d->pins, (address >> NW_PAGE_LOG2) + i, &count, err);
        if (s)
            return s;
        d->counts.pinned_pages += !(*count)++;
    }
    if (d->counts.pinned_pages > d->counts.pinned_pages_max)
        d->counts.pinned_pages_max = d->counts.pinned_pages;
    return NW_OK;
}

void dma_unpin(struct nw_dma *d, uint64_t address, uint64_t pages)
{
    for (uint64_t i = 0; i < pages; i++) {
        const uint64_t page = (address >> NW_PAGE_LOG2) + i;
        uint64_t *count = page_map_find(&d->pins, page);
        if (count && !--*count) {
            page_map_remove(&d->pins, page);
            d->counts.pinned_pages--;
        }
    }
}

bool nw_dma_is_pinned(const struct nw_dma *d, uint64_t address)
{
    return page_map_find(&d->pins, address >> NW_PAGE_LOG2) != NULL;
}
