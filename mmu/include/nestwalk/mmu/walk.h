/* walk.h - what a walk of page tables yields: a translation or an architectural fault; and the plain (not inlined)
 * walks.
 *
 *     struct nw_walk_result r;
 *     nw_walk_nested(pm, &guest, &nested, nw_gva(0x7f0000001234), &(struct nw_access){ NW_ACCESS_READ }, NULL, &r);
 *     if (r.outcome == NW_WALK_OK) ... r.hpa, r.page_log2, r.rights
 *
 * The rules are written once, in walk_template.h; these functions are instances of it over struct nw_physmem. A
 * fault is a result, never an error.
 *
 * Sources: SDM vol. 3, chapters "Paging" and "VMX Support for Address Translation"; APM vol. 2, chapters "Page
 * Translation and Protection" and "Secure Virtual Machine" (Nested Paging). */
#ifndef NESTWALK_MMU_WALK_H
#define NESTWALK_MMU_WALK_H

#include <nestwalk/base/physmem.h>
#include <nestwalk/mmu/format.h>

enum nw_outcome {
    NW_WALK_OK,
    NW_WALK_NONCANONICAL, /* #GP or #SS: the linear address is not canonical; no table was read */
    NW_WALK_PAGE_FAULT,   /* #PF of the guest (or natively of the only tables) */
    NW_WALK_EPT_VIOLATION,
    NW_WALK_EPT_MISCONFIG,
    NW_WALK_NPF,        /* nested page fault, #VMEXIT(NPF) */
    NW_WALK_PML_FULL,   /* the page-modification log has no room; nothing was changed by the step that needed it */
    NW_WALK_ENTRY_FAIL, /* VM entry (or MOV to CR3) refuses the PDPTEs; no walk took place */
    NW_WALK_OUTCOMES
};
extern const char *const nw_outcome_name[NW_WALK_OUTCOMES]; /* "ok", "page fault", ... */

/* What a finished translation permits. Rights of the two dimensions are already combined. */
enum nw_right {
    NW_RIGHT_READ = 1,
    NW_RIGHT_WRITE = 2, /* the guest's entries and the nested ones permit writes */
    NW_RIGHT_EXECUTE = 4,
    NW_RIGHT_USER = 8,    /* user-mode linear address (U/S set at every level of the guest) */
    NW_RIGHT_GLOBAL = 16, /* leaf's G, and CR4.PGE */
    NW_RIGHT_DIRTY = 32,  /* every D bit that a store needs is set already: a store may use the translation as it is */
    NW_RIGHT_NESTED_WRITE =
        64, /* the nested entries permit writes (native: always): a supervisor store with CR0.WP clear */
};

/* Page-fault error code (SDM vol. 3, "Page-Fault Exceptions"; also the low bits of EXITINFO1). */
enum nw_pf_bit { NW_PF_P = 1, NW_PF_W = 2, NW_PF_U = 4, NW_PF_RSVD = 8, NW_PF_ID = 16, NW_PF_PK = 32 };
#define NW_NPF_FINAL NW_BIT(32) /* EXITINFO1: while translating the guest's final physical address */
#define NW_NPF_TABLE NW_BIT(33) /* EXITINFO1: while translating the address of a guest page table */

struct nw_fault {
    uint64_t code;    /* PAGE_FAULT: error code. EPT_VIOLATION: exit qualification. NPF: EXITINFO1. ENTRY_FAIL: exit
                         qualification */
    uint64_t address; /* PAGE_FAULT: CR2. EPT_*, PML_FULL: GPA. NPF: EXITINFO2 */
    uint64_t gla;     /* EPT_VIOLATION, PML_FULL: guest linear address */
    bool nested;      /* the entry that stopped the walk belongs to the nested dimension */
    bool shadow;      /* agile walk: ... to the shadow tree, so that this is an exit to the VMM */
    int8_t level;     /* its level; -1: no entry was read */
    int8_t for_guest_level; /* as in nw_reference */
};

struct nw_walk_result {
    enum nw_outcome outcome;
    gpa_t gpa;                /* of the accessed byte; valid on OK and on faults of the final nested walk */
    hpa_t hpa;                /* of the accessed byte; valid on OK */
    uint8_t page_log2;        /* what a TLB may cache: the smaller of the two below */
    uint8_t guest_page_log2;  /* 32 with guest paging off */
    uint8_t nested_page_log2; /* 0 natively */
    uint8_t pkey;             /* protection key of the guest's leaf */
    uint16_t rights;          /* set of enum nw_right */
    struct nw_fault fault;    /* valid unless OK */
};

/* True when a cached translation with these rights serves the access: permissions, protection keys and D. False: a real
 * processor walks again, and that walk sets D, or finds the fault, or finds that the tables now say otherwise. */
static inline bool nw_rights_serve(const struct nw_paging *guest, unsigned rights, unsigned pkey,
                                   const struct nw_access *access);

/* ---- references --------------------------------------------------------------------------------- */

enum nw_dimension { NW_GUEST, NW_NESTED }; /* a native walk is all NW_GUEST */
enum { NW_FOR_FINAL = -1 };                /* nw_reference.for_guest_level: the final data address */

/* One read of a table entry. */
struct nw_reference {
    uint8_t dimension;      /* enum nw_dimension */
    bool shadow;            /* agile walk: an entry of the shadow tree; `dimension` is NW_GUEST, `address` its HPA */
    uint8_t level;          /* 0 = leaf table */
    int8_t for_guest_level; /* nested: level of the guest table being translated, or NW_FOR_FINAL; guest: = level */
    hpa_t hpa;              /* of the entry */
    uint64_t address;       /* guest dimension: GPA of the entry; nested dimension: the GPA being translated */
    uint64_t entry;         /* as read: before this walk set A or D */
};

/* A recorder for the plain walks. At most (5 + 1) * 5 + 5 = 35 references a walk, and 5 more when setting A or D in a guest
 * table turns out to be forbidden by the nested ones. */
enum { NW_REFERENCES_MAX = 40 };
struct nw_walk_log {
    unsigned count, guest, nested;
    unsigned shadow; /* agile walk: in the shadow tree; not among `guest` */
    struct nw_reference reference[NW_REFERENCES_MAX];
};

/* `log` may be NULL; it is emptied first. A and D bits are set in `pm`. */
void nw_walk_native(struct nw_physmem *pm, const struct nw_paging *paging, gva_t gva, const struct nw_access *access,
                    struct nw_walk_log *log, struct nw_walk_result *out);
void nw_walk_nested(struct nw_physmem *pm, const struct nw_paging *guest, const struct nw_paging *nested, gva_t gva,
                    const struct nw_access *access, struct nw_walk_log *log, struct nw_walk_result *out);
/* Agile paging: a shadow tree whose switching entries lead into the guest's tables (walk_template.h,
 * nw_walk_agile_run()). */
#define NW_AGILE_SWITCH                                                                                                \
    NW_BIT(9) /* of a shadow entry that is no leaf, and of nw_paging.root: one of the bits left to software */
void nw_walk_agile(struct nw_physmem *pm, const struct nw_paging *shadow, const struct nw_paging *guest,
                   const struct nw_paging *nested, gva_t gva, const struct nw_access *access, struct nw_walk_log *log,
                   struct nw_walk_result *out);
/* The second dimension alone: an access by GPA (what a device model, or a VMM emulating an access, sees). */
void nw_walk_gpa(struct nw_physmem *pm, const struct nw_paging *nested, gpa_t gpa, enum nw_access_kind kind,
                 struct nw_walk_log *log, struct nw_walk_result *out);

/* An access of `bytes` that may cross a page: the lower page first, then the upper one; the first fault counts, and its
 * CR2 or GPA is that of the byte in the page that faulted. out[1].outcome is meaningful only when the access crosses
 * (returns true). */
bool nw_walk_span(struct nw_physmem *pm, const struct nw_paging *guest, const struct nw_paging *nested_or_null,
                  gva_t gva, unsigned bytes, const struct nw_access *access, struct nw_walk_result out[2]);

/* Fills *out as VM entry does that refuses PDPTE number `index` (SDM vol. 3, "VM-Entry Failures During or After Loading
 * Guest State"). */
void nw_walk_entry_refused(struct nw_walk_result *out, int index);

/* "page fault: not present, write, user (0x6), CR2 0x7f0012345678" */
void nw_walk_describe(const struct nw_walk_result *r, char *out, size_t out_size);

/* Protection keys (SDM vol. 3, "Protection Keys"): the PK bit of the error code, were the access made to a page with
 * this key. */
static inline bool nw_pkey_denies(const struct nw_paging *p, bool user_page, unsigned pkey, const struct nw_access *a)
{
    if (!(user_page ? p->pku : p->pks) || a->kind == NW_ACCESS_FETCH)
        return false;
    uint32_t rights = (user_page ? p->pkru : p->pkrs) >> (2 * pkey);
    bool store = a->kind != NW_ACCESS_READ;
    return (rights & 1) || ((rights & 2) && store && (a->user || p->write_protect));
}

static inline bool nw_rights_serve(const struct nw_paging *guest, unsigned rights, unsigned pkey,
                                   const struct nw_access *a)
{
    bool store = a->kind == NW_ACCESS_WRITE || a->kind == NW_ACCESS_RMW, user_page = rights & NW_RIGHT_USER;
    unsigned need = 0;
    if (a->kind != NW_ACCESS_WRITE && a->kind != NW_ACCESS_FETCH)
        need |= NW_RIGHT_READ;
    if (a->kind == NW_ACCESS_FETCH)
        need |= NW_RIGHT_EXECUTE;
    if (store)
        need |= NW_RIGHT_DIRTY | (!a->user && !guest->write_protect ? NW_RIGHT_NESTED_WRITE : NW_RIGHT_WRITE);
    if (a->user)
        need |= NW_RIGHT_USER;
    if ((rights & need) != need)
        return false;
    if (!a->user && user_page && guest->levels &&
        (guest->forbid[nw_access_privilege(a)][a->kind] & guest->format->user))
        return false;
    return !nw_pkey_denies(guest, user_page, pkey, a);
}

#endif
