/* stage_caches.h - stage 4 of the fast engine: emitted lines go through the modelled caches. See kernel.c. */
#ifndef NW_SIM_STAGE_CACHES_H
#define NW_SIM_STAGE_CACHES_H

#include "kernel.h"

/* Walks of one latency are counted together; kernel_finish() books them. */
NW_INLINE void book_cycles(struct kernel *k, enum walk_purpose purpose, uint64_t cycles)
{
    if (NW_UNLIKELY(purpose != WALK_MISS))
        k->p->assist_cycles += purpose == WALK_ASSIST ? cycles : 0;
    else if (NW_LIKELY(cycles < LATENCIES))
        k->walks_of[cycles]++;
    else
        book_walk(k->r, cycles);
}

static void book_walks_of(struct kernel *k)
{
    for (unsigned cycles = 0; cycles < LATENCIES; cycles++) {
        k->r->walks.count += k->walks_of[cycles];
        k->r->walks.cycles += k->walks_of[cycles] * cycles;
        k->r->walks.histogram[histogram_bucket(cycles)] += k->walks_of[cycles];
    }
}

/* One cache: `line` has `count` lines, whose numbers are `which`. Those that miss are left at the front of both, in order; found[number] of
 * the others is `level`, of these level + 1. Returns how many. What is fixed for the cache comes as arguments, so that the loop has it in registers. */
NW_INLINE uint32_t pass_lines(uint64_t *restrict words, struct packed_modulus sets, unsigned ways, const unsigned lanes,
                              const bool far, uint64_t *restrict line, uint32_t *restrict which,
                              uint8_t *restrict found, uint8_t level, uint32_t count)
{
    uint32_t missed = 0;
    for (uint32_t i = 0; i < count; i++) {
        const uint64_t here = line[i];
        const uint32_t number = which[i];
        uint64_t evicted;
        if (far) { /* beyond the end there are other lines, which does no harm */
            const uint64_t *set = words + packed_mod(&sets, line[i + LINES_AHEAD]) * lanes;
            for (unsigned lane = 0; lane < lanes; lane += PACKED_LANES)
                NW_PREFETCH(set + lane);
        }
        const int hit = packed_touch(words + packed_mod(&sets, here) * lanes, lanes, ways, here, &evicted);
        found[number] = (uint8_t)(level + !hit);
        line[missed] = here;
        which[missed] = number;
        missed += !hit;
    }
    return missed;
}

NW_INLINE uint32_t pass_cache(struct kernel *k, size_t level, uint32_t count, const unsigned lanes)
{
    const struct packed_lines *cache = &k->cache[level];
    const bool far = cache->sets.divisor * lanes >= AT_HAND_WORDS;
    uint64_t *words = cache->line;
    const struct packed_modulus sets = cache->sets;
    uint32_t missed;
    if (sets.mask && far)
        missed = pass_lines(words, (struct packed_modulus){ 1, sets.mask }, cache->ways, lanes, true, k->line, k->which,
                            k->found, (uint8_t)level, count);
    else if (sets.mask)
        missed = pass_lines(words, (struct packed_modulus){ 1, sets.mask }, cache->ways, lanes, false, k->line,
                            k->which, k->found, (uint8_t)level, count);
    else
        missed = pass_lines(words, sets, cache->ways, lanes, false, k->line, k->which, k->found, (uint8_t)level, count);
    k->r->cache[level].hits += count - missed;
    k->r->cache[level].misses += missed;
    return missed;
}

/* Each cache sees the same lines in the same order as if every line had gone through all of them before the next, because none hears of
 * another. */
static NW_NOINLINE void settle_lines(struct kernel *k)
{
    const struct nw_config *c = k->c;
    uint64_t latency[NW_CACHES_MAX + 1];
    size_t level = c->walker.first_cache, end = c->cache_count;
    uint32_t left = k->line_count;
    for (uint32_t i = 0; i < left; i++)
        k->which[i] = i;
    memset(k->found, (int)level, left);
    for (; level < end; level++) {
        latency[level] = c->cache[level].latency_cycles + c->walker.level_cycles;
        unsigned lanes = k->cache[level].lanes; /* the common shapes as constants */
        left = lanes == 8    ? pass_cache(k, level, left, 8)
               : lanes == 16 ? pass_cache(k, level, left, 16)
                             : pass_cache(k, level, left, lanes);
    }
    latency[end] = c->memory.dram_latency_cycles + c->walker.level_cycles;
    k->r->memory_references += left;
    uint32_t i = 0;
    for (unsigned w = 0; w < k->walk_count; w++) {
        uint64_t cycles = 0;
        for (; i < k->walk[w].end; i++)
            cycles += latency[k->found[i]];
        book_cycles(k, k->walk[w].purpose, cycles);
    }
    k->line_count = k->walk_count = 0;
}

#endif
