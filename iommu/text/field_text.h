/* field_text.h - the fields of an entry as text, separated by ", ". Never leaves iommu/. */
#ifndef NESTWALK_IOMMU_FIELD_TEXT_H
#define NESTWALK_IOMMU_FIELD_TEXT_H

#include <nestwalk/base/bits.h>
#include <nestwalk/base/status.h>
#include <stdbool.h>
#include <stddef.h>

struct iommu_text {
    char *out;
    size_t size, used;
};

/* Adds one field; what does not fit is cut off. */
NW_PRINTF(2, 3) void iommu_text_add(struct iommu_text *t, const char *format, ...);
static inline void iommu_text_if(struct iommu_text *t, bool set, const char *name)
{
    if (set)
        iommu_text_add(t, "%s", name);
}
/* "WHAT 0x1000": bits 51 to `lowest` of the value. */
static inline void iommu_text_address(struct iommu_text *t, const char *what, uint64_t value, unsigned lowest)
{
    iommu_text_add(t, "%s 0x%llx", what, (unsigned long long)(value & nw_mask(51, lowest)));
}
/* Bit 0. */
static inline bool iommu_text_present(struct iommu_text *t, uint64_t value)
{
    iommu_text_add(t, value & 1 ? "present" : "not present");
    return value & 1;
}

#endif
