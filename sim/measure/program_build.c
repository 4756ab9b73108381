/* The data that the programs work on. */
#include "program.h"
#include <string.h>

static uint64_t *words_at(struct program_arena *a, uint64_t offset) { return (uint64_t *)(void *)(a->base + offset); }
static uint32_t *halves_at(struct program_arena *a, uint64_t offset) { return (uint32_t *)(void *)(a->base + offset); }

/* ---- B+tree: leaves packed full, key k at place k; then one level of parents after the other ---- */

static void set_entry(struct program_arena *a, uint64_t node, unsigned i, uint64_t key, uint64_t value)
{
    halves_at(a, node)[0] = i + 1;
    words_at(a, node + BTREE_KEYS)[i] = key;
    words_at(a, node + BTREE_VALUES)[i] = value;
}

void program_build_btree(struct program_arena *a, uint64_t bytes)
{
    const uint64_t leaves = bytes / BTREE_NODE / 32 * 30;
    uint64_t first = 0, count = leaves, step = 1; /* of the level below; step: keys that one of its nodes holds */
    struct nw_rng rng = nw_rng_seeded(a->seed + 1);
    a->layout.btree.keys = leaves * BTREE_FAN;
    for (uint64_t i = 0; i < leaves; i++)
        for (unsigned k = 0; k < BTREE_FAN; k++)
            set_entry(a, i * BTREE_NODE, k, i * BTREE_FAN + k, nw_rng_next(&rng) | 1);
    for (a->layout.btree.levels = 0; count > 1; a->layout.btree.levels++) {
        step *= BTREE_FAN;
        const uint64_t above = first + count, parents = (count + BTREE_FAN - 1) / BTREE_FAN;
        for (uint64_t i = 0; i < count; i++)
            set_entry(a, (above + i / BTREE_FAN) * BTREE_NODE, (unsigned)(i % BTREE_FAN), i * step,
                      (first + i) * BTREE_NODE);
        first = above;
        count = parents;
    }
    a->layout.btree.root = first * BTREE_NODE;
}

/* ---- hash join: a table half full; half of the probes find something. Even keys are in it ---- */

void program_build_join(struct program_arena *a, uint64_t bytes)
{
    const uint64_t probes = a->operations;
    uint64_t slots = 1;
    while (2 * slots * 16 + probes * 16 <= bytes)
        slots *= 2;
    struct nw_rng probe = nw_rng_seeded(a->seed + 1);
    a->layout.join.slots = slots;
    a->layout.join.table = 0;
    a->layout.join.probe = slots * 16;
    a->layout.join.result = slots * 16 + probes * 8;
    memset(a->base, 0, slots * 16);
    for (uint64_t i = 0; i < slots / 2; i++) {
        const uint64_t key = 2 * (i + 1);
        uint64_t slot = join_hash(key) & (slots - 1);
        while (words_at(a, 16 * slot)[0])
            slot = (slot + 1) & (slots - 1);
        words_at(a, 16 * slot)[0] = key;
        words_at(a, 16 * slot)[1] = i + 1;
    }
    for (uint64_t i = 0; i < probes; i++)
        words_at(a, a->layout.join.probe)[i] = 1 + nw_rng_below(&probe, slots);
    memset(a->base + a->layout.join.result, 0, 8 * probes);
}

/* ---- a random graph, each vertex with as many edges ---- */

void program_build_bfs(struct program_arena *a, uint64_t bytes)
{
    const uint64_t vertices = bytes / (4 * (BFS_DEGREE + 2));
    struct nw_rng rng = nw_rng_seeded(a->seed + 1);
    a->layout.bfs.vertices = vertices;
    a->layout.bfs.edge = 0;
    a->layout.bfs.depth = 4 * BFS_DEGREE * vertices;
    a->layout.bfs.queue = a->layout.bfs.depth + 4 * vertices;
    for (uint64_t i = 0; i < vertices * BFS_DEGREE; i++)
        halves_at(a, 0)[i] = (uint32_t)nw_rng_below(&rng, vertices);
    memset(a->base + a->layout.bfs.depth, 0, 8 * vertices);
    halves_at(a, a->layout.bfs.depth)[0] = 1;
}

void program_build_gups(struct program_arena *a, uint64_t bytes)
{
    a->layout.gups.words = bytes / 8;
    memset(a->base, 0, bytes);
}

/* ---- a heap of random words ---- */

void program_build_sort(struct program_arena *a, uint64_t bytes)
{
    const uint64_t words = bytes / 8;
    uint64_t *w = words_at(a, 0);
    struct nw_rng rng = nw_rng_seeded(a->seed + 1);
    a->layout.sort.words = words;
    for (uint64_t i = 0; i < words; i++)
        w[i] = nw_rng_next(&rng);
    for (uint64_t root = words / 2; root-- > 0;) {
        const uint64_t moved = w[root];
        uint64_t hole = root, child;
        for (; (child = 2 * hole + 1) < words; hole = child) {
            child += child + 1 < words && w[child + 1] > w[child];
            if (w[child] <= moved)
                break;
            w[hole] = w[child];
        }
        w[hole] = moved;
    }
}

/* ---- all of them ---- */

#define MIB (UINT64_C(1) << 20)

/* As large that 4 KiB pages are far beyond any TLB, and the page tables beyond the first caches; a fraction of a second each. */
const struct program program_table[] = {
    { "btree", "search", 256 * MIB, 400000, 1000, program_build_btree, program_native_btree, program_recorded_btree },
    { "hash-join", "probe", 160 * MIB, 2000000, 8000, program_build_join, program_native_hash_join,
      program_recorded_hash_join },
    { "bfs", "vertex", 256 * MIB, 1000000, 3000, program_build_bfs, program_native_bfs, program_recorded_bfs },
    { "gups", "update", 256 * MIB, 4000000, 20000, program_build_gups, program_native_gups, program_recorded_gups },
    { "sort", "element", 128 * MIB, 400000, 1000, program_build_sort, program_native_sort, program_recorded_sort },
};

void program_start(const struct program *p, uint8_t *base, struct program_arena *out)
{
    *out = (struct program_arena){
        .base = base, .seed = 42, .operations = p->operations, .step = p->step, .left = p->step
    };
    p->build(out, p->bytes);
}
