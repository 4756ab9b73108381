#!/bin/bash
# nestwalk conform on cases of DMA and interrupt remapping: the shipped sample passes; a request that comes out otherwise fails
# and is shown with its step; what is no case is an input error.
set -u
data="$NW_SOURCE_DIR/tests/data/conform"
fail() { echo "FAILED: $*" >&2; exit 1; }

out=$("$NESTWALK" conform "$data"/vtd-*.jsonl.xz) || fail "the sample: $out"
[ "$out" = "1034 passed, 0 failed" ] || fail "the sample: $out"

xzcat "$data"/vtd-legacy.jsonl.xz > legacy.jsonl
xzcat "$data"/vtd-interrupt-remapping.jsonl.xz > interrupts.jsonl
out=$("$NESTWALK" conform --filter '"cat":"width"' legacy.jsonl) || fail "--filter: $out"
[ "$out" = "$(grep -c '"cat":"width"' legacy.jsonl) passed, 0 failed" ] || fail "--filter: $out"

# An outcome of each kind, made wrong.
wrong() { # sed-program expected got, on the case in $case
  sed "$1" <<< "$case" > wrong.jsonl
  out=$("$NESTWALK" conform wrong.jsonl); [ $? = 1 ] || fail "status of a wrong case ($1): $out"
  grep -qE "^  expected  step [0-9]+: $2\$" <<< "$out" || fail "no expected $2: $out"
  grep -qE "^  got       step [0-9]+: $3\$" <<< "$out" || fail "no got $3: $out"
}
case=$(grep -m1 '"id":"legacy48/1/0"' legacy.jsonl)
wrong 's/"reason":"0x4"/"reason":"0x5"/' 'fault 0x5 addr=0x2001b84b4f000' 'fault 0x4 addr=0x2001b84b4f000'
wrong 's/"addr":"0x2001b84b4f000"/"addr":"0x2001b84b4e000"/' 'fault 0x4 addr=0x2001b84b4e000' 'fault 0x4 addr=0x2001b84b4f000'
wrong 's/"hpa":"0x64aae358"/"hpa":"0x64aae350"/' 'hpa=0x64aae350' 'hpa=0x64aae358'
wrong 's/{"hpa":"0x64aae358"}/{"fault":{}}/' 'any fault' 'hpa=0x64aae358'
wrong 's/{"hpa":"0x64aae358"}/{"hpa":"0x8"},{"blocked":1}/' 'hpa=0x8 or blocked' 'hpa=0x64aae358'
case=$(grep -m1 '"vector":226' interrupts.jsonl)
wrong 's/"vector":226/"vector":225/' 'irq .* vector=225 .*' 'irq .* vector=226 .*'
wrong 's/"reason":"0x24"/"reason":"0x22"/g' 'fault 0x22 index=.*' 'fault 0x24 index=.*'
# A queue that does not complete fails the case, whatever comes after.
case=$(grep -m1 '"op":"invalidate"' legacy.jsonl)
wrong 's/"desc":\[\[/&"0xf","0x0"],[/' 'the queue completes' 'queue error 3'
wrong 's/"0x84000000"/"0x80000000"/' 'the queue completes' 'the queue is off'
# An invalidation left out leaves the old translation in use where the recorded one had gone.
found=0
while read -r case; do
  # shellcheck disable=SC2001
  sed 's/{"op":"invalidate","desc":[^}]*},//g' <<< "$case" > stale.jsonl
  "$NESTWALK" conform stale.jsonl > out || found=$((found + 1))
done < <(grep '"op":"invalidate"' legacy.jsonl | head -40)
[ $found -ge 20 ] || fail "only $found of 40 cases notice that their invalidations are missing"

bad() { # sed-program message, on the case in $case
  sed "$1" <<< "$case" > bad.jsonl
  out=$("$NESTWALK" conform bad.jsonl 2>&1); [ $? = 3 ] || fail "status of a bad case ($1): $out"
  grep -q "bad.jsonl:1: .*$2" <<< "$out" || fail "message for $1: $out"
}
case=$(grep -m1 '"op":"invalidate"' legacy.jsonl)
bad 's/"haw":48/"haw":60/' '"haw" must be a number from 36 to 52'
bad 's/"cap":"0x/"cap":"/' '"cap" must be'
bad 's/"steps":\[/"steps":0,"x":[/' '"steps" must be a list'
bad 's/"op":"root"/"op":"boot"/' 'allowed: root, irta, gcmd, iqa, mem, invalidate, dma, msi'
bad 's/"iova":"0x/"iova":"/' '"iova" must be'
bad 's/"accept":\[/"accept":[],"x":[/' '"accept" must be null or a list'
bad 's/"hpa"/"gpa"/' 'an outcome of "accept" must have'
bad 's/"wide":0/"wide":1/' 'a list of 2 words, in a wide queue of 4'
bad 's/"q":\[\[/&"x",/' 'an address of "q"'
bad 's/"cap":"0x[0-9a-f]*"/"cap":"0xd20080000f0606"/' 'fault records at 0x0'
exit 0
