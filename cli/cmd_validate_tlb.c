/* cmd_validate_tlb.c - `nestwalk validate tlb`: the model of TLBs and walks against the timing of this machine; and `nestwalk validate walk`, which
 * shows of the same samples what the walks alone take. */
#include "cli.h"
#include "measured_machine.h"
#include "result_files.h"
#include <inttypes.h>
#include <nestwalk/reports/judgement.h>
#include <nestwalk/reports/measurement_store.h>
#include <nestwalk/scenarios/machine.h>
#include <nestwalk/sim/judge.h>
#include <stdlib.h>
#include <string.h>

enum {
    OPT_QUICK,
    OPT_FULL,
    OPT_PROCESSES,
    OPT_SEED,
    OPT_FROM,
    OPT_SAMPLES,
    OPT_APPEND,
    OPT_ONLY,
    OPT_MACHINE,
    OPT_FROZEN,
    OPT_PROFILE,
    OPT_HTML,
    OPT_JSON
};
static const struct nw_option options[] = {
    [OPT_QUICK] = { "quick", 'q', NULL, "About 45 s of measuring, 8 processes (default)." },
    [OPT_FULL] = { "full", 'f', NULL, "Ten minutes at most: more chases, larger ones, up to 40 processes." },
    [OPT_PROCESSES] = { "processes", 'n', "N",
                        "So many fresh processes, 2 to 200, every other one to fit on, the others to judge." },
    [OPT_SEED] = { "seed", 0, "N", "Of the random orders. Default: 1." },
    [OPT_FROM] = { "from", 0, "FILE.db", "Measure nothing: judge these samples again." },
    [OPT_SAMPLES] = { "samples", 's', "FILE.db",
                      "Keep the raw samples, in SQLite; also those of a run that Ctrl-C ended." },
    [OPT_APPEND] = { "append", 'a', NULL,
                     "Measure the chases of that file in more processes and judge all: for a noisy machine, or in "
                     "several quiet moments." },
    [OPT_ONLY] = { "only-measure", 'o', NULL, "Judge nothing yet: --from does, at any other time." },
    [OPT_MACHINE] = { "machine", 'm', "PROFILE",
                      "Where the fit begins. Default: the shipped profile nearest to this processor, or textbook." },
    [OPT_FROZEN] = { "frozen", 0, NULL, "Fit nothing: judge that profile as it is, as one of another day or machine." },
    [OPT_PROFILE] = { "profile", 'p', "OUT.xml", "Write the fitted machine as a profile." },
    [OPT_HTML] = { "html", 0, "FILE|-", "Write a page with the picture of measured against predicted." },
    [OPT_JSON] = { "json", 'j', "FILE|-", "Write the result as JSON; - is standard output, instead of the tables." },
    { 0 },
};

enum {
    QUICK_PROCESSES = 8,
    FULL_PROCESSES = 40,
    QUICK_REPEATS = 2,
    FULL_REPEATS = 3,
    QUICK_SECONDS = 60,
    FULL_SECONDS = 600,
    PROCESSES_MAX = 200,
    QUICK_PREDICTED = 2,
    FULL_PREDICTED = 4
};

struct request {
    bool full, frozen, append, only_measure, walk; /* walk: the command is `validate walk` */
    uint64_t processes, seed;
    const char *from, *samples, *machine, *profile, *html, *json;
};

struct work {
    struct nw_measurement measurement;
    struct nw_config start, shipped;
    struct nw_judgement judgement;
    struct nw_cli_progress progress;
};

/* ---- the work ---- */

static uint64_t processes_of(const struct request *r)
{
    return r->processes ? r->processes : r->full ? FULL_PROCESSES : QUICK_PROCESSES;
}

/* The samples that more are added to: they must be of this machine. */
static enum nw_status load_for_more(struct nw_measurement *m, const struct request *r, struct nw_error *err)
{
    struct nw_measurement here = { 0 };
    enum nw_status s = nw_measurement_load(m, r->samples, err);
    if (s || (s = measured_machine_describe(&here, err)))
        return s;
    if (m->process_count + processes_of(r) > PROCESSES_MAX)
        return nw_fail(err, NW_ERR_USAGE, "%s has %zu processes: %" PRIu64 " more would be above %d", r->samples,
                       m->process_count, processes_of(r), PROCESSES_MAX);
    return !strcmp(here.machine, m->machine)
               ? NW_OK
               : nw_fail(err, NW_ERR_INPUT, "%s is of another machine (%s) than this one (%s): nothing can be added",
                         r->samples, m->machine, here.machine);
}

static enum nw_status measure(struct work *w, const struct request *r, struct nw_error *err)
{
    size_t count;
    const struct nw_chase *plan = nw_chase_plan(r->full, &count);
    const struct nw_measure_options o = {
        .processes = (uint32_t)processes_of(r),
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
    enum nw_status s = r->append ? load_for_more(&w->measurement, r, err) : NW_OK;
    if (s)
        return s;
    const size_t had = w->measurement.process_count;
    nw_cli_progress_start(&w->progress, "measure", "processes");
    s = nw_measure_chases(&w->measurement, plan, count, &o, err);
    nw_cli_progress_finish(&w->progress);
    if ((s && s != NW_ERR_INTERRUPTED) || w->measurement.process_count == had)
        return s;
    struct nw_error second;
    enum nw_status kept = had ? NW_OK : measured_machine_describe(&w->measurement, &second);
    if (!kept && r->samples)
        kept = nw_measurement_save(&w->measurement, r->samples, &second);
    if (kept) {
        *err = second;
        return kept;
    }
    if (s && r->samples)
        return nw_fail(err, s, "interrupted; %s has the %zu process%s that came to an end", r->samples,
                       w->measurement.process_count, w->measurement.process_count == 1 ? "" : "es");
    return s;
}

static enum nw_status judge(struct work *w, const struct request *r, struct nw_error *err)
{
    const struct nw_judge_options o = { .nested = w->measurement.nested,
                                        .frozen = r->frozen,
                                        .textbook = &w->shipped,
                                        .predicted = r->full ? FULL_PREDICTED : QUICK_PREDICTED,
                                        .progress = nw_cli_progress_step,
                                        .context = &w->progress };
    enum nw_status s = nw_machine_load(r->machine ? r->machine : w->measurement.profile, NULL, &w->start, err);
    if (s || (s = nw_machine_load(w->measurement.profile, NULL, &w->shipped, err)))
        return s;
    nw_cli_progress_start(&w->progress, "fit and predict", "replays");
    s = nw_judge(&w->measurement, &w->start, &o, &w->judgement, err);
    nw_cli_progress_finish(&w->progress);
    return s;
}

/* ---- what is shown ---- */

static void print_points(const struct work *w)
{
    struct nw_cli_table *t =
        nw_cli_table_new((const char *const[]){ "chase", "measured", "range", "predicted", "error", "textbook", "1D",
                                                "regime", "edge of" },
                         (const bool[]){ true, true, true, true, true, true, true, false, false }, 9);
    for (size_t i = 0; i < w->judgement.point_count; i++) {
        const struct nw_judged_point *p = &w->judgement.point[i];
        char name[40], cell[6][32];
        nw_judged_point_name(&w->measurement.chase[p->chase], name, sizeof name);
        snprintf(cell[0], sizeof cell[0], "%.1f", p->measured.cycles);
        snprintf(cell[1], sizeof cell[1], "%.0f-%.0f", p->measured.low, p->measured.high);
        snprintf(cell[2], sizeof cell[2], "%.1f", p->predicted[NW_JUDGED_OURS]);
        snprintf(cell[3], sizeof cell[3], "%+.0f %%", nw_judged_error_percent(p, NW_JUDGED_OURS));
        snprintf(cell[4], sizeof cell[4], "%.0f", p->predicted[NW_JUDGED_TEXTBOOK]);
        snprintf(cell[5], sizeof cell[5], "%.0f", p->predicted[NW_JUDGED_ONE_DIMENSION]);
        nw_cli_table_row(t, (const char *const[]){ name, cell[0], cell[1], cell[2], cell[3], cell[4], cell[5],
                                                   nw_regime_name[p->regime], p->edge });
    }
    nw_cli_table_print(t, stdout);
}

/* What is measured of walks is what is left of an access, so points at which not nearly all of them walk are not shown. */
static void print_walks(const struct work *w)
{
    const struct nw_judgement *j = &w->judgement;
    const size_t dram = j->model[NW_JUDGED_OURS].cache_count;
    struct nw_cli_table *t =
        nw_cli_table_new((const char *const[]){ "chase", "measured", "range", "predicted", "error", "textbook", "1D",
                                                "guest", "nested", "DRAM" },
                         (const bool[]){ true, true, true, true, true, true, true, true, true, true }, 10);
    for (size_t i = 0; i < j->point_count; i++) {
        const struct nw_judged_point *p = &j->point[i];
        char name[40], cell[9][32];
        if (!p->walks)
            continue;
        nw_judged_point_name(&w->measurement.chase[p->chase], name, sizeof name);
        snprintf(cell[0], sizeof cell[0], "%.1f", p->walk_measured.cycles);
        snprintf(cell[1], sizeof cell[1], "%.0f-%.0f", p->walk_measured.low, p->walk_measured.high);
        snprintf(cell[2], sizeof cell[2], "%.1f", p->walk_predicted[NW_JUDGED_OURS]);
        snprintf(cell[3], sizeof cell[3], "%+.0f %%",
                 100 * (p->walk_predicted[NW_JUDGED_OURS] / p->walk_measured.cycles - 1));
        snprintf(cell[4], sizeof cell[4], "%.0f", p->walk_predicted[NW_JUDGED_TEXTBOOK]);
        snprintf(cell[5], sizeof cell[5], "%.0f", p->walk_predicted[NW_JUDGED_ONE_DIMENSION]);
        snprintf(cell[6], sizeof cell[6], "%.2f", p->counts.references - p->counts.references_nested);
        snprintf(cell[7], sizeof cell[7], "%.2f", p->counts.references_nested);
        snprintf(cell[8], sizeof cell[8], "%.2f", p->counts.table_line[dram]);
        nw_cli_table_row(t, (const char *const[]){ name, cell[0], cell[1], cell[2], cell[3], cell[4], cell[5], cell[6],
                                                   cell[7], cell[8] });
    }
    nw_cli_table_print(t, stdout);
}

static void print_regimes(const struct nw_judged_regime *regime, size_t count)
{
    struct nw_cli_table *t = nw_cli_table_new(
        (const char *const[]){ "regime", "points", "median", "worst", "textbook", "1D", "inside", "holds" },
        (const bool[]){ false, true, true, true, true, true, true, false }, 8);
    for (size_t i = 0; i < count; i++) {
        const struct nw_judged_regime *r = &regime[i];
        char cell[6][24];
        snprintf(cell[0], sizeof cell[0], "%zu", r->points);
        snprintf(cell[1], sizeof cell[1], "%.1f %%", r->median_error_percent[NW_JUDGED_OURS]);
        snprintf(cell[2], sizeof cell[2], "%.1f %%", r->max_error_percent[NW_JUDGED_OURS]);
        snprintf(cell[3], sizeof cell[3], "%.1f %%", r->median_error_percent[NW_JUDGED_TEXTBOOK]);
        snprintf(cell[4], sizeof cell[4], "%.1f %%", r->median_error_percent[NW_JUDGED_ONE_DIMENSION]);
        snprintf(cell[5], sizeof cell[5], "%zu", r->inside);
        nw_cli_table_row(t, (const char *const[]){ r->name, cell[0], cell[1], cell[2], cell[3], cell[4], cell[5],
                                                   !r->claim[0] ? "-"
                                                   : r->holds   ? "yes"
                                                                : "no" });
    }
    nw_cli_table_print(t, stdout);
    for (size_t i = 0; i < count; i++)
        if (regime[i].claim[0])
            printf("claim, %s: %s: %s\n", regime[i].name, regime[i].claim, regime[i].holds ? "holds" : "missed");
}

/* What the processor counted beside what the model has; nothing when nothing was counted, which the notes say. */
static void print_counters(const struct work *w)
{
    const struct nw_judgement *j = &w->judgement;
    static const char *const unit[NW_COUNTED] = { "misses", "walks", "cycles", "references" };
    size_t counted = 0;
    for (unsigned q = 0; q < NW_COUNTED; q++)
        counted += j->counter[q].points;
    if (!counted)
        return;
    struct nw_cli_table *t =
        nw_cli_table_new((const char *const[]){ "chase", "dTLB misses", "model", "walks", "model", "walk cycles",
                                                "model", "references", "model" },
                         (const bool[]){ true, true, true, true, true, true, true, true, true }, 1 + 2 * NW_COUNTED);
    for (size_t i = 0; i < j->point_count; i++) {
        const struct nw_judged_point *p = &j->point[i];
        char name[40], cell[2 * NW_COUNTED][32];
        const char *row[1 + 2 * NW_COUNTED] = { name };
        nw_judged_point_name(&w->measurement.chase[p->chase], name, sizeof name);
        for (unsigned q = 0; q < NW_COUNTED; q++) {
            snprintf(cell[2 * q], sizeof *cell, "%.2f", p->measured.counted[q]);
            snprintf(cell[2 * q + 1], sizeof *cell, "%.2f", nw_judged_counted(p, q));
            row[1 + 2 * q] = p->measured.counted[q] < 0 ? "-" : cell[2 * q];
            row[2 + 2 * q] = cell[2 * q + 1];
        }
        nw_cli_table_row(t, row);
    }
    printf("\nCounted by the processor, an access, beside what the model has (%s):\n", w->measurement.counters);
    nw_cli_table_print(t, stdout);
    for (unsigned q = 0; q < NW_COUNTED; q++)
        if (j->counter[q].points)
            printf("counted, %s: %zu points, model apart by %.3f %s an access in the median, %.3f at worst\n",
                   nw_counted_name[q], j->counter[q].points, j->counter[q].median_difference, unit[q],
                   j->counter[q].max_difference);
}

static void print_text(const struct work *w, bool walk)
{
    const struct nw_judgement *j = &w->judgement;
    printf("%s\n%s; medians of %u processes that nothing was fitted to. Errors are of the median.\n\n",
           w->measurement.machine,
           walk ? "Core cycles of walks an access, what data and TLB hits take taken away; of the last columns, the "
                  "references "
                  "of a walk in the guest's tables, in the second stage's, and those of both that DRAM answers"
                : "Core cycles an access",
           j->judged_processes);
    if (walk)
        print_walks(w);
    else
        print_points(w);
    printf("\n");
    if (walk)
        print_regimes(j->walk_regime, j->walk_regime_count);
    else
        print_regimes(j->regime, j->regime_count);
    print_counters(w);
    printf("\n%s on %zu chases of %u other processes, mean error %.1f %%\n",
           j->fit.value_count ? "Fitted" : "Not fitted", j->fit.points, j->fitted_processes, j->fit.error_percent);
    for (size_t i = 0; i < j->fit.value_count; i++)
        if (j->fit.value[i].low < j->fit.value[i].high)
            printf("  %s = %s (%g to %g fit nearly as well)\n", j->fit.value[i].path, j->fit.value[i].value,
                   j->fit.value[i].low, j->fit.value[i].high);
        else
            printf("  %s = %s\n", j->fit.value[i].path, j->fit.value[i].value);
    const struct nw_splinter_map map = nw_splinter_map(&w->measurement);
    if (map.mappings)
        printf("host pages: %zu of %zu large pages of the guest are backed by smaller ones\n", map.splintered,
               map.mappings);
    for (size_t i = 0; i < w->measurement.note_count; i++)
        printf("left out: %s\n", w->measurement.note[i]);
}

static enum nw_status show(const struct work *w, const struct request *r, struct nw_error *err)
{
    char *text;
    enum nw_status s = NW_OK;
    if (r->profile)
        s = nw_machine_save(&w->judgement.model[NW_JUDGED_OURS], r->profile, err);
    if (!s && r->html &&
        !(s = nw_judgement_html_text(&w->judgement, &w->measurement, w->measurement.machine, &text, err)))
        s = nw_cli_write_text(text, r->html, err);
    if (!s && r->json && !(s = nw_judgement_json_text(&w->judgement, &w->measurement, &text, err)))
        s = nw_cli_write_text(text, r->json, err);
    if (!s && !nw_cli_is_stdout(r->json) && !nw_cli_is_stdout(r->html))
        print_text(w, r->walk);
    return s;
}

/* ---- options ---- */

static int parse(const struct nw_command *self, struct nw_cli_parser *parser, struct request *r)
{
    const char *value;
    int option;
    while ((option = nw_cli_next(parser, &value)) != NW_CLI_DONE) {
        switch (option) {
        case NW_CLI_EXIT: return parser->exit_status;
        case NW_CLI_ARGUMENT: return nw_cli_usage(self, "\"%s\": stored samples are named with --from", value);
        case OPT_QUICK: r->full = false; break;
        case OPT_FULL: r->full = true; break;
        case OPT_FROM: r->from = value; break;
        case OPT_SAMPLES: r->samples = value; break;
        case OPT_APPEND: r->append = true; break;
        case OPT_ONLY: r->only_measure = true; break;
        case OPT_MACHINE: r->machine = value; break;
        case OPT_FROZEN: r->frozen = true; break;
        case OPT_PROFILE: r->profile = value; break;
        case OPT_HTML: r->html = value; break;
        case OPT_JSON: r->json = value; break;
        case OPT_PROCESSES:
            if (!nw_cli_parse_u64(value, &r->processes) || !r->processes || r->processes > PROCESSES_MAX)
                return nw_cli_usage(self, "--processes %s: a number from 2 to %d, or with --append from 1", value,
                                    PROCESSES_MAX);
            break;
        default:
            if (!nw_cli_parse_u64(value, &r->seed))
                return nw_cli_usage(self, "--seed %s: not a number", value);
        }
    }
    if (r->from && (r->samples || r->processes))
        return nw_cli_usage(self, "--from measures nothing: --samples and --processes have no meaning with it");
    if (r->processes == 1 && !r->append)
        return nw_cli_usage(
            self, "--processes 1: one to fit on and one to judge are needed, unless they are added with --append");
    if ((r->append || r->only_measure) && !r->samples)
        return nw_cli_usage(self, "%s needs the file of samples, --samples FILE.db",
                            r->append ? "--append" : "--only-measure");
    if (r->only_measure && (r->profile || r->html || r->json || r->machine))
        return nw_cli_usage(self, "--only-measure judges nothing: there is no use for --machine, and no --profile, "
                                  "--html or --json to write");
    if (r->frozen && (!r->machine || r->profile))
        return nw_cli_usage(self, "--frozen judges the profile of --machine as it is; there is no --profile to write");
    if (nw_cli_is_stdout(r->json) && nw_cli_is_stdout(r->html))
        return nw_cli_usage(self, "--json - and --html -: one of them can have standard output");
    return -1;
}

extern const struct nw_command nw_cmd_validate_walk;

static int run(const struct nw_command *self, int argc, char **argv)
{
    struct nw_cli_parser parser;
    struct request r = { .seed = 1, .walk = self == &nw_cmd_validate_walk };
    struct nw_error err = { 0 };
    struct work *w = calloc(1, sizeof *w);
    if (!w)
        return nw_cli_fail(self, nw_fail_nomem(&err, "a validation"), &err);
    nw_config_init(&w->start);
    nw_config_init(&w->shipped);
    nw_cli_parser_init(&parser, self, argc, argv);
    int exit_status = parse(self, &parser, &r);
    if (exit_status < 0) {
        const char *const outputs[] = { r.samples, r.profile, r.html, r.json };
        enum nw_status s = NW_OK;
        for (size_t i = 0; i < sizeof outputs / sizeof *outputs && !s; i++)
            s = nw_cli_check_writable(outputs[i], &err);
        nw_cli_catch_interrupts();
        if (!s)
            s = measure(w, &r, &err);
        if (!s && !r.only_measure)
            (void)((s = judge(w, &r, &err)) || (s = show(w, &r, &err)));
        const bool holds = r.only_measure || (r.walk ? w->judgement.walks_hold : w->judgement.holds);
        exit_status = s ? nw_cli_fail(self, s, &err) : holds ? 0 : 1;
        nw_judgement_fini(&w->judgement);
        nw_measurement_fini(&w->measurement);
    }
    nw_config_fini(&w->start);
    nw_config_fini(&w->shipped);
    free(w);
    return exit_status;
}

#define SYNOPSIS                                                                                                       \
    "[--quick|--full] [--processes N] [--machine PROFILE [--frozen]] [--from FILE.db] [--samples FILE.db "             \
    "[--append] [--only-measure]] "                                                                                    \
    "[--profile OUT.xml] [--html FILE|-] "                                                                             \
    "[--json FILE|-]"

const struct nw_command nw_cmd_validate_tlb = {
    .name = "validate tlb",
    .synopsis = SYNOPSIS,
    .summary = "the model of TLBs and page walks against the timing of this machine",
    .details =
        "Times dependent pointer chases in fresh processes: pages of 4K and 2M (1G where the pool has some), "
        "dense and at "
        "strides, and cache lines. Every other process and a part of the chases are what a machine profile is "
        "fitted to; it is then frozen, and the other chases of the other processes are predicted, with the "
        "guest frames "
        "that pagemap reported for each. Beside it: a textbook model, and the guest's walk alone.\n\n"
        "Where the processor's counters of dTLB misses, walks, their cycles and references can be read, they are shown "
        "beside what the model has; nothing is claimed of them.\n\n"
        "Nothing on the machine is changed. Without pagemap, large pages or hardware counters the rest is done, "
        "and what was "
        "left out is listed. Exit status 0: every claim holds; 1: some do not; 4: it cannot be measured here.",
    .examples = "nestwalk validate tlb\n"
                "nestwalk validate tlb --full --samples full.db --profile here.xml --html here.html\n"
                "nestwalk validate tlb --samples full.db --append --only-measure\n"
                "nestwalk validate tlb --from full.db --json -",
    .options = options,
    .run = run,
};

const struct nw_command nw_cmd_validate_walk = {
    .name = "validate walk",
    .synopsis = SYNOPSIS,
    .summary = "what page walks cost on this machine, measured against predicted",
    .details =
        "The measurement, the fit and the options of `validate tlb`, and its files: samples of one are samples of "
        "the other. Shown are the chases in which at least nine of ten accesses walk, and of each what is left of "
        "an access when data and hits in TLBs, as the model has them, are taken away; beside it the references of "
        "a walk in the guest's tables and in the second stage's, and how many of them go to memory.\n\n"
        "Exit status 0: the model's median error is below that of the textbook and of the one-dimensional model, "
        "for walks in the caches and for walks in memory; 1: it is not; 4: it cannot be measured here.",
    .examples = "nestwalk validate walk\n"
                "nestwalk validate walk --from full.db --machine ./here.xml --frozen",
    .options = options,
    .run = run,
};
