/* lab_machine.h - the lab's cases that compare what is told of a machine's devices, groups, log and firmware. */
#ifndef NESTWALK_TESTS_LAB_MACHINE_H
#define NESTWALK_TESTS_LAB_MACHINE_H

#include "lab_texts.h"

/* ---- texts ------------------------------------------------------------------------------------------ */

/* A network card with one virtual function behind a port that isolates. */
static const char machine[] =
    "00:02.0 VGA compatible controller [0300]: Display\n"
    "\tControl: I/O+ Mem+ BusMaster+ SpecCycle-\n"
    "\tCapabilities: [70] Express (v2) Root Complex Integrated Endpoint, MSI 00\n"
    "00:14.0 USB controller [0c03]: USB\n"
    "\tControl: I/O- Mem+ BusMaster+ SpecCycle-\n"
    "\tCapabilities: [70] Power Management version 2\n"
    "00:1c.0 PCI bridge [0604]: Port\n"
    "\tControl: I/O+ Mem+ BusMaster+ SpecCycle-\n"
    "\tBus: primary=00, secondary=01, subordinate=01, sec-latency=0\n"
    "\tCapabilities: [40] Express (v2) Root Port (Slot+), MSI 00\n"
    "\tCapabilities: [140 v1] Access Control Services\n"
    "\t\tACSCtl:\tSrcValid+ TransBlk+ ReqRedir+ CmpltRedir+ UpstreamFwd+ EgressCtrl- DirectTrans-\n"
    "01:00.0 Ethernet controller [0200]: Card\n"
    "\tControl: I/O- Mem+ BusMaster+ SpecCycle-\n"
    "\tCapabilities: [a0] Express (v2) Endpoint, MSI 00\n"
    "\tCapabilities: [140 v1] Single Root I/O Virtualization (SR-IOV)\n"
    "\t\tInitial VFs: 8, Total VFs: 8, Number of VFs: 1, Function Dependency Link: 00\n"
    "\t\tVF offset: 128, stride: 2, Device ID: 1515\n"
    "\tCapabilities: [1a0 v1] Access Control Services\n"
    "\t\tACSCtl:\tSrcValid- TransBlk- ReqRedir- CmpltRedir- UpstreamFwd- EgressCtrl- DirectTrans-\n"
    "\tCapabilities: [200 v1] Address Translation Service (ATS)\n"
    "\t\tATSCtl:\tEnable-, Smallest Translation Unit: 00\n"
    "\tCapabilities: [210 v1] Page Request Interface (PRI)\n"
    "\t\tPRICtl: Enable+ Reset-\n"
    "\t\tPRISta: RF- UPRGI- Stopped+ PASID+\n"
    "\t\tPage Request Capacity: 00000020, Page Request Allocation: 00000020\n"
    "\tCapabilities: [220 v1] Process Address Space ID (PASID)\n"
    "\t\tPASIDCtl: Enable+ Exec- Priv-\n"
    "\tKernel driver in use: ixgbe\n"
    "01:10.0 Ethernet controller [0200]: Virtual function\n"
    "\tControl: I/O- Mem- BusMaster+ SpecCycle-\n"
    "\tKernel driver in use: ixgbevf\n";
static const char machine_entries[] =
    "IOMMU dmar0: Root Table Address: 0x103812000\n"
    "01:00.0\t0x0:0x103813001\t0x0000000000000102:0x0000000103ec3001\t-1\t0x0:0x0:0x0\n"
    "01:10.0\t0x0:0x103813001\t0x0000000000000202:0x0000000103ec4001\t-1\t0x0:0x0:0x0\n";
/* Two devices of conventional PCI: both send by the id of bus 03. */
static const char behind_bridge[] = "00:1e.0 PCI bridge [0604]: Bridge\n"
                                    "\tControl: I/O+ Mem+ BusMaster+ SpecCycle-\n"
                                    "\tBus: primary=00, secondary=03, subordinate=03, sec-latency=32\n"
                                    "\tCapabilities: [80] Express (v1) PCI-Express to PCI/PCI-X Bridge, MSI 00\n"
                                    "03:04.0 Ethernet controller [0200]: One\n"
                                    "\tControl: I/O+ Mem+ BusMaster+ SpecCycle-\n"
                                    "03:05.0 Ethernet controller [0200]: Other\n"
                                    "\tControl: I/O+ Mem+ BusMaster+ SpecCycle-\n";
static const char bridge_entries[] =
    "IOMMU dmar0: Root Table Address: 0x103812000\n"
    "03:00.0\t0x0:0x103813001\t0x0000000000000102:0x0000000103ec3001\t-1\t0x0:0x0:0x0\n"
    "03:04.0\t0x0:0x103813001\t0x0000000000000102:0x0000000103ec3001\t-1\t0x0:0x0:0x0\n"
    "03:05.0\t0x0:0x103813001\t0x0000000000000102:0x0000000103ec3001\t-1\t0x0:0x0:0x0\n";
static const char groups[] = "/sys/kernel/iommu_groups/7/type = DMA\n"
                             "/sys/kernel/iommu_groups/7/devices -> 0000:01:00.0\n"
                             "/sys/kernel/iommu_groups/7/devices -> 0000:01:00.1\n"
                             "/sys/bus/pci/devices/0000:01:00.0/class = 0x020000\n"
                             "/sys/bus/pci/devices/0000:01:00.0/driver -> vfio-pci\n"
                             "/sys/bus/pci/devices/0000:01:00.0/removable = removable\n"
                             "/sys/bus/pci/devices/0000:01:00.1/driver -> vfio-pci\n";
static const char regions[] = "/sys/kernel/iommu_groups/1/type = DMA\n"
                              "/sys/kernel/iommu_groups/1/reserved_regions = 0x80000000 0x8fffffff reserved\n"
                              "/sys/kernel/iommu_groups/1/reserved_regions = 0xfee00000 0xfeefffff msi\n"
                              "/sys/bus/pci/devices/0000:00:02.0/iommu_group -> 1\n"
                              "/sys/bus/pci/devices/0000:00:02.0/driver -> vfio-pci\n";
static const char display_of_host[] = "/sys/bus/pci/devices/0000:00:02.0/class = 0x030000\n"
                                      "/sys/bus/pci/devices/0000:00:02.0/driver -> i915\n";
static const char outside[] = "/sys/bus/pci/devices/0000:01:00.0/removable = removable\n";
static const char guest_has_function[] = "/sys/bus/pci/devices/0000:01:10.0/driver -> vfio-pci\n";
static const char host_controller[] = "/sys/bus/pci/devices/0000:00:0d.2/class = 0x0c0330\n"
                                      "/sys/bus/pci/devices/0000:00:0d.2/driver -> xhci_hcd\n";
static const char processor[] = "processor\t: 0\nvendor_id\t: AuthenticAMD\n"
                                "address sizes\t: 48 bits physical, 48 bits virtual\nflags\t\t: fpu sme sev\n";
static const char fault_log[] =
    "[    0.060000] DMAR: Host address width 39\n"
    "[    9.100000] DMAR: [DMA Read NO_PASID] Request device [00:14.0] fault addr 0x40001000 [fault reason 0x06] "
    "PTE Read access is not set\n"
    "[    9.200000] DMAR: [DMA Read NO_PASID] Request device [00:02.0] fault addr 0x40002000 [fault reason 0x06] "
    "PTE Read access is not set\n"
    "[    9.300000] DMAR: [INTR-REMAP] Request device [00:14.0] fault index 0x25 [fault reason 0x26] "
    "Blocked an interrupt request due to source-id verification failure\n";
static const char amd_log[] =
    "[   10.000000] ahci 0000:00:14.0: AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x0001 address=0x1000 flags=0x0000]\n"
    "[   10.100000] ahci 0000:00:15.0: AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x0001 address=0x2000 "
    "flags=0x0000]\n";
static const char boot_log[] = "DMAR: Host address width 39\n"
                               "DMAR: DRHD base: 0x000000fed90000 flags: 0x1\n"
                               "DMAR: dmar0: reg_base_addr fed90000 ver 1:0 cap d2008c40660462 ecap f050da\n"
                               "DMAR: RMRR base: 0x0000008a76a000 end: 0x0000008a789fff\n";
static const char two_sets[] = "IOMMU: dmar0 Register Base Address: fed90000\nECAP 0x10 0x0000000000f050da\n"
                               "IOMMU: dmar1 Register Base Address: fed91000\nECAP 0x10 0x0000000000f050db\n";
static const char with_page_requests[] = "IOMMU: dmar0 Register Base Address: fed90000\nPRS 0xdc 0x0\n";

/* ---- tables ----------------------------------------------------------------------------------------- */

/* A path of two hops: a device behind a port of bus 0. */
static void path(struct builder *b, unsigned type, unsigned port, unsigned device, unsigned function)
{
    append(b, 1, type);
    append(b, 1, 10);
    append(b, 2, 0);
    append(b, 1, 0);
    append(b, 1, 0);
    append(b, 1, port);
    append(b, 1, 0);
    append(b, 1, device);
    append(b, 1, function);
    fit(b);
}

static void one_unit(struct builder *b, unsigned flags)
{
    begin(b, true);
    b->byte[37] |= (uint8_t)flags;
    drhd(b, NW_DRHD_INCLUDE_PCI_ALL, 0, 0xfed90000);
    scope(b, NW_DMAR_SCOPE_IOAPIC, 2, 0xf0, 0x1f, 0);
}

static void scope_of_port(struct builder *b, bool broken)
{
    begin(b, true);
    drhd(b, 0, 0, 0xfed90000);
    scope(b, broken ? NW_DMAR_SCOPE_ENDPOINT : NW_DMAR_SCOPE_BRIDGE, 0, 0, 0x1c, 0);
    drhd(b, NW_DRHD_INCLUDE_PCI_ALL, 0, 0xfed91000);
}
static void scope_of_card(struct builder *b, bool broken)
{
    begin(b, true);
    drhd(b, 0, 0, 0xfed90000);
    scope(b, broken ? NW_DMAR_SCOPE_BRIDGE : NW_DMAR_SCOPE_ENDPOINT, 0, 0, 0x14, 0);
    drhd(b, NW_DRHD_INCLUDE_PCI_ALL, 0, 0xfed91000);
}
static void region_behind_port(struct builder *b, bool broken)
{
    one_unit(b, 0);
    rmrr(b, 0, 0x80000000, 0x80000fff);
    if (broken)
        scope(b, NW_DMAR_SCOPE_ENDPOINT, 0, 1, 0, 0);
    else
        path(b, NW_DMAR_SCOPE_ENDPOINT, 0x1c, 0, 0);
}
static void region_of_card(struct builder *b, bool broken)
{
    one_unit(b, 0);
    rmrr(b, 0, 0x80000000, 0x80000fff);
    if (broken)
        path(b, NW_DMAR_SCOPE_ENDPOINT, 0x1c, 0, 0);
    else
        scope(b, NW_DMAR_SCOPE_ENDPOINT, 0, 0, 0x14, 0);
}
static void region_of_display(struct builder *b, bool broken)
{
    (void)broken;
    one_unit(b, 0);
    rmrr(b, 0, 0x80000000, 0x8fffffff);
    scope(b, NW_DMAR_SCOPE_ENDPOINT, 0, 0, 2, 0);
}
static void all_in_one(struct builder *b, bool broken)
{
    (void)broken;
    one_unit(b, 0);
}
static void asks_for_protection(struct builder *b, bool broken) { one_unit(b, broken ? 0 : NW_DMAR_PLATFORM_OPT_IN); }
static void ports(struct builder *b, bool broken)
{
    one_unit(b, 0);
    atsr(b, 0);
    scope(b, NW_DMAR_SCOPE_BRIDGE, 0, 0, broken ? 0x14 : 0x1c, 0);
}
static void ports_absent(struct builder *b, bool broken)
{
    one_unit(b, 0);
    atsr(b, 0);
    scope(b, NW_DMAR_SCOPE_BRIDGE, 0, 0, broken ? 0x1d : 0x1c, 0);
}
static void requires_cache(struct builder *b, bool broken)
{
    two_units(b, false);
    structure(b, NW_DMAR_SATC, 8);
    put(b, b->structure + 4, 1, broken);
    scope(b, NW_DMAR_SCOPE_ENDPOINT, 0, 0, 0x14, 0);
}
static void madt(struct builder *b, bool broken)
{
    memset(b, 0, sizeof *b);
    memcpy(b->byte, "APIC", 4);
    b->size = NW_ACPI_MADT_FIXED_BYTES;
    append(b, 2, 0x0800); /* a local APIC, enabled */
    append(b, 2, 0);
    append(b, 4, 1);
    append(b, 2, 0x0c01); /* an I/O APIC */
    append(b, 2, broken ? 9 : 2);
    append(b, 4, 0xfec00000);
    append(b, 4, 0);
}
static void madt_cut(struct builder *b, bool broken)
{
    madt(b, false);
    if (broken)
        b->byte[b->size - 11] = 13; /* the last entry's length */
}
static void amd_machine(struct builder *b, unsigned last)
{
    begin(b, false);
    ivhd(b, NW_IVHD_10, 0x0002, 0xfd400000);
    entry(b, NW_IVHD_RANGE_START, 0x0008, 0);
    entry(b, NW_IVHD_RANGE_END, last, 0);
    special(b, 2, 0x00a0, NW_IVHD_IOAPIC);
}
static void amd_all(struct builder *b, bool broken)
{
    (void)broken;
    amd_machine(b, 0xffff);
}
static void amd_short(struct builder *b, bool broken) { amd_machine(b, broken ? 0x00ff : 0xffff); }
static void amd_bridge(struct builder *b, bool broken)
{
    amd_machine(b, 0xffff);
    if (!broken)
        entry(b, NW_IVHD_SELECT, 0x0000, 0);
}

static const struct lab_case lab_machine[] = {
    { .rule = "T02", .madt = madt_cut },
    { .rule = "T06",
      .build = all_in_one,
      .text = { "processor\t: 0\naddress sizes\t: 39 bits physical, 48 bits virtual\n" },
      .from = "39 bits",
      .to = "36 bits" },
    { .rule = "D09", .build = scope_of_port, .text = { machine } },
    { .rule = "D09", .build = scope_of_card, .text = { machine } },
    { .rule = "D10", .build = region_behind_port, .text = { machine }, .besides = "R04" },
    { .rule = "D13", .build = two_units, .text = { regset }, .from = "0x00d2008c40660462", .to = "0x00d2008fff660462" },
    { .rule = "V06", .build = amd_short, .text = { machine } },
    { .rule = "V06", .build = amd_bridge, .text = { "00:00.0 Host bridge [0600]: Host\n" } },
    { .rule = "R04", .build = region_of_card, .text = { machine } },
    { .rule = "R04",
      .build = region_of_card,
      .text = { machine },
      .from = "driver in use: ixgbe\n",
      .to = "driver in use: vfio-pci\n" },
    { .rule = "R04", .text = { regions }, .from = "0x8fffffff reserved", .to = "0x8fffffff direct" },
    { .rule = "R05", .build = region_of_display, .text = { display_of_host }, .from = "i915", .to = "vfio-pci" },
    { .rule = "R05", .text = { regions }, .from = "0x8fffffff reserved", .to = "0x8fffffff direct-relaxable" },
    { .rule = "R11", .build = region_of_display, .text = { lspci }, .from = "00:02.0", .to = "00:03.0" },
    { .rule = "A01", .build = ports, .text = { machine }, .besides = "D09" },
    { .rule = "A01", .build = ports_absent, .text = { machine } },
    { .rule = "A02",
      .build = two_units,
      .text = { two_sets, machine },
      .from = "0x0000000000f050db",
      .to = "0x0000000000f050df" },
    { .rule = "A03",
      .build = requires_cache,
      .text = { "IOMMU: dmar0 Register Base Address: fed90000\n"
                "IOMMU: dmar1 Register Base Address: fed91000\n"
                "GSTS 0x1c 0xc7000000\nRTADDR 0x20 0x103812000\n",
                machine } },
    { .rule = "I03", .build = all_in_one, .madt = madt },
    { .rule = "V04", .build = amd_all, .madt = madt },
    { .rule = "I07",
      .build = all_in_one,
      .text = { interrupts, machine },
      .from = "00000000000400a0",
      .to = "00000000000400a8" },
    { .rule = "X10", .text = { machine_entries, machine }, .from = "0x0000000103ec4001", .to = "0x0000000103ec4000" },
    { .rule = "X10", .text = { bridge_entries, behind_bridge }, .from = "0x0000000103ec3001", .to = "0x0" },
    { .rule = "G04",
      .text = { bridge_entries, behind_bridge },
      .from = "03:05.0\t0x0:0x103813001\t0x0000000000000102:0x0000000103ec3001",
      .to = "03:05.0\t0x0:0x103813001\t0x0000000000000202:0x0000000103ec4001" },
    { .rule = "G01",
      .text = { groups },
      .from = "01:00.1/driver -> vfio-pci",
      .to = "01:00.1/driver -> snd_hda_intel" },
    { .rule = "Q09", .text = { groups }, .from = "type = DMA\n", .to = "type = DMA-FQ\n" },
    { .rule = "G03", .text = { machine, outside }, .from = "ATSCtl:\tEnable-", .to = "ATSCtl:\tEnable+" },
    { .rule = "G03",
      .text = { machine_entries, machine, outside },
      .from = "0x0000000103ec3001",
      .to = "0x0000000103ec3005" },
    { .rule = "G08", .text = { machine, outside }, .from = "TransBlk+", .to = "TransBlk-" },
    { .rule = "G05", .text = { machine }, .from = "Allocation: 00000020", .to = "Allocation: 00000000" },
    { .rule = "G05", .text = { machine }, .from = "Allocation: 00000020", .to = "Allocation: 00000801" },
    { .rule = "G05", .text = { machine }, .from = "Stopped+ PASID+", .to = "Stopped+ PASID-" },
    { .rule = "G05", .text = { with_page_requests }, .from = "0xdc 0x0", .to = "0xdc 0x2" },
    { .rule = "G07",
      .text = { machine, guest_has_function },
      .from = "ReqRedir+",
      .to = "ReqRedir-",
      .besides = "G02" },
    { .rule = "P04", .build = asks_for_protection, .text = { "/sys/bus/pci/devices/0000:00:0d.2/class = 0x0c0340\n" } },
    { .rule = "P04", .build = all_in_one, .text = { host_controller }, .from = "xhci_hcd", .to = "thunderbolt" },
    { .rule = "P06",
      .text = { processor, "root=/dev/sda1 iommu=pt\n" },
      .from = "sme sev",
      .to = "sme sev_snp",
      .besides = "P05" },
    { .rule = "F02", .text = { fault_log }, .from = "[00:02.0]", .to = "[00:14.0]" },
    { .rule = "F02", .text = { amd_log }, .from = "00:15.0", .to = "00:14.0" },
    { .rule = "F03",
      .text = { "[    9.1] DMAR: [DMA Write NO_PASID] Request device [00:14.0] fault addr 0x40001000 [fault reason "
                "0x02] "
                "Present bit in context entry is clear\n",
                machine },
      .from = "00:14.0",
      .to = "00:14.1" },
    { .rule = "F04", .text = { fault_log }, .from = "reason 0x26", .to = "reason 0x25" },
    { .rule = "F05",
      .build = all_in_one,
      .text = { fault_log, machine },
      .from = "[00:14.0] fault index",
      .to = "[01:05.0] fault index" },
    { .rule = "F06",
      .build = region_of_display,
      .text = { fault_log, machine },
      .from = "0x40001000",
      .to = "0x80001000" },
    { .rule = "F06", .build = all_in_one, .text = { fault_log, iomem }, .from = "0x40002000", .to = "0x80002000" },
    { .rule = "F07",
      .text = { fault_log },
      .from = "0x40001000 [fault reason 0x06]",
      .to = "0x8000000000 [fault reason 0x04]" },
    { .rule = "R02",
      .text = { boot_log, "00001000-7fffffff : System RAM\n80000000-8fffffff : Reserved\n" },
      .from = "0x0000008a76a000 end: 0x0000008a789fff",
      .to = "0x0000007a76a000 end: 0x0000007a789fff" },
    { .rule = "D03",
      .text = { boot_log },
      .from = "cap d2008c40660462 ecap f050da",
      .to = "cap ffffffffffffffff ecap ffffffffffffffff" },
    { .rule = "P05",
      .text = { "[    0.01] Kernel command line: BOOT_IMAGE=/vmlinuz root=/dev/sda1 quiet\n" },
      .from = "quiet",
      .to = "iommu=pt" },
};

#endif
