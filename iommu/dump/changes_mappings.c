/* Mappings of two dumps: what is gone, leads elsewhere, has fewer rights or is new, and whether the IOTLB has been told. */
#include "changes.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How far from `start` on the IOTLB has been invalidated: the first address that has not. */
static uint64_t invalidated_up_to(const struct unit_queue *u, const struct domain *d, uint64_t start, uint64_t last)
{
    uint64_t at = start;
    for (bool more = true; more && at <= last;) {
        more = false;
        for (unsigned n = 0; n < u->e.count && at <= last; n++) {
            const struct nw_vtd_descriptor *v = &u->done[n];
            if ((v->type != NW_VTD_INVALIDATE_IOTLB && v->type != NW_VTD_INVALIDATE_PASID_IOTLB) ||
                !nw_changes_names(v, d) || v->start > at || v->last < at)
                continue;
            more = true;
            if (v->last >= last)
                return last + 1;
            at = v->last + 1;
        }
    }
    return at;
}

static int by_key(const void *a, const void *b)
{
    const struct nw_dump_mapping *x = *(const struct nw_dump_mapping *const *)a,
                                 *y = *(const struct nw_dump_mapping *const *)b;
    if (x->source_id != y->source_id)
        return x->source_id < y->source_id ? -1 : 1;
    if (x->has_pasid != y->has_pasid)
        return x->has_pasid ? 1 : -1;
    if (x->pasid != y->pasid)
        return x->pasid < y->pasid ? -1 : 1;
    return x->iova < y->iova ? -1 : x->iova > y->iova;
}

/* The mappings by device and address. NULL, with *count 0 or no memory. */
static const struct nw_dump_mapping **sorted(const struct nw_dump *d)
{
    const struct nw_dump_mapping **at = malloc((d->mappings + 1) * sizeof *at);
    for (size_t i = 0; at && i < d->mappings; i++)
        at[i] = &d->mapping[i];
    if (at && d->mappings)
        qsort(at, d->mappings, sizeof *at, by_key);
    return at;
}

static bool same_tables(const struct nw_dump_mapping *a, const struct nw_dump_mapping *b)
{
    return a->source_id == b->source_id && a->has_pasid == b->has_pasid && a->pasid == b->pasid;
}

/* Its "Device" line in the dump; NULL: the dump does not say what it maps. */
static const struct nw_dump_tree *tree_in(const struct nw_dump *d, const struct nw_dump_mapping *m)
{
    for (size_t i = 0; i < d->trees; i++)
        if (d->tree[i].source_id == m->source_id && d->tree[i].has_pasid == m->has_pasid &&
            d->tree[i].pasid == m->pasid)
            return &d->tree[i];
    return NULL;
}

static bool is_comparable(const struct changes *c, const struct nw_dump_mapping *m, const struct nw_dump *other)
{
    const struct nw_dump_tree *old = tree_in(c->old, m), *now = tree_in(c->now, m);
    return tree_in(other, m) && (old->root == now->root || !c->old->contexts || !c->now->contexts);
}

struct piece {
    const struct nw_dump_mapping *of;
    uint64_t start, last;
};

static void where_of(const struct piece *p, char where[96])
{
    nw_judge_name(p->of->source_id, where);
    if (p->of->has_pasid)
        snprintf(where + strlen(where), 96 - strlen(where), " PASID 0x%x", p->of->pasid);
    snprintf(where + strlen(where), 96 - strlen(where), " IOVA 0x%llx", (unsigned long long)p->start);
}

/* Does the kernel flush the device's unmappings at once? Its group's type says so, where it is known: DMA, or that a guest or a driver in
 * user space has it; DMA-FQ is the lazy one. Else what is known of all. */
static bool is_strict(const struct changes *c, uint16_t source_id)
{
    const struct nw_dump *d = c->now;
    for (size_t i = 0; i < d->functions; i++) {
        if (d->function[i].bdf != source_id || !d->function[i].has_group)
            continue;
        for (size_t k = 0; k < d->groups; k++)
            if (d->group[k].number == d->function[i].group)
                return strcmp(d->group[k].type, "DMA-FQ") != 0;
    }
    return c->strict;
}

/* A piece of an earlier mapping is gone, leads elsewhere or has fewer rights; or, `fresh`, it was none and is one. */
static void judge_piece(struct changes *c, const struct piece *p, bool fresh)
{
    const struct nw_dump_mapping *m = p->of;
    const struct domain d = nw_changes_domain(fresh ? c->now : c->old, m->source_id, m->has_pasid, m->pasid);
    struct unit_queue *u = nw_changes_queue(c, d.unit ? d.unit : "");
    const bool strict = is_strict(c, m->source_id);
    enum nw_iommu_severity severity = fresh || !strict ? NW_IOMMU_WARNING : NW_IOMMU_ERROR;
    char where[96];
    if (!u)
        return;
    if (fresh) {
        const struct nw_dump_unit *registers = nw_judge_unit(c->now, u->name);
        if (!registers || !set(registers, NW_DUMP_CAP, NW_VTD_CAP_CM))
            return;
    }
    const uint64_t from = invalidated_up_to(u, &d, p->start, p->last);
    if (from > p->last || !nw_changes_weigh(u, "mappings", &severity))
        return;
    where_of(p, where);
    const struct nw_dump_place *at = &u->e.now.place;
    if (fresh)
        nw_judge_add_as(c->j, severity, Q06, at, where,
                        "0x%llx bytes are new, and no invalidation covers 0x%llx, with CAP.CM set%s",
                        (unsigned long long)(p->last - p->start + 1), (unsigned long long)from, nw_changes_surely(u));
    else
        nw_judge_add_as(c->j, severity, Q04, at, where,
                        "0x%llx bytes led to 0x%llx, which is over, and no invalidation covers 0x%llx%s%s",
                        (unsigned long long)(p->last - p->start + 1),
                        (unsigned long long)(m->target + (p->start - m->iova)), (unsigned long long)from,
                        nw_changes_surely(u), strict ? "" : "; a lazy kernel may still do it");
}

/* The parts of `m` that `other` does not have just so; `count` of them in order, from *next on those that may touch it. */
static void judge_mapping(struct changes *c, const struct nw_dump_mapping *m, const struct nw_dump_mapping **other,
                          size_t count, size_t *next, bool fresh)
{
    const uint64_t last = m->iova + (m->bytes - 1);
    uint64_t at = m->iova;
    struct piece p = { .of = m, .start = at };
    while (*next < count && (by_key(&other[*next], &m) < 0) &&
           (!same_tables(other[*next], m) || other[*next]->iova + (other[*next]->bytes - 1) < m->iova))
        ++*next;
    for (size_t i = *next; i < count && same_tables(other[i], m) && other[i]->iova <= last && at <= last; i++) {
        const struct nw_dump_mapping *o = other[i];
        const uint64_t o_last = o->iova + (o->bytes - 1);
        const bool kept =
            o->target - o->iova == m->target - m->iova && (o->read || !m->read) && (o->write || !m->write);
        if (o_last < at || (!kept && !fresh))
            continue;
        if (o->iova > at) { /* up to here it is not as it was */
            p.last = o->iova - 1;
            judge_piece(c, &p, fresh);
        }
        at = o_last + 1;
        p.start = at;
        if (!at) /* the end of all addresses */
            return;
    }
    if (at > last)
        return;
    p.last = last;
    judge_piece(c, &p, fresh);
}

/* The runs of one dump that the other does not have just so. A device that the other dump does not show, or that has other tables by
 * its entries in both dumps, is not compared. */
static void compare(struct changes *c, const struct nw_dump_mapping **of, size_t count,
                    const struct nw_dump *other_dump, const struct nw_dump_mapping **other, size_t others, bool fresh)
{
    size_t next = 0;
    bool comparable = false;
    for (size_t i = 0; i < count && !c->j->no_memory; i++) {
        if (!i || !same_tables(of[i], of[i - 1]))
            comparable = is_comparable(c, of[i], other_dump);
        if (comparable)
            judge_mapping(c, of[i], other, others, &next, fresh);
    }
}

void nw_changes_mappings(struct changes *c)
{
    const struct nw_dump_mapping **old = sorted(c->old), **now = sorted(c->now);
    c->j->no_memory |= !old || !now;
    if (old && now) {
        compare(c, old, c->old->mappings, c->now, now, c->now->mappings, false);
        compare(c, now, c->now->mappings, c->old, old, c->old->mappings, true);
    }
    free(old);
    free(now);
}
