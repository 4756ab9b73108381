#!/usr/bin/env bash
# `nestwalk iommu check --earlier`: two dumps of one machine; and the texts of AMD-Vi, whose unit the directory names.
# shellcheck source=tests/cli/lib.sh
. "${NW_SOURCE_DIR:?the source tree}/tests/cli/lib.sh"

mkdir -p a b
translation() { printf 'IOMMU dmar0: Root Table Address: 0x103812000\n00:02.0\t0x0:0x103813001\t0x102:0x%s\t-1\t0x0:0x0:0x0\n' "$1"; }
mappings() {
  printf 'Device 0000:00:02.0 @0x103ec3000\n'
  for page in "$@"; do printf '0x%x |\t0x0\t0x10aeb8003\t0x10aeb9003\t0x10aeba003\t0x1%05x003\n' "$page" "$page"; done
}
# queue HEAD ROW...: a queue of 8 slots; the others have never been used.
queue() {
  local head=$1 i=0
  shift
  printf 'Invalidation queue on IOMMU: dmar0\n Base: 0x100a00000\tHead: %d\tTail: %d\nIndex\t\tqw0\t\t\tqw1\t\t\tstatus\n' "$head" "$head"
  for row in "$@" "" "" "" "" "" "" "" ""; do
    ((i < 8)) && printf '%5d\t%s\t0000000000000000\n' $((i++)) "${row:-0000000000000000	0000000000000000}"
  done
}
wait=$'0000000200000025\t0000000100aa0000' domain1=$'0000000000010022\t0000000000000000' domain2=$'0000000000020022\t0000000000000000'
earlier=(--earlier a/translation --earlier a/mappings --earlier a/queue)
later=(b/translation b/mappings b/queue)
translation 103ec3001 | tee a/translation >b/translation
mappings 256 257 258 512 >a/mappings
queue 2 "$domain2" "$wait" >a/queue

# Nothing has changed.
cp a/mappings b/mappings
cp a/queue b/queue
expect 0 "$NESTWALK" iommu check --fail-on info "${earlier[@]}" "${later[@]}"
has out '^0 errors, 0 warnings, 0 info in 3 inputs$' "nothing to say of what is as it was"

# A page is gone; the queue has another domain only, and no slot has been used twice.
mappings 256 258 512 >b/mappings
queue 4 "$domain2" "$wait" "$domain2" "$wait" >b/queue
echo 'root=/dev/sda1 iommu.strict=1' >b/cmdline
expect 1 "$NESTWALK" iommu check "${earlier[@]}" "${later[@]}" b/cmdline
has out '^error Q04  Mapping changed without invalidation$' "a page that is gone, strict"
has out '^    line 1, 00:02.0 IOVA 0x101000: 0x1000 bytes led to 0x100101000, ' "which page"
expect 0 "$NESTWALK" iommu check "${earlier[@]}" "${later[@]}"
has out '^warning Q04 ' "a page that is gone, perhaps lazy"
expect 1 "$NESTWALK" iommu check "${earlier[@]}" "${later[@]}" b/cmdline --json found.json
[ "$(jq -c '[.findings[]|[.rule,.severity,.file]]' found.json)" = '[["Q04","error","b/queue"]]' ] || fail "the finding in JSON"

# The domain was invalidated.
queue 4 "$domain2" "$wait" "$domain1" "$wait" >b/queue
expect 0 "$NESTWALK" iommu check --fail-on info "${earlier[@]}" "${later[@]}"
# Before the earlier dump: that is not it.
queue 2 "$domain1" "$wait" >a/queue
queue 4 "$domain1" "$wait" "$domain2" "$wait" >b/queue
expect 1 "$NESTWALK" iommu check --fail-on warning "${earlier[@]}" "${later[@]}"
has out '^warning Q04 ' "an invalidation from before the change"
# Without a queue nothing is known.
expect 1 "$NESTWALK" iommu check --fail-on info "${earlier[@]}" b/translation b/mappings
has out '^info Q10  Invalidations cannot be looked for$' "no queue to look in"
lacks out 'Q04' "no queue to look in"

# The context entry is another.
translation 103ec7001 >b/translation
expect 1 "$NESTWALK" iommu check "${earlier[@]}" b/translation b/queue
has out '^error Q05  Entry changed without invalidation$' "an entry that is another"
has out 'dmar0 00:02.0: the entry of domain 0x1 was changed, and' "which"

# Directories are taken whole.
expect 1 "$NESTWALK" iommu check --earlier a b
has out 'Q05' "directories"

# Usage.
expect 2 "$NESTWALK" iommu check --earlier a/queue --diff a/queue b/queue
expect 3 "$NESTWALK" iommu check --earlier nowhere b/queue
has err 'nowhere' "the file that is missing"

# AMD-Vi: units by their directories.
mkdir -p amd/iommu00 amd/iommu01
printf 'Offset:0x18 Value:0x0004000000021005\nOffset:0x30 Value:0x246577efa2254afa\nOffset:0x2020 Value:0x0000000000000018\n' | tee amd/iommu00/mmio >amd/iommu01/mmio
expect 0 "$NESTWALK" iommu check --fail-on info amd
sed -i 's/4afa/4a7a/; s/21005/20005/' amd/iommu01/mmio
printf 'DeviceId             QWORD[3]         QWORD[2]         QWORD[1]         QWORD[0] iommu\n0000:01:00.0 0000000000000000 2000000105100013 0000000000000001 6000000105200e03 iommu1\n' >amd/devtbl
printf 'CMD Buffer Head Offset:1 Tail Offset:1\n  0: 00000100 f0000000 00000000 00000000\n' >amd/iommu01/cmdbuf
expect 1 "$NESTWALK" iommu check amd
has out '^    line 2, iommu01: the register is 0x246577efa2254a7a, and 0x246577efa2254afa in iommu00' "V09: which unit"
has out '^    line 1, iommu01: Control is 0x4000000020005: IommuEn is set and CmdBufEn is clear' "V16: which unit"
has out '^    line 2, 0000:01:00.0: Mode is 7' "V10"
has out '^    line 2, iommu01 command 0: 0x0000000000000000 0xf000000000000100, opcode 15' "V19"
finish
