/* entries.c - the kernel's dump of the table entries at the address of a fault. Source: Linux, drivers/iommu/intel/iommu.c,
 * dmar_fault_dump_ptes() and pgtable_walk(), 5.16 to 6.12. */
#include "log_internal.h"
#include <string.h>

/* "Dump dmar0 table entries for IOVA 0xfee00000" */
static bool take_heading(struct nw_fault_log *log, const char *line)
{
    const char *name = fault_after(line, "Dump "), *rest = fault_after(name, " table entries for IOVA ");
    uint64_t iova;
    if (!fault_number(rest, 16, &iova))
        return false;
    struct nw_fault_entries *e = log->last ? &log->group[log->last - 1].entries : NULL;
    log->dumping = e && !e->there; /* of a group the first dump is kept */
    if (!log->dumping)
        return true;
    e->there = true;
    e->iova = iova;
    size_t length = strcspn(name, " ");
    if (length >= sizeof e->unit)
        length = sizeof e->unit - 1;
    memcpy(e->unit, name, length);
    return true;
}

/* "hi 0x..., low 0x..." behind `name`. */
static bool high_and_low(const char *line, const char *name, uint64_t out[2])
{
    const char *at = fault_after(line, name);
    return fault_number(fault_after(at, "hi "), 16, &out[1]) && fault_number(fault_after(at, "low "), 16, &out[0]);
}

static bool take_pasid_word(struct nw_fault_entries *e, const char *line)
{
    uint64_t index, value;
    const char *at = fault_after(line, "pasid table entry[");
    if (!fault_number(at, 10, &index) || index >= 8 || !fault_number(fault_after(at, "]: "), 16, &value))
        return false;
    e->pasid[index] = value;
    if (index >= e->pasid_words)
        e->pasid_words = (unsigned)index + 1;
    return true;
}

static bool take_pte(struct nw_fault_entries *e, const char *line)
{
    uint64_t level, value;
    if (!fault_number(fault_after(line, "pte level: "), 10, &level) ||
        !fault_number(fault_after(line, "pte value: "), 16, &value))
        return false;
    if (e->ptes < NW_FAULT_PTES_MAX && level >= 1 && level <= 5) {
        e->pte[e->ptes].level = (unsigned)level;
        e->pte[e->ptes++].value = value;
    }
    return true;
}

static bool take_entry(struct nw_fault_entries *e, const char *line)
{
    if (high_and_low(line, "scalable mode root entry: ", e->root))
        return e->scalable = e->has_root = true;
    if (fault_number(fault_after(line, " root entry: "), 16, &e->root[0]))
        return e->has_root = true;
    if (high_and_low(line, "context entry: ", e->context))
        return e->has_context = true;
    if (fault_number(fault_after(line, "pasid dir entry: "), 16, &e->directory))
        return e->has_directory = true;
    return take_pasid_word(e, line) || take_pte(e, line);
}

bool fault_entries_line(struct nw_fault_log *log, const char *line)
{
    static struct nw_fault_entries passed_over; /* of dumps that are not kept: only whether a line is one matters */
    if (!strstr(line, "DMAR"))
        return false;
    if (take_heading(log, line))
        return true;
    if (!log->last)
        return false;
    passed_over = (struct nw_fault_entries){ .there = false };
    return take_entry(log->dumping ? &log->group[log->last - 1].entries : &passed_over, line) ||
           strstr(line, "table not present at level") || strstr(line, "table is not present");
}
