#include "html_internal.h"
#include <nestwalk/reports/comparison.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the page's head ---- */

static void add_fact(struct text *t, const char *name, const char *value)
{
    if (!value[0])
        return;
    text_printf(t, "<div><dt>%s</dt><dd>", name);
    text_add_html(t, value);
    text_add(t, "</dd></div>\n");
}

/* A fact that runs may differ in: the different values, once each. */
static void add_shared_fact(struct text *t, const struct nw_page *page, const char *name, size_t offset)
{
    struct text values = { 0 };
    for (size_t i = 0; i < page->run_count; i++) {
        const char *value = (const char *)(page->runs + i) + offset;
        bool seen = !value[0];
        for (size_t j = 0; j < i && !seen; j++)
            seen = !strcmp(value, (const char *)(page->runs + j) + offset);
        if (!seen) {
            text_add(&values, values.bytes ? ", " : "");
            text_add(&values, value);
        }
    }
    add_fact(t, name, values.p ? values.p : "");
    t->failed = t->failed || values.failed;
    text_free(&values);
}

static const char *fidelity_meaning(const char *fidelity)
{
    if (!strcmp(fidelity, "tlb"))
        return "tlb: counts only, no caches";
    if (!strcmp(fidelity, "walk"))
        return "walk: page-table lines compete in the modelled caches";
    if (!strcmp(fidelity, "full"))
        return "full: data lines compete in the modelled caches as well";
    return fidelity;
}

/* When the runs were stored: one moment, or the first and the last. */
static void add_stored(struct text *t, const struct nw_page *page)
{
    const char *first = page->runs[0].created, *last = first;
    for (size_t i = 1; i < page->run_count; i++) {
        const char *created = page->runs[i].created;
        first = strcmp(created, first) < 0 ? created : first;
        last = strcmp(created, last) > 0 ? created : last;
    }
    char moment[80];
    if (strcmp(first, last) != 0)
        snprintf(moment, sizeof moment, "%s to %s", first, last);
    else
        snprintf(moment, sizeof moment, "%s", first);
    add_fact(t, "stored (UTC)", moment);
}

static void add_headline(struct text *t, const struct page_context *p)
{
    const struct nw_page *page = p->page;
    char number[48];
    text_add(t, "<dl class=\"facts\">\n");
    add_shared_fact(t, page, "trace", offsetof(struct nw_run, trace));
    add_shared_fact(t, page, "trace SHA-256", offsetof(struct nw_run, trace_sha256));
    add_shared_fact(t, page, "scenario", offsetof(struct nw_run, scenario));
    add_shared_fact(t, page, "machine", offsetof(struct nw_run, machine));
    bool one = true;
    for (size_t i = 1; i < page->run_count; i++)
        one = one && !strcmp(page->runs[0].fidelity, page->runs[i].fidelity);
    if (one)
        add_fact(t, "fidelity", fidelity_meaning(page->runs[0].fidelity));
    else
        add_shared_fact(t, page, "fidelity", offsetof(struct nw_run, fidelity));
    add_shared_fact(t, page, "engine", offsetof(struct nw_run, engine));
    snprintf(number, sizeof number, "%llu", (unsigned long long)page->runs[0].seed);
    add_fact(t, "seed", number);
    add_stored(t, page);
    add_shared_fact(t, page, "nestwalk", offsetof(struct nw_run, version));
    text_add(t, "</dl>\n");
}

static void add_card(struct text *t, const struct page_context *p, size_t i)
{
    const struct nw_run *run = p->page->runs + i;
    char cycles[32], overhead[32];
    double percent = nw_run_value(run, "overhead_percent", 0);
    if (percent < 1000)
        snprintf(overhead, sizeof overhead, "%.1f", percent);
    else
        nw_format_count((uint64_t)(percent + 0.5), 12, overhead, sizeof overhead);
    nw_format_count((uint64_t)nw_run_value(run, "cycles.total", 0), 0, cycles, sizeof cycles);
    text_printf(t, "<div class=\"card\" style=\"--mark: var(--run-%zu)\"><h3>", i % 6);
    text_add_html(t, p->heading[i]);
    if (strcmp(p->heading[i], run->mode) != 0) {
        text_add(t, " <span class=\"badge\">");
        text_add_html(t, run->mode);
        text_add(t, "</span>");
    }
    double accesses = nw_run_value(run, "accesses.total", 0);
    text_printf(t,
                "</h3><p class=\"big\">%s%%</p><p>overhead of translation and exits</p><p>%.2f references a walk</p>",
                overhead, nw_run_value(run, "walks.references_per_walk", 0));
    text_printf(t, "<p>%.2f walks per 1,000 accesses</p><p>%s cycles in all</p></div>\n",
                accesses > 0 ? 1000 * nw_run_value(run, "walks.count", 0) / accesses : 0.0, cycles);
}

static void add_cards(struct text *t, const struct page_context *p)
{
    text_add(t, "<div class=\"cards\">\n");
    for (size_t i = 0; i < p->page->run_count; i++)
        add_card(t, p, i);
    text_add(t, "</div>\n");
}

/* ---- sections that are a table of some metrics ---- */

static void add_cycles(struct text *t, const struct page_context *p)
{
    html_metrics_table(t, p, (const char *const[]){ "cycles.", "overhead_percent", NULL });
}

static void add_walks(struct text *t, const struct page_context *p)
{
    html_metrics_table(t, p, (const char *const[]){ "walks.", NULL });
}

static void add_exits_chart(struct text *t, const struct page_context *p)
{
    for (size_t r = 0; r < p->page->run_count; r++)
        for (size_t i = 0; i < p->page->runs[r].metric_count; i++)
            if (!strncmp(p->page->runs[r].metric[i].path, "exits.", 6)) {
                text_add(
                    t, "<figure data-chart=\"exits\"><canvas role=\"img\" aria-label=\"Stacked bars: cycles an access "
                       "spent on exits, split by reason, one bar a run. The table below holds the figures."
                       "\"></canvas></figure>\n");
                return;
            }
    text_add(t, "<p>None of these runs left the guest.</p>\n");
}

static void add_exits(struct text *t, const struct page_context *p)
{
    html_metrics_table(t, p, (const char *const[]){ "exits.", "faults.", "shadow.", NULL });
}

static void add_memory(struct text *t, const struct page_context *p)
{
    html_metrics_table(t, p,
                       (const char *const[]){ "memory.", "events.", "balloon.", "swap.", "sharing.", "iommu.", NULL });
}

static void add_all(struct text *t, const struct page_context *p) { html_metrics_table(t, p, NULL); }

/* ---- the rest of the page ---- */

static void add_title(struct text *t, const struct page_context *p)
{
    const struct nw_run *run = p->page->runs;
    const char *subject = run->scenario[0]           ? run->scenario
                          : strrchr(run->trace, '/') ? strrchr(run->trace, '/') + 1
                                                     : run->trace;
    if (p->page->title) {
        text_add_html(t, p->page->title);
        return;
    }
    text_add_html(t, subject[0] ? subject : "nestwalk");
    text_add(t, ": ");
    for (size_t i = 0; i < p->page->run_count && i < 4; i++) {
        text_add(t, i ? ", " : "");
        text_add_html(t, p->heading[i]);
    }
    if (p->page->run_count > 4)
        text_printf(t, " and %zu more", p->page->run_count - 4);
}

static void add_version(struct text *t, const struct page_context *p)
{
    (void)p;
    text_add(t, NESTWALK_VERSION);
}

/* Inside <script> only "<" could end the element early; as an escape it means the same to JSON. */
static void add_data(struct text *t, const struct page_context *p)
{
    json_t *root = runs_json(p->page->runs, p->page->run_count);
    struct text json = { 0 };
    if (root)
        json_write(&json, root);
    t->failed = t->failed || !root || json.failed;
    json_decref(root);
    for (const char *c = json.p ? json.p : ""; *c; c++)
        if (*c == '<')
            text_add(t, "\\u003c");
        else
            text_add_bytes(t, c, 1);
    text_free(&json);
}

static void add_style(struct text *t, const struct page_context *p)
{
    (void)p;
    text_add(t, (const char *)nw_asset_style);
}

static void add_script(struct text *t, const struct page_context *p)
{
    (void)p;
    text_add(t, (const char *)nw_asset_script);
}

static void add_chart(struct text *t, const struct page_context *p)
{
    (void)p;
    text_add_bytes(t, (const char *)nw_asset_chart, nw_asset_chart_bytes);
}

static const struct slot {
    const char *name;
    void (*add)(struct text *t, const struct page_context *p);
} slots[] = {
    { "title", add_title },
    { "version", add_version },
    { "style", add_style },
    { "headline", add_headline },
    { "cards", add_cards },
    { "cycles_table", add_cycles },
    { "walks_table", add_walks },
    { "rates_table", html_rates_table },
    { "histogram_table", html_histogram_table },
    { "exits_chart", add_exits_chart },
    { "exits_table", add_exits },
    { "memory_table", add_memory },
    { "sources", html_sources },
    { "parameters_table", html_parameters_table },
    { "metrics_table", add_all },
    { "guest_cards", html_guest_cards },
    { "frontier", html_frontier },
    { "knee", html_knee },
    { "timelines", html_timelines },
    { "moved", html_moved },
    { "monitors", html_monitors },
    { "guests_table", html_guests_table },
    { "data", add_data },
    { "chart", add_chart },
    { "script", add_script },
};

/* Several guests on one host have a page of their own: they have no walks. */
static bool are_guests(const struct nw_page *page)
{
    for (size_t i = 0; i < page->run_count; i++)
        if (strcmp(page->runs[i].mode, "guests") != 0)
            return false;
    return true;
}

/* What the frame around a page's own parts says: other templates, whose slots are filled as its are. NULL: `name` is none of them. */
static const char *part_of(const struct page_context *p, const char *name, size_t length)
{
    const struct {
        const char *name, *charts, *guests;
    } part[] = {
        { "body", (const char *)nw_asset_template, (const char *)nw_asset_guests },
        { "scripts", (const char *)nw_asset_scripts, "" },
        { "script_source", "script-src 'unsafe-inline'; ", "" },
        { "credit", " Charts are drawn by Chart.js (MIT licence).", "" },
        { "parameters_heading", "Scenario and machine, with where each value comes from",
          "Scenario, with where each value comes from" },
    };
    for (size_t i = 0; i < NW_ARRAY_LEN(part); i++)
        if (strlen(part[i].name) == length && !strncmp(part[i].name, name, length))
            return are_guests(p->page) ? part[i].guests : part[i].charts;
    return NULL;
}

static enum nw_status expand(struct text *t, const struct page_context *p, const char *rest, struct nw_error *err);

static enum nw_status add_slot(struct text *t, const struct page_context *p, const char *name, size_t length,
                               struct nw_error *err)
{
    const char *part = part_of(p, name, length);
    if (part)
        return expand(t, p, part, err);
    if (length == strlen("pictures") && !strncmp(name, "pictures", length))
        return html_pictures(t, p->page, err);
    for (size_t i = 0; i < NW_ARRAY_LEN(slots); i++)
        if (strlen(slots[i].name) == length && !strncmp(slots[i].name, name, length)) {
            slots[i].add(t, p);
            return NW_OK;
        }
    return nw_fail(err, NW_ERR_INTERNAL, "the page's template names an unknown slot \"%.*s\"", (int)length, name);
}

static enum nw_status expand(struct text *t, const struct page_context *p, const char *rest, struct nw_error *err)
{
    for (const char *open; (open = strstr(rest, "{{")) != NULL;) {
        const char *close = strstr(open, "}}");
        if (!close)
            break;
        text_add_bytes(t, rest, (size_t)(open - rest));
        enum nw_status s = add_slot(t, p, open + 2, (size_t)(close - open - 2), err);
        if (s)
            return s;
        rest = close + 2;
    }
    text_add(t, rest);
    return NW_OK;
}

static enum nw_status make_page(const struct nw_page *page, char **out, struct nw_error *err)
{
    struct nw_comparison headings;
    enum nw_status s = nw_report_comparison(page->runs, page->run_count, NW_COMPARE_INTEREST, &headings, err);
    if (s)
        return s;
    struct page_context p = { .page = page, .heading = headings.heading };
    struct text t = { 0 };
    s = expand(&t, &p, (const char *)nw_asset_frame, err);
    if (s)
        text_free(&t);
    else
        s = text_take(&t, out, "the report", err);
    nw_comparison_fini(&headings);
    return s;
}

enum nw_status nw_report_html(const struct nw_page *page, char **out, struct nw_error *err)
{
    if (!page->run_count)
        return nw_fail(err, NW_ERR_USAGE, "a report needs at least one run");
    if (!are_guests(page))
        return make_page(page, out, err);
    struct nw_page ordered = *page;
    struct nw_run *runs = html_guest_runs(page);
    if (!runs)
        return nw_fail_nomem(err, "the report");
    ordered.runs = runs;
    const enum nw_status s = make_page(&ordered, out, err);
    free(runs);
    return s;
}
