/* Pages and the table words that they depend on, each found by hashing, with a chain of links from a word to its pages. */
#include "stale_index.h"
#include <stdlib.h>

void iommu_stale_index_fini(struct iommu_stale_index *x)
{
    free(x->page);
    free(x->word);
    free(x->link);
    free(x->page_slot);
    free(x->word_slot);
    free(x->exposed);
}

/* ---- growing ------------------------------------------------------------------------------------ */

/* Room for one more element; `*array` and `*room` are replaced. */
static bool grow(void **array, uint32_t *room, uint32_t used, size_t element)
{
    if (used < *room)
        return true;
    if (*room > UINT32_MAX / 4)
        return false;
    uint32_t more = *room ? *room * 2 : 256;
    void *bigger = realloc(*array, more * element);
    if (!bigger)
        return false;
    *array = bigger;
    *room = more;
    return true;
}

static uint64_t page_hash(const struct iommu_dma *d, uint64_t number, unsigned log2)
{
    uint64_t who = (uint64_t)d->source_id << 32 | (uint64_t)d->has_pasid << 31 | (uint64_t)d->privileged << 30 |
                   (d->has_pasid ? d->pasid : 0);
    return nw_mix64(number ^ nw_mix64(who ^ (uint64_t)log2 << 52));
}

static bool same_page(const struct iommu_stale_page *p, const struct iommu_dma *d, uint64_t number, unsigned log2)
{
    const struct iommu_dma *r = &p->dma;
    return p->number == number && p->log2 == log2 && r->source_id == d->source_id && r->has_pasid == d->has_pasid &&
           (!d->has_pasid || (r->pasid == d->pasid && r->privileged == d->privileged));
}

static void enter(uint32_t *slot, uint32_t slots, uint64_t hash, uint32_t element)
{
    uint32_t at = (uint32_t)hash & (slots - 1);
    while (slot[at])
        at = (at + 1) & (slots - 1);
    slot[at] = element + 1;
}

/* Twice as many slots, when they are half full. */
static bool more_slots(uint32_t **slot, uint32_t *slots, uint32_t used, struct iommu_stale_index *x, bool pages)
{
    if (used * 2 < *slots)
        return true;
    uint32_t more = *slots ? *slots * 2 : 512;
    uint32_t *bigger = calloc(more, sizeof *bigger);
    if (!bigger)
        return false;
    for (uint32_t i = 0; i < used; i++) {
        const struct iommu_stale_page *p = &x->page[i];
        enter(bigger, more, pages ? page_hash(&p->dma, p->number, p->log2) : nw_mix64(x->word[i].address), i);
    }
    free(*slot);
    *slot = bigger;
    *slots = more;
    return true;
}

/* ---- pages -------------------------------------------------------------------------------------- */

struct iommu_stale_page *iommu_stale_find(const struct iommu_stale_index *x, const struct iommu_dma *d, unsigned log2)
{
    uint64_t number = d->address >> log2;
    if (!x->page_slots)
        return NULL;
    uint32_t at = (uint32_t)page_hash(d, number, log2) & (x->page_slots - 1);
    for (; x->page_slot[at]; at = (at + 1) & (x->page_slots - 1))
        if (same_page(&x->page[x->page_slot[at] - 1], d, number, log2))
            return &x->page[x->page_slot[at] - 1];
    return NULL;
}

struct iommu_stale_page *iommu_stale_make(struct iommu_stale_index *x, const struct iommu_dma *d, unsigned log2)
{
    struct iommu_stale_page *known = iommu_stale_find(x, d, log2);
    if (known)
        return known;
    if (!grow((void **)&x->page, &x->page_room, x->pages, sizeof *x->page) ||
        !grow((void **)&x->exposed, &x->exposed_room, x->pages, sizeof *x->exposed) ||
        !more_slots(&x->page_slot, &x->page_slots, x->pages, x, true))
        return NULL;
    struct iommu_stale_page *p = &x->page[x->pages];
    *p = (struct iommu_stale_page){ .dma = *d, .number = d->address >> log2, .log2 = (uint8_t)log2 };
    enter(x->page_slot, x->page_slots, page_hash(d, p->number, log2), x->pages++);
    return p;
}

/* ---- words -------------------------------------------------------------------------------------- */

static struct iommu_stale_word *find_word(const struct iommu_stale_index *x, uint64_t address)
{
    if (!x->word_slots)
        return NULL;
    uint32_t at = (uint32_t)nw_mix64(address) & (x->word_slots - 1);
    for (; x->word_slot[at]; at = (at + 1) & (x->word_slots - 1))
        if (x->word[x->word_slot[at] - 1].address == address)
            return &x->word[x->word_slot[at] - 1];
    return NULL;
}

static struct iommu_stale_word *make_word(struct iommu_stale_index *x, uint64_t address)
{
    struct iommu_stale_word *known = find_word(x, address);
    if (known)
        return known;
    if (!grow((void **)&x->word, &x->word_room, x->words, sizeof *x->word) ||
        !more_slots(&x->word_slot, &x->word_slots, x->words, x, false))
        return NULL;
    x->word[x->words] = (struct iommu_stale_word){ .address = address };
    enter(x->word_slot, x->word_slots, nw_mix64(address), x->words);
    return &x->word[x->words++];
}

static bool link_to(struct iommu_stale_index *x, struct iommu_stale_word *w, const struct iommu_stale_page *p)
{
    uint32_t at = x->free_link;
    if (at) {
        x->free_link = x->link[at - 1].next;
    } else {
        if (!grow((void **)&x->link, &x->link_room, x->links, sizeof *x->link))
            return false;
        at = ++x->links;
    }
    x->link[at - 1] =
        (struct iommu_stale_link){ .page = (uint32_t)(p - x->page), .generation = p->generation, .next = w->first };
    w->first = at;
    return true;
}

bool iommu_stale_depend(struct iommu_stale_index *x, struct iommu_stale_page *p, const uint64_t *words, unsigned count)
{
    uint64_t hash = count + 1;
    for (unsigned i = 0; i < count; i++)
        hash = nw_mix64(hash ^ words[i]);
    if (hash == p->words_hash)
        return true;
    p->words_hash = hash;
    p->generation++;
    for (unsigned i = 0; i < count; i++) {
        struct iommu_stale_word *w = make_word(x, words[i]);
        if (!w || !link_to(x, w, p)) {
            p->words_hash = 0;
            return false;
        }
    }
    return true;
}

void iommu_stale_expose(struct iommu_stale_index *x, uint64_t address, uint64_t now_ns)
{
    struct iommu_stale_word *w = find_word(x, address & ~UINT64_C(7));
    for (uint32_t *at = w ? &w->first : NULL; at && *at;) {
        struct iommu_stale_link *l = &x->link[*at - 1];
        struct iommu_stale_page *p = &x->page[l->page];
        if (l->generation != p->generation) { /* void: its place is used again */
            uint32_t self = *at;
            *at = l->next;
            l->next = x->free_link;
            x->free_link = self;
            continue;
        }
        if (!p->exposed) {
            p->exposed = true;
            p->used = false;
            p->since_ns = now_ns;
            x->exposed[x->exposed_count++] = l->page;
        }
        at = &l->next;
    }
}
