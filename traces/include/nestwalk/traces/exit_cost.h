/* exit_cost.h - what exits cost on the KVM of this machine, from a guest of ours.
 *
 *     struct nw_exit_timing t;
 *     s = nw_exit_cost_measure(NW_EXIT_COST_CPUID, &options, &t, err); // a fresh virtual machine
 *     ... t.tsc_cycles, t.low, t.high ...
 *
 * A virtual machine with one processor runs a loop of one operation at CPL 0, 64-bit, identity-mapped; the loop without the operation
 * is timed in turn with it and subtracted. Chunks take less than a millisecond, and those during which the host took
 * the processor away (ru_nivcsw) are dropped. With the PVM backend KVM emulates CPL 0 instructions: what is subtracted is then large, and the
 * cost is that of an operation from code that is emulated.
 *
 * Three operations are the machine's own kernel's: they are timed in the same way in a fresh process, as what a guest's kernel would do
 * without a hypervisor.
 *
 * A virtual machine or process is made for each call and gone after it; the calling thread takes a periodic SIGRTMIN meanwhile, which is put back. */
#ifndef NESTWALK_TRACES_EXIT_COST_H
#define NESTWALK_TRACES_EXIT_COST_H

#include <nestwalk/base/status.h>
#include <stdbool.h>
#include <stdint.h>

enum nw_exit_cost_operation {
    NW_EXIT_COST_CPUID,     /* answered within KVM */
    NW_EXIT_COST_PORT,      /* OUT, answered by this process */
    NW_EXIT_COST_MMIO,      /* a store where there is no memory, emulated by KVM and answered by this process */
    NW_EXIT_COST_HYPERCALL, /* one that KVM does not know, answered with an error */
    NW_EXIT_COST_INVLPG,
    NW_EXIT_COST_CR3,      /* MOV to CR3 of the value that it has */
    NW_EXIT_COST_BACKED,   /* first read of a 4 KiB page that the host has in memory: EPT violation or shadow fault */
    NW_EXIT_COST_UNBACKED, /* ... that the host has still to allocate and clear */
    NW_EXIT_COST_MIX, /* one CPUID, one OUT, one store to MMIO and, where it can be done, one hypercall: held out */
    NW_EXIT_COST_GUEST_FAULT, /* first write to a page of a process: the fault, a page that is found and cleared, and its entry */
    NW_EXIT_COST_MPROTECT, /* two calls of mprotect() on one page, to read-only and back, and a write to it */
    NW_EXIT_COST_SHOOTDOWN, /* the same while another processor runs a thread of the process, whose TLB has to forget the page */
    NW_EXIT_COST_OPERATIONS
};
struct nw_exit_cost_row {
    const char *name, *doc;
    bool native; /* timed in a process of this machine, no virtual machine */
};
extern const struct nw_exit_cost_row nw_exit_cost_row[NW_EXIT_COST_OPERATIONS];

struct nw_exit_cost_options {
    uint32_t chunks;                   /* of each kind, at least 8 */
    bool (*keep_going)(void *context); /* asked between chunks; NULL allowed */
    void *context;
};
struct nw_exit_timing {
    double tsc_cycles; /* of one operation: difference of the 10th percentiles of the chunks with and without it */
    double quarter, three_quarters; /* of the chunks with it, less the same loop */
    uint32_t chunks, dropped;
    bool mix_has_hypercall;
    bool second_stage; /* KVM uses EPT or NPT, and no shadow page tables */
    char backend[16];  /* "pvm", "vmx", "svm"; "": no virtual machine */
};

/* NW_ERR_ENV: no /dev/kvm, no permission, or KVM gave up on the guest; NW_ERR_INTERRUPTED; NW_ERR_UNSUPPORTED: another system, or an
 * operation that this backend cannot do, or shootdowns with one processor. */
enum nw_status nw_exit_cost_measure(enum nw_exit_cost_operation operation, const struct nw_exit_cost_options *options,
                                    struct nw_exit_timing *out, struct nw_error *err) NW_MUST_USE;

#endif
