/* Roots: the current one and the three before it, the requests that a VM entry serves, and the instructions that
 * change the address space. */
#include "kvm_internal.h"

#define CR3_NOFLUSH NW_BIT(63)
#define CR3_PCID    UINT64_C(0xfff)

static bool root_valid(const struct root *r) { return r->page || r->dummy; }

/* ---- giving up and loading roots ---------------------------------------------------------------------------- */

static void root_free(struct nw_kvm *k, struct root *r)
{
    if (r->page && !--r->page->root_count && r->page->role.invalid)
        kvm_prepare_zap(k, r->page);
    *r = (struct root){ 0 };
}

/* `previous`: a set of bits. */
void kvm_roots_free(struct nw_kvm *k, bool current, unsigned previous)
{
    for (unsigned i = 0; i < NW_KVM_PREVIOUS_ROOTS; i++)
        if (previous >> i & 1)
            root_free(k, &k->previous[i]);
    if (current)
        root_free(k, &k->root);
    kvm_commit_zap(k);
}

enum { ALL_PREVIOUS = (1 << NW_KVM_PREVIOUS_ROOTS) - 1 };

static void free_obsolete(struct nw_kvm *k)
{
    unsigned previous = 0;
    for (unsigned i = 0; i < NW_KVM_PREVIOUS_ROOTS; i++)
        if (k->previous[i].page && k->previous[i].page->role.invalid)
            previous |= 1u << i;
    kvm_roots_free(k, k->root.page && k->root.page->role.invalid, previous);
}

static void load_root(struct nw_kvm *k)
{
    uint64_t gfn = k->guest.root >> NW_PAGE_LOG2;
    k->root.pgd = k->registers.cr3;
    if (!kvm_slot_find(k, gfn)) {
        k->root.dummy = true;
        return;
    }
    kvm_make_room(k);
    k->root.page = kvm_page_get(k, gfn, k->root_role);
    k->root.page->root_count++;
    kvm_sync_root(k);
}

/* ---- requests ----------------------------------------------------------------------------------------------- */

static bool take(struct nw_kvm *k, unsigned request)
{
    bool asked = k->requests & request;
    k->requests &= ~request;
    return asked;
}

static void serve(struct nw_kvm *k)
{
    if (take(k, REQ_OBSOLETE_ROOTS))
        free_obsolete(k);
    if (take(k, REQ_SYNC))
        kvm_sync_root(k);
    if (take(k, REQ_FLUSH_ALL)) {
        k->stat.tlb_flush++;
        k->requests &= ~(unsigned)REQ_FLUSH_CURRENT;
    }
    if (take(k, REQ_FLUSH_CURRENT))
        k->stat.tlb_flush++;
    if (take(k, REQ_FLUSH_GUEST)) {
        unsigned unsync = 0;
        k->stat.tlb_flush++;
        kvm_sync_root(k);
        for (unsigned i = 0; i < NW_KVM_PREVIOUS_ROOTS; i++)
            if (kvm_root_is_unsync(&k->previous[i]))
                unsync |= 1u << i;
        kvm_roots_free(k, false, unsync);
    }
    if (!root_valid(&k->root))
        load_root(k);
}

enum nw_status nw_kvm_enter(struct nw_kvm *k, struct nw_error *err)
{
    if (!k->started)
        return nw_fail(err, NW_ERR_USAGE, "the virtual processor has no registers yet");
    if (!k->requests && root_valid(&k->root))
        return NW_OK;
    do {
        enum nw_status s = kvm_topup(k, err);
        if (s)
            return s;
        serve(k);
    } while (k->requests);
    k->shadow.root = k->root.page ? k->root.page->hpa : k->dummy_hpa;
    return NW_OK;
}

enum nw_status nw_kvm_emulation_step(struct nw_kvm *k, struct nw_error *err)
{
    return k->config.serve_every_exit || !root_valid(&k->root) ? nw_kvm_enter(k, err) : NW_OK;
}

/* ---- registers ---------------------------------------------------------------------------------------------- */

static struct role role_of(const struct nw_paging *g, const struct nw_guest_registers *r)
{
    bool wp = r->cr0 & NW_CR0_WP;
    return (struct role){ .level = (uint8_t)(g->levels - 1),
                          .access = ACC_ALL,
                          .mode = (uint8_t)((wp ? MODE_WP : 0) | (r->efer & NW_EFER_NXE ? MODE_NX : 0) |
                                            (!wp && (r->cr4 & NW_CR4_SMEP) ? MODE_SMEP_AND_NOT_WP : 0) |
                                            (!wp && (r->cr4 & NW_CR4_SMAP) ? MODE_SMAP_AND_NOT_WP : 0) |
                                            (g->levels == 5 ? MODE_5LEVEL : 0)) };
}

/* Takes the registers over; nothing is changed when they cannot be. */
static enum nw_status set_registers(struct nw_kvm *k, const struct nw_guest_registers *r, struct nw_error *err)
{
    struct nw_guest_registers own = *r, shadow;
    struct nw_paging g;
    own.maxphyaddr = k->config.maxphyaddr;
    own.huge_1g = k->config.huge_1g;
    enum nw_status s = nw_paging_init_guest(&g, &own, err);
    if (s)
        return s;
    if (g.levels < 4)
        return nw_fail(err, NW_ERR_UNSUPPORTED,
                       "KVM's shadow MMU is modelled for 4- and 5-level guests only, not for %s", g.format->name);
    g.level[g.levels - 1].reserved_table |= NW_BIT(8); /* AMD: must be zero in the topmost table */
    if (g.levels == 5)
        g.level[3].reserved_table |= NW_BIT(8);
    shadow = nw_guest_registers_long(g.levels, k->dummy_hpa);
    shadow.cr4 |= own.cr4 & (NW_CR4_SMEP | NW_CR4_SMAP);
    shadow.maxphyaddr = 51;
    uint64_t root = k->shadow.root;
    if ((s = nw_paging_init_guest(&k->shadow, &shadow, err)))
        return s;
    k->shadow.root = k->started ? root : k->dummy_hpa;
    k->guest = g;
    k->registers = own;
    k->root_role = role_of(&g, &own);
    return NW_OK;
}

enum nw_status nw_kvm_set_sregs(struct nw_kvm *k, const struct nw_guest_registers *r, struct nw_error *err)
{
    struct nw_guest_registers old = k->registers;
    enum nw_status s = set_registers(k, r, err);
    if (s)
        return s;
    if (!k->started || old.cr0 != r->cr0 || old.cr3 != r->cr3 || old.cr4 != r->cr4 || old.efer != r->efer) {
        kvm_roots_free(k, true, ALL_PREVIOUS);
        k->requests |= REQ_FLUSH_GUEST;
    }
    k->started = true;
    return NW_OK;
}

/* ---- MOV to CR3 --------------------------------------------------------------------------------------------- */

static bool usable(const struct nw_kvm *k, const struct root *r, uint64_t pgd)
{
    return r->page && r->pgd == pgd && role_equal(r->page->role, k->root_role);
}

/* Turns the roots by one place at a time until the wanted one is current; else the oldest goes. */
static bool rotate(struct nw_kvm *k, uint64_t pgd)
{
    if (usable(k, &k->root, pgd))
        return true;
    for (unsigned i = 0; i < NW_KVM_PREVIOUS_ROOTS; i++) {
        struct root r = k->root;
        k->root = k->previous[i];
        k->previous[i] = r;
        if (usable(k, &k->root, pgd))
            return true;
    }
    kvm_roots_free(k, true, 0);
    return false;
}

static bool take_previous(struct nw_kvm *k, uint64_t pgd)
{
    unsigned i = 0;
    while (i < NW_KVM_PREVIOUS_ROOTS && !usable(k, &k->previous[i], pgd))
        i++;
    if (i == NW_KVM_PREVIOUS_ROOTS)
        return false;
    k->root = k->previous[i];
    for (; i < NW_KVM_PREVIOUS_ROOTS - 1; i++)
        k->previous[i] = k->previous[i + 1];
    k->previous[i] = (struct root){ 0 };
    return true;
}

static void new_pgd(struct nw_kvm *k, uint64_t pgd)
{
    if (k->root.dummy)
        kvm_roots_free(k, true, 0);
    if (!(root_valid(&k->root) ? rotate(k, pgd) : take_previous(k, pgd)))
        return;
    mmio_forget(k);
    k->root.page->flood = 0;
    k->shadow.root = k->root.page->hpa;
}

/* The TLB's translations of one PCID go. */
static void invalidate_pcid(struct nw_kvm *k, uint64_t pcid)
{
    bool pcide = k->registers.cr4 & NW_CR4_PCIDE;
    unsigned previous = 0;
    if ((pcide ? k->registers.cr3 & CR3_PCID : 0) == pcid)
        k->requests |= REQ_SYNC | REQ_FLUSH_CURRENT;
    if (!pcide)
        return;
    for (unsigned i = 0; i < NW_KVM_PREVIOUS_ROOTS; i++)
        if (root_valid(&k->previous[i]) && (k->previous[i].pgd & CR3_PCID) == pcid)
            previous |= 1u << i;
    kvm_roots_free(k, false, previous);
}

enum nw_status nw_kvm_load_cr3(struct nw_kvm *k, uint64_t cr3, struct nw_error *err)
{
    bool pcide = k->registers.cr4 & NW_CR4_PCIDE, keep = pcide && (cr3 & CR3_NOFLUSH);
    struct nw_guest_registers r = k->registers;
    uint64_t old = r.cr3;
    if (pcide)
        cr3 &= ~CR3_NOFLUSH;
    r.cr3 = cr3;
    enum nw_status s = set_registers(k, &r, err);
    if (s)
        return s;
    if (cr3 != old)
        new_pgd(k, cr3);
    if (!keep)
        invalidate_pcid(k, pcide ? cr3 & CR3_PCID : 0);
    return NW_OK;
}

/* ---- MOV to CR4, INVLPG, INVPCID ---------------------------------------------------------------------------- */

enum nw_status nw_kvm_load_cr4(struct nw_kvm *k, uint64_t cr4, struct nw_error *err)
{
    const uint64_t role_bits = NW_CR4_PSE | NW_CR4_PAE | NW_CR4_LA57 | NW_CR4_SMEP | NW_CR4_SMAP | NW_CR4_PKE;
    struct nw_guest_registers r = k->registers;
    uint64_t toggled = r.cr4 ^ cr4;
    r.cr4 = cr4;
    enum nw_status s = set_registers(k, &r, err);
    if (s)
        return s;
    if ((toggled & role_bits) || (toggled & cr4 & NW_CR4_PCIDE))
        kvm_roots_free(k, true, ALL_PREVIOUS);
    if ((toggled & NW_CR4_PGE) || (toggled & ~cr4 & NW_CR4_PCIDE))
        k->requests |= REQ_FLUSH_GUEST;
    else if ((toggled & NW_CR4_PAE) || (toggled & cr4 & NW_CR4_SMEP))
        k->requests |= REQ_FLUSH_CURRENT;
    return NW_OK;
}

enum nw_status nw_kvm_load_cr0(struct nw_kvm *k, uint64_t cr0, struct nw_error *err)
{
    struct nw_guest_registers r = k->registers;
    uint64_t toggled = r.cr0 ^ cr0;
    r.cr0 = cr0;
    enum nw_status s = set_registers(k, &r, err);
    if (s)
        return s;
    if (toggled & ~cr0 & NW_CR0_PG)
        k->requests |= REQ_FLUSH_GUEST;
    if (toggled & (NW_CR0_PG | NW_CR0_WP)) /* they are part of every role */
        kvm_roots_free(k, true, ALL_PREVIOUS);
    return NW_OK;
}

enum nw_status nw_kvm_load_efer(struct nw_kvm *k, uint64_t efer, struct nw_error *err)
{
    struct nw_guest_registers r = k->registers;
    uint64_t toggled = r.efer ^ efer;
    r.efer = efer;
    enum nw_status s = set_registers(k, &r, err);
    if (!s && (toggled & (NW_EFER_LME | NW_EFER_NXE)))
        kvm_roots_free(k, true, ALL_PREVIOUS);
    return s;
}

void nw_kvm_invlpg(struct nw_kvm *k, gva_t gva)
{
    kvm_invalidate_address(k, &k->root, gva.v);
    for (unsigned i = 0; i < NW_KVM_PREVIOUS_ROOTS; i++)
        kvm_invalidate_address(k, &k->previous[i], gva.v);
    k->stat.invlpg++;
}

void nw_kvm_invpcid(struct nw_kvm *k, enum nw_kvm_invpcid type, unsigned pcid, gva_t gva)
{
    bool pcide = k->registers.cr4 & NW_CR4_PCIDE;
    switch (type) {
    case NW_KVM_INVPCID_ADDRESS:
        if ((pcide ? k->registers.cr3 & CR3_PCID : 0) == pcid)
            kvm_invalidate_address(k, &k->root, gva.v);
        for (unsigned i = 0; i < NW_KVM_PREVIOUS_ROOTS; i++)
            if (k->previous[i].page && pcid == (pcide ? k->previous[i].pgd & CR3_PCID : 0))
                kvm_invalidate_address(k, &k->previous[i], gva.v);
        k->stat.invlpg++;
        break;
    case NW_KVM_INVPCID_CONTEXT: invalidate_pcid(k, pcid); break;
    case NW_KVM_INVPCID_ALL:
    case NW_KVM_INVPCID_NONGLOBAL: k->requests |= REQ_FLUSH_GUEST; break;
    }
}
