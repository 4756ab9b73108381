/* programs.h - the slowdown of programs by 4 KiB pages, measured and predicted (sim/programs.h), as JSON and as a page.
 *
 * JSON: { "holds", "claim", "machine", "within", "last_cache_bytes", "walks_at_once", "predicted_processes", "programs": [{ "name", "operation", "processes",
 * "cycles_4k", "cycles_2m", "slowdown", "slowdown_low", "slowdown_high", "predicted_slowdown", "predicted_low", "predicted_high",
 * "error_percent", "without_model_error_percent", "all_exposed_slowdown", "latency_cycles_4k", "latency_cycles_2m", "walks_4k", "walks_2m",
 * "accesses", "exposed", "within" }], "regimes": [{ "name", "points", "median_error_percent", "max_error_percent", "claim", "holds" }],
 * "notes" }. Cycles are core cycles an operation; walks and accesses are those of an operation. */
#ifndef NESTWALK_REPORTS_PROGRAMS_H
#define NESTWALK_REPORTS_PROGRAMS_H

#include <nestwalk/sim/programs.h>

extern const char nw_programs_claim[];

/* free() the text. */
enum nw_status nw_programs_json_text(const struct nw_program_judgement *j, const struct nw_measurement *m, char **out,
                                     struct nw_error *err) NW_MUST_USE;
/* One self-contained HTML page. */
enum nw_status nw_programs_html_text(const struct nw_program_judgement *j, const struct nw_measurement *m, char **out,
                                     struct nw_error *err) NW_MUST_USE;

#endif
