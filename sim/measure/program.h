/* program.h - private: the programs of programs.h, what their data are, and the two compilations of each. */
#ifndef NESTWALK_MEASURE_PROGRAM_H
#define NESTWALK_MEASURE_PROGRAM_H

#include <nestwalk/base/rng.h>
#include <nestwalk/base/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    BTREE_FAN = 31, /* a node: keys, 31 of them, 31 addresses of children or values; 512 bytes, aligned */
    BTREE_NODE = 512,
    BTREE_KEYS = 8,
    BTREE_VALUES = BTREE_KEYS + 8 * BTREE_FAN,
    BFS_DEGREE = 8
};

/* Offsets are bytes from the start of the arena. */
struct program_arena {
    uint8_t *base;
    uint64_t seed, operations;
    union {
        struct {
            uint64_t root, keys;
            unsigned levels; /* above the leaves */
        } btree;
        struct {
            uint64_t table, slots, probe, result; /* table: (key, value), key 0: free */
        } join;
        struct {
            uint64_t edge, depth, queue, vertices; /* depth 0: not seen yet */
        } bfs;
        struct {
            uint64_t words;
        } gups, sort;
    } layout;
    /* After each `step` operations `tick` is called. */
    uint64_t step, left;
    void (*tick)(struct program_arena *a);
    void *context;                   /* of tick */
    struct program_record *recorded; /* what the second compilation writes to; NULL: the first */
};

static inline void program_step(struct program_arena *a)
{
    if (!--a->left) {
        a->left = a->step;
        a->tick(a);
    }
}

/* Stafford's thirteenth mix, without its last step: enough for a table of random keys. */
static inline uint64_t join_hash(uint64_t key)
{
    key = (key ^ key >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    return key ^ key >> 27;
}

struct program {
    const char *name, *operation;
    uint64_t bytes, operations, step; /* of the arena; operations in the timed part, and between two ticks */
    void (*build)(struct program_arena *a,
                  uint64_t bytes); /* fills the arena, which may hold anything, and the layout */
    uint64_t (*native)(struct program_arena *a), (*recorded)(struct program_arena *a);
};
extern const struct program program_table[];

/* An arena of so many bytes at `base`, its data built. */
void program_start(const struct program *p, uint8_t *base, struct program_arena *out);

/* ---- program_build.c ---- */
void program_build_btree(struct program_arena *a, uint64_t bytes);
void program_build_join(struct program_arena *a, uint64_t bytes);
void program_build_bfs(struct program_arena *a, uint64_t bytes);
void program_build_gups(struct program_arena *a, uint64_t bytes);
void program_build_sort(struct program_arena *a, uint64_t bytes);

/* ---- program_native.c, program_recorded.c ---- */
uint64_t program_native_btree(struct program_arena *a);
uint64_t program_native_hash_join(struct program_arena *a);
uint64_t program_native_bfs(struct program_arena *a);
uint64_t program_native_gups(struct program_arena *a);
uint64_t program_native_sort(struct program_arena *a);
uint64_t program_recorded_btree(struct program_arena *a);
uint64_t program_recorded_hash_join(struct program_arena *a);
uint64_t program_recorded_bfs(struct program_arena *a);
uint64_t program_recorded_gups(struct program_arena *a);
uint64_t program_recorded_sort(struct program_arena *a);

/* ---- program_windows.c: parts of a run, written down ---- */

/* Windows lie at equal distances; each begins with accesses that only warm: first all caches, later what has changed between windows. */
enum {
    PROGRAM_WINDOWS = 3,
    PROGRAM_FIRST_WARM_ACCESSES = 400 << 10,
    PROGRAM_LATER_WARM_ACCESSES = 100 << 10,
    PROGRAM_COUNTED_ACCESSES = 100 << 10
};
struct program_record {
    uint64_t *access; /* offset in bits 0-55, kind above */
    size_t count, room;
    bool on;
    struct program_window {
        size_t first, counted, end;  /* of access */
        uint64_t counted_operations; /* done in [counted, end) */
    } window[PROGRAM_WINDOWS];
    uint64_t operations; /* done so far */
    size_t now;          /* window */
    uint64_t checksum;
};
enum nw_status program_record_make(const struct program *p, struct program_record *out,
                                   struct nw_error *err) NW_MUST_USE;
void program_record_fini(struct program_record *r);

static inline uint64_t program_access(uint64_t offset, unsigned kind) { return offset | (uint64_t)kind << 56; }

#endif
