/* walks.h - KVM's own guest page walks, from the kernel's kvmmmu tracepoints, and how they are put beside a stepped trace.
 *
 * While KVM emulates CPL 0 code over shadow page tables, it walks the guest's tables for every fetch, load and store, and
 * tells: kvm_mmu_pagetable_walk (address, error code), kvm_mmu_paging_element (entry, level) for each entry it read, and
 * kvm_mmu_walker_error when the walk ends in a fault. The log is filled by one run; the aligner is a sink that lets a stepped
 * run of the same guest pass and puts each walk in front of the access it was made for. */
#ifndef NESTWALK_CAPTURE_WALKS_H
#define NESTWALK_CAPTURE_WALKS_H

#include "recorder.h"

struct walk_log;
/* Makes a tracefs instance of its own and checks that the tracepoints are there: NW_ERR_ENV says what is missing. */
enum nw_status walk_log_open(struct walk_log **out, struct nw_error *err) NW_MUST_USE;
/* Between start and stop the calling thread's walks are logged by a reader thread. NW_ERR_ENV when the kernel lost events. */
enum nw_status walk_log_start(struct walk_log *log, struct nw_error *err) NW_MUST_USE;
enum nw_status walk_log_stop(struct walk_log *log, struct nw_error *err) NW_MUST_USE;
bool walk_log_full(const struct walk_log *log); /* as many walks as are kept */
void walk_log_close(struct walk_log *log);      /* removes the instance; NULL is allowed */

struct walk_aligner;
/* *out is the sink to record into; what comes out goes to `to`. */
enum nw_status walk_aligner_create(struct walk_aligner **a, const struct walk_log *log, struct sink *to,
                                   struct nw_capture_result *count, struct sink **out, struct nw_error *err) NW_MUST_USE;
void walk_aligner_destroy(struct walk_aligner *a);

#endif
