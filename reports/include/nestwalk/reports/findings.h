/* findings.h - what `nestwalk iommu check` found, as JSON, as SARIF and as a list to accept. docs/iommu-check.md
 * describes all three. */
#ifndef NESTWALK_REPORTS_FINDINGS_H
#define NESTWALK_REPORTS_FINDINGS_H

#include <nestwalk/iommu/check.h>

struct nw_checked_input {
    const char *file, *kind; /* "DMAR", "iommu_regset", ... */
    uint64_t line;           /* that it begins at in a file with several; 0: it is the file */
    size_t structures;
    size_t first, count; /* of the findings */
};

/* Texts to free(). NW_ERR_NOMEM. `accepted`: one flag a finding, or NULL; such findings are left out of JSON, and are
 * suppressed in SARIF. */
enum nw_status nw_findings_json_text(const struct nw_checked_input *input, size_t inputs,
                                     const struct nw_iommu_findings *found, const bool *accepted, char **out,
                                     struct nw_error *err) NW_MUST_USE;
/* SARIF 2.1.0 (OASIS, "Static Analysis Results Interchange Format"): one run, its rules those that found something. */
enum nw_status nw_findings_sarif_text(const struct nw_checked_input *input, size_t inputs,
                                      const struct nw_iommu_findings *found, const bool *accepted, char **out,
                                      struct nw_error *err) NW_MUST_USE;

/* What a finding is known by when the input is looked at again: a hash of its rule, the kind of its input, where and
 * what; 16 hexadecimal digits. */
void nw_finding_key(const struct nw_checked_input *input, const struct nw_iommu_finding *f, char out[17]);
/* Findings to accept: a line each, its key, and what it says for who reads it. */
enum nw_status nw_findings_baseline_text(const struct nw_checked_input *input, size_t inputs,
                                         const struct nw_iommu_findings *found, char **out,
                                         struct nw_error *err) NW_MUST_USE;

#endif
