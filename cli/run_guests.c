#include "run_guests.h"
#include "cli.h"
#include "comparison_table.h"
#include "internal.h"
#include "overrides.h"
#include "result_files.h"
#include <nestwalk/reports/export.h>
#include <nestwalk/reports/guests.h>
#include <nestwalk/reports/store.h>
#include <nestwalk/scenarios/guests.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GUESTS_SHOWN = 24, EVENTS_SHOWN = 10 };

/* ---- from request to configurations ---- */

static enum nw_status override(struct nw_vms_config *c, const struct nw_cli_guests *q, bool several,
                               struct nw_error *err)
{
    const char *own = c->label[0] ? c->label : c->name;
    char label[256];
    snprintf(label, sizeof label, q->label && several ? "%s %s" : "%s", q->label ? q->label : own, own);
    if (strlen(label) >= sizeof c->label)
        return nw_fail(err, NW_ERR_USAGE, "--label: \"%s\" has more than %zu bytes", label, sizeof c->label - 1);
    snprintf(c->label, sizeof c->label, "%s", label);
    enum nw_status s = q->seed ? nw_vms_config_seed(c, q->seed, err) : NW_OK;
    for (size_t i = 0; i < q->set_count && !s; i++) {
        struct nw_cli_assignment a;
        if (!(s = nw_cli_assignment_parse(q->set[i], "host.memory=2G", &a, err)))
            s = nw_vms_config_set(c, a.path, a.value, "--set", err);
    }
    return s;
}

/* "one memory=64M policy=arc": the last part of each path. */
static void add_to_label(struct nw_vms_config *c, const char *path, const char *value)
{
    const char *dot = strrchr(path, '.');
    const size_t used = strlen(c->label);
    snprintf(c->label + used, sizeof c->label - used, "%s%s=%s", used ? " " : "", dot ? dot + 1 : path, value);
}

/* Combination `n` of the swept values; the first sweep of the file changes slowest. */
static enum nw_status set_swept(struct nw_vms_config *c, const struct nw_guests_scenario *sc, size_t n,
                                struct nw_error *err)
{
    size_t left = 1;
    enum nw_status s = NW_OK;
    for (size_t i = 0; i < sc->sweep_count; i++)
        left *= sc->sweep[i].value_count;
    for (size_t i = 0; i < sc->sweep_count && !s; i++) {
        const struct nw_scenario_sweep *w = &sc->sweep[i];
        left /= w->value_count;
        const char *value = w->value[n / left % w->value_count];
        if ((s = nw_vms_config_set(c, w->path, value, w->source, err)))
            nw_error_context(err, "%s", w->place);
        add_to_label(c, w->path, value);
    }
    return s;
}

static enum nw_status add_run(const struct nw_cli_guests *q, const struct nw_guests_scenario *sc, size_t run,
                              size_t point, struct nw_vms_config *out, struct nw_error *err)
{
    enum nw_status s = nw_guests_config(sc, run, out, err);
    if (s)
        return s;
    if (!(s = override(out, q, sc->run_count > 1, err)))
        s = q->sweep ? set_swept(out, sc, point, err) : nw_vms_config_check(out, err);
    if (s == NW_ERR_USAGE)
        nw_error_context(err, "%s, run \"%s\"", q->scenario, out->label);
    if (s)
        nw_vms_config_fini(out);
    return s;
}

enum nw_status nw_cli_guests_plan(const struct nw_cli_guests *q, struct nw_vms_config **config, size_t *count,
                                  struct nw_error *err)
{
    struct nw_guests_scenario sc;
    enum nw_status s = nw_guests_load(q->scenario, &sc, err);
    *config = NULL;
    *count = 0;
    if (s)
        return s;
    const size_t runs = sc.run_count ? sc.run_count : 1;
    size_t points = 1;
    for (size_t i = 0; i < sc.sweep_count; i++)
        if (q->sweep)
            points *= sc.sweep[i].value_count;
        else
            fprintf(stderr, "nestwalk run: %s: the sweep of %s is left out; a run takes one value of each parameter\n",
                    q->scenario, sc.sweep[i].path);
    if (!(*config = calloc(runs * points, sizeof **config)))
        s = nw_fail_nomem(err, "the runs of a scenario");
    for (size_t i = 0; i < runs * points && !s; i++)
        if (!(s = add_run(q, &sc, i / points, i % points, &(*config)[i], err)))
            ++*count;
    nw_guests_fini(&sc);
    return s;
}

void nw_cli_guests_free(struct nw_vms_config *config, size_t count)
{
    for (size_t i = 0; i < count; i++)
        nw_vms_config_fini(&config[i]);
    free(config);
}

/* ---- the runs ---- */

static bool on_progress(void *context, uint64_t accesses)
{
    nw_cli_progress_update(context, accesses, 0);
    return !nw_cli_interrupted();
}

static enum nw_status run_one(const struct nw_vms_config *c, struct nw_vms_result *result, struct nw_run *run,
                              struct nw_error *err)
{
    struct nw_cli_progress progress;
    nw_cli_progress_start(&progress, c->label, "accesses");
    enum nw_status s = nw_vms_run(c, &(struct nw_vms_progress){ on_progress, &progress }, result, err);
    nw_cli_progress_finish(&progress);
    if (!s && (s = nw_run_from_guests(c, result, run, err)))
        nw_vms_result_fini(result);
    return s;
}

/* ---- the terminal ---- */

static void seconds_text(uint64_t ns, char *out, size_t size) { snprintf(out, size, "%.3f", (double)ns / 1e9); }

static void print_guests(const struct nw_vms_result *r)
{
    static const char *const heading[] = { "guest",        "MiB", "accesses", "seconds",   "slowdown",
                                           "major faults", "in",  "out",      "ballooned", "state" };
    static const bool numeric[] = { false, true, true, true, true, true, true, true, true, false };
    struct nw_cli_table *t = nw_cli_table_new(heading, numeric, NW_ARRAY_LEN(heading));
    const size_t shown = r->guests < GUESTS_SHOWN ? r->guests : GUESTS_SHOWN;
    for (size_t i = 0; i < shown; i++) {
        const struct nw_vms_guest_result *g = &r->guest[i];
        const struct nw_vms_guest_counters *n = &g->counters;
        char cell[8][32];
        snprintf(cell[0], sizeof cell[0], "%.0f", (double)g->size / 256);
        nw_format_count(n->accesses, 9, cell[1], sizeof cell[1]);
        seconds_text(g->ended_ns - g->started_ns, cell[2], sizeof cell[2]);
        snprintf(cell[3], sizeof cell[3], "%.2f", g->slowdown);
        nw_format_count(n->major_faults, 9, cell[4], sizeof cell[4]);
        nw_format_count(n->swapped_in, 9, cell[5], sizeof cell[5]);
        nw_format_count(n->swapped_out, 9, cell[6], sizeof cell[6]);
        nw_format_count(n->inflated - n->deflated, 9, cell[7], sizeof cell[7]);
        nw_cli_table_row(t, (const char *const[]){ g->name, cell[0], cell[1], cell[2], cell[3], cell[4], cell[5],
                                                   cell[6], cell[7], nw_vms_state_name[g->state] });
    }
    nw_cli_table_print(t, stdout);
    if (r->guests > shown)
        printf("... and %zu more guests; --json has them all\n", r->guests - shown);
}

static void print_run(const struct nw_vms_config *c, const struct nw_vms_result *r, const struct nw_run *run)
{
    char text[512], total[32];
    nw_format_count((uint64_t)nw_run_value(run, "accesses.total", 0), 20, total, sizeof total);
    snprintf(text, sizeof text,
             "%s: %zu guests on a host of %.0f MiB and %llu cores, %s accesses in %.3f simulated seconds, seed %llu",
             c->label, r->guests, (double)c->host.memory / 0x1p20, (unsigned long long)c->host.cores, total,
             (double)r->time_ns / 1e9, (unsigned long long)c->seed);
    nw_cli_wrap(stdout, text, 0, 0, 100);
    putchar('\n');
    print_guests(r);
    for (size_t i = 0; i < r->events && i < EVENTS_SHOWN; i++)
        printf("%.3f s: %s\n", (double)r->event[i].time_ns / 1e9, r->event[i].text);
    if (r->events > EVENTS_SHOWN)
        printf("... and %zu more events; --json has them all\n", r->events - EVENTS_SHOWN);
    putchar('\n');
}

/* ---- all of it ---- */

static enum nw_status make_runs(const struct nw_cli_guests *q, const struct nw_vms_config *config, size_t count,
                                struct nw_run *runs, size_t *finished, struct nw_error *err)
{
    const bool print = !nw_cli_is_stdout(q->json) && !nw_cli_is_stdout(q->csv);
    struct nw_store *store = NULL;
    enum nw_status s = NW_OK;
    for (size_t i = 0; i < count && !s; i++) {
        struct nw_vms_result result;
        if ((s = run_one(&config[i], &result, &runs[i], err)))
            break;
        ++*finished;
        if (print)
            print_run(&config[i], &result, &runs[i]);
        nw_vms_result_fini(&result);
        if (q->db && !store) /* only now: traces that cannot be read leave no empty store behind */
            s = nw_store_open(q->db, NW_STORE_WRITE, &store, err);
        if (store)
            s = nw_store_add(store, &runs[i], NULL, err);
        if (!s && nw_cli_interrupted() && *finished < count)
            s = NW_ERR_INTERRUPTED;
    }
    if (s == NW_ERR_INTERRUPTED)
        nw_fail(err, s, "interrupted; %zu of %zu runs were finished%s", *finished, count,
                store && *finished ? " and are stored" : "");
    nw_store_close(store);
    return s;
}

enum nw_status nw_cli_run_guests(const struct nw_cli_guests *q, struct nw_error *err)
{
    struct nw_vms_config *config = NULL;
    size_t count = 0, finished = 0;
    struct nw_run *runs = NULL;
    enum nw_status s = nw_cli_guests_plan(q, &config, &count, err);
    if (s || (s = nw_cli_check_writable(q->json, err)) || (s = nw_cli_check_writable(q->csv, err)))
        goto out;
    for (size_t i = 0; i < count; i++)
        if ((s = nw_vms_check_traces(&config[i], err))) /* of all runs before the first */
            goto out;
    if (!(runs = calloc(count, sizeof *runs))) {
        s = nw_fail_nomem(err, "the results");
        goto out;
    }
    nw_cli_catch_interrupts();
    if ((s = make_runs(q, config, count, runs, &finished, err)))
        goto out;
    if (q->json && (s = nw_report_json(runs, finished, q->json, err)))
        goto out;
    if (q->csv && (s = nw_report_csv(runs, finished, q->csv, err)))
        goto out;
    if (!nw_cli_is_stdout(q->json) && !nw_cli_is_stdout(q->csv))
        s = nw_cli_print_comparison(runs, finished, NW_COMPARE_INTEREST, stdout, err);
out:
    nw_runs_free(runs, finished);
    nw_cli_guests_free(config, count);
    return s;
}
