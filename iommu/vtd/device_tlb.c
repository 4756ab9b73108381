/* A device's TLB: PCI Express, "Address Translation Services": "ATC Size", "Invalidate Request Message Body". */
#include "device_tlb.h"
#include <stdlib.h>

const char *const nw_vtd_device_policy_name[NW_VTD_DEVICE_POLICIES] = { "lru", "fifo", "random" };

enum { ENTRIES_MAX = 1 << 20 };
#define TAG_PASID NW_BIT(20)
#define TAG_VALID NW_BIT(22)

enum nw_status vtd_device_tlb_init(struct vtd_device_tlb *t, const struct nw_vtd_device_config *config,
                                   struct nw_vtd_device_counts *counts, struct nw_error *err)
{
    unsigned entries = config->entries, ways = config->ways;
    *t = (struct vtd_device_tlb){ .policy = config->policy, .rng = nw_rng_seeded(config->seed), .counts = counts };
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

void vtd_device_tlb_fini(struct vtd_device_tlb *t) { free(t->line); }

static const uint8_t page_log2s[] = { NW_PAGE_LOG2, NW_PAGE_2M_LOG2, NW_PAGE_1G_LOG2 };

static uint32_t tag_of(const struct nw_vtd_request *q, unsigned log2)
{
    uint64_t pasid = q->has_pasid ? TAG_PASID | (uint64_t)q->privileged << 21 | (q->pasid & nw_mask(19, 0)) : 0;
    return (uint32_t)(pasid | TAG_VALID | (uint64_t)log2 << 24);
}

static struct vtd_device_line *set_of(const struct vtd_device_tlb *t, uint64_t page, uint32_t tag)
{
    return t->line + nw_mix64(page ^ (uint64_t)tag << 32) % t->sets * t->ways;
}

static struct vtd_device_line *find(const struct vtd_device_tlb *t, uint64_t page, uint32_t tag)
{
    struct vtd_device_line *set = set_of(t, page, tag);
    for (unsigned way = 0; way < t->ways; way++)
        if (set[way].tag == tag && set[way].page == page)
            return &set[way];
    return NULL;
}

static struct vtd_device_line *find_any_size(const struct vtd_device_tlb *t, const struct nw_vtd_request *q,
                                             unsigned need)
{
    for (unsigned i = 0; t->line && i < NW_ARRAY_LEN(page_log2s); i++) {
        struct vtd_device_line *line = find(t, q->address >> page_log2s[i], tag_of(q, page_log2s[i]));
        if (line && (line->rights & need) == need)
            return line;
    }
    return NULL;
}

const struct vtd_device_line *vtd_device_tlb_peek(const struct vtd_device_tlb *t, const struct nw_vtd_request *q,
                                                  unsigned need)
{
    return find_any_size(t, q, need);
}

const struct vtd_device_line *vtd_device_tlb_lookup(struct vtd_device_tlb *t, const struct nw_vtd_request *q,
                                                    unsigned need)
{
    struct vtd_device_line *line = find_any_size(t, q, need);
    t->counts->lookups++;
    t->counts->hits += line != NULL;
    if (line && t->policy == NW_VTD_DEVICE_LRU)
        line->used = ++t->clock;
    return line;
}

/* The old entry of the page, a free one, or the policy's victim. */
static struct vtd_device_line *place(struct vtd_device_tlb *t, uint64_t page, uint32_t tag)
{
    struct vtd_device_line *set = set_of(t, page, tag), *best = find(t, page, tag);
    for (unsigned way = 0; !best && way < t->ways; way++)
        if (!set[way].tag)
            best = &set[way];
    if (best)
        return best;
    t->counts->evictions++;
    if (t->policy == NW_VTD_DEVICE_RANDOM)
        return &set[nw_rng_below(&t->rng, t->ways)];
    best = set;
    for (unsigned way = 1; way < t->ways; way++)
        if (set[way].used < best->used)
            best = &set[way];
    return best;
}

void vtd_device_tlb_fill(struct vtd_device_tlb *t, const struct nw_vtd_request *q, const struct nw_vtd_completion *c)
{
    if (!t->line)
        return;
    uint64_t page = q->address >> c->page_log2;
    uint32_t tag = tag_of(q, c->page_log2);
    t->counts->fills++;
    *place(t, page, tag) = (struct vtd_device_line){
        .page = page, .hpa = c->hpa.v & ~(NW_BIT(c->page_log2) - 1), .used = ++t->clock, .tag = tag, .rights = c->rights
    };
}

/* With a PASID, entries of that PASID, or with G of every PASID. Without one, those without. A page is dropped when any part
 * of it is named. */
static bool covers(const struct nw_vtd_device_tlb *q, uint64_t start, uint64_t last, const struct vtd_device_line *l)
{
    unsigned log2 = vtd_device_line_log2(l);
    uint64_t from = l->page << log2, to = from + (NW_BIT(log2) - 1);
    if (!(l->tag & TAG_VALID) || q->has_pasid != !!(l->tag & TAG_PASID))
        return false;
    if (q->has_pasid && !q->global && q->pasid != (l->tag & nw_mask(19, 0)))
        return false;
    return from <= last && to >= start;
}

void vtd_device_tlb_invalidate(struct vtd_device_tlb *t, const struct nw_vtd_device_tlb *q)
{
    uint64_t start, last;
    nw_vtd_device_range(q, &start, &last);
    for (unsigned i = 0; i < t->sets * t->ways; i++)
        if (covers(q, start, last, &t->line[i])) {
            t->line[i].tag = 0;
            t->counts->invalidated++;
        }
}
