/* cmd_trace_info.c - `nestwalk trace info`: what a trace says of itself. */
#include "trace_common.h"
#include <inttypes.h>

enum { OPT_JSON };
static const struct nw_option options[] = { [OPT_JSON] = { "json", 0, NULL, "Print as JSON." }, { 0 } };

static void text_line(const char *key, const char *value)
{
    if (value[0])
        printf("%-16s %s\n", key, value);
}

static void print_text(const char *path, const struct nw_nwt_summary *s, const struct nw_trace_info *i)
{
    text_line("trace", path);
    text_line("origin", i->origin);
    text_line("workload", i->workload);
    text_line("CPU", i->cpu_model);
    text_line("kernel", i->kernel);
    text_line("KVM backend", i->kvm_backend);
    nw_cli_summary_text(stdout, s);
    printf("seed             %" PRIu64 "\n", i->seed);
    if (i->instructions)
        printf("instructions     %" PRIu64 "\n", i->instructions);
    printf("vCPUs            %u\n", i->vcpu_count);
    printf("address bits     %u virtual", i->gva_bits);
    if (i->gpa_bits)
        printf(", %u guest-physical", i->gpa_bits);
    printf("\n");
    if (i->guest_memory_bytes)
        printf("guest memory     %" PRIu64 " bytes\n", i->guest_memory_bytes);
    printf("page tables      ");
    if (i->has_tables)
        printf("%" PRIu32 " pages\n", i->table_count);
    else
        printf("not in the trace; replay imitates a guest\n");
    for (unsigned v = 0; i->has_tables && v < i->vcpu_count; v++)
        printf("vCPU %-3u         CR0 0x%" PRIx64 "  CR3 0x%" PRIx64 "  CR4 0x%" PRIx64 "  EFER 0x%" PRIx64
               "  CPL %u\n",
               v, i->vcpu[v].cr0, i->vcpu[v].cr3, i->vcpu[v].cr4, i->vcpu[v].efer, i->vcpu[v].cpl);
}

static void json_text_field(const char *key, const char *value)
{
    printf("\"%s\": ", key);
    nw_cli_json_string(stdout, value);
    printf(", ");
}

static void print_json(const char *path, const struct nw_nwt_summary *s, const struct nw_trace_info *i)
{
    printf("{ ");
    json_text_field("trace", path);
    json_text_field("origin", i->origin);
    json_text_field("workload", i->workload);
    json_text_field("cpu_model", i->cpu_model);
    json_text_field("kernel", i->kernel);
    json_text_field("kvm_backend", i->kvm_backend);
    nw_cli_summary_json(stdout, s);
    printf(", \"seed\": %" PRIu64 ", \"instructions\": %" PRIu64 ", \"gva_bits\": %u, \"gpa_bits\": %u"
           ", \"guest_memory_bytes\": %" PRIu64 ", \"has_tables\": %s, \"table_pages\": %" PRIu32 ", \"vcpus\": [",
           i->seed, i->instructions, i->gva_bits, i->gpa_bits, i->guest_memory_bytes, i->has_tables ? "true" : "false",
           i->table_count);
    for (unsigned v = 0; v < i->vcpu_count; v++)
        printf("%s { \"cr0\": \"0x%" PRIx64 "\", \"cr3\": \"0x%" PRIx64 "\", \"cr4\": \"0x%" PRIx64
               "\", \"efer\": \"0x%" PRIx64 "\", \"cpl\": %u }",
               v ? "," : "", i->vcpu[v].cr0, i->vcpu[v].cr3, i->vcpu[v].cr4, i->vcpu[v].efer, i->vcpu[v].cpl);
    printf(" ] }\n");
}

static int run(const struct nw_command *self, int argc, char **argv)
{
    struct nw_cli_parser parser;
    nw_cli_parser_init(&parser, self, argc, argv);
    const char *value, *path = NULL;
    bool json = false;
    int option;
    while ((option = nw_cli_next(&parser, &value)) != NW_CLI_DONE) {
        switch (option) {
        case NW_CLI_EXIT: return parser.exit_status;
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
    struct nw_nwt_summary sum;
    static struct nw_trace_info info;
    enum nw_status s = nw_nwt_summarise(path, &sum, &info, &err);
    if (s)
        return nw_cli_fail(self, s, &err);
    if (json)
        print_json(path, &sum, &info);
    else
        print_text(path, &sum, &info);
    nw_trace_info_fini(&info);
    return 0;
}

const struct nw_command nw_cmd_trace_info = {
    .name = "trace info",
    .synopsis = "TRACE.nwt [--json]",
    .summary = "what a trace says of itself",
    .details = "Reads the header and the index alone, so it is quick for traces of any size. It checks those two; "
               "`nestwalk trace verify` checks everything.",
    .examples = "nestwalk trace info btree.nwt",
    .options = options,
    .run = run,
};
