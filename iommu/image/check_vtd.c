/* The tables of a VT-d unit in memory, entry by entry. */
#include "../vtd/vtd_internal.h"
#include "image_findings.h"
#include <stdio.h>

struct vtd_image {
    struct image i;
    const struct nw_vtd_tables *t;
};

/* Does the page lie in memory as a whole? */
static bool is_readable(const struct nw_vtd_tables *t, uint64_t address)
{
    bool readable = !t->memory.ram && !(address >> t->unit.haw);
    for (size_t i = 0; t->memory.ram && i < t->memory.ram_count; i++)
        readable |= address >= t->memory.ram[i].start && address + NW_PAGE_BYTES <= t->memory.ram[i].end;
    return readable;
}

/* The table of this level and all below it, each once; an entry that is not as it should be leads nowhere. */
static void descend(struct vtd_image *v, const struct nw_paging *p, enum nw_reach_table_kind kind, uint16_t source_id,
                    uint64_t address, unsigned level)
{
    const struct nw_reach_table t = { .kind = kind, .level = (uint8_t)level, .address = address };
    const uint64_t *word = is_readable(v->t, address) ? iommu_table_page(v->t->memory.pm, address) : NULL;
    if (!word || !image_enter(&v->i, &t))
        return;
    for (unsigned k = 0; k < 512; k++) {
        if (!nw_entry_present(p, word[k]))
            continue;
        const bool leaf = nw_entry_is_leaf(p, level, word[k]);
        if (nw_entry_is_bad(p, level, word[k], leaf)) {
            const uint64_t reserved = leaf ? p->level[level].reserved_leaf : p->level[level].reserved_table;
            char place[48];
            snprintf(place, sizeof place, "entry at 0x%llx", (unsigned long long)(address + 8 * k));
            image_add(&v->i, X12, source_id, place, "0x%016llx, of level %u, %s and has reserved bits set: 0x%llx",
                      (unsigned long long)word[k], level + 1u, leaf ? "maps a page" : "points to a table",
                      (unsigned long long)(word[k] & reserved));
        } else if (!leaf && level) {
            descend(v, p, kind, source_id, word[k] & p->table_address, level - 1);
        }
    }
}

/* The fault reasons of entries that are not as they should be: VT-d, "Fault Conditions". */
static enum rule rule_of(unsigned reason)
{
    switch (reason) {
    case 0x0a:
    case 0x0b:
    case 0x3a:
    case 0x42:
    case 0x52:
    case 0x5a: return X02;
    case 0x03:
    case 0x43:
    case 0x48:
    case 0x5b:
    case 0x73:
    case 0x7b: return X03;
    default: return RULES;
    }
}

static bool judge_source(void *context, const struct nw_reach_request *q)
{
    struct vtd_image *v = context;
    const struct nw_vtd_request as_dma = { .source_id = q->source_id, .has_pasid = q->has_pasid, .pasid = q->pasid };
    struct nw_vtd_trees trees;
    const unsigned reason = nw_vtd_trees_of(v->t, &as_dma, &trees);
    char place[24] = "";
    if (q->has_pasid)
        snprintf(place, sizeof place, "PASID 0x%x", q->pasid);
    if (rule_of(reason) != RULES)
        image_add(&v->i, rule_of(reason), q->source_id, place, "every request faults with reason 0x%02x, %s", reason,
                  nw_vtd_fault_text(reason));
    if (!reason && trees.has_second)
        descend(v, &trees.second, NW_REACH_SECOND_STAGE, q->source_id, trees.second.root, trees.second.levels - 1u);
    if (!reason && trees.translation == NW_VTD_FIRST_STAGE) /* of a nested one it is the guest's */
        descend(v, &trees.first, NW_REACH_FIRST_STAGE, q->source_id, trees.first.root, trees.first.levels - 1u);
    return !v->i.no_memory;
}

enum nw_status nw_iommu_check_image_vtd(const struct nw_vtd_tables *t, const char *unit,
                                        struct nw_iommu_findings *found, size_t *pages, struct nw_error *err)
{
    struct vtd_image v = { .i = { .unit = unit, .findings = found }, .t = t };
    const size_t first = found->count;
    bool more;
    nw_vtd_reach_sources(t, NULL, judge_source, &v, &more);
    return image_end(&v.i, first, pages, err);
}
