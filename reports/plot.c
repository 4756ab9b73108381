/* plot.c - see plot.h. */
#include "plot.h"
#include <math.h>
#include <stdio.h>

enum { WIDTH = 760, HEIGHT = 260, LEFT = 64, RIGHT = 14, TOP = 12, BOTTOM = 44, STEPS = 6 };

struct frame {
    const struct plot *plot;
    double x_low, x_high, y_low, y_high;
    bool any;
};

double plot_step(double first, double last, unsigned most)
{
    static const double round[] = { 1, 2, 5, 10 };
    const double least = (last - first) / most;
    if (!(least > 0))
        return 1;
    const double power = pow(10, floor(log10(least)));
    for (size_t i = 0; i < NW_ARRAY_LEN(round); i++)
        if (round[i] * power >= least * (1 - 1e-9))
            return round[i] * power;
    return 10 * power;
}

static bool is_number(const struct nw_run_point *p) { return isfinite(p->x) && isfinite(p->y); }

/* The range of the values, and of the ordinate always 0. */
static struct frame frame_of(const struct plot *p)
{
    struct frame f = { .plot = p };
    for (size_t l = 0; l < p->lines; l++)
        for (size_t i = 0; i < p->line[l].count; i++) {
            const struct nw_run_point *v = &p->line[l].point[i];
            if (!is_number(v))
                continue;
            const double x = v->x * p->x_scale, y = v->y * p->y_scale;
            f.x_low = f.any ? fmin(f.x_low, x) : x;
            f.x_high = f.any ? fmax(f.x_high, x) : x;
            f.y_low = fmin(f.y_low, y);
            f.y_high = fmax(f.y_high, y);
            f.any = true;
        }
    if (f.x_high <= f.x_low)
        f.x_high = f.x_low + 1;
    if (f.y_high <= f.y_low)
        f.y_high = f.y_low + 1;
    f.y_high = ceil(f.y_high / plot_step(f.y_low, f.y_high, STEPS)) * plot_step(f.y_low, f.y_high, STEPS);
    return f;
}

static double at_x(const struct frame *f, double x)
{
    return LEFT + (x - f->x_low) / (f->x_high - f->x_low) * (WIDTH - LEFT - RIGHT);
}
static double at_y(const struct frame *f, double y)
{
    return HEIGHT - BOTTOM - (y - f->y_low) / (f->y_high - f->y_low) * (HEIGHT - TOP - BOTTOM);
}

static void add_axes(struct text *t, const struct frame *f)
{
    const double x_step = plot_step(f->x_low, f->x_high, STEPS), y_step = plot_step(f->y_low, f->y_high, STEPS);
    text_add(t, "<g class=\"axis\">\n");
    for (double n = ceil(f->y_low / y_step - 1e-9); n * y_step <= f->y_high * (1 + 1e-9); n++) {
        const double y = at_y(f, n * y_step);
        text_printf(t, "<path d=\"M%d %.1fH%d\"/><text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.12g</text>\n", LEFT, y,
                    WIDTH - RIGHT, LEFT - 6, y + 4, n * y_step + 0.0); /* no -0 */
    }
    for (double n = ceil(f->x_low / x_step - 1e-9); n * x_step <= f->x_high * (1 + 1e-9); n++)
        text_printf(t, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.12g</text>\n", at_x(f, n * x_step),
                    HEIGHT - BOTTOM + 16, n * x_step + 0.0);
    text_printf(t, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">", (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8);
    text_add_html(t, f->plot->x_label);
    text_printf(t, "</text><text x=\"%d\" y=\"%d\" text-anchor=\"middle\" transform=\"rotate(-90 14 %d)\">", 14,
                (HEIGHT - BOTTOM + TOP) / 2, (HEIGHT - BOTTOM + TOP) / 2);
    text_add_html(t, f->plot->y_label);
    text_add(t, "</text></g>\n");
}

static void add_line(struct text *t, const struct frame *f, size_t l)
{
    const struct plot_line *line = &f->plot->line[l];
    if (!line->dots || line->joined) {
        text_printf(t, "<path class=\"line\" style=\"stroke: var(--run-%zu)\" d=\"", l % PLOT_COLOURS);
        bool on = false;
        for (size_t i = 0; i < line->count; i++) {
            const struct nw_run_point *v = &line->point[i];
            if (is_number(v))
                text_printf(t, "%s%.1f %.1f", on ? "L" : "M", at_x(f, v->x * f->plot->x_scale),
                            at_y(f, v->y * f->plot->y_scale));
            on = is_number(v);
        }
        text_add(t, "\"/>\n");
    }
    for (size_t i = 0; i < line->count && (line->dots || line->count == 1); i++)
        if (is_number(&line->point[i]))
            text_printf(t, "<circle r=\"4\" style=\"fill: var(--run-%zu)\" cx=\"%.1f\" cy=\"%.1f\"/>\n",
                        l % PLOT_COLOURS, at_x(f, line->point[i].x * f->plot->x_scale),
                        at_y(f, line->point[i].y * f->plot->y_scale));
}

static void add_legend(struct text *t, const struct plot *p)
{
    text_add(t, "<figcaption class=\"legend\">");
    for (size_t l = 0; l < p->lines; l++) {
        text_printf(t, "<span style=\"--mark: var(--run-%zu)\">", l % PLOT_COLOURS);
        text_add_html(t, p->line[l].name);
        text_add(t, "</span> ");
    }
    text_add(t, "</figcaption>");
}

void plot_svg(struct text *t, const struct plot *p)
{
    const struct frame f = frame_of(p);
    if (!f.any) {
        text_add(t, "<p>Nothing was recorded for this picture.</p>\n");
        return;
    }
    text_printf(t, "<figure class=\"plot\"><svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", WIDTH, HEIGHT);
    text_add_html(t, p->description);
    text_add(t, "\">\n");
    add_axes(t, &f);
    for (size_t l = 0; l < p->lines; l++)
        add_line(t, &f, l);
    for (size_t i = 0; i < p->marks; i++) {
        const double x = at_x(&f, p->mark[i].x * p->x_scale), y = at_y(&f, p->mark[i].y * p->y_scale);
        const bool left = x > WIDTH * 2 / 3.; /* the text on the side that has room */
        text_printf(t, "<g class=\"mark\"><circle r=\"8\" cx=\"%.1f\" cy=\"%.1f\"/><text x=\"%.1f\" y=\"%.1f\"%s>", x,
                    y, left ? x - 12 : x + 12, y - 8, left ? " text-anchor=\"end\"" : "");
        text_add_html(t, p->mark[i].text);
        text_add(t, "</text></g>\n");
    }
    text_add(t, "</svg>\n");
    add_legend(t, p);
    text_add(t, "</figure>\n");
}
