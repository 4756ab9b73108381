/* check.c - findings, and what is judged alike in both tables: the header and whether the lengths fit. */
#include "acpi_internal.h"
#include "check_table.h"
#include <stdio.h>
#include <stdlib.h>

/* A finding whose detail is yet to be written; NULL when there is no memory. */
static struct nw_iommu_finding *append(struct check *c, enum rule rule, uint32_t offset, const char *subject)
{
    struct nw_iommu_finding *f = nw_finding_append(c->findings, rule);
    if (!f) {
        c->no_memory = true;
        return NULL;
    }
    f->offset = offset;
    snprintf(f->where, sizeof f->where, "%s+0x%x%s%s", nw_acpi_kind_name(c->table->kind), offset, *subject ? " " : "",
             subject);
    return f;
}

static struct nw_iommu_finding *add(struct check *c, enum rule rule, uint32_t offset, const char *subject,
                                    const char *format, va_list ap)
{
    c->last_offset[rule] = offset;
    if (c->found[rule]++ >= LISTED_MAX)
        return NULL;
    struct nw_iommu_finding *f = append(c, rule, offset, subject);
    if (f)
        vsnprintf(f->detail, sizeof f->detail, format, ap);
    return f;
}

void nw_check_add(struct check *c, enum rule rule, uint32_t offset, const char *subject, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    add(c, rule, offset, subject, format, ap);
    va_end(ap);
}

void nw_check_add_lesser(struct check *c, enum rule rule, enum nw_iommu_severity severity, uint32_t offset,
                         const char *subject, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    struct nw_iommu_finding *f = add(c, rule, offset, subject, format, ap);
    va_end(ap);
    if (f && severity < f->severity)
        f->severity = severity;
}

static void count_the_rest(struct check *c)
{
    for (enum rule rule = 0; rule < RULES; rule++) {
        if (c->found[rule] <= LISTED_MAX)
            continue;
        struct nw_iommu_finding *f = append(c, rule, c->last_offset[rule], "");
        if (f)
            snprintf(f->detail, sizeof f->detail, "%u more are not listed; the last of them is here",
                     c->found[rule] - LISTED_MAX);
    }
}

static void check_header(struct check *c)
{
    const struct nw_acpi_table *t = c->table;
    if (t->length < nw_acpi_fixed(t->kind))
        nw_check_add(c, T01, 4, "length", "the header says %u bytes; the fixed part alone has %u", t->length,
                     nw_acpi_fixed(t->kind));
    else if (t->length > t->size)
        nw_check_add(c, T01, 4, "length", "the header says %u bytes, of which %u are there", t->length, t->size);
    else if (t->length < t->size)
        nw_check_add(c, T01, 4, "length", "the header says %u bytes; %u more follow", t->length, t->size - t->length);
    if (t->length <= t->size && t->sum) /* the sum of a part proves nothing */
        nw_check_add(c, T01, 9, "checksum",
                     "the bytes add up to 0x%02x, not to 0: the checksum 0x%02x would have to be 0x%02x", t->sum,
                     t->checksum, (uint8_t)(t->checksum - t->sum));
}

static void check_problems(struct check *c, const struct nw_acpi_problems *problems)
{
    for (size_t i = 0; i < problems->count; i++) {
        const struct nw_acpi_problem *p = &problems->at[i];
        if (p->zeros) /* firmware that fills up */
            nw_check_add_lesser(c, T02, NW_IOMMU_WARNING, p->offset, "", "%s; they are all zero", p->text);
        else
            nw_check_add(c, T02, p->offset, "", "%s", p->text);
    }
}

enum nw_status nw_iommu_check_table(const struct nw_acpi_table *table, struct nw_iommu_findings *findings,
                                    size_t *structures, struct nw_error *err)
{
    struct check c = { .table = table, .findings = findings };
    size_t before = findings->count;
    enum nw_status s;
    check_header(&c);
    if (table->kind == NW_ACPI_DMAR) {
        struct nw_dmar dmar;
        if ((s = nw_dmar_decode(table, &dmar, err)))
            return s;
        check_problems(&c, &dmar.problems);
        nw_check_dmar(&c, &dmar);
        *structures = dmar.structures;
        nw_dmar_fini(&dmar);
    } else if (table->kind == NW_ACPI_MADT) {
        struct nw_madt madt;
        if ((s = nw_madt_decode(table, &madt, err)))
            return s;
        check_problems(&c, &madt.problems);
        *structures = madt.entries;
        nw_madt_fini(&madt);
    } else {
        struct nw_ivrs ivrs;
        if ((s = nw_ivrs_decode(table, &ivrs, err)))
            return s;
        check_problems(&c, &ivrs.problems);
        nw_check_ivrs(&c, &ivrs);
        *structures = ivrs.blocks;
        nw_ivrs_fini(&ivrs);
    }
    count_the_rest(&c);
    if (c.no_memory)
        return nw_fail_nomem(err, "the findings");
    nw_iommu_findings_sort(findings, before);
    return NW_OK;
}
