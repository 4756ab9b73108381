/* naive.h - a second walker, written from the manuals' prose and from nothing else, to check the first one by.
 *
 * It shares no table, mask or helper with mmu/: every rule is spelled out where it applies, one condition at a
 * time, from the registers. It is slow and meant to be read beside SDM vol. 3, chapter "Paging" and "The Extended
 * Page Table Mechanism (EPT)", and APM vol. 2, "Nested Paging". */
#ifndef NESTWALK_TESTS_MMU_NAIVE_H
#define NESTWALK_TESTS_MMU_NAIVE_H

#include <stdbool.h>
#include <stdint.h>

enum naive_second { NAIVE_NONE, NAIVE_EPT, NAIVE_NPT };

struct naive_machine {
    uint64_t cr0, cr3, cr4, efer;
    int maxphyaddr;
    bool huge_1g;
    bool pdptes_loaded; /* PAE: pdpte[] holds the registers */
    uint64_t pdpte[4];
    uint32_t pkru, pkrs;

    enum naive_second second;
    uint64_t eptp;
    bool execute_only, mode_based_execute, advanced_info;
    uint64_t ncr3;
    int nested_levels;
    bool host_nxe, host_pse;

    uint64_t (*read)(void *memory, uint64_t hpa); /* 64-bit word, aligned */
    void (*write)(void *memory, uint64_t hpa, uint64_t word);
    void *memory;
};

enum naive_access { NAIVE_READ, NAIVE_WRITE, NAIVE_FETCH, NAIVE_RMW };

enum naive_kind {
    NAIVE_OK,
    NAIVE_NONCANONICAL,
    NAIVE_PAGE_FAULT,
    NAIVE_EPT_VIOLATION,
    NAIVE_EPT_MISCONFIG,
    NAIVE_NPF,
};

struct naive_result {
    enum naive_kind kind;
    uint64_t hpa;           /* OK */
    uint64_t code, address; /* error code and CR2; qualification and GPA; EXITINFO1 and 2 */
    uint64_t gla;           /* EPT violation */
    int guest_references, nested_references;
    int guest_page_log2, nested_page_log2; /* OK */
};

struct naive_result naive_walk(const struct naive_machine *m, uint64_t linear, enum naive_access access, bool user,
                               bool ac);

#endif
