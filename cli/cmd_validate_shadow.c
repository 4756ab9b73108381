/* cmd_validate_shadow.c - `nestwalk validate shadow`: the model of KVM's shadow MMU against the KVM of this machine. */
#include "cli.h"
#include <inttypes.h>
#include <nestwalk/reports/export.h>
#include <nestwalk/reports/shadow_check.h>
#include <stdlib.h>
#include <string.h>

enum { OPT_PROGRAM, OPT_RANDOM, OPT_SEED, OPT_TIMEOUT, OPT_LIST, OPT_JSON };
static const struct nw_option options[] = {
    [OPT_PROGRAM] = { "program", 'p', "NAME", "Only this program of the fixed set; may be repeated." },
    [OPT_RANDOM] = { "random", 'n', "N", "Also so many random programs (with --program: besides those). Default: 0." },
    [OPT_SEED] = { "seed", 0, "N", "Of the random programs; same seed, same programs. Default: 1." },
    [OPT_TIMEOUT] = { "timeout", 0, "SECONDS", "What the guest may take from one marker to the next. Default: 10." },
    [OPT_LIST] = { "list", 0, NULL, "Show the programs." },
    [OPT_JSON] = { "json", 'j', "FILE|-", "Write the result as JSON; - is standard output, instead of the tables." },
    { 0 },
};
enum { RANDOM_MAX = 100000 };

struct request {
    bool *wanted; /* of the fixed set */
    bool named;
    uint64_t random, seed;
    const char *json;
    struct nw_live_shadow_options live;
};

static int list(void)
{
    const char *name, *group, *doc;
    struct nw_cli_table *t =
        nw_cli_table_new((const char *const[]){ "program", "group", "what it does" }, (const bool[3]){ false }, 3);
    for (size_t i = 0; nw_shadow_program_describe(i, &name, &group, &doc); i++)
        nw_cli_table_row(t, (const char *const[]){ name, group, doc });
    nw_cli_table_print(t, stdout);
    return 0;
}

/* ---- tables ------------------------------------------------------------------------------------------------- */

static void print_programs(const struct nw_shadow_check *c)
{
    struct nw_cli_table *t = nw_cli_table_new(
        (const char *const[]){ "program", "segments", "counters", "agree", "runs", "first difference" },
        (const bool[]){ false, true, true, true, true, false }, 6);
    for (size_t i = 0; i < c->program_count; i++) {
        const struct nw_shadow_verdict *v = &c->program[i];
        char segments[16], points[16], agreeing[16], runs[16], remark[240];
        snprintf(segments, sizeof segments, "%u", v->segments);
        snprintf(points, sizeof points, "%u", v->points);
        snprintf(agreeing, sizeof agreeing, "%u", v->agreeing);
        snprintf(runs, sizeof runs, "%u", v->runs);
        if (v->unsteady)
            snprintf(remark, sizeof remark, "%s%s%u not judged: KVM's own runs differ", v->difference,
                     v->difference[0] ? "; " : "", v->unsteady);
        nw_cli_table_row(t, (const char *const[]){ v->name, segments, points, agreeing, runs,
                                                   v->skipped[0] ? v->skipped
                                                   : v->unsteady ? remark
                                                                 : v->difference });
    }
    nw_cli_table_print(t, stdout);
}

struct total {
    uint64_t model, kvm;
    unsigned points, agreeing;
};

static void print_totals(const struct nw_shadow_check *c)
{
    struct total total[NW_KVM_COUNTERS] = { { 0 } };
    for (size_t i = 0; i < c->point_count; i++) {
        const struct nw_shadow_point *p = &c->point[i];
        struct total *to = &total[p->counter];
        to->model += p->model;
        to->kvm += p->kvm;
        to->points++;
        to->agreeing += p->agreeing == p->segments;
    }
    struct nw_cli_table *t =
        nw_cli_table_new((const char *const[]){ "counter", "model", "KVM", "deviation", "programs", "agree" },
                         (const bool[]){ false, true, true, true, true, true }, 6);
    for (unsigned i = 0; i < NW_KVM_COUNTERS; i++) {
        char cell[5][32];
        if (!total[i].points)
            continue;
        snprintf(cell[0], sizeof cell[0], "%" PRIu64, total[i].model);
        snprintf(cell[1], sizeof cell[1], "%" PRIu64, total[i].kvm);
        double difference = (double)total[i].model - (double)total[i].kvm;
        snprintf(cell[2], sizeof cell[2], "%+.2f %%", 100 * difference / (total[i].kvm ? (double)total[i].kvm : 1));
        snprintf(cell[3], sizeof cell[3], "%u", total[i].points);
        snprintf(cell[4], sizeof cell[4], "%u", total[i].agreeing);
        nw_cli_table_row(
            t, (const char *const[]){ nw_kvm_counter_row[i].path, cell[0], cell[1], cell[2], cell[3], cell[4] });
    }
    nw_cli_table_print(t, stdout);
}

static void print_text(const struct nw_shadow_check *c)
{
    unsigned agreeing = 0, programs = 0, unsteady = 0, skipped = 0;
    print_programs(c);
    printf("\n");
    print_totals(c);
    for (size_t i = 0; i < c->program_count; i++) {
        agreeing += c->program[i].agreeing;
        skipped += c->program[i].skipped[0] != 0;
        programs += !c->program[i].difference[0] && !c->program[i].unsteady && !c->program[i].skipped[0];
        unsteady += c->program[i].unsteady;
    }
    printf("\n%u of %zu counters that moved agree in every segment; %u of %zu programs in all of them.\n", agreeing,
           c->point_count, programs, c->program_count - skipped);
    if (skipped)
        printf("%u programs could not be run.\n", skipped);
    if (unsteady)
        printf("%u are not judged: in five runs of the same program KVM counted differently itself.\n", unsteady);
    printf("KVM backend %s, kernel %s: %s; %s; MMIO entries %s.\n", c->host.backend, c->host.release,
           c->host.eager_zap ? "unsync children go with a table" : "unsync children outlive a table",
           c->host.native_supervisor ? "supervisor code runs natively" : "supervisor code is emulated",
           c->host.mmio_caching ? "are cached" : "are not cached");
}

/* ---- the check ---------------------------------------------------------------------------------------------- */

static bool keep_going(void *context)
{
    (void)context;
    return !nw_cli_interrupted();
}

static enum nw_status check_all(struct nw_shadow_check *c, const struct request *r, struct nw_error *err)
{
    struct nw_cli_progress progress;
    struct nw_shadow_program p;
    size_t fixed = nw_shadow_program_count();
    enum nw_status s = NW_OK;
    nw_cli_progress_start(&progress, "validate shadow", "programs");
    for (size_t i = 0; i < fixed + r->random && !s; i++) {
        nw_cli_progress_update(&progress, i, fixed + r->random);
        if (i < fixed && !r->wanted[i])
            continue;
        if (nw_cli_interrupted()) {
            s = nw_fail(err, NW_ERR_INTERRUPTED, "interrupted");
            break;
        }
        s = i < fixed ? nw_shadow_program_make(i, &p, err) : nw_shadow_program_random(r->seed, i - fixed, &p, err);
        if (s)
            break;
        s = nw_shadow_check_program(c, &p, err);
        nw_shadow_program_free(&p);
    }
    nw_cli_progress_finish(&progress);
    return s;
}

static int show(const struct nw_command *self, const struct nw_shadow_check *c, const char *json)
{
    struct nw_error err = { 0 };
    if (json) {
        char *text;
        enum nw_status s = nw_shadow_check_json_text(c, &text, &err);
        if (!s) {
            s = nw_report_write(json, text, strlen(text), &err);
            free(text);
        }
        if (s)
            return nw_cli_fail(self, s, &err);
    }
    if (!json || strcmp(json, "-"))
        print_text(c);
    return nw_shadow_check_holds(c) ? 0 : 1;
}

static bool none_ran(const struct nw_shadow_check *c)
{
    for (size_t i = 0; i < c->program_count; i++)
        if (!c->program[i].skipped[0])
            return false;
    return c->program_count > 0;
}

static int validate(const struct nw_command *self, const struct request *r)
{
    struct nw_error err = { 0 };
    struct nw_shadow_check check = { 0 };
    nw_cli_catch_interrupts();
    enum nw_status s = nw_shadow_check_start(&check, &r->live, &err);
    if (!s)
        s = check_all(&check, r, &err);
    if (!s && none_ran(&check)) /* no claim was tested */
        s = nw_fail(&err, NW_ERR_UNSUPPORTED, "%s", check.program[0].skipped);
    int exit_status = s ? nw_cli_fail(self, s, &err) : show(self, &check, r->json);
    nw_shadow_check_fini(&check);
    return exit_status;
}

/* ---- options ------------------------------------------------------------------------------------------------ */

static bool want(struct request *r, const char *wanted)
{
    const char *name, *group, *doc;
    for (size_t i = 0; nw_shadow_program_describe(i, &name, &group, &doc); i++)
        if (!strcmp(name, wanted)) {
            r->wanted[i] = r->named = true;
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
        case OPT_PROGRAM:
            if (!want(r, value))
                return nw_cli_usage(self, "--program %s: there is none of that name; --list shows them", value);
            break;
        case OPT_RANDOM:
            if (!nw_cli_parse_u64(value, &r->random) || r->random > RANDOM_MAX)
                return nw_cli_usage(self, "--random %s: a number from 0 to %d", value, RANDOM_MAX);
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
    size_t fixed = nw_shadow_program_count();
    struct request r = { .seed = 1, .live = { .timeout_seconds = 10, .keep_going = keep_going } };
    struct nw_error err = { 0 };
    r.wanted = calloc(fixed, sizeof *r.wanted);
    if (!r.wanted)
        return nw_cli_fail(self, nw_fail_nomem(&err, "the list of programs"), &err);
    nw_cli_parser_init(&parser, self, argc, argv);
    int exit_status = parse(self, &parser, &r);
    if (exit_status < 0) {
        if (!r.named)
            memset(r.wanted, true, fixed * sizeof *r.wanted);
        exit_status = validate(self, &r);
    }
    free(r.wanted);
    return exit_status;
}

const struct nw_command nw_cmd_validate_shadow = {
    .name = "validate shadow",
    .synopsis = "[--program NAME]... [--random N] [--seed N] [--timeout SECONDS] [--json FILE|-]",
    .summary = "the model of KVM's shadow MMU against this machine's KVM",
    .details =
        "Runs small guest programs twice: on the model, and in a virtual machine on /dev/kvm. After each part of a "
        "program KVM's statistics are compared with the model's counters. A counter agrees when it moved alike in "
        "every part.\n\n"
        "KVM has to keep shadow page tables: the PVM backend does, and kvm_intel loaded with ept=0 and kvm_amd with "
        "npt=0. Exit status 0: all agree; 1: some do not; 4: it cannot be checked here, and why.",
    .examples = "nestwalk validate shadow --list\n"
                "nestwalk validate shadow\n"
                "nestwalk validate shadow --program edit-invlpg --random 200 --seed 7 --json -",
    .options = options,
    .run = run,
};
