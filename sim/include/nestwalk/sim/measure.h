/* measure.h - what translation costs on this machine, by timing alone: dependent pointer chases in fresh processes.
 *
 *     struct nw_measurement m = { 0 };
 *     if ((s = nw_measure_chases(&m, nw_chase_plan(false, &n), n, &options, err))) return s;
 *     for (size_t i = 0; i < m.sample_count; i++) ... m.sample[i].cycles ...
 *     nw_measurement_fini(&m);
 *
 * A chase is a cycle in random order through `count` cache lines, `spacing_bytes` apart; each load's address is what the load before it
 * read, so nothing overlaps. Spaced a page or more apart, each element takes a random line of its page, and the chase is one of
 * translations; spaced closer, it is one of caches.
 *
 * How it is timed. A child process for each repetition, so that every one has other frames; pinned to one processor; all chases in each, in an
 * order that is shuffled anew. A chase is timed in chunks of less than a millisecond by the time-stamp counter, and a chunk during which
 * the kernel took the processor away (ru_nivcsw) is dropped. A sample is the 10th percentile of the chunks, in core cycles (chases of 8,192 lines and more,
 * which reach into a cache shared with others, have three times as many samples): a
 * chain of dependent multiplications, 3 cycles each on every x86 processor since 2008, is timed before and after and gives the clock.
 *
 * Counters (counters.h) are read before and after each chunk, outside of what is timed.
 *
 * Nothing is changed on the machine: memory, affinity and counters are the children's own and end with them. */
#ifndef NESTWALK_SIM_MEASURE_H
#define NESTWALK_SIM_MEASURE_H

#include <nestwalk/base/status.h>
#include <nestwalk/sim/counters.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum nw_chase_pages { NW_CHASE_4K, NW_CHASE_2M, NW_CHASE_1G, NW_CHASE_PAGES };
extern const char *const nw_chase_pages_name[NW_CHASE_PAGES]; /* "4K", "2M", "1G" */

/* What a chase is for. Parameters are fitted on the first kind only, and judged on the second only. */
enum nw_chase_set { NW_CHASE_CALIBRATE, NW_CHASE_HOLD_OUT };

struct nw_chase {
    enum nw_chase_set set;
    enum nw_chase_pages pages; /* of the guest, under the elements */
    uint32_t count;
    uint32_t group; /* so many elements lie in neighbouring pages, and groups are spaced; 1: every element is */
    uint64_t spacing_bytes;
    char purpose[24]; /* "L2 TLB hit", "stride sweep", ... */
};
/* The chases of --quick, or of --full. */
const struct nw_chase *nw_chase_plan(bool full, size_t *count);

/* Offset of each element from the start of its region, and the order of the cycle: next[i] is the element after i. Both follow from the chase
 * and the seed alone. */
void nw_chase_layout(const struct nw_chase *chase, uint64_t seed, uint64_t *offset, uint32_t *next);

/* One re-measurement of one chase in one process. */
struct nw_chase_sample {
    uint32_t process, chase, repeat;
    uint32_t chunks, dropped;
    double cycles; /* core cycles an access */
    double counted
        [NW_COUNTED]; /* an access, by the processor's counters; below 0: there is none, or it had always to share */
};

/* Which frame a page of a region had in one process; of a run of neighbours that lie in neighbouring frames, the first. `pages` may also be
 * NW_FRAMES_TABLES: frames that Linux made page tables of while the region for 4 KiB pages was filled, numbered upwards; a few may be other
 * processes'. */
enum { NW_FRAMES_TABLES = NW_CHASE_PAGES };
struct nw_frame_run {
    uint32_t process;
    uint32_t pages;             /* enum nw_chase_pages, or NW_FRAMES_TABLES */
    uint64_t page, pfn, length; /* page number within the region; 4 KiB units */
};

/* A chase of 128 pages within one of the guest's 2 MiB pages, of the region for those: with a translation of that size in the first-level TLB it costs
 * what a few pages cost, so one that costs more is splintered, backed by smaller pages of the host. Of the first process of a run. */
struct nw_mapping_sample {
    uint32_t process, number; /* of the 2 MiB page within the region */
    double cycles;            /* core cycles an access */
};

struct nw_measure_process {
    double core_ghz, tsc_ghz;
    uint64_t base[NW_CHASE_PAGES]; /* address of each region */
    bool there[NW_CHASE_PAGES];    /* this process had such pages */
    bool frames_known;             /* pagemap could be read */
};

enum { NW_MEASURE_NOTES = 24, NW_MEASURE_NOTE = 200 };
struct nw_measurement {
    char machine[160];  /* what was measured, in words: set by who knows, as are the next two */
    char profile[64];   /* shipped profile that a fit begins with */
    char counters[400]; /* whose events were counted, the document that has them, and what is known of them; "": none */
    bool nested;        /* a hypervisor is above */
    uint64_t seed;
    struct nw_chase *chase;
    size_t chase_count;
    struct nw_measure_process *process;
    size_t process_count;
    struct nw_chase_sample *sample;
    size_t sample_count;
    struct nw_frame_run *frames; /* by process, pages, page */
    size_t frame_count;
    struct nw_mapping_sample *mapping; /* by process, number */
    size_t mapping_count;
    char note[NW_MEASURE_NOTES][NW_MEASURE_NOTE]; /* what was left out, why, and what that costs */
    size_t note_count;
};

struct nw_measure_options {
    uint32_t processes, repeats; /* processes: so many, beside those that *out has */
    double chunk_ms;             /* below 1 */
    double seconds;              /* no new process is begun after so long; 0: no limit */
    uint64_t seed;
    uint64_t memory_bytes; /* chases that need more are left out, with a note */
    /* Called several times a second, with the processes begun; false stops with NW_ERR_INTERRUPTED. NULL allowed. */
    bool (*progress)(void *context, uint64_t done, uint64_t total);
    void *context;
};

/* Adds processes to *out: an empty measurement, which takes the chases of the plan and the options' seed, or one with processes, whose own chases and seed
 * are measured again (`plan` may then be NULL). After NW_ERR_INTERRUPTED *out has the processes that came to their end, perhaps none.
 * NW_ERR_UNSUPPORTED: not x86-64 Linux; NW_ERR_ENV: no process could be measured. */
enum nw_status nw_measure_chases(struct nw_measurement *out, const struct nw_chase *plan, size_t count,
                                 const struct nw_measure_options *options, struct nw_error *err) NW_MUST_USE;
void nw_measurement_fini(struct nw_measurement *m);
void nw_measurement_note(struct nw_measurement *m, const char *format, ...) NW_PRINTF(2, 3);

/* Processes take turns in being fitted on and judged, so that what drifts while they are measured does so for both. */
enum nw_measure_part { NW_PART_FIT, NW_PART_JUDGE, NW_PARTS };
static inline enum nw_measure_part nw_measure_part_of(uint32_t process)
{
    return process % 2 ? NW_PART_JUDGE : NW_PART_FIT;
}
/* Processes of the measurement in that part. */
uint32_t nw_measure_part_size(const struct nw_measurement *m, enum nw_measure_part part);

/* Of one chase over the processes of a part: the median of each process's least sample, and the smallest and largest of these. Least, because what
 * disturbs a chase (interrupts, a neighbour that takes lines of a shared cache) only ever makes it slower.
 * `processes` 0: none has a sample. */
struct nw_chase_figure {
    double cycles, low, high;
    double counted[NW_COUNTED]; /* an access, the median of each process's median; below 0: none has it */
    uint32_t processes;
};
struct nw_chase_figure nw_chase_figure(const struct nw_measurement *m, size_t chase, enum nw_measure_part part);

/* The splinter map in two numbers; 0 of 0: there is none. */
struct nw_splinter_map {
    size_t mappings, splintered;
};
struct nw_splinter_map nw_splinter_map(const struct nw_measurement *m);

/* ---- for other timings ---- */

struct nw_measure_clock {
    double core_ghz, tsc_ghz;
};
void nw_measure_clock_read(struct nw_measure_clock *out); /* takes 10 ms; zero on other machines than x86-64 */

/* Keeps the calling thread on one processor, the last that it may use, until it is given back what it had. */
struct nw_measure_pin {
    void *before; /* NULL: it could not be pinned */
};
void nw_measure_pin(struct nw_measure_pin *pin);
void nw_measure_unpin(struct nw_measure_pin *pin);

/* The middle of n values, of an even number the mean of the two; sorts them. n is not 0. */
double nw_median(double *v, size_t n);

#endif
