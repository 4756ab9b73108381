#!/usr/bin/env bash
# nestwalk validate tlb from outside: usage, and what is claimed of stored samples, computed again from them.
# shellcheck source=tests/cli/lib.sh
. "${NW_SOURCE_DIR:?the source tree}/tests/cli/lib.sh"

expect 2 "$NESTWALK" validate tlb --processes 1
expect 2 "$NESTWALK" validate tlb --processes many
expect 2 "$NESTWALK" validate tlb --seed x
expect 2 "$NESTWALK" validate tlb --from a.db --samples b.db
expect 2 "$NESTWALK" validate tlb --json - --html -
expect 2 "$NESTWALK" validate tlb --frozen
expect 2 "$NESTWALK" validate tlb --append
expect 2 "$NESTWALK" validate tlb --only-measure
expect 2 "$NESTWALK" validate tlb --samples a.db --only-measure --json -
expect 3 "$NESTWALK" validate tlb --samples missing.db --append --only-measure
has err 'missing.db' "a file that nothing can be added to is named"
expect 2 "$NESTWALK" validate tlb samples.db
has err '--from' "a file that is no option's argument is met with the option"
expect 3 "$NESTWALK" validate tlb --from missing.db
has err 'missing.db' "a file that is not there is named"
echo "no database at all, but long enough to be looked at for a header" >text.db
expect 3 "$NESTWALK" validate tlb --from text.db

xz -dc "$NW_SOURCE_DIR/tests/data/measure/zen4.db.xz" >zen4.db
# With sanitizers the chases whose replays are long are left out; what is claimed of the others is still computed.
[ "${NW_SANITIZED:?1 or 0}" = 0 ] ||
  sqlite3 zen4.db "DELETE FROM samples WHERE chase IN (SELECT id FROM chases WHERE count > 13000)"
got=0
"$NESTWALK" validate tlb --from zen4.db --json a.json --html a.html --profile a.xml >out 2>err || got=$?
[ $got -le 1 ] || fail "judging stored samples is exit 0 or 1, not $got: $(cat err)"
jq -e '.holds == ([.regimes[].holds] | all)' a.json >/dev/null || fail "it holds if every regime does"
jq -e --argjson got $got '.holds == ($got == 0)' a.json >/dev/null || fail "the exit status says what the document says"

# The claims, computed here from the points alone.
jq -e 'def abs: if . < 0 then -. else . end;
       ([.points[] | select(.spacing_bytes == 4096 and .count <= 2048 and .capacity_edge == "")
                   | (100 * (.predicted_cycles / .measured_cycles - 1)) | abs]) as $e
       | (.regimes[] | select(.name == "to 2 K pages, dense"))
       | .points == ($e | length) and ((.max_error_percent - ($e | max)) | abs) < 1e-9 and .holds == (($e | max) <= 5)' \
  a.json >/dev/null || fail "the claim up to 2 K pages follows from the points"
# The table of docs/validation.md; half a per cent apart is another compiler's rounding.
jq -r '.regimes[] | select(.claim != "") | [.name, .points, .median_error_percent, .max_error_percent,
  .textbook_median_error_percent, .one_dimension_median_error_percent, (if .holds then "holds" else "missed" end)] | @tsv' a.json >regimes
while IFS=$'\t' read -r name points median worst textbook one holds; do
  row=$(grep -F "| $name | $points | " "$NW_SOURCE_DIR/docs/validation.md" | head -n 1)
  echo "$row" | tr -d '%' | awk -F' *[|] *' -v a="$median" -v b="$worst" -v c="$textbook" -v d="$one" -v h="$holds" '
    function far(x, y) { return x - y > 0.5 || y - x > 0.5 }
    { bad = far($4, a) || far($5, b) || far($6, c) || far($7, d) || $9 != h } END { exit bad || NR != 1 }' ||
    fail "docs/validation.md says of \"$name\" what comes out: \"$row\" is not $median $worst $textbook $one $holds"
done < <([ "$NW_SANITIZED" = 1 ] || cat regimes)

# What was measured, from the samples alone: of each process that was judged the least, of the processes the median.
measured() { # COUNT SPACING PAGES
  sqlite3 zen4.db "SELECT s.process, s.cycles FROM samples s JOIN chases c ON c.id = s.chase WHERE c.count = $1 AND
    c.spacing_bytes = $2 AND c.pages = $3 AND c.calibrates = 0 AND
    s.process % 2 = 1 ORDER BY 1, 2" |
    awk -F'|' 'function median(a, n) { return n % 2 ? a[(n + 1) / 2] : (a[n / 2] + a[n / 2 + 1]) / 2 }
      $1 != last { m[++k] = $2; last = $1 } END {
      for (i = 2; i <= k; i++) for (j = i; j > 1 && m[j - 1] > m[j]; j--) { t = m[j]; m[j] = m[j - 1]; m[j - 1] = t }
      printf "%.6f\n", median(m, k) }'
}
for point in "1024 4096 0" "96 131072 0" "1024 4096 1"; do
  # shellcheck disable=SC2086  # three words
  set -- $point
  page=$([ "$3" = 0 ] && echo 4K || echo 2M)
  want=$(measured "$@")
  jq -e --argjson n "$1" --argjson s "$2" --arg p "$page" --argjson want "$want" '.points[]
    | select(.count == $n and .spacing_bytes == $s and .pages == $p) | (.measured_cycles - $want) | . < 1e-5 and . > -1e-5' \
    a.json >/dev/null || fail "what was measured of $point follows from the samples ($want)"
done

has a.xml 'measured by nestwalk validate' "the profile says that its values were measured"
has a.html 'Measured against predicted' "the page has the picture"
expect 0 "$NESTWALK" gen uniform --accesses 1000 -o t.nwt
expect 0 "$NESTWALK" run --trace t.nwt --machine ./a.xml
got=0
"$NESTWALK" validate walk --from zen4.db --machine ./a.xml --frozen --json b.json >out 2>err || got=$?
[ $got -le 1 ] || fail "judging by a frozen profile is exit 0 or 1, not $got: $(cat err)"
jq -e --slurpfile a a.json '[.points[].predicted_cycles] == [$a[0].points[].predicted_cycles]' b.json >/dev/null ||
  fail "the profile that was written predicts what the fit predicted"
jq -e --argjson got $got '.walks_hold == ($got == 0) and .walks_hold == ([.walk_regimes[].holds] | all)' b.json >/dev/null ||
  fail "validate walk ends by what is claimed of walks"
jq -e '([.counters | .source, .dtlb_misses, .walks, .walk_cycles, .walk_references] | all(. == null)) and
       ([.points[].counters[]] | length > 0 and all(. == null)) and all(.points[]; .measured_dtlb_misses == null)' \
  b.json >/dev/null || fail "what nothing counted is null"
grep -q 'Counted by the processor' out a.html && fail "nothing was counted, and nothing is shown of it"
# What walks take, from the points alone: the access without what the model has of data is what the walk has left.
jq -e 'def abs: if . < 0 then -. else . end;
       def median: sort | if length % 2 == 1 then .[(length - 1) / 2] else (.[length / 2 - 1] + .[length / 2]) / 2 end;
       [.points[] | select(.walk_measured_cycles != null)] as $walks
       | [$walks[] | select(.regime == "walk in cache") | 100 * (.walk_predicted_cycles / .walk_measured_cycles - 1) | abs] as $e
       | (.walk_regimes[] | select(.name == "walk in cache")) as $r
       | ($walks | length) >= 10 and $r.points == ($e | length) and (($r.median_error_percent - ($e | median)) | abs) < 1e-6
         and all($walks[]; .predicted_walks >= 0.9 and .predicted_nested_references < .predicted_references and
                 (((.predicted_cycles - .walk_predicted_cycles) - (.measured_cycles - .walk_measured_cycles)) | abs) < 1e-6)' \
  b.json >/dev/null || fail "the figures of walks follow from the points"

# Samples with counts: made up, as it takes a processor that lets them be read. They are compared with the model, and change nothing else.
cp zen4.db counted.db
sqlite3 counted.db "DELETE FROM samples WHERE chase IN (SELECT id FROM chases WHERE count > 1600);
  CREATE TABLE IF NOT EXISTS counts (process INTEGER NOT NULL, chase INTEGER NOT NULL, repeat INTEGER NOT NULL,
    walks REAL, walk_cycles REAL, walk_references REAL, PRIMARY KEY (process, chase, repeat)) WITHOUT ROWID"
cp counted.db uncounted.db
sqlite3 counted.db "INSERT INTO counts SELECT process, chase, repeat, 0.25, CASE WHEN chase % 2 = 0 THEN 40 END, NULL FROM samples;
  UPDATE samples SET dtlb_misses = 0.5; INSERT OR REPLACE INTO session VALUES ('counters', 'a made up <processor>')"
for command in tlb walk; do
  got=0
  "$NESTWALK" validate $command --from counted.db --machine ./a.xml --frozen --json d.json --html d.html >out 2>err || got=$?
  [ $got -le 1 ] || fail "samples with counts are judged: $(cat err)"
  has out 'Counted by the processor, an access, beside what the model has .a made up <processor>' "counts are shown, and where they are from"
  has out "counted, walks: $(jq '.points | length' d.json) points" "and how far the model is from them"
done
has d.html 'a made up &lt;processor&gt;' "the page has them too"
jq -e 'def abs: if . < 0 then -. else . end;
       def median: sort | if length % 2 == 1 then .[(length - 1) / 2] else (.[length / 2 - 1] + .[length / 2]) / 2 end;
       [.points[] | (.predicted_walks - 0.25) | abs] as $apart
       | (.counters.walks.points == ($apart | length)) and ((.counters.walks.max_difference - ($apart | max)) | abs) < 1e-9
         and ((.counters.walks.median_difference - ($apart | median)) | abs) < 1e-9
         and .counters.source == "a made up <processor>" and .counters.walk_references == null
         and .counters.dtlb_misses.points == ($apart | length)
         and .counters.walk_cycles.points == ([.points[] | select(.counters.walk_cycles)] | length) and .counters.walk_cycles.points > 0
         and all(.points[]; .measured_dtlb_misses == 0.5 and .counters.walks.counted == 0.25 and
                 .counters.walks.predicted == .predicted_walks and .counters.walk_references == null)
         and all(.points[] | select(.counters.walk_cycles); .counters.walk_cycles.counted == 40 and
                 (.walk_predicted_cycles == null or .walk_predicted_cycles == .counters.walk_cycles.predicted))' \
  d.json >/dev/null || fail "what is said of the counts follows from the points"
"$NESTWALK" validate tlb --from uncounted.db --machine ./a.xml --frozen --json e.json >out 2>err || got=$?
jq -e --slurpfile d d.json '.regimes == $d[0].regimes and [.points[].predicted_cycles] == [$d[0].points[].predicted_cycles]' \
  e.json >/dev/null || fail "counts change no claim"
sqlite3 counted.db "INSERT INTO counts VALUES (0, 0, 60000, 1, 1, 1)"
expect 3 "$NESTWALK" validate tlb --from counted.db
has err 'table counts, row' "counts of a sample that is not there are named with table and row"
sqlite3 counted.db "DELETE FROM counts WHERE repeat = 60000; UPDATE counts SET walks = -1 WHERE process = 0"
expect 3 "$NESTWALK" validate tlb --from counted.db
has err 'walks, walk_cycles and walk_references are NULL or 0 to 10' "a count that nothing counts is refused"

# A machine that is not the one that was fitted: twice as slow in what was held out. No claim of closeness can hold.
cp zen4.db slow.db
sqlite3 slow.db "UPDATE samples SET cycles = 2 * cycles WHERE process % 2 = 1"
expect 1 "$NESTWALK" validate tlb --from slow.db --machine ./a.xml --frozen --json c.json
jq -e '.regimes[] | select(.name == "to 2 K pages, dense") | .holds | not' c.json >/dev/null ||
  fail "samples of another machine are seen"
cp zen4.db bad.db
sqlite3 bad.db "UPDATE samples SET cycles = -3 WHERE process = 0 AND repeat = 0"
expect 3 "$NESTWALK" validate tlb --from bad.db
has err 'table samples, row' "a value that nobody measured is named with table and row"
cp zen4.db few.db
sqlite3 few.db "DELETE FROM samples WHERE process > 0; DELETE FROM frames WHERE process > 0; DELETE FROM processes WHERE id > 0"
expect 3 "$NESTWALK" validate tlb --from few.db
has err 'one process' "one process is too few"

# What the machine has is the same after all that follows.
machine_state() { cat /proc/sys/vm/nr_hugepages /sys/kernel/mm/transparent_hugepage/enabled 2>/dev/null; taskset -p $$; }
machine_state >before

# Ctrl-C while it measures: nothing is left running; what was measured is kept, and can be added to.
interrupt_after() { # PROCESSES-THAT-ENDED
  env --default-signal=INT "$NESTWALK" validate tlb --processes 20 --only-measure --samples i.db >out 2>err &
  local pid=$! child='' seen='' changes=-1
  while [ $changes -lt "$1" ] && kill -0 $pid 2>/dev/null; do
    child=$(pgrep -P $pid | head -n 1) || child=''
    if [ -n "$child" ] && [ "$child" != "$seen" ]; then
      seen=$child
      changes=$((changes + 1))
    fi
    sleep 0.02
  done
  kill -INT $pid
  got=0; wait $pid || got=$?
  [ $got = 4 ] || fail "an interrupted measurement is exit 4, not $got: $(cat err)"
  [ ! -e "/proc/$seen" ] || fail "a measuring process outlives its parent"
}
interrupt_after 0
[ ! -e i.db ] || fail "when no process came to its end there is nothing to keep"
interrupt_after 1
has err 'i.db has the 1 process ' "it is said what was kept"
[ "$(sqlite3 i.db "SELECT count(*) = (SELECT (max(count * spacing_bytes) + (2 << 20) - 1) / (2 << 20) FROM chases WHERE pages = 1)
  OR NOT (SELECT there & 2 FROM processes) FROM mappings WHERE cycles > 1")" = 1 ] || fail "each large page of the guest was looked into"
[ "$(sqlite3 i.db 'SELECT count(*) FROM processes')" = 1 ] || fail "the process that came to its end is kept"
[ "$(sqlite3 i.db "SELECT (SELECT count(*) FROM counts) > 0 OR count(*) > 0 FROM notes WHERE text LIKE '%are the model''s%'")" = 1 ] ||
  fail "walks are counted, or it is said that they are not"
expect 0 "$NESTWALK" validate tlb --processes 1 --samples i.db --append --only-measure
[ "$(sqlite3 i.db 'SELECT count(DISTINCT process) FROM samples')" = 2 ] || fail "more processes are added to it"

# A user who may not look at frames measures all the same, and is told what that costs.
dir=$(mktemp -d)
chmod 777 "$dir"
cp i.db "$dir/n.db"
chmod 666 "$dir/n.db"
sqlite3 "$dir/n.db" "DELETE FROM notes"
as_nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups --bounding-set=-all --inh-caps=-all "$@"; }
if [ "$(id -u)" = 0 ] && as_nobody test -x "$NESTWALK" 2>/dev/null; then
  got=0
  as_nobody "$NESTWALK" validate tlb --processes 1 --samples "$dir/n.db" --append --only-measure >out 2>err || got=$?
  [ $got = 0 ] || fail "an ordinary user can measure: $(cat err)"
  sqlite3 "$dir/n.db" 'SELECT text FROM notes' >notes
  has notes '/proc/self/pagemap needs CAP_SYS_ADMIN' "it is said that frames are hidden, and what that costs"
  has notes '/proc/kpageflags needs CAP_SYS_ADMIN' "it is said that tables are hidden, and what that costs"
fi
rm -rf "$dir"
sqlite3 i.db "UPDATE session SET value = 'another machine' WHERE name = 'machine'"
expect 3 "$NESTWALK" validate tlb --processes 2 --samples i.db --append --only-measure
has err 'of another machine' "samples of two machines are not mixed"

machine_state >after
cmp -s before after || fail "pools, policies and affinity are as before: $(diff before after)"
finish
