/* overcommit_table.h - what runs of several guests say together, on the terminal. */
#ifndef NESTWALK_CLI_OVERCOMMIT_TABLE_H
#define NESTWALK_CLI_OVERCOMMIT_TABLE_H

#include <nestwalk/reports/overcommit.h>

/* A row a run, and a sentence a policy, to stdout. */
void nw_cli_print_overcommit(const struct nw_overcommit *o);

#endif
