/* Devices that translate for themselves: ATS, page requests, and what the firmware says of them. */
#include "judge.h"
#include "topology.h"
#include <stdio.h>

/* Linux, drivers/iommu/intel/iommu.h, PRQ_DEPTH: slots of the queue. */
enum { PAGE_REQUEST_SLOTS = 2048 };
enum { SATC_ATC_REQUIRED = 1, PRS_OVERFLOW = 2 };
#define CONTEXT_DTE NW_BIT(2)

static bool lets_translated_pass(const struct nw_dump_context *c)
{
    return (c->context[0] & 1) && (c->has_pasid ? c->context[0] & CONTEXT_DTE : nw_field(c->context[0], 3, 2) == 1);
}

static void judge_function(struct judge *j, const struct nw_dump_function *f, const char *where)
{
    const struct nw_dump *d = j->d;
    const bool outside = nw_topology_is_external(d, f) && !f->pcie_port;
    if (outside && f->ats_on)
        nw_judge_add(j, G03, &f->place, where, "is outside, and has ATS on");
    for (size_t k = 0; !f->segment && k < d->contexts; k++) {
        const struct nw_dump_context *c = &d->context[k];
        if (c->source_id != f->bdf || !(c->context[0] & 1))
            continue;
        if (outside && lets_translated_pass(c)) {
            nw_judge_add(j, G03, &c->place, where, "is outside, and its context entry lets translated requests pass");
            break;
        }
        if (f->ats_on && !c->has_pasid && nw_field(c->context[0], 3, 2) != 1)
            nw_judge_add(j, G06, &f->place, where, "ATSCtl has Enable+, and TT is %u",
                         (unsigned)nw_field(c->context[0], 3, 2));
    }
    if (!f->pri_on)
        return;
    if (!f->pri_credits || f->pri_credits > PAGE_REQUEST_SLOTS)
        nw_judge_add(j, G05, &f->place, where, "page requests are on with %u of them allocated; 1 to %d can be queued",
                     f->pri_credits, PAGE_REQUEST_SLOTS);
    if (f->pasid_on && !f->pri_response_pasid)
        nw_judge_add(j, G05, &f->place, where,
                     "page requests and PASIDs are on, and responses to it may not have a PASID");
}

/* A unit has ATS, and devices behind ports do, and the firmware names no port. */
static void judge_unused(struct judge *j, const struct nw_dump_function *f, const char *where)
{
    const struct nw_dump *d = j->d;
    if (!d->has_dmar || d->port_lists || !f->has_ats || f->ats_on || !nw_topology_above(d, f))
        return;
    const size_t drhd = nw_topology_unit(d, f);
    for (size_t i = 0; drhd != SIZE_MAX && i < d->units; i++)
        if (d->unit[i].base == d->drhd[drhd].base && set(&d->unit[i], NW_DUMP_ECAP, NW_VTD_ECAP_DT))
            nw_judge_add(j, A02, &f->place, where, "%.60s: %s has ECAP.DT, and the table no ATSR and no SATC", f->what,
                         d->unit[i].name);
}

static const struct nw_dump_unit *legacy_unit(const struct nw_dump *d, const struct nw_dump_function *f)
{
    const size_t drhd = f ? nw_topology_unit(d, f) : SIZE_MAX;
    for (size_t i = 0; i < d->units; i++) {
        const struct nw_dump_unit *u = &d->unit[i];
        if ((drhd == SIZE_MAX || d->drhd[drhd].base == u->base) && u->has[NW_DUMP_RTADDR] &&
            nw_field(u->value[NW_DUMP_RTADDR], 11, 10) == NW_VTD_TTM_LEGACY && set(u, NW_DUMP_GSTS, GSTS_TES))
            return u;
    }
    return NULL;
}

static void judge_scope(struct judge *j, const struct nw_dump_scope *s)
{
    const struct nw_dump *d = j->d;
    const struct nw_dump_function *f = nw_topology_resolve(d, s);
    const struct nw_dump_unit *u;
    char where[64], name[8];
    nw_judge_name(s->bdf, name);
    snprintf(where, sizeof where, "%s scope %s", nw_dmar_type_name((uint16_t)s->of), name);
    if (s->of == NW_DMAR_ATSR && s->type == NW_DMAR_SCOPE_BRIDGE && d->functions) {
        if (!f && !s->deep)
            nw_judge_add_as(j, NW_IOMMU_INFO, A01, &s->place, where, "no such port is shown");
        else if (f && f->has_capabilities && f->express != NW_EXPRESS_ROOT_PORT)
            nw_judge_add(j, A01, &s->place, where, "is no root port");
    }
    if (s->of == NW_DMAR_SATC && (d->ports[s->owner].flags & SATC_ATC_REQUIRED) && (u = legacy_unit(d, f)) != NULL)
        nw_judge_add(j, A03, &s->place, where, "ATC_REQUIRED is set, and %s is in legacy mode", u->name);
}

void nw_judge_ats(struct judge *j)
{
    const struct nw_dump *d = j->d;
    for (size_t i = 0; i < d->functions; i++) {
        char where[16];
        nw_judge_function(&d->function[i], where);
        judge_function(j, &d->function[i], where);
        judge_unused(j, &d->function[i], where);
    }
    for (size_t i = 0; i < d->scopes; i++)
        judge_scope(j, &d->scope[i]);
    for (size_t i = 0; i < d->units; i++)
        if (set(&d->unit[i], NW_DUMP_PRS, PRS_OVERFLOW))
            nw_judge_add(j, G05, &d->unit[i].at[NW_DUMP_PRS], d->unit[i].name,
                         "PRS is 0x%llx: PRO, page requests were lost",
                         (unsigned long long)d->unit[i].value[NW_DUMP_PRS]);
}
