/* Which unit each function is behind, and whether the firmware's scopes name what is there. */
#include "judge.h"
#include "topology.h"
#include <stdio.h>

enum { CLASS_HOST_BRIDGE = 0x0600, CLASS_OTHER_BRIDGE = 0x0680 /* non-transparent ones */, BASE_CLASS_BRIDGE = 6 };

static bool is_class(const struct nw_dump_function *f, unsigned class)
{
    return f->has_class && f->class_code >> 8 == class;
}

static bool names_pci(const struct nw_dump_scope *s)
{
    return s->type == NW_DMAR_SCOPE_ENDPOINT || s->type == NW_DMAR_SCOPE_BRIDGE;
}

/* "RMRR scope 00:1c.0", with the path's further hops: "00:1c.0/00.0". */
static void name_scope(const struct nw_dump_scope *s, char out[64])
{
    char first[8];
    nw_judge_name(s->bdf, first);
    int used = snprintf(out, 64, "%s scope %s", nw_dmar_type_name((uint16_t)s->of), first);
    for (unsigned hop = 1; hop < s->hops && used < 56; hop++)
        used += snprintf(out + used, 64 - (size_t)used, "/%02x.%x", s->path[2 * hop] & 31u, s->path[2 * hop + 1] & 7u);
}

static void judge_scope(struct judge *j, const struct nw_dump_scope *s)
{
    const struct nw_dump *d = j->d;
    const struct nw_dump_function *f = nw_topology_resolve(d, s);
    const struct nw_dump_function *above = nw_topology_bridge(d, s->segment, s->bdf >> 8);
    char where[64], bridge[16];
    name_scope(s, where);
    if (above) {
        nw_judge_function(above, bridge);
        nw_judge_add(j, D10, &s->place, where, "the path starts on bus %02x, which is behind %s", s->bdf >> 8, bridge);
    }
    if (s->of == NW_DMAR_DRHD && !s->deep && !nw_judge_shown(d, s->bdf))
        nw_judge_add(j, D11, &s->place, where, "of the unit at 0x%llx", (unsigned long long)d->drhd[s->drhd].base);
    if (!f || !f->has_command)
        return;
    if (s->type == NW_DMAR_SCOPE_ENDPOINT && f->has_buses)
        nw_judge_add(j, D09, &s->place, where, "is of the type endpoint, and the function is a bridge to bus %02x",
                     f->secondary);
    if (s->type == NW_DMAR_SCOPE_BRIDGE && !f->has_buses && is_class(f, CLASS_OTHER_BRIDGE))
        nw_judge_add_as(j, NW_IOMMU_INFO, D09, &s->place, where,
                        "is of the type bridge, and the function a bridge of another kind (class 0680)");
    else if (s->type == NW_DMAR_SCOPE_BRIDGE && !f->has_buses && f->has_class &&
             f->class_code >> 16 != BASE_CLASS_BRIDGE)
        nw_judge_add(j, D09, &s->place, where, "is of the type bridge, and the function has the class %04x",
                     f->class_code >> 8);
}

/* Linux, drivers/iommu/intel/dmar.c, map_iommu(): what the registers take up. */
static void judge_window(struct judge *j, const struct nw_dump_drhd *drhd)
{
    for (size_t i = 0; i < j->d->units; i++) {
        const struct nw_dump_unit *u = &j->d->unit[i];
        if (u->base != drhd->base || !u->has[NW_DUMP_CAP] || !u->has[NW_DUMP_ECAP])
            continue;
        const uint64_t cap = u->value[NW_DUMP_CAP], ecap = u->value[NW_DUMP_ECAP];
        const uint64_t faults = 16 * nw_field(cap, 33, 24) + 16 * (nw_field(cap, 47, 40) + 1);
        const uint64_t iotlb = 16 * nw_field(ecap, 17, 8) + 16, window = UINT64_C(4096) << drhd->size_log2_pages;
        const uint64_t end = faults > iotlb ? faults : iotlb;
        char where[64];
        snprintf(where, sizeof where, "DRHD %llx", (unsigned long long)drhd->base);
        if (end > window && ~cap && ~ecap)
            nw_judge_add(j, D13, &drhd->place, where,
                         "the window has 0x%llx bytes; the %s registers end at 0x%llx (CAP 0x%llx, ECAP 0x%llx)",
                         (unsigned long long)window, faults > iotlb ? "fault recording" : "IOTLB",
                         (unsigned long long)end, (unsigned long long)cap, (unsigned long long)ecap);
        return;
    }
}

static void judge_amdvi(struct judge *j, const struct nw_dump_function *f, const char *where)
{
    const struct nw_dump *d = j->d;
    bool unit = false;
    for (size_t i = 0; i < d->device_ranges; i++) {
        const struct nw_dump_device_range *r = &d->devices[i];
        if (r->segment == f->segment && r->first <= f->bdf && f->bdf <= r->last)
            return;
    }
    for (size_t i = 0; i < d->ivrs_units; i++)
        unit |= d->units_of_ivrs[i].segment == f->segment && d->units_of_ivrs[i].first == f->bdf;
    if (unit || f->bdf == 0 || is_class(f, CLASS_HOST_BRIDGE))
        nw_judge_add_as(j, NW_IOMMU_INFO, V06, &f->place, where, "%.80s: %s", f->what,
                        unit ? "a unit itself" : "a host bridge, which does no DMA of its own");
    else
        nw_judge_add(j, V06, &f->place, where, "%.80s", f->what);
}

/* More than the processor has is the width before memory encryption took bits for its keys, or a mistake that does no harm. */
static void judge_host_width(struct judge *j)
{
    const struct nw_dump *d = j->d;
    struct nw_dump_place at = d->dmar_place;
    at.offset = 36; /* Host Address Width */
    if (d->has_dmar && d->cpu.physical_bits && d->haw > d->cpu.physical_bits)
        nw_judge_add_as(j, NW_IOMMU_INFO, T06, &at, "host address width", "%u bits, and the processor has %u", d->haw,
                        d->cpu.physical_bits);
}

void nw_judge_coverage(struct judge *j)
{
    const struct nw_dump *d = j->d;
    judge_host_width(j);
    for (size_t i = 0; i < d->functions; i++) {
        const struct nw_dump_function *f = &d->function[i];
        char where[16];
        nw_judge_function(f, where);
        if (d->has_dmar && d->drhds && !f->bridge && nw_topology_unit(d, f) == SIZE_MAX)
            nw_judge_add(j, D07, &f->place, where, "%.80s", f->what);
        if (d->has_ivrs)
            judge_amdvi(j, f, where);
    }
    for (size_t i = 0; d->functions && i < d->scopes; i++)
        if (names_pci(&d->scope[i]))
            judge_scope(j, &d->scope[i]);
    for (size_t i = 0; i < d->drhds; i++)
        judge_window(j, &d->drhd[i]);
}
