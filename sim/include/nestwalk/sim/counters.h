/* counters.h - hardware counters of translation: which there are on a processor, and reading them around a piece of work.
 *
 *     const struct nw_walk_events *e = nw_walk_events_of("AuthenticAMD", 25, 0x11); // NULL: nothing is known of it
 *     struct nw_counters *c = nw_counters_open(e->event, e->count, failed, context);
 *     nw_counters_read(c, &before);
 *     ... steps ...
 *     nw_counters_read(c, &after);
 *     nw_counters_add(c, &before, &after, steps, &sums); // sums.count[q] / sums.steps[q]
 *     nw_counters_close(c);
 *
 * Only the calling thread is counted, in user mode. Where more events are wanted than the processor has counters, Linux lets their groups take turns;
 * a piece of work during which a group was not counting all the time is left out for that group: nothing is scaled up. */
#ifndef NESTWALK_SIM_COUNTERS_H
#define NESTWALK_SIM_COUNTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum nw_counted {
    NW_COUNTED_DTLB_MISSES,     /* Linux's own choice of event for dTLB read misses */
    NW_COUNTED_WALKS,           /* page walks for loads */
    NW_COUNTED_WALK_CYCLES,     /* core cycles in which a walk for a load is under way */
    NW_COUNTED_WALK_REFERENCES, /* reads of the tables of the first dimension by the page walker */
    NW_COUNTED
};
extern const char *const nw_counted_name[NW_COUNTED]; /* "dtlb_misses", "walks", "walk_cycles", "walk_references" */

/* Events of one quantity are added up, and it has a count only when all of them are had; they are in one group. */
struct nw_counter_event {
    const char *name;
    uint32_t type;   /* of perf_event_open(2): PERF_TYPE_... */
    uint64_t config; /* raw: event select in bits 0 to 7, unit mask in 8 to 15, counter mask in 24 to 31 */
    enum nw_counted counted;
    unsigned group; /* those of a group count at the same time */
};

/* ---- what a processor has ---- */

struct nw_walk_events {
    const char *processor; /* "Intel Skylake to Comet Lake" */
    const char *source;    /* the document */
    const char *remark;    /* what its counts do not say; "": nothing is known */
    const struct nw_counter_event *event;
    size_t count;
};
/* By CPUID: vendor string, and family and model with their extensions. NULL: the table has no such processor. */
const struct nw_walk_events *nw_walk_events_of(const char *vendor, unsigned family, unsigned model);

/* ---- reading them ---- */

enum { NW_COUNTER_GROUPS = 2, NW_COUNTER_EVENTS = 8 }; /* NW_COUNTER_EVENTS: of a group */
struct nw_counters;
/* NULL: none could be had. `failed` is told of each event that cannot be had, with an errno, or 0: it was opened, but the group has never the counters
 * for it, as something else uses them. `event` is not kept. */
struct nw_counters *nw_counters_open(const struct nw_counter_event *event, size_t count,
                                     void (*failed)(void *context, const struct nw_counter_event *event, int error),
                                     void *context);
void nw_counters_close(struct nw_counters *c); /* NULL allowed */
bool nw_counters_has(const struct nw_counters *c, enum nw_counted counted);

struct nw_counter_reading {
    struct nw_counter_group {
        bool read;
        uint64_t enabled_ns, running_ns, value[NW_COUNTER_EVENTS];
    } group[NW_COUNTER_GROUPS];
};
struct nw_counter_sums {
    uint64_t count[NW_COUNTED], steps[NW_COUNTED];
};
void nw_counters_read(const struct nw_counters *c, struct nw_counter_reading *out); /* c NULL: nothing was read */
/* Adds what was counted between two readings, of the groups that counted all the time; returns how many groups did not. */
unsigned nw_counters_add(const struct nw_counters *c, const struct nw_counter_reading *before,
                         const struct nw_counter_reading *after, uint64_t steps, struct nw_counter_sums *sums);

#endif
