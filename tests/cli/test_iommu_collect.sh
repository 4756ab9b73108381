#!/usr/bin/env bash
# `nestwalk iommu collect`: a root with all that there may be, the archive and the directory, what is said to be missing; and
# `nestwalk iommu check` of both, and of a copy of sysfs.
# shellcheck source=tests/cli/lib.sh
. "${NW_SOURCE_DIR:?the source tree}/tests/cli/lib.sh"

# A machine: a unit, a function in a group, behind a driver that hands it to a guest, and a second one that the host keeps.
root=machine
mkdir -p $root/sys/firmware/acpi/tables $root/sys/class/iommu/dmar0/intel-iommu $root/sys/kernel/iommu_groups/4/devices \
  $root/sys/kernel/debug/iommu/intel/0000:01:00.0 $root/proc $root/var/log $root/sys/bus/pci/devices $root/sys/bus/pci/drivers/vfio-pci \
  $root/sys/bus/pci/drivers/snd_hda_intel
xz -dc "$NW_SOURCE_DIR/tests/data/iommu/DMAR-qemu-q35.dat.xz" >$root/sys/firmware/acpi/tables/DMAR
echo fed90000 >$root/sys/class/iommu/dmar0/intel-iommu/address
echo d2008c40660462 >$root/sys/class/iommu/dmar0/intel-iommu/cap
echo f050da >$root/sys/class/iommu/dmar0/intel-iommu/ecap
echo DMA >$root/sys/kernel/iommu_groups/4/type
printf '0x00000000fee00000 0x00000000feefffff msi\n' >$root/sys/kernel/iommu_groups/4/reserved_regions
add_function() { # BDF CLASS DRIVER: 256 bytes of configuration, an express endpoint
  local dir=$root/sys/bus/pci/devices/$1
  mkdir -p "$dir"
  echo "0x$2" >"$dir/class"
  { printf '\x86\x80\x34\x12\x06\x00\x10\x00\x00%b' "\\x${2:4:2}\\x${2:2:2}\\x${2:0:2}" && head -c 40 /dev/zero && printf '\x40' &&
    head -c 11 /dev/zero && printf '\x10\x00\x02\x00' && head -c 188 /dev/zero; } >"$dir/config"
  ln -s "../../drivers/$3" "$dir/driver"
  ln -s ../../../../kernel/iommu_groups/4 "$dir/iommu_group"
  ln -s "../../../../bus/pci/devices/$1" "$root/sys/kernel/iommu_groups/4/devices/$1"
}
add_function 0000:01:00.0 030000 vfio-pci
add_function 0000:01:00.1 040300 snd_hda_intel
printf 'IOMMU: dmar0 Register Base Address: fed90000\nGSTS 0x1c 0xc7000000\nCAP 0x08 0xd2008c40660462\nECAP 0x10 0xf050da\n' \
  >$root/sys/kernel/debug/iommu/intel/iommu_regset
printf 'Device 0000:01:00.0 @0x103ec3000\n0x00000000000fffff |\t0x0\t0x10aeb8003\t0x10aeb9003\t0x10aeba003\t0x10aebb003\n' \
  >$root/sys/kernel/debug/iommu/intel/0000:01:00.0/domain_translation_struct
printf '[    0.01] Command line: quiet\n[    9.1] DMAR: [INTR-REMAP] Request device [01:00.0] fault index 0x25 [fault reason 0x25] Blocked\n' \
  >$root/var/log/dmesg
printf '00001000-7fffffff : System RAM\n80000000-8fffffff : Reserved\n' >$root/proc/iomem
echo 'BOOT_IMAGE=/vmlinuz root=/dev/sda1 iommu=pt' >$root/proc/cmdline
printf 'processor\t: 0\naddress sizes\t: 39 bits physical, 48 bits virtual\nflags\t\t: fpu\n\nprocessor\t: 1\n' >$root/proc/cpuinfo
echo 'Linux version 6.12.0' >$root/proc/version

expect 0 "$NESTWALK" iommu collect --root $root -o all.tar.zst
empty err "nothing on stderr"
for item in acpi/DMAR debugfs/intel/iommu_regset debugfs/intel/0000:01:00.0/domain_translation_struct dmesg sysfs iomem cmdline cpuinfo \
  version; do
  has out "^read +$item " "$item is in the list"
done
has out '^not read  acpi/IVRS +/sys/firmware/acpi/tables/IVRS: is not there; the machine has no AMD-Vi' "what is missing, and why"
has out '^not read  debugfs/amd +/sys/kernel/debug/iommu/amd: is not there' "a directory that is missing"
has out '^read +sysfs +1 unit, 1 group, 2 PCI functions$' "what sysfs had"
lacks out 'capabilities' "all of configuration space was there"
cp out list
"$NESTWALK" iommu collect --root $root -o again.tar.zst >/dev/null
cmp -s all.tar.zst again.tar.zst || fail "the same machine gives the same archive"

expect 1 "$NESTWALK" iommu check all.tar.zst --json -
cp out archive.json
is() { # FILTER VALUE CLAIM: a jq filter of archive.json yields exactly this.
  local got
  got=$(jq -c "$1" archive.json 2>&1)
  [ "$got" = "$2" ] || fail "$3: $1 is $got, not $2"
}
is '[.inputs[] | .kind] | sort' \
  '["DMAR","cmdline","cpuinfo","dmesg","domain_translation_struct","iomem","iommu_regset","sysfs"]' "each member that is known"
is '.inputs[0].file' '"all.tar.zst:acpi/DMAR"' "members have the archive's name in front"
is '[.findings[] | select(.rule == "G01") | .where]' '["01:00.0"]' "what sysfs says of the group and its drivers"
is '[.findings[] | select(.rule == "F04" or .rule == "P05") | .rule] | sort' '["F04","P05"]' "the log and the options"
is '[.findings[] | select(.rule == "D11")] | length > 0' 'true' "the table's scopes and the functions"

# A directory has the same; so has a copy of the machine's files.
expect 0 "$NESTWALK" iommu collect --root $root --output collected
cmp -s out list || fail "the list is the same"
cmp -s out collected/collected.txt || fail "and goes along"
expect 1 "$NESTWALK" iommu check collected --json -
for rule in G01 F04 P05 D11; do has out "\"$rule\"" "$rule, of the directory"; done
expect 1 "$NESTWALK" iommu check $root --json -
for rule in G01 F04 P05 D11; do has out "\"$rule\"" "$rule, of a copy"; done
expect 4 "$NESTWALK" iommu collect --root $root --output collected
has err 'collected: is there already' "a directory is not written into"

# Less of it: what an ordinary user sees.
head -c 64 $root/sys/bus/pci/devices/0000:01:00.0/config >short && mv short $root/sys/bus/pci/devices/0000:01:00.0/config
printf '00000000-00000000 : System RAM\n' >$root/proc/iomem
rm $root/sys/firmware/acpi/tables/DMAR
expect 0 "$NESTWALK" iommu collect --root $root -o less.tar.zst
has out '^not read  iomem +/proc/iomem: its addresses are hidden; root may read them$' "hidden addresses"
has out '^not read  capabilities +of 1 PCI function: the first 64 bytes' "short configuration space"
has out '^not read  acpi/DMAR +.*the machine has no VT-d, or it is off' "no table"
if [ "$(id -u)" != 0 ]; then
  chmod 0 $root/proc/cmdline
  expect 0 "$NESTWALK" iommu collect --root $root -o less.tar.zst
  has out '^not read  cmdline +/proc/cmdline: permission denied; root may read it' "no permission"
fi

# Wrong use, nothing to read, and damaged archives.
expect 2 "$NESTWALK" iommu collect
has err '--output' "an output has to be named"
expect 2 "$NESTWALK" iommu collect -o x.tar.zst extra
expect 3 "$NESTWALK" iommu collect --root no-such -o x.tar.zst
has err 'no-such: is no directory' "no root"
mkdir empty
expect 4 "$NESTWALK" iommu collect --root empty -o x.tar.zst
[ ! -e x.tar.zst ] || fail "nothing read leaves no archive"
expect 3 "$NESTWALK" iommu check empty
has err 'empty: no file in the directory has' "an empty directory"
expect 3 "$NESTWALK" iommu check /
has err 'is a running system' "the root of a machine is not walked"
zstd -qdc all.tar.zst >all.tar
head -c 1500 all.tar >cut.tar
expect 3 "$NESTWALK" iommu check cut.tar
has err 'cut.tar' "an archive that ends early"
tar cf other.tar list
expect 3 "$NESTWALK" iommu check other.tar
has err 'no file in the archive has' "an archive of other things"
finish
