/* The tables of a VT-d unit in memory, entry by entry. */
#include "../vtd/vtd_internal.h"
#include "image_findings.h"
#include <stdio.h>

struct vtd_image {
    struct image i;
    const struct nw_vtd_tables *t;
    /* Of the requester whose tables were told of last. */
    bool known;
    uint16_t source_id;
    bool has_pasid;
    uint32_t pasid;
    struct nw_vtd_trees trees;
};

static bool find_trees(struct vtd_image *v, uint16_t source_id, bool has_pasid, uint32_t pasid, unsigned *reason)
{
    const struct nw_vtd_request q = { .source_id = source_id, .has_pasid = has_pasid, .pasid = pasid };
    if (v->known && v->source_id == source_id && v->has_pasid == has_pasid && v->pasid == pasid)
        return true;
    *reason = nw_vtd_trees_of(v->t, &q, &v->trees);
    v->known = !*reason;
    v->source_id = source_id;
    v->has_pasid = has_pasid;
    v->pasid = pasid;
    return v->known;
}

/* Page tables of the format that the entry above gives them. */
static void judge_table(struct vtd_image *v, const struct nw_reach_table *t, const struct nw_paging *p)
{
    const uint64_t *word = iommu_table_page(v->t->memory.pm, t->address);
    for (unsigned k = 0; word && t->level < p->levels && k < 512; k++) {
        const bool leaf = nw_entry_is_leaf(p, t->level, word[k]);
        if (!nw_entry_present(p, word[k]) || !nw_entry_is_bad(p, t->level, word[k], leaf))
            continue;
        const uint64_t reserved = leaf ? p->level[t->level].reserved_leaf : p->level[t->level].reserved_table;
        char place[48];
        snprintf(place, sizeof place, "entry at 0x%llx", (unsigned long long)(t->address + 8 * k));
        image_add(&v->i, X12, t->source_id, place, "0x%016llx, of level %u, %s and has reserved bits set: 0x%llx",
                  (unsigned long long)word[k], t->level + 1u, leaf ? "maps a page" : "points to a table",
                  (unsigned long long)(word[k] & reserved));
    }
}

static void look(void *context, const struct nw_reach_table *t)
{
    struct vtd_image *v = context;
    unsigned reason = 0;
    const bool first = t->kind == NW_REACH_FIRST_STAGE;
    if ((!first && t->kind != NW_REACH_SECOND_STAGE) || t->guests || !t->readable || !image_enter(&v->i, t) ||
        !find_trees(v, t->source_id, t->has_pasid, t->pasid, &reason))
        return;
    if (first ? v->trees.has_first : v->trees.has_second)
        judge_table(v, t, first ? &v->trees.first : &v->trees.second);
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
    unsigned reason = 0;
    char place[24] = "";
    if (find_trees(v, q->source_id, q->has_pasid, q->pasid, &reason) || rule_of(reason) == RULES)
        return !v->i.no_memory;
    if (q->has_pasid)
        snprintf(place, sizeof place, "PASID 0x%x", q->pasid);
    image_add(&v->i, rule_of(reason), q->source_id, place, "every request faults with reason 0x%02x, %s", reason,
              nw_vtd_fault_text(reason));
    return !v->i.no_memory;
}

enum nw_status nw_iommu_check_image_vtd(const struct nw_vtd_tables *t, const char *unit,
                                        struct nw_iommu_findings *found, size_t *pages, struct nw_error *err)
{
    struct vtd_image v = { .i = { .unit = unit, .findings = found }, .t = t };
    const struct nw_reach_listener listener = { look, &v };
    const size_t first = found->count;
    struct nw_survey survey;
    bool more;
    nw_vtd_reach_sources(t, NULL, judge_source, &v, &more);
    enum nw_status s = nw_vtd_survey(t, 0, &listener, &survey, err);
    if (!s)
        nw_survey_fini(&survey);
    const enum nw_status end = image_end(&v.i, first, pages, err);
    return s ? s : end;
}
