#!/usr/bin/env bash
# nestwalk validate capture from outside: usage, traces without walks, and, where KVM tells of its walks, the check.
# shellcheck source=tests/cli/lib.sh
. "${NW_SOURCE_DIR:?the source tree}/tests/cli/lib.sh"

expect 2 "$NESTWALK" validate capture --instructions 0
expect 2 "$NESTWALK" validate capture walks.nwt
expect 3 "$NESTWALK" validate capture --from missing.nwt
expect 0 "$NESTWALK" gen uniform --accesses 1000 -o t.nwt
expect 3 "$NESTWALK" validate capture --from t.nwt --json r.json
has err 'no page tables' "a trace without tables is refused"
[ ! -e r.json ] || fail "and no result is written"
[ "$failures" = 0 ] || finish
mkdir tmp
got=0; TMPDIR=$PWD/tmp timeout 100 "$NESTWALK" validate capture --instructions 5K --json a.json >out 2>err || got=$?
[ -z "$(ls tmp)" ] || fail "the temporary trace is gone afterwards"
if [ $got = 4 ]; then
  echo "skipped: the rest needs KVM: $(cat err)"
  exit 77
fi
[ $got = 0 ] || fail "what KVM did and touched is what the capture says: $(cat out err)"
jq -e '.holds and .holds == ([.regimes[].holds] | all)' a.json >/dev/null || fail "it holds if every check does"
jq -e '.same_pages | .contents_equal and .differing_pages == 0 and .memory_pages > 1000 and
  .contents_native == .contents_captured and (.order_equal == null or
  (.order_equal and .fetched >= .pages and .pages > 5 and .order_native == .order_captured))' a.json >/dev/null ||
  fail "capture changes no page: $(cat a.json)"
if jq -e '.walks == null' a.json >/dev/null; then
  has out 'walks cannot be checked here' "why KVM's walks are left out is said"
else
  jq -e '.walks > 1000 and .differing == 0 and ([.points[].walks] | add) == .walks' a.json >/dev/null ||
    fail "the JSON counts the walks"
fi
finish
