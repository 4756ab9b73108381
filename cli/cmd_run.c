/* cmd_run.c - `nestwalk run`: one trace through one machine, once for each way of virtualizing memory. */
#include "cli.h"
#include "comparison_table.h"
#include "internal.h"
#include "overrides.h"
#include "result_files.h"
#include "run_guests.h"
#include "run_mrc.h"
#include "run_sample.h"
#include <nestwalk/reports/export.h>
#include <nestwalk/reports/store.h>
#include <nestwalk/scenarios/guests.h>
#include <nestwalk/scenarios/machine.h>
#include <nestwalk/scenarios/scenario.h>
#include <nestwalk/sim/replay.h>
#include <nestwalk/traces/memory_source.h>
#include <nestwalk/traces/nwt.h>
#include <stdlib.h>
#include <string.h>

enum {
    OPT_TRACE,
    OPT_MACHINE,
    OPT_MODE,
    OPT_ENGINE,
    OPT_FIDELITY,
    OPT_SET,
    OPT_SEED,
    OPT_LABEL,
    OPT_DB,
    OPT_JSON,
    OPT_CSV,
    OPT_DETECT_STALE,
    OPT_FAIL_ON_STALE,
    OPT_MRC,
    OPT_MRC_RATE,
    OPT_MRC_SETS,
    OPT_MRC_WINDOW,
    OPT_SAMPLE,
    OPT_SAMPLE_WINDOW,
    OPT_SAMPLE_WARM
};
static const struct nw_option options[] = {
    [OPT_TRACE] = { "trace", 't', "FILE", "The trace to replay (.nwt); overrides the scenario's." },
    [OPT_MACHINE] = { "machine", 'M', "MACHINE",
                      "Machine profile: a shipped one's name or an XML file; overrides the scenario's. Default: "
                      "textbook." },
    [OPT_MODE] = { "mode", 'm', "native|direct|shadow|nested|agile",
                   "How memory is virtualized; may be repeated, one replay each. Default: the scenario's runs, or "
                   "native." },
    [OPT_ENGINE] = { "engine", 0, "fast|reference",
                     "The replay engine: the fast one (default), or the naive one that it is checked against." },
    [OPT_FIDELITY] = { "fidelity", 'f', "tlb|walk|full",
                       "tlb: counts only; walk (default): page-table lines compete in the modelled caches; full "
                       "(reference engine only): data lines as well." },
    [OPT_SET] = { "set", 's', "PATH=VALUE",
                  "Sets one parameter in every run, over profile and scenario; may be repeated." },
    [OPT_SEED] = { "seed", 0, "N", "Seed of every random choice in the model. Default: 42." },
    [OPT_LABEL] = { "label", 'l', "TEXT",
                    "Name of the run in tables and reports; of several runs, what their names begin with." },
    [OPT_DB] = { "db", 'd', "FILE", "Add the runs to this results store (SQLite); made when there is none." },
    [OPT_JSON] = { "json", 'j', "FILE|-", "Write the result as JSON; - is standard output, instead of the table." },
    [OPT_CSV] = { "csv", 0, "FILE|-", "Write the result as CSV; - is standard output, instead of the table." },
    [OPT_DETECT_STALE] = { "detect-stale", 0, NULL,
                           "Report each use of a cached translation that the page tables no longer grant, with the "
                           "table write that no invalidation followed. Replays with the naive engine." },
    [OPT_FAIL_ON_STALE] = { "fail-on-stale", 0, NULL,
                            "Like --detect-stale, and exit with status 1 when there is such a use." },
    [OPT_MRC] = { "mrc", 0, NULL,
                  "Instead of a replay: the miss ratio of TLBs of all sizes, from one pass (exact), and working "
                  "sets." },
    [OPT_MRC_RATE] = { "mrc-rate", 0, "R",
                       "The same from a sample of the pages, 0 < R <= 1, with its bound: beside the exact ratios with "
                       "--mrc, alone without." },
    [OPT_MRC_SETS] = { "mrc-sets", 0, "N,N...",
                       "With --mrc: all numbers of ways for these numbers of sets. Default: those of the machine's "
                       "arrays, to 16 ways when they have no more." },
    [OPT_MRC_WINDOW] = { "mrc-window", 0, "N",
                         "With --mrc: accesses in a window of the working set. Default: a hundredth of the trace." },
    [OPT_SAMPLE] = { "sample", 0, "N|F",
                     "Replay N windows of the trace, or as many as are the fraction F of it, and give every figure "
                     "with its 95 % interval." },
    [OPT_SAMPLE_WINDOW] = { "sample-window", 0, "N", "With --sample: accesses in a window. Default: 10000." },
    [OPT_SAMPLE_WARM] = { "sample-warm", 0, "N",
                          "With --sample: accesses replayed before each window to warm it. Default: 16 for each entry "
                          "of the largest TLB array." },
    { 0 },
};

/* The command line, as it is. The arrays have room for every word of it. */
struct request {
    const char *scenario, *trace, *machine, *engine, *fidelity, *seed, *label, *db, *json, *csv;
    const char **mode, **set;
    size_t mode_count, set_count;
    bool detect_stale, fail_on_stale;
    bool mrc;
    const char *mrc_rate, *mrc_sets, *mrc_window;
    const char *sample, *sample_window, *sample_warm;
};

/* What is to be done: a checked configuration for each replay. */
struct plan {
    struct nw_config *config;
    size_t count;
    char *trace; /* NULL: none is replayed, and the runs are what their mix of exits says */
};

static void take_option(struct request *r, int option, const char *value)
{
    switch (option) {
    case OPT_TRACE: r->trace = value; break;
    case OPT_MACHINE: r->machine = value; break;
    case OPT_MODE: r->mode[r->mode_count++] = value; break;
    case OPT_ENGINE: r->engine = value; break;
    case OPT_FIDELITY: r->fidelity = value; break;
    case OPT_SET: r->set[r->set_count++] = value; break;
    case OPT_SEED: r->seed = value; break;
    case OPT_LABEL: r->label = value; break;
    case OPT_DB: r->db = value; break;
    case OPT_JSON: r->json = value; break;
    case OPT_CSV: r->csv = value; break;
    case OPT_DETECT_STALE: r->detect_stale = true; break;
    case OPT_FAIL_ON_STALE: r->detect_stale = r->fail_on_stale = true; break;
    case OPT_MRC: r->mrc = true; break;
    case OPT_MRC_RATE: r->mrc_rate = value; break;
    case OPT_MRC_SETS: r->mrc_sets = value; break;
    case OPT_MRC_WINDOW: r->mrc_window = value; break;
    case OPT_SAMPLE: r->sample = value; break;
    case OPT_SAMPLE_WINDOW: r->sample_window = value; break;
    case OPT_SAMPLE_WARM: r->sample_warm = value; break;
    }
}

/* ---- from request to plan ---- */

/* What the command line says of every run. `mode` NULL leaves the scenario's. */
static enum nw_status override(struct nw_config *c, const struct request *r, const char *mode, bool several,
                               struct nw_error *err)
{
    const struct nw_cli_overrides overrides = { r->engine, r->fidelity, r->seed, r->detect_stale ? "1" : NULL,
                                                r->set,    r->set_count };
    enum nw_status s = nw_cli_override(c, &overrides, mode, err);
    if (s)
        return s;
    const char *own = c->label[0] ? c->label : nw_mode_name[c->mode];
    char label[256]; /* longer than is allowed, so that an overlong one is refused rather than cut */
    if (r->label && several)
        snprintf(label, sizeof label, "%s %s", r->label, own);
    else
        snprintf(label, sizeof label, "%s", r->label ? r->label : own);
    if ((s = nw_config_set(c, "run.label", label, r->label ? "--label" : "default", err)))
        return s;
    return nw_config_check(c, err);
}

/* The scenario's runs that have `mode`; when it has none, its base in that mode. NULL: all of its runs. */
static enum nw_status plan_scenario_mode(struct plan *p, const struct nw_scenario *sc, const char *mode,
                                         struct nw_error *err)
{
    size_t before = p->count;
    enum nw_status s = NW_OK;
    for (size_t i = 0; i < sc->run_count && !s; i++) {
        if (mode && strcmp(sc->run[i].mode, mode))
            continue;
        if (!(s = nw_scenario_config(sc, i, &p->config[p->count], err)))
            p->count++;
    }
    if (s || p->count > before)
        return s;
    nw_config_init(&p->config[p->count]);
    if (!(s = nw_config_copy(&p->config[p->count], &sc->base, err)))
        p->count++;
    return s;
}

static enum nw_status plan_scenario(struct plan *p, const struct request *r, struct nw_error *err)
{
    struct nw_scenario sc;
    enum nw_status s = nw_scenario_load(r->scenario, r->machine, &sc, err);
    if (s)
        return s;
    size_t most = (sc.run_count + 1) * (r->mode_count + 1);
    p->config = calloc(most, sizeof *p->config);
    const char *trace = r->trace ? r->trace : sc.trace;
    if (!p->config || (trace && !(p->trace = strdup(trace)))) {
        s = nw_fail_nomem(err, "the runs of a scenario");
        goto out;
    }
    for (size_t i = 0; i < sc.sweep_count; i++)
        fprintf(stderr, "nestwalk run: %s: the sweep of %s is left out; a run takes one value of each parameter\n",
                r->scenario, sc.sweep[i].path);
    size_t modes = r->mode_count ? r->mode_count : 1;
    for (size_t m = 0; m < modes && !s; m++) {
        const char *mode = r->mode_count ? r->mode[m] : NULL;
        size_t first = p->count;
        s = plan_scenario_mode(p, &sc, mode, err);
        for (size_t i = first; i < p->count && !s; i++)
            s = override(&p->config[i], r, mode, modes > 1 || p->count - first > 1, err);
    }
    for (size_t i = 0; i < p->count && !s && !trace; i++)
        if (!p->config[i].mix.base_cycles)
            s = nw_fail(
                err, NW_ERR_USAGE,
                "%s names no trace, nor (with mix.base_cycles) what a workload is known to take: give a trace with "
                "--trace FILE",
                r->scenario);
out:
    nw_scenario_fini(&sc);
    return s;
}

static enum nw_status plan_trace(struct plan *p, const struct request *r, struct nw_error *err)
{
    size_t modes = r->mode_count ? r->mode_count : 1;
    p->config = calloc(modes, sizeof *p->config);
    p->trace = strdup(r->trace);
    if (!p->config || !p->trace)
        return nw_fail_nomem(err, "the runs");
    for (size_t m = 0; m < modes; m++) {
        struct nw_config *c = &p->config[p->count++];
        nw_config_init(c);
        enum nw_status s = r->machine ? nw_machine_load(r->machine, NULL, c, err) : NW_OK;
        if (s || (s = override(c, r, r->mode_count ? r->mode[m] : "native", modes > 1, err)))
            return s;
    }
    return NW_OK;
}

static void plan_fini(struct plan *p)
{
    for (size_t i = 0; i < p->count; i++)
        nw_config_fini(&p->config[i]);
    free(p->config);
    free(p->trace);
}

/* ---- the replays ---- */

static enum nw_status replay_one(struct nw_source *source, const struct nw_config *config, const char *title,
                                 const char *trace, const char *sha256, struct nw_run *run, struct nw_error *err)
{
    struct nw_cli_progress progress;
    struct nw_replay_hooks hooks = { nw_cli_progress_step, &progress };
    struct nw_result result;
    nw_cli_progress_start(&progress, title, "accesses");
    enum nw_status s = nw_replay(source, config, &hooks, &result, err);
    nw_cli_progress_finish(&progress);
    if (s)
        return s;
    snprintf(result.trace, sizeof result.trace, "%s", trace);
    snprintf(result.trace_sha256, sizeof result.trace_sha256, "%s", sha256);
    s = nw_run_from_result(&result, run, err);
    nw_result_fini(&result);
    return s;
}

/* Replays all, in order; runs[0 .. *finished) are whole, and stored, whatever the status. */
static enum nw_status replay_all(const struct plan *p, const char *db, struct nw_run *runs, size_t *finished,
                                 struct nw_error *err)
{
    char sha256[65] = "";
    struct nw_source *source = NULL;
    struct nw_store *store = NULL;
    enum nw_status s = p->trace ? nw_nwt_open(&source, p->trace, err)
                                : nw_memory_source_create(&source, NULL, NULL, NULL, 0, NULL, 0, 0, err);
    if (!s && p->trace)
        s = nw_file_sha256(p->trace, sha256, err);
    if (!s && db) /* only now: a trace that cannot be read leaves no empty store behind */
        s = nw_store_open(db, NW_STORE_WRITE, &store, err);
    for (size_t i = 0; i < p->count && !s; i++) {
        char title[128];
        snprintf(title, sizeof title, "%s (%zu of %zu)", p->config[i].label, i + 1, p->count);
        if ((i && (s = nw_source_rewind(source, err))) ||
            (s = replay_one(source, &p->config[i], title, p->trace ? p->trace : "", sha256, &runs[i], err)))
            break;
        if (store && (s = nw_store_add(store, &runs[i], NULL, err))) {
            nw_run_fini(&runs[i]);
            break;
        }
        ++*finished;
        if (nw_cli_interrupted() && *finished < p->count)
            s = NW_ERR_INTERRUPTED;
    }
    if (s == NW_ERR_INTERRUPTED)
        nw_fail(err, s, "interrupted; %zu of %zu runs were finished%s", *finished, p->count,
                store && *finished ? " and are stored" : "");
    nw_store_close(store);
    nw_source_destroy(source);
    return s;
}

/* ---- results ---- */

/* Addresses that no paging of the guest translates are usually a mistake in the making of the trace: say so. */
static void warn_of_noncanonical(const struct nw_run *run)
{
    double count = nw_run_value(run, "faults.noncanonical", 0);
    if (count > 0)
        fprintf(stderr,
                "nestwalk run: note: %s: %.0f accesses have addresses that are not canonical under the guest's paging; "
                "they "
                "are counted in faults.noncanonical and go no further\n",
                nw_run_title(run), count);
}

/* A trace that writes what no hypervisor would let into a page table: the guest goes on without that entry. */
static void warn_of_refusals(const struct nw_run *run)
{
    double count = nw_run_value(run, "direct.refused", 0);
    if (count > 0)
        fprintf(
            stderr,
            "nestwalk run: note: %s: %.0f page-table updates were refused, counted in direct.refused; the first: %s\n",
            nw_run_title(run), count, run->direct_refused);
}

static void print_heading(const struct nw_run *run)
{
    char total[32], text[1024];
    nw_format_count((uint64_t)nw_run_value(run, "accesses.total", 0), 20, total, sizeof total);
    snprintf(text, sizeof text, "%s: %s accesses on %s, fidelity %s, engine %s, seed %llu",
             run->trace[0] ? run->trace : "no trace", total, run->machine, run->fidelity, run->engine,
             (unsigned long long)run->seed);
    nw_cli_wrap(stdout, text, 0, 0, 100);
    putchar('\n');
}

/* ---- stale translations ---- */

enum { STALE_SHOWN = 10 };

static bool any_stale(const struct nw_run *runs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (nw_run_value(&runs[i], "stale.accesses", 0) > 0)
            return true;
    return false;
}

static void print_stale(const struct nw_run *run)
{
    static const char *const heading[] = { "#", "access", "kind", "GVA", "cached HPA", "HPA now", "uses" };
    static const bool numeric[] = { true, true, false, true, true, true, true };
    char cell[6][40], text[704];
    double uses = nw_run_value(run, "stale.accesses", -1), translations = nw_run_value(run, "stale.translations", 0);
    size_t shown = run->stale_count < STALE_SHOWN ? run->stale_count : STALE_SHOWN;
    if (uses < 0)
        return;
    if (!shown) {
        printf("\n%s: no stale translation was used\n", nw_run_title(run));
        return;
    }
    printf("\n%s: %.0f accesses used a stale translation; there were %.0f of them\n", nw_run_title(run), uses,
           translations);
    struct nw_cli_table *t = nw_cli_table_new(heading, numeric, NW_ARRAY_LEN(heading));
    for (size_t i = 0; i < shown; i++) {
        const struct nw_stale_use *u = &run->stale[i];
        char kind[32];
        nw_stale_access_text(u, kind, sizeof kind);
        snprintf(cell[0], sizeof cell[0], "%zu", i + 1);
        snprintf(cell[1], sizeof cell[1], "%llu", (unsigned long long)u->access);
        snprintf(cell[2], sizeof cell[2], "0x%llx", (unsigned long long)u->gva);
        snprintf(cell[3], sizeof cell[3], "0x%llx", (unsigned long long)u->cached_hpa);
        snprintf(cell[4], sizeof cell[4], u->granted ? "0x%llx" : "-", (unsigned long long)u->hpa);
        snprintf(cell[5], sizeof cell[5], "%llu", (unsigned long long)u->uses);
        nw_cli_table_row(t, (const char *const[]){ cell[0], cell[1], kind, cell[2], cell[3], cell[4], cell[5] });
    }
    nw_cli_table_print(t, stdout);
    for (size_t i = 0; i < shown; i++) {
        int n = snprintf(text, sizeof text, "%zu. ", i + 1);
        nw_stale_sentence(&run->stale[i], text + n, sizeof text - (size_t)n);
        nw_cli_wrap(stdout, text, 3, 0, 100);
    }
    if (translations > (double)shown)
        printf("... and %.0f more translations; --json lists up to %d\n", translations - (double)shown,
               NW_STALE_USES_MAX);
}

static enum nw_status write_results(const struct request *r, const struct nw_run *runs, size_t count,
                                    struct nw_error *err)
{
    enum nw_status s;
    if (r->json && (s = nw_report_json(runs, count, r->json, err)))
        return s;
    if (r->csv && (s = nw_report_csv(runs, count, r->csv, err)))
        return s;
    if (nw_cli_is_stdout(r->json) || nw_cli_is_stdout(r->csv))
        return NW_OK;
    print_heading(&runs[0]);
    if ((s = nw_cli_print_comparison(runs, count, NW_COMPARE_INTEREST, stdout, err)))
        return s;
    for (size_t i = 0; i < count; i++)
        print_stale(&runs[i]);
    return NW_OK;
}

/* *stale: --fail-on-stale found one. */
static enum nw_status execute(const struct request *r, bool *stale, struct nw_error *err)
{
    struct plan plan = { 0 };
    struct nw_run *runs = NULL;
    size_t finished = 0;
    enum nw_status s = r->scenario ? plan_scenario(&plan, r, err) : plan_trace(&plan, r, err);
    if (s || (s = nw_cli_check_writable(r->json, err)) || (s = nw_cli_check_writable(r->csv, err)))
        goto out;
    if (!(runs = calloc(plan.count, sizeof *runs))) {
        s = nw_fail_nomem(err, "the results");
        goto out;
    }
    nw_cli_catch_interrupts();
    s = replay_all(&plan, r->db, runs, &finished, err);
    for (size_t i = 0; i < finished; i++) {
        warn_of_noncanonical(&runs[i]);
        warn_of_refusals(&runs[i]);
    }
    if (!s)
        s = write_results(r, runs, finished, err);
    *stale = r->fail_on_stale && any_stale(runs, finished);
out:
    nw_runs_free(runs, finished);
    plan_fini(&plan);
    return s;
}

/* ---- curves ---- */

static bool wants_curves(const struct request *r) { return r->mrc || r->mrc_rate || r->mrc_sets || r->mrc_window; }

/* What is said that curves have no use for; NULL: nothing. */
static const char *not_for_curves(const struct request *r)
{
    return r->scenario        ? "a scenario"
           : r->mode_count    ? "--mode"
           : r->engine        ? "--engine"
           : r->fidelity      ? "--fidelity"
           : r->label         ? "--label"
           : r->db            ? "--db"
           : r->sample        ? "--sample"
           : r->fail_on_stale ? "--fail-on-stale"
           : r->detect_stale  ? "--detect-stale"
                              : NULL;
}

static enum nw_status make_curves(const struct request *r, struct nw_error *err)
{
    struct plan plan = { 0 };
    enum nw_status s = plan_trace(&plan, r, err);
    if (!s && !(s = nw_cli_check_writable(r->json, err)) && !(s = nw_cli_check_writable(r->csv, err))) {
        const struct nw_cli_mrc curves = { .trace = r->trace,
                                           .exact = r->mrc,
                                           .rate = r->mrc_rate,
                                           .sets = r->mrc_sets,
                                           .window = r->mrc_window,
                                           .json = r->json,
                                           .csv = r->csv,
                                           .config = &plan.config[0] };
        s = nw_cli_run_mrc(&curves, err);
    }
    plan_fini(&plan);
    return s;
}

/* ---- samples ---- */

static enum nw_status make_sample(const struct request *r, struct nw_error *err)
{
    struct plan plan = { 0 };
    enum nw_status s = r->scenario ? plan_scenario(&plan, r, err) : plan_trace(&plan, r, err);
    if (!s && !plan.trace)
        s = nw_fail(err, NW_ERR_USAGE, "--sample needs a trace: %s names none", r->scenario);
    if (!s && !(s = nw_cli_check_writable(r->json, err)) && !(s = nw_cli_check_writable(r->csv, err))) {
        const struct nw_cli_sample sample = { .trace = plan.trace,
                                              .sample = r->sample,
                                              .window = r->sample_window,
                                              .warm = r->sample_warm,
                                              .json = r->json,
                                              .csv = r->csv,
                                              .config = plan.config,
                                              .count = plan.count };
        s = nw_cli_run_sample(&sample, err);
    }
    plan_fini(&plan);
    return s;
}

/* ---- several guests ---- */

/* What is said that a host of several guests has no use for; NULL: nothing. */
static const char *not_for_guests(const struct request *r)
{
    return r->trace           ? "--trace: each guest's <work> has its own"
           : r->machine       ? "--machine"
           : r->mode_count    ? "--mode"
           : r->engine        ? "--engine"
           : r->fidelity      ? "--fidelity"
           : r->sample        ? "--sample"
           : r->fail_on_stale ? "--fail-on-stale"
           : r->detect_stale  ? "--detect-stale"
                              : NULL;
}

/* *several: the scenario is of several guests, and this has run it, or failed to. */
static enum nw_status run_guests(const struct request *r, bool *several, struct nw_error *err)
{
    enum nw_status s = nw_guests_recognise(r->scenario, several, err);
    if (s || !*several)
        return s;
    if (not_for_guests(r))
        return nw_fail(err, NW_ERR_USAGE, "%s is of several guests, for which there is no %s", r->scenario,
                       not_for_guests(r));
    const struct nw_cli_guests guests = { .scenario = r->scenario,
                                          .label = r->label,
                                          .seed = r->seed,
                                          .db = r->db,
                                          .json = r->json,
                                          .csv = r->csv,
                                          .set = r->set,
                                          .set_count = r->set_count };
    return nw_cli_run_guests(&guests, err);
}

static int run(const struct nw_command *self, int argc, char **argv)
{
    struct nw_error err = { 0 };
    struct request r = { .mode = calloc((size_t)argc, sizeof *r.mode), .set = calloc((size_t)argc, sizeof *r.set) };
    int exit_status;
    bool several = false;
    enum nw_status guests;
    if (!r.mode || !r.set) {
        exit_status = nw_cli_fail(self, nw_fail_nomem(&err, "the command line"), &err);
        goto out;
    }
    struct nw_cli_parser parser;
    nw_cli_parser_init(&parser, self, argc, argv);
    const char *value;
    int option;
    while ((option = nw_cli_next(&parser, &value)) >= 0 || option == NW_CLI_ARGUMENT) {
        if (option >= 0)
            take_option(&r, option, value);
        else if (!r.scenario)
            r.scenario = value;
        else
            break;
    }
    if (option == NW_CLI_EXIT)
        exit_status = parser.exit_status;
    else if (option == NW_CLI_ARGUMENT)
        exit_status = nw_cli_usage(self, "one scenario at a time: %s and %s", r.scenario, value);
    else if (!r.scenario && !r.trace)
        exit_status = nw_cli_usage(self, "needs a scenario or --trace FILE");
    else if (nw_cli_is_stdout(r.json) && nw_cli_is_stdout(r.csv))
        exit_status = nw_cli_usage(self, "--json - and --csv - cannot both have standard output");
    else if (wants_curves(&r) && not_for_curves(&r))
        exit_status = nw_cli_usage(self, "--mrc replays nothing: it takes a trace, and no %s", not_for_curves(&r));
    else if ((r.mrc_sets || r.mrc_window) && !r.mrc)
        exit_status =
            nw_cli_usage(self, "%s is for exact curves: it needs --mrc", r.mrc_sets ? "--mrc-sets" : "--mrc-window");
    else if (wants_curves(&r)) {
        enum nw_status s = make_curves(&r, &err);
        exit_status = s ? nw_cli_fail(self, s, &err) : 0;
    } else if (r.scenario && ((guests = run_guests(&r, &several, &err)) || several)) {
        exit_status = guests ? nw_cli_fail(self, guests, &err) : 0;
    } else if ((r.sample_window || r.sample_warm) && !r.sample) {
        exit_status = nw_cli_usage(self, "%s needs --sample", r.sample_window ? "--sample-window" : "--sample-warm");
    } else if (r.sample && r.db) {
        exit_status = nw_cli_usage(self, "--sample makes estimates, and a store (--db) holds exact counts only");
    } else if (r.sample) {
        enum nw_status s = make_sample(&r, &err);
        exit_status = s ? nw_cli_fail(self, s, &err) : 0;
    } else {
        bool stale = false;
        enum nw_status s = execute(&r, &stale, &err);
        exit_status = s ? nw_cli_fail(self, s, &err) : stale;
    }
out:
    free(r.mode);
    free(r.set);
    return exit_status;
}

const struct nw_command nw_cmd_run = {
    .name = "run",
    .synopsis = "[SCENARIO.xml] [--trace FILE] [--machine MACHINE] [--mode MODE]... [--set PATH=VALUE]... [--db FILE] "
                "[--json FILE|-] [--csv FILE|-] [--mrc] [--sample N|F]",
    .summary = "replay a trace through a machine, natively or by any way to virtualize memory",
    .details =
        "Replays one trace once for each run and prints the runs side by side; the first is what the others are "
        "compared with. "
        "Without a scenario a trace is needed, and each --mode is a run. With one, its runs are made, or with "
        "--mode those "
        "of them that have that mode (when none has, the scenario's machine in that mode). A scenario whose runs all "
        "set "
        "mix.base_cycles needs no trace: its runs are the exits it counts.\n\n"
        "What the command line says overrides the scenario, and the scenario overrides the machine profile. The "
        "parameters "
        "that --set takes are listed in nestwalk(1).\n\n"
        "A scenario may be of several guests on one host with too little memory (its first element is <guests>): then "
        "it is replayed at the level of pages, and the figures are those of faults, swapping, ballooning and sharing. "
        "docs/overcommit.md tells more.\n\n"
        "With --detect-stale, a hit of a translation whose tables have changed since it was cached is compared with "
        "what a walk would find: a page that is gone, another frame, or fewer rights is reported, with the write that "
        "no invalidation followed. It finds a kernel's or a hypervisor's missing flush.\n\n"
        "With --mrc nothing is replayed: one pass gives the miss ratio of LRU arrays of every size, by entries when "
        "they are "
        "fully associative and by ways for a number of sets, for pages of 4 KiB, 2 MiB and 1 GiB, and for data "
        "accesses, "
        "fetches and both together. Every array is by itself: none is filtered by a level before it, and nothing is "
        "invalidated or flushed; pages of different address spaces (values of CR3) are different. The bound of a "
        "sample "
        "(--mrc-rate) is three standard errors, as the sample itself shows them. --machine and --set say which sizes "
        "are "
        "shown besides powers of two, and which sets.\n\n"
        "With --sample only windows of the trace are replayed, each behind some accesses that warm TLBs and caches; "
        "what "
        "else the trace tells (table writes, control registers, invalidations) is all applied. A figure's interval "
        "holds "
        "the error of chance and what the cold start of a window leaves unknown: see docs/sampling.md. It is for the "
        "modes native and nested. Estimates go to the table, JSON and CSV, never to a store.\n\n"
        "Ctrl-C ends cleanly: runs that were finished stay in the store.\n\n"
        "The fast engine reads only what a TLB cares about: the columns of the trace that hold the places within "
        "pages are left unread, and so is damage in them. nestwalk trace verify reads everything.",
    .examples = "nestwalk run --trace btree.nwt --mode native --mode shadow --mode nested\n"
                "nestwalk run --trace btree.nwt --machine amd-zen4 --mode nested --set vmm.backing=2M --json -\n"
                "nestwalk run three-ways.xml --db results.db\n"
                "nestwalk run --trace btree.nwt --mrc --mrc-rate 0.1\n"
                "nestwalk run --trace long.nwt --mode native --mode nested --sample 200",
    .options = options,
    .run = run,
};
