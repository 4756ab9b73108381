/* Which pages the guest has written: KVM's dirty ring, or its dirty log (Linux, Documentation/virt/kvm/api.rst,
 * "KVM_CAP_DIRTY_LOG_RING/KVM_CAP_DIRTY_LOG_RING_ACQ_REL", "KVM_GET_DIRTY_LOG"). */
#include "vm_ring.h"
#include <errno.h>
#include <nestwalk/base/addr.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* x86 orders the stores as the plain ring needs them; kernels without it have the other name only. */
void vm_ring_enable(struct vm *vm)
{
    static const uint32_t kinds[] = { KVM_CAP_DIRTY_LOG_RING_ACQ_REL, KVM_CAP_DIRTY_LOG_RING };
    const uint64_t bytes = vm->ring_entries * sizeof(struct kvm_dirty_gfn);
    for (size_t i = 0; vm->ring_entries && i < NW_ARRAY_LEN(kinds); i++) {
        struct kvm_enable_cap cap = { .cap = kinds[i], .args[0] = bytes };
        int most = ioctl(vm->vm, KVM_CHECK_EXTENSION, kinds[i]);
        if (most >= (int)bytes && !ioctl(vm->vm, KVM_ENABLE_CAP, &cap))
            return;
    }
    vm->ring_entries = 0;
}

enum nw_status vm_ring_map(struct vm *vm, struct nw_error *err)
{
    if (!vm->ring_entries)
        return NW_OK;
    void *ring = mmap(NULL, vm->ring_entries * sizeof *vm->ring, PROT_READ | PROT_WRITE, MAP_SHARED, vm->vcpu,
                      (off_t)KVM_DIRTY_LOG_PAGE_OFFSET * NW_PAGE_BYTES);
    if (ring == MAP_FAILED)
        return nw_fail_errno(err, NW_ERR_ENV, errno, "mapping the vCPU's dirty ring");
    vm->ring = ring;
    return NW_OK;
}

void vm_ring_unmap(struct vm *vm)
{
    if (vm->ring)
        munmap(vm->ring, vm->ring_entries * sizeof *vm->ring);
    vm->ring = NULL;
}

static void mark(const struct vm *vm, uint64_t *bitmap, uint64_t page)
{
    if (page < vm->memory_bytes / NW_PAGE_BYTES)
        bitmap[page / 64] |= UINT64_C(1) << page % 64;
}

static enum nw_status ring_take(struct vm *vm, uint64_t *bitmap, struct nw_error *err)
{
    int owed = 0;
    while (owed <= (int)vm->ring_entries) {
        struct kvm_dirty_gfn *entry = &vm->ring[vm->ring_next % vm->ring_entries];
        if (!(__atomic_load_n(&entry->flags, __ATOMIC_ACQUIRE) & KVM_DIRTY_GFN_F_DIRTY))
            break;
        if (!(entry->slot & 0xffff)) /* the upper half is the address space; SMM sees the same memory */
            mark(vm, bitmap, entry->offset);
        __atomic_store_n(&entry->flags, (uint32_t)KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
        vm->ring_next++;
        owed++;
    }
    /* KVM looks at the ring between guest entries. One that emulates a string instruction makes up to 1024 writes there, more than it
     * keeps in reserve. */
    if (owed >= (int)vm->ring_entries)
        return nw_fail(err, NW_ERR_ENV,
                       "KVM wrote over entries of its dirty ring (%u) before they could be read, so pages are missing",
                       vm->ring_entries);
    /* A signal ends the call early, with the count of those it got to. Any that were left out would never be logged again. */
    while (owed > 0) {
        int reset = ioctl(vm->vm, KVM_RESET_DIRTY_RINGS, 0);
        if (reset < 0 && errno != EINTR)
            return nw_fail_errno(err, NW_ERR_ENV, errno, "KVM_RESET_DIRTY_RINGS");
        owed -= reset > 0 ? reset : 0;
    }
    return NW_OK;
}

static enum nw_status log_take(struct vm *vm, uint64_t *bitmap, struct nw_error *err)
{
    const uint64_t words = (vm->memory_bytes / NW_PAGE_BYTES + 63) / 64;
    uint64_t *fresh = calloc(words, sizeof *fresh);
    if (!fresh)
        return nw_fail_nomem(err, "the dirty log");
    struct kvm_dirty_log log = { .slot = 0, .dirty_bitmap = fresh };
    enum nw_status s = NW_OK;
    if (ioctl(vm->vm, KVM_GET_DIRTY_LOG, &log))
        s = nw_fail_errno(err, NW_ERR_ENV, errno, "KVM_GET_DIRTY_LOG");
    for (uint64_t i = 0; !s && i < words; i++)
        bitmap[i] |= fresh[i];
    free(fresh);
    return s;
}

enum nw_status vm_written_take(struct vm *vm, uint64_t *bitmap, struct nw_error *err)
{
    return vm->ring ? ring_take(vm, bitmap, err) : log_take(vm, bitmap, err);
}
