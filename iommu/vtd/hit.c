/* The short way of a request that finds everything cached: what vtd_translate() comes to, without building what a walk needs. It
 * only looks until it is sure, so that giving up costs nothing but time. */
#include "caches.h"
#include "entries.h"

/* What a source's cached entries say. */
struct cached {
    int64_t context, pasid; /* places; pasid: IOMMU_ABSENT in legacy mode */
    uint64_t tag;
};

static bool find_legacy(const struct vtd_caches *c, const struct nw_vtd_tables *t, const struct nw_vtd_request *q,
                        struct cached *out)
{
    out->context = iommu_peek(&c->cache[NW_VTD_CONTEXT_CACHE], (struct iommu_key){ q->source_id, 2 });
    out->pasid = IOMMU_ABSENT;
    if (q->has_pasid || out->context == IOMMU_ABSENT)
        return false;
    const struct iommu_line *line = iommu_line_at(&c->cache[NW_VTD_CONTEXT_CACHE], (size_t)out->context);
    out->tag = vtd_tag(vtd_domain_id(&t->unit, CONTEXT_DID(line->word[1])), 0, false, false);
    return CONTEXT_TT(line->word[0]) != TT_PASS_THROUGH;
}

static bool find_scalable(const struct vtd_caches *c, const struct nw_vtd_request *q, struct cached *out)
{
    const struct iommu_array *contexts = &c->cache[NW_VTD_CONTEXT_CACHE], *pasids = &c->cache[NW_VTD_PASID_CACHE];
    out->context = iommu_peek(contexts, (struct iommu_key){ q->source_id, 4 });
    if (out->context == IOMMU_ABSENT)
        return false;
    const struct iommu_line *line = iommu_line_at(contexts, (size_t)out->context);
    /* Privileged and execute requests have rules of their own. */
    bool privileged = q->has_pasid ? q->privileged : line->word[1] & SCALABLE_RID_PRIV;
    uint32_t pasid = q->has_pasid ? q->pasid : SCALABLE_RID_PASID(line->word[1]);
    const struct vtd_scalable_context context = { { line->word[0] } };
    if (privileged || (q->has_pasid && !(line->word[0] & SCALABLE_PASIDE)) || pasid >= vtd_pasids_of(&context))
        return false;
    out->pasid = iommu_peek(pasids, (struct iommu_key){ q->source_id, pasid });
    if (out->pasid == IOMMU_ABSENT)
        return false;
    const uint64_t *word = iommu_line_at(pasids, (size_t)out->pasid)->word;
    out->tag = vtd_tag((uint16_t)PASID_DID(word[1]), pasid, false, true);
    return PASID_PGTT(word[0]) != PGTT_PASS_THROUGH;
}

static inline void count_hit(struct iommu_array *cache, int64_t at)
{
    cache->counts.lookups++;
    cache->counts.hits++;
    iommu_touch(cache, at);
}

static int64_t find_page(const struct vtd_caches *c, uint64_t tag, uint64_t address)
{
    static const uint8_t log2s[] = { NW_PAGE_LOG2, NW_PAGE_2M_LOG2, NW_PAGE_1G_LOG2 };
    for (unsigned i = 0; i < NW_ARRAY_LEN(log2s); i++) {
        unsigned log2 = log2s[i];
        if (!(c->cache[NW_VTD_IOTLB].sizes >> log2 & 1))
            continue;
        int64_t at =
            iommu_peek(&c->cache[NW_VTD_IOTLB], (struct iommu_key){ tag | (uint64_t)log2 << 40, address >> log2 });
        if (at != IOMMU_ABSENT)
            return at;
    }
    return IOMMU_ABSENT;
}

bool vtd_hit(struct vtd_caches *c, const struct nw_vtd_tables *t, const struct nw_vtd_request *q,
             struct nw_vtd_result *out)
{
    struct iommu_array *iotlb = &c->cache[NW_VTD_IOTLB];
    struct cached found;
    if (q->type != NW_VTD_UNTRANSLATED || q->execute || c->tags_source)
        return false;
    const unsigned mode = (unsigned)nw_field(t->rtaddr, 11, 10);
    if (mode == NW_VTD_TTM_LEGACY ? !find_legacy(c, t, q, &found)
                                  : mode != NW_VTD_TTM_SCALABLE || !find_scalable(c, q, &found))
        return false;
    int64_t at = find_page(c, found.tag, q->address);
    if (at == IOMMU_ABSENT)
        return false;
    const struct iommu_line *line = iommu_line_at(iotlb, (size_t)at);
    const unsigned need = vtd_need_of(q);
    const uint64_t hpa = line->word[0] | (q->address & (NW_BIT(line->log2) - 1));
    if ((line->word[1] & need) != need || nw_vtd_interrupt_range(hpa))
        return false;
    count_hit(&c->cache[NW_VTD_CONTEXT_CACHE], found.context);
    if (found.pasid != IOMMU_ABSENT)
        count_hit(&c->cache[NW_VTD_PASID_CACHE], found.pasid);
    count_hit(iotlb, at);
    *out = (struct nw_vtd_result){ .fault = { .level = -1, .address = q->address & ~nw_mask(11, 0) } };
    vtd_take(line, q->address, out);
    return true;
}
