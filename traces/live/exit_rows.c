/* The operations whose cost is measured. */
#include <nestwalk/traces/exit_cost.h>

#define IN_A_GUEST(name_, doc_)                                                                                        \
    {                                                                                                                  \
        .name = (name_), .doc = (doc_), .native = false                                                                \
    }
#define NATIVE(name_, doc_)                                                                                            \
    {                                                                                                                  \
        .name = (name_), .doc = (doc_), .native = true                                                                 \
    }

const struct nw_exit_cost_row nw_exit_cost_row[NW_EXIT_COST_OPERATIONS] = {
    [NW_EXIT_COST_CPUID] = IN_A_GUEST("cpuid", "CPUID, answered within KVM"),
    [NW_EXIT_COST_PORT] = IN_A_GUEST("port", "OUT, answered by a process of the host"),
    [NW_EXIT_COST_MMIO] = IN_A_GUEST("mmio", "a store where there is no memory, answered by a process of the host"),
    [NW_EXIT_COST_HYPERCALL] = IN_A_GUEST("hypercall", "VMCALL or VMMCALL with a number that KVM does not know"),
    [NW_EXIT_COST_INVLPG] = IN_A_GUEST("invlpg", "INVLPG"),
    [NW_EXIT_COST_CR3] = IN_A_GUEST("cr3", "MOV to CR3"),
    [NW_EXIT_COST_BACKED] = IN_A_GUEST("fault-backed", "first read of a page that the host has in memory"),
    [NW_EXIT_COST_UNBACKED] = IN_A_GUEST("fault-unbacked", "first read of a page that the host has to allocate"),
    [NW_EXIT_COST_MIX] = IN_A_GUEST("mix", "one CPUID, OUT, store to MMIO and, where it can be, hypercall"),
    [NW_EXIT_COST_GUEST_FAULT] = NATIVE("guest-fault", "first write to a page, without a virtual machine"),
    [NW_EXIT_COST_MPROTECT] = NATIVE("mprotect", "a page made read-only and writable again, then written"),
    [NW_EXIT_COST_SHOOTDOWN] = NATIVE("shootdown", "the same, with another processor's TLB to be told"),
};
