/* vtd_internal.h - from a request to the trees that translate it, and from there to an address. Never leaves this folder. */
#ifndef NESTWALK_IOMMU_VTD_INTERNAL_H
#define NESTWALK_IOMMU_VTD_INTERNAL_H

#include "../device/dma.h"
#include <nestwalk/iommu/vtd_entries.h>
#include <nestwalk/iommu/vtd_watch.h>
#include <stddef.h>
#include <string.h>

struct vtd_caches; /* cache.h */

/* What the structures from root entry to PASID-table entry say about a request. */
struct vtd_domain {
    enum nw_vtd_translation translation;
    bool scalable;
    bool fpd;                       /* set in one of the entries read so far */
    bool identity;                  /* a translated request, or pass-through: the address is used as it is */
    bool privileged;                /* first stage: in privileged mode */
    bool walk_snoops;               /* flags in paging entries may be set: page walks are coherent */
    uint16_t domain_id;             /* tag */
    uint32_t pasid;                 /* tag: of the request, or RID_PASID; 0 in legacy mode */
    uint16_t source_id;             /* of the request; a tag where the unit tags with it */
    struct nw_paging first, second; /* last: only what the translation needs is filled in */
};

struct vtd_walk {
    const struct nw_vtd_tables *t;
    struct vtd_caches *caches; /* NULL: every table is read anew */
    unsigned references;
    uint64_t region; /* number of the region of memory that was read last, plus 1; 0: none */
    const uint64_t *region_base;
    bool context_cached; /* the context entry came from its cache */
    bool hit;            /* the IOTLB had the translation: vtd_find_domain() has put it into `found` */
    struct nw_vtd_result found;
    enum nw_vtd_table table; /* for the watcher: what the next words belong to, and where that entry begins */
    uint64_t entry_at;
    bool load_failed; /* the last word asked for lies where nothing can be read */
    /* The paging entries read, combined; of the second stage those of its last walk. */
    uint64_t first_allowed, second_allowed;
    uint8_t blocked_update;   /* fault reason of an update of flags that could not be made, or 0 */
    uint8_t denied_level;     /* second stage: highest level whose entry first denied the access + 1 */
    uint64_t second_need;     /* allowed bits of the second stage that the request needs */
    uint64_t second_start;    /* what a paging-structure cache said of the entries above where the walk began */
    bool looks_only;          /* no flag of a paging entry is set in memory */
    struct vtd_domain domain; /* last, for its trees */
};

/* A walk that has not begun. The trees are left as they are: they are large, and filled in where they are used. */
static inline void vtd_walk_init(struct vtd_walk *w, const struct nw_vtd_tables *t, struct vtd_caches *caches)
{
    memset(w, 0, offsetof(struct vtd_walk, domain.first));
    w->t = t;
    w->caches = caches;
}

/* One word of a table. False: it cannot be read. */
bool vtd_load_checked(struct vtd_walk *w, uint64_t address, uint64_t *out);
static inline bool vtd_load(struct vtd_walk *w, uint64_t address, uint64_t *out)
{
    if (NW_UNLIKELY(w->t->memory.ram || w->t->watch || address >> w->t->unit.haw))
        return vtd_load_checked(w, address, out);
    w->references++;
    w->load_failed = false;
    /* Tables lie close together: the way to their region is gone once. */
    const uint64_t region = (address >> NW_REGION_LOG2) + 1;
    if (NW_UNLIKELY(region != w->region)) {
        const uint64_t *word = nw_physmem_find(w->t->memory.pm, nw_hpa(address & ~nw_mask(NW_REGION_LOG2 - 1, 0)));
        if (!word) {
            *out = 0;
            return true;
        }
        w->region = region;
        w->region_base = word;
    }
    *out = w->region_base[(address & nw_mask(NW_REGION_LOG2 - 1, 0)) >> 3];
    return true;
}
/* The words read from here on are those of the entry of this kind at `address`. */
static inline void vtd_entry(struct vtd_walk *w, enum nw_vtd_table table, uint64_t address)
{
    w->table = table;
    w->entry_at = address;
}

/* watch.c: keeps the word for the watcher. */
void vtd_watch_word(struct vtd_walk *w, uint64_t address, uint64_t value, bool readable);
/* The word kept last is a paging entry: of this stage and level (0 = leaf table). */
void vtd_watch_paging(struct nw_vtd_watch *watch, bool second, unsigned level);

/* domain.c, pasid.c: fill w->domain. False: *fault has the reason. */
bool vtd_find_domain(struct vtd_walk *w, const struct nw_vtd_request *q, struct nw_vtd_fault *fault);
struct vtd_scalable_context {
    uint64_t word[4];
};
static inline uint64_t vtd_pasids_of(const struct vtd_scalable_context *c) { return nw_vtd_pasids_of(c->word[0]); }
bool vtd_find_pasid(struct vtd_walk *w, const struct nw_vtd_request *q, const struct vtd_scalable_context *context,
                    struct nw_vtd_fault *fault);

/* domain.c: may the source send page requests? False: *fault has the reason. */
bool vtd_page_request_allowed(struct vtd_walk *w, const struct nw_vtd_request *q, struct nw_vtd_fault *fault);

/* domain.c: what w->domain has of trees. */
void vtd_trees_of_walk(const struct vtd_walk *w, struct nw_vtd_trees *out);

/* Sets the reason, and whether it is recorded; returns false. */
bool vtd_fault(struct vtd_walk *w, struct nw_vtd_fault *fault, unsigned reason);

/* descriptor.c: the addresses of a page-selective invalidation: 2^am pages. */
void vtd_pages(uint64_t address, unsigned am, uint64_t *start, uint64_t *last);

/* Levels of the second stage for an AW field, or 0 when the unit lacks that width. */
unsigned vtd_second_stage_levels(const struct nw_vtd_capabilities *u, unsigned aw);
/* The second-stage tree; its input width is held to MGAW. The root is aligned and below HAW. */
void vtd_second_stage(struct vtd_walk *w, uint64_t root, unsigned levels, bool accessed_dirty);

static inline struct iommu_dma vtd_dma_of(const struct nw_vtd_request *q)
{
    return (struct iommu_dma){ .address = q->address,
                               .pasid = q->has_pasid ? q->pasid : 0,
                               .source_id = q->source_id,
                               .read = q->kind != NW_VTD_WRITE,
                               .write = q->kind != NW_VTD_READ,
                               .zero_length = q->zero_length,
                               .has_pasid = q->has_pasid,
                               .privileged = q->has_pasid && q->privileged,
                               .execute = q->has_pasid && q->execute };
}

/* Rights that a cached translation must have to serve the request. */
unsigned vtd_need_of(const struct nw_vtd_request *q);

/* translate.c: nw_vtd_translate() with caches. */
void vtd_translate(struct vtd_walk *w, const struct nw_vtd_request *q, struct nw_vtd_result *out);

#endif
