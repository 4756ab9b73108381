/* memory_source.h - accesses and events in arrays, as a source: for tests, and for callers that made a trace themselves.
 *
 *     uint64_t gva[] = { 0x1000, 0x2008 };
 *     uint8_t kind[] = { nw_kind_make(NW_LOAD, 8, true), nw_kind_make(NW_STORE, 4, true) };
 *     struct nw_event ev[] = { { .at = 1, .kind = NW_EV_INVLPG, .arg = { 0x1000 } } };
 *     s = nw_memory_source_create(&src, NULL, gva, kind, 2, ev, 1, 0, err); */
#ifndef NESTWALK_TRACES_MEMORY_SOURCE_H
#define NESTWALK_TRACES_MEMORY_SOURCE_H

#include <nestwalk/traces/block.h>

/* Everything but `info` (copied; NULL = nw_trace_info_init's) is borrowed and must outlive the source. `kind` NULL: 8-byte loads
 * by a user. An event's `at` counts from the first access of the array; events are in order; one that lies between two blocks
 * comes at the end of the earlier one. `block_accesses` = 0: NW_BLOCK_ACCESSES_MAX. */
enum nw_status nw_memory_source_create(struct nw_source **out, const struct nw_trace_info *info,
                                       const uint64_t *address, const uint8_t *kind, size_t access_count,
                                       const struct nw_event *event, size_t event_count, uint32_t block_accesses,
                                       struct nw_error *err) NW_MUST_USE;

#endif
