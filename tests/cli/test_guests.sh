#!/usr/bin/env bash
# Several guests on one host: the file, what overrides it, where results go, what is refused.
# shellcheck source-path=SCRIPTDIR
. "$NW_SOURCE_DIR/tests/cli/lib.sh"

is() { [ "$(jq -c "$1" r.json)" = "$2" ] || fail "$3: $(jq -c "$1" r.json), not $2"; }

cat >two.xml <<'X'
<guests xmlns="urn:nestwalk:guests:1" name="two" seed="7">
  <host memory="24M" cores="2"/>
  <swap size="256M" device="nvme"/>
  <vm name="a" memory="16M"><work generate="zipf" span="12M" accesses="50K" seed="1"/></vm>
  <vm name="b" memory="16M" count="2"><work trace="b.nwt"/></vm>
  <run label="one"/>
  <run label="other"><set path="swap.policy" value="fifo"/></run>
</guests>
X
expect 0 "$NESTWALK" gen zipf --accesses 50K --span 12M --seed 5 -o b.nwt
expect 0 "$NESTWALK" run two.xml --json r.json --csv r.csv --db r.db
has out 'one: 3 guests on a host of 24 MiB' "each run says what it is of"
has out 'pages swapped out' "runs are compared"
is '[.runs[].label]' '["one","other"]' "runs have their labels"
is '[.runs[].accesses.total] | unique' "[$((3 * 50 * 1024))]" "all guests' accesses are counted"
is '[.runs[] | .vm["a","b-0","b-1"].lost] | unique' '[0]' "no page's content is lost"
is '[.runs[] | .vm["b-0"].accesses]' '[51200,51200]' "a guest's trace is replayed"
is '[.runs[] | .frames | .free + .guest + .shared + .table + .pinned]' '[6144,6144]' "every frame is one thing"
is '.runs[1].parameters["swap.policy"] | [.value, .source]' '["fifo","two.xml:7"]' "a value has its line as source"
is '.runs[0].parameters["vm.b.work.0.trace"].source' '"two.xml:5"' "a trace too"
is '.runs[0].swap.out > 0 and .runs[0].host.time_ns > 0' true "memory was short"
[ "$(sqlite3 r.db 'select group_concat(label) from runs')" = one,other ] || fail "the store has both runs"
expect 0 "$NESTWALK" compare --db r.db
has out 'slowdown, worst' "stored runs are compared"
expect 0 "$NESTWALK" report --db r.db -o r.html
cp r.json first.json
expect 0 "$NESTWALK" run two.xml --json r.json
[ "$(jq 'del(.runs[].replay)' r.json)" = "$(jq 'del(.runs[].replay)' first.json)" ] || fail "the same file, the same figures"
expect 0 "$NESTWALK" run two.xml --seed 8 --set host.memory=64M --set vm.a.work.accesses=10K --json r.json
is '[.runs[] | .seed, .swap.out, .vm.a.accesses]' '[8,0,10240,8,0,10240]' "the command line overrides"
mkdir sub && sed 's|b\.nwt|../b.nwt|' two.xml >sub/two.xml
expect 0 "$NESTWALK" run sub/two.xml --csv -
has out 'vm\.b-1\.accesses,51200,accesses' "a trace is found relative to the file"

# What pages hold: as recorded, and as generated.
expect 0 "$NESTWALK" run "$NW_SOURCE_DIR/scenarios/shipped/recorded-contents.xml" --json r.json
is '[.runs[].guest.page_hashes] | unique | length == 1 and .[0] > 10000' true "recorded contents are replayed"
is '[.runs[2].sharing | .saved_most > 500, .zero_merged > 0, .breaks > 0]' '[true,true,true]' "KSM finds what was equal"
is '.runs[1] | .zswap.stored > 10000 and .zswap.rejected == 0' true "zram packs what was recorded"
is '[.runs[] | .lost] | unique' '[0]' "and nothing is lost"
is '.runs[2].sharing | .store_shared_ns > .store_own_ns + 2500 - 1 and .store_own_ns == 100000' true "what a store to a shared page takes can be told"
is '.runs[0].sharing | has("store_shared_ns")' false "without sharing there is none"
for i in 1 2; do
  expect 0 "$NESTWALK" gen uniform --accesses 100K --span 8M --stores 0 --zero 0.25 --common 0.25 --image x --ratio 8 --seed $i -o c$i.nwt
done
cat >contents.xml <<'X'
<guests xmlns="urn:nestwalk:guests:1" name="contents">
  <host memory="32M" cores="2"/>
  <sharing kind="ksm" pages-to-scan="100000" sleep-ns="1000000" page-ns="1" use-zero-pages="1" max-page-sharing="100000"/>
  <vm name="a" memory="16M" kernel="0"><work trace="c1.nwt"/></vm>
  <vm name="b" memory="16M" kernel="0"><work trace="c2.nwt"/></vm>
</guests>
X
expect 0 "$NESTWALK" run contents.xml --json r.json
# 2048 pages each: a quarter zeros in both, a quarter equal: 2 * 512 pages behind one frame, 2 * 512 behind 512; the draw of pages is within 6 deviations
is '.runs[0].sharing.saved | . > 1536 - 300 and . < 1536 + 300' true "KSM finds an image's pages and zeros"
"$NESTWALK" gen zipf --accesses 10 --zero 0.8 --common 0.3 -o c.nwt 2>err
has err 'together at most 1' "shares that are too much"
"$NESTWALK" gen nic --requests 10 --zero 0.8 -o c.nwt 2>err
has err 'zero is not for nic' "devices have no contents"

# What only time shows is an event of the result.
sed 's|<swap [^>]*>|<swap size="0"/><balloon policy="shares"/>|; s|<vm name="a" memory="16M">|<vm name="a" memory="16M" swap="0">|' two.xml >short.xml
expect 0 "$NESTWALK" run short.xml --json r.json
is '[.runs[] | .guests.out_of_memory > 0 and (.events | length) > 0] | unique' '[true]' "no memory is a result"
has out 'out of memory' "and is told"

# Refusals, before anything runs or is written.
expect 0 "$NESTWALK" gen nic --requests 10 -o nic.nwt
refused() { # STATUS SED PATTERN CLAIM
  sed "$2" two.xml >bad.xml
  expect "$1" "$NESTWALK" run bad.xml --db never.db
  has err "$3" "$4"
}
refused 3 's|cores="2"|cores="0"|' 'bad\.xml:2:[0-9]+: .*host\.cores' "a value out of range has its place"
refused 3 's|cores="2"|sockets="2"|' 'bad\.xml:2:.*"sockets".*cores' "an unknown attribute is met with the known ones"
refused 3 's|name="b"|name="a"|' 'bad\.xml:5:.*second guest is called "a"' "two guests of one name"
refused 3 's|"swap.policy"|"swap.polcy"|' 'bad\.xml:7:.*policy' "an unknown path is met with the known ones"
refused 2 's|name="b"|name="a-0"|; s|name="a" |name="a" count="2" |; s|count="2"><work trace|><work trace|' 'bad\.xml, .*"a-0" has the name of one of the 2 of "a".*vm\.a\.count: bad\.xml:4' "two guests of one name by their numbers"
refused 2 's|memory="24M"|memory="24000001"|' 'no multiple of a page, 4096; 24002560 is .host\.memory: bad\.xml:2' "memory that is not in pages"
refused 3 's|b\.nwt|none.nwt|' 'vm\.b\.work\.0\.trace .bad\.xml:5.: .*none\.nwt' "a trace that is not there"
refused 3 's|b\.nwt|nic.nwt|' 'vm\.b\.work\.0\.trace .*no accesses of a processor' "a trace of a device"
sed 's|b\.nwt|none.nwt|; s|<run label="one"/>|<sweep path="host.memory" values="24M 48M"/>|; s|<run label="other">.*||' two.xml >bad.xml
expect 3 "$NESTWALK" sweep bad.xml --db never.db
has err 'vm\.b\.work\.0\.trace .bad\.xml:5.: .*none\.nwt' "a sweep's trace that is not there"
[ ! -e never.db ] || fail "a sweep that cannot begin leaves a store"
refused 3 's|<vm .*||' 'bad\.xml:.*<vm>' "no guest"
refused 3 's|label="other"|label="one"|' 'bad\.xml:7:.*second run' "two runs of one label"
refused 3 's|b\.nwt|none.nwt|' 'none\.nwt' "a trace that is not there"
refused 2 's|<vm name="a" memory="16M">|<vm name="a" memory="16M" min="16M"/><vm name="c" min="16M">|' 'min.*reservation|reservations' \
  "reservations over the host's memory"
refused 2 's|<vm name="a" memory="16M">|<vm name="a" memory="16M" balloon="17M">|' 'vm\.a\.balloon' "a balloon larger than the guest"
refused 2 's|size="256M"|size="1M"|' 'swap\.size' "a swap area that is too small"
[ ! -e never.db ] || fail "a refused run leaves no store"
expect 2 "$NESTWALK" run two.xml --trace b.nwt
has err '<work>' "--trace is met with where traces are named"
expect 2 "$NESTWALK" run two.xml --mode nested
expect 2 "$NESTWALK" run two.xml --set vm.c.memory=1G
has err 'there are: a b' "an unknown guest is met with the known ones"
expect 2 "$NESTWALK" run two.xml --seed -1
finish
