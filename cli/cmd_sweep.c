/* cmd_sweep.c - `nestwalk sweep`: all points of a scenario's sweeps, on all cores, each stored as soon as it is there. */
#include "result_files.h"
#include "sweep.h"
#include "sweep_guests.h"
#include <nestwalk/scenarios/guests.h>
#include <nestwalk/sim/replay_many.h>
#include <sched.h>
#include <stdlib.h>

enum { MACHINES_A_JOB = 4, BATCH_MAX = 65536 };

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
    [OPT_MODE] = { "mode", 'm', "native|direct|shadow|nested|agile",
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

static unsigned cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set))
        return 1;
    int n = CPU_COUNT(&set);
    return n < 1 ? 1 : (unsigned)n;
}

/* *failed: points that have no result. */
static enum nw_status execute(struct sweep *w, size_t *failed, struct nw_error *err)
{
    enum nw_status s = sweep_prepare(w, err);
    if (s)
        return s;
    if (w->options->dry_run)
        return sweep_list(w, err);
    if ((s = sweep_run_due(w, err)) || (s = sweep_write_results(w, err)))
        return s;
    *failed = sweep_tell_failures(w);
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
static bool take_option(struct sweep_options *r, const char **mode, const char **set, int option, const char *value)
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

static int go(const struct nw_command *self, struct sweep_options *r)
{
    if (!r->sweep.scenario)
        return nw_cli_usage(self, "needs a scenario");
    if (nw_cli_is_stdout(r->json) && nw_cli_is_stdout(r->csv))
        return nw_cli_usage(self, "--json - and --csv - cannot both have standard output");
    if (r->dry_run && (r->json || r->csv))
        return nw_cli_usage(self, "--dry-run makes no results for --%s", r->json ? "json" : "csv");
    if (!r->jobs)
        r->jobs = cores();
    if (!r->batch)
        r->batch = MACHINES_A_JOB * r->jobs;
    struct nw_error err = { 0 };
    struct sweep w = { .options = r };
    size_t failed = 0;
    bool several = false;
    enum nw_status s = nw_guests_recognise(r->sweep.scenario, &several, &err);
    if (!s)
        s = several ? nw_cli_sweep_guests(r, &failed, &err) : execute(&w, &failed, &err);
    int exit_status = s ? nw_cli_fail(self, s, &err) : failed ? 1 : 0;
    sweep_fini(&w);
    return exit_status;
}

static int run(const struct nw_command *self, int argc, char **argv)
{
    struct nw_error err = { 0 };
    const char **mode = calloc((size_t)argc, sizeof *mode), **set = calloc((size_t)argc, sizeof *set);
    struct sweep_options r = { .db = "results.db", .sweep.mode = mode, .sweep.overrides.set = set };
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
        "A file of several guests is swept likewise, each point by itself; at the end comes what nestwalk overcommit "
        "says "
        "of them.\n\n"
        "At the end comes a table of all points. nestwalk report draws them, and docs/sweeps.md tells more.",
    .examples = "nestwalk sweep scenarios/shipped/sweep-l2-tlb.xml --dry-run\n"
                "nestwalk sweep scenarios/shipped/sweep-l2-tlb.xml --jobs 2 --csv l2.csv\n"
                "nestwalk sweep study.xml --trace btree.nwt --set vmm.slat=npt --db study.db",
    .options = options,
    .run = run,
};
