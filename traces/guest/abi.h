/* abi.h - what the capturing VMM and the guest kernel agree on: where things are, and which port says what.
 *
 * Guest-physical memory                             Guest-virtual memory (every address space)
 *   0x001000  parameter page (struct nwg_param)       slot 0    identity map of all memory, 2 MiB pages, writable, no execute
 *   0x002000  GDT                                     slot 32+  the workload's memory, demand-paged
 *   0x003000  boot page tables                        slot 511  the kernel image, 4 KiB pages, W^X: NWG_KERNEL_BASE + GPA
 *   0x200000  kernel image
 *   after it  reference counts, then free frames
 *
 * The VMM starts the kernel in long mode at its ELF entry point with the boot tables in CR3. The kernel runs entirely at CPL 0
 * with interrupts off, in integer instructions only, so that KVM backends that emulate CPL 0 run it as well as those that don't. */
#ifndef NESTWALK_GUEST_ABI_H
#define NESTWALK_GUEST_ABI_H

#include <stdint.h>

enum {
    NWG_PARAM_GPA = 0x1000,
    NWG_GDT_GPA = 0x2000,
    NWG_BOOT_TABLES_GPA = 0x3000,
    NWG_KERNEL_GPA = 0x200000,
    NWG_SELECTOR_CODE = 0x10,
    NWG_SELECTOR_DATA = 0x18,
    NWG_VECTOR_PF = 14,
};
#define NWG_KERNEL_BASE UINT64_C(0xffffffff80000000)
#define NWG_HEAP_BASE   UINT64_C(0x0000100000000000) /* PML4 slot 32 */
#define NWG_PARAM_MAGIC UINT64_C(0x31657375476b776e)

/* 32-bit OUTs. */
enum {
    NWG_PORT_MARKER = 0x4e00, /* enum nwg_marker in bits 31:24, a number in 23:0 */
    NWG_PORT_DONE = 0x4e04,   /* the checksum is in the parameter page */
    NWG_PORT_PANIC = 0x4e08,  /* enum nwg_panic in bits 31:24, details in the parameter page */
};
enum nwg_marker {
    NWG_MARKER_BEGIN = 1, /* the region of interest starts after this OUT */
    NWG_MARKER_PHASE,     /* a new phase inside it */
    NWG_MARKER_END,       /* it ended before this OUT */
};
enum nwg_panic {
    NWG_PANIC_EXCEPTION = 1, /* an exception other than a page fault the kernel resolves */
    NWG_PANIC_MEMORY,        /* out of frames */
    NWG_PANIC_LIMIT,         /* out of mappings, processes or heap */
    NWG_PANIC_PARAM,         /* the parameter page makes no sense */
};

struct nwg_param {
    /* from the VMM */
    uint64_t magic;
    uint64_t memory_bytes;
    uint64_t free_gpa; /* first byte not used by the image and the boot tables */
    uint64_t workload; /* index in wl_table */
    uint64_t size, operations, seed;
    uint64_t large_pages; /* 1: the heap uses 2 MiB pages where they fit */
    /* from the kernel, before its first marker: the only entry of the #PF handler, which nothing jumps to */
    uint64_t page_fault_entry;
    /* results */
    uint64_t checksum;
    uint64_t page_faults, cow_faults, switches, invlpgs; /* the whole run's, boot included */
    uint64_t panic_vector, panic_error, panic_rip, panic_cr2;
};

#endif
