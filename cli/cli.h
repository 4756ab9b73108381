/* cli.h - what the commands share. One file a command (cmd_*.c); each exports `const struct nw_command nw_cmd_NAME`,
 * and the build collects them into the list: adding a command is adding a file.
 *
 * From the command's tables come option parsing, `--help`, the man page and the bash completion, so they cannot disagree.
 * Results go to stdout, progress and messages to stderr. Exit status: 0 success, 1 the answer is "no", 2 usage, 3 bad input,
 * 4 internal or environment failure (also: interrupted). */
#ifndef NESTWALK_CLI_H
#define NESTWALK_CLI_H

#include <nestwalk/base/status.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct nw_option {
    const char *name;     /* long name without dashes */
    char letter;          /* short form or 0 */
    const char *argument; /* "FILE", "N", "native|shadow|nested"; NULL for a flag */
    const char *doc;      /* one sentence */
};

struct nw_command {
    const char *name;                /* "run"; two words for subcommands: "trace info", "explain walk" */
    const char *synopsis;            /* after the name: "[SCENARIO.xml] [--trace FILE] ..." */
    const char *summary;             /* one line */
    const char *details;             /* paragraphs for --help and the man page; NULL allowed */
    const char *examples;            /* lines of shell, each true; NULL allowed */
    const struct nw_option *options; /* ends with name NULL; --help is implied */
    int (*run)(const struct nw_command *self, int argc,
               char **argv); /* argv[0] is the command's last word; returns the exit status */
};
extern const struct nw_command *const nw_commands[]; /* NULL-terminated */

/* Parsing, a loop like getopt: returns the index in self->options of the next option (with *value its argument), NW_CLI_ARGUMENT
 * for a positional argument (in *value), NW_CLI_DONE at the end, or NW_CLI_EXIT when --help was printed or the usage is
 * wrong (a message was printed): return parser->exit_status then. */
enum { NW_CLI_DONE = -1, NW_CLI_ARGUMENT = -2, NW_CLI_EXIT = -3 };
struct nw_cli_parser {
    const struct nw_command *command;
    int argc, index, exit_status;
    char **argv;
    const char *cluster; /* rest of a group of short options */
    bool only_arguments; /* after -- */
};
void nw_cli_parser_init(struct nw_cli_parser *p, const struct nw_command *command, int argc, char **argv);
int nw_cli_next(struct nw_cli_parser *p, const char **value);

/* Prints "nestwalk NAME: text" to stderr and returns the status's exit code. */
int nw_cli_fail(const struct nw_command *command, enum nw_status status, const struct nw_error *err);
/* What it was called with last, for a command that runs others; "" when it was not. */
const char *nw_cli_last_failure(void);
/* "nestwalk NAME: formatted text (see nestwalk NAME --help)"; returns 2. */
int nw_cli_usage(const struct nw_command *command, const char *format, ...) NW_PRINTF(2, 3);

/* Whole number with optional K/M/G/T/P suffix (powers of 1024) or 0x; false when it is none. */
bool nw_cli_parse_u64(const char *text, uint64_t *out);
bool nw_cli_parse_double(const char *text, double *out);

/* Progress on a terminal's stderr only: "replay 43% 12.1 M accesses 85.1 M/s". Call as often as you like. */
struct nw_cli_progress {
    const char *label, *unit;
    double started_seconds, shown_seconds;
    bool active;
};
void nw_cli_progress_start(struct nw_cli_progress *p, const char *label, const char *unit);
void nw_cli_progress_update(struct nw_cli_progress *p, uint64_t done, uint64_t total); /* total 0 = unknown */
void nw_cli_progress_finish(struct nw_cli_progress *p);                                /* erases the line */

/* SIGINT and SIGTERM set a flag instead of ending the program; commands look at it between pieces of work and finish cleanly. */
void nw_cli_catch_interrupts(void);
bool nw_cli_interrupted(void);
/* As a hook of long work, whose context it is: shows how far it is; false: it was interrupted. */
bool nw_cli_progress_step(void *progress, uint64_t done, uint64_t total);

/* Terminal tables, at most 100 columns: columns right-aligned where `numeric`. Cells are copied. */
struct nw_cli_table;
struct nw_cli_table *nw_cli_table_new(const char *const *heading, const bool *numeric, unsigned columns);
void nw_cli_table_row(struct nw_cli_table *t, const char *const *cell);
void nw_cli_table_rule(struct nw_cli_table *t);             /* a separating line */
bool nw_cli_table_fits(const struct nw_cli_table *t);       /* a line, without cutting any text? */
void nw_cli_table_print(struct nw_cli_table *t, FILE *out); /* and frees it */
void nw_cli_table_free(struct nw_cli_table *t);

/* True when colours may be used on this stream: a terminal, and NO_COLOR is unset or empty. */
bool nw_cli_colour(FILE *stream);

#endif
