/* topology.h - what can be told of PCI functions together: buses, who is above whom, requester ids, units. */
#ifndef NESTWALK_IOMMU_TOPOLOGY_H
#define NESTWALK_IOMMU_TOPOLOGY_H

#include <nestwalk/iommu/dump.h>

const struct nw_dump_function *nw_topology_find(const struct nw_dump *d, uint16_t segment, uint16_t bdf);
/* The bridge that has this bus behind it; NULL: a root bus, or not known. */
const struct nw_dump_function *nw_topology_bridge(const struct nw_dump *d, uint16_t segment, unsigned bus);
/* The physical function that this is a virtual one of; NULL: it is none. PCI Express, "SR-IOV: VF Routing ID". */
const struct nw_dump_function *nw_topology_physical(const struct nw_dump *d, const struct nw_dump_function *f);
/* The bridge above; of a virtual function, that of the physical one. */
const struct nw_dump_function *nw_topology_above(const struct nw_dump *d, const struct nw_dump_function *f);
bool nw_topology_is_external(const struct nw_dump *d, const struct nw_dump_function *f); /* it, or a port above it */
bool nw_topology_is_assigned(const struct nw_dump_function *f); /* its driver hands it to a guest */

/* The function that a path leads to; NULL: not shown, or a bridge on the way is not. VT-d, "Device Scope Structure". */
const struct nw_dump_function *nw_topology_resolve(const struct nw_dump *d, const struct nw_dump_scope *s);

/* The id that a unit sees for requests of `f`: its own, or that of the bridge above which takes its place. *known is false when a bridge
 * on the way shows too little. Linux, pci_for_each_dma_alias(). */
uint16_t nw_topology_requester(const struct nw_dump *d, const struct nw_dump_function *f, bool *known);
/* The ids by which some function, bridge, I/O APIC or HPET sends requests, in any segment. */
struct nw_requesters {
    uint8_t bit[0x10000 / 8];
};
void nw_topology_requesters(const struct nw_dump *d, struct nw_requesters *out);
bool nw_requesters_has(const struct nw_requesters *r, uint16_t id,
                       uint16_t ignored); /* ignored: bits that are not compared */

/* Which DRHD it is behind: the first that names it or a bridge above, else the one for all the rest; SIZE_MAX: none. Linux,
 * device_lookup_iommu(). */
size_t nw_topology_unit(const struct nw_dump *d, const struct nw_dump_function *f);

#endif
