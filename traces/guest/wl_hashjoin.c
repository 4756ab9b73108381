/* wl_hashjoin.c - the classic main-memory hash join: a chained hash table built on R, probed by S, matches written out. */
#include "workload.h"

struct tuple {
    uint64_t key, payload;
};
struct cell {
    uint64_t key, payload;
    uint32_t next, pad; /* index + 1; 0 ends the chain */
};

static uint64_t hash(uint64_t key) { return (key * UINT64_C(0x9e3779b97f4a7c15)) >> 20; }

uint64_t wl_hashjoin(struct wl *w)
{
    uint64_t seed = w->seed, sum = 0;
    /* A quarter of the data is R, three quarters are S; the table and the matches come on top, touched while it runs. */
    uint64_t tuples = w->size / sizeof(struct tuple);
    if (tuples > w->operations)
        tuples = w->operations;
    uint64_t r_count = tuples / 4, s_count = tuples - r_count, buckets = 1;
    while (buckets < r_count)
        buckets *= 2;
    struct tuple *r = w->alloc(w, r_count * sizeof *r), *s = w->alloc(w, s_count * sizeof *s);
    struct tuple *out = w->alloc(w, s_count * sizeof *out);
    struct cell *cell = w->alloc(w, r_count * sizeof *cell);
    uint32_t *head = w->alloc(w, buckets * sizeof *head);
    uint64_t range = r_count + r_count / 2; /* keys of R are unique; two S tuples in three find a partner */
    for (uint64_t i = 0; i < r_count; i++)
        r[i] = (struct tuple){ i, wl_random(&seed) };
    for (uint64_t i = r_count - 1; i > 0; i--) {
        uint64_t j = wl_below(&seed, i + 1), k = r[i].key;
        r[i].key = r[j].key;
        r[j].key = k;
    }
    for (uint64_t i = 0; i < s_count; i++)
        s[i] = (struct tuple){ wl_below(&seed, range), i };

    w->phase(w, WL_BEGIN, 0);
    for (uint64_t i = 0; i < r_count; i++) {
        uint64_t b = hash(r[i].key) & (buckets - 1);
        cell[i] = (struct cell){ r[i].key, r[i].payload, head[b], 0 };
        head[b] = (uint32_t)i + 1;
    }
    w->phase(w, WL_PHASE, 1);
    uint64_t matches = 0;
    for (uint64_t i = 0; i < s_count; i++)
        for (uint32_t c = head[hash(s[i].key) & (buckets - 1)]; c; c = cell[c - 1].next)
            if (cell[c - 1].key == s[i].key)
                out[matches++] = (struct tuple){ s[i].payload, cell[c - 1].payload };
    w->phase(w, WL_END, 0);
    for (uint64_t i = 0; i < matches; i++)
        sum = wl_fold(sum, out[i].key ^ out[i].payload);
    return wl_fold(sum, matches);
}
