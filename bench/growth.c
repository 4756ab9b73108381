/* growth.c - how time and memory of a replay grow with the trace's length and with the guest's footprint. Accesses are generated on the fly, so the
 * trace is nowhere; each point is a process of its own, so that its peak memory is its own.
 *
 *     growth [LONGEST [WIDEST_LOG2]]      default 1 G accesses and 2^40 bytes
 *
 * Prints two tables: zipf over 1 GiB by length, and 4 M uniform accesses by footprint; nested paging on the textbook machine, fidelity walk.
 * Processor time of the replay with its generator, and resident memory at its peak. */
#include <inttypes.h>
#include <nestwalk/sim/replay.h>
#include <nestwalk/traces/generate.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

struct point {
    double seconds;
    uint64_t walks, table_pages;
};

static enum nw_status replay(const char *kind, uint64_t accesses, uint64_t span, struct point *out,
                             struct nw_error *err)
{
    struct nw_generate_options o;
    struct nw_source *source = NULL;
    struct nw_config config;
    struct nw_result r;
    nw_generate_defaults(&o);
    o.accesses = accesses;
    o.span_bytes = span;
    nw_config_init(&config);
    enum nw_status s = nw_config_set(&config, "run.mode", "nested", "growth", err);
    if (!s && !(s = nw_generator_find(kind)->open(&source, &o, err)) &&
        !(s = nw_replay(source, &config, NULL, &r, err))) {
        *out = (struct point){ r.seconds, r.walks.count, r.memory.guest_table_pages + r.memory.nested_table_pages };
        nw_result_fini(&r);
    }
    nw_source_destroy(source);
    nw_config_fini(&config);
    return s;
}

/* In a child; *peak_kib is its resident memory at most. */
static struct point measure(const char *kind, uint64_t accesses, uint64_t span, long *peak_kib)
{
    int ends[2], status = 0;
    struct point p = { 0 };
    struct rusage use;
    if (pipe(ends)) {
        perror("growth: pipe");
        exit(4);
    }
    pid_t child = fork();
    if (child == 0) {
        struct nw_error err;
        if (replay(kind, accesses, span, &p, &err)) {
            fprintf(stderr, "growth: %s\n", err.text);
            _exit(1);
        }
        _exit(write(ends[1], &p, sizeof p) == sizeof p ? 0 : 1);
    }
    close(ends[1]);
    bool got = child > 0 && read(ends[0], &p, sizeof p) == sizeof p;
    close(ends[0]);
    if (child < 0 || wait4(child, &status, 0, &use) < 0 || !got || status) {
        fprintf(stderr, "growth: %s, %" PRIu64 " accesses over %" PRIu64 " bytes failed\n", kind, accesses, span);
        exit(4);
    }
    *peak_kib = use.ru_maxrss;
    return p;
}

static void row(const char *label, struct point p, uint64_t accesses, long peak_kib)
{
    printf("| %s | %.2f | %.1f | %" PRIu64 " | %" PRIu64 " | %.1f |\n", label, p.seconds,
           p.seconds * 1e9 / (double)accesses, p.walks, p.table_pages, (double)peak_kib / 1024);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    uint64_t longest = argc > 1 ? strtoull(argv[1], NULL, 0) : 1000000000;
    unsigned widest = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 0) : 40;
    char label[32];
    long peak;
    if (longest < 1000000 || widest < 20 || widest > 46) {
        fprintf(stderr, "usage: growth [LONGEST >= 1000000 [WIDEST_LOG2 20..46]]\n");
        return 2;
    }
    puts("| accesses | seconds | ns an access | walks | table pages | peak MiB |\n|---|---|---|---|---|---|");
    for (uint64_t n = 1000000; n <= longest; n *= 10) {
        struct point p = measure("zipf", n, UINT64_C(1) << 30, &peak);
        snprintf(label, sizeof label, "%" PRIu64 " M", n / 1000000);
        row(label, p, n, peak);
    }
    puts("\n| footprint | seconds | ns an access | walks | table pages | peak MiB |\n|---|---|---|---|---|---|");
    for (unsigned log2 = 20; log2 <= widest; log2 += 4) {
        static const char *const unit[] = { "MiB", "GiB", "TiB" };
        const uint64_t n = 4000000;
        struct point p = measure("uniform", n, UINT64_C(1) << log2, &peak);
        snprintf(label, sizeof label, "%u %s", 1u << (log2 - 20) % 10, unit[(log2 - 20) / 10]);
        row(label, p, n, peak);
    }
    return 0;
}
