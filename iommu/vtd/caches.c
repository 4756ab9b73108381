/* Caches of a remapping unit: VT-d, "Caching Translation Information", "Tagging of Cached Translations". */
#include "caches.h"
#include <stdlib.h>
#include <string.h>

const char *const nw_vtd_cache_name[NW_VTD_CACHES] = { "context cache", "PASID cache", "IOTLB",
                                                       "paging-structure cache", "interrupt entry cache" };

/* ---- life cycle --------------------------------------------------------------------------------- */

enum { ENTRIES_MAX = 1 << 20 };

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
        c->cache[i].line = calloc(entries, sizeof *c->cache[i].line);
        if (!c->cache[i].line) {
            vtd_caches_fini(c);
            return nw_fail_nomem(err, "the caches of a remapping unit");
        }
        c->cache[i].sets = entries / ways;
        c->cache[i].ways = ways;
    }
    return NW_OK;
}

void vtd_caches_fini(struct vtd_caches *c)
{
    for (unsigned i = 0; i < NW_VTD_CACHES; i++)
        free(c->cache[i].line);
    memset(c, 0, sizeof *c);
}

/* ---- one cache ---------------------------------------------------------------------------------- */

static struct vtd_line *set_of(const struct vtd_cache *cache, uint64_t key_0, uint64_t key_1)
{
    return cache->line + nw_mix64(key_0 ^ nw_mix64(key_1)) % cache->sets * cache->ways;
}

static struct vtd_line *probe(struct vtd_cache *cache, uint64_t key_0, uint64_t key_1)
{
    if (!cache->line)
        return NULL;
    struct vtd_line *set = set_of(cache, key_0, key_1);
    for (unsigned way = 0; way < cache->ways; way++)
        if (set[way].valid && set[way].key[0] == key_0 && set[way].key[1] == key_1) {
            set[way].used = ++cache->clock;
            return &set[way];
        }
    return NULL;
}

static struct vtd_line *lookup(struct vtd_cache *cache, uint64_t key_0, uint64_t key_1)
{
    struct vtd_line *line = probe(cache, key_0, key_1);
    cache->counts.lookups += cache->line != NULL;
    cache->counts.hits += line != NULL;
    return line;
}

/* The place of a new entry: its old one, a free one, or that of the least recently used. NULL: there is no cache. */
static struct vtd_line *place(struct vtd_cache *cache, uint64_t key_0, uint64_t key_1)
{
    if (!cache->line)
        return NULL;
    struct vtd_line *set = set_of(cache, key_0, key_1), *best = probe(cache, key_0, key_1);
    for (unsigned way = 0; !best && way < cache->ways; way++)
        if (!set[way].valid)
            best = &set[way];
    if (!best) {
        best = set;
        for (unsigned way = 1; way < cache->ways; way++)
            if (set[way].used < best->used)
                best = &set[way];
        cache->counts.evictions++;
    }
    cache->counts.fills++;
    *best = (struct vtd_line){ .valid = true, .used = ++cache->clock, .key = { key_0, key_1 } };
    return best;
}

/* ---- context and PASID entries, interrupt entries ----------------------------------------------- */

bool vtd_context_lookup(struct vtd_caches *c, uint16_t source_id, uint64_t *word, unsigned words)
{
    const struct vtd_line *line = c ? lookup(&c->cache[NW_VTD_CONTEXT_CACHE], source_id, words) : NULL;
    if (line)
        memcpy(word, line->word, words * sizeof *word);
    return line;
}

void vtd_context_fill(struct vtd_caches *c, uint16_t source_id, const uint64_t *word, unsigned words,
                      unsigned domain_id, bool scalable)
{
    if (!c || probe(&c->cache[NW_VTD_CONTEXT_CACHE], source_id, words))
        return;
    struct vtd_line *line = place(&c->cache[NW_VTD_CONTEXT_CACHE], source_id, words);
    if (!line)
        return;
    line->scalable = scalable;
    line->source_id = source_id;
    line->domain_id = (uint16_t)domain_id;
    memcpy(line->word, word, words * sizeof *word);
}

bool vtd_pasid_lookup(struct vtd_caches *c, uint16_t source_id, uint32_t pasid, uint64_t word[8], bool *directory_fpd)
{
    const struct vtd_line *line = c ? lookup(&c->cache[NW_VTD_PASID_CACHE], source_id, pasid) : NULL;
    if (line) {
        memcpy(word, line->word, sizeof line->word);
        *directory_fpd = line->first;
    }
    return line;
}

void vtd_pasid_fill(struct vtd_caches *c, uint16_t source_id, uint32_t pasid, const uint64_t word[8],
                    bool directory_fpd, unsigned domain_id)
{
    if (!c || probe(&c->cache[NW_VTD_PASID_CACHE], source_id, pasid))
        return;
    struct vtd_line *line = place(&c->cache[NW_VTD_PASID_CACHE], source_id, pasid);
    if (!line)
        return;
    line->first = directory_fpd;
    line->source_id = source_id;
    line->pasid = pasid;
    line->domain_id = (uint16_t)domain_id;
    memcpy(line->word, word, sizeof line->word);
}

bool vtd_iec_lookup(struct vtd_caches *c, uint32_t index, uint64_t word[2])
{
    const struct vtd_line *line = c ? lookup(&c->cache[NW_VTD_INTERRUPT_CACHE], index, 0) : NULL;
    if (line)
        memcpy(word, line->word, 2 * sizeof *word);
    return line;
}

void vtd_iec_fill(struct vtd_caches *c, uint32_t index, const uint64_t word[2])
{
    if (!c || probe(&c->cache[NW_VTD_INTERRUPT_CACHE], index, 0))
        return;
    struct vtd_line *line = place(&c->cache[NW_VTD_INTERRUPT_CACHE], index, 0);
    if (line)
        memcpy(line->word, word, 2 * sizeof *word);
}

/* ---- translations ------------------------------------------------------------------------------- */

static const uint8_t page_log2s[] = { NW_PAGE_LOG2, NW_PAGE_2M_LOG2, NW_PAGE_1G_LOG2 };

/* Domain id (or source id), PASID, privilege and a size make one word of the key; the page number is the other. */
static uint64_t tag_of(const struct vtd_caches *c, const struct vtd_domain *d, unsigned kind, unsigned log2)
{
    return (c->tags_source ? d->source_id : d->domain_id) | (uint64_t)d->pasid << 16 | (uint64_t)d->privileged << 36 |
           (uint64_t)kind << 37 | (uint64_t)d->scalable << 39 | (uint64_t)log2 << 40;
}

bool vtd_iotlb_by_source(const struct vtd_caches *c) { return c && c->tags_source; }

bool vtd_iotlb_lookup(struct vtd_caches *c, const struct vtd_domain *d, uint64_t address, unsigned need,
                      struct nw_vtd_result *out)
{
    if (!c || !c->cache[NW_VTD_IOTLB].line)
        return false;
    struct vtd_cache *cache = &c->cache[NW_VTD_IOTLB];
    cache->counts.lookups++;
    for (unsigned i = 0; i < NW_ARRAY_LEN(page_log2s); i++) {
        unsigned log2 = page_log2s[i];
        const struct vtd_line *line = probe(cache, tag_of(c, d, 0, log2), address >> log2);
        if (!line || (line->word[1] & need) != need)
            continue;
        cache->counts.hits++;
        out->hpa = nw_hpa(line->word[0] | (address & (NW_BIT(log2) - 1)));
        out->page_log2 = (uint8_t)log2;
        out->rights = (uint8_t)line->word[1];
        out->translation = (enum nw_vtd_translation)line->word[2];
        out->domain_id = line->domain_id;
        return true;
    }
    return false;
}

void vtd_iotlb_fill(struct vtd_caches *c, const struct vtd_domain *d, uint64_t address,
                    const struct nw_vtd_result *translation)
{
    unsigned log2 = translation->page_log2;
    struct vtd_line *line = c ? place(&c->cache[NW_VTD_IOTLB], tag_of(c, d, 0, log2), address >> log2) : NULL;
    if (!line)
        return;
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
    if (!c || !c->cache[NW_VTD_PAGING_CACHE].line)
        return;
    struct vtd_cache *cache = &c->cache[NW_VTD_PAGING_CACHE];
    bool first = is_first(d, dimension);
    const struct nw_paging *p = first ? &d->first : &d->second;
    cache->counts.lookups++;
    for (unsigned level = 0; level + 1 < p->levels; level++) {
        unsigned log2 = p->level[level + 1].index_low;
        const struct vtd_line *line = probe(cache, table_tag(c, d, first, log2), address >> log2);
        if (!line)
            continue;
        cache->counts.hits++;
        start->level = (uint8_t)level;
        start->table = nw_hpa(line->word[0]);
        start->table_gpa = nw_gpa(line->word[1]);
        start->allowed = line->word[2];
        start->table_writable = line->word[3];
        start->table_known = true;
        return;
    }
}

void vtd_psc_fill(struct vtd_caches *c, const struct vtd_domain *d, enum nw_dimension dimension, uint64_t address,
                  const struct nw_walk_start *next)
{
    if (!c)
        return;
    bool first = is_first(d, dimension);
    const struct nw_paging *p = first ? &d->first : &d->second;
    unsigned log2 = p->level[next->level + 1].index_low;
    struct vtd_line *line = place(&c->cache[NW_VTD_PAGING_CACHE], table_tag(c, d, first, log2), address >> log2);
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
