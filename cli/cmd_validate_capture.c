/* cmd_validate_capture.c - `nestwalk validate capture`: the page walks that KVM logged of a live guest against the model's. */
#include "cli.h"
#include "result_files.h"
#include <inttypes.h>
#include <nestwalk/reports/walk_check.h>
#include <nestwalk/sim/walk_check.h>
#include <nestwalk/traces/capture.h>
#include <nestwalk/traces/nwt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OPT_WORKLOAD, OPT_INSTRUCTIONS, OPT_FROM, OPT_JSON };
static const struct nw_option options[] = {
    [OPT_WORKLOAD] = { "workload", 'w', "NAME", "What the guest runs, as for `nestwalk capture`. Default: vmchurn." },
    [OPT_INSTRUCTIONS] = { "instructions", 'n', "N", "How many of its instructions at most. Default: 50K." },
    [OPT_FROM] = { "from", 0, "TRACE.nwt", "Run no guest: check a trace of `nestwalk capture --via tracepoints`." },
    [OPT_JSON] = { "json", 'j', "FILE|-", "Write the result as JSON; - is standard output, instead of the text." },
    { 0 },
};

static bool keep_going(void *context, const struct nw_capture_progress *p)
{
    nw_cli_progress_update(context, p->instructions, p->instructions_max);
    return !nw_cli_interrupted();
}

/* A live capture into a file that is gone afterwards. */
static enum nw_status capture(const char *workload, uint64_t instructions, char *path, struct nw_error *err)
{
    struct nw_capture_options o;
    struct nw_capture_result result;
    struct nw_cli_progress progress;
    const int fd = mkstemp(path);
    if (fd < 0)
        return nw_fail(err, NW_ERR_IO, "no temporary file can be made: %s", path);
    close(fd);
    nw_capture_defaults(&o);
    o.workload = workload;
    o.path = path;
    o.instructions_max = instructions;
    o.via = NW_CAPTURE_TRACEPOINTS;
    o.progress = keep_going;
    o.context = &progress;
    nw_cli_progress_start(&progress, "capture", "instructions");
    enum nw_status s = nw_capture_run(&o, &result, err);
    nw_cli_progress_finish(&progress);
    if (!s && nw_cli_interrupted())
        s = nw_fail(err, NW_ERR_INTERRUPTED, "interrupted");
    return s;
}

static enum nw_status check(const char *path, struct nw_walk_check *out, struct nw_error *err)
{
    struct nw_source *source;
    enum nw_status s = nw_nwt_open(&source, path, err);
    if (s)
        return s;
    s = nw_walk_check(source, out, err);
    nw_source_destroy(source);
    if (!s && !out->walks)
        s = nw_fail(err, NW_ERR_INPUT, "%s: the trace holds no walk that KVM made (nestwalk capture --via tracepoints)",
                    path);
    return s;
}

static void print_text(const struct nw_walk_check *c)
{
    printf("%" PRIu64 " walks that KVM made, with %" PRIu64 " entries read: %" PRIu64
           " are not the model's, entry for entry.\n",
           c->walks, c->entries, c->differing);
    for (size_t i = 1; i < NW_ARRAY_LEN(c->walks_by_length); i++)
        if (c->walks_by_length[i])
            printf("  %" PRIu64 " walks of %zu entries\n", c->walks_by_length[i], i);
    if (c->difference[0])
        printf("first difference: %s\n", c->difference);
}

static int run(const struct nw_command *self, int argc, char **argv)
{
    struct nw_cli_parser parser;
    struct nw_error err = { 0 };
    struct nw_walk_check result;
    char temporary[4096] = "";
    const char *value, *workload = "vmchurn", *from = NULL, *json = NULL;
    uint64_t instructions = 50 << 10;
    int option;
    nw_cli_parser_init(&parser, self, argc, argv);
    while ((option = nw_cli_next(&parser, &value)) != NW_CLI_DONE) {
        switch (option) {
        case NW_CLI_EXIT: return parser.exit_status;
        case NW_CLI_ARGUMENT: return nw_cli_usage(self, "\"%s\": a trace is named with --from", value);
        case OPT_WORKLOAD: workload = value; break;
        case OPT_FROM: from = value; break;
        case OPT_JSON: json = value; break;
        default:
            if (!nw_cli_parse_u64(value, &instructions) || !instructions)
                return nw_cli_usage(self, "--instructions %s: a number above 0", value);
        }
    }
    enum nw_status s = nw_cli_check_writable(json, &err);
    if (!s && !from) {
        const char *directory = getenv("TMPDIR");
        nw_cli_catch_interrupts();
        snprintf(temporary, sizeof temporary, "%.4000s/nestwalk-XXXXXX", directory && *directory ? directory : "/tmp");
        s = capture(workload, instructions, temporary, &err);
    }
    if (!s)
        s = check(from ? from : temporary, &result, &err);
    if (temporary[0])
        unlink(temporary);
    char *text;
    if (!s && json && !(s = nw_walk_check_json_text(&result, &text, &err)))
        s = nw_cli_write_text(text, json, &err);
    if (!s && !nw_cli_is_stdout(json))
        print_text(&result);
    return s ? nw_cli_fail(self, s, &err) : result.differing ? 1 : 0;
}

const struct nw_command nw_cmd_validate_capture = {
    .name = "validate capture",
    .synopsis = "[--workload NAME] [--instructions N] [--from TRACE.nwt] [--json FILE|-]",
    .summary = "the page walks that KVM logged of a live guest against the model's",
    .details =
        "Captures a workload through KVM's own tracepoints, into a temporary file, and makes every walk that KVM made "
        "again on the model: the same entries, at the same levels, in the same order. This needs tracefs and a KVM "
        "that "
        "emulates CPL 0 over shadow page tables (the PVM backend); a trace made elsewhere is checked with --from.\n\n"
        "Exit status 0: no walk differs; 1: some do; 4: it cannot be captured here, and why.",
    .examples = "nestwalk validate capture\n"
                "nestwalk validate capture --from walks.nwt --json -",
    .options = options,
    .run = run,
};
