/* A judgement as one page: the claims, a picture of measured against predicted, every point, and the fitted values. */
#include "reports_internal.h"
#include <math.h>
#include <nestwalk/reports/judgement.h>
#include <stdio.h>

enum { WIDTH = 900, HEIGHT = 520, LEFT = 70, BOTTOM = 50, TOP = 20, RIGHT = 20 };
static const char *const model_name[NW_JUDGED_MODELS] = { "this model", "textbook", "one-dimensional" };

static double place(double cycles, double least, double most, double from, double to)
{
    return from + (to - from) * (log(cycles) - log(least)) / (log(most) - log(least));
}

static void mark(struct text *t, unsigned model, double x, double y)
{
    static const char *const colour[NW_JUDGED_MODELS] = { "#1f6fb2", "#c0392b", "#7d8a2e" };
    if (model == NW_JUDGED_OURS)
        text_printf(t, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4.5\" fill=\"%s\"", x, y, colour[model]);
    else if (model == NW_JUDGED_TEXTBOOK)
        text_printf(t, "<rect x=\"%.1f\" y=\"%.1f\" width=\"7\" height=\"7\" fill=\"none\" stroke=\"%s\"", x - 3.5,
                    y - 3.5, colour[model]);
    else
        text_printf(t, "<path d=\"M%.1f %.1fl4 7h-8z\" fill=\"none\" stroke=\"%s\"", x, y - 4, colour[model]);
}

static void picture(struct text *t, const struct nw_judgement *j, const struct nw_measurement *m)
{
    double least = 1e9, most = 1;
    for (size_t i = 0; i < j->point_count; i++) {
        const struct nw_judged_point *p = &j->point[i];
        least = fmin(least, p->measured.low);
        most = fmax(most, p->measured.high);
        for (unsigned k = 0; k < NW_JUDGED_MODELS; k++)
            most = fmax(most, p->predicted[k]);
    }
    least /= 1.2, most *= 1.2;
    const double x0 = LEFT, x1 = WIDTH - RIGHT, y0 = HEIGHT - BOTTOM, y1 = TOP;
    text_printf(
        t,
        "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"Predicted against measured cycles an access, both "
        "logarithmic; the table below holds the figures.\" style=\"max-width:%dpx;width:100%%\">"
        "<line x1=\"%g\" y1=\"%g\" x2=\"%g\" y2=\"%g\" stroke=\"currentColor\" stroke-opacity=\".4\"/>",
        WIDTH, HEIGHT, WIDTH, x0, y0, x1, y1);
    for (double cycles = 1; cycles < most; cycles *= 10)
        for (double step = 1; step < 6; step += step < 2 ? 1 : 3) {
            const double at = cycles * step;
            if (at < least || at > most)
                continue;
            const double x = place(at, least, most, x0, x1), y = place(at, least, most, y0, y1);
            text_printf(
                t,
                "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\" fill=\"currentColor\" font-size=\"12\">%g"
                "</text><text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\" fill=\"currentColor\" font-size=\"12\">%g"
                "</text>",
                x, y0 + 18, at, x0 - 6, y + 4, at);
        }
    text_printf(t,
                "<text x=\"%g\" y=\"%g\" text-anchor=\"middle\" fill=\"currentColor\" font-size=\"13\">measured, core "
                "cycles an access (bar: lowest and highest process)</text>",
                (x0 + x1) / 2, y0 + 40);
    for (size_t i = 0; i < j->point_count; i++) {
        const struct nw_judged_point *p = &j->point[i];
        const double x = place(p->measured.cycles, least, most, x0, x1);
        const double ours = place(p->predicted[0], least, most, y0, y1);
        text_printf(t, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"#1f6fb2\"/>",
                    place(p->measured.low, least, most, x0, x1), ours, place(p->measured.high, least, most, x0, x1),
                    ours);
        for (unsigned k = NW_JUDGED_MODELS; k-- > 0;) {
            char name[64];
            nw_judged_point_name(&m->chase[p->chase], name, sizeof name);
            mark(t, k, x, place(fmax(p->predicted[k], least), least, most, y0, y1));
            text_printf(t, "><title>%s, %s: measured %.1f, predicted %.1f</title>%s", name, model_name[k],
                        p->measured.cycles, p->predicted[k],
                        k == NW_JUDGED_OURS       ? "</circle>"
                        : k == NW_JUDGED_TEXTBOOK ? "</rect>"
                                                  : "</path>");
        }
    }
    text_add(
        t, "</svg><p>Disc: this model. Square: textbook (true LRU, a second-stage PDE cache that never misses, memory "
           "latency of packed lines, CPUID's last-level cache). Triangle: the guest's walk alone.</p>\n");
}

static void claims(struct text *t, const struct nw_judgement *j)
{
    text_add(t,
             "<table><thead><tr><th>regime</th><th>points</th><th>median error</th><th>worst</th><th>textbook, "
             "median</th><th>one-dimensional, median</th><th>inside range</th><th>claim</th><th>holds</th></tr></thead>"
             "<tbody>\n");
    for (size_t i = 0; i < j->regime_count; i++) {
        const struct nw_judged_regime *r = &j->regime[i];
        text_printf(t,
                    "<tr><td>%s</td><td>%zu%s</td><td>%.1f %%</td><td>%.1f %%</td><td>%.1f %%</td><td>%.1f %%</td>"
                    "<td>%zu</td><td>%s</td><td>%s</td></tr>\n",
                    r->name, r->points, r->excluded ? " + edges" : "", r->median_error_percent[0],
                    r->max_error_percent[0], r->median_error_percent[1], r->median_error_percent[2], r->inside,
                    r->claim,
                    !r->claim[0] ? ""
                    : r->holds   ? "yes"
                                 : "<strong>no</strong>");
    }
    text_add(t, "</tbody></table>\n");
}

static void points(struct text *t, const struct nw_judgement *j, const struct nw_measurement *m)
{
    text_add(t, "<table><thead><tr><th>chase</th><th>measured</th><th>range</th><th>predicted</th><th>error</th>"
                "<th>textbook</th><th>one-dimensional</th><th>regime</th><th>capacity edge</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < j->point_count; i++) {
        const struct nw_judged_point *p = &j->point[i];
        char name[64];
        nw_judged_point_name(&m->chase[p->chase], name, sizeof name);
        text_printf(
            t,
            "<tr><td>%s</td><td>%.1f</td><td>%.1f to %.1f</td><td>%.1f</td><td>%+.1f %%</td><td>%.1f</td><td>%.1f"
            "</td><td>%s</td><td>",
            name, p->measured.cycles, p->measured.low, p->measured.high, p->predicted[0],
            nw_judged_error_percent(p, NW_JUDGED_OURS), p->predicted[1], p->predicted[2], nw_regime_name[p->regime]);
        text_add_html(t, p->edge);
        text_add(t, "</td></tr>\n");
    }
    text_add(t, "</tbody></table>\n");
}

static bool was_counted(const struct nw_judgement *j)
{
    for (unsigned q = 0; q < NW_COUNTED; q++)
        if (j->counter[q].points)
            return true;
    return false;
}

static void counted(struct text *t, const struct nw_judgement *j, const struct nw_measurement *m)
{
    text_add(t,
             "<p>An access, counted by the processor / predicted by this model. Nothing is claimed of these. Source: ");
    text_add_html(t, m->counters);
    text_add(t, "</p><table><thead><tr><th>chase</th><th>dTLB misses</th><th>walks</th><th>walk cycles</th>"
                "<th>walk references</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < j->point_count; i++) {
        const struct nw_judged_point *p = &j->point[i];
        char name[64];
        nw_judged_point_name(&m->chase[p->chase], name, sizeof name);
        text_printf(t, "<tr><td>%s</td>", name);
        for (unsigned q = 0; q < NW_COUNTED; q++)
            if (p->measured.counted[q] < 0)
                text_add(t, "<td>not counted</td>");
            else
                text_printf(t, "<td>%.3f / %.3f</td>", p->measured.counted[q], nw_judged_counted(p, q));
        text_add(t, "</tr>\n");
    }
    text_add(t, "</tbody></table>\n");
}

static void fitted(struct text *t, const struct nw_judgement *j)
{
    text_printf(
        t,
        "<p>Fitted to %zu chases of %u processes, mean error %.1f %%. The spread is what raises that error by less "
        "than a tenth.</p><table><thead><tr><th>parameter</th><th>value</th><th>spread</th></tr></thead><tbody>\n",
        j->fit.points, j->fitted_processes, j->fit.error_percent);
    for (size_t i = 0; i < j->fit.value_count; i++) {
        const struct nw_fit_value *v = &j->fit.value[i];
        text_printf(t, "<tr><td>%s</td><td>%s</td><td>%g to %g</td></tr>\n", v->path, v->value, v->low, v->high);
    }
    text_add(t, "</tbody></table>\n");
}

enum nw_status nw_judgement_html_text(const struct nw_judgement *j, const struct nw_measurement *m, const char *machine,
                                      char **out, struct nw_error *err)
{
    struct text t = { 0 };
    text_add(&t, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
                 "content=\"width=device-width, initial-scale=1\"><meta name=\"color-scheme\" content=\"light dark\">"
                 "<title>nestwalk validate</title><style>\n");
    text_add(&t, (const char *)nw_asset_style);
    text_add(
        &t, "\n</style></head><body><header><p class=\"brand\">nestwalk</p><h1>The model against this machine</h1><p>");
    text_add_html(&t, machine);
    text_printf(&t, "</p></header><main><section><h2>%s</h2>\n",
                j->holds ? "Every claim holds" : "Not every claim holds");
    claims(&t, j);
    text_add(&t, "</section><section><h2>Measured against predicted</h2>\n");
    picture(&t, j, m);
    points(&t, j, m);
    if (was_counted(j)) {
        text_add(&t, "</section><section><h2>Counted by the processor</h2>\n");
        counted(&t, j, m);
    }
    text_add(&t, "</section><section><h2>Fitted values</h2>\n");
    fitted(&t, j);
    text_add(&t, "</section>\n");
    if (m->note_count)
        text_add(&t, "<section><h2>What was left out</h2><ul>\n");
    for (size_t i = 0; i < m->note_count; i++) {
        text_add(&t, "<li>");
        text_add_html(&t, m->note[i]);
        text_add(&t, "</li>\n");
    }
    text_add(&t, m->note_count ? "</ul></section></main></body></html>\n" : "</main></body></html>\n");
    return text_take(&t, out, "the judgement's page", err);
}
