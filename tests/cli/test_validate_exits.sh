#!/usr/bin/env bash
# nestwalk validate exits from outside: usage, what it says without KVM, and, with it, the figures.
# shellcheck source=tests/cli/lib.sh
. "${NW_SOURCE_DIR:?the source tree}/tests/cli/lib.sh"

expect 2 "$NESTWALK" validate exits --machines 1
expect 2 "$NESTWALK" validate exits --machines many
expect 2 "$NESTWALK" validate exits cpuid
if unshare -m true 2>/dev/null; then
  # shellcheck disable=SC2016  # $0 is the inner shell's
  expect 4 unshare -m sh -c 'mount -t tmpfs none /dev && "$0" validate exits --json r.json' "$NESTWALK"
  has err '/dev/kvm' "without KVM it says so"
  empty out "without KVM nothing is printed as a result"
  [ ! -e r.json ] || fail "without KVM no result is written"
fi
[ "$failures" = 0 ] || finish
got=0; timeout 120 "$NESTWALK" validate exits --machines 2 --json a.json >out 2>err || got=$?
if [ $got = 4 ] && grep -qE '/dev/kvm|too busy|within two seconds' err; then
  echo "skipped: the rest needs a KVM that this user may use: $(cat err)"
  exit 77
fi
[ $got -le 1 ] || fail "timing exits is exit 0 or 1, not $got: $(cat err)"
jq -e --argjson got $got '.holds == ($got == 0) and .holds == ([.regimes[].holds] | all)' a.json >/dev/null ||
  fail "the exit status says what the document says"
jq -e '[.points[].operation] | contains(["cpuid", "port", "mmio", "invlpg", "cr3", "fault-backed", "fault-unbacked", "mix"])' \
  a.json >/dev/null || fail "each operation has a point"
jq -e '(.points[] | select(.operation == "mix") | .predicted_cycles) as $mix
  | ([.points[] | select([.operation] | inside(["cpuid", "port", "mmio", "hypercall"])) | .predicted_cycles] | add) - $mix
  | . < 1e-6 and . > -1e-6' a.json >/dev/null || fail "the mix is predicted as the sum of its parts"
has out '^port ' "the table has the operations"
finish
