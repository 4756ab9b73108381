/* iommu_draw.h - `nestwalk iommu draw`, for the table of commands in cmd_iommu.c. */
#ifndef NESTWALK_CLI_IOMMU_DRAW_H
#define NESTWALK_CLI_IOMMU_DRAW_H

#include "cli.h"

extern const struct nw_option iommu_draw_options[];
int iommu_draw(const struct nw_command *self, int argc, char **argv);

#endif
