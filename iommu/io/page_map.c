#include "page_map.h"
#include <nestwalk/base/bits.h>
#include <stdlib.h>

void page_map_fini(struct page_map *m)
{
    free(m->slot);
    *m = (struct page_map){ 0 };
}

static uint64_t home(const struct page_map *m, uint64_t key) { return nw_mix64(key) & (m->capacity - 1); }

static struct page_slot *slot_of(const struct page_map *m, uint64_t key)
{
    uint64_t at = home(m, key);
    while (m->slot[at].key && m->slot[at].key != key)
        at = (at + 1) & (m->capacity - 1);
    return &m->slot[at];
}

uint64_t *page_map_find(const struct page_map *m, uint64_t page)
{
    if (!m->used)
        return NULL;
    struct page_slot *slot = slot_of(m, page + 1);
    return slot->key ? &slot->value : NULL;
}

static enum nw_status grow(struct page_map *m, struct nw_error *err)
{
    struct page_map bigger = { .capacity = m->capacity ? m->capacity * 2 : 64, .used = m->used };
    bigger.slot = calloc(bigger.capacity, sizeof *bigger.slot);
    if (!bigger.slot)
        return nw_fail_nomem(err, "the table of DMA mappings");
    for (uint64_t i = 0; i < m->capacity; i++)
        if (m->slot[i].key)
            *slot_of(&bigger, m->slot[i].key) = m->slot[i];
    free(m->slot);
    *m = bigger;
    return NW_OK;
}

enum nw_status page_map_make(struct page_map *m, uint64_t page, uint64_t **out, struct nw_error *err)
{
    enum nw_status s;
    if ((m->used + 1) * 2 > m->capacity && (s = grow(m, err)))
        return s;
    struct page_slot *slot = slot_of(m, page + 1);
    if (!slot->key) {
        *slot = (struct page_slot){ .key = page + 1 };
        m->used++;
    }
    *out = &slot->value;
    return NW_OK;
}

void page_map_remove(struct page_map *m, uint64_t page)
{
    if (!m->used)
        return;
    struct page_slot *slot = slot_of(m, page + 1);
    if (!slot->key)
        return;
    uint64_t hole = (uint64_t)(slot - m->slot);
    m->used--;
    for (uint64_t at = hole;;) { /* what follows moves up, as far as that leaves it findable */
        at = (at + 1) & (m->capacity - 1);
        if (!m->slot[at].key)
            break;
        const uint64_t from = home(m, m->slot[at].key);
        if (((at - from) & (m->capacity - 1)) < ((at - hole) & (m->capacity - 1)))
            continue;
        m->slot[hole] = m->slot[at];
        hole = at;
    }
    m->slot[hole].key = 0;
}
