/* Slowdowns of programs as one page: the claim, a picture, and every figure. */
#include "reports_internal.h"
#include <math.h>
#include <nestwalk/reports/programs.h>

enum { WIDTH = 760, ROW = 46, LEFT = 110, RIGHT = 30, BOTTOM = 50, TOP = 16 };

static double place(double ratio, double least, double most)
{
    return LEFT + (ratio - least) / (most - least) * (WIDTH - LEFT - RIGHT);
}

/* A row a program: a bar from the lowest to the highest process with the median, and the prediction below it. */
static void picture(struct text *t, const struct nw_program_judgement *j)
{
    double least = 1, most = 1.05;
    for (size_t i = 0; i < j->count; i++) {
        const struct nw_program_judged *p = &j->program[i];
        least = fmin(least, fmin(p->ratio.low, p->predicted.low));
        most = fmax(most, fmax(p->ratio.high, p->predicted.high));
    }
    const double margin = (most - least) / 20, bottom = TOP + ROW * (double)j->count;
    least -= margin, most += margin;
    text_printf(t,
                "<svg viewBox=\"0 0 %d %g\" role=\"img\" aria-label=\"Slowdown of 4 KiB over 2 MiB pages, measured and "
                "predicted, a row for each program; the table below holds the figures.\" "
                "style=\"max-width:%dpx;width:100%%\">",
                WIDTH, bottom + BOTTOM, WIDTH);
    const double step = most - least > 1 ? 0.25 : most - least > 0.4 ? 0.1 : 0.05;
    for (double at = ceil(least / step) * step; at < most; at += step)
        text_printf(t,
                    "<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%g\" stroke=\"currentColor\" stroke-opacity=\".15\"/>"
                    "<text x=\"%.1f\" y=\"%g\" text-anchor=\"middle\" fill=\"currentColor\" font-size=\"12\">%.2f"
                    "</text>",
                    place(at, least, most), TOP, place(at, least, most), bottom, place(at, least, most), bottom + 16,
                    at);
    text_printf(t,
                "<text x=\"%d\" y=\"%g\" text-anchor=\"middle\" fill=\"currentColor\" font-size=\"13\">time with 4 KiB "
                "pages over time with 2 MiB pages</text>",
                (LEFT + WIDTH - RIGHT) / 2, bottom + 38);
    for (size_t i = 0; i < j->count; i++) {
        const struct nw_program_judged *p = &j->program[i];
        const char *name = nw_program_name(p->program);
        const double y = TOP + ROW * ((double)i + 0.35);
        text_printf(t, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\" fill=\"currentColor\" font-size=\"14\">%s</text>",
                    LEFT - 12, y + 9, name);
        for (unsigned k = 0; k < 2; k++) {
            const struct nw_program_range *r = k ? &p->predicted : &p->ratio;
            const char *colour = k ? "#c0392b" : "#1f6fb2";
            const double at = y + 14 * k;
            text_printf(t,
                        "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" stroke-width=\"2\"/>"
                        "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"5\" fill=\"%s\"><title>%s, %s: %.3f (%.3f to %.3f)"
                        "</title></circle>",
                        place(r->low, least, most), at, place(r->high, least, most), at, colour,
                        place(r->middle, least, most), at, colour, name, k ? "predicted" : "measured", r->middle,
                        r->low, r->high);
        }
    }
    text_add(t, "</svg><p>Above, blue: measured; below, red: predicted. Disc: median over processes; line: lowest to "
                "highest process.</p>\n");
}

static void figures(struct text *t, const struct nw_program_judgement *j)
{
    text_add(t, "<table><thead><tr><th>program</th><th>slowdown</th><th>range</th><th>predicted</th><th>error</th>"
                "<th>error of \"no difference\"</th><th>if nothing overlapped</th><th>within 15 %</th></tr></thead>"
                "<tbody>\n");
    for (size_t i = 0; i < j->count; i++) {
        const struct nw_program_judged *p = &j->program[i];
        text_printf(t,
                    "<tr><td>%s</td><td>%.3f</td><td>%.3f to %.3f</td><td>%.3f</td><td>%+.1f %%</td><td>%+.1f %%</td>"
                    "<td>%.3f</td><td>%s</td></tr>\n",
                    nw_program_name(p->program), p->ratio.middle, p->ratio.low, p->ratio.high, p->predicted.middle,
                    p->error_percent, p->without_error_percent, p->all_exposed,
                    p->within ? "yes" : "<strong>no</strong>");
    }
    text_add(t, "</tbody></table>\n");
}

/* What the prediction is made of, for one operation. */
static void operations(struct text *t, const struct nw_program_judgement *j)
{
    text_add(t, "<table><thead><tr><th>program</th><th>operation</th><th>core cycles, 4K</th><th>2M</th>"
                "<th>accesses</th><th>walks, 4K</th><th>2M</th><th>cycles of latency, 4K</th><th>2M</th>"
                "<th>of it exposed</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < j->count; i++) {
        const struct nw_program_judged *p = &j->program[i];
        text_printf(t,
                    "<tr><td>%s</td><td>%s</td><td>%.1f</td><td>%.1f</td><td>%.1f</td><td>%.2f</td><td>%.2f</td>"
                    "<td>%.0f</td><td>%.0f</td><td>%.0f %%</td></tr>\n",
                    nw_program_name(p->program), nw_program_operation(p->program), p->cycles[NW_CHASE_4K].middle,
                    p->cycles[NW_CHASE_2M].middle, p->accesses, p->walks[NW_CHASE_4K], p->walks[NW_CHASE_2M],
                    p->latency[NW_CHASE_4K], p->latency[NW_CHASE_2M], 100 * p->exposed);
    }
    text_add(t, "</tbody></table>\n");
}

enum nw_status nw_programs_html_text(const struct nw_program_judgement *j, const struct nw_measurement *m, char **out,
                                     struct nw_error *err)
{
    struct text t = { 0 };
    text_add(&t, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
                 "content=\"width=device-width, initial-scale=1\"><meta name=\"color-scheme\" content=\"light dark\">"
                 "<title>nestwalk validate programs</title><style>\n");
    text_add(&t, (const char *)nw_asset_style);
    text_add(&t, "\n</style></head><body><header><p class=\"brand\">nestwalk</p><h1>What 4 KiB pages cost programs</h1>"
                 "<p>");
    text_add_html(&t, m->machine);
    text_printf(&t, "</p></header><main><section><h2>The claim %s</h2><p>", j->holds ? "holds" : "is missed");
    text_add_html(&t, nw_programs_claim);
    text_printf(
        &t,
        ": %zu of %zu. This machine makes %.1f walks at once, and %.1f MiB of its last cache are left to programs."
        "</p>\n",
        j->within, j->count, j->walks_at_once, (double)j->last_cache_bytes / (1 << 20));
    picture(&t, j);
    figures(&t, j);
    text_add(&t, "</section><section><h2>An operation</h2>\n");
    operations(&t, j);
    text_add(&t, m->note_count ? "</section><section><h2>What was left out</h2><ul>\n" : "");
    for (size_t i = 0; i < m->note_count; i++) {
        text_add(&t, "<li>");
        text_add_html(&t, m->note[i]);
        text_add(&t, "</li>\n");
    }
    text_add(&t, m->note_count ? "</ul></section></main></body></html>\n" : "</section></main></body></html>\n");
    return text_take(&t, out, "the programs' page", err);
}
