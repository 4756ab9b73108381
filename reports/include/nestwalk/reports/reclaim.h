/* reclaim.h - faults of replacement policies as JSON. */
#ifndef NESTWALK_REPORTS_RECLAIM_H
#define NESTWALK_REPORTS_RECLAIM_H

#include <nestwalk/base/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nw_reclaim_row {
    const char *policy;
    uint64_t frames, accesses, faults;
};

/* `{ "results": [{ "policy", "frames", "accesses", "faults" }] }`; not `several`: `{ "accesses", "faults" }` of the only row. free() it. */
enum nw_status nw_reclaim_json_text(const struct nw_reclaim_row *row, size_t count, bool several, char **out,
                                    struct nw_error *err) NW_MUST_USE;

#endif
