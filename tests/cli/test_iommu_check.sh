#!/usr/bin/env bash
# `nestwalk iommu check`: kinds of input, the forms of output, exit statuses, what it refuses.
# shellcheck source=tests/cli/lib.sh
. "${NW_SOURCE_DIR:?the source tree}/tests/cli/lib.sh"

is() { # FILTER VALUE CLAIM: a jq filter of ./out yields exactly this.
  local got
  got=$(jq -c "$1" out 2>&1)
  [ "$got" = "$2" ] || fail "$3: $1 is $got, not $2"
}
byte() { printf "%b" "\\x$3" | dd of="$1" bs=1 seek=$(($2)) conv=notrunc status=none; } # FILE OFFSET HEX
# dump FILE SIGNATURE: as acpidump prints a table.
dump() {
  echo "$2 @ 0x0000000000000000"
  xxd -u -g 1 -c 16 "$1" | sed -E 's/^0000(....): /    \1: /'
  echo
}
data=$NW_SOURCE_DIR/tests/data/iommu
xz -dc "$data/DMAR-qemu-q35.dat.xz" >dmar
xz -dc "$data/IVRS-qemu-q35.dat.xz" >ivrs

# The two tables that QEMU makes: binary and compressed.
expect 0 "$NESTWALK" iommu check dmar
has out '^dmar: DMAR, 1 structure, 1 finding$' "what was read"
has out '^info D17  No catch-all unit in a segment$' "the rule"
has out '^    DMAR\+0x30 DRHD fed90000: no unit of segment 0 has INCLUDE_PCI_ALL$' "where and what"
has out '^0 errors, 0 warnings, 1 info in 1 table$' "the sum"
empty err "nothing on stderr"
cp out first
sed 's/^dmar: /DMAR: /' first >wanted
expect 0 "$NESTWALK" iommu check "$data/DMAR-qemu-q35.dat.xz"
sed 's/^.*DMAR-qemu-q35.dat.xz: /DMAR: /' out | cmp -s - wanted || fail "the same table, compressed, gives the same"
expect 0 "$NESTWALK" iommu check --fail-on info ivrs
has out '^ivrs: IVRS, 1 structure, no findings$' "a table without findings"
expect 1 "$NESTWALK" iommu check --fail-on info dmar
expect 0 "$NESTWALK" iommu check --fail-on warning dmar

# JSON.
expect 0 "$NESTWALK" iommu check dmar ivrs --json -
is .inputs '[{"file":"dmar","kind":"DMAR","structures":1},{"file":"ivrs","kind":"IVRS","structures":1}]' "the inputs"
is '[.findings[] | [.rule, .severity, .file, .where, .offset]]' '[["D17","info","dmar","DMAR+0x30 DRHD fed90000",48]]' "findings"
is '.findings[0] | [.title, .detail, .remedy, .source] | map(length > 10)' '[true,true,true,true]' "and their texts"
cp out to-stdout
expect 0 "$NESTWALK" iommu check dmar ivrs --json findings.json
cmp -s to-stdout findings.json || fail "to a file the same is written"
has out '^ivrs: IVRS' "with --json FILE the text is printed as well"
expect 0 "$NESTWALK" iommu check ivrs --json -
is .findings '[]' "no findings are an empty list"

# Text of acpidump: one table, and all tables of a machine.
printf 'FACP\x14\0\0\0------------' >facp
{ dump facp FACP; dump dmar DMAR; dump ivrs IVRS; } >all.txt
expect 0 "$NESTWALK" iommu check all.txt --json -
is '[.inputs[] | [.kind, .line]]' '[["DMAR",5],["IVRS",17]]' "each table with its line"
is '[.findings[] | [.rule, .where]]' '[["D17","DMAR+0x30 DRHD fed90000"]]' "what the binary gives"
dump dmar DMAR | gzip >one.gz
expect 0 "$NESTWALK" iommu check one.gz
has out '^one.gz:1: DMAR, 1 structure' "one table, compressed"

# Damage: a finding with its offset and exit 1.
cp dmar bad && byte bad 9 00
expect 1 "$NESTWALK" iommu check bad
has out '^error T01 ' "a wrong sum is an error"
has out 'DMAR\+0x9 checksum: ' "at its place"
expect 1 "$NESTWALK" iommu check bad --json -
is '.findings[0].detail | endswith("would have to be 0x52")' true "which says what is right"
head -c 100 dmar >bad
expect 1 "$NESTWALK" iommu check bad
has out 'DMAR\+0x4 length: the header says 152 bytes, of which 100 are there' "a table cut short"
has out 'DMAR\+0x30: DRHD .*length 104 with 52 bytes left' "and the structure that does not fit"
lacks out '^error D01' "nothing is said to be missing from a table that is not whole"
cp dmar bad && byte bad 0x32 00
expect 1 "$NESTWALK" iommu check bad
has out 'DMAR\+0x30: .*length 0 ' "a length of zero"
cp ivrs bad && byte bad 0x39 08
expect 1 "$NESTWALK" iommu check bad
has out '^error V01 ' "a register base that is not aligned"
has out '^    -> ' "comes with a remedy"
[ "$(awk '{ if (length > most) most = length } END { print most }' out)" -le 100 ] || fail "findings fit 100 columns"

# Texts of a running machine: one row each, findings with their line, and what several of them say together.
printf 'BOOT_IMAGE=/vmlinuz root=/dev/sda1 intel_iommu=on iommu=pt\n' >cmdline
expect 0 "$NESTWALK" iommu check dmar cmdline --json -
is '.inputs[1].kind' '"cmdline"' "a text is known by its content"
is '[.findings[] | select(.rule == "P05") | [.file, .line, has("offset")]]' '[["cmdline",1,false]]' "a finding in a text has its line"
is '[.findings[].key | test("^[0-9a-f]{16}$")] | all' true "findings have keys"

# SARIF: the rules that found something, each result with its rule, its place and its key.
expect 0 "$NESTWALK" iommu check dmar cmdline --sarif -
is '[.version, (.runs | length), .runs[0].tool.driver.name]' '["2.1.0",1,"nestwalk"]' "one run"
is '.runs[0] | [[.tool.driver.rules[].id], [.results[].ruleIndex]]' '[["D17","P05"],[0,1]]' "results point at their rules"
is '[.runs[0].results[] | [.ruleId, .level]]' '[["D17","note"],["P05","warning"]]' "levels are SARIF's"
is '[.runs[0].results[].locations[0].physicalLocation.region | keys[0]]' '["byteOffset","startLine"]' "places in bytes and in text"
is '.runs[0].results[0].locations[0].logicalLocations[0].fullyQualifiedName' '"DMAR+0x30 DRHD fed90000"' "and the structure"
is '[.runs[0].results[] | has("suppressions")] | any' false "nothing is suppressed without a baseline"
cp dmar 'a b%'
expect 0 "$NESTWALK" iommu check 'a b%' --sarif -
is '.runs[0].results[0].locations[0].physicalLocation.artifactLocation.uri' '"a%20b%25"' "paths are escaped"

# A baseline: what it accepts is left out and does not count; what comes later does.
expect 1 "$NESTWALK" iommu check dmar cmdline --fail-on info --write-baseline accepted.txt
has accepted.txt '^[0-9a-f]{16} D17 DMAR\+0x30 ' "a key, and what it stands for"
expect 0 "$NESTWALK" iommu check dmar cmdline --fail-on info --baseline accepted.txt
has out '^dmar: DMAR, 1 structure, no findings, 1 accepted$' "what is accepted is counted"
has out '^0 errors, 0 warnings, 0 info ' "and not told"
expect 0 "$NESTWALK" iommu check dmar cmdline --baseline accepted.txt --json -
is .findings '[]' "in JSON it is left out"
expect 0 "$NESTWALK" iommu check dmar cmdline --baseline accepted.txt --sarif -
is '[.runs[0].results[].suppressions[0].kind]' '["external","external"]' "in SARIF it is suppressed"
cp dmar dmar.bad && byte dmar.bad 9 00
expect 1 "$NESTWALK" iommu check dmar.bad --baseline accepted.txt
has out '^dmar.bad: DMAR, 1 structure, 1 finding, 1 accepted$' "what is new is told"
has out '^error T01 ' "by its rule"
{ echo '# a remark'; echo; cat accepted.txt; echo 'D17 all of them'; } >accepted.bad
expect 3 "$NESTWALK" iommu check dmar --baseline accepted.bad --json kept.json
has err "accepted.bad:$(($(wc -l <accepted.txt) + 3)): expected a key of 16 hexadecimal digits" "a line that is none"
[ ! -e kept.json ] || fail "a bad baseline leaves no result"
expect 3 "$NESTWALK" iommu check dmar --baseline nowhere
has err nowhere "a baseline that is not there is named"

# Two inputs: what has come counts, what has gone does not.
expect 1 "$NESTWALK" iommu check --diff dmar dmar.bad
has out '^\+ error T01 +DMAR\+0x9 checksum: ' "what has come"
[ "$(wc -l <out)" -eq 1 ] || fail "what both have is not told"
expect 0 "$NESTWALK" iommu check --diff dmar.bad dmar
has out '^- error T01 ' "what has gone"
expect 0 "$NESTWALK" iommu check --diff --fail-on info dmar dmar
empty out "nothing has changed"
expect 0 "$NESTWALK" iommu check --diff ivrs dmar
expect 1 "$NESTWALK" iommu check --diff --fail-on info ivrs dmar
expect 3 "$NESTWALK" iommu check --diff dmar nowhere

# Rules.
expect 0 "$NESTWALK" iommu check --explain all
[ "$(wc -l <out)" -ge 30 ] || fail "all rules are listed"
lines=0
while read -r id severity _; do
  lines=$((lines + 1))
  "$NESTWALK" iommu check --explain "$id" >rule || fail "$id is explained"
  has rule "^$id  .* \\($severity\\)$" "$id has its title"
  for part in what why remedy source; do has rule "^$part +[^ ]" "$id says $part"; done
  grep -q "| $id |" "$NW_SOURCE_DIR/docs/iommu-check.md" || fail "docs/iommu-check.md has $id"
done <out
[ $lines -ge 30 ] || fail "each of them is explained"
expect 0 "$NESTWALK" iommu check --explain d05
has out '^D05 ' "a rule's case does not matter"
expect 2 "$NESTWALK" iommu check --explain D99
has err 'no rule "D99".*--explain all' "a wrong rule is met with the way to the right ones"

# docs/iommu-check.md's example is what is printed.
awk '/^```text$/ { on = 1; next } /^```$/ && on { exit } on' "$NW_SOURCE_DIR/docs/iommu-check.md" >promised
[ "$(wc -l <promised)" -ge 5 ] || fail "docs/iommu-check.md shows an example"
(cd "$NW_SOURCE_DIR" && "$NESTWALK" iommu check tests/data/iommu/{DMAR,IVRS}-qemu-q35.dat.xz) >out
diff promised out || fail "docs/iommu-check.md's output is what is printed"

# Refused.
expect 2 "$NESTWALK" iommu check
has err 'DMAR or IVRS' "what is needed"
expect 2 "$NESTWALK" iommu check --fail-on fatal dmar
has err 'error, warning or info' "a wrong severity"
expect 2 "$NESTWALK" iommu check --explain D05 dmar
expect 2 "$NESTWALK" iommu check --diff dmar
has err 'two inputs, OLD and NEW' "--diff of one input"
expect 2 "$NESTWALK" iommu check --diff dmar ivrs --json -
expect 2 "$NESTWALK" iommu check dmar --json - --sarif -
has err 'only one of' "two outputs to one place"
expect 3 "$NESTWALK" iommu check nowhere
has err 'nowhere' "a file that is not there is named"
: >nothing
head -c 4096 /dev/urandom | tr '@' 'x' >noise # no heading of a table
for file in nothing noise facp; do
  expect 3 "$NESTWALK" iommu check "$file"
  has err "$file: neither a binary DMAR, IVRS or APIC table nor text" "$file is no table"
  empty out "nothing is printed when refused"
done
dump facp FACP >other.txt
expect 3 "$NESTWALK" iommu check other.txt
has err 'neither DMAR, IVRS nor APIC' "text with other tables only"
head -c 47 dmar >short
expect 3 "$NESTWALK" iommu check dmar short --json kept.json
has err 'short: .*ends at offset 0x2f' "less than the fixed part"
[ ! -e kept.json ] || fail "bad input leaves no result"
sed '7s/0010/0020/' all.txt >gap.txt
expect 3 "$NESTWALK" iommu check gap.txt
has err 'gap.txt:7: .*offset 0x20; 0x10 is expected' "a line is missing"
finish
