#!/usr/bin/env bash
# The figures of docs/validation.md on page sharing are what the shipped scenarios give today. The one of full size takes half a minute and 0.9 GB: NESTWALK_FULL=1 checks it, too.
# shellcheck source-path=SCRIPTDIR
. "$NW_SOURCE_DIR/tests/cli/lib.sh"

# shellcheck disable=SC2016
for name in ksm-52-guests-16th ${NESTWALK_FULL:+ksm-52-guests}; do
  expect 0 "$NESTWALK" run "$NW_SOURCE_DIR/scenarios/shipped/$name.xml" --json "$name.json"
  [ "$(jq '[.runs[].vm[].lost] | add' "$name.json")" = 0 ] || fail "$name: pages were lost"
  jq -r --arg name "$name" 'def gib: . / 262144 * 100 | round / 100;
    .runs[] | "| `\($name)`: \(.label) | \(.frames.guest + .sharing.users | gib) GiB | \(.frames.guest + .frames.shared + .frames.table | gib) of \([.frames[]] | add | gib) GiB | \(.frames.shared) | \(.sharing.saved) | \(.sharing.unshared) | \(.sharing.changing) | \(.sharing.breaks) | \(.sharing.scan_ns / .host.time_ns * 1000 | round / 10) % | \(.swap.read_pages) |"' "$name.json" >rows
  while IFS= read -r line; do
    grep -qF -- "$line" "$NW_SOURCE_DIR/docs/validation.md" || fail "docs/validation.md lacks: $line"
  done <rows
done
jq -e '.runs[0] | .swap.written_pages == 0 and ([.vm[].slowdown] | max) < 1.01 and (.vm | length) == 52' ksm-52-guests-16th.json >/dev/null ||
  fail "52 guests do not fit with KSM"
finish
