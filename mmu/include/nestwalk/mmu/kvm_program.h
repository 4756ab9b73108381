/* kvm_program.h - small guest programs over the model of KVM's shadow MMU: what a user-mode interpreter of simple
 * operations does to memory, with the accesses of the interpreter itself.
 *
 *     struct nw_kvm_program p = { .op = op, .op_count = n, .word = word, .word_count = m };
 *     s = nw_kvm_program_run(&p, &(struct nw_kvm_watcher){ .segment = take, .context = &mine }, err);
 *
 * The guest: 64 MiB at GPA 0, four-level tables at GPA 0x10000, CPL 3. Page 0x20 holds the interpreter, page 9 its
 * stack, page 0x30 and up the operations, 24 bytes each, which it fetches with three reads. Privileged operations
 * trap into a supervisor handler that KVM emulates. A page fault of the guest ends the operation. The program's own
 * words must map those pages where they are. */
#ifndef NESTWALK_MMU_KVM_PROGRAM_H
#define NESTWALK_MMU_KVM_PROGRAM_H

#include <nestwalk/mmu/kvm_shadow.h>

enum nw_kvm_op_code {
    NW_KVM_OP_READ = 1,
    NW_KVM_OP_WRITE = 2,
    NW_KVM_OP_INVLPG = 3,
    NW_KVM_OP_CR3 = 4,
    NW_KVM_OP_EXEC = 5,   /* a call: pushes at 0x9fe8, fetches at a, returns */
    NW_KVM_OP_MARKER = 6, /* ends a segment; its number is a */
    NW_KVM_OP_WRITE4 = 12,
    NW_KVM_OP_WRITE1 = 13,
    NW_KVM_OP_WRITE2 = 14,
    NW_KVM_OP_LOCK_OR = 15,
    NW_KVM_OP_CR4 = 16,
    NW_KVM_OP_SUPERVISOR_WRITE = 17,
    NW_KVM_OP_LOCK_ADD = 18, /* not an instruction that KVM takes for one that writes tables */
    NW_KVM_OP_SUPERVISOR_READ = 28,
    NW_KVM_OP_INVLPG2 = 30, /* a and b, in one stretch of supervisor code */
    NW_KVM_OP_CR3_2 = 31,   /* likewise */
};
bool nw_kvm_op_known(uint64_t code);

struct nw_kvm_op {
    uint64_t code, a, b;
};

/* What the host does after a marker. */
enum nw_kvm_action_kind {
    NW_KVM_ACTION_DROP = 1,
    NW_KVM_ACTION_READ_ONLY = 2,
    NW_KVM_ACTION_READ_WRITE = 3,
    NW_KVM_ACTION_DIRTY_LOG = 4,
    NW_KVM_ACTION_SLOT_FLAGS = 5, /* gpa: bit 0, dirty logging */
    NW_KVM_ACTION_SLOT = 6,       /* gpa 0: adds 2 MiB at GPA 0x8000000, else removes them */
    NW_KVM_ACTION_SREGS = 7,      /* gpa: CR3 */
};
struct nw_kvm_action {
    uint64_t marker, kind, gpa, bytes;
};

struct nw_kvm_program {
    const uint64_t (*word)[2]; /* GPA below 64 MiB, value */
    size_t word_count;
    const struct nw_kvm_op *op;
    size_t op_count;
    const struct nw_kvm_action *action;
    size_t action_count;
    uint64_t max_mmu_pages; /* 0: default */
    bool dirty_logging;
    bool large_backing; /* 2 MiB host pages, anonymous; false: 4 KiB pages of shared memory */
    bool eager_zap, serve_every_exit, mmio_caching; /* as in nw_kvm_config */
    bool native_supervisor; /* supervisor code runs on the processor (VT-x, AMD-V), so that trapping into it and
                               returning touch memory; false: KVM emulates it (PVM) */
};

struct nw_kvm_watcher {
    /* A marker was reached, or (action) what the host did after it is done. `now`: counters since the start. False
     * ends the run. NULL allowed. */
    bool (*segment)(void *context, uint64_t marker, bool action, const struct nw_kvm_counters *now);
    void (*event)(void *context, const char *text); /* without the interpreter's own walks; NULL allowed */
    void *context;
};

/* NW_ERR_INPUT: an operation, action or word that does not exist; NW_ERR_UNSUPPORTED: an instruction that never
 * completes; NW_ERR_NOMEM. */
enum nw_status nw_kvm_program_run(const struct nw_kvm_program *program, const struct nw_kvm_watcher *watcher,
                                  struct nw_error *err) NW_MUST_USE;

#endif
