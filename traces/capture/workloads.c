/* workloads.c - what can be captured and with which options: the same on every host. */
#include "workload.h"
#include <nestwalk/traces/capture.h>
#include <string.h>

bool nw_capture_workload(size_t index, struct nw_capture_workload *out)
{
    if (index >= wl_count)
        return false;
    const struct wl_entry *w = &wl_table[index];
    *out = (struct nw_capture_workload){ .name = w->name,
                                         .doc = w->doc,
                                         .default_size = w->default_size,
                                         .min_size = w->min_size,
                                         .default_operations = w->default_operations,
                                         .operation = w->operation };
    return true;
}

void nw_capture_defaults(struct nw_capture_options *o)
{
    memset(o, 0, sizeof *o);
    o->seed = 42;
    o->instructions_max = 1000000;
    o->timeout_seconds = 120;
}
