/* walk.h - private to sim/: the walk of what the processor is given, over any set of hooks. */
#ifndef NW_SIM_WALK_H
#define NW_SIM_WALK_H

#include "machine.h"
#include <nestwalk/mmu/walk_template.h>

NW_INLINE void machine_walk_run(const struct nw_walk_hooks *hooks, void *context, const struct machine *m, gva_t gva,
                                const struct nw_access *access, struct nw_walk_result *out)
{
    if (m->hw_switched)
        nw_walk_agile_run(hooks, context, m->hw_switched, m->hw_guest, m->hw_nested, gva, access, out);
    else
        nw_walk_run(hooks, context, m->hw_guest, m->hw_nested, gva, access, out);
}

#endif
