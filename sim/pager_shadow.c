/* pager_shadow.c - shadow paging by the textbook's two policies, over mmu/shadow.h: every write to a shadowed table traps (eager), or none
 * does and everything made goes with CR3 (virtual TLB). */
#include "guest.h"
#include "pager.h"
#include <nestwalk/mmu/shadow.h>

static struct nw_shadow *shadow_of(const struct machine *m) { return m->pager_state; }

static bool virtual_tlb(const struct machine *m) { return m->config->vmm.shadow_policy == NW_SHADOWING_VIRTUAL_TLB; }

/* ---- what the pager asks for ---- */

static void backing(void *context, gpa_t gpa, struct nw_shadow_backing *out)
{
    struct machine *m = context;
    struct nw_error err;
    struct nw_leaf leaf = { .present = false };
    hpa_t hpa = { 0 };
    enum nw_status s = out->ahead ? NW_OK : machine_back(m, gpa.v, false, &hpa, &err);
    if (!s)
        s = nw_builder_lookup(&m->p2m_builder, gpa.v, &leaf, &err);
    machine_defer(m, s, &err);
    *out = (struct nw_shadow_backing){ 0 };
    if (!s && leaf.present)
        *out = (struct nw_shadow_backing){
            .present = true, .writable = true, .hpa = nw_hpa(leaf.target), .page_log2 = leaf.page_log2
        };
}

static enum nw_status allocate(void *context, uint64_t *hpa, struct nw_error *err)
{
    struct machine *m = context;
    uint64_t pfn;
    enum nw_status s = nw_frames_alloc(&m->host_frames, NW_PAGE_LOG2, &pfn, err);
    *hpa = pfn << NW_PAGE_LOG2;
    return s;
}

static void release(void *context, uint64_t hpa)
{
    struct machine *m = context;
    struct nw_error err;
    enum nw_status s = nw_frames_free(&m->host_frames, NW_PAGE_LOG2, hpa >> NW_PAGE_LOG2, &err);
    machine_defer(m, s, &err);
}

static void forget(struct machine *m, const struct nw_shadow_invalidation *due)
{
    if (due->kind == NW_SHADOW_NOTHING)
        return;
    m->result->shadow.flushes++;
    m->epoch++;
    if (due->kind == NW_SHADOW_ALL)
        machine_forget(m, FORGET_ALL);
    else
        machine_forget(m, forget_range(due->first, due->last + 1));
}

/* ---- occasions ---- */

static enum nw_status create(struct machine *m, struct nw_error *err)
{
    struct nw_shadow_config c = { .pm = m->pm,
                                  .maxphyaddr = NW_PHYS_BITS_MAX,
                                  .policy = virtual_tlb(m) ? NW_SHADOW_VIRTUAL_TLB : NW_SHADOW_EAGER,
                                  .backing = backing,
                                  .allocate = allocate,
                                  .release = release,
                                  .context = m };
    struct nw_shadow *sh = NULL;
    enum nw_status s = nw_shadow_create(&sh, &c, err);
    m->pager_state = sh;
    if (!s && !(s = nw_shadow_load_cr3(sh, &m->guest, err)))
        m->hw_guest = nw_shadow_paging(sh);
    return s;
}

static void destroy(struct machine *m)
{
    nw_shadow_destroy(shadow_of(m));
    m->pager_state = NULL;
}

static enum nw_status page_fault(struct machine *m, gva_t gva, uint8_t kind, const struct nw_walk_result *fault,
                                 enum fault_action *action, struct nw_error *err)
{
    (void)fault; /* the guest's own tables decide */
    bool store = nw_kind_type(kind) == NW_STORE;
    struct nw_access access = access_of(kind);
    struct nw_shadow_outcome o;
    enum nw_status s;
    *action = FAULT_GIVE_UP;
    if ((s = machine_guest_ready(m, gva, store, err)) || (s = nw_shadow_fault(shadow_of(m), gva, &access, &o, err)) ||
        (s = machine_take_deferred(m, err)))
        return s;
    forget(m, &o.invalidation);
    switch (o.kind) {
    case NW_SHADOW_GUEST_FAULT:
        machine_exit(m, NW_EXIT_GUEST_PAGE_FAULT);
        machine_note_guest_fault(m, &o.guest.fault);
        return machine_serve_guest_fault(m, gva, store, action, err);
    case NW_SHADOW_TABLE_WRITE: /* completed by emulation; an event tells what it stored */
        machine_exit(m, NW_EXIT_TABLE_WRITE);
        machine_trap_store(m, o.gpa.v);
        return NW_OK;
    case NW_SHADOW_NO_BACKING: return NW_OK;
    default:
        machine_exit(m, NW_EXIT_SHADOW_FAULT);
        *action = FAULT_RETRY;
        return NW_OK;
    }
}

static enum nw_status registers(struct machine *m, unsigned cr, uint64_t value, struct nw_error *err)
{
    (void)value;
    if (cr != CR_EFER)
        machine_exit(m, NW_EXIT_CR_WRITE);
    enum nw_status s = nw_shadow_load_cr3(shadow_of(m), &m->guest, err);
    if (s)
        return s;
    m->hw_guest = nw_shadow_paging(shadow_of(m));
    if (virtual_tlb(m))
        forget(m, &(struct nw_shadow_invalidation){ .kind = NW_SHADOW_ALL });
    return NW_OK;
}

static enum nw_status invlpg(struct machine *m, uint64_t gva, struct nw_error *err)
{
    (void)err;
    struct nw_shadow_invalidation due;
    machine_exit(m, NW_EXIT_INVLPG);
    nw_shadow_invlpg(shadow_of(m), nw_gva(gva), &due);
    forget(m, &due);
    return NW_OK;
}

static enum nw_status invpcid(struct machine *m, uint64_t type, uint16_t pcid, uint64_t gva, struct nw_error *err)
{
    (void)type, (void)pcid;
    return invlpg(m, gva, err);
}

static enum nw_status written(struct machine *m, uint64_t gpa, unsigned bytes, bool priced, struct nw_error *err)
{
    struct nw_shadow_invalidation due;
    bool faulted = machine_was_trapped(m, gpa);
    if (!nw_shadow_is_table(shadow_of(m), nw_gpa(gpa)))
        return NW_OK;
    if (priced && !faulted)
        machine_exit(m, NW_EXIT_TABLE_WRITE);
    enum nw_status s = nw_shadow_table_write(shadow_of(m), nw_gpa(gpa), bytes, &due, err);
    if (!s)
        forget(m, &due);
    return s;
}

static enum nw_status table_written(struct machine *m, uint64_t gpa, unsigned bytes, struct nw_error *err)
{
    return written(m, gpa, bytes, true, err);
}

static enum nw_status own_write(struct machine *m, uint64_t gpa, uint64_t old, bool priced, struct nw_error *err)
{
    (void)old;
    return written(m, gpa, 8, priced, err);
}

/* With a virtual TLB the guest's kernel, after a move, has to execute INVLPG for each page. */
static void moved(struct machine *m, uint64_t start, uint64_t end)
{
    struct nw_shadow_invalidation due;
    for (uint64_t gva = start; virtual_tlb(m) && gva < end; gva += NW_PAGE_BYTES)
        nw_shadow_invlpg(shadow_of(m), nw_gva(gva), &due); /* the caches are told of the whole range */
}

static void finish(struct machine *m)
{
    const struct nw_shadow_counters *k = nw_shadow_counters(shadow_of(m));
    struct nw_result *r = m->result;
    r->shadow.fills = k->fills;
    r->shadow.table_writes = k->table_writes;
    r->shadow.syncs = k->syncs;
    r->shadow.zapped = k->zapped;
    r->shadow.pages = k->pages;
    r->shadow.pages_peak = k->pages_peak;
    r->shadow.guest_table_pages = k->guest_tables;
    r->shadow.propagated = k->propagated;
    r->shadow.emptied = k->emptied;
    r->memory.shadow_table_pages = k->pages;
}

const struct pager pager_shadow = { .fills_on_fault = true,
                                    .create = create,
                                    .destroy = destroy,
                                    .page_fault = page_fault,
                                    .registers = registers,
                                    .invlpg = invlpg,
                                    .invpcid = invpcid,
                                    .table_written = table_written,
                                    .own_write = own_write,
                                    .moved = moved,
                                    .finish = finish };
