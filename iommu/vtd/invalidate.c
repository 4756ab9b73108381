/* What an invalidation takes from the caches: VT-d, "Invalidation of Translation Caches". */
#include "caches.h"

static bool domain_covers(const struct iommu_line *line, const struct vtd_cover *v)
{
    return !v->by_domain || line->domain_id == v->domain_id;
}

/* A scalable-mode context entry has no domain id: a domain-selective invalidation takes it whatever the domain. A
 * device-selective one goes by the source id alone. */
static bool context_covers(struct iommu_key key, const struct iommu_line *line, const void *what)
{
    const struct vtd_cover *v = what;
    (void)key;
    if (v->by_source)
        return !((line->source_id ^ v->source_id) & (uint16_t)~v->source_ignored);
    return line->scalable || domain_covers(line, v);
}

static bool pasid_covers(struct iommu_key key, const struct iommu_line *line, const void *what)
{
    const struct vtd_cover *v = what;
    (void)key;
    return domain_covers(line, v) && (!v->by_pasid || line->pasid == v->pasid);
}

/* Page-selective invalidation without a PASID names addresses of the second stage: of first-stage and nested translations
 * it takes all that the domain has. With a PASID it names addresses of the first stage, and takes nothing of second-stage
 * domains. */
static bool iotlb_covers(struct iommu_key key, const struct iommu_line *line, const void *what)
{
    const struct vtd_cover *v = what;
    if (!domain_covers(line, v) || (v->by_pasid && line->pasid != v->pasid))
        return false;
    if (!v->by_address)
        return true;
    return v->first_only ? line->first && iommu_meets(key, line, v->start, v->last)
                         : line->first || iommu_meets(key, line, v->start, v->last);
}

static bool paging_covers(struct iommu_key key, const struct iommu_line *line, const void *what)
{
    const struct vtd_cover *v = what;
    if (v->paging_entries_stay || !domain_covers(line, v))
        return false;
    if (!line->first) /* a table of the second stage serves all PASIDs */
        return !v->first_only && (!v->by_address || iommu_meets(key, line, v->start, v->last));
    return (!v->by_pasid || line->pasid == v->pasid) && (!v->first_only || iommu_meets(key, line, v->start, v->last));
}

void vtd_invalidate_context(struct vtd_caches *c, const struct vtd_cover *v)
{
    iommu_sweep(&c->cache[NW_VTD_CONTEXT_CACHE], context_covers, v);
}

void vtd_invalidate_pasid(struct vtd_caches *c, const struct vtd_cover *v)
{
    iommu_sweep(&c->cache[NW_VTD_PASID_CACHE], pasid_covers, v);
}

void vtd_invalidate_iotlb(struct vtd_caches *c, const struct vtd_cover *v)
{
    iommu_sweep(&c->cache[NW_VTD_IOTLB], iotlb_covers, v);
    iommu_sweep(&c->cache[NW_VTD_PAGING_CACHE], paging_covers, v);
}

static bool index_covers(struct iommu_key key, const struct iommu_line *line, const void *what)
{
    const struct vtd_cover *v = what;
    (void)line;
    return key.a >= v->start && key.a <= v->last;
}

void vtd_invalidate_interrupts(struct vtd_caches *c, uint32_t first, uint32_t last)
{
    iommu_sweep(&c->cache[NW_VTD_INTERRUPT_CACHE], index_covers, &(struct vtd_cover){ .start = first, .last = last });
}
