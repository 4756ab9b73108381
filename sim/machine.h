/* machine.h - private to sim/: the machine put together, without its caches.
 *
 * It owns simulated memory, the guest's tables (the trace's own, or an imitation guest's) and the VMM's map of guest memory, and knows how
 * each event changes them. How that map reaches the processor is a pager's business (pager.h). Both engines drive the same machine and differ only in how they cache and walk; so
 * whatever an engine must forget is told to it as a list of `struct invalidation`.
 *
 * Order of work for one access that the TLBs do not answer (both engines):
 *   1. machine_prepare(): what happens outside the model (first touches and backing that are not to be events);
 *   2. the walk of machine.hw_guest (and hw_nested, beginning in hw_switched): walk.h;
 *   3. on a fault machine_fault() serves it and says whether the access is tried again from the TLB look-up, or given up.
 * For an imitation guest step 1 does nothing for a page that was prepared before (see prepared.h). */
#ifndef NW_SIM_MACHINE_H
#define NW_SIM_MACHINE_H

#include <nestwalk/mmu/builder.h>
#include <nestwalk/mmu/walk.h>
#include <nestwalk/sim/result.h>
#include <nestwalk/traces/block.h>

/* What caches must forget: a predicate over address, space and kind of mapping. Tags: the machine has one VPID (ASID) and one second stage
 * (EP4TA); `pcid` is the address space. The terms are those of SDM vol. 3, "Invalidating Cached Translation Information":
 *   - translations and guest paging-structure entries by GVA are linear mappings natively and in shadow mode, combined ones when nested;
 *   - the nested TLB and the nested PSCs hold guest-physical mappings. */
struct invalidation {
    bool in_range;              /* of translations: only those that overlap [address, end) */
    bool every_space;           /* of every PCID; else of `pcid` */
    bool global;                /* global translations too, whatever their PCID */
    bool structures_of_address; /* of those spaces' PSC entries: only those on the way to `address`; else all */
    bool guest_physical;        /* all guest-physical mappings */
    bool guest_physical_of_gpa; /* only those that translate `gpa` */
    uint16_t pcid;
    uint64_t address, end, gpa;
};
/* Everything that GVAs lead to; and also what GPAs lead to. */
#define FORGET_ALL    ((struct invalidation){ .every_space = true, .global = true })
#define FORGET_NESTED ((struct invalidation){ .every_space = true, .global = true, .guest_physical = true })
/* Translations that overlap [start, end), of every space, and every PSC entry: what a shadow pager or a collapse needs. */
static inline struct invalidation forget_range(uint64_t start, uint64_t end)
{
    return (struct invalidation){ .in_range = true, .every_space = true, .global = true, .address = start, .end = end };
}
/* Non-global translations of a space, and its PSC entries. */
static inline struct invalidation forget_space(uint16_t pcid) { return (struct invalidation){ .pcid = pcid }; }
/* One page: INVLPG, and (with structures_of_address) what a page fault drops. */
static inline struct invalidation forget_page(uint64_t gva, uint16_t pcid)
{
    uint64_t page = gva & ~(NW_PAGE_BYTES - 1);
    return (struct invalidation){
        .in_range = true, .global = true, .pcid = pcid, .address = page, .end = page + NW_PAGE_BYTES
    };
}
enum { INVALIDATIONS_MAX = 8 };

/* Permission check of a cached translation: the rights an access of a kind must find set, and those it must find clear. */
struct rights_rule {
    uint8_t need, forbid;
};
enum { RIGHT_W = 1, RIGHT_U = 2, RIGHT_X = 4, RIGHT_D = 8, RIGHT_BITS = 4, RIGHT_ALL = 15 };

/* Index into machine.rule: type (load, store, fetch) and privilege of a kind byte. */
static inline unsigned rule_index(uint8_t kind) { return (kind & NW_KIND_TYPE) | (kind >> 5 & 4); }

struct region_count { /* thp: touched pages of a 2 MiB region */
    uint64_t region;  /* GVA >> 21, plus 1; 0 = empty slot */
    uint32_t pages;
};

/* GPA -> HPA of pages lately asked for by software that writes guest tables; backing is never taken away while it stands here. */
struct backed {
    uint64_t gfn; /* plus 1; 0 = empty */
    uint64_t pfn;
};
enum { BACKED_SLOTS = 1024 };

/* Large guest pages that some cache keeps in smaller pieces: what invalidates an address must reach all pieces of its page (SDM vol. 3,
 * "Operations that Invalidate TLBs and Paging-Structure Caches", INVLPG). A page stays here once it was; forgetting more is allowed. */
struct splintered {
    uint64_t *key; /* (GVA >> page_log2) << 6 | page_log2; 0 = empty; open addressing */
    size_t capacity, used;
    bool everywhere; /* no memory for the table: any address may be a piece of 1 GiB */
};

struct io;

struct machine {
    struct io *io; /* devices; NULL: the configuration has none */
    const struct nw_config *config;
    const struct nw_trace_info *info;
    struct nw_result *result;
    bool traced;       /* the trace carries the guest's tables */
    bool flat;         /* nothing is walked: fidelity tlb on an imitation guest of one page size */
    bool second_stage; /* GPA and HPA differ: shadow, nested and agile */

    struct nw_physmem *pm;
    struct nw_frames host_frames, guest_frames;
    struct nw_guest_registers registers;
    struct nw_paging guest, p2m; /* the guest's tables; GPA -> HPA as the VMM keeps it */
    struct nw_builder guest_builder, p2m_builder;
    const struct pager *pager; /* what the VMM does, and what it keeps for it */
    void *pager_state;
    const struct nw_paging *hw_guest, *hw_nested; /* hw_nested is NULL natively and in shadow mode */
    const struct nw_paging *hw_switched;          /* mode agile: the shadow tree; else NULL */
    uint16_t pcid;
    struct rights_rule rule[8];

    struct backed backed[BACKED_SLOTS];
    uint64_t table_pages_recorded; /* guest page-table pages that the trace told of */
    struct region_count *region;
    size_t region_capacity, region_used;

    uint64_t
        next_interval; /* mode agile: before the access of this number machine_interval() is due; else UINT64_MAX */

    /* For the stale-translation detector (stale.h). */
    uint64_t access; /* number of the access under way; kept by the engine that detects */
    uint64_t epoch;  /* begins anew with each change of what is mapped */
    struct stale_writes *writes;

    unsigned pml_used;           /* entries of the page-modification log */
    uint64_t guest_fault_cycles; /* spent by the imitation guest's own fault handler */
    struct {
        uint64_t gva, code;
        bool valid;
    } last_fault; /* of the guest, until the next access that succeeds */
    struct {
        uint64_t pfn;
        bool valid;
    } trapped; /* where the last store was emulated that met a protected table; its event, if one comes, has not come */
    struct splintered splintered;
    struct invalidation pending[INVALIDATIONS_MAX];
    unsigned pending_count;
    enum nw_status deferred; /* failure inside a callback that cannot return one */
    struct nw_error deferred_error;
};

enum nw_status machine_init(struct machine *m, const struct nw_config *config, const struct nw_trace_info *info,
                            struct nw_result *result, struct nw_error *err) NW_MUST_USE;
void machine_fini(struct machine *m);

enum nw_status machine_prepare(struct machine *m, gva_t gva, uint8_t kind, struct nw_error *err) NW_MUST_USE;

enum fault_action { FAULT_RETRY, FAULT_GIVE_UP };
enum nw_status machine_fault(struct machine *m, gva_t gva, uint8_t kind, const struct nw_walk_result *fault,
                             enum fault_action *action, struct nw_error *err) NW_MUST_USE;

/* Access number `access` comes, which is not below next_interval; the events before it are done. */
enum nw_status machine_interval(struct machine *m, uint64_t access, struct nw_error *err) NW_MUST_USE;

/* Applies an event's effect on tables and registers, counts it and prices its exit. */
enum nw_status machine_event(struct machine *m, const struct nw_event *event, struct nw_error *err) NW_MUST_USE;

/* HPA of a guest page-table page for software that writes it; backs it first if need be. */
enum nw_status machine_locate_table(struct machine *m, uint64_t gpa, hpa_t *hpa, struct nw_error *err) NW_MUST_USE;
/* After `cr` (0, 3, 4 or CR_EFER of pager.h) was written with `value` and machine.registers changed: paging, tags, pager and rules follow. */
enum nw_status machine_registers_changed(struct machine *m, unsigned cr, uint64_t value,
                                         struct nw_error *err) NW_MUST_USE;

/* Fills in what only the end knows: table pages and the like. */
void machine_finish(struct machine *m);

/* Whether the access's address has a translation to look for at all (canonical under the guest's paging). */
static inline bool machine_canonical(const struct machine *m, uint64_t gva)
{
    unsigned bits = m->guest.input_bits;
    return m->guest.input_rule != NW_INPUT_CANONICAL || nw_sign_extend(gva, bits) == gva;
}

/* A walk's rights as the four bits that TLBs of this simulator hold. */
static inline uint8_t rights_of(unsigned walk_rights)
{
    return (uint8_t)((walk_rights & NW_RIGHT_WRITE ? RIGHT_W : 0) | (walk_rights & NW_RIGHT_USER ? RIGHT_U : 0) |
                     (walk_rights & NW_RIGHT_EXECUTE ? RIGHT_X : 0) | (walk_rights & NW_RIGHT_DIRTY ? RIGHT_D : 0));
}

static inline struct nw_access access_of(uint8_t kind)
{
    static const enum nw_access_kind of_type[4] = { NW_ACCESS_READ, NW_ACCESS_WRITE, NW_ACCESS_FETCH, NW_ACCESS_READ };
    /* MODEL: traces do not record RFLAGS.AC; supervisor accesses are taken to have it set, so SMAP never faults. */
    return (struct nw_access){ .kind = of_type[kind & NW_KIND_TYPE], .user = nw_kind_user(kind), .ac = true };
}

/* Page size as TLBs index it: 0 = 4 KiB, 1 = 2 MiB (4 MiB), 2 = 1 GiB. The largest such size not above page_log2. */
static inline unsigned size_class(unsigned page_log2) { return page_log2 >= 30 ? 2 : page_log2 >= 21 ? 1 : 0; }
static const unsigned size_log2[3] = { NW_PAGE_LOG2, NW_PAGE_2M_LOG2, NW_PAGE_1G_LOG2 };

/* What a VM entry or a VM exit makes caches forget. */
void machine_transition(struct machine *m);
/* The processor is about to set D in the second stage's leaf for a page: false when the page-modification log is full. */
bool machine_log_dirty(struct machine *m);
/* Adds an exit of the guest to the VMM, with its transition. */
void machine_exit(struct machine *m, enum nw_exit_reason reason);
/* ... that took so many cycles more than its kind does. */
void machine_exit_with(struct machine *m, enum nw_exit_reason reason, uint64_t more_cycles);
void machine_forget(struct machine *m, struct invalidation what);
/* A translation of the guest's page of this size at `gva` is kept in smaller pieces. */
void machine_note_splintered(struct machine *m, uint64_t gva, unsigned guest_page_log2);

/* Flat translation: page size and references of a walk without any walk cache. */
struct flat_walk {
    unsigned page_log2, references_guest, references_nested;
};
struct flat_walk machine_flat_walk(const struct nw_config *c);
/* Latency that fidelity tlb gives to each reference: found in the first cache the walker looks in. */
uint64_t machine_flat_reference_cycles(const struct nw_config *c);

#endif
