/* lower_bound.c - the least that a two-level TLB simulation can cost: 64 entries 4-way and 1536 entries 12-way, true LRU, no walks, no latencies, the
 * addresses in memory. What bench/replay.sh holds the engine against.
 *
 *     lower_bound TRACE.nwt [REPETITIONS]      prints one line a repetition: seconds hits1 hits2 misses */
#include <nestwalk/traces/nwt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SETS1 = 16, WAYS1 = 4, SETS2 = 128, WAYS2 = 12 };
static uint64_t level1[SETS1][WAYS1], level2[SETS2][WAYS2]; /* page numbers, most recent first */

static double processor_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* The page goes to the front; whether it was in the set. */
NW_INLINE bool touch(uint64_t *set, unsigned ways, uint64_t page)
{
    uint64_t before = set[0];
    if (before == page)
        return true;
    set[0] = page;
    for (unsigned way = 1; way < ways; way++) {
        uint64_t here = set[way];
        set[way] = before;
        if (here == page)
            return true;
        before = here;
    }
    return false;
}

static uint64_t *load(const char *path, uint64_t *count)
{
    struct nw_source *source;
    struct nw_error err;
    struct nw_block b;
    if (nw_nwt_open(&source, path, &err)) {
        fprintf(stderr, "lower_bound: %s\n", err.text);
        exit(nw_status_exit_code(err.status));
    }
    uint64_t total = nw_source_access_total(source), n = 0, *address = malloc(total * sizeof *address);
    source->want = NW_WANT_ADDRESSES;
    while (address && !nw_source_next(source, &b, &err) && !b.end && n + b.access_count <= total) {
        memcpy(address + n, b.address, b.access_count * sizeof *address);
        n += b.access_count;
    }
    nw_source_destroy(source);
    if (!address || n != total) {
        fprintf(stderr, "lower_bound: cannot load %s\n", path);
        exit(4);
    }
    *count = n;
    return address;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: lower_bound TRACE.nwt [REPETITIONS]\n");
        return 2;
    }
    uint64_t count, *address = load(argv[1], &count);
    for (int repetition = argc > 2 ? atoi(argv[2]) : 1; repetition > 0; repetition--) {
        uint64_t hits1 = 0, hits2 = 0, misses = 0;
        memset(level1, 0xff, sizeof level1);
        memset(level2, 0xff, sizeof level2);
        double started = processor_seconds();
        for (uint64_t i = 0; i < count; i++) {
            uint64_t page = address[i] >> 12;
            if (touch(level1[page % SETS1], WAYS1, page))
                hits1++;
            else if (touch(level2[page % SETS2], WAYS2, page))
                hits2++;
            else
                misses++;
        }
        printf("%.6f %llu %llu %llu\n", processor_seconds() - started, (unsigned long long)hits1,
               (unsigned long long)hits2, (unsigned long long)misses);
    }
    free(address);
    return 0;
}
