/* check.h - rules about the configuration of remapping units, and what they find in the firmware's tables.
 *
 *     struct nw_iommu_findings found = { 0 };
 *     if ((s = nw_iommu_check_table(&file.table[i], &found, &structures, err))) return s;
 *     for (size_t i = 0; i < found.count; i++)
 *         ... found.at[i].rule->id, found.at[i].where, found.at[i].detail
 *     nw_iommu_findings_fini(&found);
 *
 * A *rule* has a severity of its own: an *error* is a table that operating systems refuse or that leaves devices or
 * interrupts unprotected or broken; a *warning* is likely a mistake, or needs to be known before devices are assigned to
 * guests; *info* is legal and worth knowing. Only what the tables themselves say is judged: nothing here knows which devices,
 * memory and interrupt controllers the machine has.
 *
 * Sources: each rule names its own. Vendors' habits that are legal are no findings. */
#ifndef NESTWALK_IOMMU_CHECK_H
#define NESTWALK_IOMMU_CHECK_H

#include <nestwalk/iommu/acpi.h>

enum nw_iommu_severity { NW_IOMMU_INFO, NW_IOMMU_WARNING, NW_IOMMU_ERROR };
const char *nw_iommu_severity_name(enum nw_iommu_severity severity); /* "info", "warning", "error" */

struct nw_iommu_rule {
    const char *id, *title;
    enum nw_iommu_severity severity;
    bool of_machine; /* asks what a running machine says; else the firmware's tables alone are judged */
    const char *what, *why, *source, *remedy;
};
extern const struct nw_iommu_rule nw_iommu_rules[];
extern const size_t nw_iommu_rule_count;
const struct nw_iommu_rule *nw_iommu_rule_find(const char *id); /* NULL when there is none; case does not matter */

/* A request that shows it. */
struct nw_iommu_witness_entry {
    char what[40]; /* "second-stage entry, level 4" */
    uint64_t address, value;
    char decoded[160];
};
struct nw_iommu_witness {
    uint16_t segment, source_id;
    bool has_pasid, write;
    uint32_t pasid;
    uint64_t iova, hpa;
    unsigned entries; /* in the order in which they are read; 0: a text told of the mapping */
    struct nw_iommu_witness_entry entry[];
};

struct nw_iommu_finding {
    const struct nw_iommu_rule *rule;
    enum nw_iommu_severity severity;  /* the rule's, or less where what else is known excuses it */
    uint32_t offset;                  /* in the table */
    uint32_t line;                    /* of a text; 0: it is a table */
    char where[96];                   /* "DMAR+0x30 DRHD fed90000" */
    char detail[256];                 /* what is there, and what is allowed */
    struct nw_iommu_witness *witness; /* NULL: there is none */
};
struct nw_intent;
struct nw_proved;
struct nw_iommu_findings {
    struct nw_iommu_finding *at;
    size_t count;
    const struct nw_intent *intent; /* that they were held against, and */
    struct nw_proved *proved;       /* what was shown (proof.h); both borrowed; NULL: there is none */
};

/* Adds what the rules find in `table` to *findings, errors first, then by offset; *structures (not NULL) is the number of
 * structures or blocks in the table. NW_ERR_NOMEM only. */
enum nw_status nw_iommu_check_table(const struct nw_acpi_table *table, struct nw_iommu_findings *findings,
                                    size_t *structures, struct nw_error *err) NW_MUST_USE;
enum nw_status nw_iommu_findings_add(struct nw_iommu_findings *to, const struct nw_iommu_findings *from,
                                     struct nw_error *err) NW_MUST_USE;
/* Those from `first` on: errors first, then by offset or line. */
void nw_iommu_findings_sort(struct nw_iommu_findings *findings, size_t first);
void nw_iommu_findings_fini(struct nw_iommu_findings *findings);

#endif
