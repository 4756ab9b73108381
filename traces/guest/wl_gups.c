/* wl_gups.c - HPCC RandomAccess: xor a random word into a random place of a large table. The table starts as zeros, so its
 * pages fault in at random while it runs. Checked by undoing a share of the updates and folding what is left. */
#include "workload.h"

uint64_t wl_gups(struct wl *w)
{
    uint64_t words = 1, sum = 0, changed = 0;
    while (words * 2 * sizeof(uint64_t) <= w->size)
        words *= 2;
    uint64_t *table = w->alloc(w, words * sizeof *table);

    w->phase(w, WL_BEGIN, 0);
    uint64_t r = w->seed;
    for (uint64_t i = 0; i < w->operations; i++) {
        uint64_t v = wl_random(&r);
        table[v & (words - 1)] ^= v;
    }
    w->phase(w, WL_END, 0);
    /* The first half undone: what is left is the second half's alone. */
    r = w->seed;
    for (uint64_t i = 0; i < w->operations / 2; i++) {
        uint64_t v = wl_random(&r);
        table[v & (words - 1)] ^= v;
    }
    for (uint64_t i = w->operations / 2; i < w->operations; i++) {
        uint64_t v = wl_random(&r);
        if (table[v & (words - 1)]) {
            sum = wl_fold(sum, table[v & (words - 1)]);
            table[v & (words - 1)] = 0;
            changed++;
        }
    }
    return wl_fold(sum, changed);
}
