#!/usr/bin/env bash
# `nestwalk iommu check --intent`: what devices reach, of images of both kinds of unit and of the kernel's texts, against an intent file.
# shellcheck source=tests/cli/lib.sh
. "${NW_SOURCE_DIR:?the source tree}/tests/cli/lib.sh"

is() { # FILTER VALUE CLAIM: a jq filter of ./out yields exactly this.
  local got
  got=$(jq -c "$1" out 2>&1)
  [ "$got" = "$2" ] || fail "$3: $1 is $got, not $2"
}
# put FILE OFFSET WORD...: 64-bit little-endian words.
put() {
  local file=$1 at=$(($2)) word i bytes
  shift 2
  for word; do
    bytes=
    for i in 0 8 16 24 32 40 48 56; do bytes+=$(printf '\\x%02x' $(((word >> i) & 255))); done
    printf '%b' "$bytes" | dd of="$file" bs=1 seek="$at" conv=notrunc status=none
    at=$((at + 8))
  done
}
check() { "$NESTWALK" iommu check "$@"; }
export NESTWALK
export -f check
intent() { # FILE CONTENT...
  local file=$1
  shift
  printf '<intent xmlns="urn:nestwalk:intent:1" others="blocked">%s</intent>\n' "$*" >"$file"
}

# Two guests' functions behind a VT-d unit: 00:04.0 of a has its page and a large one, 00:05.0 of b one page.
truncate -s 64K vtd
put vtd 0x1000 0x2001
put vtd 0x2200 0x3001 0x101
put vtd 0x2280 0x6001 0x201
put vtd 0x3000 0x4003
put vtd 0x4000 0x5003 0x600083
put vtd $((0x5000 + 0x7f * 8)) 0x900003 0x901001
put vtd 0x6000 0x7003
put vtd 0x7000 0x8003
put vtd 0x8008 0xa00003
two='<guest name="a"><device bdf="00:04.0"/><memory first="0x600000" last="0x7fffff"/><memory first="0x900000" last="0x9fffff"/></guest>
<guest name="b"><device bdf="00:05.0"/><memory first="0xa00000" last="0xafffff"/></guest>'
intent good.xml "$two"
expect 0 check --intent good.xml --image vtd --rtaddr 0x1000
has out '^good.xml: intent, 2 requesters, no findings$' "the intent is an input"
has out '^    00:04.0 \(guest a\), second stage: reads 2056 KiB in 2 ranges, writes 2052 KiB in 2 ranges; as intended$' "what a device reaches"
has out '^    00:05.0 \(guest b\), second stage: reads 4 KiB in 1 range, writes 4 KiB in 1 range; as intended$' "and another"
empty err "nothing on stderr"
expect 0 check --intent good.xml --image vtd --rtaddr 0x1000 --json -
is '.findings | length' 0 "no findings"
is '.proof | [.intent, (.subjects | length)]' '["good.xml",2]' "the proof"
is '.proof.subjects[0] | [.devices[0].device, .owner, .translation, .readable_bytes, .readable_ranges, .writable_bytes, .as_intended]' \
  '["0000:00:04.0","guest a","second stage",2105344,2,2101248,true]' "a subject"
is '.proof.subjects[0].memory | map([.start, .bytes, .rights])' '[["0x600000",2097152,"rw"],["0x900000",4096,"rw"],["0x901000",4096,"r"]]' "its memory"

# The image alone: each entry of its tables.
expect 0 check --image vtd --rtaddr 0x1000
has out '^vtd: image, 6 table pages, no findings$' "the image is an input"
cp vtd odd
put odd 0x4008 0x601083
expect 1 check --image odd --rtaddr 0x1000
has out '^error X12  Reserved bits in a paging entry$' "a large page that is not aligned"
has out '^    unit 00:04.0 entry at 0x4008: 0x0000000000601083, of level 2, maps a page' "which entry"

# b also maps a page of a's, and one that nobody has.
put vtd 0x8010 0x901003 0xb00001
expect 1 check --intent good.xml --image vtd --rtaddr 0x1000
has out '^error X17  ' "a rule"
has out '00:05.0: reads and writes 0x901000-0x901fff \(4 KiB\), memory of guest a; the device is of guest b$' "what is wrong"
has out '00:05.0: reads 0xb00000-0xb00fff \(4 KiB\), memory of nobody; the device is of guest b$' "memory of nobody"
has out '^      a write of IOVA 0x2000 by 00:05.0 leads to 0x901000, by$' "the request"
has out '^        second-stage entry, level 1 +at 0x8010 +0x0000000000901003 ' "an entry on its way"
expect 1 check --intent good.xml --image vtd --rtaddr 0x1000 --json -
is '.findings | map([.rule, .where, .witness.iova, .witness.hpa, .witness.access])' \
  '[["X17","00:05.0","0x2000","0x901000","write"],["X17","00:05.0","0x3000","0xb00000","read"]]' "findings with requests"
is '.findings[0].witness.entries | map([.address, .value])' \
  '[["0x1000","0x2001"],["0x1008","0x0"],["0x2280","0x6001"],["0x2288","0x201"],["0x6000","0x7003"],["0x7000","0x8003"],["0x8010","0x901003"]]' "every entry"
is '.proof.subjects | map([.findings, .as_intended])' '[[0,true],[2,false]]' "which device it is"
cp out first
expect 1 check --intent good.xml --image vtd --rtaddr 0x1000 --json -
cmp -s out first || fail "the same twice"
expect 1 check --intent good.xml --image vtd --rtaddr 0x1000 --sarif -
is '.runs[0].results | map(.ruleId)' '["X17","X17"]' "SARIF"
expect 1 check --intent good.xml --image vtd --rtaddr 0x1000 --write-baseline accepted
expect 0 check --intent good.xml --image vtd --rtaddr 0x1000 --baseline accepted
has out 'no findings, 2 accepted$' "accepted"
# A page of a's that b may read.
intent shared.xml "$two" '<shared first="0x901000" last="0x901fff" access="r" with="b"/><shared first="0xb00000" last="0xb00fff" with="b a"/>'
expect 1 check --intent shared.xml --image vtd --rtaddr 0x1000 --json -
is '.findings | map([.rule, .detail])' '[["N03","writes 0x901000-0x901fff (4 KiB), memory of guest a; the device is of guest b"]]' "more than is shared"

# By the registers' text; by a dump that starts elsewhere; the rest of the machine.
printf 'IOMMU: dmar0 Register Base Address: fed90000\nName\t\t\tOffset\t\tContents\nRTADDR\t\t\t0x20\t\t0x0000000000001000\n' >iommu_regset
expect 1 check --intent good.xml --image vtd iommu_regset --json -
is '.findings | map(.rule) | unique' '["X17"]' "the root pointer of the regset"
expect 3 check --intent good.xml --image vtd --start 0x10000 --rtaddr 0x1000
has err 'RTADDR 0x1000: the table at 0x1000 is not in the memory that is given' "a root outside the dump"
expect 3 check --intent good.xml --image vtd --rtaddr 0x1010
has err 'bits 9:0 are reserved' "a root that is not aligned"
put vtd 0x4010 0x20003 # a table beyond the dump
expect 1 check --intent good.xml --image vtd --rtaddr 0x1000 --json -
is '[.findings[] | select(.rule == "N06") | .detail]' '["the entry at 0x4010 leads to a second-stage table of level 1 at 0x20000, which is not in the image"]' "a dump that was cut off"
put vtd 0x4010 0x4003 # a table that is its own
expect 1 check --intent good.xml --image vtd --rtaddr 0x1000 --json -
is '[.findings[] | select(.rule == "N08") | .where]' '["unit 00:04.0"]' "a table that points at itself"
put vtd 0x4010 0
head -c 10000 vtd >part
expect 3 check --intent good.xml --image part --rtaddr 0x1000
has err 'part: 10000 bytes are not whole 4 KiB pages' "a dump of part of a page"

# Passed through, and not named.
put vtd 0x2210 0x9 0x301 # 00:04.2
expect 1 check --intent good.xml --image vtd --rtaddr 0x1000
has out '00:04.1: reads and writes 0x0-0x5fffff \(6 MiB\), memory of nobody' "all of memory"
has out '^    00:04.1 \(not named, so nobody\), pass-through: reads and writes all of memory; [0-9]+ findings$' "and whose it is"

# AMD-Vi: a device of a, and one whose entry is not valid.
truncate -s 64K amd
put amd $((0x1000 + 0x20 * 32)) 0x6000000000003603 0x7
put amd 0x3000 0x6000000000004401
put amd 0x4000 0x6000000000005201 0x6000000000600001
put amd $((0x5000 + 0x7f * 8)) 0x6000000000900001
intent amd.xml '<guest name="a"><device bdf="00:04.0"/><memory first="0x600000" last="0x9fffff"/></guest>'
expect 1 check --intent amd.xml --image amd --device-table 0x1000 --json -
is '[.proof.subjects[] | [.devices[0].device, (.devices | length), .translation, .as_intended]]' \
  '[["0000:00:00.0",127,"pass-through",false],["0000:00:04.0",1,"host",true]]' "devices without a valid entry pass"
is '[.findings[] | .rule] | unique' '["N01","X14"]' "which are not blocked, and write the tables"
sed -i 's/others="blocked"/others="unchecked"/' amd.xml
expect 0 check --intent amd.xml --image amd --device-table 0x1000
has out '^    00:04.0 \(guest a\), host: reads 2052 KiB in 2 ranges, writes 2052 KiB in 2 ranges; as intended$' "an AMD device"
put amd $((0x5000 + 0x80 * 8)) 0x6000000000a00001
expect 1 check --intent amd.xml --image amd --device-table 0x1000 --json -
is '[.findings[] | [.rule, .witness.iova, .witness.hpa, (.witness.entries | length)]]' '[["X17","0x80000","0xa00000",7]]' "an AMD witness"

# The kernel's texts alone.
cat >mappings <<'END'
Device 0000:00:04.0 @0x103ec3000
IOVA_PFN		PML5E			PML4E			PDPE			PDE			PTE
0x0000000000000 |	0x0000000000000000	0x000000010aeb8003	0x000000010aeb9003	0x000000010aeba003	0x0000000000900003
0x0000000000001 |	0x0000000000000000	0x000000010aeb8003	0x000000010aeb9003	0x000000010aeba003	0x0000000000a00003
END
expect 1 check --intent good.xml mappings --json -
is '[.findings[] | [.rule, .where, .witness.iova, .witness.hpa]]' '[["X17","00:04.0","0x1000","0xa00000"],["N07","00:05.0",null,null]]' "by what the kernel lists"

# Intents that are none, and options that do not go together.
intent bad.xml '<guest name="a"><memory first="1" last="2"/></guest>'
expect 3 check --intent bad.xml --image vtd --rtaddr 0x1000
has err '^nestwalk iommu check: bad.xml:1:80: <memory>: first="1": the first byte of a page' "where it is wrong"
expect 3 check --intent missing.xml --image vtd --rtaddr 0x1000
expect 3 check --intent good.xml --image missing --rtaddr 0x1000
expect 3 check --intent good.xml --image vtd
has err 'where the root table is, is not known' "no root pointer"
expect 3 check --intent good.xml
has err 'nothing to hold it against' "no tables"
for bad in "--rtaddr 0" "--intent good.xml --rtaddr 0" "--intent good.xml --image vtd --rtaddr 0 --device-table 0" \
  "--intent good.xml --image vtd --rtaddr x" "--intent good.xml --image vtd --rtaddr 0 --efr 1" "--diff --intent good.xml a b" \
  "--intent good.xml --image vtd --device-table 0 --cap 0"; do
  # shellcheck disable=SC2086
  expect 2 check $bad
done
finish
