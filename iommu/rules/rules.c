/* rules.c - the rules as data, and findings of them. */
#include "../acpi/acpi_internal.h"
#include "rules_internal.h"
#include <stdlib.h>
#include <string.h>
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

enum nw_status nw_iommu_findings_add(struct nw_iommu_findings *to, const struct nw_iommu_findings *from,
                                     struct nw_error *err)
{
    for (size_t i = 0; i < from->count; i++) {
        struct nw_iommu_finding *f = nw_acpi_grow((void **)&to->at, &to->count, sizeof *f);
        if (!f)
            return nw_fail_nomem(err, "the findings");
        *f = from->at[i];
    }
    return NW_OK;
}

static int by_severity(const void *a, const void *b)
{
    const struct nw_iommu_finding *x = a, *y = b;
    if (x->severity != y->severity)
        return x->severity > y->severity ? -1 : 1;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    if (x->line != y->line)
        return x->line < y->line ? -1 : 1;
    if (x->rule != y->rule)
        return x->rule < y->rule ? -1 : 1;
    const bool x_rest = !strcmp(x->where, "and"), y_rest = !strcmp(y->where, "and");
    if (x_rest != y_rest)
        return x_rest ? 1 : -1;
    const int where = strcmp(x->where, y->where);
    return where ? where : strcmp(x->detail, y->detail);
}

void nw_iommu_findings_sort(struct nw_iommu_findings *findings, size_t first)
{
    if (findings->count > first)
        qsort(findings->at + first, findings->count - first, sizeof *findings->at, by_severity);
}

void nw_iommu_findings_fini(struct nw_iommu_findings *findings)
{
    for (size_t i = 0; i < findings->count; i++)
        free(findings->at[i].witness);
    free(findings->at);
    *findings = (struct nw_iommu_findings){ 0 };
}
