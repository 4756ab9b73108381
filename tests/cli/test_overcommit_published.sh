#!/usr/bin/env bash
# The figures of docs/validation.md on several guests are what the shipped scenarios give today.
# shellcheck source-path=SCRIPTDIR
. "$NW_SOURCE_DIR/tests/cli/lib.sh"

row() { # ROW: as it stands in the document, but for its last column
  grep -qF -- "$1" "$NW_SOURCE_DIR/docs/validation.md" || fail "docs/validation.md lacks: $1"
}
for name in idle-memory-tax vswapper; do
  expect 0 "$NESTWALK" run "$NW_SOURCE_DIR/scenarios/shipped/$name.xml" --json "$name.json"
  [ "$(jq '[.runs[].vm[].lost] | add' "$name.json")" = 0 ] || fail "$name: pages were lost"
done
row "$(jq -r '[.runs[].vm.busy.accesses] | "| idle-memory tax of 75 %, throughput of the busy guest | more than + 30 % | + \(.[1] / .[0] * 100 - 100 | round) % |"' idle-memory-tax.json)"
jq -e '[.runs[].vm.busy.accesses] | .[1] / .[0] > 1.3' idle-memory-tax.json >/dev/null || fail "the tax does not give the busy guest 30 %"
row "$(jq -r '[.runs[].host.time_ns] | "| swapping beside VSWAPPER, and VSWAPPER beside a balloon: time | up to 10 times; a little more | \(.[0] / .[1] * 10 | round / 10) times; + \(.[1] / .[2] * 1000 - 1000 | round / 10) % |"' vswapper.json)"
jq -e '.runs | .[0].pathologies.silent_writes > 100000 and .[1].pathologies.silent_writes == 0' vswapper.json >/dev/null || fail "the Mapper leaves silent writes"
# The balloon comes in time or does not, by the seed: five of them. A job's time is that of all works but the first, which begin 20 s and, one guest after the other, 1.25 s later.
for seed in 1 2 3 4 5; do
  expect 0 "$NESTWALK" run "$NW_SOURCE_DIR/scenarios/shipped/vswapper-changing-load.xml" --seed $seed --json changing.json
  [ "$(jq '[.runs[].vm[].lost] | add' changing.json)" = 0 ] || fail "vswapper-changing-load: pages were lost"
  jq -c '[.runs[] | [.vm[].time.total_ns] | add / length / 1e9 - 20 - 1.25 * 4.5]' changing.json >>job-times
done
row "$(jq -rs 'map(.[1] / .[3]) | "| balloon beside balloon and VSWAPPER, changing load: time | up to 2 times | \(min * 10 | round / 10) to \(max * 10 | round / 10) times (five seeds) |"' job-times)"
for k in 0:swapping 1:balloon 2:VSWAPPER 3:"balloon and VSWAPPER"; do
  row "$(jq -rs --argjson k "${k%%:*}" --arg name "${k#*:}" 'map(.[$k] * 80 | round / 10) | "| \($name) | \(map(tostring) | join(" | ")) |"' job-times)"
done
# The first example of docs/overcommit.md.
expect 0 "$NESTWALK" run "$NW_SOURCE_DIR/scenarios/shipped/overcommit.xml" --json overcommit.json
jq -r '.runs[] | "| \(.label) | \(.vm.busy.slowdown * 1000 | round / 1000) | \(.vm.busy.swap.in) | \(.vm.busy.guest.swap_in) | \(.vm.busy.balloon.inflated) | \(.vm.idle.balloon.inflated) |"' overcommit.json >rows
while IFS= read -r line; do
  grep -qF -- "$line" "$NW_SOURCE_DIR/docs/overcommit.md" || fail "docs/overcommit.md lacks: $line"
done <rows
finish
