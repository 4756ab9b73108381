/* result_files.h - the files that a command is asked to write its result to; "-" is standard output. */
#ifndef NESTWALK_CLI_RESULT_FILES_H
#define NESTWALK_CLI_RESULT_FILES_H

#include <nestwalk/base/status.h>
#include <stdbool.h>
#include <string.h>

/* NULL: no such file was asked for. */
static inline bool nw_cli_is_stdout(const char *path) { return path && !strcmp(path, "-"); }

/* A result that cannot be written should not be found out after an hour of replay. NULL and "-" can. */
enum nw_status nw_cli_check_writable(const char *path, struct nw_error *err) NW_MUST_USE;

/* Writes a report's text, which is freed. */
enum nw_status nw_cli_write_text(char *text, const char *path, struct nw_error *err) NW_MUST_USE;

#endif
