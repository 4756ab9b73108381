/* host.h - a machine as JSON: { "vendor", "model", "family", ..., "tlbs": [{ "level", "class", "pages", "entries", "ways", "source" }], "caches": [...],
 * "features": {...}, "hypervisor", "kvm", "huge_pages", "tsc_mhz", "core_mhz",
 * "capabilities": [text], "not_read": [text], "near_profile" }. */
#ifndef NESTWALK_REPORTS_HOST_H
#define NESTWALK_REPORTS_HOST_H

#include <nestwalk/sim/host.h>

/* free() it. */
enum nw_status nw_host_json_text(const struct nw_host *host, char **out, struct nw_error *err) NW_MUST_USE;

#endif
