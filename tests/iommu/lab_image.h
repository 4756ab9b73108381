/* lab_image.h - the lab's tables in memory. */
#ifndef NESTWALK_TESTS_LAB_IMAGE_H
#define NESTWALK_TESTS_LAB_IMAGE_H

#include "iommu_common.h"
#include "lab.h"
#include <nestwalk/iommu/amdvi_unit.h>
#include <nestwalk/iommu/check_image.h>

/* A word of memory that makes the difference. */
struct lab_word {
    uint64_t address, sound, broken;
};

/* ---- AMD-Vi: device 00:02.0, three levels: 1 GiB entries at 10000, 2 MiB at 11000, pages at 12000 -------------------- */

static void judge_amdvi_image(const struct lab_word *change, bool broken, struct nw_iommu_findings *found)
{
    struct nw_physmem *pm;
    size_t pages;
    must(nw_physmem_create(&pm, err));
    put64(pm, 0x1000 + 0x10 * 32, 0x6000000000010603);
    put64(pm, 0x1000 + 0x10 * 32 + 8, 1);
    put64(pm, 0x10000, 0x6000000000011401);
    put64(pm, 0x11000, 0x6000000000012201);
    put64(pm, 0x12000, 0x6000000000050001);
    for (unsigned k = 8; k < 16; k++) /* 32 KiB at 80000: address bits 14:12 are 011 */
        put64(pm, 0x12000 + 8 * k, 0x6000000000083e01);
    put64(pm, change->address, broken ? change->broken : change->sound);
    const struct nw_amdvi_tables t = { .unit = { .efr = nw_amdvi_config_default(NULL).unit.efr, .pa_bits = 48 },
                                       .memory = { .pm = pm },
                                       .device_table = 0x1000 };
    must(nw_iommu_check_image_amdvi(&t, "iommu00", found, &pages, err));
    assert_true(pages <= 4);
    nw_physmem_destroy(pm);
}
#define LAB_AMDVI_IMAGE(name, at, is, becomes)                                                                         \
    static void name(bool broken, struct nw_iommu_findings *found)                                                     \
    {                                                                                                                  \
        judge_amdvi_image(&(struct lab_word){ at, is, becomes }, broken, found);                                       \
    }
LAB_AMDVI_IMAGE(v14_reserved, 0x12000, 0x6000000000050001, 0x6010000000050001)
LAB_AMDVI_IMAGE(v14_upwards, 0x11000, 0x6000000000012201, 0x6000000000010601)
LAB_AMDVI_IMAGE(v14_itself, 0x11000, 0x6000000000012201, 0x6000000000011401)
LAB_AMDVI_IMAGE(v14_size, 0x12000, 0x6000000000050001, 0x60000000001ffe01) /* 4 MiB, of level 2 */
LAB_AMDVI_IMAGE(v14_hole, 0x12058, 0x6000000000083e01, 0)
LAB_AMDVI_IMAGE(v14_other, 0x12058, 0x6000000000083e21, 0x6000000000093e01)
LAB_AMDVI_IMAGE(v10_image, 0x1200, 0x6000000000010603, 0x6000000000010607)

/* ---- VT-d: device 00:02.0, domain 1, four levels from 10000 on --------------------------------------------------------- */

static void judge_vtd_image(const struct lab_word *change, bool broken, struct nw_iommu_findings *found)
{
    struct nw_physmem *pm;
    size_t pages;
    must(nw_physmem_create(&pm, err));
    put64(pm, 0x1000, 0x2001);
    put64(pm, 0x2000 + 0x10 * 16, 0x10001);
    put64(pm, 0x2000 + 0x10 * 16 + 8, 0x102);
    put64(pm, 0x10000, 0x11003);
    put64(pm, 0x11000, 0x12003);
    put64(pm, 0x12000, 0x13003);
    put64(pm, 0x12008, 0x200083);
    put64(pm, 0x13000, 0x50003);
    put64(pm, change->address, broken ? change->broken : change->sound);
    const struct nw_vtd_tables t = { .unit = nw_vtd_config_default(NULL).unit,
                                     .memory = { .pm = pm },
                                     .rtaddr = 0x1000 };
    must(nw_iommu_check_image_vtd(&t, "dmar0", found, &pages, err));
    assert_true(pages <= 4);
    nw_physmem_destroy(pm);
}
#define LAB_VTD_IMAGE(name, at, is, becomes)                                                                           \
    static void name(bool broken, struct nw_iommu_findings *found)                                                     \
    {                                                                                                                  \
        judge_vtd_image(&(struct lab_word){ at, is, becomes }, broken, found);                                         \
    }
LAB_VTD_IMAGE(x12_page, 0x12008, 0x200083, 0x201083)
LAB_VTD_IMAGE(x12_width, 0x13000, 0x50003, 0x8000000050003)
LAB_VTD_IMAGE(x12_top, 0x10000, 0x11003, 0x11083)
LAB_VTD_IMAGE(x02_image, 0x2108, 0x102, 0x1000102)
LAB_VTD_IMAGE(x03_image, 0x2108, 0x102, 0x107)

static const struct lab_case lab_image[] = {
    { .rule = "V14", .judge = v14_reserved }, { .rule = "V14", .judge = v14_upwards },
    { .rule = "V14", .judge = v14_itself },   { .rule = "V14", .judge = v14_size },
    { .rule = "V14", .judge = v14_hole },     { .rule = "V14", .judge = v14_other },
    { .rule = "V10", .judge = v10_image },    { .rule = "X12", .judge = x12_page },
    { .rule = "X12", .judge = x12_width },    { .rule = "X12", .judge = x12_top },
    { .rule = "X02", .judge = x02_image },    { .rule = "X03", .judge = x03_image },
};

#endif
