/* html_internal.h - the pieces of the page. Each appends to `t`. */
#ifndef NESTWALK_REPORTS_HTML_INTERNAL_H
#define NESTWALK_REPORTS_HTML_INTERNAL_H

#include "reports_internal.h"
#include <nestwalk/reports/html.h>

struct page_context {
    const struct nw_page *page;
    char (*heading)[32]; /* a short title for each run, each different */
};

/* Metrics whose paths begin with one of the prefixes (NULL-ended), in the prefixes' order, without those that are 0 in every
 * run; prefix NULL: all metrics. */
void html_metrics_table(struct text *t, const struct page_context *p, const char *const *prefix);
void html_rates_table(struct text *t, const struct page_context *p);
void html_histogram_table(struct text *t, const struct page_context *p);
void html_parameters_table(struct text *t, const struct page_context *p);
void html_sources(struct text *t, const struct page_context *p); /* how many values come from where */

/* A picture from DOT text, with what it is for who cannot see it. NW_ERR_NOMEM; what Graphviz cannot draw is replaced by the reason. */
enum nw_status html_drawing(struct text *t, const char *dot, const char *description, struct nw_error *err) NW_MUST_USE;

/* Of runs of several guests: html_guests.c. */
/* The runs by policy and overcommitment, as a sweep's come in any order: shallow copies, free() the array. NULL: no memory. */
struct nw_run *html_guest_runs(const struct nw_page *page);
void html_guest_cards(struct text *t, const struct page_context *p);
void html_frontier(struct text *t, const struct page_context *p);
void html_knee(struct text *t, const struct page_context *p);
void html_timelines(struct text *t, const struct page_context *p);
void html_moved(struct text *t, const struct page_context *p);
void html_monitors(struct text *t, const struct page_context *p);
void html_guests_table(struct text *t, const struct page_context *p);

/* Walks and trees. NW_ERR_NOMEM; a picture that Graphviz cannot draw is replaced by the reason. */
enum nw_status html_pictures(struct text *t, const struct nw_page *page, struct nw_error *err) NW_MUST_USE;

#endif
