/* mrc.h - miss-ratio curves: what a TLB of every size would miss on a trace, from one pass over it.
 *
 *     struct nw_mrc_options o = { .streams = 1u << NW_TLB_DATA, .exact = true };
 *     struct nw_mrc *m;
 *     struct nw_mrc_result r;
 *     if ((s = nw_mrc_create(&m, nw_source_info(source), &o, err))) return s;
 *     source->want = NW_MRC_WANT;
 *     while (!(s = nw_source_next(source, &b, err)) && !b.end)
 *         if ((s = nw_mrc_take(m, &b, err))) break;
 *     if (!s) s = nw_mrc_finish(m, &r, err);
 *     nw_mrc_destroy(m);
 *     ... nw_mrc_misses(&r.curve[0], 64) of r.curve[0].references ...
 *     nw_mrc_result_fini(&r);
 *
 * Stack distances. With LRU, a TLB of n entries holds the n pages used last; so a reference hits when fewer than n other pages
 * were used since the last reference to its page: one number a reference, its stack distance, answers for all sizes at once (Mattson, Gecsei,
 * Slutz and Traiger, "Evaluation techniques for storage hierarchies", IBM Systems Journal 9(2), 1970). In a set-associative array every set is
 * such a stack, and the distance says how many ways it takes.
 *
 * References. Every access is one; an access that crosses into the next page is two. Three streams, as the classes of TLB arrays: data accesses,
 * fetches, and both in their order. Three page sizes: each as if the whole address space were mapped with it.
 *
 * What is not modelled. One array by itself: a second level sees only what the first misses, and is not what this curve shows. Invalidations
 * and flushes: a page stays where it is in the stack. A page's name is its number and the address space it was used in, told apart by the address field
 * of the guest's CR3 (as a PCID would tell them); so a page that several address spaces share, global or not, counts once in each. Addresses are not
 * checked: one that is not canonical is a page as any other.
 *
 * Sampling (Waldspurger, Park, Garthwaite and Ahmad, "Efficient MRC Construction with SHARDS", FAST 2015: fixed rate): only pages whose
 * hash lies below rate * 2^24 are followed; their distances, and how often they miss, are divided by the rate. The paper's correction
 * (SHARDS-adj) puts what the sampled references lack of rate * references in front of the histogram, where it is a hit of every size: so misses
 * are held against all references of the trace, which are counted. References that repeat the page before are hits of every size and
 * are not sampled at all. */
#ifndef NESTWALK_SIM_MRC_H
#define NESTWALK_SIM_MRC_H

#include <nestwalk/sim/config.h>
#include <nestwalk/traces/block.h>

enum { NW_MRC_WANT = NW_WANT_TOUCHES, NW_MRC_PAGE_SIZES = 3, NW_MRC_SETS_MAX = 1 << 20, NW_MRC_WAYS_FEW = 16 };
extern const unsigned nw_mrc_page_log2[NW_MRC_PAGE_SIZES]; /* 12, 21, 30 */

/* A number of sets, with all numbers of ways, or those up to NW_MRC_WAYS_FEW, which is much faster. The set is the page number modulo `sets`. */
struct nw_mrc_array {
    enum nw_tlb_class stream;
    unsigned page_log2;
    uint32_t sets; /* 1 to NW_MRC_SETS_MAX */
    bool few_ways; /* the curve may end at NW_MRC_WAYS_FEW ways */
};

struct nw_mrc_options {
    unsigned streams; /* set of 1u << enum nw_tlb_class */
    bool exact;       /* fully associative curves of all page sizes, `array`, and working sets */
    double rate;      /* of sampling, of fully associative curves: above 0 to 1; 0: none */
    uint64_t seed;    /* of the sampling hash */
    const struct nw_mrc_array *array;
    size_t array_count;
    const uint64_t *size; /* ascending, > 0: the sizes for which a sampled curve gets an estimate with its bound */
    size_t size_count;
    uint64_t window_accesses; /* of the working-set curve; 0: none */
};

/* An estimate from a sample. */
struct nw_mrc_point {
    uint64_t entries;
    double misses, low, high; /* the exact count is taken to lie in low .. high */
};

struct nw_mrc_curve {
    enum nw_tlb_class stream;
    unsigned page_log2;
    uint32_t sets; /* 1: fully associative */
    bool sampled;
    double rate;         /* 1 for an exact curve; else the rate in effect, a multiple of 2^-24 */
    uint64_t references; /* of the stream, exact, sampled or not */
    uint64_t changes;    /* references to another page than the one before, exact */
    uint64_t followed;   /* references that the curve is made from */
    uint64_t pages;      /* distinct ones followed */
    uint64_t *misses; /* owned. [n]: of what was followed, with n entries (ways, when there are sets); [0]: all of it */
    size_t misses_count; /* more entries than misses_count - 1 miss as much as that many, if the curve is complete */
    bool complete;       /* false: it was followed to misses_count - 1 ways; with more it may fall on */
    struct nw_mrc_point *point; /* owned; of sampled curves, one for each size */
    size_t point_count;
};

struct nw_mrc_working_set {
    enum nw_tlb_class stream;
    unsigned page_log2;
    uint32_t *pages; /* owned. [i]: distinct pages of the i-th window; the last window may be shorter */
    size_t window_count;
    double *average; /* owned. [k]: average distinct pages of the last 2^k references of the stream, over all moments */
    size_t average_count;
};

struct nw_mrc_result {
    uint64_t accesses, address_spaces;
    uint64_t window_accesses;
    struct nw_mrc_curve *curve; /* owned */
    size_t curve_count;
    struct nw_mrc_working_set *working_set; /* owned */
    size_t working_set_count;
};

struct nw_mrc;

/* NW_ERR_USAGE for options that make no sense, NW_ERR_NOMEM. `options` and what it points to are copied. */
enum nw_status nw_mrc_create(struct nw_mrc **out, const struct nw_trace_info *info,
                             const struct nw_mrc_options *options, struct nw_error *err) NW_MUST_USE;
/* A block with touches. NW_ERR_UNSUPPORTED for accesses of another vCPU than 0, or more address spaces or pages than can be told apart. */
enum nw_status nw_mrc_take(struct nw_mrc *m, const struct nw_block *block, struct nw_error *err) NW_MUST_USE;
/* What was found out; nothing can be taken afterwards. On success nw_mrc_result_fini() it. */
enum nw_status nw_mrc_finish(struct nw_mrc *m, struct nw_mrc_result *out, struct nw_error *err) NW_MUST_USE;
void nw_mrc_destroy(struct nw_mrc *m); /* NULL is allowed */
void nw_mrc_result_fini(struct nw_mrc_result *r);

/* Misses with `entries` entries (ways): exact, or for a sampled curve its estimate. 0 entries miss every reference. Beyond the end of a curve
 * that is not complete: what its last number of ways misses, which is the most that it can be. */
double nw_mrc_misses(const struct nw_mrc_curve *c, uint64_t entries);

/* The exact curve of a stream, page size and number of sets; NULL when there is none. `sampled`: the sampled one. */
const struct nw_mrc_curve *nw_mrc_find(const struct nw_mrc_result *r, enum nw_tlb_class stream, unsigned page_log2,
                                       uint32_t sets, bool sampled);

#endif
