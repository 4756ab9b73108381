#!/bin/bash
# nestwalk conform: the shipped sample passes; a case that disagrees is shown and fails; what is no case is an input error.
set -u
data="$NW_SOURCE_DIR/tests/data/conform"
fail() { echo "FAILED: $*" >&2; exit 1; }

out=$("$NESTWALK" conform "$data"/walk-npt.jsonl.xz "$data"/walk-npt-5level.jsonl.zst "$data"/walk-ept.jsonl.gz) || fail "the sample: $out"
[ "$out" = "714 passed, 0 failed" ] || fail "the sample: $out"

# --first and --filter
out=$("$NESTWALK" conform --first 7 "$data"/walk-ept.jsonl.gz) || fail "--first: status $?"
[ "$out" = "7 passed, 0 failed" ] || fail "--first: $out"
zcat "$data"/walk-ept.jsonl.gz > ept.jsonl
expected=$(grep -c '"mode":"pae"' ept.jsonl)
out=$("$NESTWALK" conform --filter '"mode":"pae"' ept.jsonl) || fail "--filter: status $?"
[ "$out" = "$expected passed, 0 failed" ] || fail "--filter: $out"

# Cases made wrong: outcome, a word that must change, a word that must not.
grep -m1 '"kind":"ok"' ept.jsonl | sed 's/"hpa":"0x/"hpa":"0x1/' > wrong.jsonl
grep -m1 '"kind":"pf"' ept.jsonl | sed 's/"changed_must":\[/"changed_must":[["0xabc000","0x0","0x1"],/; s/,\]/]/' >> wrong.jsonl
grep '"kind":"ok"' ept.jsonl | grep -m1 '"changed_must":\[\[' | sed 's/"changed_must":\[\[.*\]\],"changed_may/"changed_must":[],"changed_may/' >> wrong.jsonl
out=$("$NESTWALK" conform wrong.jsonl); status=$?
[ $status = 1 ] || fail "wrong cases: status $status: $out"
grep -q "^0 passed, 3 failed" <<< "$out" || fail "wrong cases: $out"
[ "$(grep -c '^  expected  ' <<< "$out")" = 3 ] || fail "wrong cases show what was expected: $out"
"$NESTWALK" conform --json wrong.jsonl > wrong.json; [ $? = 1 ] || fail "--json status"
for text in '"failed": 3' '"expected": "ok hpa=0x1' '"line": 3'; do
  grep -q "$text" wrong.json || fail "--json lacks $text: $(cat wrong.json)"
done

# No case at all: one message with file and line, status 3.
bad() {
    printf '%s\n' "$1" > bad.jsonl
    out=$("$NESTWALK" conform bad.jsonl 2>&1); status=$?
    [ $status = 3 ] || fail "status $status for: $1"
    grep -q "bad.jsonl:1: .*$2" <<< "$out" || fail "message for $1: $out"
}
good=$(grep -m1 '"kind":"ok"' ept.jsonl)
bad '{"id":1}' "known kind"
bad 'walk' "not JSON"
bad '[1,2]' "known kind"
bad "${good/\"gva\":\"0x/\"gva\":\"zz}" '"gva" must be'
bad "${good/\"access\":\"/\"access\":\"un}" 'allowed: read, write, fetch, rmw'
bad "${good/\"maxphyaddr\":40/\"maxphyaddr\":99}" 'from 32 to 52'
bad "${good/\"mem\":/\"men\":}" '"mem" must be'
bad "${good/\"changed_may\":/\"changed\":}" 'changed_may'
bad "${good/\"eptp\":\"0x/\"eptp\":\"0xfff00000}" 'EPTP'
"$NESTWALK" conform nowhere.jsonl > /dev/null 2>&1; status=$?
[ $status = 3 ] || [ $status = 4 ] || fail "a missing file: $status"
"$NESTWALK" conform > /dev/null 2>&1; [ $? = 2 ] || fail "no file is a usage error"
"$NESTWALK" conform --first 0 ept.jsonl > /dev/null 2>&1; [ $? = 2 ] || fail "--first 0"
exit 0
