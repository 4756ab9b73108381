/* pager_kvm.c - shadow paging as KVM does it, over mmu/kvm_shadow.h. The guest's frames get memory slots as they come into use, one GiB
 * each; behind a slot stand the frames of the VMM's map. Every TLB flush that KVM counts empties the caches.
 *
 * MODEL: the host is a VT-x or AMD-V one that runs mainline Linux with EPT or NPT turned off: requests are served after each exit, the
 * unsync tables below a table are given up with it, and accesses without memory are remembered. */
#include "guest.h"
#include "pager.h"
#include <nestwalk/mmu/kvm_shadow.h>
#include <stdlib.h>

enum { SLOT_PAGES_LOG2 = 18 };

/* Above every frame that the VMM's map gives out, and below what an entry can hold. */
static const uint64_t SHADOW_HPA = UINT64_C(1) << 46;

struct kvm_pager {
    struct nw_kvm *kvm;
    uint64_t *slot; /* guest frame number >> SLOT_PAGES_LOG2, of those that exist */
    size_t slots, slots_capacity;
    uint64_t flushes; /* that the caches have followed */
    uint64_t pages_peak;
};

static struct kvm_pager *pager_of(const struct machine *m) { return m->pager_state; }

/* ---- the guest's memory ---- */

static hpa_t frame(void *context, uint64_t gfn)
{
    struct machine *m = context;
    struct nw_error err;
    uint64_t *word;
    hpa_t hpa = { 0 };
    enum nw_status s = machine_back(m, gfn << NW_PAGE_LOG2, true, &hpa, &err);
    if (!s && !nw_physmem_find(m->pm, hpa))
        s = nw_physmem_make(m->pm, hpa, &word, &err);
    machine_defer(m, s, &err);
    return hpa;
}

static enum nw_status slot_add(struct machine *m, uint64_t number, struct nw_error *err)
{
    struct kvm_pager *p = pager_of(m);
    if (p->slots == p->slots_capacity) {
        size_t capacity = p->slots_capacity ? p->slots_capacity * 2 : 8;
        uint64_t *bigger = reallocarray(p->slot, capacity, sizeof *bigger);
        if (!bigger)
            return nw_fail_nomem(err, "the list of memory slots");
        p->slot = bigger;
        p->slots_capacity = capacity;
    }
    p->slot[p->slots++] = number;
    return nw_kvm_slot_add(p->kvm,
                           &(struct nw_kvm_slot){ .first_gfn = number << SLOT_PAGES_LOG2,
                                                  .pages = UINT64_C(1) << SLOT_PAGES_LOG2,
                                                  .page_log2 = machine_backing_log2(m->config) },
                           err);
}

/* Memory behind the page, unless its address is wider than any slot's. */
static void provide(struct machine *m, uint64_t gpa, unsigned page_log2)
{
    struct kvm_pager *p = pager_of(m);
    uint64_t number = gpa >> (NW_PAGE_LOG2 + SLOT_PAGES_LOG2);
    (void)page_log2; /* no page is larger than a slot */
    for (size_t i = p->slots; i-- > 0;)
        if (p->slot[i] == number)
            return;
    if (gpa >> (NW_PHYS_BITS_MAX - 4))
        return;
    struct nw_error err;
    enum nw_status s = slot_add(m, number, &err);
    machine_defer(m, s, &err);
}

/* ---- requests ---- */

/* Back into the guest: KVM does what it has put off, and the caches follow. */
static enum nw_status enter(struct machine *m, struct nw_error *err)
{
    struct kvm_pager *p = pager_of(m);
    provide(m, m->guest.root, NW_PAGE_LOG2);
    enum nw_status s = nw_kvm_enter(p->kvm, err);
    if (s || (s = machine_take_deferred(m, err)))
        return s;
    const struct nw_kvm_counters *k = nw_kvm_counters(p->kvm);
    if (k->tlb_flush != p->flushes) {
        m->result->shadow.flushes += k->tlb_flush - p->flushes;
        p->flushes = k->tlb_flush;
        m->epoch++;
        machine_forget(m, FORGET_ALL);
    }
    if (k->shadow_pages > p->pages_peak)
        p->pages_peak = k->shadow_pages;
    return NW_OK;
}

/* The last store was emulated, and no event tells what it changed: it went to a page that the guest no longer has as a table, or stored
 * what was there. KVM, which still has the page as a table, counts it among the writes of a flood. */
static void settle_trapped(struct machine *m)
{
    if (!m->trapped.valid)
        return;
    m->trapped.valid = false;
    (void)nw_kvm_table_written(pager_of(m)->kvm, nw_gpa(m->trapped.pfn << NW_PAGE_LOG2), 0, true);
}

/* ---- occasions ---- */

static enum nw_status create(struct machine *m, struct nw_error *err)
{
    struct kvm_pager *p = calloc(1, sizeof *p);
    if (!p)
        return nw_fail_nomem(err, "a shadow MMU");
    m->pager_state = p;
    struct nw_kvm_config c = { .pm = m->pm,
                               .shadow_hpa = SHADOW_HPA,
                               .max_mmu_pages = m->config->vmm.shadow_pages,
                               .maxphyaddr = m->registers.maxphyaddr,
                               .huge_1g = true,
                               .eager_zap = true,
                               .serve_every_exit = true,
                               .mmio_caching = true,
                               .frame = frame,
                               .context = m };
    struct nw_guest_registers r = m->registers;
    if (m->guest.levels < 4)
        return nw_fail(err, NW_ERR_UNSUPPORTED,
                       "KVM's shadow MMU is modelled for 4- and 5-level guests, and this one starts with %s: "
                       "vmm.shadow_policy=eager or virtual-tlb can shadow it",
                       m->guest.levels ? m->guest.format->name : "paging off");
    /* KVM's default limit is a share of all memory the guest has; where that is known, it does not grow with the slots. */
    uint64_t memory = m->traced ? m->info->guest_memory_bytes : m->config->guest.memory_bytes;
    if (!c.max_mmu_pages && memory) {
        c.max_mmu_pages = (memory >> NW_PAGE_LOG2) * NW_KVM_PAGES_PER_MILLE / 1000;
        c.max_mmu_pages = c.max_mmu_pages < NW_KVM_MIN_PAGES ? NW_KVM_MIN_PAGES : c.max_mmu_pages;
    }
    enum nw_status s = nw_kvm_create(&p->kvm, &c, err);
    if (s)
        return s;
    r.cr4 &= ~(NW_CR4_PKE | NW_CR4_PKS);
    if ((s = nw_kvm_set_sregs(p->kvm, &r, err)) || (s = enter(m, err)))
        return s;
    m->hw_guest = nw_kvm_shadow_paging(p->kvm);
    return NW_OK;
}

static void destroy(struct machine *m)
{
    struct kvm_pager *p = pager_of(m);
    if (!p)
        return;
    nw_kvm_destroy(p->kvm);
    free(p->slot);
    free(p);
    m->pager_state = NULL;
}

static enum nw_status page_fault(struct machine *m, gva_t gva, uint8_t kind, const struct nw_walk_result *fault,
                                 enum fault_action *action, struct nw_error *err)
{
    struct kvm_pager *p = pager_of(m);
    bool store = nw_kind_type(kind) == NW_STORE;
    struct nw_access access = access_of(kind);
    struct nw_walk_result walk;
    struct nw_kvm_fault f;
    enum nw_status s;
    *action = FAULT_GIVE_UP;
    settle_trapped(m);
    if ((s = machine_guest_ready(m, gva, store, err)))
        return s;
    machine_visit_walk(m, gva, &access, provide, &walk);
    if ((s = machine_take_deferred(m, err)) || (s = nw_kvm_page_fault(p->kvm, gva, fault->fault.code, &f, err)))
        return s;
    switch (f.result) {
    case NW_KVM_GUEST_FAULT:
        machine_exit(m, NW_EXIT_GUEST_PAGE_FAULT);
        machine_note_guest_fault(m, &f.fault);
        if ((s = enter(m, err)))
            return s;
        return machine_serve_guest_fault(m, gva, store, action, err);
    case NW_KVM_EMULATE:
        machine_exit(m, f.write_protected ? NW_EXIT_TABLE_WRITE : NW_EXIT_MMIO);
        if (f.write_protected) { /* a move, as kernels write their tables; its event tells what is stored */
            (void)nw_kvm_unprotect(p->kvm, gva, 0, access.user, true);
            machine_trap_store(m, f.gpa.v);
        }
        break;
    default:
        machine_exit(m, NW_EXIT_SHADOW_FAULT);
        m->result->shadow.fills += f.result == NW_KVM_FIXED;
        *action = FAULT_RETRY;
    }
    return enter(m, err);
}

static enum nw_status registers(struct machine *m, unsigned cr, uint64_t value, struct nw_error *err)
{
    struct kvm_pager *p = pager_of(m);
    enum nw_status s = NW_OK;
    if (m->guest.levels < 4)
        return nw_fail(err, NW_ERR_UNSUPPORTED,
                       "KVM's shadow MMU is modelled for 4- and 5-level guests, and this one changes to %s: "
                       "vmm.shadow_policy=eager or virtual-tlb can shadow it",
                       m->guest.levels ? m->guest.format->name : "paging off");
    settle_trapped(m);
    machine_exit(m, NW_EXIT_CR_WRITE);
    switch (cr) {
    case 0: s = nw_kvm_load_cr0(p->kvm, value, err); break;
    case 3: s = nw_kvm_load_cr3(p->kvm, value, err); break;
    case 4: s = nw_kvm_load_cr4(p->kvm, value & ~(NW_CR4_PKE | NW_CR4_PKS), err); break;
    default: s = nw_kvm_load_efer(p->kvm, value, err);
    }
    return s ? s : enter(m, err);
}

static enum nw_status invlpg(struct machine *m, uint64_t gva, struct nw_error *err)
{
    settle_trapped(m);
    machine_exit(m, NW_EXIT_INVLPG);
    nw_kvm_invlpg(pager_of(m)->kvm, nw_gva(gva));
    return enter(m, err);
}

static enum nw_status invpcid(struct machine *m, uint64_t type, uint16_t pcid, uint64_t gva, struct nw_error *err)
{
    static const enum nw_kvm_invpcid types[] = { NW_KVM_INVPCID_ADDRESS, NW_KVM_INVPCID_CONTEXT, NW_KVM_INVPCID_ALL,
                                                 NW_KVM_INVPCID_NONGLOBAL };
    settle_trapped(m);
    machine_exit(m, NW_EXIT_INVLPG);
    if (type < NW_ARRAY_LEN(types))
        nw_kvm_invpcid(pager_of(m)->kvm, types[type], pcid, nw_gva(gva));
    return enter(m, err);
}

static enum nw_status written(struct machine *m, uint64_t gpa, unsigned bytes, bool priced, struct nw_error *err)
{
    struct kvm_pager *p = pager_of(m);
    bool faulted = machine_was_trapped(m, gpa);
    settle_trapped(m);
    switch (nw_kvm_table_written(p->kvm, nw_gpa(gpa), bytes, faulted)) {
    case NW_KVM_STORE_EMULATED:
        m->result->shadow.table_writes++;
        if (priced && !faulted)
            machine_exit(m, NW_EXIT_TABLE_WRITE);
        break;
    case NW_KVM_STORE_UNSYNC:
        if (priced)
            machine_exit(m, NW_EXIT_SHADOW_FAULT);
        break;
    case NW_KVM_STORE_FREE: return NW_OK;
    }
    return enter(m, err);
}

static enum nw_status table_written(struct machine *m, uint64_t gpa, unsigned bytes, struct nw_error *err)
{
    return written(m, gpa, bytes, true, err);
}

/* An entry that was not there before has left no trace in any shadow table: outside the model nothing is to be done about it. */
static enum nw_status own_write(struct machine *m, uint64_t gpa, uint64_t old, bool priced, struct nw_error *err)
{
    return old || priced ? written(m, gpa, 8, priced, err) : NW_OK;
}

static void finish(struct machine *m)
{
    struct kvm_pager *p = pager_of(m);
    struct nw_result *r = m->result;
    r->kvm = *nw_kvm_counters(p->kvm);
    r->shadow.pages = r->memory.shadow_table_pages = r->kvm.shadow_pages;
    r->shadow.pages_peak = p->pages_peak;
    r->shadow.zapped = r->kvm.mmu_shadow_zapped;
    r->shadow.guest_table_pages = nw_kvm_tables_shadowed(p->kvm);
}

const struct pager pager_kvm = { .fills_on_fault = true,
                                 .create = create,
                                 .destroy = destroy,
                                 .page_fault = page_fault,
                                 .registers = registers,
                                 .invlpg = invlpg,
                                 .invpcid = invpcid,
                                 .table_written = table_written,
                                 .own_write = own_write,
                                 .finish = finish };
