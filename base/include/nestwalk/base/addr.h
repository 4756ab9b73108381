/* addr.h - one C type per address space, so that mixing them does not compile.
 *
 * GVA   guest-virtual address: what a guest's instruction names
 * GPA   guest-physical address: what the guest's page tables yield, and what its CR3 and table entries hold
 * HPA   host-physical address: what goes to memory. Natively GPA and HPA are the same numbers.
 * IOVA  I/O virtual address: what a device names in a DMA
 * PFN / VPN  physical / virtual page number: address >> 12, whatever the mapping size */
#ifndef NESTWALK_BASE_ADDR_H
#define NESTWALK_BASE_ADDR_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    uint64_t v;
} gva_t;
typedef struct {
    uint64_t v;
} gpa_t;
typedef struct {
    uint64_t v;
} hpa_t;
typedef struct {
    uint64_t v;
} iova_t;

static inline gva_t nw_gva(uint64_t v) { return (gva_t){ v }; }
static inline gpa_t nw_gpa(uint64_t v) { return (gpa_t){ v }; }
static inline hpa_t nw_hpa(uint64_t v) { return (hpa_t){ v }; }
static inline iova_t nw_iova(uint64_t v) { return (iova_t){ v }; }

enum {
    NW_PAGE_LOG2 = 12, /* the base page, 4 KiB */
    NW_PAGE_2M_LOG2 = 21,
    NW_PAGE_4M_LOG2 = 22,
    NW_PAGE_1G_LOG2 = 30,
    NW_LINE_LOG2 = 6,        /* a cache line, 64 B */
    NW_WORDS_PER_PAGE = 512, /* 64-bit words in a base page */
    NW_PHYS_BITS_MAX = 52,   /* architectural limit of a physical address, x86 */
};
#define NW_PAGE_BYTES ((uint64_t)1 << NW_PAGE_LOG2)

#endif
