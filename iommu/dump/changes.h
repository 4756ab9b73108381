/* changes.h - what has changed between two dumps of one machine, and whether the unit has been told: VT-d, "Guidance to Software for
 * Invalidations". Without evidence that all of the queue since the earlier dump is there (evidence.h), nothing is held against a change:
 * the invalidation may have been overwritten. */
#ifndef NESTWALK_IOMMU_CHANGES_H
#define NESTWALK_IOMMU_CHANGES_H

#include "evidence.h"
#include "judge.h"
#include <nestwalk/iommu/vtd_entries.h>

/* A unit that tables have changed of, and its queue. */
struct unit_queue {
    char name[NW_DUMP_UNIT_NAME];
    struct evidence e;
    struct nw_vtd_descriptor *done; /* e.count, in the order of writing; type 0: nothing was there */
    unsigned unknown;               /* changes that cannot be looked for */
    const char *first_unknown;      /* what the first of them was */
};
struct changes {
    struct judge *j;
    const struct nw_dump *old, *now;
    struct unit_queue *unit;
    size_t units;
    bool strict; /* the kernel is known to flush at once, whichever device */
};

/* NULL: no memory, and j->no_memory says so. */
struct unit_queue *nw_changes_queue(struct changes *c, const char *unit);
/* May a change of the unit be held against it? Lowers *severity where it is not quite sure. */
bool nw_changes_weigh(struct unit_queue *u, const char *what, enum nw_iommu_severity *severity);
const char *nw_changes_surely(const struct unit_queue *u); /* what has to be added to a finding */

/* Whose tables these are, as a dump has it. */
struct domain {
    const char *unit; /* NULL: not known */
    bool known;       /* the domain id is */
    uint16_t id;
    uint32_t pasid; /* of requests without one: 0, which Linux has them use */
};
struct domain nw_changes_domain(const struct nw_dump *d, uint16_t source_id, bool has_pasid, uint32_t pasid);
static inline bool nw_changes_names(const struct nw_vtd_descriptor *v, const struct domain *d)
{
    return (!v->by_domain || !d->known || v->domain_id == d->id) && (!v->by_pasid || v->pasid == d->pasid);
}
/* The entry of the same device (and PASID) of that unit; NULL: it has none. */
const struct nw_dump_context *nw_changes_context(const struct nw_dump *d, const struct nw_dump_context *like);

/* Mappings (Q04, Q06), entries (Q05 to Q07), AMD-Vi's. */
void nw_changes_mappings(struct changes *c);
void nw_changes_entries(struct changes *c);
void nw_changes_amd(struct judge *j);

#endif
