/* log_internal.h - what the readers of log lines share. */
#ifndef NESTWALK_IOMMU_LOG_INTERNAL_H
#define NESTWALK_IOMMU_LOG_INTERNAL_H

#include <nestwalk/iommu/fault_log.h>

/* The text behind `word`, or NULL; `line` may be NULL. */
const char *fault_after(const char *line, const char *word);
/* A number with or without 0x; `radix` for one without. `at` may be NULL. */
bool fault_number(const char *at, int radix, uint64_t *out);
/* entries.c: a line of the kernel's dump of table entries: put to the group of the last fault. False: it is none. */
bool fault_entries_line(struct nw_fault_log *log, const char *line);

/* A cause that is likely without further knowledge, and certain with some. */
#define FAULT_OTHER_DIRECTION                                                                                          \
    "The buffer is mapped for the other direction only: the driver said that the device reads it, and it writes, or "  \
    "the reverse."
#define FAULT_LOOK_AT_DIRECTION "Look at the direction in the driver's dma_map_*() call for this buffer."

#endif
