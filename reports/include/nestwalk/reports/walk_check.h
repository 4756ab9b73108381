/* walk_check.h - the checks of a live capture as JSON: KVM's walks (sim/walk_check.h), and the pages under capture and at native speed
 * (traces/same_pages.h).
 *
 * { "holds", "regimes": [{ "name", "points", "median_error_percent", "max_error_percent", "claim", "holds" }],
 *   "points": [{ "regime", "entries", "walks" }], "walks", "entries", "differing", "difference",
 *   "same_pages": { "instructions", "order_equal", "fetched", "pages", "order_native", "order_captured", "contents_equal", "memory_pages",
 *                   "differing_pages", "contents_native", "contents_captured", "difference" } }
 * A check that was not made has no regime; its counts are null, as is what of "same_pages" could not be watched. */
#ifndef NESTWALK_REPORTS_WALK_CHECK_H
#define NESTWALK_REPORTS_WALK_CHECK_H

#include <nestwalk/sim/walk_check.h>
#include <nestwalk/traces/same_pages.h>

/* Either may be NULL: not checked. free() the text. */
enum nw_status nw_walk_check_json_text(const struct nw_walk_check *c, const struct nw_same_pages *same, char **out,
                                       struct nw_error *err) NW_MUST_USE;

#endif
