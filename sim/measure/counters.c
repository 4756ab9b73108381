/* Counters of perf_event_open(2), in groups. */
#include <errno.h>
#include <linux/perf_event.h>
#include <nestwalk/sim/counters.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct nw_counters {
    struct group {
        int fd[NW_COUNTER_EVENTS]; /* the first leads the group */
        enum nw_counted counted[NW_COUNTER_EVENTS];
        size_t count;
    } group[NW_COUNTER_GROUPS];
    unsigned had[NW_COUNTED], wanted[NW_COUNTED]; /* events of each quantity */
};

bool nw_counters_has(const struct nw_counters *c, enum nw_counted counted)
{
    return c && c->wanted[counted] && c->had[counted] == c->wanted[counted];
}

/* "PERF_FORMAT_GROUP ... struct read_format { u64 nr; u64 time_enabled; u64 time_running; struct { u64 value; } values[nr]; }", perf_event_open(2),
 * Reading results. */
enum { HEAD = 3 };
static void read_group(const struct group *g, struct nw_counter_group *out)
{
    uint64_t word[HEAD + NW_COUNTER_EVENTS];
    const size_t bytes = (HEAD + g->count) * sizeof *word;
    *out = (struct nw_counter_group){ 0 };
    if (!g->count || read(g->fd[0], word, sizeof word) != (ssize_t)bytes || word[0] != g->count)
        return;
    out->read = true;
    out->enabled_ns = word[1];
    out->running_ns = word[2];
    for (size_t i = 0; i < g->count; i++)
        out->value[i] = word[HEAD + i];
}

static bool counted_all_the_time(const struct nw_counter_group *before, const struct nw_counter_group *after)
{
    const uint64_t enabled = after->enabled_ns - before->enabled_ns, running = after->running_ns - before->running_ns;
    return before->read && after->read && enabled && enabled == running;
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Whether the group is given its counters: at some time within several turns of the kernel's, which last 4 ms and more. */
static bool gets_counters(const struct group *g)
{
    enum { LOOK_NS = 100 * 1000, PATIENCE_NS = 60 * 1000 * 1000 };
    const uint64_t begin = now_ns();
    do {
        struct nw_counter_group before, after;
        read_group(g, &before);
        for (const uint64_t since = now_ns(); now_ns() - since < LOOK_NS;)
            ;
        read_group(g, &after);
        if (counted_all_the_time(&before, &after))
            return true;
    } while (now_ns() - begin < PATIENCE_NS);
    return false;
}

/* 0, or an errno; -1: it never gets counters. */
static int open_event(struct group *g, const struct nw_counter_event *e)
{
    struct perf_event_attr a = { .type = e->type,
                                 .size = sizeof a,
                                 .config = e->config,
                                 .exclude_kernel = 1,
                                 .exclude_hv = 1,
                                 .read_format = PERF_FORMAT_GROUP | PERF_FORMAT_TOTAL_TIME_ENABLED |
                                                PERF_FORMAT_TOTAL_TIME_RUNNING };
    if (g->count == NW_COUNTER_EVENTS)
        return ENOSPC;
    const int fd = (int)syscall(SYS_perf_event_open, &a, 0, -1, g->count ? g->fd[0] : -1, PERF_FLAG_FD_CLOEXEC);
    if (fd < 0)
        return errno;
    g->fd[g->count] = fd;
    g->counted[g->count++] = e->counted;
    if (gets_counters(g))
        return 0;
    close(g->fd[--g->count]);
    return -1;
}

struct nw_counters *nw_counters_open(const struct nw_counter_event *event, size_t count,
                                     void (*failed)(void *context, const struct nw_counter_event *event, int error),
                                     void *context)
{
    struct nw_counters *c = calloc(1, sizeof *c);
    bool any = false;
    for (size_t i = 0; i < count && c; i++) {
        const int error = open_event(&c->group[event[i].group], &event[i]);
        c->wanted[event[i].counted]++;
        c->had[event[i].counted] += !error;
        any |= !error;
        if (error)
            failed(context, &event[i], error < 0 ? 0 : error);
    }
    if (any)
        return c;
    free(c);
    return NULL;
}

void nw_counters_close(struct nw_counters *c)
{
    for (size_t i = 0; i < NW_COUNTER_GROUPS && c; i++)
        while (c->group[i].count)
            close(c->group[i].fd[--c->group[i].count]);
    free(c);
}

void nw_counters_read(const struct nw_counters *c, struct nw_counter_reading *out)
{
    for (size_t i = 0; i < NW_COUNTER_GROUPS; i++)
        if (c)
            read_group(&c->group[i], &out->group[i]);
        else
            out->group[i].read = false;
}

unsigned nw_counters_add(const struct nw_counters *c, const struct nw_counter_reading *before,
                         const struct nw_counter_reading *after, uint64_t steps, struct nw_counter_sums *sums)
{
    unsigned left_out = 0;
    for (size_t i = 0; i < NW_COUNTER_GROUPS && c; i++) {
        const struct group *g = &c->group[i];
        bool seen[NW_COUNTED] = { false };
        if (!g->count)
            continue;
        if (!counted_all_the_time(&before->group[i], &after->group[i])) {
            left_out++;
            continue;
        }
        for (size_t k = 0; k < g->count; k++) {
            const enum nw_counted q = g->counted[k];
            if (!nw_counters_has(c, q))
                continue;
            sums->count[q] += after->group[i].value[k] - before->group[i].value[k];
            sums->steps[q] += seen[q] ? 0 : steps;
            seen[q] = true;
        }
    }
    return left_out;
}
