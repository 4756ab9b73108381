/* cmd_conform.c - `nestwalk conform FILE...`: recorded cases against the model. */
#include "cli.h"
#include <nestwalk/reports/conform.h>
#include <stdlib.h>

enum { OPT_FILTER, OPT_FIRST, OPT_EVENTS, OPT_JSON };
static const struct nw_option options[] = {
    [OPT_FILTER] = { "filter", 'f', "TEXT", "Only cases whose line contains TEXT, such as '\"mode\":\"pae\"'." },
    [OPT_FIRST] = { "first", 'n', "N", "Stop after N cases." },
    [OPT_EVENTS] = { "events", 'e', NULL,
                     "For guest programs: show the first event that differs, and count the sequences that agree." },
    [OPT_JSON] = { "json", 'j', NULL, "Print the counts and the failing cases as JSON." },
    { 0 },
};

struct conform {
    bool json;
    struct nw_cli_progress progress;
};

static void print_failure(void *context, const struct nw_conform_failure *f)
{
    if (!((struct conform *)context)->json)
        printf("%s:%llu: case %s\n  expected  %s\n  got       %s\n", f->file, (unsigned long long)f->line, f->id,
               f->expected, f->got);
}

static void print_difference(void *context, const struct nw_conform_failure *f)
{
    if (!((struct conform *)context)->json)
        printf("%s:%llu: events of %s\n  expected  %s\n  got       %s\n", f->file, (unsigned long long)f->line, f->id,
               f->expected, f->got);
}

static bool keep_going(void *context, uint64_t cases_done)
{
    nw_cli_progress_update(&((struct conform *)context)->progress, cases_done, 0);
    return !nw_cli_interrupted();
}

static int print_result(const struct nw_command *self, const struct nw_conform_report *report, bool json, bool events)
{
    if (!json) {
        if (events)
            printf("%llu of %llu event sequences agree\n", (unsigned long long)report->events_matched,
                   (unsigned long long)report->events_recorded);
        printf("%llu passed, %llu failed\n", (unsigned long long)report->passed, (unsigned long long)report->failed);
        return report->failed ? 1 : 0;
    }
    char *text;
    struct nw_error err = { 0 };
    enum nw_status s = nw_conform_json_text(report, &text, &err);
    if (s)
        return nw_cli_fail(self, s, &err);
    puts(text);
    free(text);
    return report->failed ? 1 : 0;
}

static int run(const struct nw_command *self, int argc, char **argv)
{
    struct nw_cli_parser parser;
    struct conform conform = { 0 };
    struct nw_conform_options o = { .failed = print_failure, .keep_going = keep_going, .context = &conform };
    const char *value, **file = calloc((size_t)argc + 1, sizeof *file);
    struct nw_error err = { 0 };
    struct nw_conform_report report = { 0 };
    int option, files = 0, exit_status = 0;
    if (!file)
        return nw_cli_fail(self, nw_fail_nomem(&err, "the list of files"), &err);
    nw_cli_parser_init(&parser, self, argc, argv);
    while ((option = nw_cli_next(&parser, &value)) != NW_CLI_DONE) {
        switch (option) {
        case NW_CLI_EXIT: exit_status = parser.exit_status; goto out;
        case NW_CLI_ARGUMENT: file[files++] = value; break;
        case OPT_FILTER: o.filter = value; break;
        case OPT_EVENTS: o.events_differ = print_difference; break;
        case OPT_JSON: conform.json = true; break;
        case OPT_FIRST:
            if (!nw_cli_parse_u64(value, &o.first) || !o.first) {
                exit_status = nw_cli_usage(self, "--first takes a number from 1 on, not \"%s\"", value);
                goto out;
            }
            break;
        default: break;
        }
    }
    if (!files) {
        exit_status = nw_cli_usage(self, "name a file of cases");
        goto out;
    }
    nw_cli_catch_interrupts();
    nw_cli_progress_start(&conform.progress, "conform", "cases");
    enum nw_status s = NW_OK;
    for (int i = 0; i < files && !s; i++)
        s = nw_conform_file(&report, file[i], &o, &err);
    nw_cli_progress_finish(&conform.progress);
    exit_status = s ? nw_cli_fail(self, s, &err) : print_result(self, &report, conform.json, o.events_differ != NULL);
out:
    nw_conform_report_fini(&report);
    free(file);
    return exit_status;
}

const struct nw_command nw_cmd_conform = {
    .name = "conform",
    .synopsis = "[--filter TEXT] [--first N] [--events] [--json] FILE...",
    .summary = "recorded cases of real implementations against the model",
    .details = "Replays recorded cases (JSON lines, also compressed with gzip, xz or zstd). Page walks go through the "
               "walker that the engines use; outcome, fault codes and the accessed and dirty bits set are compared. "
               "Guest programs recorded on a live KVM go through the model of its shadow MMU; the statistics of each "
               "segment are compared, and the order of events separately. Cases of DMA and interrupt "
               "remapping drive a VT-d unit. Prints each case that fails "
               "with what was "
               "expected and what the model did, then \"N passed, M failed\".\n\n"
               "Exit status: 0 when every case passed, 1 when any failed, 3 when a file is not one of cases.",
    .examples = "nestwalk conform walk-ept.jsonl\n"
                "nestwalk conform --events kvm-shadow-cases.jsonl.xz\n"
                "nestwalk conform --filter '\"kind\":\"npf\"' --first 100 walk-npt.jsonl.xz",
    .options = options,
    .run = run,
};
