/* cmd_validate_reclaim.c - `nestwalk validate reclaim`: the model's refaults against those of a live guest whose memory is taken away. */
#include "cli.h"
#include <inttypes.h>
#include <nestwalk/reports/export.h>
#include <nestwalk/reports/reclaim_check.h>
#include <stdlib.h>
#include <string.h>

enum { OPT_PROGRAM, OPT_VIA, OPT_DIRECTORY, OPT_RUNS, OPT_SEED, OPT_TIMEOUT, OPT_LIST, OPT_JSON };
static const struct nw_option options[] = {
    [OPT_PROGRAM] = { "program", 'p', "NAME", "Only this program; may be repeated." },
    [OPT_VIA] = { "via", 0, "any|zram|swap|swap-file|file",
                  "Where the pages go: a zram device or a swap file made for it (root), what the host swaps to, or out "
                  "of the page cache. Default: the first of these that works." },
    [OPT_DIRECTORY] = { "directory", 'd', "DIR", "Where swap-file and file have theirs, unseen. Default: \".\"." },
    [OPT_RUNS] = { "runs", 'n', "N", "Fresh virtual machines for each program, 1 to 1000. Default: 3." },
    [OPT_SEED] = { "seed", 0, "N", "Of the programs; same seed, same programs. Default: 1." },
    [OPT_TIMEOUT] = { "timeout", 0, "SECONDS", "What the guest may take for one step. Default: 30." },
    [OPT_LIST] = { "list", 0, NULL, "Show the programs." },
    [OPT_JSON] = { "json", 'j', "FILE|-", "Write the result as JSON; - is standard output, instead of the tables." },
    { 0 },
};
enum { RUNS_MAX = 1000 };

struct request {
    bool *wanted;
    bool named;
    enum nw_reclaim_way way;
    uint64_t runs, seed;
    const char *directory, *json;
    struct nw_live_reclaim_options live;
};

static int list(void)
{
    const char *name, *doc;
    struct nw_cli_table *t =
        nw_cli_table_new((const char *const[]){ "program", "what it does" }, (const bool[2]){ false }, 2);
    for (size_t i = 0; nw_reclaim_program_describe(i, &name, &doc); i++)
        nw_cli_table_row(t, (const char *const[]){ name, doc });
    nw_cli_table_print(t, stdout);
    return 0;
}

/* ---- tables ---- */

/* "1024", or "1020-1024" where runs differ. */
static void range_cell(char *out, size_t size, uint64_t least, uint64_t most)
{
    if (least == most)
        snprintf(out, size, "%" PRIu64, least);
    else
        snprintf(out, size, "%" PRIu64 "-%" PRIu64, least, most);
}

static void print_text(const struct nw_reclaim_check *c)
{
    struct nw_cli_table *t =
        nw_cli_table_new((const char *const[]){ "program", "runs", "taken", "of", "model", "came back", "major faults",
                                                "steps", "equal", "worst %" },
                         (const bool[]){ false, true, true, true, true, true, true, true, true, true }, 10);
    unsigned unjudged = 0;
    for (size_t i = 0; i < c->program_count; i++) {
        const struct nw_reclaim_verdict *v = &c->program[i];
        char cell[9][48];
        snprintf(cell[0], sizeof cell[0], "%u", v->runs);
        snprintf(cell[1], sizeof cell[1], "%" PRIu64, v->taken);
        snprintf(cell[2], sizeof cell[2], "%" PRIu64, v->asked);
        range_cell(cell[3], sizeof cell[3], v->model_least, v->model_most);
        range_cell(cell[4], sizeof cell[4], v->returned_least, v->returned_most);
        range_cell(cell[5], sizeof cell[5], v->major_least, v->major_most);
        snprintf(cell[6], sizeof cell[6], "%u", v->points);
        snprintf(cell[7], sizeof cell[7], "%u", v->holding);
        snprintf(cell[8], sizeof cell[8], "%.2f", v->max_error_percent);
        nw_cli_table_row(t, (const char *const[]){ v->name, cell[0], cell[1], cell[2], cell[3], cell[4], cell[5],
                                                   cell[6], cell[7], cell[8] });
        unjudged += v->unjudged;
    }
    nw_cli_table_print(t, stdout);
    printf("\nPages of 4 KiB: taken in all runs; model, came back and major faults in one run, least to most.\n");
    if (unjudged)
        printf("%u steps are not judged: the host lost pages that nobody took.\n", unjudged);
    printf("%s by madvise(MADV_PAGEOUT), %s. KVM backend %s, kernel %s.\n", nw_reclaim_way_name[c->host.way],
           c->host.means, c->host.backend, c->host.release);
    for (unsigned i = 0; i < c->host.notes; i++)
        printf("note: %s\n", c->host.note[i]);
}

/* ---- the check ---- */

static bool keep_going(void *context)
{
    (void)context;
    return !nw_cli_interrupted();
}

static enum nw_status check_all(struct nw_reclaim_check *c, const struct request *r, struct nw_error *err)
{
    struct nw_cli_progress progress;
    struct nw_reclaim_program p;
    const size_t count = nw_reclaim_program_count();
    enum nw_status s = NW_OK;
    nw_cli_progress_start(&progress, "validate reclaim", "programs");
    for (size_t i = 0; i < count && !s; i++) {
        nw_cli_progress_update(&progress, i, count);
        if (!r->wanted[i])
            continue;
        if (nw_cli_interrupted())
            s = nw_fail(err, NW_ERR_INTERRUPTED, "interrupted");
        if (s || (s = nw_reclaim_program_make(i, r->seed, &p, err)))
            break;
        s = nw_reclaim_check_program(c, &p, (unsigned)r->runs, err);
        nw_reclaim_program_free(&p);
    }
    nw_cli_progress_finish(&progress);
    return s;
}

static int show(const struct nw_command *self, const struct nw_reclaim_check *c, const char *json)
{
    struct nw_error err = { 0 };
    if (json) {
        char *text;
        enum nw_status s = nw_reclaim_check_json_text(c, &text, &err);
        if (!s) {
            s = nw_report_write(json, text, strlen(text), &err);
            free(text);
        }
        if (s)
            return nw_cli_fail(self, s, &err);
    }
    if (!json || strcmp(json, "-") != 0)
        print_text(c);
    return nw_reclaim_check_holds(c) ? 0 : 1;
}

static int validate(const struct nw_command *self, const struct request *r)
{
    struct nw_error err = { 0 }, undone = { 0 };
    struct nw_reclaim_check check;
    nw_cli_catch_interrupts();
    enum nw_status s = nw_reclaim_check_start(&check, r->way, r->directory, &r->live, &err);
    if (!s)
        s = check_all(&check, r, &err);
    const enum nw_status left = nw_reclaim_check_stop(&check, &undone);
    int exit_status = s ? nw_cli_fail(self, s, &err) : left ? 0 : show(self, &check, r->json);
    if (left)
        exit_status = nw_cli_fail(self, left, &undone);
    nw_reclaim_check_fini(&check);
    return exit_status;
}

/* ---- options ---- */

static bool want(struct request *r, const char *wanted)
{
    const char *name, *doc;
    for (size_t i = 0; nw_reclaim_program_describe(i, &name, &doc); i++)
        if (!strcmp(name, wanted)) {
            r->wanted[i] = r->named = true;
            return true;
        }
    return false;
}

static bool take_way(struct request *r, const char *value)
{
    for (int i = 0; i < NW_RECLAIM_WAYS; i++)
        if (!strcmp(nw_reclaim_way_name[i], value)) {
            r->way = (enum nw_reclaim_way)i;
            return true;
        }
    return false;
}

static int parse(const struct nw_command *self, struct nw_cli_parser *parser, struct request *r)
{
    const char *value;
    int option;
    while ((option = nw_cli_next(parser, &value)) != NW_CLI_DONE) {
        switch (option) {
        case NW_CLI_EXIT: return parser->exit_status;
        case NW_CLI_ARGUMENT: return nw_cli_usage(self, "\"%s\": a program is named with --program", value);
        case OPT_LIST: return list();
        case OPT_JSON: r->json = value; break;
        case OPT_DIRECTORY: r->directory = value; break;
        case OPT_PROGRAM:
            if (!want(r, value))
                return nw_cli_usage(self, "--program %s: there is none of that name; --list shows them", value);
            break;
        case OPT_VIA:
            if (!take_way(r, value))
                return nw_cli_usage(self, "--via %s: any, zram, swap, swap-file or file", value);
            break;
        case OPT_RUNS:
            if (!nw_cli_parse_u64(value, &r->runs) || !r->runs || r->runs > RUNS_MAX)
                return nw_cli_usage(self, "--runs %s: a number from 1 to %d", value, RUNS_MAX);
            break;
        case OPT_TIMEOUT:
            if (!nw_cli_parse_double(value, &r->live.timeout_seconds) || !(r->live.timeout_seconds > 0))
                return nw_cli_usage(self, "--timeout %s: seconds above 0", value);
            break;
        default:
            if (!nw_cli_parse_u64(value, &r->seed))
                return nw_cli_usage(self, "--seed %s: not a number", value);
        }
    }
    return -1;
}

static int run(const struct nw_command *self, int argc, char **argv)
{
    struct nw_cli_parser parser;
    const size_t count = nw_reclaim_program_count();
    struct request r = { .runs = 3, .seed = 1, .directory = ".", .live = { .keep_going = keep_going } };
    struct nw_error err = { 0 };
    r.wanted = calloc(count, sizeof *r.wanted);
    if (!r.wanted)
        return nw_cli_fail(self, nw_fail_nomem(&err, "the list of programs"), &err);
    nw_cli_parser_init(&parser, self, argc, argv);
    int exit_status = parse(self, &parser, &r);
    if (exit_status < 0) {
        if (!r.named)
            memset(r.wanted, true, count * sizeof *r.wanted);
        exit_status = validate(self, &r);
    }
    free(r.wanted);
    return exit_status;
}

const struct nw_command nw_cmd_validate_reclaim = {
    .name = "validate reclaim",
    .synopsis = "[--program NAME]... [--via WAY] [--directory DIR] [--runs N] [--seed N] [--json FILE|-]",
    .summary = "refaults of a live guest whose memory is taken away, against the model",
    .details =
        "Runs a guest on /dev/kvm that touches known pages in steps. After a step the host takes pages away with "
        "madvise(MADV_PAGEOUT), looks up which ones went, and lets the guest go on. How many come back is counted by "
        "the kernel, and said by the model for the same touches and the same pages.\n\n"
        "Exit status 0: equal in every step of every run; 1: not; 4: it cannot be done here, and why. A swap area that "
        "was made for it is taken down in any case, also after an interruption.",
    .examples = "nestwalk validate reclaim --list\n"
                "nestwalk validate reclaim\n"
                "nestwalk validate reclaim --via file --program lru --program mglru --runs 5 --json -",
    .options = options,
    .run = run,
};
