#include "tables.h"

#include <nestwalk/base/addr.h>
#include <nestwalk/base/bits.h>
#include <stdlib.h>
#include <string.h>

enum { ROOT_LEVEL = 3, PRESENT = 1, LARGE = 1 << 7 };

enum nw_status tables_watch_init(struct tables_watch *t, const uint8_t *memory, uint64_t memory_bytes,
                                 struct nw_error *err)
{
    memset(t, 0, sizeof *t);
    t->memory = memory;
    t->pages = memory_bytes / NW_PAGE_BYTES;
    t->root_pfn = UINT64_MAX;
    t->page = calloc(t->pages, sizeof *t->page);
    return t->page ? NW_OK : nw_fail_nomem(err, "the watch over page-table pages");
}

void tables_watch_fini(struct tables_watch *t)
{
    for (uint64_t i = 0; t->page && i < t->pages; i++)
        free(t->page[i].copy);
    free(t->page);
    t->page = NULL;
}

/* The PFN of the table that an entry of a table of `level` leads to, or UINT64_MAX. */
static uint64_t child_of(const struct tables_watch *t, uint64_t entry, unsigned level)
{
    uint64_t pfn = nw_field(entry, 51, 12);
    return level && (entry & PRESENT) && !(entry & LARGE) && pfn < t->pages ? pfn : UINT64_MAX;
}

static enum nw_status join(struct tables_watch *t, uint64_t pfn, unsigned level, struct nw_error *err)
{
    struct table_page *p = &t->page[pfn];
    p->copy = malloc(NW_PAGE_BYTES);
    if (!p->copy)
        return nw_fail_nomem(err, "the watch over page-table pages");
    p->level = (uint8_t)level;
    p->links = 0;
    p->root = false;
    memcpy(p->copy, t->memory + pfn * NW_PAGE_BYTES, NW_PAGE_BYTES);
    enum nw_status s = t->joined ? t->joined(t->context, pfn * NW_PAGE_BYTES, err) : NW_OK;
    for (unsigned i = 0; !s && i < NW_WORDS_PER_PAGE; i++) {
        uint64_t child = child_of(t, p->copy[i], level);
        if (child == UINT64_MAX)
            continue;
        if (!t->page[child].copy)
            s = join(t, child, level - 1, err);
        t->page[child].links++;
    }
    return s;
}

static void leave(struct tables_watch *t, uint64_t pfn);

static void unlink_child(struct tables_watch *t, uint64_t child)
{
    struct table_page *c = &t->page[child];
    if (c->copy && c->links && !--c->links && !c->root)
        leave(t, child);
}

static void leave(struct tables_watch *t, uint64_t pfn)
{
    struct table_page *p = &t->page[pfn];
    uint64_t *copy = p->copy;
    p->copy = NULL;
    for (unsigned i = 0; i < NW_WORDS_PER_PAGE; i++) {
        uint64_t child = child_of(t, copy[i], p->level);
        if (child != UINT64_MAX)
            unlink_child(t, child);
    }
    free(copy);
}

enum nw_status tables_watch_root(struct tables_watch *t, uint64_t cr3, struct nw_error *err)
{
    uint64_t pfn = nw_field(cr3, 51, 12);
    enum nw_status s = NW_OK;
    if (pfn >= t->pages)
        return nw_fail(err, NW_ERR_INTERNAL, "guest loads CR3 with %#llx, outside its memory", (unsigned long long)cr3);
    t->root_pfn = pfn;
    if (!t->page[pfn].copy)
        s = join(t, pfn, ROOT_LEVEL, err);
    if (!s)
        t->page[pfn].root = true;
    return s;
}

static bool empty(const uint64_t *table)
{
    for (unsigned i = 0; i < NW_WORDS_PER_PAGE; i++)
        if (table[i] & PRESENT)
            return false;
    return true;
}

enum nw_status tables_watch_stored(struct tables_watch *t, uint64_t gpa, unsigned bytes, struct nw_error *err)
{
    uint64_t pfn = gpa / NW_PAGE_BYTES;
    struct table_page *p = &t->page[pfn];
    unsigned first = (unsigned)(gpa % NW_PAGE_BYTES / 8), last = (unsigned)((gpa + bytes - 1) % NW_PAGE_BYTES / 8);
    for (unsigned i = first; i <= last; i++) {
        uint64_t was = p->copy[i], is;
        memcpy(&is, t->memory + pfn * NW_PAGE_BYTES + i * sizeof is, sizeof is);
        p->copy[i] = is;
        uint64_t old_child = child_of(t, was, p->level), child = child_of(t, is, p->level);
        if (child == old_child)
            continue;
        if (child != UINT64_MAX) {
            if (!t->page[child].copy) {
                enum nw_status s = join(t, child, p->level - 1u, err);
                if (s)
                    return s;
            }
            t->page[child].links++;
        }
        if (old_child != UINT64_MAX)
            unlink_child(t, old_child);
    }
    if (p->copy && p->root && pfn != t->root_pfn && !p->links && empty(p->copy))
        leave(t, pfn);
    return NW_OK;
}
