/* generate.h - synthetic traces with documented statistics, as sources: nothing is stored, so a trace may be of any length and
 * over any span. Same options, same accesses.
 *
 *   uniform        uniform random 8-byte-aligned addresses over the span
 *   zipf           a page by Zipf's law (the page of rank r with probability proportional to r^-exponent; ranks are scattered
 *                  over the span by a random bijection), then a run of 1 to 7 (mean 4) accesses at random 8-byte-aligned
 *                  addresses of that page
 *   sequential     a fixed stride over the span, wrapping to its start
 *   pointer-chase  one random cycle through all nodes of the span: every node once, in random order, then again in that order
 *   gups           read-modify-write of random 8-byte words: a load, then a store to the same address
 *
 * All accesses are 8 bytes wide, by user code, on one vCPU.
 *
 * With `contents` the first access to a page is preceded by a page-content event (page_content.h) for the page's address: zeros with one probability, with
 * another a page of an image (the same at the same place of the span for the same image, whatever the seed), else one of this seed's own. Its compressed size
 * is uniform between half and three halves of 4096 / ratio, at most 4096; of zeros it is that of zeros. The accesses are the same with and without.
 *
 *     struct nw_generate_options o;
 *     nw_generate_defaults(&o);
 *     o.accesses = 1000000;
 *     s = nw_generator_find("zipf")->open(&source, &o, err); */
#ifndef NESTWALK_TRACES_GENERATE_H
#define NESTWALK_TRACES_GENERATE_H

#include <nestwalk/traces/block.h>

struct nw_generate_options {
    uint64_t accesses; /* how many, > 0; no default */
    uint64_t
        span_bytes; /* footprint, at least 8 bytes (zipf: a page); default 1 GiB. Rounded down to whole words, pages, nodes. */
    uint64_t base;         /* first GVA, a multiple of 8 (zipf: of 4096); default 0x7f0000000000 */
    uint64_t seed;         /* default 42 */
    uint64_t stride_bytes; /* sequential: default 64. pointer-chase: node size, default 64 */
    double exponent;       /* zipf: 0 (uniform) to 16; default 0.99 */
    double
        store_fraction; /* 0..1: each access is a store with this probability (not gups: there half are); default 0 */
    bool contents;      /* what pages hold as well; default no */
    double zero_fraction, image_fraction; /* of the pages, 0..1, together at most 1; default 0 */
    double packed_ratio;                  /* 1 to 64; default 3 (assumed, as swap.zswap_ratio) */
    const char *image;                    /* its name; default ""; not kept */
};
void nw_generate_defaults(struct nw_generate_options *o);

struct nw_generator {
    const char *name, *doc;
    /* NW_ERR_USAGE, naming the option and what is allowed, when an option makes no sense. */
    enum nw_status (*open)(struct nw_source **out, const struct nw_generate_options *o, struct nw_error *err);
};
extern const struct nw_generator nw_generators[];
extern const size_t nw_generator_count;
const struct nw_generator *nw_generator_find(const char *name); /* NULL when there is none */

#endif
