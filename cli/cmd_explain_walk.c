/* cmd_explain_walk.c - `nestwalk explain walk`: one access, reference by reference. */
#include "cli.h"
#include <nestwalk/reports/draw.h>
#include <nestwalk/reports/export.h>
#include <nestwalk/scenarios/machine.h>
#include <nestwalk/sim/explain.h>
#include <nestwalk/traces/nwt.h>
#include <stdlib.h>
#include <string.h>

enum {
    OPT_GVA,
    OPT_TRACE,
    OPT_AT,
    OPT_GUEST_LEVELS,
    OPT_NESTED_LEVELS,
    OPT_GUEST_PAGE,
    OPT_NESTED_PAGE,
    OPT_MODE,
    OPT_MACHINE,
    OPT_FIDELITY,
    OPT_SET,
    OPT_STORE,
    OPT_FETCH,
    OPT_USER,
    OPT_JSON,
    OPT_DOT,
    OPT_SVG
};
static const struct nw_option options[] = {
    [OPT_GVA] = { "gva", 'g', "ADDRESS", "The guest-virtual address (0x... or decimal)." },
    [OPT_TRACE] = { "trace", 't', "FILE",
                    "Walk the page tables that this trace carries, instead of an imitation guest's in which the "
                    "address is "
                    "mapped." },
    [OPT_AT] = { "at", 0, "N",
                 "The trace's tables as they stand before access number N (from 0). Default: at its end." },
    [OPT_GUEST_LEVELS] = { "guest-levels", 0, "4|5", "Levels of the imitation guest's tables. Default: 4." },
    [OPT_NESTED_LEVELS] = { "nested-levels", 0, "4|5", "Levels of the second stage. Default: 4." },
    [OPT_GUEST_PAGE] = { "guest-page", 0, "4K|2M|1G", "Page that the imitation guest maps. Default: 4K." },
    [OPT_NESTED_PAGE] = { "nested-page", 0, "4K|2M|1G", "Host page that backs guest memory. Default: 4K." },
    [OPT_MODE] = { "mode", 'm', "native|nested|shadow", "How memory is virtualized. Default: nested." },
    [OPT_MACHINE] = { "machine", 'M', "MACHINE",
                      "Machine profile: a shipped one's name or an XML file. Default: textbook." },
    [OPT_FIDELITY] = { "fidelity", 'f', "tlb|walk|full",
                       "tlb leaves the caches, and so the cost, out. Default: walk." },
    [OPT_SET] = { "set", 's', "PATH=VALUE", "Sets one parameter, over the profile; may be repeated." },
    [OPT_STORE] = { "store", 0, NULL, "The access is a store. Default: a load." },
    [OPT_FETCH] = { "fetch", 0, NULL, "The access is an instruction fetch." },
    [OPT_USER] = { "user", 'u', NULL, "The access is made in user mode (CPL 3). Default: supervisor mode." },
    [OPT_JSON] = { "json", 'j', NULL, "Print JSON instead of the table." },
    [OPT_DOT] = { "dot", 0, "FILE|-",
                  "Write the picture as Graphviz DOT; - is standard output, instead of the table." },
    [OPT_SVG] = { "svg", 0, "FILE|-", "Write the picture as SVG; - is standard output, instead of the table." },
    { 0 },
};
enum { OPT_END = OPT_SVG + 1 };

/* Options that are one parameter each. */
static const struct {
    int option;
    const char *path;
} parameter[] = {
    { OPT_MODE, "run.mode" },
    { OPT_FIDELITY, "run.fidelity" },
    { OPT_GUEST_LEVELS, "guest.levels" },
    { OPT_GUEST_PAGE, "guest.page_policy" },
    { OPT_NESTED_LEVELS, "vmm.levels" },
    { OPT_NESTED_PAGE, "vmm.backing" },
};

struct request {
    const char *value[OPT_END]; /* of each option given; flags: "" */
    const char **set;
    size_t set_count;
    uint64_t gva, at;
};

/* ---- configuration ---- */

static enum nw_status set_assignment(struct nw_config *c, const char *assignment, struct nw_error *err)
{
    const char *equals = strchr(assignment, '=');
    char path[128];
    if (!equals || (size_t)(equals - assignment) >= sizeof path)
        return nw_fail(err, NW_ERR_USAGE, "--set %s: expected PATH=VALUE, like psc.guest.pde.entries=32", assignment);
    memcpy(path, assignment, (size_t)(equals - assignment));
    path[equals - assignment] = 0;
    return nw_config_set(c, path, equals + 1, "--set", err);
}

static enum nw_status configure(struct nw_config *c, const struct request *r, struct nw_error *err)
{
    enum nw_status s = r->value[OPT_MACHINE] ? nw_machine_load(r->value[OPT_MACHINE], NULL, c, err) : NW_OK;
    if (!s && !r->value[OPT_MODE])
        s = nw_config_set(c, "run.mode", "nested", "default", err);
    for (size_t i = 0; !s && i < NW_ARRAY_LEN(parameter); i++) {
        const char *value = r->value[parameter[i].option], *name = options[parameter[i].option].name;
        char source[48];
        snprintf(source, sizeof source, "--%s", name);
        if (value && (s = nw_config_set(c, parameter[i].path, value, source, err)))
            nw_error_context(err, "--%s", name);
    }
    for (size_t i = 0; !s && i < r->set_count; i++)
        s = set_assignment(c, r->set[i], err);
    return s ? s : nw_config_check(c, err);
}

/* ---- text ---- */

/* A reference's decoded entry, short: a line has no room for "present writable user ...". */
static void shorten(const char *decoded, char *out, size_t out_size)
{
    static const struct {
        const char *word, *letter;
    } letters[] = {
        { "present", "P" },    { "writable", "W" }, { "user", "U" },        { "accessed", "A" },
        { "dirty", "D" },      { "global", "G" },   { "no-execute", "NX" }, { "supervisor", "S" },
        { "read-only", "RO" }, { "readable", "R" }, { "executable", "X" },  { "large-page", "PS" },
        { "frame", "" },
    };
    size_t used = 0;
    out[0] = 0;
    while (*decoded && used + 1 < out_size) {
        size_t length = strcspn(decoded, " ");
        const char *word = decoded;
        int n = (int)length;
        for (size_t i = 0; i < NW_ARRAY_LEN(letters); i++)
            if (strlen(letters[i].word) == length && !strncmp(letters[i].word, decoded, length)) {
                word = letters[i].letter;
                n = (int)strlen(word);
            }
        int wrote = snprintf(out + used, out_size - used, "%s%.*s", used && n ? " " : "", n, word);
        used += wrote > 0 ? (size_t)wrote : 0;
        decoded += length;
        decoded += strspn(decoded, " ");
    }
}

static void print_reference(struct nw_cli_table *t, const struct nw_explained_reference *r)
{
    char n[16], address[24], entry[24], decoded[200], found[NW_NAME_MAX + 16], cycles[24];
    snprintf(n, sizeof n, "%u", r->n);
    snprintf(address, sizeof address, "0x%llx", (unsigned long long)r->address);
    snprintf(entry, sizeof entry, "0x%llx", (unsigned long long)r->entry);
    shorten(r->decoded, decoded, sizeof decoded);
    if (r->skipped_by[0])
        snprintf(found, sizeof found, "(%s)", r->skipped_by);
    else
        snprintf(found, sizeof found, "%s", r->found_in);
    snprintf(cycles, sizeof cycles, "%llu", (unsigned long long)r->cycles);
    nw_cli_table_row(t, (const char *const[]){ r->skipped_by[0] ? "-" : n, r->nested ? "nested" : "guest", r->table,
                                               address, entry, decoded, found, r->skipped_by[0] ? "-" : cycles });
}

static const char *page_name(uint64_t bytes)
{
    return bytes == (uint64_t)1 << 30   ? "1 GiB"
           : bytes == (uint64_t)1 << 22 ? "4 MiB"
           : bytes == (uint64_t)1 << 21 ? "2 MiB"
                                        : "4 KiB";
}

static void print_text(const struct nw_explanation *x, const struct nw_config *c)
{
    static const char *const heading[] = { "n",     "dimension", "table",    "entry at",
                                           "entry", "decoded",   "found in", "cycles" };
    static const bool numeric[] = { true, false, false, true, true, false, false, true };
    struct nw_cli_table *t = nw_cli_table_new(heading, numeric, NW_ARRAY_LEN(heading));
    for (unsigned i = 0; i < x->reference_count; i++) {
        const struct nw_explained_reference *r = x->reference + i;
        /* a line above each step of the guest, so that the two dimensions are seen */
        if (i == 0 || (x->references_nested && !r[-1].nested))
            nw_cli_table_rule(t);
        print_reference(t, r);
    }
    nw_cli_table_rule(t);
    nw_cli_table_print(t, stdout);
    printf("outcome: %s\n", x->outcome);
    if (x->page_bytes)
        printf("GVA 0x%llx -> GPA 0x%llx -> HPA 0x%llx, %s page\n", (unsigned long long)x->gva,
               (unsigned long long)x->gpa, (unsigned long long)x->hpa, page_name(x->page_bytes));
    printf("%u references (%u guest, %u nested), %llu cycles; %s on %s, fidelity %s\n", x->references,
           x->references_guest, x->references_nested, (unsigned long long)x->cycles, nw_mode_name[c->mode], c->machine,
           nw_fidelity_name[c->fidelity]);
    puts("P present, R readable, W writable, X executable, U user, A accessed, D dirty, G global,\n"
         "NX no-execute, PS large; a name in parentheses: the cache that made the reference unnecessary");
}

/* ---- output ---- */

static enum nw_status write_picture(const struct nw_explanation *x, const struct request *r, struct nw_error *err)
{
    char *dot = NULL, *svg = NULL;
    enum nw_status s = nw_draw_walk(x, &dot, err);
    if (!s && r->value[OPT_DOT])
        s = nw_report_write(r->value[OPT_DOT], dot, strlen(dot), err);
    if (!s && r->value[OPT_SVG])
        s = nw_draw_svg(dot, &svg, err);
    if (!s && svg)
        s = nw_report_write(r->value[OPT_SVG], svg, strlen(svg), err);
    free(dot);
    free(svg);
    return s;
}

static enum nw_status write_json(const struct nw_explanation *x, const struct nw_config *c, struct nw_error *err)
{
    char *text = NULL;
    enum nw_status s = nw_explanation_json_text(x, c, &text, err);
    if (!s)
        s = nw_report_write("-", text, strlen(text), err);
    free(text);
    return s;
}

static bool to_stdout(const struct request *r, int option)
{
    return r->value[option] && !strcmp(r->value[option], "-");
}

static enum nw_status write_outputs(const struct nw_explanation *x, const struct nw_config *c, const struct request *r,
                                    struct nw_error *err)
{
    enum nw_status s = NW_OK;
    if (r->value[OPT_DOT] || r->value[OPT_SVG])
        s = write_picture(x, r, err);
    if (s || to_stdout(r, OPT_DOT) || to_stdout(r, OPT_SVG))
        return s;
    if (r->value[OPT_JSON])
        return write_json(x, c, err);
    print_text(x, c);
    return NW_OK;
}

/* ---- the command ---- */

/* The imitation guest's options say nothing about a trace that brings its own tables. */
static enum nw_status check_guest_options(const struct request *r, const struct nw_source *source, struct nw_error *err)
{
    static const int guest_only[] = { OPT_GUEST_LEVELS, OPT_GUEST_PAGE };
    for (size_t i = 0; source && nw_source_info(source)->has_tables && i < NW_ARRAY_LEN(guest_only); i++)
        if (r->value[guest_only[i]])
            return nw_fail(err, NW_ERR_USAGE, "--%s does not go with %s, which carries the guest's own page tables",
                           options[guest_only[i]].name, r->value[OPT_TRACE]);
    return NW_OK;
}

static int execute(const struct nw_command *self, const struct request *r)
{
    struct nw_error err = { 0 };
    struct nw_source *source = NULL;
    struct nw_explanation x = { 0 };
    struct nw_config config;
    nw_config_init(&config);
    enum nw_status s = configure(&config, r, &err);
    if (!s && r->value[OPT_TRACE])
        s = nw_nwt_open(&source, r->value[OPT_TRACE], &err);
    if (!s)
        s = check_guest_options(r, source, &err);
    if (!s) {
        enum nw_access_type type = r->value[OPT_FETCH] ? NW_FETCH : r->value[OPT_STORE] ? NW_STORE : NW_LOAD;
        s = nw_explain_walk(source, r->at, &config, nw_gva(r->gva), type, r->value[OPT_USER] != NULL, &x, &err);
    }
    if (!s) {
        s = write_outputs(&x, &config, r, &err);
        nw_explanation_fini(&x);
    }
    nw_source_destroy(source);
    nw_config_fini(&config);
    return s ? nw_cli_fail(self, s, &err) : 0;
}

/* What is wrong with the options themselves; NULL when nothing is. */
static const char *usage_problem(struct request *r)
{
    if (!r->value[OPT_GVA])
        return "needs an address: --gva ADDRESS";
    if (!nw_cli_parse_u64(r->value[OPT_GVA], &r->gva))
        return "--gva takes an address, like 0x7f0000001234";
    if (r->value[OPT_AT] && !nw_cli_parse_u64(r->value[OPT_AT], &r->at))
        return "--at takes the number of an access";
    if (r->value[OPT_AT] && !r->value[OPT_TRACE])
        return "--at goes with --trace";
    if (r->value[OPT_STORE] && r->value[OPT_FETCH])
        return "an access is a store or a fetch, not both";
    if (to_stdout(r, OPT_DOT) + to_stdout(r, OPT_SVG) + (r->value[OPT_JSON] != NULL) > 1)
        return "only one of --json, --dot - and --svg - can have standard output";
    return NULL;
}

static int run(const struct nw_command *self, int argc, char **argv)
{
    struct nw_error err = { 0 };
    struct request r = { .at = UINT64_MAX, .set = calloc((size_t)argc + 1, sizeof *r.set) };
    if (!r.set)
        return nw_cli_fail(self, nw_fail_nomem(&err, "the command line"), &err);
    struct nw_cli_parser parser;
    nw_cli_parser_init(&parser, self, argc, argv);
    const char *value = NULL, *problem;
    int option, exit_status;
    while ((option = nw_cli_next(&parser, &value)) >= 0)
        if (option == OPT_SET)
            r.set[r.set_count++] = value;
        else
            r.value[option] = value ? value : "";
    if (option == NW_CLI_EXIT)
        exit_status = parser.exit_status;
    else if (option == NW_CLI_ARGUMENT)
        exit_status = nw_cli_usage(self, "unexpected argument \"%s\"", value);
    else if ((problem = usage_problem(&r)) != NULL)
        exit_status = nw_cli_usage(self, "%s", problem);
    else
        exit_status = execute(self, &r);
    free(r.set);
    return exit_status;
}

const struct nw_command nw_cmd_explain_walk = {
    .name = "explain walk",
    .synopsis = "--gva ADDRESS [--trace FILE | --guest-levels N --guest-page P] [--nested-levels N] [--nested-page P] "
                "[--mode MODE] [--json] [--dot FILE|-] [--svg FILE|-]",
    .summary = "one access, reference by reference: each entry read, decoded, with its cost",
    .details =
        "Lists in order every page-table entry that resolving a TLB miss reads, with empty TLBs and cold caches: which "
        "dimension (the guest's tables, or the second stage that translates their addresses) and table, where the "
        "entry "
        "lies in host memory, its value, in which cache it is found, and the cycles. A reference that a "
        "paging-structure "
        "cache or the nested TLB makes unnecessary is listed with the cache's name.\n\n"
        "A walk that faults is an answer, not a failure: the outcome tells the fault, and the exit status is 0.",
    .examples = "nestwalk explain walk --gva 0x7f0000001234\n"
                "nestwalk explain walk --gva 0x7f0000001234 --guest-page 2M --nested-page 2M\n"
                "nestwalk explain walk --gva 0x400000 --trace vmchurn.nwt --fetch --user --json\n"
                "nestwalk explain walk --gva 0x7f0000001234 --svg walk.svg",
    .options = options,
    .run = run,
};
