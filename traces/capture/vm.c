#include "vm.h"
#include "vm_ring.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    TICK_NS = 100 * 1000 * 1000,
    NS_PER_SECOND = 1000 * 1000 * 1000,
    CPUID_MAX = 256,
    CPUID_ADDRESS_SIZES = (int)0x80000008
};

static void on_tick(int signal) { (void)signal; }

enum nw_status vm_tick_set(struct vm *vm, uint64_t ns, struct nw_error *err)
{
    const struct timespec each = { (time_t)(ns / NS_PER_SECOND), (long)(ns % NS_PER_SECOND) };
    const struct itimerspec period = { each, each };
    if (timer_settime(vm->timer, 0, &period, NULL))
        return nw_fail_errno(err, NW_ERR_ENV, errno, "capture: cannot start a timer");
    return NW_OK;
}

/* KVM_RUN returns EINTR when a signal arrives: a periodic one bounds how long the thread can be away. */
static enum nw_status ticks_start(struct vm *vm, struct nw_error *err)
{
    struct sigaction action = { .sa_handler = on_tick };
    vm->tick_signal = SIGRTMIN;
    struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = vm->tick_signal };
    event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
    if (sigaction(vm->tick_signal, &action, &vm->old_action))
        return nw_fail_errno(err, NW_ERR_ENV, errno, "capture: cannot handle signal %d", vm->tick_signal);
    if (timer_create(CLOCK_MONOTONIC, &event, &vm->timer)) {
        int e = errno;
        sigaction(vm->tick_signal, &vm->old_action, NULL);
        return nw_fail_errno(err, NW_ERR_ENV, e, "capture: cannot make a timer");
    }
    vm->ticking = true;
    return vm_tick_set(vm, TICK_NS, err);
}

static void ticks_stop(struct vm *vm)
{
    if (!vm->ticking)
        return;
    timer_delete(vm->timer);
    /* One may be pending still: with the handler gone it would end the process. */
    sigset_t set, old;
    struct timespec none = { 0, 0 };
    sigemptyset(&set);
    sigaddset(&set, vm->tick_signal);
    pthread_sigmask(SIG_BLOCK, &set, &old);
    while (sigtimedwait(&set, NULL, &none) > 0)
        ;
    sigaction(vm->tick_signal, &vm->old_action, NULL);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    vm->ticking = false;
}

static enum nw_status kvm_open(struct vm *vm, struct nw_error *err)
{
    vm->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (vm->kvm < 0) {
        const char *hint =
            errno == ENOENT   ? "a live guest needs a kernel with KVM (x86 virtualization enabled, kvm modules loaded)"
            : errno == EACCES ? "a live guest needs read and write permission on it (usually: membership of group kvm)"
                              : "a live guest needs it";
        return nw_fail_errno(err, NW_ERR_ENV, errno, "/dev/kvm cannot be opened; %s", hint);
    }
    if (ioctl(vm->kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
        return nw_fail(err, NW_ERR_ENV, "/dev/kvm: API version is not %d", KVM_API_VERSION);
    static const struct {
        int capability;
        const char *name;
    } needed[] = { { KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY" },
                   { KVM_CAP_SET_GUEST_DEBUG, "KVM_CAP_SET_GUEST_DEBUG" },
                   { KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT" },
                   { KVM_CAP_EXT_CPUID, "KVM_CAP_EXT_CPUID" } };
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        if (ioctl(vm->kvm, KVM_CHECK_EXTENSION, needed[i].capability) <= 0)
            return nw_fail(err, NW_ERR_ENV, "/dev/kvm: this KVM lacks %s, which a live guest needs", needed[i].name);
    return NW_OK;
}

static enum nw_status memory_make(struct vm *vm, struct nw_error *err)
{
    if (vm->memory)
        return NW_OK;
    void *p = mmap(NULL, vm->memory_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return nw_fail_errno(err, NW_ERR_NOMEM, errno, "capture: cannot map %llu MiB of guest memory",
                             (unsigned long long)(vm->memory_bytes >> 20));
    vm->memory = p;
    madvise(p, vm->memory_bytes, MADV_NOHUGEPAGE); /* only what the guest touches; a refusal changes nothing but that */
    return NW_OK;
}

enum nw_status vm_slot_set(struct vm *vm, unsigned slot, unsigned flags, uint64_t gpa, uint64_t bytes, void *at,
                           struct nw_error *err)
{
    struct kvm_userspace_memory_region region = {
        .slot = slot, .flags = flags, .guest_phys_addr = gpa, .memory_size = bytes, .userspace_addr = (uintptr_t)at
    };
    if (ioctl(vm->vm, KVM_SET_USER_MEMORY_REGION, &region))
        return nw_fail_errno(err, NW_ERR_ENV, errno, "KVM_SET_USER_MEMORY_REGION of %llu MiB",
                             (unsigned long long)(bytes >> 20));
    return NW_OK;
}

static enum nw_status cpuid_set(struct vm *vm, struct nw_error *err)
{
    struct kvm_cpuid2 *cpuid = calloc(1, sizeof *cpuid + CPUID_MAX * sizeof(struct kvm_cpuid_entry2));
    if (!cpuid)
        return nw_fail_nomem(err, "the guest's CPUID");
    enum nw_status s = NW_OK;
    cpuid->nent = CPUID_MAX;
    if (ioctl(vm->kvm, KVM_GET_SUPPORTED_CPUID, cpuid))
        s = nw_fail_errno(err, NW_ERR_ENV, errno, "KVM_GET_SUPPORTED_CPUID");
    else if (ioctl(vm->vcpu, KVM_SET_CPUID2, cpuid))
        s = nw_fail_errno(err, NW_ERR_ENV, errno, "KVM_SET_CPUID2");
    vm->gpa_bits = 36; /* what a processor without the leaf has */
    for (uint32_t i = 0; !s && i < cpuid->nent; i++)
        if (cpuid->entries[i].function == (uint32_t)CPUID_ADDRESS_SIZES)
            vm->gpa_bits = (uint8_t)cpuid->entries[i].eax;
    free(cpuid);
    return s;
}

static enum nw_status create(struct vm *vm, struct nw_error *err)
{
    enum nw_status s;
    vm->kvm = vm->vm = vm->vcpu = -1;
    vm_backend_detect(vm->backend, sizeof vm->backend);
    if ((s = kvm_open(vm, err)))
        return s;
    vm->vm = ioctl(vm->kvm, KVM_CREATE_VM, 0);
    if (vm->vm < 0)
        return nw_fail_errno(err, NW_ERR_ENV, errno, "KVM_CREATE_VM");
    ioctl(vm->vm, KVM_SET_TSS_ADDR,
          (unsigned long)0xfffbd000); /* Intel needs three pages outside memory; others ignore it */
    vm_ring_enable(vm);
    if ((s = memory_make(vm, err)) || (s = vm_slot_set(vm, 0, vm->slot_flags, 0, vm->memory_bytes, vm->memory, err)))
        return s;
    vm->vcpu = ioctl(vm->vm, KVM_CREATE_VCPU, 0);
    if (vm->vcpu < 0)
        return nw_fail_errno(err, NW_ERR_ENV, errno, "KVM_CREATE_VCPU");
    int bytes = ioctl(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (bytes < (int)sizeof *vm->run)
        return nw_fail_errno(err, NW_ERR_ENV, errno, "KVM_GET_VCPU_MMAP_SIZE");
    void *run = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vm->vcpu, 0);
    if (run == MAP_FAILED)
        return nw_fail_errno(err, NW_ERR_ENV, errno, "mapping the vCPU's kvm_run");
    vm->run = run;
    vm->run_bytes = (size_t)bytes;
    if ((s = vm_ring_map(vm, err)))
        return s;
    int sync = ioctl(vm->kvm, KVM_CHECK_EXTENSION, KVM_CAP_SYNC_REGS);
    vm->synced = sync > 0 && ((unsigned)sync & KVM_SYNC_X86_REGS);
    vm->run->kvm_valid_regs = vm->synced ? KVM_SYNC_X86_REGS : 0;
    vm->regs = vm->synced ? &vm->run->s.regs.regs : &vm->regs_copy;
    if ((s = cpuid_set(vm, err)))
        return s;
    return ticks_start(vm, err);
}

enum nw_status vm_create(struct vm *vm, uint64_t memory_bytes, struct nw_error *err)
{
    *vm = (struct vm){ .memory_bytes = memory_bytes };
    return create(vm, err);
}

enum nw_status vm_create_logged(struct vm *vm, uint64_t memory_bytes, uint32_t ring_entries, struct nw_error *err)
{
    *vm = (struct vm){ .memory_bytes = memory_bytes,
                       .slot_flags = KVM_MEM_LOG_DIRTY_PAGES,
                       .ring_entries = ring_entries };
    return create(vm, err);
}

enum nw_status vm_create_over(struct vm *vm, void *memory, uint64_t memory_bytes, unsigned slot_flags,
                              struct nw_error *err)
{
    *vm = (struct vm){ .memory = memory, .memory_bytes = memory_bytes, .slot_flags = slot_flags };
    return create(vm, err);
}

void vm_destroy(struct vm *vm)
{
    ticks_stop(vm);
    vm_ring_unmap(vm);
    if (vm->run)
        munmap(vm->run, vm->run_bytes);
    if (vm->vcpu > 0)
        close(vm->vcpu);
    if (vm->vm > 0)
        close(vm->vm);
    if (vm->kvm > 0)
        close(vm->kvm);
    if (vm->memory)
        munmap(vm->memory, vm->memory_bytes);
    memset(vm, 0, sizeof *vm);
}

enum nw_status vm_sregs_get(struct vm *vm, struct kvm_sregs *out, struct nw_error *err)
{
    return ioctl(vm->vcpu, KVM_GET_SREGS, out) ? nw_fail_errno(err, NW_ERR_ENV, errno, "KVM_GET_SREGS") : NW_OK;
}

enum nw_status vm_sregs_set(struct vm *vm, const struct kvm_sregs *sregs, struct nw_error *err)
{
    return ioctl(vm->vcpu, KVM_SET_SREGS, sregs) ? nw_fail_errno(err, NW_ERR_ENV, errno, "KVM_SET_SREGS") : NW_OK;
}

enum nw_status vm_regs_set(struct vm *vm, const struct kvm_regs *regs, struct nw_error *err)
{
    *vm->regs = *regs;
    return ioctl(vm->vcpu, KVM_SET_REGS, regs) ? nw_fail_errno(err, NW_ERR_ENV, errno, "KVM_SET_REGS") : NW_OK;
}

static enum nw_status debug_set(struct vm *vm, const struct kvm_guest_debug *debug, struct nw_error *err)
{
    return ioctl(vm->vcpu, KVM_SET_GUEST_DEBUG, debug) ? nw_fail_errno(err, NW_ERR_ENV, errno, "KVM_SET_GUEST_DEBUG")
                                                       : NW_OK;
}

enum nw_status vm_step_on(struct vm *vm, uint64_t breakpoint, struct nw_error *err)
{
    struct kvm_guest_debug debug = { .control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP };
    if (breakpoint) {
        debug.control |= KVM_GUESTDBG_USE_HW_BP;
        debug.arch.debugreg[0] = breakpoint;
        debug.arch.debugreg[7] = 0x402; /* DR7: G0, execute, and the bit that is always 1 */
    }
    return debug_set(vm, &debug, err);
}

enum nw_status vm_step_off(struct vm *vm, struct nw_error *err)
{
    struct kvm_guest_debug debug = { 0 };
    return debug_set(vm, &debug, err);
}

static enum nw_status regs_fetch(struct vm *vm, struct nw_error *err)
{
    if (!vm->synced && ioctl(vm->vcpu, KVM_GET_REGS, &vm->regs_copy))
        return nw_fail_errno(err, NW_ERR_ENV, errno, "KVM_GET_REGS");
    return NW_OK;
}

/* An OUT is complete only after KVM has been entered once more: some backends move RIP only then. immediate_exit keeps the next
 * instruction from running. */
enum nw_status vm_out_complete(struct vm *vm, struct nw_error *err)
{
    vm->run->immediate_exit = 1;
    int r = ioctl(vm->vcpu, KVM_RUN, 0), e = errno;
    vm->run->immediate_exit = 0;
    if (r && e != EINTR)
        return nw_fail_errno(err, NW_ERR_INTERNAL, e, "KVM_RUN, completing an OUT");
    return regs_fetch(vm, err);
}

enum nw_status vm_run(struct vm *vm, enum vm_exit *exit, uint32_t *value, struct nw_error *err)
{
    struct kvm_run *run = vm->run;
    if (ioctl(vm->vcpu, KVM_RUN, 0)) {
        if (errno != EINTR && errno != EAGAIN)
            return nw_fail_errno(err, NW_ERR_INTERNAL, errno, "KVM_RUN");
        *exit = VM_EXIT_TICK;
        return regs_fetch(vm, err);
    }
    enum nw_status s = regs_fetch(vm, err);
    if (s)
        return s;
    switch (run->exit_reason) {
    case KVM_EXIT_DEBUG: *exit = VM_EXIT_STEP; return NW_OK;
    case KVM_EXIT_HLT: *exit = VM_EXIT_HALT; return NW_OK;
    case KVM_EXIT_INTR: *exit = VM_EXIT_TICK; return NW_OK;
    case KVM_EXIT_DIRTY_RING_FULL: *exit = VM_EXIT_RING; return NW_OK;
    case KVM_EXIT_IO:
        if (run->io.direction != KVM_EXIT_IO_OUT || run->io.size != 4 || run->io.count != 1)
            return nw_fail(err, NW_ERR_INTERNAL, "guest at RIP %#llx: unexpected access to port %#x",
                           (unsigned long long)vm->regs->rip, run->io.port);
        memcpy(value, (const uint8_t *)run + run->io.data_offset, 4);
        *exit = VM_EXIT_OUT;
        return vm_out_complete(vm, err);
    case KVM_EXIT_INTERNAL_ERROR:
        return nw_fail(err, NW_ERR_INTERNAL,
                       "guest at RIP %#llx: KVM could not go on (KVM_EXIT_INTERNAL_ERROR, suberror %u: %s)",
                       (unsigned long long)vm->regs->rip, run->internal.suberror,
                       run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION ? "an instruction it cannot emulate"
                                                                              : "see the kernel log");
    case KVM_EXIT_MMIO:
        return nw_fail(err, NW_ERR_INTERNAL, "guest at RIP %#llx: access to %#llx, where it has no memory",
                       (unsigned long long)vm->regs->rip, (unsigned long long)run->mmio.phys_addr);
    case KVM_EXIT_SHUTDOWN:
        return nw_fail(err, NW_ERR_INTERNAL, "guest at RIP %#llx: triple fault", (unsigned long long)vm->regs->rip);
    default:
        return nw_fail(err, NW_ERR_INTERNAL, "guest at RIP %#llx: unexpected KVM exit %u",
                       (unsigned long long)vm->regs->rip, run->exit_reason);
    }
}

void vm_backend_detect(char *out, size_t size)
{
    static const struct {
        const char *module, *name;
    } backends[] = { { "/sys/module/kvm_pvm", "pvm" },
                     { "/sys/module/kvm_intel", "vmx" },
                     { "/sys/module/kvm_amd", "svm" } };
    snprintf(out, size, "unknown");
    for (size_t i = 0; i < sizeof backends / sizeof *backends; i++)
        if (!access(backends[i].module, F_OK)) {
            snprintf(out, size, "%s", backends[i].name);
            return;
        }
}
