/* html_guests.c - the parts of a page about several guests on one host: the frontier, the knee, timelines, who took whose memory, working sets. */
#include "html_internal.h"
#include "plot.h"
#include <nestwalk/reports/overcommit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINES_MOST = 12, PAIRS_MOST = 24, POLICIES_MOST = 12, NAME = 96 };
static const double LIMIT = 1.1; /* slowdown that the page calls "within" */

/* ---- guests by name ---- in the order of the metrics, which is that of the result */

struct guests {
    char (*name)[NAME];
    size_t count;
};

/* The name in "vm.NAME.SUFFIX". */
static bool guest_of(const char *path, const char *suffix, char name[NAME])
{
    const size_t length = strlen(path), end = strlen(suffix);
    if (strncmp(path, "vm.", 3) != 0 || length < 3 + end || strcmp(path + length - end, suffix) != 0 ||
        length - 3 - end >= NAME)
        return false;
    memcpy(name, path + 3, length - 3 - end);
    name[length - 3 - end] = 0;
    return !strchr(name, '.');
}

static double guest_value(const struct nw_run *run, const char *name, const char *what)
{
    char path[NAME + 64];
    snprintf(path, sizeof path, "vm.%s.%s", name, what);
    return nw_run_value(run, path, 0);
}

static struct guests guests_of(struct text *t, const struct nw_run *run)
{
    struct guests g = { calloc(run->metric_count + 1, sizeof *g.name), 0 };
    t->failed = t->failed || !g.name;
    for (size_t i = 0; g.name && i < run->metric_count; i++)
        g.count += guest_of(run->metric[i].path, ".memory_pages", g.name[g.count]);
    return g;
}

/* Those that were slowed most, when there are more than a picture shows. */
static void keep_slowest(const struct nw_run *run, struct guests *g, size_t most)
{
    while (g->count > most) {
        size_t least = 0;
        for (size_t i = 1; i < g->count; i++)
            if (guest_value(run, g->name[i], "slowdown") <= guest_value(run, g->name[least], "slowdown"))
                least = i;
        memmove(g->name + least, g->name + least + 1, (g->count - least - 1) * sizeof *g->name);
        g->count--;
    }
}

/* ---- order ---- */

struct nw_run *html_guest_runs(const struct nw_page *page)
{
    struct nw_overcommit o;
    struct nw_run *sorted = calloc(page->run_count, sizeof *sorted);
    size_t n = 0;
    if (!sorted || nw_overcommit_find(page->runs, page->run_count, LIMIT, &o, NULL)) {
        free(sorted);
        return NULL;
    }
    for (size_t i = 0; i < o.policies; i++)
        for (size_t k = 0; k < o.policy[i].points; k++)
            sorted[n++] = *o.policy[i].point[k].run;
    nw_overcommit_fini(&o);
    return sorted;
}

/* ---- cards ---- */

void html_guest_cards(struct text *t, const struct page_context *p)
{
    text_add(t, "<div class=\"cards\">\n");
    for (size_t i = 0; i < p->page->run_count; i++) {
        const struct nw_run *run = p->page->runs + i;
        text_printf(t, "<div class=\"card\" style=\"--mark: var(--run-%zu)\"><h3>", i % PLOT_COLOURS);
        text_add_html(t, p->heading[i]);
        text_printf(t,
                    "</h3><p class=\"big\">%.2f</p><p>slowdown of the guests, mean</p><p>%.2f that of the worst</p>"
                    "<p>%.0f guests, %.0f ended for want of memory</p><p>%.3f simulated seconds</p></div>\n",
                    nw_run_value(run, "guests.slowdown_mean", 0), nw_run_value(run, "guests.slowdown_worst", 0),
                    nw_run_value(run, "guests.count", 0), nw_run_value(run, "guests.out_of_memory", 0),
                    nw_run_value(run, "host.time_ns", 0) / 1e9);
    }
    text_add(t, "</div>\n");
}

/* ---- frontier and knee ---- */

static void table_row(struct text *t, const struct nw_overcommit *o, const struct nw_overcommit_policy *p,
                      const struct nw_overcommit_point *at)
{
    text_add(t, "<tr><th scope=\"row\">");
    text_add_html(t, p->name);
    text_add(t, "</th><td>");
    text_add_html(t, nw_run_title(at->run));
    text_printf(t,
                "</td><td class=\"number\">%.2f</td><td class=\"number\">%.1f</td><td class=\"number\">%.3f</td>"
                "<td class=\"number\">%.3f</td><td>%s%s%s</td></tr>\n",
                at->ratio, at->saved_percent, at->slowdown_mean, at->slowdown_worst, at->efficient ? "efficient " : "",
                p->knee != NW_OVERCOMMIT_NONE && at == &p->point[p->knee] ? "knee " : "",
                !at->whole                       ? "guests were ended for want of memory"
                : at->slowdown_worst <= o->limit ? "within the limit"
                                                 : "");
}

/* What all runs of a page say together; on failure nothing, and the text has failed. */
static bool find(struct text *t, const struct page_context *p, struct nw_overcommit *o)
{
    struct nw_error err = { 0 };
    const enum nw_status s = nw_overcommit_find(p->page->runs, p->page->run_count, LIMIT, o, &err);
    t->failed = t->failed || s == NW_ERR_NOMEM;
    return !s;
}

typedef struct nw_run_point (*place_fn)(const struct nw_overcommit_point *p);
static struct nw_run_point saved_and_mean(const struct nw_overcommit_point *p)
{
    return (struct nw_run_point){ p->saved_percent, p->slowdown_mean };
}
static struct nw_run_point ratio_and_worst(const struct nw_overcommit_point *p)
{
    return (struct nw_run_point){ p->ratio, p->slowdown_worst };
}

static int by_x(const void *a, const void *b)
{
    const double x = ((const struct nw_run_point *)a)->x, y = ((const struct nw_run_point *)b)->x;
    return (x > y) - (x < y);
}

/* A line a policy; `mark` adds what is to be ringed. Runs in which guests were ended are left out. */
static void draw_policies(struct text *t, const struct nw_overcommit *o, struct plot *plot, place_fn place, bool knees)
{
    struct plot_line line[POLICIES_MOST] = { { 0 } };
    struct plot_mark mark[POLICIES_MOST];
    struct nw_run_point *points[POLICIES_MOST] = { 0 };
    for (size_t i = 0; i < o->policies && i < POLICIES_MOST; i++) {
        const struct nw_overcommit_policy *p = &o->policy[i];
        size_t n = 0;
        t->failed = t->failed || !(points[i] = calloc(p->points, sizeof *points[i]));
        for (size_t k = 0; points[i] && k < p->points; k++)
            if (p->point[k].whole)
                points[i][n++] = place(&p->point[k]);
        if (points[i])
            qsort(points[i], n, sizeof *points[i], by_x);
        line[plot->lines++] =
            (struct plot_line){ .name = p->name, .point = points[i], .count = n, .dots = !knees, .joined = true };
        if (knees && p->knee != NW_OVERCOMMIT_NONE && p->point[p->knee].whole) {
            const struct nw_run_point at = place(&p->point[p->knee]);
            mark[plot->marks++] = (struct plot_mark){ at.x, at.y, "knee" };
        }
    }
    plot->line = line;
    plot->mark = mark;
    plot_svg(t, plot);
    for (size_t i = 0; i < POLICIES_MOST; i++)
        free(points[i]);
}

void html_frontier(struct text *t, const struct page_context *p)
{
    struct nw_overcommit o;
    if (!find(t, p, &o))
        return;
    struct plot plot = { .description = "Slowdown over memory saved, a point a run, a colour a policy. The table below "
                                        "holds the figures.",
                         .x_label = "memory saved, percent of the guests'",
                         .y_label = "slowdown, mean",
                         .x_scale = 1,
                         .y_scale = 1 };
    draw_policies(t, &o, &plot, saved_and_mean, false);
    text_add(t,
             "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">policy</th><th scope=\"col\">run</th>"
             "<th scope=\"col\" class=\"number\">overcommitment</th><th scope=\"col\" class=\"number\">saved, percent"
             "</th><th scope=\"col\" class=\"number\">slowdown, mean</th><th scope=\"col\" class=\"number\">slowdown, "
             "worst</th><th scope=\"col\"></th></tr></thead><tbody>\n");
    for (size_t i = 0; i < o.policies; i++)
        for (size_t k = 0; k < o.policy[i].points; k++)
            table_row(t, &o, &o.policy[i], &o.policy[i].point[k]);
    text_add(t, "</tbody></table></div>\n");
    nw_overcommit_fini(&o);
}

static void knee_sentence(struct text *t, const struct nw_overcommit *o, const struct nw_overcommit_policy *p)
{
    text_add(t, "<li>");
    text_add_html(t, p->name);
    if (p->knee != NW_OVERCOMMIT_NONE)
        text_printf(t, ": the knee is at %.2f, where the worst guest is slowed %.2f times", p->point[p->knee].ratio,
                    p->point[p->knee].slowdown_worst);
    else
        text_add(t, ": these runs show no knee");
    if (p->within != NW_OVERCOMMIT_NONE)
        text_printf(t, "; up to %.2f no guest is slowed more than %.2f times.</li>\n", p->point[p->within].ratio,
                    o->limit);
    else
        text_printf(t, "; already at %.2f a guest is slowed more than %.2f times.</li>\n", p->point[0].ratio, o->limit);
}

static bool one_ratio(const struct nw_overcommit *o)
{
    for (size_t i = 0; i < o->policies; i++)
        for (size_t k = 0; k < o->policy[i].points; k++)
            if (o->policy[i].point[k].ratio != o->policy[0].point[0].ratio)
                return false;
    return true;
}

void html_knee(struct text *t, const struct page_context *p)
{
    struct nw_overcommit o;
    if (!find(t, p, &o))
        return;
    if (one_ratio(&o)) {
        text_printf(
            t, "<p>All runs have the same overcommitment, %.2f. A sweep of host.memory shows how far it can go.</p>\n",
            o.policy[0].point[0].ratio);
        nw_overcommit_fini(&o);
        return;
    }
    struct plot plot = { .description = "Slowdown of the worst guest over the overcommitment, a line a policy.",
                         .x_label = "overcommitment: guests' memory by the host's",
                         .y_label = "slowdown, worst",
                         .x_scale = 1,
                         .y_scale = 1 };
    draw_policies(t, &o, &plot, ratio_and_worst, true);
    text_add(t, "<ul>\n");
    for (size_t i = 0; i < o.policies; i++)
        knee_sentence(t, &o, &o.policy[i]);
    text_add(t, "</ul>\n");
    nw_overcommit_fini(&o);
}

/* ---- timelines ---- */

static const struct quantity {
    const char *name, *label;
    double scale;
} quantities[] = {
    { "resident", "resident, MiB", 1. / 256 },
    { "ballooned", "in the balloon, MiB", 1. / 256 },
    { "swapped", "swapped, MiB", 1. / 256 },
    { "shared", "behind shared frames, MiB", 1. / 256 },
    { "slowdown", "slowdown", 1 },
};

static bool all_zero(const struct nw_run_series *s)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->point[i].y != 0)
            return false;
    return true;
}

static void draw_quantity(struct text *t, const struct nw_run *run, const struct guests *g, const struct quantity *q)
{
    struct plot_line line[LINES_MOST];
    char path[NAME + 64], description[160];
    snprintf(description, sizeof description, "%s over time, a line a guest.", q->label);
    struct plot plot = { .description = description,
                         .x_label = "simulated time, s",
                         .y_label = q->label,
                         .x_scale = 1e-9,
                         .y_scale = q->scale,
                         .line = line };
    bool any = false;
    for (size_t i = 0; i < g->count; i++) {
        snprintf(path, sizeof path, "vm.%s.timeline.%s", g->name[i], q->name);
        const struct nw_run_series *s = nw_run_series(run, path);
        if (!s)
            continue;
        line[plot.lines++] = (struct plot_line){ .name = g->name[i], .point = s->point, .count = s->count };
        any = any || !all_zero(s);
    }
    if (any)
        plot_svg(t, &plot);
    else if (plot.lines)
        text_printf(t, "<p>%s: 0 at all times.</p>\n", q->label);
}

void html_timelines(struct text *t, const struct page_context *p)
{
    for (size_t r = 0; r < p->page->run_count; r++) {
        const struct nw_run *run = p->page->runs + r;
        struct guests g = guests_of(t, run);
        const size_t all = g.count;
        keep_slowest(run, &g, LINES_MOST);
        text_printf(t, "<details%s><summary>", r ? "" : " open");
        text_add_html(t, p->heading[r]);
        text_add(t, "</summary>\n");
        if (all > g.count)
            text_printf(t, "<p>The %zu guests of %zu that were slowed most.</p>\n", g.count, all);
        if (!run->series_count)
            text_add(t, "<p>This run has no timeline (host.timeline_ns=0).</p>\n");
        for (size_t i = 0; run->series_count && i < NW_ARRAY_LEN(quantities); i++)
            draw_quantity(t, run, &g, &quantities[i]);
        text_add(t, "</details>\n");
        free(g.name);
    }
}

/* ---- who took whose memory ---- */

static void moved_table(struct text *t, const struct nw_run *run, const struct guests *g)
{
    char what[NAME + 16];
    text_add(t, "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">MiB taken by \\ from</th>");
    for (size_t i = 0; i < g->count; i++) {
        text_add(t, "<th scope=\"col\" class=\"number\">");
        text_add_html(t, g->name[i]);
        text_add(t, "</th>");
    }
    text_add(t, "</tr></thead><tbody>\n");
    for (size_t to = 0; to < g->count; to++) {
        text_add(t, "<tr><th scope=\"row\">");
        text_add_html(t, g->name[to]);
        text_add(t, "</th>");
        for (size_t from = 0; from < g->count; from++) {
            snprintf(what, sizeof what, "took.%s", g->name[from]);
            if (to == from)
                text_add(t, "<td class=\"number\">\xe2\x80\x93</td>");
            else
                text_printf(t, "<td class=\"number\">%.1f</td>", guest_value(run, g->name[to], what) / 256);
        }
        text_add(t, "</tr>\n");
    }
    text_add(t, "</tbody></table></div>\n");
}

/* The largest, when the guests are too many for a table of all pairs. */
static void moved_pairs(struct text *t, const struct nw_run *run)
{
    const struct nw_run_metric *most[PAIRS_MOST] = { 0 };
    size_t count = 0;
    for (size_t i = 0; i < run->metric_count; i++) {
        const struct nw_run_metric *m = run->metric + i;
        if (strncmp(m->path, "vm.", 3) != 0 || !strstr(m->path, ".took.") || !m->count ||
            (count == PAIRS_MOST && most[count - 1]->count >= m->count))
            continue;
        size_t at = count < PAIRS_MOST ? count++ : count - 1;
        for (; at && most[at - 1]->count < m->count; at--)
            most[at] = most[at - 1];
        most[at] = m;
    }
    text_printf(t, "<p>The %zu largest of all pairs.</p>\n<ol>\n", count);
    for (size_t i = 0; i < count; i++) {
        const char *to = most[i]->path + 3, *took = strstr(most[i]->path, ".took.");
        char name[NAME];
        snprintf(name, sizeof name, "%.*s", (int)(took - to), to);
        text_add(t, "<li>");
        text_add_html(t, name);
        text_printf(t, " took %.1f MiB of ", (double)most[i]->count / 256);
        text_add_html(t, took + strlen(".took."));
        text_add(t, "</li>\n");
    }
    text_add(t, "</ol>\n");
}

void html_moved(struct text *t, const struct page_context *p)
{
    for (size_t r = 0; r < p->page->run_count; r++) {
        struct guests g = guests_of(t, p->page->runs + r);
        text_add(t, "<h3>");
        text_add_html(t, p->heading[r]);
        text_add(t, "</h3>\n");
        if (g.count > LINES_MOST)
            moved_pairs(t, p->page->runs + r);
        else
            moved_table(t, p->page->runs + r, &g);
        free(g.name);
    }
}

/* ---- working sets ---- */

static const char *const estimators[] = { "scan", "sampling", "ghost", "damon" };

static bool monitor_row(struct text *t, const struct nw_run *run, const char *guest, const char *estimator)
{
    char what[64];
    static const char *const figure[] = { "exact_pages", "estimate_pages", "error_percent", "bias_percent",
                                          "worst_percent" };
    snprintf(what, sizeof what, "monitor.%s.windows", estimator);
    if (!(guest_value(run, guest, what) > 0))
        return false;
    text_add(t, "<tr><th scope=\"row\">");
    text_add_html(t, guest);
    text_printf(t, "</th><td>%s</td>", estimator);
    for (size_t i = 0; i < NW_ARRAY_LEN(figure); i++) {
        snprintf(what, sizeof what, "monitor.%s.%s", estimator, figure[i]);
        text_printf(t, "<td class=\"number\">%.1f</td>", guest_value(run, guest, what) / (i < 2 ? 256 : 1));
    }
    snprintf(what, sizeof what, "monitor.%s.looked", estimator);
    text_printf(t, "<td class=\"number\">%.0f</td>", guest_value(run, guest, what));
    snprintf(what, sizeof what, "monitor.%s.flushes", estimator);
    text_printf(t, "<td class=\"number\">%.0f</td>", guest_value(run, guest, what));
    snprintf(what, sizeof what, "monitor.%s.cost_ns", estimator);
    text_printf(t, "<td class=\"number\">%.3f</td></tr>\n", guest_value(run, guest, what) / 1e6);
    return true;
}

static void draw_curves(struct text *t, const struct nw_run *run, const struct guests *g)
{
    struct plot_line line[LINES_MOST];
    char path[NAME + 64];
    struct plot plot = { .description = "Share of accesses that would miss, over pages under LRU, a line a guest.",
                         .x_label = "memory, MiB",
                         .y_label = "misses, percent of accesses",
                         .x_scale = 1. / 256,
                         .y_scale = 100,
                         .line = line };
    for (size_t i = 0; i < g->count; i++) {
        snprintf(path, sizeof path, "vm.%s.miss_ratio", g->name[i]);
        const struct nw_run_series *s = nw_run_series(run, path);
        if (s)
            line[plot.lines++] = (struct plot_line){ .name = g->name[i], .point = s->point, .count = s->count };
    }
    if (plot.lines)
        plot_svg(t, &plot);
}

void html_monitors(struct text *t, const struct page_context *p)
{
    bool any = false;
    for (size_t r = 0; r < p->page->run_count; r++) {
        const struct nw_run *run = p->page->runs + r;
        struct guests g = guests_of(t, run);
        keep_slowest(run, &g, LINES_MOST);
        const size_t start = t->bytes;
        bool rows = false;
        text_add(t, "<h3>");
        text_add_html(t, p->heading[r]);
        text_add(t,
                 "</h3>\n<div class=\"scroll\"><table><thead><tr><th scope=\"col\">guest</th><th scope=\"col\">by"
                 "</th><th scope=\"col\" class=\"number\">exact, MiB</th><th scope=\"col\" class=\"number\">estimate, "
                 "MiB</th><th scope=\"col\" class=\"number\">error, percent</th><th scope=\"col\" class=\"number\">bias"
                 "</th><th scope=\"col\" class=\"number\">worst</th><th scope=\"col\" class=\"number\">flags read</th>"
                 "<th scope=\"col\" class=\"number\">flushes</th><th scope=\"col\" class=\"number\">cost, ms</th></tr>"
                 "</thead><tbody>\n");
        for (size_t i = 0; i < g.count; i++)
            for (size_t e = 0; e < NW_ARRAY_LEN(estimators); e++)
                rows |= monitor_row(t, run, g.name[i], estimators[e]);
        text_add(t, "</tbody></table></div>\n");
        if (!rows && !t->failed)
            t->bytes = start;
        any |= rows;
        draw_curves(t, run, &g);
        free(g.name);
    }
    if (!any)
        text_add(t, "<p>No monitor was on (monitor.scan, .sampling, .ghost, .damon).</p>\n");
}

void html_guests_table(struct text *t, const struct page_context *p)
{
    html_metrics_table(t, p,
                       (const char *const[]){ "guests.", "reclaim.", "swap.", "faults.", "balloon.", "sharing.",
                                              "pathologies.", "guest.", "backing.", "dirty.", "frames.", "zswap.",
                                              "disk.", NULL });
}
