/* iommu_inputs.h - what `nestwalk iommu check` is given: tables, texts, archives and directories of them; and what the rules find. */
#ifndef NESTWALK_CLI_IOMMU_INPUTS_H
#define NESTWALK_CLI_IOMMU_INPUTS_H

#include <nestwalk/iommu/dump.h>
#include <nestwalk/reports/findings.h>

struct iommu_inputs {
    struct nw_checked_input *at;
    bool *text;                   /* of each: of a running machine, and its structures are rows; else a table */
    struct nw_acpi_table **table; /* of each: NULL for a text */
    size_t count;
    struct nw_iommu_findings found;
    struct nw_dump dump; /* what the texts and the tables say */
    char **name;         /* of files and members; the inputs point to them */
    size_t names;
    struct nw_acpi_file *file; /* the tables' bytes */
    size_t files;
};

/* A file with a table or text, an archive, or a directory that `nestwalk iommu collect` has made. NW_ERR_INPUT with the place. */
enum nw_status iommu_inputs_add(struct iommu_inputs *in, const char *path, struct nw_error *err) NW_MUST_USE;
/* When all are there: the findings, input by input. */
enum nw_status iommu_inputs_judge(struct iommu_inputs *in, struct nw_error *err) NW_MUST_USE;
/* One of another kind, whose findings are there already. After iommu_inputs_judge(). */
enum nw_status iommu_inputs_append(struct iommu_inputs *in, const struct nw_checked_input *judged,
                                   struct nw_error *err) NW_MUST_USE;
void iommu_inputs_fini(struct iommu_inputs *in);

#endif
