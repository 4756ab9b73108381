/* host_world.h - runs a workload on the host: what the guest's checksum must be, and how much memory it allocates. */
#ifndef NESTWALK_CAPTURE_HOST_WORLD_H
#define NESTWALK_CAPTURE_HOST_WORLD_H

#include "workload.h"
#include <nestwalk/base/status.h>

enum nw_status host_world_run(const struct wl_entry *workload, uint64_t size, uint64_t operations, uint64_t seed,
                              uint64_t *checksum, uint64_t *heap_bytes, struct nw_error *err) NW_MUST_USE;

#endif
