/* wl_transpose.c - out-of-place transpose: rows are read in order, so the stores stride by a whole row. */
#include "workload.h"

uint64_t wl_transpose(struct wl *w)
{
    uint64_t seed = w->seed, sum = 0, n = 1;
    while ((n + 1) * (n + 1) * 2 * sizeof(uint64_t) <= w->size)
        n++;
    uint64_t *from = w->alloc(w, n * n * sizeof *from), *to = w->alloc(w, n * n * sizeof *to);
    for (uint64_t i = 0; i < n * n; i++)
        from[i] = seed += UINT64_C(0x9e3779b97f4a7c15);

    w->phase(w, WL_BEGIN, 0);
    for (uint64_t round = 0; round < w->operations; round++) {
        for (uint64_t row = 0; row < n; row++)
            for (uint64_t column = 0; column < n; column++)
                to[column * n + row] = from[row * n + column];
        uint64_t *swap = from;
        from = to;
        to = swap;
    }
    w->phase(w, WL_END, 0);
    for (uint64_t i = 0; i < n * n; i += 7)
        sum = wl_fold(sum, from[i]);
    return sum;
}
