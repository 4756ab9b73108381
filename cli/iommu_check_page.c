#include "iommu_check_page.h"
#include <nestwalk/reports/check_page.h>
#include <nestwalk/reports/draw.h>
#include <nestwalk/reports/export.h>
#include <stdlib.h>
#include <string.h>

static enum nw_status write_picture(const struct nw_check_page *page, const char *dot, const char *svg,
                                    struct nw_error *err)
{
    char *text = NULL, *drawn = NULL;
    enum nw_status s = nw_topology_dot_text(page, &text, err);
    if (!s && dot)
        s = nw_report_write(dot, text, strlen(text), err);
    if (!s && svg && !(s = nw_draw_svg(text, &drawn, err)))
        s = nw_report_write(svg, drawn, strlen(drawn), err);
    free(text);
    free(drawn);
    return s;
}

enum nw_status iommu_check_page_write(const struct iommu_inputs *in, const bool *accepted, const char *html,
                                      const char *dot, const char *svg, struct nw_error *err)
{
    const struct nw_check_page page = { .input = in->at,
                                        .inputs = in->count,
                                        .found = &in->found,
                                        .accepted = accepted,
                                        .table = in->table,
                                        .dump = &in->dump };
    enum nw_status s = NW_OK;
    char *text = NULL;
    if (html && !(s = nw_check_page_html(&page, &text, err)))
        s = nw_report_write(html, text, strlen(text), err);
    free(text);
    return s || (!dot && !svg) ? s : write_picture(&page, dot, svg, err);
}
