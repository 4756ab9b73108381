#include "comparison_table.h"
#include "cli.h"
#include <string.h>

enum { COLUMNS_MAX = 2 + 2 * NW_COMPARISON_OTHERS_MAX };

/* The base and the runs first .. first + others - 1 beside it, each with its change against the base. NULL when memory is short, as nw_cli_table_new. */
static struct nw_cli_table *slice_of(const struct nw_comparison *c, size_t first, size_t others)
{
    const char *cell[COLUMNS_MAX] = { "", c->heading[0] };
    bool numeric[COLUMNS_MAX] = { false, true };
    unsigned columns = 2;
    for (size_t i = first; i < first + others; i++) {
        cell[columns] = c->heading[i];
        cell[columns + 1] = "";
        numeric[columns] = numeric[columns + 1] = true;
        columns += 2;
    }
    struct nw_cli_table *t = nw_cli_table_new(cell, numeric, columns);
    for (size_t r = 0; r < c->row_count; r++) {
        const struct nw_comparison_row *row = &c->row[r];
        if (row->rule_above)
            nw_cli_table_rule(t);
        cell[0] = row->label;
        cell[1] = row->cell[0].text;
        columns = 2;
        for (size_t i = first; i < first + others; i++) {
            cell[columns++] = row->cell[i].text;
            cell[columns++] = row->cell[i].change;
        }
        nw_cli_table_row(t, cell);
    }
    return t;
}

/* As many runs as a line has room for, one at least. Returns how many. */
static size_t print_slice(const struct nw_comparison *c, size_t first, FILE *out)
{
    size_t left = c->run_count - first, others = left < NW_COMPARISON_OTHERS_MAX ? left : NW_COMPARISON_OTHERS_MAX;
    struct nw_cli_table *t = slice_of(c, first, others);
    while (others > 1 && !nw_cli_table_fits(t)) {
        nw_cli_table_free(t);
        t = slice_of(c, first, --others);
    }
    nw_cli_table_print(t, out);
    return others;
}

enum nw_status nw_cli_print_comparison(const struct nw_run *runs, size_t count, enum nw_compare_scope scope, FILE *out,
                                       struct nw_error *err)
{
    struct nw_comparison c;
    enum nw_status s = nw_report_comparison(runs, count, scope, &c, err);
    if (s)
        return s;
    size_t first = 1;
    do {
        if (first > 1)
            putc('\n', out);
        size_t others = print_slice(&c, first, out);
        first += others ? others : 1;
    } while (first < c.run_count);
    nw_comparison_fini(&c);
    return NW_OK;
}
