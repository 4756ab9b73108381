/* vms.h - several guests on one host with too little memory, at page granularity: ballooning, host swapping and page sharing at work.
 *
 *     struct nw_vms_config c;
 *     nw_vms_config_init(&c);
 *     ... nw_vms_config_add_guest(), nw_vms_config_set(&c, "balloon.policy", "idle-tax", "--set", err), ... (or nw_guests_load(), scenarios/guests.h)
 *     if ((s = nw_vms_config_check(&c, err))) ...
 *     struct nw_vms_result r;
 *     s = nw_vms_run(&c, NULL, &r, err);
 *     nw_vms_result_fini(&r);
 *     nw_vms_config_fini(&c);
 *
 * What is modelled.
 *   A guest has one virtual processor and a memory of 4 KiB pages. Its works are run one after the other; each is a trace or a generator whose accesses go to
 *   anonymous memory or to a file on the guest's disk. The guest's kernel gives a page at the first touch, clears it, and when it has none left takes one by a
 *   clock over its own accessed flags: anonymous pages go to its swap area, pages of files are dropped, and written back before if they have changed.
 *   The host backs a guest page with a frame at its first touch (an EPT violation), and takes frames away by the policies of swap/, by the balloon,
 *   and by sharing. mmu/host_memory.h keeps the account of frames; each access compares what it reads with what was written last.
 *   Time is virtual, in nanoseconds. An access costs the work's access_ns; a fault adds what the table of parameters says; a page that has to be read makes the guest
 *   wait while others run. Cores serve guests by virtual runtime and weight, a quantum at a time.
 *   Monitors estimate each guest's working set as balloon/working_set.h says; the exact one is known, and their errors with it.
 *
 *   With host.fidelity=walk the guests have page tables in their own memory, the host has second-stage tables, and an assigned device has tables of its pinned pages;
 *   each access goes through a TLB and, when that misses, a walk of both, and what is taken from a guest is forgotten (vms_walk.c).
 *
 * What is not: the guest's other processors, contiguity of frames, and with host.fidelity=page TLBs and walks (how many pages were unmapped and how many flushes
 * that takes is counted, and `host.flush_ns` prices them).
 *
 * Same configuration, same result. */
#ifndef NESTWALK_SIM_VMS_H
#define NESTWALK_SIM_VMS_H

#include <nestwalk/base/metric.h>
#include <nestwalk/sim/config.h>
#include <nestwalk/sim/mrc.h>

enum { NW_VMS_NAME = 64, NW_VMS_PATH = 1024, NW_VMS_GUESTS_MAX = 512 };

/* ---- configuration: each field is a row of nw_vms_params(), where its unit, range, default and meaning stand ---- */
struct nw_vms_host {
    uint64_t memory, cores, quantum_ns, timeline_ns, until_ns;
    double fault_ns, break_ns, flush_ns, scan_page_ns, low, high, pml_exit_ns;
    uint64_t disk, tlb_entries, fidelity, backing; /* fidelity: enum nw_vms_fidelity; backing: 0 4 KiB, 1 2 MiB */
    double clear_large_ns, reference_ns, copy_large_ns;
    uint64_t collapse_pages, collapse_sleep_ns, max_ptes_none, max_ptes_swap, max_ptes_shared;
};
enum nw_vms_fidelity { NW_VMS_FIDELITY_PAGE, NW_VMS_FIDELITY_WALK };
enum nw_vms_scope { NW_VMS_SCOPE_HOST, NW_VMS_SCOPE_VM };
enum nw_vms_dirty { NW_VMS_DIRTY_FLAGS, NW_VMS_DIRTY_WRITE_PROTECTION, NW_VMS_DIRTY_PML };
enum { NW_VMS_PML_ENTRIES = 512 };
enum nw_vms_sees { NW_VMS_SEES_SCANS, NW_VMS_SEES_ACCESSES };
struct nw_vms_swap {
    uint64_t size, device, policy, scope, sees, scan_ns, scan_flush, read_ahead, shared_disk, mapper, preventer,
        cluster, dirty; /* dirty: enum nw_vms_dirty */
    double zswap_pool, zswap_ratio;
};
struct nw_vms_sharing {
    uint64_t kind, pages_to_scan, sleep_ns, use_zero_pages, smart_scan, max_page_sharing;
    double page_ns;
};
struct nw_vms_balloon {
    uint64_t policy, interval_ns, batch_pages, deflate_on_oom, reporting, reporting_ns, sample_pages, unit, hinting,
        stats_ns;
    double tax, slack, low, high, step, batch_ns, goal, pressure, critical, guest_free;
    uint64_t history;
    uint64_t estimator; /* enum nw_vms_estimator */
};
/* Who says what a guest's working set is: the balloon's own samples, or one of the monitors, in the order of enum nw_wss_kind. */
enum nw_vms_estimator { NW_VMS_ESTIMATOR_OWN, NW_VMS_ESTIMATOR_MONITORS, NW_VMS_ESTIMATOR_EXACT = 5 };
enum { NW_VMS_HISTORY_MAX = 64 }; /* reports that are averaged */
enum { NW_VMS_MONITORS = 4, NW_VMS_MRC_POINTS = 32 };
struct nw_vms_monitor {
    uint64_t on[NW_VMS_MONITORS]; /* by enum nw_wss_kind */
    uint64_t window_ns, every, flush, sample_pages, damon_samples, min_regions, max_regions, charge;
    double mrc_rate;
};
struct nw_vms_work {
    char trace[NW_VMS_PATH];
    uint64_t generate, accesses, span, stride, base, seed, skip, repeat, start_ns, stagger_ns, file, keep, memory_of;
    double exponent, stores, access_ns, pause_ns;
};
struct nw_vms_guest {
    char name[NW_VMS_NAME], image[NW_VMS_NAME];
    uint64_t count, memory, min, max, shares, weight, start_ns, swap, pinned, read_ahead, swap_read_ahead, hypervisor,
        balloon;
    double kernel, zero, common;
    struct nw_vms_work *work;
    size_t works;
};
struct nw_vms_config {
    char name[NW_VMS_NAME], label[NW_VMS_NAME];
    uint64_t seed;
    struct nw_vms_host host;
    struct nw_vms_swap swap;
    struct nw_vms_sharing sharing;
    struct nw_vms_balloon balloon;
    struct nw_vms_monitor monitor;
    struct nw_vms_guest *guest;
    size_t guests;
    struct nw_vms_setting {
        char *path, *source;
    } * set; /* where each value that was set comes from */
    size_t sets;
};

/* Rows whose paths begin with "host.", "swap.", "sharing.", "balloon.", "monitor.", "vm." and "work."; offsets are into the struct of the group. */
const struct nw_param *nw_vms_params(size_t *count);

void nw_vms_config_init(struct nw_vms_config *c);
void nw_vms_config_fini(struct nw_vms_config *c);
enum nw_status nw_vms_config_copy(struct nw_vms_config *to, const struct nw_vms_config *from,
                                  struct nw_error *err) NW_MUST_USE;
/* A guest with defaults; its name is new, else NW_ERR_USAGE. *index names it. */
enum nw_status nw_vms_config_add_guest(struct nw_vms_config *c, const char *name, size_t *index,
                                       struct nw_error *err) NW_MUST_USE;
enum nw_status nw_vms_config_add_work(struct nw_vms_config *c, size_t guest, size_t *index,
                                      struct nw_error *err) NW_MUST_USE;
/* `path`: "host.memory", "vm.NAME.memory", "vm.NAME.work.accesses" (of all its works) or "vm.NAME.work.0.accesses". NW_ERR_USAGE says what is allowed. */
enum nw_status nw_vms_config_set(struct nw_vms_config *c, const char *path, const char *value, const char *source,
                                 struct nw_error *err) NW_MUST_USE;
/* Value as text; of several works the first's. NW_ERR_USAGE for an unknown path. */
enum nw_status nw_vms_config_get(const struct nw_vms_config *c, const char *path, char *out, size_t out_size,
                                 struct nw_error *err) NW_MUST_USE;
/* A whole number. */
enum nw_status nw_vms_config_seed(struct nw_vms_config *c, const char *value, struct nw_error *err) NW_MUST_USE;
/* Every value with its path, text and source. */
void nw_vms_config_visit(const struct nw_vms_config *c, nw_config_fn fn, void *context);
/* What only shows in combination: reservations over the host's memory, a balloon larger than its guest, a limit below the reservation, ... */
enum nw_status nw_vms_config_check(const struct nw_vms_config *c, struct nw_error *err) NW_MUST_USE;
/* Each trace opens and has accesses. NW_ERR_IO and NW_ERR_INPUT name the work; nw_vms_run() does this first. */
enum nw_status nw_vms_check_traces(const struct nw_vms_config *c, struct nw_error *err) NW_MUST_USE;

/* ---- results ---- */
struct nw_vms_guest_counters { /* pages and events; docs in nw_vms_guest_rows() */
    uint64_t accesses, stores, lost;
    uint64_t first_touches, minor_faults, major_faults, swapped_in, swapped_out, read_ahead, read_ahead_used, breaks;
    uint64_t guest_swapped_in, guest_swapped_out, guest_read_ahead, guest_read_ahead_used, file_read, file_written,
        file_dropped;
    uint64_t double_paging, double_paging_avoided, silent_writes, silent_writes_avoided, stale_reads,
        stale_reads_avoided, false_reads, false_reads_avoided, decayed_reads, hypervisor_faults;
    uint64_t inflated, deflated, oom_deflated, reported, unmapped, flushes, scanned;
    uint64_t waited_ns, fault_ns, queued_ns;
    uint64_t backed_large, large_split, tlb_hits, walks, walk_references, walk_ns, walk_faults, tlb_invalidated,
        iommu_mapped, iommu_unmapped, disagreed; /* disagreed: 0, or the model is wrong */
    uint64_t hinted, stats, given_large, large, large_lost, breaks_across, dirty_faults, dirty_logged, dirty_exits,
        hashes, break_ns, collapsed, collapse_refilled, collapse_read, collapse_copied;
};
struct nw_vms_host_counters {
    uint64_t reclaimed, direct_reclaims, slots_full, swap_reads, swap_writes, swap_read_pages, swap_written_pages,
        swap_seeks, swap_busy_ns, swap_queued_ns, disk_reads, disk_writes, disk_seeks, disk_busy_ns, zswap_stored,
        zswap_rejected, zswap_pool_bytes, scans, scanned_pages, scan_ns;
    uint64_t ksm_scanned, ksm_skipped, ksm_merged, ksm_zero_merged, ksm_volatile, ksm_comparisons, ksm_full_scans,
        ksm_stale, ksm_ns, ksm_unshared, ksm_changing;
    uint64_t collapse_scanned, collapse_ns, frames_free, frames_guest, frames_shared, frames_table, frames_pinned,
        shared_users, saved_pages, saved_pages_most;
};
struct nw_vms_monitor_counters { /* what an estimate of one guest's working set cost */
    uint64_t windows, looked, unmapped, faults, flushes, cost_ns, memory_bytes;
};
extern const struct nw_counter_row nw_vms_guest_rows[], nw_vms_host_rows[], nw_vms_monitor_rows[];
extern const size_t nw_vms_guest_row_count, nw_vms_host_row_count, nw_vms_monitor_row_count;

enum nw_vms_state { NW_VMS_FINISHED, NW_VMS_STOPPED, NW_VMS_OUT_OF_MEMORY, NW_VMS_KILLED };
extern const char *const nw_vms_state_name[]; /* stopped: by host.until_ns */

struct nw_vms_guest_result {
    char name[NW_VMS_NAME + 8];
    enum nw_vms_state state;
    uint64_t size, started_ns, ended_ns,
        alone_ns;      /* pages; alone: the accesses alone, with memory never short and a core of its own */
    double slowdown;   /* 0: it had no accesses */
    uint64_t *work_ns; /* how long each work took (of those finished), repetitions apart */
    size_t works;
    struct nw_vms_guest_counters counters;
    /* Miss-ratio curve: what as many pages would miss under LRU, estimated from a part of the guest's pages (sim/mrc.h). */
    struct nw_mrc_point *mrc; /* owned; by pages, NW_VMS_MRC_POINTS of them or none */
    size_t mrc_points;
    uint64_t mrc_references;
};
/* An estimator of one guest's working set beside the exact one, over all windows in which the guest used memory. */
struct nw_vms_monitor_result {
    uint32_t guest, estimator; /* estimator: enum nw_wss_kind */
    struct nw_vms_monitor_counters counters;
    double exact_pages, estimate_pages; /* means */
    double error_percent, bias_percent,
        worst_percent; /* of the exact one: mean of the absolute errors, of the errors, the largest absolute */
};
struct nw_vms_monitor_sample {
    uint64_t time_ns, exact;
    double estimate;
    uint32_t guest, estimator;
};
/* How the guests stood at a time. Pages. */
struct nw_vms_sample {
    uint64_t time_ns, accesses, resident, shared, swapped, ballooned, target, large; /* large: groups of 512 */
    uint64_t used_frames;    /* of the host, by all and for itself */
    double active, slowdown; /* active: the estimate; slowdown: since the sample before */
    uint32_t guest;
};
struct nw_vms_event {
    uint64_t time_ns;
    char text[160];
};
struct nw_vms_result {
    char scenario[NW_VMS_NAME], label[NW_VMS_NAME];
    uint64_t frames, time_ns; /* of the host; when the last guest ended */
    struct nw_vms_host_counters host;
    struct nw_vms_guest_result *guest;
    size_t guests;
    uint64_t *moved;              /* owned. [to * guests + from]: frames that one guest got and another had had last */
    struct nw_vms_sample *sample; /* by time, then guest */
    size_t samples;
    struct nw_vms_monitor_result *monitor; /* by guest, then estimator; of those that were on */
    size_t monitors;
    struct nw_vms_monitor_sample *monitor_sample; /* by time, guest, estimator: each window */
    size_t monitor_samples;
    struct nw_vms_event *event;
    size_t events;
    double seconds; /* of the machine that simulates; no part of the model */
};
void nw_vms_result_fini(struct nw_vms_result *r);

/* Called now and then with the accesses done; false stops the run with NW_ERR_INTERRUPTED. */
struct nw_vms_progress {
    bool (*fn)(void *context, uint64_t accesses);
    void *context;
};
/* Traces are opened by their paths. NW_ERR_USAGE as nw_vms_config_check(); NW_ERR_INPUT, NW_ERR_IO of a trace; NW_ERR_NOMEM. A guest or a host that runs
 * out of memory is a result (an event), not a failure. *r is written on success only. */
enum nw_status nw_vms_run(const struct nw_vms_config *c, const struct nw_vms_progress *progress,
                          struct nw_vms_result *r, struct nw_error *err) NW_MUST_USE;

#endif
