/* iommu_walk.h - `nestwalk iommu walk`, for the table of commands in cmd_iommu.c. */
#ifndef NESTWALK_CLI_IOMMU_WALK_H
#define NESTWALK_CLI_IOMMU_WALK_H

#include "cli.h"

extern const struct nw_option iommu_walk_options[];
int iommu_walk(const struct nw_command *self, int argc, char **argv);

#endif
