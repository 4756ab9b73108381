/* cmd_validate_programs.c - `nestwalk validate programs`: what 4 KiB pages cost real programs, measured and predicted. */
#include "cli.h"
#include "measured_machine.h"
#include "result_files.h"
#include <nestwalk/reports/measurement_store.h>
#include <nestwalk/reports/programs.h>
#include <nestwalk/scenarios/machine.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    OPT_QUICK,
    OPT_FULL,
    OPT_PROCESSES,
    OPT_SEED,
    OPT_PREDICTED,
    OPT_FROM,
    OPT_SAMPLES,
    OPT_MACHINE,
    OPT_PROFILE,
    OPT_TRACES,
    OPT_HTML,
    OPT_JSON
};
static const struct nw_option options[] = {
    [OPT_QUICK] = { "quick", 'q', NULL, "About a minute of measuring, 4 processes (default)." },
    [OPT_FULL] = { "full", 'f', NULL, "About ten minutes: 20 processes, 3 runs in each." },
    [OPT_PROCESSES] = { "processes", 'n', "N", "So many fresh processes, 1 to 200." },
    [OPT_SEED] = { "seed", 0, "N", "Of the random orders of the chases. Default: 1." },
    [OPT_PREDICTED] = { "predicted", 0, "N",
                        "Predict for so many processes, each with its own frames. Default: 2, with --full 4." },
    [OPT_FROM] = { "from", 0, "FILE.db", "Measure nothing: judge these samples again." },
    [OPT_SAMPLES] = { "samples", 's', "FILE.db", "Keep the raw samples, in SQLite." },
    [OPT_MACHINE] = { "machine", 'm', "PROFILE",
                      "Predict with this profile, as `validate tlb --profile` writes it. Default: one fitted to chases "
                      "that are measured with the programs." },
    [OPT_PROFILE] = { "profile", 'p', "OUT.xml", "Write the fitted machine as a profile." },
    [OPT_TRACES] = { "traces", 't', "DIRECTORY",
                     "Write there NAME-4K.nwt and NAME-2M.nwt: the accesses that are replayed, with the page tables of "
                     "the first process." },
    [OPT_HTML] = { "html", 0, "FILE|-", "Write a page with the picture of measured against predicted." },
    [OPT_JSON] = { "json", 'j', "FILE|-", "Write the result as JSON; - is standard output, instead of the tables." },
    { 0 },
};

enum {
    QUICK_PROCESSES = 4,
    FULL_PROCESSES = 20,
    QUICK_REPEATS = 2,
    FULL_REPEATS = 3,
    QUICK_SECONDS = 120,
    FULL_SECONDS = 900,
    PROCESSES_MAX = 200,
    QUICK_PREDICTED = 2,
    FULL_PREDICTED = 4,
    PATH_SIZE = 4096
};

struct request {
    bool full;
    uint64_t processes, seed, predicted;
    const char *from, *samples, *machine, *profile, *traces, *html, *json;
};

struct work {
    struct nw_measurement measurement;
    struct nw_config config;
    struct nw_fit fit;
    struct nw_program_judgement judgement;
    struct nw_cli_progress progress;
};

/* ---- the work ---- */

/* Without 2 MiB pages there is nothing to compare with. */
static enum nw_status check_pages(const struct nw_measurement *m, struct nw_error *err)
{
    for (size_t i = 0; i < m->process_count; i++)
        if (m->process[i].there[NW_CHASE_2M])
            return NW_OK;
    for (size_t i = 0; i < m->note_count; i++)
        if (strstr(m->note[i], "2 MiB"))
            return nw_fail(err, NW_ERR_ENV, "programs cannot be timed with large pages here: %s", m->note[i]);
    return nw_fail(err, NW_ERR_ENV, "programs cannot be timed with large pages here");
}

static enum nw_status measure(struct work *w, const struct request *r, struct nw_error *err)
{
    struct nw_chase *plan;
    size_t count;
    const struct nw_measure_options o = {
        .processes = (uint32_t)(r->processes ? r->processes
                                : r->full    ? FULL_PROCESSES
                                             : QUICK_PROCESSES),
        .repeats = r->full ? FULL_REPEATS : QUICK_REPEATS,
        .chunk_ms = 0.4,
        .seconds = r->full ? FULL_SECONDS : QUICK_SECONDS,
        .seed = r->seed,
        .memory_bytes = measured_machine_memory(),
        .progress = nw_cli_progress_step,
        .context = &w->progress,
    };
    if (r->from)
        return nw_measurement_load(&w->measurement, r->from, err);
    enum nw_status s = nw_program_plan(&plan, &count, err);
    if (s)
        return s;
    nw_cli_progress_start(&w->progress, "measure", "processes");
    s = nw_measure_chases(&w->measurement, plan, count, &o, err);
    nw_cli_progress_finish(&w->progress);
    free(plan);
    if (!s)
        s = check_pages(&w->measurement, err);
    if (!s)
        s = measured_machine_describe(&w->measurement, err);
    if (!s && r->samples)
        s = nw_measurement_save(&w->measurement, r->samples, err);
    return s;
}

static enum nw_status fit(struct work *w, const struct request *r, struct nw_error *err)
{
    const struct nw_calibrate_options o = {
        .nested = w->measurement.nested, .frozen = r->machine, .progress = nw_cli_progress_step, .context = &w->progress
    };
    enum nw_status s = nw_machine_load(r->machine ? r->machine : w->measurement.profile, NULL, &w->config, err);
    if (s)
        return s;
    nw_cli_progress_start(&w->progress, r->machine ? "set up" : "fit", "replays");
    s = nw_calibrate(&w->measurement, &w->config, &w->fit, &o, err);
    nw_cli_progress_finish(&w->progress);
    return s;
}

static enum nw_status judge(struct work *w, const struct request *r, struct nw_error *err)
{
    const struct nw_program_options o = { .predicted = (uint32_t)(r->predicted ? r->predicted
                                                                  : r->full    ? FULL_PREDICTED
                                                                               : QUICK_PREDICTED),
                                          .progress = nw_cli_progress_step,
                                          .context = &w->progress };
    nw_cli_progress_start(&w->progress, "predict", "replays");
    enum nw_status s = nw_programs_judge(&w->measurement, &w->config, &o, &w->judgement, err);
    nw_cli_progress_finish(&w->progress);
    return s;
}

static enum nw_status write_traces(struct work *w, const struct request *r, struct nw_error *err)
{
    char path[PATH_SIZE];
    size_t program;
    enum nw_status s = NW_OK;
    if (!r->traces)
        return NW_OK;
    struct nw_chase_world *world = NULL;
    nw_cli_progress_start(&w->progress, "write traces", "traces");
    s = nw_chase_world_create(&world, &w->measurement, 0, err);
    for (size_t i = 0, n = 0; i < w->measurement.chase_count && !s; i++) {
        const struct nw_chase *c = &w->measurement.chase[i];
        if (!nw_chase_is_program(c, &program) || !w->measurement.process[0].there[c->pages])
            continue;
        snprintf(path, sizeof path, "%.4000s/%s-%s.nwt", r->traces, nw_program_name(program),
                 nw_chase_pages_name[c->pages]);
        s = nw_cli_progress_step(&w->progress, n++, (uint64_t)2 * NW_PROGRAMS)
                ? nw_program_trace_save(world, &w->measurement, 0, i, path, err)
                : nw_fail(err, NW_ERR_INTERRUPTED, "interrupted");
    }
    nw_chase_world_destroy(world);
    nw_cli_progress_finish(&w->progress);
    return s;
}

/* ---- what is shown ---- */

static void print_programs(const struct work *w)
{
    struct nw_cli_table *t =
        nw_cli_table_new((const char *const[]){ "program", "4K", "2M", "slowdown", "range", "predicted", "error",
                                                "all exposed", "holds" },
                         (const bool[]){ false, true, true, true, true, true, true, true, false }, 9);
    for (size_t i = 0; i < w->judgement.count; i++) {
        const struct nw_program_judged *p = &w->judgement.program[i];
        char cell[7][32];
        snprintf(cell[0], sizeof cell[0], "%.1f", p->cycles[0].middle);
        snprintf(cell[1], sizeof cell[1], "%.1f", p->cycles[1].middle);
        snprintf(cell[2], sizeof cell[2], "%.3f", p->ratio.middle);
        snprintf(cell[3], sizeof cell[3], "%.3f-%.3f", p->ratio.low, p->ratio.high);
        snprintf(cell[4], sizeof cell[4], "%.3f", p->predicted.middle);
        snprintf(cell[5], sizeof cell[5], "%+.1f %%", p->error_percent);
        snprintf(cell[6], sizeof cell[6], "%.3f", p->all_exposed);
        nw_cli_table_row(t, (const char *const[]){ nw_program_name(p->program), cell[0], cell[1], cell[2], cell[3],
                                                   cell[4], cell[5], cell[6], p->within ? "yes" : "no" });
    }
    nw_cli_table_print(t, stdout);
}

static void print_text(const struct work *w)
{
    const struct nw_program_judgement *j = &w->judgement;
    printf("%s\nCore cycles an operation with pages of 4K and of 2M, medians over processes, and the slowdown of 4K "
           "over 2M.\n\n",
           w->measurement.machine);
    print_programs(w);
    printf("\n");
    for (size_t i = 0; i < j->count; i++) {
        const struct nw_program_judged *p = &j->program[i];
        printf("%s, one %s: %.1f accesses, %.2f walks with 4K and %.2f with 2M; %.0f and %.0f cycles of latency, "
               "%.0f %% of it exposed\n",
               nw_program_name(p->program), nw_program_operation(p->program), p->accesses, p->walks[0], p->walks[1],
               p->latency[0], p->latency[1], 100 * p->exposed);
    }
    printf(
        "\nThis machine makes %.1f walks at once; %.1f MiB of its last cache are left to programs. %s on %zu chases, "
        "mean error %.1f %%.\n",
        j->walks_at_once, (double)j->last_cache_bytes / (1 << 20),
        w->fit.value_count ? "Profile fitted" : "Profile as given", w->fit.points, w->fit.error_percent);
    printf("claim: %s: %s\n", nw_programs_claim, j->holds ? "holds" : "missed");
    for (size_t i = 0; i < w->measurement.note_count; i++)
        printf("left out: %s\n", w->measurement.note[i]);
}

static enum nw_status show(const struct work *w, const struct request *r, struct nw_error *err)
{
    char *text;
    enum nw_status s = NW_OK;
    if (r->profile)
        s = nw_machine_save(&w->config, r->profile, err);
    if (!s && r->html && !(s = nw_programs_html_text(&w->judgement, &w->measurement, &text, err)))
        s = nw_cli_write_text(text, r->html, err);
    if (!s && r->json && !(s = nw_programs_json_text(&w->judgement, &w->measurement, &text, err)))
        s = nw_cli_write_text(text, r->json, err);
    if (!s && !nw_cli_is_stdout(r->json) && !nw_cli_is_stdout(r->html))
        print_text(w);
    return s;
}

/* ---- options ---- */

static int parse(const struct nw_command *self, struct nw_cli_parser *parser, struct request *r)
{
    const char *value;
    int option;
    struct stat st;
    while ((option = nw_cli_next(parser, &value)) != NW_CLI_DONE) {
        switch (option) {
        case NW_CLI_EXIT: return parser->exit_status;
        case NW_CLI_ARGUMENT: return nw_cli_usage(self, "\"%s\": stored samples are named with --from", value);
        case OPT_QUICK: r->full = false; break;
        case OPT_FULL: r->full = true; break;
        case OPT_FROM: r->from = value; break;
        case OPT_SAMPLES: r->samples = value; break;
        case OPT_MACHINE: r->machine = value; break;
        case OPT_PROFILE: r->profile = value; break;
        case OPT_TRACES: r->traces = value; break;
        case OPT_HTML: r->html = value; break;
        case OPT_JSON: r->json = value; break;
        case OPT_PROCESSES:
            if (!nw_cli_parse_u64(value, &r->processes) || !r->processes || r->processes > PROCESSES_MAX)
                return nw_cli_usage(self, "--processes %s: a number from 1 to %d", value, PROCESSES_MAX);
            break;
        case OPT_PREDICTED:
            if (!nw_cli_parse_u64(value, &r->predicted) || !r->predicted || r->predicted > PROCESSES_MAX)
                return nw_cli_usage(self, "--predicted %s: a number from 1 to %d", value, PROCESSES_MAX);
            break;
        default:
            if (!nw_cli_parse_u64(value, &r->seed))
                return nw_cli_usage(self, "--seed %s: not a number", value);
        }
    }
    if (r->from && (r->samples || r->processes))
        return nw_cli_usage(self, "--from measures nothing: --samples and --processes have no meaning with it");
    if (r->machine && r->profile)
        return nw_cli_usage(self, "--machine gives the profile: there is no fitted one to write with --profile");
    if (r->traces && (stat(r->traces, &st) || !S_ISDIR(st.st_mode)))
        return nw_cli_usage(self, "--traces %s: there is no such directory", r->traces);
    if (nw_cli_is_stdout(r->json) && nw_cli_is_stdout(r->html))
        return nw_cli_usage(self, "--json - and --html -: one of them can have standard output");
    return -1;
}

static int run(const struct nw_command *self, int argc, char **argv)
{
    struct nw_cli_parser parser;
    struct request r = { .seed = 1 };
    struct nw_error err = { 0 };
    struct work *w = calloc(1, sizeof *w);
    if (!w)
        return nw_cli_fail(self, nw_fail_nomem(&err, "a validation"), &err);
    nw_config_init(&w->config);
    nw_cli_parser_init(&parser, self, argc, argv);
    int exit_status = parse(self, &parser, &r);
    if (exit_status < 0) {
        const char *const outputs[] = { r.samples, r.profile, r.html, r.json };
        enum nw_status s = NW_OK;
        for (size_t i = 0; i < sizeof outputs / sizeof *outputs && !s; i++)
            s = nw_cli_check_writable(outputs[i], &err);
        nw_cli_catch_interrupts();
        (void)(s || (s = measure(w, &r, &err)) || (s = fit(w, &r, &err)) || (s = judge(w, &r, &err)) ||
               (s = write_traces(w, &r, &err)) || (s = show(w, &r, &err)));
        exit_status = s ? nw_cli_fail(self, s, &err) : w->judgement.holds ? 0 : 1;
        nw_measurement_fini(&w->measurement);
    }
    nw_config_fini(&w->config);
    free(w);
    return exit_status;
}

const struct nw_command nw_cmd_validate_programs = {
    .name = "validate programs",
    .synopsis =
        "[--quick|--full] [--processes N] [--predicted N] [--machine PROFILE|--profile OUT.xml] [--from FILE.db] "
        "[--samples FILE.db] [--traces DIRECTORY] [--html FILE|-] [--json FILE|-]",
    .summary = "what 4K pages cost programs on this machine, measured and predicted",
    .details =
        "Times searches in a B+tree, a hash join, breadth-first search, random updates (GUPS) and heapsort in fresh "
        "processes, with pages of 4K and of 2M. The same programs' accesses are replayed with the frames that the "
        "processes had, and the slowdown of 4K over 2M is predicted from the time with 2M, the latencies of both "
        "replays, and how many walks this machine makes at once. Nothing is fitted on a run with 4K.\n\n"
        "Exit status 0: four of the five slowdowns are within 15 % of the measured ones; 1: they are not; 4: it cannot "
        "be measured here.",
    .examples = "nestwalk validate programs\n"
                "nestwalk validate programs --full --samples programs.db --html programs.html\n"
                "nestwalk validate programs --from programs.db --machine here.xml --json -",
    .options = options,
    .run = run,
};
