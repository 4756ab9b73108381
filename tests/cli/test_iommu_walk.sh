#!/usr/bin/env bash
# `nestwalk iommu walk`: tables in a dump and in recorded cases, translations, faults, JSON, what it refuses.
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
walk() { "$NESTWALK" iommu walk "$@"; }
export NESTWALK
export -f walk

# Legacy mode, 39 bits: root 0x1000, contexts 0x2000, tables 0x3000, 0x4000, 0x5000; 0x7f000 is mapped, 0x200000 a large page.
truncate -s 64K legacy
put legacy 0x1000 0x2001
put legacy 0x2200 0x3001 0x701            # 00:04.0: AW 1, DID 7
put legacy 0x3000 0x4003
put legacy 0x4000 0x5003 0x600083
put legacy $((0x5000 + 0x7f * 8)) 0x9001  # readable only
at=(--image legacy --rtaddr 0x1000 --source 00:04.0)
expect 0 walk "${at[@]}" --iova 0x7f123
has out 'root entry, word 0 +at 0x1000 +0x2001' "the root entry with address and value"
has out 'second-stage entry, level 1 +at 0x53f8 +0x9001' "the leaf"
has out '^read from 00:04.0 of IOVA 0x7f123: HPA 0x9123, 4 KiB page, rights r \(second stage, DID 0x7\)$' "the result"
empty err "nothing on stderr"
expect 0 walk "${at[@]}" --iova 0x212345 --write --json -
is '[.source, .pasid, .iova, .access, .outcome]' '["00:04.0",null,"0x212345","write","translated"]' "what was asked"
is '[.hpa, .page_bytes, .rights, .domain_id, .fault]' '["0x612345",2097152,"rw",7,null]' "the large page"
is '[.reads[].n]' '[1,2,3,4,5,6]' "four words above the tables, and two levels"
is '.reads[5]' '{"n":6,"what":"second-stage entry, level 2","level":2,"address":"0x4008","entry":"0x600083","decoded":"readable and writable, 2 MiB page, page at 0x600000"}' "a read"
is '.reads[3].decoded' '"AW 1 (39 bits), DID 0x7"' "the context entry's fields"
is keys_unsorted '["nestwalk","source","pasid","iova","access","outcome","reads","translation","domain_id","hpa","page_bytes","rights","fault"]' "the keys in their order"
cp out to-stdout
expect 0 walk "${at[@]}" --iova 0x212345 --write --json walk.json
cmp -s to-stdout walk.json || fail "to a file the same is written"
has out 'HPA 0x612345' "with --json FILE the text is printed as well"
# The same bytes elsewhere: pointers lead out of the dump.
expect 1 walk --image legacy --start 0x100000000 --rtaddr 0x100001000 --source 00:04.0 --iova 0x7f123 --json -
is '[.fault.reason, .reads[2].entry, .reads[2].decoded]' '["0x9",null,"cannot be read: no memory there"]' "a table outside the dump"

# Faults.
expect 1 walk "${at[@]}" --iova 0x7f123 --write
has out 'fault 0x05, paging entry lacks write permission$' "the reason and its text"
has out '^-> Set W in every' "what to change"
expect 1 walk "${at[@]}" --iova 0x7f123 --write --json -
is '.fault | keys_unsorted' '["reason","text","remedy","recorded"]' "a fault's keys"
is '[.outcome, .hpa, .page_bytes, .rights, .fault.reason, .fault.recorded]' '["fault",null,null,null,"0x5",true]' "a fault"
expect 1 walk --image legacy --rtaddr 0x1000 --source 00:05.0 --iova 0x7f123
has out 'fault 0x02, ' "an absent context entry"
expect 1 walk --image legacy --rtaddr 0x1000 --source 01:00.0 --iova 0x7f123
has out 'fault 0x01, ' "an absent root entry"
expect 1 walk "${at[@]}" --iova 0x7f123 --pasid 1
has out 'fault 0x31, ' "a PASID in legacy mode"
expect 1 walk "${at[@]}" --iova 0x8000000000
has out 'fault 0x04, ' "beyond the width"

# Scalable mode: PASID 5 has a first stage of 4 levels. Devices from 10.0 on have the upper half of the root entry.
truncate -s 64K scalable
put scalable 0x1008 0x2001
put scalable $((0x2000 + 0x10 * 32)) 0x3009 0x0 # 00:12.0: PASIDE
put scalable 0x3000 0x4001
put scalable $((0x4000 + 5 * 64)) 0x49 0x3 0x5000
put scalable 0x5000 0x6007
put scalable 0x6000 0x7007
put scalable 0x7000 0x8007
put scalable 0x8010 0xa007
at=(--image scalable --rtaddr 0x1400 --source 00:12.0)
unit=(--cap 0x1d2008c222f0606 --ecap 0x890000f00f4a) # SMTS, FLTS, PASID
expect 0 walk "${at[@]}" "${unit[@]}" --pasid 5 --iova 0x2010 --write --json -
is '[.pasid, .translation, .hpa, .page_bytes, .rights]' '[5,"first stage","0xa010",4096,"rwx"]' "a request with PASID"
is '[.reads[] | .what | sub(",.*"; "")] | group_by(.) | map([.[0], length])' \
  '[["PASID-directory entry",1],["PASID-table entry",8],["first-stage entry",4],["scalable context entry",4],["scalable root entry",1]]' "its reads"
is '[.reads[] | select(.level) | .level]' '[4,3,2,1]' "the levels"
is '.reads[0].address' '"0x1008"' "the upper half of the root entry"
is '.reads[6].decoded' '"present, AW 2 (48 bits), PGTT 1 (first stage)"' "the PASID-table entry"
is '.reads[7].decoded' '"DID 0x3"' "its domain"
expect 1 walk "${at[@]}" "${unit[@]}" --pasid 5 --iova 0x2010 --execute
has out 'fault 0x5c, ' "execute requests are not enabled"
expect 1 walk "${at[@]}" "${unit[@]}" --pasid 6 --iova 0x2010
has out 'fault 0x59, ' "another PASID is not there"
expect 1 walk "${at[@]}" --cap 0x1d2008c222f0606 --ecap 0xf00f4a --pasid 5 --iova 0x2010
has out 'fault 0x30, ' "a unit without scalable mode"

# AMD-Vi: 00:04.0 has domain 7 and host tables of 3 levels, 00:05.0 guest tables besides.
truncate -s 64K amd
put amd $((0x1000 + 0x20 * 32)) 0x6000000000003603 0x7
put amd 0x3000 0x6000000000004401        # level 3 -> 2
put amd 0x4000 0x6000000000005201 0x6000000000200001
put amd $((0x5000 + 0x7f * 8)) 0x2000000000009001 # readable only
put amd $((0x1000 + 0x28 * 32)) 0x6080000000000003 0x10008 # GCR3 table at 0x8000
at=(--image amd --device-table 0x1001 --source 00:04.0)
expect 0 walk "${at[@]}" --iova 0x7f123
has out 'device table entry, word 0 +at 0x1400 +0x6000000000003603' "the device table entry"
has out '    V, TV, mode 3, host tables at 0x3000, IR, IW' "its fields"
has out 'host entry, level 1 +at 0x53f8 +0x2000000000009001' "the leaf"
has out '^read from 00:04.0 of IOVA 0x7f123: SPA 0x9123, 4 KiB page, rights r \(host, domain 0x7\)$' "the result"
expect 0 walk "${at[@]}" --iova 0x212345 --write --json -
is '[.source, .pasid, .iova, .access, .outcome]' '["00:04.0",null,"0x212345","write","translated"]' "what was asked"
is '[.hpa, .page_bytes, .rights, .domain_id, .fault]' '["0x212345",2097152,"rw",7,null]' "a large page"
is '[.reads[] | .level]' '[null,null,null,null,3,2]' "its reads"
is keys_unsorted '["nestwalk","source","pasid","iova","access","outcome","reads","translation","domain_id","hpa","page_bytes","rights","fault"]' "the keys are those of VT-d"
expect 1 walk "${at[@]}" --iova 0x7f123 --write
has out 'IO_PAGE_FAULT, flags 0x070: the page may not be written$' "the event, its flags and their meaning"
has out '^-> Set IW in the device table entry' "what to change"
expect 1 walk "${at[@]}" --iova 0x7f123 --write --json -
is '[.outcome, .hpa, .fault.reason, .fault.flags, .fault.recorded]' '["fault",null,"IO_PAGE_FAULT","0x70",true]' "an event"
expect 1 walk "${at[@]}" --iova 0x80000
has out 'IO_PAGE_FAULT, flags 0x000: the address is not mapped$' "not mapped"
expect 0 walk --image amd --device-table 0x1001 --source 00:06.0 --iova 0x1234
has out 'V clear: DMA passes' "no entry: nothing is translated"
has out 'SPA 0x1234, no page, rights rw \(pass-through' "and the address passes"
expect 1 walk --image amd --device-table 0x1000 --source 01:04.0 --iova 0x1234
has out 'ILLEGAL_DEV_TABLE_ENTRY' "beyond the device table"
expect 1 walk --image amd --device-table 0x1001 --source 00:04.0 --efr 0 --haw 40 --iova 0x7f123 --pasid 3
has out 'IO_PAGE_FAULT, flags 0x005' "a PASID without guest translation"
expect 1 walk --image amd --device-table 0x1001 --source 00:05.0 --control 0 --iova 0x5123 --pasid 0
has out 'ILLEGAL_DEV_TABLE_ENTRY, flags 0x080' "GTEn is clear: guest fields are reserved"
expect 3 walk "${at[@]}" --iova 0xfee00000 --write
has err 'interrupt request' "an interrupt is no DMA"
expect 3 walk "${at[@]}" --efr 0xc00 --iova 0
has err 'HATS' "an EFR that cannot be"
for bad in "--rtaddr 0x1000" "--cap 1" "--ecap 1" "--cases x"; do
  # shellcheck disable=SC2086
  expect 2 walk "${at[@]}" --iova 0 $bad
done
expect 2 walk --image amd --rtaddr 0 --efr 1 --source 00:04.0 --iova 0
has err 'go with --device-table' "registers of the other kind"

# Recorded cases.
data=$NW_SOURCE_DIR/tests/data/conform
expect 1 walk --cases "$data/vtd-legacy.jsonl.xz" --id legacy48/1/0
has out 'fault 0x04, ' "the first request of a case"
cp out by-id
expect 1 walk --cases "$data/vtd-legacy.jsonl.xz" --line 1
cmp -s out by-id || fail "by line the same case"
expect 0 walk --cases "$data/vtd-legacy.jsonl.xz" --id legacy48/1/0 --request 3 --json -
is '[.source, .hpa]' '["81:00.0","0x64aae358"]' "the third"
expect 1 walk --cases "$data/vtd-legacy.jsonl.xz" --id legacy48/1/0 --request 3 --write
has out 'fault 0x05, ' "an option takes the place of what the case says"
expect 3 walk --cases "$data/vtd-legacy.jsonl.xz" --id legacy48/1/0 --request 9
has err 'vtd-legacy.jsonl.xz:1: the case has 3 DMA requests' "no such request"
expect 3 walk --cases "$data/vtd-legacy.jsonl.xz" --id legacy48/1
has err 'no case with the id "legacy48/1"' "no such case"
expect 3 walk --cases "$data/vtd-legacy.jsonl.xz" --line 100000
has err 'no line 100000' "no such line"
expect 3 walk --cases "$data/walk-ept.jsonl.gz" --line 1
has err 'not a case of DMA remapping' "a case of another kind"

# What cannot be used.
at=(--rtaddr 0x1000 --source 00:04.0 --iova 0x7f123)
: >empty
expect 3 walk --image empty "${at[@]}"
has err 'empty' "an empty dump"
head -c 5000 /dev/zero >odd
expect 3 walk --image odd "${at[@]}"
has err '5000 bytes are not whole 4 KiB pages' "a dump that is not whole pages"
expect 3 walk --image legacy --start 0x800 "${at[@]}"
has err 'multiple of 4096' "an unaligned start"
expect 3 walk --image legacy --haw 32 --start 0xfffff000 "${at[@]}"
has err 'too many' "beyond the host address width"
truncate -s 8G large
expect 3 walk --image large --haw 32 "${at[@]}"
has err 'too many' "a dump that is too large"
expect 1 walk --image large "${at[@]}"
has out 'fault 0x01, ' "a large one is read where tables are"
expect 3 walk --image missing "${at[@]}"
has err 'missing' "no such file"
expect 3 walk --image . "${at[@]}"
has err 'regular file' "a directory"
expect 3 walk --image legacy --rtaddr 0x1000 --source 00:04.0 --iova 0xfee00000 --write
has err 'interrupt request' "an interrupt is no DMA"
for bad in "--source 0:20.0" "--source 00:04.8" "--source 00:04" "--source 00:04.0x" "--pasid 0x100000" "--haw 53" "--haw 31" \
  "--iova x" "--execute" "--read --write" "--id x" "--cases x" "stray"; do
  # shellcheck disable=SC2086
  expect 2 walk --image legacy "${at[@]}" $bad
  empty out "$bad: a usage error prints nothing on stdout"
done
expect 2 walk --image legacy --source 00:04.0 --iova 0
has err 'needs --rtaddr' "a dump needs RTADDR"
expect 2 walk --cases x
has err '--id ID and --line N' "cases need a case"
expect 2 walk --rtaddr 0x1000 --source 00:04.0 --iova 0
finish
