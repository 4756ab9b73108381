/* evidence.h - what a queue of invalidations, seen in two dumps of one machine, can prove: which of its slots have been written between
 * the dumps, and whether that may be all. */
#ifndef NESTWALK_IOMMU_EVIDENCE_H
#define NESTWALK_IOMMU_EVIDENCE_H

#include <nestwalk/iommu/dump.h>

/* A queue in one dump. */
struct ring {
    unsigned head, tail, slots; /* slots: 0: there is no such queue in the dump */
    uint64_t base;
    const uint64_t **word; /* of each slot, `words` words; NULL: it is 0 */
    unsigned words;
    struct nw_dump_place place;
};

enum evidence_kind {
    EVIDENCE_NONE,   /* no queue is in the later dump */
    EVIDENCE_PART,   /* slots have been written more than once: what they had is gone */
    EVIDENCE_LIKELY, /* slots that should not have changed have not: all of it, unless the same was written again */
    EVIDENCE_ALL     /* a slot has never been used, so that none has been used twice */
};

struct evidence {
    enum evidence_kind kind;
    struct ring now, before;
    unsigned first, count; /* slots that may have been written between the dumps, from `first` on, modulo now.slots */
};

/* VT-d's queue of the unit of this name, or AMD's command buffer of the unit of this number. NW_ERR_NOMEM. */
enum nw_status nw_evidence_vtd(struct evidence *e, const struct nw_dump *earlier, const struct nw_dump *now,
                               const char *unit, struct nw_error *err) NW_MUST_USE;
enum nw_status nw_evidence_amd(struct evidence *e, const struct nw_dump *earlier, const struct nw_dump *now, int unit,
                               struct nw_error *err) NW_MUST_USE;
void nw_evidence_fini(struct evidence *e);

/* Words of the nth slot written, in the order of writing; NULL: it is 0. n below e->count. */
static inline const uint64_t *nw_evidence_slot(const struct evidence *e, unsigned n)
{
    return e->now.word[(e->first + n) % e->now.slots];
}
static inline bool nw_evidence_whole(const struct evidence *e) { return e->kind >= EVIDENCE_LIKELY; }
/* The head stands where it stood, with something before it, and no slot says that the queue has moved. */
bool nw_evidence_stuck(const struct evidence *e);

#endif
