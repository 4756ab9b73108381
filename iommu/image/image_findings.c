/* Findings in images: image_findings.h. */
#include "image_findings.h"
#include <stdarg.h>
#include <stdio.h>

void image_add(struct image *i, enum rule rule, uint16_t source_id, const char *place, const char *format, ...)
{
    if (i->found[rule]++ >= LISTED_MAX)
        return;
    struct nw_iommu_finding *f = nw_finding_append(i->findings, rule);
    i->no_memory |= !f;
    if (!f)
        return;
    snprintf(f->where, sizeof f->where, "%.15s %02x:%02x.%x %s", i->unit, source_id >> 8, source_id >> 3 & 31u,
             source_id & 7u, place);
    va_list ap;
    va_start(ap, format);
    vsnprintf(f->detail, sizeof f->detail, format, ap);
    va_end(ap);
}

bool image_enter(struct image *i, const struct nw_reach_table *t)
{
    const bool first = iommu_seen_enter(&i->seen, t->address, (uint64_t)t->kind << 8 | t->level, &i->no_memory);
    i->pages += first;
    return first;
}

enum nw_status image_end(struct image *i, size_t first, size_t *pages, struct nw_error *err)
{
    for (enum rule rule = 0; rule < RULES && !i->no_memory; rule++) {
        if (i->found[rule] <= LISTED_MAX)
            continue;
        struct nw_iommu_finding *f = nw_finding_append(i->findings, rule);
        i->no_memory |= !f;
        if (f) {
            snprintf(f->where, sizeof f->where, "and");
            snprintf(f->detail, sizeof f->detail, "%u more are not listed", i->found[rule] - LISTED_MAX);
        }
    }
    iommu_seen_fini(&i->seen);
    *pages = i->pages;
    nw_iommu_findings_sort(i->findings, first);
    return i->no_memory ? nw_fail_nomem(err, "the findings") : NW_OK;
}
