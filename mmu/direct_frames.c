/* What is known of each frame, the pool of tables, and the lists of leaves that map a frame writable. */
#include "direct_internal.h"
#include <stdlib.h>

struct group *direct_group_find(const struct nw_direct *d, uint64_t mfn)
{
    if (NW_UNLIKELY(mfn >= d->frames))
        return NULL;
    struct group **mid = d->top[mfn >> (9 + MID_LOG2)];
    return NW_LIKELY(mid != NULL) ? mid[(mfn >> 9) & ((1u << MID_LOG2) - 1)] : NULL;
}

struct group *direct_group_make(struct nw_direct *d, uint64_t mfn)
{
    struct group ***mid = &d->top[mfn >> (9 + MID_LOG2)];
    if (!*mid && !(*mid = calloc((size_t)1 << MID_LOG2, sizeof **mid))) /* 2 MiB that the kernel backs as it is used */
        return NULL;
    struct group **g = &(*mid)[(mfn >> 9) & ((1u << MID_LOG2) - 1)];
    if (!*g)
        *g = calloc(1, sizeof **g);
    return *g;
}

void direct_frames_free(struct nw_direct *d)
{
    for (size_t i = 0; i < NW_ARRAY_LEN(d->top); i++) {
        if (!d->top[i])
            continue;
        for (size_t j = 0; j < (size_t)1 << MID_LOG2; j++)
            free(d->top[i][j]);
        free(d->top[i]);
    }
    for (uint32_t i = 1; i < d->pool_count; i++) {
        free(d->pool[i]->link);
        free(d->pool[i]);
    }
    free(d->pool);
}

/* ---- tables ------------------------------------------------------------------------------------------------- */

static struct table *pool_extend(struct nw_direct *d)
{
    if (d->pool_count >= TABLES_MAX)
        return NULL;
    if (d->pool_count >= d->pool_capacity) {
        uint32_t capacity = d->pool_capacity ? d->pool_capacity * 2 : 64;
        struct table **pool = realloc(d->pool, capacity * sizeof *pool);
        if (!pool)
            return NULL;
        d->pool = pool;
        d->pool_capacity = capacity;
        if (!d->pool_count) {
            d->pool[0] = NULL; /* number 0 is nobody's */
            d->pool_count = 1;
        }
    }
    struct table *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->number = d->pool_count;
    d->pool[d->pool_count++] = t;
    return t;
}

struct table *direct_table_make(struct nw_direct *d, struct frame *f, uint64_t mfn, enum nw_direct_type type)
{
    uint64_t *word;
    if (nw_physmem_make(d->config.pm, nw_hpa(mfn << NW_PAGE_LOG2), &word, NULL))
        return NULL;
    struct table *t;
    if (d->free_table) {
        t = d->pool[d->free_table];
        d->free_table = t->next_free;
    } else if (!(t = pool_extend(d))) {
        return NULL;
    }
    t->word = word;
    t->mfn = mfn;
    t->frame = f;
    t->type = type;
    f->table = t->number;
    return t;
}

void direct_table_free(struct nw_direct *d, struct table *t)
{
    t->frame->table = 0;
    t->frame = NULL;
    t->next_free = d->free_table;
    d->free_table = t->number;
}

/* ---- leaves that map a frame writable ----------------------------------------------------------------------- */

bool direct_links_make(struct table *t)
{
    if (!t->link)
        t->link = malloc(NW_WORDS_PER_PAGE * sizeof *t->link);
    return t->link;
}

static bool entry_is_linked(const struct table *t, uint64_t e)
{
    return (e & (PTE_PRESENT | PTE_WRITE)) == (PTE_PRESENT | PTE_WRITE) && entry_is_leaf(t->type, e);
}

static leaf_id *list_of(struct nw_direct *d, const struct table *t, uint64_t e)
{
    struct group *g = direct_group_find(d, entry_mfn(e));
    return t->type == NW_DIRECT_L1 ? &g->frame[entry_mfn(e) % NW_WORDS_PER_PAGE].first : &g->first;
}

static struct link *link_of(struct nw_direct *d, leaf_id id) { return &d->pool[id >> 9]->link[id & 511]; }

void direct_link_add(struct nw_direct *d, struct table *t, unsigned index, uint64_t entry)
{
    if (!entry_is_linked(t, entry))
        return;
    leaf_id *first = list_of(d, t, entry), id = t->number << 9 | index;
    t->link[index] = (struct link){ .next = *first };
    if (*first)
        link_of(d, *first)->previous = id;
    *first = id;
    d->stat.writable_leaves++;
}

void direct_link_remove(struct nw_direct *d, struct table *t, unsigned index, uint64_t entry)
{
    if (!entry_is_linked(t, entry))
        return;
    struct link *l = &t->link[index];
    if (l->next)
        link_of(d, l->next)->previous = l->previous;
    if (l->previous)
        link_of(d, l->previous)->next = l->next;
    else
        *list_of(d, t, entry) = l->next;
    d->stat.writable_leaves--;
}

bool nw_direct_writable_next(const struct nw_direct *d, uint64_t mfn, struct nw_direct_mapping *m)
{
    const struct group *g = direct_group_find(d, mfn);
    leaf_id id = m->cursor ? d->pool[m->cursor >> 9]->link[m->cursor & 511].next : 0;
    if (!m->stage) {
        id = g ? g->frame[mfn % NW_WORDS_PER_PAGE].first : 0;
        m->stage = 1;
    }
    if (!id && m->stage == 1) {
        id = g ? g->first : 0;
        m->stage = 2;
    }
    m->cursor = id;
    if (!id) {
        m->stage = 3;
        return false;
    }
    m->entry_hpa = d->pool[id >> 9]->mfn << NW_PAGE_LOG2 | (id & 511) * 8;
    m->page_log2 = m->stage == 1 ? NW_PAGE_LOG2 : NW_PAGE_2M_LOG2;
    return true;
}
