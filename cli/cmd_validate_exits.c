/* cmd_validate_exits.c - `nestwalk validate exits`: what exits cost on this machine's KVM, measured from a guest of ours. */
#include "cli.h"
#include "measured_machine.h"
#include "result_files.h"
#include <inttypes.h>
#include <nestwalk/reports/exit_check.h>
#include <nestwalk/scenarios/machine.h>
#include <stdlib.h>
#include <string.h>

enum { OPT_QUICK, OPT_FULL, OPT_MACHINES, OPT_FROM, OPT_SAMPLES, OPT_MACHINE, OPT_PROFILE, OPT_JSON };
static const struct nw_option options[] = {
    [OPT_QUICK] = { "quick", 'q', NULL, "10 virtual machines an operation (default)." },
    [OPT_FULL] = { "full", 'f', NULL, "40 of them, and more chunks in each." },
    [OPT_MACHINES] = { "machines", 'n', "N",
                       "So many virtual machines an operation, 2 to 200, half of them held out." },
    [OPT_FROM] = { "from", 0, "FILE.db", "Measure nothing: judge these samples again." },
    [OPT_SAMPLES] = { "samples", 's', "FILE.db",
                      "Keep the raw samples, in SQLite; a file of `validate tlb` keeps its own." },
    [OPT_MACHINE] = { "machine", 'm', "PROFILE",
                      "The profile whose costs are replaced. Default: the shipped one nearest to this processor, or "
                      "textbook." },
    [OPT_PROFILE] = { "profile", 'p', "OUT.xml", "Write that machine with the measured costs as a profile." },
    [OPT_JSON] = { "json", 'j', "FILE|-", "Write the result as JSON; - is standard output, instead of the table." },
    { 0 },
};
enum { QUICK_MACHINES = 10, FULL_MACHINES = 40, QUICK_CHUNKS = 40, FULL_CHUNKS = 200, MACHINES_MAX = 200 };

static void print_text(const struct nw_exit_check *c)
{
    struct nw_cli_table *t = nw_cli_table_new(
        (const char *const[]){ "operation", "core cycles", "range", "ns", "predicted", "error", "what" },
        (const bool[]){ false, true, true, true, true, true, false }, 7);
    for (size_t i = 0; i < NW_EXIT_COST_OPERATIONS; i++) {
        const struct nw_exit_figure *f = &c->figure[i];
        char cell[5][32];
        if (f->skipped[0])
            continue;
        snprintf(cell[0], sizeof cell[0], "%.0f", f->held_out);
        snprintf(cell[1], sizeof cell[1], "%.0f-%.0f", f->low, f->high);
        snprintf(cell[2], sizeof cell[2], "%.0f", f->held_out / c->core_ghz);
        snprintf(cell[3], sizeof cell[3], "%.0f", f->predicted);
        snprintf(cell[4], sizeof cell[4], "%+.0f %%", f->error_percent);
        nw_cli_table_row(t, (const char *const[]){ nw_exit_cost_row[i].name, cell[0], cell[1], cell[2], cell[3],
                                                   cell[4], nw_exit_cost_row[i].doc });
    }
    nw_cli_table_print(t, stdout);
    printf("\nKVM backend %s, core clock %.2f GHz (measured), %u virtual machines an operation, half of them to "
           "predict from.\n"
           "claim: %s\n",
           c->backend, c->core_ghz, c->machines, nw_exit_check_claim);
    printf("median error %.1f %%, worst %.1f %%; the mix, predicted as the sum of its parts: %+.1f %%: %s\n",
           c->median_error_percent, c->max_error_percent, c->figure[NW_EXIT_COST_MIX].error_percent,
           c->holds ? "holds" : "missed");
    for (size_t i = 0; i < NW_EXIT_COST_OPERATIONS; i++)
        if (c->figure[i].skipped[0])
            printf("left out: %s\n", c->figure[i].skipped);
}

struct request {
    bool full;
    uint64_t machines;
    const char *from, *samples, *machine, *profile, *json;
};

static enum nw_status measure(struct nw_exit_samples *m, const struct request *r, struct nw_error *err)
{
    struct nw_cli_progress progress;
    const struct nw_exit_samples_options o = {
        .machines = (uint32_t)(r->machines ? r->machines
                               : r->full   ? FULL_MACHINES
                                           : QUICK_MACHINES),
        .chunks = r->full ? FULL_CHUNKS : QUICK_CHUNKS,
        .progress = nw_cli_progress_step,
        .context = &progress,
    };
    if (r->from)
        return nw_exit_samples_load(m, r->from, err);
    nw_cli_catch_interrupts();
    nw_cli_progress_start(&progress, "validate exits", "virtual machines");
    enum nw_status s = nw_exit_samples_measure(m, &o, err);
    nw_cli_progress_finish(&progress);
    struct nw_measurement here = { 0 };
    if (!s && !(s = measured_machine_describe(&here, err))) {
        memcpy(m->processor, here.machine, sizeof m->processor);
        memcpy(m->profile, here.profile, sizeof m->profile);
    }
    return s ? s : r->samples ? nw_exit_samples_save(m, r->samples, err) : NW_OK;
}

static enum nw_status write_profile(const struct nw_exit_check *c, const char *from, const char *path,
                                    struct nw_error *err)
{
    struct nw_config config;
    nw_config_init(&config);
    enum nw_status s = nw_machine_load(from, NULL, &config, err);
    if (!s)
        s = nw_exit_check_price(c, &config, err);
    if (!s)
        s = nw_machine_save(&config, path, err);
    nw_config_fini(&config);
    return s;
}

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
        case OPT_MACHINE: r->machine = value; break;
        case OPT_PROFILE: r->profile = value; break;
        case OPT_JSON: r->json = value; break;
        default:
            if (!nw_cli_parse_u64(value, &r->machines) || r->machines < 2 || r->machines > MACHINES_MAX)
                return nw_cli_usage(self, "--machines %s: a number from 2 to %d", value, MACHINES_MAX);
        }
    }
    if (r->from && (r->samples || r->machines))
        return nw_cli_usage(self, "--from measures nothing: %s has no use", r->samples ? "--samples" : "--machines");
    if (r->machine && !r->profile)
        return nw_cli_usage(self, "--machine is what --profile begins with");
    return -1;
}

static int run(const struct nw_command *self, int argc, char **argv)
{
    struct nw_cli_parser parser;
    struct nw_error err = { 0 };
    struct request r = { 0 };
    struct nw_exit_samples samples = { 0 };
    struct nw_exit_check check;
    char *text;
    nw_cli_parser_init(&parser, self, argc, argv);
    const int exit_status = parse(self, &parser, &r);
    if (exit_status >= 0)
        return exit_status;
    enum nw_status s = NW_OK;
    (void)((s = nw_cli_check_writable(r.json, &err)) || (s = nw_cli_check_writable(r.samples, &err)) ||
           (s = nw_cli_check_writable(r.profile, &err)) || (s = measure(&samples, &r, &err)));
    if (!s)
        nw_exit_check_judge(&check, &samples);
    if (!s && r.profile)
        s = write_profile(&check, r.machine ? r.machine : samples.profile, r.profile, &err);
    if (!s && r.json && !(s = nw_exit_check_json_text(&check, &text, &err)))
        s = nw_cli_write_text(text, r.json, &err);
    if (!s && !nw_cli_is_stdout(r.json))
        print_text(&check);
    nw_exit_samples_fini(&samples);
    return s ? nw_cli_fail(self, s, &err) : check.holds ? 0 : 1;
}

const struct nw_command nw_cmd_validate_exits = {
    .name = "validate exits",
    .synopsis =
        "[--quick|--full] [--machines N] [--from FILE.db] [--samples FILE.db] [--profile OUT.xml [--machine PROFILE]] "
        "[--json FILE|-]",
    .summary = "what exits cost on this machine's KVM",
    .details =
        "Times CPUID, port and memory-mapped I/O, hypercalls, INVLPG, MOV to CR3 and first touches of memory in small "
        "virtual machines on /dev/kvm; and, in processes of this machine, a page fault and changes of a page's "
        "protection, alone and with another processor's TLB to be told. From half of the virtual machines costs are "
        "taken, the other half is predicted "
        "with them; a loop of four operations is predicted as the sum of their costs.\n\n"
        "Exit status 0: the predictions hold; 1: they do not; 4: exits cannot be timed here, and why.",
    .examples = "nestwalk validate exits\n"
                "nestwalk validate exits --full --samples exits.db --profile here.xml\n"
                "nestwalk validate exits --from exits.db --json exits.json",
    .options = options,
    .run = run,
};
