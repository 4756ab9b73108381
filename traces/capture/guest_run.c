#include "guest_run.h"

#include "host_world.h"
#include "load.h"
#include <nestwalk/base/addr.h>
#include <nestwalk/base/bits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { OPERATIONS_MAX = 1 << 30 };

double guest_now_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- time ---- */

bool guest_out_of_time(const struct guest_run *g)
{
    return g->o->timeout_seconds > 0 && guest_now_seconds() - g->started > g->o->timeout_seconds;
}

bool guest_progress(struct guest_run *g, const char *stage)
{
    double now = guest_now_seconds();
    const struct nw_capture_result *r = g->result;
    if (now - g->shown < 0.1)
        return !g->stop_asked;
    g->shown = now;
    struct nw_capture_progress p = { stage, r->instructions, g->o->instructions_max, r->fetches + r->loads + r->stores,
                                     now - g->started };
    if (g->o->progress && !g->o->progress(g->o->context, &p))
        g->stop_asked = true;
    return !g->stop_asked;
}

/* ---- the guest, unstepped ---- */

enum nw_status guest_panicked(const struct vm *vm, uint32_t value, struct nw_error *err)
{
    const struct nwg_param *p = guest_param(vm);
    switch (value >> 24) {
    case NWG_PANIC_EXCEPTION:
        return nw_fail(err, NW_ERR_INTERNAL, "guest: exception %llu, error code %#llx, at RIP %#llx (CR2 %#llx)",
                       (unsigned long long)p->panic_vector, (unsigned long long)p->panic_error,
                       (unsigned long long)p->panic_rip, (unsigned long long)p->panic_cr2);
    case NWG_PANIC_MEMORY: return nw_fail(err, NW_ERR_INTERNAL, "guest: out of memory");
    case NWG_PANIC_LIMIT: return nw_fail(err, NW_ERR_INTERNAL, "guest: out of mappings or processes");
    default: return nw_fail(err, NW_ERR_INTERNAL, "guest: gave up for reason %u", value >> 24);
    }
}

enum nw_status guest_run_free(struct guest_run *g, struct vm *vm, const char *stage, uint16_t *port, uint32_t *value,
                              bool *ended, struct nw_error *err)
{
    *ended = false;
    for (;;) {
        enum vm_exit exit;
        enum nw_status s = vm_run(vm, &exit, value, err);
        if (s)
            return s;
        if (exit == VM_EXIT_HALT)
            return nw_fail(err, NW_ERR_INTERNAL, "guest at RIP %#llx: halted", (unsigned long long)vm->regs->rip);
        if (exit == VM_EXIT_OUT) {
            *port = vm->run->io.port;
            return *port == NWG_PORT_PANIC ? guest_panicked(vm, *value, err) : NW_OK;
        }
        bool enough = false;
        if (g->pause && (s = g->pause(g->pause_context, &enough, err)))
            return s;
        if (enough || !guest_progress(g, stage) || guest_out_of_time(g)) {
            *ended = true;
            return NW_OK;
        }
    }
}

enum nw_status guest_run_to_begin(struct guest_run *g, struct vm *vm, struct nw_error *err)
{
    uint16_t port = 0;
    uint32_t value = 0;
    bool ended = false;
    enum nw_status s = guest_load(vm, &g->param, err);
    if (!s)
        s = guest_run_free(g, vm, "boot and build", &port, &value, &ended, err);
    if (s)
        return s;
    if (ended && g->stop_asked)
        return nw_fail(err, NW_ERR_INTERRUPTED,
                       "stopped while the guest was still building its data; there is no trace");
    if (ended)
        return nw_fail(err, NW_ERR_ENV,
                       "the guest was still building its data after %.0f s: allow more time or choose a smaller size",
                       g->o->timeout_seconds);
    if (port != NWG_PORT_MARKER || value >> 24 != NWG_MARKER_BEGIN)
        return nw_fail(err, NW_ERR_INTERNAL, "guest: marker %#x on port %#x before its region of interest", value,
                       port);
    return NW_OK;
}

enum nw_status guest_run_to_done(struct guest_run *g, struct vm *vm, struct nw_error *err)
{
    uint16_t port = 0;
    uint32_t value;
    bool ended = false;
    enum nw_status s = NW_OK;
    while (!s && !ended && port != NWG_PORT_DONE)
        s = guest_run_free(g, vm, "finish", &port, &value, &ended, err);
    if (s || ended)
        return s;
    g->result->checksum = guest_param(vm)->checksum;
    if (g->result->checksum != g->expected)
        return nw_fail(err, NW_ERR_INTERNAL, "guest: workload %s computed %#llx, the host computed %#llx",
                       g->workload->name, (unsigned long long)g->result->checksum, (unsigned long long)g->expected);
    g->result->checksum_verified = true;
    return NW_OK;
}

static enum nw_status options_check(struct guest_run *g, struct nw_error *err)
{
    const struct nw_capture_options *o = g->o;
    char known[256] = "";
    for (unsigned i = 0; i < wl_count; i++) {
        if (o->workload && !strcmp(o->workload, wl_table[i].name))
            g->workload = &wl_table[i];
        snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", i ? ", " : "", wl_table[i].name);
    }
    if (!g->workload)
        return nw_fail(err, NW_ERR_USAGE, "no workload '%s'; there are: %s", o->workload ? o->workload : "", known);
    g->param.workload = (uint64_t)(g->workload - wl_table);
    g->param.size = o->size ? o->size : g->workload->default_size;
    g->param.operations = o->operations ? o->operations : g->workload->default_operations;
    g->param.seed = o->seed;
    g->param.large_pages = o->large_pages;
    /* The host's run touches all of it, and then the guest does. */
    uint64_t max = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) / 2;
    if (g->param.size < g->workload->min_size || g->param.size > max)
        return nw_fail(err, NW_ERR_USAGE,
                       "workload %s: size %llu bytes; allowed are %llu to %llu, half of this machine's memory",
                       g->workload->name, (unsigned long long)g->param.size, (unsigned long long)g->workload->min_size,
                       (unsigned long long)max);
    if (g->param.operations > OPERATIONS_MAX)
        return nw_fail(err, NW_ERR_USAGE, "workload %s: %llu operations; at most %d are allowed", g->workload->name,
                       (unsigned long long)g->param.operations, OPERATIONS_MAX);
    return NW_OK;
}

/* The host's run says what the result must be and how much memory the guest needs: twice the heap (tables, rounding to large
 * pages), every process's mappings, and room for the kernel. All of it is backed only when touched. */
static enum nw_status oracle(struct guest_run *g, struct nw_error *err)
{
    uint64_t heap = 0;
    enum nw_status s =
        host_world_run(g->workload, g->param.size, g->param.operations, g->param.seed, &g->expected, &heap, err);
    g->memory_bytes =
        nw_align_up((UINT64_C(64) << 20) + 2 * heap + WL_PROCESSES_MAX * g->param.size, UINT64_C(1) << NW_PAGE_2M_LOG2);
    return s;
}

enum nw_status guest_prepare(struct guest_run *g, const struct nw_capture_options *o, struct nw_capture_result *result,
                             struct nw_error *err)
{
    memset(result, 0, sizeof *result);
    *g = (struct guest_run){ .o = o, .result = result, .started = guest_now_seconds() };
    g->shown = g->started;
    vm_backend_detect(result->kvm_backend, sizeof result->kvm_backend);
    enum nw_status s = options_check(g, err);
    return s ? s : oracle(g, err);
}
