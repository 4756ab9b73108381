/* caches.h - the caches of an AMD IOMMU. Never leaves this folder. Look-ups and fills take a walk whose `caches` may be NULL: a
 * look-up misses, a fill does nothing. */
#ifndef NESTWALK_IOMMU_AMDVI_CACHES_H
#define NESTWALK_IOMMU_AMDVI_CACHES_H

#include "../cache/cache_array.h"
#include "amdvi_internal.h"
#include <nestwalk/iommu/amdvi_cache.h>
#include <nestwalk/mmu/walk_template.h>

struct amdvi_caches {
    struct iommu_array cache[NW_AMDVI_CACHES];
};

enum nw_status amdvi_caches_init(struct amdvi_caches *c, const struct nw_iommu_cache_shape shape[NW_AMDVI_CACHES],
                                 struct nw_error *err) NW_MUST_USE;
void amdvi_caches_fini(struct amdvi_caches *c);
/* Look-ups leave no trace, and nothing is filled, until it is taken back. */
void amdvi_caches_freeze(struct amdvi_caches *c, bool frozen);

/* w->dte of w->q->device_id. */
bool amdvi_dte_lookup(struct amdvi_walk *w);
void amdvi_dte_fill(struct amdvi_walk *w);

bool amdvi_gcr3_lookup(struct amdvi_walk *w, uint32_t pasid, uint64_t *cr3);
void amdvi_gcr3_fill(struct amdvi_walk *w, uint32_t pasid, uint64_t cr3);

/* Whose translation: `guest` of a PASID. */
struct amdvi_space {
    bool guest, privileged;
    uint32_t pasid;
};
/* A hit has the rights `need` and, for a store, the page's D bit behind it where one is maintained; it fills *out but for its
 * event, references and domain id. */
bool amdvi_iotlb_lookup(struct amdvi_walk *w, const struct amdvi_space *s, unsigned need, bool store,
                        struct nw_amdvi_result *out);
/* *r is the request's translation; `stored`: D bits have been set. */
void amdvi_iotlb_fill(struct amdvi_walk *w, const struct amdvi_space *s, bool stored, const struct nw_amdvi_result *r);

/* A table of the host's: of that level, for all addresses that agree above it; `rights` of the entries that lead to it. */
struct amdvi_host_table {
    unsigned level, rights;
    uint64_t table;
};
/* Is there a table below level `top` to begin with? The lowest. */
bool amdvi_pde_lookup(struct amdvi_walk *w, uint64_t gpa, unsigned top, struct amdvi_host_table *out);
void amdvi_pde_fill(struct amdvi_walk *w, uint64_t gpa, const struct amdvi_host_table *t);
/* The same of a guest's, as the hooks `start` and `table` of the walk. */
void amdvi_guest_pde_lookup(struct amdvi_walk *w, uint32_t pasid, const struct nw_paging *p, uint64_t gva,
                            struct nw_walk_start *start);
void amdvi_guest_pde_fill(struct amdvi_walk *w, uint32_t pasid, const struct nw_paging *p, uint64_t gva,
                          const struct nw_walk_start *next);

bool amdvi_irte_lookup(struct amdvi_walk *w, unsigned index, uint64_t entry[2]);
void amdvi_irte_fill(struct amdvi_walk *w, unsigned index, const uint64_t entry[2]);

/* ---- invalidation ------------------------------------------------------------------------------- */

/* INVALIDATE_IOMMU_PAGES. */
struct amdvi_cover {
    uint16_t domain_id;
    bool guest, tables; /* GN, PDE */
    uint32_t pasid;
    uint64_t start, last; /* inclusive */
};
void amdvi_invalidate_pages(struct amdvi_caches *c, const struct amdvi_cover *v);
void amdvi_invalidate_device(struct amdvi_caches *c, uint16_t device_id);
void amdvi_invalidate_interrupts(struct amdvi_caches *c, uint16_t device_id);
void amdvi_invalidate_all(struct amdvi_caches *c);

#endif
