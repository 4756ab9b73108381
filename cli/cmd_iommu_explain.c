/* cmd_iommu_explain.c - `nestwalk iommu explain`: what a kernel's lines about refused DMA mean, and what to do. */
#include "internal.h"
#include "iommu_inputs.h"
#include <inttypes.h>
#include <nestwalk/iommu/fault_machine.h>
#include <nestwalk/reports/export.h>
#include <nestwalk/reports/fault_log.h>
#include <nestwalk/traces/input.h>
#include <stdlib.h>
#include <string.h>

enum { OPT_LOG, OPT_TABLES, OPT_JSON };
static const struct nw_option options[] = {
    [OPT_LOG] = { "log", 'l', "FILE|-",
                  "A kernel log, such as all of dmesg's output; - is standard input. Default, without a LINE: -." },
    [OPT_TABLES] = { "tables", 't', "FILE",
                     "What else is known of the machine: its DMAR or IVRS table, or any text, archive or directory "
                     "that nestwalk "
                     "iommu check takes; may be repeated." },
    [OPT_JSON] = { "json", 'j', "FILE|-", "Write the explanations as JSON, to a file or to standard output." },
    { 0 },
};
enum { TABLES_MAX = 64 };

struct request {
    const char *line, *log, *json, *tables[TABLES_MAX];
    size_t table_files;
    struct nw_acpi_table table[TABLES_MAX];
    size_t table_count;
    struct iommu_inputs in;
};

static enum nw_status read_log(const char *path, struct nw_fault_log *log, struct nw_error *err)
{
    struct nw_input *in;
    char *line;
    size_t length;
    enum nw_status s = nw_input_open(&in, strcmp(path, "-") ? path : "/dev/stdin", err);
    if (s)
        return s;
    while (!(s = nw_input_line(in, &line, &length, err)) && line)
        if ((s = nw_fault_log_line(log, line, nw_input_line_number(in), err)))
            break;
    nw_input_close(in);
    return s;
}

/* Any mix of what nestwalk iommu check takes. */
static enum nw_status load_inputs(struct request *r, struct nw_error *err)
{
    for (size_t i = 0; i < r->table_files; i++) {
        enum nw_status s = iommu_inputs_add(&r->in, r->tables[i], err);
        if (s)
            return s;
    }
    for (size_t i = 0; i < r->in.count && r->table_count < TABLES_MAX; i++)
        if (r->in.table[i])
            r->table[r->table_count++] = *r->in.table[i];
    return NW_OK;
}

/* ---- text ---- */

static void print_item(const char *lead, const char *text)
{
    printf("  %s", lead);
    nw_cli_wrap(stdout, text, 4, 2 + (unsigned)strlen(lead), nw_cli_columns(stdout, 100, 100));
}

static void print_list(const char *title, const char *const *text, size_t count)
{
    if (count)
        printf("%s\n", title);
    for (size_t i = 0; i < count; i++) {
        char lead[24];
        snprintf(lead, sizeof lead, "%zu. ", i + 1);
        print_item(lead, text[i]);
    }
}

static void print_group(const struct nw_fault_group *g, const struct nw_fault_account *a, bool numbered)
{
    printf("%s", a->title);
    if (numbered && g->count > 1)
        printf("   (%" PRIu64 " times, lines %" PRIu64 " to %" PRIu64 ")", g->count, g->first_line, g->last_line);
    else if (numbered)
        printf("   (line %" PRIu64 ")", g->first_line);
    printf("\n");
    print_item("", a->meaning);
    for (size_t i = 0; i < a->abouts; i++)
        print_item("", a->about[i]);
    if (a->entries)
        printf("Entries:\n");
    for (size_t i = 0; i < a->entries; i++)
        print_item("", a->entry[i]);
    print_list("Causes, the likeliest first:", a->cause, a->causes);
    print_list("What to try:", a->action, a->actions);
}

/* ---- the command ---- */

static enum nw_status show(const struct request *r, const struct nw_fault_log *log, struct nw_error *err)
{
    struct nw_fault_account *account = calloc(log->count + 1, sizeof *account);
    enum nw_status s = account ? NW_OK : nw_fail_nomem(err, "the explanations");
    for (size_t i = 0; i < log->count && !s; i++) {
        s = nw_fault_account(&log->group[i], r->table, r->table_count, &account[i], err);
        if (!s)
            s = nw_fault_machine(&log->group[i], &r->in.dump, &account[i], err);
    }
    if (!s && r->json) {
        char *text;
        if (!(s = nw_fault_log_json_text(log, account, &text, err))) {
            s = nw_report_write(r->json, text, strlen(text), err);
            free(text);
        }
    }
    for (size_t i = 0; i < log->count && !s && (!r->json || strcmp(r->json, "-")); i++) {
        if (i)
            printf("\n");
        print_group(&log->group[i], &account[i], r->line == NULL);
    }
    free(account);
    return s;
}

static int explain(const struct nw_command *self, struct request *r)
{
    struct nw_error err = { 0 };
    struct nw_fault_log log = { 0 };
    enum nw_status s = load_inputs(r, &err);
    if (!s)
        s = r->line ? nw_fault_log_line(&log, r->line, 1, &err) : read_log(r->log ? r->log : "-", &log, &err);
    if (!s && !log.count)
        s = nw_fail(&err, NW_ERR_INPUT,
                    "%s: no fault in %" PRIu64
                    " lines; expected lines such as \"DMAR: [DMA Read NO_PASID] Request device [03:00.0] "
                    "fault addr 0x1000 [fault reason 0x06] ...\" or \"AMD-Vi: Event logged [IO_PAGE_FAULT ...]\"",
                    r->line                         ? "the line"
                    : r->log && strcmp(r->log, "-") ? r->log
                                                    : "standard input",
                    log.lines);
    if (!s)
        s = show(r, &log, &err);
    nw_fault_log_fini(&log);
    iommu_inputs_fini(&r->in);
    return s ? nw_cli_fail(self, s, &err) : 0;
}

static int run(const struct nw_command *self, int argc, char **argv)
{
    struct nw_cli_parser parser;
    struct request r = { .line = NULL };
    const char *value;
    int option;
    nw_cli_parser_init(&parser, self, argc, argv);
    while ((option = nw_cli_next(&parser, &value)) != NW_CLI_DONE) {
        switch (option) {
        case NW_CLI_EXIT: return parser.exit_status;
        case OPT_LOG: r.log = value; break;
        case OPT_JSON: r.json = value; break;
        case OPT_TABLES:
            if (r.table_files == TABLES_MAX)
                return nw_cli_usage(self, "at most %d files of tables", TABLES_MAX);
            r.tables[r.table_files++] = value;
            break;
        default:
            if (r.line)
                return nw_cli_usage(
                    self, "one line at a time, in quotes; \"%s\" is a second one. --log takes a file of many", value);
            r.line = value;
        }
    }
    if (r.line && r.log)
        return nw_cli_usage(self, "a line or --log, not both");
    return explain(self, &r);
}

const struct nw_command nw_cmd_iommu_explain = {
    .name = "iommu explain",
    .synopsis = "[LINE] [--log FILE|-] [--tables FILE]... [--json FILE|-]",
    .summary = "kernel log lines about refused DMA: what they mean and what to do",
    .details =
        "Reads what Linux (Intel's driver from 3.x on, AMD's driver) and Xen say when a remapping unit refuses "
        "DMA or an interrupt: one line "
        "in quotes, a file, or standard input, such as all of dmesg's output. Lines about the same device, "
        "direction and "
        "reason are taken together. Prints what the reason means, what the addresses tell, what the machine's "
        "firmware tables, translation entries, mappings, groups and list of functions say about them "
        "(--tables), the likely causes, and what to try. The table entries that Linux from 5.16 on dumps "
        "behind a fault (\"Dump dmar0 table entries ...\") are decoded, and the request is put to the model of a "
        "unit with these entries: whether they refuse it, and at which level.\n\n"
        "Exit status: 3 when there is no such line.",
    .examples = "nestwalk iommu explain 'DMAR: [DMA Read] Request device [03:00.0] fault addr ...'\n"
                "dmesg | nestwalk iommu explain --tables /sys/firmware/acpi/tables/DMAR\n"
                "nestwalk iommu explain --log dmesg.txt --tables DMAR --tables lspci.txt",
    .options = options,
    .run = run,
};
