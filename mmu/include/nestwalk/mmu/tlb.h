/* tlb.h - one TLB array, the readable one: what the fast engine's packed array is checked against, counter by counter.
 *
 *     struct nw_tlb tlb;
 *     struct nw_tlb_geometry g = { .entries = 1536, .ways = 12, .policy = NW_REPLACE_LRU,
 *                                  .page_log2 = { 12, 21 }, .page_sizes = 2 };
 *     s = nw_tlb_init(&tlb, "tlb.l2", &g, seed, err);
 *     struct nw_tlb_entry *e = nw_tlb_lookup(&tlb, gva.v, &tag);
 *     if (!e) { ... walk ...; nw_tlb_insert(&tlb, &entry, NULL); }
 *
 * It serves as TLB (address = GVA), as nested TLB (address = GPA) and as paging-structure cache (page_log2 = what an
 * entry of that level covers); `payload` is the user's.
 *
 * Exact rules (deterministic; another implementation that follows them gives the same counters):
 *   - The set of an address is, for each page size the array holds, (address >> page_log2) mod sets, where sets =
 *     entries / ways. Neither number need be a power of two. A lookup tries the page sizes in the order of
 *     `page_log2`, and within a set the ways from 0 up; the first entry that is valid, has that page size, that page
 *     number and a matching tag is the hit, one that is not global
 *     before one that is (both are there only when a page is global in one address space and not in another).
 *   - A tag matches when vpid and root are equal and (the entry is global or pcid is equal).
 *   - insert: an entry of the same page, size and matching tag is overwritten in place (counts as a use). Else the
 *     invalid way with the lowest index is taken; else the policy's victim is evicted.
 *   - Lookup hits and inserts are uses.
 *   - LRU: the victim is the way used longest ago.
 *   - Tree-PLRU: a complete binary tree over the ways rounded up to a power of two; node 1 is the root, node n has
 *     children 2n and 2n+1, one bit a node, 0 points left. A use makes every node on the way to that leaf point away
 *     from it. The victim is found by following the bits; where the right half begins at or beyond `ways`, the left
 *     one is taken.
 *   - Random: the victim is nw_rng_below(rng, ways), one draw an eviction from a full set and none otherwise; the
 *     generator is nw_rng_for(seed, name).
 *     Not recently used: one bit a way; a use sets it, and when that leaves none of the set's bits clear, all others are cleared; the victim is the
 *     lowest way whose bit is clear (with one way, that way). SRRIP (Jaleel et al., ISCA 2010: 2 bits, hit priority): an insert gives a way the
 *     prediction 2, an overwriting insert and a lookup hit 0; the victim is the lowest way with 3, after all have been raised together until one has it.
 *   - Invalidation makes ways invalid and leaves the policy's state as it is. */
#ifndef NESTWALK_MMU_TLB_H
#define NESTWALK_MMU_TLB_H

#include <nestwalk/base/rng.h>
#include <nestwalk/base/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum nw_tlb_replacement {
    NW_REPLACE_LRU,
    NW_REPLACE_PLRU,
    NW_REPLACE_RANDOM,
    NW_REPLACE_NRU,
    NW_REPLACE_SRRIP,
    NW_REPLACEMENTS
};
enum { NW_TLB_PAGE_SIZES_MAX = 8 };

struct nw_tlb_tag {
    uint16_t vpid; /* VPID or ASID; 0: the host, or untagged */
    uint16_t pcid;
    uint64_t root; /* EPTRTA: the nested root the translation went through; 0 natively */
};

struct nw_tlb_entry {
    bool valid, global;
    uint8_t page_log2;
    struct nw_tlb_tag tag;
    uint64_t page;   /* address >> page_log2 */
    uint64_t hpa;    /* of the page's first byte */
    uint16_t rights; /* set of enum nw_right */
    uint8_t pkey;
    uint64_t payload[4]; /* the user's: what a paging-structure cache or nested TLB holds */
    uint64_t used;       /* clock of the last use; kept by the array */
};

struct nw_tlb_geometry {
    uint32_t entries, ways; /* entries % ways == 0; ways == entries: fully associative */
    enum nw_tlb_replacement policy;
    uint8_t page_log2[NW_TLB_PAGE_SIZES_MAX]; /* sizes held, in lookup order */
    unsigned page_sizes;
};

struct nw_tlb {
    struct nw_tlb_geometry geometry;
    uint32_t sets;
    struct nw_tlb_entry *entry; /* [set * ways + way] */
    uint8_t *age;               /* [as entry]: not-recently-used bit, or SRRIP's prediction */
    uint64_t *tree;             /* tree-PLRU: bits of node n of a set at tree[set * tree_words + n / 64] */
    uint32_t tree_words, tree_leaves;
    uint64_t clock;
    struct nw_rng rng;
    uint64_t hits, misses, evictions, invalidated; /* counted by lookup, insert, invalidate */
};

/* NW_ERR_USAGE: impossible geometry; NW_ERR_NOMEM. `name` ("tlb.l1d") picks the random generator. */
enum nw_status nw_tlb_init(struct nw_tlb *t, const char *name, const struct nw_tlb_geometry *g, uint64_t seed,
                           struct nw_error *err) NW_MUST_USE;
void nw_tlb_fini(struct nw_tlb *t);

bool nw_tlb_holds(const struct nw_tlb *t, unsigned page_log2);

/* The entry that translates `address`, counted and used; NULL: a miss, counted. */
struct nw_tlb_entry *nw_tlb_lookup(struct nw_tlb *t, uint64_t address, const struct nw_tlb_tag *tag);
/* The same without counting or use. */
struct nw_tlb_entry *nw_tlb_peek(struct nw_tlb *t, uint64_t address, const struct nw_tlb_tag *tag);

/* Puts a copy of *entry in; its page_log2 must be one the array holds. Returns true when a valid entry of another page
 * was evicted; it is copied to *evicted (may be NULL). */
bool nw_tlb_insert(struct nw_tlb *t, const struct nw_tlb_entry *entry, struct nw_tlb_entry *evicted);

/* Sets NW_RIGHT_DIRTY in the entry that translates `address`, if there is one. Not a use. */
void nw_tlb_update_dirty(struct nw_tlb *t, uint64_t address, const struct nw_tlb_tag *tag);

/* Which entries an invalidation reaches: those that satisfy every condition named in `match`. */
enum nw_tlb_match {
    NW_TLB_MATCH_ADDRESS = 1, /* the entry's page contains a byte of [first, last] */
    NW_TLB_MATCH_PCID = 2,
    NW_TLB_MATCH_VPID = 4,
    NW_TLB_MATCH_ROOT = 8,
    NW_TLB_MATCH_NONGLOBAL = 16, /* global entries are spared */
    /* INVLPG: the page whatever its PCID if global, else of this PCID */
    NW_TLB_MATCH_PCID_OR_GLOBAL = 32,
};
struct nw_tlb_predicate {
    unsigned match; /* set of enum nw_tlb_match; 0: everything */
    uint64_t first, last;
    struct nw_tlb_tag tag;
};
/* Returns how many entries became invalid. */
uint64_t nw_tlb_invalidate(struct nw_tlb *t, const struct nw_tlb_predicate *predicate);

/* The predicates of the architecture's operations (SDM vol. 3, "Operations that Invalidate TLBs and Paging-Structure
 * Caches"). */
struct nw_tlb_predicate nw_tlb_invlpg(uint64_t address, const struct nw_tlb_tag *tag);
struct nw_tlb_predicate
nw_tlb_load_cr3(const struct nw_tlb_tag *tag); /* bit 63 clear: non-global entries of the PCID */
struct nw_tlb_predicate
nw_tlb_flush_guest(const struct nw_tlb_tag *tag); /* all of the VPID, global too (MOV to CR4 that changes PGE) */
struct nw_tlb_predicate nw_tlb_flush_root(uint64_t root); /* INVEPT single-context */
struct nw_tlb_predicate nw_tlb_flush_all(void);

#endif
