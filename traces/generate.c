#include "block_builder.h"
#include "random_order.h"
#include "zipf.h"

#include <inttypes.h>
#include <nestwalk/base/bits.h>
#include <nestwalk/traces/generate.h>
#include <nestwalk/traces/page_content.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORD = 8 };

struct generator {
    struct nw_source source;
    struct nw_trace_info info;
    struct nw_generate_options options;
    struct nw_block_builder builder;
    uint64_t done; /* accesses made */
    const struct pattern *pattern;
    struct nw_rng rng, store_rng; /* apart, so that a share of stores does not change the addresses */
    uint64_t things;              /* words, pages or nodes in the span */
    struct nw_random_order order; /* of pages or nodes */
    struct nw_zipf zipf;
    uint64_t page, run_left; /* zipf: the run going on */
    uint64_t address;        /* gups: of the load just made */
    struct {                 /* what pages hold */
        uint64_t *seen;      /* a bit for each page of the span; NULL: no contents */
        uint64_t first_page, pages, image, own;
        struct nw_page_content zeros;
        struct nw_event *event; /* of the block in the making */
        uint32_t events;
    } held;
};

/* What makes one kind of trace: its row says how to begin and what the next address is. */
struct pattern {
    const char *name;
    uint64_t (*thing_bytes)(const struct nw_generate_options *o);
    void (*begin)(struct generator *g);
    uint64_t (*next)(struct generator *g);
};

static uint64_t word_bytes(const struct nw_generate_options *o)
{
    (void)o;
    return WORD;
}
static uint64_t page_bytes(const struct nw_generate_options *o)
{
    (void)o;
    return NW_PAGE_BYTES;
}
static uint64_t stride_bytes(const struct nw_generate_options *o) { return o->stride_bytes; }
static void nothing_to_begin(struct generator *g) { (void)g; }

/* ---- the patterns ---- */

static uint64_t random_word(struct generator *g) { return g->options.base + nw_rng_below(&g->rng, g->things) * WORD; }

static void zipf_begin(struct generator *g)
{
    struct nw_rng order_rng = nw_rng_for(g->options.seed, "traces.generate.zipf.order");
    g->order = nw_random_order_make(g->things, &order_rng);
    nw_zipf_init(&g->zipf, g->things, g->options.exponent);
    g->run_left = 0;
}

static uint64_t zipf_next(struct generator *g)
{
    if (!g->run_left) {
        g->page = nw_random_order_of(&g->order, nw_zipf_draw(&g->zipf, &g->rng) - 1);
        g->run_left = 1 + nw_rng_below(&g->rng, 7);
    }
    g->run_left--;
    return g->options.base + g->page * NW_PAGE_BYTES + nw_rng_below(&g->rng, NW_PAGE_BYTES / WORD) * WORD;
}

static uint64_t sequential_next(struct generator *g)
{
    return g->options.base + g->done % g->things * g->options.stride_bytes;
}

static void chase_begin(struct generator *g)
{
    struct nw_rng order_rng = nw_rng_for(g->options.seed, "traces.generate.pointer-chase.order");
    g->order = nw_random_order_make(g->things, &order_rng);
}

static uint64_t chase_next(struct generator *g)
{
    return g->options.base + nw_random_order_of(&g->order, g->done % g->things) * g->options.stride_bytes;
}

static uint64_t gups_next(struct generator *g)
{
    if (!(g->done & 1))
        g->address = random_word(g);
    return g->address;
}

static const struct pattern patterns[] = {
    { "uniform", word_bytes, nothing_to_begin, random_word },
    { "zipf", page_bytes, zipf_begin, zipf_next },
    { "sequential", stride_bytes, nothing_to_begin, sequential_next },
    { "pointer-chase", stride_bytes, chase_begin, chase_next },
    { "gups", word_bytes, nothing_to_begin, gups_next },
};
enum { UNIFORM, ZIPF, SEQUENTIAL, POINTER_CHASE, GUPS };

/* ---- the source ---- */

static bool next_is_store(struct generator *g)
{
    if (g->pattern == &patterns[GUPS])
        return g->done & 1;
    return g->options.store_fraction > 0 && nw_rng_unit(&g->store_rng) < g->options.store_fraction;
}

/* ---- what pages hold ---- */

static struct nw_page_content draw_content(const struct generator *g, uint64_t page)
{
    const struct nw_generate_options *o = &g->options;
    const uint64_t place = page - g->held.first_page;
    const uint64_t of_image = nw_mix64(g->held.image ^ nw_mix64(place));
    const double draw =
        (double)(of_image >> 11) * 0x1p-53; /* so that guests of an image agree on which pages are of it */
    if (draw < o->zero_fraction)
        return g->held.zeros;
    const uint64_t hash =
        draw < o->zero_fraction + o->image_fraction ? nw_mix64(of_image) : nw_mix64(g->held.own ^ of_image);
    const double packed = NW_PAGE_BYTES / o->packed_ratio * (0.5 + (double)(nw_mix64(hash) >> 11) * 0x1p-53);
    return (struct nw_page_content){ hash, packed < 1 ? 1 : packed < NW_PAGE_BYTES ? (uint32_t)packed : NW_PAGE_BYTES };
}

static void tell_content(struct generator *g, uint64_t gva)
{
    const uint64_t page = gva >> NW_PAGE_LOG2, i = page - g->held.first_page, bit = NW_BIT(i % 64);
    if (g->held.seen[i / 64] & bit)
        return;
    g->held.seen[i / 64] |= bit;
    struct nw_event e = nw_page_content_event(page << NW_PAGE_LOG2, draw_content(g, page));
    e.at = g->builder.count;
    g->held.event[g->held.events++] = e;
}

static enum nw_status begin_contents(struct generator *g, struct nw_error *err)
{
    static const unsigned char zeros[NW_PAGE_BYTES];
    const struct nw_generate_options *o = &g->options;
    struct nw_page_packer *packer;
    enum nw_status s = nw_page_packer_create(&packer, err);
    if (s)
        return s;
    g->held.zeros = nw_page_content_of(packer, zeros);
    nw_page_packer_destroy(packer);
    g->held.first_page = o->base >> NW_PAGE_LOG2;
    g->held.pages = ((o->base + o->span_bytes - 1) >> NW_PAGE_LOG2) - g->held.first_page + 1;
    g->held.seen = calloc(g->held.pages / 64 + 1, sizeof *g->held.seen);
    g->held.event = malloc(NW_BLOCK_BUILDER_CAPACITY * sizeof *g->held.event);
    if (!g->held.seen || !g->held.event)
        return nw_fail_nomem(err, "what pages hold");
    g->held.own = nw_mix64(o->seed ^ UINT64_C(0x636f6e74656e7473));
    g->held.image = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (const char *c = o->image; c && *c; c++)
        g->held.image = (g->held.image ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
    return NW_OK;
}

static enum nw_status generator_next(struct nw_source *self, struct nw_block *block, struct nw_error *err)
{
    struct generator *g = (struct generator *)self;
    const uint8_t load = nw_kind_make(NW_LOAD, WORD, true), store = nw_kind_make(NW_STORE, WORD, true);
    g->held.events = 0;
    for (; g->done < g->options.accesses && !nw_block_builder_full(&g->builder); g->done++) {
        uint64_t gva = g->pattern->next(g);
        if (NW_UNLIKELY(g->held.seen != NULL))
            tell_content(g, gva);
        nw_block_builder_add(&g->builder, gva, next_is_store(g) ? store : load);
    }
    return nw_block_builder_finish(&g->builder, self->want, g->held.event, g->held.events, 0, block, err);
}

static enum nw_status generator_rewind(struct nw_source *self, struct nw_error *err)
{
    (void)err;
    struct generator *g = (struct generator *)self;
    char component[64];
    snprintf(component, sizeof component, "traces.generate.%s", g->pattern->name);
    g->rng = nw_rng_for(g->options.seed, component);
    g->store_rng = nw_rng_for(g->options.seed, "traces.generate.stores");
    g->done = 0;
    g->builder.first_access = g->builder.count = 0;
    if (g->held.seen)
        memset(g->held.seen, 0, (g->held.pages / 64 + 1) * sizeof *g->held.seen);
    g->pattern->begin(g);
    return NW_OK;
}

static const struct nw_trace_info *generator_info(const struct nw_source *self)
{
    return &((const struct generator *)self)->info;
}

static uint64_t generator_total(const struct nw_source *self)
{
    return ((const struct generator *)self)->options.accesses;
}

static void generator_destroy(struct nw_source *self)
{
    struct generator *g = (struct generator *)self;
    nw_block_builder_fini(&g->builder);
    nw_trace_info_fini(&g->info);
    free(g->held.seen);
    free(g->held.event);
    free(g);
}

static const struct nw_source_ops generator_ops = {
    .next = generator_next,
    .rewind = generator_rewind,
    .info = generator_info,
    .access_total = generator_total,
    .destroy = generator_destroy,
};

/* ---- opening ---- */

void nw_generate_defaults(struct nw_generate_options *o)
{
    *o = (struct nw_generate_options){
        .span_bytes = UINT64_C(1) << 30,
        .base = UINT64_C(0x7f0000000000),
        .seed = 42,
        .stride_bytes = 64,
        .exponent = 0.99,
        .packed_ratio = 3,
    };
}

static enum nw_status check_options(const struct nw_generate_options *o, uint64_t thing, struct nw_error *err)
{
    if (!o->accesses)
        return nw_fail(err, NW_ERR_USAGE, "accesses is 0, allowed is 1 or more");
    if (!thing || thing % WORD)
        return nw_fail(err, NW_ERR_USAGE, "stride is %" PRIu64 " bytes, allowed are multiples of %d", thing, WORD);
    if (o->span_bytes < thing)
        return nw_fail(err, NW_ERR_USAGE, "span is %" PRIu64 " bytes, allowed is %" PRIu64 " or more", o->span_bytes,
                       thing);
    uint64_t align = thing == NW_PAGE_BYTES ? NW_PAGE_BYTES : WORD;
    if (o->base % align)
        return nw_fail(err, NW_ERR_USAGE, "base is 0x%" PRIx64 ", allowed are multiples of %" PRIu64, o->base, align);
    if (o->span_bytes > UINT64_MAX - o->base)
        return nw_fail(err, NW_ERR_USAGE, "base 0x%" PRIx64 " and span 0x%" PRIx64 " reach beyond 64 bits", o->base,
                       o->span_bytes);
    if (!(o->exponent >= 0 && o->exponent <= 16))
        return nw_fail(err, NW_ERR_USAGE, "exponent is %g, allowed is 0 to 16", o->exponent);
    if (!(o->store_fraction >= 0 && o->store_fraction <= 1))
        return nw_fail(err, NW_ERR_USAGE, "store fraction is %g, allowed is 0 to 1", o->store_fraction);
    if (!(o->zero_fraction >= 0 && o->image_fraction >= 0 && o->zero_fraction + o->image_fraction <= 1))
        return nw_fail(
            err, NW_ERR_USAGE,
            "shares of pages of zeros and of the image are %g and %g, allowed is 0 or more, together at most 1",
            o->zero_fraction, o->image_fraction);
    if (!(o->packed_ratio >= 1 && o->packed_ratio <= 64))
        return nw_fail(err, NW_ERR_USAGE, "ratio of compression is %g, allowed is 1 to 64", o->packed_ratio);
    return NW_OK;
}

static void describe(struct generator *g)
{
    const struct nw_generate_options *o = &g->options;
    struct nw_trace_info *info = &g->info;
    nw_trace_info_init(info);
    info->seed = o->seed;
    uint64_t last = o->base + o->span_bytes - 1;
    info->gva_bits = last >> 48 ? 57 : 48;
    snprintf(info->origin, sizeof info->origin, "generate %s", g->pattern->name);
    int used =
        snprintf(info->workload, sizeof info->workload, "%s accesses=%" PRIu64 " span=%" PRIu64 " base=0x%" PRIx64,
                 g->pattern->name, o->accesses, o->span_bytes, o->base);
    size_t left = sizeof info->workload - (size_t)used;
    if (g->pattern->thing_bytes == stride_bytes)
        used += snprintf(info->workload + used, left, " stride=%" PRIu64, o->stride_bytes);
    else if (g->pattern == &patterns[ZIPF])
        used += snprintf(info->workload + used, left, " exponent=%g", o->exponent);
    left = sizeof info->workload - (size_t)used;
    if (o->store_fraction > 0 && g->pattern != &patterns[GUPS])
        used += snprintf(info->workload + used, left, " stores=%g", o->store_fraction);
    if (o->contents)
        snprintf(info->workload + used, sizeof info->workload - (size_t)used, " zero=%g image=%g ratio=%g",
                 o->zero_fraction, o->image_fraction, o->packed_ratio);
}

static enum nw_status open_pattern(struct nw_source **out, const struct pattern *pattern,
                                   const struct nw_generate_options *o, struct nw_error *err)
{
    uint64_t thing = pattern->thing_bytes(o);
    enum nw_status s = check_options(o, thing, err);
    if (s)
        return s;
    struct generator *g = calloc(1, sizeof *g);
    if (!g)
        return nw_fail_nomem(err, "a generator");
    g->source = (struct nw_source){ .ops = &generator_ops, .want = NW_WANT_ADDRESSES };
    g->options = *o;
    g->pattern = pattern;
    g->things = o->span_bytes / thing;
    describe(g);
    s = nw_block_builder_init(&g->builder, NW_BLOCK_BUILDER_CAPACITY, err);
    if (!s && o->contents)
        s = begin_contents(g, err);
    g->options.image = NULL;
    if (!s)
        s = generator_rewind(&g->source, err);
    if (s) {
        generator_destroy(&g->source);
        return s;
    }
    *out = &g->source;
    return NW_OK;
}

static enum nw_status open_uniform(struct nw_source **out, const struct nw_generate_options *o, struct nw_error *err)
{
    return open_pattern(out, &patterns[UNIFORM], o, err);
}
static enum nw_status open_zipf(struct nw_source **out, const struct nw_generate_options *o, struct nw_error *err)
{
    return open_pattern(out, &patterns[ZIPF], o, err);
}
static enum nw_status open_sequential(struct nw_source **out, const struct nw_generate_options *o, struct nw_error *err)
{
    return open_pattern(out, &patterns[SEQUENTIAL], o, err);
}
static enum nw_status open_chase(struct nw_source **out, const struct nw_generate_options *o, struct nw_error *err)
{
    return open_pattern(out, &patterns[POINTER_CHASE], o, err);
}
static enum nw_status open_gups(struct nw_source **out, const struct nw_generate_options *o, struct nw_error *err)
{
    return open_pattern(out, &patterns[GUPS], o, err);
}

const struct nw_generator nw_generators[] = {
    { "uniform", "uniform random 8-byte-aligned addresses over the span", open_uniform },
    { "zipf", "pages by Zipf's law, runs of 1 to 7 accesses in each", open_zipf },
    { "sequential", "a fixed stride over the span, wrapping", open_sequential },
    { "pointer-chase", "one random cycle through all nodes of the span", open_chase },
    { "gups", "read-modify-write of random 8-byte words", open_gups },
};
const size_t nw_generator_count = NW_ARRAY_LEN(nw_generators);

const struct nw_generator *nw_generator_find(const char *name)
{
    for (size_t i = 0; i < nw_generator_count; i++)
        if (!strcmp(nw_generators[i].name, name))
            return &nw_generators[i];
    return NULL;
}
