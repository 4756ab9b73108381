#!/usr/bin/env bash
# nestwalk validate programs from outside: usage, and what is claimed of stored samples, computed again from them.
# shellcheck source=tests/cli/lib.sh
. "${NW_SOURCE_DIR:?the source tree}/tests/cli/lib.sh"
data=$NW_SOURCE_DIR/tests/data/measure document=$NW_SOURCE_DIR/docs/validation.md

expect 2 "$NESTWALK" validate programs --processes 0
expect 2 "$NESTWALK" validate programs --predicted none
expect 2 "$NESTWALK" validate programs --from a.db --samples b.db
expect 2 "$NESTWALK" validate programs --machine textbook --profile p.xml
expect 2 "$NESTWALK" validate programs --json - --html -
expect 2 "$NESTWALK" validate programs --traces nosuch
has err 'nosuch' "a directory that is not there is named, before anything is measured"
expect 2 "$NESTWALK" validate programs samples.db
has err '--from' "a file that is no option's argument is met with the option"
expect 3 "$NESTWALK" validate programs --from missing.db
has err 'missing.db' "a file that is not there is named"

xz -dc "$data/zen4-programs.db.xz" >p.db
cp "$data/zen4-programs.xml" p.xml
mkdir traces
expect 0 "$NESTWALK" validate programs --from p.db --machine ./p.xml --predicted 1 --json a.json --html a.html --traces traces
has out 'claim: .*: holds' "the claim and whether it holds are printed"
has a.html '<svg' "the page has the picture"
has a.html 'gups' "and the programs"
jq -e '(.programs | length == 5) and .holds == (([.programs[] | select(.within)] | length) >= 4) and
  ([.programs[] | .within == ((.error_percent | if . < 0 then -. else . end) <= 15)] | all)' a.json >/dev/null ||
  fail "it holds if four are within 15 %"

# What was measured, from the samples alone: of each process the least of its runs, of their ratios the median.
for program in btree hash-join bfs gups sort; do
  sqlite3 p.db "SELECT s.process, min(CASE c.pages WHEN 0 THEN s.cycles END), min(CASE c.pages WHEN 1 THEN s.cycles END)
    FROM samples s JOIN chases c ON c.id = s.chase WHERE c.purpose = 'program $program' GROUP BY s.process;" >times.txt
  want=$(awk -F'|' '{ print $2 / $3 }' OFMT=%.9g times.txt | sort -g |
    awk '{ v[NR] = $1 } END { printf "%.6f\n", NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }')
  # And what was predicted for the first process, from its run with 2 MiB pages and the two replays.
  two=$(awk -F'|' 'NR == 1 { printf "%.9g\n", $3 }' times.txt)
  jq -e --arg p $program --argjson want "$want" --argjson two "$two" '
    def near($x): (. - $x) | . < 1e-5 and . > -1e-5;
    .walks_at_once as $k | .programs[] | select(.name == $p)
    | . as $r | (.slowdown | near($want)) and
      (.exposed | near([1, ([$two / $r.latency_cycles_2m, 1 / $k] | max)] | min)) and
      (.predicted_slowdown | near(1 + $r.exposed * ($r.latency_cycles_4k - $r.latency_cycles_2m) / $two)) and
      (.error_percent | near(100 * ($r.predicted_slowdown / $r.slowdown - 1)))' a.json >/dev/null ||
    fail "$program: measured and predicted follow from the samples ($want, $two)"
done

# docs/validation.md says what comes out.
jq -r 'def r: . * 1000 | round / 1000 | tostring | if contains(".") then . + "00" | .[0:5] else . + ".000" end;
       def e: . * 10 | round / 10 | (if . > 0 then "+" else "" end) + tostring + " %";
       .programs[] | "| `\(.name)` | \(.slowdown | r) | \(.slowdown_low | r) to \(.slowdown_high | r) | \(.predicted_slowdown | r) | \(.error_percent | e) | \(.without_model_error_percent | e) | \(.all_exposed_slowdown | r) |"' \
  a.json >rows
[ "$(wc -l <rows)" = 5 ] || fail "a row a program"
while IFS= read -r row; do
  grep -qxF -- "$row" "$document" || fail "docs/validation.md lacks: $row"
done <rows

expect 0 "$NESTWALK" trace verify traces/gups-4K.nwt
expect 0 "$NESTWALK" run --trace traces/gups-2M.nwt --machine ./p.xml --mode nested --json run.json
jq -e '[.. | .walks? | .count? | select(. != null)] | max > 100000' run.json >/dev/null ||
  fail "the trace that was replayed can be replayed by itself"
[ "$(find traces -name '*.nwt' | wc -l)" = 10 ] || fail "a trace for each program and size of page"

# Two programs alone, and what was measured with 4K took twice as long. The prediction cannot know.
cp p.db slow.db
sqlite3 slow.db "UPDATE samples SET cycles = 2 * cycles WHERE chase IN
    (SELECT id FROM chases WHERE purpose LIKE 'program %' AND pages = 0);
  DELETE FROM samples WHERE chase IN (SELECT id FROM chases WHERE purpose IN ('program btree', 'program bfs', 'program sort'))"
expect 1 "$NESTWALK" validate programs --from slow.db --machine ./p.xml --predicted 1 --json b.json
jq -e --slurpfile a a.json '(.holds | not) and (.programs | length == 2) and
  [.programs[].predicted_slowdown] == [$a[0].programs[] | select(.name == "hash-join" or .name == "gups") | .predicted_slowdown]' \
  b.json >/dev/null || fail "nothing is fitted on the runs with 4K, and two programs are not four"

cp p.db none.db
sqlite3 none.db "DELETE FROM samples WHERE chase IN (SELECT id FROM chases WHERE purpose LIKE 'program %' AND pages = 1)"
expect 3 "$NESTWALK" validate programs --from none.db --machine ./p.xml
has err 'no program was timed' "without a size of page there is nothing to judge, and that is said"

# Ctrl-C while it measures: nothing is left running or written.
env --default-signal=INT "$NESTWALK" validate programs --samples i.db >out 2>err &
pid=$!
until pgrep -P $pid >children 2>/dev/null; do
  kill -0 $pid 2>/dev/null || break
done
kill -INT $pid
got=0; wait $pid || got=$?
[ $got = 4 ] || fail "an interrupted measurement is exit 4, not $got: $(cat err)"
while read -r child; do
  [ ! -e "/proc/$child" ] || fail "a measuring process outlives its parent"
done <children
[ ! -e i.db ] || fail "an interrupted measurement leaves no file"
finish
