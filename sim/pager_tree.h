/* pager_tree.h - private to sim/: what the pagers over mmu/shadow.h share (pager_shadow.c, pager_agile.c): memory for the shadow tree, its
 * faults, and writes to tables that it mirrors. machine.pager_state is a `struct tree_pager`. */
#ifndef NW_SIM_PAGER_TREE_H
#define NW_SIM_PAGER_TREE_H

#include "pager.h"
#include <nestwalk/mmu/shadow.h>

struct tree_pager {
    struct nw_shadow *shadow;
    enum nw_shadow_policy policy;
    /* Mode agile: guest roots in the processor's cache, the one used last first. */
    uint64_t cached_root[NW_AGILE_CR3_CACHE_MAX];
    unsigned cached_roots;
};

static inline struct tree_pager *tree_of(const struct machine *m) { return m->pager_state; }
static inline struct nw_shadow *shadow_of(const struct machine *m) { return tree_of(m)->shadow; }

/* The tree, with machine.guest as its first space. */
enum nw_status tree_create(struct machine *m, enum nw_shadow_policy policy, struct nw_error *err) NW_MUST_USE;
void tree_destroy(struct machine *m);
/* The guest's CR3, or another register of its paging, is new. */
enum nw_status tree_load(struct machine *m, struct nw_error *err) NW_MUST_USE;
/* What the TLBs must forget because the tree changed. */
void tree_forget(struct machine *m, const struct nw_shadow_invalidation *due);
/* A fault that is an exit: the guest's, a hidden one, or a store to a table. */
enum nw_status tree_fault(struct machine *m, gva_t gva, uint8_t kind, enum fault_action *action,
                          struct nw_error *err) NW_MUST_USE;
/* The guest wrote a table; `priced`: within the model. */
enum nw_status tree_written(struct machine *m, uint64_t gpa, unsigned bytes, bool priced,
                            struct nw_error *err) NW_MUST_USE;
enum nw_status tree_table_written(struct machine *m, uint64_t gpa, unsigned bytes, struct nw_error *err) NW_MUST_USE;
enum nw_status tree_own_write(struct machine *m, uint64_t gpa, uint64_t old, bool priced,
                              struct nw_error *err) NW_MUST_USE;
void tree_finish(struct machine *m);

#endif
