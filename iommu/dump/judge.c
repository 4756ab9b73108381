/* The rules about running machines, all groups. */
#include "judge.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static NW_PRINTF(6, 0) void add(struct judge *j, enum nw_iommu_severity severity, enum rule rule,
                                const struct nw_dump_place *at, const char *where, const char *format, va_list ap)
{
    if (at->input >= j->inputs || j->found[at->input][rule]++ >= LISTED_MAX)
        return;
    struct nw_iommu_finding *f = nw_finding_append(&j->by_input[at->input], rule);
    if (!f) {
        j->no_memory = true;
        return;
    }
    f->severity = severity;
    f->line = at->line;
    f->offset = at->offset;
    snprintf(f->where, sizeof f->where, "%s", where);
    vsnprintf(f->detail, sizeof f->detail, format, ap);
}

void nw_judge_add(struct judge *j, enum rule rule, const struct nw_dump_place *at, const char *where,
                  const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    add(j, nw_iommu_rules[rule].severity, rule, at, where, format, ap);
    va_end(ap);
}

void nw_judge_add_as(struct judge *j, enum nw_iommu_severity severity, enum rule rule, const struct nw_dump_place *at,
                     const char *where, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    add(j, severity, rule, at, where, format, ap);
    va_end(ap);
}

void nw_judge_name(uint16_t bdf, char out[8]) { snprintf(out, 8, "%02x:%02x.%x", bdf >> 8, bdf >> 3 & 31u, bdf & 7u); }

void nw_judge_function(const struct nw_dump_function *f, char out[16])
{
    char name[8];
    nw_judge_name(f->bdf, name);
    if (f->segment)
        snprintf(out, 16, "%04x:%s", f->segment, name);
    else
        snprintf(out, 16, "%s", name);
}

const struct nw_dump_unit *nw_judge_unit(const struct nw_dump *d, const char *name)
{
    for (size_t i = 0; i < d->units; i++)
        if (!strcmp(d->unit[i].name, name))
            return &d->unit[i];
    return NULL;
}

struct nw_vtd_capabilities nw_judge_capabilities(const struct nw_dump *d, const struct nw_dump_unit *u)
{
    struct nw_vtd_capabilities c = { .cap = ~UINT64_C(0), .ecap = ~UINT64_C(0), .haw = 52 };
    if (u && u->has[NW_DUMP_CAP])
        c.cap = u->value[NW_DUMP_CAP];
    if (u && u->has[NW_DUMP_ECAP])
        c.ecap = u->value[NW_DUMP_ECAP];
    if (d->haw >= 32)
        c.haw = d->haw;
    return c;
}

bool nw_judge_shown(const struct nw_dump *d, uint16_t bdf)
{
    for (size_t i = 0; i < d->functions; i++)
        if (d->function[i].bdf == bdf)
            return true;
    return false;
}

static judge_group *const group[] = { nw_judge_registers, nw_judge_translation, nw_judge_mappings, nw_judge_interrupts,
                                      nw_judge_queue,     nw_judge_memory,      nw_judge_platform, nw_judge_coverage,
                                      nw_judge_topology,  nw_judge_ats,         nw_judge_faults,   nw_judge_paging,
                                      nw_judge_amdvi,     nw_judge_latency,     nw_judge_changes };

static enum nw_status count_the_rest(struct judge *j, size_t input)
{
    for (enum rule rule = 0; rule < RULES; rule++) {
        if (j->found[input][rule] <= LISTED_MAX)
            continue;
        struct nw_iommu_findings *findings = &j->by_input[input];
        struct nw_iommu_finding *f = nw_finding_append(findings, rule);
        if (!f)
            return NW_ERR_NOMEM;
        for (size_t i = 0; i + 1 < findings->count; i++) /* behind the others of the rule */
            if (findings->at[i].rule == f->rule) {
                f->severity = findings->at[i].severity;
                f->line = findings->at[i].line;
                f->offset = findings->at[i].offset;
            }
        snprintf(f->where, sizeof f->where, "and");
        snprintf(f->detail, sizeof f->detail, "%u more are not listed", j->found[input][rule] - LISTED_MAX);
    }
    return NW_OK;
}

enum nw_status nw_iommu_check_dumps(const struct nw_dump *d, struct nw_iommu_findings *by_input, size_t inputs,
                                    struct nw_error *err)
{
    struct judge j = { .d = d, .inputs = inputs, .by_input = by_input, .found = calloc(inputs + 1, sizeof *j.found) };
    j.no_memory = !j.found;
    for (size_t i = 0; !j.no_memory && i < NW_ARRAY_LEN(group); i++)
        group[i](&j);
    for (size_t i = 0; !j.no_memory && i < inputs; i++) {
        j.no_memory = count_the_rest(&j, i) != NW_OK;
        nw_iommu_findings_sort(&by_input[i], 0);
    }
    free(j.found);
    return j.no_memory ? nw_fail_nomem(err, "the findings") : NW_OK;
}

enum nw_status nw_iommu_check_dump(const struct nw_dump *d, unsigned input, struct nw_iommu_findings *findings,
                                   struct nw_error *err)
{
    struct nw_iommu_findings *by_input = calloc((size_t)input + 1, sizeof *by_input);
    if (!by_input)
        return nw_fail_nomem(err, "the findings");
    enum nw_status s = nw_iommu_check_dumps(d, by_input, (size_t)input + 1, err);
    if (!s)
        s = nw_iommu_findings_add(findings, &by_input[input], err);
    for (size_t i = 0; i <= input; i++)
        nw_iommu_findings_fini(&by_input[i]);
    free(by_input);
    return s;
}
