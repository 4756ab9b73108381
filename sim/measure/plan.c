/* The chases: which sizes, strides and pages, and which of them parameters may be fitted on. */
#include "measure_internal.h"
#include <nestwalk/base/addr.h>
#include <nestwalk/base/rng.h>

const char *const nw_chase_pages_name[NW_CHASE_PAGES] = { "4K", "2M", "1G" };

#define K UINT64_C(1024)
#define M (K * K)
#define G (K * M)
#define FIT(pages, count, spacing, purpose)                                                                            \
    {                                                                                                                  \
        NW_CHASE_CALIBRATE, NW_CHASE_##pages, count, 1, spacing, purpose                                               \
    }
#define HOLD(pages, count, spacing, purpose)                                                                           \
    {                                                                                                                  \
        NW_CHASE_HOLD_OUT, NW_CHASE_##pages, count, 1, spacing, purpose                                                \
    }
/* `sets` neighbouring pages, and again so many pages at each 2 MiB: `count / sets` of them want the same set of a TLB. */
#define CONFLICT(count, sets)                                                                                          \
    {                                                                                                                  \
        NW_CHASE_CALIBRATE, NW_CHASE_4K, count, sets, 2 * M, "set conflicts"                                           \
    }

/* Spacing 192: all sets of a cache are used, and no two elements share a line or an adjacent pair of lines. */
#define QUICK                                                                                                          \
    FIT(2M, 200, 192, "spaced lines"), FIT(2M, 3000, 192, "spaced lines"), FIT(2M, 12000, 192, "spaced lines"),        \
        FIT(2M, 64000, 192, "spaced lines"), FIT(2M, 250000, 192, "spaced lines"), FIT(2M, 200, 64, "packed lines"),   \
        FIT(2M, 8192, 64, "packed lines"), FIT(2M, 65536, 64, "packed lines"), FIT(2M, 500000, 64, "packed lines"),    \
        FIT(4K, 48, 4 * K, "L1 TLB"), FIT(4K, 128, 4 * K, "L2 TLB hit"), FIT(4K, 256, 4 * K, "L2 TLB hit"),            \
        FIT(4K, 768, 4 * K, "L2 TLB hit"), FIT(4K, 1280, 4 * K, "replacement"), FIT(4K, 2048, 4 * K, "replacement"),   \
        FIT(4K, 3072, 4 * K, "replacement"), FIT(4K, 6144, 4 * K, "dense pages"),                                      \
        FIT(4K, 12288, 4 * K, "dense pages"), FIT(4K, 24576, 4 * K, "dense pages"),                                    \
        FIT(4K, 49152, 4 * K, "dense pages"), FIT(2M, 128, 4 * K, "L2 TLB hit"), FIT(2M, 3072, 4 * K, "replacement"),  \
        FIT(2M, 12288, 4 * K, "dense pages"), FIT(2M, 24576, 4 * K, "dense pages"),                                    \
        FIT(4K, 80, 256 * K, "walk overhead"), FIT(4K, 160, 256 * K, "walk overhead"),                                 \
        FIT(4K, 3072, 64 * K, "stride sweep"), FIT(4K, 96, 2 * M, "PDE cache"), FIT(4K, 512, 2 * M, "PDE cache"),      \
        FIT(4K, 1536, 2 * M, "PDE cache"), FIT(4K, 128, 16 * M, "PDPTE cache"), FIT(4K, 80, 128 * M, "PDPTE cache"),   \
        CONFLICT(96, 16), CONFLICT(192, 16), CONFLICT(320, 16), CONFLICT(448, 16), HOLD(4K, 40, 4 * K, "dense pages"), \
        HOLD(4K, 100, 4 * K, "dense pages"), HOLD(4K, 192, 4 * K, "dense pages"), HOLD(4K, 384, 4 * K, "dense pages"), \
        HOLD(4K, 640, 4 * K, "dense pages"), HOLD(4K, 1024, 4 * K, "dense pages"),                                     \
        HOLD(4K, 1536, 4 * K, "dense pages"), HOLD(4K, 2560, 4 * K, "dense pages"),                                    \
        HOLD(4K, 4096, 4 * K, "dense pages"), HOLD(4K, 8192, 4 * K, "dense pages"),                                    \
        HOLD(4K, 16384, 4 * K, "dense pages"), HOLD(4K, 32768, 4 * K, "dense pages"),                                  \
        HOLD(4K, 65536, 4 * K, "dense pages"), HOLD(2M, 100, 4 * K, "dense pages"),                                    \
        HOLD(2M, 1024, 4 * K, "dense pages"), HOLD(2M, 4096, 4 * K, "dense pages"),                                    \
        HOLD(2M, 8192, 4 * K, "dense pages"), HOLD(2M, 16384, 4 * K, "dense pages"),                                   \
        HOLD(2M, 32768, 4 * K, "dense pages"), HOLD(4K, 4096, 32 * K, "stride sweep"),                                 \
        HOLD(4K, 96, 128 * K, "stride sweep"), HOLD(4K, 1024, 128 * K, "stride sweep"),                                \
        HOLD(4K, 4096, 128 * K, "stride sweep"), HOLD(4K, 128, 1 * M, "stride sweep"),                                 \
        HOLD(4K, 768, 1 * M, "stride sweep"), HOLD(4K, 256, 2 * M, "stride sweep"),                                    \
        HOLD(4K, 768, 2 * M, "stride sweep"), HOLD(4K, 256, 16 * M, "stride sweep"),                                   \
        HOLD(4K, 80, 64 * M, "stride sweep")

static const struct nw_chase quick[] = { QUICK };
static const struct nw_chase full[] = {
    QUICK,
    HOLD(4K, 128, 4 * K, "dense pages"),
    HOLD(4K, 512, 4 * K, "dense pages"),
    HOLD(4K, 1792, 4 * K, "dense pages"),
    HOLD(4K, 5120, 4 * K, "dense pages"),
    HOLD(4K, 10240, 4 * K, "dense pages"),
    HOLD(4K, 20480, 4 * K, "dense pages"),
    HOLD(4K, 131072, 4 * K, "dense pages"),
    HOLD(4K, 524288, 4 * K, "dense pages"),
    HOLD(2M, 256, 4 * K, "dense pages"),
    HOLD(2M, 6144, 4 * K, "dense pages"),
    HOLD(2M, 65536, 4 * K, "dense pages"),
    HOLD(4K, 2048, 64 * K, "stride sweep"),
    HOLD(4K, 1024, 512 * K, "stride sweep"),
    HOLD(4K, 96, 128 * M, "stride sweep"),
    HOLD(4K, 60, 1 * G, "stride sweep"),
    HOLD(1G, 1024, 4 * K, "dense pages"),
    HOLD(1G, 16384, 4 * K, "dense pages"),
};

const struct nw_chase *nw_chase_plan(bool whole, size_t *count)
{
    *count = whole ? NW_ARRAY_LEN(full) : NW_ARRAY_LEN(quick);
    return whole ? full : quick;
}

static uint64_t start_of(const struct nw_chase *c, uint32_t i)
{
    return i / c->group * c->spacing_bytes + i % c->group * NW_PAGE_BYTES;
}

uint64_t chase_span(const struct nw_chase *c)
{
    const uint64_t last = start_of(c, c->count - 1) + NW_PAGE_BYTES;
    return (last + NW_PAGE_BYTES - 1) & ~(NW_PAGE_BYTES - 1);
}

uint64_t chase_memory(const struct nw_chase *c)
{
    const uint64_t pages = (uint64_t)c->count * NW_PAGE_BYTES, span = chase_span(c);
    return c->pages == NW_CHASE_4K && pages < span ? pages : span;
}

void nw_chase_layout(const struct nw_chase *c, uint64_t seed, uint64_t *offset, uint32_t *next)
{
    const uint64_t shape[] = { c->count, c->spacing_bytes, c->group, (uint64_t)c->pages };
    for (size_t i = 0; i < NW_ARRAY_LEN(shape); i++)
        seed = nw_mix64(seed ^ shape[i]) + i;
    struct nw_rng rng = nw_rng_seeded(seed);
    const uint64_t lines = NW_PAGE_BYTES >> NW_LINE_LOG2;
    const bool whole_pages = c->group > 1 || c->spacing_bytes >= NW_PAGE_BYTES;
    for (uint32_t i = 0; i < c->count; i++)
        offset[i] = start_of(c, i) + (whole_pages ? nw_rng_below(&rng, lines) << NW_LINE_LOG2 : 0);
    /* One cycle through all elements: Sattolo, "An algorithm to generate a random cyclic permutation", IPL 1986. */
    for (uint32_t i = 0; i < c->count; i++)
        next[i] = i;
    for (uint32_t i = c->count - 1; i > 0; i--) {
        const uint32_t j = (uint32_t)nw_rng_below(&rng, i), kept = next[i];
        next[i] = next[j];
        next[j] = kept;
    }
}
