/* iommu_common.h - what the tests of the remapping unit share. */
#ifndef NESTWALK_TESTS_IOMMU_COMMON_H
#define NESTWALK_TESTS_IOMMU_COMMON_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <nestwalk/base/rng.h>
#include <nestwalk/iommu/vtd_unit.h>

/* Fails the test with the library's own message. */
#define must(call)                                                                                                     \
    do {                                                                                                               \
        struct nw_error must_error = { 0 };                                                                            \
        struct nw_error *err = &must_error;                                                                            \
        if (call)                                                                                                      \
            fail_msg("%s: %s", #call, must_error.text);                                                                \
    } while (0)

static inline void put64(struct nw_physmem *pm, uint64_t address, uint64_t word)
{
    must(nw_physmem_write64(pm, nw_hpa(address), word, err));
}

static inline uint64_t get64(const struct nw_physmem *pm, uint64_t address)
{
    return nw_physmem_read64(pm, nw_hpa(address));
}

#endif
