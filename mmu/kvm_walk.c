/* The walk of the guest's tables in software. It differs from the processor's (walk_template.h) in what it keeps:
 * the entries it read, to see later whether they still stand, and the access that each level grants. */
#include "kvm_internal.h"

unsigned kvm_entry_access(const struct nw_kvm *k, uint64_t entry)
{
    const struct nw_format *f = k->guest.format;
    uint64_t allowed = entry ^ k->guest.invert;
    bool executable = !(k->guest.invert & f->no_execute) || (allowed & f->no_execute);
    return (executable ? ACC_EXEC : 0) | (entry & f->write ? ACC_WRITE : 0) | (entry & f->user ? ACC_USER : 0);
}

unsigned kvm_clean_access(unsigned access, uint64_t entry)
{
    return entry & SPTE_DIRTY ? access : access & ~(unsigned)ACC_WRITE;
}

static struct nw_access access_of(unsigned code)
{
    return (struct nw_access){ .kind = code & NW_PF_ID  ? NW_ACCESS_FETCH
                                       : code & NW_PF_W ? NW_ACCESS_WRITE
                                                        : NW_ACCESS_READ,
                               .user = code & NW_PF_U };
}

enum update { UPDATED, CHANGED_MEANWHILE, REFUSED };

/* Sets A on the way down and D in the leaf of a write. An entry that serves two levels was changed by the first. */
static enum update update_accessed_dirty(struct nw_kvm *k, struct guest_walk *w, bool write)
{
    for (unsigned level = k->guest.levels; level-- > w->level;) {
        uint64_t was = w->entry[level], entry = was, now;
        if (!(entry & SPTE_ACCESSED)) {
            event_table_bit(k, 'A', w->entry_gpa[level]);
            entry |= SPTE_ACCESSED;
        }
        if (level == w->level && write && !(entry & SPTE_DIRTY)) {
            event_table_bit(k, 'D', w->entry_gpa[level]);
            entry |= SPTE_DIRTY;
        }
        if (entry == was)
            continue;
        if (!kvm_guest_read(k, w->entry_gpa[level], 8, &now) || now != was)
            return CHANGED_MEANWHILE;
        if (!kvm_guest_write(k, w->entry_gpa[level], 8, entry))
            return REFUSED; /* the host keeps the page read-only */
        w->entry[level] = entry;
    }
    return UPDATED;
}

static bool fail(struct guest_walk *w, const struct nw_kvm *k, uint64_t gva, unsigned code, unsigned why)
{
    why |= code & (NW_PF_W | NW_PF_U) & ~(code & NW_PF_ID ? NW_PF_W : 0u);
    if ((code & NW_PF_ID) && k->guest.fetch_reported)
        why |= NW_PF_ID;
    w->fault = (struct nw_fault){ .code = why, .address = gva };
    return false;
}

bool kvm_guest_walk(struct nw_kvm *k, uint64_t gva, unsigned code, struct guest_walk *w)
{
    const struct nw_paging *g = &k->guest;
    const struct nw_access access = access_of(code);
    const bool write = access.kind == NW_ACCESS_WRITE;
    event_walk(k, gva, code);
    for (;;) {
        uint64_t table = g->root, allowed = ~UINT64_C(0), entry = 0;
        unsigned granted = ACC_ALL, level = g->levels;
        do {
            level--;
            w->level = level;
            w->table_gfn[level] = table >> NW_PAGE_LOG2;
            w->table_access[level] = granted;
            w->entry_gpa[level] = table + nw_paging_index(g, level, gva) * 8;
            if (!kvm_guest_read(k, w->entry_gpa[level], 8, &entry))
                return fail(w, k, gva, code, 0);
            w->entry[level] = entry;
            if (!nw_entry_present(g, entry))
                return fail(w, k, gva, code, 0);
            if (nw_entry_is_bad(g, level, entry, nw_entry_is_leaf(g, level, entry)))
                return fail(w, k, gva, code, NW_PF_P | NW_PF_RSVD);
            allowed &= entry ^ g->invert;
            granted &= kvm_entry_access(k, entry);
            table = entry & g->table_address;
        } while (!nw_entry_is_leaf(g, level, entry));

        const uint64_t need = g->need[nw_access_privilege(&access)][access.kind];
        const uint64_t forbid = g->forbid[nw_access_privilege(&access)][access.kind];
        if ((allowed & need) != need || (allowed & forbid))
            return fail(w, k, gva, code, NW_PF_P);
        uint64_t offset = gva & (NW_BIT(nw_level_log2(g, level)) - 1);
        w->gfn = (nw_entry_page(g, level, entry) + offset) >> NW_PAGE_LOG2;
        w->access = write ? granted : kvm_clean_access(granted, entry);
        switch (update_accessed_dirty(k, w, write)) {
        case UPDATED: return true;
        case REFUSED: return fail(w, k, gva, code, 0);
        case CHANGED_MEANWHILE: break;
        }
    }
}

bool kvm_guest_entry_changed(struct nw_kvm *k, struct guest_walk *w, unsigned level)
{
    uint64_t now;
    if (level == 0)
        for (unsigned i = 0; i < NW_KVM_PREFETCH; i++)
            if (!kvm_guest_read(k, (w->entry_gpa[0] & ~UINT64_C(63)) + i * 8u, 8, &w->group[i]))
                return true;
    return !kvm_guest_read(k, w->entry_gpa[level], 8, &now) || now != w->entry[level];
}

void kvm_inject_fault(struct nw_kvm *k, const struct nw_fault *fault)
{
    if ((fault->code & NW_PF_P) && !(fault->code & NW_PF_RSVD))
        kvm_invalidate_address(k, &k->root, fault->address);
    k->stat.pf_guest++;
}
