#!/usr/bin/env bash
# `nestwalk iommu explain`: a line, a log, standard input, firmware tables beside it, JSON, and what it refuses.
# shellcheck source=tests/cli/lib.sh
. "${NW_SOURCE_DIR:?the source tree}/tests/cli/lib.sh"
line='DMAR: [DMA Write NO_PASID] Request device [00:02.0] fault addr 0xdf000000 [fault reason 0x05] PTE Write access is not set'

expect 0 "$NESTWALK" iommu explain "$line"
has out '^DMA write of 00:02.0 at 0xdf000000$' "the title says who did what where"
has out 'paging entry lacks write permission' "the reason is spelled out"
has out '^What to try:' "there is something to do"

printf 'a line\n%s\n%s\nanother\n' "$line" "${line/df000000/df001000}" >log
expect 0 "$NESTWALK" iommu explain --log log
has out '\(2 times, lines 2 to 3\)' "repetitions are taken together"
has out 'from 0xdf000000 to 0xdf001000' "with their addresses"
xz -k log
expect 0 "$NESTWALK" iommu explain --log log.xz
got=0; "$NESTWALK" iommu explain --json - <log >out 2>err || got=$?
[ $got = 0 ] || fail "standard input is read: $(cat err)"
jq -e '.lines == 4 and .understood == 2 and (.faults | length) == 1 and .faults[0].count == 2 and .faults[0].device == "00:02.0" and
       .faults[0].reason == "0x5" and .faults[0].write and (.faults[0].causes | length) > 1' out >/dev/null || fail "the JSON has the fault"

xz -dc "$NW_SOURCE_DIR/tests/data/iommu/DMAR-qemu-q35.dat.xz" >dmar
expect 0 "$NESTWALK" iommu explain "${line/00:02.0/00:1a.0}" --tables dmar
has out 'unit at 0xfed90000' "the firmware's table says which unit the device is under"
has out 'No RMRR' "and whether it has memory of its own"

# What else the machine tells, and the kernel's own dump of the entries.
cat >dmesg <<'END'
[   12.345680] DMAR: [DMA Write NO_PASID] Request device [00:1a.0] fault addr 0x8a76a000 [fault reason 0x05] PTE Write access is not set
[   12.345690] DMAR: Dump dmar0 table entries for IOVA 0x8a76a000
[   12.345691] DMAR: root entry: 0x0000000103813001
[   12.345692] DMAR: context entry: hi 0x0000000000000202, low 0x0000000103ec4001
[   12.345693] DMAR: pte level: 4, pte value: 0x000000010aec8003
[   12.345694] DMAR: pte level: 3, pte value: 0x0000000000000000
[   12.345695] DMAR: page table not present at level 2
END
printf '00:1a.0 USB controller: A controller\n' >lspci
expect 0 "$NESTWALK" iommu explain --log dmesg --tables dmar --tables lspci
has out 'The function is USB controller: A controller' "the list of functions names the device"
has out '^    second-stage entry, level 3: 0x0000000000000000, ' "the dumped entries are decoded"
has out 'faults for the same reason' "and replayed"
expect 0 "$NESTWALK" iommu explain --log dmesg --json -
jq -e '.faults[0].entries | length == 5' out >/dev/null || fail "the JSON has the entries"

expect 3 "$NESTWALK" iommu explain 'usb 1-1: new device'
has err 'no fault' "a line without a fault is told so"
expect 3 "$NESTWALK" iommu explain --log nosuch
echo nothing >other
expect 3 "$NESTWALK" iommu explain "$line" --tables other
expect 2 "$NESTWALK" iommu explain "$line" "$line"
expect 2 "$NESTWALK" iommu explain "$line" --log log
finish
