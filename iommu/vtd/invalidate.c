/* What an invalidation takes from the caches: VT-d, "Invalidation of Translation Caches". */
#include "caches.h"

typedef bool (*covers_fn)(struct vtd_key key, const struct vtd_line *line, const struct vtd_cover *v);

static void sweep(struct vtd_caches *c, enum nw_vtd_cache which, covers_fn covers, const struct vtd_cover *v)
{
    struct vtd_cache *cache = &c->cache[which];
    for (size_t i = 0; i < (size_t)cache->sets * cache->ways; i++)
        if (cache->key[i].a != VTD_NO_KEY && covers(cache->key[i], vtd_line_at(cache, i), v)) {
            vtd_forget(c, which, i);
            cache->counts.invalidated++;
        }
}

static bool domain_covers(const struct vtd_line *line, const struct vtd_cover *v)
{
    return !v->by_domain || line->domain_id == v->domain_id;
}

/* A scalable-mode context entry has no domain id: a domain-selective invalidation takes it whatever the domain. A
 * device-selective one goes by the source id alone. */
static bool context_covers(struct vtd_key key, const struct vtd_line *line, const struct vtd_cover *v)
{
    (void)key;
    if (v->by_source)
        return !((line->source_id ^ v->source_id) & (uint16_t)~v->source_ignored);
    return line->scalable || domain_covers(line, v);
}

static bool pasid_covers(struct vtd_key key, const struct vtd_line *line, const struct vtd_cover *v)
{
    (void)key;
    return domain_covers(line, v) && (!v->by_pasid || line->pasid == v->pasid);
}

/* Does the line's region, the 2^log2 bytes numbered key.b, meet the addresses? */
static bool meets(struct vtd_key key, const struct vtd_line *line, const struct vtd_cover *v)
{
    uint64_t start = key.b << line->log2, last = start + (NW_BIT(line->log2) - 1);
    return start <= v->last && last >= v->start;
}

/* Page-selective invalidation without a PASID names addresses of the second stage: of first-stage and nested translations
 * it takes all that the domain has. With a PASID it names addresses of the first stage, and takes nothing of second-stage
 * domains. */
static bool iotlb_covers(struct vtd_key key, const struct vtd_line *line, const struct vtd_cover *v)
{
    if (!domain_covers(line, v) || (v->by_pasid && line->pasid != v->pasid))
        return false;
    if (!v->by_address)
        return true;
    return v->first_only ? line->first && meets(key, line, v) : line->first || meets(key, line, v);
}

static bool paging_covers(struct vtd_key key, const struct vtd_line *line, const struct vtd_cover *v)
{
    if (v->paging_entries_stay || !domain_covers(line, v))
        return false;
    if (!line->first) /* a table of the second stage serves all PASIDs */
        return !v->first_only && (!v->by_address || meets(key, line, v));
    return (!v->by_pasid || line->pasid == v->pasid) && (!v->first_only || meets(key, line, v));
}

void vtd_invalidate_context(struct vtd_caches *c, const struct vtd_cover *v)
{
    sweep(c, NW_VTD_CONTEXT_CACHE, context_covers, v);
}

void vtd_invalidate_pasid(struct vtd_caches *c, const struct vtd_cover *v)
{
    sweep(c, NW_VTD_PASID_CACHE, pasid_covers, v);
}

void vtd_invalidate_iotlb(struct vtd_caches *c, const struct vtd_cover *v)
{
    sweep(c, NW_VTD_IOTLB, iotlb_covers, v);
    sweep(c, NW_VTD_PAGING_CACHE, paging_covers, v);
}

static bool index_covers(struct vtd_key key, const struct vtd_line *line, const struct vtd_cover *v)
{
    (void)line;
    return key.a >= v->start && key.a <= v->last;
}

void vtd_invalidate_interrupts(struct vtd_caches *c, uint32_t first, uint32_t last)
{
    sweep(c, NW_VTD_INTERRUPT_CACHE, index_covers, &(struct vtd_cover){ .start = first, .last = last });
}
