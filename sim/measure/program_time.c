/* Timing of a program, and of a chase of several chains. */
#include "measure_internal.h"
#include "program.h"

#include <nestwalk/sim/programs.h>
#include <stdlib.h>
#include <sys/resource.h>

static long preemptions(void)
{
    struct rusage u;
    return getrusage(RUSAGE_THREAD, &u) ? 0 : u.ru_nivcsw;
}

/* ---- a program: chunks of so many operations ---- */

struct timing {
    uint64_t since, kept;
    long switches;
    uint32_t chunks, dropped;
};

static void tick(struct program_arena *a)
{
    struct timing *t = a->context;
    const uint64_t took = tsc_now() - t->since;
    const long switches = preemptions();
    if (switches != t->switches)
        t->dropped++;
    else
        t->kept += took, t->chunks++;
    t->switches = switches;
    t->since = tsc_now();
}

void program_time(size_t program, uint8_t *base, const struct chase_run *how, struct nw_chase_sample *out)
{
    const struct program *p = &program_table[program];
    struct program_arena a;
    struct timing t = { 0 };
    program_start(p, base, &a);
    a.tick = tick;
    a.context = &t;
    t.switches = preemptions();
    t.since = tsc_now();
    const uint64_t sum = p->native(&a);
    __asm__ volatile("" ::"r"(sum));
    out->chunks = t.chunks;
    out->dropped = t.dropped;
    sample_uncounted(out);
    out->cycles = t.chunks ? (double)t.kept / (double)t.chunks / (double)p->step * how->core_per_tsc : -1;
}

/* ---- chains ---- */

enum { CHUNKS = 64 };

/* Each of n chains makes `steps` steps, in turn. */
#define CHAINS(n)                                                                                                      \
    case n:                                                                                                            \
        for (uint64_t i = 0; i < steps; i++)                                                                           \
            for (unsigned k = 0; k < (n); k++)                                                                         \
                __asm__ volatile("mov (%0), %0" : "+r"(p[k])::"memory");                                               \
        break

static void follow(void **at, unsigned n, uint64_t steps)
{
    void *p[CHAINS_MAX];
    for (unsigned i = 0; i < CHAINS_MAX; i++)
        p[i] = at[i];
    switch (n) {
        CHAINS(1);
        CHAINS(2);
        CHAINS(4);
        CHAINS(8);
        CHAINS(12);
    }
    for (unsigned i = 0; i < CHAINS_MAX; i++)
        at[i] = p[i];
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void chains_time(const struct nw_chase *c, unsigned n, uint8_t *base, const uint64_t *offset, const uint32_t *next,
                 const struct chase_run *how, struct nw_chase_sample *out)
{
    double chunk[CHUNKS];
    void *at[CHAINS_MAX] = { 0 };
    for (uint32_t i = 0, step = 0, place = 0; i < c->count; i++, place = next[place]) {
        *(void **)(void *)(base + offset[place]) = base + offset[next[place]];
        if (step < n && i == (uint64_t)c->count * step / n)
            at[step++] = base + offset[place];
    }
    follow(at, n, c->count / n);
    const uint64_t probe = c->count / n, start = tsc_now();
    follow(at, n, probe);
    const double tsc_each = (double)(tsc_now() - start) / (double)probe;
    const uint64_t steps = (uint64_t)(how->chunk_ms * 1e6 * how->tsc_ghz / tsc_each) + 1;
    for (unsigned i = 0; i < CHUNKS; i++) {
        const long switches = preemptions();
        const uint64_t begin = tsc_now();
        follow(at, n, steps);
        const uint64_t took = tsc_now() - begin;
        if (preemptions() != switches)
            out->dropped++;
        else
            chunk[out->chunks++] = (double)took / (double)(steps * n) * how->core_per_tsc;
    }
    qsort(chunk, out->chunks, sizeof *chunk, by_value);
    out->cycles = out->chunks ? chunk[out->chunks / 10] : -1;
    sample_uncounted(out);
}
