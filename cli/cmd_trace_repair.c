/* cmd_trace_repair.c - `nestwalk trace repair`: keeps the whole blocks of a cut or damaged trace. */
#include "trace_common.h"
#include <inttypes.h>

enum { OPT_OUT, OPT_JSON };
static const struct nw_option options[] = {
    [OPT_OUT] = { "output", 'o', "OUT.nwt", "Write the repaired trace here; default: in place of the damaged one." },
    [OPT_JSON] = { "json", 0, NULL, "Print what was kept as JSON." },
    { 0 },
};

static int run(const struct nw_command *self, int argc, char **argv)
{
    struct nw_cli_parser parser;
    nw_cli_parser_init(&parser, self, argc, argv);
    const char *value, *path = NULL, *out = NULL;
    bool json = false;
    int option;
    while ((option = nw_cli_next(&parser, &value)) != NW_CLI_DONE) {
        switch (option) {
        case NW_CLI_EXIT: return parser.exit_status;
        case OPT_OUT: out = value; break;
        case OPT_JSON: json = true; break;
        default:
            if (path)
                return nw_cli_usage(self, "one trace at a time; \"%s\" is a second one", value);
            path = value;
        }
    }
    if (!path)
        return nw_cli_usage(self, "a trace is missing");
    struct nw_error err = { 0 };
    struct nw_nwt_summary kept;
    uint64_t lost_bytes;
    enum nw_status s = nw_nwt_repair(path, out ? out : path, &kept, &lost_bytes, &err);
    if (s)
        return nw_cli_fail(self, s, &err);
    if (json) {
        printf("{ \"trace\": ");
        nw_cli_json_string(stdout, out ? out : path);
        printf(", ");
        nw_cli_summary_json(stdout, &kept);
        printf(", \"lost_bytes\": %" PRIu64 " }\n", lost_bytes);
    } else {
        printf("%s: kept %" PRIu64 " accesses and %" PRIu64 " events in %" PRIu64 " whole blocks; lost %" PRIu64
               " bytes\n",
               out ? out : path, kept.accesses, kept.events, kept.blocks, lost_bytes);
    }
    return 0;
}

const struct nw_command nw_cmd_trace_repair = {
    .name = "trace repair",
    .synopsis = "TRACE.nwt [-o OUT.nwt] [--json]",
    .summary = "keep the whole blocks of a cut or damaged trace",
    .details = "Keeps the blocks from the first up to the first that is not sound, and makes a new index for them. A "
               "sound trace "
               "comes out as it went in. A trace whose header is damaged cannot be repaired (exit status 3).",
    .examples = "nestwalk trace repair cut.nwt -o whole.nwt",
    .options = options,
    .run = run,
};
