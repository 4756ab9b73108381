/* cmd_explain_walk.c - `nestwalk explain walk`: one access, reference by reference. */
#include "cli.h"
#include "overrides.h"
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
    OPT_SIZE,
    OPT_AFTER,
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
    [OPT_MODE] = { "mode", 'm', "native|direct|shadow|nested|agile", "How memory is virtualized. Default: nested." },
    [OPT_MACHINE] = { "machine", 'M', "MACHINE",
                      "Machine profile: a shipped one's name or an XML file. Default: textbook." },
    [OPT_FIDELITY] = { "fidelity", 'f', "tlb|walk|full",
                       "tlb leaves the caches, and so the cost, out. Default: walk." },
    [OPT_SET] = { "set", 's', "PATH=VALUE", "Sets one parameter, over the profile; may be repeated." },
    [OPT_STORE] = { "store", 0, NULL, "The access is a store. Default: a load." },
    [OPT_FETCH] = { "fetch", 0, NULL, "The access is an instruction fetch." },
    [OPT_USER] = { "user", 'u', NULL, "The access is made in user mode (CPL 3). Default: supervisor mode." },
    [OPT_SIZE] = { "size", 0, "BYTES",
                   "Bytes of the access, 1 to 4096; one that crosses into the next page is two walks. Default: 8." },
    [OPT_AFTER] = { "after", 'a', "ADDRESS[:load|store|fetch]",
                    "Make this access first, so that its walk leaves its entries in the caches; may be repeated." },
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
    struct nw_explain_before *before;
    size_t before_count;
    uint64_t gva, at, size;
};

/* ---- configuration ---- */

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
        s = nw_cli_assign(c, r->set[i], "psc.guest.pde.entries=32", err);
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

/* What was asked before the reference, one line each. */
static void print_lookups(struct nw_cli_table *t, const struct nw_explanation *x,
                          const struct nw_explained_reference *r)
{
    for (unsigned i = r->first_lookup; i < r->first_lookup + r->lookup_count && i < x->lookup_count; i++) {
        const struct nw_explained_lookup *l = x->lookup + i;
        char address[24], answer[NW_NAME_MAX + 16];
        snprintf(address, sizeof address, "0x%llx", (unsigned long long)l->address);
        snprintf(answer, sizeof answer, "%s: %s", l->cache, l->hit ? "hit" : "miss");
        nw_cli_table_row(t,
                         (const char *const[]){ "", l->nested ? "nested" : "guest", "?", address, "", answer, "", "" });
    }
}

/* Why references were skipped: each reason once. */
static void print_reasons(const struct nw_explanation *x)
{
    for (unsigned i = 0; i < x->reference_count; i++) {
        bool told = !x->reference[i].why[0];
        for (unsigned j = 0; !told && j < i; j++)
            told = !strcmp(x->reference[j].why, x->reference[i].why);
        if (!told)
            printf("skipped: %s\n", x->reference[i].why);
    }
}

static void print_fault(const struct nw_explained_fault *f)
{
    static const char *const heading[] = { "bit", "name", "is", "meaning" };
    static const bool numeric[] = { true, false, true, false };
    if (!f->kind || !f->bit_count)
        return;
    printf("%s 0x%llx, %s 0x%llx:\n", f->code_name, (unsigned long long)f->code, f->address_name,
           (unsigned long long)f->address);
    struct nw_cli_table *t = nw_cli_table_new(heading, numeric, NW_ARRAY_LEN(heading));
    for (unsigned i = 0; i < f->bit_count; i++) {
        char bit[8];
        snprintf(bit, sizeof bit, "%u", f->bit[i].bit);
        nw_cli_table_row(t, (const char *const[]){ bit, f->bit[i].name, f->bit[i].set ? "1" : "0", f->bit[i].meaning });
    }
    nw_cli_table_print(t, stdout);
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
    nw_cli_table_row(t, (const char *const[]){ r->skipped_by[0] ? "-" : n, nw_explained_dimension(r), r->table, address,
                                               entry, decoded, found, r->skipped_by[0] ? "-" : cycles });
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
        print_lookups(t, x, r);
        print_reference(t, r);
    }
    nw_cli_table_rule(t);
    nw_cli_table_print(t, stdout);
    print_reasons(x);
    printf("outcome: %s\n", x->outcome);
    print_fault(&x->fault);
    if (x->page_bytes)
        printf("GVA 0x%llx -> GPA 0x%llx -> HPA 0x%llx, %s page\n", (unsigned long long)x->gva,
               (unsigned long long)x->gpa, (unsigned long long)x->hpa, page_name(x->page_bytes));
    printf("%u references (", x->references);
    if (c->mode == NW_MODE_AGILE)
        printf("%u shadow, ", x->references_shadow);
    printf("%u guest, %u nested), %llu cycles; %s on %s, fidelity %s\n", x->references_guest, x->references_nested,
           (unsigned long long)x->cycles, nw_mode_name[c->mode], c->machine, nw_fidelity_name[c->fidelity]);
}

static void print_legend(void)
{
    puts("P present, R readable, W writable, X executable, U user, A accessed, D dirty, G global,\n"
         "NX no-execute, PS large; a name in parentheses: the cache that made the reference unnecessary;\n"
         "?: a look-up in a paging-structure cache or the nested TLB, by the address beside it");
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

static enum nw_status write_json(const struct nw_explanation *x, unsigned count, const struct nw_config *c,
                                 struct nw_error *err)
{
    char *text = NULL;
    enum nw_status s = nw_explanation_json_text(x, count > 1 ? x + 1 : NULL, c, &text, err);
    if (!s)
        s = nw_report_write("-", text, strlen(text), err);
    free(text);
    return s;
}

static bool to_stdout(const struct request *r, int option)
{
    return r->value[option] && !strcmp(r->value[option], "-");
}

/* `x` has `count` walks: 2 of an access that crosses a page. A picture is of the first. */
static enum nw_status write_outputs(const struct nw_explanation *x, unsigned count, const struct nw_config *c,
                                    const struct request *r, struct nw_error *err)
{
    enum nw_status s = NW_OK;
    if (r->value[OPT_DOT] || r->value[OPT_SVG])
        s = write_picture(x, r, err);
    if (s || to_stdout(r, OPT_DOT) || to_stdout(r, OPT_SVG))
        return s;
    if (r->value[OPT_JSON])
        return write_json(x, count, c, err);
    for (unsigned i = 0; i < count; i++) {
        if (count > 1)
            printf("%sthe access crosses a page: its %s page\n", i ? "\n" : "", i ? "upper" : "lower");
        print_text(x + i, c);
    }
    print_legend();
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
    struct nw_explanation x[2];
    unsigned count = 0;
    struct nw_config config;
    nw_config_init(&config);
    enum nw_status s = configure(&config, r, &err);
    if (!s && r->value[OPT_TRACE])
        s = nw_nwt_open(&source, r->value[OPT_TRACE], &err);
    if (!s)
        s = check_guest_options(r, source, &err);
    if (!s) {
        enum nw_access_type type = r->value[OPT_FETCH] ? NW_FETCH : r->value[OPT_STORE] ? NW_STORE : NW_LOAD;
        struct nw_explain_request q = { .at_access = r->at,
                                        .gva = nw_gva(r->gva),
                                        .type = type,
                                        .user = r->value[OPT_USER] != NULL,
                                        .bytes = (unsigned)r->size,
                                        .before = r->before,
                                        .before_count = r->before_count };
        s = nw_explain_access(source, &config, &q, x, &count, &err);
    }
    if (!s)
        s = write_outputs(x, count, &config, r, &err);
    for (unsigned i = 0; i < count; i++)
        nw_explanation_fini(&x[i]);
    nw_source_destroy(source);
    nw_config_fini(&config);
    return s ? nw_cli_fail(self, s, &err) : 0;
}

/* "ADDRESS[:load|store|fetch]" */
static bool parse_before(const char *text, struct nw_explain_before *out)
{
    static const char *const types[] = { [NW_LOAD] = "load", [NW_STORE] = "store", [NW_FETCH] = "fetch" };
    char address[40];
    size_t length = strcspn(text, ":");
    uint64_t gva;
    if (length >= sizeof address)
        return false;
    memcpy(address, text, length);
    address[length] = 0;
    *out = (struct nw_explain_before){ .type = NW_LOAD };
    if (!nw_cli_parse_u64(address, &gva))
        return false;
    out->gva = nw_gva(gva);
    if (!text[length])
        return true;
    for (unsigned i = 0; i < NW_ARRAY_LEN(types); i++)
        if (!strcmp(text + length + 1, types[i])) {
            out->type = (enum nw_access_type)i;
            return true;
        }
    return false;
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
    if (r->value[OPT_SIZE] && (!nw_cli_parse_u64(r->value[OPT_SIZE], &r->size) || !r->size || r->size > 4096))
        return "--size takes a number of bytes, 1 to 4096";
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
    struct request r = { .at = UINT64_MAX,
                         .size = 8,
                         .set = calloc((size_t)argc + 1, sizeof *r.set),
                         .before = calloc((size_t)argc + 1, sizeof *r.before) };
    if (!r.set || !r.before) {
        free(r.set);
        free(r.before);
        return nw_cli_fail(self, nw_fail_nomem(&err, "the command line"), &err);
    }
    struct nw_cli_parser parser;
    nw_cli_parser_init(&parser, self, argc, argv);
    const char *value = NULL, *problem, *bad_before = NULL;
    int option, exit_status;
    while ((option = nw_cli_next(&parser, &value)) >= 0)
        if (option == OPT_SET)
            r.set[r.set_count++] = value;
        else if (option == OPT_AFTER)
            bad_before = parse_before(value, &r.before[r.before_count++]) ? bad_before : value;
        else
            r.value[option] = value ? value : "";
    if (option == NW_CLI_EXIT)
        exit_status = parser.exit_status;
    else if (option == NW_CLI_ARGUMENT)
        exit_status = nw_cli_usage(self, "unexpected argument \"%s\"", value);
    else if (bad_before)
        exit_status = nw_cli_usage(self, "--after %s: expected ADDRESS, ADDRESS:load, ADDRESS:store or ADDRESS:fetch",
                                   bad_before);
    else if ((problem = usage_problem(&r)) != NULL)
        exit_status = nw_cli_usage(self, "%s", problem);
    else
        exit_status = execute(self, &r);
    free(r.set);
    free(r.before);
    return exit_status;
}

const struct nw_command nw_cmd_explain_walk = {
    .name = "explain walk",
    .synopsis = "--gva ADDRESS [--trace FILE | --guest-levels N --guest-page P] [--nested-levels N] [--nested-page P] "
                "[--mode MODE] [--after ADDRESS]... [--json] [--dot FILE|-] [--svg FILE|-]",
    .summary = "one access, reference by reference: each entry read, decoded, with its cost",
    .details =
        "Lists in order every page-table entry that resolving a TLB miss reads, with empty TLBs and cold caches: which "
        "dimension (the guest's tables, or the second stage that translates their addresses) and table, where the "
        "entry "
        "lies in host memory, its value, in which cache it is found, and the cycles. A reference that a "
        "paging-structure "
        "cache or the nested TLB makes unnecessary is listed with the cache's name, and each look-up in such a cache "
        "before "
        "the reference it precedes.\n\n"
        "With --after, other accesses are made first, and the walk finds what theirs left in the caches. An access "
        "that "
        "crosses into the next page (--size) is two walks, the second in the caches that the first has filled; a "
        "picture shows "
        "the first.\n\n"
        "A walk that faults is an answer, not a failure: the outcome tells the fault, and the exit status is 0.",
    .examples = "nestwalk explain walk --gva 0x7f0000001234\n"
                "nestwalk explain walk --gva 0x7f0000001234 --guest-page 2M --nested-page 2M\n"
                "nestwalk explain walk --gva 0x400000 --trace vmchurn.nwt --fetch --user --json\n"
                "nestwalk explain walk --gva 0x7f0000001234 --machine amd-zen4 --after 0x7f0000002000\n"
                "nestwalk explain walk --gva 0x7f0000001ffc --size 8\n"
                "nestwalk explain walk --gva 0x7f0000001234 --svg walk.svg",
    .options = options,
    .run = run,
};
