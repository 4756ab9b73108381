/* comparison_table.h - runs side by side on the terminal: what `run` and `compare` print. */
#ifndef NESTWALK_CLI_COMPARISON_TABLE_H
#define NESTWALK_CLI_COMPARISON_TABLE_H

#include <nestwalk/reports/comparison.h>
#include <stdio.h>

/* As many tables of at most 100 columns as the runs need, each with the first run as its base. */
enum nw_status nw_cli_print_comparison(const struct nw_run *runs, size_t count, enum nw_compare_scope scope, FILE *out,
                                       struct nw_error *err) NW_MUST_USE;

#endif
