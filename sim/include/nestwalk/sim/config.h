/* config.h - everything that decides a run: one plain struct and one table of parameters.
 *
 * Every parameter is one row of the table: path, type, unit, range, default, one-line doc. The XML loader, `--set`, the error for
 * a wrong path or value, the manual page and what a stored run remembers are all made from it. Adding a parameter is adding
 * a field and a row.
 *
 *     struct nw_config c;
 *     nw_config_init(&c);                                              // the `textbook` machine, 4-level guest, nested
 *     if ((s = nw_config_set(&c, "tlb.l2.entries", "3072", "--set", err))) return s;
 *     if ((s = nw_config_check(&c, err))) return s;                    // what no single row can see
 *
 * Paths. Most are fixed ("walker.overlap"). Two collections have named elements: `tlb.NAME.field` (TLB arrays) and
 * `memory.NAME.field` (the caches that page-table reads go through). Elements are made by nw_config_add_tlb() and
 * nw_config_add_cache(); `--set` cannot make one. */
#ifndef NESTWALK_SIM_CONFIG_H
#define NESTWALK_SIM_CONFIG_H

#include <nestwalk/base/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum nw_mode { NW_MODE_NATIVE, NW_MODE_DIRECT, NW_MODE_SHADOW, NW_MODE_NESTED, NW_MODE_AGILE, NW_MODE_COUNT };
enum nw_fidelity { NW_FIDELITY_TLB, NW_FIDELITY_WALK, NW_FIDELITY_FULL, NW_FIDELITY_COUNT };
enum nw_engine { NW_ENGINE_FAST, NW_ENGINE_REFERENCE, NW_ENGINE_COUNT };
enum nw_page_policy { NW_PAGES_4K, NW_PAGES_2M, NW_PAGES_1G, NW_PAGES_THP, NW_PAGE_POLICY_COUNT };
enum nw_shadowing { NW_SHADOWING_KVM, NW_SHADOWING_EAGER, NW_SHADOWING_VIRTUAL_TLB, NW_SHADOWING_COUNT };
enum nw_agile_start { NW_AGILE_START_SHADOW, NW_AGILE_START_NESTED, NW_AGILE_START_COUNT };
enum nw_host_frames { NW_HOST_FRAMES_IN_ORDER, NW_HOST_FRAMES_SCATTERED, NW_HOST_FRAMES_COUNT };
enum nw_slat { NW_SLAT_EPT, NW_SLAT_NPT, NW_SLAT_COUNT };
enum nw_tlb_class { NW_TLB_DATA, NW_TLB_INSTRUCTION, NW_TLB_UNIFIED, NW_TLB_CLASS_COUNT };
enum nw_tlb_policy { NW_TLB_LRU, NW_TLB_PLRU, NW_TLB_RANDOM, NW_TLB_NRU, NW_TLB_SRRIP, NW_TLB_POLICY_COUNT };
enum nw_cache_policy { NW_CACHE_LRU, NW_CACHE_RANDOM, NW_CACHE_POLICY_COUNT };
enum nw_cache_index { NW_CACHE_LOW_BITS, NW_CACHE_HASHED, NW_CACHE_INDEX_COUNT };
enum nw_prefetch { NW_PREFETCH_NONE, NW_PREFETCH_NEXT_PAGE, NW_PREFETCH_COUNT };
enum nw_page_bits { NW_HOLDS_4K = 1, NW_HOLDS_2M = 2, NW_HOLDS_1G = 4, NW_HOLDS_ALL = 7 };

extern const char *const nw_mode_name[NW_MODE_COUNT]; /* "native", "direct", "shadow", "nested", "agile" */
extern const char *const nw_fidelity_name[NW_FIDELITY_COUNT];
extern const char *const nw_engine_name[NW_ENGINE_COUNT];

/* Why the guest left for the VMM. */
enum nw_exit_reason {
    NW_EXIT_SHADOW_FAULT,     /* hidden page fault: the shadow table lacked the entry */
    NW_EXIT_GUEST_PAGE_FAULT, /* a page fault of the guest itself, intercepted and reflected (shadow) */
    NW_EXIT_TABLE_WRITE,      /* write to a write-protected guest table page, emulated */
    NW_EXIT_CR_WRITE,         /* MOV to CR3/CR0/CR4, intercepted */
    NW_EXIT_INVLPG,
    NW_EXIT_EPT_VIOLATION, /* second-stage fault: the VMM backs or re-permits a page */
    NW_EXIT_EPT_MISCONFIG,
    NW_EXIT_PML_FULL,  /* the page-modification log has no room left */
    NW_EXIT_HYPERCALL, /* a paravirtual guest calls its hypervisor: an entry like that of a system call, not a VM exit */
    NW_EXIT_TRAP,      /* an exception of a paravirtual guest, which the hypervisor takes and hands to it */
    NW_EXIT_EXTERNAL_INTERRUPT, /* an interrupt of the host, and what its handler does before the guest goes on */
    NW_EXIT_IO_INSTRUCTION,     /* IN, OUT, INS, OUTS */
    NW_EXIT_APIC_ACCESS,        /* the page of the local APIC */
    NW_EXIT_CPUID,
    NW_EXIT_HLT,
    NW_EXIT_MSR,      /* RDMSR, WRMSR */
    NW_EXIT_MMIO,     /* an access to a device's registers, emulated */
    NW_EXIT_RECORDED, /* any other exit that the trace recorded, priced as a bare exit */
    NW_EXIT_COUNT
};
extern const char *const nw_exit_name[NW_EXIT_COUNT]; /* "shadow_fault", ... as in the result JSON */

enum { NW_NAME_MAX = 32, NW_TLB_ARRAYS_MAX = 16, NW_CACHES_MAX = 8, NW_PSC_LEVELS = 4, NW_AGILE_CR3_CACHE_MAX = 32 };

struct nw_tlb_config {
    char name[NW_NAME_MAX]; /* "l1d", "l2" */
    uint64_t level;         /* 1, 2, ...; the largest in use is the last level */
    uint64_t class;         /* enum nw_tlb_class */
    uint64_t pages;         /* set of enum nw_page_bits */
    uint64_t entries, ways; /* any numbers with entries % ways == 0; ways == entries: fully associative */
    uint64_t policy;        /* enum nw_tlb_policy */
    uint64_t hit_cycles;    /* added to an access that this array answers */
};

/* Cycles of one exit, in the three parts that Landau, Ben-Yehuda and Gordon, "SplitX: Split Guest/Hypervisor Execution on Multi-Core",
 * WIOV 2011, tell apart. All are added to the guest's time; which of them a remedy saves differs. */
struct nw_exit_cost {
    uint64_t direct;      /* the switch of worlds, there and back */
    uint64_t synchronous; /* the hypervisor's handling, while the guest waits */
    uint64_t
        indirect; /* the guest's slower execution afterwards: its caches and TLBs hold the hypervisor's lines. MODEL: the
                           * replay does not let the VMM use the modelled caches, so this part is not counted twice */
};
static inline uint64_t nw_exit_cost_total(const struct nw_exit_cost *c)
{
    return c->direct + c->synchronous + c->indirect;
}

struct nw_cache_config {
    char name[NW_NAME_MAX]; /* "l1d", "l2", "l3", nearest first */
    uint64_t size_bytes, ways, latency_cycles;
    uint64_t policy; /* enum nw_cache_policy */
    uint64_t index;  /* enum nw_cache_index */
};

enum nw_iommu_kind { NW_IOMMU_NONE, NW_IOMMU_VTD };
/* The lectures' three models of giving a guest I/O. */
enum nw_io_device { NW_IO_PASSED_THROUGH, NW_IO_PARAVIRTUAL, NW_IO_EMULATED, NW_IO_DEVICES };
enum nw_io_backend { NW_IO_BACKEND_COPY, NW_IO_BACKEND_GRANT };

struct nw_config {
    char machine[64]; /* profile name */
    char scenario[64], label[64];
    char vendor[32], model[96];
    uint64_t mode, fidelity, engine, seed;
    uint64_t detect_stale; /* bool: report uses of translations that the tables no longer grant */

    struct nw_guest_config {
        uint64_t levels;              /* 4 or 5; for traces that carry no page tables */
        uint64_t page_policy;         /* enum nw_page_policy */
        uint64_t thp_threshold_pages; /* thp: collapse a 2 MiB region when this many of its pages were touched */
        uint64_t demand_faults;       /* bool: first touches are page faults of the model */
        uint64_t memory_bytes;        /* guest-physical size; 0 = as much as the trace needs */
    } guest;
    struct nw_vmm_config {
        uint64_t slat;                    /* enum nw_slat */
        uint64_t levels;                  /* 4 or 5 */
        uint64_t backing;                 /* enum nw_page_policy, 4K | 2M | 1G */
        uint64_t frames;                  /* enum nw_host_frames */
        uint64_t demand_backing;          /* bool: first uses of guest memory are EPT violations of the model */
        uint64_t memory_bytes;            /* host memory for the guest and its tables; 0 = as much as needed */
        uint64_t vpid;                    /* bool: TLB entries survive exits */
        uint64_t accessed_dirty;          /* bool: EPT entries have A and D flags (those of NPT always do) */
        uint64_t pml;                     /* bool: page-modification log; needs ept with accessed_dirty */
        uint64_t shadow_policy;           /* enum nw_shadowing */
        uint64_t direct_batch;            /* requests that wait for one hypercall */
        uint64_t direct_writable_tables;  /* bool: stores to leaf tables trap and are emulated, one by one */
        uint64_t shadow_pages;            /* policy kvm: most shadow pages; 0 = KVM's default */
        uint64_t agile_writes;            /* mode agile: trapped writes in an interval that make a table nested */
        uint64_t agile_interval_accesses; /* ... its length; 0 = it never ends */
        uint64_t agile_start;             /* enum nw_agile_start: of a new address space */
        uint64_t agile_cr3_cache;         /* ... entries of the processor's cache of shadow roots; 0 = it has none */
    } vmm;

    struct nw_tlb_config tlb[NW_TLB_ARRAYS_MAX];
    size_t tlb_count;
    /* Paging-structure caches; index 0 = PDE (skips all but the leaf table), 1 = PDPTE, 2 = PML4E, 3 = PML5E; and the nested TLB: GPA -> HPA of
     * 4 KiB and larger nested pages. 0 entries = off; 0 ways = fully associative. */
    struct nw_psc_config {
        uint64_t entries, ways, policy;
    } psc_guest[NW_PSC_LEVELS], psc_nested[NW_PSC_LEVELS], nested_tlb;

    /* bool: the guest's PDEs, or what the nested TLB would hold, are entries of the last level's data TLB instead, and compete with translations. */
    uint64_t guest_pde_in_tlb, nested_tlb_in_tlb;
    uint64_t nested_tlb_tables_only; /* bool: the nested TLB is not asked for the final address */

    struct nw_cache_config cache[NW_CACHES_MAX];
    size_t cache_count;
    struct nw_memory_config {
        uint64_t dram_latency_cycles;
    } memory;
    struct nw_walker_config {
        uint64_t first_cache;  /* index of the first cache the walker looks in: 0 = l1d, 1 = l2 */
        uint64_t level_cycles; /* fixed overhead of each reference */
        uint64_t prefetch;     /* enum nw_prefetch */
        double overlap;        /* walk cycles are divided by this: walkers in parallel, and out-of-order hiding */
    } walker;
    struct nw_cost_config {
        double frequency_ghz;
        uint64_t fetch_cycles, load_cycles, store_cycles; /* base cost of an access with translation free */
        struct nw_exit_cost exit[NW_EXIT_COUNT];
        uint64_t guest_fault_cycles;       /* a page fault handled by the guest's own kernel, without any exit */
        uint64_t hypercall_request_cycles; /* each request of a batched hypercall, beyond the hypercall itself */
        uint64_t validated_entry_cycles;   /* checking one entry of a page that a hypercall makes a page table */
        struct nw_io_cost {
            uint64_t packet_cycles;       /* driver and stack, for a packet or request, without mapping its buffers */
            uint64_t call_cycles;         /* a call that maps or unmaps, without what follows */
            uint64_t address_cycles;      /* taking a range of device addresses and giving it back */
            uint64_t entry_cycles;        /* writing an entry of a remapping table, and making it visible to the unit */
            uint64_t invalidation_cycles; /* queueing an invalidation and waiting for it */
            uint64_t sidecore_cycles;     /* ... of an emulated unit that another core watches */
            uint64_t grant_cycles;        /* a grant copy, without the bytes */
            uint64_t notify_cycles;       /* telling another core, instead of an exit */
            double copy_bytes;            /* bytes copied a cycle */
        } io;
    } cost;
    /* The remapping unit of the machine. */
    struct nw_dmar_config {
        uint64_t iotlb_policy; /* enum nw_iommu_policy */
        uint64_t iotlb_entries, iotlb_ways, paging_cache_entries, paging_cache_ways, walkers;
        double reference_ns; /* reading one word of a table */
    } dmar;

    struct nw_iommu_config {
        uint64_t kind;     /* enum nw_iommu_kind */
        uint64_t strategy; /* enum nw_dma_strategy (iommu/dma_map.h) */
        uint64_t unit;     /* enum nw_dma_unit */
        uint64_t deferred_ranges, deferred_ns, optimistic_ns, pool_bytes, request_bytes;
        uint64_t detect_stale; /* bool */
        double link_gbps;      /* 0: what the trace's marker says */
    } iommu;
    struct nw_io_config {
        uint64_t device;   /* enum nw_io_device */
        uint64_t exitless; /* bool: interrupts of a passed-through device need no exit (ELI, posted interrupts) */
        uint64_t split;    /* bool: the hypervisor runs on another core (SplitX): notifications instead of exits */
        uint64_t interrupt_batch;   /* packets an interrupt */
        uint64_t kick_batch;        /* paravirtual: packets a notification of the back end */
        uint64_t register_accesses; /* emulated: accesses to device registers a packet */
        uint64_t backend;           /* enum nw_io_backend: how a back end moves data */
    } io;

    /* Exits that a workload is known to take besides those that the replay finds, as a measurement gave them: priced once, at the end of a
     * run that has a VMM.
     * MODEL: when they happen is not known, so they are not between the accesses: they flush nothing and fill no log. */
    struct nw_mix_config {
        uint64_t base_cycles; /* the workload's cycles without a hypervisor; 0 = what the accesses replayed cost */
        uint64_t count[NW_EXIT_COUNT];
    } mix;

    /* Where each value came from; opaque, one entry a parameter that was set. */
    struct nw_provenance *provenance;
    size_t provenance_count, provenance_capacity;
};

void nw_config_init(struct nw_config *c); /* the textbook machine */
void nw_config_fini(struct nw_config *c);
enum nw_status nw_config_copy(struct nw_config *to, const struct nw_config *from, struct nw_error *err) NW_MUST_USE;

/* Drops all TLB arrays and caches and sets every machine parameter (group NW_GROUP_MACHINE) to its default: what a profile starts from. */
void nw_config_clear_machine(struct nw_config *c);
enum nw_status nw_config_add_tlb(struct nw_config *c, const char *name, struct nw_error *err) NW_MUST_USE;
enum nw_status nw_config_add_cache(struct nw_config *c, const char *name, struct nw_error *err) NW_MUST_USE;

enum nw_param_type {
    NW_PARAM_COUNT,
    NW_PARAM_BYTES,
    NW_PARAM_REAL,
    NW_PARAM_BOOL,
    NW_PARAM_CHOICE,
    NW_PARAM_SET,
    NW_PARAM_TEXT
};
enum nw_param_group {
    NW_GROUP_RUN,
    NW_GROUP_GUEST,
    NW_GROUP_VMM,
    NW_GROUP_IOMMU,
    NW_GROUP_IO,
    NW_GROUP_MIX,
    NW_GROUP_MACHINE
};

struct nw_param {
    const char *path; /* "walker.overlap"; "tlb.*.entries" for a field of a named element */
    enum nw_param_type type;
    enum nw_param_group group;
    const char *unit;           /* "entries", "cycles", ""... */
    double min, max;            /* COUNT, BYTES, REAL */
    const char *const *choices; /* CHOICE and SET: NULL-terminated */
    const char *initial;        /* the default as text */
    const char *doc;
    size_t offset; /* into nw_config, or into the element */
    size_t size;   /* TEXT: bytes of the field, with its NUL */
};
const struct nw_param *nw_params(size_t *count);

/* Sets one value. `value`: decimal with optional K/M/G/T for COUNT and BYTES ("512M"), true/false/1/0 for BOOL, a choice's name,
 * or choices separated by spaces for SET. `source` is remembered ("cpuid", "measured", "assumed", a document, "--set").
 * Unknown path: NW_ERR_USAGE with the nearest valid ones; a value out of range: NW_ERR_USAGE with what is allowed. */
enum nw_status nw_config_set(struct nw_config *c, const char *path, const char *value, const char *source,
                             struct nw_error *err) NW_MUST_USE;
/* Value as text. NW_ERR_USAGE for an unknown path. */
enum nw_status nw_config_get(const struct nw_config *c, const char *path, char *out, size_t out_size,
                             struct nw_error *err) NW_MUST_USE;
/* Its source; "default" when nobody set it. */
const char *nw_config_source(const struct nw_config *c, const char *path);

/* Every parameter with its present value, elements expanded, in the table's order. */
typedef void (*nw_config_fn)(void *context, const char *path, const char *value, const char *source,
                             const struct nw_param *param);
void nw_config_visit(const struct nw_config *c, nw_config_fn fn, void *context);

/* Cross-checks (entries divisible by ways, levels without gaps, a page size that a level cannot hold, ...): NW_ERR_USAGE naming the paths. */
enum nw_status nw_config_check(const struct nw_config *c, struct nw_error *err) NW_MUST_USE;

#endif
