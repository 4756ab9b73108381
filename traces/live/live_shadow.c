/* Runs one program on KVM, with what the host does in between. */
#include "live_internal.h"
#include "machine.h"
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

enum { TIMEOUT_SECONDS = 10, SLOT_PAGES = (int)(LIVE_BYTES >> 12) };

struct run {
    struct live_machine m;
    const struct nw_kvm_watcher *watcher;
    struct statistics statistics;
    uint8_t *second; /* the second slot's memory */
    unsigned slot_flags;
};

/* ---- what the host does ------------------------------------------------------------------------------------- */

static enum nw_status drop(struct run *r, const struct nw_kvm_action *a, struct nw_error *err)
{
    int advice = r->m.program->large_backing ? MADV_DONTNEED : MADV_REMOVE;
    if (a->bytes && madvise(r->m.vm.memory + a->gpa, a->bytes, advice))
        return nw_fail_errno(err, NW_ERR_ENV, errno, "cannot drop guest memory at 0x%llx", (unsigned long long)a->gpa);
    return NW_OK;
}

static enum nw_status protect(struct run *r, const struct nw_kvm_action *a, struct nw_error *err)
{
    int rights = a->kind == NW_KVM_ACTION_READ_ONLY ? PROT_READ : PROT_READ | PROT_WRITE;
    if (a->bytes && mprotect(r->m.vm.memory + a->gpa, a->bytes, rights))
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
    int failed = ioctl(r->m.vm.vm, KVM_GET_DIRTY_LOG, &log), reason = errno;
    free(bitmap);
    if (failed && reason != ENOENT) /* that is a slot without logging */
        return nw_fail_errno(err, NW_ERR_ENV, reason, "KVM_GET_DIRTY_LOG");
    return NW_OK;
}

static enum nw_status second_slot(struct run *r, bool add, struct nw_error *err)
{
    enum nw_status s =
        add && !r->second ? live_memory_map(&r->second, LIVE_SECOND_SIZE, LIVE_SHARED_4K, -1, err) : NW_OK;
    if (s)
        return s;
    return vm_slot_set(&r->m.vm, 1, 0, LIVE_SECOND_SLOT, add ? LIVE_SECOND_SIZE : 0, r->second, err);
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
        return vm_slot_set(&r->m.vm, 0, r->slot_flags, 0, LIVE_BYTES, r->m.vm.memory, err);
    case NW_KVM_ACTION_SLOT: return second_slot(r, !a->gpa, err);
    case NW_KVM_ACTION_SREGS:
        if ((s = vm_sregs_get(&r->m.vm, &sregs, err)))
            return s;
        sregs.cr3 = a->gpa;
        return vm_sregs_set(&r->m.vm, &sregs, err);
    }
    return nw_fail(err, NW_ERR_INPUT, "host action %llu does not exist; 1 to 7 do", (unsigned long long)a->kind);
}

/* ---- exits -------------------------------------------------------------------------------------------------- */

static enum nw_status tell_segment(struct run *r, uint64_t marker, bool action, struct nw_error *err)
{
    struct nw_kvm_counters counters;
    enum nw_status s = statistics_read(&r->statistics, &counters, err);
    if (!s && r->watcher->segment && !r->watcher->segment(r->watcher->context, marker, action, &counters))
        r->m.stopped = true;
    return s;
}

static enum nw_status at_marker(void *context, uint64_t number, struct nw_error *err)
{
    struct run *r = context;
    const struct nw_kvm_program *p = r->m.program;
    enum nw_status s = tell_segment(r, number, false, err);
    for (size_t i = 0; i < p->action_count && !s && !r->m.stopped; i++)
        if (p->action[i].marker == number && !(s = act(r, &p->action[i], err)))
            s = tell_segment(r, number, true, err);
    return s;
}

/* ---- one run ------------------------------------------------------------------------------------------------ */

static enum nw_status set_up(struct run *r, struct nw_error *err)
{
    const struct nw_kvm_program *p = r->m.program;
    uint8_t *memory;
    enum nw_status s =
        live_memory_map(&memory, LIVE_BYTES, p->large_backing ? LIVE_PRIVATE_2M : LIVE_SHARED_4K, -1, err);
    if (s)
        return s;
    live_load(memory, p);
    r->slot_flags = p->dirty_logging ? KVM_MEM_LOG_DIRTY_PAGES : 0;
    s = vm_create_over(&r->m.vm, memory, LIVE_BYTES, r->slot_flags, err);
    if (!s && p->max_mmu_pages && ioctl(r->m.vm.vm, KVM_SET_NR_MMU_PAGES, (unsigned long)p->max_mmu_pages))
        s = nw_fail_errno(err, NW_ERR_ENV, errno, "KVM_SET_NR_MMU_PAGES");
    if (!s)
        s = statistics_open(&r->statistics, &r->m.vm, err);
    return s ? s : live_registers_set(&r->m.vm, p, err);
}

enum nw_status nw_live_shadow_run(const struct nw_kvm_program *program, const struct nw_kvm_watcher *watcher,
                                  const struct nw_live_shadow_options *options, struct nw_error *err)
{
    struct run r = { .watcher = watcher, .statistics.fd = { -1, -1 } };
    r.m = (struct live_machine){ .program = program,
                                 .timeout = options->timeout_seconds > 0 ? options->timeout_seconds : TIMEOUT_SECONDS,
                                 .keep_going = options->keep_going,
                                 .keep_context = options->context,
                                 .at_marker = at_marker,
                                 .context = &r };
    struct nw_live_shadow_host host;
    enum nw_status s = nw_live_shadow_check(program, err);
    if (s || (s = nw_live_shadow_probe(&host, err)))
        return s;
    cpu_set_t before;
    const bool pinned = live_pin(&before);
    s = set_up(&r, err);
    if (!s)
        s = live_machine_run(&r.m, err);
    statistics_close(&r.statistics);
    vm_destroy(&r.m.vm);
    if (r.second)
        munmap(r.second, LIVE_SECOND_SIZE);
    live_unpin(pinned, &before);
    return s;
}
