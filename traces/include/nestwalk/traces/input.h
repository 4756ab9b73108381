/* input.h - a file to read from front to back, compressed or not, with the position kept for messages.
 *
 *     struct nw_input *in;
 *     if ((s = nw_input_open(&in, "cases.jsonl.xz", err))) return s;
 *     char *line; size_t length;
 *     while (!(s = nw_input_line(in, &line, &length, err)) && line)
 *         if (!parse(line, length)) { s = nw_input_fail(in, err, "expected an object"); break; }   // "cases.jsonl.xz:17: ..."
 *     nw_input_close(in);
 *
 * gzip, xz, lzma, zstd, bzip2 and lz4 are recognised by content. Memory is constant, except for a line longer than a buffer. */
#ifndef NESTWALK_TRACES_INPUT_H
#define NESTWALK_TRACES_INPUT_H

#include <nestwalk/base/status.h>
#include <stddef.h>
#include <stdint.h>

struct nw_input;

enum { NW_INPUT_LINE_MAX = 16 << 20 }; /* longer lines are NW_ERR_INPUT */

enum nw_status nw_input_open(struct nw_input **out, const char *path, struct nw_error *err) NW_MUST_USE;
void nw_input_close(struct nw_input *in); /* NULL is allowed */

/* From the beginning again. */
enum nw_status nw_input_rewind(struct nw_input *in, struct nw_error *err) NW_MUST_USE;

/* The next line without its end ("\n" or "\r\n"), NUL-terminated, valid until the next call; *line NULL at the end of the input.
 * The last line need not have an end. The line may be changed in place. */
enum nw_status nw_input_line(struct nw_input *in, char **line, size_t *length, struct nw_error *err) NW_MUST_USE;

/* Up to `bytes` bytes; *got less than that only at the end of the input. */
enum nw_status nw_input_read(struct nw_input *in, void *to, size_t bytes, size_t *got,
                             struct nw_error *err) NW_MUST_USE;

const char *nw_input_path(const struct nw_input *in);
uint64_t nw_input_line_number(const struct nw_input *in);    /* of the line got last, 1-based */
uint64_t nw_input_offset(const struct nw_input *in);         /* bytes handed out, after decompression */
uint64_t nw_input_bytes_consumed(const struct nw_input *in); /* of the file: for progress, with nw_input_file_bytes */
uint64_t nw_input_file_bytes(const struct nw_input *in);

/* NW_ERR_INPUT with "PATH:LINE: text". */
enum nw_status nw_input_fail(const struct nw_input *in, struct nw_error *err, const char *format, ...) NW_PRINTF(3, 4);

#endif
