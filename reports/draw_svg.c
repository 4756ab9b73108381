#include "reports_internal.h"
#include <graphviz/gvc.h>
#include <graphviz/gvplugin.h>
#include <graphviz/gvplugin_textlayout.h>
#include <nestwalk/reports/draw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- a text measurer of our own ----
 * Graphviz asks a plugin how wide a text is. Its usual one asks the fonts of the machine, so the same picture would come out
 * differently on another machine; besides, it opens a font database for a few labels. This one knows four widths, in
 * thousandths of the font size, on the wide side of the common sans-serif faces. */
static double character_width(char c)
{
    if (strchr("ijl.,:;'|![]()ft ", c))
        return 0.38;
    if (strchr("mwMW@%", c))
        return 0.95;
    return c >= 'A' && c <= 'Z' ? 0.72 : 0.62;
}

static boolean measure(textspan_t *span, char **font_path)
{
    double width = 0, size = span->font->size;
    for (const char *c = span->str; *c; c++)
        if ((*c & 0xc0) != 0x80) /* once for each UTF-8 character */
            width += character_width(*c);
    span->size.x = width * size;
    span->size.y = 1.2 * size;
    span->yoffset_layout = 0;
    span->yoffset_centerline = 0.1 * size;
    span->layout = NULL;
    span->free_layout = NULL;
    if (font_path)
        *font_path = NULL;
    return 1;
}

static gvtextlayout_engine_t measurer = { measure };
static gvplugin_installed_t measurer_types[] = { { 0, "textlayout", 1000, &measurer, NULL }, { 0 } };
static gvplugin_api_t measurer_apis[] = { { API_textlayout, measurer_types }, { 0 } };
static gvplugin_library_t measurer_library = { (char *)"nestwalk", measurer_apis };
static const lt_symlist_t builtins[] = { { "gvplugin_nestwalk_LTX_library", &measurer_library }, { 0 } };

/* ---- drawing ---- */

/* Graphviz reports through one global function; what it says becomes the error's text. */
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
    /* The engine for given positions lists the nodes and forgets to free the list (Graphviz 2.43, neato -n). */
    free(GD_neato_nlist(g));
    GD_neato_nlist(g) = NULL;
    gvFreeLayout(gvc, g);
    return s;
}

/* One context for the life of the program: plugins keep state beyond the life of a context. */
static GVC_t *context(void)
{
    static GVC_t *gvc;
    if (!gvc)
        gvc = gvContextPlugins(builtins, 1);
    return gvc;
}

enum nw_status nw_draw_svg(const char *dot, char **svg, struct nw_error *err)
{
    complaint[0] = 0;
    agseterr(AGERR);
    agseterrf(take_complaint);
    GVC_t *gvc = context();
    if (!gvc)
        return nw_fail(err, NW_ERR_ENV, "Graphviz does not start");
    graph_t *g = agmemread(dot);
    enum nw_status s = g ? render(gvc, g, svg, err)
                         : nw_fail(err, NW_ERR_INPUT, "Graphviz does not understand the drawing: %s", complaint);
    if (g)
        agclose(g);
    agseterrf(NULL);
    return s;
}
