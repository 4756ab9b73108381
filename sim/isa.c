/* isa.c - see isa.h. */
#include "isa.h"
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
static bool may_use(const char *isa, const char *forced) { return !forced || !forced[0] || !strcmp(forced, isa); }

enum isa isa_chosen(void)
{
    const char *forced = getenv("NESTWALK_ISA");
    __builtin_cpu_init();
    const bool bits =
        __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt");
    if (may_use("avx512", forced) && bits && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw"))
        return ISA_AVX512;
    if (may_use("avx2", forced) && bits && __builtin_cpu_supports("avx2"))
        return ISA_AVX2;
    return ISA_PORTABLE;
}
#else
enum isa isa_chosen(void) { return ISA_PORTABLE; }
#endif
