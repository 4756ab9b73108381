/* Copies through a pool that the device always reaches: swiotlb, grant-copy. */
#include "strategies.h"

enum { SLOTS_OF_CHUNK = 1 << (NW_PAGE_2M_LOG2 - SLOT_LOG2) };

static uint64_t slots_of(const struct mapping *m) { return (m->bytes + (UINT64_C(1) << SLOT_LOG2) - 1) >> SLOT_LOG2; }

/* So many free slots one after the other, in one segment, looked for from where the last search ended. */
static bool take_slots(struct nw_dma *d, uint64_t count, uint64_t *first)
{
    uint64_t run = 0;
    if (count > SEGMENT_SLOTS)
        return false;
    for (uint64_t seen = 0, slot = d->next_slot; seen < d->slots + count; seen++, slot++) {
        if (slot == d->slots)
            slot = 0;
        run = d->slot_used[slot] ? 0 : slot % SEGMENT_SLOTS ? run + 1 : 1;
        if (run < count)
            continue;
        *first = slot + 1 - count;
        for (uint64_t i = 0; i < count; i++)
            d->slot_used[*first + i] = 1;
        d->next_slot = slot + 1 == d->slots ? 0 : slot + 1;
        return true;
    }
    return false;
}

static void copy(struct nw_dma *d, uint64_t bytes)
{
    d->counts.copies++;
    d->counts.copied_bytes += bytes;
    d->counts.grant_operations += d->config.strategy == NW_DMA_GRANT_COPY;
}

enum nw_status map_bounced(struct nw_dma *d, struct dma_device *v, struct mapping **m, bool *reused,
                           struct nw_error *err)
{
    uint64_t slot;
    (void)err;
    *reused = true;
    if (!take_slots(d, slots_of(*m), &slot)) {
        mapping_free(d, v, *m);
        *m = NULL;
        return NW_OK;
    }
    (*m)->iova = d->pool[slot / SLOTS_OF_CHUNK] + (slot % SLOTS_OF_CHUNK << SLOT_LOG2);
    if ((*m)->rights & NW_DMA_TO_DEVICE)
        copy(d, (*m)->bytes);
    return NW_OK;
}

enum nw_status unmap_bounced(struct nw_dma *d, struct dma_device *v, struct mapping *m, struct nw_error *err)
{
    uint64_t chunk = 0;
    (void)err;
    while ((m->iova - d->pool[chunk]) >> NW_PAGE_2M_LOG2)
        chunk++;
    const uint64_t first = chunk * SLOTS_OF_CHUNK + ((m->iova - d->pool[chunk]) >> SLOT_LOG2);
    if (m->rights & NW_DMA_FROM_DEVICE)
        copy(d, m->bytes);
    for (uint64_t i = 0; i < slots_of(m); i++)
        d->slot_used[first + i] = 0;
    mapping_free(d, v, m);
    return NW_OK;
}

void sync_bounced(struct nw_dma *d, const struct mapping *m, uint64_t bytes, bool for_device)
{
    if (m->rights & (for_device ? NW_DMA_TO_DEVICE : NW_DMA_FROM_DEVICE))
        copy(d, bytes < m->bytes ? bytes : m->bytes);
}
