/* What has changed between two dumps of one machine: changes.h. */
#include "../acpi/acpi_internal.h"
#include "changes.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- a unit's queue, decoded --------------------------------------------------------------------- */

static bool decode(struct unit_queue *u)
{
    u->done = u->e.count ? calloc(u->e.count, sizeof *u->done) : NULL;
    if (u->e.count && !u->done)
        return false;
    for (unsigned n = 0; n < u->e.count; n++) {
        const uint64_t *word = nw_evidence_slot(&u->e, n);
        if (word)
            nw_vtd_descriptor_decode(word, ~UINT64_C(0), &u->done[n]);
    }
    return true;
}

struct unit_queue *nw_changes_queue(struct changes *c, const char *name)
{
    for (size_t i = 0; i < c->units; i++)
        if (!strcmp(c->unit[i].name, name))
            return &c->unit[i];
    struct unit_queue *more = nw_acpi_grow((void **)&c->unit, &c->units, sizeof *more);
    if (more)
        snprintf(more->name, sizeof more->name, "%.15s", name);
    if (!more || nw_evidence_vtd(&more->e, c->old, c->now, name, NULL) || !decode(more)) {
        c->j->no_memory = true;
        return NULL;
    }
    return more;
}

/* The severity that a change without invalidation has; false: nothing can be said. */
bool nw_changes_weigh(struct unit_queue *u, const char *what, enum nw_iommu_severity *severity)
{
    if (!nw_evidence_whole(&u->e)) {
        if (!u->unknown++)
            u->first_unknown = what;
        return false;
    }
    if (u->e.kind != EVIDENCE_ALL && *severity > NW_IOMMU_WARNING)
        *severity = NW_IOMMU_WARNING;
    return true;
}

const char *nw_changes_surely(const struct unit_queue *u)
{
    return u->e.kind == EVIDENCE_ALL ? "" : ", unless the queue has gone round with the same in every slot";
}

/* ---- whose tables ---------------------------------------------------------------------------------- */

struct domain nw_changes_domain(const struct nw_dump *d, uint16_t source_id, bool has_pasid, uint32_t pasid)
{
    struct domain out = { .pasid = has_pasid ? pasid : 0 };
    for (size_t i = 0; i < d->contexts; i++) {
        const struct nw_dump_context *x = &d->context[i];
        if (x->source_id != source_id || (x->has_pasid && x->pasid != out.pasid))
            continue;
        out.unit = x->unit;
        out.known = true;
        out.id = (uint16_t)(x->has_pasid ? nw_field(x->entry[1], 15, 0) : nw_field(x->context[1], 23, 8));
        return out;
    }
    if (d->queues == 1)
        out.unit = d->queue[0].unit;
    return out;
}

const struct nw_dump_context *nw_changes_context(const struct nw_dump *d, const struct nw_dump_context *like)
{
    for (size_t i = 0; i < d->contexts; i++) {
        const struct nw_dump_context *o = &d->context[i];
        if (o->source_id == like->source_id && o->has_pasid == like->has_pasid && o->pasid == like->pasid &&
            !strcmp(o->unit, like->unit))
            return o;
    }
    return NULL;
}

/* ---- all of it ----------------------------------------------------------------------------------- */

static void judge_motion(struct changes *c)
{
    for (size_t i = 0; i < c->now->queues; i++) {
        struct unit_queue *u = nw_changes_queue(c, c->now->queue[i].unit);
        if (u && nw_evidence_stuck(&u->e))
            nw_judge_add(c->j, Q01, &u->e.now.place, u->name,
                         "the head was and is at descriptor %u, and the tail is at %u", u->e.now.head, u->e.now.tail);
    }
}

/* Strict by option, or because a unit in caching mode forces it (Linux, intel_iommu_init). */
static bool is_strict(const struct nw_dump *d)
{
    for (size_t i = 0; i < d->options; i++)
        if (!strcmp(d->option[i].text, "iommu.strict=1") || !strcmp(d->option[i].text, "intel_iommu=strict"))
            return true;
    for (size_t i = 0; i < d->units; i++)
        if (set(&d->unit[i], NW_DUMP_CAP, NW_VTD_CAP_CM))
            return true;
    return false;
}

/* Where it is said of a unit without queue: at the first table of the later dump. */
static struct nw_dump_place first_table(const struct nw_dump *d)
{
    return d->trees ? d->tree[0].place : d->contexts ? d->context[0].place : d->irte[0].place;
}

static void tell_unknown(struct changes *c, const struct unit_queue *u)
{
    const bool none = u->e.kind == EVIDENCE_NONE;
    if (!u->unknown)
        return;
    const struct nw_dump_place at = none ? first_table(c->now) : u->e.now.place;
    nw_judge_add(c->j, Q10, &at, *u->name ? u->name : "unit not known", "%u changes, the first of %s: %s", u->unknown,
                 u->first_unknown,
                 none ? "no invalidation queue of the unit is among the later texts"
                      : "slots of the queue have been written more than once, or may have");
}

static void judge_vtd(struct judge *j)
{
    struct changes c = { .j = j, .old = j->d->earlier, .now = j->d, .strict = is_strict(j->d) };
    judge_motion(&c);
    nw_changes_mappings(&c);
    nw_changes_entries(&c);
    for (size_t i = 0; i < c.units; i++) {
        tell_unknown(&c, &c.unit[i]);
        nw_evidence_fini(&c.unit[i].e);
        free(c.unit[i].done);
    }
    free(c.unit);
}

void nw_judge_changes(struct judge *j)
{
    if (!j->d->earlier)
        return;
    judge_vtd(j);
    nw_changes_amd(j);
}
