#!/usr/bin/env bash
# run.sh TARGET SECONDS: a fuzz target for so long, from seeds that are real inputs; what it finds is left in the working directory.
set -euo pipefail
target=$1 seconds=$2
data=${NW_SOURCE_DIR:?the source tree}/tests/data
name=$(basename "$target")
mkdir -p seeds corpus
seed() { cat >"seeds/$1"; }
put() { # FILE OFFSET BYTES VALUE, least significant byte first
  local i escaped=
  for ((i = 0; i < $3; i++)); do escaped+=$(printf '\\x%02x' $((($4 >> 8 * i) & 255))); done
  printf '%b' "$escaped" | dd of="$1" bs=1 seek=$(($2)) conv=notrunc status=none
}
tables() { # NAME FLAGS ROOT ADDRESS PASID REQUESTER [OFFSET WORD]...
  local file=seeds/$1
  head -c $((17 + 0xb000)) /dev/zero >"$file"
  put "$file" 0 1 "$2" && put "$file" 1 3 "$3" && put "$file" 4 8 "$4" && put "$file" 12 3 "$5" && put "$file" 15 2 "$6"
  for (( ; $# > 7; )); do
    put "$file" $(($7 + 17)) 8 "$8"
    set -- "${@:1:6}" "${@:9}"
  done
}
case $name in
fuzz_acpi)
  for f in "$data"/iommu/*.xz; do xz -dc "$f" | seed "$(basename "$f" .xz)"; done
  ;;
fuzz_dump)
  printf 'IOMMU: dmar0 Register Base Address: fed90000\nName\t\t\tOffset\t\tContents\nCAP             \t0x08\t\t0x01d2008c222f0686\nECAP            \t0x10\t\t0x0000000000f00f4a\n' | seed regset
  printf 'IOMMU dmar0: Root Table Address: 0x103027000\nB.D.F\tRoot_entry\t\t\t\tContext_entry\n00:02.0\t0x0000000000000000:0x000000010302d001\t0x0000000000000102:0x0000000103fdc005\n' | seed translation
  printf 'Device 0000:00:02.0 @0x103ec3000\n0x00000000000fffff |\t0x0\t0x10aeb8003\t0x10aeb9003\t0x10aeba003\t0x10aebb003\n' | seed mappings
  printf 'Invalidation queue on IOMMU: dmar0\n Base: 0x100a00000\tHead: 3\tTail: 3\n    0\t0000000000010032\t00000000fffff001\t0000000000000002\n' | seed queue
  printf 'Remapped Interrupt supported on IOMMU: dmar0\n IR table address:100900000\n Entry SrcID   DstID    Vct IRTE_high\t\tIRTE_low\n 0     00:02.0 00000100 24  0000000000040010\t000001000024000d\n' | seed interrupts
  printf '00000000-00000fff : Reserved\n00001000-0009ffff : System RAM\nfed90000-fed90fff : dmar0\n' | seed iomem
  printf 'BOOT_IMAGE=/vmlinuz root=/dev/sda1 intel_iommu=on,igfx_off iommu=pt\n' | seed cmdline
  printf '00:01.0 PCI bridge: x (prog-if 00 [Normal decode])\n\tBus: primary=00, secondary=01, subordinate=01, sec-latency=0\n\tCapabilities: [140 v1] Access Control Services\n\t\tACSCap:\tSrcValid+ TransBlk+\n\t\tACSCtl:\tSrcValid+ TransBlk-\n' | seed lspci
  printf 'Offset:0x18 Value:0x0004000000021005\nOffset:0x30 Value:0x246577efa2254afa\nOffset:0x2020 Value:0x0000000000000018\n' | seed amd-mmio
  printf 'Offset:0x0 Value:0x190b640f\nOffset:0x4 Value:0xfd000001\n' | seed amd-capability
  printf 'CMD Buffer Head Offset:2 Tail Offset:2\n  0: 00000100 20000000 00000000 00000000\n  1: 00a00001 10000001 00000001 00000000\n' | seed amd-cmdbuf
  printf 'DeviceId QWORD[3] QWORD[2] QWORD[1] QWORD[0] iommu\n0000:01:00.0 0 2000000105100013 1 6000000105200803 iommu0\n' | seed amd-devtbl
  printf 'DeviceId 0000:01:00.0\nIRT[0000] 0000000000000025 0000000000000401\nIRT[0001] 00250401\n' | seed amd-irqtbl
  printf 'IOMMU: dmar0 Register Base Address: fed90000\n  <0.1us\n   inv_iotlb 0 12 390 40 3 1 0 0 370 6\n' | seed latency
  printf '<6>[    0.06] DMAR: dmar0: reg_base_addr fed90000 ver 1:0 cap d2008c40660462 ecap f050da\n[    0.07] DMAR: RMRR base: 0x8a76a000 end: 0x8a789fff\nIOAPIC[0]: apic_id 2, version 32\nDMAR-IR: IOAPIC id 2 under DRHD base  0xfed91000 IOMMU 1\n[    1.0] Kernel command line: iommu=pt\n[    2.0] DMAR: [DMA Read NO_PASID] Request device [00:14.0] fault addr 0x1000 [fault reason 0x06] x\n' | seed dmesg
  printf '/sys/class/iommu/dmar0/intel-iommu/cap = d2008c40660462\n/sys/kernel/iommu_groups/3/type = DMA-FQ\n/sys/kernel/iommu_groups/3/reserved_regions = 0xfee00000 0xfeefffff msi\n/sys/kernel/iommu_groups/3/devices -> 0000:00:02.0\n/sys/bus/pci/devices/0000:00:02.0/class = 0x030000\n/sys/bus/pci/devices/0000:00:02.0/driver -> vfio-pci\n/sys/bus/pci/devices/0000:00:02.0/config +0x0 = 8680923e0704100002000003000000000000\n/sys/bus/pci/devices/0000:00:02.0/config +0xfc0 = 00\n' | seed sysfs
  printf 'processor\t: 0\nvendor_id\t: AuthenticAMD\naddress sizes\t: 48 bits physical, 48 bits virtual\nflags\t\t: fpu sme sev_snp\n' | seed cpuinfo
  printf '00:1c.0 0604: 8086:a110\n00: 86 80 10 a1 07 04 10 00 f1 00 04 06 00 00 81 00\n10: 00 00 00 00 00 00 00 00 00 01 01 00 f0 00 00 20\n30: 00 00 00 00 40 00 00 00\n40: 10 00 42 01\n100: 0d 00 01 00 00 00 1d 00\nff0: 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00\n' | seed lspci-bytes
  ;;
fuzz_changes)
  {
    for page in 10aebb003 10aebc001; do
      printf 'Device 0000:00:02.0 @0x103ec3000\n0xfffff |\t0x0\t0x10aeb8003\t0x10aeb9003\t0x10aeba003\t0x%s\n\0' $page
    done
    for low in 103fdc005 103fdd005; do
      printf 'IOMMU dmar0: Root Table Address: 0x103027000\n00:02.0\t0x0:0x10302d001\t0x102:0x%s\t-1\t0x0:0x0:0x0\n\0' $low
    done
    for at in 1 2; do
      printf 'Invalidation queue on IOMMU: dmar0\n Base: 0x100a00000\tHead: %s\tTail: %s\n' $at $at
      printf ' 0\t0000000000090022\t0\t2\n 1\t0000000000010022\t0\t2\n 2\t0\t0\t0\n\0'
    done
  } | seed intel
  {
    for word in 6000000105200803 6000000105300803; do
      printf 'DeviceId QWORD[3] QWORD[2] QWORD[1] QWORD[0] iommu\n0000:01:00.0 0 2000000105100013 1 %s iommu0\n\0' $word
    done
    for slot in '00000000 00000000' '00000100 20000000'; do
      printf 'CMD Buffer Head Offset:1 Tail Offset:1\n  0: %s 00000000 00000000\n  1: 0 0 0 0\n\0' "$slot"
    done
  } | seed amd
  ;;
fuzz_archive)
  printf 'some text\n' | tee file >second
  tar cf - file | seed tar
  tar --format=pax -cf - file second | seed pax
  tar --format=gnu -cf - file | seed gnu
  ;;
fuzz_fault_log)
  printf 'DMAR: DRHD: handling fault status reg 2\nDMAR: [DMA Read NO_PASID] Request device [03:00.0] fault addr 0x1000 [fault reason 0x06] PTE Read access is not set\nDMAR: INTR-REMAP: Request device [f0:1f.0] fault index 0x25 [fault reason 0x26]\n' | seed intel
  printf 'AMD-Vi: Event logged [IO_PAGE_FAULT device=0000:03:00.0 domain=0x000b address=0xfffffffdf8000000 flags=0x0008]\n' | seed amd
  ;;
fuzz_tables)
  # A device of each kind of unit behind tables of a few levels. Before memory: flags, root, address, PASID, requester.
  tables vtd 0 0x1000 0x80000 0 0x20 0x1000 0x2001 0x2200 0x3001 0x2208 0x701 0x3000 0x4003 0x4000 0x5003 0x5400 0xa003
  tables scalable 4 0x1400 0x2000 5 0x10 0x1008 0x2001 0x2200 0x3009 0x3000 0x4001 0x4140 0x49 0x4148 0x3 0x4150 0x5000 \
    0x5000 0x6007 0x6000 0x7007 0x7000 0x8007 0x8010 0xa007
  tables amd 1 0x1001 0x7f000 0 0x20 0x1400 0x6000000000003603 0x1408 0x7 0x3000 0x6000000000004401 0x4000 0x6000000000005201 \
    0x53f8 0x2000000000009001
  ;;
fuzz_proof)
  # As fuzz_tables, with flags and root before memory.
  proof() { # NAME FLAGS ROOT [OFFSET WORD]...
    tables "$1" "$2" "$3" 0 0 0 "${@:4}"
    { head -c 4 "seeds/$1" && tail -c +18 "seeds/$1"; } >moved && mv moved "seeds/$1"
  }
  proof vtd 2 0x1000 0x1000 0x2001 0x2200 0x3001 0x2208 0x701 0x3000 0x4003 0x3008 0x3003 0x4000 0x5003 0x5400 0xa003
  proof scalable 2 0x1400 0x1000 0x2001 0x2200 0x3009 0x3000 0x4001 0x4000 0x49 0x4008 0x3 0x4010 0x5000 0x5000 0x6007 0x6000 0x7007 0x7000 \
    0x8007 0x8010 0xa007
  proof nested 2 0x1400 0x1000 0x2001 0x2200 0x3009 0x3000 0x4001 0x4000 0x90c5 0x4008 0x800003 0x4010 0x5001 0x5000 0x6007 0x6000 0x7007 \
    0x7000 0x8007 0x8010 0xa007 0x9000 0xb003 0xb000 0x83
  proof amd 3 0x1001 0x1400 0x6000000000003603 0x1408 0x7 0x3000 0x6000000000004401 0x4000 0x6000000000005201 0x53f8 0x2000000000009001
  ;;
fuzz_intent)
  printf '<intent xmlns="urn:nestwalk:intent:1" others="blocked" name="x"><guest name="a"><memory first="0x100000000" last="0x13fffffff" access="rw"/><device bdf="03:00.0" last="03:00.3" pasid="5"><window first="0x7c000000" last="0x7c00ffff" target="0x7c000000" required="yes"/></device></guest><guest name="b"/><hypervisor><device bdf="0001:00:1f.6"/></hypervisor><blocked><device bdf="04:00.0"/></blocked><tables><memory first="0x1000" last="0x1fff"/></tables><shared first="0x8000000" last="0x8000fff" access="r" with="a b hypervisor"/></intent>\n' | seed intent
  ;;
fuzz_trace)
  find "$NW_SOURCE_DIR/traces" "$data/traces" -type f -size -64k \( -name '*.nwt' -o -name '*.txt' -o -name '*.xz' \) -print0 | while IFS= read -r -d '' f; do
    for first in 0 1 2 3 4 5 6 7 8; do { printf '%b' "\\x0$first" && cat "$f"; } | seed "$(basename "$f").$first"; done
  done
  ;;
esac
# Memory is limited by what a target may need, not by what the machine has.
exec "$target" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -print_final_stats=0 -verbosity=0 corpus seeds
