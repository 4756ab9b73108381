/* What an AMD IOMMU keeps: AMD IOMMU specification, "Invalidating Cached Translation Information" and, for what tags what, the
 * commands of the chapter "Commands".
 *
 * A device's own permissions (IR and IW of its device table entry) and whether flags are maintained for it (HAD) are part of the
 * tag: devices of a domain that differ in them share no entries, so that a hit is what a walk would be. */
#include "caches.h"
#include <stdio.h>
#include <string.h>

const char *const nw_amdvi_cache_name[NW_AMDVI_CACHES] = { "device table cache", "guest CR3 cache", "IOTLB",
                                                           "page directory cache", "interrupt table cache" };

/* ---- life cycle --------------------------------------------------------------------------------- */

static const uint8_t words_of[NW_AMDVI_CACHES] = { [NW_AMDVI_DEVICE_CACHE] = 4,
                                                   [NW_AMDVI_GCR3_CACHE] = 1,
                                                   [NW_AMDVI_IOTLB] = 2,
                                                   [NW_AMDVI_PDE_CACHE] = 4,
                                                   [NW_AMDVI_INTERRUPT_CACHE] = 2 };

enum nw_status amdvi_caches_init(struct amdvi_caches *c, const struct nw_iommu_cache_shape shape[NW_AMDVI_CACHES],
                                 struct nw_error *err)
{
    memset(c, 0, sizeof *c);
    for (unsigned i = 0; i < NW_AMDVI_CACHES; i++) {
        char what[64];
        snprintf(what, sizeof what, "AMD-Vi %s", nw_amdvi_cache_name[i]);
        enum nw_status s = iommu_array_init(&c->cache[i], &shape[i], words_of[i], what, err);
        if (s) {
            amdvi_caches_fini(c);
            return s;
        }
    }
    return NW_OK;
}

void amdvi_caches_fini(struct amdvi_caches *c)
{
    for (unsigned i = 0; i < NW_AMDVI_CACHES; i++)
        iommu_array_fini(&c->cache[i]);
}

void amdvi_caches_freeze(struct amdvi_caches *c, bool frozen)
{
    for (unsigned i = 0; i < NW_AMDVI_CACHES; i++)
        c->cache[i].frozen = frozen;
}

/* The cache, when there is one to look into. */
static struct iommu_array *cache_of(const struct amdvi_walk *w, enum nw_amdvi_cache which)
{
    return w->caches && w->caches->cache[which].sets ? &w->caches->cache[which] : NULL;
}

static uint16_t domain_of(const struct amdvi_walk *w) { return (uint16_t)(w->dte[1] & DTE_DOMAIN); }

/* ---- device table entries, guest CR3s, interrupt entries ---------------------------------------- */

bool amdvi_dte_lookup(struct amdvi_walk *w)
{
    struct iommu_array *c = cache_of(w, NW_AMDVI_DEVICE_CACHE);
    const struct iommu_line *line = c ? iommu_lookup(c, (struct iommu_key){ w->q->device_id, 0 }) : NULL;
    if (line)
        memcpy(w->dte, line->word, sizeof w->dte);
    w->dte_cached = line;
    return line;
}

void amdvi_dte_fill(struct amdvi_walk *w)
{
    struct iommu_array *c = w->dte_cached ? NULL : cache_of(w, NW_AMDVI_DEVICE_CACHE);
    struct iommu_line *line = c ? iommu_place(c, (struct iommu_key){ w->q->device_id, 0 }, 0) : NULL;
    if (!line)
        return;
    line->source_id = w->q->device_id;
    memcpy(line->word, w->dte, sizeof w->dte);
}

static struct iommu_key pasid_key(const struct amdvi_walk *w, uint32_t pasid)
{
    return (struct iommu_key){ domain_of(w), pasid };
}

bool amdvi_gcr3_lookup(struct amdvi_walk *w, uint32_t pasid, uint64_t *cr3)
{
    struct iommu_array *c = cache_of(w, NW_AMDVI_GCR3_CACHE);
    const struct iommu_line *line = c ? iommu_lookup(c, pasid_key(w, pasid)) : NULL;
    if (line)
        *cr3 = line->word[0];
    return line;
}

void amdvi_gcr3_fill(struct amdvi_walk *w, uint32_t pasid, uint64_t cr3)
{
    struct iommu_array *c = cache_of(w, NW_AMDVI_GCR3_CACHE);
    struct iommu_line *line = c ? iommu_place(c, pasid_key(w, pasid), 0) : NULL;
    if (!line)
        return;
    line->domain_id = domain_of(w);
    line->pasid = pasid;
    line->first = true;
    line->word[0] = cr3;
}

static struct iommu_key interrupt_key(const struct amdvi_walk *w, unsigned index)
{
    return (struct iommu_key){ w->q->device_id, index };
}

bool amdvi_irte_lookup(struct amdvi_walk *w, unsigned index, uint64_t entry[2])
{
    struct iommu_array *c = cache_of(w, NW_AMDVI_INTERRUPT_CACHE);
    const struct iommu_line *line = c ? iommu_lookup(c, interrupt_key(w, index)) : NULL;
    if (line)
        memcpy(entry, line->word, 2 * sizeof *entry);
    return line;
}

void amdvi_irte_fill(struct amdvi_walk *w, unsigned index, const uint64_t entry[2])
{
    struct iommu_array *c = cache_of(w, NW_AMDVI_INTERRUPT_CACHE);
    if (!c || iommu_peek(c, interrupt_key(w, index)) != IOMMU_ABSENT)
        return;
    struct iommu_line *line = iommu_place(c, interrupt_key(w, index), 0);
    if (!line)
        return;
    line->source_id = w->q->device_id;
    memcpy(line->word, entry, 2 * sizeof *entry);
}

/* ---- translations and tables -------------------------------------------------------------------- */

enum { KIND_HOST, KIND_GUEST, KIND_HOST_TABLE, KIND_GUEST_TABLE };

/* Domain id 15:0, PASID 35:16, privileged 36, IR and IW 38:37, HAD 40:39, kind 42:41, log2 49:44. */
static uint64_t tag_of(const struct amdvi_walk *w, unsigned kind, uint32_t pasid, bool privileged)
{
    return domain_of(w) | (uint64_t)pasid << 16 | (uint64_t)privileged << 36 | nw_field(w->dte[0], 62, 61) << 37 |
           (uint64_t)DTE_HAD(w->dte[0]) << 39 | (uint64_t)kind << 41;
}

static struct iommu_key key_of(uint64_t tag, unsigned log2, uint64_t address)
{
    return (struct iommu_key){ tag | (uint64_t)log2 << 44, address >> log2 };
}

/* The second word of a translation. */
#define LINE_RIGHTS(w1) ((unsigned)nw_field(w1, 2, 0))
#define LINE_U          NW_BIT(3)
#define LINE_FC         NW_BIT(4)
#define LINE_STORED     NW_BIT(5)
#define LINE_FORM(w1)   ((enum nw_amdvi_translation)nw_field(w1, 9, 8))

static uint64_t space_tag(const struct amdvi_walk *w, const struct amdvi_space *s)
{
    return tag_of(w, s->guest ? KIND_GUEST : KIND_HOST, s->pasid, s->privileged);
}

/* Whoever stores needs D behind it: guests' leaves have it always, the host's when DTE.HAD says so. */
static bool serves(const struct amdvi_walk *w, const struct amdvi_space *s, const struct iommu_line *line,
                   unsigned need, bool store)
{
    bool dirty = s->guest || DTE_HAD(w->dte[0]) == HAD_BOTH;
    unsigned rights = LINE_RIGHTS(line->word[1]);
    if ((rights & need) != need)
        return false;
    return !(store && dirty && (rights & NW_AMDVI_RIGHT_WRITE)) || (line->word[1] & LINE_STORED);
}

bool amdvi_iotlb_lookup(struct amdvi_walk *w, const struct amdvi_space *s, unsigned need, bool store,
                        struct nw_amdvi_result *out)
{
    struct iommu_array *c = cache_of(w, NW_AMDVI_IOTLB);
    const struct iommu_line *hit = NULL;
    if (!c)
        return false;
    const uint64_t tag = space_tag(w, s), address = w->q->address;
    for (uint64_t left = c->sizes; left && !hit; left &= left - 1) {
        hit = iommu_probe(c, key_of(tag, (unsigned)__builtin_ctzll(left), address));
        if (hit && !serves(w, s, hit, need, store))
            hit = NULL;
    }
    iommu_count(c, hit);
    if (!hit)
        return false;
    out->hpa = nw_hpa(hit->word[0] | (address & (NW_BIT(hit->log2) - 1)));
    out->page_log2 = hit->log2;
    out->rights = (uint8_t)LINE_RIGHTS(hit->word[1]);
    out->untranslated_only = hit->word[1] & LINE_U;
    out->force_coherent = hit->word[1] & LINE_FC;
    out->translation = LINE_FORM(hit->word[1]);
    return true;
}

void amdvi_iotlb_fill(struct amdvi_walk *w, const struct amdvi_space *s, bool stored, const struct nw_amdvi_result *r)
{
    struct iommu_array *c = cache_of(w, NW_AMDVI_IOTLB);
    if (!c || !r->rights || r->page_log2 >= 64)
        return;
    struct iommu_line *line = iommu_place(c, key_of(space_tag(w, s), r->page_log2, w->q->address), r->page_log2);
    if (!line)
        return;
    line->domain_id = domain_of(w);
    line->pasid = s->pasid;
    line->first = s->guest;
    line->word[0] = r->hpa.v & ~(NW_BIT(r->page_log2) - 1);
    line->word[1] = r->rights | (r->untranslated_only ? LINE_U : 0) | (r->force_coherent ? LINE_FC : 0) |
                    (stored ? LINE_STORED : 0) | (uint64_t)r->translation << 8;
}

/* log2 of what a table of that level maps. */
static unsigned table_log2(unsigned level) { return NW_PAGE_LOG2 + 9 * level; }

bool amdvi_pde_lookup(struct amdvi_walk *w, uint64_t gpa, unsigned top, struct amdvi_host_table *out)
{
    struct iommu_array *c = cache_of(w, NW_AMDVI_PDE_CACHE);
    const struct iommu_line *line = NULL;
    if (!c)
        return false;
    const uint64_t tag = tag_of(w, KIND_HOST_TABLE, 0, false);
    for (unsigned level = 1; level < top && !line; level++)
        if ((line = iommu_probe(c, key_of(tag, table_log2(level), gpa))))
            *out = (struct amdvi_host_table){ level, (unsigned)line->word[1], line->word[0] };
    iommu_count(c, line);
    return line;
}

void amdvi_pde_fill(struct amdvi_walk *w, uint64_t gpa, const struct amdvi_host_table *t)
{
    struct iommu_array *c = cache_of(w, NW_AMDVI_PDE_CACHE);
    unsigned log2 = table_log2(t->level);
    struct iommu_line *line = c ? iommu_place(c, key_of(tag_of(w, KIND_HOST_TABLE, 0, false), log2, gpa), log2) : NULL;
    if (!line)
        return;
    line->domain_id = domain_of(w);
    line->word[0] = t->table;
    line->word[1] = t->rights;
}

void amdvi_guest_pde_lookup(struct amdvi_walk *w, uint32_t pasid, const struct nw_paging *p, uint64_t gva,
                            struct nw_walk_start *start)
{
    struct iommu_array *c = cache_of(w, NW_AMDVI_PDE_CACHE);
    const struct iommu_line *line = NULL;
    unsigned level = 0;
    if (!c)
        return;
    const uint64_t tag = tag_of(w, KIND_GUEST_TABLE, pasid, false);
    for (; level + 1 < p->levels; level++)
        if ((line = iommu_probe(c, key_of(tag, p->level[level + 1].index_low, gva))))
            break;
    iommu_count(c, line);
    if (!line)
        return;
    start->level = (uint8_t)level;
    start->table = nw_hpa(line->word[0]);
    start->table_gpa = nw_gpa(line->word[1]);
    start->allowed = line->word[2];
    start->table_writable = line->word[3];
    start->table_known = true;
}

void amdvi_guest_pde_fill(struct amdvi_walk *w, uint32_t pasid, const struct nw_paging *p, uint64_t gva,
                          const struct nw_walk_start *next)
{
    struct iommu_array *c = cache_of(w, NW_AMDVI_PDE_CACHE);
    unsigned log2 = p->level[next->level + 1].index_low;
    struct iommu_line *line =
        c ? iommu_place(c, key_of(tag_of(w, KIND_GUEST_TABLE, pasid, false), log2, gva), log2) : NULL;
    if (!line)
        return;
    line->domain_id = domain_of(w);
    line->pasid = pasid;
    line->first = true;
    line->word[0] = next->table.v;
    line->word[1] = next->table_gpa.v;
    line->word[2] = next->allowed;
    line->word[3] = next->table_writable;
}

/* ---- invalidation ------------------------------------------------------------------------------- */

/* With GN addresses are a guest's: translations and tables of that PASID. Without, they are GPAs: of guests' entries, which do not
 * tell what GPAs they were made from, all of the domain go. */
static bool page_covered(struct iommu_key key, const struct iommu_line *line, const void *what)
{
    const struct amdvi_cover *v = what;
    if (line->domain_id != v->domain_id)
        return false;
    if (!v->guest)
        return line->first || iommu_meets(key, line, v->start, v->last);
    return line->first && line->pasid == v->pasid && iommu_meets(key, line, v->start, v->last);
}

static bool table_covered(struct iommu_key key, const struct iommu_line *line, const void *what)
{
    const struct amdvi_cover *v = what;
    /* A guest's table that the host has elsewhere now is a matter of a host's leaf. */
    bool tables = v->tables || (!v->guest && line->first);
    return tables && page_covered(key, line, what);
}

/* The GCR3 table stands above all tables of the PASID. */
static bool cr3_covered(struct iommu_key key, const struct iommu_line *line, const void *what)
{
    const struct amdvi_cover *v = what;
    (void)key;
    return line->domain_id == v->domain_id && (!v->guest || (v->tables && line->pasid == v->pasid));
}

static bool device_covered(struct iommu_key key, const struct iommu_line *line, const void *what)
{
    (void)line;
    return key.a == *(const uint16_t *)what;
}

static bool everything(struct iommu_key key, const struct iommu_line *line, const void *what)
{
    (void)key, (void)line, (void)what;
    return true;
}

void amdvi_invalidate_pages(struct amdvi_caches *c, const struct amdvi_cover *v)
{
    iommu_sweep(&c->cache[NW_AMDVI_IOTLB], page_covered, v);
    iommu_sweep(&c->cache[NW_AMDVI_PDE_CACHE], table_covered, v);
    iommu_sweep(&c->cache[NW_AMDVI_GCR3_CACHE], cr3_covered, v);
}

void amdvi_invalidate_device(struct amdvi_caches *c, uint16_t device_id)
{
    iommu_sweep(&c->cache[NW_AMDVI_DEVICE_CACHE], device_covered, &device_id);
}

void amdvi_invalidate_interrupts(struct amdvi_caches *c, uint16_t device_id)
{
    iommu_sweep(&c->cache[NW_AMDVI_INTERRUPT_CACHE], device_covered, &device_id);
}

void amdvi_invalidate_all(struct amdvi_caches *c)
{
    for (unsigned i = 0; i < NW_AMDVI_CACHES; i++)
        iommu_sweep(&c->cache[i], everything, NULL);
}
