/* A guest that keeps its own tables while the hardware walks them (VT-d, "Nested Translation"): the guest's tables are the first stage of
 * each device's PASID-table entry, and the second stage, which the host keeps, is one for all devices and may be the guest's EPT itself.
 * Addresses that drivers give are the guest's; here guest-physical and host-physical addresses are the same numbers, unless the second
 * stage is somebody else's. */
#include "io_internal.h"
#include <nestwalk/base/bits.h>
#include <nestwalk/mmu/format_vtd.h>

enum { PGTT_SECOND = 2, PGTT_NESTED = 3, AW_48 = 2 };
#define PASID_PWSNP NW_BIT(23)

static enum nw_status put(struct nw_dma *d, uint64_t at, uint64_t word, struct nw_error *err)
{
    return nw_physmem_write64(d->config.pm, nw_hpa(at), word, err);
}

static enum nw_status allocate(void *context, uint64_t *address, struct nw_error *err)
{
    struct nw_dma *d = context;
    uint64_t pfn;
    enum nw_status s = nw_frames_alloc(d->config.frames, NW_PAGE_LOG2, &pfn, err);
    *address = s ? 0 : pfn << NW_PAGE_LOG2;
    return s;
}

static void written(void *context, uint64_t address, hpa_t hpa, uint64_t old, uint64_t word)
{
    struct nw_dma *d = context;
    (void)address, (void)old, (void)word;
    if (d->stale)
        nw_vtd_stale_written(d->stale, hpa.v, d->now_ns);
}

enum nw_status nested_start(struct nw_dma *d, struct nw_error *err)
{
    const struct nw_vtd_config unit = nw_vtd_config_default(d->config.pm);
    struct nw_paging paging;
    d->second_root = d->config.second_stage;
    if (d->second_root)
        return NW_OK;
    struct nw_builder_memory memory = { .allocate = allocate, .written = written, .context = d };
    struct nw_vtd_second_stage tree = { .levels = 4, .haw = unit.unit.haw, .large_2m = true, .large_1g = true };
    enum nw_status s = nw_paging_init_vtd_second(&paging, &tree, err);
    paging.root = NW_ROOT_NEW;
    if (!s)
        s = nw_builder_init(&d->second, d->config.pm, &paging, &memory, err);
    d->second_root = d->second.paging.root;
    return s;
}

enum nw_status nested_cover(struct nw_dma *d, uint64_t address, uint64_t bytes, struct nw_error *err)
{
    const unsigned log2 = d->config.second_page_log2;
    if (d->config.unit != NW_DMA_UNIT_NESTED || d->config.second_stage)
        return NW_OK;
    for (uint64_t page = address >> log2; page <= (address + bytes - 1) >> log2; page++) {
        uint64_t *there;
        if (page_map_find(&d->second_pages, page))
            continue;
        enum nw_status s = page_map_make(&d->second_pages, page, &there, err);
        if (!s)
            s = nw_builder_map(&d->second, page << log2, page << log2, log2, NW_MAP_RW, err);
        if (s)
            return s;
        *there = 1;
    }
    return NW_OK;
}

/* ---- the way to a device's tables: scalable mode, requests without PASID have PASID 0 ---- */

static enum nw_status table_below(struct nw_dma *d, uint64_t at, uint64_t *table, struct nw_error *err)
{
    *table = nw_physmem_read64(d->config.pm, nw_hpa(at)) & ~(NW_PAGE_BYTES - 1);
    if (*table)
        return NW_OK;
    enum nw_status s = allocate(d, table, err);
    return s ? s : put(d, at, *table | 1, err);
}

enum nw_status nested_attach(struct nw_dma *d, const struct dma_device *v, struct nw_error *err)
{
    const unsigned devfn = v->bdf & 255;
    const uint64_t root_at = d->root + (uint64_t)(v->bdf >> 8) * 16 + (devfn >= 128 ? 8 : 0);
    const unsigned pgtt = d->strategy->passes_through ? PGTT_SECOND : PGTT_NESTED;
    uint64_t contexts, directory, pasids;
    enum nw_status s;
    if ((s = table_below(d, root_at, &contexts, err)) ||
        (s = table_below(d, contexts + (devfn & 127) * UINT64_C(32), &directory, err)) ||
        (s = table_below(d, directory, &pasids, err)) || (s = put(d, pasids + 8, v->domain_id | PASID_PWSNP, err)) ||
        (s = put(d, pasids + 16, d->strategy->passes_through ? 0 : v->builder.paging.root, err)))
        return s;
    return put(d, pasids, d->second_root | 1 | AW_48 << 2 | (uint64_t)pgtt << 6, err);
}

/* ---- what the host takes back ---- */

enum nw_status nw_dma_take_pages(struct nw_dma *d, uint64_t address, uint64_t pages, bool *pinned, struct nw_error *err)
{
    enum nw_status s = NW_OK;
    *pinned = false;
    for (uint64_t i = 0; i < pages && !*pinned; i++)
        *pinned = nw_dma_is_pinned(d, address + (i << NW_PAGE_LOG2));
    if (*pinned || d->config.unit != NW_DMA_UNIT_NESTED)
        return NW_OK;
    for (uint64_t i = 0; !s && !d->config.second_stage && i < pages; i++) {
        const uint64_t page = address + (i << NW_PAGE_LOG2);
        struct nw_leaf leaf;
        s = nw_builder_lookup(&d->second, page, &leaf, err);
        while (!s && leaf.present && leaf.page_log2 > NW_PAGE_LOG2)
            if (!(s = nw_builder_split(&d->second, page, err)))
                s = nw_builder_lookup(&d->second, page, &leaf, err);
        if (!s && leaf.present)
            s = nw_builder_unmap(&d->second, page, err);
    }
    for (unsigned i = 0; !s && i < d->device_count; i++)
        s = domain_invalidate_second(d, d->device[i], address >> NW_PAGE_LOG2, pages, err);
    return s;
}

enum nw_status nw_dma_give_page(struct nw_dma *d, uint64_t address, struct nw_error *err)
{
    struct nw_leaf leaf;
    if (d->config.unit != NW_DMA_UNIT_NESTED || d->config.second_stage)
        return NW_OK;
    enum nw_status s = nested_cover(d, address, 1, err);
    if (!s)
        s = nw_builder_lookup(&d->second, address, &leaf, err);
    if (!s && !leaf.present)
        s = nw_builder_map(&d->second, address & ~(NW_PAGE_BYTES - 1), address & ~(NW_PAGE_BYTES - 1), NW_PAGE_LOG2,
                           NW_MAP_RW, err);
    return s;
}
