#!/usr/bin/env bash
# The table of docs/paging.md: every way to virtualize memory on the shipped traces and on a generated one.
#   bench/ways_to_page.sh [NESTWALK]      needs jq
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
nestwalk=${1:-$top/build/release/nestwalk}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

"$nestwalk" gen uniform --accesses 8M --span 64M -o "$scratch/uniform.nwt" >/dev/null 2>&1
for trace in uniform btree gups vmchurn; do
  file=$top/traces/shipped/$trace.nwt
  [ $trace != uniform ] || file=$scratch/uniform.nwt
  "$nestwalk" run "$top/scenarios/shipped/ways-to-page.xml" --trace "$file" --json - 2>/dev/null | jq -r --arg trace $trace '
    def fixed: (. * 100 | round) as $n | "\($n / 100 | floor).\(if $n % 100 < 10 then "0" else "" end)\($n % 100)";
    .runs[] | (.memory.shadow_table_pages + .memory.nested_table_pages) as $tables |
    "| \($trace) | \(.label) | \(.cycles.total / .cycles.base | fixed) | \(.cycles.translation / .accesses.total | fixed) | \(
      .cycles.exits / .accesses.total | fixed) | \([.exits // {} | .[].count] | add // 0) | \(
      .walks.references_per_walk | fixed) | \($tables) |"'
done
