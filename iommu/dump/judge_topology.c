/* What keeps PCI functions apart: ACS, groups, requester ids, entries of their own. */
#include "judge.h"
#include "topology.h"
#include <stdio.h>
#include <string.h>

/* A driver that belongs to the host and does DMA; pcieport and none do not. */
static bool is_kept(const struct nw_dump_function *f)
{
    return *f->driver && !f->bridge && !nw_topology_is_assigned(f) && strcmp(f->driver, "pcieport") != 0;
}

static void judge_acs(struct judge *j, const struct nw_dump_function *f, const char *where)
{
    const struct nw_dump *d = j->d;
    if ((f->pcie_port || (f->multifunction && f->has_acs)) && !f->acs_isolates && (f->has_acs || f->has_extended))
        nw_judge_add(j, G02, &f->place, where, "%.60s: %s", f->what,
                     f->has_acs ? "ACS is not on for SrcValid, ReqRedir, CmpltRedir and UpstreamFwd" : "has no ACS");
    bool outward = f->pcie_port && f->external;
    for (size_t i = 0; f->pcie_port && !outward && i < d->functions; i++)
        outward = d->function[i].external && nw_topology_above(d, &d->function[i]) == f;
    if (outward && f->has_acs &&
        (!(f->acs_control & NW_ACS_TRANSLATION_BLOCKING) || !(f->acs_control & NW_ACS_REQUEST_REDIRECT)))
        nw_judge_add(j, G08, &f->place, where, "the port leads outside, and has%s%s off",
                     f->acs_control & NW_ACS_TRANSLATION_BLOCKING ? "" : " Translation Blocking",
                     f->acs_control & NW_ACS_REQUEST_REDIRECT ? "" : " P2P Request Redirect");
}

/* The group of a function that a guest has. */
static void judge_group_of(struct judge *j, const struct nw_dump_function *f, const char *where)
{
    const struct nw_dump *d = j->d;
    for (size_t i = 0; i < d->functions; i++) {
        const struct nw_dump_function *o = &d->function[i];
        char other[16];
        nw_judge_function(o, other);
        if (o->has_group && o->group == f->group && is_kept(o))
            nw_judge_add(j, G01, &f->place, where, "has %s, and %s of the same group %u has %s", f->driver, other,
                         f->group, o->driver);
    }
}

static void judge_virtual(struct judge *j, const struct nw_dump_function *f, const char *where)
{
    const struct nw_dump_function *physical = nw_topology_physical(j->d, f), *above = nw_topology_above(j->d, f);
    char name[16];
    if (!physical || !nw_topology_is_assigned(f))
        return;
    nw_judge_function(physical, name);
    if (above && above->has_acs && !above->acs_isolates)
        nw_judge_add(j, G07, &f->place, where, "is a virtual function of %s, whose port does not isolate", name);
    else if (physical->has_extended && !physical->has_acs)
        nw_judge_add(j, G07, &f->place, where, "is a virtual function of %s, which has no ACS", name);
}

static const struct nw_dump_context *context_of(const struct nw_dump *d, uint16_t id)
{
    for (size_t i = 0; i < d->contexts; i++)
        if (d->context[i].source_id == id && (d->context[i].context[0] & 1))
            return &d->context[i];
    return NULL;
}

static unsigned domain_of(const struct nw_dump_context *c)
{
    return (unsigned)(c->has_pasid ? nw_field(c->entry[1], 15, 0) : nw_field(c->context[1], 23, 8));
}

/* Functions whose requests carry one id. */
static void judge_shared_id(struct judge *j, const struct nw_dump_function *f, const char *where)
{
    const struct nw_dump *d = j->d;
    bool known, other_known;
    const uint16_t id = nw_topology_requester(d, f, &known);
    char name[8], other[16];
    if (id == f->bdf || !known)
        return;
    nw_judge_name(id, name);
    for (const struct nw_dump_function *o = d->function; o < f; o++) {
        if (o->segment != f->segment || o->bridge || nw_topology_requester(d, o, &other_known) != id)
            continue;
        const struct nw_dump_context *mine = context_of(d, f->bdf), *its = context_of(d, o->bdf);
        nw_judge_function(o, other);
        if (mine && its && !f->segment && domain_of(mine) != domain_of(its))
            nw_judge_add(j, G04, &f->place, where, "sends by the id %s, as %s does, and is in domain 0x%x, not 0x%x",
                         name, other, domain_of(mine), domain_of(its));
        else if (f->has_group && o->has_group && f->group != o->group)
            nw_judge_add(j, G04, &f->place, where, "sends by the id %s, as %s does, and is in group %u, not %u", name,
                         other, f->group, o->group);
    }
}

/* The dump has the entries of all units that translate; it names no segment, so only the first is looked at. */
static void judge_entry(struct judge *j, const struct nw_dump_function *f, const char *where)
{
    const struct nw_dump *d = j->d;
    bool known;
    const uint16_t id = nw_topology_requester(d, f, &known);
    char name[8];
    if (!d->contexts || d->off || f->segment || f->bridge || !f->bus_master || !known)
        return;
    nw_judge_name(id, name);
    if (id != f->bdf && !context_of(d, id))
        nw_judge_add(j, X10, &f->place, where, "sends by the id %s, which has no entry", name);
    else if (id == f->bdf && nw_topology_physical(d, f) && !context_of(d, id))
        nw_judge_add(j, X10, &f->place, where, "a virtual function with BusMaster on has no entry");
}

static void judge_lazy(struct judge *j, const struct nw_dump_function *f, const char *where)
{
    for (size_t i = 0; i < j->d->groups; i++) {
        const struct nw_dump_group *g = &j->d->group[i];
        if (f->has_group && g->number == f->group && !strcmp(g->type, "DMA-FQ"))
            nw_judge_add(j, Q09, &g->place, where, "is outside, and its group %u is of the type DMA-FQ", g->number);
    }
}

void nw_judge_topology(struct judge *j)
{
    const struct nw_dump *d = j->d;
    for (size_t i = 0; i < d->functions; i++) {
        const struct nw_dump_function *f = &d->function[i];
        char where[16];
        nw_judge_function(f, where);
        judge_acs(j, f, where);
        if (f->has_group && nw_topology_is_assigned(f))
            judge_group_of(j, f, where);
        judge_virtual(j, f, where);
        if (!f->bridge)
            judge_shared_id(j, f, where);
        judge_entry(j, f, where);
        if (nw_topology_is_external(d, f) && !f->bridge)
            judge_lazy(j, f, where);
    }
}
