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
 * Terms. A guest table page is *shadowed* while some shadow table mirrors it. The guest's view of a shadowed page
 * is read-only, so each write to it traps: the VMM emulates it and tells nw_shadow_table_write(), which zaps
 * (removes) the shadow entries made from what was written. A shadow leaf whose guest entry has D clear is mapped
 * read-only, so that the first store traps and sets D in the guest's entry. The leaf is of the smaller of guest
 * page and host page, and smaller still where a shadowed table lies in it.
 *
 * A table that is written NW_SHADOW_FLOOD times without a fault through it in between is no longer used as a table,
 * or is being filled: its shadow goes and the writes stop trapping.
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

enum { NW_SHADOW_FLOOD = 3, NW_SHADOW_ROOTS = 64 /* cached; the one unused longest goes */ };

/* The VMM's memory map. */
struct nw_shadow_backing {
    bool present;
    bool writable;
    hpa_t hpa;         /* of the byte asked for */
    uint8_t page_log2; /* host page that holds it: the mapping may be made as large as this */
};

struct nw_shadow_config {
    struct nw_physmem *pm;
    unsigned maxphyaddr;
    /* GPA -> HPA. present false: not backed, the fault is the VMM's to resolve (NW_SHADOW_NO_BACKING). */
    void (*backing)(void *context, gpa_t gpa, struct nw_shadow_backing *out);
    /* Frames for shadow tables, as HPAs. */
    enum nw_status (*allocate)(void *context, uint64_t *hpa, struct nw_error *err);
    void (*release)(void *context, uint64_t hpa);
    void *context;
};

struct nw_shadow_counters {
    uint64_t faults;       /* nw_shadow_fault calls */
    uint64_t guest_faults; /* ... that belong to the guest */
    uint64_t fills;        /* shadow leaves made or widened */
    uint64_t dirty_traps;  /* ... because a first store had to set the guest's D */
    uint64_t table_writes; /* writes to shadowed guest table pages */
    uint64_t zapped;       /* shadow leaf and table entries removed by table writes, INVLPG and unmaps */
    uint64_t syncs;        /* shadow roots loaded again after having been left */
    uint64_t pages;        /* shadow table pages in use */
    uint64_t pages_made;   /* ... ever made */
    uint64_t roots;        /* shadow roots in use */
};

/* What must leave the TLBs because shadow entries went away or became stricter. */
struct nw_shadow_invalidation {
    enum { NW_SHADOW_NOTHING, NW_SHADOW_RANGE, NW_SHADOW_ALL } kind;
    uint64_t first, last; /* GVAs, inclusive, of every address space that uses the table: RANGE */
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
    uint8_t page_log2; /* FILLED, TABLE_WRITE: of the shadow leaf */
    /* A guest page became a shadowed table: translations that let it be written must leave the TLBs. */
    struct nw_shadow_invalidation invalidation;
};

enum nw_status nw_shadow_create(struct nw_shadow **out, const struct nw_shadow_config *config,
                                struct nw_error *err) NW_MUST_USE;
void nw_shadow_destroy(struct nw_shadow *sh); /* NULL is allowed */

/* Makes `guest` the current address space. Roots are cached by guest root and mode. */
enum nw_status nw_shadow_load_cr3(struct nw_shadow *sh, const struct nw_paging *guest,
                                  struct nw_error *err) NW_MUST_USE;
/* The tree the processor walks now; valid until the next load. Its walks report the guest's rights. */
const struct nw_paging *nw_shadow_paging(const struct nw_shadow *sh);

/* A walk of the shadow tree faulted. NW_ERR_NOMEM: no frame for a shadow table. */
enum nw_status nw_shadow_fault(struct nw_shadow *sh, gva_t gva, const struct nw_access *access,
                               struct nw_shadow_outcome *out, struct nw_error *err) NW_MUST_USE;

/* True while the page that holds `gpa` is shadowed. */
bool nw_shadow_is_table(const struct nw_shadow *sh, gpa_t gpa);
/* The guest wrote `bytes` bytes at `gpa`, which the VMM has already put in memory. A page that is not shadowed: nothing
 * happens. */
enum nw_status nw_shadow_table_write(struct nw_shadow *sh, gpa_t gpa, unsigned bytes,
                                     struct nw_shadow_invalidation *out, struct nw_error *err) NW_MUST_USE;

/* The guest executed INVLPG. Every write to a shadowed table is trapped, so the shadow entry agrees with the guest's
 * already: only the TLB must forget the page (*out). */
void nw_shadow_invlpg(struct nw_shadow *sh, gva_t gva, struct nw_shadow_invalidation *out);
/* Backing of [gpa, gpa + bytes) changed: every shadow entry that maps it goes. */
enum nw_status nw_shadow_unmap_gpa(struct nw_shadow *sh, gpa_t gpa, uint64_t bytes, struct nw_shadow_invalidation *out,
                                   struct nw_error *err) NW_MUST_USE;

const struct nw_shadow_counters *nw_shadow_counters(const struct nw_shadow *sh);

#endif
