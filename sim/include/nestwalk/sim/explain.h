/* explain.h - one access, reference by reference. The walk is the reference engine's own, watched.
 *
 *     struct nw_explanation x;
 *     s = nw_explain_walk(NULL, 0, &config, nw_gva(0x7f0000001234), NW_LOAD, true, &x, err);
 *     for (i = 0; i < x.reference_count; i++) ...
 *     nw_explanation_fini(&x);
 *
 * nw_explain_access() is the same with more to say: accesses made before, and an access that crosses into the next page. */
#ifndef NESTWALK_SIM_EXPLAIN_H
#define NESTWALK_SIM_EXPLAIN_H

#include <nestwalk/base/addr.h>
#include <nestwalk/sim/config.h>
#include <nestwalk/traces/block.h>

struct nw_explained_reference {
    unsigned n;             /* 1-based */
    bool nested;            /* dimension: guest or nested */
    bool shadow;            /* ... of mode agile's shadow tree: neither */
    unsigned level;         /* 0 = leaf table */
    char table[8];          /* "PML4", "PDPT", "PD", "PT", "EPT4", ... the field's name of the level */
    int for_guest_level;    /* nested: translating the table of this guest level; -1 = the final data address */
    uint64_t address;       /* HPA of the entry */
    uint64_t guest_address; /* GPA of the entry (guest dimension), or the GPA being translated (nested dimension); of a
                                 * shadow table, and of the first guest table below one, the HPA again */
    uint64_t entry;         /* its value, before the walk set A or D */
    char decoded[160];      /* "present writable user accessed dirty frame 0x1234" */
    char found_in[NW_NAME_MAX]; /* cache level, "dram"; "" at fidelity tlb */
    uint64_t cycles;
    char skipped_by
        [NW_NAME_MAX]; /* "" = made; else the cache that made it unnecessary (then address and entry are still shown) */
    char why[96];      /* of a skipped one: what that cache held */
    unsigned first_lookup, lookup_count; /* of nw_explanation.lookup: what was asked just before it */
};

static inline const char *nw_explained_dimension(const struct nw_explained_reference *r)
{
    return r->nested ? "nested" : r->shadow ? "shadow" : "guest";
}

/* A look-up in a paging-structure cache or in the nested TLB. */
struct nw_explained_lookup {
    char cache[NW_NAME_MAX]; /* as in result paths: "guest_pde", "nested_tlb" */
    bool nested;             /* `address` is a GPA; else the GVA */
    bool hit;
    uint64_t address;
};

/* A fault, spelled out. */
struct nw_explained_bit {
    uint8_t bit;
    bool set;
    const char *name, *meaning; /* "W/R", "the access was a write"; static */
};
enum { NW_EXPLAINED_BITS_MAX = 16 };
struct nw_explained_fault {
    const char *kind;      /* "page_fault", "ept_violation", ...; NULL: there was none */
    const char *code_name; /* "error code", "exit qualification", "EXITINFO1"; "" when this fault has no code */
    uint64_t code;
    const char *address_name; /* "CR2", "GPA", "EXITINFO2" */
    uint64_t address;
    int level;                                          /* of the entry that stopped the walk; -1: no entry did */
    bool nested, shadow;                                /* as of a reference */
    struct nw_explained_bit bit[NW_EXPLAINED_BITS_MAX]; /* those defined for this kind of fault, ascending */
    unsigned bit_count;
};

struct nw_explanation {
    uint64_t gva, gpa, hpa;
    char outcome[96];    /* "ok", "page fault: not present (error code 0x4)", "EPT violation: ..." */
    uint64_t page_bytes; /* of the resulting translation; 0 on a fault */
    unsigned references, references_guest, references_nested; /* made, not skipped */
    unsigned references_shadow; /* mode agile: of the shadow tree; not among references_guest */
    uint64_t cycles;
    struct nw_explained_reference *reference; /* owned */
    unsigned reference_count;
    struct nw_explained_lookup *lookup; /* owned; in order */
    unsigned lookup_count;
    struct nw_explained_fault fault;
};

/* The walk of `gva` with empty TLBs and cold caches. With a source that has tables: its tables as they stand after all events
 * before access number `at_access` (UINT64_MAX = at the end). Without: an imitation guest in which gva is mapped. */
enum nw_status nw_explain_walk(struct nw_source *source, uint64_t at_access, const struct nw_config *config, gva_t gva,
                               enum nw_access_type type, bool user, struct nw_explanation *out,
                               struct nw_error *err) NW_MUST_USE;
void nw_explanation_fini(struct nw_explanation *x);

struct nw_explain_before {
    gva_t gva;
    enum nw_access_type type;
};
struct nw_explain_request {
    uint64_t at_access; /* as above */
    gva_t gva;
    enum nw_access_type type;
    bool user;
    unsigned bytes; /* 0 counts as 1 */
    const struct nw_explain_before
        *before; /* accesses made first, with the same privilege: their walks fill the caches */
    size_t before_count;
};
/* *count is 2 when the access crosses into the next page and its lower part does not fault: out[1] is the walk of the upper part, which
 * finds what the lower one left in the caches. Each of out[0..*count) is to be given to nw_explanation_fini. */
enum nw_status nw_explain_access(struct nw_source *source, const struct nw_config *config,
                                 const struct nw_explain_request *request, struct nw_explanation out[2],
                                 unsigned *count, struct nw_error *err) NW_MUST_USE;

/* All present entries of a page-table tree, for drawing: depth first, at most `max` nodes. */
struct nw_tree_node {
    unsigned parent;                                     /* index in the array; the root is its own parent */
    unsigned level;                                      /* 0 = leaf table */
    bool leaf;                                           /* maps a page rather than a table */
    uint64_t entry_address, entry, first_address, bytes; /* what it covers */
};
struct nw_tree {
    struct nw_tree_node *node; /* owned */
    unsigned node_count;
    bool truncated;
    unsigned levels;
};
/* The guest's (nested = false) or the second stage's (nested = true) tree: of a source with tables, as they stand after all its events; else of
 * an imitation guest in which the first 64 touches of the source, or without one a single page, are mapped. */
enum nw_status nw_explain_tree(struct nw_source *source, const struct nw_config *config, bool nested, unsigned max,
                               struct nw_tree *out, struct nw_error *err) NW_MUST_USE;
void nw_tree_fini(struct nw_tree *t);

#endif
