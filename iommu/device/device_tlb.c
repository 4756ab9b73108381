/* A device's TLB: PCI Express, "Address Translation Services": "ATC Size", "Invalidate Request Message Body". */
#include "device_tlb.h"
#include <stdlib.h>

const char *const nw_device_tlb_policy_name[NW_DEVICE_TLB_POLICIES] = { "lru", "fifo", "random" };

enum { ENTRIES_MAX = 1 << 20 };
#define TAG_PASID NW_BIT(20)
#define TAG_VALID NW_BIT(22)

enum nw_status iommu_device_tlb_init(struct iommu_device_tlb *t, const struct nw_iommu_cache_shape *shape,
                                     enum nw_device_tlb_policy policy, uint64_t seed,
                                     struct nw_device_tlb_counts *counts, struct nw_error *err)
{
    const unsigned entries = shape->entries, ways = shape->ways;
    *t = (struct iommu_device_tlb){ .policy = policy, .rng = nw_rng_seeded(seed), .counts = counts };
    if (!entries)
        return NW_OK;
    if (!ways || entries % ways || entries > ENTRIES_MAX)
        return nw_fail(err, NW_ERR_INPUT,
                       "device TLB: %u entries in %u ways; entries must be a multiple of ways and at most %d", entries,
                       ways, ENTRIES_MAX);
    t->line = calloc(entries, sizeof *t->line);
    if (!t->line)
        return nw_fail_nomem(err, "a device TLB");
    t->sets = entries / ways;
    t->ways = ways;
    return NW_OK;
}

void iommu_device_tlb_fini(struct iommu_device_tlb *t) { free(t->line); }

static uint32_t tag_of(const struct iommu_dma *q, unsigned log2)
{
    uint64_t pasid = q->has_pasid ? TAG_PASID | (uint64_t)q->privileged << 21 | (q->pasid & nw_mask(19, 0)) : 0;
    return (uint32_t)(pasid | TAG_VALID | (uint64_t)log2 << 24);
}

static struct iommu_device_line *set_of(const struct iommu_device_tlb *t, uint64_t page, uint32_t tag)
{
    return t->line + nw_mix64(page ^ (uint64_t)tag << 32) % t->sets * t->ways;
}

static struct iommu_device_line *find(const struct iommu_device_tlb *t, uint64_t page, uint32_t tag)
{
    struct iommu_device_line *set = set_of(t, page, tag);
    for (unsigned way = 0; way < t->ways; way++)
        if (set[way].tag == tag && set[way].page == page)
            return &set[way];
    return NULL;
}

static struct iommu_device_line *find_any_size(const struct iommu_device_tlb *t, const struct iommu_dma *d,
                                               unsigned need)
{
    for (uint64_t left = t->line ? t->sizes : 0; left; left &= left - 1) {
        const unsigned log2 = (unsigned)__builtin_ctzll(left);
        struct iommu_device_line *line = find(t, d->address >> log2, tag_of(d, log2));
        if (line && (line->rights & need) == need)
            return line;
    }
    return NULL;
}

const struct iommu_device_line *iommu_device_tlb_peek(const struct iommu_device_tlb *t, const struct iommu_dma *q,
                                                      unsigned need)
{
    return find_any_size(t, q, need);
}

const struct iommu_device_line *iommu_device_tlb_lookup(struct iommu_device_tlb *t, const struct iommu_dma *q,
                                                        unsigned need)
{
    struct iommu_device_line *line = find_any_size(t, q, need);
    t->counts->lookups++;
    t->counts->hits += line != NULL;
    if (line && t->policy == NW_DEVICE_TLB_LRU)
        line->used = ++t->clock;
    return line;
}

/* The old entry of the page, a free one, or the policy's victim. */
static struct iommu_device_line *place(struct iommu_device_tlb *t, uint64_t page, uint32_t tag)
{
    struct iommu_device_line *set = set_of(t, page, tag), *best = find(t, page, tag);
    for (unsigned way = 0; !best && way < t->ways; way++)
        if (!set[way].tag)
            best = &set[way];
    if (best)
        return best;
    t->counts->evictions++;
    if (t->policy == NW_DEVICE_TLB_RANDOM)
        return &set[nw_rng_below(&t->rng, t->ways)];
    best = set;
    for (unsigned way = 1; way < t->ways; way++)
        if (set[way].used < best->used)
            best = &set[way];
    return best;
}

void iommu_device_tlb_fill(struct iommu_device_tlb *t, const struct iommu_dma *d, uint64_t hpa, unsigned log2,
                           unsigned rights)
{
    if (!t->line)
        return;
    const uint64_t page = d->address >> log2;
    const uint32_t tag = tag_of(d, log2);
    t->counts->fills++;
    t->sizes |= NW_BIT(log2);
    *place(t, page, tag) = (struct iommu_device_line){
        .page = page, .hpa = hpa & ~(NW_BIT(log2) - 1), .used = ++t->clock, .tag = tag, .rights = (uint8_t)rights
    };
}

static bool covers(const struct iommu_device_cover *v, const struct iommu_device_line *l)
{
    const unsigned log2 = iommu_device_line_log2(l);
    const uint64_t from = l->page << log2, to = from + (NW_BIT(log2) - 1);
    if (!(l->tag & TAG_VALID) || v->has_pasid != !!(l->tag & TAG_PASID))
        return false;
    if (v->has_pasid && !v->global && v->pasid != (l->tag & nw_mask(19, 0)))
        return false;
    return from <= v->last && to >= v->start;
}

void iommu_device_tlb_invalidate(struct iommu_device_tlb *t, const struct iommu_device_cover *v)
{
    for (unsigned i = 0; i < t->sets * t->ways; i++)
        if (covers(v, &t->line[i])) {
            t->line[i].tag = 0;
            t->counts->invalidated++;
        }
}
