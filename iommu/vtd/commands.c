/* Global commands and register-based invalidation: VT-d, "Global Command Register", "Context Command Register",
 * "IOTLB Invalidate Register". */
#include "flight.h"
#include "stale.h"

void vtd_command(struct nw_vtd_unit *u, uint64_t gcmd)
{
    const struct nw_vtd_capabilities *c = &u->config.unit;
    const uint64_t persistent = NW_VTD_GCMD_TE | (c->ecap & NW_VTD_ECAP_QI ? NW_VTD_GCMD_QIE : 0) |
                                (c->ecap & NW_VTD_ECAP_IR ? NW_VTD_GCMD_IRE | NW_VTD_GCMD_CFI : 0);
    uint64_t old = u->gsts;
    u->gsts = (old & ~persistent) | (gcmd & persistent);
    if (gcmd & NW_VTD_GCMD_SRTP) {
        u->tables.rtaddr = u->rtaddr;
        u->gsts |= NW_VTD_GCMD_SRTP;
        if (c->cap & NW_VTD_CAP_ESRTPS) { /* enhanced: with global invalidations */
            const struct vtd_cover all = { 0 };
            vtd_invalidate_context(&u->caches, &all);
            vtd_invalidate_pasid(&u->caches, &all);
            vtd_invalidate_iotlb(&u->caches, &all);
        }
    }
    if ((gcmd & NW_VTD_GCMD_SIRTP) && (c->ecap & NW_VTD_ECAP_IR)) {
        u->tables.irta = u->irta;
        if (!(c->ecap & NW_VTD_ECAP_EIM))
            u->tables.irta &= ~NW_BIT(11);
        u->gsts |= NW_VTD_GCMD_SIRTP;
        if (c->cap & NW_VTD_CAP_ESIRTPS)
            vtd_invalidate_interrupts(&u->caches, 0, UINT32_MAX);
    }
    u->tables.compatible_format = u->gsts & NW_VTD_GCMD_CFI;
    vtd_settle(u);
    /* The queue begins at its first descriptor each time it is turned on. */
    if (~old & u->gsts & NW_VTD_GCMD_QIE) {
        u->iqh = 0;
        vtd_queue_run(u);
    }
    if (old & ~u->gsts & NW_VTD_GCMD_QIE)
        u->iqh = 0;
}

/* Register-based invalidation is for legacy mode, and for when the queue is off. */
static bool registers_invalidate(const struct nw_vtd_unit *u)
{
    return !(u->gsts & NW_VTD_GCMD_QIE) && nw_field(u->tables.rtaddr, 11, 10) == NW_VTD_TTM_LEGACY;
}

enum { GLOBAL = 1, DOMAIN, NARROW };

void vtd_context_command(struct nw_vtd_unit *u)
{
    static const uint16_t function_mask[4] = { 0, 4, 6, 7 }; /* FM: function-number bits that are not compared */
    if (!(u->ccmd & NW_BIT(63)))
        return;
    unsigned asked = (unsigned)nw_field(u->ccmd, 62, 61), done = registers_invalidate(u) ? asked : 0;
    if (done == DOMAIN && u->config.context_global_domain)
        done = GLOBAL;
    struct vtd_cover v = { .by_domain = done >= DOMAIN,
                           .domain_id = (uint16_t)u->ccmd,
                           .by_source = asked == NARROW,
                           .source_id = (uint16_t)nw_field(u->ccmd, 31, 16),
                           .source_ignored = function_mask[nw_field(u->ccmd, 33, 32)] };
    if (done)
        vtd_invalidate_context(&u->caches, &v);
    vtd_settle(u);
    /* ICC goes; CAIG says what has been done, 0 is nothing. */
    u->ccmd = (u->ccmd & ~(NW_BIT(63) | nw_mask(60, 59))) | (uint64_t)done << 59;
}

void vtd_iotlb_command(struct nw_vtd_unit *u)
{
    if (!(u->iotlb & NW_BIT(63)))
        return;
    unsigned asked = (unsigned)nw_field(u->iotlb, 61, 60), done = registers_invalidate(u) ? asked : 0;
    unsigned am = (unsigned)nw_field(u->iva, 5, 0), most = (unsigned)nw_field(u->config.unit.cap, 53, 48);
    if (done == NARROW && (!(u->config.unit.cap & NW_VTD_CAP_PSI) || am > most))
        done = DOMAIN; /* a unit may do more than it was asked to */
    struct vtd_cover v = { .by_domain = done >= DOMAIN, .domain_id = (uint16_t)nw_field(u->iotlb, 47, 32) };
    if (done == NARROW) {
        v.by_address = true;
        vtd_pages(u->iva & nw_mask(63, 12), am, &v.start, &v.last);
        v.paging_entries_stay = u->iva & NW_BIT(6);
    }
    if (done)
        vtd_invalidate_iotlb(&u->caches, &v);
    if (done)
        vtd_flight_drain(&u->flight, (u->iotlb & NW_BIT(49)) && (u->config.unit.cap & NW_VTD_CAP_DRD),
                         (u->iotlb & NW_BIT(48)) && (u->config.unit.cap & NW_VTD_CAP_DWD));
    vtd_settle(u);
    u->iotlb = (u->iotlb & ~(NW_BIT(63) | nw_mask(58, 57))) | (uint64_t)done << 57;
}
