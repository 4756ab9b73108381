/* The operations whose cost is measured. */
#include <nestwalk/traces/exit_cost.h>

const struct nw_exit_cost_row nw_exit_cost_row[NW_EXIT_COST_OPERATIONS] = {
    [NW_EXIT_COST_CPUID] = { "cpuid", "CPUID, answered within KVM" },
    [NW_EXIT_COST_PORT] = { "port", "OUT, answered by a process of the host" },
    [NW_EXIT_COST_MMIO] = { "mmio", "a store where there is no memory, answered by a process of the host" },
    [NW_EXIT_COST_HYPERCALL] = { "hypercall", "VMCALL or VMMCALL with a number that KVM does not know" },
    [NW_EXIT_COST_INVLPG] = { "invlpg", "INVLPG" },
    [NW_EXIT_COST_CR3] = { "cr3", "MOV to CR3" },
    [NW_EXIT_COST_BACKED] = { "fault-backed", "first read of a page that the host has in memory" },
    [NW_EXIT_COST_UNBACKED] = { "fault-unbacked", "first read of a page that the host has to allocate" },
    [NW_EXIT_COST_MIX] = { "mix", "one CPUID, OUT, store to MMIO and, where it can be, hypercall" },
};
