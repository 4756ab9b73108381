/* check_page.c - the page: inputs, topology, findings by rule, with a filter. */
#include "html_internal.h"
#include <nestwalk/reports/check_page.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const plural[] = { "", "s" };

static void add_head(struct text *t)
{
    text_add(
        t, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
           "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src 'unsafe-inline'; "
           "style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'\">\n"
           "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
           "<meta name=\"color-scheme\" content=\"light dark\">\n"
           "<meta name=\"generator\" content=\"nestwalk " NESTWALK_VERSION "\">\n<link rel=\"icon\" href=\"data:,\">\n"
           "<title>nestwalk iommu check</title>\n<style>\n");
    text_add(t, (const char *)nw_asset_style);
    text_add(t, (const char *)nw_asset_checkstyle);
    text_add(t, "</style>\n</head>\n<body>\n<header>\n<p class=\"brand\">nestwalk " NESTWALK_VERSION
                "</p>\n<h1>Configuration of the remapping units</h1>\n");
}

static bool is_accepted(const struct nw_check_page *page, size_t finding)
{
    return page->accepted && page->accepted[finding];
}

static void add_counts(struct text *t, const struct nw_check_page *page)
{
    static const char *const mark[] = { "--soft", "--translation", "--exits" };
    size_t count[3] = { 0 }, accepted = 0;
    for (size_t i = 0; i < page->found->count; i++) {
        accepted += is_accepted(page, i);
        count[page->found->at[i].severity] += !is_accepted(page, i);
    }
    text_add(t, "<div class=\"cards\">\n");
    for (int s = NW_IOMMU_ERROR; s >= NW_IOMMU_INFO; s--)
        text_printf(t, "<div class=\"card\" style=\"--mark: var(%s)\"><p class=\"big\">%zu</p><p>%s%s</p></div>\n",
                    mark[s], count[s], nw_iommu_severity_name((enum nw_iommu_severity)s),
                    s == NW_IOMMU_INFO ? "" : plural[count[s] != 1]);
    if (accepted)
        text_printf(t, "<div class=\"card\"><p class=\"big\">%zu</p><p>accepted</p></div>\n", accepted);
    text_add(t, "</div>\n</header>\n<main>\n");
}

static void add_inputs(struct text *t, const struct nw_check_page *page)
{
    text_add(t, "<section aria-labelledby=\"h-inputs\">\n<h2 id=\"h-inputs\">Inputs</h2>\n<div class=\"scroll\"><table>"
                "<thead><tr><th scope=\"col\">file</th><th scope=\"col\">kind</th><th scope=\"col\" class=\"number\">"
                "structures or rows</th><th scope=\"col\" class=\"number\">findings</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < page->inputs; i++) {
        const struct nw_checked_input *in = &page->input[i];
        text_add(t, "<tr><td>");
        text_add_html(t, in->file);
        if (in->line)
            text_printf(t, ":%llu", (unsigned long long)in->line);
        text_add(t, "</td><td>");
        text_add_html(t, in->kind);
        text_printf(t, "</td><td class=\"number\">%zu</td><td class=\"number\">%zu</td></tr>\n", in->structures,
                    in->count);
    }
    text_add(t, "</tbody></table></div>\n</section>\n");
}

static enum nw_status add_topology(struct text *t, const struct nw_check_page *page, struct nw_error *err)
{
    char *dot = NULL;
    enum nw_status s = nw_topology_dot_text(page, &dot, err);
    if (s)
        return s;
    text_add(
        t, "<section aria-labelledby=\"h-topology\">\n<h2 id=\"h-topology\">Topology</h2>\n<p>A frame for each "
           "segment: remapping units (green), bridges (violet) and functions (blue) behind them, in dashed frames the "
           "IOMMU groups. To the right the domains that functions are in, and memory that the firmware reserves for "
           "them (orange). Only what the inputs tell is here.</p>\n");
    s = html_drawing(t, dot, "Remapping units, bridges, functions, groups, domains and reserved regions.", err);
    text_add(t, "</section>\n");
    free(dot);
    return s;
}

static void add_place(struct text *t, const struct nw_check_page *page, size_t finding)
{
    for (size_t i = 0; i < page->inputs; i++) {
        const struct nw_checked_input *in = &page->input[i];
        if (finding < in->first || finding >= in->first + in->count)
            continue;
        text_add_html(t, in->file);
        if (page->found->at[finding].line)
            text_printf(t, ":%u", page->found->at[finding].line);
    }
}

static void add_finding(struct text *t, const struct nw_check_page *page, size_t i)
{
    const struct nw_iommu_finding *f = &page->found->at[i];
    const char *severity = nw_iommu_severity_name(f->severity);
    text_printf(t, "<tr data-severity=\"%s\"%s><td><span class=\"severity %s\">%s</span></td><td><code>", severity,
                is_accepted(page, i) ? " class=\"accepted\"" : "", severity, severity);
    text_add_html(t, f->where);
    text_add(t, "</code></td><td>");
    text_add_html(t, f->detail);
    text_add(t, is_accepted(page, i) ? " (accepted)</td><td>" : "</td><td>");
    add_place(t, page, i);
    text_add(t, "</td></tr>\n");
}

static void add_rule(struct text *t, const struct nw_check_page *page, const struct nw_iommu_rule *rule,
                     enum nw_iommu_severity worst, size_t count)
{
    const char *const part[][2] = { { "what is looked for", rule->what },
                                    { "why it matters", rule->why },
                                    { "what to do", rule->remedy },
                                    { "source", rule->source } };
    text_printf(t, "<details class=\"rule\" open><summary><span class=\"severity %s\">%s</span> ",
                nw_iommu_severity_name(worst), nw_iommu_severity_name(worst));
    text_add_html(t, rule->id);
    text_add(t, "&ensp;");
    text_add_html(t, rule->title);
    text_printf(t, " (%zu)</summary>\n<dl>\n", count);
    for (size_t i = 0; i < NW_ARRAY_LEN(part); i++) {
        text_printf(t, "<dt>%s</dt><dd>", part[i][0]);
        text_add_html(t, part[i][1]);
        text_add(t, "</dd>\n");
    }
    text_add(
        t, "</dl>\n<div class=\"scroll\"><table><thead><tr><th scope=\"col\">severity</th><th scope=\"col\">where</th>"
           "<th scope=\"col\">what</th><th scope=\"col\">input</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < page->found->count; i++)
        if (page->found->at[i].rule == rule)
            add_finding(t, page, i);
    text_add(t, "</tbody></table></div></details>\n");
}

static void add_findings(struct text *t, const struct nw_check_page *page)
{
    text_add(t, "<section aria-labelledby=\"h-findings\">\n<h2 id=\"h-findings\">Findings</h2>\n");
    if (!page->found->count)
        text_add(t, "<p>No rule found anything.</p>\n");
    text_add(t, "<div class=\"filter\">\n");
    for (int s = NW_IOMMU_ERROR; s >= NW_IOMMU_INFO; s--) {
        const char *name = nw_iommu_severity_name((enum nw_iommu_severity)s);
        text_printf(t, "<label><input type=\"checkbox\" value=\"%s\" checked> %s</label>\n", name, name);
    }
    text_add(t, "<input type=\"search\" id=\"search\" placeholder=\"words, such as a device or a rule\" "
                "aria-label=\"Words that a finding must have\">\n<span id=\"shown\" role=\"status\"></span>\n</div>\n");
    /* The severest first; among equals in the order of the table. */
    for (int s = NW_IOMMU_ERROR; s >= NW_IOMMU_INFO; s--)
        for (size_t r = 0; r < nw_iommu_rule_count; r++) {
            size_t count = 0;
            int worst = -1;
            for (size_t i = 0; i < page->found->count; i++) {
                const struct nw_iommu_finding *f = &page->found->at[i];
                if (f->rule != &nw_iommu_rules[r])
                    continue;
                count++;
                worst = (int)f->severity > worst ? (int)f->severity : worst;
            }
            if (worst == s)
                add_rule(t, page, &nw_iommu_rules[r], (enum nw_iommu_severity)worst, count);
        }
    text_add(t, "</section>\n");
}

enum nw_status nw_check_page_html(const struct nw_check_page *page, char **out, struct nw_error *err)
{
    struct text t = { 0 };
    add_head(&t);
    add_counts(&t, page);
    add_inputs(&t, page);
    enum nw_status s = add_topology(&t, page, err);
    add_findings(&t, page);
    text_add(&t, "</main>\n<script>\n");
    text_add(&t, (const char *)nw_asset_checkscript);
    text_add(&t, "</script>\n</body>\n</html>\n");
    if (!s)
        return text_take(&t, out, "the page", err);
    text_free(&t);
    return s;
}
