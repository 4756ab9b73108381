/* shadow_agile.c - agile paging: which guest tables are nested, and the switching entries that lead to them. */
#include "shadow_internal.h"
#include <stdlib.h>
#include <string.h>

/* ---- what is known of a guest table page -------------------------------------------------------- */

static struct agile_table *find(const struct nw_shadow *sh, uint64_t pfn)
{
    if (!sh->agile_buckets)
        return NULL;
    uint32_t at = sh->agile_bucket[bucket_of(pfn, sh->agile_buckets)];
    while (at && sh->agile[at].pfn != pfn)
        at = sh->agile[at].next;
    return at ? &sh->agile[at] : NULL;
}

static void link_table(struct nw_shadow *sh, uint32_t at)
{
    uint32_t *bucket = &sh->agile_bucket[bucket_of(sh->agile[at].pfn, sh->agile_buckets)];
    sh->agile[at].next = *bucket;
    *bucket = at;
}

static enum nw_status add(struct nw_shadow *sh, uint64_t pfn, struct agile_table **out, struct nw_error *err)
{
    uint32_t at = sh->agile_count ? sh->agile_count : 1, before = sh->agile_buckets;
    if (at >= sh->agile_capacity) {
        uint32_t wanted = sh->agile_capacity ? sh->agile_capacity * 2 : 64;
        void *bigger = reallocarray(sh->agile, wanted, sizeof *sh->agile);
        if (!bigger)
            return nw_fail_nomem(err, "the shadow tables' bookkeeping");
        sh->agile = bigger;
        sh->agile_capacity = wanted;
    }
    enum nw_status s = shadow_buckets_grow(&sh->agile_bucket, &sh->agile_buckets, at, err);
    if (s)
        return s;
    if (before != sh->agile_buckets)
        for (uint32_t i = 1; i < at; i++)
            link_table(sh, i);
    sh->agile[at] = (struct agile_table){ .pfn = pfn };
    sh->agile_count = at + 1;
    link_table(sh, at);
    *out = &sh->agile[at];
    return NW_OK;
}

/* ---- switching entries -------------------------------------------------------------------------- */

/* The host page of a nested table. The processor sets A and D in it by HPA, so it has to be writable. */
static bool host_page(const struct nw_shadow *sh, uint64_t pfn, uint64_t *hpa)
{
    struct nw_shadow_backing b = { 0 };
    sh->config.backing(sh->config.context, nw_gpa(pfn << NW_PAGE_LOG2), &b);
    *hpa = b.hpa.v & SHADOW_FRAME;
    return b.present && b.writable;
}

/* Points to the guest's table of `level`; allows what the guest's entries above it allow. */
static uint64_t switching_entry(const struct software *software, const struct nw_paging *guest, unsigned level,
                                uint64_t hpa)
{
    uint64_t allowed = ~UINT64_C(0);
    for (unsigned above = level + 1; above < guest->levels; above++)
        if (software->used[above])
            allowed &= (software->entry[above] ^ guest->invert) | guest->level[above].grants;
    return hpa | SHADOW_P | SHADOW_A | SHADOW_SWITCH | (allowed & guest->format->write ? SHADOW_W : 0) |
           (allowed & guest->format->user ? SHADOW_U : 0) | (allowed & guest->format->no_execute ? 0 : SHADOW_NX);
}

static enum nw_status put(struct nw_shadow *sh, uint32_t page, uint32_t index, uint64_t entry, uint64_t pfn,
                          struct nw_error *err)
{
    enum nw_status s = shadow_leaf_enter(sh, page, index, switch_key(pfn), err);
    if (!s && (s = shadow_write(sh, page, index, entry, err)))
        shadow_leaf_leave(sh, page, index);
    return s;
}

/* The root's own shadow table stays, empty, so that going back needs no memory. */
static void switch_root(struct nw_shadow *sh, struct shadow_root *root, uint64_t hpa,
                        struct nw_shadow_invalidation *inv)
{
    for (uint32_t i = 0; i < NW_WORDS_PER_PAGE; i++)
        shadow_zap(sh, root->page, i, inv);
    shadow_page_unmirror(sh, root->page);
    root->paging.root = hpa | NW_AGILE_SWITCH;
    root->switched = true;
    root->registered = false;
    inv->kind = NW_SHADOW_ALL;
}

static void unswitch_root(struct nw_shadow *sh, struct shadow_root *root, struct nw_shadow_invalidation *inv)
{
    root->paging.root = sh->page[root->page]->hpa;
    root->switched = false;
    inv->kind = NW_SHADOW_ALL;
}

/* Next root from `i` on that leads to the nested table; NW_SHADOW_ROOTS: none. */
static uint32_t switched_root(const struct nw_shadow *sh, uint64_t pfn, uint32_t i)
{
    while (i < NW_SHADOW_ROOTS && !(sh->root[i].used && sh->root[i].switched &&
                                    (sh->root[i].guest.root & SHADOW_FRAME) >> NW_PAGE_LOG2 == pfn))
        i++;
    return i;
}

static bool in_use(const struct nw_shadow *sh, uint64_t pfn)
{
    return shadow_leaf_of(sh, switch_key(pfn), NONE) != NONE || switched_root(sh, pfn, 0) < NW_SHADOW_ROOTS;
}

void shadow_agile_unmap(struct nw_shadow *sh, uint64_t pfn, struct nw_shadow_invalidation *inv)
{
    if (!find(sh, pfn))
        return;
    for (uint32_t node; (node = shadow_leaf_of(sh, switch_key(pfn), NONE)) != NONE;)
        shadow_zap(sh, sh->leaf[node].page, sh->leaf[node].index, inv);
    for (uint32_t i = 0; (i = switched_root(sh, pfn, i)) < NW_SHADOW_ROOTS;)
        unswitch_root(sh, &sh->root[i], inv);
}

static void go_back(struct nw_shadow *sh, struct agile_table *t, struct nw_shadow_invalidation *inv)
{
    shadow_agile_unmap(sh, t->pfn, inv);
    t->nested = false;
    sh->counters.nested_tables--;
    sh->counters.switched_to_shadow++;
}

enum nw_status shadow_agile_enter(struct nw_shadow *sh, const struct software *software, unsigned level, uint32_t page,
                                  uint32_t index, bool *switched, struct nw_shadow_invalidation *inv,
                                  struct nw_error *err)
{
    struct shadow_root *root = &sh->root[sh->current];
    *switched = false;
    if (sh->config.policy != NW_SHADOW_AGILE || level >= root->guest.levels || !software->used[level])
        return NW_OK;
    uint64_t pfn = software->table[level] >> NW_PAGE_LOG2, hpa;
    struct agile_table *t = find(sh, pfn);
    if (!t || !t->nested)
        return NW_OK;
    if (!host_page(sh, pfn, &hpa)) {
        go_back(sh, t, inv);
        return NW_OK;
    }
    *switched = true;
    if (page)
        return put(sh, page, index, switching_entry(software, &root->guest, level, hpa), pfn, err);
    switch_root(sh, root, hpa, inv);
    return NW_OK;
}

/* ---- to nested ---------------------------------------------------------------------------------- */

/* Every mirror has the shape of the guest's table. */
static bool may_switch(const struct nw_shadow *sh, uint64_t pfn)
{
    for (uint32_t id = shadow_page_of(sh, pfn, NONE); id; id = shadow_page_of(sh, pfn, id))
        if (sh->root[sh->page[id]->root].guest.entry_log2 != 3 || sh->page[id]->guest_level != sh->page[id]->level)
            return false;
    return true;
}

/* What led to this mirror leads to the guest's table now. */
static enum nw_status replace_mirror(struct nw_shadow *sh, uint32_t id, uint64_t pfn, uint64_t hpa,
                                     struct nw_shadow_invalidation *inv, struct nw_error *err)
{
    struct shadow_root *root = &sh->root[sh->page[id]->root];
    uint32_t parent = sh->page[id]->parent, index = sh->page[id]->parent_index;
    unsigned level = sh->page[id]->level;
    if (!parent) {
        switch_root(sh, root, hpa, inv);
        return NW_OK;
    }
    struct software software = { .sh = sh };
    struct nw_walk_result unused;
    shadow_guest_probe(&software, &root->guest, sh->page[id]->base, &unused);
    shadow_zap(sh, parent, index, inv);
    if (!software.used[level] || software.table[level] >> NW_PAGE_LOG2 != pfn ||
        !shadow_guest_accessed(&software, &root->guest, level + 1))
        return NW_OK; /* the next fault finds out what is there now */
    return put(sh, parent, index, switching_entry(&software, &root->guest, level, hpa), pfn, err);
}

/* The guest may write the page: leaves that map it get W back where the guest's entry allows that. */
static enum nw_status lift_protection(struct nw_shadow *sh, uint64_t pfn, struct nw_shadow_invalidation *inv,
                                      struct nw_error *err)
{
    uint64_t key = leaf_key(nw_gpa(pfn << NW_PAGE_LOG2), NW_PAGE_LOG2);
    for (uint32_t node = shadow_leaf_of(sh, key, NONE), next; node; node = next) {
        bool made;
        next = shadow_leaf_of(sh, key, node);
        enum nw_status s = shadow_refresh(sh, sh->leaf[node].page, sh->leaf[node].index, inv, &made, err);
        if (s)
            return s;
    }
    return NW_OK;
}

enum nw_status shadow_agile_written(struct nw_shadow *sh, uint64_t pfn, struct nw_shadow_invalidation *inv,
                                    struct nw_error *err)
{
    if (sh->config.policy != NW_SHADOW_AGILE)
        return NW_OK;
    uint64_t hpa;
    struct agile_table *t = find(sh, pfn);
    if (t && t->nested)
        t->written = true;
    if (!inv->trapped)
        return NW_OK;
    enum nw_status s = t ? NW_OK : add(sh, pfn, &t, err);
    if (s)
        return s;
    if (++t->writes < sh->config.agile_writes || !may_switch(sh, pfn) || !host_page(sh, pfn, &hpa))
        return NW_OK;
    t->nested = t->written = true;
    sh->counters.nested_tables++;
    sh->counters.switched_to_nested++;
    for (uint32_t id; (id = shadow_page_of(sh, pfn, NONE)) != NONE;)
        if ((s = replace_mirror(sh, id, pfn, hpa, inv, err)))
            return s;
    return lift_protection(sh, pfn, inv, err);
}

enum nw_status shadow_agile_start(struct nw_shadow *sh, uint32_t slot, struct nw_error *err)
{
    struct shadow_root *root = &sh->root[slot];
    struct nw_shadow_invalidation unused = { .kind = NW_SHADOW_NOTHING }; /* nobody has used the root */
    uint64_t pfn = (root->guest.root & SHADOW_FRAME) >> NW_PAGE_LOG2, hpa;
    if (sh->config.policy != NW_SHADOW_AGILE || !sh->config.agile_start_nested ||
        root->guest.levels != root->paging.levels || shadow_page_of(sh, pfn, NONE) != NONE || !host_page(sh, pfn, &hpa))
        return NW_OK;
    struct agile_table *t = find(sh, pfn);
    enum nw_status s = t ? NW_OK : add(sh, pfn, &t, err);
    if (s)
        return s;
    sh->counters.nested_tables += !t->nested;
    t->nested = t->written = true;
    switch_root(sh, root, hpa, &unused);
    return NW_OK;
}

/* ---- and back ----------------------------------------------------------------------------------- */

void nw_shadow_interval(struct nw_shadow *sh, struct nw_shadow_invalidation *out)
{
    *out = (struct nw_shadow_invalidation){ .kind = NW_SHADOW_NOTHING };
    uint32_t kept = 1;
    for (uint32_t i = 1; i < sh->agile_count; i++) {
        struct agile_table *t = &sh->agile[i];
        if (t->nested && !(t->written && in_use(sh, t->pfn)))
            go_back(sh, t, out);
    }
    for (uint32_t i = 1; i < sh->agile_count; i++)
        if (sh->agile[i].nested)
            sh->agile[kept++] = (struct agile_table){ .pfn = sh->agile[i].pfn, .nested = true };
    if (sh->agile_buckets)
        memset(sh->agile_bucket, 0, sh->agile_buckets * sizeof *sh->agile_bucket);
    sh->agile_count = kept;
    for (uint32_t i = 1; i < kept; i++)
        link_table(sh, i);
}
