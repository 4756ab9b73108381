/* iommu_sysfs.h - what sysfs says of remapping units, groups and PCI functions, as the text that docs/iommu-check.md describes. */
#ifndef NESTWALK_CLI_IOMMU_SYSFS_H
#define NESTWALK_CLI_IOMMU_SYSFS_H

#include <nestwalk/base/status.h>
#include <stdbool.h>
#include <stddef.h>

struct iommu_sysfs {
    char *text; /* free() it */
    size_t size;
    size_t units, groups, functions;
    size_t short_configs; /* functions of which only the header of configuration space could be read */
};

/* Whether there is one of /sys/class/iommu, /sys/kernel/iommu_groups and /sys/bus/pci/devices below `root`. */
bool iommu_sysfs_recognise(const char *root);
/* What cannot be read is left out. NW_ERR_NOMEM only. */
enum nw_status iommu_sysfs_read(const char *root, struct iommu_sysfs *out, struct nw_error *err) NW_MUST_USE;

#endif
