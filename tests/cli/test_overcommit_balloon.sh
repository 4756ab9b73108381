#!/usr/bin/env bash
# The figures of docs/validation.md on what a balloon costs are what the shipped scenario gives today, with its load and with others.
# shellcheck source-path=SCRIPTDIR
. "$NW_SOURCE_DIR/tests/cli/lib.sh"

row() { # ROW: as it stands in the document
  grep -qF -- "$1" "$NW_SOURCE_DIR/docs/validation.md" || fail "docs/validation.md lacks: $1"
}
overhead() { # NAME SETTING...: to $lost, the share of throughput that balloons of 128, 64 and 32 MiB take, beside guests that are as small
  local name=$1
  shift
  expect 0 "$NESTWALK" run "$NW_SOURCE_DIR/scenarios/shipped/balloon-overhead.xml" "$@" --json "$name.json"
  [ "$(jq '[.runs[].vm[].lost] | add' "$name.json")" = 0 ] || fail "$name: pages were lost"
  lost=$(jq -r '[.runs[].vm.guest.accesses] | [1 - .[1] / .[0], 1 - .[3] / .[2], 1 - .[5] / .[4]] | map("\(. * 1000 | round / 10) %") | join(" | ")' "$name.json")
}
overhead shipped
row "| throughput lost by a balloon of 128 MiB, of 32 MiB | 4.4 %, 1.4 % | ${lost%% |*}, ${lost##*| } |"
row "| Zipf's law, disk | $lost |"
overhead even --set vm.guest.work.1.generate=uniform
row "| even, disk | $lost |"
overhead ssd --set vm.guest.work.1.generate=uniform --set host.disk=sata-ssd --set host.until_ns=200000000000
row "| even, SATA SSD | $lost |"
finish
