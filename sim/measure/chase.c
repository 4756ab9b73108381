/* Timing one chase. */
#include "measure_internal.h"
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { CHUNKS_MIN = 24, CHUNKS_MAX = 160, UNROLL = 8 };

static long preemptions(void)
{
    struct rusage u;
    return getrusage(RUSAGE_THREAD, &u) ? 0 : u.ru_nivcsw;
}

/* `steps` is a multiple of UNROLL. */
static void *follow(void *p, uint64_t steps)
{
    for (uint64_t i = 0; i < steps; i += UNROLL)
        __asm__ volatile("mov (%0), %0; mov (%0), %0; mov (%0), %0; mov (%0), %0;"
                         "mov (%0), %0; mov (%0), %0; mov (%0), %0; mov (%0), %0"
                         : "+r"(p)::"memory");
    return p;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void sample_uncounted(struct nw_chase_sample *s)
{
    for (unsigned q = 0; q < NW_COUNTED; q++)
        s->counted[q] = -1;
}

void chase_time(const struct nw_chase *c, uint8_t *base, const uint64_t *offset, const uint32_t *next,
                const struct chase_run *how, struct nw_chase_sample *out)
{
    double chunk[CHUNKS_MAX];
    struct nw_counter_sums sums = { { 0 }, { 0 } };
    for (uint32_t i = 0; i < c->count; i++)
        *(void **)(void *)(base + offset[i]) = base + offset[next[i]];
    /* Once around warms what can be warm, and says how many steps make a chunk. */
    const uint64_t around = ((uint64_t)c->count + UNROLL - 1) / UNROLL * UNROLL;
    void *p = follow(base + offset[0], around);
    const uint64_t probe = around < 4096 ? 4096 : 8192, start = tsc_now();
    p = follow(p, probe);
    const double tsc_each = (double)(tsc_now() - start) / (double)probe;
    uint64_t steps = (uint64_t)(how->chunk_ms * 1e6 * how->tsc_ghz / tsc_each) / UNROLL * UNROLL;
    steps = steps < UNROLL ? UNROLL : steps;
    uint64_t chunks = 2 * (uint64_t)c->count / steps;
    chunks = chunks < CHUNKS_MIN ? CHUNKS_MIN : chunks > CHUNKS_MAX ? CHUNKS_MAX : chunks;
    for (uint64_t i = 0; i < chunks; i++) {
        struct nw_counter_reading before, after;
        const long switches = preemptions();
        nw_counters_read(how->counters, &before);
        const uint64_t begin = tsc_now();
        p = follow(p, steps);
        const uint64_t took = tsc_now() - begin;
        nw_counters_read(how->counters, &after);
        if (preemptions() != switches) {
            out->dropped++;
            continue;
        }
        chunk[out->chunks++] = (double)took / (double)steps * how->core_per_tsc;
        if (nw_counters_add(how->counters, &before, &after, steps, &sums))
            *how->counters_shared = true;
    }
    qsort(chunk, out->chunks, sizeof *chunk, by_value);
    out->cycles = out->chunks ? chunk[out->chunks / 10] : -1;
    sample_uncounted(out);
    for (unsigned q = 0; q < NW_COUNTED; q++)
        if (sums.steps[q])
            out->counted[q] = (double)sums.count[q] / (double)sums.steps[q];
}
