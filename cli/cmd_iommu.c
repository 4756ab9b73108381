/* cmd_iommu.c - `nestwalk iommu check FILE...`: the firmware's tables about remapping units against the rules. And the
 * entry of `nestwalk iommu walk`, which is in iommu_walk.c. */
#include "internal.h"
#include "iommu_check_page.h"
#include "iommu_draw.h"
#include "iommu_file.h"
#include "iommu_inputs.h"
#include "iommu_intent.h"
#include "iommu_walk.h"
#include "trace_common.h"
#include <inttypes.h>
#include <nestwalk/iommu/check_image.h>
#include <nestwalk/reports/export.h>
#include <nestwalk/reports/findings.h>
#include <stdlib.h>
#include <string.h>

enum {
    OPT_JSON,
    OPT_SARIF,
    OPT_BASELINE,
    OPT_WRITE_BASELINE,
    OPT_HTML,
    OPT_DOT,
    OPT_SVG,
    OPT_DIFF,
    OPT_EARLIER,
    OPT_EXPLAIN,
    OPT_FAIL_ON,
    OPT_INTENT,
    OPT_UNIT
};
static const struct nw_option options[] = {
    [OPT_JSON] = { "json", 'j', "FILE|-", "Write the findings as JSON, to a file or to standard output." },
    [OPT_SARIF] = { "sarif", 's', "FILE|-", "Write the findings as SARIF 2.1.0, which build systems show." },
    [OPT_BASELINE] = { "baseline", 'b', "FILE", "Leave out the findings that this file accepts." },
    [OPT_WRITE_BASELINE] = { "write-baseline", 0, "FILE|-", "Write a file that accepts all findings of this run." },
    [OPT_HTML] = { "html", 0, "FILE|-", "Write a page: the findings with reasons, and a picture of the topology." },
    [OPT_DOT] = { "dot", 0, "FILE|-", "Write the picture of the topology as Graphviz DOT." },
    [OPT_SVG] = { "svg", 0, "FILE|-", "Write the picture of the topology as SVG." },
    [OPT_DIFF] = { "diff", 'd', NULL, "Of two inputs, OLD and NEW: which findings have come, and which have gone." },
    [OPT_EARLIER] = { "earlier", 0, "FILE",
                      "A text of the same machine from before: what has changed since, and was the unit told? Any "
                      "number." },
    [OPT_EXPLAIN] = { "explain", 'e', "RULE",
                      "Say what a rule, such as D05, looks for, and why; \"all\" lists the rules." },
    [OPT_FAIL_ON] = { "fail-on", 'f', "error|warning|info",
                      "The least severity that makes the exit status 1 (error)." },
    [OPT_INTENT] = { "intent", 0, "FILE",
                     "Prove what devices reach against this XML file: whose devices and memory are, and which "
                     "addresses "
                     "may be used." },
    IOMMU_UNIT_ROWS(OPT_UNIT, 0, "the DMAR table's, or 52"),
    { 0 },
};

struct checked {
    struct iommu_inputs in;
    bool *accepted; /* of each finding; NULL: there is no baseline */
    struct iommu_unit unit;
    struct iommu_intent intent;
};

/* ---- tables in an image ---------------------------------------------------------------------------- */

struct image_use {
    struct nw_iommu_findings *found;
    size_t pages;
};

static enum nw_status check_vtd(void *context, const char *name, uint16_t segment, const struct nw_vtd_tables *t,
                                struct nw_error *err)
{
    struct image_use *use = context;
    size_t pages;
    (void)segment;
    enum nw_status s = nw_iommu_check_image_vtd(t, name, use->found, &pages, err);
    use->pages += s ? 0 : pages;
    return s;
}
static enum nw_status check_amdvi(void *context, const char *name, uint16_t segment, const struct nw_amdvi_tables *t,
                                  struct nw_error *err)
{
    struct image_use *use = context;
    size_t pages;
    (void)segment;
    enum nw_status s = nw_iommu_check_image_amdvi(t, name, use->found, &pages, err);
    use->pages += s ? 0 : pages;
    return s;
}

static enum nw_status judge_image(struct checked *c, struct nw_error *err)
{
    struct nw_checked_input in = { .file = c->unit.value[UNIT_IMAGE], .kind = "image", .first = c->in.found.count };
    struct image_use use = { .found = &c->in.found };
    enum nw_status s =
        iommu_unit_each(&c->unit, &c->in.dump, &(struct iommu_unit_use){ check_vtd, check_amdvi, &use }, err);
    in.count = c->in.found.count - in.first;
    in.structures = use.pages;
    return s ? s : iommu_inputs_append(&c->in, &in, err);
}

/* All inputs have been read. */
static enum nw_status judge_intent(struct checked *c, const char *path, struct nw_error *err)
{
    struct nw_checked_input in = { .file = path, .kind = "intent", .first = c->in.found.count };
    enum nw_status s = iommu_intent_check(&c->intent, path, &c->unit, &c->in.dump, &c->in.found, err);
    in.count = c->in.found.count - in.first;
    in.structures = c->intent.proved.requesters;
    return s ? s : iommu_inputs_append(&c->in, &in, err);
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
    if (f->witness)
        iommu_witness_print(f->witness);
}

static bool is_accepted(const struct checked *c, size_t finding) { return c->accepted && c->accepted[finding]; }

static void print_input(const struct checked *c, const struct nw_checked_input *in)
{
    static const char *const colour[] = { "\033[36m", "\033[33m", "\033[1;31m" };
    bool coloured = nw_cli_colour(stdout);
    printf("%s", in->file);
    if (in->line)
        printf(":%" PRIu64, in->line);
    printf(": %s, %zu %s%s, ", in->kind, in->structures,
           c->in.text[in - c->in.at]     ? "row"
           : !strcmp(in->kind, "intent") ? "requester"
           : !strcmp(in->kind, "image")  ? "table page"
                                         : "structure",
           in->structures == 1 ? "" : "s");
    size_t told = 0;
    for (size_t i = in->first; i < in->first + in->count; i++)
        told += !is_accepted(c, i);
    if (told)
        printf("%zu finding%s", told, told == 1 ? "" : "s");
    else
        printf("no findings");
    if (told < in->count)
        printf(", %zu accepted", in->count - told);
    putchar('\n');
    /* The findings are in order of severity, then of place: those of a rule are brought together at its first. */
    for (size_t i = in->first; i < in->first + in->count; i++) {
        const struct nw_iommu_rule *rule = c->in.found.at[i].rule;
        const enum nw_iommu_severity severity = c->in.found.at[i].severity;
        bool shown = is_accepted(c, i);
        for (size_t j = in->first; j < i && !shown; j++)
            shown = c->in.found.at[j].rule == rule && c->in.found.at[j].severity == severity && !is_accepted(c, j);
        if (shown)
            continue;
        printf("%s%s%s %s  %s\n", coloured ? colour[severity] : "", nw_iommu_severity_name(severity),
               coloured ? "\033[0m" : "", rule->id, rule->title);
        for (size_t j = i; j < in->first + in->count; j++)
            if (c->in.found.at[j].rule == rule && c->in.found.at[j].severity == severity && !is_accepted(c, j))
                print_finding(&c->in.found.at[j]);
        print_wrapped("-> ", rule->remedy, 7);
    }
}

static void print_text(const struct checked *c)
{
    size_t count[3] = { 0 };
    for (size_t i = 0; i < c->in.count; i++) {
        if (i)
            putchar('\n');
        print_input(c, &c->in.at[i]);
    }
    if (c->in.found.proved)
        iommu_intent_print(&c->intent);
    for (size_t i = 0; i < c->in.found.count; i++)
        count[c->in.found.at[i].severity] += !is_accepted(c, i);
    bool texts = false;
    for (size_t i = 0; i < c->in.count; i++)
        texts |= c->in.text[i];
    printf("\n%zu error%s, %zu warning%s, %zu info in %zu %s%s\n", count[NW_IOMMU_ERROR],
           count[NW_IOMMU_ERROR] == 1 ? "" : "s", count[NW_IOMMU_WARNING], count[NW_IOMMU_WARNING] == 1 ? "" : "s",
           count[NW_IOMMU_INFO], c->in.count, texts ? "input" : "table", c->in.count == 1 ? "" : "s");
}

/* ---- files ----------------------------------------------------------------------------------------- */

typedef enum nw_status text_fn(const struct nw_checked_input *input, size_t inputs,
                               const struct nw_iommu_findings *found, const bool *accepted, char **out,
                               struct nw_error *err);

static enum nw_status baseline_text(const struct nw_checked_input *input, size_t inputs,
                                    const struct nw_iommu_findings *found, const bool *accepted, char **out,
                                    struct nw_error *err)
{
    (void)accepted;
    return nw_findings_baseline_text(input, inputs, found, out, err);
}

static enum nw_status write_text(const struct checked *c, const char *path, text_fn *make, struct nw_error *err)
{
    char *text = NULL;
    if (!path)
        return NW_OK;
    enum nw_status s = make(c->in.at, c->in.count, &c->in.found, c->accepted, &text, err);
    if (!s)
        s = nw_report_write(path, text, strlen(text), err);
    free(text);
    return s;
}

/* A key at the beginning of a line; '#' begins a remark. */
static enum nw_status read_baseline(struct checked *c, const char *path, struct nw_error *err)
{
    uint8_t *bytes;
    size_t size, number = 0;
    enum nw_status s = iommu_file_read(path, &bytes, &size, err);
    if (s)
        return s;
    c->accepted = calloc(c->in.found.count + 1, sizeof *c->accepted);
    if (!c->accepted)
        s = nw_fail_nomem(err, "the findings that are accepted");
    for (size_t at = 0; !s && at < size;) {
        const char *line = (const char *)bytes + at, *end = memchr(line, '\n', size - at);
        const size_t length = end ? (size_t)(end - line) : size - at;
        char key[17] = "";
        at += length + 1;
        number++;
        if (!length || *line == '#')
            continue;
        if (length < 16 || strspn(memcpy(key, line, 16), "0123456789abcdef") != 16) {
            s = nw_fail(err, NW_ERR_INPUT,
                        "%s:%zu: expected a key of 16 hexadecimal digits, as --write-baseline writes it", path, number);
            break;
        }
        for (size_t i = 0; i < c->in.count; i++)
            for (size_t j = c->in.at[i].first; j < c->in.at[i].first + c->in.at[i].count; j++) {
                char own[17];
                nw_finding_key(&c->in.at[i], &c->in.found.at[j], own);
                c->accepted[j] |= !strcmp(own, key);
            }
    }
    free(bytes);
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

/* ---- two inputs ------------------------------------------------------------------------------------ */

static void release(struct checked *c)
{
    iommu_inputs_fini(&c->in);
    iommu_intent_close(&c->intent);
    iommu_unit_close(&c->unit);
    free(c->accepted);
}

static bool has_key(const struct checked *c, const char *key)
{
    for (size_t i = 0; i < c->in.count; i++)
        for (size_t j = c->in.at[i].first; j < c->in.at[i].first + c->in.at[i].count; j++) {
            char own[17];
            nw_finding_key(&c->in.at[i], &c->in.found.at[j], own);
            if (!strcmp(own, key))
                return true;
        }
    return false;
}

/* Findings of `a` that `b` lacks; how many of them count. */
static size_t print_only(const struct checked *a, const struct checked *b, char sign, enum nw_iommu_severity fail_on)
{
    size_t severe = 0;
    for (size_t i = 0; i < a->in.count; i++)
        for (size_t j = a->in.at[i].first; j < a->in.at[i].first + a->in.at[i].count; j++) {
            const struct nw_iommu_finding *f = &a->in.found.at[j];
            char key[17], lead[64];
            nw_finding_key(&a->in.at[i], f, key);
            if (has_key(b, key))
                continue;
            snprintf(lead, sizeof lead, "%c %s %s  ", sign, nw_iommu_severity_name(f->severity), f->rule->id);
            printf("%s%s: %s\n", lead, f->where, f->detail);
            severe += f->severity >= fail_on;
        }
    return severe;
}

static int diff(const struct nw_command *self, const char *const file[2], enum nw_iommu_severity fail_on)
{
    struct checked c[2] = { { .accepted = NULL }, { .accepted = NULL } };
    struct nw_error err = { 0 };
    enum nw_status s = NW_OK;
    int exit_status = 0;
    for (unsigned i = 0; i < 2 && !s; i++) {
        s = iommu_inputs_add(&c[i].in, file[i], &err);
        if (!s)
            s = iommu_inputs_judge(&c[i].in, &err);
    }
    if (s) {
        exit_status = nw_cli_fail(self, s, &err);
    } else {
        exit_status = print_only(&c[1], &c[0], '+', fail_on) > 0;
        print_only(&c[0], &c[1], '-', fail_on);
    }
    release(&c[0]);
    release(&c[1]);
    return exit_status;
}

/* ---- the command ----------------------------------------------------------------------------------- */

struct request {
    const char *value[OPT_UNIT], **file, **earlier;
    struct iommu_unit unit;
    int files, earliers;
    enum nw_iommu_severity fail_on;
};

static const char *unit_problem(struct request *r)
{
    const char *const *v = r->unit.value;
    for (int i = 0; i < UNIT_OPTIONS; i++)
        if (v[i] && i != UNIT_IMAGE && !v[UNIT_IMAGE])
            return "--start, --rtaddr, --device-table and the registers go with --image";
    if (v[UNIT_RTADDR] && v[UNIT_DEVICE_TABLE])
        return "--rtaddr is VT-d's and --device-table AMD-Vi's: one of them";
    return iommu_unit_problem(&r->unit);
}

/* -1: go on; else the exit status. */
static int parse(const struct nw_command *self, int argc, char **argv, struct request *r)
{
    struct nw_cli_parser parser;
    const char *value;
    int option, to_stdout = 0;
    nw_cli_parser_init(&parser, self, argc, argv);
    while ((option = nw_cli_next(&parser, &value)) != NW_CLI_DONE) {
        if (option == NW_CLI_EXIT)
            return parser.exit_status;
        if (option == NW_CLI_ARGUMENT)
            r->file[r->files++] = value;
        else if (option == OPT_EARLIER)
            r->earlier[r->earliers++] = value;
        else
            *(option < OPT_UNIT ? &r->value[option] : &r->unit.value[option - OPT_UNIT]) = value ? value : "";
    }
    if (r->value[OPT_FAIL_ON] && !parse_severity(r->value[OPT_FAIL_ON], &r->fail_on))
        return nw_cli_usage(self, "--fail-on takes error, warning or info, not \"%s\"", r->value[OPT_FAIL_ON]);
    if (r->value[OPT_EXPLAIN])
        return r->files ? nw_cli_usage(self, "--explain takes no files") : explain(self, r->value[OPT_EXPLAIN]);
    for (int i = OPT_JSON; i <= OPT_SVG; i++)
        to_stdout += i != OPT_BASELINE && r->value[i] && !strcmp(r->value[i], "-");
    if (to_stdout > 1)
        return nw_cli_usage(
            self, "only one of --json, --sarif, --write-baseline, --html, --dot and --svg can have standard output");
    const char *problem = unit_problem(r);
    if (problem)
        return nw_cli_usage(self, "%s", problem);
    if (r->value[OPT_DIFF] &&
        (r->files != 2 || r->value[OPT_INTENT] || r->unit.value[UNIT_IMAGE] || r->value[OPT_JSON] ||
         r->value[OPT_SARIF] || r->value[OPT_BASELINE] || r->value[OPT_WRITE_BASELINE] || r->value[OPT_HTML] ||
         r->value[OPT_DOT] || r->value[OPT_SVG]))
        return nw_cli_usage(self, "--diff takes two inputs, OLD and NEW, and of the other options --fail-on");
    if (r->value[OPT_DIFF] && r->earliers)
        return nw_cli_usage(self, "--diff compares findings, --earlier what they are of: give one of them");
    if (!r->files && !r->value[OPT_INTENT] && !r->unit.value[UNIT_IMAGE])
        return nw_cli_usage(self, "name a file with a DMAR or IVRS table, or a text of a running machine");
    return -1;
}

static int check(const struct nw_command *self, const struct request *r)
{
    struct checked c = { .unit = r->unit };
    struct iommu_inputs before = { .count = 0 };
    struct nw_error err = { 0 };
    enum nw_status s = NW_OK;
    int exit_status = 0;
    bool text = true;
    for (int i = 0; i < r->earliers && !s; i++)
        s = iommu_inputs_add(&before, r->earlier[i], &err);
    c.in.dump.earlier = r->earliers ? &before.dump : NULL;
    for (int i = 0; i < r->files && !s; i++)
        s = iommu_inputs_add(&c.in, r->file[i], &err);
    if (!s)
        s = iommu_inputs_judge(&c.in, &err);
    if (!s && c.unit.value[UNIT_IMAGE])
        s = judge_image(&c, &err);
    if (!s && r->value[OPT_INTENT])
        s = judge_intent(&c, r->value[OPT_INTENT], &err);
    if (!s && r->value[OPT_BASELINE])
        s = read_baseline(&c, r->value[OPT_BASELINE], &err);
    if (!s)
        s = write_text(&c, r->value[OPT_JSON], nw_findings_json_text, &err);
    if (!s)
        s = write_text(&c, r->value[OPT_SARIF], nw_findings_sarif_text, &err);
    if (!s)
        s = write_text(&c, r->value[OPT_WRITE_BASELINE], baseline_text, &err);
    if (!s)
        s = iommu_check_page_write(&c.in, c.accepted, r->value[OPT_HTML], r->value[OPT_DOT], r->value[OPT_SVG], &err);
    for (int i = OPT_JSON; i <= OPT_SVG; i++)
        text &= i == OPT_BASELINE || !r->value[i] || strcmp(r->value[i], "-") != 0;
    if (s)
        exit_status = nw_cli_fail(self, s, &err);
    else if (text)
        print_text(&c);
    for (size_t i = 0; !s && i < c.in.found.count; i++)
        exit_status |= c.in.found.at[i].severity >= r->fail_on && !is_accepted(&c, i);
    release(&c);
    iommu_inputs_fini(&before);
    return exit_status;
}

static int run(const struct nw_command *self, int argc, char **argv)
{
    struct request r = { .fail_on = NW_IOMMU_ERROR,
                         .file = calloc((size_t)argc + 1, sizeof *r.file),
                         .earlier = calloc((size_t)argc + 1, sizeof *r.earlier) };
    struct nw_error err = { 0 };
    int exit_status = r.file && r.earlier ? parse(self, argc, argv, &r)
                                          : nw_cli_fail(self, nw_fail_nomem(&err, "the command line"), &err);
    if (exit_status < 0)
        exit_status = r.value[OPT_DIFF] ? diff(self, r.file, r.fail_on) : check(self, &r);
    free(r.file);
    free(r.earlier);
    return exit_status;
}

const struct nw_command nw_cmd_iommu = {
    .name = "iommu check",
    .synopsis = "FILE... [--intent FILE [--image FILE [--rtaddr VALUE|--device-table VALUE]]] [--json FILE|-] [--sarif "
                "FILE|-] [--baseline FILE] [--write-baseline FILE|-] [--html FILE|-] [--dot FILE|-] [--svg FILE|-] "
                "[--diff] [--earlier FILE]... "
                "[--explain RULE] [--fail-on error|warning|info]",
    .summary = "the firmware's tables and a machine's state of remapping units against rules",
    .details =
        "Decodes ACPI DMAR (Intel VT-d) and IVRS (AMD-Vi) tables and judges them by rules. A file is a binary table, "
        "as "
        "/sys/firmware/acpi/tables has it, or the text of acpidump with one table or all; it may be compressed with "
        "gzip, xz or zstd. Or it is a text of a running machine, known by its content: iommu_regset, "
        "dmar_translation_struct, domain_translation_struct, ir_translation_struct or invalidation_queue of "
        "/sys/kernel/debug/iommu/intel, dmar_perf_latency there, mmio, capability, cmdbuf, devtbl or irqtbl of "
        "/sys/kernel/debug/iommu/amd (the directory iommuNN names the unit), /proc/iomem, /proc/cmdline, "
        "/proc/cpuinfo, "
        "lspci -vvv or -xxxx, the kernel's log, or a snapshot of sysfs. A tar archive or a directory is taken for all "
        "that is in it and known. What several "
        "inputs say of one machine is compared. Prints the findings by rule, the severest "
        "first: where, what, and what to do.\n\n"
        "With --image, a dump of physical memory, every table of the unit is read and each entry judged; the root is "
        "--rtaddr, --device-table, or that of the units whose registers are among the files.\n\n"
        "With --intent, devices and memory are held against a file that says whose they are: for every device, and "
        "every "
        "PASID, all tables are read, from a dump of physical memory (--image) with the root pointer of --rtaddr, "
        "--device-table or an iommu_regset among the files, or, without a dump, what domain_translation_struct and "
        "dmar_translation_struct list. What each device reaches is printed behind the findings, and each violation "
        "with a "
        "request that shows it.\n\n"
        "With --earlier, texts of the same machine from before are compared with those named: mappings, entries and "
        "interrupt entries that were changed, and whether the invalidation queue has what the change takes. Where the "
        "queue's slots may have been written more than once, that is said in place of a finding.\n\n"
        "With --diff, findings that only NEW has begin with \"+\", and those that only OLD has with \"-\".\n\n"
        "Exit status: 0 when nothing of the severity of --fail-on or above was found (with --diff: has come; with "
        "--baseline: that it does not accept), 1 otherwise, 3 when a file has nothing that is known here.",
    .examples = "nestwalk iommu check /sys/firmware/acpi/tables/DMAR\n"
                "nestwalk iommu check --fail-on warning --json findings.json acpidump.txt\n"
                "nestwalk iommu check dmar.bin iommu_regset dmar_translation_struct lspci.txt\n"
                "nestwalk iommu check --baseline accepted.txt --sarif findings.sarif /sys/firmware/acpi/tables/DMAR\n"
                "nestwalk iommu check --earlier a/tables --earlier a/queue b/tables b/queue\n"
                "nestwalk iommu check --diff --fail-on info old.bin new.bin\n"
                "nestwalk iommu check --intent intent.xml --image memory.bin iommu_regset DMAR\n"
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
    .synopsis = "(--image FILE [--start ADDRESS] --rtaddr VALUE|--device-table VALUE | --cases FILE --id ID|--line N) "
                "[--windows N] [--json FILE|-] [--dot FILE|-] [--svg FILE|-]",
    .summary = "who reaches what through a remapping unit: devices, domains and their windows",
    .details = "Reads all tables that the unit would: every requester that has an entry, with and without PASID, the "
               "domain that it is in, and what "
               "that maps. A window is a run of addresses that lead to a run of memory with the same rights. The bytes "
               "that a domain reads and writes are those of memory, each page counted once, and all of its tables are "
               "looked at, however few windows are told. A page counts when the unit would let a request through "
               "(nestwalk iommu walk asks for one).\n\n"
               "Exit status: 0, or 3 when the file cannot be used.",
    .examples = "nestwalk iommu draw --image memory.bin --rtaddr 0x1000 --svg iommu.svg\n"
                "nestwalk iommu draw --image memory.bin --device-table 0x10000f --json -\n"
                "nestwalk iommu draw --cases vtd-scalable.jsonl.xz --line 1",
    .options = iommu_draw_options,
    .run = iommu_draw,
};
