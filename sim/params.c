/* params.c - the table of parameters: one row each. See config.h. */
#include "params.h"

const char *const nw_mode_name[NW_MODE_COUNT] = { "native", "direct", "shadow", "nested", "agile" };
const char *const nw_fidelity_name[NW_FIDELITY_COUNT] = { "tlb", "walk", "full" };
const char *const nw_engine_name[NW_ENGINE_COUNT] = { "fast", "reference" };
const char *const nw_exit_name[NW_EXIT_COUNT] = {
    [NW_EXIT_SHADOW_FAULT] = "shadow_fault",
    [NW_EXIT_GUEST_PAGE_FAULT] = "guest_page_fault",
    [NW_EXIT_TABLE_WRITE] = "table_write",
    [NW_EXIT_CR_WRITE] = "cr_write",
    [NW_EXIT_INVLPG] = "invlpg",
    [NW_EXIT_EPT_VIOLATION] = "ept_violation",
    [NW_EXIT_EPT_MISCONFIG] = "ept_misconfig",
    [NW_EXIT_PML_FULL] = "pml_full",
    [NW_EXIT_HYPERCALL] = "hypercall",
    [NW_EXIT_TRAP] = "trap",
    [NW_EXIT_EXTERNAL_INTERRUPT] = "external_interrupt",
    [NW_EXIT_IO_INSTRUCTION] = "io_instruction",
    [NW_EXIT_APIC_ACCESS] = "apic_access",
    [NW_EXIT_CPUID] = "cpuid",
    [NW_EXIT_HLT] = "hlt",
    [NW_EXIT_MSR] = "msr",
    [NW_EXIT_MMIO] = "mmio",
    [NW_EXIT_RECORDED] = "recorded",
};

static const char *const mode_choices[] = { "native", "direct", "shadow", "nested", "agile", NULL };
static const char *const fidelity_choices[] = { "tlb", "walk", "full", NULL };
static const char *const engine_choices[] = { "fast", "reference", NULL };
static const char *const guest_page_choices[] = { "4K", "2M", "1G", "thp", NULL };
static const char *const backing_choices[] = { "4K", "2M", "1G", NULL };
static const char *const cache_policy_choices[] = { "lru", "random", NULL };
static const char *const cache_index_choices[] = { "low-bits", "hashed", NULL };
static const char *const host_frames_choices[] = { "in-order", "scattered", NULL };
static const char *const shadow_policy_choices[] = { "kvm", "eager", "virtual-tlb", NULL };
static const char *const agile_start_choices[] = { "shadow", "nested", NULL };
static const char *const slat_choices[] = { "ept", "npt", NULL };
static const char *const class_choices[] = { "data", "instruction", "unified", NULL };
static const char *const page_set_choices[] = { "4K", "2M", "1G", NULL };
static const char *const policy_choices[] = { "lru", "plru", "random", "nru", "srrip", NULL };
static const char *const prefetch_choices[] = { "none", "next-page", NULL };

/* In the order of enum nw_dma_strategy and enum nw_dma_unit: io.c holds them to it. */
static const char *const strategy_choices[] = { "strict",     "deferred", "identity", "persistent", "shared",
                                                "optimistic", "huge",     "swiotlb",  "grant-copy", NULL };
static const char *const iotlb_policy_choices[] = { "lru", "fifo", "random", NULL };
static const char *const unit_choices[] = { "hardware", "emulated", "sidecore", "nested", NULL };
static const char *const iommu_choices[] = { "none", "vtd", NULL };
static const char *const device_choices[] = { "passed-through", "paravirtual", "emulated", NULL };
static const char *const backend_choices[] = { "copy", "grant", NULL };

#define CFG(field)   offsetof(struct nw_config, field)
#define TLB(field)   offsetof(struct nw_tlb_config, field)
#define CACHE(field) offsetof(struct nw_cache_config, field)

#define COUNT_ROW(group_, path_, offset_, unit_, min_, max_, initial_, doc_)                                           \
    {                                                                                                                  \
        .path = (path_), .type = NW_PARAM_COUNT, .group = (group_), .unit = (unit_), .min = (min_), .max = (max_),     \
        .initial = (initial_), .doc = (doc_), .offset = (offset_)                                                      \
    }
#define BYTES_ROW(group_, path_, offset_, min_, max_, initial_, doc_)                                                  \
    {                                                                                                                  \
        .path = (path_), .type = NW_PARAM_BYTES, .group = (group_), .unit = "bytes", .min = (min_), .max = (max_),     \
        .initial = (initial_), .doc = (doc_), .offset = (offset_)                                                      \
    }
#define REAL_ROW(group_, path_, offset_, unit_, min_, max_, initial_, doc_)                                            \
    {                                                                                                                  \
        .path = (path_), .type = NW_PARAM_REAL, .group = (group_), .unit = (unit_), .min = (min_), .max = (max_),      \
        .initial = (initial_), .doc = (doc_), .offset = (offset_)                                                      \
    }
#define BOOL_ROW(group_, path_, offset_, initial_, doc_)                                                               \
    {                                                                                                                  \
        .path = (path_), .type = NW_PARAM_BOOL, .group = (group_), .unit = "", .min = 0, .max = 1,                     \
        .initial = (initial_), .doc = (doc_), .offset = (offset_)                                                      \
    }
#define CHOICE_ROW(type_, group_, path_, offset_, choices_, initial_, doc_)                                            \
    {                                                                                                                  \
        .path = (path_), .type = (type_), .group = (group_), .unit = "", .choices = (choices_), .initial = (initial_), \
        .doc = (doc_), .offset = (offset_)                                                                             \
    }
#define TEXT_ROW(group_, path_, field_, initial_, doc_)                                                                \
    {                                                                                                                  \
        .path = (path_), .type = NW_PARAM_TEXT, .group = (group_), .unit = "", .initial = (initial_), .doc = (doc_),   \
        .offset = CFG(field_), .size = sizeof(((struct nw_config *)0)->field_)                                         \
    }
#define PSC_ROWS(path_, field_, max_, doc_)                                                                            \
    COUNT_ROW(NW_GROUP_MACHINE, path_ ".entries", CFG(field_.entries), "entries", 0, max_, "0", doc_),                 \
        COUNT_ROW(NW_GROUP_MACHINE, path_ ".ways", CFG(field_.ways), "ways", 0, max_, "0",                             \
                  "its associativity; 0: fully associative"),                                                          \
        CHOICE_ROW(NW_PARAM_CHOICE, NW_GROUP_MACHINE, path_ ".policy", CFG(field_.policy), policy_choices, "lru",      \
                   "its replacement policy")
#define EXIT_PART_ROW(name_, index_, part_, initial_, doc_)                                                            \
    COUNT_ROW(NW_GROUP_MACHINE, "cost.exit." name_ "." #part_, CFG(cost.exit[index_].part_), "cycles", 0, 1e9,         \
              initial_, doc_)
#define EXIT_ROWS(name_, index_, direct_, synchronous_, indirect_, doc_)                                               \
    EXIT_PART_ROW(name_, index_, direct, direct_, doc_ ": the switch to the VMM and back"),                            \
        EXIT_PART_ROW(name_, index_, synchronous, synchronous_, "... its handling, while the guest waits"),            \
        EXIT_PART_ROW(name_, index_, indirect, indirect_, "... the guest's slower execution afterwards")
#define MIX_ROW(name_, index_, doc_)                                                                                   \
    COUNT_ROW(NW_GROUP_MIX, "mix." name_, CFG(mix.count[index_]), "exits", 0, 1e12, "0", doc_)

static const double BYTES_MAX = 0x1p52;

/* The order is the order of reports and of the manual page. */
static const struct nw_param table[] = {
    CHOICE_ROW(
        NW_PARAM_CHOICE, NW_GROUP_RUN, "run.mode", CFG(mode), mode_choices, "native",
        "how memory is virtualized: not at all, by a guest that keeps machine frames in its tables (Xen PV), by "
        "shadow page tables, by a second stage (EPT/NPT), or by shadow tables whose walks go on nested where tables "
        "change often (agile paging)"),
    CHOICE_ROW(NW_PARAM_CHOICE, NW_GROUP_RUN, "run.fidelity", CFG(fidelity), fidelity_choices, "walk",
               "tlb: counts only; walk: page-table lines compete in the caches; full: data lines compete as well"),
    CHOICE_ROW(NW_PARAM_CHOICE, NW_GROUP_RUN, "run.engine", CFG(engine), engine_choices, "fast",
               "replay engine: the fast one, or the naive one it is checked against"),
    COUNT_ROW(NW_GROUP_RUN, "run.seed", CFG(seed), "", 0, 0x1p63, "42", "seed of every random choice in the model"),
    BOOL_ROW(
        NW_GROUP_RUN, "run.detect_stale", CFG(detect_stale), "0",
        "report each use of a cached translation that the page tables no longer grant; replays with the naive engine"),
    TEXT_ROW(NW_GROUP_RUN, "run.label", label, "", "name of the run in tables and reports"),
    TEXT_ROW(NW_GROUP_RUN, "run.scenario", scenario, "", "name of the scenario the run belongs to"),

    COUNT_ROW(NW_GROUP_GUEST, "guest.levels", CFG(guest.levels), "levels", 4, 5, "4",
              "levels of the guest's page tables, for traces that carry none"),
    CHOICE_ROW(NW_PARAM_CHOICE, NW_GROUP_GUEST, "guest.page_policy", CFG(guest.page_policy), guest_page_choices, "4K",
               "pages the imitation guest maps; thp: 4K first, collapsed to 2M when enough of a region is in use"),
    COUNT_ROW(NW_GROUP_GUEST, "guest.thp_threshold_pages", CFG(guest.thp_threshold_pages), "pages", 1, 512, "256",
              "thp: touched 4K pages of a 2M region at which it is collapsed"),
    BOOL_ROW(NW_GROUP_GUEST, "guest.demand_faults", CFG(guest.demand_faults), "0",
             "the imitation guest's first touches are page faults of the model"),
    BYTES_ROW(NW_GROUP_GUEST, "guest.memory", CFG(guest.memory_bytes), 0, BYTES_MAX, "0",
              "guest-physical memory of the imitation guest; 0: as much as the trace needs"),

    CHOICE_ROW(NW_PARAM_CHOICE, NW_GROUP_VMM, "vmm.slat", CFG(vmm.slat), slat_choices, "ept",
               "format of the second stage: Intel EPT or AMD nested page tables"),
    COUNT_ROW(NW_GROUP_VMM, "vmm.levels", CFG(vmm.levels), "levels", 4, 5, "4", "levels of the second stage"),
    CHOICE_ROW(NW_PARAM_CHOICE, NW_GROUP_VMM, "vmm.backing", CFG(vmm.backing), backing_choices, "4K",
               "host pages that back guest memory"),
    CHOICE_ROW(NW_PARAM_CHOICE, NW_GROUP_VMM, "vmm.frames", CFG(vmm.frames), host_frames_choices, "in-order",
               "which host frames those are: neighbours in the order of their first use, or, with 4K pages, without "
               "neighbours, as a host's that has run for long"),
    BOOL_ROW(NW_GROUP_VMM, "vmm.demand_backing", CFG(vmm.demand_backing), "0",
             "first uses of guest memory are EPT violations (nested page faults) of the model"),
    BYTES_ROW(NW_GROUP_VMM, "vmm.memory", CFG(vmm.memory_bytes), 0, BYTES_MAX, "0",
              "host memory for the guest and its second stage; 0: as much as needed"),
    BOOL_ROW(NW_GROUP_VMM, "vmm.vpid", CFG(vmm.vpid), "1",
             "TLB entries are tagged by VPID/ASID and survive exits; 0: every exit flushes"),
    BOOL_ROW(NW_GROUP_VMM, "vmm.accessed_dirty", CFG(vmm.accessed_dirty), "1",
             "the processor keeps accessed and dirty flags in EPT entries (in those of nested page tables always)"),
    BOOL_ROW(NW_GROUP_VMM, "vmm.pml", CFG(vmm.pml), "0",
             "page-modification log: setting D in an EPT leaf logs the guest page, and a full log is an exit"),

    CHOICE_ROW(NW_PARAM_CHOICE, NW_GROUP_VMM, "vmm.shadow_policy", CFG(vmm.shadow_policy), shadow_policy_choices, "kvm",
               "how shadow tables are kept in step: as KVM does; every table write trapped (eager); or nothing trapped "
               "and all "
               "thrown away with CR3 (virtual-tlb)"),
    COUNT_ROW(NW_GROUP_VMM, "vmm.shadow_pages", CFG(vmm.shadow_pages), "pages", 0, 1 << 22, "0",
              "policy kvm: most shadow table pages, at least 64; 0: KVM's default, 2 % of the guest's pages"),

    COUNT_ROW(NW_GROUP_VMM, "vmm.agile_writes", CFG(vmm.agile_writes), "writes", 1, 1e9, "2",
              "agile paging: trapped writes to a table within an interval that make it nested"),
    COUNT_ROW(NW_GROUP_VMM, "vmm.agile_interval_accesses", CFG(vmm.agile_interval_accesses), "accesses", 0, 1e15,
              "1000000",
              "agile paging: length of the interval, after which nested tables that were not written are shadowed "
              "again; 0: it never ends"),
    CHOICE_ROW(NW_PARAM_CHOICE, NW_GROUP_VMM, "vmm.agile_start", CFG(vmm.agile_start), agile_start_choices, "shadow",
               "agile paging: how a new address space begins; nested: its root is shadowed after a whole interval "
               "without a write to it"),
    COUNT_ROW(NW_GROUP_VMM, "vmm.agile_cr3_cache", CFG(vmm.agile_cr3_cache), "entries", 0, NW_AGILE_CR3_CACHE_MAX, "0",
              "agile paging: entries of the processor's cache of shadow roots, which spares loads of CR3 their exit; "
              "0: it has none"),

    COUNT_ROW(NW_GROUP_VMM, "vmm.direct_batch", CFG(vmm.direct_batch), "requests", 1, 1024, "32",
              "direct paging: page-table updates that wait for one hypercall (Linux: MC_BATCH of 32)"),
    BOOL_ROW(NW_GROUP_VMM, "vmm.direct_writable_tables", CFG(vmm.direct_writable_tables), "0",
             "direct paging: stores to leaf tables trap and are emulated one by one, instead of hypercalls"),

    CHOICE_ROW(NW_PARAM_CHOICE, NW_GROUP_IOMMU, "iommu.kind", CFG(iommu.kind), iommu_choices, "none",
               "remapping unit that devices' DMA in the trace goes through; none: it is not looked at"),
    CHOICE_ROW(NW_PARAM_CHOICE, NW_GROUP_IOMMU, "iommu.strategy", CFG(iommu.strategy), strategy_choices, "strict",
               "what the operating system does when a driver maps and unmaps a buffer"),
    CHOICE_ROW(
        NW_PARAM_CHOICE, NW_GROUP_IOMMU, "iommu.unit", CFG(iommu.unit), unit_choices, "hardware",
        "the unit that it programs: of the machine, or emulated for a guest with an exit for each announcement, or "
        "emulated on a core of its own, or nested: the guest's tables are walked through the host's"),
    COUNT_ROW(NW_GROUP_IOMMU, "iommu.deferred_ranges", CFG(iommu.deferred_ranges), "ranges", 1, 1 << 20, "250",
              "strategy deferred: unmapped ranges that wait for one invalidation (Linux: 250)"),
    COUNT_ROW(NW_GROUP_IOMMU, "iommu.deferred_ns", CFG(iommu.deferred_ns), "ns", 0, 1e15, "10000000",
              "strategy deferred: how long the oldest of them may wait (Linux: 10 ms)"),
    COUNT_ROW(NW_GROUP_IOMMU, "iommu.optimistic_ns", CFG(iommu.optimistic_ns), "ns", 0, 1e15, "10000000",
              "strategy optimistic: how long a mapping stays that nobody uses"),
    BYTES_ROW(NW_GROUP_IOMMU, "iommu.pool", CFG(iommu.pool_bytes), 1 << 21, 0x1p36, "64M",
              "strategies swiotlb and grant-copy: the pool of buffers, whole 2 MiB (Linux, swiotlb: 64 MiB)"),
    BYTES_ROW(NW_GROUP_IOMMU, "iommu.request_bytes", CFG(iommu.request_bytes), 64, 4096, "256",
              "bytes that a device moves in one request, a power of two (PCI Express: Max_Payload_Size)"),
    BOOL_ROW(NW_GROUP_IOMMU, "iommu.detect_stale", CFG(iommu.detect_stale), "1",
             "look for DMA by mappings that were removed; costs two thirds of the replay's speed"),
    REAL_ROW(NW_GROUP_IOMMU, "iommu.link_gbps", CFG(iommu.link_gbps), "Gb/s", 0, 10000, "0",
             "speed of the device's link; 0: as the trace says"),

    CHOICE_ROW(NW_PARAM_CHOICE, NW_GROUP_IO, "io.device", CFG(io.device), device_choices, "passed-through",
               "how a guest has its device; in modes with a VMM"),
    BOOL_ROW(NW_GROUP_IO, "io.exitless", CFG(io.exitless), "0",
             "interrupts of a passed-through device reach the guest without an exit (ELI, posted interrupts)"),
    BOOL_ROW(NW_GROUP_IO, "io.split", CFG(io.split), "0",
             "the hypervisor runs on a core of its own: what would exit is a notification (SplitX)"),
    COUNT_ROW(NW_GROUP_IO, "io.interrupt_batch", CFG(io.interrupt_batch), "packets", 1, 1 << 20, "8",
              "packets or requests that share an interrupt"),
    COUNT_ROW(NW_GROUP_IO, "io.kick_batch", CFG(io.kick_batch), "packets", 1, 1 << 20, "8",
              "paravirtual device: packets or requests that share a notification of the back end"),
    COUNT_ROW(NW_GROUP_IO, "io.register_accesses", CFG(io.register_accesses), "accesses", 0, 1000, "2",
              "emulated device: accesses to its registers for a packet or request, an exit each"),
    CHOICE_ROW(
        NW_PARAM_CHOICE, NW_GROUP_IO, "io.backend", CFG(io.backend), backend_choices, "copy",
        "how the back end of a paravirtual device moves data: by copying from memory that it maps, or by grant copies"),

    COUNT_ROW(NW_GROUP_MIX, "mix.base_cycles", CFG(mix.base_cycles), "cycles", 0, 1e18, "0",
              "what the workload takes without a hypervisor; 0: what the accesses replayed cost"),
    MIX_ROW("shadow_fault", NW_EXIT_SHADOW_FAULT,
            "hidden page faults that the workload takes besides those of the replay"),
    MIX_ROW("guest_page_fault", NW_EXIT_GUEST_PAGE_FAULT, "... page faults of the guest, intercepted and reflected"),
    MIX_ROW("table_write", NW_EXIT_TABLE_WRITE, "... emulated writes to guest table pages"),
    MIX_ROW("cr_write", NW_EXIT_CR_WRITE, "... writes to control registers"),
    MIX_ROW("invlpg", NW_EXIT_INVLPG, "... INVLPGs"),
    MIX_ROW("ept_violation", NW_EXIT_EPT_VIOLATION, "... EPT violations (nested page faults)"),
    MIX_ROW("ept_misconfig", NW_EXIT_EPT_MISCONFIG, "... EPT misconfigurations"),
    MIX_ROW("pml_full", NW_EXIT_PML_FULL, "... full page-modification logs"),
    MIX_ROW("hypercall", NW_EXIT_HYPERCALL, "... hypercalls, without their requests"),
    MIX_ROW("trap", NW_EXIT_TRAP, "... reflected exceptions of a paravirtual guest"),
    MIX_ROW("external_interrupt", NW_EXIT_EXTERNAL_INTERRUPT, "... interrupts of the host"),
    MIX_ROW("io_instruction", NW_EXIT_IO_INSTRUCTION, "... instructions that reach a port"),
    MIX_ROW("apic_access", NW_EXIT_APIC_ACCESS, "... accesses to the local APIC's page"),
    MIX_ROW("cpuid", NW_EXIT_CPUID, "... CPUIDs"),
    MIX_ROW("hlt", NW_EXIT_HLT, "... HLTs"),
    MIX_ROW("msr", NW_EXIT_MSR, "... RDMSRs and WRMSRs"),
    MIX_ROW("mmio", NW_EXIT_MMIO, "... emulated accesses to a device's registers"),
    MIX_ROW("recorded", NW_EXIT_RECORDED, "... bare exits"),

    TEXT_ROW(NW_GROUP_MACHINE, "machine.name", machine, "textbook", "name of the machine profile"),
    TEXT_ROW(NW_GROUP_MACHINE, "machine.vendor", vendor, "none", "CPU vendor"),
    TEXT_ROW(NW_GROUP_MACHINE, "machine.model", model, "neutral textbook machine",
             "CPU model that the profile describes"),

    COUNT_ROW(NW_GROUP_MACHINE, "tlb.*.level", TLB(level), "", 1, 4, "1", "level of the array, 1 is looked up first"),
    CHOICE_ROW(NW_PARAM_CHOICE, NW_GROUP_MACHINE, "tlb.*.class", TLB(class), class_choices, "unified",
               "accesses that look in the array"),
    CHOICE_ROW(NW_PARAM_SET, NW_GROUP_MACHINE, "tlb.*.pages", TLB(pages), page_set_choices, "4K 2M 1G",
               "page sizes that the array holds"),
    COUNT_ROW(NW_GROUP_MACHINE, "tlb.*.entries", TLB(entries), "entries", 1, 1 << 20, "64", "capacity of the array"),
    COUNT_ROW(NW_GROUP_MACHINE, "tlb.*.ways", TLB(ways), "ways", 1, 1 << 20, "4",
              "associativity; as many ways as entries: fully associative"),
    CHOICE_ROW(NW_PARAM_CHOICE, NW_GROUP_MACHINE, "tlb.*.policy", TLB(policy), policy_choices, "lru",
               "replacement policy"),
    COUNT_ROW(NW_GROUP_MACHINE, "tlb.*.hit_cycles", TLB(hit_cycles), "cycles", 0, 1000, "0",
              "added to an access that this array answers"),

    PSC_ROWS("psc.guest.pde", psc_guest[0], 4096, "guest PDE cache: its hit leaves one guest reference"),
    BOOL_ROW(NW_GROUP_MACHINE, "psc.guest.pde.in_tlb", CFG(guest_pde_in_tlb), "0",
             "guest PDEs lie in the last level's data TLB instead, whatever psc.guest.pde says, and compete with "
             "translations; replays with the naive engine"),
    PSC_ROWS("psc.guest.pdpte", psc_guest[1], 4096, "guest PDPTE cache: its hit leaves two guest references"),
    PSC_ROWS("psc.guest.pml4e", psc_guest[2], 4096, "guest PML4E cache: its hit leaves three guest references"),
    PSC_ROWS("psc.guest.pml5e", psc_guest[3], 4096,
             "guest PML5E cache (five levels): its hit leaves four guest references"),
    PSC_ROWS("psc.nested.pde", psc_nested[0], 4096, "second-stage PDE cache, looked up by guest-physical address"),
    PSC_ROWS("psc.nested.pdpte", psc_nested[1], 4096, "second-stage PDPTE cache"),
    PSC_ROWS("psc.nested.pml4e", psc_nested[2], 4096, "second-stage PML4E cache"),
    PSC_ROWS("psc.nested.pml5e", psc_nested[3], 4096, "second-stage PML5E cache (five levels)"),
    PSC_ROWS("nested_tlb", nested_tlb, 8192, "nested TLB: guest-physical to host-physical, used by the walker"),
    BOOL_ROW(NW_GROUP_MACHINE, "nested_tlb.in_tlb", CFG(nested_tlb_in_tlb), "0",
             "guest-physical translations lie in the last level's data TLB instead, whatever nested_tlb says, and "
             "compete with the others; replays with the naive engine"),
    BOOL_ROW(NW_GROUP_MACHINE, "nested_tlb.tables_only", CFG(nested_tlb_tables_only), "0",
             "the nested TLB serves only the addresses of guest page tables, not the data's own"),

    COUNT_ROW(NW_GROUP_MACHINE, "walker.first_cache", CFG(walker.first_cache), "", 0, NW_CACHES_MAX - 1, "0",
              "first cache the walker looks in: 0 is the nearest, 1 the next (a walker that bypasses L1d)"),
    COUNT_ROW(NW_GROUP_MACHINE, "walker.level_cycles", CFG(walker.level_cycles), "cycles", 0, 1000, "2",
              "fixed overhead of each page-table reference"),
    REAL_ROW(NW_GROUP_MACHINE, "walker.overlap", CFG(walker.overlap), "", 1, 64, "1",
             "walk cycles are divided by this: parallel walkers and out-of-order execution"),
    CHOICE_ROW(NW_PARAM_CHOICE, NW_GROUP_MACHINE, "walker.prefetch", CFG(walker.prefetch), prefetch_choices, "none",
               "next-page: a walk is followed by one for the page after, into the last TLB level"),
    BYTES_ROW(NW_GROUP_MACHINE, "memory.*.size", CACHE(size_bytes), 64, 0x1p40, "32K", "capacity of the cache"),
    COUNT_ROW(NW_GROUP_MACHINE, "memory.*.ways", CACHE(ways), "ways", 1, 4096, "8", "associativity of the cache"),
    CHOICE_ROW(NW_PARAM_CHOICE, NW_GROUP_MACHINE, "memory.*.policy", CACHE(policy), cache_policy_choices, "lru",
               "which line of a set makes room; random, also for a cache that others use as well, replays with the "
               "naive engine"),
    CHOICE_ROW(NW_PARAM_CHOICE, NW_GROUP_MACHINE, "memory.*.index", CACHE(index), cache_index_choices, "low-bits",
               "how a line's address picks its set; hashed: by all of its bits, replays with the naive engine"),
    COUNT_ROW(NW_GROUP_MACHINE, "memory.*.latency_cycles", CACHE(latency_cycles), "cycles", 0, 100000, "4",
              "latency of a page-table reference whose line is found here"),
    COUNT_ROW(NW_GROUP_MACHINE, "memory.dram.latency_cycles", CFG(memory.dram_latency_cycles), "cycles", 0, 100000,
              "250", "latency of a page-table reference found in no cache"),

    COUNT_ROW(NW_GROUP_MACHINE, "dmar.iotlb.entries", CFG(dmar.iotlb_entries), "entries", 0, 1 << 20, "256",
              "IOTLB; 0: none"),
    COUNT_ROW(NW_GROUP_MACHINE, "dmar.iotlb.ways", CFG(dmar.iotlb_ways), "ways", 1, 1 << 20, "4", "its associativity"),
    CHOICE_ROW(NW_PARAM_CHOICE, NW_GROUP_MACHINE, "dmar.iotlb.policy", CFG(dmar.iotlb_policy), iotlb_policy_choices,
               "lru", "which entry of a full set makes room"),
    COUNT_ROW(NW_GROUP_MACHINE, "dmar.paging_cache.entries", CFG(dmar.paging_cache_entries), "entries", 0, 1 << 20,
              "64", "the remapping unit's paging-structure caches, one array for all levels; 0: none"),
    COUNT_ROW(NW_GROUP_MACHINE, "dmar.paging_cache.ways", CFG(dmar.paging_cache_ways), "ways", 1, 1 << 20, "4",
              "their associativity"),
    COUNT_ROW(NW_GROUP_MACHINE, "dmar.walkers", CFG(dmar.walkers), "walks", 1, 1024, "2",
              "walks of remapping tables that go on at a time"),
    REAL_ROW(NW_GROUP_MACHINE, "dmar.reference_ns", CFG(dmar.reference_ns), "ns", 0, 1e6, "60",
             "reading one word of a remapping table"),

    REAL_ROW(NW_GROUP_MACHINE, "cost.frequency", CFG(cost.frequency_ghz), "GHz", 0.001, 100, "3", "core clock"),
    COUNT_ROW(NW_GROUP_MACHINE, "cost.base.fetch", CFG(cost.fetch_cycles), "cycles", 0, 10000, "1",
              "an instruction fetch with translation free"),
    COUNT_ROW(NW_GROUP_MACHINE, "cost.base.load", CFG(cost.load_cycles), "cycles", 0, 10000, "4",
              "a load with translation free"),
    COUNT_ROW(NW_GROUP_MACHINE, "cost.base.store", CFG(cost.store_cycles), "cycles", 0, 10000, "1",
              "a store with translation free"),
    COUNT_ROW(NW_GROUP_MACHINE, "cost.guest_fault", CFG(cost.guest_fault_cycles), "cycles", 0, 1e9, "1000",
              "a page fault taken and handled by the imitation guest's own kernel, without exits"),
    COUNT_ROW(NW_GROUP_MACHINE, "cost.hypercall_request", CFG(cost.hypercall_request_cycles), "cycles", 0, 1e9, "150",
              "each request of a batched hypercall, beyond the hypercall itself"),
    COUNT_ROW(NW_GROUP_MACHINE, "cost.validated_entry", CFG(cost.validated_entry_cycles), "cycles", 0, 1e9, "20",
              "checking one entry of a page that a hypercall makes a page table"),
    COUNT_ROW(NW_GROUP_MACHINE, "cost.io.packet", CFG(cost.io.packet_cycles), "cycles", 0, 1e9, "1800",
              "a packet or request through driver and stack, without mapping its buffers"),
    COUNT_ROW(NW_GROUP_MACHINE, "cost.io.call", CFG(cost.io.call_cycles), "cycles", 0, 1e9, "100",
              "a call that maps or unmaps a buffer for DMA, without what follows"),
    COUNT_ROW(NW_GROUP_MACHINE, "cost.io.address", CFG(cost.io.address_cycles), "cycles", 0, 1e9, "150",
              "taking a range of device addresses, and giving it back"),
    COUNT_ROW(NW_GROUP_MACHINE, "cost.io.entry", CFG(cost.io.entry_cycles), "cycles", 0, 1e9, "250",
              "writing an entry of a remapping table, and making it visible to the unit"),
    COUNT_ROW(NW_GROUP_MACHINE, "cost.io.invalidation", CFG(cost.io.invalidation_cycles), "cycles", 0, 1e9, "2100",
              "queueing an invalidation and waiting until it is done"),
    COUNT_ROW(NW_GROUP_MACHINE, "cost.io.sidecore", CFG(cost.io.sidecore_cycles), "cycles", 0, 1e9, "1000",
              "... of an emulated unit that another core watches"),
    COUNT_ROW(NW_GROUP_MACHINE, "cost.io.grant", CFG(cost.io.grant_cycles), "cycles", 0, 1e9, "800",
              "a grant copy of a paravirtual hypervisor, without the bytes"),
    COUNT_ROW(NW_GROUP_MACHINE, "cost.io.notify", CFG(cost.io.notify_cycles), "cycles", 0, 1e9, "300",
              "telling a hypervisor on another core, instead of an exit"),
    REAL_ROW(NW_GROUP_MACHINE, "cost.io.copy_bytes", CFG(cost.io.copy_bytes), "bytes/cycle", 0.01, 1000, "4",
             "bytes copied a cycle, by bounce buffers, back ends and grant copies"),
    /* Direct: Landau, Ben-Yehuda and Gordon, SplitX, WIOV 2011, on a Xeon X5570. See scenarios/machines/textbook.xml for the others. */
    EXIT_ROWS("shadow_fault", NW_EXIT_SHADOW_FAULT, "2000", "3000", "0",
              "a hidden page fault that fills the shadow table"),
    EXIT_ROWS("guest_page_fault", NW_EXIT_GUEST_PAGE_FAULT, "2000", "2000", "0",
              "a guest's own page fault, intercepted and reflected"),
    EXIT_ROWS("table_write", NW_EXIT_TABLE_WRITE, "2000", "4000", "0",
              "an emulated write to a write-protected guest table page"),
    EXIT_ROWS("cr_write", NW_EXIT_CR_WRITE, "2000", "500", "0", "an intercepted write to a control register"),
    EXIT_ROWS("invlpg", NW_EXIT_INVLPG, "2000", "500", "0", "an intercepted INVLPG"),
    EXIT_ROWS("ept_violation", NW_EXIT_EPT_VIOLATION, "2000", "10000", "0",
              "an EPT violation (nested page fault) and its service"),
    EXIT_ROWS("ept_misconfig", NW_EXIT_EPT_MISCONFIG, "2000", "10000", "0", "an EPT misconfiguration and its service"),
    EXIT_ROWS("pml_full", NW_EXIT_PML_FULL, "2000", "13000", "0",
              "a full page-modification log and the handling of its 512 entries"),
    EXIT_ROWS("hypercall", NW_EXIT_HYPERCALL, "300", "200", "0", "a hypercall of a paravirtual guest, no VM exit"),
    EXIT_ROWS("trap", NW_EXIT_TRAP, "500", "500", "0",
              "an exception of a paravirtual guest that the hypervisor reflects, no VM exit"),
    EXIT_ROWS("external_interrupt", NW_EXIT_EXTERNAL_INTERRUPT, "2000", "361000", "0", "an interrupt of the host"),
    EXIT_ROWS("io_instruction", NW_EXIT_IO_INSTRUCTION, "2000", "83000", "0", "an instruction that reaches a port"),
    EXIT_ROWS("apic_access", NW_EXIT_APIC_ACCESS, "2000", "16000", "0", "an access to the local APIC's page"),
    EXIT_ROWS("cpuid", NW_EXIT_CPUID, "2000", "500", "0", "a CPUID"),
    EXIT_ROWS("hlt", NW_EXIT_HLT, "2000", "5000", "0", "a HLT, without the time that the guest is idle"),
    EXIT_ROWS("msr", NW_EXIT_MSR, "2000", "500", "0", "an intercepted RDMSR or WRMSR"),
    EXIT_ROWS("mmio", NW_EXIT_MMIO, "2000", "4000", "0", "an access to a device's registers, emulated by the VMM"),
    EXIT_ROWS("recorded", NW_EXIT_RECORDED, "2000", "0", "0", "any other exit that the trace recorded"),
};

const struct nw_param *nw_params(size_t *count)
{
    *count = NW_ARRAY_LEN(table);
    return table;
}
