/* programs.h - five programs of our own, timed with 4 KiB and with 2 MiB pages, and what the model says of the difference.
 *
 *     struct nw_chase *plan; size_t count;
 *     if ((s = nw_program_plan(&plan, &count, err))) return s;
 *     s = nw_measure_chases(&m, plan, count, &options, err);            // as every other measurement, in the same processes
 *     s = nw_calibrate(&m, ...);                                       // fits `config`, or sets a loaded profile up
 *     s = nw_programs_judge(&m, &config, &judge_options, &j, err);      // j.program[i].ratio, .predicted, j.holds
 *
 * The programs (searches in a B+tree, the probing side of a hash join, breadth-first search, random updates, heapsort) are compiled twice from
 * the same text: natively, and with each load and store of their data written down. A sample is what an operation (a search, a probe, a vertex,
 * an update, an element) takes in core cycles, over chunks of a fixed number of operations, without those during which the kernel took
 * the processor away.
 *
 * What is predicted. The recorded accesses are replayed over page tables with the frames that the measured process had, once as it had them with
 * 4 KiB and once with 2 MiB pages. That gives, for an operation, the latency of everything beyond the first cache and TLB: X4 and X2. A
 * processor overlaps a part of it, which no replay tells. How much is read off the run with 2 MiB pages alone, as the exposed share x = T2 / X2,
 * at most 1, and at least the inverse of how many walks this machine does at once: a number of the machine, from chases of 1 to 12
 * independent chains. Then
 *
 *     T4 / T2 = 1 + x * (X4 - X2) / T2
 *
 * The last cache is shared with whoever else uses this processor, and who asks more often keeps more of it. Its size, which a profile has from
 * chases that wait for each load, is taken from chases of 8 chains over lines instead. Nothing is fitted on a run with 4 KiB pages. */
#ifndef NESTWALK_SIM_PROGRAMS_H
#define NESTWALK_SIM_PROGRAMS_H

#include <nestwalk/sim/calibrate.h>

enum { NW_PROGRAMS = 5, NW_PROGRAM_WITHIN_PERCENT = 15, NW_PROGRAMS_WITHIN = 4 };
/* "btree", "hash-join", "bfs", "gups", "sort"; and what one operation is. */
const char *nw_program_name(size_t program);
const char *nw_program_operation(size_t program);

/* What is measured: each program with either size of page, chases of several chains, and the calibration set of nw_chase_plan(false). In a measurement these
 * are told apart by their purpose: "program NAME", "chains N". free() the plan. */
enum nw_status nw_program_plan(struct nw_chase **plan, size_t *count, struct nw_error *err) NW_MUST_USE;
bool nw_chase_is_program(const struct nw_chase *chase, size_t *program);
/* How many independent chains follow each other through it; 1: a chase like any other. */
unsigned nw_chase_chains(const struct nw_chase *chase);

struct nw_program_range {
    double middle, low, high; /* median, smallest and largest over processes */
};
struct nw_program_judged {
    size_t program;
    uint32_t processes;                /* that timed it with both sizes of page */
    struct nw_program_range cycles[2]; /* an operation, by enum nw_chase_pages: 4K, 2M */
    struct nw_program_range ratio;     /* 4K over 2M, of each process */
    struct nw_program_range predicted; /* the same, over the processes that were predicted */
    double latency[2], walks[2];       /* of the last of these, an operation: X4 and X2, in cycles, and page walks */
    double accesses, exposed;          /* an operation; x */
    double all_exposed;                /* the ratio if nothing overlapped */
    double error_percent;              /* of the ratio */
    double without_error_percent;      /* of a prediction of 1: that the size of pages does not matter */
    bool within;                       /* NW_PROGRAM_WITHIN_PERCENT */
};

struct nw_program_judgement {
    struct nw_program_judged program[NW_PROGRAMS];
    size_t count, within;
    uint32_t predicted_processes;
    uint64_t
        last_cache_bytes; /* what programs find left of it, by chases of 8 chains; 0: not measured, the profile's is used */
    double walks_at_once; /* one chain's cycles over those of the number of chains that is fastest */
    bool holds;           /* NW_PROGRAMS_WITHIN of NW_PROGRAMS are within */
};

struct nw_program_options {
    uint32_t predicted; /* processes to predict for, the first so many; 0: all */
    bool (*progress)(void *context, uint64_t done, uint64_t total);
    void *context;
};

/* `config`: the machine, fitted or loaded, as nw_calibrate() leaves it. NW_ERR_INPUT: no program was timed with both sizes of
 * page, or no chains were; NW_ERR_INTERRUPTED; NW_ERR_NOMEM. */
enum nw_status nw_programs_judge(const struct nw_measurement *m, const struct nw_config *config,
                                 const struct nw_program_options *options, struct nw_program_judgement *out,
                                 struct nw_error *err) NW_MUST_USE;

/* The accesses that a program is judged by, as a trace with the page tables of one process: a part before each counted one to warm the caches, with
 * a marker (phase 2 * window, 2 * window + 1) before each part. `world`: of that process of `m`; `chase`: a program's. The file appears whole or not at
 * all. NW_ERR_USAGE: the chase is no program's. */
enum nw_status nw_program_trace_save(const struct nw_chase_world *world, const struct nw_measurement *m,
                                     uint32_t process, size_t chase, const char *path,
                                     struct nw_error *err) NW_MUST_USE;

#endif
