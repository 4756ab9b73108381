/* result.h - what a run found out: plain counters, named by one table (base/metric.h). */
#ifndef NESTWALK_SIM_RESULT_H
#define NESTWALK_SIM_RESULT_H

#include <nestwalk/base/metric.h>
#include <nestwalk/mmu/direct.h>
#include <nestwalk/mmu/kvm_shadow.h>
#include <nestwalk/sim/config.h>

enum { NW_HISTOGRAM_BUCKETS = 24 };

struct nw_tlb_counters {
    uint64_t hits, misses, evictions, invalidated;
};
struct nw_hitmiss {
    uint64_t hits, misses;
};

/* A change of one word of a guest page table. */
struct nw_table_change {
    uint64_t before_access; /* accesses of the trace that preceded it */
    uint64_t gpa;           /* of the word */
    uint64_t old_word, new_word;
};

/* A cached translation that was used although the tables no longer granted it. */
enum { NW_STALE_USES_MAX = 1000 };
struct nw_stale_use {
    uint64_t access, uses; /* number of the access that used it first, and how many did */
    uint64_t gva;          /* of that access */
    uint8_t kind;
    bool
        through_walk_cache; /* the translation was new, but made from a stale paging-structure cache or nested TLB entry */
    uint64_t cached_hpa;
    uint8_t cached_rights; /* set of enum nw_stale_right */
    bool granted;          /* a walk at that time grants the access, but elsewhere: at `hpa`, with `rights` */
    uint64_t hpa;
    uint8_t rights;
    char outcome[96];  /* what that walk says, in words */
    bool change_known; /* the change that no invalidation followed: the latest to an entry on the walk's path */
    struct nw_table_change change;
};
enum nw_stale_right { NW_STALE_WRITE = 1, NW_STALE_USER = 2, NW_STALE_EXECUTE = 4, NW_STALE_DIRTY = 8 };

/* Devices' DMA (iommu.*, io.*): docs/iommu-io.md. */
struct nw_io_counters {
    uint64_t packets, frames, bytes; /* packets or requests begun; of them frames of a network; their bytes */
    uint64_t maps, unmaps, reuses, pool_full, mapped_pages, mapped_twice, unmapped_unknown;
    uint64_t entries_written, table_pages, ranges_taken, ranges_fresh;
    uint64_t range_invalidations, domain_invalidations, waits, announcements;
    uint64_t copied_bytes, grant_operations, pinned_pages_max;
    uint64_t accessed_bytes, requests, faults, iotlb_misses, references, stray, dropped;
    uint64_t stale_uses, stale_bytes, exposures, exposed_ns, exposed_max_ns, exposed_open_pages;
    uint64_t kicks, interrupts, notifications; /* of the model of the device */
    uint64_t cycles;                           /* of the processor, without exits */
    uint64_t exit_cycles;                      /* all exits of the run */
    uint64_t unit_ns, link_ns;                 /* what the unit's walkers, and the link, take for all of it */
    uint64_t first_ns, last_ns;                /* of the trace's time */
    uint64_t modelled_bytes;                   /* not reported: bytes that the model has seen */
    struct nw_io_setup { /* not reported: of these, before the first packet's time. It is not priced */
        uint64_t calls, ranges_taken, entries_written, waits, grant_operations, copied_bytes, references;
    } setup;
    double link_gbps;
};

struct nw_result {
    struct nw_config config; /* what was run, with provenance */
    char trace[256], trace_sha256[65];

    struct {
        uint64_t total, fetch, load, store;
    } accesses;
    struct nw_tlb_counters tlb[NW_TLB_ARRAYS_MAX]; /* as config.tlb */
    struct {
        uint64_t count, references, references_guest, references_nested, cycles;
        uint64_t dirty_assists,
            dirty_assist_references; /* a store hit an entry whose D was clear: the table is walked again */
        uint64_t histogram
            [NW_HISTOGRAM_BUCKETS]; /* walks whose latency is <= nw_histogram_upper[i] cycles and > the one before */
    } walks;
    struct {
        uint64_t walks, references, fills;
    } prefetch;
    struct nw_hitmiss psc_guest[NW_PSC_LEVELS], psc_nested[NW_PSC_LEVELS], nested_tlb;
    struct nw_hitmiss cache[NW_CACHES_MAX];      /* page-table references that found their line there */
    uint64_t memory_references;                  /* ... and in DRAM */
    struct nw_hitmiss data_cache[NW_CACHES_MAX]; /* fidelity full: accesses whose own line was found there */
    uint64_t data_memory;                        /* ... and in DRAM */
    struct {
        uint64_t guest_page_faults, ept_violations, ept_misconfigurations, dmar, noncanonical;
    } faults;
    struct {
        uint64_t count, cycles; /* cycles: the sum of the three */
        uint64_t direct_cycles, synchronous_cycles, indirect_cycles;
    } exits[NW_EXIT_COUNT]; /* those of the replay and those of the mix (config.mix) */
    struct {
        uint64_t logged, full_exits;
    } pml; /* vmm.pml */
    struct {
        uint64_t fills, table_writes, syncs, pages, pages_peak, guest_table_pages, zapped, flushes, propagated, emptied;
        uint64_t nested_tables, switched_to_nested, switched_to_shadow, cr3_without_exit; /* mode agile */
    } shadow;
    struct nw_direct_counters direct; /* run.mode direct */
    struct nw_io_counters io;
    char direct_refused[192];   /* the first request that was refused, in words; "": none was */
    struct nw_kvm_counters kvm; /* vmm.shadow_policy kvm: KVM's own, under "shadow." too */
    struct {
        uint64_t table_writes, cr_writes, invlpg, page_faults_recorded, page_faults_agreed;
        /* VM exits in the trace, of replays that have a VMM. Those whose reason the replay finds by itself are in `exits` as it finds them;
         * the others are there as recorded. */
        uint64_t vm_exits, vm_exits_of_the_model;
    } events;
    struct {
        uint64_t guest_table_pages, nested_table_pages, shadow_table_pages, guest_pages;
    } memory; /* 4 KiB pages at the end */
    struct {
        uint64_t accesses, translations;
        struct nw_stale_use *use; /* owned; the first use of each stale translation, of at most NW_STALE_USES_MAX */
        size_t use_count;
    } stale; /* run.detect_stale */
    struct {
        uint64_t base, translation, exits, io, total;
        /* Parts of `exits`; what is left of it is the imitation guest's own page-fault handler. */
        uint64_t exits_direct, exits_synchronous, exits_indirect;
    } cycles;
    double seconds, accesses_per_second; /* of the replay, processor time; not compared, not deterministic */
};

extern const uint64_t nw_histogram_upper[NW_HISTOGRAM_BUCKETS]; /* the last is UINT64_MAX */

double nw_result_overhead_percent(const struct nw_result *r); /* 100 * (total - base) / base */
/* Packets a second that the slowest allows: the link, the processor (with the exits of the run), the unit. 0 without packets. */
double nw_result_packets_per_second(const struct nw_result *r);
double nw_result_references_per_walk(const struct nw_result *r); /* 0 without walks */

/* Every metric except the histogram, with the paths of the result JSON; arrays, caches and exits under their names. Psc names:
 * "psc.guest_pde", "psc.nested_pdpte", ... Only configured caches and TLB arrays, and exits that happened, appear. */
void nw_result_visit(const struct nw_result *r, nw_metric_fn fn, void *context);

/* First difference in non-derived metrics, as text; false when equal. */
bool nw_result_differ(const struct nw_result *a, const struct nw_result *b, char *out, size_t out_size);

void nw_result_fini(struct nw_result *r);

#endif
