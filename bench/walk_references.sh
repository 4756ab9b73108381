#!/usr/bin/env bash
# The tables of docs/validation.md: references and cycles of a walk, with and without each walk cache, on the shipped captures and on two
# generated traces. Deterministic; tests/docs/test_validation.sh compares its output with the document.
#   usage: bench/walk_references.sh [NESTWALK]            default: build/release/nestwalk
set -eu
nestwalk=${1:-build/release/nestwalk} here=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
"$nestwalk" gen zipf --accesses 4M --span 1G --seed 42 -o "$work/zipf.nwt" >/dev/null
"$nestwalk" gen uniform --accesses 4M --span 1G --seed 42 -o "$work/uniform.nwt" >/dev/null
guest="psc.guest.pde.entries=32 psc.guest.pdpte.entries=16 psc.guest.pml4e.entries=16"
nested="psc.nested.pde.entries=32 psc.nested.pdpte.entries=16 psc.nested.pml4e.entries=16"
ntlb="nested_tlb.entries=64 nested_tlb.tables_only=1"
all="nested_tlb.entries=64"
ideal="psc.guest.pde.entries=4096 psc.nested.pde.entries=4096"
walk() { # TRACE MODE SETTINGS: references guest nested cycles, each a walk
  local set=() s
  for s in $3; do set+=(--set "$s"); done
  "$nestwalk" run --trace "$1" --machine textbook --mode "$2" "${set[@]}" --json - 2>/dev/null |
    jq -r '.runs[0].walks | "\(.references_per_walk) \(.references_guest / .count) \(.references_nested / .count) \(.cycles / .count)"'
}
traces=("$here"/traces/shipped/btree.nwt "$here"/traces/shipped/gups.nwt "$here"/traces/shipped/vmchurn.nwt "$work/zipf.nwt" "$work/uniform.nwt")
names=(btree gups vmchurn "zipf 1 GiB" "uniform 1 GiB")

echo "| trace | native, no cache | native, guest PSCs | nested, no cache | + guest PSCs | + nested PSCs | + nested TLB (tables) | nested TLB (all) instead | ideal PDE caches |"
echo "|---|---|---|---|---|---|---|---|---|"
gains=()
for i in "${!traces[@]}"; do
  t=${traces[i]}
  read -r n0 _ < <(walk "$t" native "")
  read -r n1 _ < <(walk "$t" native "$guest")
  read -r v0 _ < <(walk "$t" nested "")
  read -r v1 _ _ c1 < <(walk "$t" nested "$guest")
  read -r v2 _ _ c2 < <(walk "$t" nested "$guest $nested")
  read -r v3 _ _ c3 < <(walk "$t" nested "$guest $nested $ntlb")
  read -r v4 _ < <(walk "$t" nested "$guest $nested $all")
  read -r v5 g5 h5 _ < <(walk "$t" nested "$ideal")
  LC_ALL=C printf '| %s | %.2f | %.2f | %.2f | %.2f | %.2f | %.2f | %.2f | %.2f (%.2f + %.2f) |\n' "${names[i]}" "$n0" "$n1" "$v0" "$v1" "$v2" "$v3" "$v4" "$v5" "$g5" "$h5"
  gains+=("$(awk -v n="${names[i]}" -v a="$c1" -v b="$c2" -v c="$c3" 'BEGIN { printf "| %s | %.1f | %.1f | %.1f | %.0f %% | %.1f %% |", n, a, b, c, 100 * (a - b) / a, 100 * (b - c) / b }')")
done
echo
echo "| trace | cycles a walk, guest PSCs only | + nested PSCs | + nested TLB (tables) | gain of nested PSCs | gain of the nested TLB |"
echo "|---|---|---|---|---|---|"
printf '%s\n' "${gains[@]}"
