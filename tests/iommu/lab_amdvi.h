/* lab_amdvi.h - the lab's texts of AMD-Vi. */
#ifndef NESTWALK_TESTS_LAB_AMDVI_H
#define NESTWALK_TESTS_LAB_AMDVI_H

#include "lab_ivrs.h"
#include "lab_texts.h"

/* IommuEn, EventLogEn, CmdBufEn, GAEn, XTEn; both logs run. Six levels of host tables, guest translation, page requests. */
static const char amd_mmio[] = "Offset:0x18 Value:0x0004000000021005\nOffset:0x30 Value:0x246577efa2254afa\n"
                               "Offset:0x2020 Value:0x0000000000000018\n";
static const char amd_capability[] =
    "Offset:0x0 Value:0x190b640f\nOffset:0x4 Value:0xfd000001\nOffset:0x8 Value:0x00000000\n";
static const char devtbl[] =
    "DeviceId             QWORD[3]         QWORD[2]         QWORD[1]         QWORD[0] iommu\n"
    "0000:01:00.0 0000000000000000 2000000105100013 0000000000000001 6000000105200803 iommu0\n"
    "0000:02:00.0 0000000000000000 2000000105101013 0000000000000002 6000000105300803 iommu0\n";
static const char irqtbl[] = "DeviceId 0000:01:00.0\nIRT[0000] 0000000000000025 0000000000000401\n"
                             "IRT[0001] 0000000000000026 0000000000000801\n\n";
static const char irqtbl32[] = "DeviceId 0000:01:00.0\nIRT[0000] 00250401\n\n";
static const char cmdbuf[] = "CMD Buffer Head Offset:2 Tail Offset:2\n  0: 00000100 20000000 00000000 00000000\n"
                             "  1: 00a00001 10000001 00000001 00000000\n  2: 00000000 00000000 00000000 00000000\n";

static void amd_unit(struct builder *b, bool broken)
{
    (void)broken;
    sound_ivrs(b, NW_IVHD_11);
}
static void remapped_before(struct builder *b, bool broken)
{
    sound_ivrs(b, NW_IVHD_11);
    if (broken)
        b->byte[36] |= 2; /* IVinfo.DmaRemap */
}

/* The register of unit 0 against its image in the IVRS. */
static void v09_image(bool broken, struct nw_iommu_findings *found)
{
    struct nw_ivrs_block block = { .type = NW_IVHD_11,
                                   .efr = broken ? UINT64_C(0x246577efa2254a7a) : UINT64_C(0x246577efa2254afa) };
    const struct nw_ivrs ivrs = { .block = &block, .blocks = 1 };
    struct nw_dump d = { .has_dmar = false };
    size_t items;
    must(nw_dump_add_ivrs(&d, &ivrs, 1, err));
    must(nw_dump_add(&d, amd_mmio, strlen(amd_mmio), "amd/iommu00/mmio", 0, &items, err));
    must(nw_iommu_check_dump(&d, 0, found, err));
    nw_dump_fini(&d);
}
/* What sysfs shows, which may be what both units have in common. */
static void v09_sysfs(bool broken, struct nw_iommu_findings *found)
{
    struct nw_ivrs_block block[] = { { .type = NW_IVHD_11, .efr = UINT64_C(0x246577efa2254afa) },
                                     { .type = NW_IVHD_11, .device = 0x2002, .efr = UINT64_C(0x246577efa2254a7a) } };
    const struct nw_ivrs ivrs = { .block = block, .blocks = 2 };
    const char *text = broken ? "/sys/class/iommu/ivhd0/amd-iommu/features = 10:246577efa22540fa\n"
                              : "/sys/class/iommu/ivhd0/amd-iommu/features = 10:246577efa2254a7a\n";
    struct nw_dump d = { .has_dmar = false };
    size_t items;
    must(nw_dump_add_ivrs(&d, &ivrs, 1, err));
    must(nw_dump_add(&d, text, strlen(text), "sysfs", 0, &items, err));
    assert_int_equal(items, 1);
    must(nw_iommu_check_dump(&d, 0, found, err));
    nw_dump_fini(&d);
}
/* Registers of two units. */
static void v09_units(bool broken, struct nw_iommu_findings *found)
{
    static const char other[] = "Offset:0x30 Value:0x246577efa2254a7a\n";
    const char *second = broken ? other : amd_mmio;
    struct nw_dump d = { .has_dmar = false };
    size_t items;
    must(nw_dump_add(&d, amd_mmio, strlen(amd_mmio), "amd/iommu00/mmio", 0, &items, err));
    must(nw_dump_add(&d, second, strlen(second), "amd/iommu01/mmio", 1, &items, err));
    must(nw_iommu_check_dump(&d, 0, found, err));
    must(nw_iommu_check_dump(&d, 1, found, err));
    nw_dump_fini(&d);
}

static const struct lab_case lab_amdvi[] = {
    { .rule = "V09", .judge = v09_image },
    { .rule = "V09", .judge = v09_units },
    { .rule = "V09", .judge = v09_sysfs },
    { .rule = "D18", .text = { amd_capability }, .build = amd_unit, .from = "0xfd000001", .to = "0xfd200001" },
    { .rule = "V10", .text = { devtbl }, .from = "6000000105200803", .to = "6000000105200e03" },
    { .rule = "V10", .text = { devtbl }, .from = "6000000105200803", .to = "6000000105200807" },
    { .rule = "V10", .text = { devtbl }, .from = "2000000105100013", .to = "3000000105100013" },
    { .rule = "V11", .text = { devtbl }, .from = "6000000105200803", .to = "6000000000000003" },
    { .rule = "V11", .text = { devtbl }, .from = "6000000105200803", .to = "0000000000000000" },
    { .rule = "V12", .text = { devtbl }, .from = "2000000105100013", .to = "0000000000000000" },
    { .rule = "V12", .text = { devtbl }, .from = "2000000105100013", .to = "1000000105100013" },
    { .rule = "V12", .text = { devtbl }, .from = "0000000000000001", .to = "0000008000000001" },
    { .rule = "X05", .text = { devtbl }, .from = "0000000000000002", .to = "0000000000000001" },
    { .rule = "V13", .text = { irqtbl, amd_mmio }, .from = "0000000000000025", .to = "000000000000000e" },
    { .rule = "V13",
      .text = { irqtbl, "Offset:0x18 Value:0x0000000000021005\n" },
      .from = "0000000000000401",
      .to = "0000000000010401" },
    { .rule = "V13", .text = { irqtbl32 }, .from = "00250401", .to = "00250481" },
    { .rule = "V13", .text = { irqtbl, amd_mmio }, .from = "0000000000000025 0000000000000401", .to = "00250401" },
    { .rule = "V13", .text = { irqtbl, amd_mmio }, .from = "0000000000000401", .to = "0000000000000409" },
    { .rule = "V15",
      .text = { "Offset:0x30 Value:0xa46577efa2254afa\n", "root=/dev/sda1 kvm_amd.sev_snp=1\n" },
      .from = "0xa46577efa2254afa",
      .to = "0x246577efa2254afa" },
    { .rule = "V15",
      .text = { "root=/dev/sda1 kvm_amd.sev_snp=1 quiet\n" },
      .from = "quiet",
      .to = "amd_iommu=pgtbl_v2" },
    { .rule = "V15",
      .text = { devtbl, "root=/dev/sda1 kvm_amd.sev_snp=1\n" },
      .from = "6000000105200803",
      .to = "6000000000000003",
      .besides = "V11" },
    { .rule = "V16", .text = { amd_mmio }, .from = "0x0004000000021005", .to = "0x0004000000020005" },
    { .rule = "V16", .text = { amd_mmio }, .from = "0x0004000000021005", .to = "0x0004000000021001" },
    { .rule = "V16", .text = { amd_mmio }, .from = "0x0000000000000018", .to = "0x0000000000000019" },
    { .rule = "V16", .text = { amd_mmio }, .from = "0x0000000000000018", .to = "0x0000000000000008" },
    { .rule = "V17", .text = { "root=/dev/sda1 amd_iommu=off\n" }, .build = remapped_before, .besides = "P05" },
    { .rule = "V19", .text = { cmdbuf }, .from = "00000100 20000000", .to = "00000100 20000001" },
    { .rule = "V19", .text = { cmdbuf }, .from = "00000100 20000000", .to = "00000100 f0000000" },
    { .rule = "V19",
      .text = { cmdbuf, "Offset:0x0 Value:0x180b640f\n" },
      .from = "00000100 20000000",
      .to = "00000100 40000000" },
};

#endif
