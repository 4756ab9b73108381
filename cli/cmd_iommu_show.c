/* cmd_iommu_show.c - `nestwalk iommu show FILE...`: the firmware's tables about remapping units, field by field. */
#include "internal.h"
#include "iommu_file.h"
#include <inttypes.h>
#include <nestwalk/reports/acpi_layout.h>
#include <nestwalk/reports/export.h>
#include <stdlib.h>
#include <string.h>

enum { OPT_JSON };
static const struct nw_option options[] = {
    [OPT_JSON] = { "json", 'j', "FILE|-", "Write the tables as JSON, to a file or to standard output." },
    { 0 },
};

struct shown {
    struct nw_acpi_file *file; /* of each argument */
    struct nw_laid_table *table;
    size_t files, tables;
};

static enum nw_status load(struct shown *x, const char *path, struct nw_error *err)
{
    uint8_t *bytes;
    size_t size;
    struct nw_acpi_file *file = &x->file[x->files];
    enum nw_status s = iommu_file_read(path, &bytes, &size, err);
    if (s)
        return s;
    s = nw_acpi_load(bytes, size, path, file, err);
    free(bytes);
    if (s)
        return s;
    x->files++;
    if (!file->count)
        return nw_fail(err, NW_ERR_INPUT, "%s: neither a DMAR nor an IVRS table is in it", path);
    struct nw_laid_table *more = realloc(x->table, (x->tables + file->count) * sizeof *more);
    if (!more)
        return nw_fail_nomem(err, "the list of tables");
    x->table = more;
    for (size_t i = 0; i < file->count && !s; i++) {
        struct nw_laid_table *t = &x->table[x->tables];
        *t = (struct nw_laid_table){ .file = path, .table = &file->table[i] };
        if (!(s = nw_acpi_layout_make(t->table, &t->layout, err)))
            x->tables++;
    }
    return s;
}

static void release(struct shown *x)
{
    for (size_t i = 0; i < x->tables; i++)
        nw_acpi_layout_fini(&x->table[i].layout);
    for (size_t i = 0; i < x->files; i++)
        nw_acpi_file_fini(&x->file[i]);
    free(x->table);
    free(x->file);
}

/* ---- text ------------------------------------------------------------------------------------------ */

enum { BYTES_SHOWN = 64 /* of a field without a meaning */ };

static void print_field(const struct nw_acpi_table *t, const struct nw_acpi_field *f, int indent)
{
    struct nw_acpi_field first = *f;
    char text[4 * 256 + 512];
    if (f->bytes > BYTES_SHOWN && f->form != NW_ACPI_TEXT)
        first.bytes = BYTES_SHOWN;
    nw_acpi_field_text(t, &first, text, sizeof text);
    printf("%*s%04" PRIx32 "h %4" PRIu32 "  %-21s %s", indent, "", f->offset, f->bytes, f->name, text);
    printf(first.bytes < f->bytes ? " ...\n" : "\n");
}

static void print_table(const struct nw_laid_table *t)
{
    static const char *const inner_name[][2] = {
        [NW_ACPI_DMAR] = { "device scope", "device scopes" }, [NW_ACPI_IVRS] = { "device entry", "device entries" }
    };
    size_t structures = 0, inner = 0;
    uint64_t sum = 0;
    for (size_t i = 0; i < t->layout.parts; i++) {
        const struct nw_acpi_part *p = &t->layout.part[i];
        if (p->depth)
            inner++;
        else
            sum += p->length;
        structures += !p->depth && i;
    }
    printf("%s", t->file);
    if (t->table->line)
        printf(":%" PRIu64, t->table->line);
    printf(": %s, header and %zu structure%s with %zu %s, %" PRIu64 " bytes; the header says %" PRIu32 "\n",
           nw_acpi_kind_name(t->table->kind), structures, structures == 1 ? "" : "s", inner,
           inner_name[t->table->kind][inner != 1], sum, t->table->length);
    for (size_t i = 0; i < t->layout.parts; i++) {
        const struct nw_acpi_part *p = &t->layout.part[i];
        const int indent = 4 * (int)p->depth;
        printf("%s%*s%s, %" PRIu32 " bytes\n", p->depth ? "" : "\n", indent, "", p->name, p->length);
        for (size_t j = p->first_field; j < p->first_field + p->fields; j++)
            print_field(t->table, &t->layout.field[j], indent + 2);
    }
}

/* ---- the command ----------------------------------------------------------------------------------- */

static enum nw_status write_json(const struct shown *x, const char *path, struct nw_error *err)
{
    char *text = NULL;
    enum nw_status s = nw_acpi_layout_json_text(x->table, x->tables, &text, err);
    if (!s)
        s = nw_report_write(path, text, strlen(text), err);
    free(text);
    return s;
}

static int run(const struct nw_command *self, int argc, char **argv)
{
    struct nw_cli_parser parser;
    struct nw_error err = { 0 };
    const char *value, *json = NULL, **path = calloc((size_t)argc + 1, sizeof *path);
    struct shown x = { .file = calloc((size_t)argc + 1, sizeof *x.file) };
    int option, paths = 0, exit_status = 0;
    enum nw_status s = path && x.file ? NW_OK : nw_fail_nomem(&err, "the command line");
    nw_cli_parser_init(&parser, self, argc, argv);
    while (!s && (option = nw_cli_next(&parser, &value)) != NW_CLI_DONE) {
        if (option == NW_CLI_EXIT) {
            exit_status = parser.exit_status;
            goto out;
        }
        if (option == OPT_JSON)
            json = value;
        else
            path[paths++] = value;
    }
    if (!s && !paths) {
        exit_status = nw_cli_usage(self, "name a file with a DMAR or IVRS table");
        goto out;
    }
    for (int i = 0; i < paths && !s; i++)
        s = load(&x, path[i], &err);
    if (!s && json)
        s = write_json(&x, json, &err);
    for (size_t i = 0; i < x.tables && !s && (!json || strcmp(json, "-")); i++) {
        if (i)
            putchar('\n');
        print_table(&x.table[i]);
    }
    if (s)
        exit_status = nw_cli_fail(self, s, &err);
out:
    release(&x);
    free(path);
    return exit_status;
}

const struct nw_command nw_cmd_iommu_show = {
    .name = "iommu show",
    .synopsis = "FILE... [--json FILE|-]",
    .summary = "the firmware's tables about remapping units, field by field",
    .details =
        "Prints ACPI DMAR (Intel VT-d) and IVRS (AMD-Vi) tables: each structure with its device scopes or device "
        "entries, each field with its offset in the table and its size, both in bytes, and its value. Every byte of "
        "the table is in "
        "one of the fields; bytes that no structure fits are in a part \"not decoded\". A file is a binary table or "
        "the "
        "text of acpidump, also compressed with gzip, xz or zstd.\n\n"
        "Exit status: 0, or 3 when a file has neither table. Whether the tables are right is not judged: nestwalk "
        "iommu "
        "check does that.",
    .examples = "nestwalk iommu show /sys/firmware/acpi/tables/DMAR\n"
                "nestwalk iommu show --json - IVRS.dat",
    .options = options,
    .run = run,
};
