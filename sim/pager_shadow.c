/* pager_shadow.c - shadow paging by the textbook's two policies, over mmu/shadow.h: every write to a shadowed table traps (eager), or none
 * does and everything made goes with CR3 (virtual TLB). */
#include "pager_tree.h"

static bool virtual_tlb(const struct machine *m) { return m->config->vmm.shadow_policy == NW_SHADOWING_VIRTUAL_TLB; }

static enum nw_status create(struct machine *m, struct nw_error *err)
{
    enum nw_status s = tree_create(m, virtual_tlb(m) ? NW_SHADOW_VIRTUAL_TLB : NW_SHADOW_EAGER, err);
    if (!s)
        m->hw_guest = nw_shadow_paging(shadow_of(m));
    return s;
}

static enum nw_status page_fault(struct machine *m, gva_t gva, uint8_t kind, const struct nw_walk_result *fault,
                                 enum fault_action *action, struct nw_error *err)
{
    (void)fault; /* the guest's own tables decide */
    return tree_fault(m, gva, kind, action, err);
}

static enum nw_status registers(struct machine *m, unsigned cr, uint64_t value, struct nw_error *err)
{
    (void)value;
    if (cr != CR_EFER)
        machine_exit(m, NW_EXIT_CR_WRITE);
    enum nw_status s = tree_load(m, err);
    if (s)
        return s;
    m->hw_guest = nw_shadow_paging(shadow_of(m));
    if (virtual_tlb(m))
        tree_forget(m, &(struct nw_shadow_invalidation){ .kind = NW_SHADOW_ALL });
    return NW_OK;
}

static enum nw_status invlpg(struct machine *m, uint64_t gva, struct nw_error *err)
{
    (void)err;
    struct nw_shadow_invalidation due;
    machine_exit(m, NW_EXIT_INVLPG);
    nw_shadow_invlpg(shadow_of(m), nw_gva(gva), &due);
    tree_forget(m, &due);
    return NW_OK;
}

static enum nw_status invpcid(struct machine *m, uint64_t type, uint16_t pcid, uint64_t gva, struct nw_error *err)
{
    (void)type, (void)pcid;
    return invlpg(m, gva, err);
}

/* With a virtual TLB the guest's kernel, after a move, has to execute INVLPG for each page. */
static void moved(struct machine *m, uint64_t start, uint64_t end)
{
    struct nw_shadow_invalidation due;
    for (uint64_t gva = start; virtual_tlb(m) && gva < end; gva += NW_PAGE_BYTES)
        nw_shadow_invlpg(shadow_of(m), nw_gva(gva), &due); /* the caches are told of the whole range */
}

const struct pager pager_shadow = { .fills_on_fault = true,
                                    .create = create,
                                    .destroy = tree_destroy,
                                    .page_fault = page_fault,
                                    .registers = registers,
                                    .invlpg = invlpg,
                                    .invpcid = invpcid,
                                    .table_written = tree_table_written,
                                    .own_write = tree_own_write,
                                    .moved = moved,
                                    .finish = tree_finish };
