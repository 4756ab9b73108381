/* exit_check.h - costs of exits on this machine, from one half of the virtual machines to the other, and as a machine's parameters.
 *
 *     struct nw_exit_samples m;
 *     struct nw_exit_check c;
 *     if ((s = nw_exit_samples_measure(&m, &options, err))) return s; // or nw_exit_samples_load(&m, "samples.db", err)
 *     nw_exit_check_judge(&c, &m);
 *     c.holds, c.figure[NW_EXIT_COST_CPUID].held_out ...
 *     s = nw_exit_check_price(&c, &config, err); // a replay with them
 *     nw_exit_samples_fini(&m); */
#ifndef NESTWALK_REPORTS_EXIT_CHECK_H
#define NESTWALK_REPORTS_EXIT_CHECK_H

#include <nestwalk/sim/config.h>
#include <nestwalk/traces/exit_cost.h>
#include <stddef.h>

/* ---- samples ---- */

/* One operation in one virtual machine (or process, of the native ones). */
struct nw_exit_sample {
    uint32_t machine; /* 0, 1, ... */
    enum nw_exit_cost_operation operation;
    double cycles;                         /* core cycles: 10th percentile of the chunks */
    double quarter_cycles, three_quarters; /* ... quartiles, core cycles */
    uint32_t chunks, dropped;
};
enum { NW_EXIT_MACHINES_MIN = 2, NW_EXIT_MACHINES_MAX = 256, NW_EXIT_TEXT = 160 };
struct nw_exit_samples {
    char processor[NW_EXIT_TEXT]; /* in words: set by who knows */
    char profile[64];             /* the shipped profile that prices begin with; likewise */
    char backend[16];             /* "pvm", "vmx", "svm" */
    bool second_stage; /* KVM uses EPT or NPT: a first read is a violation there, else a fault of the shadow table */
    double core_ghz;
    uint32_t machines; /* virtual machines an operation */
    struct nw_exit_sample *sample;
    size_t count;
    char skipped[NW_EXIT_COST_OPERATIONS][200]; /* why it could not be timed here; "": it was */
};
struct nw_exit_samples_options {
    uint32_t machines, chunks; /* virtual machines an operation, NW_EXIT_MACHINES_MIN to _MAX; chunks in each */
    bool (*progress)(void *context, uint64_t done, uint64_t total);
    void *context;
};
/* Operations take turns, each in a fresh virtual machine. The calling thread is pinned meanwhile. What nw_exit_cost_measure() returns. */
enum nw_status nw_exit_samples_measure(struct nw_exit_samples *out, const struct nw_exit_samples_options *options,
                                       struct nw_error *err) NW_MUST_USE;
void nw_exit_samples_fini(struct nw_exit_samples *m);

/* Into tables exit_session, exit_samples and exit_notes of an SQLite file: of the file that is there, when it is one of samples
 * (measurement_store.h), where they take the place of earlier ones; else of a new one. All or nothing. NW_ERR_INPUT: another kind of file;
 * NW_ERR_IO. */
enum nw_status nw_exit_samples_save(const struct nw_exit_samples *m, const char *path,
                                    struct nw_error *err) NW_MUST_USE;
/* NW_ERR_INPUT: no such file, no such tables, or a value that no measurement has; the message names table and row. */
enum nw_status nw_exit_samples_load(struct nw_exit_samples *m, const char *path, struct nw_error *err) NW_MUST_USE;

/* ---- judgement ---- */

struct nw_exit_figure {
    char skipped[200];    /* why it could not be timed here; "": it was */
    double predicted;     /* core cycles: the median of the first half; of the mix: the sum of its parts */
    double held_out;      /* the median of the second half */
    double low, high;     /* of the second half */
    double price;         /* the median of all */
    double least, most;   /* of all */
    double error_percent; /* predicted against held out */
};
struct nw_exit_check {
    struct nw_exit_figure figure[NW_EXIT_COST_OPERATIONS];
    double core_ghz, median_error_percent, max_error_percent;
    uint32_t machines, judged; /* judged: operations */
    char processor[NW_EXIT_TEXT], backend[16];
    bool second_stage, holds;
};
extern const char nw_exit_check_claim[];

/* From the samples alone. */
void nw_exit_check_judge(struct nw_exit_check *out, const struct nw_exit_samples *m);

/* Makes what was measured the price of exits (cost.exit.*, cost.guest_fault, cost.frequency) of *config, with the source "measured by
 * nestwalk validate exits ..." and the spread. The direct part of an exit is what CPUID's takes, the least there is; what an
 * operation takes beyond it is synchronous. What was not measured stays. */
enum nw_status nw_exit_check_price(const struct nw_exit_check *c, struct nw_config *config,
                                   struct nw_error *err) NW_MUST_USE;
/* Which parameter an operation's cost becomes ("cost.exit.cpuid"), or NULL: none. */
const char *nw_exit_check_priced(const struct nw_exit_check *c, enum nw_exit_cost_operation operation);

/* free() it. Keys: holds, regimes, points; docs/validation.md */
enum nw_status nw_exit_check_json_text(const struct nw_exit_check *c, char **out, struct nw_error *err) NW_MUST_USE;

#endif
