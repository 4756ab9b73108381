/* kvm_shadow.h - KVM's shadow MMU as a model: what a Linux host without EPT or NPT does to run a guest's page tables,
 * step by step, with KVM's own counters.
 *
 *     s = nw_kvm_create(&k, &config, err);
 *     s = nw_kvm_slot_add(k, &(struct nw_kvm_slot){ .pages = 16384 }, err);   // 64 MiB of guest memory at GPA 0
 *     s = nw_kvm_set_sregs(k, &registers, err);
 *     loop:
 *     s = nw_kvm_enter(k, err);                                                // serves the requests, loads a root
 *     nw_walk_native(pm, nw_kvm_shadow_paging(k), gva, &access, NULL, &walk);  // what the processor does
 *     if (walk.outcome == NW_WALK_PAGE_FAULT)
 *         s = nw_kvm_page_fault(k, gva, walk.fault.code, &fault, err);         // the exit
 *
 * Terms
 *   shadow page   a table of 512 entries that KVM makes for one guest table, named by (gfn, role). The role holds
 *                 level, access rights that the way down to it grants, whether it is direct, and paging mode bits.
 *   direct        made where no guest table is: it splits a large guest page.
 *   unsync        a level-0 shadow page whose guest table may be written without a trap, and so may differ from it.
 *   write-tracked a guest frame with a shadow page above level 0: every write to it traps and is emulated.
 *   request       work put off to the next VM entry: flushes, syncing the root, dropping obsolete roots.
 * Shadow entries are real words in simulated memory: bit 9 the host lets KVM write, bit 10 KVM may make it writable,
 * bit 11 present for KVM; the rest as the processor has it.
 *
 * Only 64-bit guests (4- and 5-level tables), one virtual processor. Level 0 is the leaf table; events print KVM's
 * numbers, where it is level 1.
 *
 * Sources, read as facts: Linux arch/x86/kvm/mmu/mmu.c, paging_tmpl.h, spte.c, arch/x86/kvm/x86.c of the 6.12 to 6.18
 * era; docs/shadow.md tells which rules were confirmed on a live kernel.
 *
 * Failure: NW_ERR_NOMEM, NW_ERR_INPUT (a slot that overlaps, an address too wide), NW_ERR_UNSUPPORTED (a paging mode
 * without 64-bit tables). A guest's faults are results. */
#ifndef NESTWALK_MMU_KVM_SHADOW_H
#define NESTWALK_MMU_KVM_SHADOW_H

#include <nestwalk/base/metric.h>
#include <nestwalk/mmu/walk.h>

struct nw_kvm;

enum {
    NW_KVM_PREVIOUS_ROOTS = 3,
    NW_KVM_FLOOD = 3,            /* emulated writes to a table without a use of it in between: it is given up */
    NW_KVM_PREFETCH = 8,         /* entries looked at around a fault */
    NW_KVM_SYNC_BATCH = 16,      /* shadow pages collected before they are write-protected and synced */
    NW_KVM_MIN_FREE_PAGES = 5,   /* fewer free shadow pages than this: the oldest are recycled ... */
    NW_KVM_REFILL_PAGES = 25,    /* ... until so many are free */
    NW_KVM_MIN_PAGES = 64,       /* the least limit */
    NW_KVM_PAGES_PER_MILLE = 20, /* default limit, of the guest's pages */
    NW_KVM_RMAP_LIMIT = 1000,    /* more leaves than this that map one frame: all are zapped */
};

struct nw_kvm_config {
    struct nw_physmem *pm;
    uint64_t shadow_hpa;    /* shadow tables are put at this HPA and upwards; nothing else may be there */
    uint64_t max_mmu_pages; /* limit of shadow pages; 0: 2 % of the guest's pages, at least 64 */
    unsigned maxphyaddr;    /* of the guest; bits above are reserved in its tables. 0: 48 */
    bool huge_1g;           /* the guest has 1 GiB pages */
    bool eager_zap;         /* zapping a table also zaps the unsync pages below it (mainline Linux; PVM: false) */
    bool serve_every_exit;  /* requests are served after every exit (VT-x, AMD-V); false: a stretch of emulated
                               supervisor code serves them once, at its end (PVM) */
    bool mmio_caching;      /* accesses without memory leave a marked entry and are recognised from it next time */
    /* The host page behind a guest frame that lies in a slot, for a host that gives out pages one by one; it must not
     * change but through nw_kvm_host_drop(). The page is made in simulated memory. NULL: as the slot's hpa says. */
    hpa_t (*frame)(void *context, uint64_t gfn);
    /* Told each step in the notation of docs/shadow.md, "Events"; NULL: none. */
    void (*event)(void *context, const char *text);
    void *context; /* of both */
};

/* Counters carry KVM's names (KVM_GET_STATS_FD). pages_*, mmu_unsync and shadow_pages are gauges: what is now. */
struct nw_kvm_counters {
    uint64_t pf_taken, pf_fixed, pf_emulate, pf_spurious, pf_fast, pf_mmio_spte_created, pf_guest;
    uint64_t tlb_flush, invlpg, remote_tlb_flush, remote_tlb_flush_requests;
    uint64_t mmu_shadow_zapped, mmu_pte_write, mmu_pde_zapped, mmu_flooded, mmu_recycled, mmu_cache_miss, mmu_unsync;
    uint64_t pages_4k, pages_2m, pages_1g;
    uint64_t shadow_pages; /* in use */
};
enum { NW_KVM_COUNTERS = 22 };
extern const struct nw_counter_row nw_kvm_counter_row[NW_KVM_COUNTERS];

enum nw_status nw_kvm_create(struct nw_kvm **out, const struct nw_kvm_config *config, struct nw_error *err) NW_MUST_USE;
void nw_kvm_destroy(struct nw_kvm *k); /* NULL is allowed */
const struct nw_kvm_counters *nw_kvm_counters(const struct nw_kvm *k);

/* ---- the guest's memory, and what the host does to it ------------------------------------------------------- */

struct nw_kvm_slot {
    uint64_t first_gfn, pages;
    uint64_t hpa;       /* of its first byte; frames follow each other. Unused with nw_kvm_config.frame */
    unsigned page_log2; /* host pages behind it: 12, 21 or 30 */
    bool anonymous;     /* a dropped page reads as the shared zero page, copied at the first write (false: shared
                             memory, writable at once) */
    bool dirty_logging;
};
/* All pages are there and writable at first. Adding a slot zaps nothing; removing one zaps every shadow page. */
enum nw_status nw_kvm_slot_add(struct nw_kvm *k, const struct nw_kvm_slot *slot, struct nw_error *err) NW_MUST_USE;
enum nw_status nw_kvm_slot_remove(struct nw_kvm *k, uint64_t first_gfn, struct nw_error *err) NW_MUST_USE;
enum nw_status nw_kvm_slot_set_dirty_logging(struct nw_kvm *k, uint64_t first_gfn, bool on,
                                             struct nw_error *err) NW_MUST_USE;
/* KVM_GET_DIRTY_LOG: write-protects what is dirty and calls it clean. Without logging nothing happens. */
enum nw_status nw_kvm_get_dirty_log(struct nw_kvm *k, uint64_t first_gfn, uint64_t *dirty_pages,
                                    struct nw_error *err) NW_MUST_USE;
/* The host drops the backing of [gpa, gpa + bytes): contents are lost, large host pages there are split. */
void nw_kvm_host_drop(struct nw_kvm *k, gpa_t gpa, uint64_t bytes);
/* The host's protection of the range changes, as by mprotect(). Where that cuts a mapping of the host at a page that is not
 * aligned to 2 MiB, the 2 MiB around it lose their shadow entries too. */
void nw_kvm_host_protect(struct nw_kvm *k, gpa_t gpa, uint64_t bytes, bool writable);
/* KVM_SET_NR_MMU_PAGES. */
void nw_kvm_set_max_pages(struct nw_kvm *k, uint64_t pages);

/* ---- the virtual processor ---------------------------------------------------------------------------------- */

/* KVM_SET_SREGS: CR0, CR3, CR4, EFER (the other fields are ignored). The first call starts the processor. */
enum nw_status nw_kvm_set_sregs(struct nw_kvm *k, const struct nw_guest_registers *r, struct nw_error *err) NW_MUST_USE;

/* VM entry: serves the requests and sees to it that there is a root. */
enum nw_status nw_kvm_enter(struct nw_kvm *k, struct nw_error *err) NW_MUST_USE;
/* Between two instructions of emulated supervisor code: serves as nw_kvm_enter() where the host does so. */
enum nw_status nw_kvm_emulation_step(struct nw_kvm *k, struct nw_error *err) NW_MUST_USE;
/* The tree the processor walks; valid until the next entry. */
const struct nw_paging *nw_kvm_shadow_paging(const struct nw_kvm *k);
const struct nw_paging *nw_kvm_guest_paging(const struct nw_kvm *k);
/* KVM_GET_SREGS: as the guest has them now. */
const struct nw_guest_registers *nw_kvm_registers(const struct nw_kvm *k);

enum nw_kvm_result {
    NW_KVM_RETRY,       /* nothing was done: enter again */
    NW_KVM_FIXED,       /* the shadow tables now have the entry */
    NW_KVM_SPURIOUS,    /* they had it already */
    NW_KVM_EMULATE,     /* no memory there, or a table that may not be written: emulate the instruction */
    NW_KVM_GUEST_FAULT, /* the guest's own #PF, `fault` */
};
struct nw_kvm_fault {
    enum nw_kvm_result result;
    bool write_protected;  /* EMULATE: because of a shadowed table */
    struct nw_fault fault; /* GUEST_FAULT: code and address (CR2) */
    gpa_t gpa;             /* where the guest's tables say the access goes; not with GUEST_FAULT */
};
/* The processor's walk faulted; `code` is its error code. */
enum nw_status nw_kvm_page_fault(struct nw_kvm *k, gva_t gva, uint64_t code, struct nw_kvm_fault *out,
                                 struct nw_error *err) NW_MUST_USE;

/* After EMULATE with write_protected, for an instruction that does not look like one that writes page tables: gives
 * up the shadow pages of that frame. True: run the instruction again. False (also when the same instruction at `rip`
 * met the same address just before): emulate it. `table_writing` true only notes the fault. */
bool nw_kvm_unprotect(struct nw_kvm *k, gva_t gva, uint64_t rip, bool user, bool table_writing);

/* One access of at most 8 bytes by the instruction emulator; it may cross a page. */
struct nw_kvm_emulated {
    bool ok;        /* false: the guest's #PF, already counted, in `fault` */
    bool mmio;      /* no memory there (part of it) */
    uint64_t value; /* read */
    struct nw_fault fault;
};
void nw_kvm_emulated_read(struct nw_kvm *k, gva_t gva, unsigned bytes, bool user, struct nw_kvm_emulated *out);
void nw_kvm_emulated_write(struct nw_kvm *k, gva_t gva, unsigned bytes, uint64_t value, bool user, bool locked,
                           struct nw_kvm_emulated *out);

void nw_kvm_invlpg(struct nw_kvm *k, gva_t gva);
enum nw_kvm_invpcid { NW_KVM_INVPCID_ADDRESS, NW_KVM_INVPCID_CONTEXT, NW_KVM_INVPCID_ALL, NW_KVM_INVPCID_NONGLOBAL };
void nw_kvm_invpcid(struct nw_kvm *k, enum nw_kvm_invpcid type, unsigned pcid, gva_t gva);
/* A store to a guest table of which only the address and the outcome are known: its bytes are in memory already. What KVM
 * did about it is done and counted, as for a guest that maps all its memory for itself. */
enum nw_kvm_store {
    NW_KVM_STORE_FREE,     /* nothing: no shadowed table, or one that may be written */
    NW_KVM_STORE_UNSYNC,   /* a fault, after which the table may be written */
    NW_KVM_STORE_EMULATED, /* a fault, and the instruction was emulated */
};
/* `faulted`: the store's own access met the fault, which nw_kvm_page_fault() has counted. The bytes may cross a page. `bytes` 0: a store
 * that faulted, somewhere in the page, and changed no entry that the guest still uses; it counts as one of a flood. */
enum nw_kvm_store nw_kvm_table_written(struct nw_kvm *k, gpa_t gpa, unsigned bytes, bool faulted);

/* MOV to CR3; bit 63 (NOFLUSH) counts with CR4.PCIDE set. */
enum nw_status nw_kvm_load_cr3(struct nw_kvm *k, uint64_t cr3, struct nw_error *err) NW_MUST_USE;
enum nw_status nw_kvm_load_cr4(struct nw_kvm *k, uint64_t cr4, struct nw_error *err) NW_MUST_USE;
enum nw_status nw_kvm_load_cr0(struct nw_kvm *k, uint64_t cr0, struct nw_error *err) NW_MUST_USE;
enum nw_status nw_kvm_load_efer(struct nw_kvm *k, uint64_t efer, struct nw_error *err) NW_MUST_USE;

/* Guest table pages that are shadowed now, whatever the number of their shadow pages. */
uint64_t nw_kvm_tables_shadowed(const struct nw_kvm *k);

#endif
