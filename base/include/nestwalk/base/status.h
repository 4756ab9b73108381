/* status.h - our own failures. Architectural faults are results of a model, never of this type.
 *
 *     struct nw_error err = { 0 };
 *     enum nw_status s = nw_trace_open(path, &reader, &err);
 *     if (s != NW_OK) { fprintf(stderr, "nestwalk: %s\n", err.text); return nw_status_exit_code(s); }
 *
 * The site that detects a failure fills `struct nw_error` once with what, where (file, line, block, offset) and what is
 * allowed; callers above add only what they alone know, with nw_error_context(). A NULL `err` is always allowed. */
#ifndef NESTWALK_BASE_STATUS_H
#define NESTWALK_BASE_STATUS_H

#include <nestwalk/base/compiler.h>
#include <stdarg.h>

enum nw_status {
    NW_OK = 0,
    NW_ERR_USAGE, /* the caller asked for something that does not exist or make sense (an unknown option or path) */
    NW_ERR_INPUT, /* a file, value or record is malformed */
    NW_ERR_IO,    /* the operating system refused to read or write */
    NW_ERR_NOMEM, /* memory could not be had */
    NW_ERR_ENV,   /* the environment lacks something: no /dev/kvm, no permission, no tracefs */
    NW_ERR_UNSUPPORTED, /* well-formed, understood, and not something this build models */
    NW_ERR_INTERRUPTED, /* the user asked to stop */
    NW_ERR_INTERNAL,    /* a bug of ours */
};

struct nw_error {
    enum nw_status status;
    char text[1024]; /* one line, no trailing newline */
};

/* Fills *err (when not NULL) and returns `status`, so that `return nw_fail(err, NW_ERR_INPUT, "...")` reads well. */
enum nw_status nw_fail(struct nw_error *err, enum nw_status status, const char *format, ...) NW_PRINTF(3, 4);
enum nw_status nw_fail_v(struct nw_error *err, enum nw_status status, const char *format, va_list ap) NW_PRINTF(3, 0);

/* nw_fail() with ": " and the text of errno appended. */
enum nw_status nw_fail_errno(struct nw_error *err, enum nw_status status, int errnum, const char *format, ...)
    NW_PRINTF(4, 5);

/* Out of memory while making `what`. */
enum nw_status nw_fail_nomem(struct nw_error *err, const char *what);

/* Puts "context: " in front of the text already there. */
void nw_error_context(struct nw_error *err, const char *format, ...) NW_PRINTF(2, 3);

/* The exit status of the command surface: 0 success, 2 usage, 3 bad input, 4 internal or environment failure. */
int nw_status_exit_code(enum nw_status status);

#endif
