/* wl_table.c - the workloads by name. */
#include "workload.h"

#define MIB (UINT64_C(1) << 20)

const struct wl_entry wl_table[] = {
    { "btree", "B+tree: bulk load, then random lookups with one insert in eight", wl_btree, 8 * MIB, 12000, 64 << 10,
      "lookup or insert" },
    { "hashjoin", "hash join: build a chained hash table on R, probe it with S, write the matches", wl_hashjoin,
      2 * MIB, 131072, 64 << 10, "tuple of R or S" },
    { "bfs", "breadth-first search of a random graph in compressed sparse rows", wl_bfs, 4 * MIB, 1, 64 << 10,
      "search from a new source" },
    { "gups", "random read-modify-write of 8-byte words (HPCC RandomAccess)", wl_gups, 16 * MIB, 150000, 64 << 10,
      "update" },
    { "transpose", "out-of-place transpose of a square matrix of 8-byte words, row by row", wl_transpose, 4 * MIB, 1,
      64 << 10, "transpose" },
    { "vmchurn", "map, touch, protect, unmap, copy-on-write fork and switches among processes", wl_vmchurn, 1 * MIB,
      1000, 64 << 10, "step of the churn" },
    { "sort", "bottom-up merge sort of random 8-byte words", wl_sort, 256 << 10, 1, 4096, "sort" },
};
const unsigned wl_count = sizeof(wl_table) / sizeof(wl_table[0]);
