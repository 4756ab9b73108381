/* sample.h - sampled replays as JSON and CSV (docs/results.md describes both). Nothing in them has the form of an exact run: there is no counter,
 * only estimates with their intervals. */
#ifndef NESTWALK_REPORTS_SAMPLE_H
#define NESTWALK_REPORTS_SAMPLE_H

#include <nestwalk/sim/sample.h>

struct nw_sample_report {
    const char *trace, *trace_sha256;
    const struct nw_sample_result *result; /* of each run */
    size_t count;
};

/* free() the text. */
enum nw_status nw_sample_json_text(const struct nw_sample_report *report, char **out, struct nw_error *err) NW_MUST_USE;
enum nw_status nw_sample_csv_text(const struct nw_sample_report *report, char **out, struct nw_error *err) NW_MUST_USE;

#endif
