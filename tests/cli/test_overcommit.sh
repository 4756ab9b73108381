#!/usr/bin/env bash
# What runs of several guests say together: the command, the page, what is refused.
# shellcheck source-path=SCRIPTDIR
. "$NW_SOURCE_DIR/tests/cli/lib.sh"

is() { [ "$(jq -c "$1" o.json)" = "$2" ] || fail "$3: $(jq -c "$1" o.json), not $2"; }

# Two guests that use 12 of their 16 MiB each: they fit in 32 and in 28 MiB, hardly in 22, and not at all in 14.
{
  echo '<guests xmlns="urn:nestwalk:guests:1" name="far" seed="3">'
  echo '  <host memory="32M" cores="2" timeline-ns="1000000"/><swap size="256M" device="nvme"/>'
  echo '  <monitor scan="1" window-ns="2000000" mrc-rate="0.5"/>'
  echo '  <vm name="a" memory="16M"><work generate="uniform" span="12M" accesses="60K" seed="1"/></vm>'
  echo '  <vm name="b" memory="16M"><work generate="uniform" span="12M" accesses="60K" seed="2"/></vm>'
  for policy in none idle-tax; do
    for mib in 14 22 28 32 48; do
      echo "  <run label=\"$policy $mib\"><set path=\"host.memory\" value=\"${mib}M\"/><set path=\"balloon.policy\" value=\"$policy\"/>"
      echo '    <set path="balloon.interval_ns" value="2000000"/></run>'
    done
  done
  echo '</guests>'
} >far.xml
expect 0 "$NESTWALK" run far.xml --db r.db --json r.json
[ "$(jq '.runs[0].vm.a.took.b > 0 and .runs[0].vm.b.took.a > 0' r.json)" = true ] || fail "the guests take each other's memory"
[ "$(jq '.runs[0].vm.a.monitor.scan.windows > 3' r.json)" = true ] || fail "the monitor's windows are there"
[ "$(jq '.runs[0].series["vm.a.timeline.resident"].points | length > 5' r.json)" = true ] || fail "there is a timeline"
[ "$(jq '[.runs[0].series["vm.a.miss_ratio"].points[][1]] | . == (sort | reverse) and .[0] > 0.5' r.json)" = true ] ||
  fail "the miss ratios fall"

expect 0 "$NESTWALK" overcommit --db r.db
has out '^balloon idle-tax, swap two-list on nvme$' "policies are named"
has out 'The knee is at' "there is a knee"
has out '^ *none 48 +0\.67 ' "overcommitment is the guests' memory by the host's"
expect 0 "$NESTWALK" overcommit --db r.db --limit 3 --json
mv out o.json
is '[.policies[].points | length]' '[5,5]' "each policy has its runs"
is '[.policies[].points | map(.overcommit) | . == sort] | all' true "in the order of overcommitment"
is '.limit' 3 "the limit is the one that was asked for"
is '.policies[0].within > 1 and .policies[0].within < 32/14' true "the limit is kept up to somewhere between"
is '.policies[0] | .knee > 32/48 and .knee < 32/14' true "the knee is none of the ends"
is '[.policies[].points[] | select(.overcommit < 0.7) | .slowdown_worst < 1.5] | all' true "with enough memory nobody is slowed"
expect 0 "$NESTWALK" overcommit --db r.db --csv "none 14" "none 48"
[ "$(wc -l <out)" = 3 ] || fail "named runs only"

expect 0 "$NESTWALK" report --db r.db -o r.html
has r.html '<h2 id="h-knee">How far it can be overcommitted</h2>' "guests have a page of their own"
has r.html '>knee</text>' "with the knee"
has r.html 'resident, MiB over time' "with timelines"
has r.html 'MiB taken by' "with who took whose memory"
has r.html '<td>scan</td>' "with the monitors"
expect 2 "$NESTWALK" report --db r.db --trace far.xml -o no.html
has err 'no walks to draw' "guests have no walks"

expect 2 "$NESTWALK" overcommit --db r.db --limit 0.5
has err 'slowdown from 1' "what a limit may be is told"
expect 2 "$NESTWALK" overcommit --db r.db --json --csv
expect 3 "$NESTWALK" overcommit --db r.db nobody
expect 0 "$NESTWALK" gen uniform --accesses 1000 --span 1M -o t.nwt
expect 0 "$NESTWALK" run --trace t.nwt --mode nested --db other.db
expect 3 "$NESTWALK" overcommit --db other.db
has err 'other.db: .*none of these runs is of several guests' "runs of other kinds are no answer"

# The same as a sweep: points are stored one by one, and found again.
{
  echo '<guests xmlns="urn:nestwalk:guests:1" name="swept" seed="3">'
  echo '  <host memory="32M" cores="2"/><swap size="256M" device="nvme"/>'
  echo '  <vm name="a" memory="16M" count="2"><work generate="uniform" span="12M" accesses="20K" seed="1"/></vm>'
  echo '  <run label="swap"/><run label="arc"><set path="swap.policy" value="arc"/></run>'
  echo '  <sweep path="host.memory" values="20M 32M 48M"/><sweep path="swap.cluster" values="1 32"/>'
  echo '</guests>'
} >swept.xml
expect 0 "$NESTWALK" sweep swept.xml --db s.db --dry-run
has out '12 points, 12 of them due' "a dry run lists the points"
[ ! -e s.db ] || fail "a dry run makes no store"
expect 0 "$NESTWALK" sweep swept.xml --db s.db --jobs 2 --csv s.csv
has out '^swap arc on nvme$' "a sweep ends with what its points say"
[ "$(sqlite3 s.db 'select count(*) from runs')" = 12 ] || fail "each point is stored"
expect 0 "$NESTWALK" sweep swept.xml --db s.db --dry-run
has out '12 points, 0 of them due' "a second sweep has nothing to do"
sqlite3 s.db 'PRAGMA foreign_keys = ON; delete from runs where id = 5'
expect 0 "$NESTWALK" sweep swept.xml --db s.db --jobs 1 --json s.json
[ "$(sqlite3 s.db 'select count(*), count(distinct group_id) from runs')" = '12|1' ] || fail "what is missing is made again, in its group"
[ "$(jq -c '[.runs[0,11].label]' s.json)" = '["swap memory=20M cluster=1","arc memory=48M cluster=32"]' ] || fail "points are in order, the first sweep changing slowest"
expect 0 "$NESTWALK" run swept.xml --set host.memory=32M --set swap.cluster=32 --json one.json
[ "$(jq -S '.runs[0].vm' one.json)" = "$(jq -S '.runs[3].vm' s.json)" ] || fail "a point's counters are those of nestwalk run"
expect 2 "$NESTWALK" sweep swept.xml --db s.db --mode nested
has err 'several guests, for which there is no --mode' "options of other scenarios are refused"

# A point that makes no sense fails by itself.
sed 's/memory="16M" count/memory="16M" min="12M" count/' swept.xml >bad.xml
expect 1 "$NESTWALK" sweep bad.xml --db bad.db
has err '"swap memory=20M cluster=1" failed: reservations' "a point's failure is told"
[ "$(sqlite3 bad.db 'select count(*) from points where error is not null')" = 4 ] || fail "and stored"
[ "$(sqlite3 bad.db 'select count(*) from runs')" = 8 ] || fail "the other points are made"
