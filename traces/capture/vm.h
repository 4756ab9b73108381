/* vm.h - one virtual machine with one vCPU on /dev/kvm, run freely or instruction by instruction. */
#ifndef NESTWALK_CAPTURE_VM_H
#define NESTWALK_CAPTURE_VM_H

#include <linux/kvm.h>
#include <nestwalk/base/status.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct vm {
    int kvm, vm, vcpu;
    uint8_t *memory; /* GPA 0 .. memory_bytes */
    uint64_t memory_bytes;
    struct kvm_run *run;
    size_t run_bytes;
    struct kvm_regs *regs; /* the vCPU's after each exit: in kvm_run where KVM syncs them there */
    struct kvm_regs regs_copy;
    bool synced;
    uint8_t gpa_bits;
    char backend[16];
    unsigned slot_flags; /* of slot 0 */

    /* the dirty ring (KVM_CAP_DIRTY_LOG_RING); ring_entries 0: none, pages are in the dirty log */
    struct kvm_dirty_gfn *ring;
    uint32_t ring_entries, ring_next;

    /* the ticking signal that gets the thread out of KVM_RUN */
    timer_t timer;
    bool ticking;
    int tick_signal;
    struct sigaction old_action;
};

enum vm_exit {
    VM_EXIT_STEP, /* one instruction is done (or its exception was delivered) */
    VM_EXIT_OUT,  /* an OUT is done; vm->run->io says to where, the value is in *value */
    VM_EXIT_HALT, /* HLT */
    VM_EXIT_TICK, /* nothing happened but time */
    VM_EXIT_RING, /* the dirty ring is full: it wants to be read before the guest goes on */
};

/* memory_bytes: a multiple of 2 MiB. *vm must be zeroed; vm_destroy is right after success and failure. */
enum nw_status vm_create(struct vm *vm, uint64_t memory_bytes, struct nw_error *err) NW_MUST_USE;
/* The same over memory that the caller has mapped, as slot 0 with these flags; vm_destroy unmaps it. */
enum nw_status vm_create_over(struct vm *vm, void *memory, uint64_t memory_bytes, unsigned slot_flags,
                              struct nw_error *err) NW_MUST_USE;
/* vm_create with the pages that are written logged: in a ring of so many entries (a power of two) where this KVM has rings. */
enum nw_status vm_create_logged(struct vm *vm, uint64_t memory_bytes, uint32_t ring_entries,
                                struct nw_error *err) NW_MUST_USE;
/* Sets the bits of the pages of slot 0 that were written since the last call, and has KVM log them anew. `bitmap` has a bit a page. */
enum nw_status vm_written_take(struct vm *vm, uint64_t *bitmap, struct nw_error *err) NW_MUST_USE;
/* How long the thread is away at most; 100 ms from the start. */
enum nw_status vm_tick_set(struct vm *vm, uint64_t ns, struct nw_error *err) NW_MUST_USE;
/* Adds a slot, changes its flags, or (bytes 0) removes it. */
enum nw_status vm_slot_set(struct vm *vm, unsigned slot, unsigned flags, uint64_t gpa, uint64_t bytes, void *at,
                           struct nw_error *err) NW_MUST_USE;
void vm_destroy(struct vm *vm);

enum nw_status vm_sregs_get(struct vm *vm, struct kvm_sregs *out, struct nw_error *err) NW_MUST_USE;
enum nw_status vm_sregs_set(struct vm *vm, const struct kvm_sregs *sregs, struct nw_error *err) NW_MUST_USE;
enum nw_status vm_regs_set(struct vm *vm, const struct kvm_regs *regs, struct nw_error *err) NW_MUST_USE;

/* From now on vm_run makes one instruction at a time; `breakpoint` is where page faults arrive. Also to be called again whenever
 * the guest may have lost RFLAGS.TF: after an exception, IRET and POPF. */
enum nw_status vm_step_on(struct vm *vm, uint64_t breakpoint, struct nw_error *err) NW_MUST_USE;
enum nw_status vm_step_off(struct vm *vm, struct nw_error *err) NW_MUST_USE;

/* Runs to the next exit. Exits this VMM does not know end in NW_ERR_INTERNAL with RIP and the bytes there. */
enum nw_status vm_run(struct vm *vm, enum vm_exit *exit, uint32_t *value, struct nw_error *err) NW_MUST_USE;

/* After KVM_EXIT_IO of an OUT, for callers that run KVM themselves: nothing of the next instruction happens. */
enum nw_status vm_out_complete(struct vm *vm, struct nw_error *err) NW_MUST_USE;

/* "pvm", "vmx", "svm", or "unknown" */
void vm_backend_detect(char *out, size_t size);

#endif
