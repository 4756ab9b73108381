/* topology.h - the machine that the inputs of `nestwalk iommu check` tell of, as one graph: units, functions and bridges, groups, domains,
 * reserved regions. Private to the folder: topology.c puts it together, topology_dot.c draws it. */
#ifndef NESTWALK_REPORTS_TOPOLOGY_H
#define NESTWALK_REPORTS_TOPOLOGY_H

#include <nestwalk/reports/check_page.h>

enum { NONE = -1 };

struct topo_unit {
    bool amd, all; /* all: INCLUDE_PCI_ALL, or an IVHD entry for all devices */
    uint16_t segment;
    uint64_t base;
    char name[64]; /* "DRHD fed90000", "IVHD 00:00.2" */
};
/* A function that a scope, a device entry, lspci, sysfs or a translation entry names. */
struct topo_function {
    uint16_t segment, bdf;
    bool present, bridge, has_buses; /* present: a list of the machine's functions has it */
    uint8_t secondary, subordinate;
    int unit, parent, group, domain;
    const char *what; /* of lspci; NULL */
};
/* What no function is: interrupt controllers, devices that only ACPI knows, paths through bridges whose buses are not known, ranges. */
struct topo_other {
    int unit;
    char name[80];
};
struct topo_domain {
    char unit[NW_DUMP_UNIT_NAME];
    uint16_t id;
    bool pass_through, amd;
    uint64_t root, readable, writable; /* bytes that are mapped, where the texts have the mappings */
};
struct topo_region {
    uint64_t first, last;
    bool exclusion;
};
struct topo_link { /* of a function to a region */
    size_t function, region;
};
struct topology {
    struct topo_unit *unit;
    struct topo_function *function; /* by segment, then by bus, device, function */
    struct topo_other *other;
    struct topo_domain *domain;
    struct topo_region *region;
    struct topo_link *link;
    size_t units, functions, others, domains, regions, links;
    bool no_memory;
};

/* NW_ERR_NOMEM only. */
enum nw_status topology_make(const struct nw_check_page *page, struct topology *out, struct nw_error *err) NW_MUST_USE;
void topology_fini(struct topology *t);
/* Room for one more, zero; NULL: no memory. */
void *topology_more(struct topology *t, void *array, size_t *count, size_t bytes);

#endif
