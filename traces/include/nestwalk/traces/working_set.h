/* working_set.h - page-granular working sets over time, of a running guest: which pages it wrote, or accessed, in each interval.
 *
 *     struct nw_working_set_options o;
 *     struct nw_working_set set;
 *     nw_working_set_defaults(&o);
 *     o.via = NW_WORKING_SET_CLEAR_REFS;
 *     o.pid = 4711;
 *     o.path = "guest.nwt";
 *     s = nw_working_set_of_process(&o, &set, err);
 *     for (i = 0; !s && i < set.count; i++) use(&set.interval[i]);
 *     nw_working_set_fini(&set);
 *
 * Ways, and what each needs (docs/capture.md, "Working sets"):
 *   NW_WORKING_SET_DIRTY_RING  a guest of ours runs a workload; KVM tells the pages it wrote (KVM_CAP_DIRTY_LOG_RING; the dirty log where KVM
 *                              has no ring). Addresses are guest-physical.
 *   NW_WORKING_SET_DIRTY_LOG   the same by KVM's dirty log, a bitmap of all memory
 *   NW_WORKING_SET_CLEAR_REFS  any process, so any VMM: /proc/PID/clear_refs, then the kernel's page flags. Addresses are the process's own.
 *   NW_WORKING_SET_IDLE        any process, by the kernel's idle page tracking. Addresses are the process's own.
 *
 * The trace. Each interval is a `time` event (ns since the recording began), a `marker` event (phase, the interval's number from 1), and
 * one access of one byte to each page in ascending order: a store when the page is known to be written, else a load. Before the first
 * interval there is a marker "region of interest begins", after the last a `time` event and "region of interest ends". Neither the order nor the number of the
 * accesses to a page is known to these ways, nor whether a page that a way without soft-dirty bits reports was written.
 *
 * With `contents` page-content events (page_content.h) say what pages hold: before the first interval each page that the process has, or that our guest has
 * written or is not zeros; then, behind its access, each page that was written or may have been, as it was when the interval was read. A process goes on
 * running meanwhile, so a page may be read while it changes. */
#ifndef NESTWALK_TRACES_WORKING_SET_H
#define NESTWALK_TRACES_WORKING_SET_H

#include <nestwalk/base/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nw_capture_options; /* capture.h */

enum nw_working_set_via {
    NW_WORKING_SET_DIRTY_RING,
    NW_WORKING_SET_DIRTY_LOG,
    NW_WORKING_SET_CLEAR_REFS,
    NW_WORKING_SET_IDLE
};
/* A guest of ours, not a process. */
static inline bool nw_working_set_via_guest(enum nw_working_set_via via) { return via <= NW_WORKING_SET_DIRTY_LOG; }

/* Which of a process's mappings. */
enum nw_working_set_range {
    NW_WORKING_SET_LARGEST, /* the largest writable one: a VMM's guest memory */
    NW_WORKING_SET_ALL,     /* every writable one */
    NW_WORKING_SET_RANGE    /* what lies in [start, end) */
};

struct nw_working_set_interval {
    uint64_t start_ns, end_ns; /* since the recording began; what lies between two intervals was spent reading */
    uint64_t written_pages;    /* 4 KiB each */
    uint64_t accessed_pages;   /* the written ones included */
    uint64_t resident_pages;   /* at its end; 0 for a guest of ours */
    uint64_t
        referenced_bytes; /* NW_WORKING_SET_CLEAR_REFS: by smaps, whole mappings, the VMM's own accesses included */
};

/* What pages held when they were read last; all 0 when that was not asked for. */
struct nw_working_set_contents {
    uint64_t events;       /* in the trace */
    uint64_t pages;        /* distinct ones whose contents are known */
    uint64_t zeros;        /* of these: hold zeros */
    uint64_t equal;        /* of these: others than zeros that at least one other page equals */
    uint64_t distinct;     /* different contents among the pages: what sharing would leave of them */
    uint64_t packed_bytes; /* the sum of the compressed sizes of those that are not zeros */
    uint64_t unreadable;   /* pages that were there and could not be read */
};

struct nw_working_set_options {
    enum nw_working_set_via via;
    const char *path;        /* the trace; NULL: none */
    bool contents;           /* what pages hold as well */
    double interval_seconds; /* default 1 */
    uint64_t intervals;      /* so many; 0: until the guest's work, or the process, ends. Default 0 */
    uint64_t pid;            /* of the process */
    enum nw_working_set_range range;
    uint64_t start, end;
    const char *proc;        /* where procfs is; default "/proc" */
    const char *idle_bitmap; /* default "/sys/kernel/mm/page_idle/bitmap" */
    /* Called at least ten times a second; false ends the recording, and what is there becomes a complete trace. NULL allowed. */
    bool (*progress)(void *context, uint64_t intervals, double seconds);
    void *context;
};
void nw_working_set_defaults(struct nw_working_set_options *o);

enum nw_working_set_end {
    NW_WORKING_SET_COMPLETE, /* as many intervals as asked for, or the guest's work was done */
    NW_WORKING_SET_GONE,     /* the process has ended */
    NW_WORKING_SET_TIMEOUT,  /* the guest had not done when its time was over */
    NW_WORKING_SET_STOPPED   /* progress said so */
};
enum { NW_WORKING_SET_NOTES = 8, NW_WORKING_SET_NOTE_BYTES = 256 };

struct nw_working_set {
    struct nw_working_set_interval *interval;
    size_t count, room;
    enum nw_working_set_end end;
    bool knows_written, knows_accessed;
    uint64_t pages, watched_pages; /* distinct ones of all intervals; of the ranges */
    struct nw_working_set_contents contents;
    char means[NW_WORKING_SET_NOTE_BYTES]; /* what told: "dirty ring of 65536 entries", ... */
    /* What the kernel does not allow here, and what that costs. */
    char note[NW_WORKING_SET_NOTES][NW_WORKING_SET_NOTE_BYTES];
    unsigned notes;
    char what[NW_WORKING_SET_NOTE_BYTES]; /* workload or process */
};
void nw_working_set_fini(struct nw_working_set *set);

/* Runs o->... of `guest` (workload, size, operations, seed, large_pages, timeout_seconds) and records its region of interest.
 * NW_ERR_ENV: no KVM, or one without dirty logging; NW_ERR_USAGE as nw_capture_run(). */
enum nw_status nw_working_set_of_guest(const struct nw_capture_options *guest, const struct nw_working_set_options *o,
                                       struct nw_working_set *out, struct nw_error *err) NW_MUST_USE;

/* NW_ERR_USAGE: no such process, no mapping in the range. NW_ERR_ENV: the kernel lacks what the way cannot do without, or permission.
 * NW_ERR_INTERRUPTED: stopped before the first interval was over. */
enum nw_status nw_working_set_of_process(const struct nw_working_set_options *o, struct nw_working_set *out,
                                         struct nw_error *err) NW_MUST_USE;

#endif
