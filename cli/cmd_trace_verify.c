/* cmd_trace_verify.c - `nestwalk trace verify`: every checksum, count and enumeration. */
#include "trace_common.h"
#include <inttypes.h>
#include <stdlib.h>

enum { OPT_JSON };
static const struct nw_option options[] = { [OPT_JSON] = { "json", 0, NULL, "Print as JSON." }, { 0 } };

static int verify(const struct nw_command *self, const char *path, bool json, bool first)
{
    struct nw_error err = { 0 };
    struct nw_nwt_summary sum = { 0 };
    enum nw_status s = nw_nwt_verify(path, &sum, &err);
    if (json) {
        printf("%s\n  { \"trace\": ", first ? "" : ",");
        nw_cli_json_string(stdout, path);
        printf(", \"sound\": %s, ", s ? "false" : "true");
        if (s) {
            printf("\"error\": ");
            nw_cli_json_string(stdout, err.text);
        } else {
            nw_cli_summary_json(stdout, &sum);
        }
        printf(" }");
    } else if (!s) {
        printf("%s: sound: %" PRIu64 " accesses and %" PRIu64 " events in %" PRIu64 " blocks\n", path, sum.accesses,
               sum.events, sum.blocks);
    }
    return s ? nw_cli_fail(self, s, &err) : 0;
}

static int run(const struct nw_command *self, int argc, char **argv)
{
    struct nw_cli_parser parser;
    nw_cli_parser_init(&parser, self, argc, argv);
    const char **path = calloc((size_t)argc + 1, sizeof *path), *value;
    int option, paths = 0, worst = 0;
    bool json = false;
    if (!path)
        return nw_status_exit_code(NW_ERR_NOMEM);
    while ((option = nw_cli_next(&parser, &value)) != NW_CLI_DONE) {
        if (option == NW_CLI_EXIT) {
            worst = parser.exit_status;
            goto out;
        }
        if (option == OPT_JSON)
            json = true;
        else
            path[paths++] = value;
    }
    if (!paths) {
        worst = nw_cli_usage(self, "a trace is missing");
        goto out;
    }
    if (json)
        printf("{ \"traces\": [");
    for (int i = 0; i < paths; i++) {
        int status = verify(self, path[i], json, !i);
        worst = status > worst ? status : worst;
    }
    if (json)
        printf("\n] }\n");
out:
    free(path);
    return worst;
}

const struct nw_command nw_cmd_trace_verify = {
    .name = "trace verify",
    .synopsis = "TRACE.nwt... [--json]",
    .summary = "check every byte of a trace",
    .details =
        "Reads everything: the checksums of header, blocks, index and footer, all counts and enumerations, and that "
        "the "
        "stored page lists are what the accesses say. Exit status 3 when a trace is not sound; the message says where.",
    .examples = "nestwalk trace verify *.nwt",
    .options = options,
    .run = run,
};
