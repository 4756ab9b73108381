#include "reports_internal.h"
#include <graphviz/gvc.h>
#include <nestwalk/reports/draw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Graphviz reports through one global function; what it says last becomes the error's text. */
static char complaint[256];

static int take_complaint(char *text)
{
    size_t used = strlen(complaint), length = strcspn(text, "\n");
    snprintf(complaint + used, sizeof complaint - used, "%.*s", (int)length, text);
    return 0;
}

static enum nw_status render(GVC_t *gvc, graph_t *g, char **svg, struct nw_error *err)
{
    char *engine = agget(g, (char *)"layout"), *data = NULL;
    unsigned bytes = 0;
    if (gvLayout(gvc, g, engine && *engine ? engine : "dot"))
        return nw_fail(err, NW_ERR_ENV, "Graphviz cannot lay out a drawing: %s", complaint);
    enum nw_status s = NW_OK;
    if (gvRenderData(gvc, g, "svg", &data, &bytes) || !data) {
        s = nw_fail(err, NW_ERR_ENV, "Graphviz cannot draw SVG: %s", complaint);
    } else {
        const char *element = strstr(data, "<svg");
        *svg = strdup(element ? element : data);
        if (!*svg)
            s = nw_fail_nomem(err, "a drawing");
    }
    gvFreeRenderData(data);
    gvFreeLayout(gvc, g);
    return s;
}

enum nw_status nw_draw_svg(const char *dot, char **svg, struct nw_error *err)
{
    complaint[0] = 0;
    agseterr(AGERR);
    agseterrf(take_complaint);
    GVC_t *gvc = gvContext();
    if (!gvc)
        return nw_fail(err, NW_ERR_ENV, "Graphviz does not start");
    graph_t *g = agmemread(dot);
    enum nw_status s = g ? render(gvc, g, svg, err)
                         : nw_fail(err, NW_ERR_INPUT, "Graphviz does not understand the drawing: %s", complaint);
    if (g)
        agclose(g);
    gvFreeContext(gvc);
    agseterrf(NULL);
    return s;
}
