/* The unit put together: life cycle, requests, and the register map. */
#include "unit.h"
#include "flight.h"
#include "interrupt.h"
#include "stale.h"
#include <stdlib.h>

struct nw_vtd_config nw_vtd_config_default(struct nw_physmem *pm)
{
    /* ND 6, SAGAW 39 and 48, MGAW 48, FRO 0x220, 2 MiB and 1 GiB, PSI, NFR 8, MAMV 18, DWD, DRD, FL1GP, PI */
    return (struct nw_vtd_config){
        .unit = { .cap = UINT64_C(0x09d2078c222f0606), .ecap = UINT64_C(0x0001ed9cc4f00f5e), .haw = 48 },
        .memory = { .pm = pm },
        .version = 0x40,
        .cache = { [NW_VTD_CONTEXT_CACHE] = { .entries = 64, .ways = 4 },
                   [NW_VTD_PASID_CACHE] = { .entries = 64, .ways = 4 },
                   [NW_VTD_IOTLB] = { .entries = 256, .ways = 4 },
                   [NW_VTD_PAGING_CACHE] = { .entries = 64, .ways = 4 },
                   [NW_VTD_INTERRUPT_CACHE] = { .entries = 64, .ways = 4 } },
    };
}

enum nw_status nw_vtd_unit_create(struct nw_vtd_unit **out, const struct nw_vtd_config *config, struct nw_error *err)
{
    const struct nw_vtd_capabilities *c = &config->unit;
    /* The registers at fixed places end here. */
    const unsigned fixed_end = c->ecap & NW_VTD_ECAP_PRS ? NW_VTD_PEUADDR + 4 : NW_VTD_IRTA + 8;
    unsigned records = nw_vtd_record_offset(c->cap, 0), records_end = records + nw_vtd_record_count(c->cap) * 16;
    unsigned iva = nw_vtd_iva_offset(c->ecap);
    enum nw_status s = nw_vtd_capabilities_check(c, err);
    if (s)
        return s;
    if (records < fixed_end || iva < fixed_end || (iva < records_end && iva + 16 > records))
        return nw_fail(err, NW_ERR_INPUT,
                       "VT-d: fault records at 0x%x to 0x%x and IVA at 0x%x; both must lie at 0x%x or above, apart",
                       records, records_end, iva, fixed_end);
    struct nw_vtd_unit *u = calloc(1, sizeof *u);
    if (!u)
        return nw_fail_nomem(err, "a remapping unit");
    u->config = *config;
    u->unanswered = -1;
    u->tables = (struct nw_vtd_tables){ .unit = config->unit, .memory = config->memory };
    u->fectl = u->iectl = u->pectl = EVENT_IM; /* events are masked at reset */
    if ((s = vtd_caches_init(&u->caches, config->cache, err)) ||
        (s = vtd_flight_init(&u->flight, config->under_way, err))) {
        nw_vtd_unit_destroy(u);
        return s;
    }
    u->caches.tags_source = config->tags_source;
    *out = u;
    return NW_OK;
}

void nw_vtd_unit_destroy(struct nw_vtd_unit *u)
{
    if (!u)
        return;
    vtd_caches_fini(&u->caches);
    vtd_flight_fini(&u->flight);
    free(u);
}

/* ---- requests ----------------------------------------------------------------------------------- */

/* Requests whose address nothing has remapped are held to the protected regions; of others the architecture leaves it to the
 * unit ("may or may not be blocked"), as the page tables can keep them out. */
static void hold_to_regions(const struct nw_vtd_unit *u, const struct nw_vtd_request *q, struct nw_vtd_result *out)
{
    bool remapped =
        (u->gsts & NW_VTD_GCMD_TE) && out->translation != NW_VTD_PASS_THROUGH && q->type != NW_VTD_TRANSLATED;
    if (!out->fault.reason && (!remapped || u->config.protects_remapped) && vtd_protected(u, out->hpa.v))
        out->fault = (struct nw_vtd_fault){ .reason = NW_VTD_PROTECTED_MEMORY,
                                            .level = -1,
                                            .address = q->address & nw_mask(63, 12) };
}

void nw_vtd_unit_dma(struct nw_vtd_unit *u, const struct nw_vtd_request *q, struct nw_vtd_result *out)
{
    if (!(u->gsts & NW_VTD_GCMD_TE)) {
        *out = (struct nw_vtd_result){ .fault.level = -1, .hpa = nw_hpa(q->address), .page_log2 = 64 };
        out->rights = NW_VTD_RIGHT_READ | NW_VTD_RIGHT_WRITE | NW_VTD_RIGHT_EXECUTE | NW_VTD_RIGHT_DIRTY;
    } else if (!vtd_hit(&u->caches, &u->tables, q, out)) {
        struct vtd_walk w;
        vtd_walk_init(&w, &u->tables, &u->caches);
        vtd_translate(&w, q, out);
        if (out->fault.reason && out->fault.recorded)
            vtd_record(u, &out->fault, q->source_id, q);
    }
    if (NW_UNLIKELY(u->pmen & NW_VTD_PMEN_PRS))
        hold_to_regions(u, q, out);
    if (NW_UNLIKELY(u->flight.most) && !out->fault.reason && q->type != NW_VTD_TRANSLATION_REQUEST)
        vtd_flight_add(&u->flight, q, out);
    if (NW_UNLIKELY(u->stale != NULL) && !out->fault.reason && q->type == NW_VTD_UNTRANSLATED &&
        (u->gsts & NW_VTD_GCMD_TE))
        vtd_stale_check(u->stale, q, out, NW_VTD_STALE_UNIT);
}

void nw_vtd_unit_interrupt(struct nw_vtd_unit *u, const struct nw_vtd_interrupt_request *q,
                           struct nw_vtd_interrupt *out)
{
    if (!(u->gsts & NW_VTD_GCMD_IRE)) {
        vtd_interrupt_compatible(q, out);
        return;
    }
    vtd_interrupt(&u->tables, &u->caches, q, out);
    if (out->fault.reason && out->fault.recorded)
        vtd_record(u, &out->fault, q->source_id, NULL);
}

void nw_vtd_unit_flush(struct nw_vtd_unit *u)
{
    const struct vtd_cover all = { 0 };
    vtd_invalidate_context(&u->caches, &all);
    vtd_invalidate_pasid(&u->caches, &all);
    vtd_invalidate_iotlb(&u->caches, &all);
    vtd_invalidate_interrupts(&u->caches, 0, UINT32_MAX);
    vtd_settle(u);
}

struct nw_iommu_cache_counts nw_vtd_unit_counts(const struct nw_vtd_unit *u, enum nw_vtd_cache cache)
{
    return u->caches.cache[cache].counts;
}
