/* stale.h - private to sim/: the stale-translation detector (run.detect_stale).
 *
 * A cached translation is stale when the tables, as they stand, do not grant what it grants: the hardware may go on using it until software
 * invalidates it, so each such use is a bug of the guest or of its VMM. Each translation carries the machine's epoch of when it was last found to
 * agree with the tables; a hit of one that is older than the latest change is compared with a walk without caches and without side effects.
 *
 * Not stale: a cached translation with fewer rights than the tables give (the spurious fault it causes drops it), and D set in it but
 * cleared in the tables. */
#ifndef NW_SIM_STALE_H
#define NW_SIM_STALE_H

#include "engine.h"

struct stale_writes; /* the latest change of each word of guest tables */

/* A translation that is being used. */
struct stale_translation {
    uint64_t hpa;    /* of the byte accessed */
    uint8_t rights;  /* RIGHT_* */
    bool walked;     /* just made by a walk that used walk caches: they may be stale themselves */
    uint64_t epoch;  /* kept by its user, 0 at first: when it was last found to agree */
    uint64_t report; /* likewise: 1 + number of its report; STALE_UNREPORTED; 0: it was never stale */
};
#define STALE_UNREPORTED UINT64_MAX

/* Compares it with the tables and counts. */
void stale_check(struct replay *p, uint64_t gva, uint8_t kind, struct stale_translation *t);

/* A word of a guest table changed. Does nothing while the detector is off. */
enum nw_status stale_note_write(struct machine *m, uint64_t gpa, uint64_t old_word, uint64_t new_word,
                                struct nw_error *err) NW_MUST_USE;
void stale_writes_free(struct stale_writes *w);

#endif
