/* run.h - one finished run as a plain record: what reports, the store and the comparison all work on.
 *
 * A `struct nw_result` is the program's own view of a run: counters at fixed places. A `struct nw_run` is the same run as names
 * and values, so that a run stored years ago, by a version that had other counters, can still be listed, compared and drawn.
 *
 *     struct nw_run run;
 *     if ((s = nw_run_from_result(&result, &run, err))) return s;
 *     s = nw_report_json(&run, 1, "-", err);
 *     nw_run_fini(&run);
 *
 * Terms. A *metric* has a dotted path ("walks.references") and a unit; it is *derived* when it follows from other metrics or is
 * about the replay itself (seconds), and derived metrics do not count when two runs are asked to be the same. A *parameter*
 * is one row of the configuration table with its value as text and its source (provenance). */
#ifndef NESTWALK_REPORTS_RUN_H
#define NESTWALK_REPORTS_RUN_H

#include <nestwalk/sim/result.h>

struct nw_run_metric {
    char *path, *unit, *doc;
    enum nw_metric_type type;
    bool derived;
    uint64_t count; /* NW_METRIC_COUNT */
    double real;    /* NW_METRIC_REAL */
};

struct nw_run_bucket {
    uint64_t upper_cycles; /* walks of at most so many cycles; UINT64_MAX: no bound */
    uint64_t count;
};

struct nw_run_parameter {
    char *path, *value, *unit, *source;
};

/* What happened to a guest or its host, in words: out of memory, ... */
struct nw_run_event {
    uint64_t time_ns; /* simulated */
    char *text;
};

/* A quantity over another one: a guest's memory over time, a miss-ratio curve. */
struct nw_run_series {
    char *path, *x_unit, *unit, *doc;
    struct nw_run_point {
        double x, y;
    } * point; /* ascending in x */
    size_t count;
};

struct nw_run {
    int64_t id, group; /* in the store; 0 = not stored. Runs stored through one open store share a group. */
    char created[32];  /* when it was stored, UTC, "2025-01-31 12:00:00"; empty = not stored */
    char version[32];  /* of nestwalk that made it */
    char scenario[64], label[64], mode[32], machine[64];
    char direct_refused[192]; /* of a replay just made: the first request that direct paging refused, in words */
    char trace[256], trace_sha256[65];
    char engine[32], fidelity[32];
    uint64_t seed;
    double seconds, accesses_per_second; /* of the replay; not deterministic */

    struct nw_run_metric *metric; /* in the order of the tables of counters */
    size_t metric_count;
    struct nw_run_bucket *bucket; /* walk latency, ascending; all buckets, empty ones too */
    size_t bucket_count;
    struct nw_run_parameter *parameter; /* in the order of the table of parameters */
    size_t parameter_count;
    struct nw_run_series *series; /* of runs of several guests; reports/guests.h says which */
    size_t series_count;
    /* The first use of each stale translation (run.detect_stale). Not stored: a run read from a store has none. */
    struct nw_stale_use *stale;
    size_t stale_count;
    struct nw_run_event *event; /* by time; not stored either */
    size_t event_count;
};

/* One sentence that tells a programmer what happened and which write to look at. */
void nw_stale_sentence(const struct nw_stale_use *use, char *out, size_t out_size);
/* "store, user" */
void nw_stale_access_text(const struct nw_stale_use *use, char *out, size_t out_size);

/* Copies everything; the result may be freed. Bytes that are not UTF-8 become U+FFFD. NW_ERR_NOMEM. */
enum nw_status nw_run_from_result(const struct nw_result *result, struct nw_run *out, struct nw_error *err) NW_MUST_USE;
void nw_run_fini(struct nw_run *run);
void nw_runs_free(struct nw_run *runs, size_t count); /* each, and the array */

/* What to call a run in a heading: its label, else its mode. */
const char *nw_run_title(const struct nw_run *run);

const struct nw_run_metric *nw_run_metric(const struct nw_run *run, const char *path); /* NULL when it has none */
double nw_run_value(const struct nw_run *run, const char *path, double absent);        /* as a double */
double nw_run_metric_value(const struct nw_run_metric *m);
const struct nw_run_series *nw_run_series(const struct nw_run *run, const char *path); /* NULL when it has none */
const struct nw_run_parameter *nw_run_parameter(const struct nw_run *run, const char *path);

/* Were the same things found? Compares all metrics that are not derived, and the histogram. When they differ and `why` is not
 * NULL, it tells the first difference ("walks.count: 12 and 13"). */
bool nw_run_same(const struct nw_run *a, const struct nw_run *b, char *why, size_t why_size);

/* The configuration again, from the stored parameters, provenance included: to explain a walk of a stored run.
 * NW_ERR_INPUT when a stored parameter is none of this version's. On success nw_config_fini it. */
enum nw_status nw_run_config(const struct nw_run *run, struct nw_config *out, struct nw_error *err) NW_MUST_USE;

#endif
