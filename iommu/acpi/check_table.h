/* check_table.h - what the checks of the two tables share. */
#ifndef NESTWALK_IOMMU_CHECK_TABLE_H
#define NESTWALK_IOMMU_CHECK_TABLE_H

#include "../rules/rules_internal.h"

struct check {
    const struct nw_acpi_table *table;
    struct nw_iommu_findings *findings;
    uint32_t found[RULES], last_offset[RULES];
    bool no_memory;
};

/* `subject` is the structure's name, behind the offset in `where`. */
void nw_check_add(struct check *c, enum rule rule, uint32_t offset, const char *subject, const char *format, ...)
    NW_PRINTF(5, 6);
/* The same, with less than the rule's severity: for what is legal, or harms nobody, although the rule is about worse. */
void nw_check_add_lesser(struct check *c, enum rule rule, enum nw_iommu_severity severity, uint32_t offset,
                         const char *subject, const char *format, ...) NW_PRINTF(6, 7);

void nw_check_dmar(struct check *c, const struct nw_dmar *dmar);
void nw_check_ivrs(struct check *c, const struct nw_ivrs *ivrs);

#endif
