/* cmd_overcommit.c - `nestwalk overcommit`: what stored runs of several guests say together. */
#include "cli.h"
#include "overcommit_table.h"
#include <nestwalk/reports/export.h>
#include <nestwalk/reports/overcommit.h>
#include <nestwalk/reports/store.h>
#include <stdlib.h>
#include <string.h>

enum { OPT_DB, OPT_LIMIT, OPT_JSON, OPT_CSV };
static const struct nw_option options[] = {
    [OPT_DB] = { "db", 'd', "FILE", "The results store. Default: results.db." },
    [OPT_LIMIT] = { "limit", 'l', "X", "The slowdown that a guest may have, 1 or more. Default: 1.1." },
    [OPT_JSON] = { "json", 'j', NULL, "Print the answer as JSON." },
    [OPT_CSV] = { "csv", 0, NULL, "Print the answer as CSV, one line a run." },
    { 0 },
};

struct request {
    const char *db;
    const char **name;
    size_t name_count;
    double limit;
    bool json, csv;
};

static enum nw_status print_all(const struct request *r, const struct nw_overcommit *o, struct nw_error *err)
{
    char *text = NULL;
    if (!r->json && !r->csv) {
        nw_cli_print_overcommit(o);
        return NW_OK;
    }
    enum nw_status s = r->json ? nw_overcommit_json_text(o, &text, err) : nw_overcommit_csv_text(o, &text, err);
    if (!s)
        s = nw_report_write("-", text, strlen(text), err);
    free(text);
    return s;
}

static int execute(const struct nw_command *self, const struct request *r)
{
    struct nw_error err = { 0 };
    struct nw_store *store = NULL;
    struct nw_run *runs = NULL;
    size_t count = 0;
    struct nw_overcommit o = { 0 };
    enum nw_status s = nw_store_open(r->db, NW_STORE_READ, &store, &err);
    if (!s)
        s = nw_store_select(store, r->name, r->name_count, &runs, &count, &err);
    nw_store_close(store);
    if (!s && (s = nw_overcommit_find(runs, count, r->limit, &o, &err)))
        nw_error_context(&err, "%s", r->db);
    if (!s)
        s = print_all(r, &o, &err);
    nw_overcommit_fini(&o);
    nw_runs_free(runs, count);
    return s ? nw_cli_fail(self, s, &err) : 0;
}

static bool take_limit(const char *value, double *out)
{
    char *end;
    *out = strtod(value, &end);
    return end != value && !*end && *out >= 1 && *out <= 1e6;
}

static int run(const struct nw_command *self, int argc, char **argv)
{
    struct nw_error err = { 0 };
    struct request r = { .db = "results.db", .name = calloc((size_t)argc + 1, sizeof *r.name), .limit = 1.1 };
    if (!r.name)
        return nw_cli_fail(self, nw_fail_nomem(&err, "the command line"), &err);
    struct nw_cli_parser parser;
    nw_cli_parser_init(&parser, self, argc, argv);
    const char *value, *wrong = NULL;
    int option, exit_status;
    while ((option = nw_cli_next(&parser, &value)) >= 0 || option == NW_CLI_ARGUMENT)
        switch (option) {
        case OPT_DB: r.db = value; break;
        case OPT_LIMIT: wrong = take_limit(value, &r.limit) ? wrong : value; break;
        case OPT_JSON: r.json = true; break;
        case OPT_CSV: r.csv = true; break;
        default: r.name[r.name_count++] = value;
        }
    if (option == NW_CLI_EXIT)
        exit_status = parser.exit_status;
    else if (wrong)
        exit_status = nw_cli_usage(self, "--limit %s: expected a slowdown from 1 to 1,000,000", wrong);
    else if (r.json && r.csv)
        exit_status = nw_cli_usage(self, "--json and --csv cannot both have standard output");
    else
        exit_status = execute(self, &r);
    free(r.name);
    return exit_status;
}

const struct nw_command nw_cmd_overcommit = {
    .name = "overcommit",
    .synopsis = "[--db FILE] [--limit X] [RUN...] [--json|--csv]",
    .summary = "how far a host can be overcommitted, by stored runs",
    .details =
        "Takes runs of several guests on one host, for each policy in the order of overcommitment (what the guests "
        "believe to have, by what the host has): how much memory was saved, how much the guests were slowed, where the "
        "slowdown begins to rise (the knee), how far no guest is slowed more than --limit, and which runs no other one "
        "beats in both (efficient).\n\n"
        "A RUN is a number, or a label, which means the latest run that bears it. Without any: the runs that the last "
        "command stored together, which for a sweep are all its points.",
    .examples = "nestwalk sweep scenarios/shipped/how-far.xml --db results.db\n"
                "nestwalk overcommit --db results.db --limit 1.2",
    .options = options,
    .run = run,
};
