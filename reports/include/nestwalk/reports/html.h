/* html.h - one page that holds everything: runs, charts, pictures and the configuration with its sources.
 *
 *     struct nw_page page = { .runs = runs, .run_count = n, .title = "btree: native, shadow, nested" };
 *     if ((s = nw_report_html(&page, &html, err))) return s;
 *     s = nw_report_write("report.html", html, strlen(html), err);
 *
 * The page is self-contained: it opens from disk, makes no network request (its content security policy forbids them), and its tables are
 * plain HTML that needs no script; the charts are drawn from the same figures by the embedded library. */
#ifndef NESTWALK_REPORTS_HTML_H
#define NESTWALK_REPORTS_HTML_H

#include <nestwalk/reports/draw.h>
#include <nestwalk/reports/run.h>

struct nw_page_walk {
    const char *title;   /* "nested" */
    const char *caption; /* what was walked, and from which tables */
    const struct nw_explanation *walk;
};
struct nw_page_tree {
    const char *title, *caption;
    const struct nw_tree *tree;
};

struct nw_page {
    const char *title; /* NULL: made from the runs */
    const struct nw_run *runs;
    size_t run_count;                /* at least 1; the first is the base of comparison */
    const struct nw_page_walk *walk; /* pictures of walks, may be none */
    size_t walk_count;
    const struct nw_page_tree *tree;
    size_t tree_count;
};

enum nw_status nw_report_html(const struct nw_page *page, char **out, struct nw_error *err) NW_MUST_USE;

#endif
