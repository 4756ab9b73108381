/* cmd_trace_cut.c - `nestwalk trace cut`: a piece of a trace as a trace. */
#include "trace_common.h"
#include <inttypes.h>
#include <nestwalk/traces/cut.h>

enum { OPT_FROM, OPT_COUNT, OPT_OUT, OPT_JSON };
static const struct nw_option options[] = {
    [OPT_FROM] = { "from", 0, "N", "The first access of the piece, counted from 0; default 0." },
    [OPT_COUNT] = { "count", 'n', "N", "How many accesses; default all that follow." },
    [OPT_OUT] = { "output", 'o', "OUT.nwt", "The trace to write." },
    [OPT_JSON] = { "json", 0, NULL, "Print what was written as JSON." },
    { 0 },
};

static int run(const struct nw_command *self, int argc, char **argv)
{
    struct nw_cli_parser parser;
    nw_cli_parser_init(&parser, self, argc, argv);
    const char *value, *path = NULL, *out = NULL;
    uint64_t first = 0, count = UINT64_MAX;
    bool json = false;
    int option;
    while ((option = nw_cli_next(&parser, &value)) != NW_CLI_DONE) {
        switch (option) {
        case NW_CLI_EXIT: return parser.exit_status;
        case OPT_OUT: out = value; break;
        case OPT_JSON: json = true; break;
        case OPT_FROM:
        case OPT_COUNT:
            if (!nw_cli_parse_u64(value, option == OPT_FROM ? &first : &count))
                return nw_cli_usage(self, "--%s %s: not a number", options[option].name, value);
            break;
        default:
            if (path)
                return nw_cli_usage(self, "one trace at a time; \"%s\" is a second one", value);
            path = value;
        }
    }
    if (!path || !out)
        return nw_cli_usage(self, "%s is missing", !path ? "a trace" : "-o OUT.nwt");
    struct nw_error err = { 0 };
    struct nw_nwt_summary kept;
    struct nw_cli_progress progress;
    nw_cli_catch_interrupts();
    nw_cli_progress_start(&progress, "cut", "accesses");
    enum nw_status s = nw_trace_cut(path, out, first, count, nw_cli_progress_step, &progress, &kept, &err);
    nw_cli_progress_finish(&progress);
    if (s)
        return nw_cli_fail(self, s, &err);
    if (json) {
        printf("{ \"trace\": ");
        nw_cli_json_string(stdout, out);
        printf(", ");
        nw_cli_summary_json(stdout, &kept);
        printf(" }\n");
    } else {
        printf("%s: %" PRIu64 " accesses and %" PRIu64 " events in %" PRIu64 " bytes\n", out, kept.accesses,
               kept.events, kept.file_bytes);
    }
    return 0;
}

const struct nw_command nw_cmd_trace_cut = {
    .name = "trace cut",
    .synopsis = "TRACE.nwt --from N --count N -o OUT.nwt",
    .summary = "a piece of a trace as a trace of its own",
    .details = "The guest's control registers and page tables are carried forward to where the piece begins, so it "
               "replays as it "
               "would have in its place. An event goes with the access before it.",
    .examples = "nestwalk trace cut btree.nwt --from 1M --count 100K -o piece.nwt",
    .options = options,
    .run = run,
};
