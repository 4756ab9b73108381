#!/usr/bin/env bash
# `nestwalk run`: which runs a command line means, what overrides what, and where results go.
# shellcheck source=tests/cli/lib.sh
. "${NW_SOURCE_DIR:?the source tree}/tests/cli/lib.sh"

# is FILTER VALUE CLAIM: a jq filter of ./out yields exactly this.
is() {
  local got
  got=$(jq -c "$1" out 2>&1)
  [ "$got" = "$2" ] || fail "$3: $1 is $got, not $2"
}
run() { expect 0 "$NESTWALK" run "$@" --json -; }

# 256 pages, twice, in order: an L1 of 64 entries holds none of them until they come again, an L2 of 1536 all.
expect 0 "$NESTWALK" gen sequential --accesses 512 --span 1M --stride 4096 -o pages.nwt
run --trace pages.nwt --machine textbook
is '.runs | length' 1 "one replay without --mode"
is '.runs[0].mode' '"native"' "native is the default"
is '.runs[0].accesses.total' 512 "every access is replayed"
is '.runs[0].tlb.l1d | [.hits, .misses]' '[0,512]' "a cyclic pattern beyond its capacity defeats an LRU array"
is '.runs[0].tlb.l2 | [.hits, .misses]' '[256,256]' "the second round hits in L2"
is '.runs[0].walks | [.count, .references, .references_per_walk]' '[256,1024,4]' "a native walk reads four entries"
is '.runs[0].trace_sha256' "\"$(sha256sum pages.nwt | cut -d' ' -f1)\"" "the result names the trace by its digest"
run --trace pages.nwt --machine textbook --mode nested
is '.runs[0].walks | [.count, .references, .references_per_walk]' '[256,6144,24]' "a nested walk reads 24 entries"

# Modes, in order, and labels.
run --trace pages.nwt --mode nested --mode native
is '[.runs[].mode]' '["nested","native"]' "runs come in the order asked for"
is '[.runs[].label]' '["nested","native"]' "a run is called by its mode"
run --trace pages.nwt --label mine
is '.runs[0].label' '"mine"' "a label names the run"
run --trace pages.nwt --mode native --mode nested --label mine
is '[.runs[].label]' '["mine native","mine nested"]' "a label begins the names of several runs"

# A scenario, and what overrides what.
cat >study.xml <<'END'
<scenario xmlns="urn:nestwalk:scenario:1" name="study">
  <trace src="pages.nwt"/>
  <machine profile="textbook"/>
  <vmm backing="2M"/>
  <run mode="native"/>
  <run mode="nested" label="large"/>
  <run mode="nested" label="small"> <set path="vmm.backing" value="4K"/> </run>
</scenario>
END
run study.xml
is '[.runs[] | .scenario, .label, .walks.references_per_walk]' '["study","native",4,"study","large",19,"study","small",24]' \
  "a scenario's runs are made"
run study.xml --mode nested
is '[.runs[].label]' '["large","small"]' "--mode selects the scenario's runs of that mode"
run study.xml --mode shadow
is '[.runs[].mode]' '["shadow"]' "--mode makes a run that the scenario has not"
run study.xml --mode nested --set vmm.backing=4K
is '[.runs[].walks.references_per_walk]' '[24,24]' "--set overrides the scenario"
expect 0 "$NESTWALK" gen sequential --accesses 100 --span 1M --stride 4096 -o other.nwt
run study.xml --trace other.nwt --machine amd-zen4
is '[.runs[] | .accesses.total, .machine] | unique' '[100,"amd-zen4"]' "--trace and --machine override the scenario"
sed 's|<trace[^>]*>||' study.xml >untraced.xml
expect 2 "$NESTWALK" run untraced.xml
has err 'untraced\.xml.*--trace' "a scenario without a trace says what to give"
expect 0 "$NESTWALK" run "$NW_SOURCE_DIR/scenarios/shipped/netperf-exits.xml" --json mix.json --db mix.db
has out '^no trace: 0 accesses' "a known mix of exits needs no trace"
[ "$(jq -c '[.runs[].cycles.exits, .runs[].trace]' mix.json)" = '[0,16556635000,"",""]' ] ||
  fail "the mix is priced where there is a hypervisor"
expect 0 "$NESTWALK" report --db mix.db -o mix.html
sed 's|mode="native"|mode="sideways"|' study.xml >wrong.xml
expect 3 "$NESTWALK" run wrong.xml
has err 'wrong\.xml:5' "a wrong scenario is named with its line"
for scenario in "$NW_SOURCE_DIR"/scenarios/shipped/*.xml; do
  grep -q '<guests ' "$scenario" && continue # test_guests.sh
  expect 0 "$NESTWALK" run "$scenario" --trace pages.nwt
done

# Wrong settings: before anything is replayed or written.
expect 2 "$NESTWALK" run --trace pages.nwt --set walker.overlap --db never.db
has err 'PATH=VALUE' "an assignment without a value is explained"
expect 2 "$NESTWALK" run --trace pages.nwt --set walker.overlap=0 --db never.db
has err 'walker\.overlap' "a value out of range is named"
expect 2 "$NESTWALK" run --trace pages.nwt --set tlb.l2.ways=7 --db never.db
has err 'tlb\.l2' "settings that do not fit together are named"
expect 2 "$NESTWALK" run --trace pages.nwt --json - --csv -
expect 2 "$NESTWALK" run --trace pages.nwt study.xml other.xml
expect 4 "$NESTWALK" run --trace pages.nwt --json no/such/place.json --db never.db
[ ! -e never.db ] || fail "a refused run leaves no store"

# Where results go.
expect 0 "$NESTWALK" run --trace pages.nwt --mode native --mode nested --json r.json --csv r.csv --db r.db
has out 'references per walk' "the comparison is printed when results go to files"
jq -e '.runs | length == 2' r.json >/dev/null || fail "the JSON file has both runs"
has r.csv 'walks\.references' "the CSV file has the counters"
[ "$(sqlite3 r.db 'select count(*) from runs')" = 2 ] || fail "the store has both runs"
expect 0 "$NESTWALK" run --trace pages.nwt --csv -
has out 'walks\.references' "--csv - is standard output"
lacks out 'references per walk' "--csv - takes the table's place"

# Stale translations.
flawed=$NW_SOURCE_DIR/tests/data/traces/missing-flush.nwt
sound=$NW_SOURCE_DIR/traces/shipped/btree.nwt
expect 0 "$NESTWALK" run --trace "$flawed" --detect-stale
has out '2 accesses used a stale translation; there were 1 of them' "stale uses are counted"
tr -s ' \n' ' ' <out >flat
has flat 'changed from 0x[0-9a-f]+ to 0x[0-9a-f]+ before access 1,' "the write that no invalidation followed is named"
expect 1 "$NESTWALK" run --trace "$flawed" --mode native --mode nested --fail-on-stale
expect 0 "$NESTWALK" run --trace "$sound" --mode nested --fail-on-stale
has out 'no stale translation was used' "a sound guest is told so"
run --trace "$flawed" --detect-stale
is '.runs[0].stale | [.accesses, .translations]' '[2,1]' "the counters are in the JSON"
is '.runs[0].stale_translations[0] | [.access, .uses, .type, .user, .through_walk_cache]' '[2,2,"store",true,false]' \
  "and the first use of each"
is '.runs[0].stale_translations[0].write | [.before_access, (.gpa, .old, .new | startswith("0x"))]' '[1,true,true,true]' \
  "and the write"
run --trace "$flawed"
is '.runs[0] | has("stale") or has("stale_translations")' false "who does not ask is told nothing"

# Same inputs, same counters, whichever engine.
stable() { jq -S 'del(.runs[].replay)' "$1"; }
for engine in fast reference; do
  run --trace pages.nwt --mode native --mode shadow --mode nested --engine $engine
  stable out >"$engine.1"
  run --trace pages.nwt --mode native --mode shadow --mode nested --engine $engine
  stable out >"$engine.2"
  cmp -s "$engine.1" "$engine.2" || fail "two runs of the $engine engine agree"
done
diff <(jq 'del(..|.engine?)' fast.1 | grep -v '"reference"\|"fast"') <(jq 'del(..|.engine?)' reference.1 | grep -v '"reference"\|"fast"') >difference ||
  { head -10 difference >&2; fail "the engines agree"; }
finish
