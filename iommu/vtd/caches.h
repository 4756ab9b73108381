/* caches.h - the caches themselves, for the unit that owns them: life cycle and invalidation. Never leaves this folder. */
#ifndef NESTWALK_IOMMU_VTD_CACHES_H
#define NESTWALK_IOMMU_VTD_CACHES_H

#include "cache.h"
#include <nestwalk/iommu/vtd_cache.h>

/* What finds an entry. `a` of a free place is VTD_NO_KEY, which no key is. */
struct vtd_key {
    uint64_t a, b;
};
#define VTD_NO_KEY UINT64_MAX

/* An entry, without its key. How many words follow is the cache's. */
struct vtd_line {
    bool scalable; /* context cache: the words are those of scalable mode, which have no domain id */
    bool first;    /* paging cache: a first-stage table; IOTLB: a first stage took part */
    uint8_t log2;  /* IOTLB: of the page; paging cache: of what the table maps */
    uint16_t domain_id, source_id;
    uint32_t pasid;
    uint64_t word[];
};

/* Keys, uses and entries of one set each lie side by side, so that a look-up touches few lines of the host's cache. */
struct vtd_cache {
    struct vtd_key *key;
    uint64_t *used; /* by LRU */
    unsigned char *line;
    size_t line_bytes;
    unsigned sets, ways;
    uint64_t clock;
    struct nw_vtd_cache_counts counts;
};

static inline struct vtd_line *vtd_line_at(const struct vtd_cache *c, size_t i)
{
    return (struct vtd_line *)(void *)(c->line + i * c->line_bytes);
}

struct vtd_caches {
    struct vtd_cache cache[NW_VTD_CACHES];
    bool tags_source;      /* nw_vtd_config.tags_source */
    bool frozen;           /* look-ups leave no trace, and nothing is filled: for who only looks */
    unsigned pages_of[64]; /* entries of the IOTLB by the page's log2: sizes that it has none of are not looked for */
};

static inline size_t vtd_set_of(const struct vtd_cache *cache, struct vtd_key k)
{
    uint64_t h = nw_mix64(k.a ^ k.b * UINT64_C(0x9e3779b97f4a7c15));
    return (size_t)((h >> 32) * cache->sets >> 32) * cache->ways;
}

enum { VTD_ABSENT = -1 };

/* Where the key is, or VTD_ABSENT. */
static inline int64_t vtd_peek(const struct vtd_cache *cache, struct vtd_key k)
{
    if (!cache->sets)
        return VTD_ABSENT;
    size_t set = vtd_set_of(cache, k);
    for (size_t at = set; at < set + cache->ways; at++)
        if (cache->key[at].a == k.a && cache->key[at].b == k.b)
            return (int64_t)at;
    return VTD_ABSENT;
}

static inline void vtd_touch(struct vtd_cache *cache, int64_t at) { cache->used[at] = ++cache->clock; }

/* Domain id (or source id), PASID, privilege, what is kept (37: 0 a translation, 1 and 2 tables of the first and the second
 * stage) and a size (40) make one word of the key of the IOTLB and of the paging cache; the page number is the other. */
static inline uint64_t vtd_tag(uint16_t id, uint32_t pasid, bool privileged, bool scalable)
{
    return id | (uint64_t)pasid << 16 | (uint64_t)privileged << 36 | (uint64_t)scalable << 39;
}
/* What an entry of the IOTLB says of the address. */
void vtd_take(const struct vtd_line *line, uint64_t address, struct nw_vtd_result *out);

/* hit.c: the request is served by entries of all the caches that it asks; *out is as vtd_translate() has it, and the caches are
 * left as it leaves them. false: nothing has been touched. */
bool vtd_hit(struct vtd_caches *c, const struct nw_vtd_tables *t, const struct nw_vtd_request *q,
             struct nw_vtd_result *out);

enum nw_status vtd_caches_init(struct vtd_caches *c, const struct nw_vtd_cache_shape shape[NW_VTD_CACHES],
                               struct nw_error *err) NW_MUST_USE;
void vtd_caches_fini(struct vtd_caches *c);

/* Frees the entry's place. */
void vtd_forget(struct vtd_caches *c, enum nw_vtd_cache which, size_t at);

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
