/* mrc.c - accesses a second of the miss-ratio curves (sim/mrc.h), reading and decoding the trace included.
 *
 *     mrc TRACE.nwt [REPETITIONS]       one line for each way of making them, medians and extremes of the repetitions, which take turns
 *
 * "two-level LRU" is bench/lower_bound.c's simulation of one size on the same decoded stream: what a curve of all sizes is to be held against. */
#include <nestwalk/sim/mrc.h>
#include <nestwalk/traces/nwt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { REPETITIONS_MAX = 101, WINDOWS = 100 };

static double processor_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void give_up(const struct nw_error *err)
{
    fprintf(stderr, "mrc: %s\n", err->text);
    exit(nw_status_exit_code(err->status));
}

/* 64 entries 4-way, then 1536 entries 12-way, on touches. */
static uint64_t level1[16][4], level2[128][12];

NW_INLINE bool look(uint64_t *set, unsigned ways, uint64_t page)
{
    uint64_t before = set[0];
    set[0] = page;
    for (unsigned way = 1; before != page && way < ways; way++) {
        uint64_t here = set[way];
        set[way] = before;
        before = here;
    }
    return before == page;
}

static uint64_t two_levels(const struct nw_block *b)
{
    uint64_t misses = 0;
    for (uint32_t i = 0; i < b->touch_count; i++) {
        uint64_t page = b->touch[i].page;
        misses += !look(level1[page % 16], 4, page) && !look(level2[page % 128], 12, page);
    }
    return misses;
}

enum what { DECODE, TWO_LEVELS, CURVES };
static const struct nw_mrc_array all_ways[] = { { NW_TLB_DATA, 12, 16, false }, { NW_TLB_DATA, 12, 128, false } };
/* What `nestwalk run --mrc` makes for the machine `textbook`. */
static const struct nw_mrc_array few_ways[] = { { NW_TLB_DATA, 12, 16, true }, { NW_TLB_DATA, 12, 128, true },
                                                { NW_TLB_DATA, 21, 16, true }, { NW_TLB_DATA, 21, 128, true },
                                                { NW_TLB_DATA, 30, 16, true }, { NW_TLB_DATA, 30, 128, true } };
static const struct way {
    const char *name;
    enum what what;
    bool exact;
    double rate;
    const struct nw_mrc_array *array;
    size_t arrays;
    bool windows;
} way[] = {
    { "decoding alone", DECODE, false, 0, NULL, 0, false },
    { "two-level LRU of one size", TWO_LEVELS, false, 0, NULL, 0, false },
    { "exact, 4K 2M 1G", CURVES, true, 0, NULL, 0, false },
    { "and 16 and 128 sets, all ways", CURVES, true, 0, all_ways, NW_ARRAY_LEN(all_ways), false },
    { "as run --mrc", CURVES, true, 0, few_ways, NW_ARRAY_LEN(few_ways), true },
    { "sampled, rate 0.1", CURVES, false, 0.1, NULL, 0, false },
    { "sampled, rate 0.01", CURVES, false, 0.01, NULL, 0, false },
    { "sampled, rate 0.001", CURVES, false, 0.001, NULL, 0, false },
};

static double pass(const char *path, const struct way *w, uint64_t *accesses, double *ratio)
{
    struct nw_mrc_options o = { .streams = 1u << NW_TLB_DATA,
                                .exact = w->exact,
                                .rate = w->rate,
                                .seed = 42,
                                .array = w->array,
                                .array_count = w->arrays };
    struct nw_source *source;
    struct nw_mrc *m = NULL;
    struct nw_mrc_result r = { 0 };
    struct nw_error err;
    struct nw_block b;
    uint64_t misses = 0;
    double started = processor_seconds();
    if (nw_nwt_open(&source, path, &err))
        give_up(&err);
    *accesses = nw_source_access_total(source);
    if (w->windows)
        o.window_accesses = *accesses / WINDOWS + 1;
    if (w->what == CURVES && nw_mrc_create(&m, nw_source_info(source), &o, &err))
        give_up(&err);
    source->want = NW_MRC_WANT;
    for (;;) {
        if (nw_source_next(source, &b, &err))
            give_up(&err);
        if (b.end)
            break;
        if (w->what == TWO_LEVELS)
            misses += two_levels(&b);
        if (m && nw_mrc_take(m, &b, &err))
            give_up(&err);
    }
    if (m && nw_mrc_finish(m, &r, &err))
        give_up(&err);
    double seconds = processor_seconds() - started;
    *ratio = (double)misses / (double)*accesses;
    if (m) /* [0]: fully associative, 4 KiB */
        *ratio = nw_mrc_misses(&r.curve[0], 1536) / (double)r.curve[0].references;
    nw_mrc_result_fini(&r);
    nw_mrc_destroy(m);
    nw_source_destroy(source);
    return seconds;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    static double seconds[NW_ARRAY_LEN(way)][REPETITIONS_MAX], ratio[NW_ARRAY_LEN(way)];
    int repetitions = argc > 2 ? atoi(argv[2]) : 5;
    if (argc < 2 || repetitions < 1 || repetitions > REPETITIONS_MAX) {
        fprintf(stderr, "usage: mrc TRACE.nwt [REPETITIONS]      1 to %d\n", REPETITIONS_MAX);
        return 2;
    }
    uint64_t accesses = 0;
    for (int i = 0; i < repetitions; i++)
        for (size_t w = 0; w < NW_ARRAY_LEN(way); w++)
            seconds[w][i] = pass(argv[1], &way[w], &accesses, &ratio[w]);
    printf("%-32s%14s%18s%24s\n", "", "M accesses/s", "(min-max)", "miss ratio at 1536");
    for (size_t w = 0; w < NW_ARRAY_LEN(way); w++) {
        qsort(seconds[w], (size_t)repetitions, sizeof **seconds, ascending);
        double n = (double)accesses * 1e-6;
        printf("%-32s%14.1f    (%.1f-%.1f)", way[w].name, n / seconds[w][repetitions / 2],
               n / seconds[w][repetitions - 1], n / seconds[w][0]);
        printf(way[w].what == DECODE ? "\n" : "%20.4f\n", ratio[w]);
    }
    return 0;
}
