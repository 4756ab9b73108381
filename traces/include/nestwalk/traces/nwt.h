/* nwt.h - the .nwt trace container: writer, reader, verification, repair. The format is specified in docs/trace-format.md.
 *
 *     struct nw_nwt_writer *w;
 *     if ((s = nw_nwt_writer_create(&w, "a.nwt", &info, err))) return s;
 *     for (...) if ((s = nw_nwt_write_access(w, gva, kind, err))) goto out;      // or nw_nwt_write_event
 *     s = nw_nwt_writer_close(w, err);   // writes the index, renames the temporary file into place
 *
 * Readers never trust a file: every failure is NW_ERR_INPUT with file, block and offset. */
#ifndef NESTWALK_TRACES_NWT_H
#define NESTWALK_TRACES_NWT_H

#include <nestwalk/traces/block.h>

struct nw_nwt_writer;

/* Writes to a temporary name beside `path` and renames on close. The info is copied; `instructions` may be set before close. */
enum nw_status nw_nwt_writer_create(struct nw_nwt_writer **out, const char *path, const struct nw_trace_info *info,
                                    struct nw_error *err) NW_MUST_USE;
enum nw_status nw_nwt_write_access(struct nw_nwt_writer *w, uint64_t gva, uint8_t kind,
                                   struct nw_error *err) NW_MUST_USE;
/* `event->at` is ignored: the event comes after all accesses written so far. */
enum nw_status nw_nwt_write_event(struct nw_nwt_writer *w, const struct nw_event *event,
                                  struct nw_error *err) NW_MUST_USE;
/* Appends a block's accesses (it must have addresses) and events. */
enum nw_status nw_nwt_write_block(struct nw_nwt_writer *w, const struct nw_block *block,
                                  struct nw_error *err) NW_MUST_USE;
/* vCPU of the following accesses; 0 at the start. */
enum nw_status nw_nwt_write_vcpu(struct nw_nwt_writer *w, uint16_t vcpu, struct nw_error *err) NW_MUST_USE;
void nw_nwt_writer_set_instructions(struct nw_nwt_writer *w, uint64_t instructions);
enum nw_status nw_nwt_writer_close(struct nw_nwt_writer *w, struct nw_error *err) NW_MUST_USE; /* frees w in any case */
void nw_nwt_writer_abandon(struct nw_nwt_writer *w); /* removes the temporary file */

/* A file as a source. Streams: one block in memory at a time; in-page offsets are neither read nor decoded when only touches
 * are wanted, and only events are when `want` is 0. `want` may be changed between blocks. */
enum nw_status nw_nwt_open(struct nw_source **out, const char *path, struct nw_error *err) NW_MUST_USE;

/* The next block of a source made by nw_nwt_open is the one that holds `access` (the end, when there is none). Events that lie
 * between two blocks belong to the earlier one. NW_ERR_USAGE for any other source. */
enum nw_status nw_nwt_seek(struct nw_source *source, uint64_t access, struct nw_error *err) NW_MUST_USE;

/* Summary from header and index alone, without decoding the blocks. */
struct nw_nwt_summary {
    uint64_t file_bytes, blocks, accesses, events;
    uint64_t fetches, loads, stores;
    uint16_t version;
    bool index_present; /* false: the file was cut; `trace repair` rebuilds the index */
};
enum nw_status nw_nwt_summarise(const char *path, struct nw_nwt_summary *out, struct nw_trace_info *info,
                                struct nw_error *err) NW_MUST_USE; /* info may be NULL; else nw_trace_info_fini it */

/* Reads everything and checks every checksum, count and enumeration. */
enum nw_status nw_nwt_verify(const char *path, struct nw_nwt_summary *out, struct nw_error *err) NW_MUST_USE;

/* Writes `to` with all whole, valid leading blocks of `from` and a new index. to == from is allowed (temporary name, renamed).
 * *kept and *lost_bytes say what became of it. A file whose header is unreadable cannot be repaired: NW_ERR_INPUT. */
enum nw_status nw_nwt_repair(const char *from, const char *to, struct nw_nwt_summary *kept, uint64_t *lost_bytes,
                             struct nw_error *err) NW_MUST_USE;

/* SHA-256 of the file as 64 hex digits and a NUL: what results remember as trace_sha256. */
enum nw_status nw_file_sha256(const char *path, char out[65], struct nw_error *err) NW_MUST_USE;
/* The same of bytes in memory. */
void nw_bytes_sha256(const void *bytes, size_t count, char out[65]);

#endif
