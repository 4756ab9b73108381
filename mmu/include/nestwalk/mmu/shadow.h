/* shadow.h - a shadow page table: GVA -> HPA in one tree, built on demand from the guest's tables and the VMM's GPA
 * -> HPA map.
 *
 *     s = nw_shadow_create(&sh, &config, err);
 *     s = nw_shadow_load_cr3(sh, &guest, err);            // at each MOV to CR3
 *     nw_walk_native(pm, nw_shadow_paging(sh), gva, &access, ...);       // what the processor does
 *     ... on a page fault of that walk:
 *     s = nw_shadow_fault(sh, gva, &access, &outcome, err);
 *     if (outcome.kind == NW_SHADOW_GUEST_FAULT) ... inject outcome.guest.fault into the guest
 *     else ... the access is made again
 *
 * Terms. A guest table page is *shadowed* while some shadow table mirrors it. A *hidden fault* is one that the guest
 * never sees: the shadow tree lacks what the guest's tables grant. A shadow leaf whose guest entry has D clear is mapped
 * read-only, so that the first store traps and sets D in the guest's entry. The leaf is of the smaller of guest
 * page and host page, and smaller still where a shadowed table lies in it.
 *
 * How the tree is kept in step with the guest's tables is a policy:
 *
 * NW_SHADOW_EAGER. The guest's view of a shadowed page is read-only, so each write to it traps: the VMM emulates it and
 * tells nw_shadow_table_write(), which *propagates* it: the shadow leaf is made again from the guest's new leaf when the
 * processor may use that without a fault (present, A set; read-only while D is clear), else what was made from the entry
 * is zapped (removed). A table stays shadowed, and its writes trap, as long as the shadow tree reaches it. (Adams and
 * Agesen, "A Comparison of Software and Hardware Techniques for x86 Virtualization", ASPLOS 2006, call the traps traces.)
 *
 * NW_SHADOW_VIRTUAL_TLB. SDM vol. 3, "Memory Virtualization" (Virtual TLB Scheme): the shadow tree is a large TLB.
 * Nothing is write-protected. There is one tree; every load of CR3, also of the same value, empties it; INVLPG removes
 * the entries of its page; a hidden fault adds an entry and sets the guest's A and D.
 *
 * NW_SHADOW_AGILE. Gandhi, Hill and Swift, "Agile Paging: Exceeding the Best of Nested and Shadow Paging" (ISCA 2016). As
 * EAGER, until a table has been written agile_writes times within an interval. Then it and all below it change to
 * *nested*: the shadow entries that led to its mirrors become *switching entries* (NW_AGILE_SWITCH) with the HPA of the
 * guest's table, writes to it no longer trap, and the processor's walk (nw_walk_agile_run()) goes on from there through
 * the guest's own tables and the second stage. At the end of an interval (nw_shadow_interval()) each nested table that
 * was not written during it goes back. The VMM tells nw_shadow_table_write() of every write to a page that is or was a
 * table: `trapped` says whether it had cost an exit. (A real VMM learns of the others from the dirty flags of its
 * second stage.) A store that arrives through a nested part of the tree is not stopped by the shadow entries of its
 * page, so the VMM write-protects what nw_shadow_is_table() says in its second stage as well, or sees such stores
 * otherwise.
 * MODEL: tables of 32-bit paging never change: their shape is not that of the shadow tables.
 * With agile_start_nested short-lived address spaces never pay for a shadow tree: they begin nested, and are shadowed at
 * the end of the first whole interval in which their root was not written.
 *
 * The processor walks the shadow tree with CR0.WP set and NX enabled whatever the guest has. A supervisor store
 * that the guest allows only because its WP is clear gets a writable supervisor leaf; the next user access takes it
 * back.
 * MODEL: with WP clear and SMAP set at once, such a leaf lets a supervisor access pass that SMAP would stop. */
#ifndef NESTWALK_MMU_SHADOW_H
#define NESTWALK_MMU_SHADOW_H

#include <nestwalk/mmu/builder.h>
#include <nestwalk/mmu/walk.h>

struct nw_shadow;

enum { NW_SHADOW_ROOTS = 64 /* cached; the one unused longest goes */ };

enum { NW_SHADOW_AGILE_WRITES = 2 }; /* of a table within an interval, as in the paper */

enum nw_shadow_policy { NW_SHADOW_EAGER, NW_SHADOW_VIRTUAL_TLB, NW_SHADOW_AGILE };

/* The VMM's memory map. */
struct nw_shadow_backing {
    bool present;
    bool writable;
    hpa_t hpa;         /* of the byte asked for */
    uint8_t page_log2; /* host page that holds it: the mapping may be made as large as this */
    bool ahead; /* set by the asker: no access has reached the page yet (an entry is propagated). A VMM that gives
                          memory on demand answers `present` false rather than give it now */
};

struct nw_shadow_config {
    struct nw_physmem *pm;
    unsigned maxphyaddr;
    enum nw_shadow_policy policy;
    unsigned agile_writes; /* AGILE: trapped writes that make a table nested; 0: NW_SHADOW_AGILE_WRITES */
    bool
        agile_start_nested; /* AGILE: a new address space begins with a nested root, as if that had just been written */
    /* GPA -> HPA. present false: not backed, the fault is the VMM's to resolve (NW_SHADOW_NO_BACKING). */
    void (*backing)(void *context, gpa_t gpa, struct nw_shadow_backing *out);
    /* Frames for shadow tables, as HPAs. */
    enum nw_status (*allocate)(void *context, uint64_t *hpa, struct nw_error *err);
    void (*release)(void *context, uint64_t hpa);
    void *context;
};

struct nw_shadow_counters {
    uint64_t faults;          /* nw_shadow_fault calls */
    uint64_t guest_faults;    /* ... that belong to the guest */
    uint64_t fills;           /* shadow leaves made or widened */
    uint64_t dirty_traps;     /* ... because a first store had to set the guest's D */
    uint64_t table_writes;    /* writes to shadowed guest table pages */
    uint64_t propagated;      /* shadow leaves made or changed by them at once */
    uint64_t zapped;          /* shadow leaf and table entries removed, for whatever reason */
    uint64_t emptied;         /* NW_SHADOW_VIRTUAL_TLB: times that a load of CR3 emptied the tree */
    uint64_t emptied_entries; /* ... leaves that went with it */
    uint64_t syncs;           /* shadow roots loaded again after having been left */
    uint64_t pages;           /* shadow table pages in use */
    uint64_t pages_made;      /* ... ever made */
    uint64_t pages_peak;      /* ... at once, at most */
    uint64_t guest_tables;    /* guest table pages that are shadowed */
    uint64_t leaves;          /* shadow leaves and switching entries in use */
    uint64_t roots;           /* shadow roots in use */
    uint64_t roots_made;      /* ... ever made */
    uint64_t nested_tables;   /* AGILE: guest table pages that are nested; not counting those below them */
    uint64_t switched_to_nested, switched_to_shadow; /* ... changes of a guest table page */
};

/* What must leave the TLBs because shadow entries went away or became stricter. */
struct nw_shadow_invalidation {
    enum { NW_SHADOW_NOTHING, NW_SHADOW_RANGE, NW_SHADOW_ALL } kind;
    uint64_t first, last; /* GVAs, inclusive, of every address space that uses the table: RANGE */
    bool trapped;         /* nw_shadow_table_write(): the page was write-protected, so the write cost an exit */
};

enum nw_shadow_kind {
    NW_SHADOW_FILLED,      /* the shadow table now has the entry: repeat the access */
    NW_SHADOW_RETRY,       /* the shadow entry was already there: repeat (a stale TLB entry was the cause) */
    NW_SHADOW_GUEST_FAULT, /* the guest's own tables refuse it: inject `guest` */
    NW_SHADOW_NO_BACKING,  /* the guest's tables grant it, but the VMM's map has no (writable) page for `gpa` */
    NW_SHADOW_TABLE_WRITE, /* a store to a shadowed guest table page at `gpa`: emulate it, then nw_shadow_table_write()
                            */
};
struct nw_shadow_outcome {
    enum nw_shadow_kind kind;
    struct nw_walk_result guest; /* of the guest walk that was made in software */
    gpa_t gpa;
    uint8_t page_log2; /* FILLED, TABLE_WRITE: of the shadow leaf; 0 with `switched` */
    bool switched;     /* AGILE: the way to the page leaves the shadow tree by a switching entry */
    /* A guest page became a shadowed table: translations that let it be written must leave the TLBs. */
    struct nw_shadow_invalidation invalidation;
};

enum nw_status nw_shadow_create(struct nw_shadow **out, const struct nw_shadow_config *config,
                                struct nw_error *err) NW_MUST_USE;
void nw_shadow_destroy(struct nw_shadow *sh); /* NULL is allowed */

/* The guest loaded CR3, or its paging changed in another way: `guest` is the current address space. EAGER: roots are
 * cached by guest root and mode. VIRTUAL_TLB: the tree is emptied, so the processor's own translations must go too, those
 * of other PCIDs included.
 * MODEL: a load that keeps the translations of its PCID (bit 63) empties the tree like any other. */
enum nw_status nw_shadow_load_cr3(struct nw_shadow *sh, const struct nw_paging *guest,
                                  struct nw_error *err) NW_MUST_USE;
/* The tree the processor walks now; valid until the next load. Its walks report the guest's rights. AGILE: for
 * nw_walk_agile(); `root` changes when the guest's root table changes between shadow and nested. */
const struct nw_paging *nw_shadow_paging(const struct nw_shadow *sh);

/* A walk of the shadow tree faulted (AGILE: with fault.shadow). NW_ERR_NOMEM: no frame for a shadow table. */
enum nw_status nw_shadow_fault(struct nw_shadow *sh, gva_t gva, const struct nw_access *access,
                               struct nw_shadow_outcome *out, struct nw_error *err) NW_MUST_USE;

/* True while the page that holds `gpa` is shadowed; with VIRTUAL_TLB never, with AGILE not while it is nested. */
bool nw_shadow_is_table(const struct nw_shadow *sh, gpa_t gpa);
/* The guest wrote `bytes` bytes at `gpa`, which the VMM has already put in memory. A page that is not shadowed: nothing
 * happens. */
enum nw_status nw_shadow_table_write(struct nw_shadow *sh, gpa_t gpa, unsigned bytes,
                                     struct nw_shadow_invalidation *out, struct nw_error *err) NW_MUST_USE;
/* The same for a change that is no write of the guest's as AGILE counts them: it has been counted by
 * nw_shadow_store_trapped(), or is taken to have been there always. */
enum nw_status nw_shadow_table_preset(struct nw_shadow *sh, gpa_t gpa, unsigned bytes,
                                      struct nw_shadow_invalidation *out, struct nw_error *err) NW_MUST_USE;
/* AGILE: a store to a shadowed page trapped (NW_SHADOW_TABLE_WRITE), whether or not it will change a word there: it counts
 * as a write. With another policy nothing happens. */
enum nw_status nw_shadow_store_trapped(struct nw_shadow *sh, gpa_t gpa, struct nw_shadow_invalidation *out,
                                       struct nw_error *err) NW_MUST_USE;

/* The guest executed INVLPG: the TLBs must forget *out. EAGER: every write to a shadowed table is trapped, so the shadow
 * entry agrees with the guest's already and stays. VIRTUAL_TLB: the page's entry goes; of a large guest page that was
 * made of smaller ones, all of them (SDM vol. 3, "Operations that Invalidate TLBs and Paging-Structure Caches"). */
void nw_shadow_invlpg(struct nw_shadow *sh, gva_t gva, struct nw_shadow_invalidation *out);
/* Backing of [gpa, gpa + bytes) changed: every shadow entry that maps it goes. */
enum nw_status nw_shadow_unmap_gpa(struct nw_shadow *sh, gpa_t gpa, uint64_t bytes, struct nw_shadow_invalidation *out,
                                   struct nw_error *err) NW_MUST_USE;

/* AGILE: an interval ends. Counts of writes begin again, and nested tables that were not written during it, or that no
 * switching entry leads to any more, go back to shadow. With another policy nothing happens. */
void nw_shadow_interval(struct nw_shadow *sh, struct nw_shadow_invalidation *out);

const struct nw_shadow_counters *nw_shadow_counters(const struct nw_shadow *sh);

#endif
