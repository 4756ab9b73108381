/* iommu_file.h - files of firmware tables, read whole. */
#ifndef NESTWALK_CLI_IOMMU_FILE_H
#define NESTWALK_CLI_IOMMU_FILE_H

#include <nestwalk/base/status.h>
#include <stddef.h>
#include <stdint.h>

/* At most 64 MiB, decompressed: text with all tables of a machine has a few. free(*bytes). NW_ERR_INPUT: it has more. */
enum nw_status iommu_file_read(const char *path, uint8_t **bytes, size_t *size, struct nw_error *err) NW_MUST_USE;

#endif
