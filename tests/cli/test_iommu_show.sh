#!/usr/bin/env bash
# `nestwalk iommu show`: tables field by field, as text and as JSON.
# shellcheck source=tests/cli/lib.sh
. "${NW_SOURCE_DIR:?the source tree}/tests/cli/lib.sh"

is() { # FILTER VALUE CLAIM: a jq filter of ./out yields exactly this.
  local got
  got=$(jq -c "$1" out 2>&1)
  [ "$got" = "$2" ] || fail "$3: $1 is $got, not $2"
}
data=$NW_SOURCE_DIR/tests/data/iommu
xz -dc "$data/DMAR-qemu-q35.dat.xz" >dmar
xz -dc "$data/IVRS-qemu-q35.dat.xz" >ivrs

expect 0 "$NESTWALK" iommu show dmar ivrs
has out '^dmar: DMAR, header and 1 structure with 11 device scopes, 152 bytes; the header says 152$' "what is in the DMAR"
has out '^ivrs: IVRS, header and 1 structure with 19 device entries, 160 bytes; the header says 160$' "what is in the IVRS"
has out '^  0025h    1  flags +0x01 \(INTR_REMAP\)$' "flags by name"
has out '^      0056h    2  path +03\.0$' "a path"
has out '^  0031h    1  flags +0xd1 \(HtTunEn, IotlbSup, PreFSup, PPRSup\)$' "flags of an IVHD"
empty err "nothing on stderr"

# The parts of a table fill it, and the fields fill the parts.
expect 0 "$NESTWALK" iommu show dmar "$data/IVRS-qemu-q35.dat.xz" --json -
is '[.tables[] | .kind]' '["DMAR","IVRS"]' "the tables"
is '[.tables[] | .length == ([.parts[].length] | add)]' '[true,true]' "parts fill the table"
is '[.tables[].parts[] | .length == ([.fields[].bytes, .parts[].length] | add)] | all' 'true' "fields and inner parts fill a part"
for table in dmar ivrs; do
  expect 0 "$NESTWALK" iommu show $table --json -
  [ "$(jq -r '[.tables[0].parts[] | (.fields[], .parts[].fields[]) | .hex] | join("")' out)" = "$(xxd -p -c 65536 $table)" ] ||
    fail "the bytes of all fields of $table, in order, are the table"
done
is '.tables[0].parts[1].parts[0].fields[1:3]' \
  '[{"name":"device id","offset":73,"bytes":2,"hex":"0000","text":"00:00.0"},{"name":"data setting","offset":75,"bytes":1,"hex":"00","text":"0x00"}]' \
  "fields of an entry"
expect 0 "$NESTWALK" iommu show dmar --json file.json
has out '^dmar: DMAR' "with --json FILE the text is printed as well"

# Damage: what does not fit is not decoded, and nothing is left out.
head -c 100 dmar >broken
expect 0 "$NESTWALK" iommu show broken
has out '^not decoded, 52 bytes$' "a structure that goes beyond the end"
has out '100 bytes; the header says 152$' "both lengths"

expect 2 "$NESTWALK" iommu show
expect 3 "$NESTWALK" iommu show missing
echo hello >other
expect 3 "$NESTWALK" iommu show other
has err 'neither a binary DMAR, IVRS or APIC table nor text of acpidump' "what was expected"
finish
