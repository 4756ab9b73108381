/* iommu_walk.c - `nestwalk iommu walk`: one DMA request through a unit's tables, word by word. The options, and VT-d; AMD-Vi is in
 * iommu_walk_amdvi.c. */
#include "iommu_walk.h"
#include "iommu_walk_internal.h"
#include <nestwalk/iommu/vtd_unit.h>
#include <nestwalk/reports/export.h>
#include <stdlib.h>
#include <string.h>

const struct nw_option iommu_walk_options[] = {
    [OPT_CASES] = { "cases", 'c', "FILE", "Recorded cases of DMA remapping: JSON lines, compressed or not." },
    [OPT_ID] = { "id", 0, "ID", "The case with this id." },
    [OPT_LINE] = { "line", 0, "N", "The case in this line (from 1)." },
    [OPT_REQUEST] = { "request", 0, "N", "The case's DMA request of this number (from 1). Default: 1." },
    [OPT_SOURCE] = { "source", 's', "BB:DD.F", "Bus, device and function of the requester, hexadecimal." },
    [OPT_PASID] = { "pasid", 'p', "N", "The request has this PASID. Default: it has none." },
    [OPT_IOVA] = { "iova", 'a', "ADDRESS", "The address asked for." },
    [OPT_READ] = { "read", 0, NULL, "The request is a read. The default." },
    [OPT_WRITE] = { "write", 'w', NULL, "The request is a write." },
    [OPT_EXECUTE] = { "execute", 'x', NULL, "The request is a read that asks to execute; goes with --pasid." },
    [OPT_JSON] = { "json", 'j', "FILE|-", "Write the walk as JSON, to a file or to standard output." },
    IOMMU_UNIT_ROWS(OPT_UNIT, 'd', "48"),
    { 0 },
};

/* ---- options ------------------------------------------------------------------------------------ */

/* "BB:DD.F", hexadecimal, and nothing behind it. */
static bool parse_source(const char *text, uint16_t *out)
{
    unsigned long part[3];
    static const char end[] = { ':', '.', 0 };
    static const unsigned long most[] = { 0xff, 0x1f, 7 };
    for (unsigned i = 0; i < 3; i++) {
        size_t digits = strspn(text, "0123456789abcdefABCDEF");
        if (!digits || digits > 2 || text[digits] != end[i])
            return false;
        part[i] = strtoul(text, NULL, 16);
        if (part[i] > most[i])
            return false;
        text += digits + 1;
    }
    *out = (uint16_t)(part[0] << 8 | part[1] << 3 | part[2]);
    return true;
}

static const char *number_problem(struct walk *w)
{
    static const struct {
        int option;
        uint64_t least, most;
        const char *problem;
    } numbers[] = {
        { OPT_LINE, 1, UINT64_MAX, "--line takes the number of a line, from 1" },
        { OPT_REQUEST, 1, UINT64_MAX, "--request takes the number of a request, from 1" },
        { OPT_PASID, 0, 0xfffff, "--pasid takes a number of 20 bits" },
        { OPT_IOVA, 0, UINT64_MAX, "--iova takes an address, like 0x7f000" },
    };
    for (size_t i = 0; i < NW_ARRAY_LEN(numbers); i++) {
        uint64_t *n = &w->number[numbers[i].option];
        const char *text = w->value[numbers[i].option];
        if (text && (!nw_cli_parse_u64(text, n) || *n < numbers[i].least || *n > numbers[i].most))
            return numbers[i].problem;
    }
    return iommu_unit_numbers(w->value + OPT_UNIT, w->number + OPT_UNIT);
}

/* What is wrong with the options themselves; NULL when nothing is. */
static const char *usage_problem(struct walk *w)
{
    const char *const *v = w->value;
    const char *problem = number_problem(w);
    if (problem)
        return problem;
    if (v[OPT_SOURCE] && !parse_source(v[OPT_SOURCE], &w->source))
        return "--source takes bus, device and function, like 00:1f.3 (hexadecimal, device up to 1f)";
    if (!v[OPT_IMAGE] == !v[OPT_CASES])
        return "needs tables: either --image FILE or --cases FILE";
    if (v[OPT_IMAGE] && (v[OPT_ID] || v[OPT_LINE] || v[OPT_REQUEST]))
        return "--id, --line and --request go with --cases";
    if (v[OPT_DEVICE_TABLE] && (v[OPT_RTADDR] || v[OPT_CAP] || v[OPT_ECAP] || v[OPT_CASES]))
        return "--device-table is AMD-Vi's, and goes with --image; --rtaddr, --cap, --ecap and --cases are VT-d's";
    if (!v[OPT_DEVICE_TABLE] && (v[OPT_EFR] || v[OPT_CONTROL]))
        return "--efr and --control go with --device-table";
    if (v[OPT_IMAGE] && ((!v[OPT_RTADDR] && !v[OPT_DEVICE_TABLE]) || !v[OPT_SOURCE] || !v[OPT_IOVA]))
        return "--image needs --rtaddr (VT-d) or --device-table (AMD-Vi), --source and --iova";
    if (v[OPT_CASES] && v[OPT_START])
        return "--start goes with --image";
    if (v[OPT_CASES] && !v[OPT_ID] == !v[OPT_LINE])
        return "--cases needs one of --id ID and --line N";
    if (!!v[OPT_READ] + !!v[OPT_WRITE] + !!v[OPT_EXECUTE] > 1)
        return "a request is one of --read, --write and --execute";
    if (v[OPT_EXECUTE] && !v[OPT_PASID])
        return "--execute goes with --pasid: only requests with PASID ask to execute";
    return NULL;
}

/* The options given, over what the case says. */
static void apply_options(struct walk *w)
{
    const char *const *v = w->value;
    struct nw_vtd_request *q = &w->request;
    if (v[OPT_RTADDR])
        w->tables.rtaddr = w->number[OPT_RTADDR];
    if (v[OPT_CAP])
        w->tables.unit.cap = w->number[OPT_CAP];
    if (v[OPT_ECAP])
        w->tables.unit.ecap = w->number[OPT_ECAP];
    if (v[OPT_HAW])
        w->tables.unit.haw = (uint8_t)w->number[OPT_HAW];
    if (v[OPT_SOURCE])
        q->source_id = w->source;
    if (v[OPT_IOVA])
        q->address = w->number[OPT_IOVA];
    if (v[OPT_READ] || v[OPT_WRITE] || v[OPT_EXECUTE])
        q->kind = v[OPT_WRITE] ? NW_VTD_WRITE : NW_VTD_READ;
    q->execute = v[OPT_EXECUTE] != NULL;
    q->has_pasid = v[OPT_PASID] != NULL;
    q->pasid = (uint32_t)w->number[OPT_PASID];
}

/* ---- output ------------------------------------------------------------------------------------- */

void iommu_walk_word(unsigned n, const char *what, uint64_t address, const uint64_t *entry, const char *decoded)
{
    char value[24] = "-";
    if (entry)
        snprintf(value, sizeof value, "0x%llx", (unsigned long long)*entry);
    printf("%2u  %-32s  at %#-16llx  %s\n    ", n, what, (unsigned long long)address, value);
    nw_cli_wrap(stdout, decoded, 4, 4, nw_cli_columns(stdout, 100, 100));
}

void iommu_walk_page(unsigned log2, char out[32])
{
    static const char unit[] = "KMGTPE";
    if (log2 >= 64)
        snprintf(out, 32, "no page");
    else
        snprintf(out, 32, "%u %ciB page", 1u << (log2 % 10), unit[log2 / 10 - 1]);
}

void iommu_walk_source(const struct walk *w, char *out, size_t out_size)
{
    char source[8], pasid[32] = "";
    nw_vtd_source_text(w->request.source_id, source);
    if (w->request.has_pasid)
        snprintf(pasid, sizeof pasid, ", PASID 0x%x", w->request.pasid);
    snprintf(out, out_size, "%s%s", source, pasid);
}

static void print_reads(const struct nw_vtd_watch *watch)
{
    for (unsigned i = 0; i < watch->count && i < NW_VTD_READS_MAX; i++) {
        const struct nw_vtd_read *r = &watch->read[i];
        char what[48], decoded[256];
        nw_vtd_read_name(r, what, sizeof what);
        nw_vtd_read_decode(r, decoded, sizeof decoded);
        iommu_walk_word(i + 1, what, r->address, r->readable ? &r->value : NULL, decoded);
    }
}

static void print_text(const struct walk *w)
{
    const struct nw_vtd_request *q = &w->request;
    const struct nw_vtd_result *r = &w->result;
    char source[48], page[32], rights[4];
    iommu_walk_source(w, source, sizeof source);
    print_reads(&w->watch);
    printf("%s from %s of IOVA 0x%llx: ",
           q->execute                ? "execute request"
           : q->kind == NW_VTD_WRITE ? "write"
                                     : "read",
           source, (unsigned long long)q->address);
    if (r->fault.reason) {
        printf("fault 0x%02x, %s%s\n-> ", r->fault.reason, nw_vtd_fault_text(r->fault.reason),
               r->fault.recorded ? "" : " (not recorded)");
        nw_cli_wrap(stdout, nw_vtd_fault_remedy(r->fault.reason), 3, 3, nw_cli_columns(stdout, 100, 100));
        return;
    }
    iommu_walk_page(r->page_log2, page);
    nw_vtd_rights_text(q, r->rights, rights);
    printf("HPA 0x%llx, %s, rights %s (%s, DID 0x%x)\n", (unsigned long long)r->hpa.v, page, rights,
           nw_vtd_translation_name[r->translation], r->domain_id);
}

static enum nw_status write_outputs(const struct walk *w, struct nw_error *err)
{
    const char *json = w->value[OPT_JSON];
    char *text = NULL;
    enum nw_status s = json ? nw_vtd_walk_json_text(&w->request, &w->watch, &w->result, &text, err) : NW_OK;
    if (!s && json)
        s = nw_report_write(json, text, strlen(text), err);
    free(text);
    if (!s && (!json || strcmp(json, "-")))
        print_text(w);
    return s;
}

/* ---- the command -------------------------------------------------------------------------------- */

static enum nw_status translate(struct walk *w, struct nw_error *err)
{
    const struct nw_vtd_request *q = &w->request;
    enum nw_status s = nw_vtd_capabilities_check(&w->tables.unit, err);
    if (s)
        return s;
    if (q->kind == NW_VTD_WRITE && !q->has_pasid && nw_vtd_interrupt_range(q->address))
        return nw_fail(err, NW_ERR_INPUT,
                       "a write to 0x%llx without PASID is an interrupt request (0xfee00000 to 0xfeefffff): no DMA "
                       "tables translate it",
                       (unsigned long long)q->address);
    w->tables.watch = &w->watch;
    nw_vtd_translate(&w->tables, q, &w->result);
    return NW_OK;
}

static enum nw_status walk_image(struct walk *w, struct nw_error *err)
{
    struct iommu_image image;
    w->tables.unit = nw_vtd_config_default(NULL).unit;
    apply_options(w);
    enum nw_status s = iommu_image_open(&image, w->value[OPT_IMAGE], w->number[OPT_START], w->tables.unit.haw, err);
    if (!s) {
        w->tables.memory = (struct nw_vtd_memory){ .pm = image.pm, .ram = &image.range, .ram_count = 1 };
        s = translate(w, err);
    }
    iommu_image_close(&image);
    return s;
}

static enum nw_status walk_case(struct walk *w, struct nw_error *err)
{
    struct nw_vtd_case c;
    uint64_t request = w->value[OPT_REQUEST] ? w->number[OPT_REQUEST] : 1;
    enum nw_status s = nw_vtd_case_load(&c, w->value[OPT_CASES], w->value[OPT_ID], w->number[OPT_LINE], request, err);
    if (s)
        return s;
    w->tables = c.tables;
    w->request = c.request;
    apply_options(w);
    s = translate(w, err);
    nw_vtd_case_fini(&c);
    return s;
}

int iommu_walk(const struct nw_command *self, int argc, char **argv)
{
    struct nw_error err = { 0 };
    struct walk w = { 0 };
    struct nw_cli_parser parser;
    const char *value = NULL, *problem;
    int option;
    nw_cli_parser_init(&parser, self, argc, argv);
    while ((option = nw_cli_next(&parser, &value)) >= 0)
        w.value[option] = value ? value : "";
    if (option == NW_CLI_EXIT)
        return parser.exit_status;
    if (option == NW_CLI_ARGUMENT)
        return nw_cli_usage(self, "unexpected argument \"%s\"", value);
    if ((problem = usage_problem(&w)) != NULL)
        return nw_cli_usage(self, "%s", problem);
    bool refused = false;
    enum nw_status s;
    if (w.value[OPT_DEVICE_TABLE]) {
        apply_options(&w);
        s = iommu_walk_amdvi(&w, &refused, &err);
    } else {
        s = w.value[OPT_IMAGE] ? walk_image(&w, &err) : walk_case(&w, &err);
        if (!s)
            s = write_outputs(&w, &err);
        refused = w.result.fault.reason != 0;
    }
    return s ? nw_cli_fail(self, s, &err) : refused;
}
