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

# Guest programs on KVM's shadow MMU: the statistics of every segment, and the events.
out=$("$NESTWALK" conform --events "$data"/kvm-shadow.jsonl.xz) || fail "guest programs: $out"
[ "$out" = "137 of 137 event sequences agree
137 passed, 0 failed" ] || fail "guest programs: $out"
xzcat "$data"/kvm-shadow.jsonl.xz > kvm.jsonl
grep -q '"events_matched": 137' <("$NESTWALK" conform --json kvm.jsonl) || fail "--json lacks the events"
program=$(grep -m1 '"id": *"pde_flood"' kvm.jsonl) || fail "the sample has no pde_flood"
printf '%s\n' "$program" | sed 's/"mmu_flooded": *1/"mmu_flooded": 2/g' > wrong.jsonl
out=$("$NESTWALK" conform wrong.jsonl); [ $? = 1 ] || fail "a wrong statistic: $out"
grep -q 'expected  segment 4: mmu_flooded +2' <<< "$out" || fail "a wrong statistic: $out"
grep -q 'got       segment 4: mmu_flooded +1' <<< "$out" || fail "a wrong statistic: $out"
printf '%s\n' "$program" | sed 's/"Z gfn 101 l2/"Z gfn 102 l2/' > wrong.jsonl
out=$("$NESTWALK" conform --events wrong.jsonl) || fail "an event does not fail a case: $out"
grep -q '^0 of 1 event sequences agree' <<< "$out" || fail "a wrong event: $out"
grep -q 'expected  segment 4: Z gfn 102 l2' <<< "$out" || fail "a wrong event is shown: $out"
# What two recorded runs did differently is right either way.
grep -m1 '"deterministic": *false' kvm.jsonl > either.jsonl
"$NESTWALK" conform either.jsonl > /dev/null || fail "a program that varies"
sed 's/"deterministic": *false/"deterministic": true/; s/"segments":/"unused":/; s/"segments_run2":/"segments":/' either.jsonl > first.jsonl
sed 's/"deterministic": *false/"deterministic": true/' either.jsonl > second.jsonl
! { "$NESTWALK" conform first.jsonl && "$NESTWALK" conform second.jsonl; } > /dev/null || fail "both runs cannot be the model's"
damaged() { bad "$(sed "$1" <<< "$program")" "$2"; }
damaged 's/"ops":\[/&[99,"0","0"],/' 'no operation 99'
damaged 's/"ops":\[/&[1,"0"],/' 'must be an array of 3'
damaged 's/"ops":\[/&[1,"xyz","0"],/' 'hexadecimal digits'
damaged 's/"backing":"4k"/"backing":"8k"/' 'allowed: 4k, 2m'
damaged 's/"mem":\[/&["ffffffffff8","1"],/' 'the guest has 64 MiB'
damaged 's/"marker":"4"/"marker":"5"/' 'must have "marker": "4"'
damaged 's/"host_actions":\[/&[1,9,0,0]/' 'host action 9 does not exist'
damaged 's/.....$//' 'not JSON'
"$NESTWALK" conform nowhere.jsonl > /dev/null 2>&1; status=$?
[ $status = 3 ] || [ $status = 4 ] || fail "a missing file: $status"
"$NESTWALK" conform > /dev/null 2>&1; [ $? = 2 ] || fail "no file is a usage error"
"$NESTWALK" conform --first 0 ept.jsonl > /dev/null 2>&1; [ $? = 2 ] || fail "--first 0"
exit 0
