/* What the instruction emulator does to memory, and what follows when the memory is a guest page table. */
#include "kvm_internal.h"

/* ---- writes to tables --------------------------------------------------------------------------------------- */

/* A write that no single entry can be told from: part of one, or parts of two. A single byte at an entry's start is
 * how guests set its flags, and passes. */
static bool misaligned(uint64_t gpa, unsigned bytes)
{
    unsigned offset = (unsigned)(gpa & (NW_PAGE_BYTES - 1));
    if (!(offset & 7) && bytes == 1)
        return false;
    return ((offset ^ (offset + bytes - 1)) & ~7u) || bytes < 4;
}

static bool flooding(struct page *p) { return p->role.level && ++p->flood >= NW_KVM_FLOOD; }

static void track_write(struct nw_kvm *k, uint64_t gpa, unsigned bytes)
{
    uint64_t entry = 0, gfn = gpa >> NW_PAGE_LOG2;
    bool flush = false;
    if (!k->indirect_pages)
        return;
    if (bytes == 4) { /* one half of an entry */
        gpa &= ~UINT64_C(7);
        bytes = 8;
    }
    if (bytes == 8 && (gpa & (NW_PAGE_BYTES - 1)) + bytes <= NW_PAGE_BYTES && !kvm_guest_read(k, gpa, bytes, &entry))
        entry = 0;
    k->stat.mmu_pte_write++;
    for (struct page *p = NULL; (p = kvm_table_next(k, gfn, p));) {
        if ((bytes && misaligned(gpa, bytes)) || flooding(p)) {
            kvm_prepare_zap(k, p);
            k->stat.mmu_flooded++;
            continue;
        }
        if (!bytes) /* somewhere in the page */
            continue;
        unsigned index = (unsigned)(gpa & (NW_PAGE_BYTES - 1)) / 8;
        flush |= spte_present(p->spte[index]);
        if (p->spte[index])
            kvm_entry_zap(k, p, index);
        if (entry && p->role.level)
            k->stat.mmu_pde_zapped++;
    }
    kvm_flush_or_zap(k, flush);
}

static bool synced_leaf_table(struct nw_kvm *k, uint64_t gfn)
{
    for (struct page *p = NULL; (p = kvm_table_next(k, gfn, p));)
        if (!p->unsync)
            return true;
    return false;
}

enum nw_kvm_store nw_kvm_table_written(struct nw_kvm *k, gpa_t gpa, unsigned bytes, bool faulted)
{
    enum nw_kvm_store result = NW_KVM_STORE_FREE;
    if (!bytes && kvm_tracked(k, gpa.v >> NW_PAGE_LOG2)) {
        track_write(k, gpa.v, 0);
        return NW_KVM_STORE_EMULATED;
    }
    for (uint64_t at = gpa.v, end = gpa.v + bytes; at < end;) {
        uint64_t gfn = at >> NW_PAGE_LOG2, stop = (gfn + 1) << NW_PAGE_LOG2;
        unsigned piece = (unsigned)((end < stop ? end : stop) - at);
        if (kvm_tracked(k, gfn)) {
            if (!faulted) {
                k->stat.pf_taken++;
                k->stat.pf_emulate++;
            }
            track_write(k, at, piece);
            result = NW_KVM_STORE_EMULATED;
        } else if (synced_leaf_table(k, gfn)) {
            k->stat.pf_taken++;
            k->stat.pf_fixed++;
            (void)kvm_try_unsync(k, gfn, false, false);
            result = result == NW_KVM_STORE_FREE ? NW_KVM_STORE_UNSYNC : result;
        }
        at += piece;
    }
    return result;
}

bool nw_kvm_unprotect(struct nw_kvm *k, gva_t gva, uint64_t rip, bool user, bool table_writing)
{
    struct guest_walk w = { 0 };
    if (k->retry.valid && k->retry.rip == rip && k->retry.gva == gva.v)
        return false;
    k->retry.valid = false;
    if (table_writing || !k->indirect_pages || !kvm_guest_walk(k, gva.v, NW_PF_W | (user ? NW_PF_U : 0), &w))
        return false;
    for (struct page *p = NULL; (p = kvm_table_next(k, w.gfn, p));)
        kvm_prepare_zap(k, p);
    bool any = k->invalid;
    kvm_commit_zap(k);
    if (any) {
        k->retry.valid = true;
        k->retry.rip = rip;
        k->retry.gva = gva.v;
    }
    return any;
}

/* ---- accesses ----------------------------------------------------------------------------------------------- */

/* The page last found to be without memory needs no walk while its access rights do. */
static bool mmio_known(const struct nw_kvm *k, uint64_t gva, bool write, bool user)
{
    if (!k->mmio.valid || k->mmio.gva != gva >> NW_PAGE_LOG2)
        return false;
    if (user && !(k->mmio.access & ACC_USER))
        return false;
    if (!user && (k->mmio.access & ACC_USER) && (k->registers.cr4 & NW_CR4_SMAP))
        return false;
    return !write || (k->mmio.access & ACC_WRITE) || (!user && !k->guest.write_protect);
}

static bool walk(struct nw_kvm *k, uint64_t gva, bool write, bool user, struct guest_walk *w)
{
    *w = (struct guest_walk){ 0 };
    return kvm_guest_walk(k, gva, (write ? NW_PF_W : 0) | (user ? NW_PF_U : 0), w);
}

static uint64_t gpa_of(const struct guest_walk *w, uint64_t gva)
{
    return w->gfn << NW_PAGE_LOG2 | (gva & (NW_PAGE_BYTES - 1));
}

/* One piece within a page. False: the guest faults. */
static bool piece(struct nw_kvm *k, uint64_t gva, unsigned bytes, bool write, bool user, uint64_t *value,
                  struct nw_kvm_emulated *out)
{
    struct guest_walk w;
    bool known = mmio_known(k, gva, write, user);
    if (!known && !walk(k, gva, write, user, &w)) {
        kvm_inject_fault(k, &w.fault);
        out->fault = w.fault;
        return false;
    }
    if (known || !(write ? kvm_guest_write(k, gpa_of(&w, gva), bytes, *value)
                         : kvm_guest_read(k, gpa_of(&w, gva), bytes, value))) {
        out->mmio = true;
        if (!write)
            *value = 0;
    } else if (write) {
        track_write(k, gpa_of(&w, gva), bytes);
    }
    return true;
}

static void emulated(struct nw_kvm *k, uint64_t gva, unsigned bytes, bool write, bool user, uint64_t value,
                     struct nw_kvm_emulated *out)
{
    unsigned room = (unsigned)(NW_PAGE_BYTES - (gva & (NW_PAGE_BYTES - 1))), first = bytes < room ? bytes : room;
    uint64_t low = value, high = first < 8 ? value >> (8 * first) : 0;
    out->ok = piece(k, gva, first, write, user, &low, out) &&
              (first == bytes || piece(k, gva + first, bytes - first, write, user, &high, out));
    out->value = first < bytes ? low | high << (8 * first) : low;
}

void nw_kvm_emulated_read(struct nw_kvm *k, gva_t gva, unsigned bytes, bool user, struct nw_kvm_emulated *out)
{
    memset(out, 0, sizeof *out);
    emulated(k, gva.v, bytes, false, user, 0, out);
}

void nw_kvm_emulated_write(struct nw_kvm *k, gva_t gva, unsigned bytes, uint64_t value, bool user, bool locked,
                           struct nw_kvm_emulated *out)
{
    struct guest_walk w;
    memset(out, 0, sizeof *out);
    /* A locked write looks for the frame itself; without one, or across pages, it goes on as a plain write. */
    if (locked && walk(k, gva.v, true, user, &w) && (gva.v & (NW_PAGE_BYTES - 1)) + bytes <= NW_PAGE_BYTES &&
        kvm_guest_write(k, gpa_of(&w, gva.v), bytes, value)) {
        track_write(k, gpa_of(&w, gva.v), bytes);
        out->ok = true;
        return;
    }
    emulated(k, gva.v, bytes, true, user, value, out);
}
