#!/usr/bin/env bash
# `nestwalk run --sample`: its three forms agree, nothing in them can be taken for an exact count, and what it refuses.
# shellcheck source=tests/cli/lib.sh
. "${NW_SOURCE_DIR:?the source tree}/tests/cli/lib.sh"
trace=$NW_SOURCE_DIR/traces/shipped/vmchurn.nwt

is() { # FILTER VALUE CLAIM: a jq filter of ./out yields exactly this.
  local got
  got=$(jq -c "$1" out 2>&1)
  [ "$got" = "$2" ] || fail "$3: $1 is $got, not $2"
}
sample=(--sample 50 --sample-window 1000 --sample-warm 4000)
expect 0 "$NESTWALK" run --trace "$trace" --mode native --mode nested "${sample[@]}" --csv all.csv --json all.json
has out 'SAMPLED' "the table says that it is a sample"
has out '^figure +estimate +± +low +high +unit$' "the table's columns"
cp all.json out
is '[.runs, .sampled_runs[].sampled]' '[null,true,true]' "no runs, as a result of a replay has; only sampled ones"
is '[.sampled_runs[] | .walks, .tlb, .cycles]' '[null,null,null,null,null,null]' "no counter where a replay's stand"
is '[.sampled_runs[].mode]' '["native","nested"]' "a run for each mode"
is '.sampled_runs[0].sample | [.windows, .window_accesses, .warm_accesses, .confidence_percent]' '[50,1000,4000,95]' "what was asked for"
is '.sampled_runs[0].sample | .measured_accesses < .replayed_accesses and .replayed_accesses < 400000' true "a part of the trace"
is '.sampled_runs[0].accesses.total' 2009463 "accesses of the trace are exact"
is '.sampled_runs[0].sample.figures["faults.guest_page_faults"] | [.estimate, .low, .high]' '[751,751,751]' "and so are recorded faults"
is '[.sampled_runs[].sample.figures[] | .low <= .estimate and .estimate <= .high] | all' true "estimates are in their intervals"
is '.sampled_runs[0].parameters["run.mode"].value' '"native"' "parameters"
estimate=$(jq '.sampled_runs[1].sample.figures["walks.count"] | .estimate, .low, .high' out | paste -sd, -)
awk -F, '$1 == "nested" && $3 == "walks.count" { print $5 "," $6 "," $7 }' all.csv >row
[ "$(awk -F, '{ printf "%.6f,%.6f,%.6f", $1, $2, $3 }' row)" = "$(echo "$estimate" | awk -F, '{ printf "%.6f,%.6f,%.6f", $1, $2, $3 }')" ] ||
  fail "CSV and JSON agree: $(cat row), $estimate"
expect 0 "$NESTWALK" run --trace "$trace" --mode native --mode nested "${sample[@]}" --json again.json
cmp -s all.json again.json || fail "the same sample gives the same bytes"
expect 0 "$NESTWALK" run --trace "$trace" --sample 0.05 --sample-window 1000 --sample-warm 2000 --json -
is '.sampled_runs[0].sample.windows' 100 "a fraction of the windows behind the beginning"
expect 0 "$NESTWALK" run --trace "$trace" --sample 100 --sample-window 100M
has out '^figure is exact|every figure is exact' "where nothing is skipped nothing is estimated"
expect 0 "$NESTWALK" run --trace "$trace" --sample 100 --sample-window 100M --json -
is '.sampled_runs[0].sampled' false "which the JSON says too"

refuse() { # PATTERN OPTIONS...
  local pattern=$1
  shift
  expect 2 "$NESTWALK" run "$@"
  has err "$pattern" "$*"
  empty out "nothing is printed when refused"
}
for n in 0 29 100001 1 1.0 1.5 -1 nan x ""; do refuse '30 to 100000 windows, or a fraction' --trace "$trace" --sample "$n"; done
for n in 0 x -1 2T ""; do refuse '1 to 1099511627776 accesses' --trace "$trace" --sample 50 --sample-window "$n"; done
for n in x -1 2T ""; do refuse '0 to 1099511627776 accesses' --trace "$trace" --sample 50 --sample-warm "$n"; done
refuse 'sample-warm needs --sample' --trace "$trace" --sample-warm 5
refuse 'sample-window needs --sample' --trace "$trace" --sample-window 5
refuse 'a store .--db. holds exact counts only' --trace "$trace" --sample 50 --db x.db
[ ! -e x.db ] || fail "no store was made"
refuse 'shadow cannot be sampled' --trace "$trace" --mode shadow --sample 50
refuse 'detect_stale cannot be sampled' --trace "$trace" --detect-stale --sample 50
refuse 'it takes a trace, and no --sample' --trace "$trace" --mrc --sample 50
expect 3 "$NESTWALK" run --trace nowhere.nwt --sample 50
head -c 3000 "$trace" >cut.nwt
expect 3 "$NESTWALK" run --trace cut.nwt --sample 50 --json cut.json
[ ! -e cut.json ] || fail "a bad trace leaves no result"
finish
