/* pager_agile.c - agile paging (Gandhi, Hill and Swift, "Agile Paging: Exceeding the Best of Nested and Shadow Paging", ISCA 2016), over
 * mmu/shadow.h: a shadow tree (machine.hw_switched) whose walks go on in the guest's own tables (machine.hw_guest) and the second stage
 * (machine.hw_nested) where the guest writes its tables often.
 *
 * Exits: faults in the shadow tree; stores to shadowed tables, through whichever part they come; loads of CR3 but those below; CR0 and
 * CR4. None: the guest's own faults in nested parts, stores to nested tables, and INVLPG and INVPCID, because the shadow tree is in
 * step with the tables at all times, and what each trapped write changes leaves the TLBs with it.
 *
 * The paper's optional hardware: a small cache of pairs of guest root and shadow root, so that a load of CR3 that hits is no exit
 * (vmm.agile_cr3_cache). Here it is fully associative and LRU; the VMM enters a pair when it serves a miss, and empties it when CR0, CR4 or EFER
 * change, because the shadow root depends on them.
 * MODEL: PAE guests do not use it: their load reads four PDPTEs too.
 * MODEL: a root that is nested needs no shadow root, and the VMM lets loads of it pass (SDM vol. 3, "CR3-Target Controls" has a list for that).
 * MODEL: the paper's other one, walks that set A and D in all three tables, is left out: a first store through the shadow tree is a hidden fault.
 * MODEL: a store through a nested part to a shadowed table is stopped when it changes the table; a store to a page that is shadowed but is no
 * table any more is seen through shadow parts only.
 * MODEL: the end of an interval costs the guest nothing but the TLB entries that go. */
#include "guest.h"
#include "pager_tree.h"
#include <string.h>

/* ---- the processor's cache of roots ---- */

/* Whether the root is there. It is the most recent one then, or also when `enter`. */
static bool use_root(struct machine *m, uint64_t root, bool enter)
{
    struct tree_pager *t = tree_of(m);
    unsigned at = 0, most = (unsigned)m->config->vmm.agile_cr3_cache;
    while (at < t->cached_roots && t->cached_root[at] != root)
        at++;
    bool found = at < t->cached_roots;
    if (!found && (!enter || !most))
        return false;
    if (!found && t->cached_roots < most)
        t->cached_roots++;
    if (at >= t->cached_roots)
        at = t->cached_roots - 1;
    memmove(t->cached_root + 1, t->cached_root, at * sizeof t->cached_root[0]);
    t->cached_root[0] = root;
    return found;
}

/* ---- occasions ---- */

static void take_tree(struct machine *m)
{
    m->hw_switched = nw_shadow_paging(shadow_of(m));
    if (!m->guest.root_in_registers)
        use_root(m, m->guest.root, true);
}

static enum nw_status create(struct machine *m, struct nw_error *err)
{
    enum nw_status s = tree_create(m, NW_SHADOW_AGILE, err);
    if (s)
        return s;
    if (m->config->vmm.agile_interval_accesses)
        m->next_interval = m->config->vmm.agile_interval_accesses;
    take_tree(m);
    return NW_OK;
}

/* Whether a walk of `gva` leaves the shadow tree by a switching entry. */
static bool leaves_tree(const struct machine *m, uint64_t gva)
{
    const struct nw_paging *p = m->hw_switched;
    uint64_t table = p->root;
    for (unsigned level = p->levels; level-- > 0 && !(table & NW_AGILE_SWITCH);) {
        uint64_t entry = nw_physmem_read64(m->pm, nw_hpa(table + (nw_paging_index(p, level, gva) << p->entry_log2)));
        if (!nw_entry_present(p, entry) || nw_entry_is_leaf(p, level, entry))
            return false;
        table = entry & (p->table_address | NW_AGILE_SWITCH);
    }
    return table & NW_AGILE_SWITCH;
}

/* Nested parts are as under nested paging: nothing faults that is not to be an event. Shadow parts are filled by their faults. */
static enum nw_status prepare(struct machine *m, gva_t gva, uint8_t kind, struct nw_error *err)
{
    return machine_canonical(m, gva.v) && leaves_tree(m, gva.v) ? machine_prepare_walk(m, gva, kind, err) : NW_OK;
}

static enum nw_status page_fault(struct machine *m, gva_t gva, uint8_t kind, const struct nw_walk_result *fault,
                                 enum fault_action *action, struct nw_error *err)
{
    if (fault->fault.shadow)
        return tree_fault(m, gva, kind, action, err);
    machine_note_guest_fault(m, &fault->fault);
    return machine_serve_guest_fault(m, gva, nw_kind_type(kind) == NW_STORE, action, err);
}

static enum nw_status registers(struct machine *m, unsigned cr, uint64_t value, struct nw_error *err)
{
    (void)value;
    const struct nw_shadow_counters *k = nw_shadow_counters(shadow_of(m));
    uint64_t made = k->roots_made;
    enum nw_status s = tree_load(m, err);
    if (s)
        return s;
    if (cr != 3)
        tree_of(m)->cached_roots = 0;
    bool nested =
        nw_shadow_paging(shadow_of(m))->root & NW_AGILE_SWITCH && k->roots_made == made; /* a new one is unknown */
    bool passes = cr == 3 && (nested || (!m->guest.root_in_registers && use_root(m, m->guest.root, false)));
    if (passes)
        m->result->shadow.cr3_without_exit++;
    else if (cr != CR_EFER)
        machine_exit(m, NW_EXIT_CR_WRITE);
    take_tree(m);
    return NW_OK;
}

/* All of a page's words are new. The stores that made them were seen where they had to be; this is what they left. */
static enum nw_status table_page(struct machine *m, const struct nw_event *event, struct nw_error *err)
{
    enum nw_status s = guest_table_page(m, event, err);
    return s ? s : tree_written(m, event->arg[0] & ~(NW_PAGE_BYTES - 1), NW_PAGE_BYTES, false, err);
}

static void interval(struct machine *m)
{
    struct nw_shadow_invalidation due;
    nw_shadow_interval(shadow_of(m), &due);
    tree_forget(m, &due);
}

const struct pager pager_agile = { .fills_on_fault = true,
                                   .prepare = prepare,
                                   .create = create,
                                   .destroy = tree_destroy,
                                   .page_fault = page_fault,
                                   .registers = registers,
                                   .table_written = tree_table_written,
                                   .table_page = table_page,
                                   .own_write = tree_own_write,
                                   .interval = interval,
                                   .finish = tree_finish };
