/* generate.h - synthetic traces with documented statistics, as sources: nothing is stored.
 *
 *   uniform        uniform random 8-byte-aligned addresses over the span
 *   zipf           pages drawn from Zipf(exponent) over the span's pages, scattered by a bijection; each draw is a run of 1..7
 *                  (mean 4) accesses inside the page at random 8-byte offsets
 *   sequential     a fixed stride over the span, wrapping
 *   pointer-chase  one random cycle through all lines of the span (Sattolo), a dependent load each
 *   gups           read-modify-write of random 8-byte words: a load and a store to the same address */
#ifndef NESTWALK_TRACES_GENERATE_H
#define NESTWALK_TRACES_GENERATE_H

#include <nestwalk/traces/block.h>

struct nw_generate_options {
    uint64_t accesses;     /* how many, > 0 */
    uint64_t span_bytes;   /* footprint; default 1 GiB */
    uint64_t base;         /* first GVA; default 0x7f0000000000 */
    uint64_t seed;         /* default 42 */
    uint64_t stride_bytes; /* sequential: default 64. pointer-chase: node size, default 64 */
    double exponent;       /* zipf: default 0.99 */
    double store_fraction; /* 0..1: this share of the accesses are stores (not gups); default 0 */
};
void nw_generate_defaults(struct nw_generate_options *o);

struct nw_generator {
    const char *name, *doc;
    enum nw_status (*open)(struct nw_source **out, const struct nw_generate_options *o, struct nw_error *err);
};
extern const struct nw_generator nw_generators[];
extern const size_t nw_generator_count;
const struct nw_generator *nw_generator_find(const char *name);

#endif
