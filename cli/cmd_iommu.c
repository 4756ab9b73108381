/* cmd_iommu.c - `nestwalk iommu check FILE...`: the firmware's tables about remapping units against the rules. And the
 * entry of `nestwalk iommu walk`, which is in iommu_walk.c. */
#include "internal.h"
#include "iommu_draw.h"
#include "iommu_file.h"
#include "iommu_walk.h"
#include "trace_common.h"
#include <inttypes.h>
#include <nestwalk/iommu/check.h>
#include <nestwalk/iommu/dump.h>
#include <nestwalk/reports/export.h>
#include <stdlib.h>
#include <string.h>

enum { OPT_JSON, OPT_EXPLAIN, OPT_FAIL_ON };
static const struct nw_option options[] = {
    [OPT_JSON] = { "json", 'j', "FILE|-", "Write the findings as JSON, to a file or to standard output." },
    [OPT_EXPLAIN] = { "explain", 'e', "RULE",
                      "Say what a rule, such as D05, looks for, and why; \"all\" lists the rules." },
    [OPT_FAIL_ON] = { "fail-on", 'f', "error|warning|info",
                      "The least severity that makes the exit status 1 (error)." },
    { 0 },
};

struct input {
    const char *file, *kind;
    bool text; /* of a running machine; else a table */
    uint64_t line;
    size_t structures;   /* of a text: rows */
    size_t first, count; /* of the findings */
};
struct checked {
    struct input *input;
    size_t inputs;
    struct nw_iommu_findings found;
    struct nw_dump dump; /* what the texts say, and the DMAR tables */
};

static struct input *add_input(struct checked *c, struct nw_error *err)
{
    struct input *more = realloc(c->input, (c->inputs + 1) * sizeof *more);
    if (!more) {
        (void)!nw_fail_nomem(err, "the list of inputs");
        return NULL;
    }
    c->input = more;
    return &more[c->inputs++];
}

/* A text of a running machine: its facts are judged when all are there. */
static enum nw_status take_text(struct checked *c, const char *path, const char *text, size_t size,
                                struct nw_error *err)
{
    struct input *in = add_input(c, err);
    if (!in)
        return NW_ERR_NOMEM;
    *in = (struct input){ .file = path, .kind = nw_dump_kind_name[nw_dump_recognise(text, size)], .text = true };
    return nw_dump_add(&c->dump, text, size, path, (unsigned)(c->inputs - 1), &in->structures, err);
}

static enum nw_status take_dmar(struct checked *c, const struct nw_acpi_table *table, struct nw_error *err)
{
    struct nw_dmar dmar;
    enum nw_status s = nw_dmar_decode(table, &dmar, err);
    if (s)
        return s;
    s = nw_dump_add_dmar(&c->dump, &dmar, err);
    nw_dmar_fini(&dmar);
    return s;
}

static enum nw_status judge_texts(struct checked *c, struct nw_error *err)
{
    enum nw_status s = NW_OK;
    for (size_t i = 0; i < c->inputs && !s; i++) {
        struct input *in = &c->input[i];
        if (!in->text)
            continue;
        in->first = c->found.count;
        s = nw_iommu_check_dump(&c->dump, (unsigned)i, &c->found, err);
        in->count = c->found.count - in->first;
    }
    return s;
}

static enum nw_status check_file(struct checked *c, const char *path, struct nw_error *err)
{
    uint8_t *bytes;
    size_t size;
    struct nw_acpi_file file = { 0 };
    enum nw_status s = iommu_file_read(path, &bytes, &size, err);
    if (s)
        return s;
    if (nw_dump_recognise((const char *)bytes, size) != NW_DUMP_NONE) {
        s = take_text(c, path, (const char *)bytes, size, err);
        free(bytes);
        return s;
    }
    s = nw_acpi_load(bytes, size, path, &file, err);
    free(bytes);
    for (size_t i = 0; i < file.count && !s; i++) {
        struct input *in = add_input(c, err);
        if (!in) {
            s = NW_ERR_NOMEM;
            break;
        }
        *in = (struct input){ .file = path,
                              .kind = nw_acpi_kind_name(file.table[i].kind),
                              .line = file.table[i].line,
                              .first = c->found.count };
        s = nw_iommu_check_table(&file.table[i], &c->found, &in->structures, err);
        in->count = c->found.count - in->first;
        if (!s && file.table[i].kind == NW_ACPI_DMAR)
            s = take_dmar(c, &file.table[i], err);
    }
    nw_acpi_file_fini(&file);
    return s;
}

/* ---- text ------------------------------------------------------------------------------------------ */

/* "    LEAD TEXT"; lines after the first begin in column `indent`. */
static void print_wrapped(const char *lead, const char *text, unsigned indent)
{
    printf("    %s", lead);
    nw_cli_wrap(stdout, text, indent, 4 + (unsigned)strlen(lead), nw_cli_columns(stdout, 100, 100));
}

static void print_finding(const struct nw_iommu_finding *f)
{
    char text[sizeof f->where + sizeof f->detail + 24], line[20] = "";
    if (f->line)
        snprintf(line, sizeof line, "line %" PRIu32 ", ", f->line);
    snprintf(text, sizeof text, "%s%s: %s", line, f->where, f->detail);
    print_wrapped("", text, 4);
}

static void print_input(const struct checked *c, const struct input *in)
{
    static const char *const colour[] = { "\033[36m", "\033[33m", "\033[1;31m" };
    bool coloured = nw_cli_colour(stdout);
    printf("%s", in->file);
    if (in->line)
        printf(":%" PRIu64, in->line);
    printf(": %s, %zu %s%s, ", in->kind, in->structures, in->text ? "row" : "structure",
           in->structures == 1 ? "" : "s");
    if (!in->count) {
        puts("no findings");
        return;
    }
    printf("%zu finding%s\n", in->count, in->count == 1 ? "" : "s");
    /* The findings are in order of severity, then of place: those of a rule are brought together at its first. */
    for (size_t i = in->first; i < in->first + in->count; i++) {
        const struct nw_iommu_rule *rule = c->found.at[i].rule;
        bool shown = false;
        for (size_t j = in->first; j < i && !shown; j++)
            shown = c->found.at[j].rule == rule;
        if (shown)
            continue;
        printf("%s%s%s %s  %s\n", coloured ? colour[rule->severity] : "", nw_iommu_severity_name(rule->severity),
               coloured ? "\033[0m" : "", rule->id, rule->title);
        for (size_t j = i; j < in->first + in->count; j++)
            if (c->found.at[j].rule == rule)
                print_finding(&c->found.at[j]);
        print_wrapped("-> ", rule->remedy, 7);
    }
}

static void print_text(const struct checked *c)
{
    size_t count[3] = { 0 };
    for (size_t i = 0; i < c->inputs; i++) {
        if (i)
            putchar('\n');
        print_input(c, &c->input[i]);
    }
    for (size_t i = 0; i < c->found.count; i++)
        count[c->found.at[i].rule->severity]++;
    bool texts = false;
    for (size_t i = 0; i < c->inputs; i++)
        texts |= c->input[i].text;
    printf("\n%zu error%s, %zu warning%s, %zu info in %zu %s%s\n", count[NW_IOMMU_ERROR],
           count[NW_IOMMU_ERROR] == 1 ? "" : "s", count[NW_IOMMU_WARNING], count[NW_IOMMU_WARNING] == 1 ? "" : "s",
           count[NW_IOMMU_INFO], c->inputs, texts ? "input" : "table", c->inputs == 1 ? "" : "s");
}

/* ---- JSON ------------------------------------------------------------------------------------------ */

static void json_pair(FILE *out, const char *key, const char *value)
{
    fprintf(out, ", \"%s\": ", key);
    nw_cli_json_string(out, value);
}

static void json_text(FILE *out, const struct checked *c)
{
    fprintf(out, "{ \"inputs\": [");
    for (size_t i = 0; i < c->inputs; i++) {
        fprintf(out, "%s\n  { \"file\": ", i ? "," : "");
        nw_cli_json_string(out, c->input[i].file);
        json_pair(out, "kind", c->input[i].kind);
        if (c->input[i].line)
            fprintf(out, ", \"line\": %" PRIu64, c->input[i].line);
        fprintf(out, ", \"structures\": %zu }", c->input[i].structures);
    }
    fprintf(out, "%s],\n  \"findings\": [", c->inputs ? "\n  " : "");
    size_t told = 0;
    for (size_t i = 0; i < c->inputs; i++)
        for (size_t j = c->input[i].first; j < c->input[i].first + c->input[i].count; j++) {
            const struct nw_iommu_finding *f = &c->found.at[j];
            fprintf(out, "%s\n  { \"rule\": \"%s\"", told++ ? "," : "", f->rule->id);
            json_pair(out, "severity", nw_iommu_severity_name(f->rule->severity));
            json_pair(out, "title", f->rule->title);
            json_pair(out, "file", c->input[i].file);
            json_pair(out, "where", f->where);
            fprintf(out, ", \"%s\": %" PRIu32, f->line ? "line" : "offset", f->line ? f->line : f->offset);
            json_pair(out, "detail", f->detail);
            json_pair(out, "remedy", f->rule->remedy);
            json_pair(out, "source", f->rule->source);
            fprintf(out, " }");
        }
    fprintf(out, "%s] }\n", c->found.count ? "\n  " : "");
}

static enum nw_status write_json(const struct checked *c, const char *path, struct nw_error *err)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return nw_fail_nomem(err, "the JSON text");
    json_text(out, c);
    bool bad = ferror(out) != 0;
    bad |= fclose(out) != 0;
    enum nw_status s = bad ? nw_fail_nomem(err, "the JSON text") : nw_report_write(path, text, size, err);
    free(text);
    return s;
}

/* ---- rules ----------------------------------------------------------------------------------------- */

static int explain(const struct nw_command *self, const char *id)
{
    if (!strcmp(id, "all")) {
        for (size_t i = 0; i < nw_iommu_rule_count; i++)
            printf("%s  %-7s  %s\n", nw_iommu_rules[i].id, nw_iommu_severity_name(nw_iommu_rules[i].severity),
                   nw_iommu_rules[i].title);
        return 0;
    }
    const struct nw_iommu_rule *rule = nw_iommu_rule_find(id);
    if (!rule)
        return nw_cli_usage(self, "there is no rule \"%s\"; --explain all lists the rules", id);
    const char *const part[][2] = { { "what    ", rule->what },
                                    { "why     ", rule->why },
                                    { "remedy  ", rule->remedy },
                                    { "source  ", rule->source } };
    printf("%s  %s (%s)\n\n", rule->id, rule->title, nw_iommu_severity_name(rule->severity));
    for (size_t i = 0; i < NW_ARRAY_LEN(part); i++) {
        fputs(part[i][0], stdout);
        nw_cli_wrap(stdout, part[i][1], 8, 8, nw_cli_columns(stdout, 100, 100));
    }
    return 0;
}

static bool parse_severity(const char *text, enum nw_iommu_severity *out)
{
    for (enum nw_iommu_severity s = NW_IOMMU_INFO; s <= NW_IOMMU_ERROR; s++)
        if (!strcmp(text, nw_iommu_severity_name(s))) {
            *out = s;
            return true;
        }
    return false;
}

static int run(const struct nw_command *self, int argc, char **argv)
{
    struct nw_cli_parser parser;
    struct checked c = { 0 };
    struct nw_error err = { 0 };
    enum nw_iommu_severity fail_on = NW_IOMMU_ERROR;
    const char *value, *json = NULL, *rule = NULL, **file = calloc((size_t)argc + 1, sizeof *file);
    int option, files = 0, exit_status = 0;
    if (!file)
        return nw_cli_fail(self, nw_fail_nomem(&err, "the list of files"), &err);
    nw_cli_parser_init(&parser, self, argc, argv);
    while ((option = nw_cli_next(&parser, &value)) != NW_CLI_DONE) {
        switch (option) {
        case NW_CLI_EXIT: exit_status = parser.exit_status; goto out;
        case NW_CLI_ARGUMENT: file[files++] = value; break;
        case OPT_JSON: json = value; break;
        case OPT_EXPLAIN: rule = value; break;
        case OPT_FAIL_ON:
            if (!parse_severity(value, &fail_on)) {
                exit_status = nw_cli_usage(self, "--fail-on takes error, warning or info, not \"%s\"", value);
                goto out;
            }
            break;
        default: break;
        }
    }
    if (rule) {
        exit_status = files ? nw_cli_usage(self, "--explain takes no files") : explain(self, rule);
        goto out;
    }
    if (!files) {
        exit_status = nw_cli_usage(self, "name a file with a DMAR or IVRS table, or a text of a running machine");
        goto out;
    }
    enum nw_status s = NW_OK;
    for (int i = 0; i < files && !s; i++)
        s = check_file(&c, file[i], &err);
    if (!s)
        s = judge_texts(&c, &err);
    if (!s && json)
        s = write_json(&c, json, &err);
    if (s) {
        exit_status = nw_cli_fail(self, s, &err);
        goto out;
    }
    if (!json || strcmp(json, "-"))
        print_text(&c);
    for (size_t i = 0; i < c.found.count; i++)
        exit_status |= c.found.at[i].rule->severity >= fail_on;
out:
    nw_iommu_findings_fini(&c.found);
    nw_dump_fini(&c.dump);
    free(c.input);
    free(file);
    return exit_status;
}

const struct nw_command nw_cmd_iommu = {
    .name = "iommu check",
    .synopsis = "FILE... [--json FILE|-] [--explain RULE] [--fail-on error|warning|info]",
    .summary = "the firmware's tables and a machine's state of remapping units against rules",
    .details =
        "Decodes ACPI DMAR (Intel VT-d) and IVRS (AMD-Vi) tables and judges them by rules. A file is a binary table, "
        "as "
        "/sys/firmware/acpi/tables has it, or the text of acpidump with one table or all; it may be compressed with "
        "gzip, xz or zstd. Or it is a text of a running machine, known by its content: iommu_regset, "
        "dmar_translation_struct or "
        "ir_translation_struct of /sys/kernel/debug/iommu/intel, /proc/iomem, /proc/cmdline, or lspci -vvv. What "
        "several inputs say of "
        "one machine is compared. Prints the findings by rule, the severest first: where, what, and what to do.\n\n"
        "Exit status: 0 when nothing of the severity of --fail-on or above was found, 1 otherwise, 3 when a file has "
        "nothing that is known here.",
    .examples = "nestwalk iommu check /sys/firmware/acpi/tables/DMAR\n"
                "nestwalk iommu check --fail-on warning --json findings.json acpidump.txt\n"
                "nestwalk iommu check dmar.bin iommu_regset dmar_translation_struct lspci.txt\n"
                "nestwalk iommu check --explain D05",
    .options = options,
    .run = run,
};

const struct nw_command nw_cmd_iommu_walk = {
    .name = "iommu walk",
    .synopsis = "(--image FILE [--start ADDRESS] --rtaddr VALUE|--device-table VALUE --source BB:DD.F --iova ADDRESS | "
                "--cases FILE --id ID|--line N) [--pasid N] [--read|--write|--execute] [--json FILE|-]",
    .summary = "what a remapping unit makes of one DMA request, entry by entry",
    .details =
        "Lists each word of the tables that the unit reads, in order: root entry, context entry, PASID directory and "
        "table, and the paging entries of both stages (of AMD-Vi, by --device-table: device table entry, GCR3 table, "
        "guest and host "
        "entries), with address, value and the fields that matter. Then the "
        "host-physical address with page size and rights, or the fault: its reason, what it means, and what to "
        "change. Caches of the unit play no part.\n\n"
        "A dump's capability registers come from --cap and --ecap: give those of the unit, as the defaults decide what "
        "is reserved. A table outside the dump cannot be read, which is a fault. With --cases the options take the "
        "place of what the case says.\n\n"
        "Exit status: 0 when the request is translated, 1 when it faults, 3 when a file cannot be used.",
    .examples = "nestwalk iommu walk --image memory.bin --rtaddr 0x1000 --source 00:02.0 --iova 0x7f000 --write\n"
                "nestwalk iommu walk --image m.bin --rtaddr 0x1400 --source 00:02.0 --pasid 5 --iova 0x7f000 -j -\n"
                "nestwalk iommu walk --cases vtd-legacy.jsonl.xz --id legacy48/1/0 --request 3",
    .options = iommu_walk_options,
    .run = iommu_walk,
};

const struct nw_command nw_cmd_iommu_draw = {
    .name = "iommu draw",
    .synopsis = "--image FILE [--start ADDRESS] --rtaddr VALUE|--device-table VALUE [--windows N] [--json FILE|-] "
                "[--dot FILE|-] [--svg FILE|-]",
    .summary = "who reaches what through a remapping unit: devices, domains and their windows",
    .details = "Reads all tables that the unit would: every requester that has an entry, with and without PASID, the "
               "domain that it is in, and what "
               "that maps. A window is a run of addresses that lead to a run of memory with the same rights. The bytes "
               "that a domain reads and "
               "writes are those of memory, each page counted once, and all of its tables are looked at, however few "
               "windows are told. A page counts "
               "when the unit would let a request through (nestwalk iommu walk asks for one).\n\n"
               "Exit status: 0, or 3 when the file cannot be used.",
    .examples = "nestwalk iommu draw --image memory.bin --rtaddr 0x1000 --svg iommu.svg\n"
                "nestwalk iommu draw --image memory.bin --device-table 0x10000f --json -",
    .options = iommu_draw_options,
    .run = iommu_draw,
};
