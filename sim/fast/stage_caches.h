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
        k->walks_of[0][cycles]++;
    else
        book_walk(k->r, cycles);
}

static void book_walks_of(struct kernel *k)
{
    for (unsigned cycles = 0; cycles < LATENCIES; cycles++) {
        const uint64_t walks = k->walks_of[0][cycles] + k->walks_of[1][cycles];
        k->r->walks.count += walks;
        k->r->walks.cycles += walks * cycles;
        k->r->walks.histogram[histogram_bucket(cycles)] += walks;
    }
}

static void book_waiting(struct kernel *k)
{
    const uint64_t *const cycles = k->walk_cycles;
    const unsigned walks = k->walk_count;
    if (NW_UNLIKELY(k->walk_extra)) {
        for (unsigned w = 0; w < walks; w++)
            book_cycles(k, k->walk_purpose[w], cycles[w]);
        return;
    }
    for (unsigned w = 0; w < walks; w++)
        if (NW_LIKELY(cycles[w] < LATENCIES))
            k->walks_of[w & 1][cycles[w]]++;
        else
            book_walk(k->r, cycles[w]);
}

/* One cache: of the `count` lines those that miss are left at the front, in order. Returns how many. What is fixed for the cache comes as
 * arguments, so that the loop has it in registers. One of `narrow` and `wide` is NULL. */
NW_INLINE uint32_t pass_lines(uint32_t *restrict narrow, uint64_t *restrict wide, struct packed_modulus sets,
                              unsigned ways, const unsigned lanes, const bool far, uint64_t *restrict line,
                              uint32_t count)
{
    uint32_t missed = 0;
    for (uint32_t i = 0; i < count; i++) {
        const uint64_t here = line[i], number = here & LINE_MASK;
        uint64_t evicted;
        if (far) { /* beyond the end there are other lines, which does no harm */
            const uint64_t set = packed_mod(&sets, line[i + LINES_AHEAD] & LINE_MASK) * lanes;
            for (unsigned lane = 0; lane < lanes; lane += narrow ? 2 * PACKED_LANES : PACKED_LANES)
                NW_PREFETCH(narrow ? (const void *)(narrow + set + lane) : (const void *)(wide + set + lane));
        }
        const uint64_t set = packed_mod(&sets, number) * lanes;
        const int hit = narrow ? packed_touch32(narrow + set, lanes, ways, (uint32_t)number)
                               : packed_touch(wide + set, lanes, ways, number, &evicted);
        line[missed] = here;
        missed += !hit;
    }
    return missed;
}

NW_INLINE uint32_t pass_cache(struct kernel *k, size_t level, uint32_t count, const unsigned lanes)
{
    const struct packed_lines *cache = &k->cache[level];
    const struct packed_modulus sets = cache->sets, pow2 = { 1, sets.mask };
    const bool far = sets.divisor * lanes >= AT_HAND_WORDS;
    const unsigned ways = cache->ways;
    uint32_t missed;
    if (NW_UNLIKELY(!cache->narrow))
        missed = pass_lines(NULL, cache->wide, sets, ways, lanes, true, k->line, count);
    else if (!sets.mask)
        missed = pass_lines(cache->narrow, NULL, sets, ways, lanes, false, k->line, count);
    else if (far)
        missed = pass_lines(cache->narrow, NULL, pow2, ways, lanes, true, k->line, count);
    else
        missed = pass_lines(cache->narrow, NULL, pow2, ways, lanes, false, k->line, count);
    k->r->cache[level].hits += count - missed;
    k->r->cache[level].misses += missed;
    return missed;
}

/* A line came whose number has more than 32 bits. */
static NW_NOINLINE void widen(struct kernel *k)
{
    for (size_t i = 0; i < k->c->cache_count; i++) {
        struct packed_lines *cache = &k->cache[i];
        const uint64_t words = cache->sets.divisor * cache->lanes;
        for (uint64_t w = 0; w < words; w++)
            cache->wide[w] = cache->narrow[w] == PACKED_EMPTY32 ? PACKED_EMPTY : cache->narrow[w];
        free(cache->narrow);
        cache->narrow = NULL;
    }
    k->wide_lines = true;
}

/* Each cache sees the same lines in the same order as if every line had gone through all of them before the next, because none hears of
 * another. A line costs the first cache's latency, and at each miss what the next one takes more. */
static NW_NOINLINE void settle_lines(struct kernel *k)
{
    const struct nw_config *c = k->c;
    const size_t first = c->walker.first_cache, end = c->cache_count;
    const uint64_t *line = k->line;
    uint64_t *const cycles = k->walk_cycles, latency[NW_CACHES_MAX + 1];
    const uint32_t *const walk_end = k->walk_end;
    uint32_t left = k->line_count;
    const unsigned walks = k->walk_count;
    for (size_t level = first; level < end; level++)
        latency[level] = c->cache[level].latency_cycles + c->walker.level_cycles;
    latency[end] = c->memory.dram_latency_cycles + c->walker.level_cycles;
    if (NW_LIKELY(!k->wide_lines)) {
        uint64_t all = 0, top = 0;
        for (uint32_t i = 0; i < left; i++) {
            const uint64_t number = line[i] & LINE_MASK;
            all |= number;
            top |= number == PACKED_EMPTY32;
        }
        if (NW_UNLIKELY(all >> 32 || top))
            widen(k);
    }
    if (walks)
        cycles[0] = walk_end[0] * latency[first];
    for (unsigned w = 1; w < walks; w++)
        cycles[w] = (walk_end[w] - walk_end[w - 1]) * latency[first];
    for (size_t level = first; level < end; level++) {
        const unsigned lanes = k->cache[level].lanes; /* the common shapes as constants */
        left = lanes == 8    ? pass_cache(k, level, left, 8)
               : lanes == 16 ? pass_cache(k, level, left, 16)
                             : pass_cache(k, level, left, lanes);
        const uint64_t more = latency[level + 1] - latency[level];
        for (uint32_t i = 0; i < left; i++)
            cycles[line[i] >> LINE_WALK_SHIFT] += more;
    }
    k->r->memory_references += left;
    book_waiting(k);
    k->line_count = k->walk_count = 0;
    k->walk_extra = false;
}

#endif
