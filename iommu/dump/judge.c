/* The rules about running machines, all groups. */
#include "judge.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void nw_judge_add(struct judge *j, enum rule rule, const struct nw_dump_place *at, const char *where,
                  const char *format, ...)
{
    if (at->input != j->input || j->found[rule]++ >= LISTED_MAX)
        return;
    struct nw_iommu_finding *f = nw_finding_append(j->findings, rule);
    if (!f) {
        j->no_memory = true;
        return;
    }
    f->line = at->line;
    snprintf(f->where, sizeof f->where, "%s", where);
    va_list ap;
    va_start(ap, format);
    vsnprintf(f->detail, sizeof f->detail, format, ap);
    va_end(ap);
}

void nw_judge_name(uint16_t bdf, char out[8]) { snprintf(out, 8, "%02x:%02x.%x", bdf >> 8, bdf >> 3 & 31u, bdf & 7u); }

const struct nw_dump_unit *nw_judge_unit(const struct nw_dump *d, const char *name)
{
    for (size_t i = 0; i < d->units; i++)
        if (!strcmp(d->unit[i].name, name))
            return &d->unit[i];
    return NULL;
}

bool nw_judge_shown(const struct nw_dump *d, uint16_t bdf)
{
    for (size_t i = 0; i < d->functions; i++)
        if (d->function[i].bdf == bdf)
            return true;
    return false;
}

static int by_severity(const void *a, const void *b)
{
    const struct nw_iommu_finding *x = a, *y = b;
    if (x->severity != y->severity)
        return x->severity > y->severity ? -1 : 1;
    if (x->line != y->line)
        return x->line < y->line ? -1 : 1;
    if (x->rule != y->rule)
        return x->rule < y->rule ? -1 : 1;
    const int where = strcmp(x->where, y->where);
    return where ? where : strcmp(x->detail, y->detail);
}

static judge_group *const group[] = { nw_judge_registers, nw_judge_translation, nw_judge_mappings, nw_judge_interrupts,
                                      nw_judge_queue,     nw_judge_memory,      nw_judge_platform, nw_judge_topology };

enum nw_status nw_iommu_check_dump(const struct nw_dump *d, unsigned input, struct nw_iommu_findings *findings,
                                   struct nw_error *err)
{
    struct judge j = { .d = d, .input = input, .findings = findings };
    const size_t before = findings->count;
    for (size_t i = 0; i < NW_ARRAY_LEN(group); i++)
        group[i](&j);
    if (j.no_memory)
        return nw_fail_nomem(err, "the findings");
    for (enum rule rule = 0; rule < RULES; rule++)
        if (j.found[rule] > LISTED_MAX) {
            struct nw_iommu_finding *f = nw_finding_append(findings, rule);
            if (!f)
                return nw_fail_nomem(err, "the findings");
            f->line = UINT32_MAX; /* behind the others */
            snprintf(f->where, sizeof f->where, "and");
            snprintf(f->detail, sizeof f->detail, "%u more are not listed", j.found[rule] - LISTED_MAX);
        }
    if (findings->count > before)
        qsort(findings->at + before, findings->count - before, sizeof *findings->at, by_severity);
    for (size_t i = before; i < findings->count; i++)
        findings->at[i].line = findings->at[i].line == UINT32_MAX ? 1 : findings->at[i].line;
    return NW_OK;
}
