/* The page-fault path, in KVM's order: walk, write tracking, no memory, host page, room, fetch, leaf, prefetch. */
#include "kvm_internal.h"

/* A use of the tables on the way to `gva`: they are not being flooded. */
static void clear_flood(struct nw_kvm *k, uint64_t gva)
{
    for (struct page *p = k->root.page; p;) {
        p->flood = 0;
        uint64_t entry = p->spte[nw_paging_index(&k->shadow, p->role.level, gva)];
        if (!spte_present(entry) || spte_leaf(entry, p->role.level))
            return;
        p = child_of(k, entry);
    }
}

/* Where the fetch stands: an entry of a shadow page. */
struct place {
    struct page *page;
    unsigned index;
};

static struct place place_in(const struct nw_kvm *k, struct page *p, uint64_t gva)
{
    return (struct place){ p, (unsigned)nw_paging_index(&k->shadow, p->role.level, gva) };
}

/* Down to the guest leaf's level, a shadow page for each guest table. False: a guest entry changed meanwhile. */
static bool fetch_tables(struct nw_kvm *k, uint64_t gva, struct guest_walk *w, struct place *at)
{
    if (kvm_guest_entry_changed(k, w, k->guest.levels - 1u))
        return false;
    *at = place_in(k, k->root.page, gva);
    for (;;) {
        struct page *p = at->page;
        unsigned level = p->role.level;
        p->flood = 0;
        if (level == w->level)
            return true;
        struct page *child = kvm_child_get(k, p, at->index, w->table_gfn[level - 1], false, w->table_access[level - 1]);
        if (child && child->unsync_children)
            kvm_sync_children(k, child);
        if (kvm_guest_entry_changed(k, w, level - 1))
            return false;
        if (child)
            kvm_page_link(k, p, at->index, child);
        *at = place_in(k, child_of(k, p->spte[at->index]), gva);
    }
}

/* Below a large guest page that is mapped by smaller ones: direct pages down to `goal`. */
static void fetch_direct(struct nw_kvm *k, uint64_t gva, const struct guest_walk *w, unsigned goal, struct place *at)
{
    while (at->page->role.level != goal) {
        struct page *p = at->page;
        unsigned level = p->role.level;
        uint64_t entry = p->spte[at->index], gfn = w->gfn & ~((UINT64_C(1) << (9 * level)) - 1);
        if (spte_present(entry) && !(entry & SPTE_LARGE) && child_of(k, entry)->role.access != w->access) {
            kvm_link_drop(k, p, at->index); /* the guest's D was set since: the old page grants too little */
            flush_request(k);
        }
        struct page *child = kvm_child_get(k, p, at->index, gfn, true, w->access);
        if (child)
            kvm_page_link(k, p, at->index, child);
        *at = place_in(k, child_of(k, p->spte[at->index]), gva);
    }
}

static enum nw_kvm_result fetch(struct nw_kvm *k, uint64_t gva, struct guest_walk *w, bool write, bool host_writable,
                                struct nw_kvm_fault *out)
{
    struct place at;
    if (!fetch_tables(k, gva, w, &at))
        return NW_KVM_RETRY;
    unsigned goal = kvm_mapping_level(k, w->gfn, w->level);
    event_requested(k, w->gfn, goal);
    fetch_direct(k, gva, w, goal, &at);
    uint64_t gfn = w->gfn & ~((UINT64_C(1) << (9 * goal)) - 1);
    enum set_result set = kvm_spte_set(k, at.page, at.index, w->access, gfn,
                                       (struct set){ .write = write, .host_writable = host_writable });
    if (set == SET_SPURIOUS)
        return NW_KVM_SPURIOUS;
    kvm_prefetch(k, at.page, at.index, w->group);
    out->write_protected = set == SET_WRITE_PROTECTED;
    return out->write_protected ? NW_KVM_EMULATE : NW_KVM_FIXED;
}

/* No memory there. With caching the tables are built and the leaf is a marked entry. */
static enum nw_kvm_result no_memory(struct nw_kvm *k, uint64_t gva, struct guest_walk *w)
{
    struct place at;
    k->mmio.valid = true;
    k->mmio.gva = gva >> NW_PAGE_LOG2;
    k->mmio.gfn = w->gfn;
    k->mmio.access = w->access & (ACC_WRITE | ACC_USER);
    if (!k->config.mmio_caching)
        return NW_KVM_EMULATE;
    kvm_make_room(k);
    if (!fetch_tables(k, gva, w, &at))
        return NW_KVM_RETRY;
    event_requested(k, w->gfn, 0);
    fetch_direct(k, gva, w, 0, &at);
    if (spte_present(at.page->spte[at.index])) {
        kvm_leaf_drop(k, at.page, at.index);
        flush_request(k);
    }
    kvm_mmio_mark(at.page, at.index, w->gfn, w->access);
    k->stat.pf_mmio_spte_created++;
    return NW_KVM_EMULATE;
}

static bool root_is_stale(const struct nw_kvm *k) { return k->root.page && k->root.page->role.invalid; }

static enum nw_kvm_result page_fault(struct nw_kvm *k, uint64_t gva, unsigned code, struct nw_kvm_fault *out)
{
    struct guest_walk w = { 0 };
    bool write = code & NW_PF_W, user = code & NW_PF_U;
    if (!kvm_guest_walk(k, gva, code & ~(unsigned)NW_PF_RSVD, &w)) {
        kvm_inject_fault(k, &w.fault);
        out->fault = w.fault;
        return NW_KVM_GUEST_FAULT;
    }
    out->gpa = nw_gpa(w.gfn << NW_PAGE_LOG2 | (gva & (NW_PAGE_BYTES - 1)));
    if ((code & NW_PF_P) && write && !(code & NW_PF_RSVD) && kvm_tracked(k, w.gfn)) {
        clear_flood(k, gva);
        out->write_protected = true;
        return NW_KVM_EMULATE;
    }
    if (!k->root.page)
        return NW_KVM_RETRY;
    struct slot *slot = kvm_slot_find(k, w.gfn);
    if (!slot)
        return no_memory(k, gva, &w);
    uint64_t seen = k->notifications;
    bool host_writable = kvm_host_fault_in(k, slot, w.gfn, write);
    if (write && !host_writable) /* the host refuses the store: user space of the VMM has to handle it */
        return NW_KVM_EMULATE;
    if (write && !user && !(w.access & ACC_WRITE) && !k->guest.write_protect) {
        /* A supervisor store that only CR0.WP = 0 allows: a writable page that user code must not reach. */
        w.access = (w.access | ACC_WRITE) & ~(unsigned)ACC_USER;
        if (k->registers.cr4 & NW_CR4_SMEP)
            w.access &= ~(unsigned)ACC_EXEC;
    }
    if (root_is_stale(k) || seen != k->notifications)
        return NW_KVM_RETRY;
    kvm_make_room(k);
    return fetch(k, gva, &w, write, host_writable, out);
}

enum nw_status nw_kvm_page_fault(struct nw_kvm *k, gva_t gva, uint64_t code, struct nw_kvm_fault *out,
                                 struct nw_error *err)
{
    memset(out, 0, sizeof *out);
    enum nw_status s = kvm_topup(k, err);
    if (s)
        return s;
    if ((code & NW_PF_RSVD) && k->config.mmio_caching) { /* the marked entry says it all */
        out->result = NW_KVM_EMULATE;
        return NW_OK;
    }
    k->stat.pf_taken++;
    out->result = page_fault(k, gva.v, (unsigned)code, out);
    switch (out->result) {
    case NW_KVM_FIXED: k->stat.pf_fixed++; break;
    case NW_KVM_SPURIOUS: k->stat.pf_spurious++; break;
    case NW_KVM_EMULATE: k->stat.pf_emulate++; break;
    case NW_KVM_RETRY:
    case NW_KVM_GUEST_FAULT: break;
    }
    return NW_OK;
}
