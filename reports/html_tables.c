#include "html_internal.h"
#include <math.h>
#include <nestwalk/reports/comparison.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void table_open(struct text *t, const struct page_context *p, const char *first, const char *last)
{
    text_printf(t, "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">%s</th>", first);
    for (size_t i = 0; i < p->page->run_count; i++) {
        text_add(t, "<th scope=\"col\" class=\"number\">");
        text_add_html(t, p->heading[i]);
        text_add(t, "</th>");
    }
    if (last)
        text_printf(t, "<th scope=\"col\">%s</th>", last);
    text_add(t, "</tr></thead>\n");
}

/* A cell's number, and how far it is from the base's. */
static void number_cell(struct text *t, const char *value, double v, double base, bool compare)
{
    text_add(t, "<td class=\"number\">");
    text_add_html(t, value);
    double change = base != 0 ? 100 * (v - base) / fabs(base) : NAN;
    if (compare && v == base)
        text_add(t, " <span class=\"change\">=</span>");
    else if (compare && isfinite(change))
        text_printf(t, " <span class=\"change%s\">%s%.1f%%</span>",
                    change > 0   ? " more"
                    : change < 0 ? " less"
                                 : "",
                    change >= 0 ? "+" : "\xe2\x88\x92", fabs(change));
    else if (compare)
        text_add(t, " <span class=\"change\"></span>");
    text_add(t, "</td>");
}

static void metric_cell(struct text *t, const struct nw_run_metric *m, const struct nw_run_metric *base, bool compare)
{
    char value[40];
    if (!m) {
        text_add(t, "<td class=\"number\">\xe2\x80\x93</td>");
        return;
    }
    if (m->type == NW_METRIC_COUNT)
        nw_format_count(m->count, 32, value, sizeof value);
    else if (fabs(m->real) >= 1e5)
        nw_format_count((uint64_t)fabs(m->real), 32, value, sizeof value);
    else
        snprintf(value, sizeof value, "%.3f", m->real);
    number_cell(t, value, nw_run_metric_value(m), base ? nw_run_metric_value(base) : 0, compare);
}

/* Is this the first run that has the metric? Then its row is written now. */
static bool first_with(const struct nw_page *page, size_t run, const char *path)
{
    for (size_t i = 0; i < run; i++)
        if (nw_run_metric(page->runs + i, path))
            return false;
    return true;
}

static void metric_row(struct text *t, const struct nw_page *page, const struct nw_run_metric *m)
{
    const struct nw_run_metric *base = nw_run_metric(page->runs, m->path);
    text_add(t, "<tr><th scope=\"row\"><code>");
    text_add_html(t, m->path);
    text_add(t, "</code><small>");
    text_add_html(t, m->doc);
    text_add(t, "</small></th>");
    for (size_t i = 0; i < page->run_count; i++)
        metric_cell(t, nw_run_metric(page->runs + i, m->path), base, i > 0);
    text_add(t, "<td>");
    text_add_html(t, m->unit);
    text_add(t, "</td></tr>\n");
}

static bool zero_everywhere(const struct nw_page *page, const char *path)
{
    for (size_t i = 0; i < page->run_count; i++)
        if (nw_run_value(page->runs + i, path, 0) != 0)
            return false;
    return true;
}

/* Rows whose path begins with `prefix`; NULL: all, zeros too. */
static size_t metric_rows(struct text *t, const struct nw_page *page, const char *prefix)
{
    size_t rows = 0;
    for (size_t r = 0; r < page->run_count; r++)
        for (size_t i = 0; i < page->runs[r].metric_count; i++) {
            const struct nw_run_metric *m = page->runs[r].metric + i;
            if (prefix && (strncmp(m->path, prefix, strlen(prefix)) != 0 || zero_everywhere(page, m->path)))
                continue;
            if (!first_with(page, r, m->path))
                continue;
            metric_row(t, page, m);
            rows++;
        }
    return rows;
}

void html_metrics_table(struct text *t, const struct page_context *p, const char *const *prefix)
{
    size_t rows = 0, start = t->bytes;
    table_open(t, p, "figure", "unit");
    text_add(t, "<tbody>\n");
    if (!prefix)
        rows = metric_rows(t, p->page, NULL);
    for (; prefix && *prefix; prefix++)
        rows += metric_rows(t, p->page, *prefix);
    text_add(t, "</tbody></table></div>\n");
    if (rows || t->failed)
        return;
    t->bytes = start; /* an empty table says nothing */
    text_add(t, "<p>All of these are 0.</p>\n");
}

/* ---- hit rates: of everything that counts hits and misses ---- */

static bool hit_rate(const struct nw_run *run, const char *hits_path, double *percent)
{
    char misses_path[160];
    snprintf(misses_path, sizeof misses_path, "%.*smisses", (int)(strlen(hits_path) - strlen("hits")), hits_path);
    double hits = nw_run_value(run, hits_path, NAN), misses = nw_run_value(run, misses_path, NAN);
    *percent = 100 * hits / (hits + misses);
    return isfinite(*percent);
}

static bool counts_hits(const char *path)
{
    size_t length = strlen(path);
    return length > 5 && length < 150 && !strcmp(path + length - 5, ".hits");
}

static void rate_row(struct text *t, const struct nw_page *page, const char *path)
{
    double base, percent;
    bool has_base = hit_rate(page->runs, path, &base);
    text_printf(t, "<tr><th scope=\"row\"><code>");
    struct text name = { 0 };
    text_add_bytes(&name, path, strlen(path) - 5);
    text_add_html(t, name.p ? name.p : "");
    text_free(&name);
    text_add(t, "</code></th>");
    for (size_t i = 0; i < page->run_count; i++) {
        if (!hit_rate(page->runs + i, path, &percent)) {
            text_add(t, "<td class=\"number\">\xe2\x80\x93</td>");
            continue;
        }
        char value[32];
        snprintf(value, sizeof value, "%.3f%%", percent);
        number_cell(t, value, percent, has_base ? base : 0, i > 0);
    }
    text_add(t, "</tr>\n");
}

void html_rates_table(struct text *t, const struct page_context *p)
{
    table_open(t, p, "array or cache", NULL);
    text_add(t, "<tbody>\n");
    for (size_t r = 0; r < p->page->run_count; r++)
        for (size_t i = 0; i < p->page->runs[r].metric_count; i++) {
            const char *path = p->page->runs[r].metric[i].path;
            if (counts_hits(path) && first_with(p->page, r, path))
                rate_row(t, p->page, path);
        }
    text_add(t, "</tbody></table></div>\n");
}

/* ---- the histogram ---- */

static const struct nw_run *longest_histogram(const struct nw_page *page)
{
    const struct nw_run *longest = page->runs;
    for (size_t i = 1; i < page->run_count; i++)
        if (page->runs[i].bucket_count > longest->bucket_count)
            longest = page->runs + i;
    return longest;
}

static void bucket_row(struct text *t, const struct nw_page *page, const struct nw_run *bounds, size_t b)
{
    uint64_t upper = bounds->bucket[b].upper_cycles;
    if (upper == UINT64_MAX)
        text_printf(t, "<tr><th scope=\"row\">more than %llu</th>",
                    b ? (unsigned long long)bounds->bucket[b - 1].upper_cycles : 0ull);
    else
        text_printf(t, "<tr><th scope=\"row\">at most %llu</th>", (unsigned long long)upper);
    for (size_t i = 0; i < page->run_count; i++) {
        char value[40];
        uint64_t count = b < page->runs[i].bucket_count ? page->runs[i].bucket[b].count : 0;
        nw_format_count(count, 32, value, sizeof value);
        text_printf(t, "<td class=\"number\">%s</td>", value);
    }
    text_add(t, "</tr>\n");
}

void html_histogram_table(struct text *t, const struct page_context *p)
{
    const struct nw_run *bounds = longest_histogram(p->page);
    if (!bounds->bucket_count)
        return;
    text_add(t, "<details><summary>Walks in each bucket</summary>\n");
    table_open(t, p, "latency, cycles", NULL);
    text_add(t, "<tbody>\n");
    for (size_t b = 0; b < bounds->bucket_count; b++)
        bucket_row(t, p->page, bounds, b);
    text_add(t, "</tbody></table></div></details>\n");
}

/* ---- parameters ---- */

/* "tlb.l2.entries" -> "tlb.l2": the part of the machine that a parameter belongs to. */
static size_t group_length(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot ? (size_t)(dot - path) : strlen(path);
}

static bool all_runs_agree(const struct nw_page *page, const char *path)
{
    const struct nw_run_parameter *base = nw_run_parameter(page->runs, path);
    for (size_t i = 1; i < page->run_count; i++) {
        const struct nw_run_parameter *other = nw_run_parameter(page->runs + i, path);
        if (!base != !other || (base && strcmp(base->value, other->value) != 0))
            return false;
    }
    return true;
}

/* What kind of source a value has, by how its text begins: profiles say "measured on ...", "cpuid 80000005h ...", "assumed: ...". */
enum source_kind {
    SOURCE_MEASURED,
    SOURCE_CPUID,
    SOURCE_DOCUMENT,
    SOURCE_CALIBRATED,
    SOURCE_ASSUMED,
    SOURCE_DEFAULT,
    SOURCE_SET
};
static const struct {
    const char *name, *meaning;
} source_kind[] = {
    [SOURCE_MEASURED] = { "measured", "measured on such a machine" },
    [SOURCE_CPUID] = { "cpuid", "reported by the processor itself" },
    [SOURCE_DOCUMENT] = { "documented", "in a document that the source names" },
    [SOURCE_CALIBRATED] = { "calibrated", "fitted so that the model meets measurements" },
    [SOURCE_ASSUMED] = { "assumed", "an assumption, for the reason given" },
    [SOURCE_DEFAULT] = { "default", "the default of the program or of the machine profile" },
    [SOURCE_SET] = { "set", "set for this run, by the command line or a scenario" },
};

static enum source_kind kind_of_source(const char *source)
{
    static const struct {
        const char *prefix;
        enum source_kind kind;
    } prefix[] = {
        { "measured", SOURCE_MEASURED },
        { "cpuid", SOURCE_CPUID },
        { "calibrated", SOURCE_CALIBRATED },
        { "assumed", SOURCE_ASSUMED },
        { "default", SOURCE_DEFAULT },
        { "profile", SOURCE_DEFAULT },
        { "--", SOURCE_SET },
    };
    for (size_t i = 0; i < NW_ARRAY_LEN(prefix); i++)
        if (!strncasecmp(source, prefix[i].prefix, strlen(prefix[i].prefix)))
            return prefix[i].kind;
    return strstr(source, ".xml:") ? SOURCE_SET : SOURCE_DOCUMENT;
}

static void add_source(struct text *t, const char *source)
{
    const char *name = source_kind[kind_of_source(source)].name;
    text_printf(t, "<span class=\"badge %s\">%s</span> ", name, name);
    if (strcasecmp(source, name) != 0)
        text_add_html(t, source);
}

static void source_cell(struct text *t, const struct nw_page *page, const char *path)
{
    const char *before = NULL;
    text_add(t, "<td class=\"source\">");
    for (size_t i = 0; i < page->run_count; i++) {
        const struct nw_run_parameter *other = nw_run_parameter(page->runs + i, path);
        if (!other || (before && !strcmp(before, other->source)))
            continue;
        text_add(t, before ? "<br>" : "");
        add_source(t, other->source);
        before = other->source;
    }
    text_add(t, "</td>");
}

static void parameter_row(struct text *t, const struct nw_page *page, const struct nw_run_parameter *p)
{
    text_add(t, all_runs_agree(page, p->path) ? "<tr>" : "<tr class=\"differs\">");
    text_add(t, "<th scope=\"row\"><code>");
    text_add_html(t, p->path);
    text_add(t, "</code></th>");
    for (size_t i = 0; i < page->run_count; i++) {
        const struct nw_run_parameter *other = nw_run_parameter(page->runs + i, p->path);
        text_add(t, "<td class=\"number\">");
        text_add_html(t, other ? other->value : "\xe2\x80\x93");
        if (other && p->unit[0]) {
            text_add(t, " ");
            text_add_html(t, p->unit);
        }
        text_add(t, "</td>");
    }
    source_cell(t, page, p->path);
    text_add(t, "</tr>\n");
}

static bool first_with_parameter(const struct nw_page *page, size_t run, const char *path)
{
    for (size_t i = 0; i < run; i++)
        if (nw_run_parameter(page->runs + i, path))
            return false;
    return true;
}

void html_parameters_table(struct text *t, const struct page_context *p)
{
    const char *group = NULL;
    table_open(t, p, "parameter", "source");
    for (size_t r = 0; r < p->page->run_count; r++)
        for (size_t i = 0; i < p->page->runs[r].parameter_count; i++) {
            const struct nw_run_parameter *row = p->page->runs[r].parameter + i;
            size_t length = group_length(row->path);
            if (!first_with_parameter(p->page, r, row->path))
                continue;
            if (!group || group_length(group) != length || strncmp(group, row->path, length) != 0) {
                text_add(t, group ? "</tbody><tbody class=\"group\">" : "<tbody class=\"group\">");
                text_printf(t, "<tr><th scope=\"rowgroup\" colspan=\"%zu\">", p->page->run_count + 2);
                struct text name = { 0 };
                text_add_bytes(&name, row->path, length);
                text_add_html(t, name.p ? name.p : "");
                text_free(&name);
                text_add(t, "</th></tr>\n");
                group = row->path;
            }
            parameter_row(t, p->page, row);
        }
    text_add(t, group ? "</tbody></table></div>\n" : "</table></div>\n");
}

/* ---- where the values come from ---- */

void html_sources(struct text *t, const struct page_context *p)
{
    const struct nw_run *run = p->page->runs;
    size_t count[NW_ARRAY_LEN(source_kind)] = { 0 };
    for (size_t i = 0; i < run->parameter_count; i++)
        count[kind_of_source(run->parameter[i].source)]++;
    text_add(
        t,
        "<p>Counts follow from the trace and the modelled structures; cycles follow from the latencies and costs below "
        "as "
        "well, so they are worth what their sources are. Rows that differ between runs are shaded. Of the first run's "
        "values:</p>\n<ul class=\"sources\">");
    for (size_t k = 0; k < NW_ARRAY_LEN(count); k++)
        if (count[k])
            text_printf(t, "<li title=\"%s\"><span class=\"badge %s\">%s</span> %zu</li>", source_kind[k].meaning,
                        source_kind[k].name, source_kind[k].name, count[k]);
    text_add(t, "</ul>\n");
}
