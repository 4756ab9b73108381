/* sweep.c - the points of a sweep, from what the store knows of them to their results in the store. */
#include "sweep.h"
#include "result_files.h"
#include <nestwalk/sim/replay_many.h>
#include <nestwalk/traces/memory_source.h>
#include <nestwalk/traces/nwt.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- what is done already ---- */

static enum nw_status note_point(struct sweep *w, size_t i, struct nw_error *err)
{
    struct nw_store_point found = { .state = NW_POINT_NEW };
    struct sweep_point *p = &w->point[i];
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
        struct sweep_point *p = &w->point[i];
        if (p->state == NW_POINT_DONE && !joined && !w->options->dry_run) {
            struct nw_store_point found;
            if ((s = nw_store_point_find(w->store, w->identity[i], &found, err)))
                return s;
            nw_store_join_group(w->store, found.group);
            joined = true;
        }
        p->due = p->state == NW_POINT_NEW || (p->state == NW_POINT_FAILED && w->options->retry_failed);
        if (p->due)
            w->due[w->due_count++] = i;
    }
    return NW_OK;
}

enum nw_status sweep_prepare(struct sweep *w, struct nw_error *err)
{
    const struct sweep_options *r = w->options;
    enum nw_status s = sweep_plan_make(&w->plan, &r->sweep, err);
    if (s || (s = nw_cli_check_writable(r->json, err)) || (s = nw_cli_check_writable(r->csv, err)))
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

void sweep_fini(struct sweep *w)
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
        s = nw_replay_many(w->source, config, count, w->options->jobs, &hooks, err);
    for (size_t i = 0; i < made; i++)
        nw_config_fini(&config[i]);
    free(config);
    return s;
}

enum nw_status sweep_run_due(struct sweep *w, struct nw_error *err)
{
    enum nw_status s = NW_OK;
    nw_cli_catch_interrupts();
    show_settled(w);
    nw_cli_progress_start(&w->progress, w->title, "accesses");
    while (w->batch_first < w->due_count && !s) {
        size_t left = w->due_count - w->batch_first, count = left < w->options->batch ? left : w->options->batch;
        if (nw_cli_interrupted())
            s = NW_ERR_INTERRUPTED;
        else if (!(s = run_batch(w, count, err)))
            w->batch_first += count;
    }
    nw_cli_progress_finish(&w->progress);
    if (s == NW_ERR_INTERRUPTED)
        nw_fail(err, s,
                "interrupted; %zu of %zu points are done and stored in %s: give the same command again to go on",
                w->plan.point_count - w->due_count + w->settled, w->plan.point_count, w->options->db);
    return s;
}
