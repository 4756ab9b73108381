/* The guest of the live checks from marker to marker: exits and time limits. */
#include "machine.h"
#include "live_internal.h"
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

static double now_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static enum nw_status marker(struct live_machine *m, struct nw_error *err)
{
    const struct nw_kvm_program *p = m->program;
    uint64_t index = (m->vm.regs->rbx - LIVE_OPS) / LIVE_OP_BYTES;
    if (index >= p->op_count || p->op[index].code != NW_KVM_OP_MARKER)
        return nw_fail(err, NW_ERR_ENV, "the guest reports a marker at operation %llu, which is none",
                       (unsigned long long)index);
    enum nw_status s = m->at_marker(m->context, p->op[index].a, err);
    m->marker_seconds = now_seconds(); /* the host's time is not the guest's */
    return s;
}

static enum nw_status port(struct live_machine *m, struct nw_error *err)
{
    const struct kvm_run *run = m->vm.run;
    uint16_t number = run->io.port;
    uint32_t value = 0;
    if (run->io.direction == KVM_EXIT_IO_OUT && run->io.size == 4)
        memcpy(&value, (const uint8_t *)run + run->io.data_offset, sizeof value);
    enum nw_status s = vm_out_complete(&m->vm, err);
    if (s)
        return s;
    switch (number) {
    case LIVE_PORT_MARKER: return marker(m, err);
    case LIVE_PORT_END: m->ended = true; return NW_OK;
    case LIVE_PORT_LOST:
        return nw_fail(err, NW_ERR_ENV, "the guest took exception %u, which no operation should raise", value);
    default: return nw_fail(err, NW_ERR_ENV, "the guest used port 0x%x, which means nothing", number);
    }
}

/* Also called when nothing happened but time. */
static enum nw_status look_at_clock(struct live_machine *m, struct nw_error *err)
{
    if (m->keep_going && !m->keep_going(m->keep_context))
        return nw_fail(err, NW_ERR_INTERRUPTED, "interrupted");
    if (now_seconds() - m->marker_seconds > m->timeout)
        return nw_fail(err, NW_ERR_ENV, "the guest did not reach its next marker within %g s (RIP 0x%llx)", m->timeout,
                       (unsigned long long)m->vm.regs->rip);
    return NW_OK;
}

static enum nw_status take_exit(struct live_machine *m, struct nw_error *err)
{
    struct kvm_run *run = m->vm.run;
    switch (run->exit_reason) {
    case KVM_EXIT_IO: return port(m, err);
    case KVM_EXIT_INTR: return look_at_clock(m, err);
    case KVM_EXIT_MMIO: memset(run->mmio.data, 0, sizeof run->mmio.data); return NW_OK; /* nothing is there */
    case KVM_EXIT_SHUTDOWN: return nw_fail(err, NW_ERR_ENV, "the guest ended in a triple fault");
    case KVM_EXIT_INTERNAL_ERROR:
        return nw_fail(err, NW_ERR_ENV, "KVM could not go on with the guest (KVM_EXIT_INTERNAL_ERROR, suberror %u)",
                       run->internal.suberror);
    default: return nw_fail(err, NW_ERR_ENV, "unexpected KVM exit %u", run->exit_reason);
    }
}

enum nw_status live_machine_run(struct live_machine *m, struct nw_error *err)
{
    m->marker_seconds = now_seconds();
    while (!m->stopped && !m->ended) {
        if (m->before)
            m->before(m->context);
        int failed = ioctl(m->vm.vcpu, KVM_RUN, 0), reason = errno;
        if (m->after)
            m->after(m->context);
        if (failed && reason != EINTR && reason != EAGAIN)
            return nw_fail_errno(err, NW_ERR_ENV, reason, "KVM_RUN");
        if (!m->vm.synced && ioctl(m->vm.vcpu, KVM_GET_REGS, m->vm.regs))
            return nw_fail_errno(err, NW_ERR_ENV, errno, "KVM_GET_REGS");
        enum nw_status s = failed ? look_at_clock(m, err) : take_exit(m, err);
        if (s)
            return s;
    }
    return NW_OK;
}

bool live_pin(cpu_set_t *before)
{
    cpu_set_t here;
    CPU_ZERO(&here);
    CPU_SET((size_t)sched_getcpu(), &here);
    return !sched_getaffinity(0, sizeof *before, before) && !sched_setaffinity(0, sizeof here, &here);
}

void live_unpin(bool pinned, const cpu_set_t *before)
{
    if (pinned)
        sched_setaffinity(0, sizeof *before, before);
}
