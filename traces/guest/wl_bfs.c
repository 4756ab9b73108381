/* wl_bfs.c - level-synchronous breadth-first search of a random directed graph: edges in compressed sparse rows, and a line of
 * properties a vertex, of which the search fills two. */
#include "workload.h"

enum { DEGREE = 8 };

struct vertex {
    uint32_t level; /* 0: not reached; the source has 1 */
    uint32_t parent;
    uint64_t other[7];
};

uint64_t wl_bfs(struct wl *w)
{
    uint64_t seed = w->seed, sum = 0;
    uint64_t vertices = w->size / (sizeof(struct vertex) + (DEGREE + 2) * sizeof(uint32_t));
    uint32_t *row = w->alloc(w, (vertices + 1) * sizeof *row);
    uint32_t *edge = w->alloc(w, vertices * 2 * DEGREE * sizeof *edge);
    uint32_t edges = 0;
    for (uint64_t v = 0; v < vertices; v++) {
        row[v] = edges;
        for (uint64_t pairs = 1 + wl_below(&seed, DEGREE - 1); pairs; pairs--) { /* mean degree DEGREE */
            uint64_t r = wl_random(&seed);
            edge[edges++] = (uint32_t)(((r & 0xffffffff) * vertices) >> 32);
            edge[edges++] = (uint32_t)(((r >> 32) * vertices) >> 32);
        }
    }
    row[vertices] = edges;

    w->phase(w, WL_BEGIN, 0);
    for (uint64_t search = 0; search < w->operations; search++) {
        /* Fresh arrays: their pages fault in as the search reaches them. */
        struct vertex *vertex = w->alloc(w, vertices * sizeof *vertex);
        uint32_t *queue = w->alloc(w, vertices * sizeof *queue);
        uint64_t head = 0, tail = 0, source = wl_below(&seed, vertices);
        if (search)
            w->phase(w, WL_PHASE, (unsigned)search);
        vertex[source].level = 1;
        queue[tail++] = (uint32_t)source;
        while (head < tail) {
            uint32_t v = queue[head++];
            for (uint32_t e = row[v]; e < row[v + 1]; e++) {
                struct vertex *to = vertex + edge[e];
                if (!to->level) {
                    to->level = vertex[v].level + 1;
                    to->parent = v;
                    queue[tail++] = edge[e];
                }
            }
        }
        const struct vertex *last = vertex + queue[tail - 1];
        sum = wl_fold(wl_fold(wl_fold(sum, tail), last->level), last->parent);
        for (uint64_t i = 0; i < tail; i += 64)
            sum = wl_fold(sum, queue[i]);
    }
    w->phase(w, WL_END, 0);
    return sum;
}
