#include "shadow_internal.h"
#include <stdlib.h>
#include <string.h>

enum { ENTRIES = NW_WORDS_PER_PAGE };

bool shadow_is_leaf(const struct nw_shadow *sh, uint32_t page, uint64_t entry)
{
    return (entry & SHADOW_P) && (sh->page[page]->level == 0 || (entry & (SHADOW_LARGE | SHADOW_SWITCH)));
}

uint64_t shadow_read(const struct nw_shadow *sh, uint32_t page, uint32_t index)
{
    return nw_physmem_read64(sh->config.pm, nw_hpa(sh->page[page]->hpa + index * 8u));
}

enum nw_status shadow_write(struct nw_shadow *sh, uint32_t page, uint32_t index, uint64_t entry, struct nw_error *err)
{
    return nw_physmem_write64(sh->config.pm, nw_hpa(sh->page[page]->hpa + index * 8u), entry, err);
}

void shadow_invalidation_add(struct nw_shadow_invalidation *inv, const struct nw_paging *guest, uint64_t base,
                             unsigned log2)
{
    uint64_t last = base + (NW_BIT(log2) - 1);
    if (guest->input_rule == NW_INPUT_CANONICAL) {
        base = nw_sign_extend(base, guest->input_bits);
        last = nw_sign_extend(last, guest->input_bits);
    }
    if (inv->kind == NW_SHADOW_ALL)
        return;
    if (inv->kind == NW_SHADOW_NOTHING) {
        inv->kind = NW_SHADOW_RANGE;
        inv->first = base;
        inv->last = last;
    }
    inv->first = base < inv->first ? base : inv->first;
    inv->last = last > inv->last ? last : inv->last;
}

/* ---- pages of tables ---------------------------------------------------------------------------- */

static enum nw_status page_slot(struct nw_shadow *sh, uint32_t *out, struct nw_error *err)
{
    if (sh->page_free) {
        *out = sh->page_free;
        sh->page_free = sh->page[*out]->next;
        return NW_OK;
    }
    if (sh->page_count == sh->page_capacity) {
        uint32_t wanted = sh->page_capacity ? sh->page_capacity * 2 : 64;
        void *bigger = reallocarray(sh->page, wanted, sizeof *sh->page);
        if (!bigger)
            return nw_fail_nomem(err, "the shadow tables' bookkeeping");
        sh->page = bigger;
        sh->page_capacity = wanted;
        if (!sh->page_count)
            sh->page[sh->page_count++] = NULL;
    }
    struct shadow_page *page = malloc(sizeof *page);
    if (!page)
        return nw_fail_nomem(err, "the shadow tables' bookkeeping");
    page->used = false;
    *out = sh->page_count;
    sh->page[sh->page_count++] = page;
    return NW_OK;
}

enum nw_status shadow_page_new(struct nw_shadow *sh, uint32_t *out, struct nw_error *err)
{
    uint64_t hpa;
    uint32_t slot = NONE;
    enum nw_status s = page_slot(sh, &slot, err);
    if (s)
        return s;
    if ((s = sh->config.allocate(sh->config.context, &hpa, err))) {
        sh->page[slot]->next = sh->page_free;
        sh->page_free = slot;
        return s;
    }
    memset(sh->page[slot], 0, sizeof *sh->page[slot]);
    sh->page[slot]->used = true;
    sh->page[slot]->hpa = hpa;
    sh->counters.pages++;
    sh->counters.pages_made++;
    if (sh->counters.pages > sh->counters.pages_peak)
        sh->counters.pages_peak = sh->counters.pages;
    *out = slot;
    return NW_OK;
}

enum nw_status shadow_buckets_grow(uint32_t **bucket, uint32_t *buckets, uint64_t members, struct nw_error *err)
{
    if (*buckets >= members)
        return NW_OK;
    uint32_t wanted = *buckets ? *buckets * 2 : 1024;
    uint32_t *bigger = calloc(wanted, sizeof *bigger);
    if (!bigger)
        return nw_fail_nomem(err, "the shadow tables' bookkeeping");
    free(*bucket);
    *bucket = bigger;
    *buckets = wanted;
    return NW_OK;
}

static uint32_t *page_bucket(const struct nw_shadow *sh, uint32_t page)
{
    return &sh->page_bucket[bucket_of(sh->page[page]->guest_table >> NW_PAGE_LOG2, sh->page_buckets)];
}

enum nw_status shadow_page_mirror(struct nw_shadow *sh, uint32_t page, struct nw_error *err)
{
    uint32_t before = sh->page_buckets;
    bool known = shadow_page_of(sh, sh->page[page]->guest_table >> NW_PAGE_LOG2, NONE) != NONE;
    enum nw_status s = shadow_buckets_grow(&sh->page_bucket, &sh->page_buckets, sh->page_count, err);
    if (s)
        return s;
    sh->counters.guest_tables += !known;
    sh->page[page]->mirrors = true;
    for (uint32_t i = before == sh->page_buckets ? page : 1; i < sh->page_count; i++) {
        if (sh->page[i]->used && sh->page[i]->mirrors) {
            uint32_t *bucket = page_bucket(sh, i);
            sh->page[i]->next = *bucket;
            *bucket = i;
        }
        if (before == sh->page_buckets)
            break;
    }
    return NW_OK;
}

uint32_t shadow_page_of(const struct nw_shadow *sh, uint64_t guest_pfn, uint32_t after)
{
    if (!sh->page_buckets)
        return NONE;
    uint32_t page = after ? sh->page[after]->next : sh->page_bucket[bucket_of(guest_pfn, sh->page_buckets)];
    while (page && sh->page[page]->guest_table >> NW_PAGE_LOG2 != guest_pfn)
        page = sh->page[page]->next;
    return page;
}

void shadow_page_unmirror(struct nw_shadow *sh, uint32_t id)
{
    struct shadow_page *page = sh->page[id];
    if (!page->mirrors)
        return;
    uint32_t *at = page_bucket(sh, id);
    while (*at != id)
        at = &sh->page[*at]->next;
    *at = page->next;
    page->mirrors = false;
    if (!shadow_page_of(sh, page->guest_table >> NW_PAGE_LOG2, NONE))
        sh->counters.guest_tables--;
}

void shadow_page_free(struct nw_shadow *sh, uint32_t id)
{
    struct shadow_page *page = sh->page[id];
    struct nw_shadow_invalidation unused = { .kind = NW_SHADOW_ALL };
    for (uint32_t i = 0; i < ENTRIES; i++)
        shadow_zap(sh, id, i, &unused);
    shadow_page_unmirror(sh, id);
    sh->config.release(sh->config.context, page->hpa);
    page->used = false;
    page->next = sh->page_free;
    sh->page_free = id;
    sh->counters.pages--;
}

/* ---- leaves by guest page ----------------------------------------------------------------------- */

static void leaf_link(struct nw_shadow *sh, uint32_t node)
{
    uint32_t *bucket = &sh->leaf_bucket[bucket_of(sh->leaf[node].key, sh->leaf_buckets)];
    sh->leaf[node].previous = NONE;
    sh->leaf[node].next = *bucket;
    if (*bucket)
        sh->leaf[*bucket].previous = node;
    *bucket = node;
}

enum nw_status shadow_leaf_enter(struct nw_shadow *sh, uint32_t page, uint32_t index, uint64_t key,
                                 struct nw_error *err)
{
    uint32_t before = sh->leaf_buckets, node = sh->leaf_free;
    if (!node) {
        if (sh->leaf_count == sh->leaf_capacity) {
            uint32_t wanted = sh->leaf_capacity ? sh->leaf_capacity * 2 : 1024;
            void *bigger = reallocarray(sh->leaf, wanted, sizeof *sh->leaf);
            if (!bigger)
                return nw_fail_nomem(err, "the shadow leaves' bookkeeping");
            sh->leaf = bigger;
            sh->leaf_capacity = wanted;
            if (!sh->leaf_count)
                sh->leaf[sh->leaf_count++] = (struct leaf_node){ 0 };
        }
        enum nw_status s = shadow_buckets_grow(&sh->leaf_bucket, &sh->leaf_buckets, sh->leaf_count, err);
        if (s)
            return s;
        node = sh->leaf_count++;
        if (before != sh->leaf_buckets)
            for (uint32_t i = 1; i < node; i++)
                leaf_link(sh, i); /* none is free now: all are linked */
    } else {
        sh->leaf_free = sh->leaf[node].next;
    }
    sh->leaf[node] = (struct leaf_node){ .key = key, .page = page, .index = index };
    leaf_link(sh, node);
    sh->page[page]->link[index] = node;
    sh->counters.leaves++;
    return NW_OK;
}

void shadow_leaf_leave(struct nw_shadow *sh, uint32_t page, uint32_t index)
{
    uint32_t node = sh->page[page]->link[index];
    struct leaf_node *leaf = &sh->leaf[node];
    if (leaf->next)
        sh->leaf[leaf->next].previous = leaf->previous;
    if (leaf->previous)
        sh->leaf[leaf->previous].next = leaf->next;
    else
        sh->leaf_bucket[bucket_of(leaf->key, sh->leaf_buckets)] = leaf->next;
    leaf->next = sh->leaf_free;
    sh->leaf_free = node;
    sh->page[page]->link[index] = NONE;
    sh->counters.leaves--;
}

uint32_t shadow_leaf_of(const struct nw_shadow *sh, uint64_t key, uint32_t after)
{
    if (!sh->leaf_buckets)
        return NONE;
    uint32_t node = after ? sh->leaf[after].next : sh->leaf_bucket[bucket_of(key, sh->leaf_buckets)];
    while (node && sh->leaf[node].key != key)
        node = sh->leaf[node].next;
    return node;
}

/* ---- taking away -------------------------------------------------------------------------------- */

void shadow_zap(struct nw_shadow *sh, uint32_t id, uint32_t index, struct nw_shadow_invalidation *inv)
{
    struct shadow_page *page = sh->page[id];
    uint64_t entry = shadow_read(sh, id, index);
    if (!(entry & SHADOW_P))
        return;
    if (shadow_write(sh, id, index, 0, NULL))
        return; /* cannot be: the word was just read as present */
    sh->counters.zapped++;
    if (shadow_is_leaf(sh, id, entry)) {
        shadow_leaf_leave(sh, id, index);
    } else {
        uint32_t child = page->link[index];
        page->link[index] = NONE;
        shadow_page_free(sh, child);
    }
    shadow_invalidation_add(inv, &sh->root[page->root].guest, page->base + ((uint64_t)index << entry_log2(page->level)),
                            entry_log2(page->level));
}

void shadow_root_drop(struct nw_shadow *sh, uint32_t root)
{
    shadow_page_free(sh, sh->root[root].page);
    sh->root[root].used = false;
    sh->counters.roots--;
}

void shadow_pools_fini(struct nw_shadow *sh)
{
    for (uint32_t i = 1; i < sh->page_count; i++)
        free(sh->page[i]);
    free(sh->page);
    free(sh->leaf);
    free(sh->page_bucket);
    free(sh->leaf_bucket);
    free(sh->agile);
    free(sh->agile_bucket);
}
