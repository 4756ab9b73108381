#!/usr/bin/env bash
# `nestwalk run --mrc`: its three forms agree with one another and with replays, and what it refuses.
# shellcheck source=tests/cli/lib.sh
. "${NW_SOURCE_DIR:?the source tree}/tests/cli/lib.sh"

is() { # FILTER VALUE CLAIM: a jq filter of ./out yields exactly this.
  local got
  got=$(jq -c "$1" out 2>&1)
  [ "$got" = "$2" ] || fail "$3: $1 is $got, not $2"
}
curve='.curves[] | select(.page_bytes == 4096 and .sets == 1)'

# 256 pages, twice, in order: below 256 entries LRU misses everything, from there on each page once.
expect 0 "$NESTWALK" gen sequential --accesses 512 --span 1M --stride 4096 -o pages.nwt
expect 0 "$NESTWALK" run --trace pages.nwt --mrc --mrc-window 200 --json -
is "$curve | [.stream, .references, .changes, .pages, .misses]" '["data",512,512,256,[[1,512],[256,256]]]' "a cycle"
is '.curves[] | select(.page_bytes == 2097152 and .sets == 1) | .misses' '[[1,1]]' "one large page"
is '.working_sets[0] | [.stream, .page_bytes, .pages]' '["data",4096,[200,200,112]]' "windows, the last one shorter"
is '.working_sets[0].average | [length, .[0], (.[9] * 512 + 0.5 | floor)]' '[10,1,98432]' "pages among the last 512: 1 to 256, then 256 times 256"
is '[.trace, .machine, .window_accesses]' '["pages.nwt","textbook",200]' "what was run"
is '.trace_sha256' "\"$(sha256sum pages.nwt | cut -d' ' -f1)\"" "the trace's digest"
is '[.arrays[] | select(.page_bytes == 4096) | [.name, .sets, .ways, .misses]]' '[["l1d",16,4,512],["l2",128,12,256]]' "arrays"
expect 0 "$NESTWALK" run --trace pages.nwt --machine textbook --json -
is '.runs[0].tlb | [.l1d.misses, .l2.misses]' '[512,256]' "which the replay counts too"

# The machine's sizes and sets follow --set; given sets replace the machine's.
expect 0 "$NESTWALK" run --trace pages.nwt --mrc --set tlb.l1d.entries=300 --set tlb.l1d.ways=100
has out '^ +300 +l1d +0.50000' "an array's own size is a row"
has out '^data +l1d +4 KiB +3 .* 100: 0.50000$' "and its sets are a row of the other table"
expect 0 "$NESTWALK" run --trace pages.nwt --mrc --mrc-sets 2,5 --json -
is '[.curves[] | select(.page_bytes == 4096) | .sets]' '[1,2,5]' "sets that were asked for"
is '.curves[] | select(.page_bytes == 4096 and .sets == 2) | .misses' '[[1,512],[128,256]]' "half of the pages in each of two sets"

# The machine's sets are followed to 16 ways, unless the array has more; given ones to the end. Up to there they agree.
expect 0 "$NESTWALK" gen zipf --accesses 100000 --span 16M -o zipf.nwt
expect 0 "$NESTWALK" run --trace zipf.nwt --mrc --json -
sets16='.curves[] | select(.page_bytes == 4096 and .sets == 16)'
is "$sets16 | [.complete, (.misses | last | .[0])]" '[false,16]' "16 sets of the machine"
few=$(jq -c "[$sets16 | .misses[]]" out)
expect 0 "$NESTWALK" run --trace zipf.nwt --mrc --mrc-sets 16 --json -
is "$sets16 | [.complete, (.misses | last | .[0] > 16)]" '[true,true]' "16 sets that were asked for"
is "[$sets16 | .misses[] | select(.[0] <= 16)]" "$few" "the first 16 ways"
expect 0 "$NESTWALK" run --trace zipf.nwt --mrc --set tlb.l1d.entries=320 --set tlb.l1d.ways=20 --json -
is "$sets16 | .complete" true "an array of 20 ways"

# The forms tell the same.
expect 0 "$NESTWALK" run --trace "$NW_SOURCE_DIR/traces/shipped/vmchurn.nwt" --mrc --mrc-rate 0.25 --csv all.csv --json all.json
cp out table
cp all.json out
is '.address_spaces > 1' true "a guest with several processes"
line() { awk -F, -v kind="$1" '$1 == "unified" && $2 == 4096 && $3 == 1 && $4 == kind && $5 == 64 { print $6, $8, $9, $10 }' all.csv; }
read -r csv_exact ratio_exact _ _ < <(line exact)
read -r csv_sampled ratio_sampled low high < <(line sampled)
exact=$(jq '[.curves[] | select(.stream == "unified" and .page_bytes == 4096 and .sets == 1 and (.sampled | not)) |
             .misses[] | select(.[0] <= 64) | .[1]] | last' out)
sampled=$(jq '.curves[] | select(.stream == "unified" and .page_bytes == 4096 and .sampled) | .points[] |
              select(.entries == 64) | .misses' out)
[ "$exact" = "${csv_exact:-}" ] || fail "CSV and JSON agree: $exact, ${csv_exact:-none}"
awk "BEGIN { exit !($sampled == ${csv_sampled:-none}) }" || fail "of samples too: $sampled, ${csv_sampled:-none}"
awk "BEGIN { exit !(${low:-1} <= $exact && $exact <= ${high:-0}) }" || fail "the exact count is within the sample's bound"
shown=$(printf '%.5f %.5f' "$ratio_exact" "$ratio_sampled")
awk '/^unified: /{on=1} on && $1 == 64 { print; exit }' table >row
has row " ${shown% *} .* ${shown#* } ±" "the table shows both"

# Twice the same, byte for byte.
expect 0 "$NESTWALK" run --trace "$NW_SOURCE_DIR/traces/shipped/vmchurn.nwt" --mrc --mrc-rate 0.25 --json again.json
cmp -s all.json again.json || fail "the same curves give the same bytes"
expect 0 "$NESTWALK" run --trace "$NW_SOURCE_DIR/traces/shipped/vmchurn.nwt" --mrc-rate 0.25 --seed 43 --json -
is '[.curves[].sampled] | all' true "a rate alone leaves the exact curves out"
is ".curves[0].misses == $(jq -c '[.curves[] | select(.sampled)][0].misses' all.json)" false "another seed, another sample"

refuse() { # PATTERN OPTIONS...
  local pattern=$1
  shift
  expect 2 "$NESTWALK" run "$@"
  has err "$pattern" "$*"
  empty out "nothing is printed when refused"
}
refuse 'needs a scenario or --trace' --mrc
refuse 'replays nothing.*--mode' --trace pages.nwt --mrc --mode nested
refuse 'replays nothing.*--db' --trace pages.nwt --mrc --db x.db
refuse 'replays nothing.*a scenario' study.xml --trace pages.nwt --mrc
refuse 'needs --mrc' --trace pages.nwt --mrc-sets 4
refuse 'needs --mrc' --trace pages.nwt --mrc-rate 0.1 --mrc-window 4
for sets in 0 "4," ,4 4,,4 -1 x 1048577 ""; do refuse 'numbers from 1 to 1048576' --trace pages.nwt --mrc --mrc-sets "$sets"; done
for rate in 0 1.01 -0.1 nan x ""; do refuse 'above 0 and at most 1' --trace pages.nwt --mrc-rate "$rate"; done
for window in 0 x ""; do refuse 'at least 1' --trace pages.nwt --mrc --mrc-window "$window"; done
expect 3 "$NESTWALK" run --trace nowhere.nwt --mrc
head -c 3000 "$NW_SOURCE_DIR/traces/shipped/btree.nwt" >cut.nwt
expect 3 "$NESTWALK" run --trace cut.nwt --mrc --json cut.json
[ ! -e cut.json ] || fail "a bad trace leaves no result"
finish
