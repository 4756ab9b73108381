/* Caches of a remapping unit: VT-d, "Caching Translation Information", "Tagging of Cached Translations". */
#include "caches.h"
#include <stdio.h>
#include <string.h>

const char *const nw_vtd_cache_name[NW_VTD_CACHES] = { "context cache", "PASID cache", "IOTLB",
                                                       "paging-structure cache", "interrupt entry cache" };

/* ---- life cycle --------------------------------------------------------------------------------- */

static const uint8_t words_of[NW_VTD_CACHES] = { [NW_VTD_CONTEXT_CACHE] = 4,
                                                 [NW_VTD_PASID_CACHE] = 8,
                                                 [NW_VTD_IOTLB] = 3,
                                                 [NW_VTD_PAGING_CACHE] = 4,
                                                 [NW_VTD_INTERRUPT_CACHE] = 2 };

enum nw_status vtd_caches_init(struct vtd_caches *c, const struct nw_iommu_cache_shape shape[NW_VTD_CACHES],
                               struct nw_error *err)
{
    memset(c, 0, sizeof *c);
    for (unsigned i = 0; i < NW_VTD_CACHES; i++) {
        char what[64];
        snprintf(what, sizeof what, "VT-d %s", nw_vtd_cache_name[i]);
        enum nw_status s = iommu_array_init(&c->cache[i], &shape[i], words_of[i], what, err);
        if (s) {
            vtd_caches_fini(c);
            return s;
        }
    }
    return NW_OK;
}

void vtd_caches_fini(struct vtd_caches *c)
{
    for (unsigned i = 0; i < NW_VTD_CACHES; i++)
        iommu_array_fini(&c->cache[i]);
}

void vtd_caches_freeze(struct vtd_caches *c, bool frozen)
{
    for (unsigned i = 0; i < NW_VTD_CACHES; i++)
        c->cache[i].frozen = frozen;
}

/* ---- context and PASID entries, interrupt entries ----------------------------------------------- */

bool vtd_context_lookup(struct vtd_caches *c, uint16_t source_id, uint64_t *word, unsigned words)
{
    const struct iommu_line *line =
        c ? iommu_lookup(&c->cache[NW_VTD_CONTEXT_CACHE], (struct iommu_key){ source_id, words }) : NULL;
    if (line)
        memcpy(word, line->word, words * sizeof *word);
    return line;
}

void vtd_context_fill(struct vtd_caches *c, uint16_t source_id, const uint64_t *word, unsigned words,
                      unsigned domain_id, bool scalable)
{
    if (!c || iommu_peek(&c->cache[NW_VTD_CONTEXT_CACHE], (struct iommu_key){ source_id, words }) != IOMMU_ABSENT)
        return;
    struct iommu_line *line = iommu_place(&c->cache[NW_VTD_CONTEXT_CACHE], (struct iommu_key){ source_id, words }, 0);
    if (!line)
        return;
    line->scalable = scalable;
    line->source_id = source_id;
    line->domain_id = (uint16_t)domain_id;
    memcpy(line->word, word, words * sizeof *word);
}

bool vtd_pasid_lookup(struct vtd_caches *c, uint16_t source_id, uint32_t pasid, uint64_t word[8], bool *directory_fpd)
{
    const struct iommu_line *line =
        c ? iommu_lookup(&c->cache[NW_VTD_PASID_CACHE], (struct iommu_key){ source_id, pasid }) : NULL;
    if (line) {
        memcpy(word, line->word, 8 * sizeof *word);
        *directory_fpd = line->first;
    }
    return line;
}

void vtd_pasid_fill(struct vtd_caches *c, uint16_t source_id, uint32_t pasid, const uint64_t word[8],
                    bool directory_fpd, unsigned domain_id)
{
    if (!c || iommu_peek(&c->cache[NW_VTD_PASID_CACHE], (struct iommu_key){ source_id, pasid }) != IOMMU_ABSENT)
        return;
    struct iommu_line *line = iommu_place(&c->cache[NW_VTD_PASID_CACHE], (struct iommu_key){ source_id, pasid }, 0);
    if (!line)
        return;
    line->first = directory_fpd;
    line->source_id = source_id;
    line->pasid = pasid;
    line->domain_id = (uint16_t)domain_id;
    memcpy(line->word, word, 8 * sizeof *word);
}

bool vtd_iec_lookup(struct vtd_caches *c, uint32_t index, uint64_t word[2])
{
    const struct iommu_line *line =
        c ? iommu_lookup(&c->cache[NW_VTD_INTERRUPT_CACHE], (struct iommu_key){ index, 0 }) : NULL;
    if (line)
        memcpy(word, line->word, 2 * sizeof *word);
    return line;
}

void vtd_iec_fill(struct vtd_caches *c, uint32_t index, const uint64_t word[2])
{
    if (!c || iommu_peek(&c->cache[NW_VTD_INTERRUPT_CACHE], (struct iommu_key){ index, 0 }) != IOMMU_ABSENT)
        return;
    struct iommu_line *line = iommu_place(&c->cache[NW_VTD_INTERRUPT_CACHE], (struct iommu_key){ index, 0 }, 0);
    if (line)
        memcpy(line->word, word, 2 * sizeof *word);
}

/* ---- translations ------------------------------------------------------------------------------- */

static const uint8_t page_log2s[] = { NW_PAGE_LOG2, NW_PAGE_2M_LOG2, NW_PAGE_1G_LOG2 };

static uint64_t tag_of(const struct vtd_caches *c, const struct vtd_domain *d, unsigned kind, unsigned log2)
{
    return vtd_tag(c->tags_source ? d->source_id : d->domain_id, d->pasid, d->privileged, d->scalable) |
           (uint64_t)kind << 37 | (uint64_t)log2 << 40;
}

bool vtd_iotlb_by_source(const struct vtd_caches *c) { return c && c->tags_source; }

void vtd_take(const struct iommu_line *line, uint64_t address, struct nw_vtd_result *out)
{
    out->hpa = nw_hpa(line->word[0] | (address & (NW_BIT(line->log2) - 1)));
    out->page_log2 = line->log2;
    out->rights = (uint8_t)line->word[1];
    out->translation = (enum nw_vtd_translation)line->word[2];
    out->domain_id = line->domain_id;
}

bool vtd_iotlb_lookup(struct vtd_caches *c, const struct vtd_domain *d, uint64_t address, unsigned need,
                      struct nw_vtd_result *out)
{
    const struct iommu_line *hit = NULL;
    if (!c)
        return false;
    for (unsigned i = 0; !hit && i < NW_ARRAY_LEN(page_log2s); i++) {
        unsigned log2 = page_log2s[i];
        if (!(c->cache[NW_VTD_IOTLB].sizes >> log2 & 1))
            continue;
        hit = iommu_probe(&c->cache[NW_VTD_IOTLB], (struct iommu_key){ tag_of(c, d, 0, log2), address >> log2 });
        if (hit && (hit->word[1] & need) != need)
            hit = NULL;
    }
    iommu_count(&c->cache[NW_VTD_IOTLB], hit);
    if (hit)
        vtd_take(hit, address, out);
    return hit;
}

void vtd_iotlb_fill(struct vtd_caches *c, const struct vtd_domain *d, uint64_t address,
                    const struct nw_vtd_result *translation)
{
    unsigned log2 = translation->page_log2;
    struct iommu_line *line =
        c ? iommu_place(&c->cache[NW_VTD_IOTLB], (struct iommu_key){ tag_of(c, d, 0, log2), address >> log2 }, log2)
          : NULL;
    if (!line)
        return;
    line->domain_id = d->domain_id;
    line->pasid = d->pasid;
    line->first = d->translation != NW_VTD_SECOND_STAGE;
    line->word[0] = translation->hpa.v & ~(NW_BIT(log2) - 1);
    line->word[1] = translation->rights;
    line->word[2] = d->translation;
}

/* What one entry of a paging-structure cache stands for: a table of `level`, for all addresses that agree above it. */
static bool is_first(const struct vtd_domain *d, enum nw_dimension dimension)
{
    return dimension == NW_GUEST && d->translation != NW_VTD_SECOND_STAGE;
}

static uint64_t table_tag(const struct vtd_caches *c, const struct vtd_domain *d, bool first, unsigned log2)
{
    struct vtd_domain shared = *d; /* second-stage tables serve all PASIDs of the domain, and know no privilege */
    if (!first) {
        shared.pasid = 0;
        shared.privileged = false;
    }
    return tag_of(c, &shared, first ? 1 : 2, log2);
}

void vtd_psc_lookup(struct vtd_caches *c, const struct vtd_domain *d, enum nw_dimension dimension, uint64_t address,
                    struct nw_walk_start *start)
{
    if (!c || !c->cache[NW_VTD_PAGING_CACHE].sets)
        return;
    bool first = is_first(d, dimension);
    const struct nw_paging *p = first ? &d->first : &d->second;
    const struct iommu_line *line = NULL;
    unsigned level = 0;
    for (; level + 1 < p->levels; level++) {
        unsigned log2 = p->level[level + 1].index_low;
        line = iommu_probe(&c->cache[NW_VTD_PAGING_CACHE],
                           (struct iommu_key){ table_tag(c, d, first, log2), address >> log2 });
        if (line)
            break;
    }
    iommu_count(&c->cache[NW_VTD_PAGING_CACHE], line);
    if (!line)
        return;
    start->level = (uint8_t)level;
    start->table = nw_hpa(line->word[0]);
    start->table_gpa = nw_gpa(line->word[1]);
    start->allowed = line->word[2];
    start->table_writable = line->word[3];
    start->table_known = true;
}

void vtd_psc_fill(struct vtd_caches *c, const struct vtd_domain *d, enum nw_dimension dimension, uint64_t address,
                  const struct nw_walk_start *next)
{
    if (!c)
        return;
    bool first = is_first(d, dimension);
    const struct nw_paging *p = first ? &d->first : &d->second;
    unsigned log2 = p->level[next->level + 1].index_low;
    struct iommu_line *line = iommu_place(&c->cache[NW_VTD_PAGING_CACHE],
                                          (struct iommu_key){ table_tag(c, d, first, log2), address >> log2 }, log2);
    if (!line)
        return;
    line->domain_id = d->domain_id;
    line->pasid = d->pasid;
    line->first = first;
    line->word[0] = next->table.v;
    line->word[1] = next->table_gpa.v;
    line->word[2] = next->allowed;
    line->word[3] = next->table_writable;
}
