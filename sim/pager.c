/* pager.c - the ways to virtualize memory that need nothing of the VMM but second-stage faults, and the choice among all of them. */
#include "pager.h"

const struct pager pager_native = { 0 };
const struct pager pager_nested = { 0 };

const struct pager *pager_for(const struct nw_config *c)
{
    static const struct pager *const shadow[NW_SHADOWING_COUNT] = {
        [NW_SHADOWING_KVM] = &pager_kvm,
        [NW_SHADOWING_EAGER] = &pager_shadow,
        [NW_SHADOWING_VIRTUAL_TLB] = &pager_shadow,
    };
    switch ((enum nw_mode)c->mode) {
    case NW_MODE_SHADOW: return shadow[c->vmm.shadow_policy];
    case NW_MODE_DIRECT: return &pager_direct;
    case NW_MODE_NESTED: return &pager_nested;
    case NW_MODE_AGILE: return &pager_agile;
    default: return &pager_native;
    }
}
