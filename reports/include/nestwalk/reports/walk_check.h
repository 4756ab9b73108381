/* walk_check.h - a check of KVM's walks (sim/walk_check.h) as JSON: { "holds", "regimes": [{ "name", "points", "median_error_percent",
 * "max_error_percent", "claim", "holds" }], "points": [{ "regime", "entries", "walks" }], "walks", "entries", "differing", "difference" }. */
#ifndef NESTWALK_REPORTS_WALK_CHECK_H
#define NESTWALK_REPORTS_WALK_CHECK_H

#include <nestwalk/sim/walk_check.h>

/* free() it. */
enum nw_status nw_walk_check_json_text(const struct nw_walk_check *c, char **out, struct nw_error *err) NW_MUST_USE;

#endif
