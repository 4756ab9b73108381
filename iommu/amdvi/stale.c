/* The detector of stale mappings of an AMD IOMMU: nestwalk/iommu/amdvi_stale.h. What is AMD-Vi's is how to ask the tables, the unit
 * and its devices. */
#include "../stale/stale_core.h"
#include "endpoint.h"
#include <stdlib.h>

struct nw_amdvi_stale {
    struct nw_amdvi_unit *u;
    nw_amdvi_stale_fn on_use;
    void *context;
    struct iommu_stale core;
    struct nw_amdvi_watch watch;
};

/* ---- questions ---------------------------------------------------------------------------------- */

static struct nw_amdvi_request request_of(const struct iommu_dma *d)
{
    return (struct nw_amdvi_request){ .device_id = d->source_id,
                                      .address = d->address,
                                      .kind = !d->write ? NW_AMDVI_READ
                                              : d->read ? NW_AMDVI_ATOMIC
                                                        : NW_AMDVI_WRITE,
                                      .has_pasid = d->has_pasid,
                                      .pasid = d->pasid,
                                      .privileged = d->privileged,
                                      .execute = d->execute };
}

/* What the tables say now, with the words that they say it by in s->watch. */
static void walk_anew(struct nw_amdvi_stale *s, const struct nw_amdvi_request *q, struct nw_amdvi_result *out)
{
    struct nw_amdvi_tables t = s->u->tables;
    struct amdvi_walk w = { .t = &t, .q = q, .looks_only = true };
    s->watch.count = 0;
    t.watch = &s->watch;
    amdvi_translate(&w, out);
}

static void walk(void *context, const struct iommu_dma *d, struct iommu_fresh_walk *out)
{
    struct nw_amdvi_stale *s = context;
    const struct nw_amdvi_request q = request_of(d);
    struct nw_amdvi_result r;
    walk_anew(s, &q, &r);
    out->refused = r.event.code;
    out->hpa = r.hpa.v;
    out->words = s->watch.count < NW_AMDVI_READS_MAX ? s->watch.count : NW_AMDVI_READS_MAX;
    for (unsigned i = 0; i < out->words; i++)
        out->word[i] = s->watch.read[i].address;
}

/* What the unit would do, with its caches as they are and left so. */
static bool unit_lets(struct nw_amdvi_unit *u, const struct nw_amdvi_request *q, uint64_t hpa)
{
    struct amdvi_walk w = { .t = &u->tables, .q = q, .caches = &u->caches, .looks_only = true };
    struct nw_amdvi_result r;
    amdvi_caches_freeze(&u->caches, true);
    amdvi_translate(&w, &r);
    amdvi_caches_freeze(&u->caches, false);
    return !r.event.code && r.hpa.v == hpa;
}

/* Could the page's device still do a DMA by a translation of its own? */
static bool device_holds(struct nw_amdvi_unit *u, const struct iommu_dma *dma, uint64_t hpa)
{
    const struct nw_amdvi_device *d = amdvi_device_of(u, dma->source_id);
    struct nw_amdvi_request q = request_of(dma);
    const struct iommu_device_line *line = d ? iommu_device_tlb_peek(&d->tlb, dma, amdvi_need_of(&q)) : NULL;
    if (!line || iommu_device_line_hpa(line, dma->address) != hpa)
        return false;
    q.type = NW_AMDVI_TRANSLATED;
    q.address = hpa;
    return unit_lets(u, &q, hpa);
}

static bool holds(void *context, const struct iommu_dma *d, uint64_t hpa, uint64_t bytes)
{
    struct nw_amdvi_unit *u = ((struct nw_amdvi_stale *)context)->u;
    const struct nw_amdvi_request q = request_of(d);
    (void)bytes; /* a DMA reaches memory at once: none is under way */
    return (u->control & NW_AMDVI_CONTROL_IOMMU_EN) && (unit_lets(u, &q, hpa) || device_holds(u, d, hpa));
}

static const struct iommu_stale_ops ops = { .walk = walk, .holds = holds };

/* ---- life cycle --------------------------------------------------------------------------------- */

enum nw_status nw_amdvi_stale_create(struct nw_amdvi_stale **out, struct nw_amdvi_unit *u, nw_amdvi_stale_fn on_use,
                                     void *context, struct nw_error *err)
{
    if (u->stale)
        return nw_fail(err, NW_ERR_INPUT, "the remapping unit has a detector of stale mappings; one is allowed");
    struct nw_amdvi_stale *s = calloc(1, sizeof *s);
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

void nw_amdvi_stale_destroy(struct nw_amdvi_stale *s)
{
    if (!s)
        return;
    s->u->stale = NULL;
    iommu_stale_fini(&s->core);
    free(s);
}

void nw_amdvi_stale_time(struct nw_amdvi_stale *s, uint64_t now_ns) { s->core.now_ns = now_ns; }
void nw_amdvi_stale_bytes(struct nw_amdvi_stale *s, uint64_t bytes) { s->core.bytes = bytes; }
void nw_amdvi_stale_written(struct nw_amdvi_stale *s, uint64_t hpa, uint64_t now_ns)
{
    iommu_stale_written(&s->core, hpa, now_ns);
}
void nw_amdvi_stale_summary(struct nw_amdvi_stale *s, struct nw_stale_summary *out) { iommu_stale_sum(&s->core, out); }
enum nw_status nw_amdvi_stale_status(const struct nw_amdvi_stale *s, struct nw_error *err)
{
    return iommu_stale_status(&s->core, err);
}
void amdvi_stale_settle(struct nw_amdvi_stale *s) { iommu_stale_settle(&s->core); }

/* ---- uses --------------------------------------------------------------------------------------- */

void amdvi_stale_check(struct nw_amdvi_stale *s, const struct nw_amdvi_request *q, const struct nw_amdvi_result *used,
                       bool from_device)
{
    const struct iommu_dma d = amdvi_dma_of(q);
    const unsigned log2 = used->page_log2 < 64 ? used->page_log2 : NW_PAGE_LOG2; /* pass-through */
    struct iommu_stale_use stale;
    if (!iommu_stale_check(&s->core, &d, used->hpa.v, log2, &stale) || !s->on_use)
        return;
    struct nw_amdvi_stale_use use = { .request = *q,
                                      .from_device = from_device,
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
