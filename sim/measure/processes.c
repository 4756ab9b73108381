/* Fresh processes, one after the other: each measures all chases and hands its samples back through shared memory. */
#include "measure_internal.h"
#include <errno.h>
#include <linux/perf_event.h>
#include <nestwalk/base/addr.h>
#include <nestwalk/base/rng.h>
#include <nestwalk/sim/host.h>
#include <nestwalk/sim/programs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { POLL_NS = 50 * 1000 * 1000, CHILD_NOTES = NW_CHASE_PAGES + 5 + NW_COUNTED };

/* What a child writes and its parent reads after it has ended. */
enum { MAPPINGS_MAX = 512 };
struct hand_over {
    bool done;
    struct nw_mapping_sample mapping[MAPPINGS_MAX];
    size_t mapping_count;
    struct nw_measure_process process;
    size_t sample_count, frame_count, frame_room, note_count;
    char note[CHILD_NOTES][NW_MEASURE_NOTE];
    struct nw_chase_sample *sample; /* these two lie behind the struct */
    struct nw_frame_run *frames;
    size_t bytes;
};

struct job {
    const struct nw_chase *chase;
    size_t count;
    const struct nw_measure_options *options;
    const struct nw_walk_events *events; /* of this processor; NULL: none are known */
    uint64_t seed;
    uint32_t nth, process; /* of this run; of the measurement */
    struct hand_over *out;
};

/* What a chase finds in a last cache that others use too changes from one moment to the next: those that reach into it are repeated more often. */
enum { REPEATS_LARGE = 3, LARGE_LINES = 8192 };
static uint32_t repeats_of(const struct job *j, const struct nw_chase *c)
{
    size_t program;
    return j->options->repeats * (c->count >= LARGE_LINES && !nw_chase_is_program(c, &program) ? REPEATS_LARGE : 1);
}

static double now_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- in the child ---- */

static void child_note(struct hand_over *h, const char *text)
{
    if (h->note_count < CHILD_NOTES)
        snprintf(h->note[h->note_count++], NW_MEASURE_NOTE, "%s", text);
}

/* Why a quantity is not counted: of its events the first that could not be had. */
struct counter_failures {
    const struct nw_counter_event *event[NW_COUNTED];
    int error[NW_COUNTED];
};
static void counter_failed(void *context, const struct nw_counter_event *event, int error)
{
    struct counter_failures *f = context;
    if (f->event[event->counted])
        return;
    f->event[event->counted] = event;
    f->error[event->counted] = error;
}

static const char *const counted_words[NW_COUNTED] = { "dTLB misses", "walks", "cycles of walks",
                                                       "references of walks" };

static const char *failure_words(int error)
{
    return error ? strerror(error) : "others use the counters that it needs";
}

static void note_uncounted(struct hand_over *h, const struct nw_walk_events *events, const struct counter_failures *f,
                           unsigned q)
{
    char text[NW_MEASURE_NOTE];
    if (f->event[q])
        snprintf(text, sizeof text, "%s are not counted (%s: %s): they are the model's alone", counted_words[q],
                 f->event[q]->name, failure_words(f->error[q]));
    else if (events)
        snprintf(text, sizeof text, "%s are not counted (no event of %s is known): they are the model's alone",
                 counted_words[q], events->processor);
    else
        snprintf(text, sizeof text,
                 "%s are not counted (no events of this processor are known): they are the model's alone",
                 counted_words[q]);
    child_note(h, text);
}

static struct nw_counters *counters_open(struct hand_over *h, const struct nw_walk_events *events)
{
    enum { EVENTS_MAX = 1 + NW_COUNTER_GROUPS * NW_COUNTER_EVENTS };
    struct nw_counter_event wanted[EVENTS_MAX] = { { "perf_event_open, dTLB read misses", PERF_TYPE_HW_CACHE,
                                                     PERF_COUNT_HW_CACHE_DTLB | PERF_COUNT_HW_CACHE_OP_READ << 8 |
                                                         PERF_COUNT_HW_CACHE_RESULT_MISS << 16,
                                                     NW_COUNTED_DTLB_MISSES, 0 } };
    struct counter_failures failures = { { NULL }, { 0 } };
    size_t count = 1;
    for (size_t i = 0; events && i < events->count && count < EVENTS_MAX; i++)
        wanted[count++] = events->event[i];
    struct nw_counters *c = nw_counters_open(wanted, count, counter_failed, &failures);
    for (unsigned q = 0; q < NW_COUNTED && c; q++)
        if (!nw_counters_has(c, q))
            note_uncounted(h, events, &failures, q);
    if (!c) {
        char text[NW_MEASURE_NOTE];
        snprintf(text, sizeof text,
                 "no hardware counters (perf_event_open, dTLB read misses: %s): regimes, walks, their cycles and "
                 "references are the model's, not counted",
                 failure_words(failures.error[NW_COUNTED_DTLB_MISSES]));
        child_note(h, text);
    }
    return c;
}

static uint64_t region_bytes(const struct job *j, enum nw_chase_pages pages)
{
    uint64_t most = 0;
    for (size_t i = 0; i < j->count; i++)
        if (j->chase[i].pages == pages && chase_span(&j->chase[i]) > most)
            most = chase_span(&j->chase[i]);
    return most;
}

static void shuffle(uint32_t *order, size_t n, struct nw_rng *rng)
{
    for (uint32_t i = 0; i < n; i++)
        order[i] = i;
    for (size_t i = n; i > 1; i--) {
        const size_t j = (size_t)nw_rng_below(rng, i);
        const uint32_t kept = order[i - 1];
        order[i - 1] = order[j];
        order[j] = kept;
    }
}

static void measure_one(const struct job *j, struct chase_run *how, const struct region *region, uint32_t chase,
                        uint32_t repeat, uint64_t *offset, uint32_t *next)
{
    const struct nw_chase *c = &j->chase[chase];
    struct nw_chase_sample s = { .process = j->process, .chase = chase, .repeat = repeat };
    if (!region[c->pages].base)
        return;
    nw_chase_layout(c, j->seed, offset, next);
    const double before = clock_core_per_tsc();
    how->core_per_tsc = before;
    size_t program;
    if (nw_chase_is_program(c, &program))
        program_time(program, region[c->pages].base, how, &s);
    else if (nw_chase_chains(c) > 1)
        chains_time(c, nw_chase_chains(c), region[c->pages].base, offset, next, how, &s);
    else
        chase_time(c, region[c->pages].base, offset, next, how, &s);
    /* The clock moves with load and heat: the sample is priced by the mean of before and after. */
    const double after = clock_core_per_tsc();
    s.cycles *= (before + after) / (2 * before);
    if (s.chunks)
        j->out->sample[j->out->sample_count++] = s;
}

static void touch_all(const struct job *j, const struct region *r, uint64_t *offset, uint32_t *next)
{
    for (size_t i = 0; i < j->count; i++) {
        if (j->chase[i].pages != NW_CHASE_4K)
            continue;
        nw_chase_layout(&j->chase[i], j->seed, offset, next);
        for (uint32_t e = 0; e < j->chase[i].count; e++)
            *(volatile uint8_t *)(r->base + offset[e]) = 0;
    }
}

/* Gives the chases their pages before any is timed, and looks which frames became page tables meanwhile: as many runs as are returned. */
static size_t fill_small_pages(const struct job *j, const struct region *r, struct nw_frame_run *tables,
                               uint64_t *offset, uint32_t *next)
{
    struct hand_over *h = j->out;
    struct table_frames *before = table_frames_look();
    touch_all(j, r, offset, next);
    if (before)
        return table_frames_since(before, tables, TABLE_FRAMES_MAX);
    child_note(h, "where the guest's page tables lie is hidden (/proc/kpageflags needs CAP_SYS_ADMIN): the model "
                  "assumes neighbouring frames");
    return 0;
}

static void map_splinters(const struct job *j, struct chase_run *how, const struct region *r)
{
    static const struct nw_chase c = { .set = NW_CHASE_CALIBRATE,
                                       .pages = NW_CHASE_2M,
                                       .count = 128,
                                       .group = 1,
                                       .spacing_bytes = NW_PAGE_BYTES,
                                       .purpose = "splinter map" };
    uint64_t offset[128];
    uint32_t next[128];
    nw_chase_layout(&c, j->seed, offset, next);
    how->core_per_tsc = clock_core_per_tsc();
    for (uint32_t i = 0; i < r->bytes >> NW_PAGE_2M_LOG2 && i < MAPPINGS_MAX; i++) {
        struct nw_chase_sample s = { 0 };
        chase_time(&c, r->base + ((uint64_t)i << NW_PAGE_2M_LOG2), offset, next, how, &s);
        if (s.chunks)
            j->out->mapping[j->out->mapping_count++] = (struct nw_mapping_sample){ .number = i, .cycles = s.cycles };
    }
}

static void measure_all(const struct job *j)
{
    struct hand_over *h = j->out;
    struct region region[NW_CHASE_PAGES] = { { 0 } };
    struct nw_rng rng = nw_rng_seeded(j->seed + 1000 + j->process);
    size_t most = 0;
    for (size_t i = 0; i < j->count; i++)
        most = j->chase[i].count > most ? j->chase[i].count : most;
    uint64_t *offset = malloc(most * sizeof *offset);
    uint32_t *next = malloc(most * sizeof *next), *order = malloc(j->count * sizeof *order);
    struct nw_frame_run *tables = malloc(TABLE_FRAMES_MAX * sizeof *tables);
    if (!offset || !next || !order || !tables)
        _exit(1);
    struct nw_measure_pin pinned;
    nw_measure_pin(&pinned);
    if (!pinned.before)
        child_note(h, "the processes could not be pinned: samples may mix processors");
    for (unsigned p = 0; p < NW_CHASE_PAGES; p++) {
        char why[NW_MEASURE_NOTE];
        const uint64_t bytes = region_bytes(j, p);
        if (!bytes)
            continue;
        h->process.there[p] = region_make(&region[p], p, bytes, why);
        h->process.base[p] = (uintptr_t)region[p].base;
        if (!h->process.there[p])
            child_note(h, why);
    }
    const size_t table_runs =
        region[NW_CHASE_4K].base ? fill_small_pages(j, &region[NW_CHASE_4K], tables, offset, next) : 0;
    struct nw_counters *counters = counters_open(h, j->events);
    bool shared = false;
    struct chase_run how = {
        .chunk_ms = j->options->chunk_ms, .tsc_ghz = clock_tsc_ghz(), .counters = counters, .counters_shared = &shared
    };
    for (uint32_t r = 0; r < j->options->repeats * REPEATS_LARGE; r++) {
        shuffle(order, j->count, &rng);
        for (size_t i = 0; i < j->count; i++)
            if (r < repeats_of(j, &j->chase[order[i]]))
                measure_one(j, &how, region, order[i], r, offset, next);
    }
    if (!j->nth && region[NW_CHASE_2M].base)
        map_splinters(j, &how, &region[NW_CHASE_2M]);
    nw_counters_close(counters);
    if (shared)
        child_note(h, "others had some of the hardware counters during some chunks: these are not in the counts, and a "
                      "chase of which all are so has none");
    h->process.tsc_ghz = how.tsc_ghz;
    h->process.core_ghz = how.tsc_ghz * clock_core_per_tsc();
    for (unsigned p = 0; p < NW_CHASE_PAGES; p++) {
        bool known;
        if (!region[p].base)
            continue;
        h->frame_count +=
            region_frames(&region[p], p, h->frames + h->frame_count, h->frame_room - h->frame_count, &known);
        h->process.frames_known |= known;
    }
    for (size_t i = 0; i < table_runs && h->frame_count < h->frame_room; i++)
        h->frames[h->frame_count++] = tables[i];
    if (!h->process.frames_known)
        child_note(h, "frame numbers are hidden (/proc/self/pagemap needs CAP_SYS_ADMIN): the model assumes frames in "
                      "order, and nested page-table lines may be predicted too cheap");
    h->done = true;
}

/* ---- in the parent ---- */

static struct hand_over *hand_over_make(const struct job *j, struct nw_error *err)
{
    size_t samples = 0;
    for (size_t i = 0; i < j->count; i++)
        samples += repeats_of(j, &j->chase[i]);
    size_t frames = TABLE_FRAMES_MAX;
    for (size_t i = 0; i < j->count; i++)
        frames += (size_t)(chase_memory(&j->chase[i]) >> NW_PAGE_LOG2);
    const size_t bytes =
        sizeof(struct hand_over) + samples * sizeof(struct nw_chase_sample) + frames * sizeof(struct nw_frame_run);
    struct hand_over *h = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (h == MAP_FAILED) {
        (void)nw_fail_errno(err, NW_ERR_NOMEM, errno, "memory for the samples of a process");
        return NULL;
    }
    h->bytes = bytes;
    h->frame_room = frames;
    h->frames = (struct nw_frame_run *)(void *)(h + 1);
    h->sample = (struct nw_chase_sample *)(void *)(h->frames + frames);
    return h;
}

static bool grow(void **array, size_t have, size_t more, size_t size)
{
    void *bigger = realloc(*array, (have + more) * size + 1);
    if (bigger)
        *array = bigger;
    return bigger;
}

static enum nw_status take(struct nw_measurement *m, const struct hand_over *h, struct nw_error *err)
{
    if (!grow((void **)&m->process, m->process_count, 1, sizeof *m->process) ||
        !grow((void **)&m->sample, m->sample_count, h->sample_count, sizeof *m->sample) ||
        !grow((void **)&m->frames, m->frame_count, h->frame_count, sizeof *m->frames) ||
        !grow((void **)&m->mapping, m->mapping_count, h->mapping_count, sizeof *m->mapping))
        return nw_fail_nomem(err, "samples");
    const uint32_t process = (uint32_t)m->process_count;
    for (size_t i = 0; i < h->sample_count; i++) {
        m->sample[m->sample_count] = h->sample[i];
        m->sample[m->sample_count++].process = process;
    }
    for (size_t i = 0; i < h->frame_count; i++) {
        m->frames[m->frame_count] = h->frames[i];
        m->frames[m->frame_count++].process = process;
    }
    for (size_t i = 0; i < h->mapping_count; i++) {
        m->mapping[m->mapping_count] = h->mapping[i];
        m->mapping[m->mapping_count++].process = process;
    }
    m->process[m->process_count++] = h->process;
    for (size_t i = 0; i < h->note_count; i++)
        nw_measurement_note(m, "%s", h->note[i]);
    return NW_OK;
}

/* Waits for the child; when it is not wanted any more, ends it. */
static bool wait_for(pid_t child, const struct job *j)
{
    const struct timespec pause = { 0, POLL_NS };
    bool wanted = true;
    int status;
    pid_t got;
    while (!(got = waitpid(child, &status, WNOHANG)) || (got < 0 && errno == EINTR)) {
        if (wanted && j->options->progress &&
            !j->options->progress(j->options->context, j->nth, j->options->processes)) {
            kill(child, SIGKILL);
            wanted = false;
        }
        nanosleep(&pause, NULL);
    }
    return wanted;
}

static enum nw_status run_one(struct job *j, struct nw_measurement *m, struct nw_error *err)
{
    enum nw_status s = NW_OK;
    if (!(j->out = hand_over_make(j, err)))
        return NW_ERR_NOMEM;
    const pid_t parent = getpid();
    pid_t child = fork();
    if (!child) {
        signal(SIGINT, SIG_DFL);
        signal(SIGTERM, SIG_DFL);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent)
            measure_all(j);
        _exit(0);
    }
    if (child < 0)
        s = nw_fail_errno(err, NW_ERR_ENV, errno, "no process can be made to measure in");
    else if (!wait_for(child, j))
        s = nw_fail(err, NW_ERR_INTERRUPTED, "interrupted");
    else if (j->out->done)
        s = take(m, j->out, err);
    munmap(j->out, j->out->bytes);
    return s;
}

/* The chases that fit into memory; the plan's others are named in a note. */
static enum nw_status choose(struct nw_measurement *m, const struct nw_chase *plan, size_t count, uint64_t memory_bytes,
                             struct nw_error *err)
{
    if (!(m->chase = malloc(count * sizeof *m->chase)))
        return nw_fail_nomem(err, "the chases");
    for (size_t i = 0; i < count; i++)
        if (chase_memory(&plan[i]) <= memory_bytes)
            m->chase[m->chase_count++] = plan[i];
    if (m->chase_count < count)
        nw_measurement_note(m, "%zu chases left out: they need more than %llu MiB, a quarter of the memory available",
                            count - m->chase_count, (unsigned long long)(memory_bytes >> 20));
    return NW_OK;
}

/* NULL: none are known, or it is not known which processor this is. */
static const struct nw_walk_events *events_here(void)
{
    struct nw_cpuid id = { 0 };
    struct nw_host host;
    struct nw_error ignored;
    if (nw_cpuid_read(&id, &ignored))
        return NULL;
    nw_host_decode(&id, &host);
    nw_cpuid_fini(&id);
    return nw_walk_events_of(host.vendor, host.family, host.model);
}

/* Where the counts are from. */
static void describe_counters(struct nw_measurement *m, const struct nw_walk_events *events)
{
    bool any[NW_COUNTED] = { false }, raw = false;
    for (size_t i = 0; i < m->sample_count; i++)
        for (unsigned q = 0; q < NW_COUNTED; q++)
            any[q] |= m->sample[i].counted[q] >= 0;
    for (unsigned q = NW_COUNTED_WALKS; q < NW_COUNTED; q++)
        raw |= any[q];
    if (raw && events)
        snprintf(m->counters, sizeof m->counters, "%s: %s%s%s", events->processor, events->source,
                 events->remark[0] ? "; " : "", events->remark);
    else if (any[NW_COUNTED_DTLB_MISSES])
        snprintf(m->counters, sizeof m->counters, "dTLB read misses of perf_event_open(2)");
}

enum nw_status nw_measure_chases(struct nw_measurement *out, const struct nw_chase *plan, size_t count,
                                 const struct nw_measure_options *options, struct nw_error *err)
{
    const double begin = now_seconds();
    const size_t had = out->process_count;
    const struct nw_walk_events *events = events_here();
    enum nw_status s = NW_OK;
    if (!had) {
        *out = (struct nw_measurement){ .seed = options->seed };
        s = choose(out, plan, count, options->memory_bytes, err);
    }
    for (uint32_t p = 0; p < options->processes && !s; p++) {
        struct job j = { .chase = out->chase,
                         .count = out->chase_count,
                         .options = options,
                         .events = events,
                         .seed = out->seed,
                         .nth = p,
                         .process = (uint32_t)out->process_count };
        if (options->seconds > 0 && p && now_seconds() - begin > options->seconds) {
            nw_measurement_note(out, "%u of %u processes: the time was over", p, options->processes);
            break;
        }
        s = run_one(&j, out, err);
    }
    if (!s && out->process_count == had)
        s = nw_fail(err, NW_ERR_ENV, "no process came to its end: nothing was measured");
    describe_counters(out, events);
    if (s && s != NW_ERR_INTERRUPTED)
        nw_measurement_fini(out);
    return s;
}
