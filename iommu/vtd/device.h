/* device.h - a device with a TLB, as its unit sees it. Never leaves this folder. */
#ifndef NESTWALK_IOMMU_VTD_DEVICE_INTERNAL_H
#define NESTWALK_IOMMU_VTD_DEVICE_INTERNAL_H

#include "../device/device_tlb.h"
#include "unit.h"
#include <nestwalk/iommu/vtd_device.h>

enum { GROUPS_MAX = 512 }; /* PRGI has 9 bits */

struct nw_vtd_device {
    struct nw_vtd_device *next; /* of the unit's list */
    struct nw_vtd_unit *u;
    struct nw_vtd_device_config config;
    struct nw_device_tlb_counts counts;
    struct iommu_device_tlb tlb;
    uint64_t asked[GROUPS_MAX / 64]; /* groups that wait for a response */
    unsigned outstanding, next_group;
};

struct nw_vtd_device *vtd_device_find(const struct nw_vtd_unit *u, uint16_t source_id);

#endif
