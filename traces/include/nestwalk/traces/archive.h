/* archive.h - a few files in one: tar archives in memory, compressed with zstd, read and made.
 *
 *     struct nw_archive *a;
 *     if ((s = nw_archive_begin(&a, err))) return s;
 *     s = nw_archive_put(a, "iomem", bytes, size, err);
 *     s = nw_archive_end(a, &out, &out_bytes, err);                 // free(out); frees `a` in any case
 *
 * An archive depends on nothing but the names and contents: all times are 0, and all files root's. Memory: the archive. */
#ifndef NESTWALK_TRACES_ARCHIVE_H
#define NESTWALK_TRACES_ARCHIVE_H

#include <nestwalk/base/status.h>
#include <stdbool.h>
#include <stddef.h>

/* Whether decompressed bytes are a tar archive. POSIX, "pax", "ustar Interchange Format". */
bool nw_archive_recognise(const void *bytes, size_t size);

/* Each regular file in it, in its order; others are passed over. The bytes live for the call. What `member` returns other than NW_OK ends
 * the reading. `name` is for messages. NW_ERR_INPUT: not an archive, cut short, or a member is larger than the archive itself. */
typedef enum nw_status nw_archive_member(void *context, const char *member, const void *bytes, size_t size,
                                         struct nw_error *err);
enum nw_status nw_archive_each(const void *bytes, size_t size, const char *name, nw_archive_member *member,
                               void *context, struct nw_error *err) NW_MUST_USE;

struct nw_archive;
enum nw_status nw_archive_begin(struct nw_archive **out, struct nw_error *err) NW_MUST_USE;
enum nw_status nw_archive_put(struct nw_archive *a, const char *member, const void *bytes, size_t size,
                              struct nw_error *err) NW_MUST_USE;
enum nw_status nw_archive_end(struct nw_archive *a, void **out, size_t *out_bytes, struct nw_error *err) NW_MUST_USE;
void nw_archive_drop(struct nw_archive *a); /* without an end; NULL is allowed */

#endif
