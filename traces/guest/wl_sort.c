/* wl_sort.c - bottom-up merge sort between two buffers. */
#include "workload.h"

uint64_t wl_sort(struct wl *w)
{
    uint64_t seed = w->seed, sum = 0, n = w->size / (2 * sizeof(uint64_t));
    uint64_t *from = w->alloc(w, n * sizeof *from), *to = w->alloc(w, n * sizeof *to);
    for (uint64_t round = 0; round < w->operations; round++) {
        for (uint64_t i = 0; i < n; i++)
            from[i] = wl_random(&seed);
        w->phase(w, round ? WL_PHASE : WL_BEGIN, (unsigned)round);
        for (uint64_t run = 1; run < n; run *= 2) {
            for (uint64_t start = 0; start < n; start += 2 * run) {
                uint64_t mid = start + run < n ? start + run : n, end = start + 2 * run < n ? start + 2 * run : n;
                uint64_t left = start, right = mid;
                for (uint64_t k = start; k < end; k++)
                    to[k] = left < mid && (right == end || from[left] <= from[right]) ? from[left++] : from[right++];
            }
            uint64_t *swap = from;
            from = to;
            to = swap;
        }
    }
    w->phase(w, WL_END, 0);
    for (uint64_t i = 0; i < n; i++)
        sum = i && from[i - 1] > from[i] ? 0 : wl_fold(sum, from[i]);
    return sum;
}
