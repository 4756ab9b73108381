#!/usr/bin/env bash
# The figures of docs/validation.md on several guests are what the shipped scenarios give today.
# shellcheck source-path=SCRIPTDIR
. "$NW_SOURCE_DIR/tests/cli/lib.sh"

row() { # ROW: as it stands in the document, but for its last column
  grep -qF -- "$1" "$NW_SOURCE_DIR/docs/validation.md" || fail "docs/validation.md lacks: $1"
}
for name in idle-memory-tax balloon-overhead vswapper; do
  expect 0 "$NESTWALK" run "$NW_SOURCE_DIR/scenarios/shipped/$name.xml" --json "$name.json"
  [ "$(jq '[.runs[].vm[].lost] | add' "$name.json")" = 0 ] || fail "$name: pages were lost"
done
row "$(jq -r '[.runs[].vm.busy.accesses] | "| idle-memory tax of 75 %, throughput of the busy guest | more than + 30 % | + \(.[1] / .[0] * 100 - 100 | round) % |"' idle-memory-tax.json)"
jq -e '[.runs[].vm.busy.accesses] | .[1] / .[0] > 1.3' idle-memory-tax.json >/dev/null || fail "the tax does not give the busy guest 30 %"
row "$(jq -r '[.runs[].vm.guest.accesses] | [1 - .[1] / .[0], 1 - .[5] / .[4]] | map(. * 1000 | round / 10) | "| throughput lost by a balloon of 128 MiB, of 32 MiB | 4.4 %, 1.4 % | \(.[0]) %, \(.[1]) % |"' balloon-overhead.json)"
row "$(jq -r '[.runs[].host.time_ns] | "| swapping beside VSWAPPER, and VSWAPPER beside a balloon: time | up to 10 times; a little more | \(.[0] / .[1] * 10 | round / 10) times; + \(.[1] / .[2] * 1000 - 1000 | round / 10) % |"' vswapper.json)"
jq -e '.runs | .[0].pathologies.silent_writes > 100000 and .[1].pathologies.silent_writes == 0' vswapper.json >/dev/null || fail "the Mapper leaves silent writes"
finish
