/* The trace's drivers and devices over the strategy: names of mappings into addresses, and what has been counted into the result. */
#include "io.h"
#include "exit_reason.h"
#include "io_price.h"
#include "pager.h"
#include <inttypes.h>
#include <nestwalk/base/bits.h>
#include <nestwalk/iommu/dma_map.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert((int)NW_DMA_GRANT_COPY == 8 && NW_DMA_STRATEGIES == 9, "the choices of iommu.strategy");
_Static_assert((int)NW_DMA_UNIT_NESTED == 3 && NW_DMA_UNITS == 4, "the choices of iommu.unit");

/* A mapping by the name that the trace has for it. */
struct named {
    uint64_t name, bytes, iova; /* iova NOWHERE: there was no room for it */
    uint16_t bdf;
};
#define NOWHERE UINT64_MAX

struct io {
    struct machine *m;
    struct nw_io_counters *r;
    struct nw_physmem *pm;
    struct nw_frames frames;
    struct nw_dma *dma;  /* iommu.kind none: NULL */
    struct named *named; /* by (bdf, name) */
    size_t count, capacity;
    double link_gbps;
    bool started;
};

/* Tables and pools lie above what a trace's addresses reach. */
#define FRAMES_START (UINT64_C(1) << (47 - NW_PAGE_LOG2))
#define FRAMES_END   (UINT64_C(1) << (48 - NW_PAGE_LOG2))

static enum nw_status make_dma(struct io *io, struct nw_error *err)
{
    const struct nw_config *c = io->m->config;
    enum nw_status s = nw_physmem_create(&io->pm, err);
    if (s)
        return s;
    nw_frames_init(&io->frames, FRAMES_START, FRAMES_END);
    struct nw_dma_config d = nw_dma_config_default(io->pm, &io->frames);
    d.strategy = (enum nw_dma_strategy)c->iommu.strategy;
    d.unit = (enum nw_dma_unit)c->iommu.unit;
    d.cache[NW_VTD_IOTLB] = (struct nw_iommu_cache_shape){ .entries = (unsigned)c->dmar.iotlb_entries,
                                                           .ways = (unsigned)c->dmar.iotlb_ways,
                                                           .policy = (enum nw_iommu_policy)c->dmar.iotlb_policy };
    d.cache[NW_VTD_PAGING_CACHE] = (struct nw_iommu_cache_shape){ .entries = (unsigned)c->dmar.paging_cache_entries,
                                                                  .ways = (unsigned)c->dmar.paging_cache_ways };
    d.deferred_ranges = c->iommu.deferred_ranges;
    d.deferred_ns = c->iommu.deferred_ns;
    d.optimistic_ns = c->iommu.optimistic_ns;
    d.pool_bytes = c->iommu.pool_bytes;
    d.request_bytes = c->iommu.request_bytes;
    d.second_page_log2 = machine_backing_log2(c);
    d.detect_stale = c->iommu.detect_stale;
    return nw_dma_create(&io->dma, &d, err);
}

enum nw_status io_create(struct io **out, struct machine *m, struct nw_error *err)
{
    const struct nw_config *c = m->config;
    *out = NULL;
    if (!nw_config_has_io(c))
        return NW_OK;
    struct io *io = calloc(1, sizeof *io);
    if (!io)
        return nw_fail_nomem(err, "the devices of a replay");
    io->m = m;
    io->r = &m->result->io;
    io->link_gbps = c->iommu.link_gbps;
    enum nw_status s = c->iommu.kind == NW_IOMMU_NONE ? NW_OK : make_dma(io, err);
    if (s)
        io_destroy(io);
    else
        *out = io;
    return s;
}

void io_destroy(struct io *io)
{
    if (!io)
        return;
    nw_dma_destroy(io->dma);
    if (io->pm)
        nw_frames_fini(&io->frames);
    nw_physmem_destroy(io->pm);
    free(io->named);
    free(io);
}

/* ---- names ---- */

static bool is_before(const struct named *a, uint16_t bdf, uint64_t name)
{
    return a->bdf != bdf ? a->bdf < bdf : a->name < name;
}

/* Place of the first that is not before (bdf, name). */
static size_t place_of(const struct io *io, uint16_t bdf, uint64_t name)
{
    size_t low = 0, high = io->count;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (is_before(&io->named[middle], bdf, name))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static enum nw_status name_add(struct io *io, const struct named *n, struct nw_error *err)
{
    if (io->count == io->capacity) {
        const size_t capacity = io->capacity ? io->capacity * 2 : 256;
        struct named *more = realloc(io->named, capacity * sizeof *more);
        if (!more)
            return nw_fail_nomem(err, "the names of DMA mappings");
        io->named = more;
        io->capacity = capacity;
    }
    const size_t at = place_of(io, n->bdf, n->name);
    memmove(io->named + at + 1, io->named + at, (io->count++ - at) * sizeof *io->named);
    io->named[at] = *n;
    return NW_OK;
}

/* The mapping that has all of [address, address + bytes); NULL: none has. */
static const struct named *name_covering(const struct io *io, uint16_t bdf, uint64_t address, uint64_t bytes)
{
    size_t at = place_of(io, bdf, address);
    if (at == io->count || io->named[at].bdf != bdf || io->named[at].name != address) {
        if (!at--)
            return NULL;
    }
    const struct named *n = &io->named[at];
    return n->bdf == bdf && address >= n->name && address - n->name < n->bytes &&
                   bytes <= n->bytes - (address - n->name)
               ? n
               : NULL;
}

/* ---- events ---- */

static enum nw_status map(struct io *io, const uint64_t arg[5], struct nw_error *err)
{
    struct named n = { .name = arg[1], .bytes = arg[3], .bdf = (uint16_t)arg[0] };
    const size_t at = place_of(io, n.bdf, n.name);
    struct nw_dma_mapping m;
    if (at < io->count && io->named[at].bdf == n.bdf && io->named[at].name == n.name) {
        io->r->mapped_twice++;
        return NW_OK;
    }
    const unsigned rights = arg[4] & 3 ? (unsigned)(arg[4] & 3) : NW_DMA_BOTH;
    enum nw_status s = nw_dma_map(io->dma, n.bdf, arg[2], arg[3], (enum nw_dma_rights)rights, &m, err);
    if (s)
        return s;
    n.iova = m.mapped ? m.iova : NOWHERE;
    return name_add(io, &n, err);
}

static enum nw_status unmap(struct io *io, const uint64_t arg[5], struct nw_error *err)
{
    const uint16_t bdf = (uint16_t)arg[0];
    const size_t at = place_of(io, bdf, arg[1]);
    if (at == io->count || io->named[at].bdf != bdf || io->named[at].name != arg[1]) {
        io->r->unmapped_unknown++; /* mapped before the trace began */
        return NW_OK;
    }
    const uint64_t iova = io->named[at].iova;
    memmove(io->named + at, io->named + at + 1, (--io->count - at) * sizeof *io->named);
    return iova == NOWHERE ? NW_OK : nw_dma_unmap(io->dma, bdf, iova, err);
}

/* An address that no mapping covers goes to the unit as it is: a stray DMA. */
static void access(struct io *io, const uint64_t arg[5])
{
    const struct named *n = name_covering(io, (uint16_t)arg[0], arg[1], arg[2]);
    struct nw_dma_done done;
    io->r->stray += n == NULL;
    if (n && n->iova == NOWHERE) {
        io->r->dropped++;
        return;
    }
    nw_dma_access(io->dma, (uint16_t)arg[0], n ? n->iova + (arg[1] - n->name) : arg[1], arg[2], arg[3] != 0, &done);
}

static void request(struct io *io, const uint64_t arg[5])
{
    io->r->packets++;
    io->r->bytes += arg[3];
    if (arg[1] == NW_IO_RECEIVE || arg[1] == NW_IO_TRANSMIT)
        io->r->frames++;
    io_model_request(io->m, io->r);
}

/* "dma nic link_gbps=10 ..." */
static void marker(struct io *io, const struct nw_event *e)
{
    char text[256];
    const size_t bytes =
        e->data_words * sizeof *e->data < sizeof text - 1 ? e->data_words * sizeof *e->data : sizeof text - 1;
    memcpy(text, e->data ? (const void *)e->data : "", e->data ? bytes : 0);
    text[e->data ? bytes : 0] = 0;
    const char *link = strncmp(text, "dma ", 4) ? NULL : strstr(text, " link_gbps=");
    if (link && io->m->config->iommu.link_gbps <= 0.0)
        io->link_gbps = strtod(link + strlen(" link_gbps="), NULL);
}

/* Rings and the first buffers have been mapped: from here on it is packets that cost. */
static void start(struct io *io, uint64_t ns)
{
    io->started = true;
    io->r->first_ns = ns;
    if (!io->dma)
        return;
    const struct nw_dma_counts n = nw_dma_counts(io->dma);
    io->r->setup = (struct nw_io_setup){ .calls = n.maps + n.unmaps,
                                         .ranges_taken = n.ranges_taken,
                                         .entries_written = n.entries_written,
                                         .waits = n.waits,
                                         .grant_operations = n.grant_operations,
                                         .copied_bytes = n.copied_bytes,
                                         .references = n.references };
}

static enum nw_status now(struct io *io, uint64_t ns, struct nw_error *err)
{
    if (!io->started)
        start(io, ns);
    io->r->last_ns = ns;
    return io->dma ? nw_dma_time(io->dma, ns, err) : NW_OK;
}

enum nw_status io_event(struct io *io, const struct nw_event *e, struct nw_error *err)
{
    switch (e->kind) {
    case NW_EV_TIME: return now(io, e->arg[0], err);
    case NW_EV_MARKER: marker(io, e); return NW_OK;
    case NW_EV_IO_BEGIN: request(io, e->arg); return NW_OK;
    case NW_EV_DMA_MAP: return io->dma ? map(io, e->arg, err) : NW_OK;
    case NW_EV_DMA_UNMAP: return io->dma ? unmap(io, e->arg, err) : NW_OK;
    case NW_EV_DMA_ACCESS:
        if (io->dma)
            access(io, e->arg);
        return NW_OK;
    default: return NW_OK;
    }
}

/* ---- the end ---- */

void io_finish(struct io *io)
{
    struct nw_io_counters *r = io->r;
    const struct nw_config *c = io->m->config;
    if (io->dma) {
        const struct nw_dma_counts n = nw_dma_counts(io->dma);
        r->maps = n.maps, r->unmaps = n.unmaps, r->reuses = n.reuses, r->pool_full = n.pool_full;
        r->mapped_pages = n.mapped_pages, r->entries_written = n.entries_written, r->table_pages = n.table_pages;
        r->ranges_taken = n.ranges_taken, r->ranges_fresh = n.ranges_fresh;
        r->range_invalidations = n.range_invalidations, r->domain_invalidations = n.domain_invalidations;
        r->waits = n.waits, r->announcements = n.announcements;
        r->copied_bytes += n.copied_bytes, r->grant_operations += n.grant_operations;
        r->pinned_pages_max = n.pinned_pages_max;
        r->accessed_bytes = n.accessed_bytes, r->requests = n.requests, r->faults = n.faults;
        r->iotlb_misses = n.iotlb_misses, r->references = n.references;
        r->stale_uses = n.stale.uses, r->stale_bytes = n.stale.used_bytes,
        r->exposures = n.stale.windows + n.stale.open_pages;
        r->exposed_ns = n.stale.window_ns,
        r->exposed_max_ns = n.stale.window_max_ns > n.stale.open_max_ns ? n.stale.window_max_ns : n.stale.open_max_ns;
        r->exposed_open_pages = n.stale.open_pages;
        io->m->result->faults.dmar += n.faults;
        if (c->iommu.unit == NW_DMA_UNIT_EMULATED || c->iommu.unit == NW_DMA_UNIT_NESTED)
            exits_add(io->m->result, c, NW_EXIT_MMIO, n.announcements);
    }
    io_price(c, r, io->link_gbps);
}
