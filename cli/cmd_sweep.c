/* cmd_sweep.c - `nestwalk sweep`: all points of a scenario's sweeps, on all cores, each stored as soon as it is there. */
#include "cli.h"
#include "internal.h"
#include "overrides.h"
#include "sweep_estimate.h"
#include "sweep_plan.h"
#include <errno.h>
#include <libgen.h>
#include <math.h>
#include <nestwalk/reports/comparison.h>
#include <nestwalk/reports/export.h>
#include <nestwalk/reports/store.h>
#include <nestwalk/reports/sweep_table.h>
#include <nestwalk/sim/replay_many.h>
#include <nestwalk/traces/memory_source.h>
#include <nestwalk/traces/nwt.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MACHINES_A_JOB = 4, BATCH_MAX = 65536, FAILURES_SHOWN = 10 };

enum {
    OPT_JOBS,
    OPT_BATCH,
    OPT_DRY_RUN,
    OPT_RETRY_FAILED,
    OPT_DB,
    OPT_TRACE,
    OPT_MACHINE,
    OPT_MODE,
    OPT_ENGINE,
    OPT_FIDELITY,
    OPT_SET,
    OPT_SEED,
    OPT_JSON,
    OPT_CSV
};
static const struct nw_option options[] = {
    [OPT_JOBS] = { "jobs", 'J', "N", "Threads that replay. Default: as many as there are cores." },
    [OPT_BATCH] = { "batch", 0, "N",
                    "Machines that live at the same time and take each decoded block together; more need more memory. "
                    "Default: 4 for each job." },
    [OPT_DRY_RUN] = { "dry-run", 'n', NULL,
                      "List the points, what is done of them, and about how long the others take; run and store "
                      "nothing." },
    [OPT_RETRY_FAILED] = { "retry-failed", 0, NULL, "Try points again that failed in an earlier sweep." },
    [OPT_DB] = { "db", 'd', "FILE", "The results store (SQLite); made when there is none. Default: results.db." },
    [OPT_TRACE] = { "trace", 't', "FILE", "The trace to replay (.nwt); overrides the scenario's." },
    [OPT_MACHINE] = { "machine", 'M', "MACHINE",
                      "Machine profile: a shipped one's name or an XML file; overrides the scenario's." },
    [OPT_MODE] = { "mode", 'm', "native|direct|shadow|nested",
                   "Sweep only the scenario's runs of this mode, or its machine in this mode when there are none; may "
                   "be repeated." },
    [OPT_ENGINE] = { "engine", 0, "fast|reference",
                     "The replay engine: the fast one (default), or the naive one that it is checked against." },
    [OPT_FIDELITY] = { "fidelity", 'f', "tlb|walk|full",
                       "tlb: counts only; walk (default): page-table lines compete in the modelled caches; full "
                       "(reference engine only): data lines as well." },
    [OPT_SET] = { "set", 's', "PATH=VALUE",
                  "Sets one parameter that is not swept in every point, over profile and scenario; may be repeated." },
    [OPT_SEED] = { "seed", 0, "N", "Seed of every random choice in the model. Default: 42." },
    [OPT_JSON] = { "json", 'j', "FILE|-", "Write the table of results as JSON; - is standard output." },
    [OPT_CSV] = { "csv", 0, "FILE|-", "Write the table of results as CSV; - is standard output." },
    { 0 },
};

struct request {
    struct sweep_request sweep;
    const char *db, *json, *csv;
    unsigned jobs, batch;
    bool dry_run, retry_failed;
};

struct point {
    enum nw_point_state state;
    bool due; /* is to be run */
    int64_t run;
    char *error; /* FAILED */
};

struct sweep {
    const struct request *request;
    struct sweep_plan plan;
    struct nw_source *source;
    char sha256[65];
    char (*identity)[65];
    struct point *point;
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

static bool is_stdout(const char *path) { return path && !strcmp(path, "-"); }

static unsigned cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set))
        return 1;
    int n = CPU_COUNT(&set);
    return n < 1 ? 1 : (unsigned)n;
}

/* A result that cannot be written should not be found out after an hour of replay. */
static enum nw_status check_writable(const char *path, struct nw_error *err)
{
    if (!path || is_stdout(path))
        return NW_OK;
    char *copy = strdup(path);
    if (!copy)
        return nw_fail_nomem(err, "a file name");
    enum nw_status s = NW_OK;
    if (access(dirname(copy), W_OK))
        s = nw_fail_errno(err, NW_ERR_IO, errno, "cannot write %s", path);
    free(copy);
    return s;
}

/* ---- what is done already ---- */

static enum nw_status note_point(struct sweep *w, size_t i, struct nw_error *err)
{
    struct nw_store_point found = { .state = NW_POINT_NEW };
    struct point *p = &w->point[i];
    enum nw_status s = w->store ? nw_store_point_find(w->store, w->identity[i], &found, err) : NW_OK;
    if (s)
        return s;
    p->state = found.state;
    p->run = found.run;
    free(p->error);
    p->error = NULL;
    if (found.state == NW_POINT_FAILED && !(p->error = strdup(found.error)))
        return nw_fail_nomem(err, "the points");
    return NW_OK;
}

/* Points that are added join the group of those that are there, so that a report shows them together. */
static enum nw_status find_due(struct sweep *w, struct nw_error *err)
{
    bool joined = false;
    for (size_t i = 0; i < w->plan.point_count; i++) {
        enum nw_status s = note_point(w, i, err);
        if (s)
            return s;
        struct point *p = &w->point[i];
        if (p->state == NW_POINT_DONE && !joined && !w->request->dry_run) {
            struct nw_store_point found;
            if ((s = nw_store_point_find(w->store, w->identity[i], &found, err)))
                return s;
            nw_store_join_group(w->store, found.group);
            joined = true;
        }
        p->due = p->state == NW_POINT_NEW || (p->state == NW_POINT_FAILED && w->request->retry_failed);
        if (p->due)
            w->due[w->due_count++] = i;
    }
    return NW_OK;
}

/* Everything that can be wrong is found here, before anything runs. */
static enum nw_status prepare(struct sweep *w, struct nw_error *err)
{
    const struct request *r = w->request;
    enum nw_status s = sweep_plan_make(&w->plan, &r->sweep, err);
    if (s || (s = check_writable(r->json, err)) || (s = check_writable(r->csv, err)))
        return s;
    s = w->plan.trace ? nw_nwt_open(&w->source, w->plan.trace, err)
                      : nw_memory_source_create(&w->source, NULL, NULL, NULL, 0, NULL, 0, 0, err);
    if (!s && w->plan.trace)
        s = nw_file_sha256(w->plan.trace, w->sha256, err);
    if (s)
        return s;
    w->accesses = nw_source_access_total(w->source);
    w->identity = calloc(w->plan.point_count, sizeof *w->identity);
    w->point = calloc(w->plan.point_count, sizeof *w->point);
    w->due = calloc(w->plan.point_count, sizeof *w->due);
    if (!w->identity || !w->point || !w->due)
        return nw_fail_nomem(err, "the points");
    if ((s = sweep_plan_identities(&w->plan, w->sha256, w->identity, err)))
        return s;
    if (!r->dry_run || !access(r->db, F_OK)) /* who only asks makes no store */
        s = nw_store_open(r->db, r->dry_run ? NW_STORE_READ : NW_STORE_WRITE, &w->store, err);
    return s ? s : find_due(w, err);
}

static void sweep_fini(struct sweep *w)
{
    for (size_t i = 0; w->point && i < w->plan.point_count; i++)
        free(w->point[i].error);
    free(w->point);
    free(w->identity);
    free(w->due);
    nw_store_close(w->store);
    nw_source_destroy(w->source);
    sweep_plan_fini(&w->plan);
}

/* ---- dry run ---- */

static enum nw_status list_points(struct sweep *w, struct nw_error *err)
{
    static const char *const heading[] = { "#", "point", "state" };
    static const bool numeric[] = { true, false, false };
    struct nw_cli_table *t = nw_cli_table_new(heading, numeric, NW_ARRAY_LEN(heading));
    size_t done = 0, failed = 0;
    for (size_t i = 0; i < w->plan.point_count; i++) {
        const struct point *p = &w->point[i];
        char number[24], label[64], state[96] = "to run";
        snprintf(number, sizeof number, "%zu", i + 1);
        sweep_point_label(&w->plan, i, label, sizeof label);
        if (p->state == NW_POINT_DONE)
            snprintf(state, sizeof state, "done: run %lld", (long long)p->run);
        else if (p->state == NW_POINT_FAILED)
            snprintf(state, sizeof state, "failed%s: %.60s", p->due ? ", to run again" : "", p->error);
        done += p->state == NW_POINT_DONE;
        failed += p->state == NW_POINT_FAILED && !p->due;
        nw_cli_table_row(t, (const char *const[]){ number, label, state });
    }
    nw_cli_table_print(t, stdout);
    double seconds;
    char duration[64];
    enum nw_status s = sweep_estimate(&w->plan, w->due, w->due_count, w->source, &seconds, err);
    if (s)
        return s;
    unsigned jobs = w->due_count < w->request->jobs ? (unsigned)w->due_count : w->request->jobs;
    sweep_duration_text(jobs ? seconds / jobs : 0, duration, sizeof duration);
    printf("\n%zu points: %zu done, %zu failed, %zu to run", w->plan.point_count, done, failed, w->due_count);
    if (w->due_count)
        printf(", which takes %s with %u job%s", duration, jobs, jobs == 1 ? "" : "s");
    putchar('\n');
    return NW_OK;
}

/* ---- running ---- */

static void show_settled(struct sweep *w)
{
    snprintf(w->title, sizeof w->title, "%zu of %zu points", w->settled, w->due_count);
}

static bool on_progress(void *context, uint64_t done, uint64_t total)
{
    struct sweep *w = context;
    (void)total;
    nw_cli_progress_update(&w->progress, w->batch_first * w->accesses + done, w->due_count * w->accesses);
    return !nw_cli_interrupted();
}

static enum nw_status store_result(struct sweep *w, size_t i, struct nw_result *result, struct nw_error *err)
{
    struct nw_run run;
    snprintf(result->trace, sizeof result->trace, "%s", w->plan.trace ? w->plan.trace : "");
    snprintf(result->trace_sha256, sizeof result->trace_sha256, "%s", w->sha256);
    enum nw_status s = nw_run_from_result(result, &run, err);
    nw_result_fini(result);
    if (s)
        return s;
    s = nw_store_point_done(w->store, w->identity[i], &run, err);
    nw_run_fini(&run);
    return s;
}

static enum nw_status on_finished(void *context, size_t index, struct nw_result *result, const struct nw_error *failure,
                                  struct nw_error *err)
{
    struct sweep *w = context;
    size_t i = w->due[w->batch_first + index];
    enum nw_status s;
    if (failure) {
        char label[64];
        sweep_point_label(&w->plan, i, label, sizeof label);
        s = nw_store_point_failed(w->store, w->identity[i], label, failure->text, err);
    } else {
        s = store_result(w, i, result, err);
    }
    if (!s)
        s = note_point(w, i, err);
    if (s)
        return s;
    w->settled++;
    show_settled(w);
    return NW_OK;
}

static enum nw_status run_batch(struct sweep *w, size_t count, struct nw_error *err)
{
    const struct nw_replay_many_hooks hooks = { on_finished, on_progress, w };
    struct nw_config *config = calloc(count, sizeof *config);
    if (!config)
        return nw_fail_nomem(err, "the machines of a batch");
    size_t made = 0;
    enum nw_status s = NW_OK;
    for (; made < count && !s; made += !s)
        s = sweep_point_config(&w->plan, w->due[w->batch_first + made], &config[made], err);
    if (!s)
        s = nw_source_rewind(w->source, err);
    if (!s)
        s = nw_replay_many(w->source, config, count, w->request->jobs, &hooks, err);
    for (size_t i = 0; i < made; i++)
        nw_config_fini(&config[i]);
    free(config);
    return s;
}

static enum nw_status run_due(struct sweep *w, struct nw_error *err)
{
    enum nw_status s = NW_OK;
    nw_cli_catch_interrupts();
    show_settled(w);
    nw_cli_progress_start(&w->progress, w->title, "accesses");
    while (w->batch_first < w->due_count && !s) {
        size_t left = w->due_count - w->batch_first, count = left < w->request->batch ? left : w->request->batch;
        if (nw_cli_interrupted())
            s = NW_ERR_INTERRUPTED;
        else if (!(s = run_batch(w, count, err)))
            w->batch_first += count;
    }
    nw_cli_progress_finish(&w->progress);
    if (s == NW_ERR_INTERRUPTED)
        nw_fail(err, s,
                "interrupted; %zu of %zu points are done and stored in %s: give the same command again to go on",
                w->plan.point_count - w->due_count + w->settled, w->plan.point_count, w->request->db);
    return s;
}

/* ---- results ---- */

struct rows {
    struct nw_sweep_row *row;
    const char **value; /* of all rows */
    char (*label)[64];
};

static enum nw_status make_rows(struct sweep *w, struct rows *rows, struct nw_error *err)
{
    size_t n = w->plan.point_count, axes = w->plan.axis_count;
    rows->row = calloc(n, sizeof *rows->row);
    rows->value = calloc(n * axes + 1, sizeof *rows->value);
    rows->label = calloc(n, sizeof *rows->label);
    if (!rows->row || !rows->value || !rows->label)
        return nw_fail_nomem(err, "the table of a sweep");
    for (size_t i = 0; i < n; i++) {
        struct nw_sweep_row *row = &rows->row[i];
        sweep_point_label(&w->plan, i, rows->label[i], sizeof *rows->label);
        for (size_t k = 0; k < axes; k++)
            rows->value[i * axes + k] = sweep_point_value(&w->plan, i, k);
        *row = (struct nw_sweep_row){
            .point = i + 1, .label = rows->label[i], .value = rows->value + i * axes, .error = w->point[i].error
        };
        struct nw_config c;
        enum nw_status s = sweep_point_config(&w->plan, i, &c, err);
        if (s)
            return s;
        row->mode = nw_mode_name[c.mode];
        nw_config_fini(&c);
        struct nw_run run;
        if (row->error)
            continue;
        if ((s = nw_store_load(w->store, w->point[i].run, &run, err)))
            return s;
        nw_sweep_row_take(row, &run);
        nw_run_fini(&run);
    }
    return NW_OK;
}

static void rows_free(struct rows *rows)
{
    free(rows->row);
    free(rows->value);
    free(rows->label);
}

static void print_heading(const struct sweep *w)
{
    char total[32], text[1024];
    const struct nw_config *c = &w->plan.run[0].config;
    nw_format_count(w->accesses, 20, total, sizeof total);
    snprintf(text, sizeof text, "%s: %zu points of %s, %s accesses each, on %s; stored in %s", w->plan.scenario.name,
             w->plan.point_count, w->plan.trace ? w->plan.trace : "no trace", total, c->machine, w->request->db);
    nw_cli_wrap(stdout, text, 0, 0, 100);
    putchar('\n');
}

static void percent_text(double v, char *out, size_t out_size)
{
    if (isnan(v))
        snprintf(out, out_size, "-");
    else
        snprintf(out, out_size, v < 1 ? "%.4f" : "%.2f", v);
}

static enum nw_status print_table(const struct sweep *w, const struct rows *rows, struct nw_error *err)
{
    size_t axes = w->plan.axis_count, columns = axes + 6;
    const char **cell = calloc(columns, sizeof *cell);
    bool *numeric = calloc(columns, sizeof *numeric);
    static const char *const figures[] = { "misses, %", "walks", "cycles", "overhead, %" };
    char text[4][32], number[32];
    if (!cell || !numeric) {
        free(cell);
        free(numeric);
        return nw_fail_nomem(err, "the table of a sweep");
    }
    size_t at = 0;
    numeric[at] = true;
    cell[at++] = "run";
    cell[at++] = "title";
    for (size_t k = 0; k < axes; k++) {
        numeric[at] = w->plan.axis[k].value[0][0] >= '0' && w->plan.axis[k].value[0][0] <= '9';
        cell[at++] = w->plan.axis[k].name;
    }
    for (size_t k = 0; k < NW_ARRAY_LEN(figures); k++) {
        numeric[at] = true;
        cell[at++] = figures[k];
    }
    struct nw_cli_table *t = nw_cli_table_new(cell, numeric, (unsigned)columns);
    for (size_t i = 0; i < w->plan.point_count; i++) {
        const struct nw_sweep_row *r = &rows->row[i];
        if (i && i % w->plan.points_a_run == 0)
            nw_cli_table_rule(t);
        at = 0;
        snprintf(number, sizeof number, "%lld", (long long)r->run);
        cell[at++] = r->error ? "-" : number;
        cell[at++] = sweep_point_run(&w->plan, i)->title;
        for (size_t k = 0; k < axes; k++)
            cell[at++] = r->value[k];
        percent_text(r->miss_percent, text[0], sizeof text[0]);
        nw_format_count(r->walks, 14, text[1], sizeof text[1]);
        nw_format_count(r->cycles, 17, text[2], sizeof text[2]);
        percent_text(r->overhead_percent, text[3], sizeof text[3]);
        for (size_t k = 0; k < NW_ARRAY_LEN(text); k++)
            cell[at++] = !r->error ? text[k] : k ? "-" : "failed";
        nw_cli_table_row(t, cell);
    }
    nw_cli_table_print(t, stdout);
    free(cell);
    free(numeric);
    return NW_OK;
}

static enum nw_status write_tables(const struct sweep *w, const struct rows *rows, struct nw_error *err)
{
    const struct request *r = w->request;
    const char **path = calloc(w->plan.axis_count + 1, sizeof *path);
    if (!path)
        return nw_fail_nomem(err, "the table of a sweep");
    for (size_t k = 0; k < w->plan.axis_count; k++)
        path[k] = w->plan.axis[k].path;
    const struct nw_sweep_table table = {
        w->plan.scenario.name, w->plan.trace ? w->plan.trace : "", w->sha256, path, w->plan.axis_count, rows->row,
        w->plan.point_count
    };
    enum nw_status s = NW_OK;
    char *text;
    if (r->json && !(s = nw_sweep_json_text(&table, &text, err))) {
        s = nw_report_write(r->json, text, strlen(text), err);
        free(text);
    }
    if (!s && r->csv && !(s = nw_sweep_csv_text(&table, &text, err))) {
        s = nw_report_write(r->csv, text, strlen(text), err);
        free(text);
    }
    free(path);
    return s;
}

static enum nw_status write_results(struct sweep *w, struct nw_error *err)
{
    struct rows rows = { 0 };
    enum nw_status s = make_rows(w, &rows, err);
    if (!s)
        s = write_tables(w, &rows, err);
    if (!s && !is_stdout(w->request->json) && !is_stdout(w->request->csv)) {
        print_heading(w);
        s = print_table(w, &rows, err);
    }
    rows_free(&rows);
    return s;
}

/* How many points failed, in this sweep or an earlier one; says which. */
static size_t tell_failures(const struct sweep *w)
{
    size_t failed = 0, earlier = 0;
    for (size_t i = 0; i < w->plan.point_count; i++) {
        if (w->point[i].state != NW_POINT_FAILED)
            continue;
        char label[64];
        sweep_point_label(&w->plan, i, label, sizeof label);
        earlier += !w->point[i].due;
        if (failed++ < FAILURES_SHOWN)
            fprintf(stderr, "nestwalk sweep: point %zu, \"%s\", failed: %s\n", i + 1, label, w->point[i].error);
    }
    if (failed)
        fprintf(stderr,
                "nestwalk sweep: %zu of %zu points failed, %zu of them in an earlier sweep; --retry-failed tries "
                "them again\n",
                failed, w->plan.point_count, earlier);
    return failed;
}

/* *failed: points that have no result. */
static enum nw_status execute(struct sweep *w, size_t *failed, struct nw_error *err)
{
    enum nw_status s = prepare(w, err);
    if (s)
        return s;
    if (w->request->dry_run)
        return list_points(w, err);
    if ((s = run_due(w, err)) || (s = write_results(w, err)))
        return s;
    *failed = tell_failures(w);
    return NW_OK;
}

/* ---- the command line ---- */

static bool take_number(const char *value, unsigned most, unsigned *out)
{
    uint64_t n;
    if (!nw_cli_parse_u64(value, &n) || !n || n > most)
        return false;
    *out = (unsigned)n;
    return true;
}

/* False: the value is none. `mode` and `set` have room for every word of the command line. */
static bool take_option(struct request *r, const char **mode, const char **set, int option, const char *value)
{
    struct nw_cli_overrides *o = &r->sweep.overrides;
    switch (option) {
    case OPT_JOBS: return take_number(value, NW_REPLAY_THREADS_MAX, &r->jobs);
    case OPT_BATCH: return take_number(value, BATCH_MAX, &r->batch);
    case OPT_DRY_RUN: r->dry_run = true; break;
    case OPT_RETRY_FAILED: r->retry_failed = true; break;
    case OPT_DB: r->db = value; break;
    case OPT_TRACE: r->sweep.trace = value; break;
    case OPT_MACHINE: r->sweep.machine = value; break;
    case OPT_MODE: mode[r->sweep.mode_count++] = value; break;
    case OPT_ENGINE: o->engine = value; break;
    case OPT_FIDELITY: o->fidelity = value; break;
    case OPT_SET: set[o->set_count++] = value; break;
    case OPT_SEED: o->seed = value; break;
    case OPT_JSON: r->json = value; break;
    case OPT_CSV: r->csv = value; break;
    }
    return true;
}

static int go(const struct nw_command *self, struct request *r)
{
    if (!r->sweep.scenario)
        return nw_cli_usage(self, "needs a scenario");
    if (is_stdout(r->json) && is_stdout(r->csv))
        return nw_cli_usage(self, "--json - and --csv - cannot both have standard output");
    if (!r->jobs)
        r->jobs = cores();
    if (!r->batch)
        r->batch = MACHINES_A_JOB * r->jobs;
    struct nw_error err = { 0 };
    struct sweep w = { .request = r };
    size_t failed = 0;
    enum nw_status s = execute(&w, &failed, &err);
    int exit_status = s ? nw_cli_fail(self, s, &err) : failed ? 1 : 0;
    sweep_fini(&w);
    return exit_status;
}

static int run(const struct nw_command *self, int argc, char **argv)
{
    struct nw_error err = { 0 };
    const char **mode = calloc((size_t)argc, sizeof *mode), **set = calloc((size_t)argc, sizeof *set);
    struct request r = { .db = "results.db", .sweep.mode = mode, .sweep.overrides.set = set };
    int exit_status = 0, option = NW_CLI_DONE;
    if (!mode || !set) {
        exit_status = nw_cli_fail(self, nw_fail_nomem(&err, "the command line"), &err);
        goto out;
    }
    struct nw_cli_parser parser;
    nw_cli_parser_init(&parser, self, argc, argv);
    const char *value;
    while ((option = nw_cli_next(&parser, &value)) >= 0 || option == NW_CLI_ARGUMENT) {
        if (option >= 0 && !take_option(&r, mode, set, option, value)) {
            exit_status = nw_cli_usage(self, "--%s %s: expected a whole number from 1 to %d", options[option].name,
                                       value, option == OPT_JOBS ? (int)NW_REPLAY_THREADS_MAX : (int)BATCH_MAX);
            goto out;
        }
        if (option == NW_CLI_ARGUMENT && r.sweep.scenario) {
            exit_status = nw_cli_usage(self, "one scenario at a time: %s and %s", r.sweep.scenario, value);
            goto out;
        }
        if (option == NW_CLI_ARGUMENT)
            r.sweep.scenario = value;
    }
    exit_status = option == NW_CLI_EXIT ? parser.exit_status : go(self, &r);
out:
    free(mode);
    free(set);
    return exit_status;
}

const struct nw_command nw_cmd_sweep = {
    .name = "sweep",
    .synopsis = "SCENARIO.xml [--db FILE] [--jobs N] [--dry-run] [--retry-failed] [--trace FILE] [--machine MACHINE] "
                "[--mode MODE]... [--set PATH=VALUE]... [--json FILE|-] [--csv FILE|-]",
    .summary = "replay a trace at every combination of a scenario's swept values, on all cores",
    .details =
        "A point is one of the scenario's runs with one value of each of its sweeps. All points share the trace: it is "
        "decoded once for all machines that live at the same time (--batch), and --jobs threads take the machines "
        "through it. The counters of a point are those that nestwalk run gives with the same settings, whatever the "
        "number of threads.\n\n"
        "Each point is stored as soon as it is done, and the same command goes on where it stopped, whether it was "
        "Ctrl-C, a power failure or the end: a point is done when the store has a run with the same scenario, trace, "
        "machine and parameters by the same version. A point that fails is stored with its reason and does not stop "
        "the others; the exit status is then 1, and --retry-failed tries it again.\n\n"
        "At the end comes a table of all points. nestwalk report draws them, and docs/sweeps.md tells more.",
    .examples = "nestwalk sweep scenarios/shipped/sweep-l2-tlb.xml --dry-run\n"
                "nestwalk sweep scenarios/shipped/sweep-l2-tlb.xml --jobs 2 --csv l2.csv\n"
                "nestwalk sweep study.xml --trace btree.nwt --set vmm.slat=npt --db study.db",
    .options = options,
    .run = run,
};
