/* One set-associative array. */
#include "cache_array.h"
#include <stdlib.h>
#include <string.h>

enum { ENTRIES_MAX = 1 << 20 };
const char *const nw_iommu_policy_name[NW_IOMMU_POLICIES] = { "lru", "fifo", "random" };

enum nw_status iommu_array_init(struct iommu_array *c, const struct nw_iommu_cache_shape *shape, unsigned words,
                                const char *what, struct nw_error *err)
{
    unsigned entries = shape->entries, ways = shape->ways;
    memset(c, 0, sizeof *c);
    if (!entries)
        return NW_OK;
    if (!ways || entries % ways || entries > ENTRIES_MAX)
        return nw_fail(err, NW_ERR_INPUT,
                       "%s: %u entries in %u ways; entries must be a multiple of ways and at most %d", what, entries,
                       ways, ENTRIES_MAX);
    if ((unsigned)shape->policy >= NW_IOMMU_POLICIES)
        return nw_fail(err, NW_ERR_INPUT, "%s: replacement policy %d; lru (0), fifo (1) and random (2) are allowed",
                       what, (int)shape->policy);
    c->policy = shape->policy;
    c->line_bytes = sizeof(struct iommu_line) + words * sizeof(uint64_t);
    c->key = malloc(entries * sizeof *c->key);
    c->used = calloc(entries, sizeof *c->used);
    c->line = calloc(entries, c->line_bytes);
    if (!c->key || !c->used || !c->line) {
        iommu_array_fini(c);
        return nw_fail_nomem(err, "the caches of a remapping unit");
    }
    for (unsigned i = 0; i < entries; i++)
        c->key[i] = (struct iommu_key){ IOMMU_NO_KEY, 0 };
    c->sets = entries / ways;
    c->ways = ways;
    return NW_OK;
}

void iommu_array_fini(struct iommu_array *c)
{
    free(c->key);
    free(c->used);
    free(c->line);
    memset(c, 0, sizeof *c);
}

struct iommu_line *iommu_probe(struct iommu_array *c, struct iommu_key k)
{
    int64_t at = iommu_peek(c, k);
    if (at == IOMMU_ABSENT)
        return NULL;
    if (!c->frozen)
        iommu_touch(c, at);
    return iommu_line_at(c, (size_t)at);
}

void iommu_count(struct iommu_array *c, bool hit)
{
    if (!c->sets || c->frozen)
        return;
    c->counts.lookups++;
    c->counts.hits += hit;
}

const struct iommu_line *iommu_lookup(struct iommu_array *c, struct iommu_key k)
{
    const struct iommu_line *line = iommu_probe(c, k);
    iommu_count(c, line);
    return line;
}

/* Which entry makes room: the old one of that key, a free place, or the policy's victim. */
static size_t victim(struct iommu_array *c, struct iommu_key k)
{
    int64_t own = iommu_peek(c, k);
    if (own != IOMMU_ABSENT)
        return (size_t)own;
    size_t set = iommu_set_of(c, k), best = set;
    for (size_t at = set; at < set + c->ways; at++) {
        if (c->key[at].a == IOMMU_NO_KEY)
            return at;
        if (c->used[at] < c->used[best])
            best = at;
    }
    c->counts.evictions++;
    if (c->policy == NW_IOMMU_RANDOM) {
        c->random = nw_mix64(c->random + UINT64_C(0x9e3779b97f4a7c15));
        best = set + (size_t)((c->random >> 32) * c->ways >> 32);
    }
    return best;
}

void iommu_forget(struct iommu_array *c, size_t at)
{
    unsigned log2 = iommu_line_at(c, at)->log2 & 63;
    if (!--c->pages_of[log2])
        c->sizes &= ~NW_BIT(log2);
    c->key[at].a = IOMMU_NO_KEY;
}

struct iommu_line *iommu_place(struct iommu_array *c, struct iommu_key k, unsigned log2)
{
    if (!c->sets || c->frozen)
        return NULL;
    size_t at = victim(c, k);
    if (c->key[at].a != IOMMU_NO_KEY)
        iommu_forget(c, at);
    c->counts.fills++;
    c->key[at] = k;
    c->used[at] = ++c->clock;
    c->pages_of[log2 & 63]++;
    c->sizes |= NW_BIT(log2 & 63);
    struct iommu_line *line = iommu_line_at(c, at);
    *line = (struct iommu_line){ .log2 = (uint8_t)log2 };
    return line;
}

void iommu_sweep(struct iommu_array *c, iommu_covers_fn covers, const void *what)
{
    for (size_t i = 0; i < (size_t)c->sets * c->ways; i++)
        if (c->key[i].a != IOMMU_NO_KEY && covers(c->key[i], iommu_line_at(c, i), what)) {
            iommu_forget(c, i);
            c->counts.invalidated++;
        }
}
