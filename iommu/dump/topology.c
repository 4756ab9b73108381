#include "topology.h"
#include <string.h>

enum { BRIDGES_MAX = 64 /* above a function; a description that goes in circles ends here */ };

const struct nw_dump_function *nw_topology_find(const struct nw_dump *d, uint16_t segment, uint16_t bdf)
{
    for (size_t i = 0; i < d->functions; i++)
        if (d->function[i].segment == segment && d->function[i].bdf == bdf)
            return &d->function[i];
    return NULL;
}

const struct nw_dump_function *nw_topology_bridge(const struct nw_dump *d, uint16_t segment, unsigned bus)
{
    for (size_t i = 0; i < d->functions; i++) {
        const struct nw_dump_function *f = &d->function[i];
        if (f->segment == segment && f->has_buses && f->secondary == bus && bus && f->bdf >> 8 != bus)
            return f;
    }
    return NULL;
}

const struct nw_dump_function *nw_topology_physical(const struct nw_dump *d, const struct nw_dump_function *f)
{
    for (size_t i = 0; i < d->functions; i++) {
        const struct nw_dump_function *p = &d->function[i];
        if (p->segment != f->segment || !p->vfs || p == f)
            continue;
        const unsigned first = p->bdf + p->vf_offset;
        if (f->bdf < first)
            continue;
        const unsigned behind = f->bdf - first;
        if (p->vf_stride ? behind % p->vf_stride == 0 && behind / p->vf_stride < p->vfs : !behind)
            return p;
    }
    return NULL;
}

const struct nw_dump_function *nw_topology_above(const struct nw_dump *d, const struct nw_dump_function *f)
{
    const struct nw_dump_function *physical = nw_topology_physical(d, f);
    return nw_topology_bridge(d, f->segment, (physical ? physical : f)->bdf >> 8);
}

bool nw_topology_is_external(const struct nw_dump *d, const struct nw_dump_function *f)
{
    for (unsigned n = 0; f && n < BRIDGES_MAX; n++, f = nw_topology_above(d, f))
        if (f->external)
            return true;
    return false;
}

bool nw_topology_is_assigned(const struct nw_dump_function *f)
{
    static const char *const drivers[] = { "vfio-pci", "pci-stub", "pciback", "xen-pciback" };
    for (size_t i = 0; i < NW_ARRAY_LEN(drivers); i++)
        if (!strcmp(f->driver, drivers[i]))
            return true;
    return false;
}

const struct nw_dump_function *nw_topology_resolve(const struct nw_dump *d, const struct nw_dump_scope *s)
{
    unsigned bus = s->bdf >> 8;
    const struct nw_dump_function *f = NULL;
    for (unsigned hop = 0; hop < s->hops; hop++) {
        f = nw_topology_find(d, s->segment,
                             (uint16_t)(bus << 8 | (s->path[2 * hop] & 31u) << 3 | (s->path[2 * hop + 1] & 7u)));
        if (!f || (hop + 1 < s->hops && !f->has_buses))
            return NULL;
        bus = f->secondary;
    }
    return f;
}

uint16_t nw_topology_requester(const struct nw_dump *d, const struct nw_dump_function *f, bool *known)
{
    uint16_t id = f->bdf;
    const struct nw_dump_function *b = nw_topology_above(d, f);
    *known = true;
    for (unsigned n = 0; b && n < BRIDGES_MAX; n++, b = nw_topology_above(d, b)) {
        *known &= b->has_capabilities;
        if (!b->has_capabilities || b->express == NW_EXPRESS_ROOT_PORT || b->express == NW_EXPRESS_UPSTREAM_PORT ||
            b->express == NW_EXPRESS_DOWNSTREAM_PORT)
            continue;
        id = (uint16_t)(b->express == NW_EXPRESS_TO_PCI_BRIDGE ? b->secondary << 8 : b->bdf);
    }
    return id;
}

static void mark(struct nw_requesters *r, unsigned id) { r->bit[(id & 0xffff) / 8] |= (uint8_t)(1u << (id & 7)); }

void nw_topology_requesters(const struct nw_dump *d, struct nw_requesters *out)
{
    *out = (struct nw_requesters){ .bit = { 0 } };
    for (size_t i = 0; i < d->functions; i++) {
        const struct nw_dump_function *f = &d->function[i];
        bool known;
        mark(out, f->bdf);
        mark(out, nw_topology_requester(d, f, &known));
        /* Of a bridge that shows too little it may be either of the two ids that bridges use. */
        if (f->has_buses)
            mark(out, (unsigned)f->secondary << 8);
        for (unsigned n = 0; n < f->vfs; n++)
            mark(out, f->bdf + f->vf_offset + n * f->vf_stride);
    }
    for (size_t i = 0; i < d->scopes; i++) {
        const struct nw_dump_scope *s = &d->scope[i];
        const struct nw_dump_function *f = s->deep ? nw_topology_resolve(d, s) : NULL;
        if (s->type != NW_DMAR_SCOPE_ENDPOINT && s->type != NW_DMAR_SCOPE_BRIDGE && (!s->deep || f))
            mark(out, f ? f->bdf : s->bdf);
    }
    for (size_t i = 0; i < d->specials; i++)
        mark(out, d->special[i].device);
}

bool nw_requesters_has(const struct nw_requesters *r, uint16_t id, uint16_t ignored)
{
    for (unsigned bits = ignored;; bits = (bits - 1) & ignored) {
        const unsigned other = (id & ~(unsigned)ignored) | bits;
        if (r->bit[other / 8] >> (other & 7) & 1)
            return true;
        if (!bits)
            return false;
    }
}

static bool is_below(const struct nw_dump *d, const struct nw_dump_function *f, const struct nw_dump_function *bridge)
{
    for (unsigned n = 0; f && n < BRIDGES_MAX; n++, f = nw_topology_above(d, f))
        if (f == bridge)
            return true;
    return false;
}

size_t nw_topology_unit(const struct nw_dump *d, const struct nw_dump_function *f)
{
    const struct nw_dump_function *physical = nw_topology_physical(d, f);
    if (physical)
        f = physical;
    for (size_t i = 0; i < d->scopes; i++) {
        const struct nw_dump_scope *s = &d->scope[i];
        if (s->of != NW_DMAR_DRHD || s->segment != f->segment ||
            (s->type != NW_DMAR_SCOPE_ENDPOINT && s->type != NW_DMAR_SCOPE_BRIDGE))
            continue;
        if (!s->deep && s->bdf == f->bdf)
            return s->drhd;
        if (!s->bridge && !s->deep)
            continue;
        const struct nw_dump_function *named = nw_topology_resolve(d, s);
        /* A path through bridges whose buses are not shown may lead anywhere but to their own bus. */
        if (named == f || (s->bridge && named && named->has_buses && is_below(d, f, named)) ||
            ((!named || (s->bridge && !named->has_buses)) && f->bdf >> 8 != s->bdf >> 8))
            return s->drhd;
    }
    for (size_t i = 0; i < d->drhds; i++)
        if (d->drhd[i].segment == f->segment && d->drhd[i].all)
            return i;
    return SIZE_MAX;
}
