/* Context, PASID-table and interrupt entries of two dumps: which were changed, and whether the unit has been told. */
#include "changes.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- context and PASID-table entries ------------------------------------------------------------- */

/* The unit's entries are in the dump at all. */
static bool has_unit(const struct nw_dump *d, const char *unit)
{
    for (size_t i = 0; i < d->contexts; i++)
        if (!strcmp(d->context[i].unit, unit))
            return true;
    return false;
}

static bool names_source(const struct nw_vtd_descriptor *v, uint16_t source_id)
{
    return !v->by_source || !((v->source_id ^ source_id) & (uint16_t)~v->source_ignored);
}

/* The first descriptor at or behind `from` that invalidates what is asked for; e.count: there is none. */
enum wanted { CONTEXT_CACHE, PASID_CACHE, WHOLE_IOTLB, DEVICE_TLB };
static unsigned find(const struct unit_queue *u, enum wanted what, const struct domain *d, uint16_t source_id,
                     unsigned from)
{
    for (unsigned n = from; n < u->e.count; n++) {
        const struct nw_vtd_descriptor *v = &u->done[n];
        bool hit = false;
        switch (what) {
        case CONTEXT_CACHE:
            hit = v->type == NW_VTD_INVALIDATE_CONTEXT && names_source(v, source_id) && nw_changes_names(v, d);
            break;
        case PASID_CACHE: hit = v->type == NW_VTD_INVALIDATE_PASID_CACHE && nw_changes_names(v, d); break;
        case WHOLE_IOTLB:
            hit = (v->type == NW_VTD_INVALIDATE_IOTLB || v->type == NW_VTD_INVALIDATE_PASID_IOTLB) && !v->by_address &&
                  nw_changes_names(v, d);
            break;
        default:
            hit = (v->type == NW_VTD_INVALIDATE_DEVICE_TLB || v->type == NW_VTD_INVALIDATE_PASID_DEVICE_TLB) &&
                  v->source_id == source_id && (!v->by_pasid || v->pasid == d->pasid);
        }
        if (hit)
            return n;
    }
    return u->e.count;
}

static bool ats_on(const struct nw_dump_context *x)
{
    return x->has_pasid ? x->context[0] & NW_BIT(2) /* DTE */ : nw_field(x->context[0], 3, 2) == 1;
}

/* What of the invalidations that the change takes is not there; NULL: nothing. */
static const char *missing(const struct unit_queue *u, const struct nw_dump_context *x, bool context_changed,
                           const struct domain *d)
{
    /* The context cache of scalable mode is tagged by no domain id. */
    const struct domain any = { .pasid = d->pasid };
    unsigned at = 0;
    if (context_changed && (at = find(u, CONTEXT_CACHE, x->has_pasid ? &any : d, x->source_id, 0)) == u->e.count)
        return "the context cache";
    if (x->has_pasid && (at = find(u, PASID_CACHE, d, x->source_id, at)) == u->e.count)
        return "the PASID cache";
    if (find(u, WHOLE_IOTLB, d, x->source_id, at) == u->e.count)
        return "the IOTLB by domain, after that of the entry's cache";
    if (ats_on(x) && find(u, DEVICE_TLB, d, x->source_id, at) == u->e.count)
        return "the device's TLB";
    return NULL;
}

static void name_context(const struct nw_dump_context *x, char where[96])
{
    char name[8];
    nw_judge_name(x->source_id, name);
    snprintf(where, 96, "%s %s", x->unit, name);
    if (x->has_pasid)
        snprintf(where + strlen(where), 96 - strlen(where), " PASID 0x%x", x->pasid);
}

static void judge_context(struct changes *c, const struct nw_dump_context *x)
{
    const struct nw_dump_context *now = nw_changes_context(c->now, x);
    if (!has_unit(c->now, x->unit))
        return;
    const bool context_changed = !now || memcmp(now->context, x->context, sizeof x->context) != 0;
    if (!context_changed && !memcmp(now->entry, x->entry, sizeof x->entry))
        return;
    const struct domain d = nw_changes_domain(c->old, x->source_id, x->has_pasid, x->pasid);
    struct unit_queue *u = nw_changes_queue(c, x->unit);
    enum nw_iommu_severity severity = NW_IOMMU_ERROR;
    char where[96];
    if (!u)
        return;
    const char *what = missing(u, x, context_changed, &d);
    if (!what || !nw_changes_weigh(u, "entries", &severity))
        return;
    name_context(x, where);
    nw_judge_add_as(c->j, severity, Q05, &u->e.now.place, where,
                    "the entry of domain 0x%x %s, and the queue has no invalidation of %s%s", d.id,
                    now ? "was changed" : "is gone", what, nw_changes_surely(u));
}

/* Caching mode: what was not present is cached, too, under domain 0. */
static void judge_new_context(struct changes *c, const struct nw_dump_context *x)
{
    const struct nw_dump_unit *registers = nw_judge_unit(c->now, x->unit);
    if (nw_changes_context(c->old, x) || !has_unit(c->old, x->unit) || !registers ||
        !set(registers, NW_DUMP_CAP, NW_VTD_CAP_CM))
        return;
    const struct domain any = { .pasid = x->pasid };
    struct unit_queue *u = nw_changes_queue(c, x->unit);
    enum nw_iommu_severity severity = NW_IOMMU_WARNING;
    char where[96];
    if (!u || find(u, x->has_pasid ? PASID_CACHE : CONTEXT_CACHE, &any, x->source_id, 0) < u->e.count ||
        !nw_changes_weigh(u, "entries", &severity))
        return;
    name_context(x, where);
    nw_judge_add_as(c->j, severity, Q06, &u->e.now.place, where,
                    "the entry is new, and the queue has no invalidation of its cache, with CAP.CM set%s",
                    nw_changes_surely(u));
}

/* ---- interrupt remapping entries ----------------------------------------------------------------- */

static int by_index(const void *a, const void *b)
{
    const struct nw_dump_irte *x = *(const struct nw_dump_irte *const *)a, *y = *(const struct nw_dump_irte *const *)b;
    const int unit = strcmp(x->unit, y->unit);
    return unit ? unit : x->index < y->index ? -1 : x->index > y->index;
}

/* `now`: NULL, or what the entry is by now. */
static void judge_irte(struct changes *c, const struct nw_dump_irte *e, const struct nw_dump_irte *now)
{
    bool hit = false;
    if (now && !memcmp(now->word, e->word, sizeof e->word))
        return;
    struct unit_queue *u = nw_changes_queue(c, e->unit);
    enum nw_iommu_severity severity = NW_IOMMU_ERROR;
    char where[96];
    if (!u)
        return;
    for (unsigned n = 0; n < u->e.count && !hit; n++)
        hit = u->done[n].type == NW_VTD_INVALIDATE_INTERRUPTS && u->done[n].start <= e->index &&
              u->done[n].last >= e->index;
    if (hit || !nw_changes_weigh(u, "interrupt entries", &severity))
        return;
    snprintf(where, sizeof where, "%s entry %u", e->unit, e->index);
    nw_judge_add_as(c->j, severity, Q07, &u->e.now.place, where,
                    "the interrupt entry %s, and the queue has no invalidation of it%s",
                    now ? "was changed" : "is gone", nw_changes_surely(u));
}

static void judge_irtes(struct changes *c)
{
    const struct nw_dump_irte **at = malloc((c->now->irtes + 1) * sizeof *at);
    c->j->no_memory |= !at;
    for (size_t i = 0; at && i < c->now->irtes; i++)
        at[i] = &c->now->irte[i];
    if (at && c->now->irtes) /* else the later dump does not have the table */
        qsort(at, c->now->irtes, sizeof *at, by_index);
    for (size_t i = 0; at && c->now->irtes && i < c->old->irtes && !c->j->no_memory; i++) {
        const struct nw_dump_irte *e = &c->old->irte[i];
        const struct nw_dump_irte **found = bsearch(&e, at, c->now->irtes, sizeof *at, by_index);
        judge_irte(c, e, found ? *found : NULL);
    }
    free(at);
}

void nw_changes_entries(struct changes *c)
{
    for (size_t i = 0; i < c->old->contexts && !c->j->no_memory; i++)
        judge_context(c, &c->old->context[i]);
    for (size_t i = 0; i < c->now->contexts && !c->j->no_memory; i++)
        judge_new_context(c, &c->now->context[i]);
    judge_irtes(c);
}
