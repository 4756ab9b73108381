/* lab_paging.h - the lab's PASID-table entries, paging entries, interrupt structures and latencies. */
#ifndef NESTWALK_TESTS_LAB_PAGING_H
#define NESTWALK_TESTS_LAB_PAGING_H

#include "lab_texts.h"

/* A unit with every ability of scalable mode but SMPWCS, and PASIDs of 20 bits. */
#define LAB_SCALABLE_UNIT(ecap) "IOMMU: dmar0 Register Base Address: fed90000\nECAP 0x10 " ecap "\n"
static const char scalable_unit[] = LAB_SCALABLE_UNIT("0x0000e998840000db");
/* Device 00:02.0, PASID 5: domain 3, first stage of 4 levels at 105000000. */
static const char first_stage[] =
    "IOMMU dmar0: Root Table Address: 0x103812400\n"
    "00:02.0\t0x0:0x103813001\t0x0:0x103ec3009\t5\t0x0000000105000000:0x0000000000000003:0x0000000000000049\n";
static const char first_mappings[] = "Device 0000:00:02.0 with pasid 5 @0x105000000\n"
                                     "0x1000 |\t0x0\t0x10aeb8027\t0x10aeb9027\t0x10aeba027\t0x10aebb067\n"
                                     "0x1200 |\t0x0\t0x10aeb8027\t0x10aeb9027\t0x76000e7\n";
/* Two devices of one domain, both with page snooping forced. */
static const char snooping[] = "IOMMU dmar0: Root Table Address: 0x103812400\n"
                               "00:02.0\t0x0:0x103813001\t0x0:0x103ec3009\t0\t0x0:0x1000003:0x0000000105000089\n"
                               "00:03.0\t0x0:0x103813001\t0x0:0x103ec5009\t0\t0x0:0x1000003:0x0000000105000089\n";
static const char posted[] = "Remapped Interrupt supported on IOMMU: dmar0\n****\n\n"
                             "Posted Interrupt supported on IOMMU: dmar0\n IR table address:100900000\n"
                             " Entry SrcID   PDA_high PDA_low  Vct IRTE_high\t\tIRTE_low\n"
                             " 2     00:14.0 00000001 0aed0000 25  00000001000400a0\t0aed000000258001\n";
static const char latency[] =
    "IOMMU: dmar0 Register Base Address: fed90000\n"
    "                  <0.1us   0.1us-1us    1us-10us  10us-100us   100us-1ms    1ms-10ms      >=10ms     min(us)"
    "     max(us) average(us)\n"
    "   inv_iotlb           0          12         390          40           3           0           0           0"
    "         370           6\n\n";

static const struct lab_case lab_paging[] = {
    { .rule = "X12", .text = { mappings, translation }, .from = "0x000000010aeba003", .to = "0x000000010aeba803" },
    { .rule = "X12",
      .text = { mappings, translation, regset },
      .from = "0x000000010aebb003",
      .to = "0x400000010aebb003" },
    { .rule = "X12", .text = { mappings, translation }, .from = "0x0000000080000083", .to = "0x0000000080001083" },
    { .rule = "X12",
      .text = { mappings, translation },
      .from = "0x000000010aeb8003\t0x0000000080000083",
      .to = "0x000000010aeb8083\t0x0" },
    { .rule = "X12",
      .text = { mappings, translation },
      .build = two_units,
      .from = "0x0\t0x000000010aec8003",
      .to = "0x0\t0x000800010aec8003" },
    { .rule = "X12", .text = { first_mappings, first_stage }, .from = "0x76000e7", .to = "0x76020e7" },
    { .rule = "X12", .text = { first_mappings, first_stage }, .from = "0x10aeb8027", .to = "0x10aeb80a7" },
    { .rule = "X20",
      .text = { mappings, translation, regset },
      .from = "0x000000010aebb003",
      .to = "0x000000010aebb803" },
    { .rule = "X20", .text = { snooping, scalable_unit }, .from = "0x1000003", .to = "0x3" },
    { .rule = "X21",
      .text = { scalable, LAB_SCALABLE_UNIT("0x0000e998840000da") },
      .from = "0x0000000105000089",
      .to = "0x0000000105000289" },
    { .rule = "X21",
      .text = { "IOMMU dmar0: Root Table Address: 0x103812400\n"
                "00:02.0\t0x0:0x103813001\t0x0:0x103ec3009\t5\t0x105000000:0x0000000000800003:0x49\n",
                LAB_SCALABLE_UNIT("0x0001e998840000db") },
      .from = "0x0000000000800003",
      .to = "0x0000000000000003" },
    { .rule = "X22", .text = { scalable, scalable_unit }, .from = "\t5\t", .to = "\t8192\t" },
    { .rule = "X22", .text = { scalable, scalable_unit }, .from = "0x0:0x103ec3009", .to = "0x2000:0x103ec3009" },
    { .rule = "X22", .text = { scalable, LAB_SCALABLE_UNIT("0x0000e920840000db") }, .from = "\t5\t", .to = "\t32\t" },
    { .rule = "X23",
      .text = { first_stage, "IOMMU: dmar0 Register Base Address: fed90000\nCAP 0x08 0x00d2008c40660462\n" },
      .from = "0x0000000105000000",
      .to = "0x0000000105000004" },
    { .rule = "X23", .text = { first_stage }, .from = "0x0000000105000000", .to = "0x0000000105000008" },
    { .rule = "X23",
      .text = { first_stage, LAB_SCALABLE_UNIT("0x0000e998040000db") },
      .from = "0x0000000105000000",
      .to = "0x0000000105000001" },
    { .rule = "X23",
      .text = { scalable, LAB_SCALABLE_UNIT("0x0000e998800000db") },
      .from = "0x0000000105000089",
      .to = "0x00000001050000c9" },
    { .rule = "I14", .text = { mappings, regset }, .from = "0x000000010aebb003", .to = "0x000000010097f003" },
    { .rule = "I14", .text = { mappings, posted }, .from = "0x000000010aebb003", .to = "0x000000010aed0003" },
    { .rule = "L01", .text = { latency }, .from = "3           0           0", .to = "3           1           0" },
    { .rule = "Q07", .text = { queue }, .from = "00000000ffffe001", .to = "00000000fffff001" },
    { .rule = "Q07",
      .text = { "Invalidation queue on IOMMU: dmar0\n    0\t0000000000010022\t0000000000000000\t0000000000000002\n",
                "IOMMU: dmar0 Register Base Address: fed90000\nCAP 0x08 0x00d2000c40660462\n" },
      .from = "0000000000010022\t0000000000000000",
      .to = "0000000000010032\t0000000000000000" },
    /* A response with private data, as older kernels have it, is none of the broken ones. */
    { .rule = "Q07",
      .text = { "Invalidation queue on IOMMU: dmar0\n    "
                "0\t0000000500100039\t0000000000000008\t0\t0\t0000000000000002\n" },
      .from = "0000000500100039",
      .to = "0000000500100079" },
};

#endif
