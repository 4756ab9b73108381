/* Core cycles out of a time-stamp counter that runs at another rate. */
#include "measure_internal.h"
#include <time.h>

/* A chain of 64-bit multiplications takes 3 cycles each: Agner Fog, "Instruction tables", IMUL r64,r64, all AMD since Zen and Intel since Nehalem. */
enum { MULTIPLIES = 20000, MULTIPLY_CYCLES = 3, TRIES = 5 };

double clock_core_per_tsc(void)
{
    uint64_t least = UINT64_MAX, x = 3;
    for (unsigned t = 0; t < TRIES; t++) {
        const uint64_t start = tsc_now();
        for (unsigned i = 0; i < MULTIPLIES / 10; i++)
            __asm__ volatile("imul %0, %0; imul %0, %0; imul %0, %0; imul %0, %0; imul %0, %0;"
                             "imul %0, %0; imul %0, %0; imul %0, %0; imul %0, %0; imul %0, %0"
                             : "+r"(x)::"cc");
        const uint64_t took = tsc_now() - start;
        if (took < least)
            least = took;
    }
    return (double)(MULTIPLIES * MULTIPLY_CYCLES) / (double)least;
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

double clock_tsc_ghz(void)
{
    const double begin = seconds();
    const uint64_t start = tsc_now();
    double now;
    while ((now = seconds()) - begin < 0.01)
        ;
    return (double)(tsc_now() - start) / (now - begin) * 1e-9;
}

void nw_measure_clock_read(struct nw_measure_clock *out)
{
    out->tsc_ghz = clock_tsc_ghz();
    out->core_ghz = out->tsc_ghz * clock_core_per_tsc();
}
