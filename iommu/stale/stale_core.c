/* What DMA went by, against what the tables say: nestwalk/iommu/stale.h. */
#include "stale_core.h"

void iommu_stale_fini(struct iommu_stale *s) { iommu_stale_index_fini(&s->index); }

enum nw_status iommu_stale_status(const struct iommu_stale *s, struct nw_error *err)
{
    return s->no_memory ? nw_fail_nomem(err, "all pages that DMA has gone through") : NW_OK;
}

static bool leads_to(const struct iommu_fresh_walk *w, uint64_t hpa) { return !w->refused && w->hpa == hpa; }

static bool depend(struct iommu_stale *s, struct iommu_stale_page *p)
{
    return iommu_stale_depend(&s->index, p, s->fresh.word, s->fresh.words);
}

/* ---- exposures ---------------------------------------------------------------------------------- */

static void close_window(struct iommu_stale *s, const struct iommu_stale_page *p)
{
    uint64_t length = s->now_ns - p->since_ns;
    s->sums.windows++;
    s->sums.window_ns += length;
    s->sums.window_bytes += NW_BIT(p->log2);
    s->sums.used_windows += p->used;
    if (length > s->sums.window_max_ns)
        s->sums.window_max_ns = length;
}

/* Looks at each exposed page: is it one, and is it one still? */
void iommu_stale_settle(struct iommu_stale *s)
{
    struct iommu_stale_index *x = &s->index;
    for (uint32_t i = 0; i < x->exposed_count;) {
        struct iommu_stale_page *p = &x->page[x->exposed[i]];
        s->ops->walk(s->unit, &p->dma, &s->fresh);
        bool same = leads_to(&s->fresh, p->hpa);
        if (!same && s->ops->holds(s->unit, &p->dma, p->hpa, NW_BIT(p->log2))) {
            i++;
            continue;
        }
        if (!same)
            close_window(s, p);
        p->exposed = false;
        p->words_hash = 0; /* the next DMA tells anew what it depends on */
        p->generation++;
        if (same && !depend(s, p))
            s->no_memory = true;
        x->exposed[i] = x->exposed[--x->exposed_count];
    }
}

void iommu_stale_written(struct iommu_stale *s, uint64_t hpa, uint64_t now_ns)
{
    s->now_ns = now_ns;
    iommu_stale_expose(&s->index, hpa, now_ns);
}

void iommu_stale_sum(struct iommu_stale *s, struct nw_stale_summary *out)
{
    iommu_stale_settle(s);
    *out = s->sums;
    for (uint32_t i = 0; i < s->index.exposed_count; i++) {
        const struct iommu_stale_page *p = &s->index.page[s->index.exposed[i]];
        uint64_t length = s->now_ns - p->since_ns;
        out->open_pages++;
        out->open_bytes += NW_BIT(p->log2);
        out->used_windows += p->used;
        if (length > out->open_max_ns)
            out->open_max_ns = length;
    }
}

/* ---- uses --------------------------------------------------------------------------------------- */

static void remember(struct iommu_stale *s, const struct iommu_dma *d, uint64_t used, unsigned log2)
{
    struct iommu_stale_page *p = iommu_stale_make(&s->index, d, log2);
    if (!p) {
        s->no_memory = true;
        return;
    }
    uint64_t hpa = used & ~(NW_BIT(log2) - 1);
    if (p->exposed && p->hpa != hpa) /* the old translation may still be somewhere: iommu_stale_settle() finds out */
        return;
    bool write = p->dma.write || d->write;
    p->dma = *d;
    p->dma.write = write;
    p->dma.read = !write;
    p->dma.address = p->number << log2;
    p->hpa = hpa;
    if (!p->exposed && !depend(s, p))
        s->no_memory = true;
}

bool iommu_stale_check(struct iommu_stale *s, const struct iommu_dma *d, uint64_t hpa, unsigned log2,
                       struct iommu_stale_use *use)
{
    s->ops->walk(s->unit, d, &s->fresh);
    if (leads_to(&s->fresh, hpa)) {
        remember(s, d, hpa, log2);
        return false;
    }
    struct iommu_stale_page *p = iommu_stale_find(&s->index, d, log2);
    *use = (struct iommu_stale_use){ .page = d->address & ~(NW_BIT(log2) - 1), .page_bytes = NW_BIT(log2) };
    if (p && p->exposed) {
        p->used = true;
        use->since_known = true;
        use->since_ns = p->since_ns;
        use->age_ns = s->now_ns - p->since_ns;
    }
    s->sums.uses++;
    s->sums.used_bytes += s->bytes;
    if (use->age_ns > s->sums.longest_age_ns)
        s->sums.longest_age_ns = use->age_ns;
    return true;
}
