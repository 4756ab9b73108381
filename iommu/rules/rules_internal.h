/* rules_internal.h - the rules by id, and what the checks of all inputs share. */
#ifndef NESTWALK_IOMMU_RULES_INTERNAL_H
#define NESTWALK_IOMMU_RULES_INTERNAL_H

#include <nestwalk/iommu/check.h>

enum rule {
#define RULE(id, title, input, severity, what, why, source, remedy) id,
#include "all.def"
#undef RULE
    RULES
};

enum { LISTED_MAX = 64 /* findings of one rule in one input; the rest are counted */ };

/* A finding of `rule`, with the severity that the rule has, whose place is yet to be written; NULL when there is no memory. */
struct nw_iommu_finding *nw_finding_append(struct nw_iommu_findings *findings, enum rule rule);

/* Interrupt requests of devices go here; no memory of this range can be a device's. VT-d, "Interrupt Remapping"; AMD IOMMU,
 * "Special Address Controls". */
#define INTERRUPTS_FIRST UINT64_C(0xfee00000)
#define INTERRUPTS_LAST  UINT64_C(0xfeefffff)

static inline bool overlap(uint64_t first, uint64_t last, uint64_t other_first, uint64_t other_last)
{
    return first <= other_last && other_first <= last;
}

#endif
