/* cmd_import.c - `nestwalk import`: another tool's trace -> .nwt. */
#include "trace_common.h"
#include <nestwalk/traces/import.h>
#include <string.h>
#include <sys/stat.h>

enum { OPT_FROM, OPT_OUT, OPT_WORKLOAD, OPT_JSON };
static const struct nw_option options[] = {
    [OPT_FROM] = { "from", 'f', "FORMAT",
                   "The format of the input: raw64, lackey, csv, ftrace-dma, ftrace-iommu, their -raw, qemu-vtd." },
    [OPT_OUT] = { "output", 'o', "OUT.nwt", "The trace to write." },
    [OPT_WORKLOAD] = { "workload", 'w', "TEXT", "What ran; kept in the trace's header." },
    [OPT_JSON] = { "json", 0, NULL, "Print what was written as JSON." },
    { 0 },
};

static int unknown_format(const struct nw_command *self, const char *name)
{
    char names[256] = "";
    for (size_t i = 0; i < nw_importer_count; i++)
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", i ? ", " : "", nw_importers[i].name);
    return nw_cli_usage(self, "there is no format \"%s\"; there are %s", name, names);
}

static int run(const struct nw_command *self, int argc, char **argv)
{
    struct nw_cli_parser parser;
    nw_cli_parser_init(&parser, self, argc, argv);
    const char *value, *from = NULL, *in = NULL, *out = NULL, *workload = NULL;
    bool json = false;
    int option;
    while ((option = nw_cli_next(&parser, &value)) != NW_CLI_DONE) {
        switch (option) {
        case NW_CLI_EXIT: return parser.exit_status;
        case OPT_FROM: from = value; break;
        case OPT_OUT: out = value; break;
        case OPT_WORKLOAD: workload = value; break;
        case OPT_JSON: json = true; break;
        default:
            if (in)
                return nw_cli_usage(self, "one input at a time; \"%s\" is a second one", value);
            in = value;
        }
    }
    if (!from || !in || !out)
        return nw_cli_usage(self, "%s is missing", !from ? "--from" : !in ? "the input" : "-o OUT.nwt");
    const struct nw_importer *importer = nw_importer_find(from);
    if (!importer)
        return unknown_format(self, from);

    struct stat input, output;
    if (!stat(in, &input) && !stat(out, &output) && input.st_dev == output.st_dev && input.st_ino == output.st_ino)
        return nw_cli_usage(self, "the input and -o are the same file, %s", in);
    struct nw_error err = { 0 };
    struct nw_source *source = NULL;
    enum nw_status s = importer->open(&source, in, &err);
    if (s)
        return nw_cli_fail(self, s, &err);
    struct nw_trace_info info = *nw_source_info(source); /* importers know no page tables: nothing in it is owned */
    if (workload)
        snprintf(info.workload, sizeof info.workload, "%s", workload);
    return nw_cli_write_trace(self, source, &info, out, json);
}

const struct nw_command nw_cmd_import = {
    .name = "import",
    .synopsis = "--from FORMAT INPUT -o OUT.nwt",
    .summary = "other tools' traces -> .nwt",
    .details =
        "raw64: little-endian 64-bit virtual addresses, one an access; all are 8-byte loads.\n\n"
        "lackey: the text of Valgrind's --tool=lackey --trace-mem=yes. Fetches, loads and stores; a modify (M) "
        "is a load, then "
        "a store.\n\n"
        "csv: type,address,size[,user] a line. The type is fetch, load or store, or F, I, L, R, S, W; addresses "
        "and sizes are "
        "decimal, or hexadecimal with 0x; user is 0 or 1 (default 1). A heading and # comments are allowed.\n\n"
        "ftrace-dma, ftrace-iommu: text of Linux's trace events dma:*, or iommu:* and intel_iommu:qi_submit, from "
        "/sys/kernel/tracing/trace or trace-cmd report. ftrace-dma-raw, ftrace-iommu-raw: the same in binary, a "
        "directory with "
        "events/header_page, events/SYSTEM/EVENT/format and per_cpu/cpuN/trace_pipe_raw. qemu-vtd: QEMU's log of its "
        "vtd_* events. Their traces have "
        "events of devices and no accesses (docs/dma-traces.md).\n\n"
        "Inputs may be compressed with gzip, xz, lzma, zstd, bzip2 or lz4; that is recognised by content.",
    .examples = "valgrind --tool=lackey --trace-mem=yes --log-file=ls.txt ls\n"
                "nestwalk import --from lackey ls.txt -o ls.nwt --workload ls",
    .options = options,
    .run = run,
};
