/* rules.c - the rules as data, and findings of them. */
#include "../acpi/acpi_internal.h"
#include "rules_internal.h"
#include <stdlib.h>
#include <strings.h>

#define ERROR   NW_IOMMU_ERROR
#define WARNING NW_IOMMU_WARNING
#define INFO    NW_IOMMU_INFO
#define TABLES  false
#define MACHINE true

const struct nw_iommu_rule nw_iommu_rules[] = {
#define RULE(id, title, input, severity, what, why, source, remedy)                                                    \
    [id] = { #id, title, severity, input, what, why, source, remedy },
#include "all.def"
#undef RULE
};
const size_t nw_iommu_rule_count = RULES;

const struct nw_iommu_rule *nw_iommu_rule_find(const char *id)
{
    for (size_t i = 0; i < RULES; i++)
        if (!strcasecmp(nw_iommu_rules[i].id, id))
            return &nw_iommu_rules[i];
    return NULL;
}

const char *nw_iommu_severity_name(enum nw_iommu_severity severity)
{
    static const char *const names[] = { "info", "warning", "error" };
    return names[severity];
}

struct nw_iommu_finding *nw_finding_append(struct nw_iommu_findings *findings, enum rule rule)
{
    struct nw_iommu_finding *f = nw_acpi_grow((void **)&findings->at, &findings->count, sizeof *f);
    if (!f)
        return NULL;
    f->rule = &nw_iommu_rules[rule];
    f->severity = f->rule->severity;
    return f;
}

void nw_iommu_findings_fini(struct nw_iommu_findings *findings)
{
    free(findings->at);
    *findings = (struct nw_iommu_findings){ 0 };
}
