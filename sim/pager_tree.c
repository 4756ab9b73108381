/* pager_tree.c - see pager_tree.h. */
#include "pager_tree.h"
#include <stdlib.h>

/* ---- what the tree asks for ---- */

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

/* ---- occasions ---- */

enum nw_status tree_create(struct machine *m, enum nw_shadow_policy policy, struct nw_error *err)
{
    struct tree_pager *t = calloc(1, sizeof *t);
    if (!t)
        return nw_fail_nomem(err, "the shadow pager");
    m->pager_state = t;
    t->policy = policy;
    struct nw_shadow_config c = { .pm = m->pm,
                                  .maxphyaddr = NW_PHYS_BITS_MAX,
                                  .policy = policy,
                                  .agile_writes = (unsigned)m->config->vmm.agile_writes,
                                  .agile_start_nested = m->config->vmm.agile_start == NW_AGILE_START_NESTED,
                                  .backing = backing,
                                  .allocate = allocate,
                                  .release = release,
                                  .context = m };
    enum nw_status s = nw_shadow_create(&t->shadow, &c, err);
    return s ? s : nw_shadow_load_cr3(t->shadow, &m->guest, err);
}

void tree_destroy(struct machine *m)
{
    if (m->pager_state)
        nw_shadow_destroy(shadow_of(m));
    free(m->pager_state);
    m->pager_state = NULL;
}

void tree_forget(struct machine *m, const struct nw_shadow_invalidation *due)
{
    if (due->kind == NW_SHADOW_NOTHING)
        return;
    m->result->shadow.flushes++;
    m->epoch++;
    if (due->kind == NW_SHADOW_ALL || due->last - due->first == UINT64_MAX) /* a range's length has 64 bits */
        machine_forget(m, FORGET_ALL);
    else
        machine_forget(m, forget_range(due->first, due->last + 1));
}

enum nw_status tree_load(struct machine *m, struct nw_error *err)
{
    const struct nw_shadow_counters *k = nw_shadow_counters(shadow_of(m));
    uint64_t roots = k->roots, made = k->roots_made;
    enum nw_status s = nw_shadow_load_cr3(shadow_of(m), &m->guest, err);
    if (!s && k->roots_made != made && k->roots == roots) /* an old root went, and walk caches may lead to its tables */
        tree_forget(m, &(struct nw_shadow_invalidation){ .kind = NW_SHADOW_ALL });
    return s;
}

enum nw_status tree_fault(struct machine *m, gva_t gva, uint8_t kind, enum fault_action *action, struct nw_error *err)
{
    bool store = nw_kind_type(kind) == NW_STORE;
    struct nw_access access = access_of(kind);
    struct nw_shadow_invalidation due;
    struct nw_shadow_outcome o;
    enum nw_status s;
    *action = FAULT_GIVE_UP;
    if ((s = machine_guest_ready(m, gva, store, err)) || (s = nw_shadow_fault(shadow_of(m), gva, &access, &o, err)) ||
        (s = machine_take_deferred(m, err)))
        return s;
    tree_forget(m, &o.invalidation);
    switch (o.kind) {
    case NW_SHADOW_GUEST_FAULT:
        machine_exit(m, NW_EXIT_GUEST_PAGE_FAULT);
        machine_note_guest_fault(m, &o.guest.fault);
        return machine_serve_guest_fault(m, gva, store, action, err);
    case NW_SHADOW_TABLE_WRITE: /* completed by emulation; an event tells what it stored */
        machine_exit(m, NW_EXIT_TABLE_WRITE);
        machine_trap_store(m, o.gpa.v);
        if (!(s = nw_shadow_store_trapped(shadow_of(m), o.gpa, &due, err)))
            tree_forget(m, &due);
        return s ? s : machine_take_deferred(m, err);
    case NW_SHADOW_NO_BACKING: return NW_OK;
    default:
        machine_exit(m, NW_EXIT_SHADOW_FAULT);
        *action = FAULT_RETRY;
        return NW_OK;
    }
}

/* Within one page. */
static enum nw_status page_written(struct machine *m, uint64_t gpa, unsigned bytes, bool priced, struct nw_error *err)
{
    struct nw_shadow *sh = shadow_of(m);
    struct nw_shadow_invalidation due;
    bool faulted = machine_was_trapped(m, gpa), table = nw_shadow_is_table(sh, nw_gpa(gpa));
    if (!table && tree_of(m)->policy != NW_SHADOW_AGILE)
        return NW_OK;
    if (priced && table && !faulted)
        machine_exit(m, NW_EXIT_TABLE_WRITE);
    enum nw_status s = priced && !faulted ? nw_shadow_table_write(sh, nw_gpa(gpa), bytes, &due, err)
                                          : nw_shadow_table_preset(sh, nw_gpa(gpa), bytes, &due, err);
    if (!s)
        tree_forget(m, &due);
    return s;
}

enum nw_status tree_written(struct machine *m, uint64_t gpa, unsigned bytes, bool priced, struct nw_error *err)
{
    enum nw_status s = NW_OK;
    while (!s && bytes) {
        uint64_t left = NW_PAGE_BYTES - (gpa & (NW_PAGE_BYTES - 1));
        unsigned here = bytes < left ? bytes : (unsigned)left;
        s = page_written(m, gpa, here, priced, err);
        gpa += here;
        bytes -= here;
    }
    return s;
}

enum nw_status tree_table_written(struct machine *m, uint64_t gpa, unsigned bytes, struct nw_error *err)
{
    return tree_written(m, gpa, bytes, true, err);
}

enum nw_status tree_own_write(struct machine *m, uint64_t gpa, uint64_t old, bool priced, struct nw_error *err)
{
    (void)old;
    return tree_written(m, gpa, 8, priced, err);
}

void tree_finish(struct machine *m)
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
    r->shadow.nested_tables = k->nested_tables;
    r->shadow.switched_to_nested = k->switched_to_nested;
    r->shadow.switched_to_shadow = k->switched_to_shadow;
    r->memory.shadow_table_pages = k->pages;
}
