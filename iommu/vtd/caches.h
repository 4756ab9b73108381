/* caches.h - the caches themselves, for the unit that owns them: life cycle and invalidation. Never leaves this folder. */
#ifndef NESTWALK_IOMMU_VTD_CACHES_H
#define NESTWALK_IOMMU_VTD_CACHES_H

#include "../cache/cache_array.h"
#include "cache.h"
#include <nestwalk/iommu/vtd_cache.h>

struct vtd_caches {
    struct iommu_array cache[NW_VTD_CACHES];
    bool tags_source; /* nw_vtd_config.tags_source */
};

/* Domain id (or source id), PASID, privilege, what is kept (37: 0 a translation, 1 and 2 tables of the first and the second
 * stage) and a size (40) make one word of the key of the IOTLB and of the paging cache; the page number is the other. */
static inline uint64_t vtd_tag(uint16_t id, uint32_t pasid, bool privileged, bool scalable)
{
    return id | (uint64_t)pasid << 16 | (uint64_t)privileged << 36 | (uint64_t)scalable << 39;
}
/* What an entry of the IOTLB says of the address. */
void vtd_take(const struct iommu_line *line, uint64_t address, struct nw_vtd_result *out);

/* hit.c: the request is served by entries of all the caches that it asks; *out is as vtd_translate() has it, and the caches are
 * left as it leaves them. false: nothing has been touched. */
bool vtd_hit(struct vtd_caches *c, const struct nw_vtd_tables *t, const struct nw_vtd_request *q,
             struct nw_vtd_result *out);

enum nw_status vtd_caches_init(struct vtd_caches *c, const struct nw_iommu_cache_shape shape[NW_VTD_CACHES],
                               struct nw_error *err) NW_MUST_USE;
void vtd_caches_fini(struct vtd_caches *c);

/* Look-ups leave no trace, and nothing is filled, until it is taken back. */
void vtd_caches_freeze(struct vtd_caches *c, bool frozen);

/* What an invalidation covers. Fields that are not asked for match everything. */
struct vtd_cover {
    bool by_domain, by_pasid, by_source, by_address;
    bool paging_entries_stay; /* IH: the change was in leaves only */
    bool first_only;          /* addresses are those of a first stage: others have none of them */
    uint16_t domain_id, source_id;
    uint16_t source_ignored; /* bits of the source id that are not compared */
    uint32_t pasid;
    uint64_t start, last; /* addresses, inclusive */
};
void vtd_invalidate_context(struct vtd_caches *c, const struct vtd_cover *v);
void vtd_invalidate_pasid(struct vtd_caches *c, const struct vtd_cover *v);
void vtd_invalidate_iotlb(struct vtd_caches *c, const struct vtd_cover *v); /* and the paging-structure caches */
void vtd_invalidate_interrupts(struct vtd_caches *c, uint32_t first, uint32_t last);

#endif
