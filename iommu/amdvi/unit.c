/* The unit put together: life cycle and requests. */
#include "endpoint.h"
#include <stdlib.h>

struct nw_amdvi_config nw_amdvi_config_default(struct nw_physmem *pm)
{
    return (struct nw_amdvi_config){
        /* HATS 6 levels, GATS 5 levels, GLX 2 levels, 16-bit PASIDs */
        .unit = { .efr = NW_AMDVI_EFR_PPR | NW_AMDVI_EFR_NX | NW_AMDVI_EFR_GT | NW_AMDVI_EFR_IA | NW_AMDVI_EFR_GA |
                         UINT64_C(2) << 10 | UINT64_C(1) << 12 | UINT64_C(1) << 14 | UINT64_C(15) << 32 |
                         NW_AMDVI_EFR_GIO | NW_AMDVI_EFR_HA | NW_AMDVI_EFR_HD,
                  .pa_bits = 48 },
        .memory = { .pm = pm },
        .remote_iotlbs = true,
        .cache = { [NW_AMDVI_DEVICE_CACHE] = { .entries = 64, .ways = 4 },
                   [NW_AMDVI_GCR3_CACHE] = { .entries = 64, .ways = 4 },
                   [NW_AMDVI_IOTLB] = { .entries = 256, .ways = 4 },
                   [NW_AMDVI_PDE_CACHE] = { .entries = 64, .ways = 4 },
                   [NW_AMDVI_INTERRUPT_CACHE] = { .entries = 64, .ways = 4 } },
    };
}

enum nw_status nw_amdvi_unit_create(struct nw_amdvi_unit **out, const struct nw_amdvi_config *config,
                                    struct nw_error *err)
{
    enum nw_status s = nw_amdvi_capabilities_check(&config->unit, err);
    if (s)
        return s;
    if (config->unit.efr & (NW_AMDVI_EFR_PREF | NW_AMDVI_EFR_DEV_TBL_SEG))
        return nw_fail(err, NW_ERR_INPUT,
                       "AMD-Vi: EFR.PreFSup is %u and EFR.DevTblSegSup %u; prefetches and device table segments are "
                       "not modelled: both must be 0",
                       (unsigned)nw_field(config->unit.efr, 0, 0), (unsigned)nw_field(config->unit.efr, 39, 38));
    struct nw_amdvi_unit *u = calloc(1, sizeof *u);
    if (!u)
        return nw_fail_nomem(err, "a remapping unit");
    u->config = *config;
    u->tables = (struct nw_amdvi_tables){ .unit = config->unit, .memory = config->memory };
    u->tables.unit.efr &= ~NW_AMDVI_EFR_GT; /* until GTEn */
    if ((s = amdvi_caches_init(&u->caches, config->cache, err))) {
        free(u);
        return s;
    }
    *out = u;
    return NW_OK;
}

void nw_amdvi_unit_destroy(struct nw_amdvi_unit *u)
{
    if (!u)
        return;
    amdvi_caches_fini(&u->caches);
    free(u);
}

/* ---- requests ----------------------------------------------------------------------------------- */

void nw_amdvi_unit_dma(struct nw_amdvi_unit *u, const struct nw_amdvi_request *q, struct nw_amdvi_result *out)
{
    if (!(u->control & NW_AMDVI_CONTROL_IOMMU_EN)) {
        *out = (struct nw_amdvi_result){ .hpa = nw_hpa(q->address),
                                         .page_log2 = 64,
                                         .rights = NW_AMDVI_RIGHT_READ | NW_AMDVI_RIGHT_WRITE };
        return;
    }
    struct amdvi_walk w = { .t = &u->tables, .q = q, .caches = &u->caches };
    amdvi_translate(&w, out);
    if (out->event.code && out->event.logged)
        amdvi_log(u, &out->event);
    if (NW_UNLIKELY(u->stale != NULL) && !out->event.code && q->type == NW_AMDVI_UNTRANSLATED)
        amdvi_stale_check(u->stale, q, out, false);
}

void nw_amdvi_unit_interrupt(struct nw_amdvi_unit *u, const struct nw_amdvi_interrupt_request *q,
                             struct nw_amdvi_interrupt *out)
{
    if (!(u->control & NW_AMDVI_CONTROL_IOMMU_EN)) {
        amdvi_interrupt_passed(q, out);
        return;
    }
    amdvi_interrupt(&u->tables, &u->caches, q, out);
    if (out->event.code && out->event.logged)
        amdvi_log(u, &out->event);
}

/* ---- page requests ------------------------------------------------------------------------------ */

/* An entry of the page request log; flags of bits 59:48. */
enum { PPR_EXECUTE = 0x002, PPR_READ = 0x004, PPR_WRITE = 0x020, PPR_USER = 0x040, PPR_GN = 0x100 };
#define PAGE_SERVICE_REQUEST UINT64_C(1)

static void page_request_record(const struct nw_amdvi_page_request *q, uint64_t out[2])
{
    const uint64_t flags = (q->execute ? PPR_EXECUTE : 0u) | (q->read ? PPR_READ : 0u) | (q->write ? PPR_WRITE : 0u) |
                           (q->privileged ? 0u : PPR_USER) | (q->has_pasid ? PPR_GN : 0u);
    const uint64_t pasid = q->has_pasid ? nw_field(q->pasid, 15, 0) << 16 | nw_field(q->pasid, 19, 16) << 42 : 0;
    out[0] = q->device_id | pasid | (uint64_t)(q->tag & 0x3ff) << 32 | flags << 48 | PAGE_SERVICE_REQUEST << 60;
    out[1] = q->address & nw_mask(63, 12);
}

/* May the device ask? False: the event, when the device table entry says no. */
static bool may_ask(struct nw_amdvi_unit *u, const struct nw_amdvi_page_request *q, struct nw_amdvi_event *e)
{
    const struct nw_amdvi_request as_dma = { .device_id = q->device_id, .address = q->address };
    struct amdvi_walk w = { .t = &u->tables, .q = &as_dma, .caches = &u->caches };
    *e = (struct nw_amdvi_event){ 0 };
    if (!amdvi_find_device(&w, e))
        return false;
    if ((w.dte[0] & (DTE_V | DTE_TV)) == (DTE_V | DTE_TV) && (w.dte[0] & DTE_PPR_ENABLE))
        return true;
    *e = (struct nw_amdvi_event){ .code = NW_AMDVI_INVALID_PPR_REQUEST,
                                  .logged = true,
                                  .device_id = q->device_id,
                                  .pasid = q->has_pasid ? q->pasid : 0,
                                  .flags = q->has_pasid ? NW_AMDVI_FLAG_GN : 0,
                                  .address = q->address & nw_mask(63, 12) };
    return false;
}

bool nw_amdvi_unit_page_request(struct nw_amdvi_unit *u, const struct nw_amdvi_page_request *q,
                                struct nw_amdvi_page_response *response)
{
    const uint64_t on = NW_AMDVI_CONTROL_IOMMU_EN | NW_AMDVI_CONTROL_PPR_EN;
    uint64_t entry[2];
    struct nw_amdvi_event e = { 0 };
    *response = (struct nw_amdvi_page_response){ .device_id = q->device_id,
                                                 .tag = q->tag,
                                                 .has_pasid = q->has_pasid,
                                                 .pasid = q->pasid,
                                                 .code = NW_AMDVI_PAGE_INVALID };
    if ((u->control & on) != on || !(u->config.unit.efr & NW_AMDVI_EFR_PPR))
        return false;
    if (!may_ask(u, q, &e)) {
        if (e.logged)
            amdvi_log(u, &e);
        return false;
    }
    page_request_record(q, entry);
    response->code = NW_AMDVI_PAGE_FAILURE;
    return amdvi_log_page_request(u, entry);
}

void nw_amdvi_unit_flush(struct nw_amdvi_unit *u)
{
    amdvi_invalidate_all(&u->caches);
    if (u->stale)
        amdvi_stale_settle(u->stale);
}

struct nw_iommu_cache_counts nw_amdvi_unit_counts(const struct nw_amdvi_unit *u, enum nw_amdvi_cache cache)
{
    return u->caches.cache[cache].counts;
}
