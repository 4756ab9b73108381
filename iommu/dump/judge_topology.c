/* PCI functions: which unit they are behind, and what keeps them apart. */
#include "judge.h"
#include <stdio.h>

/* Some unit has it: by name, below a bridge that is named (which buses those are lspci says only of a running machine, so a bridge's
 * scope is taken to cover all buses but 0), or as one of all. */
static bool is_covered(const struct nw_dump *d, const struct nw_dump_function *f)
{
    for (size_t i = 0; i < d->drhds; i++)
        if (d->drhd[i].segment == f->segment && d->drhd[i].all)
            return true;
    for (size_t i = 0; i < d->scopes; i++) {
        const struct nw_dump_scope *s = &d->scope[i];
        if (s->of != NW_DMAR_DRHD || (s->type != NW_DMAR_SCOPE_ENDPOINT && !s->bridge))
            continue;
        if (d->drhd[s->drhd].segment == f->segment &&
            ((!s->deep && s->bdf == f->bdf) || ((s->deep || s->bridge) && f->bdf >> 8)))
            return true;
    }
    return false;
}

void nw_judge_topology(struct judge *j)
{
    const struct nw_dump *d = j->d;
    for (size_t i = 0; i < d->functions; i++) {
        const struct nw_dump_function *f = &d->function[i];
        char where[64];
        nw_judge_name(f->bdf, where);
        if (d->has_dmar && d->drhds && !is_covered(d, f) && !f->bridge)
            nw_judge_add(j, D07, &f->place, where, "%.80s", f->what);
        if ((f->pcie_port || (f->multifunction && f->has_acs)) && !f->acs_isolates)
            nw_judge_add(j, G02, &f->place, where, "%.60s: %s", f->what,
                         f->has_acs ? "ACS is not on for SrcValid, ReqRedir, CmpltRedir and UpstreamFwd"
                                    : "has no ACS");
        for (size_t k = 0; f->ats_on && k < d->contexts; k++) {
            const struct nw_dump_context *c = &d->context[k];
            if (c->source_id == f->bdf && !c->has_pasid && (c->context[0] & 1) && nw_field(c->context[0], 3, 2) != 1)
                nw_judge_add(j, G06, &f->place, where, "ATSCtl has Enable+, and TT is %u",
                             (unsigned)nw_field(c->context[0], 3, 2));
        }
    }
    for (size_t i = 0; d->functions && i < d->scopes; i++) {
        const struct nw_dump_scope *s = &d->scope[i];
        char where[64];
        nw_judge_name(s->bdf, where);
        if (s->of != NW_DMAR_DRHD || (s->type != NW_DMAR_SCOPE_ENDPOINT && !s->bridge))
            continue;
        if (!s->deep && !nw_judge_shown(d, s->bdf))
            nw_judge_add(j, D11, &d->function[0].place, where, "a scope of the unit at 0x%llx",
                         (unsigned long long)d->drhd[s->drhd].base);
    }
}
