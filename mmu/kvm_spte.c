/* Leaf entries: how one is made, set, changed and dropped, and the prefetch of its neighbours. */
#include "kvm_internal.h"

static uint64_t *page_gauge(struct nw_kvm *k, unsigned level)
{
    return level == 0 ? &k->stat.pages_4k : level == 1 ? &k->stat.pages_2m : &k->stat.pages_1g;
}

void kvm_leaf_drop(struct nw_kvm *k, struct page *p, unsigned index)
{
    struct rmap *r = kvm_rmap(k, leaf_gfn(p, index), p->role.level);
    kvm_links_remove(k, &r->first, p, index);
    r->count--;
    p->spte[index] = 0;
    --*page_gauge(k, p->role.level);
}

void kvm_entry_zap(struct nw_kvm *k, struct page *p, unsigned index)
{
    if (!spte_present(p->spte[index]))
        p->spte[index] = 0; /* a marked entry without memory */
    else if (spte_leaf(p->spte[index], p->role.level))
        kvm_leaf_drop(k, p, index);
    else
        kvm_link_drop(k, p, index);
}

bool kvm_spte_update(struct page *p, unsigned index, uint64_t spte)
{
    uint64_t old = p->spte[index];
    p->spte[index] = spte;
    return spte_present(old) && (old & SPTE_MMU_WRITABLE) && !(spte & SPTE_MMU_WRITABLE);
}

void kvm_mmio_mark(struct page *p, unsigned index, uint64_t gfn, unsigned access)
{
    p->spte[index] =
        SPTE_MMIO | SPTE_PRESENT | (access & ACC_WRITE ? SPTE_WRITE : 0) | (access & ACC_USER ? SPTE_USER : 0);
    leaf_remember(p, index, gfn, access);
}

bool kvm_spte_make(struct nw_kvm *k, const struct page *p, unsigned access, uint64_t gfn, uint64_t old, bool prefetch,
                   bool synchronizing, bool host_writable, uint64_t *out)
{
    uint64_t spte = SPTE_MMU_PRESENT | SPTE_PRESENT | kvm_gfn_hpa(k, gfn);
    bool write_protected = false;
    if (!prefetch || synchronizing)
        spte |= SPTE_ACCESSED;
    if (!(access & ACC_EXEC))
        spte |= SPTE_NX;
    if (access & ACC_USER)
        spte |= SPTE_USER;
    if (p->role.level)
        spte |= SPTE_LARGE;
    if (host_writable)
        spte |= SPTE_HOST_WRITABLE;
    else
        access &= ~(unsigned)ACC_WRITE;
    if (access & ACC_WRITE) {
        /* An old writable leaf shows that the frame's tables are unsync already. */
        bool was_writable = spte_leaf(old, p->role.level) && (old & SPTE_WRITE);
        if (!was_writable && !kvm_try_unsync(k, gfn, synchronizing, prefetch))
            write_protected = true;
        else
            spte |= SPTE_WRITE | SPTE_MMU_WRITABLE | SPTE_DIRTY;
    }
    if (spte & SPTE_WRITE)
        kvm_mark_dirty(k, gfn);
    *out = spte;
    return write_protected;
}

static void rmap_limit(struct nw_kvm *k, struct rmap *r)
{
    if (r->count <= NW_KVM_RMAP_LIMIT)
        return;
    while (r->first)
        kvm_leaf_drop(k, page_of(k, r->first), index_of(r->first));
    flush_request(k);
}

enum set_result kvm_spte_set(struct nw_kvm *k, struct page *p, unsigned index, unsigned access, uint64_t gfn,
                             struct set how)
{
    uint64_t old = p->spte[index], spte;
    bool flush = false, mapped = false;
    enum set_result result = SET_FIXED;
    if (spte_present(old)) {
        if (how.prefetch && spte_leaf(old, p->role.level) && (old & SPTE_FRAME) == kvm_gfn_hpa(k, gfn))
            return SET_SPURIOUS;
        if (!spte_leaf(old, p->role.level)) { /* a large page takes the place of a table */
            kvm_link_drop(k, p, index);
            flush = true;
        } else if ((old & SPTE_FRAME) != kvm_gfn_hpa(k, gfn) || leaf_gfn(p, index) != gfn) {
            kvm_leaf_drop(k, p, index);
            flush = true;
        } else {
            mapped = true;
        }
    }
    bool write_protected =
        kvm_spte_make(k, p, access, gfn, p->spte[index], how.prefetch, false, how.host_writable, &spte);
    if (p->spte[index] == spte) {
        result = SET_SPURIOUS;
    } else {
        flush |= kvm_spte_update(p, index, spte);
        event_spte(k, gfn, p->role.level, spte);
    }
    if (write_protected && how.write)
        result = SET_WRITE_PROTECTED;
    if (flush)
        flush_request(k);
    leaf_remember(p, index, gfn, access);
    if (!mapped) {
        struct rmap *r = kvm_rmap(k, gfn, p->role.level);
        kvm_links_add(k, &r->first, p, index);
        r->count++;
        ++*page_gauge(k, p->role.level);
        rmap_limit(k, r);
    }
    return result;
}

/* ---- a frame's leaves --------------------------------------------------------------------------------------- */

bool kvm_write_protect_gfn(struct nw_kvm *k, uint64_t gfn)
{
    bool flush = false;
    for (unsigned level = 0; level < LEAF_LEVELS; level++) {
        const struct rmap *r = kvm_rmap(k, gfn, level);
        for (spte_id id = r ? r->first : 0; id;) {
            struct page *p = page_of(k, id);
            unsigned index = index_of(id);
            flush |= kvm_spte_update(p, index, p->spte[index] & ~(SPTE_WRITE | SPTE_MMU_WRITABLE));
            id = p->link[index].next;
        }
    }
    return flush;
}

/* ---- prefetch ----------------------------------------------------------------------------------------------- */

/* A level-0 entry that no leaf is made from ahead of use. */
bool kvm_prefetch_invalid(const struct nw_kvm *k, uint64_t entry)
{
    return !nw_entry_present(&k->guest, entry) || !(entry & k->guest.accessed) ||
           nw_entry_is_bad(&k->guest, 0, entry, true);
}

/* Whether the frame may be mapped without asking the host to do anything. */
static bool prefetchable(const struct nw_kvm *k, uint64_t gfn, unsigned access)
{
    const struct slot *s = kvm_slot_find(k, gfn);
    return s && !((access & ACC_WRITE) && s->as.dirty_logging) && kvm_host_ready(s, gfn);
}

void kvm_prefetch(struct nw_kvm *k, struct page *p, unsigned index, const uint64_t *guest_entry)
{
    static const struct set how = { .prefetch = true, .host_writable = true };
    if (p->role.level)
        return;
    unsigned first = index & ~(NW_KVM_PREFETCH - 1u);
    for (unsigned i = 0; i < NW_KVM_PREFETCH; i++) {
        unsigned at = first + i, access = p->role.access;
        uint64_t gfn = leaf_gfn(p, at);
        if (at == index || spte_present(p->spte[at]))
            continue;
        if (!p->role.direct) {
            uint64_t entry = guest_entry[i];
            if (kvm_prefetch_invalid(k, entry))
                return;
            gfn = (entry & k->guest.level[0].leaf_address) >> NW_PAGE_LOG2;
            access = kvm_clean_access(access & kvm_entry_access(k, entry), entry);
        }
        if (!prefetchable(k, gfn, access))
            return;
        (void)kvm_spte_set(k, p, at, access, gfn, how);
    }
}
