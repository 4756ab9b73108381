/* cache_array.h - one set-associative array of a remapping unit; what its entries mean is the unit's. Never leaves
 * iommu/. */
#ifndef NESTWALK_IOMMU_CACHE_ARRAY_H
#define NESTWALK_IOMMU_CACHE_ARRAY_H

#include <nestwalk/base/bits.h>
#include <nestwalk/base/status.h>
#include <nestwalk/iommu/cache.h>
#include <stdbool.h>
#include <stddef.h>

/* What finds an entry. `a` of a free place is IOMMU_NO_KEY, which no key is. */
struct iommu_key {
    uint64_t a, b;
};
#define IOMMU_NO_KEY UINT64_MAX

/* An entry, without its key. How many words follow is the array's. */
struct iommu_line {
    bool scalable; /* VT-d's context cache: the words are those of scalable mode, which have no domain id */
    bool first;    /* a first stage (AMD-Vi: guest tables) took part */
    uint8_t log2;  /* of the page, or of what the table maps; 0 for entries that are neither */
    uint16_t domain_id, source_id;
    uint32_t pasid;
    uint64_t word[];
};

/* Keys, uses and entries of one set each lie side by side, so that a look-up touches few lines of the host's cache. */
struct iommu_array {
    struct iommu_key *key;
    uint64_t *used; /* by LRU: last use; by FIFO: fill */
    unsigned char *line;
    size_t line_bytes;
    unsigned sets, ways;
    enum nw_iommu_policy policy;
    uint64_t clock, random;
    struct nw_iommu_cache_counts counts;
    uint64_t sizes;        /* bit n: there are entries with log2 = n; others are not looked for */
    unsigned pages_of[64]; /* how many */
    bool frozen;           /* look-ups leave no trace, and nothing is filled: for who only looks */
};

/* `what` names it in errors. NW_ERR_INPUT: ways that do not divide the entries, too many of those, or no such policy. */
enum nw_status iommu_array_init(struct iommu_array *c, const struct nw_iommu_cache_shape *shape, unsigned words,
                                const char *what, struct nw_error *err) NW_MUST_USE;
void iommu_array_fini(struct iommu_array *c);

static inline struct iommu_line *iommu_line_at(const struct iommu_array *c, size_t i)
{
    return (struct iommu_line *)(void *)(c->line + i * c->line_bytes);
}

static inline size_t iommu_set_of(const struct iommu_array *c, struct iommu_key k)
{
    uint64_t h = nw_mix64(k.a ^ k.b * UINT64_C(0x9e3779b97f4a7c15));
    return (size_t)((h >> 32) * c->sets >> 32) * c->ways;
}

enum { IOMMU_ABSENT = -1 };

/* Where the key is, or IOMMU_ABSENT. */
static inline int64_t iommu_peek(const struct iommu_array *c, struct iommu_key k)
{
    if (!c->sets)
        return IOMMU_ABSENT;
    size_t set = iommu_set_of(c, k);
    for (size_t at = set; at < set + c->ways; at++)
        if (c->key[at].a == k.a && c->key[at].b == k.b)
            return (int64_t)at;
    return IOMMU_ABSENT;
}

static inline void iommu_touch(struct iommu_array *c, int64_t at)
{
    if (NW_LIKELY(c->policy == NW_IOMMU_LRU))
        c->used[at] = ++c->clock;
}

/* The entry of the key, used now; NULL when it is not there. It is not counted: what one look-up is, the caller says. */
struct iommu_line *iommu_probe(struct iommu_array *c, struct iommu_key k);
void iommu_count(struct iommu_array *c, bool hit);
/* The two in one. */
const struct iommu_line *iommu_lookup(struct iommu_array *c, struct iommu_key k);

/* The place of an entry for the key, all zero but for log2: its old one, a free one, or the policy's victim. NULL: there is
 * no cache, or it is frozen. */
struct iommu_line *iommu_place(struct iommu_array *c, struct iommu_key k, unsigned log2);
/* Frees the place. */
void iommu_forget(struct iommu_array *c, size_t at);

/* Frees all entries that `covers` says true of, and counts them. */
typedef bool (*iommu_covers_fn)(struct iommu_key key, const struct iommu_line *line, const void *what);
void iommu_sweep(struct iommu_array *c, iommu_covers_fn covers, const void *what);

/* Does the entry's region, the 2^log2 bytes numbered key.b, meet the addresses from start to last? */
static inline bool iommu_meets(struct iommu_key key, const struct iommu_line *line, uint64_t start, uint64_t last)
{
    uint64_t from = key.b << line->log2, to = from + (NW_BIT(line->log2) - 1);
    return from <= last && to >= start;
}

#endif
