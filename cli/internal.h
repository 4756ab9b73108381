/* internal.h - what main.c, help.c, options.c and cmd_help.c share; commands need only cli.h. */
#ifndef NESTWALK_CLI_INTERNAL_H
#define NESTWALK_CLI_INTERNAL_H

#include "cli.h"
#include <stddef.h>

/* The command whose name is exactly `name` ("run", "trace info"); NULL when there is none. */
const struct nw_command *nw_cli_command_find(const char *name);
/* True when `word` is the first word of some two-word command. */
bool nw_cli_is_group(const char *word);

void nw_cli_help_program(FILE *out);
void nw_cli_help_group(const char *group, FILE *out);
void nw_cli_help_command(const struct nw_command *command, FILE *out);

/* How far `b` is from `a` in insertions, deletions, replacements and swaps of neighbours. */
size_t nw_cli_distance(const char *a, const char *b);
/* Keeps the nearest of the candidates offered; `best` stays NULL when none is near enough to be worth naming. */
struct nw_cli_suggestion {
    const char *wanted, *best;
    size_t distance;
};
void nw_cli_suggest_init(struct nw_cli_suggestion *s, const char *wanted);
void nw_cli_suggest_offer(struct nw_cli_suggestion *s, const char *candidate);

/* `text` in lines of at most `width` columns, each behind `indent` spaces; the first line is taken to begin in column
 * `column`. Lines that begin with a space are kept as they are; an empty line separates paragraphs. */
void nw_cli_wrap(FILE *out, const char *text, unsigned indent, unsigned column, unsigned width);
/* Columns of the terminal behind `stream`, at most `most`; `otherwise` when it is none. */
unsigned nw_cli_columns(FILE *stream, unsigned most, unsigned otherwise);

/* Erases a progress line that is being shown, so that a message does not end up behind it. */
void nw_cli_progress_clear(void);

/* An output that could not be made (no memory for a table): the program ends with status 4. */
void nw_cli_output_lost(const char *what);
/* Flushes stdout; false when anything written there was lost. The message was printed, unless the reader just went away. */
bool nw_cli_output_finish(void);
/* A reader that goes away (SIGPIPE) counts as an interruption, not as the end of the process. */
void nw_cli_catch_broken_pipe(void);

/* Text generators of cmd_help.c. */
void nw_cli_write_man(FILE *out);
void nw_cli_write_bash_completion(FILE *out);

#endif
