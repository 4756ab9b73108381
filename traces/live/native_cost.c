/* native_cost.c - what this machine's own kernel takes for pages that change. See exit_cost.h. */
#include "native_cost.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    PAGE = 4096,
    ALONE = 64,            /* operations a chunk */
    WITH_OTHER = 8,        /* ... each may wait for another processor */
    PAUSE_CYCLES = 1000000 /* the other thread was not running when it did not look at the clock for so long */
};

/* A thread of the same address space on another processor, so that what this one takes away has to be told there. */
struct other {
    pthread_t thread;
    int processor;
    _Atomic uint32_t pauses, looks, stop;
};

static bool pin_to(int processor)
{
    cpu_set_t one;
    if (processor < 0)
        return false;
    CPU_ZERO(&one);
    CPU_SET((size_t)processor, &one);
    return !sched_setaffinity(0, sizeof one, &one);
}

static void *keep_running(void *context)
{
    struct other *o = context;
    (void)pin_to(o->processor); /* where it cannot be, it shares this one, and its pauses have the chunks dropped */
    for (uint64_t last = exit_cost_tsc(), now; !atomic_load(&o->stop); last = now) {
        if ((now = exit_cost_tsc()) - last > PAUSE_CYCLES)
            atomic_fetch_add(&o->pauses, 1);
        atomic_fetch_add(&o->looks, 1);
    }
    return NULL;
}

/* Its pauses so far: known once it has looked twice, as it may be in one. */
static uint32_t pauses_until_now(struct other *o)
{
    for (const uint32_t looks = atomic_load(&o->looks); atomic_load(&o->looks) - looks < 2;)
        sched_yield();
    return atomic_load(&o->pauses);
}

/* Two processors of those that this process may use: the last, to which fewest interrupts go, and the first. */
static bool two_processors(int *here, int *there)
{
    cpu_set_t set;
    *here = *there = -1;
    if (sched_getaffinity(0, sizeof set, &set))
        return false;
    for (int i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET((size_t)i, &set)) {
            if (*there < 0)
                *there = i;
            *here = i;
        }
    return *here != *there;
}

struct native {
    enum nw_exit_cost_operation operation;
    uint8_t *memory; /* ALONE pages, each written to */
    struct other *other;
};

static enum nw_status chunk(void *context, bool empty, double *cycles, struct nw_error *err)
{
    struct native *n = context;
    const unsigned count = n->other ? WITH_OTHER : ALONE;
    const bool faults = n->operation == NW_EXIT_COST_GUEST_FAULT;
    const uint32_t pauses = n->other ? pauses_until_now(n->other) : 0;
    bool refused = faults && !empty && madvise(n->memory, (size_t)ALONE * PAGE, MADV_DONTNEED);
    const long switches = exit_cost_preemptions();
    const uint64_t begin = exit_cost_tsc();
    for (unsigned i = 0; i < count; i++) {
        volatile uint8_t *page = n->memory + (faults ? (size_t)i * PAGE : 0);
        if (!faults && !empty)
            refused |= mprotect(n->memory, PAGE, PROT_READ) || mprotect(n->memory, PAGE, PROT_READ | PROT_WRITE);
        *page = (uint8_t)i;
    }
    *cycles = (double)(exit_cost_tsc() - begin) / count;
    if ((n->other && pauses_until_now(n->other) != pauses) || exit_cost_preemptions() != switches)
        *cycles = -1;
    return refused ? nw_fail_errno(err, NW_ERR_ENV, errno, "%s: the kernel refused to change a page",
                                   nw_exit_cost_row[n->operation].name)
                   : NW_OK;
}

struct answer {
    enum nw_status status;
    struct nw_exit_timing timing;
    struct nw_error err;
};

static enum nw_status time_it(struct native *n, const struct nw_exit_cost_options *o, struct nw_exit_timing *out,
                              struct nw_error *err)
{
    struct other other = { 0 };
    int here;
    const bool two = two_processors(&here, &other.processor);
    pin_to(here); /* when it cannot be, chunks are dropped or slower, and the spread tells */
    if (n->operation == NW_EXIT_COST_SHOOTDOWN) {
        if (!two)
            return nw_fail(err, NW_ERR_UNSUPPORTED,
                           "shootdowns are not timed: this process may use one processor, and it takes two");
        if (pthread_create(&other.thread, NULL, keep_running, &other))
            return nw_fail(err, NW_ERR_ENV, "shootdowns cannot be timed: no second thread");
        n->other = &other;
    }
    enum nw_status s = exit_cost_time_chunks(n->operation, chunk, n, o, out, err);
    if (n->other) {
        atomic_store(&other.stop, 1);
        pthread_join(other.thread, NULL);
    }
    return s;
}

static void answer(enum nw_exit_cost_operation operation, const struct nw_exit_cost_options *o, struct answer *a)
{
    /* No protection but the page's own changes, so that no mapping has to be cut; and no page is a large one. */
    uint8_t *memory = mmap(NULL, (size_t)ALONE * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct native n = { .operation = operation, .memory = memory };
    if (memory == MAP_FAILED) {
        a->status = nw_fail_nomem(&a->err, "pages whose protection changes");
        return;
    }
    (void)madvise(memory, (size_t)ALONE * PAGE, MADV_NOHUGEPAGE);
    if (operation != NW_EXIT_COST_GUEST_FAULT) /* a mapping of one page */
        munmap(memory + PAGE, (size_t)(ALONE - 1) * PAGE);
    a->status = time_it(&n, o, &a->timing, &a->err);
}

/* In a process of its own, as each virtual machine is one: fresh tables, and threads and affinity end with it. */
enum nw_status native_cost_measure(enum nw_exit_cost_operation operation, const struct nw_exit_cost_options *options,
                                   struct nw_exit_timing *out, struct nw_error *err)
{
    int ends[2], status;
    if (pipe2(ends, O_CLOEXEC))
        return nw_fail_errno(err, NW_ERR_ENV, errno, "a pipe");
    const pid_t child = fork();
    if (child < 0) {
        const int e = errno;
        close(ends[0]);
        close(ends[1]);
        return nw_fail_errno(err, NW_ERR_ENV, e, "a process to time in");
    }
    if (!child) {
        struct answer a = { 0 };
        answer(operation, options, &a);
        _exit(write(ends[1], &a, sizeof a) != (ssize_t)sizeof a);
    }
    struct answer a;
    size_t got = 0;
    close(ends[1]);
    for (ssize_t r; got < sizeof a;) {
        r = read(ends[0], (char *)&a + got, sizeof a - got);
        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            break;
        got += (size_t)r;
    }
    close(ends[0]);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (got != sizeof a)
        return nw_fail(err, NW_ERR_ENV, "the process that times %s ended without a result",
                       nw_exit_cost_row[operation].name);
    *out = a.timing;
    if (a.status && err)
        *err = a.err;
    return a.status;
}
