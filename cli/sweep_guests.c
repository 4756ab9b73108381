/* sweep_guests.c - several guests on one host at every combination of swept values: each point by itself, on so many threads, stored as soon as it is there. */
#include "sweep_guests.h"
#include "overcommit_table.h"
#include "result_files.h"
#include "run_guests.h"
#include <nestwalk/reports/export.h>
#include <nestwalk/reports/guests.h>
#include <nestwalk/sim/replay_many.h>
#include <nestwalk/sim/vms.h>
#include <nestwalk/traces/nwt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const double LIMIT = 1.1; /* of nestwalk overcommit by itself */

struct point {
    char identity[65];
    enum nw_point_state state;
    bool due;
    int64_t run;
    uint64_t accesses; /* made so far */
};

struct guests_sweep {
    const struct sweep_options *options;
    struct nw_vms_config *config;
    size_t count, due, settled;
    struct point *point;
    struct nw_store *store;
    struct nw_cli_progress progress;

    pthread_mutex_t lock; /* of everything below, the store and the points' states */
    size_t next;
    enum nw_status status; /* the first failure that is none of a point's own */
    struct nw_error err;
};

/* ---- identities ---- everything that decides a point's result: the version, its label, seed and parameters, and what is in its traces */

struct identity_text {
    FILE *out;
};

static void add_line(void *context, const char *path, const char *value, const char *source,
                     const struct nw_param *param)
{
    (void)source, (void)param;
    fprintf(((struct identity_text *)context)->out, "%s=%s\n", path, value);
}

static enum nw_status identify(const struct nw_vms_config *c, char out[65], struct nw_error *err)
{
    char *text = NULL, sha256[65];
    size_t bytes = 0;
    struct identity_text t = { open_memstream(&text, &bytes) };
    enum nw_status s = NW_OK;
    if (!t.out)
        return nw_fail_nomem(err, "the identity of a point");
    fprintf(t.out, "nestwalk %s\nguests %s\nlabel %s\nseed %llu\n", NESTWALK_VERSION, c->name, c->label,
            (unsigned long long)c->seed);
    nw_vms_config_visit(c, add_line, &t);
    for (size_t g = 0; g < c->guests && !s; g++)
        for (size_t w = 0; w < c->guest[g].works && !s; w++)
            if (c->guest[g].work[w].trace[0] && !(s = nw_file_sha256(c->guest[g].work[w].trace, sha256, err)))
                fprintf(t.out, "trace %s\n", sha256);
    if (fclose(t.out) && !s)
        s = nw_fail_nomem(err, "the identity of a point");
    if (!s)
        nw_bytes_sha256(text, bytes, out);
    free(text);
    return s;
}

/* ---- what is due ---- */

static enum nw_status find_due(struct guests_sweep *w, struct nw_error *err)
{
    int64_t group = 0;
    enum nw_status s = NW_OK;
    for (size_t i = 0; i < w->count && !s; i++) {
        struct point *p = &w->point[i];
        struct nw_store_point found = { .state = NW_POINT_NEW };
        s = identify(&w->config[i], p->identity, err);
        if (!s && w->store)
            s = nw_store_point_find(w->store, p->identity, &found, err);
        p->state = found.state;
        p->run = found.run;
        p->due = found.state == NW_POINT_NEW || (found.state == NW_POINT_FAILED && w->options->retry_failed);
        w->due += p->due;
        if (found.state == NW_POINT_DONE && !group)
            group = found.group;
    }
    if (group)
        nw_store_join_group(w->store, group);
    return s;
}

static void list(const struct guests_sweep *w)
{
    static const char *const state[] = { "due", "done", "failed" };
    for (size_t i = 0; i < w->count; i++)
        printf("%4zu  %-6s  %s\n", i + 1, w->point[i].due ? "due" : state[w->point[i].state], w->config[i].label);
    printf("%zu points, %zu of them due\n", w->count, w->due);
}

/* ---- running ---- */

struct progress {
    struct guests_sweep *w;
    size_t point;
};

static bool on_progress(void *context, uint64_t accesses)
{
    struct progress *p = context;
    pthread_mutex_lock(&p->w->lock);
    p->w->point[p->point].accesses = accesses;
    uint64_t sum = 0;
    for (size_t i = 0; i < p->w->count; i++)
        sum += p->w->point[i].accesses;
    nw_cli_progress_update(&p->w->progress, sum, 0);
    pthread_mutex_unlock(&p->w->lock);
    return !nw_cli_interrupted();
}

/* A configuration that makes no sense is the point's own failure, and is stored; all else ends the sweep. */
static enum nw_status settle(struct guests_sweep *w, size_t i, enum nw_status s, const struct nw_run *run,
                             const struct nw_error *why, struct nw_error *err)
{
    struct point *p = &w->point[i];
    struct nw_store_point stored;
    if (s && s != NW_ERR_USAGE && s != NW_ERR_INPUT) {
        *err = *why;
        return s;
    }
    p->state = s ? NW_POINT_FAILED : NW_POINT_DONE;
    if (s)
        fprintf(stderr, "nestwalk sweep: \"%s\" failed: %s\n", w->config[i].label, why->text);
    s = s ? nw_store_point_failed(w->store, p->identity, w->config[i].label, why->text, err)
          : nw_store_point_done(w->store, p->identity, run, err);
    if (!s && !(s = nw_store_point_find(w->store, p->identity, &stored, err)))
        p->run = stored.run;
    w->settled += !s;
    return s;
}

static void run_point(struct guests_sweep *w, size_t i)
{
    struct nw_vms_result result;
    struct nw_run run = { 0 };
    struct nw_error why = { 0 };
    struct progress progress = { w, i };
    enum nw_status s = nw_vms_run(&w->config[i], &(struct nw_vms_progress){ on_progress, &progress }, &result, &why);
    if (!s) {
        s = nw_run_from_guests(&w->config[i], &result, &run, &why);
        nw_vms_result_fini(&result);
    }
    pthread_mutex_lock(&w->lock);
    struct nw_error err = { 0 };
    s = settle(w, i, s, &run, &why, &err);
    if (s && !w->status) {
        w->status = s;
        w->err = err;
    }
    pthread_mutex_unlock(&w->lock);
    nw_run_fini(&run);
}

static void *work(void *context)
{
    struct guests_sweep *w = context;
    for (;;) {
        pthread_mutex_lock(&w->lock);
        while (w->next < w->count && !w->point[w->next].due)
            w->next++;
        const size_t i = w->status || nw_cli_interrupted() ? w->count : w->next++;
        pthread_mutex_unlock(&w->lock);
        if (i >= w->count)
            return NULL;
        run_point(w, i);
    }
}

static enum nw_status run_due(struct guests_sweep *w, struct nw_error *err)
{
    pthread_t thread[NW_REPLAY_THREADS_MAX];
    unsigned threads = 0;
    nw_cli_catch_interrupts();
    nw_cli_progress_start(&w->progress, "guests", "accesses");
    while (threads + 1 < w->options->jobs && threads + 1 < w->due && threads < NW_REPLAY_THREADS_MAX &&
           !pthread_create(&thread[threads], NULL, work, w))
        threads++;
    work(w); /* with fewer threads than wanted it takes longer, and that is all */
    while (threads)
        pthread_join(thread[--threads], NULL);
    nw_cli_progress_finish(&w->progress);
    if (w->status == NW_ERR_INTERRUPTED || (!w->status && w->settled < w->due))
        return nw_fail(err, NW_ERR_INTERRUPTED,
                       "interrupted; %zu of %zu points are done and stored in %s: give the same command again to go on",
                       w->count - w->due + w->settled, w->count, w->options->db);
    if (w->status)
        *err = w->err;
    return w->status;
}

/* ---- results ---- */

static enum nw_status print(const struct nw_run *runs, size_t count, struct nw_error *err)
{
    struct nw_overcommit o;
    enum nw_status s = count ? nw_overcommit_find(runs, count, LIMIT, &o, err) : NW_OK;
    if (!count || s)
        return s;
    nw_cli_print_overcommit(&o);
    nw_overcommit_fini(&o);
    return NW_OK;
}

static enum nw_status write_results(const struct guests_sweep *w, struct nw_error *err)
{
    const struct sweep_options *r = w->options;
    struct nw_run *runs = calloc(w->count, sizeof *runs);
    size_t count = 0;
    enum nw_status s = runs ? NW_OK : nw_fail_nomem(err, "the results");
    for (size_t i = 0; i < w->count && !s; i++)
        if (w->point[i].state == NW_POINT_DONE && !(s = nw_store_load(w->store, w->point[i].run, &runs[count], err)))
            count++;
    if (!s && r->json)
        s = nw_report_json(runs, count, r->json, err);
    if (!s && r->csv)
        s = nw_report_csv(runs, count, r->csv, err);
    if (!s && !nw_cli_is_stdout(r->json) && !nw_cli_is_stdout(r->csv))
        s = print(runs, count, err);
    nw_runs_free(runs, count);
    return s;
}

/* An option of the command that says nothing to guests; NULL: there is none. */
static const char *not_for_guests(const struct sweep_options *r)
{
    const struct sweep_request *q = &r->sweep;
    return q->trace                ? "--trace"
           : q->machine            ? "--machine"
           : q->mode_count         ? "--mode"
           : q->overrides.engine   ? "--engine"
           : q->overrides.fidelity ? "--fidelity"
                                   : NULL;
}

enum nw_status nw_cli_sweep_guests(const struct sweep_options *r, size_t *failed, struct nw_error *err)
{
    struct guests_sweep w = { .options = r, .lock = PTHREAD_MUTEX_INITIALIZER };
    const struct nw_cli_guests q = { .scenario = r->sweep.scenario,
                                     .seed = r->sweep.overrides.seed,
                                     .set = r->sweep.overrides.set,
                                     .set_count = r->sweep.overrides.set_count,
                                     .sweep = true };
    if (not_for_guests(r))
        return nw_fail(err, NW_ERR_USAGE, "%s is of several guests, for which there is no %s", q.scenario,
                       not_for_guests(r));
    enum nw_status s = nw_cli_guests_plan(&q, &w.config, &w.count, err);
    if (!s && !(s = nw_cli_check_writable(r->json, err)))
        s = nw_cli_check_writable(r->csv, err);
    for (size_t i = 0; i < w.count && !s; i++)
        s = nw_vms_check_traces(&w.config[i], err); /* before there is a store */
    if (!s && !(w.point = calloc(w.count, sizeof *w.point)))
        s = nw_fail_nomem(err, "the points of a sweep");
    if (!s && (!r->dry_run || !access(r->db, F_OK)))
        s = nw_store_open(r->db, r->dry_run ? NW_STORE_READ : NW_STORE_WRITE, &w.store, err);
    if (!s)
        s = find_due(&w, err);
    if (!s && r->dry_run)
        list(&w);
    else if (!s && !(s = run_due(&w, err)))
        s = write_results(&w, err);
    for (size_t i = 0; i < w.count && w.point; i++)
        *failed += !r->dry_run && w.point[i].state == NW_POINT_FAILED;
    nw_store_close(w.store);
    nw_cli_guests_free(w.config, w.count);
    free(w.point);
    return s;
}
