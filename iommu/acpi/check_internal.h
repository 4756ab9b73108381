/* check_internal.h - what the checks of the two tables share. */
#ifndef NESTWALK_IOMMU_CHECK_INTERNAL_H
#define NESTWALK_IOMMU_CHECK_INTERNAL_H

#include <nestwalk/iommu/check.h>

enum rule {
    T01,
    T02,
    T03,
    T04,
    T05,
    T06,
    D01,
    D02,
    D04,
    D05,
    D06,
    D08,
    D12,
    D16,
    D17,
    R01,
    R06,
    R07,
    R08,
    R09,
    R10,
    A01,
    A04,
    I01,
    I04,
    I11,
    V01,
    V02,
    V03,
    V04,
    V05,
    V07,
    V08,
    V09,
    V18,
    /* of running machines (iommu/dump), D03 the first */
    D03,
    D07,
    D11,
    D14,
    D15,
    D18,
    R02,
    R03,
    I02,
    I05,
    I06,
    I08,
    I09,
    I10,
    I12,
    I13,
    X01,
    X02,
    X03,
    X04,
    X05,
    X06,
    X07,
    X08,
    X09,
    X11,
    X13,
    X14,
    X15,
    X16,
    X18,
    X24,
    Q01,
    Q02,
    Q03,
    Q07,
    Q08,
    F01,
    P01,
    P02,
    P03,
    P05,
    G02,
    G06,
    RULES
};

enum { LISTED_MAX = 64 /* findings of one rule in one table; the rest are counted */ };

struct check {
    const struct nw_acpi_table *table;
    struct nw_iommu_findings *findings;
    uint32_t found[RULES], last_offset[RULES];
    bool no_memory;
};

/* `subject` is the structure's name, behind the offset in `where`. */
void nw_check_add(struct check *c, enum rule rule, uint32_t offset, const char *subject, const char *format, ...)
    NW_PRINTF(5, 6);

void nw_check_dmar(struct check *c, const struct nw_dmar *dmar);
void nw_check_ivrs(struct check *c, const struct nw_ivrs *ivrs);

/* Interrupt requests of devices go here; no memory of this range can be a device's. VT-d, "Interrupt Remapping"; AMD IOMMU,
 * "Special Address Controls". */
#define INTERRUPTS_FIRST UINT64_C(0xfee00000)
#define INTERRUPTS_LAST  UINT64_C(0xfeefffff)

static inline bool overlap(uint64_t first, uint64_t last, uint64_t other_first, uint64_t other_last)
{
    return first <= other_last && other_first <= last;
}

#endif
