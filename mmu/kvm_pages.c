/* Shadow pages: the pool, the hash by gfn, the active list, and the links between entries and what they point to. */
#include "kvm_internal.h"
#include <stdlib.h>

/* ---- pool --------------------------------------------------------------------------------------------------- */

static enum nw_status pool_grow(struct nw_kvm *k, struct nw_error *err)
{
    if (k->pool_count == k->pool_capacity) {
        uint32_t wanted = k->pool_capacity ? k->pool_capacity * 2 : 64;
        void *bigger = reallocarray(k->pool, wanted, sizeof(struct page *));
        if (!bigger)
            return nw_fail_nomem(err, "the list of shadow pages");
        k->pool = bigger;
        k->pool_capacity = wanted;
        if (!k->pool_count)
            k->pool[k->pool_count++] = NULL; /* number 0 is nobody */
    }
    struct page *p = calloc(1, sizeof *p);
    if (!p)
        return nw_fail_nomem(err, "a shadow page");
    p->number = k->pool_count;
    p->hpa = k->config.shadow_hpa + ((uint64_t)p->number << NW_PAGE_LOG2);
    enum nw_status s = nw_physmem_make(k->config.pm, nw_hpa(p->hpa), &p->spte, err);
    if (s) {
        free(p);
        return s;
    }
    k->pool[k->pool_count++] = p;
    p->hash_next = k->spare;
    k->spare = p;
    k->spares++;
    return NW_OK;
}

enum nw_status kvm_topup(struct nw_kvm *k, struct nw_error *err)
{
    enum nw_status s = NW_OK;
    while (!s && k->spares < SPARE_PAGES)
        s = pool_grow(k, err);
    return s;
}

struct page *kvm_page_new(struct nw_kvm *k, uint64_t gfn, struct role role)
{
    struct page *p = k->spare;
    k->spare = p->hash_next;
    k->spares--;
    uint32_t number = p->number;
    uint64_t hpa = p->hpa, *spte = p->spte;
    memset(p, 0, offsetof(struct page, shadowed));
    memset(spte, 0, NW_PAGE_BYTES);
    p->number = number;
    p->hpa = hpa;
    p->spte = spte;
    p->gfn = gfn;
    p->role = role;
    p->older = k->newest;
    if (k->newest)
        k->newest->newer = p;
    else
        k->oldest = p;
    k->newest = p;
    k->stat.shadow_pages++;
    p->hash_next = k->hash[hash_of(gfn)];
    k->hash[hash_of(gfn)] = p;
    if (!role.direct)
        kvm_account_table(k, p, true);
    return p;
}

/* Prepared pages only: they are off the active list. */
void kvm_page_free(struct nw_kvm *k, struct page *p)
{
    struct page **at = &k->hash[hash_of(p->gfn)];
    while (*at != p)
        at = &(*at)->hash_next;
    *at = p->hash_next;
    p->hash_next = k->spare;
    k->spare = p;
    k->spares++;
}

/* ---- lookup ------------------------------------------------------------------------------------------------- */

struct page *kvm_page_next(const struct nw_kvm *k, uint64_t gfn, const struct page *p)
{
    struct page *next = p ? p->hash_next : k->hash[hash_of(gfn)];
    while (next && (next->gfn != gfn || next->role.invalid))
        next = next->hash_next;
    return next;
}

struct page *kvm_table_next(const struct nw_kvm *k, uint64_t gfn, const struct page *p)
{
    struct page *next = kvm_page_next(k, gfn, p);
    while (next && next->role.direct)
        next = kvm_page_next(k, gfn, next);
    return next;
}

static struct page *find(struct nw_kvm *k, uint64_t gfn, struct role role)
{
    struct page *p = NULL;
    while ((p = kvm_page_next(k, gfn, p))) {
        if (!role_equal(p->role, role)) {
            if (role.level > 0 && p->unsync) /* the frame becomes an upper table: it may not be written any more */
                kvm_prepare_zap(k, p);
            continue;
        }
        if (role.direct)
            return p;
        if (p->unsync) { /* brought up to date, and still unsync: the guest has not asked for more */
            int flush = kvm_sync_page(k, p);
            if (flush < 0)
                return NULL;
            if (flush)
                flush_request(k);
        }
        p->flood = 0;
        return p;
    }
    return NULL;
}

struct page *kvm_page_get(struct nw_kvm *k, uint64_t gfn, struct role role)
{
    struct page *p = find(k, gfn, role);
    bool found = p;
    if (!found)
        k->stat.mmu_cache_miss++;
    kvm_commit_zap(k);
    if (!found)
        p = kvm_page_new(k, gfn, role);
    event_page(k, 'G', p, found ? " existing" : " new");
    return p;
}

struct page *kvm_child_get(struct nw_kvm *k, struct page *parent, unsigned index, uint64_t gfn, bool direct,
                           unsigned access)
{
    uint64_t entry = parent->spte[index];
    if (spte_present(entry) && !(entry & SPTE_LARGE))
        return NULL;
    struct role role = parent->role;
    role.level--;
    role.access = (uint8_t)access;
    role.direct = direct;
    return kvm_page_get(k, gfn, role);
}

/* ---- links -------------------------------------------------------------------------------------------------- */

void kvm_links_add(struct nw_kvm *k, spte_id *first, struct page *p, unsigned index)
{
    spte_id id = id_of(p, index);
    p->link[index].next = *first;
    p->link[index].previous = 0;
    if (*first)
        page_of(k, *first)->link[index_of(*first)].previous = id;
    *first = id;
}

void kvm_links_remove(struct nw_kvm *k, spte_id *first, struct page *p, unsigned index)
{
    spte_id next = p->link[index].next, previous = p->link[index].previous;
    if (previous)
        page_of(k, previous)->link[index_of(previous)].next = next;
    else
        *first = next;
    if (next)
        page_of(k, next)->link[index_of(next)].previous = previous;
}

void kvm_page_link(struct nw_kvm *k, struct page *parent, unsigned index, struct page *child)
{
    if (spte_present(parent->spte[index])) { /* a large leaf */
        kvm_leaf_drop(k, parent, index);
        flush_request(k);
    }
    parent->spte[index] = child->hpa | SPTE_PRESENT | SPTE_WRITE | SPTE_USER | SPTE_ACCESSED | SPTE_MMU_PRESENT;
    kvm_links_add(k, &child->parents, parent, index);
    if (child->unsync || child->unsync_children)
        kvm_mark_unsync(k, parent, index);
}

void kvm_link_drop(struct nw_kvm *k, struct page *parent, unsigned index)
{
    kvm_links_remove(k, &child_of(k, parent->spte[index])->parents, parent, index);
    parent->spte[index] = 0;
}
