#!/usr/bin/env bash
# nestwalk validate shadow from outside: usage, what it says where KVM does not shadow, and, where it does, the check.
# shellcheck source=tests/cli/lib.sh
. "${NW_SOURCE_DIR:?the source tree}/tests/cli/lib.sh"

expect 0 "$NESTWALK" validate shadow --list
has out '^roots-64 +roots ' "--list names the programs"
expect 2 "$NESTWALK" validate shadow --program nosuch
has err 'nosuch.*--list' "a wrong program is met with where the right ones are"
expect 2 "$NESTWALK" validate shadow --random many
expect 2 "$NESTWALK" validate shadow --random 1000000000
expect 2 "$NESTWALK" validate shadow --timeout 0
expect 2 "$NESTWALK" validate shadow --seed x
expect 2 "$NESTWALK" validate shadow touch-clean
if unshare -m true 2>/dev/null; then
  # shellcheck disable=SC2016  # $0 is the inner shell's
  expect 4 unshare -m sh -c 'mount -t tmpfs none /dev && "$0" validate shadow --json r.json' "$NESTWALK"
  has err '/dev/kvm' "without KVM it says so"
  empty out "without KVM nothing is printed as a result"
  [ ! -e r.json ] || fail "without KVM no result is written"
fi
[ "$failures" = 0 ] || finish

got=0; timeout 100 "$NESTWALK" validate shadow --program touch-clean >out 2>err || got=$?
if [ $got = 4 ] && grep -qE '/dev/kvm|shadow' err; then
  echo "skipped: the rest needs a KVM with shadow page tables: $(cat err)"
  exit 77
fi
[ $got -le 1 ] || fail "the check of one program is exit 0 or 1, not $got: $(cat err)"
has out '^touch-clean ' "the program has a row"
has out '^pf_taken ' "each counter has a row of totals"
timeout 100 "$NESTWALK" validate shadow --program touch-clean --random 2 --seed 5 --json - >a.json 2>err
jq -e '[.points[].program] | unique == ["random-5-0","random-5-1","touch-clean"]' a.json >/dev/null ||
  fail "--json - has the programs asked for and nothing else"
jq -e '.holds == ([.regimes[].holds] | all)' a.json >/dev/null || fail "it holds if every regime does"
got=0; timeout 200 "$NESTWALK" validate shadow >out 2>err || got=$?
if grep -q '^KVM backend pvm, kernel 6\.18' out; then # the one that the model was taken from
  [ $got = 0 ] || fail "model and KVM differ: $(grep -E ' segment [0-9]+: ' out)"
fi
env --default-signal=INT "$NESTWALK" validate shadow --random 100000 >out 2>err &
pid=$!
until find "/proc/$pid/fd" -lname /dev/kvm 2>/dev/null | grep -q .; do # a guest is being run
  kill -0 $pid 2>/dev/null || break
done
kill -INT $pid
got=0; wait $pid || got=$?
[ $got = 4 ] || fail "an interrupted check is exit 4, not $got"
finish
