/* The detector of stale mappings of a VT-d unit: nestwalk/iommu/vtd_stale.h. What is VT-d's is how to ask the tables, the unit and
 * its devices. */
#include "stale.h"
#include "../stale/stale_core.h"
#include "device.h"
#include "flight.h"
#include <stdlib.h>

struct nw_vtd_stale {
    struct nw_vtd_unit *u;
    nw_vtd_stale_fn on_use;
    void *context;
    struct iommu_stale core;
    struct nw_vtd_watch watch;
};

/* ---- questions ---------------------------------------------------------------------------------- */

static struct nw_vtd_request request_of(const struct iommu_dma *d)
{
    return (struct nw_vtd_request){ .source_id = d->source_id,
                                    .address = d->address,
                                    .kind = !d->write ? NW_VTD_READ
                                            : d->read ? NW_VTD_ATOMIC
                                                      : NW_VTD_WRITE,
                                    .zero_length = d->zero_length,
                                    .has_pasid = d->has_pasid,
                                    .pasid = d->pasid,
                                    .privileged = d->privileged,
                                    .execute = d->execute };
}

/* What the tables say now, with the words that they say it by in s->watch. */
static void walk_anew(struct nw_vtd_stale *s, const struct nw_vtd_request *q, struct nw_vtd_result *out)
{
    struct nw_vtd_tables t = s->u->tables;
    struct vtd_walk w;
    s->watch.count = 0;
    t.watch = &s->watch;
    vtd_walk_init(&w, &t, NULL);
    w.looks_only = true;
    vtd_translate(&w, q, out);
}

static void walk(void *context, const struct iommu_dma *d, struct iommu_fresh_walk *out)
{
    struct nw_vtd_stale *s = context;
    struct nw_vtd_result r;
    struct nw_vtd_request q = request_of(d);
    walk_anew(s, &q, &r);
    out->refused = r.fault.reason;
    out->hpa = r.hpa.v;
    out->words = s->watch.count < NW_VTD_READS_MAX ? s->watch.count : NW_VTD_READS_MAX;
    for (unsigned i = 0; i < out->words; i++)
        out->word[i] = s->watch.read[i].address;
}

/* What the unit would do, with its caches as they are and left so. */
static bool unit_lets(struct nw_vtd_unit *u, const struct nw_vtd_request *q, uint64_t hpa)
{
    struct vtd_walk w;
    struct nw_vtd_result r;
    vtd_walk_init(&w, &u->tables, &u->caches);
    w.looks_only = true;
    vtd_caches_freeze(&u->caches, true);
    vtd_translate(&w, q, &r);
    vtd_caches_freeze(&u->caches, false);
    return !r.fault.reason && r.hpa.v == hpa;
}

/* Could the page's device still do a DMA by a translation of its own? */
static bool device_holds(struct nw_vtd_unit *u, const struct iommu_dma *dma, uint64_t hpa)
{
    const struct nw_vtd_device *d = vtd_device_find(u, dma->source_id);
    struct nw_vtd_request q = request_of(dma);
    unsigned need = vtd_need_of(&q) & ~(unsigned)NW_VTD_RIGHT_DIRTY;
    const struct iommu_device_line *line = d ? iommu_device_tlb_peek(&d->tlb, dma, need) : NULL;
    if (!line || iommu_device_line_hpa(line, dma->address) != hpa)
        return false;
    q.type = NW_VTD_TRANSLATED;
    q.address = hpa;
    return unit_lets(u, &q, hpa);
}

static bool holds(void *context, const struct iommu_dma *d, uint64_t hpa, uint64_t bytes)
{
    struct nw_vtd_unit *u = ((struct nw_vtd_stale *)context)->u;
    const struct nw_vtd_request q = request_of(d);
    if (vtd_flight_holds(&u->flight, d->source_id, hpa, bytes))
        return true;
    return (u->gsts & NW_VTD_GCMD_TE) && (unit_lets(u, &q, hpa) || device_holds(u, d, hpa));
}

static const struct iommu_stale_ops ops = { .walk = walk, .holds = holds };

/* ---- life cycle --------------------------------------------------------------------------------- */

enum nw_status nw_vtd_stale_create(struct nw_vtd_stale **out, struct nw_vtd_unit *u, nw_vtd_stale_fn on_use,
                                   void *context, struct nw_error *err)
{
    if (u->stale)
        return nw_fail(err, NW_ERR_INPUT, "the remapping unit has a detector of stale mappings; one is allowed");
    struct nw_vtd_stale *s = calloc(1, sizeof *s);
    if (!s)
        return nw_fail_nomem(err, "a detector of stale mappings");
    s->u = u;
    s->on_use = on_use;
    s->context = context;
    s->core = (struct iommu_stale){ .ops = &ops, .unit = s };
    u->stale = s;
    *out = s;
    return NW_OK;
}

void nw_vtd_stale_destroy(struct nw_vtd_stale *s)
{
    if (!s)
        return;
    s->u->stale = NULL;
    iommu_stale_fini(&s->core);
    free(s);
}

void nw_vtd_stale_time(struct nw_vtd_stale *s, uint64_t now_ns) { s->core.now_ns = now_ns; }
void nw_vtd_stale_bytes(struct nw_vtd_stale *s, uint64_t bytes) { s->core.bytes = bytes; }
void nw_vtd_stale_written(struct nw_vtd_stale *s, uint64_t hpa, uint64_t now_ns)
{
    iommu_stale_written(&s->core, hpa, now_ns);
}
void nw_vtd_stale_summary(struct nw_vtd_stale *s, struct nw_stale_summary *out) { iommu_stale_sum(&s->core, out); }
enum nw_status nw_vtd_stale_status(const struct nw_vtd_stale *s, struct nw_error *err)
{
    return iommu_stale_status(&s->core, err);
}
void vtd_stale_settle(struct nw_vtd_stale *s) { iommu_stale_settle(&s->core); }

/* ---- uses --------------------------------------------------------------------------------------- */

void vtd_stale_check(struct nw_vtd_stale *s, const struct nw_vtd_request *q, const struct nw_vtd_result *used,
                     enum nw_vtd_stale_from from)
{
    const struct iommu_dma d = vtd_dma_of(q);
    const unsigned log2 = used->page_log2 < 64 ? used->page_log2 : NW_PAGE_LOG2; /* pass-through */
    struct iommu_stale_use stale;
    if (!iommu_stale_check(&s->core, &d, used->hpa.v, log2, &stale) || !s->on_use)
        return;
    struct nw_vtd_stale_use use = { .request = *q,
                                    .from = from,
                                    .used = *used,
                                    .time_ns = s->core.now_ns,
                                    .since_known = stale.since_known,
                                    .since_ns = stale.since_ns,
                                    .age_ns = stale.age_ns,
                                    .page = stale.page,
                                    .page_bytes = stale.page_bytes };
    walk_anew(s, q, &use.now);
    s->on_use(s->context, &use);
}
