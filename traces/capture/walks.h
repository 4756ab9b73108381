/* walks.h - KVM's own guest page walks, from the kernel's kvmmmu tracepoints, and how they are put beside a stepped trace.
 *
 * While KVM emulates CPL 0 code over shadow page tables, it walks the guest's tables for every fetch, load and store, and
 * tells: kvm_mmu_pagetable_walk (address, error code), kvm_mmu_paging_element (entry, level) for each entry it read, and
 * kvm_mmu_walker_error when the walk ends in a fault. A log is filled by one run of the guest. */
#ifndef NESTWALK_CAPTURE_WALKS_H
#define NESTWALK_CAPTURE_WALKS_H

#include <nestwalk/base/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WALK_ENTRIES_MAX = 5 };
struct walk {
    uint64_t gva;
    uint32_t error_code; /* as asked: what kind of access it is for */
    uint8_t entries, level[WALK_ENTRIES_MAX];
    bool failed; /* ended in a page fault */
    uint64_t entry[WALK_ENTRIES_MAX];
};

struct walk_log;
/* Makes a tracefs instance of its own and checks that the tracepoints are there: NW_ERR_ENV says what is missing. */
enum nw_status walk_log_open(struct walk_log **out, struct nw_error *err) NW_MUST_USE;
void walk_log_close(struct walk_log *log); /* removes the instance; NULL is allowed */
/* From now on the calling thread's walks are logged; it must not run a guest between stop and the next start. */
enum nw_status walk_log_start(struct walk_log *log, struct nw_error *err) NW_MUST_USE;
/* Takes what the kernel has noted so far; to be called about ten times a second, between runs of the guest. NW_ERR_ENV when the
 * kernel had no room for an event. */
enum nw_status walk_log_drain(struct walk_log *log, struct nw_error *err) NW_MUST_USE;
enum nw_status walk_log_stop(struct walk_log *log, struct nw_error *err) NW_MUST_USE; /* drains, too */

uint64_t walk_log_fetches(const struct walk_log *log); /* walks for instruction fetches */
size_t walk_log_count(const struct walk_log *log);
const struct walk *walk_log_at(const struct walk_log *log, size_t index);

#endif
