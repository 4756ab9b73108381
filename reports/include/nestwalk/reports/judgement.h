/* judgement.h - measured against predicted (sim/judge.h) as JSON and as a page.
 *
 * JSON: { "holds", "regimes": [{ "name", "points", "median_error_percent", "max_error_percent", "claim", "holds", ... }],
 * "points": [{ "regime", "pages", "count", "spacing_bytes", "measured_cycles", "low_cycles", "high_cycles", "predicted_cycles", ... }], "fit": {...},
 * "counters": { "source", "walks": { "points", "median_difference", "max_difference" } or null, ... },
 * "notes": [...] }; docs/validation.md has all keys. */
#ifndef NESTWALK_REPORTS_JUDGEMENT_H
#define NESTWALK_REPORTS_JUDGEMENT_H

#include <nestwalk/sim/judge.h>

/* free() the text. */
enum nw_status nw_judgement_json_text(const struct nw_judgement *j, const struct nw_measurement *m, char **out,
                                      struct nw_error *err) NW_MUST_USE;
/* One self-contained HTML page. */
enum nw_status nw_judgement_html_text(const struct nw_judgement *j, const struct nw_measurement *m, const char *machine,
                                      char **out, struct nw_error *err) NW_MUST_USE;

/* "dense pages, 4K x 1024", for tables and pictures; what is longer than out is cut. */
void nw_judged_point_name(const struct nw_chase *c, char *out, size_t out_size);

#endif
