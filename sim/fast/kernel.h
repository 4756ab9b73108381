/* kernel.h - what the stages of the fast engine share: the engine's state. Part of kernel.c, which says what the stages are; each stage is a
 * file of functions that kernel.c includes, because they are compiled together, once for each instruction set. */
#ifndef NW_SIM_KERNEL_H
#define NW_SIM_KERNEL_H

#include "structures.h"
#include <inttypes.h>
#include <nestwalk/mmu/walk_template.h>

enum {
    LINES_MAX = 4096,     /* emitted lines that wait */
    LINES_A_WALK = 64,    /* more than any walk reads */
    REGION_LOG2 = 15,     /* pages a region of `prepared` */
    LATENCIES = 2048,     /* walks of fewer cycles are counted by their cycles */
    LINES_AHEAD = 32,     /* sets of the modelled caches are prefetched so many lines ahead */
    AT_HAND_WORDS = 4096, /* a modelled cache of fewer words stays in the processor's own first level */
    HINTS_LOG2 = 12,      /* remembered leaf tables, see `struct hint` */
    FAR_AHEAD = 24,       /* touches */
    MIDDLE_AHEAD = 16,
    NEAR_AHEAD = 8,
    REGULAR_WALKS_MAX = 2048,
    FLAT_BATCH = 2048, /* no more than that */
    REGIONS_LATELY = 64,
    PATHS_LOG2 = 12,
};
/* An emitted line has the number of its walk (of those that wait) above its own. */
enum { LINE_WALK_SHIFT = NW_PHYS_BITS_MAX - NW_LINE_LOG2 };
#define LINE_MASK ((UINT64_C(1) << LINE_WALK_SHIFT) - 1)
_Static_assert(LINES_MAX <= 1 << (64 - LINE_WALK_SHIFT), "a walk's number fits");
#define REGULAR_RIGHTS_UNKNOWN UINT64_MAX

enum { REGION_WORDS = 1u << (REGION_LOG2 - 6) };
struct prepared_region {
    uint64_t key;
    uint64_t bit[REGION_WORDS];
    uint64_t regular[REGION_WORDS], dirty[REGION_WORDS]; /* stage_regular.h; by the first 4 KiB of a translation */
};

/* Where the leaf table for an address probably is in our own memory. Only ever used to prefetch: a wrong hint costs time, not exactness, and
 * simulated memory is never unmapped while an engine lives, so reading through an old hint is safe. */
struct hint {
    uint64_t key; /* address >> 21, plus 1 */
    const uint64_t *table;
};

/* All that a walk of a regular page reads; the same for all pages of one table of leaves. One line of the processor's caches. */
struct regular_path {
    _Alignas(64)
        uint64_t line[NW_LEVELS_MAX]; /* of the entries, from the root's down; last, the first of the table of leaves */
    uint64_t leaf_table;              /* address of the table of leaves, of the guest's its GPA */
    uint64_t key;                     /* 0: none */
    uint64_t *leaf;                   /* the table of leaves, in our own memory */
};
_Static_assert(sizeof(struct regular_path) == 64, "a path is one line");

/* The same path's tables, by level, as paging-structure caches keep them; seldom asked for. */
struct regular_tables {
    struct packed_entry table[NW_LEVELS_MAX];
};

enum walk_purpose { WALK_MISS, WALK_ASSIST, WALK_PREFETCH };

struct kernel {
    struct replay *p;
    struct machine *m;
    const struct nw_config *c;
    struct nw_result *r;
    uint64_t space;    /* present address space of non-global entries */
    bool exact_filter; /* L1 arrays are not shared by the classes */
    bool irregular;    /* something was removed or refused: the filter no longer holds */

    struct packed_tlb tlb[NW_TLB_ARRAYS_MAX];
    struct {
        struct packed_tlb *array[NW_TLB_ARRAYS_MAX];
        unsigned count;
    } looks[2][LEVELS_OF_TLB];
    struct kernel_home { /* as replay.home */
        struct packed_tlb *array;
        unsigned size;
    } home[2][LEVELS_OF_TLB][3];

    struct packed_assoc psc_guest[NW_PSC_LEVELS], psc_nested[NW_PSC_LEVELS], nested_tlb;
    unsigned psc_count[2]; /* PSCs that exist, by dimension, and which they are, the PDE cache first */
    uint8_t psc_index[2][NW_PSC_LEVELS];
    bool refill; /* the nested TLB has an entry for the last GPA asked for, but one that did not serve */
    struct packed_lines cache[NW_CACHES_MAX];
    bool wide_lines; /* they hold 64-bit words */

    uint64_t *line; /* emitted, waiting */
    unsigned line_count;

    uint32_t *walk_end;    /* of waiting walks: of their lines */
    uint8_t *walk_purpose; /* enum walk_purpose */
    unsigned walk_count;
    bool walk_extra;                              /* one of them is no WALK_MISS */
    uint64_t *walk_cycles;                        /* of those walks, for settle_lines() */
    uint64_t walks_of[2][LATENCIES];              /* two, by turns: an increment need not wait for the last one */
    uint64_t guest_references, nested_references; /* of the walk under way */

    struct hint *hint[2]; /* by dimension */

    struct prepared_region **region; /* open addressing by page >> REGION_LOG2 */
    size_t region_capacity, region_used;
    struct prepared_region *last_region, *lately[REGIONS_LATELY]; /* the latter by the low bits of the key */

    uint64_t *missed; /* pages that missed all TLBs, to be walked */
    struct {          /* narrow_tlb.h */
        bool narrow;  /* the data class's two arrays have 32-bit words */
        unsigned size;
        uint64_t space, rights; /* of all of them */
        uint64_t wide_touches;  /* since they were so last */
    } alike;

    struct { /* stage_regular.h */
        bool possible;
        unsigned size;                    /* class of every translation */
        uint64_t rights;                  /* of every regular page, without D */
        unsigned leaf_level[2];           /* by dimension */
        struct regular_path *path[2];     /* direct-mapped by key */
        struct regular_tables *tables[2]; /* likewise */
        struct regular_chunk *chunk;      /* of what was missed, the walks under way */
        uint32_t count;
        bool mixed;  /* there are pages of other rights: first touches go the general way */
        bool learnt; /* the two below: the first regular page's, by dimension */
        uint64_t above[2],
            leaf_bits[2]; /* rights of the entries above the leaf; the leaf entry without address, A and D */
    } regular;
};

#endif
