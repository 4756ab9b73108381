/* Caches of a remapping unit: VT-d, "Caching Translation Information", "Tagging of Cached Translations". */
#include "caches.h"
#include <stdlib.h>
#include <string.h>

const char *const nw_vtd_cache_name[NW_VTD_CACHES] = { "context cache", "PASID cache", "IOTLB",
                                                       "paging-structure cache", "interrupt entry cache" };

/* ---- life cycle --------------------------------------------------------------------------------- */

enum { ENTRIES_MAX = 1 << 20 };

static const uint8_t words_of[NW_VTD_CACHES] = { [NW_VTD_CONTEXT_CACHE] = 4,
                                                 [NW_VTD_PASID_CACHE] = 8,
                                                 [NW_VTD_IOTLB] = 3,
                                                 [NW_VTD_PAGING_CACHE] = 4,
                                                 [NW_VTD_INTERRUPT_CACHE] = 2 };

static bool allocate(struct vtd_cache *cache, unsigned entries, unsigned ways, unsigned words)
{
    cache->line_bytes = sizeof(struct vtd_line) + words * sizeof(uint64_t);
    cache->key = malloc(entries * sizeof *cache->key);
    cache->used = calloc(entries, sizeof *cache->used);
    cache->line = calloc(entries, cache->line_bytes);
    if (!cache->key || !cache->used || !cache->line)
        return false;
    for (unsigned i = 0; i < entries; i++)
        cache->key[i] = (struct vtd_key){ VTD_NO_KEY, 0 };
    cache->sets = entries / ways;
    cache->ways = ways;
    return true;
}

enum nw_status vtd_caches_init(struct vtd_caches *c, const struct nw_vtd_cache_shape shape[NW_VTD_CACHES],
                               struct nw_error *err)
{
    memset(c, 0, sizeof *c);
    for (unsigned i = 0; i < NW_VTD_CACHES; i++) {
        unsigned entries = shape[i].entries, ways = shape[i].ways;
        if (!entries)
            continue;
        if (!ways || entries % ways || entries > ENTRIES_MAX) {
            vtd_caches_fini(c);
            return nw_fail(err, NW_ERR_INPUT,
                           "VT-d %s: %u entries in %u ways; entries must be a multiple of ways and at "
                           "most %d",
                           nw_vtd_cache_name[i], entries, ways, ENTRIES_MAX);
        }
        if (!allocate(&c->cache[i], entries, ways, words_of[i])) {
            vtd_caches_fini(c);
            return nw_fail_nomem(err, "the caches of a remapping unit");
        }
    }
    return NW_OK;
}

void vtd_caches_fini(struct vtd_caches *c)
{
    for (unsigned i = 0; i < NW_VTD_CACHES; i++) {
        free(c->cache[i].key);
        free(c->cache[i].used);
        free(c->cache[i].line);
    }
    memset(c, 0, sizeof *c);
}

/* ---- one cache ---------------------------------------------------------------------------------- */

/* NULL when it is not there. */
static struct vtd_line *probe(struct vtd_caches *c, enum nw_vtd_cache which, struct vtd_key k)
{
    struct vtd_cache *cache = &c->cache[which];
    int64_t at = vtd_peek(cache, k);
    if (at == VTD_ABSENT)
        return NULL;
    if (!c->frozen)
        vtd_touch(cache, at);
    return vtd_line_at(cache, (size_t)at);
}

static void count(struct vtd_caches *c, enum nw_vtd_cache which, bool hit)
{
    struct vtd_cache *cache = &c->cache[which];
    if (!cache->sets || c->frozen)
        return;
    cache->counts.lookups++;
    cache->counts.hits += hit;
}

static const struct vtd_line *lookup(struct vtd_caches *c, enum nw_vtd_cache which, struct vtd_key k)
{
    const struct vtd_line *line = probe(c, which, k);
    count(c, which, line);
    return line;
}

/* Which entry makes room: the old one of that key, a free place, or the least recently used. */
static size_t victim(struct vtd_cache *cache, struct vtd_key k)
{
    int64_t own = vtd_peek(cache, k);
    if (own != VTD_ABSENT)
        return (size_t)own;
    size_t set = vtd_set_of(cache, k), best = set;
    for (size_t at = set; at < set + cache->ways; at++) {
        if (cache->key[at].a == VTD_NO_KEY)
            return at;
        if (cache->used[at] < cache->used[best])
            best = at;
    }
    cache->counts.evictions++;
    return best;
}

void vtd_forget(struct vtd_caches *c, enum nw_vtd_cache which, size_t at)
{
    struct vtd_cache *cache = &c->cache[which];
    if (which == NW_VTD_IOTLB)
        c->pages_of[vtd_line_at(cache, at)->log2 & 63]--;
    cache->key[at].a = VTD_NO_KEY;
}

/* The place of a new entry, without its words. NULL: there is no cache. */
static struct vtd_line *place(struct vtd_caches *c, enum nw_vtd_cache which, struct vtd_key k)
{
    struct vtd_cache *cache = &c->cache[which];
    if (!cache->sets || c->frozen)
        return NULL;
    size_t at = victim(cache, k);
    if (cache->key[at].a != VTD_NO_KEY)
        vtd_forget(c, which, at);
    cache->counts.fills++;
    cache->key[at] = k;
    vtd_touch(cache, (int64_t)at);
    struct vtd_line *line = vtd_line_at(cache, at);
    *line = (struct vtd_line){ 0 };
    return line;
}

static bool holds(const struct vtd_caches *c, enum nw_vtd_cache which, struct vtd_key k)
{
    return vtd_peek(&c->cache[which], k) != VTD_ABSENT;
}

/* ---- context and PASID entries, interrupt entries ----------------------------------------------- */

bool vtd_context_lookup(struct vtd_caches *c, uint16_t source_id, uint64_t *word, unsigned words)
{
    const struct vtd_line *line = c ? lookup(c, NW_VTD_CONTEXT_CACHE, (struct vtd_key){ source_id, words }) : NULL;
    if (line)
        memcpy(word, line->word, words * sizeof *word);
    return line;
}

void vtd_context_fill(struct vtd_caches *c, uint16_t source_id, const uint64_t *word, unsigned words,
                      unsigned domain_id, bool scalable)
{
    if (!c || holds(c, NW_VTD_CONTEXT_CACHE, (struct vtd_key){ source_id, words }))
        return;
    struct vtd_line *line = place(c, NW_VTD_CONTEXT_CACHE, (struct vtd_key){ source_id, words });
    if (!line)
        return;
    line->scalable = scalable;
    line->source_id = source_id;
    line->domain_id = (uint16_t)domain_id;
    memcpy(line->word, word, words * sizeof *word);
}

bool vtd_pasid_lookup(struct vtd_caches *c, uint16_t source_id, uint32_t pasid, uint64_t word[8], bool *directory_fpd)
{
    const struct vtd_line *line = c ? lookup(c, NW_VTD_PASID_CACHE, (struct vtd_key){ source_id, pasid }) : NULL;
    if (line) {
        memcpy(word, line->word, 8 * sizeof *word);
        *directory_fpd = line->first;
    }
    return line;
}

void vtd_pasid_fill(struct vtd_caches *c, uint16_t source_id, uint32_t pasid, const uint64_t word[8],
                    bool directory_fpd, unsigned domain_id)
{
    if (!c || holds(c, NW_VTD_PASID_CACHE, (struct vtd_key){ source_id, pasid }))
        return;
    struct vtd_line *line = place(c, NW_VTD_PASID_CACHE, (struct vtd_key){ source_id, pasid });
    if (!line)
        return;
    line->first = directory_fpd;
    line->source_id = source_id;
    line->pasid = pasid;
    line->domain_id = (uint16_t)domain_id;
    memcpy(line->word, word, 8 * sizeof *word);
}

bool vtd_iec_lookup(struct vtd_caches *c, uint32_t index, uint64_t word[2])
{
    const struct vtd_line *line = c ? lookup(c, NW_VTD_INTERRUPT_CACHE, (struct vtd_key){ index, 0 }) : NULL;
    if (line)
        memcpy(word, line->word, 2 * sizeof *word);
    return line;
}

void vtd_iec_fill(struct vtd_caches *c, uint32_t index, const uint64_t word[2])
{
    if (!c || holds(c, NW_VTD_INTERRUPT_CACHE, (struct vtd_key){ index, 0 }))
        return;
    struct vtd_line *line = place(c, NW_VTD_INTERRUPT_CACHE, (struct vtd_key){ index, 0 });
    if (line)
        memcpy(line->word, word, 2 * sizeof *word);
}

/* ---- translations ------------------------------------------------------------------------------- */

static const uint8_t page_log2s[] = { NW_PAGE_LOG2, NW_PAGE_2M_LOG2, NW_PAGE_1G_LOG2 };

static uint64_t tag_of(const struct vtd_caches *c, const struct vtd_domain *d, unsigned kind, unsigned log2)
{
    return vtd_tag(c->tags_source ? d->source_id : d->domain_id, d->pasid, d->privileged, d->scalable) |
           (uint64_t)kind << 37 | (uint64_t)log2 << 40;
}

bool vtd_iotlb_by_source(const struct vtd_caches *c) { return c && c->tags_source; }

void vtd_take(const struct vtd_line *line, uint64_t address, struct nw_vtd_result *out)
{
    out->hpa = nw_hpa(line->word[0] | (address & (NW_BIT(line->log2) - 1)));
    out->page_log2 = line->log2;
    out->rights = (uint8_t)line->word[1];
    out->translation = (enum nw_vtd_translation)line->word[2];
    out->domain_id = line->domain_id;
}

bool vtd_iotlb_lookup(struct vtd_caches *c, const struct vtd_domain *d, uint64_t address, unsigned need,
                      struct nw_vtd_result *out)
{
    const struct vtd_line *hit = NULL;
    if (!c)
        return false;
    for (unsigned i = 0; !hit && i < NW_ARRAY_LEN(page_log2s); i++) {
        unsigned log2 = page_log2s[i];
        if (!c->pages_of[log2])
            continue;
        hit = probe(c, NW_VTD_IOTLB, (struct vtd_key){ tag_of(c, d, 0, log2), address >> log2 });
        if (hit && (hit->word[1] & need) != need)
            hit = NULL;
    }
    count(c, NW_VTD_IOTLB, hit);
    if (hit)
        vtd_take(hit, address, out);
    return hit;
}

void vtd_iotlb_fill(struct vtd_caches *c, const struct vtd_domain *d, uint64_t address,
                    const struct nw_vtd_result *translation)
{
    unsigned log2 = translation->page_log2;
    struct vtd_line *line =
        c ? place(c, NW_VTD_IOTLB, (struct vtd_key){ tag_of(c, d, 0, log2), address >> log2 }) : NULL;
    if (!line)
        return;
    c->pages_of[log2 & 63]++;
    line->domain_id = d->domain_id;
    line->pasid = d->pasid;
    line->log2 = (uint8_t)log2;
    line->first = d->translation != NW_VTD_SECOND_STAGE;
    line->word[0] = translation->hpa.v & ~(NW_BIT(log2) - 1);
    line->word[1] = translation->rights;
    line->word[2] = d->translation;
}

/* What one entry of a paging-structure cache stands for: a table of `level`, for all addresses that agree above it. */
static bool is_first(const struct vtd_domain *d, enum nw_dimension dimension)
{
    return dimension == NW_GUEST && d->translation != NW_VTD_SECOND_STAGE;
}

static uint64_t table_tag(const struct vtd_caches *c, const struct vtd_domain *d, bool first, unsigned log2)
{
    struct vtd_domain shared = *d; /* second-stage tables serve all PASIDs of the domain, and know no privilege */
    if (!first) {
        shared.pasid = 0;
        shared.privileged = false;
    }
    return tag_of(c, &shared, first ? 1 : 2, log2);
}

void vtd_psc_lookup(struct vtd_caches *c, const struct vtd_domain *d, enum nw_dimension dimension, uint64_t address,
                    struct nw_walk_start *start)
{
    if (!c || !c->cache[NW_VTD_PAGING_CACHE].sets)
        return;
    bool first = is_first(d, dimension);
    const struct nw_paging *p = first ? &d->first : &d->second;
    const struct vtd_line *line = NULL;
    unsigned level = 0;
    for (; level + 1 < p->levels; level++) {
        unsigned log2 = p->level[level + 1].index_low;
        line = probe(c, NW_VTD_PAGING_CACHE, (struct vtd_key){ table_tag(c, d, first, log2), address >> log2 });
        if (line)
            break;
    }
    count(c, NW_VTD_PAGING_CACHE, line);
    if (!line)
        return;
    start->level = (uint8_t)level;
    start->table = nw_hpa(line->word[0]);
    start->table_gpa = nw_gpa(line->word[1]);
    start->allowed = line->word[2];
    start->table_writable = line->word[3];
    start->table_known = true;
}

void vtd_psc_fill(struct vtd_caches *c, const struct vtd_domain *d, enum nw_dimension dimension, uint64_t address,
                  const struct nw_walk_start *next)
{
    if (!c)
        return;
    bool first = is_first(d, dimension);
    const struct nw_paging *p = first ? &d->first : &d->second;
    unsigned log2 = p->level[next->level + 1].index_low;
    struct vtd_line *line =
        place(c, NW_VTD_PAGING_CACHE, (struct vtd_key){ table_tag(c, d, first, log2), address >> log2 });
    if (!line)
        return;
    line->domain_id = d->domain_id;
    line->pasid = d->pasid;
    line->first = first;
    line->log2 = (uint8_t)log2;
    line->word[0] = next->table.v;
    line->word[1] = next->table_gpa.v;
    line->word[2] = next->allowed;
    line->word[3] = next->table_writable;
}
