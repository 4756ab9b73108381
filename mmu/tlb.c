#include <nestwalk/base/bits.h>
#include <nestwalk/mmu/tlb.h>
#include <nestwalk/mmu/walk.h>
#include <stdlib.h>
#include <string.h>

enum nw_status nw_tlb_init(struct nw_tlb *t, const char *name, const struct nw_tlb_geometry *g, uint64_t seed,
                           struct nw_error *err)
{
    memset(t, 0, sizeof *t);
    if (!g->entries || !g->ways || g->entries % g->ways)
        return nw_fail(err, NW_ERR_USAGE, "%s: %u entries cannot be divided into sets of %u ways", name, g->entries,
                       g->ways);
    if (!g->page_sizes || g->page_sizes > NW_TLB_PAGE_SIZES_MAX)
        return nw_fail(err, NW_ERR_USAGE, "%s: holds %u page sizes; 1 to %d are allowed", name, g->page_sizes,
                       NW_TLB_PAGE_SIZES_MAX);
    t->geometry = *g;
    t->sets = g->entries / g->ways;
    t->rng = nw_rng_for(seed, name);
    t->tree_leaves = 1u << nw_log2_ceil(g->ways);
    t->tree_words = (t->tree_leaves + 63) / 64;
    t->entry = calloc(g->entries, sizeof *t->entry);
    t->tree = calloc((size_t)t->sets * t->tree_words, sizeof *t->tree);
    t->age = calloc(g->entries, sizeof *t->age);
    if (!t->entry || !t->tree || !t->age) {
        nw_tlb_fini(t);
        return nw_fail_nomem(err, name);
    }
    return NW_OK;
}

void nw_tlb_fini(struct nw_tlb *t)
{
    free(t->entry);
    free(t->tree);
    free(t->age);
    memset(t, 0, sizeof *t);
}

bool nw_tlb_holds(const struct nw_tlb *t, unsigned page_log2)
{
    for (unsigned i = 0; i < t->geometry.page_sizes; i++)
        if (t->geometry.page_log2[i] == page_log2)
            return true;
    return false;
}

/* ---- replacement -------------------------------------------------------------------------------- */

static bool tree_bit(const struct nw_tlb *t, uint32_t set, uint32_t node)
{
    return t->tree[(size_t)set * t->tree_words + node / 64] >> (node % 64) & 1;
}

static void tree_point(struct nw_tlb *t, uint32_t set, uint32_t node, bool right)
{
    uint64_t *word = &t->tree[(size_t)set * t->tree_words + node / 64];
    *word = (*word & ~NW_BIT(node % 64)) | (uint64_t)right << (node % 64);
}

static void use_nru(struct nw_tlb *t, uint32_t set, uint32_t way)
{
    uint8_t *used = &t->age[(size_t)set * t->geometry.ways];
    uint32_t clear = 0;
    used[way] = 1;
    for (uint32_t w = 0; w < t->geometry.ways; w++)
        clear += !used[w];
    if (!clear) {
        memset(used, 0, t->geometry.ways);
        used[way] = 1;
    }
}

/* `fresh`: the use is the insertion of another page. */
static void use(struct nw_tlb *t, uint32_t set, uint32_t way, bool fresh)
{
    t->entry[(size_t)set * t->geometry.ways + way].used = ++t->clock;
    if (t->geometry.policy == NW_REPLACE_NRU)
        use_nru(t, set, way);
    else if (t->geometry.policy == NW_REPLACE_SRRIP)
        t->age[(size_t)set * t->geometry.ways + way] = fresh ? 2 : 0;
    uint32_t node = 1, first = 0;
    for (uint32_t span = t->tree_leaves / 2; span; span /= 2) {
        bool right = way >= first + span;
        tree_point(t, set, node, !right);
        node = 2 * node + right;
        first += right ? span : 0;
    }
}

static uint32_t victim_lru(const struct nw_tlb *t, uint32_t set)
{
    const struct nw_tlb_entry *e = &t->entry[(size_t)set * t->geometry.ways];
    uint32_t oldest = 0;
    for (uint32_t way = 1; way < t->geometry.ways; way++)
        if (e[way].used < e[oldest].used)
            oldest = way;
    return oldest;
}

static uint32_t victim_plru(const struct nw_tlb *t, uint32_t set)
{
    uint32_t node = 1, first = 0;
    for (uint32_t span = t->tree_leaves / 2; span; span /= 2) {
        bool right = tree_bit(t, set, node) && first + span < t->geometry.ways;
        node = 2 * node + right;
        first += right ? span : 0;
    }
    return first;
}

static uint32_t victim_nru(const struct nw_tlb *t, uint32_t set)
{
    const uint8_t *used = &t->age[(size_t)set * t->geometry.ways];
    for (uint32_t way = 0; way < t->geometry.ways; way++)
        if (!used[way])
            return way;
    return 0;
}

static uint32_t victim_srrip(struct nw_tlb *t, uint32_t set)
{
    uint8_t *prediction = &t->age[(size_t)set * t->geometry.ways];
    for (;;) {
        for (uint32_t way = 0; way < t->geometry.ways; way++)
            if (prediction[way] == 3)
                return way;
        for (uint32_t way = 0; way < t->geometry.ways; way++)
            prediction[way]++;
    }
}

static uint32_t victim(struct nw_tlb *t, uint32_t set)
{
    switch (t->geometry.policy) {
    case NW_REPLACE_PLRU: return victim_plru(t, set);
    case NW_REPLACE_NRU: return victim_nru(t, set);
    case NW_REPLACE_SRRIP: return victim_srrip(t, set);
    case NW_REPLACE_RANDOM: return (uint32_t)nw_rng_below(&t->rng, t->geometry.ways);
    default: return victim_lru(t, set);
    }
}

/* ---- lookup and insert -------------------------------------------------------------------------- */

static bool tag_matches(const struct nw_tlb_entry *e, const struct nw_tlb_tag *tag)
{
    return e->tag.vpid == tag->vpid && e->tag.root == tag->root && (e->global || e->tag.pcid == tag->pcid);
}

static struct nw_tlb_entry *find(const struct nw_tlb *t, uint64_t address, unsigned page_log2,
                                 const struct nw_tlb_tag *tag)
{
    uint64_t page = address >> page_log2;
    struct nw_tlb_entry *e = &t->entry[(size_t)(page % t->sets) * t->geometry.ways], *global = NULL;
    for (uint32_t way = 0; way < t->geometry.ways; way++) {
        if (!e[way].valid || e[way].page_log2 != page_log2 || e[way].page != page || !tag_matches(&e[way], tag))
            continue;
        if (!e[way].global)
            return &e[way];
        if (!global)
            global = &e[way];
    }
    return global;
}

static void use_entry(struct nw_tlb *t, const struct nw_tlb_entry *e)
{
    size_t index = (size_t)(e - t->entry);
    use(t, (uint32_t)(index / t->geometry.ways), (uint32_t)(index % t->geometry.ways), false);
}

struct nw_tlb_entry *nw_tlb_peek(struct nw_tlb *t, uint64_t address, const struct nw_tlb_tag *tag)
{
    for (unsigned i = 0; i < t->geometry.page_sizes; i++) {
        struct nw_tlb_entry *e = find(t, address, t->geometry.page_log2[i], tag);
        if (e)
            return e;
    }
    return NULL;
}

struct nw_tlb_entry *nw_tlb_lookup(struct nw_tlb *t, uint64_t address, const struct nw_tlb_tag *tag)
{
    struct nw_tlb_entry *e = nw_tlb_peek(t, address, tag);
    if (!e) {
        t->misses++;
        return NULL;
    }
    t->hits++;
    use_entry(t, e);
    return e;
}

bool nw_tlb_insert(struct nw_tlb *t, const struct nw_tlb_entry *entry, struct nw_tlb_entry *evicted)
{
    uint32_t set = (uint32_t)(entry->page % t->sets), ways = t->geometry.ways, way = 0;
    struct nw_tlb_entry *e = &t->entry[(size_t)set * ways];
    struct nw_tlb_entry *same = find(t, entry->page << entry->page_log2, entry->page_log2, &entry->tag);
    bool evicts = false;
    if (same) {
        way = (uint32_t)(same - e);
    } else {
        while (way < ways && e[way].valid)
            way++;
        if (way == ways) {
            way = victim(t, set);
            evicts = true;
            t->evictions++;
            if (evicted)
                *evicted = e[way];
        }
    }
    e[way] = *entry;
    e[way].valid = true;
    use(t, set, way, !same);
    return evicts;
}

void nw_tlb_update_dirty(struct nw_tlb *t, uint64_t address, const struct nw_tlb_tag *tag)
{
    struct nw_tlb_entry *e = nw_tlb_peek(t, address, tag);
    if (e)
        e->rights |= NW_RIGHT_DIRTY;
}

/* ---- invalidation ------------------------------------------------------------------------------- */

static bool reaches(const struct nw_tlb_predicate *p, const struct nw_tlb_entry *e)
{
    unsigned m = p->match;
    uint64_t first = e->page << e->page_log2, last = first + (NW_BIT(e->page_log2) - 1);
    return !(m & NW_TLB_MATCH_ADDRESS && (last < p->first || first > p->last)) &&
           !(m & NW_TLB_MATCH_PCID && e->tag.pcid != p->tag.pcid) &&
           !(m & NW_TLB_MATCH_PCID_OR_GLOBAL && e->tag.pcid != p->tag.pcid && !e->global) &&
           !(m & NW_TLB_MATCH_VPID && e->tag.vpid != p->tag.vpid) &&
           !(m & NW_TLB_MATCH_ROOT && e->tag.root != p->tag.root) && !(m & NW_TLB_MATCH_NONGLOBAL && e->global);
}

uint64_t nw_tlb_invalidate(struct nw_tlb *t, const struct nw_tlb_predicate *predicate)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < t->geometry.entries; i++)
        if (t->entry[i].valid && reaches(predicate, &t->entry[i])) {
            t->entry[i].valid = false;
            count++;
        }
    t->invalidated += count;
    return count;
}

struct nw_tlb_predicate nw_tlb_invlpg(uint64_t address, const struct nw_tlb_tag *tag)
{
    return (struct nw_tlb_predicate){ .match = NW_TLB_MATCH_ADDRESS | NW_TLB_MATCH_VPID | NW_TLB_MATCH_PCID_OR_GLOBAL,
                                      .first = address,
                                      .last = address,
                                      .tag = *tag };
}

struct nw_tlb_predicate nw_tlb_load_cr3(const struct nw_tlb_tag *tag)
{
    return (struct nw_tlb_predicate){ .match = NW_TLB_MATCH_VPID | NW_TLB_MATCH_PCID | NW_TLB_MATCH_NONGLOBAL,
                                      .tag = *tag };
}

struct nw_tlb_predicate nw_tlb_flush_guest(const struct nw_tlb_tag *tag)
{
    return (struct nw_tlb_predicate){ .match = NW_TLB_MATCH_VPID, .tag = *tag };
}

struct nw_tlb_predicate nw_tlb_flush_root(uint64_t root)
{
    return (struct nw_tlb_predicate){ .match = NW_TLB_MATCH_ROOT, .tag = { .root = root } };
}

struct nw_tlb_predicate nw_tlb_flush_all(void) { return (struct nw_tlb_predicate){ 0 }; }
