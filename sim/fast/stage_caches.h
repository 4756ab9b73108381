/* stage_caches.h - stage 4 of the fast engine: emitted lines go through the modelled caches. See kernel.c. */
#ifndef NW_SIM_STAGE_CACHES_H
#define NW_SIM_STAGE_CACHES_H

#include "kernel.h"

NW_INLINE void book_cycles(struct kernel *k, enum walk_purpose purpose, uint64_t cycles)
{
    if (NW_LIKELY(purpose == WALK_MISS))
        book_walk(k->r, cycles);
    else if (purpose == WALK_ASSIST)
        k->p->assist_cycles += cycles;
}

NW_INLINE uint64_t *set_of_line(const struct packed_lines *cache, uint64_t line)
{
    return cache->line + packed_mod(&cache->sets, line) * cache->lanes;
}

/* One cache: of the lines whose numbers are in which[0..count), those that miss are left there, in order. Returns how many. */
NW_INLINE uint32_t pass_cache(struct kernel *k, size_t level, uint32_t count, unsigned lanes)
{
    const struct packed_lines *cache = &k->cache[level];
    const bool far = cache->sets.divisor * cache->lanes >= AT_HAND_WORDS;
    uint32_t missed = 0, *which = k->which;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t number = which[i];
        uint64_t line = k->line[number], evicted;
        if (far && i + LINES_AHEAD < count) {
            const uint64_t *set = set_of_line(cache, k->line[which[i + LINES_AHEAD]]);
            for (unsigned lane = 0; lane < lanes; lane += PACKED_LANES)
                NW_PREFETCH(set + lane);
        }
        int hit = packed_touch(set_of_line(cache, line), lanes, cache->ways, line, &evicted);
        k->found[number] = (uint8_t)level; /* of a miss: overwritten by the next cache, or by settle_lines */
        which[missed] = number;
        missed += !hit;
    }
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
    for (; level < end; level++) {
        latency[level] = c->cache[level].latency_cycles + c->walker.level_cycles;
        unsigned lanes = k->cache[level].lanes; /* the common shapes as constants */
        left = lanes == 8    ? pass_cache(k, level, left, 8)
               : lanes == 16 ? pass_cache(k, level, left, 16)
                             : pass_cache(k, level, left, lanes);
    }
    latency[end] = c->memory.dram_latency_cycles + c->walker.level_cycles;
    for (uint32_t i = 0; i < left; i++)
        k->found[k->which[i]] = (uint8_t)end;
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
