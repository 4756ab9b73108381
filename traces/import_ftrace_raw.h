/* import_ftrace_raw.h - binary trace events as lines of text: import_ftrace_raw.c. */
#ifndef NESTWALK_TRACES_IMPORT_FTRACE_RAW_H
#define NESTWALK_TRACES_IMPORT_FTRACE_RAW_H

#include <nestwalk/traces/input.h>

struct nw_ftrace_raw;
/* A directory with header_page, formats and pages. NW_ERR_INPUT: it lacks one, or a first page is broken. */
enum nw_status nw_ftrace_raw_open(struct nw_ftrace_raw **out, const char *path, struct nw_error *err) NW_MUST_USE;
void nw_ftrace_raw_close(struct nw_ftrace_raw *r); /* NULL is allowed */
enum nw_status nw_ftrace_raw_rewind(struct nw_ftrace_raw *r, struct nw_error *err) NW_MUST_USE;
/* The next event as a line, valid until the next call, and the file that it is from; *line NULL at the end. */
enum nw_status nw_ftrace_raw_line(struct nw_ftrace_raw *r, const char **line, struct nw_input **input,
                                  struct nw_error *err) NW_MUST_USE;

#endif
