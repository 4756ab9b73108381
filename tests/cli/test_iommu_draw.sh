#!/usr/bin/env bash
# `nestwalk iommu draw`: requesters, domains, windows and memory of both kinds of unit; the picture; what it refuses.
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
draw() { "$NESTWALK" iommu draw "$@"; }
export NESTWALK
export -f draw

# Two functions in domain 7, one passed through, one with an entry that no request gets past.
truncate -s 64K vtd
put vtd 0x1000 0x2001
put vtd 0x2200 0x3001 0x701
put vtd 0x2210 0x9 0x201
put vtd 0x2220 0x3001 0x701
put vtd 0x2230 0x300d 0x701
put vtd 0x3000 0x4003
put vtd 0x4000 0x5003 0x600083
put vtd $((0x5000 + 0x7f * 8)) 0x9001 0xa003 0xb003 0x9002
expect 0 draw --image vtd --rtaddr 0x1000
has out '^domain 0x7, second stage at 0x3000: 00:04.0, 00:04.2$' "a domain and who is in it"
has out '^    reads 2060 KiB, writes 2060 KiB$' "its memory, a page counted once"
has out '^    0x80000 +-> 0xa000 +8 KiB  rw$' "neighbours are one window"
has out '^    0x82000 +-> 0x9000 +4 KiB  w$' "rights"
has out '^domain 0x2, pass-through: 00:04.1$' "a device that is passed through"
has out '^    reaches all of memory$' "and what it reaches"
has out '^00:04.3: every request faults, context entry is invalid$' "an entry that no request gets past"
empty err "nothing on stderr"
expect 0 draw --image vtd --rtaddr 0x1000 --json -
is keys_unsorted '["nestwalk","unit","requesters","requesters_more","domains"]' "the keys in their order"
is '.requesters | map([.source, .pasid, .domain, .fault != null])' '[["00:04.0",null,0,false],["00:04.1",null,1,false],["00:04.2",null,0,false],["00:04.3",null,null,true]]' "the requesters"
is '.domains | map([.translation, .domain_id, .root, .requesters, .reaches_everything])' '[["second stage",7,"0x3000",2,false],["pass-through",2,null,1,true]]' "the domains"
is '.domains[0].windows | map([.iova, .hpa, .bytes, .rights])' \
  '[["0x7f000","0x9000",4096,"r"],["0x80000","0xa000",8192,"rw"],["0x82000","0x9000",4096,"w"],["0x200000","0x600000",2097152,"rw"]]' "the windows"
is '.domains[0].memory | map([.start, .bytes, .rights])' '[["0x9000",12288,"rw"],["0x600000",2097152,"rw"]]' "the memory"
is '.domains[0] | [.readable_bytes, .writable_bytes, .windows_more, .memory_more]' '[2109440,2109440,false,false]' "sums"
cp out to-stdout
expect 0 draw --image vtd --rtaddr 0x1000 --json draw.json
cmp -s to-stdout draw.json || fail "to a file the same is written"
has out '^domain 0x7' "with --json FILE the text is printed as well"
expect 0 draw --image vtd --rtaddr 0x1000 --windows 2 --json -
is '.domains[0] | [(.windows | length), .windows_more, (.memory | length), .readable_bytes]' '[2,true,2,2109440]' "fewer windows, the same sums"
expect 0 draw --image vtd --rtaddr 0x1000 --svg iommu.svg --dot -
has out '^digraph iommu \{$' "DOT"
has out 'label="0x7f000"' "an edge bears the address"
has out 'label="all of memory"' "passed through"
has out 'every request faults' "broken entries"
has iommu.svg '<svg' "SVG"
has iommu.svg '00:04\.2' "with the requesters"
expect 0 draw --image vtd --rtaddr 0x1000 --svg again.svg --json unused.json
cmp -s iommu.svg again.svg || fail "the same picture twice"
expect 0 draw --image vtd --start 0x10000 --rtaddr 0x1000
has out '^no device has an entry$' "tables outside the dump"

# Scalable mode: PASIDs.
truncate -s 64K scalable
put scalable 0x1008 0x2001
put scalable $((0x2000 + 0x10 * 32)) 0x3009 0x0 # 00:12.0: PASIDE
put scalable 0x3000 0x4001
put scalable $((0x4000 + 5 * 64)) 0x49 0x3 0x5000
put scalable 0x5000 0x6007
put scalable 0x6000 0x7007
put scalable 0x7000 0x8007
put scalable 0x8010 0xa007 0xb005
expect 0 draw --image scalable --rtaddr 0x1400 --cap 0x1d2008c222f0606 --ecap 0x890000f00f4a
has out '^domain 0x3, first stage at 0x5000: 00:12.0 PASID 0x5$' "a PASID"
has out '^    0x2000 +-> 0xa000 +4 KiB  rw$' "its window"
has out '^    0x3000 +-> 0xb000 +4 KiB  r$' "another"
has out '^00:12.0: every request faults' "without PASID there is nothing"

# AMD-Vi.
truncate -s 64K amd
put amd $((0x1000 + 0x20 * 32)) 0x6000000000003603 0x7
put amd 0x3000 0x6000000000004401
put amd 0x4000 0x6000000000005201 0x6000000000200001
put amd $((0x5000 + 0x7f * 8)) 0x2000000000009001
put amd $((0x1000 + 0x28 * 32)) 0x6000000000000003 0x8
put amd $((0x1000 + 0x30 * 32)) 0x7 # a reserved bit
expect 0 draw --image amd --device-table 0x1001
has out '^domain 0x7, host at 0x3000: 00:04.0$' "a host domain"
has out '^    0x7f000 +-> 0x9000 +4 KiB  r$' "a window"
has out '^domain 0x8, pass-through: 00:05.0$' "mode 0"
has out '^00:06.0: every request faults, ILLEGAL_DEV_TABLE_ENTRY$' "a reserved bit"
expect 0 draw --image amd --device-table 0x1001 --json -
is '[.unit, .domains[0].windows[0].bytes]' '["amdvi",4096]' "as JSON"

# A recorded case: the window that its third request, of 0x1b84b4f358, is recorded to go through to 0x64aae358.
cases=$NW_SOURCE_DIR/tests/data/conform/vtd-legacy.jsonl.xz
for which in "--line 1" "--id legacy48/1/0"; do
  # shellcheck disable=SC2086
  expect 0 draw --cases "$cases" $which
  has out '^domain 0x9d59, second stage at 0x[0-9a-f]+: 81:00.0$' "the case's domain ($which)"
  has out '^    0x1b84b4f000 +-> 0x64aae000 +4 KiB  r$' "its window ($which)"
done

# What cannot be used.
for bad in "" "--image vtd" "--rtaddr 0" "--image vtd --rtaddr 0 --device-table 0" "--image vtd --rtaddr 0 --efr 1" \
  "--image amd --device-table 0 --cap 1" "--image vtd --rtaddr x" "--image vtd --rtaddr 0 --haw 53" "--image vtd --rtaddr 0 --windows -1" \
  "--cases c" "--cases c --id x --line 1" "--cases c --line 0" "--cases c --line 1 --start 0" \
  "--cases c --line 1 --image vtd" "--cases c --line 1 --device-table 0" "--image vtd --rtaddr 0 --line 1" "--image vtd --rtaddr 0 --json - --dot -" "--image vtd --rtaddr 0 more"; do
  # shellcheck disable=SC2086
  expect 2 draw $bad
done
expect 3 draw --image missing --rtaddr 0x1000
has err 'missing' "no such file"
expect 3 draw --cases "$cases" --id nobody
has err 'nobody' "no such case"
expect 3 draw --image amd --device-table 0x1001 --efr 0xc00
has err 'HATS' "an EFR that cannot be"
expect 4 draw --image vtd --rtaddr 0x1000 --svg nowhere/x.svg
[ ! -e nowhere ] || fail "nothing is made for an output that cannot be written"
finish
