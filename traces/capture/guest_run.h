/* guest_run.h - the guest kernel with one workload, run freely: its options, its oracle on the host, and the way from one OUT to the next. */
#ifndef NESTWALK_CAPTURE_GUEST_RUN_H
#define NESTWALK_CAPTURE_GUEST_RUN_H

#include "abi.h"
#include "vm.h"
#include "workload.h"
#include <nestwalk/traces/capture.h>

struct guest_run {
    const struct nw_capture_options *o;
    struct nw_capture_result *result;
    const struct wl_entry *workload;
    struct nwg_param param;
    uint64_t expected, memory_bytes; /* by the host's run */
    double started, shown;
    bool stop_asked;
    /* Called whenever the free run comes back from KVM without an OUT; *enough ends the run. NULL allowed. */
    enum nw_status (*pause)(void *context, bool *enough, struct nw_error *err);
    void *pause_context;
};

double guest_now_seconds(void);

/* Checks the options, and runs the workload on the host: what the result must be, and the memory that the guest needs. */
enum nw_status guest_prepare(struct guest_run *g, const struct nw_capture_options *o, struct nw_capture_result *result,
                             struct nw_error *err) NW_MUST_USE;
bool guest_out_of_time(const struct guest_run *g);
/* Tells how far it is; false when it is to stop. */
bool guest_progress(struct guest_run *g, const char *stage);
/* The error that the guest's last word stands for. */
enum nw_status guest_panicked(const struct vm *vm, uint32_t value, struct nw_error *err) NW_MUST_USE;
/* Runs freely to the next OUT. *ended: time, the user, or `pause` said stop. */
enum nw_status guest_run_free(struct guest_run *g, struct vm *vm, const char *stage, uint16_t *port, uint32_t *value,
                              bool *ended, struct nw_error *err) NW_MUST_USE;
/* Loads the kernel into a machine that was made with g->memory_bytes, and runs it to its region of interest. */
enum nw_status guest_run_to_begin(struct guest_run *g, struct vm *vm, struct nw_error *err) NW_MUST_USE;
/* To the end, where the checksum is. */
enum nw_status guest_run_to_done(struct guest_run *g, struct vm *vm, struct nw_error *err) NW_MUST_USE;

#endif
