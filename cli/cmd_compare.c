/* cmd_compare.c - `nestwalk compare`: stored runs side by side. */
#include "cli.h"
#include "comparison_table.h"
#include <nestwalk/reports/export.h>
#include <nestwalk/reports/store.h>
#include <stdlib.h>
#include <string.h>

enum { OPT_DB, OPT_ALL, OPT_SAME, OPT_LIST, OPT_JSON, OPT_CSV };
static const struct nw_option options[] = {
    [OPT_DB] = { "db", 'd', "FILE", "The results store. Default: results.db." },
    [OPT_ALL] = { "all", 'a', NULL, "Every metric, under its path, instead of the figures of most interest." },
    [OPT_SAME] = { "same", 0, NULL,
                   "Ask whether the runs found the same: print the first difference and exit with 1 when they did not. "
                   "Ratios and the replay's own speed do not count." },
    [OPT_LIST] = { "list", 'l', NULL, "List the stored runs instead." },
    [OPT_JSON] = { "json", 'j', NULL, "Print the runs' result JSON with the comparison added." },
    [OPT_CSV] = { "csv", 0, NULL, "Print the comparison as CSV, one line a metric." },
    { 0 },
};

struct request {
    const char *db;
    const char **name;
    size_t name_count;
    bool all, same, list, json, csv;
};

static void take_option(struct request *r, int option, const char *value)
{
    switch (option) {
    case OPT_DB: r->db = value; break;
    case OPT_ALL: r->all = true; break;
    case OPT_SAME: r->same = true; break;
    case OPT_LIST: r->list = true; break;
    case OPT_JSON: r->json = true; break;
    case OPT_CSV: r->csv = true; break;
    }
}

static void list_row(struct nw_cli_table *t, const struct nw_run *run, bool new_group)
{
    char id[24];
    snprintf(id, sizeof id, "%lld", (long long)run->id);
    const char *const cell[] = {
        id, run->created, nw_run_title(run), run->mode, run->machine, run->fidelity, run->trace
    };
    if (new_group)
        nw_cli_table_rule(t);
    nw_cli_table_row(t, cell);
}

/* A line between groups: what one command stored stands together. */
static void list_text(const struct nw_run *runs, size_t count)
{
    static const char *const heading[] = { "run", "stored (UTC)", "label", "mode", "machine", "fidelity", "trace" };
    static const bool numeric[] = { true, false, false, false, false, false, false };
    struct nw_cli_table *t = nw_cli_table_new(heading, numeric, NW_ARRAY_LEN(heading));
    for (size_t i = 0; i < count; i++)
        list_row(t, runs + i, i == 0 || runs[i].group != runs[i - 1].group);
    nw_cli_table_print(t, stdout);
}

static enum nw_status list(struct nw_store *store, const struct request *r, struct nw_error *err)
{
    struct nw_run *runs;
    size_t count;
    enum nw_status s = nw_store_list(store, &runs, &count, err);
    if (s)
        return s;
    if (r->json)
        s = nw_report_json(runs, count, "-", err);
    else
        list_text(runs, count);
    nw_runs_free(runs, count);
    return s;
}

static enum nw_status print_machine_readable(const struct nw_run *runs, size_t count, const struct request *r,
                                             struct nw_error *err)
{
    struct nw_comparison c;
    char *text = NULL;
    enum nw_status s = nw_report_comparison(runs, count, NW_COMPARE_ALL, &c, err);
    if (s)
        return s;
    s = r->json ? nw_comparison_json_text(runs, count, &c, &text, err) : nw_comparison_csv_text(&c, &text, err);
    if (!s)
        s = nw_report_write("-", text, strlen(text), err);
    free(text);
    nw_comparison_fini(&c);
    return s;
}

/* Are all runs the same as the first? Tells the first difference of each that is not. */
static bool all_same(const struct nw_run *runs, size_t count, FILE *out)
{
    bool same = true;
    for (size_t i = 1; i < count; i++) {
        char why[256];
        if (nw_run_same(runs, runs + i, why, sizeof why))
            continue;
        fprintf(out, "runs %lld (%s) and %lld (%s) differ: %s\n", (long long)runs[0].id, nw_run_title(runs),
                (long long)runs[i].id, nw_run_title(runs + i), why);
        same = false;
    }
    if (same)
        fprintf(out, "%zu runs found the same\n", count);
    return same;
}

/* *answer: the exit status of a comparison that could be made. */
static enum nw_status compare(struct nw_store *store, const struct request *r, int *answer, struct nw_error *err)
{
    struct nw_run *runs;
    size_t count;
    enum nw_status s = nw_store_select(store, r->name, r->name_count, &runs, &count, err);
    if (s)
        return s;
    if (count < 2)
        s = nw_fail(err, NW_ERR_USAGE,
                    "a comparison needs two runs, and the last command stored only run %lld (%s); name the "
                    "runs to compare (--list shows them)",
                    (long long)runs[0].id, nw_run_title(runs));
    else if (r->json || r->csv)
        s = print_machine_readable(runs, count, r, err);
    else if (!r->same)
        s = nw_cli_print_comparison(runs, count, r->all ? NW_COMPARE_ALL : NW_COMPARE_INTEREST, stdout, err);
    if (!s && r->same) /* beside JSON or CSV, which own standard output, the answer is a message */
        *answer = all_same(runs, count, r->json || r->csv ? stderr : stdout) ? 0 : 1;
    nw_runs_free(runs, count);
    return s;
}

static int execute(const struct nw_command *self, const struct request *r)
{
    struct nw_error err = { 0 };
    struct nw_store *store = NULL;
    int answer = 0;
    enum nw_status s = nw_store_open(r->db, NW_STORE_READ, &store, &err);
    if (!s)
        s = r->list ? list(store, r, &err) : compare(store, r, &answer, &err);
    nw_store_close(store);
    return s ? nw_cli_fail(self, s, &err) : answer;
}

static int run(const struct nw_command *self, int argc, char **argv)
{
    struct nw_error err = { 0 };
    struct request r = { .db = "results.db", .name = calloc((size_t)argc + 1, sizeof *r.name) };
    if (!r.name)
        return nw_cli_fail(self, nw_fail_nomem(&err, "the command line"), &err);
    struct nw_cli_parser parser;
    nw_cli_parser_init(&parser, self, argc, argv);
    const char *value;
    int option, exit_status;
    while ((option = nw_cli_next(&parser, &value)) >= 0 || option == NW_CLI_ARGUMENT)
        if (option >= 0)
            take_option(&r, option, value);
        else
            r.name[r.name_count++] = value;
    if (option == NW_CLI_EXIT)
        exit_status = parser.exit_status;
    else if (r.json && r.csv)
        exit_status = nw_cli_usage(self, "--json and --csv cannot both have standard output");
    else if (r.list && (r.name_count || r.same || r.csv || r.all))
        exit_status = nw_cli_usage(self, "--list shows all runs, and goes only with --db and --json");
    else if (r.name_count == 1)
        exit_status = nw_cli_usage(self, "needs two or more runs, or none for those of the last command");
    else
        exit_status = execute(self, &r);
    free(r.name);
    return exit_status;
}

const struct nw_command nw_cmd_compare = {
    .name = "compare",
    .synopsis = "[--db FILE] [RUN...] [--all] [--same] [--json|--csv]",
    .summary = "two or more stored runs, side by side",
    .details =
        "A RUN is a number, or a label or mode, which means the latest run that bears it. Without any, the runs that "
        "the last command stored together are compared. The first is the base: the others carry their change against "
        "it, in percent, or as a factor (x24.0) when they are ten times as much or more.\n\n"
        "The exit status is 0 whether or not the runs differ; with --same it is 1 when they do.",
    .examples = "nestwalk compare --list\n"
                "nestwalk compare native nested\n"
                "nestwalk compare --db results.db 3 7 --same\n"
                "nestwalk compare --all --csv > comparison.csv",
    .options = options,
    .run = run,
};
