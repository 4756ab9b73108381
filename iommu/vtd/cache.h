/* cache.h - what a remapping unit caches, as the resolving code sees it. Never leaves this folder. All functions take NULL
 * for no caches: a lookup misses, a fill does nothing. */
#ifndef NESTWALK_IOMMU_VTD_CACHE_INTERNAL_H
#define NESTWALK_IOMMU_VTD_CACHE_INTERNAL_H

#include "vtd_internal.h"
#include <nestwalk/mmu/walk_template.h>

/* Context cache: the 2 or 4 words of a context entry, by source id. `domain_id` is a tag in legacy mode. */
bool vtd_context_lookup(struct vtd_caches *c, uint16_t source_id, uint64_t *word, unsigned words);
void vtd_context_fill(struct vtd_caches *c, uint16_t source_id, const uint64_t *word, unsigned words,
                      unsigned domain_id, bool scalable);

/* PASID cache: the 8 words of a PASID-table entry, and FPD of its directory entry. */
bool vtd_pasid_lookup(struct vtd_caches *c, uint16_t source_id, uint32_t pasid, uint64_t word[8], bool *directory_fpd);
void vtd_pasid_fill(struct vtd_caches *c, uint16_t source_id, uint32_t pasid, const uint64_t word[8],
                    bool directory_fpd, unsigned domain_id);

/* IOTLB: finished translations, by domain id, PASID and page. A lookup fills out->hpa, page_log2 and rights. */
bool vtd_iotlb_lookup(struct vtd_caches *c, const struct vtd_domain *d, uint64_t address, unsigned need,
                      struct nw_vtd_result *out);
/* Translations are found by source id in place of the domain id. */
bool vtd_iotlb_by_source(const struct vtd_caches *c);
void vtd_iotlb_fill(struct vtd_caches *c, const struct vtd_domain *d, uint64_t address,
                    const struct nw_vtd_result *translation);

/* Paging-structure caches: where a walk may continue. As the hooks `start` and `table` of the walk. */
void vtd_psc_lookup(struct vtd_caches *c, const struct vtd_domain *d, enum nw_dimension dimension, uint64_t address,
                    struct nw_walk_start *start);
void vtd_psc_fill(struct vtd_caches *c, const struct vtd_domain *d, enum nw_dimension dimension, uint64_t address,
                  const struct nw_walk_start *next);

/* Interrupt entry cache: the two words of an entry, by index. */
bool vtd_iec_lookup(struct vtd_caches *c, uint32_t index, uint64_t word[2]);
void vtd_iec_fill(struct vtd_caches *c, uint32_t index, const uint64_t word[2]);

#endif
