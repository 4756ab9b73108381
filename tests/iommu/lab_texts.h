/* lab_texts.h - the lab's texts of a running machine, some with the firmware's table beside them. */
#ifndef NESTWALK_TESTS_LAB_TEXTS_H
#define NESTWALK_TESTS_LAB_TEXTS_H

#include "lab.h"

/* ---- sound texts, and what is put in the place of a part ---------------------------------------- */

static const char regset[] = "IOMMU: dmar0 Register Base Address: fed90000\n"
                             "Name\t\t\tOffset\t\tContents\n"
                             "FSTS           \t0x34\t\t0x0000000000000000\n"
                             "PMEN           \t0x64\t\t0x0000000000000000\n"
                             "GSTS           \t0x1c\t\t0x00000000c7000000\n"
                             "CAP            \t0x08\t\t0x00d2008c40660462\n"
                             "ECAP           \t0x10\t\t0x0000000000f050da\n"
                             "RTADDR         \t0x20\t\t0x0000000103812000\n"
                             "IQT            \t0x88\t\t0x0000000000000010\n"
                             "IQA            \t0x90\t\t0x0000000100a00000\n"
                             "IRTA           \t0xb8\t\t0x000000010090080f\n\n"
                             "IOMMU: dmar1 Register Base Address: fed91000\n"
                             "GSTS           \t0x1c\t\t0x00000000c7000000\n"
                             "CAP            \t0x08\t\t0x00d2008c40660462\n"
                             "ECAP           \t0x10\t\t0x0000000000f050da\n";
static const char translation[] =
    "IOMMU dmar0: Root Table Address: 0x103812000\n"
    "B.D.F\tRoot_entry\t\t\t\tContext_entry\t\t\t\tPASID\tPASID_table_entry\n"
    "00:02.0\t0x0000000000000000:0x0000000103813001\t0x0000000000000102:0x0000000103ec3001\t-1\t0x0:0x0:0x0\n"
    "00:14.0\t0x0000000000000000:0x0000000103813001\t0x0000000000000202:0x0000000103ec4001\t-1\t0x0:0x0:0x0\n";
static const char scalable[] =
    "IOMMU dmar0: Root Table Address: 0x103812400\n"
    "00:02.0\t0x0:0x103813001\t0x0:0x103ec3009\t5\t0x0000000000000000:0x0000000000000003:0x0000000105000089\n";
static const char mappings[] =
    "Device 0000:00:02.0 @0x103ec3000\n"
    "IOVA_PFN\t\tPML5E\t\t\tPML4E\t\t\tPDPE\t\t\tPDE\t\t\tPTE\n"
    "0x00000000000fffff |\t0x0\t0x000000010aeb8003\t0x000000010aeb9003\t0x000000010aeba003\t0x000000010aebb003\n"
    "0x0000000000100000 |\t0x0\t0x000000010aeb8003\t0x000000010aeb9003\t0x000000010aebc003\t0x000000010aebc003\n"
    "0x0000000000140000 |\t0x0\t0x000000010aeb8003\t0x0000000080000083\n"
    "Device 0000:00:14.0 @0x103ec4000\n"
    "0x0000000000000200 |\t0x0\t0x000000010aec8003\t0x000000010aec9003\t0x0000000007600083\n";
static const char interrupts[] = "Remapped Interrupt supported on IOMMU: dmar0\n"
                                 " IR table address:100900000\n"
                                 " Entry SrcID   DstID    Vct IRTE_high\t\tIRTE_low\n"
                                 " 0     f0:1f.0 00000100 24  000000000004f0f8\t000001000024000d\n"
                                 " 1     00:14.0 00000200 25  00000000000400a0\t000002000025000d\n";
static const char queue[] = "Invalidation queue on IOMMU: dmar0\n Base: 0x100a00000\tHead: 3\tTail: 3\n"
                            "Index\t\tqw0\t\t\tqw1\t\t\tstatus\n"
                            "    0\t0000000000010032\t00000000ffffe001\t0000000000000002\n"
                            "    1\t0000000110000014\t0000000000000000\t0000000000000002\n"
                            "    2\t0000000200000025\t0000000100aa0008\t0000000000000002\n"
                            "    3\t0000000000000000\t0000000000000000\t0000000000000000\n";
static const char iomem[] =
    "00001000-0009ffff : System RAM\n000a0000-000fffff : Reserved\n00100000-7fffffff : System RAM\n"
    "  01000000-01ffffff : Kernel code\n80000000-8fffffff : Reserved\n";
static const char cmdline[] = "BOOT_IMAGE=/vmlinuz root=/dev/sda1 quiet intel_iommu=on\n";
static const char lspci[] =
    "00:00.0 Host bridge: A host bridge\n"
    "00:02.0 VGA compatible controller: A display\n\tCapabilities: [200 v1] Address Translation Service (ATS)\n"
    "\t\tATSCtl:\tEnable-, Smallest Translation Unit: 00\n"
    "00:14.0 USB controller: A controller\n"
    "00:1c.0 PCI bridge: A port\n\tCapabilities: [40] Express (v2) Root Port (Slot+), MSI 00\n"
    "\tCapabilities: [140 v1] Access Control Services\n"
    "\t\tACSCtl:\tSrcValid+ TransBlk- ReqRedir+ CmpltRedir+ UpstreamFwd+ EgressCtrl- DirectTrans-\n";

/* ---- tables that texts are compared with ----------------------------------------------------------- */

/* Units at fed90000 (00:02.0) and fed91000 (all others), a region at 80000000. */
static void dmar_of_machine(struct builder *b, uint64_t first_unit, unsigned flags, uint64_t region,
                            uint64_t region_last)
{
    begin(b, true);
    drhd(b, 0, 0, first_unit);
    scope(b, NW_DMAR_SCOPE_ENDPOINT, 0, 0, 2, 0);
    drhd(b, flags, 0, 0xfed91000);
    rmrr(b, 0, region, region_last);
    scope(b, NW_DMAR_SCOPE_ENDPOINT, 0, 0, 2, 0);
}
static void two_units(struct builder *b, bool broken)
{
    (void)broken;
    dmar_of_machine(b, 0xfed90000, NW_DRHD_INCLUDE_PCI_ALL, 0x80000000, 0x8fffffff);
}
static void units_elsewhere(struct builder *b, bool broken)
{
    dmar_of_machine(b, broken ? 0xfed95000 : 0xfed90000, NW_DRHD_INCLUDE_PCI_ALL, 0x80000000, 0x8fffffff);
}
static void region_in_ram(struct builder *b, bool broken)
{
    dmar_of_machine(b, 0xfed90000, NW_DRHD_INCLUDE_PCI_ALL, broken ? 0x7f000000 : 0x80000000,
                    broken ? 0x7fffffff : 0x8fffffff);
}
static void region_in_gap(struct builder *b, bool broken)
{
    dmar_of_machine(b, 0xfed90000, NW_DRHD_INCLUDE_PCI_ALL, broken ? 0x90000000 : 0x80000000,
                    broken ? 0x9fffffff : 0x8fffffff);
}
static void opt_in(struct builder *b, bool broken)
{
    two_units(b, broken);
    if (broken)
        b->byte[37] |= NW_DMAR_PLATFORM_OPT_IN;
}
static void listed_only(struct builder *b, bool broken)
{
    two_units(b, broken);
    if (broken)
        put(b, 48 + 24 + 4, 1, 0); /* INCLUDE_PCI_ALL of the second unit */
}

static const struct lab_case lab_texts[] = {
    { .rule = "X01", .text = { regset }, .from = "0x00000000c7000000", .to = "0x0000000047000000" },
    { .rule = "I02", .text = { regset }, .from = "0x00000000c7000000", .to = "0x00000000c4000000" },
    { .rule = "I13",
      .text = { "IOMMU: dmar0 Register Base Address: fed90000\nGSTS 0x1c 0xc7800000\nIRTA 0xb8 0x10090080f\n" },
      .from = "0x10090080f",
      .to = "0x10090000f" },
    { .rule = "Q02", .text = { regset }, .from = "0x00000000c7000000", .to = "0x00000000c3000000" },
    { .rule = "X24", .text = { regset }, .from = "0x0000000103812000", .to = "0x0000000103812400", .besides = "Q03" },
    { .rule = "X24", .text = { regset }, .from = "0x0000000103812000", .to = "0x0000000103812800" },
    { .rule = "Q03", .text = { regset }, .from = "0x0000000100a00000", .to = "0x0000000100a00800" },
    { .rule = "Q07", .text = { queue }, .from = "0000000000010032", .to = "000000000001003d" },
    { .rule = "Q07", .text = { queue }, .from = "0000000000010032", .to = "0000000000010232" },
    { .rule = "Q07", .text = { queue, regset }, .from = "00000000ffffe001", .to = "00000000fffff013" },
    { .rule = "Q07",
      .text = { queue, regset },
      .from = "0000000000010032\t00000000ffffe001",
      .to = "0000000000010036\t00000000fffff013" },
    { .rule = "Q07", .text = { queue, regset }, .from = "0000000110000014", .to = "0000000180000014" },
    { .rule = "Q08", .text = { queue, mappings }, .from = "0000000100aa0008", .to = "000000010aebb008" },
    { .rule = "Q01", .text = { regset }, .from = "0x34\t\t0x0000000000000000", .to = "0x34\t\t0x0000000000000010" },
    { .rule = "F01", .text = { regset }, .from = "0x34\t\t0x0000000000000000", .to = "0x34\t\t0x0000000000000002" },
    { .rule = "P01", .text = { regset }, .from = "0x64\t\t0x0000000000000000", .to = "0x64\t\t0x0000000080000001" },
    { .rule = "P02", .text = { regset }, .from = "0x00d2008c40660462", .to = "0x00d2008c406604e2" },
    { .rule = "D03",
      .text = { regset },
      .from = "0x00d2008c40660462\nECAP           \t0x10\t\t0x0000000000f050da",
      .to = "0xffffffffffffffff\nECAP \t0x10 0xffffffffffffffff",
      .besides = "D14" },
    { .rule = "D14",
      .text = { regset },
      .from = "0x00d2008c40660462\nECAP           \t0x10\t\t0x0000000000f050da\nRTADDR",
      .to = "0x00d2008c40660c62\nECAP           \t0x10\t\t0x0000000000f050da\nRTADDR" },
    { .rule = "D15", .text = { regset }, .from = "0x00d2008c40660462", .to = "0x00d2008c40660062", .besides = "D14" },
    { .rule = "D18", .text = { regset }, .build = units_elsewhere },
    { .rule = "X02", .text = { translation }, .from = "0x0000000103ec3001", .to = "0x0000000103ec3f01" },
    { .rule = "X02", .text = { translation }, .from = "0x0000000103813001", .to = "0x0000000103813003" },
    { .rule = "X02", .text = { scalable }, .from = "0x0000000105000089", .to = "0x0000000105000489" },
    { .rule = "X03", .text = { translation }, .from = "0x0000000103ec3001", .to = "0x0000000103ec300d" },
    { .rule = "X03", .text = { translation, regset }, .from = "0x0000000000000102:", .to = "0x0000000000000103:" },
    { .rule = "X03", .text = { scalable }, .from = "0x0000000105000089", .to = "0x0000000105000149" },
    { .rule = "X04",
      .text = { translation },
      .from = "0x0000000000000102:0x0000000103ec3001",
      .to = "0x0000000000000302:0x0000000000000009" },
    { .rule = "X05", .text = { translation }, .from = "0x0000000000000202:", .to = "0x0000000000000102:" },
    { .rule = "X06",
      .text = { translation },
      .from = "0x0000000000000202:0x0000000103ec4001",
      .to = "0x0000000000000102:0x0000000000000009",
      .besides = "X04" },
    { .rule = "X07", .text = { translation }, .from = "0x0000000000000202:", .to = "0x0000000000000002:" },
    { .rule = "X08", .text = { translation, regset }, .from = "0x0000000000000202:", .to = "0x0000000000012302:" },
    { .rule = "X09", .text = { translation, lspci }, .from = "00:14.0", .to = "00:15.0" },
    { .rule = "X11", .text = { translation }, .from = "0x0000000103ec3001", .to = "0x0000000103ec3003" },
    { .rule = "X13", .text = { mappings }, .from = "0x000000010aebb003", .to = "0x000000010aebb002" },
    { .rule = "X14", .text = { mappings, translation }, .from = "0x000000010aebb003", .to = "0x0000000103813003" },
    { .rule = "X14", .text = { mappings, translation }, .from = "0x0000000080000083", .to = "0x0000000100000083" },
    { .rule = "X14", .text = { mappings, scalable }, .from = "0x000000010aebb003", .to = "0x0000000105000003" },
    { .rule = "X14", .text = { mappings, regset }, .from = "0x000000010aebb003", .to = "0x00000000fed91003" },
    { .rule = "X14", .text = { mappings, regset }, .from = "0x000000010aebb003", .to = "0x0000000100a00003" },
    { .rule = "X15", .text = { mappings }, .from = "0x000000010aebb003", .to = "0x00000000fee01003" },
    { .rule = "X16", .text = { mappings }, .from = "0x00000000000fffff", .to = "0x00000000000fee00" },
    { .rule = "X18", .text = { mappings }, .from = "0x0000000000140000", .to = "0x0000000000080000" },
    { .rule = "I05", .text = { interrupts }, .from = "000000000004f0f8", .to = "000000000000f0f8" },
    { .rule = "I06", .text = { interrupts }, .from = "000000000004f0f8", .to = "000000000007f0f8" },
    { .rule = "I06", .text = { interrupts }, .from = "000000000004f0f8", .to = "0000000000080206" },
    { .rule = "I08", .text = { interrupts }, .from = "000001000024000d", .to = "00000100000e000d" },
    { .rule = "I09", .text = { interrupts }, .from = "000001000024000d", .to = "000001000024008d" },
    { .rule = "I10",
      .text = { interrupts, "IOMMU: dmar0 Register Base Address: fed90000\nIRTA 0xb8 0x10090000f\n" },
      .from = "000001000024000d",
      .to = "000101000024000d" },
    { .rule = "I12",
      .text = { interrupts, "IOMMU: dmar0 Register Base Address: fed90000\nIRTA 0xb8 0x100900800\n" },
      .from = "\n 1     ",
      .to = "\n 2     " },
    { .rule = "R02", .text = { iomem }, .build = region_in_ram },
    { .rule = "R03", .text = { iomem }, .build = region_in_gap },
    { .rule = "P05", .text = { cmdline }, .from = "intel_iommu=on", .to = "iommu=pt" },
    { .rule = "P05", .text = { cmdline }, .from = "intel_iommu=on", .to = "pcie_acs_override=downstream" },
    { .rule = "P03", .text = { "root=/dev/sda1 intel_iommu=off\n" }, .build = opt_in, .besides = "P05" },
    { .rule = "D07", .text = { lspci }, .build = listed_only, .besides = "D12 D17" },
    { .rule = "D11", .text = { lspci }, .from = "00:02.0", .to = "00:03.0", .build = two_units, .besides = "R11" },
    { .rule = "G02", .text = { lspci }, .from = "ReqRedir+", .to = "ReqRedir-" },
    { .rule = "G06", .text = { lspci, translation }, .from = "Enable-", .to = "Enable+" },
};

#endif
