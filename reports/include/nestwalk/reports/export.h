/* export.h - runs as JSON and CSV (docs/results.md describes both).
 *
 *     s = nw_report_json(runs, n, "result.json", err);      // "-" is standard output
 *
 * Same runs, same bytes: keys are in a fixed order, numbers in the shortest form that reads back equal. A file is written
 * under a temporary name beside it and renamed, so that a reader never sees half of one. */
#ifndef NESTWALK_REPORTS_EXPORT_H
#define NESTWALK_REPORTS_EXPORT_H

#include <nestwalk/reports/run.h>

/* `path` "-" is standard output. NW_ERR_IO when it cannot be written. */
enum nw_status nw_report_json(const struct nw_run *runs, size_t count, const char *path,
                              struct nw_error *err) NW_MUST_USE;
enum nw_status nw_report_csv(const struct nw_run *runs, size_t count, const char *path,
                             struct nw_error *err) NW_MUST_USE;

/* The same as text; free() it. */
enum nw_status nw_report_json_text(const struct nw_run *runs, size_t count, char **out,
                                   struct nw_error *err) NW_MUST_USE;
enum nw_status nw_report_csv_text(const struct nw_run *runs, size_t count, char **out,
                                  struct nw_error *err) NW_MUST_USE;

/* Writes a whole file the same careful way; "-" is standard output. */
enum nw_status nw_report_write(const char *path, const char *text, size_t bytes, struct nw_error *err) NW_MUST_USE;

#endif
