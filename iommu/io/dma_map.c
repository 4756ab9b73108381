/* Life cycle, devices, and the calls of drivers and devices. */
#include "io_internal.h"
#include <nestwalk/base/bits.h>
#include <nestwalk/mmu/format_vtd.h>
#include <stdlib.h>

enum { ADDRESS_LEVELS = 4, CONTEXT_PASS_THROUGH = 2 };
#define BUFFER_BYTES_MAX (UINT64_C(1) << 30)
#define CHUNK_BYTES      (UINT64_C(1) << NW_PAGE_2M_LOG2)

struct nw_dma_config nw_dma_config_default(struct nw_physmem *pm, struct nw_frames *frames)
{
    struct nw_vtd_config unit = nw_vtd_config_default(pm);
    struct nw_dma_config c = { .pm = pm,
                               .frames = frames,
                               .deferred_ranges = 250,
                               .deferred_ns = 10000000,
                               .optimistic_ns = 10000000,
                               .pool_bytes = UINT64_C(64) << 20,
                               .request_bytes = 256,
                               .second_page_log2 = NW_PAGE_2M_LOG2,
                               .detect_stale = true };
    for (unsigned i = 0; i < NW_VTD_CACHES; i++)
        c.cache[i] = unit.cache[i];
    return c;
}

static enum nw_status check(const struct nw_dma_config *c, struct nw_error *err)
{
    if ((unsigned)c->strategy >= NW_DMA_STRATEGIES || (unsigned)c->unit >= NW_DMA_UNITS)
        return nw_fail(err, NW_ERR_INPUT, "DMA mapping: strategy %u or unit %u is none", (unsigned)c->strategy,
                       (unsigned)c->unit);
    if (!c->deferred_ranges || c->deferred_ranges > 1u << 20)
        return nw_fail(err, NW_ERR_INPUT, "DMA mapping: a list of %llu deferred ranges; 1 to 1048576 are allowed",
                       (unsigned long long)c->deferred_ranges);
    if (!nw_is_pow2(c->request_bytes) || c->request_bytes < 64 || c->request_bytes > NW_PAGE_BYTES)
        return nw_fail(err, NW_ERR_INPUT,
                       "DMA mapping: requests of %llu bytes; powers of two from 64 to 4096 are allowed",
                       (unsigned long long)c->request_bytes);
    if (c->second_page_log2 != NW_PAGE_LOG2 && c->second_page_log2 != NW_PAGE_2M_LOG2 &&
        c->second_page_log2 != NW_PAGE_1G_LOG2)
        return nw_fail(err, NW_ERR_INPUT,
                       "DMA mapping: a second stage of pages of 2^%u bytes; 12, 21 and 30 are allowed",
                       c->second_page_log2);
    if (c->second_stage & (NW_PAGE_BYTES - 1))
        return nw_fail(err, NW_ERR_INPUT, "DMA mapping: a second stage at 0x%llx; multiples of 4096 are allowed",
                       (unsigned long long)c->second_stage);
    if (!c->pool_bytes || c->pool_bytes & (CHUNK_BYTES - 1) || c->pool_bytes > UINT64_C(64) << 30)
        return nw_fail(err, NW_ERR_INPUT,
                       "DMA mapping: a pool of %llu bytes; multiples of 2 MiB up to 64 GiB are allowed",
                       (unsigned long long)c->pool_bytes);
    return NW_OK;
}

static enum nw_status frame(struct nw_dma *d, uint64_t *address, struct nw_error *err)
{
    uint64_t pfn;
    enum nw_status s = nw_frames_alloc(d->config.frames, NW_PAGE_LOG2, &pfn, err);
    *address = s ? 0 : pfn << NW_PAGE_LOG2;
    return s ? s : nested_cover(d, *address, NW_PAGE_BYTES, err); /* a guest's tables are the guest's memory */
}

static enum nw_status make_pool(struct nw_dma *d, struct nw_error *err)
{
    const uint64_t chunks = d->config.pool_bytes >> NW_PAGE_2M_LOG2;
    d->slots = d->config.pool_bytes >> SLOT_LOG2;
    d->pool = calloc(chunks, sizeof *d->pool);
    d->slot_used = calloc(d->slots, 1);
    if (!d->pool || !d->slot_used)
        return nw_fail_nomem(err, "the pool of bounce buffers");
    for (uint64_t i = 0; i < chunks; i++) {
        uint64_t pfn;
        enum nw_status s = nw_frames_alloc(d->config.frames, NW_PAGE_2M_LOG2, &pfn, err);
        if (!s) {
            d->pool[i] = pfn << NW_PAGE_LOG2;
            s = dma_pin(d, d->pool[i], CHUNK_BYTES >> NW_PAGE_LOG2, err);
        }
        if (s)
            return s;
    }
    return NW_OK;
}

/* Brings the unit up as a driver does: root table, queue, translation. */
static enum nw_status start_unit(struct nw_dma *d, struct nw_error *err)
{
    struct nw_vtd_config c = nw_vtd_config_default(d->config.pm);
    enum nw_status s;
    const bool nested = d->config.unit == NW_DMA_UNIT_NESTED;
    if (d->config.unit == NW_DMA_UNIT_EMULATED || d->config.unit == NW_DMA_UNIT_SIDECORE)
        c.unit.cap |= NW_VTD_CAP_CM;
    for (unsigned i = 0; i < NW_VTD_CACHES; i++)
        c.cache[i] = d->config.cache[i];
    if ((nested && (s = nested_start(d, err))) || (s = frame(d, &d->root, err)) || (s = frame(d, &d->queue, err)) ||
        (s = frame(d, &d->status, err)) || (s = nw_vtd_unit_create(&d->unit, &c, err)))
        return s;
    nw_vtd_unit_write(d->unit, NW_VTD_RTADDR, 8, d->root | (nested ? NW_VTD_TTM_SCALABLE << 10 : 0));
    nw_vtd_unit_write(d->unit, NW_VTD_GCMD, 4, NW_VTD_GCMD_SRTP);
    nw_vtd_unit_write(d->unit, NW_VTD_IQT, 8, 0);
    nw_vtd_unit_write(d->unit, NW_VTD_IQA, 8, d->queue | (nested ? NW_BIT(11) : 0)); /* descriptors of 256 bits */
    nw_vtd_unit_write(d->unit, NW_VTD_GCMD, 4, NW_VTD_GCMD_QIE);
    nw_vtd_unit_write(d->unit, NW_VTD_GCMD, 4, NW_VTD_GCMD_QIE | NW_VTD_GCMD_TE);
    return d->config.detect_stale ? nw_vtd_stale_create(&d->stale, d->unit, NULL, NULL, err) : NW_OK;
}

enum nw_status nw_dma_create(struct nw_dma **out, const struct nw_dma_config *config, struct nw_error *err)
{
    enum nw_status s = check(config, err);
    if (s)
        return s;
    struct nw_dma *d = calloc(1, sizeof *d);
    if (!d)
        return nw_fail_nomem(err, "DMA mapping");
    d->config = *config;
    d->strategy = &dma_strategies[config->strategy];
    s = start_unit(d, err);
    if (!s && d->strategy->sync)
        s = make_pool(d, err);
    if (s)
        nw_dma_destroy(d);
    else
        *out = d;
    return s;
}

static void device_destroy(struct dma_device *v)
{
    iova_fini(&v->iova);
    page_map_fini(&v->by_iova);
    page_map_fini(&v->by_buffer);
    free(v->waiting);
    free(v);
}

void nw_dma_destroy(struct nw_dma *d)
{
    if (!d)
        return;
    for (unsigned i = 0; i < d->device_count; i++)
        device_destroy(d->device[i]);
    nw_vtd_stale_destroy(d->stale);
    nw_vtd_unit_destroy(d->unit);
    page_map_fini(&d->pins);
    page_map_fini(&d->second_pages);
    free(d->mapping);
    free(d->pool);
    free(d->slot_used);
    free(d);
}

struct nw_vtd_unit *nw_dma_unit(struct nw_dma *d) { return d->unit; }

/* ---- devices ---- */

static void written(void *context, uint64_t address, hpa_t hpa, uint64_t old, uint64_t word)
{
    struct nw_dma *d = context;
    (void)address, (void)old, (void)word;
    d->counts.entries_written++;
    if (d->stale)
        nw_vtd_stale_written(d->stale, hpa.v, d->now_ns);
}

static enum nw_status allocate(void *context, uint64_t *address, struct nw_error *err)
{
    struct nw_dma *d = context;
    return frame(d, address, err);
}

static enum nw_status write_context(struct nw_dma *d, const struct dma_device *v, struct nw_error *err)
{
    const uint64_t root_at = d->root + (uint64_t)(v->bdf >> 8) * 16;
    uint64_t contexts = nw_physmem_read64(d->config.pm, nw_hpa(root_at)) & ~(NW_PAGE_BYTES - 1);
    enum nw_status s;
    if (!contexts &&
        ((s = frame(d, &contexts, err)) || (s = nw_physmem_write64(d->config.pm, nw_hpa(root_at), contexts | 1, err))))
        return s;
    const uint64_t at = contexts + (uint64_t)(v->bdf & 255) * 16;
    const uint64_t low = d->strategy->passes_through ? 1 | CONTEXT_PASS_THROUGH << 2 : 1 | v->builder.paging.root;
    if ((s = nw_physmem_write64(d->config.pm, nw_hpa(at + 8), (ADDRESS_LEVELS - 2) | (uint64_t)v->domain_id << 8, err)))
        return s;
    return nw_physmem_write64(d->config.pm, nw_hpa(at), low, err);
}

static enum nw_status attach(struct nw_dma *d, uint16_t bdf, struct dma_device **out, struct nw_error *err)
{
    struct nw_vtd_config unit = nw_vtd_config_default(d->config.pm);
    struct nw_paging paging;
    struct nw_builder_memory memory = { .allocate = allocate, .written = written, .context = d };
    enum nw_status s;
    if (d->device_count == DEVICES_MAX)
        return nw_fail(err, NW_ERR_INPUT, "DMA mapping: a device more than %d", DEVICES_MAX);
    struct dma_device *v = calloc(1, sizeof *v);
    if (!v || !(v->waiting = malloc(d->config.deferred_ranges * sizeof *v->waiting))) {
        free(v);
        return nw_fail_nomem(err, "a device's mappings");
    }
    v->bdf = bdf;
    v->domain_id = (uint16_t)(d->device_count + 1);
    iova_init(&v->iova);
    const bool nested = d->config.unit == NW_DMA_UNIT_NESTED;
    const struct nw_guest_registers guest = nw_guest_registers_long(ADDRESS_LEVELS, 0);
    struct nw_vtd_second_stage tree = { .levels = ADDRESS_LEVELS,
                                        .haw = unit.unit.haw,
                                        .large_2m = unit.unit.cap & NW_VTD_CAP_SLLPS2M };
    if ((s = nested ? nw_paging_init_guest(&paging, &guest, err) : nw_paging_init_vtd_second(&paging, &tree, err)))
        goto fail;
    paging.root = NW_ROOT_NEW;
    if (!d->strategy->passes_through && (s = nw_builder_init(&v->builder, d->config.pm, &paging, &memory, err)))
        goto fail;
    if ((s = nested ? nested_attach(d, v, err) : write_context(d, v, err)))
        goto fail;
    d->device[d->device_count++] = *out = v;
    return NW_OK;
fail:
    device_destroy(v);
    return s;
}

static struct dma_device *device_of(const struct nw_dma *d, uint16_t bdf)
{
    for (unsigned i = 0; i < d->device_count; i++)
        if (d->device[i]->bdf == bdf)
            return d->device[i];
    return NULL;
}

/* ---- records ---- */

uint32_t mapping_index(const struct nw_dma *d, const struct mapping *m) { return (uint32_t)(m - d->mapping) + 1; }

static enum nw_status mapping_new(struct nw_dma *d, struct mapping **out, struct nw_error *err)
{
    if (d->mapping_free) {
        *out = &d->mapping[d->mapping_free - 1];
        d->mapping_free = (*out)->newer;
        return NW_OK;
    }
    if (d->mapping_count == d->mapping_capacity) {
        const uint32_t capacity = d->mapping_capacity ? d->mapping_capacity * 2 : 1024;
        struct mapping *more = capacity > d->mapping_capacity ? realloc(d->mapping, capacity * sizeof *more) : NULL;
        if (!more)
            return nw_fail_nomem(err, "the list of DMA mappings");
        d->mapping = more;
        d->mapping_capacity = capacity;
    }
    *out = &d->mapping[d->mapping_count++];
    return NW_OK;
}

void mapping_free(struct nw_dma *d, struct dma_device *v, struct mapping *m)
{
    const uint64_t *known = page_map_find(&v->by_iova, m->iova);
    if (known && *known == mapping_index(d, m))
        page_map_remove(&v->by_iova, m->iova);
    *m = (struct mapping){ .newer = d->mapping_free };
    d->mapping_free = mapping_index(d, m);
}

/* ---- drivers ---- */

static enum nw_status map_new(struct nw_dma *d, struct dma_device *v, const struct mapping *buffer,
                              struct nw_dma_mapping *out, struct nw_error *err)
{
    struct mapping *m;
    uint64_t *known;
    enum nw_status s = mapping_new(d, &m, err);
    if (s)
        return s;
    *m = *buffer;
    m->iova = UINT64_MAX - 1; /* none yet: above all addresses */
    if ((s = d->strategy->map(d, v, &m, &out->reused, err)))
        return s;
    out->mapped = m != NULL;
    if (!m) {
        d->counts.pool_full++;
        return NW_OK;
    }
    if ((s = page_map_make(&v->by_iova, m->iova, &known, err)))
        return s;
    if (*known && *known != mapping_index(d, m)) { /* the same buffer again, where its address names it */
        struct mapping *first = &d->mapping[*known - 1];
        first->bytes = m->bytes > first->bytes ? m->bytes : first->bytes;
        m->iova = UINT64_MAX - 1;
        mapping_free(d, v, m);
        m = first;
    }
    *known = mapping_index(d, m);
    m->users++;
    d->counts.reuses += out->reused;
    out->iova = m->iova + (d->strategy->by_byte ? 0 : buffer->address & (NW_PAGE_BYTES - 1));
    return NW_OK;
}

enum nw_status nw_dma_map(struct nw_dma *d, uint16_t bdf, uint64_t address, uint64_t bytes, enum nw_dma_rights rights,
                          struct nw_dma_mapping *out, struct nw_error *err)
{
    struct dma_device *v = device_of(d, bdf);
    enum nw_status s;
    *out = (struct nw_dma_mapping){ 0 };
    if (!bytes || bytes > BUFFER_BYTES_MAX || address >> 47 || !rights || rights & ~(unsigned)NW_DMA_BOTH)
        return nw_fail(
            err, NW_ERR_INPUT,
            "DMA mapping: %llu bytes at 0x%llx, rights %u; 1 byte to 1 GiB below 2^47 are allowed, rights 1 to 3",
            (unsigned long long)bytes, (unsigned long long)address, (unsigned)rights);
    if (!v && (s = attach(d, bdf, &v, err)))
        return s;
    const uint64_t first = address >> NW_PAGE_LOG2, last = (address + bytes - 1) >> NW_PAGE_LOG2;
    const struct mapping buffer = { .address = address, .bytes = bytes, .pages = last - first + 1, .rights = rights };
    d->counts.maps++;
    d->counts.mapped_pages += buffer.pages;
    return map_new(d, v, &buffer, out, err);
}

static struct mapping *mapping_at(const struct nw_dma *d, const struct dma_device *v, uint64_t iova)
{
    const uint64_t *known = page_map_find(&v->by_iova, d->strategy->by_byte ? iova : iova & ~(NW_PAGE_BYTES - 1));
    return known ? &d->mapping[*known - 1] : NULL;
}

static enum nw_status find(struct nw_dma *d, uint16_t bdf, uint64_t iova, struct dma_device **v, struct mapping **m,
                           struct nw_error *err)
{
    *v = device_of(d, bdf);
    *m = *v ? mapping_at(d, *v, iova) : NULL;
    if (*m && (*m)->users)
        return NW_OK;
    return nw_fail(err, NW_ERR_INPUT, "DMA mapping: nothing is mapped at 0x%llx for device %02x:%02x.%x",
                   (unsigned long long)iova, bdf >> 8, bdf >> 3 & 31, bdf & 7);
}

enum nw_status nw_dma_unmap(struct nw_dma *d, uint16_t bdf, uint64_t iova, struct nw_error *err)
{
    struct dma_device *v;
    struct mapping *m;
    enum nw_status s = find(d, bdf, iova, &v, &m, err);
    if (s)
        return s;
    d->counts.unmaps++;
    m->users--;
    if (m->users && d->strategy->passes_through && !d->strategy->sync)
        return NW_OK;
    return d->strategy->unmap(d, v, m, err);
}

enum nw_status nw_dma_sync(struct nw_dma *d, uint16_t bdf, uint64_t iova, uint64_t bytes, bool for_device,
                           struct nw_error *err)
{
    struct dma_device *v;
    struct mapping *m;
    enum nw_status s = find(d, bdf, iova, &v, &m, err);
    if (!s && d->strategy->sync)
        d->strategy->sync(d, m, bytes, for_device);
    return s;
}

/* ---- devices' accesses ---- */

void nw_dma_access(struct nw_dma *d, uint16_t bdf, uint64_t iova, uint64_t bytes, bool write, struct nw_dma_done *out)
{
    const uint64_t step = d->config.request_bytes;
    const uint64_t misses =
        nw_vtd_unit_counts(d->unit, NW_VTD_IOTLB).lookups - nw_vtd_unit_counts(d->unit, NW_VTD_IOTLB).hits;
    struct nw_vtd_request q = { .source_id = bdf, .kind = write ? NW_VTD_WRITE : NW_VTD_READ };
    *out = (struct nw_dma_done){ 0 };
    for (uint64_t at = iova, end = iova + bytes; at < end;) {
        const uint64_t next = (at | (step - 1)) + 1 < end ? (at | (step - 1)) + 1 : end;
        struct nw_vtd_result r;
        q.address = at;
        if (d->stale)
            nw_vtd_stale_bytes(d->stale, next - at);
        nw_vtd_unit_dma(d->unit, &q, &r);
        out->requests++;
        out->faults += r.fault.reason != 0;
        out->references += r.references;
        at = next;
    }
    out->misses =
        nw_vtd_unit_counts(d->unit, NW_VTD_IOTLB).lookups - nw_vtd_unit_counts(d->unit, NW_VTD_IOTLB).hits - misses;
    d->counts.accesses++;
    d->counts.accessed_bytes += bytes;
    d->counts.requests += out->requests;
    d->counts.faults += out->faults;
    d->counts.iotlb_misses += out->misses;
    d->counts.references += out->references;
}

/* ---- time ---- */

static enum nw_status work(struct nw_dma *d, bool all, struct nw_error *err)
{
    enum nw_status s = NW_OK;
    for (unsigned i = 0; !s && d->strategy->work && i < d->device_count; i++)
        s = d->strategy->work(d, d->device[i], all, err);
    return s;
}

enum nw_status nw_dma_time(struct nw_dma *d, uint64_t now_ns, struct nw_error *err)
{
    if (now_ns > d->now_ns)
        d->now_ns = now_ns;
    if (d->stale)
        nw_vtd_stale_time(d->stale, d->now_ns);
    return work(d, false, err);
}

enum nw_status nw_dma_flush(struct nw_dma *d, struct nw_error *err) { return work(d, true, err); }

struct nw_dma_counts nw_dma_counts(struct nw_dma *d)
{
    struct nw_dma_counts c = d->counts;
    for (unsigned i = 0; i < d->device_count; i++)
        c.table_pages += d->device[i]->builder.table_pages;
    if (d->stale)
        nw_vtd_stale_summary(d->stale, &c.stale);
    return c;
}
