/* cut.h - a piece of a trace as a trace of its own.
 *
 *     s = nw_trace_cut("long.nwt", "piece.nwt", 1000000, 50000, NULL, NULL, &summary, err);
 *
 * Pieces tile: an event belongs to the piece of the access before it, an event before the first access to the piece that starts
 * at 0. What the guest's control registers and page tables are where the piece begins goes into its header: every cr-write,
 * EFER write, cpl, table-write and table-page event before it is applied to the header's state (page tables only in a trace that
 * carries them). Other state that events build up, such as DMA mappings, is not carried. */
#ifndef NESTWALK_TRACES_CUT_H
#define NESTWALK_TRACES_CUT_H

#include <nestwalk/traces/nwt.h>

/* Applies one event to a trace's description. NW_ERR_NOMEM; NW_ERR_INPUT for a misaligned table page. */
enum nw_status nw_trace_info_apply(struct nw_trace_info *info, const struct nw_event *event,
                                   struct nw_error *err) NW_MUST_USE;

/* Called now and then with the number of accesses copied; false ends the work with NW_ERR_INTERRUPTED. */
typedef bool nw_trace_progress_fn(void *context, uint64_t done, uint64_t total);

/* Accesses [first, first + count) of `from` to a new trace `to`; `count` may reach beyond the end. NW_ERR_USAGE when the trace
 * has no access `first`. `progress` and `kept` may be NULL. */
enum nw_status nw_trace_cut(const char *from, const char *to, uint64_t first, uint64_t count,
                            nw_trace_progress_fn *progress, void *context, struct nw_nwt_summary *kept,
                            struct nw_error *err) NW_MUST_USE;

/* The part of `block` that a piece [first, first + count) has: accesses [*from, *to) and events [*event_from, *event_to). False
 * when it has none. */
bool nw_trace_piece_of(const struct nw_block *block, uint64_t first, uint64_t count, uint32_t *from, uint32_t *to,
                       uint32_t *event_from, uint32_t *event_to);

#endif
