/* iommu_draw.c - `nestwalk iommu draw`: devices, domains and what they reach, from a dump of memory or a recorded
 * case. */
#include "iommu_draw.h"
#include "internal.h"
#include "iommu_image.h"
#include <nestwalk/iommu/amdvi_unit.h>
#include <nestwalk/iommu/vtd_unit.h>
#include <nestwalk/reports/draw.h>
#include <nestwalk/reports/export.h>
#include <nestwalk/reports/survey.h>
#include <nestwalk/reports/vtd_walk.h>
#include <stdlib.h>
#include <string.h>

enum {
    OPT_IMAGE,
    OPT_START,
    OPT_CASES,
    OPT_ID,
    OPT_LINE,
    OPT_RTADDR,
    OPT_DEVICE_TABLE,
    OPT_CAP,
    OPT_ECAP,
    OPT_EFR,
    OPT_CONTROL,
    OPT_HAW,
    OPT_WINDOWS,
    OPT_JSON,
    OPT_DOT,
    OPT_SVG,
    OPT_END
};
const struct nw_option iommu_draw_options[] = {
    [OPT_IMAGE] = { "image", 'i', "FILE", "A dump of physical memory: raw binary, whole 4 KiB pages." },
    [OPT_START] = { "start", 0, "ADDRESS", "Physical address of the dump's first byte. Default: 0." },
    [OPT_CASES] = { "cases", 'c', "FILE", "Recorded cases of DMA remapping (VT-d): JSON lines, compressed or not." },
    [OPT_ID] = { "id", 0, "ID", "The case with this id." },
    [OPT_LINE] = { "line", 0, "N", "The case in this line (from 1)." },
    [OPT_RTADDR] = { "rtaddr", 'r', "VALUE", "VT-d: Root Table Address Register, bits 11:10 (table mode) included." },
    [OPT_DEVICE_TABLE] = { "device-table", 'd', "VALUE",
                           "AMD-Vi: Device Table Base Address Register, size (bits 8:0) included." },
    [OPT_CAP] = { "cap", 0, "VALUE", "VT-d: Capability Register. Default: 0x9d2078c222f0606 (the model's)." },
    [OPT_ECAP] = { "ecap", 0, "VALUE", "VT-d: Extended Capability Register. Default: 0x1ed9cc4f00f5e (the model's)." },
    [OPT_EFR] = { "efr", 0, "VALUE", "AMD-Vi: Extended Feature Register. Default: 0x13000f000058da (the model's)." },
    [OPT_CONTROL] = { "control", 0, "VALUE",
                      "AMD-Vi: Control Register; of it GTEn and GCR3TRPMode matter. Default: 0x10001 (GTEn)." },
    [OPT_HAW] = { "haw", 0, "BITS", "Width of a physical address, 32 to 52. Default: 48." },
    [OPT_WINDOWS] = { "windows", 'w', "N", "Windows and ranges that are told of each domain. Default: 16." },
    [OPT_JSON] = { "json", 'j', "FILE|-", "Write requesters, domains, windows and memory as JSON." },
    [OPT_DOT] = { "dot", 0, "FILE|-", "Write the picture as Graphviz DOT." },
    [OPT_SVG] = { "svg", 0, "FILE|-", "Write the picture as SVG." },
    { 0 },
};

struct draw {
    const char *value[OPT_END];
    uint64_t number[OPT_END];
};

static const char *number_problem(struct draw *d)
{
    static const struct {
        int option;
        uint64_t least, most;
        const char *problem;
    } numbers[] = {
        { OPT_START, 0, UINT64_MAX, "--start takes an address" },
        { OPT_LINE, 1, UINT64_MAX, "--line takes the number of a line, from 1" },
        { OPT_RTADDR, 0, UINT64_MAX, "--rtaddr takes a register's value, like 0x1000" },
        { OPT_DEVICE_TABLE, 0, UINT64_MAX, "--device-table takes a register's value, like 0x10000f" },
        { OPT_CAP, 0, UINT64_MAX, "--cap takes a register's value" },
        { OPT_ECAP, 0, UINT64_MAX, "--ecap takes a register's value" },
        { OPT_EFR, 0, UINT64_MAX, "--efr takes a register's value" },
        { OPT_CONTROL, 0, UINT64_MAX, "--control takes a register's value" },
        { OPT_HAW, 32, NW_PHYS_BITS_MAX, "--haw takes a number of bits, 32 to 52" },
        { OPT_WINDOWS, 0, 1000000, "--windows takes a number up to 1000000" },
    };
    for (size_t i = 0; i < NW_ARRAY_LEN(numbers); i++) {
        uint64_t *n = &d->number[numbers[i].option];
        const char *text = d->value[numbers[i].option];
        if (text && (!nw_cli_parse_u64(text, n) || *n < numbers[i].least || *n > numbers[i].most))
            return numbers[i].problem;
    }
    return NULL;
}

static bool to_stdout(const char *file) { return file && !strcmp(file, "-"); }

static const char *usage_problem(struct draw *d)
{
    const char *const *v = d->value;
    const char *problem = number_problem(d);
    if (problem)
        return problem;
    if (!v[OPT_IMAGE] == !v[OPT_CASES])
        return "needs tables: either --image FILE or --cases FILE";
    if (v[OPT_IMAGE] && !v[OPT_RTADDR] == !v[OPT_DEVICE_TABLE])
        return "--image needs --rtaddr (VT-d) or --device-table (AMD-Vi)";
    if (v[OPT_IMAGE] && (v[OPT_ID] || v[OPT_LINE]))
        return "--id and --line go with --cases";
    if (v[OPT_CASES] && (v[OPT_START] || v[OPT_DEVICE_TABLE]))
        return "--start and --device-table go with --image";
    if (v[OPT_CASES] && !v[OPT_ID] == !v[OPT_LINE])
        return "--cases needs one of --id ID and --line N";
    if (v[OPT_DEVICE_TABLE] && (v[OPT_CAP] || v[OPT_ECAP]))
        return "--cap and --ecap go with --rtaddr";
    if (!v[OPT_DEVICE_TABLE] && (v[OPT_EFR] || v[OPT_CONTROL]))
        return "--efr and --control go with --device-table";
    if (to_stdout(v[OPT_JSON]) + to_stdout(v[OPT_DOT]) + to_stdout(v[OPT_SVG]) > 1)
        return "only one of --json -, --dot - and --svg - can have standard output";
    return NULL;
}

/* ---- the survey --------------------------------------------------------------------------------- */

static unsigned most_of(const struct draw *d) { return d->value[OPT_WINDOWS] ? (unsigned)d->number[OPT_WINDOWS] : 16; }

static uint64_t given(const struct draw *d, int option, uint64_t otherwise)
{
    return d->value[option] ? d->number[option] : otherwise;
}

static enum nw_status survey_vtd(const struct draw *d, struct nw_vtd_tables *t, struct iommu_image *image,
                                 struct nw_survey *out, struct nw_error *err)
{
    t->rtaddr = given(d, OPT_RTADDR, t->rtaddr);
    t->unit.cap = given(d, OPT_CAP, t->unit.cap);
    t->unit.ecap = given(d, OPT_ECAP, t->unit.ecap);
    t->unit.haw = (uint8_t)given(d, OPT_HAW, t->unit.haw);
    enum nw_status s = nw_vtd_capabilities_check(&t->unit, err);
    if (!s && image) {
        s = iommu_image_open(image, d->value[OPT_IMAGE], d->number[OPT_START], t->unit.haw, err);
        t->memory = (struct nw_vtd_memory){ .pm = image->pm, .ram = &image->range, .ram_count = 1 };
    }
    return s ? s : nw_vtd_survey(t, most_of(d), out, err);
}

/* The tables of a case; which of its requests it is that comes with them is of no matter. */
static enum nw_status survey_case(const struct draw *d, struct nw_survey *out, struct nw_error *err)
{
    struct nw_vtd_case c;
    enum nw_status s = nw_vtd_case_load(&c, d->value[OPT_CASES], d->value[OPT_ID], d->number[OPT_LINE], 1, err);
    if (s)
        return s;
    s = survey_vtd(d, &c.tables, NULL, out, err);
    nw_vtd_case_fini(&c);
    return s;
}

static enum nw_status survey_amdvi(const struct draw *d, struct iommu_image *image, struct nw_survey *out,
                                   struct nw_error *err)
{
    struct nw_amdvi_tables t = { .unit = nw_amdvi_config_default(NULL).unit,
                                 .device_table = d->number[OPT_DEVICE_TABLE] };
    const uint64_t control = given(d, OPT_CONTROL, NW_AMDVI_CONTROL_GT_EN);
    t.unit.efr = given(d, OPT_EFR, t.unit.efr);
    t.unit.pa_bits = (uint8_t)given(d, OPT_HAW, t.unit.pa_bits);
    if (!(control & NW_AMDVI_CONTROL_GT_EN))
        t.unit.efr &= ~NW_AMDVI_EFR_GT;
    t.gcr3_tables_in_gpa = control & NW_AMDVI_CONTROL_GCR3_TRP_MODE;
    enum nw_status s = nw_amdvi_capabilities_check(&t.unit, err);
    if (!s)
        s = iommu_image_open(image, d->value[OPT_IMAGE], d->number[OPT_START], t.unit.pa_bits, err);
    const struct nw_amdvi_range range = { image->range.start, image->range.end };
    t.memory = (struct nw_amdvi_memory){ .pm = image->pm, .ram = &range, .ram_count = 1 };
    return s ? s : nw_amdvi_survey(&t, most_of(d), out, err);
}

static enum nw_status survey(const struct draw *d, enum nw_survey_kind kind, struct iommu_image *image,
                             struct nw_survey *out, struct nw_error *err)
{
    struct nw_vtd_tables t = { .unit = nw_vtd_config_default(NULL).unit };
    if (kind == NW_SURVEY_AMDVI)
        return survey_amdvi(d, image, out, err);
    return d->value[OPT_CASES] ? survey_case(d, out, err) : survey_vtd(d, &t, image, out, err);
}

/* ---- output ------------------------------------------------------------------------------------- */

static void print_domain(enum nw_survey_kind kind, struct nw_survey *s, int domain)
{
    struct nw_survey_domain *d = &s->domain[domain];
    static const char *const rights[] = { "", "r", "w", "rw" };
    char text[32], reads[24], writes[24];
    printf("domain 0x%x, %s", d->summary.domain_id, nw_survey_translation(kind, d));
    if (!d->summary.identity)
        printf(" at 0x%llx", (unsigned long long)d->summary.root);
    for (size_t i = 0, told = 0; i < s->requesters; i++) {
        if (s->requester[i].domain != domain)
            continue;
        if (told++ == 8) {
            printf(" and %u more", d->requesters - 8);
            break;
        }
        nw_survey_requester_text(&s->requester[i], text);
        printf("%s %s", told == 1 ? ":" : ",", text);
    }
    if (d->summary.identity) {
        printf("\n    reaches all of memory\n");
        return;
    }
    nw_survey_bytes_text(nw_frame_set_bytes(d->memory, NW_REACH_READ), reads);
    nw_survey_bytes_text(nw_frame_set_bytes(d->memory, NW_REACH_WRITE), writes);
    printf("\n    reads %s, writes %s\n", reads, writes);
    for (unsigned i = 0; i < d->windows; i++) {
        const struct nw_reach_window *w = &d->window[i];
        nw_survey_bytes_text(w->bytes, reads);
        printf("    0x%-16llx -> 0x%-16llx %10s  %s\n", (unsigned long long)w->iova, (unsigned long long)w->target,
               reads, rights[w->rights & 3]);
    }
    if (d->more)
        printf("    and more (--windows)\n");
}

static void print_text(enum nw_survey_kind kind, struct nw_survey *s)
{
    for (size_t i = 0; i < s->domains; i++)
        print_domain(kind, s, (int)i);
    for (size_t i = 0, told = 0; i < s->requesters && told < 64; i++)
        if (s->requester[i].domain < 0) {
            char text[32];
            nw_survey_requester_text(&s->requester[i], text);
            printf("%s: every request faults, %s\n", text, nw_survey_reason(kind, s->requester[i].reason));
            told++;
        }
    if (!s->requesters)
        printf("no device has an entry\n");
    if (s->more)
        printf("and more than %d requesters\n", NW_REACH_SOURCES_MAX);
}

static enum nw_status write_pictures(const struct draw *d, enum nw_survey_kind kind, struct nw_survey *s,
                                     struct nw_error *err)
{
    char *dot = NULL, *svg = NULL;
    if (!d->value[OPT_DOT] && !d->value[OPT_SVG])
        return NW_OK;
    enum nw_status status = nw_survey_dot_text(kind, s, most_of(d), &dot, err);
    if (!status && d->value[OPT_DOT])
        status = nw_report_write(d->value[OPT_DOT], dot, strlen(dot), err);
    if (!status && d->value[OPT_SVG])
        status = nw_draw_svg(dot, &svg, err);
    if (!status && svg)
        status = nw_report_write(d->value[OPT_SVG], svg, strlen(svg), err);
    free(dot);
    free(svg);
    return status;
}

static enum nw_status write_outputs(const struct draw *d, enum nw_survey_kind kind, struct nw_survey *s,
                                    struct nw_error *err)
{
    char *json = NULL;
    enum nw_status status = d->value[OPT_JSON] ? nw_survey_json_text(kind, s, most_of(d), &json, err) : NW_OK;
    if (!status && json)
        status = nw_report_write(d->value[OPT_JSON], json, strlen(json), err);
    free(json);
    if (!status)
        status = write_pictures(d, kind, s, err);
    if (!status && !to_stdout(d->value[OPT_JSON]) && !to_stdout(d->value[OPT_DOT]) && !to_stdout(d->value[OPT_SVG]))
        print_text(kind, s);
    return status;
}

int iommu_draw(const struct nw_command *self, int argc, char **argv)
{
    struct nw_error err = { 0 };
    struct draw d = { .value = { NULL } };
    struct nw_cli_parser parser;
    struct iommu_image image = { .pm = NULL };
    struct nw_survey found = { .more = false };
    const char *value = NULL, *problem;
    int option;
    nw_cli_parser_init(&parser, self, argc, argv);
    while ((option = nw_cli_next(&parser, &value)) >= 0)
        d.value[option] = value;
    if (option == NW_CLI_EXIT)
        return parser.exit_status;
    if (option == NW_CLI_ARGUMENT)
        return nw_cli_usage(self, "unexpected argument \"%s\"", value);
    if ((problem = usage_problem(&d)) != NULL)
        return nw_cli_usage(self, "%s", problem);
    const enum nw_survey_kind kind = d.value[OPT_DEVICE_TABLE] ? NW_SURVEY_AMDVI : NW_SURVEY_VTD;
    enum nw_status s = survey(&d, kind, &image, &found, &err);
    if (!s)
        s = write_outputs(&d, kind, &found, &err);
    nw_survey_fini(&found);
    iommu_image_close(&image);
    return s ? nw_cli_fail(self, s, &err) : 0;
}
