/* capture.h - a memory trace from a live KVM guest. x86-64 Linux with /dev/kvm only; elsewhere NW_ERR_ENV says so.
 *
 *     struct nw_capture_options o;
 *     struct nw_capture_result r;
 *     nw_capture_defaults(&o);
 *     o.workload = "btree";
 *     o.path = "btree.nwt";
 *     if ((s = nw_capture_run(&o, &r, &err))) ...
 *
 * A small freestanding kernel (traces/guest/) runs one workload in a virtual machine with one vCPU. It boots and builds its data
 * at full speed; in its region of interest every instruction is single-stepped, decoded, and its fetch, loads and stores are
 * recorded with their sizes, along with control-register writes, INVLPG, page faults, and the values of stores to guest
 * page tables. After that it runs on to its end, and its checksum is compared with a run of the same C on the host.
 *
 * Two ways (docs/capture.md says how each works and what it proves):
 *   NW_CAPTURE_STEP         single-stepping; any KVM host
 *   NW_CAPTURE_TRACEPOINTS  the same trace, with each guest page walk that KVM itself made and the entries it read, taken from
 *                           the kernel's kvmmmu tracepoints in a second, unstepped run; needs tracefs and a KVM that emulates
 *                           CPL 0 over shadow page tables (the PVM backend)
 *
 * While a capture runs, the calling thread takes a periodic SIGRTMIN (its disposition is put back afterwards). */
#ifndef NESTWALK_TRACES_CAPTURE_H
#define NESTWALK_TRACES_CAPTURE_H

#include <nestwalk/base/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nw_capture_workload {
    const char *name, *doc;
    uint64_t default_size, min_size; /* bytes of data */
    uint64_t default_operations;
    const char *operation; /* what one operation is */
};
/* The index'th workload; false after the last. Works on every host. */
bool nw_capture_workload(size_t index, struct nw_capture_workload *out);

enum nw_capture_via { NW_CAPTURE_STEP, NW_CAPTURE_TRACEPOINTS };

struct nw_capture_progress {
    const char *stage; /* "boot and build", "trace", "finish", "walks" */
    uint64_t instructions, instructions_max, accesses;
    double seconds;
};

struct nw_capture_options {
    const char *workload;
    const char *path;          /* the trace to write; NULL: record nothing to a file (counts and checks only) */
    uint64_t size, operations; /* 0: the workload's default */
    uint64_t seed;             /* default 42 */
    uint64_t
        instructions_max; /* the region of interest is cut after so many guest instructions; default 1,000,000; 0: no limit */
    bool contents;        /* the trace begins with page-content events of the guest's memory, but for pages of zeros */
    bool large_pages; /* the workload's memory in 2 MiB pages where they fit; default 4 KiB */
    enum nw_capture_via via;
    double timeout_seconds; /* of the whole capture; default 120; 0: none */
    /* The first so many instructions are checked one by one: every byte of guest memory that changed was in a recorded store,
     * every plain load's value is what memory held, and the next RIP and RSP are what the decoded instruction makes
     * them. Slow (compares guest memory after each); a difference is NW_ERR_INTERNAL. Default 0. */
    uint64_t checked_instructions;
    /* Called about ten times a second; false stops: what is there becomes a complete trace. NULL allowed. */
    bool (*progress)(void *context, const struct nw_capture_progress *p);
    void *context;
};
void nw_capture_defaults(struct nw_capture_options *o);

enum nw_capture_end { NW_CAPTURE_COMPLETE, NW_CAPTURE_LIMIT, NW_CAPTURE_TIMEOUT, NW_CAPTURE_STOPPED };

struct nw_capture_result {
    enum nw_capture_end end; /* why the region of interest ended */
    uint64_t instructions, fetches, loads, stores;
    uint64_t page_faults, cr_writes, invlpgs, table_writes, table_pages; /* events in the trace */
    uint64_t guest_walks, guest_walk_entries;                            /* NW_CAPTURE_TRACEPOINTS only */
    uint64_t walks_unmatched; /* walks KVM made for no recorded access (its own look-ahead); in the trace as well */
    uint64_t page_contents;   /* page-content events */
    uint64_t access_digest;   /* of all accesses, in order: equal for equal sequences */
    bool checksum_verified;   /* the workload ran to its end and its result equals the host's */
    uint64_t checksum, steps; /* KVM_RUN calls that made a step */
    uint64_t checked_instructions;
    double seconds, trace_seconds;
    char kvm_backend[16];
};

/* NW_ERR_USAGE: no such workload, a size out of range. NW_ERR_ENV: no /dev/kvm, no permission, no tracefs, something KVM lacks.
 * NW_ERR_INPUT never. NW_ERR_INTERNAL: the guest or its decoding went wrong (with RIP and instruction), or the checksum differs.
 * NW_ERR_INTERRUPTED: stopped before the region of interest began: there is no trace. Nothing is left at `path` on failure. */
enum nw_status nw_capture_run(const struct nw_capture_options *o, struct nw_capture_result *result,
                              struct nw_error *err) NW_MUST_USE;

#endif
