/* machine.c - memory, guest, second stage and shadow pager put together; service of faults. See machine.h. */
#include "machine.h"
#include "exit_reason.h"
#include "guest.h"
#include "io.h"
#include "pager.h"
#include "stale.h"
#include <nestwalk/base/bits.h>
#include <nestwalk/mmu/walk_template.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FIRST_PFN = 0x100,        /* the first MiB of each physical space stays free, as on a PC */
    GUEST_PFN_BITS = 48 - 12, /* what a four-level second stage reaches */
    HOST_PFN_BITS = NW_PHYS_BITS_MAX - 12,
};

static uint64_t end_pfn(uint64_t memory_bytes, unsigned pfn_bits)
{
    return memory_bytes ? FIRST_PFN + (memory_bytes >> NW_PAGE_LOG2) : UINT64_C(1) << pfn_bits;
}

static uint64_t splinter_key(uint64_t gva, unsigned log2) { return gva >> log2 << 6 | log2; }

static bool is_splintered(const struct splintered *t, uint64_t key)
{
    for (size_t at = nw_mix64(key) & (t->capacity - 1); t->capacity && t->key[at]; at = (at + 1) & (t->capacity - 1))
        if (t->key[at] == key)
            return true;
    return false;
}

static void put_splinter(struct splintered *t, uint64_t key)
{
    size_t at = nw_mix64(key) & (t->capacity - 1);
    while (t->key[at])
        at = (at + 1) & (t->capacity - 1);
    t->key[at] = key;
    t->used++;
}

void machine_note_splintered(struct machine *m, uint64_t gva, unsigned guest_page_log2)
{
    struct splintered *t = &m->splintered;
    uint64_t key = splinter_key(gva, guest_page_log2);
    if (t->everywhere || is_splintered(t, key))
        return;
    if (t->used * 2 >= t->capacity) {
        struct splintered bigger = { .capacity = t->capacity ? t->capacity * 2 : 64 };
        if (!(bigger.key = calloc(bigger.capacity, sizeof *bigger.key))) {
            t->everywhere = true;
            return;
        }
        for (size_t i = 0; i < t->capacity; i++)
            if (t->key[i])
                put_splinter(&bigger, t->key[i]);
        free(t->key);
        *t = bigger;
    }
    put_splinter(t, key);
}

/* An invalidation of one 4 KiB page reaches the whole guest page that it is a piece of. */
static void reach_all_pieces(const struct machine *m, struct invalidation *v)
{
    static const uint8_t sizes[] = { NW_PAGE_1G_LOG2, NW_PAGE_4M_LOG2, NW_PAGE_2M_LOG2 };
    if (!v->in_range || v->end - v->address > NW_PAGE_BYTES)
        return;
    for (size_t i = 0; i < NW_ARRAY_LEN(sizes); i++)
        if (m->splintered.everywhere || is_splintered(&m->splintered, splinter_key(v->address, sizes[i]))) {
            v->address = v->address >> sizes[i] << sizes[i];
            v->end = v->address + (UINT64_C(1) << sizes[i]);
            return;
        }
}

void machine_forget(struct machine *m, struct invalidation what)
{
    reach_all_pieces(m, &what);
    if (m->pending_count == INVALIDATIONS_MAX) /* more than any step makes; forgetting too much is always allowed */
        m->pending[m->pending_count - 1] = FORGET_NESTED;
    else
        m->pending[m->pending_count++] = what;
}

/* SDM vol. 3, "Operations that Invalidate Cached Mappings": without VPIDs, VM entries and VM exits invalidate linear and combined mappings,
 * for all PCIDs; guest-physical mappings stay. */
void machine_transition(struct machine *m)
{
    if (!m->config->vmm.vpid)
        machine_forget(m, FORGET_ALL);
}

void machine_exit(struct machine *m, enum nw_exit_reason reason)
{
    exits_add(m->result, m->config, reason, 1);
    if (reason != NW_EXIT_HYPERCALL &&
        reason != NW_EXIT_TRAP) /* they enter a hypervisor that the guest's tables map too */
        machine_transition(m);
    m->pml_used = 0; /* KVM empties the log at every exit, so that its dirty bitmap is up to date */
}

void machine_exit_with(struct machine *m, enum nw_exit_reason reason, uint64_t more_cycles)
{
    machine_exit(m, reason);
    m->result->exits[reason].cycles += more_cycles;
    m->result->exits[reason].synchronous_cycles += more_cycles;
}

/* SDM vol. 3, "Page-Modification Logging": 512 entries of 8 bytes in one 4 KiB page. */
enum { PML_ENTRIES = 512 };

bool machine_log_dirty(struct machine *m)
{
    if (m->pml_used == PML_ENTRIES)
        return false;
    m->pml_used++;
    m->result->pml.logged++;
    return true;
}

void machine_defer(struct machine *m, enum nw_status status, const struct nw_error *err)
{
    if (status && !m->deferred) {
        m->deferred = status;
        m->deferred_error = *err;
    }
}

enum nw_status machine_take_deferred(struct machine *m, struct nw_error *err)
{
    enum nw_status s = m->deferred;
    if (s && err)
        *err = m->deferred_error;
    m->deferred = NW_OK;
    return s;
}

/* ---- the second stage: backing guest memory with host frames ---- */

unsigned machine_backing_log2(const struct nw_config *c)
{
    return c->vmm.backing == NW_PAGES_2M   ? NW_PAGE_2M_LOG2
           : c->vmm.backing == NW_PAGES_1G ? NW_PAGE_1G_LOG2
                                           : NW_PAGE_LOG2;
}

/* Backs the page of `gpa` if it is not; `written` presets D, as a VMM does that backs a page on a write or for a table. */
enum nw_status machine_back(struct machine *m, uint64_t gpa, bool written, hpa_t *hpa, struct nw_error *err)
{
    struct nw_leaf leaf;
    uint64_t gfn = gpa >> NW_PAGE_LOG2;
    struct backed *known = &m->backed[gfn % BACKED_SLOTS];
    if (known->gfn == gfn + 1) {
        *hpa = nw_hpa(known->pfn << NW_PAGE_LOG2 | (gpa & (NW_PAGE_BYTES - 1)));
        return NW_OK;
    }
    enum nw_status s = nw_builder_lookup(&m->p2m_builder, gpa, &leaf, err);
    if (s)
        return s;
    if (!leaf.present) {
        unsigned log2 = machine_backing_log2(m->config);
        uint64_t pfn, page_mask = (UINT64_C(1) << log2) - 1;
        if ((s = nw_frames_alloc(&m->host_frames, log2, &pfn, err)) ||
            (s = nw_builder_map(&m->p2m_builder, gpa & ~page_mask, pfn << NW_PAGE_LOG2, log2,
                                NW_MAP_ALL | NW_MAP_ACCESSED | (written ? NW_MAP_DIRTY : 0), err)))
            return s;
        leaf.target = (pfn << NW_PAGE_LOG2) + (gpa & page_mask);
    }
    *hpa = nw_hpa(leaf.target);
    *known = (struct backed){ gfn + 1, leaf.target >> NW_PAGE_LOG2 };
    return NW_OK;
}

enum nw_status machine_locate_table(struct machine *m, uint64_t gpa, hpa_t *hpa, struct nw_error *err)
{
    if (!m->second_stage) {
        *hpa = nw_hpa(gpa);
        return NW_OK;
    }
    if (m->config->vmm.demand_backing && m->config->mode == NW_MODE_NESTED) {
        struct nw_leaf leaf; /* the guest kernel's own store to its new table may be the page's first use */
        enum nw_status s = nw_builder_lookup(&m->p2m_builder, gpa, &leaf, err);
        if (s)
            return s;
        if (!leaf.present) {
            m->result->faults.ept_violations++;
            machine_exit(m, NW_EXIT_EPT_VIOLATION);
        }
    }
    return machine_back(m, gpa, true, hpa, err);
}

/* ---- construction ---- */

static enum nw_status make_second_stage(struct machine *m, struct nw_error *err)
{
    const struct nw_vmm_config *v = &m->config->vmm;
    struct nw_paging paging;
    enum nw_status s;
    if (v->slat == NW_SLAT_EPT) {
        /* Memory type write-back; bit 6 enables A/D (SDM vol. 3, "Extended-Page-Table Pointer (EPTP)"). */
        struct nw_ept_registers e = { .eptp = 6 | (v->levels - 1) << 3 | (v->accessed_dirty ? NW_BIT(6) : 0),
                                      .page_modification_log = v->pml,
                                      .maxphyaddr = NW_PHYS_BITS_MAX,
                                      .huge_1g = true };
        s = nw_paging_init_ept(&paging, &e, err);
    } else {
        struct nw_npt_registers n = {
            .levels = (unsigned)v->levels, .nxe = true, .maxphyaddr = NW_PHYS_BITS_MAX, .huge_1g = true
        };
        s = nw_paging_init_npt(&paging, &n, err);
    }
    if (s)
        return s;
    paging.root = NW_ROOT_NEW;
    struct nw_builder_memory memory = nw_builder_memory_frames(&m->host_frames);
    if ((s = nw_builder_init(&m->p2m_builder, m->pm, &paging, &memory, err)))
        return s;
    m->p2m = m->p2m_builder.paging;
    return NW_OK;
}

/* What each kind of access must find in a cached translation, under the present control registers. */
static void make_rules(struct machine *m)
{
    /* MODEL: mode agile judges hits as for the shadow tree, with WP set: what the guest allows a supervisor only because its own WP is clear
     * is walked at each store. */
    bool write_protect = m->hw_switched || m->hw_guest->write_protect,
         smep = m->traced && (m->registers.cr4 & NW_CR4_SMEP);
    for (unsigned i = 0; i < NW_ARRAY_LEN(m->rule); i++) {
        unsigned type = i & NW_KIND_TYPE;
        bool user = i & 4;
        struct rights_rule *r = &m->rule[i];
        *r = (struct rights_rule){ .need = user ? RIGHT_U : 0 };
        if (type == NW_STORE)
            r->need |= user || write_protect ? RIGHT_W | RIGHT_D : RIGHT_D;
        if (type == NW_FETCH) {
            r->need |= RIGHT_X;
            r->forbid = !user && smep ? RIGHT_U : 0;
        }
    }
}

/* PAE: the four PDPTEs are loaded into registers with CR3 (SDM vol. 3, "PDPTE Registers"); under nested paging on AMD they are read from
 * memory by each walk (APM vol. 2, "Nested Paging and VMRUN/#VMEXIT"). */
static enum nw_status load_pdptes(struct machine *m, struct nw_guest_registers *r, struct nw_error *err)
{
    bool pae = (r->cr0 & NW_CR0_PG) && (r->cr4 & NW_CR4_PAE) && !(r->efer & (NW_EFER_LMA | NW_EFER_LME));
    if (!pae || (m->config->mode == NW_MODE_NESTED && m->config->vmm.slat == NW_SLAT_NPT))
        return NW_OK;
    r->pdpte_in_registers = true;
    for (unsigned i = 0; i < 4; i++) {
        hpa_t hpa;
        enum nw_status s = machine_locate_table(m, (r->cr3 & nw_mask(31, 5)) + 8 * i, &hpa, err);
        if (s)
            return s;
        r->pdpte[i] = nw_physmem_read64(m->pm, hpa);
    }
    int refused = nw_pdptes_refused(r->pdpte, r->maxphyaddr);
    return refused < 0
               ? NW_OK
               : nw_fail(err, NW_ERR_INPUT,
                         "the guest loads CR3 0x%llx, whose PDPTE %d is 0x%llx: no processor accepts its reserved bits",
                         (unsigned long long)r->cr3, refused, (unsigned long long)r->pdpte[refused]);
}

/* machine.guest and machine.pcid follow machine.registers. */
static enum nw_status take_registers(struct machine *m, struct nw_error *err)
{
    enum nw_status s;
    if (m->traced) {
        struct nw_guest_registers r = m->registers;
        /* MODEL: PKRU is not recorded in traces; protection keys are taken to permit everything. */
        r.cr4 &= ~(NW_CR4_PKE | NW_CR4_PKS);
        if ((s = load_pdptes(m, &r, err)) || (s = nw_paging_init_guest(&m->guest, &r, err)))
            return s;
        m->pcid = (uint16_t)(m->registers.cr4 & NW_CR4_PCIDE ? m->registers.cr3 & 0xfff : 0);
    } else {
        m->guest = m->guest_builder.paging;
    }
    return NW_OK;
}

enum nw_status machine_registers_changed(struct machine *m, unsigned cr, uint64_t value, struct nw_error *err)
{
    enum nw_status s = take_registers(m, err);
    if (!s && m->pager->registers)
        s = m->pager->registers(m, cr, value, err);
    make_rules(m);
    return s ? s : machine_take_deferred(m, err);
}

enum nw_status machine_init(struct machine *m, const struct nw_config *config, const struct nw_trace_info *info,
                            struct nw_result *result, struct nw_error *err)
{
    memset(m, 0, sizeof *m);
    m->config = config;
    m->info = info;
    m->result = result;
    m->epoch = 1;
    m->traced = info->has_tables;
    m->second_stage = config->mode != NW_MODE_NATIVE && config->mode != NW_MODE_DIRECT;
    m->pager = pager_for(config);
    m->flat = !m->traced && config->fidelity == NW_FIDELITY_TLB && config->mode != NW_MODE_SHADOW &&
              config->mode != NW_MODE_AGILE && config->walker.prefetch == NW_PREFETCH_NONE &&
              config->guest.page_policy != NW_PAGES_THP && !config->guest.demand_faults && !config->vmm.demand_backing;
    nw_frames_init(&m->host_frames, FIRST_PFN, end_pfn(config->vmm.memory_bytes, HOST_PFN_BITS));
    m->host_frames.scattered = m->second_stage && config->vmm.frames == NW_HOST_FRAMES_SCATTERED;
    nw_frames_init(&m->guest_frames, FIRST_PFN, end_pfn(config->guest.memory_bytes, GUEST_PFN_BITS));
    enum nw_status s = nw_physmem_create(&m->pm, err);
    if (s || (m->second_stage && (s = make_second_stage(m, err))))
        return s;
    if ((s = m->traced ? guest_load_tables(m, err) : guest_make(m, err)))
        return s;
    m->hw_guest = &m->guest;
    m->hw_nested = config->mode == NW_MODE_NESTED || config->mode == NW_MODE_AGILE ? &m->p2m : NULL;
    m->next_interval = UINT64_MAX;
    if ((s = take_registers(m, err)) || (m->pager->create && (s = m->pager->create(m, err))))
        return s;
    make_rules(m);
    if ((s = io_create(&m->io, m, err)))
        return s;
    return machine_take_deferred(m, err);
}

void machine_fini(struct machine *m)
{
    io_destroy(m->io);
    if (m->pager && m->pager->destroy)
        m->pager->destroy(m);
    free(m->splintered.key);
    guest_fini(m);
    stale_writes_free(m->writes);
    nw_frames_fini(&m->host_frames);
    nw_frames_fini(&m->guest_frames);
    nw_physmem_destroy(m->pm);
}

/* ---- outside the model ---- */

struct visit {
    struct machine *m;
    void (*page)(struct machine *m, uint64_t gpa, unsigned page_log2);
};

static uint64_t visit_load(void *context, hpa_t gpa)
{
    struct visit *v = context;
    struct nw_error err;
    hpa_t hpa;
    if (v->page)
        v->page(v->m, gpa.v, NW_PAGE_LOG2);
    /* Natively walked: what is named HPA is the guest's GPA. */
    enum nw_status s = machine_back(v->m, gpa.v, true, &hpa, &err);
    machine_defer(v->m, s, &err);
    return s ? 0 : nw_physmem_read64(v->m->pm, hpa);
}

static const struct nw_walk_hooks visit_hooks = { .load = visit_load };

NW_NOINLINE void machine_visit_walk(struct machine *m, gva_t gva, const struct nw_access *access,
                                    void (*page)(struct machine *m, uint64_t gpa, unsigned page_log2),
                                    struct nw_walk_result *r)
{
    struct visit v = { m, page };
    nw_walk_run(&visit_hooks, &v, &m->guest, NULL, gva, access, r);
    if (page && r->outcome == NW_WALK_OK)
        page(m, r->gpa.v, r->guest_page_log2);
}

enum nw_status machine_guest_ready(struct machine *m, gva_t gva, bool store, struct nw_error *err)
{
    bool mapped;
    gpa_t gpa;
    if (m->traced || m->config->guest.demand_faults)
        return NW_OK;
    enum nw_status s = guest_touch(m, gva, store, true, &mapped, &gpa, err);
    return s ? s : machine_take_deferred(m, err);
}

enum nw_status machine_prepare(struct machine *m, gva_t gva, uint8_t kind, struct nw_error *err)
{
    if (m->pager->fills_on_fault || m->flat)
        return m->pager->prepare ? m->pager->prepare(m, gva, kind, err) : NW_OK;
    return machine_prepare_walk(m, gva, kind, err);
}

enum nw_status machine_prepare_walk(struct machine *m, gva_t gva, uint8_t kind, struct nw_error *err)
{
    const struct nw_config *c = m->config;
    bool store = nw_kind_type(kind) == NW_STORE;
    enum nw_status s;
    hpa_t hpa;
    gpa_t gpa;
    if (!m->traced) {
        bool mapped;
        if ((s = guest_touch(m, gva, store, !c->guest.demand_faults, &mapped, &gpa, err)) || !mapped)
            return s;
    } else if (!m->second_stage || c->vmm.demand_backing) {
        return NW_OK;
    } else {
        struct nw_walk_result r;
        struct nw_access access = access_of(kind);
        machine_visit_walk(m, gva, &access, NULL, &r);
        if ((s = machine_take_deferred(m, err)) || r.outcome != NW_WALK_OK)
            return s;
        gpa = r.gpa;
    }
    return m->second_stage && !c->vmm.demand_backing ? machine_back(m, gpa.v, store, &hpa, err) : NW_OK;
}

enum nw_status machine_interval(struct machine *m, uint64_t access, struct nw_error *err)
{
    uint64_t length = m->config->vmm.agile_interval_accesses;
    m->next_interval = (access / length + 1) * length;
    m->pager->interval(m);
    return machine_take_deferred(m, err);
}

/* ---- faults ---- */

void machine_note_guest_fault(struct machine *m, const struct nw_fault *fault)
{
    m->result->faults.guest_page_faults++;
    m->last_fault.gva = fault->address;
    m->last_fault.code = fault->code;
    m->last_fault.valid = true;
}

/* The imitation guest's kernel maps the page; a traced guest's handler is in the trace, and the access is in it again afterwards. */
enum nw_status machine_serve_guest_fault(struct machine *m, gva_t gva, bool store, enum fault_action *action,
                                         struct nw_error *err)
{
    bool mapped;
    gpa_t gpa;
    *action = FAULT_GIVE_UP;
    if (m->traced)
        return NW_OK;
    m->guest_fault_cycles += m->config->cost.guest_fault_cycles;
    enum nw_status s = guest_touch(m, gva, store, true, &mapped, &gpa, err);
    *action = FAULT_RETRY;
    return s ? s : machine_take_deferred(m, err);
}

enum nw_status machine_fault(struct machine *m, gva_t gva, uint8_t kind, const struct nw_walk_result *fault,
                             enum fault_action *action, struct nw_error *err)
{
    hpa_t hpa;
    bool store = nw_kind_type(kind) == NW_STORE;
    *action = FAULT_GIVE_UP;
    switch (fault->outcome) {
    case NW_WALK_PAGE_FAULT: {
        /* SDM vol. 3, "Operations that Invalidate TLBs and Paging-Structure Caches": so that a fault which only cached entries caused does
         * not come again. */
        struct invalidation what = forget_page(gva.v, m->pcid);
        what.structures_of_address = true;
        machine_forget(m, what);
        if (m->pager->page_fault)
            return m->pager->page_fault(m, gva, kind, fault, action, err);
        machine_note_guest_fault(m, &fault->fault);
        return machine_serve_guest_fault(m, gva, store, action, err);
    }
    case NW_WALK_EPT_VIOLATION: {
        /* SDM vol. 3, "Operations that Invalidate Cached Mappings": what would translate the guest-physical address, and combined mappings
         * of the linear address. MODEL: the latter also when the address was a guest table's. */
        struct invalidation what = forget_page(gva.v, m->pcid);
        what.structures_of_address = what.guest_physical_of_gpa = true;
        what.gpa = fault->fault.address;
        machine_forget(m, what);
    } /* fall through */
    case NW_WALK_NPF: {
        m->result->faults.ept_violations++;
        machine_exit(m, NW_EXIT_EPT_VIOLATION);
        /* For an NPF EXITINFO2, for an EPT violation the guest-physical address field: both stand in fault.address. */
        if (fault->fault.address >> m->p2m.input_bits)
            return NW_OK; /* wider than the second stage: nothing can back it */
        enum nw_status s =
            machine_back(m, fault->fault.address, store || fault->fault.for_guest_level != NW_FOR_FINAL, &hpa, err);
        *action = FAULT_RETRY;
        return s;
    }
    case NW_WALK_EPT_MISCONFIG:
        m->result->faults.ept_misconfigurations++;
        machine_exit(m, NW_EXIT_EPT_MISCONFIG);
        return NW_OK;
    case NW_WALK_PML_FULL:
        m->result->pml.full_exits++;
        machine_exit(m, NW_EXIT_PML_FULL);
        *action = FAULT_RETRY;
        return NW_OK;
    default: return NW_OK;
    }
}

/* ---- the end ---- */

void machine_finish(struct machine *m)
{
    struct nw_result *r = m->result;
    r->memory.guest_table_pages = m->traced ? m->table_pages_recorded : m->guest_builder.table_pages;
    if (m->second_stage)
        r->memory.nested_table_pages = m->hw_nested ? m->p2m_builder.table_pages : 0;
    if (!m->traced)
        r->memory.guest_pages = m->second_stage ? m->guest_frames.allocated_pages : m->host_frames.allocated_pages;
    if (m->pager->finish)
        m->pager->finish(m);
    if (m->io)
        io_finish(m->io);
}

struct flat_walk machine_flat_walk(const struct nw_config *c)
{
    unsigned guest_log2 = c->guest.page_policy == NW_PAGES_2M   ? NW_PAGE_2M_LOG2
                          : c->guest.page_policy == NW_PAGES_1G ? NW_PAGE_1G_LOG2
                                                                : NW_PAGE_LOG2;
    unsigned guest_references = (unsigned)c->guest.levels - (guest_log2 - NW_PAGE_LOG2) / 9;
    if (c->mode != NW_MODE_NESTED)
        return (struct flat_walk){ guest_log2, guest_references, 0 };
    unsigned backing = machine_backing_log2(c), nested = (unsigned)c->vmm.levels - (backing - NW_PAGE_LOG2) / 9;
    return (struct flat_walk){ guest_log2 < backing ? guest_log2 : backing, guest_references,
                               (guest_references + 1) * nested };
}

uint64_t machine_flat_reference_cycles(const struct nw_config *c)
{
    return c->walker.level_cycles +
           (c->cache_count ? c->cache[c->walker.first_cache].latency_cycles : c->memory.dram_latency_cycles);
}
