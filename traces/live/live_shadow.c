/* Runs one program on KVM: exits, the host's actions, time limits. */
#include "live_internal.h"
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

enum { TIMEOUT_SECONDS = 10, SLOT_PAGES = (int)(LIVE_BYTES >> 12) };

struct run {
    const struct nw_kvm_program *program;
    const struct nw_kvm_watcher *watcher;
    const struct nw_live_shadow_options *options;
    struct vm vm;
    struct statistics statistics;
    uint8_t *second; /* the second slot's memory */
    unsigned slot_flags;
    double timeout, marker_seconds;
    bool stopped, ended;
};

static double now_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- what the host does ------------------------------------------------------------------------------------- */

static enum nw_status drop(struct run *r, const struct nw_kvm_action *a, struct nw_error *err)
{
    int advice = r->program->large_backing ? MADV_DONTNEED : MADV_REMOVE;
    if (a->bytes && madvise(r->vm.memory + a->gpa, a->bytes, advice))
        return nw_fail_errno(err, NW_ERR_ENV, errno, "cannot drop guest memory at 0x%llx", (unsigned long long)a->gpa);
    return NW_OK;
}

static enum nw_status protect(struct run *r, const struct nw_kvm_action *a, struct nw_error *err)
{
    int rights = a->kind == NW_KVM_ACTION_READ_ONLY ? PROT_READ : PROT_READ | PROT_WRITE;
    if (a->bytes && mprotect(r->vm.memory + a->gpa, a->bytes, rights))
        return nw_fail_errno(err, NW_ERR_ENV, errno, "cannot protect guest memory at 0x%llx",
                             (unsigned long long)a->gpa);
    return NW_OK;
}

static enum nw_status dirty_log(struct run *r, struct nw_error *err)
{
    uint64_t *bitmap = calloc(SLOT_PAGES / 64, sizeof *bitmap);
    if (!bitmap)
        return nw_fail_nomem(err, "a dirty log");
    struct kvm_dirty_log log = { .slot = 0, .dirty_bitmap = bitmap };
    int failed = ioctl(r->vm.vm, KVM_GET_DIRTY_LOG, &log), reason = errno;
    free(bitmap);
    if (failed && reason != ENOENT) /* that is a slot without logging */
        return nw_fail_errno(err, NW_ERR_ENV, reason, "KVM_GET_DIRTY_LOG");
    return NW_OK;
}

static enum nw_status second_slot(struct run *r, bool add, struct nw_error *err)
{
    if (add && !r->second && !(r->second = live_memory_map(LIVE_SECOND_SIZE, false, err)))
        return NW_ERR_NOMEM;
    return vm_slot_set(&r->vm, 1, 0, LIVE_SECOND_SLOT, add ? LIVE_SECOND_SIZE : 0, r->second, err);
}

static enum nw_status act(struct run *r, const struct nw_kvm_action *a, struct nw_error *err)
{
    struct kvm_sregs sregs;
    enum nw_status s;
    switch ((enum nw_kvm_action_kind)a->kind) {
    case NW_KVM_ACTION_DROP: return drop(r, a, err);
    case NW_KVM_ACTION_READ_ONLY:
    case NW_KVM_ACTION_READ_WRITE: return protect(r, a, err);
    case NW_KVM_ACTION_DIRTY_LOG: return dirty_log(r, err);
    case NW_KVM_ACTION_SLOT_FLAGS:
        r->slot_flags = a->gpa & 1 ? KVM_MEM_LOG_DIRTY_PAGES : 0;
        return vm_slot_set(&r->vm, 0, r->slot_flags, 0, LIVE_BYTES, r->vm.memory, err);
    case NW_KVM_ACTION_SLOT: return second_slot(r, !a->gpa, err);
    case NW_KVM_ACTION_SREGS:
        if ((s = vm_sregs_get(&r->vm, &sregs, err)))
            return s;
        sregs.cr3 = a->gpa;
        return vm_sregs_set(&r->vm, &sregs, err);
    }
    return nw_fail(err, NW_ERR_INPUT, "host action %llu does not exist; 1 to 7 do", (unsigned long long)a->kind);
}

/* ---- exits -------------------------------------------------------------------------------------------------- */

static enum nw_status tell_segment(struct run *r, uint64_t marker, bool action, struct nw_error *err)
{
    struct nw_kvm_counters counters;
    enum nw_status s = statistics_read(&r->statistics, &counters, err);
    if (!s && r->watcher->segment && !r->watcher->segment(r->watcher->context, marker, action, &counters))
        r->stopped = true;
    r->marker_seconds = now_seconds(); /* the watcher's time is not the guest's */
    return s;
}

static enum nw_status marker(struct run *r, struct nw_error *err)
{
    const struct nw_kvm_program *p = r->program;
    uint64_t index = (r->vm.regs->rbx - LIVE_OPS) / LIVE_OP_BYTES;
    if (index >= p->op_count || p->op[index].code != NW_KVM_OP_MARKER)
        return nw_fail(err, NW_ERR_ENV, "the guest reports a marker at operation %llu, which is none",
                       (unsigned long long)index);
    uint64_t number = p->op[index].a;
    enum nw_status s = tell_segment(r, number, false, err);
    for (size_t i = 0; i < p->action_count && !s && !r->stopped; i++)
        if (p->action[i].marker == number && !(s = act(r, &p->action[i], err)))
            s = tell_segment(r, number, true, err);
    return s;
}

static enum nw_status port(struct run *r, struct nw_error *err)
{
    const struct kvm_run *run = r->vm.run;
    uint16_t number = run->io.port;
    uint32_t value = 0;
    if (run->io.direction == KVM_EXIT_IO_OUT && run->io.size == 4)
        memcpy(&value, (const uint8_t *)run + run->io.data_offset, sizeof value);
    enum nw_status s = vm_out_complete(&r->vm, err);
    if (s)
        return s;
    switch (number) {
    case LIVE_PORT_MARKER: return marker(r, err);
    case LIVE_PORT_END: r->ended = true; return NW_OK;
    case LIVE_PORT_LOST:
        return nw_fail(err, NW_ERR_ENV, "the guest took exception %u, which no operation should raise", value);
    default: return nw_fail(err, NW_ERR_ENV, "the guest used port 0x%x, which means nothing", number);
    }
}

/* Also called when nothing happened but time. */
static enum nw_status look_at_clock(struct run *r, struct nw_error *err)
{
    if (r->options->keep_going && !r->options->keep_going(r->options->context))
        return nw_fail(err, NW_ERR_INTERRUPTED, "interrupted");
    if (now_seconds() - r->marker_seconds > r->timeout)
        return nw_fail(err, NW_ERR_ENV, "the guest did not reach its next marker within %g s (RIP 0x%llx)", r->timeout,
                       (unsigned long long)r->vm.regs->rip);
    return NW_OK;
}

static enum nw_status take_exit(struct run *r, struct nw_error *err)
{
    struct kvm_run *run = r->vm.run;
    switch (run->exit_reason) {
    case KVM_EXIT_IO: return port(r, err);
    case KVM_EXIT_INTR: return look_at_clock(r, err);
    case KVM_EXIT_MMIO: memset(run->mmio.data, 0, sizeof run->mmio.data); return NW_OK; /* nothing is there */
    case KVM_EXIT_SHUTDOWN: return nw_fail(err, NW_ERR_ENV, "the guest ended in a triple fault");
    case KVM_EXIT_INTERNAL_ERROR:
        return nw_fail(err, NW_ERR_ENV, "KVM could not go on with the guest (KVM_EXIT_INTERNAL_ERROR, suberror %u)",
                       run->internal.suberror);
    default: return nw_fail(err, NW_ERR_ENV, "unexpected KVM exit %u", run->exit_reason);
    }
}

static enum nw_status run_guest(struct run *r, struct nw_error *err)
{
    r->marker_seconds = now_seconds();
    while (!r->stopped && !r->ended) {
        int failed = ioctl(r->vm.vcpu, KVM_RUN, 0), reason = errno;
        if (failed && reason != EINTR && reason != EAGAIN)
            return nw_fail_errno(err, NW_ERR_ENV, reason, "KVM_RUN");
        if (!r->vm.synced && ioctl(r->vm.vcpu, KVM_GET_REGS, r->vm.regs))
            return nw_fail_errno(err, NW_ERR_ENV, errno, "KVM_GET_REGS");
        enum nw_status s = failed ? look_at_clock(r, err) : take_exit(r, err);
        if (s)
            return s;
    }
    return NW_OK;
}

/* ---- one run ------------------------------------------------------------------------------------------------ */

static enum nw_status set_up(struct run *r, struct nw_error *err)
{
    const struct nw_kvm_program *p = r->program;
    uint8_t *memory = live_memory_map(LIVE_BYTES, p->large_backing, err);
    if (!memory)
        return NW_ERR_NOMEM;
    live_load(memory, p);
    r->slot_flags = p->dirty_logging ? KVM_MEM_LOG_DIRTY_PAGES : 0;
    enum nw_status s = vm_create_over(&r->vm, memory, LIVE_BYTES, r->slot_flags, err);
    if (!s && p->max_mmu_pages && ioctl(r->vm.vm, KVM_SET_NR_MMU_PAGES, (unsigned long)p->max_mmu_pages))
        s = nw_fail_errno(err, NW_ERR_ENV, errno, "KVM_SET_NR_MMU_PAGES");
    if (!s)
        s = statistics_open(&r->statistics, &r->vm, err);
    return s ? s : live_registers_set(&r->vm, p, err);
}

enum nw_status nw_live_shadow_run(const struct nw_kvm_program *program, const struct nw_kvm_watcher *watcher,
                                  const struct nw_live_shadow_options *options, struct nw_error *err)
{
    struct run r = { .program = program, .watcher = watcher, .options = options, .statistics.fd = { -1, -1 } };
    r.timeout = options->timeout_seconds > 0 ? options->timeout_seconds : TIMEOUT_SECONDS;
    struct nw_live_shadow_host host;
    enum nw_status s = nw_live_shadow_check(program, err);
    if (s || (s = nw_live_shadow_probe(&host, err)))
        return s;
    /* On another processor KVM would flush the guest's TLB, and count it. */
    cpu_set_t before, here;
    bool pinned = !sched_getaffinity(0, sizeof before, &before);
    CPU_ZERO(&here);
    CPU_SET((size_t)sched_getcpu(), &here);
    pinned = pinned && !sched_setaffinity(0, sizeof here, &here);
    s = set_up(&r, err);
    if (!s)
        s = run_guest(&r, err);
    statistics_close(&r.statistics);
    vm_destroy(&r.vm);
    if (r.second)
        munmap(r.second, LIVE_SECOND_SIZE);
    if (pinned)
        sched_setaffinity(0, sizeof before, &before);
    return s;
}
