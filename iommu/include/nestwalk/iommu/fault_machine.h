/* fault_machine.h - what else is known of the machine says about a logged fault: the kernel's dump of table entries behind it, decoded and
 * replayed in the model of the unit; the machine's texts (dump.h): its functions, groups, translation entries, mappings, memory map.
 *
 *     if ((s = nw_fault_account(&log.group[i], tables, count, &a, err))) return s;
 *     if ((s = nw_fault_machine(&log.group[i], &dump, &a, err))) return s;      // adds to `a`
 */
#ifndef NESTWALK_IOMMU_FAULT_MACHINE_H
#define NESTWALK_IOMMU_FAULT_MACHINE_H

#include <nestwalk/iommu/dump.h>
#include <nestwalk/iommu/vtd_watch.h>

/* The request put to the model with nothing in memory but the dumped entries. */
struct nw_fault_replay {
    struct nw_vtd_watch watch; /* what was read */
    struct nw_vtd_result result;
    bool incomplete; /* the walk needed an entry that the dump lacks, and ended there */
};
/* The unit has the capabilities given; .haw 0 and .cap 0: the model's. NW_ERR_NOMEM. */
enum nw_status nw_fault_replay(const struct nw_fault_group *group, const struct nw_vtd_capabilities *unit,
                               struct nw_fault_replay *out, struct nw_error *err) NW_MUST_USE;

/* Adds to *account. NW_ERR_NOMEM. */
enum nw_status nw_fault_machine(const struct nw_fault_group *group, const struct nw_dump *dump,
                                struct nw_fault_account *account, struct nw_error *err) NW_MUST_USE;

#endif
