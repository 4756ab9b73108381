/* direct.h - the hypervisor's side of direct paging, as Xen does it for paravirtualized (PV) guests.
 *
 * The guest's own tables hold machine frames, and the processor walks them as they are: there is no second stage and no
 * shadow. Safety comes from what the guest may not do. Its table pages are never mapped writable, and each change of an
 * entry goes through the hypervisor, which checks it and keeps count of what every frame is used for.
 *
 *     struct nw_direct_config config = { .pm = pm, .owns = owns, .context = vm };
 *     if ((s = nw_direct_create(&d, &config, err))) return s;
 *     struct nw_direct_mmuext pin = { .command = NW_DIRECT_PIN_L4_TABLE, .mfn = root };
 *     s = nw_direct_mmuext(d, &pin, 1, &outcome, err);         // validates the whole tree
 *     pin.command = NW_DIRECT_NEW_BASEPTR;
 *     s = nw_direct_mmuext(d, &pin, 1, &outcome, err);         // CR3
 *     struct nw_direct_update u = { .ptr = entry_hpa | NW_DIRECT_NORMAL_PT_UPDATE, .val = entry };
 *     s = nw_direct_mmu_update(d, &u, 1, &outcome, err);
 *     if (outcome.refusal) ...                                 // the guest gets -EINVAL
 *
 * Terms
 *   MFN         machine frame number: HPA >> 12.
 *   reference   a use of a frame: an entry of a validated table that points to it, a pin, a base pointer.
 *   type        what a frame is used as while its type count is above 0: a table of one level, or writable memory. A
 *               frame has one type at a time. A read-only leaf takes a reference, and no type; so a table page may be
 *               mapped read-only, and never writable.
 *   promotion   the first use of a frame as a table: all its entries are checked, and the tables below it are promoted
 *               as needed. A refusal anywhere undoes all of it.
 *   demotion    the last such use ends: what its entries referred to is released.
 *   pin         a reference that keeps a frame a validated table while nothing points to it.
 *   linear      an entry that points to a table of its own level (recursive mapping). Allowed read-only.
 *   L1 .. L4    Xen's names of the levels: L1 is the leaf table, level 0 elsewhere in this library.
 *
 * Every table is real words in simulated memory. Nobody but this module may change a word of a validated table, but
 * for the accessed and dirty flags, which the processor's walk sets and which are never counted on.
 *
 * Sources, read as facts: Xen, xen/include/public/xen.h (the hypercalls), xen/arch/x86/mm.c and
 * xen/arch/x86/pv/ro-page-fault.c. The idea: Barham et al., "Xen and the Art of Virtualization", SOSP 2003.
 * docs/direct.md tells where the model differs.
 *
 * Failure: NW_ERR_NOMEM (nothing of the request at hand was done), NW_ERR_USAGE, NW_ERR_UNSUPPORTED (not 4 levels).
 * A refused request is a result. */
#ifndef NESTWALK_MMU_DIRECT_H
#define NESTWALK_MMU_DIRECT_H

#include <nestwalk/base/addr.h>
#include <nestwalk/base/metric.h>
#include <nestwalk/base/physmem.h>
#include <nestwalk/base/status.h>

struct nw_direct; /* one domain with one virtual processor */

#define NW_DIRECT_NO_FRAME (~UINT64_C(0))

/* L4 slots that hold the hypervisor's own mappings (xen/include/asm-x86/config.h, "Memory layout"). */
enum { NW_DIRECT_FIRST_XEN_SLOT = 256, NW_DIRECT_LAST_XEN_SLOT = 271 };

enum nw_direct_type {
    NW_DIRECT_NONE,
    NW_DIRECT_L1,
    NW_DIRECT_L2,
    NW_DIRECT_L3,
    NW_DIRECT_L4,
    NW_DIRECT_WRITABLE,
    NW_DIRECT_TYPES
};
extern const char *const nw_direct_type_name[NW_DIRECT_TYPES]; /* "none", "L1", ... */

struct nw_direct_config {
    struct nw_physmem *pm;
    bool (*owns)(void *context, uint64_t mfn); /* the domain's frames; NULL: all that MAXPHYADDR reaches. A frame that
                                                  has references must stay the domain's */
    /* The hypervisor flushes the processor's TLB: all of it, global entries too, when `address` is NULL. NULL: none. */
    void (*flush)(void *context, const gva_t *address);
    void *context;
    unsigned levels;       /* 0: 4 */
    unsigned maxphyaddr;   /* 0: 52 */
    bool superpages;       /* L2 entries may map 2 MiB ("allowsuperpage") */
    bool linear_tables;    /* "pv-linear-pt" */
    bool cache_attributes; /* the domain has devices: PWT, PCD and PAT are allowed in L1 entries */
    uint32_t count_max;    /* most references, and most uses as its type, of a frame; 0: 2^32 - 1 */
};

enum nw_status nw_direct_create(struct nw_direct **out, const struct nw_direct_config *config,
                                struct nw_error *err) NW_MUST_USE;
void nw_direct_destroy(struct nw_direct *d); /* NULL is allowed */

/* ---- results ------------------------------------------------------------------------------------------------ */

enum nw_direct_refusal {
    NW_DIRECT_OK,
    NW_DIRECT_NOT_OWNED,
    NW_DIRECT_BAD_FLAGS,
    NW_DIRECT_TYPE_CONFLICT,
    NW_DIRECT_LINEAR,
    NW_DIRECT_NOT_A_TABLE,
    NW_DIRECT_NO_MAPPING,
    NW_DIRECT_HYPERVISOR_SLOT,
    NW_DIRECT_MISALIGNED,
    NW_DIRECT_PINNED,
    NW_DIRECT_NOT_PINNED,
    NW_DIRECT_COUNT_OVERFLOW,
    NW_DIRECT_BAD_COMMAND,
    NW_DIRECT_REFUSALS
};
extern const char *const nw_direct_refusal_name[NW_DIRECT_REFUSALS]; /* "not-owned" */
extern const char *const nw_direct_refusal_text[NW_DIRECT_REFUSALS]; /* a sentence */

struct nw_direct_outcome {
    enum nw_direct_refusal refusal;
    size_t done; /* requests carried out; the refused one is the next */
    /* Of a refusal: the innermost entry that was at fault. */
    enum nw_direct_type table; /* of what it is an entry; NONE: the request itself was at fault, not an entry */
    uint64_t entry_hpa, value;
    uint64_t mfn; /* the frame in question, or NW_DIRECT_NO_FRAME */
};
/* "L1 entry 0x1234008 = 0x5067, frame 0x5: The frame is in use as another type." */
void nw_direct_outcome_describe(const struct nw_direct_outcome *o, char *out, size_t out_size);

/* ---- hypercalls --------------------------------------------------------------------------------------------- */

/* Low three bits of `ptr` (xen.h, "HYPERVISOR_mmu_update"). */
enum {
    NW_DIRECT_NORMAL_PT_UPDATE,      /* write an entry; `ptr` is its HPA */
    NW_DIRECT_MACHPHYS_UPDATE,       /* the frame at `ptr` is the guest's frame `val` */
    NW_DIRECT_PT_UPDATE_PRESERVE_AD, /* write an entry and keep A and D of the old one */
};
struct nw_direct_update {
    uint64_t ptr, val;
};
/* HYPERVISOR_mmu_update: the requests in order, up to the first that is refused. An update of a page that is no table
 * is a plain write, as in Xen. */
enum nw_status nw_direct_mmu_update(struct nw_direct *d, const struct nw_direct_update *request, size_t count,
                                    struct nw_direct_outcome *out, struct nw_error *err) NW_MUST_USE;

/* xen.h, "UVMF_": how update_va_mapping flushes; with one processor "local" and "all" are the same. */
enum { NW_DIRECT_UVMF_NONE = 0, NW_DIRECT_UVMF_TLB_FLUSH = 1, NW_DIRECT_UVMF_INVLPG = 2, NW_DIRECT_UVMF_ALL = 4 };
/* HYPERVISOR_update_va_mapping: the L1 entry for `gva` under the current base pointer. It flushes as `flags` say even
 * when the update is refused. */
enum nw_status nw_direct_update_va_mapping(struct nw_direct *d, gva_t gva, uint64_t value, unsigned flags,
                                           struct nw_direct_outcome *out, struct nw_error *err) NW_MUST_USE;

/* xen.h, "MMUEXT_", with Xen's numbers. Those that are missing are refused as BAD_COMMAND. */
enum nw_direct_command {
    NW_DIRECT_PIN_L1_TABLE = 0,
    NW_DIRECT_PIN_L2_TABLE = 1,
    NW_DIRECT_PIN_L3_TABLE = 2,
    NW_DIRECT_PIN_L4_TABLE = 3,
    NW_DIRECT_UNPIN_TABLE = 4,
    NW_DIRECT_NEW_BASEPTR = 5, /* CR3 of the guest's kernel; flushes the TLB */
    NW_DIRECT_TLB_FLUSH_LOCAL = 6,
    NW_DIRECT_INVLPG_LOCAL = 7,
    NW_DIRECT_TLB_FLUSH_ALL = 10,
    NW_DIRECT_INVLPG_ALL = 11,
    NW_DIRECT_NEW_USER_BASEPTR = 15, /* CR3 of its user mode; frame 0: none */
    NW_DIRECT_CLEAR_PAGE = 16,
    NW_DIRECT_COPY_PAGE = 17,
};
struct nw_direct_mmuext {
    enum nw_direct_command command;
    uint64_t mfn;        /* the table, or the page to be filled */
    uint64_t source_mfn; /* COPY_PAGE */
    gva_t gva;           /* INVLPG */
};
/* HYPERVISOR_mmuext_op: the commands in order, up to the first that is refused. */
enum nw_status nw_direct_mmuext(struct nw_direct *d, const struct nw_direct_mmuext *command, size_t count,
                                struct nw_direct_outcome *out, struct nw_error *err) NW_MUST_USE;

/* Writable-pagetable emulation: the guest's store of `bytes` (1, 2, 4, 8; aligned) to one of its L1 tables faulted. It
 * is checked like a one-entry update and done. Refused: the guest gets its page fault (higher tables too). */
enum nw_status nw_direct_ptwr(struct nw_direct *d, hpa_t address, unsigned bytes, uint64_t value,
                              struct nw_direct_outcome *out, struct nw_error *err) NW_MUST_USE;

/* ---- looking ------------------------------------------------------------------------------------------------ */

uint64_t nw_direct_base(const struct nw_direct *d);      /* MFN, or NW_DIRECT_NO_FRAME */
uint64_t nw_direct_user_base(const struct nw_direct *d); /* likewise */

struct nw_direct_frame {
    enum nw_direct_type type;        /* NONE when type_count is 0 */
    uint32_t type_count, references; /* references include those that hold the type */
    bool pinned, validated;          /* validated: it is a table now */
    uint64_t gpfn;                   /* as MACHPHYS_UPDATE has set it, or NW_DIRECT_NO_FRAME */
};
void nw_direct_frame(const struct nw_direct *d, uint64_t mfn, struct nw_direct_frame *out);
static inline bool nw_direct_type_is_table(enum nw_direct_type t) { return t >= NW_DIRECT_L1 && t <= NW_DIRECT_L4; }

/* The leaf entries of validated tables that map a frame writable: what a ported guest must take away before the frame
 * can become a table. Begin with a zeroed cursor; after any change of an entry begin again.
 *
 *     struct nw_direct_mapping m = { 0 };
 *     while (nw_direct_writable_next(d, mfn, &m)) ... m.entry_hpa ... */
struct nw_direct_mapping {
    uint64_t entry_hpa;
    unsigned page_log2; /* 12, or 21 */
    uint32_t cursor;    /* private, as the next */
    uint8_t stage;
};
bool nw_direct_writable_next(const struct nw_direct *d, uint64_t mfn, struct nw_direct_mapping *m);

/* ---- counters ----------------------------------------------------------------------------------------------- */

/* tables_*, pinned_tables and writable_leaves are gauges: what is now. */
struct nw_direct_counters {
    uint64_t mmu_update, update_va_mapping, mmuext; /* hypercalls */
    uint64_t entry_updates, machphys_updates, mmuext_commands;
    uint64_t flag_updates, plain_writes, refused, ptwr_emulations, ptwr_refused;
    uint64_t validated_entries, released_entries, unwound_promotions;
    uint64_t promoted_l1, promoted_l2, promoted_l3, promoted_l4;
    uint64_t demoted_l1, demoted_l2, demoted_l3, demoted_l4;
    uint64_t pins, unpins, base_switches, page_fills;
    uint64_t tlb_flush, tlb_flush_type, invlpg;
    uint64_t tables_l1, tables_l2, tables_l3, tables_l4, pinned_tables, writable_leaves;
};
enum { NW_DIRECT_COUNTERS = 35 };
extern const struct nw_counter_row nw_direct_counter_row[NW_DIRECT_COUNTERS];
const struct nw_direct_counters *nw_direct_counters(const struct nw_direct *d);

#endif
