/* iommu_draw.c - `nestwalk iommu draw`: devices, domains and what they reach, from a dump of memory or a recorded
 * case. */
#include "iommu_draw.h"
#include "internal.h"
#include "iommu_unit.h"
#include <nestwalk/iommu/vtd_unit.h>
#include <nestwalk/reports/draw.h>
#include <nestwalk/reports/export.h>
#include <nestwalk/reports/survey.h>
#include <nestwalk/reports/vtd_walk.h>
#include <stdlib.h>
#include <string.h>

enum {
    OPT_CASES,
    OPT_ID,
    OPT_LINE,
    OPT_WINDOWS,
    OPT_JSON,
    OPT_DOT,
    OPT_SVG,
    OPT_UNIT,
    OPT_END = OPT_UNIT + UNIT_OPTIONS
};
const struct nw_option iommu_draw_options[] = {
    [OPT_CASES] = { "cases", 'c', "FILE", "Recorded cases of DMA remapping (VT-d): JSON lines, compressed or not." },
    [OPT_ID] = { "id", 0, "ID", "The case with this id." },
    [OPT_LINE] = { "line", 0, "N", "The case in this line (from 1)." },
    [OPT_WINDOWS] = { "windows", 'w', "N", "Windows and ranges that are told of each domain. Default: 16." },
    [OPT_JSON] = { "json", 'j', "FILE|-", "Write requesters, domains, windows and memory as JSON." },
    [OPT_DOT] = { "dot", 0, "FILE|-", "Write the picture as Graphviz DOT." },
    [OPT_SVG] = { "svg", 0, "FILE|-", "Write the picture as SVG." },
    IOMMU_UNIT_ROWS(OPT_UNIT, 'd', "48"),
    { 0 },
};

struct draw {
    const char *value[OPT_END];
    uint64_t line, windows;
    struct iommu_unit unit;
};

static const char *number_problem(struct draw *d)
{
    const char *const *v = d->value;
    d->windows = 16;
    if (v[OPT_LINE] && (!nw_cli_parse_u64(v[OPT_LINE], &d->line) || !d->line))
        return "--line takes the number of a line, from 1";
    if (v[OPT_WINDOWS] && (!nw_cli_parse_u64(v[OPT_WINDOWS], &d->windows) || d->windows > 1000000))
        return "--windows takes a number up to 1000000";
    return NULL;
}

static bool to_stdout(const char *file) { return file && !strcmp(file, "-"); }

static const char *usage_problem(struct draw *d)
{
    const char *const *v = d->value, *const *u = d->unit.value;
    const char *problem = number_problem(d);
    if (!problem)
        problem = iommu_unit_problem(&d->unit);
    if (problem)
        return problem;
    if (!u[UNIT_IMAGE] == !v[OPT_CASES])
        return "needs tables: either --image FILE or --cases FILE";
    if (u[UNIT_IMAGE] && !u[UNIT_RTADDR] == !u[UNIT_DEVICE_TABLE])
        return "--image needs --rtaddr (VT-d) or --device-table (AMD-Vi)";
    if (u[UNIT_IMAGE] && (v[OPT_ID] || v[OPT_LINE]))
        return "--id and --line go with --cases";
    if (v[OPT_CASES] && (u[UNIT_START] || u[UNIT_DEVICE_TABLE]))
        return "--start and --device-table go with --image";
    if (v[OPT_CASES] && !v[OPT_ID] == !v[OPT_LINE])
        return "--cases needs one of --id ID and --line N";
    if (to_stdout(v[OPT_JSON]) + to_stdout(v[OPT_DOT]) + to_stdout(v[OPT_SVG]) > 1)
        return "only one of --json -, --dot - and --svg - can have standard output";
    return NULL;
}

/* ---- the survey --------------------------------------------------------------------------------- */

static unsigned most_of(const struct draw *d) { return (unsigned)d->windows; }

static enum nw_status survey_vtd(struct draw *d, struct nw_vtd_tables *t, struct nw_survey *out, struct nw_error *err)
{
    enum nw_status s = iommu_unit_vtd(&d->unit, t, err);
    return s ? s : nw_vtd_survey(t, most_of(d), NULL, out, err);
}

/* The tables of a case; which of its requests it is that comes with them is of no matter. */
static enum nw_status survey_case(struct draw *d, struct nw_survey *out, struct nw_error *err)
{
    struct nw_vtd_case c;
    enum nw_status s = nw_vtd_case_load(&c, d->value[OPT_CASES], d->value[OPT_ID], d->line, 1, err);
    if (s)
        return s;
    d->unit.haw = c.tables.unit.haw;
    s = survey_vtd(d, &c.tables, out, err);
    nw_vtd_case_fini(&c);
    return s;
}

static enum nw_status survey(struct draw *d, enum nw_survey_kind kind, struct nw_survey *out, struct nw_error *err)
{
    struct nw_vtd_tables vtd = { .unit = nw_vtd_config_default(NULL).unit };
    struct nw_amdvi_tables amdvi;
    if (kind == NW_SURVEY_VTD)
        return d->value[OPT_CASES] ? survey_case(d, out, err) : survey_vtd(d, &vtd, out, err);
    enum nw_status s = iommu_unit_amdvi(&d->unit, &amdvi, err);
    return s ? s : nw_amdvi_survey(&amdvi, most_of(d), NULL, out, err);
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
    struct draw d = { .unit = { .haw = 48 } };
    struct nw_cli_parser parser;
    struct nw_survey found = { .more = false };
    const char *value = NULL, *problem;
    int option;
    nw_cli_parser_init(&parser, self, argc, argv);
    while ((option = nw_cli_next(&parser, &value)) >= 0)
        *(option < OPT_UNIT ? &d.value[option] : &d.unit.value[option - OPT_UNIT]) = value;
    if (option == NW_CLI_EXIT)
        return parser.exit_status;
    if (option == NW_CLI_ARGUMENT)
        return nw_cli_usage(self, "unexpected argument \"%s\"", value);
    if ((problem = usage_problem(&d)) != NULL)
        return nw_cli_usage(self, "%s", problem);
    const enum nw_survey_kind kind = d.unit.value[UNIT_DEVICE_TABLE] ? NW_SURVEY_AMDVI : NW_SURVEY_VTD;
    enum nw_status s = survey(&d, kind, &found, &err);
    if (!s)
        s = write_outputs(&d, kind, &found, &err);
    nw_survey_fini(&found);
    iommu_unit_close(&d.unit);
    return s ? nw_cli_fail(self, s, &err) : 0;
}
