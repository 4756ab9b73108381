/* comparison.h - runs side by side, as rows of text ready for a table of at most 100 columns.
 *
 *     struct nw_comparison c;
 *     if ((s = nw_report_comparison(runs, n, NW_COMPARE_INTEREST, &c, err))) return s;
 *     for (r = 0; r < c.row_count; r++)
 *         print(c.row[r].label, c.row[r].cell[0].text, c.row[r].cell[1].text, c.row[r].cell[1].change, ...);
 *     nw_comparison_fini(&c);
 *
 * The first run is the base: all other columns carry their change against it. */
#ifndef NESTWALK_REPORTS_COMPARISON_H
#define NESTWALK_REPORTS_COMPARISON_H

#include <nestwalk/reports/run.h>

enum nw_compare_scope {
    NW_COMPARE_INTEREST, /* the figures that answer "what does it cost, and why" */
    NW_COMPARE_ALL       /* every metric that any of the runs has */
};
enum { NW_COMPARISON_OTHERS_MAX = 3 }; /* runs beside the base that fit into one table of 100 columns */

struct nw_comparison_cell {
    bool present;          /* false: this run has no such metric */
    double value;          /* for arithmetic; exact up to 2^53 */
    char text[24];         /* "30,411,665", "12.35 G", "24.00", "-" */
    double change_percent; /* against the base; NAN: no base, or the base is 0 and this is not */
    char change[12];       /* "+12.3%", "x24.0", "=" when equal, "" for the base and where there is none */
};

struct nw_comparison_row {
    char path[96], unit[24];
    char label[40];                  /* "references per walk" */
    bool rule_above;                 /* a new group of rows begins here */
    bool differs;                    /* some run differs from the base */
    struct nw_comparison_cell *cell; /* run_count of them */
};

struct nw_comparison {
    size_t run_count;
    char (*heading)
        [32]; /* run_count short titles; "#12 nested" for stored runs when titles alone would not tell them apart */
    struct nw_comparison_row *row;
    size_t row_count;
};

/* NW_ERR_NOMEM. One run is allowed: then there is nothing to compare it with, and no changes. */
enum nw_status nw_report_comparison(const struct nw_run *runs, size_t count, enum nw_compare_scope scope,
                                    struct nw_comparison *out, struct nw_error *err) NW_MUST_USE;
void nw_comparison_fini(struct nw_comparison *c);

/* Machine-readable forms: the runs' result JSON with "comparison" added; CSV with one line a metric. free() the text. */
enum nw_status nw_comparison_json_text(const struct nw_run *runs, size_t count, const struct nw_comparison *c,
                                       char **out, struct nw_error *err) NW_MUST_USE;
enum nw_status nw_comparison_csv_text(const struct nw_comparison *c, char **out, struct nw_error *err) NW_MUST_USE;

/* "30,411,665" when that is at most `width` characters, else scaled: "30.41 M" (powers of 1000). */
void nw_format_count(uint64_t count, unsigned width, char *out, size_t out_size);

#endif
