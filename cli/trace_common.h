/* trace_common.h - what the commands that make and read traces share. */
#ifndef NESTWALK_CLI_TRACE_COMMON_H
#define NESTWALK_CLI_TRACE_COMMON_H

#include "cli.h"
#include <nestwalk/traces/nwt.h>

/* Writes everything `source` has to the trace `out`, with progress and interruption, then prints what was written, as text or
 * JSON. Takes and destroys the source. Returns the exit status. */
int nw_cli_write_trace(const struct nw_command *command, struct nw_source *source, const struct nw_trace_info *info,
                       const char *out, bool json);

/* "key": value pairs of a summary, without braces; the text form, one line a figure. */
void nw_cli_summary_json(FILE *out, const struct nw_nwt_summary *s);
void nw_cli_summary_text(FILE *out, const struct nw_nwt_summary *s);

/* `text` as a JSON string, quotes included. Bytes that are not UTF-8 are taken for Latin-1. */
void nw_cli_json_string(FILE *out, const char *text);

#endif
