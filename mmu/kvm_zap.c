/* Giving shadow pages up: in two steps, so that many go under one flush. */
#include "kvm_internal.h"

static void active_remove(struct nw_kvm *k, struct page *p)
{
    *(p->older ? &p->older->newer : &k->oldest) = p->newer;
    *(p->newer ? &p->newer->older : &k->newest) = p->older;
    p->older = p->newer = NULL;
}

void kvm_prepare_zap(struct nw_kvm *k, struct page *p)
{
    event_page(k, 'Z', p, "");
    k->stat.mmu_shadow_zapped++;
    if (k->config.eager_zap)
        kvm_zap_unsync_children(k, p);
    for (unsigned i = 0; i < NW_WORDS_PER_PAGE; i++)
        if (p->spte[i])
            kvm_entry_zap(k, p, i);
    while (p->parents)
        kvm_link_drop(k, page_of(k, p->parents), index_of(p->parents));
    if (!p->role.invalid && !p->role.direct)
        kvm_account_table(k, p, false);
    if (p->unsync)
        kvm_unlink_unsync(k, p);
    if (!p->role.invalid)
        active_remove(k, p);
    if (!p->root_count) {
        p->invalid_next = k->invalid;
        k->invalid = p;
        k->stat.shadow_pages--;
    } else if (!p->role.invalid) {
        k->requests |= REQ_OBSOLETE_ROOTS;
    }
    p->role.invalid = true;
}

void kvm_commit_zap(struct nw_kvm *k)
{
    if (!k->invalid)
        return;
    flush_request(k);
    while (k->invalid) {
        struct page *p = k->invalid;
        k->invalid = p->invalid_next;
        kvm_page_free(k, p);
    }
}

void kvm_flush_or_zap(struct nw_kvm *k, bool flush)
{
    if (k->invalid)
        kvm_commit_zap(k);
    else if (flush)
        flush_request(k);
}

/* ---- the limit ---------------------------------------------------------------------------------------------- */

void kvm_zap_oldest(struct nw_kvm *k, uint64_t count)
{
    uint64_t zapped = 0;
    for (struct page *p = k->oldest, *next; p && zapped < count; p = next) {
        next = p->newer;
        if (p->root_count)
            continue;
        uint64_t before = k->stat.mmu_shadow_zapped;
        kvm_prepare_zap(k, p);
        uint64_t gone = k->stat.mmu_shadow_zapped - before;
        zapped += gone;
        if (gone > 1) /* children went too, and `next` may be among them */
            next = k->oldest;
    }
    kvm_commit_zap(k);
    k->stat.mmu_recycled += zapped;
}

void kvm_make_room(struct nw_kvm *k)
{
    uint64_t available = k->max_pages > k->stat.shadow_pages ? k->max_pages - k->stat.shadow_pages : 0;
    if (available < NW_KVM_MIN_FREE_PAGES)
        kvm_zap_oldest(k, NW_KVM_REFILL_PAGES - available);
}

void nw_kvm_set_max_pages(struct nw_kvm *k, uint64_t pages)
{
    k->max_pages = pages < NW_KVM_MIN_PAGES ? NW_KVM_MIN_PAGES : pages;
    if (k->stat.shadow_pages > k->max_pages)
        kvm_zap_oldest(k, k->stat.shadow_pages - k->max_pages);
}

/* A slot went: nothing that was made under the old map may stay. Roots in use are only marked. */
void kvm_zap_all(struct nw_kvm *k)
{
    k->requests |= REQ_OBSOLETE_ROOTS;
    while (k->oldest)
        kvm_prepare_zap(k, k->oldest);
    kvm_commit_zap(k);
}
