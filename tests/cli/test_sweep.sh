#!/usr/bin/env bash
# `nestwalk sweep`: the same counters as single runs, whatever the number of threads; nothing lost and nothing twice, however it ends.
# shellcheck source=tests/cli/lib.sh
. "${NW_SOURCE_DIR:?the source tree}/tests/cli/lib.sh"

# dump STORE: all that was stored, without times.
dump() {
  sqlite3 -readonly "$1" "
    SELECT id, group_id, version, scenario, label, mode, machine, trace, trace_sha256, engine, fidelity, seed FROM runs ORDER BY id;
    SELECT run_id, path, value, unit, derived FROM metrics WHERE path NOT LIKE 'replay.%' ORDER BY run_id, position;
    SELECT * FROM histogram ORDER BY run_id, bucket;
    SELECT * FROM parameters ORDER BY run_id, position;
    SELECT * FROM points ORDER BY identity;"
}
metrics() { sqlite3 -readonly "$1" "SELECT run_id, path, value FROM metrics WHERE path NOT LIKE 'replay.%' ORDER BY run_id, path"; }
points() { sqlite3 -readonly "$1" 'SELECT count(*) FROM points' 2>/dev/null || echo 0; }
same() { cmp -s "$1" "$2" || { diff "$1" "$2" | head -5 >&2; fail "$3"; }; }

cp "$NW_SOURCE_DIR/traces/shipped/btree.nwt" .
cat >grid.xml <<'END'
<scenario xmlns="urn:nestwalk:scenario:1" name="grid">
  <trace src="btree.nwt"/>
  <set path="psc.guest.pde.entries" value="32"/>
  <run mode="native"/>
  <run mode="nested" label="with PML"> <set path="vmm.pml" value="1"/> <set path="vmm.accessed_dirty" value="1"/> </run>
  <run mode="shadow"/>
  <sweep path="tlb.l2.entries" values="384 1536"/>
  <sweep path="vmm.backing" values="4K 2M"/>
  <sweep path="run.seed" values="1 2"/>
</scenario>
END

# A dry run lists, estimates, and leaves nothing.
expect 0 "$NESTWALK" sweep grid.xml --dry-run --jobs 2
has out '^ 1 +native l2\.entries=384 backing=4K seed=1 +to run' "a dry run lists the points"
has out '^24 +shadow l2\.entries=1536 backing=2M seed=2 +to run' "all of them"
has out '^24 points: 0 done, 0 failed, 24 to run, which takes (less than|about) .* with 2 jobs' "and says how long it takes"
[ ! -e results.db ] || fail "a dry run makes no store"

# The same counters as single runs, whatever the number of threads and machines at a time.
for number in "1 1" "1 24" "2 5" "3 8" "24 100"; do
  read -r jobs batch <<<"$number"
  expect 0 "$NESTWALK" sweep grid.xml --jobs "$jobs" --batch "$batch" --db "$jobs.$batch.db"
  dump "$jobs.$batch.db" >"$jobs.$batch.dump"
  same 1.1.dump "$jobs.$batch.dump" "$jobs jobs and $batch machines find what one finds"
done
for mode in native nested shadow; do
  for entries in 384 1536; do
    for backing in 4K 2M; do
      for seed in 1 2; do
        expect 0 "$NESTWALK" run grid.xml --mode $mode --set tlb.l2.entries=$entries --set vmm.backing=$backing --seed $seed --db alone.db
      done
    done
  done
done
metrics alone.db >alone
metrics 1.1.db >swept
[ "$(wc -l <alone)" -gt 500 ] || fail "there are counters to compare"
same alone swept "a point has the counters of the run"
expect 0 "$NESTWALK" sweep grid.xml --jobs 2 --engine reference --mode native --mode shadow --db reference.db
[ "$(sqlite3 reference.db "SELECT group_concat(DISTINCT engine), count(*) FROM runs")" = "reference|16" ] ||
  fail "--engine and --mode hold for every point"
[ "$(sqlite3 reference.db "SELECT value FROM parameters WHERE run_id = 10 AND path = 'vmm.backing'")" = 4K ] ||
  fail "the swept values are the points' parameters"

# What comes out.
expect 0 "$NESTWALK" sweep grid.xml --db 2.5.db --json t.json --csv t.csv
has out '^grid: 24 points of btree\.nwt' "a heading says what was swept"
has out '^run +title +l2\.entries +backing +seed +misses, % +walks +cycles +overhead, %' "the table has the swept values and the figures"
has out '^ +9 +with PML +384 +4K +1 +0\.[0-9]+ +[0-9,]+ +[0-9,]+ +[0-9.]+' "and a row for each point"
[ "$(jq -c '.points[8] | [.point, .run, .label, .mode, .values]' t.json)" = \
  '[9,9,"with PML l2.entries=384 backing=4K seed=1","nested",{"tlb.l2.entries":"384","vmm.backing":"4K","run.seed":"1"}]' ] ||
  fail "the JSON has the point"
[ "$(jq '.points[8].walks' t.json)" = "$(sqlite3 2.5.db "SELECT value FROM metrics WHERE run_id = 9 AND path = 'walks.count'")" ] ||
  fail "and its figures"
[ "$(sed -n 10p t.csv | cut -d, -f1-7)" = '9,with PML l2.entries=384 backing=4K seed=1,nested,384,4K,1,9' ] || fail "and so has the CSV"
[ "$(jq -r '.points[8] | (100 * .walks / .accesses - .miss_percent) | fabs < 0.01' t.json)" = true ] ||
  fail "a look-up that no level answers is a walk"
expect 0 "$NESTWALK" sweep grid.xml --db 2.5.db --csv -
same out t.csv "--csv - is standard output, and the same"
dump 2.5.db >again
same 1.1.dump again "a sweep that is done adds nothing"
expect 0 "$NESTWALK" report --db 2.5.db -o t.html
has t.html 'with PML l2\.entries=1536 backing=2M seed=2' "a report shows the points under the values they tried"
expect 0 "$NESTWALK" compare --db 2.5.db 1 9

# More values later: only what is new is run, and all of it stands together.
sed 's|values="384 1536"|values="384 768 1536"|' grid.xml >more.xml
sed -i '/path="vmm.backing"\|path="run.seed"/d' more.xml
expect 0 "$NESTWALK" sweep more.xml --db more.db --set vmm.backing=2M --mode native
[ "$(points more.db)" = 3 ] || fail "three values make three points"
sed -i 's|values="384 768 1536"|values="384 3072 768 1536"|' more.xml
expect 0 "$NESTWALK" sweep more.xml --db more.db --set vmm.backing=2M --mode native
[ "$(sqlite3 more.db 'SELECT group_concat(label, ";"), count(DISTINCT group_id) FROM (SELECT * FROM runs ORDER BY id)')" = \
  'native l2.entries=384;native l2.entries=768;native l2.entries=1536;native l2.entries=3072|1' ] || fail "a new value is one more run of the group"
expect 0 "$NESTWALK" sweep more.xml --db more.db --set vmm.backing=2M --mode native --dry-run
has out '3072 +done: run 4' "a dry run says which run has the point"
expect 0 "$NESTWALK" sweep more.xml --db more.db --set vmm.backing=2M --mode native --dry-run --set walker.overlap=2
has out '4 points: 0 done, 0 failed, 4 to run' "another parameter makes other points"
cp btree.nwt other.nwt
expect 0 "$NESTWALK" sweep more.xml --db more.db --set vmm.backing=2M --mode native --dry-run --trace other.nwt
has out '4 points: 4 done' "the trace is its content, not its name"
expect 0 "$NESTWALK" gen uniform --accesses 1000 --span 1M -o other.nwt
expect 0 "$NESTWALK" sweep more.xml --db more.db --set vmm.backing=2M --mode native --dry-run --trace other.nwt
has out '4 points: 0 done' "another content is another trace"

# Without a trace: a mix of exits, priced.
cat >mix.xml <<'END'
<scenario xmlns="urn:nestwalk:scenario:1" name="mix">
  <set path="mix.base_cycles" value="1000000"/>
  <set path="mix.cpuid" value="10"/>
  <run mode="nested"/>
  <sweep path="cost.exit.cpuid.direct" values="1000 2000"/>
</scenario>
END
expect 0 "$NESTWALK" sweep mix.xml --db mix.db --json mix.json
[ "$(jq -c '[.points[] | [.cycles, .miss_percent]]' mix.json)" = '[[1015000,null],[1025000,null]]' ] || fail "a mix may be swept"

# A point that fails is noted, and the others go on.
cat >fails.xml <<'END'
<scenario xmlns="urn:nestwalk:scenario:1" name="fails">
  <trace src="btree.nwt"/>
  <run mode="nested"/>
  <sweep path="vmm.memory" values="64K 512M 300K 1G"/>
</scenario>
END
expect 1 "$NESTWALK" sweep fails.xml --db fails.db --json fails.json
has err 'point 1, "nested memory=64K", failed: .*memory' "a failure is told with its reason"
has err '2 of 4 points failed, 0 of them in an earlier sweep' "and counted"
has out 'nested +64K +failed' "and has its row"
[ "$(jq -c '[.points[] | has("error")]' fails.json)" = '[true,false,true,false]' ] || fail "and its error in the JSON"
[ "$(sqlite3 fails.db 'SELECT count(*) FROM runs')" = 2 ] || fail "the other points are there"
expect 1 "$NESTWALK" sweep fails.xml --db fails.db
has err '2 of 4 points failed, 2 of them in an earlier sweep' "what failed is not tried again"
expect 0 "$NESTWALK" sweep fails.xml --db fails.db --dry-run --retry-failed
has out 'memory=300K +failed, to run again' "unless asked for"
expect 1 "$NESTWALK" sweep fails.xml --db fails.db --retry-failed
has err '2 of 4 points failed, 0 of them in an earlier sweep' "and then it is"
[ "$(points fails.db)" = 4 ] || fail "a failure is noted once"

# What is wrong is found before anything runs.
refused() { # refused STATUS PATTERN SED-SCRIPT [OPTION...]
  local status=$1 pattern=$2 edit=$3
  shift 3
  sed "$edit" grid.xml >bad.xml
  expect "$status" "$NESTWALK" sweep bad.xml --db bad.db "$@"
  has err "$pattern" "a bad sweep is explained"
  [ ! -e bad.db ] || fail "a refused sweep leaves no store ($pattern)"
}
refused 3 'bad\.xml:7:10: <sweep>: there is no parameter "tlb\.l3\.entries"; the nearest are tlb\.l' 's|tlb.l2.entries|tlb.l3.entries|'
refused 3 'bad\.xml:7:32: <sweep>: values="": no value to try' 's|values="384 1536"|values=" "|'
refused 3 'bad\.xml:7:32: <sweep>: tlb\.l2\.entries=0: expected .* from 1' 's|384 1536|384 0|'
refused 3 'bad\.xml:8:10: <sweep>: a second sweep of tlb\.l2\.entries' 's|vmm.backing"|tlb.l2.entries"|'
refused 3 'bad\.xml:7:32: <sweep>: tlb\.l2\.entries=1000 is not a multiple of tlb\.l2\.ways=12 \(in the point "native ' 's|384 1536|384 1000|'
refused 3 'bad\.xml:9:26: <sweep>: its [0-9]+ values make more than 100000 points' "s|values=\"1 2\"|values=\"$(seq -s ' ' 10000)\"|"
refused 2 '--set gives one value to tlb\.l2\.entries, which bad\.xml sweeps' '' --set tlb.l2.entries=768
refused 2 '--seed gives one value to run\.seed' '' --seed 7
refused 2 '--mode native is there twice' '' --mode native --mode native
refused 2 '--jobs 0: expected a whole number from 1 to 1024' '' --jobs 0
refused 2 '--dry-run makes no results for --csv' '' --dry-run --csv -
refused 2 'bad\.xml names no trace' 's|<trace[^>]*>||'
refused 3 'none\.nwt' '' --trace none.nwt
refused 4 'no/such/place' '' --json no/such/place.json
expect 2 "$NESTWALK" sweep
expect 3 "$NESTWALK" sweep btree.nwt
head -c 4096 /dev/urandom >noise
expect 3 "$NESTWALK" sweep grid.xml --db noise
head -c "$(($(stat -c %s btree.nwt) / 2))" btree.nwt >short.nwt
expect 3 "$NESTWALK" sweep grid.xml --trace short.nwt --db short.db
[ ! -e short.db ] || fail "a damaged trace leaves no store"

# Killed at twenty moments, and each time begun again: in the end what one uninterrupted sweep stores.
sed -i 's|values="1 2"|values="1 2 3 4 5 6"|' grid.xml
expect 0 "$NESTWALK" sweep grid.xml --jobs 2 --db whole.db
dump whole.db >whole.dump
killed=0
for round in $(seq 20); do
  "$NESTWALK" sweep grid.xml --jobs 2 --batch 3 --db killed.db >/dev/null 2>&1 &
  pid=$!
  while kill -0 $pid 2>/dev/null && [ "$(points killed.db)" -lt "$round" ]; do sleep 0.002; done
  sleep "0.0$(printf %02d $((RANDOM % 30)))"
  kill -KILL $pid 2>/dev/null && killed=$((killed + 1))
  wait $pid 2>/dev/null
done
[ $killed -ge 5 ] || fail "only $killed of 20 sweeps were still running when they were killed"
expect 0 "$NESTWALK" sweep grid.xml --jobs 2 --db killed.db
dump killed.db >killed.dump
same whole.dump killed.dump "a sweep that was killed again and again ends as one that was not"

# Ctrl-C: finished points stay, and the message says how to go on. (A script's background jobs start with SIGINT ignored.)
env --default-signal=INT "$NESTWALK" sweep grid.xml --engine reference --jobs 2 --batch 2 --db stopped.db >out 2>err &
pid=$!
while kill -0 $pid 2>/dev/null && [ "$(points stopped.db)" -lt 1 ]; do sleep 0.01; done
kill -INT $pid
got=0; wait $pid || got=$?
[ $got = 4 ] || fail "an interrupted sweep is exit 4, not $got"
has err 'interrupted; [0-9]+ of 72 points are done and stored in stopped\.db: give the same command again' "and says how to go on"
kept=$(points stopped.db)
{ [ "$kept" -ge 1 ] && [ "$kept" -lt 72 ]; } || fail "what was finished is kept: $kept of 72"
[ "$kept" = "$(grep -oE 'interrupted; [0-9]+' err | grep -oE '[0-9]+')" ] || fail "as many as it says"

# Two at once: every point once.
"$NESTWALK" sweep grid.xml --jobs 1 --batch 2 --db both.db >/dev/null 2>err.other &
pid=$!
expect 0 "$NESTWALK" sweep grid.xml --jobs 1 --batch 3 --db both.db
got=0; wait $pid || got=$?
[ $got = 0 ] || fail "the other of two sweeps ends well, not with $got: $(head -1 err.other)"
[ "$(sqlite3 both.db 'SELECT count(*), count(DISTINCT run_id) FROM points')" = "72|72" ] || fail "two sweeps at once share the points"
[ "$(sqlite3 both.db 'SELECT count(*) FROM runs')" = 72 ] || fail "and store none twice"
finish
