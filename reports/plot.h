/* plot.h - lines over an axis as SVG, in the colours of the page. Never leaves this folder. */
#ifndef NESTWALK_REPORTS_PLOT_H
#define NESTWALK_REPORTS_PLOT_H

#include "reports_internal.h"

enum { PLOT_COLOURS = 6 }; /* --run-0 to --run-5 of the page's style */

struct plot_line {
    const char *name;
    const struct nw_run_point *point;
    size_t count;
    bool dots, joined; /* dots: each point is one, without a line unless they are joined */
};
struct plot_mark { /* one point, ringed and named */
    double x, y;
    const char *text;
};
struct plot {
    const char *description;       /* for those who do not see it; the figures' place among others */
    const char *x_label, *y_label; /* with units */
    double x_scale, y_scale;       /* what values are multiplied with for the axes: 1e-9 for ns shown as s */
    const struct plot_line *line;
    size_t lines;
    const struct plot_mark *mark;
    size_t marks;
};
/* A figure with the drawing and its legend. Lines without points are left out; with none at all, a sentence says so. Values that are no numbers are left out. */
void plot_svg(struct text *t, const struct plot *p);

/* Round numbers that divide first .. last into `most` steps or fewer; the distance of two. */
double plot_step(double first, double last, unsigned most);

#endif
