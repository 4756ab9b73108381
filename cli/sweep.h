/* sweep.h - private to cli/: a sweep under way, and what its files share. */
#ifndef NESTWALK_CLI_SWEEP_H
#define NESTWALK_CLI_SWEEP_H

#include "cli.h"
#include "sweep_plan.h"
#include <nestwalk/reports/store.h>
#include <nestwalk/traces/block.h>
#include <string.h>

struct sweep_options {
    struct sweep_request sweep;
    const char *db, *json, *csv;
    unsigned jobs, batch;
    bool dry_run, retry_failed;
};

struct sweep_point {
    enum nw_point_state state;
    bool due; /* is to be run */
    int64_t run;
    char *error; /* FAILED */
};

struct sweep {
    const struct sweep_options *options;
    struct sweep_plan plan;
    struct nw_source *source;
    char sha256[65];
    char (*identity)[65];
    struct sweep_point *point;
    size_t *due; /* the points to be run, in order */
    size_t due_count;
    struct nw_store *store;

    /* While points run: */
    size_t batch_first; /* due[batch_first] is machine 0 */
    size_t settled;     /* of the due ones, whether well or not */
    uint64_t accesses;  /* of one point; 0 = unknown */
    struct nw_cli_progress progress;
    char title[64];
};

/* "-" */

/* Makes the plan, opens trace and store, and finds out what is due. Everything that can be wrong is found here, before anything runs.
 * sweep_fini() in any case. */
enum nw_status sweep_prepare(struct sweep *w, struct nw_error *err) NW_MUST_USE;
void sweep_fini(struct sweep *w);

/* Runs and stores all that is due. NW_ERR_INTERRUPTED says how far it came. */
enum nw_status sweep_run_due(struct sweep *w, struct nw_error *err) NW_MUST_USE;

/* Prints the points and their states, and how long those that are due take. */
enum nw_status sweep_list(struct sweep *w, struct nw_error *err) NW_MUST_USE;

/* The table of all points, as the options want it. */
enum nw_status sweep_write_results(struct sweep *w, struct nw_error *err) NW_MUST_USE;
/* How many points failed, in this sweep or an earlier one; says which, to stderr. */
size_t sweep_tell_failures(const struct sweep *w);

#endif
