/* PASID-table entries against what the unit can do, and paging entries of the kernel's dumps in the format that the entry above them
 * gives them. */
#include "judge.h"
#include <nestwalk/iommu/vtd_entries.h>
#include <stdio.h>
#include <string.h>

enum { PGTT_FIRST = 1, PGTT_SECOND, PGTT_NESTED };

/* ---- PASID-table entries ------------------------------------------------------------------------ */

static bool has_ecap(const struct nw_dump_unit *u, uint64_t bits) { return u && set(u, NW_DUMP_ECAP, bits); }
static bool lacks_ecap(const struct nw_dump_unit *u, uint64_t bits) { return u && clear(u, NW_DUMP_ECAP, bits); }

/* Do the unit's walks of this entry's tables snoop the processors' caches? VT-d, "Scalable-Mode PASID Table Entry", PWSNP. */
static bool walks_snoop(const struct nw_dump_unit *u, const struct nw_vtd_pasid_entry *e)
{
    return has_ecap(u, NW_VTD_ECAP_SMPWCS) ? e->walk_snoops : !lacks_ecap(u, NW_VTD_ECAP_C);
}

static void judge_snooping(struct judge *j, const struct nw_dump_context *c, const struct nw_dump_unit *u,
                           const struct nw_vtd_pasid_entry *e, const char *where)
{
    const bool first = e->type == PGTT_FIRST || e->type == PGTT_NESTED, keeps = first || e->flags_kept;
    if (u && u->has[NW_DUMP_ECAP] && keeps && !walks_snoop(u, e))
        nw_judge_add(j, X21, &c->place, where, "%s, and %s", first ? "PGTT has a first stage" : "SSADE is set",
                     has_ecap(u, NW_VTD_ECAP_SMPWCS) ? "PWSNP is clear" : "ECAP.C and ECAP.SMPWCS are clear");
    if (!has_ecap(u, NW_VTD_ECAP_SC) || e->page_snoops)
        return;
    /* One domain, forced to snoop for one device and not for another. */
    for (size_t i = 0; i < j->d->contexts; i++) {
        const struct nw_dump_context *o = &j->d->context[i];
        struct nw_vtd_pasid_entry other;
        char name[8];
        if (!o->has_pasid || !(o->entry[0] & 1) || strcmp(o->unit, c->unit) != 0)
            continue;
        nw_vtd_pasid_decode(o->entry, &other);
        if (!other.page_snoops || other.domain_id != e->domain_id || other.first_root != e->first_root ||
            other.second_root != e->second_root || !(e->first_root | e->second_root))
            continue;
        nw_judge_name(o->source_id, name);
        nw_judge_add(j, X20, &c->place, where, "PGSNP is clear here, and set for %s PASID 0x%x of the same domain",
                     name, o->pasid);
        return;
    }
}

static void judge_pasid(struct judge *j, const struct nw_dump_context *c, const char *where)
{
    const struct nw_dump_unit *u = nw_judge_unit(j->d, c->unit);
    const uint64_t room = nw_vtd_pasids_of(c->context[0]), rid = nw_field(c->context[1], 19, 0);
    struct nw_vtd_pasid_entry e;
    nw_vtd_pasid_decode(c->entry, &e);
    if (c->pasid >= room)
        nw_judge_add(j, X22, &c->place, where, "the directory has room for 0x%llx PASIDs", (unsigned long long)room);
    if (rid >= room)
        nw_judge_add(j, X22, &c->place, where, "RID_PASID is 0x%llx; the directory has room for 0x%llx PASIDs",
                     (unsigned long long)rid, (unsigned long long)room);
    if (has_ecap(u, NW_VTD_ECAP_PASID)) {
        const unsigned bits = (unsigned)nw_field(u->value[NW_DUMP_ECAP], 39, 35) + 1; /* PSS */
        if (c->pasid >> bits)
            nw_judge_add(j, X22, &c->place, where, "the unit has PASIDs of %u bits (ECAP.PSS)", bits);
    }
    if (!(c->entry[0] & 1))
        return;
    const bool first = e.type == PGTT_FIRST || e.type == PGTT_NESTED;
    if (e.type == PGTT_NESTED && lacks_ecap(u, NW_VTD_ECAP_NEST))
        nw_judge_add(j, X23, &c->place, where, "PGTT is 3, nested, and ECAP.NEST is clear");
    if (first && e.first_levels > 5)
        nw_judge_add(j, X23, &c->place, where, "FSPM is %u, which is reserved", e.first_levels - 4u);
    if (first && e.first_levels == 5 && u && clear(u, NW_DUMP_CAP, NW_VTD_CAP_FL5LP))
        nw_judge_add(j, X23, &c->place, where, "FSPM asks for 5 levels, and CAP.FL5LP is clear");
    if (first && e.supervisor && lacks_ecap(u, NW_VTD_ECAP_SRS))
        nw_judge_add(j, X23, &c->place, where, "SRE is set, and ECAP.SRS is clear");
    judge_snooping(j, c, u, &e, where);
}

/* ---- paging entries ----------------------------------------------------------------------------- */

/* The tables that a "Device" line is about, in their format; false: no row of dmar_translation_struct says which. */
static bool tree_of(const struct nw_dump *d, const struct nw_dump_tree *t, const struct nw_dump_unit **unit,
                    struct nw_paging *out)
{
    for (size_t i = 0; i < d->contexts; i++) {
        const struct nw_dump_context *c = &d->context[i];
        struct nw_vtd_trees trees;
        if (c->source_id != t->source_id || !(c->context[0] & 1))
            continue;
        *unit = nw_judge_unit(d, c->unit);
        const struct nw_vtd_capabilities u = nw_judge_capabilities(d, *unit);
        if (!c->has_pasid && !t->has_pasid && !nw_vtd_context_trees(&u, c->context, &trees) && trees.has_second &&
            (c->context[0] & nw_mask(51, 12)) == t->root) {
            *out = trees.second;
            return true;
        }
        const uint64_t word[8] = { c->entry[0], c->entry[1], c->entry[2] }; /* the kernel shows no others */
        struct nw_vtd_pasid_entry e;
        nw_vtd_pasid_decode(word, &e);
        if (!c->has_pasid || (t->has_pasid && t->pasid != c->pasid) || nw_vtd_pasid_trees(&u, word, &trees))
            continue;
        if (trees.has_first && e.first_root == t->root) {
            *out = trees.first;
            return true;
        }
        if (trees.has_second && e.second_root == t->root) {
            *out = trees.second;
            return true;
        }
    }
    return false;
}

static void where_of(const struct nw_dump_tree *t, char where[64])
{
    nw_judge_name(t->source_id, where);
    if (t->has_pasid)
        snprintf(where + strlen(where), 64 - strlen(where), " PASID 0x%x", t->pasid);
}

static const struct nw_dump_entries *entries_of(const struct nw_dump *d, const struct nw_dump_tree *t, unsigned level,
                                                unsigned maps)
{
    return t->entries[level][maps] ? &d->entries[t->entries[level][maps] - 1] : NULL;
}

/* The entries of a level and kind are known by the bits that any of them has, each with the first row that has it. */
static void judge_reserved(struct judge *j, const struct nw_dump_tree *t, const struct nw_paging *p)
{
    for (unsigned level = 0; level < NW_DUMP_LEVELS; level++)
        for (unsigned leaf = 0; leaf < 2; leaf++) {
            const struct nw_dump_entries *e = entries_of(j->d, t, level, leaf);
            char where[64];
            if (!e)
                continue;
            where_of(t, where);
            if (level >= p->levels) {
                nw_judge_add(j, X12, &t->place, where, "entries of level %u, and the tables have %u levels", level + 1,
                             p->levels);
                continue;
            }
            const bool maps = nw_entry_is_leaf(p, level, leaf ? NW_BIT(7) : 0);
            const uint64_t reserved = maps ? p->level[level].reserved_leaf : p->level[level].reserved_table;
            const uint64_t found = e->any & reserved;
            if (!found)
                continue;
            const unsigned bit = (unsigned)__builtin_ctzll(found);
            const struct nw_dump_place at = { .input = t->place.input, .line = e->line[bit] };
            nw_judge_add(j, X12, &at, where, "an entry of level %u that %s has bit %u set; reserved bits found: 0x%llx",
                         level + 1, maps ? "maps a page" : "points to a table", bit, (unsigned long long)found);
        }
}

#define SNP NW_BIT(11) /* of a leaf of the second stage */

static void judge_snp(struct judge *j, const struct nw_dump_tree *t)
{
    const struct nw_dump_entries *without = NULL;
    bool any = false;
    char where[64];
    for (unsigned level = 0; level < NW_DUMP_LEVELS; level++) {
        const struct nw_dump_entries *e = entries_of(j->d, t, level, 1);
        any |= e && (e->any & SNP);
        if (e && !(e->all & SNP) && !without)
            without = e;
    }
    if (!any || !without)
        return;
    const struct nw_dump_place at = { .input = t->place.input, .line = without->line_without_snoop };
    where_of(t, where);
    nw_judge_add(j, X20, &at, where, "SNP is clear in an entry here, and set in others of the same tables");
}

void nw_judge_paging(struct judge *j)
{
    const struct nw_dump *d = j->d;
    for (size_t i = 0; i < d->contexts; i++) {
        const struct nw_dump_context *c = &d->context[i];
        char where[64], name[8];
        nw_judge_name(c->source_id, name);
        snprintf(where, sizeof where, "%s %s PASID 0x%x", c->unit, name, c->pasid);
        if (c->has_pasid)
            judge_pasid(j, c, where);
    }
    for (size_t i = 0; i < d->trees; i++) {
        const struct nw_dump_unit *unit = NULL;
        struct nw_paging p;
        if (!tree_of(d, &d->tree[i], &unit, &p))
            continue;
        judge_reserved(j, &d->tree[i], &p);
        const bool second = p.format->id >= NW_FORMAT_VTD_SS_3LEVEL && p.format->id <= NW_FORMAT_VTD_SS_5LEVEL;
        if (second && has_ecap(unit, NW_VTD_ECAP_SC))
            judge_snp(j, &d->tree[i]);
    }
}
