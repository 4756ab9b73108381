/* sweep_table.h - the points of a sweep as one table: a row a point, with the values tried and the figures they are tried for.
 *
 *     struct nw_sweep_row row = { .point = 1, .label = run.label, .value = values };
 *     nw_sweep_row_take(&row, &run);
 *     struct nw_sweep_table table = { .path = paths, .path_count = 2, .row = &row, .row_count = 1, ... };
 *     s = nw_sweep_csv_text(&table, &text, err);
 *
 * docs/sweeps.md describes both forms. Same points, same bytes. */
#ifndef NESTWALK_REPORTS_SWEEP_TABLE_H
#define NESTWALK_REPORTS_SWEEP_TABLE_H

#include <nestwalk/reports/run.h>

struct nw_sweep_row {
    size_t point;             /* its place in the sweep, from 1 */
    const char *label;        /* of the point */
    const char *mode;         /* nw_mode_name */
    const char *const *value; /* what it has for each of the table's paths */
    const char *error;        /* why it has no figures; NULL: it has */
    int64_t run;              /* its number in the store */
    uint64_t accesses, walks, references, cycles;
    double miss_percent;     /* look-ups that no TLB level answered, of 100 accesses; NAN without accesses */
    double overhead_percent; /* NAN without base cycles */
};

struct nw_sweep_table {
    const char *scenario, *trace, *trace_sha256; /* "" where there is none */
    const char *const *path;                     /* parameters that were swept */
    size_t path_count;
    const struct nw_sweep_row *row;
    size_t row_count;
};

/* The figures of a run. */
void nw_sweep_row_take(struct nw_sweep_row *row, const struct nw_run *run);

/* free() the text. NW_ERR_NOMEM. */
enum nw_status nw_sweep_json_text(const struct nw_sweep_table *table, char **out, struct nw_error *err) NW_MUST_USE;
enum nw_status nw_sweep_csv_text(const struct nw_sweep_table *table, char **out, struct nw_error *err) NW_MUST_USE;

#endif
