#!/usr/bin/env bash
# Replay speed as a multiple of the processor time of a two-level LRU that does no walks (bench/lower_bound.c), on the same streams.
#   usage: bench/replay.sh [BUILD_DIR [ACCESSES [REPETITIONS]]]        default: build/release 33554432 5
# All programs take turns, so that a change of the machine's speed hits them alike; the figures are medians, with minimum and maximum. Each
# replay's TLB counts are compared with the bound's own. The streams are made once and kept in BUILD_DIR/bench/streams.
set -eu
build=${1:-build/release} accesses=${2:-33554432} repetitions=${3:-5}
nestwalk=$build/nestwalk bound=$build/bench/lower_bound streams=$build/bench/streams
if [ ! -x "$nestwalk" ] || [ ! -x "$bound" ]; then
  echo "bench/replay.sh: build first: cmake --preset release && cmake --build --preset release" >&2
  exit 2
fi
mkdir -p "$streams"
few=$((accesses / 8)) # for the table of features
make_stream() { # NAME KIND SPAN
  local n
  for n in "$accesses" "$few"; do
    [ -e "$streams/$1-$n.nwt" ] || "$nestwalk" gen "$2" --accesses "$n" --span "$3" --seed 42 -o "$streams/$1-$n.nwt" >/dev/null
  done
}
make_stream uniform-64M uniform 64M
make_stream uniform-1G uniform 1G
make_stream zipf-1G zipf 1G
make_stream seq-1G sequential 1G
names=(uniform-64M uniform-1G zipf-1G seq-1G)
caches="--set psc.guest.pml4e.entries=16 --set psc.guest.pdpte.entries=16 --set psc.guest.pde.entries=32"
caches+=" --set nested_tlb.entries=64 --set psc.nested.pde.entries=32"
rows=("native tlb" "native walk" "nested walk" "native tlb, AVX2" "native walk, AVX2" "nested walk, AVX2"
      "native tlb, portable" "native walk, portable" "nested walk, portable")
declare -A options=([native tlb]="--mode native --fidelity tlb" [native walk]="--mode native --fidelity walk $caches"
                    [nested walk]="--mode nested --fidelity walk $caches")
declare -A isa=([AVX2]=avx2 [portable]=portable) # else the best that the machine has
# What each feature costs when it is switched on: nested walk with caches, and one thing more.
declare -A features=(["tree-PLRU L2 TLB"]="tlb.l2.policy=plru" ["SRRIP L2 TLB"]="tlb.l2.policy=srrip" ["NRU L2 TLB"]="tlb.l2.policy=nru"
                     ["4-way PDE caches"]="psc.guest.pde.ways=4 psc.nested.pde.ways=4" ["next-page prefetch"]="walker.prefetch=next-page"
                     ["2M backing"]="vmm.backing=2M" ["no VPID"]="vmm.vpid=0" ["PML"]="vmm.pml=1" ["shadow instead"]="run.mode=shadow" ["EPT without A/D"]="vmm.accessed_dirty=0"
                     ["5 levels over 5"]="guest.levels=5 vmm.levels=5" ["without nested TLB"]="nested_tlb.entries=0"
                     ["without nested PSC"]="psc.nested.pde.entries=0"
                     ["no walk cache"]="nested_tlb.entries=0 psc.nested.pde.entries=0 psc.guest.pde.entries=0 psc.guest.pdpte.entries=0 psc.guest.pml4e.entries=0")
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
for ((r = 1; r <= repetitions; r++)); do
  for name in "${names[@]}"; do
    file=$streams/$name-$accesses.nwt
    "$bound" "$file" 1 >"$work/line"
    read -r seconds hits1 hits2 misses <"$work/line"
    echo "$seconds" >>"$work/$name.bound"
    for row in "${rows[@]}"; do
      path=${row#*, }
      # shellcheck disable=SC2086  # a list of words
      NESTWALK_ISA=${isa[$path]:-} "$nestwalk" run --trace "$file" --machine textbook ${options[${row%%,*}]} --json "$work/out.json" >/dev/null 2>&1
      read -r seconds found < <(jq -r '.runs[0] | "\(.replay.seconds) \(.tlb.l1d.hits)/\(.tlb.l2.hits)/\(.tlb.l2.misses)"' "$work/out.json")
      [ "$found" = "$hits1/$hits2/$misses" ] || { echo "bench/replay.sh: $name, $row: TLB counts $found, the bound has $hits1/$hits2/$misses" >&2; exit 1; }
      echo "$seconds" >>"$work/$name.${row//[ ,]/_}"
    done
    [ -t 2 ] && printf '\rrepetition %d of %d, %-12s' "$r" "$repetitions" "$name" >&2
  done
done
[ -t 2 ] && printf '\r%60s\r' '' >&2
median() { sort -g "$1" | awk '{ v[NR] = $1 } END { print (NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2), v[1], v[NR] }'; }
echo "$(awk -F': ' '/model name/ { print $2; exit }' /proc/cpuinfo); $accesses accesses, $repetitions repetitions, processor time"
printf '%-24s' ""; printf '%24s' "${names[@]}"; echo
printf '%-24s' "bound, M/s"
for name in "${names[@]}"; do
  read -r mid low high < <(median "$work/$name.bound")
  printf '%24s' "$(awk -v n="$accesses" -v m="$mid" -v l="$low" -v h="$high" 'BEGIN { printf "%.0f (%.0f-%.0f)", n/m/1e6, n/h/1e6, n/l/1e6 }')"
done; echo
for row in "${rows[@]}"; do
  printf '%-24s' "$row"
  for name in "${names[@]}"; do
    read -r bound_mid _ _ < <(median "$work/$name.bound")
    read -r mid low high < <(median "$work/$name.${row//[ ,]/_}")
    printf '%24s' "$(awk -v b="$bound_mid" -v m="$mid" -v l="$low" -v h="$high" 'BEGIN { printf "%.2fx (%.2f-%.2f)", m/b, l/b, h/b }')"
  done; echo
done

# Every counter of the fast engine against the naive one's, on the shorter streams.
counters() { # ENGINE FILE MODE
  # shellcheck disable=SC2086  # a list of words
  "$nestwalk" run --trace "$2" --machine textbook ${options[$3]} --engine "$1" --json "$work/out.json" >/dev/null 2>&1
  jq -S '.runs[0] | del(.replay, .parameters."run.engine")' "$work/out.json"
}
for name in "${names[@]}"; do
  for row in "native walk" "nested walk"; do
    counters fast "$streams/$name-$few.nwt" "$row" >"$work/fast.json"
    counters reference "$streams/$name-$few.nwt" "$row" >"$work/reference.json"
    cmp -s "$work/fast.json" "$work/reference.json" || { echo "bench/replay.sh: $name, $row: the engines' counters differ" >&2; exit 1; }
  done
done
echo "counters equal those of --engine reference: native walk and nested walk on all streams, $few accesses each"

echo
echo "nested walk with one feature more, as a multiple of the time without; $few accesses, interleaved, medians"
printf '%-20s' ""; printf '%14s' "${names[@]}"; echo
seconds_of() { # FILE SET...
  local file=$1 set=() s; shift
  for s in "$@"; do set+=(--set "$s"); done
  # shellcheck disable=SC2086  # a list of words
  "$nestwalk" run --trace "$file" --machine textbook ${options[nested walk]} "${set[@]}" --json "$work/out.json" >/dev/null 2>&1 || return 1
  jq .runs[0].replay.seconds "$work/out.json"
}
while IFS= read -r feature; do
  printf '%-20s' "$feature"
  for name in "${names[@]}"; do
    file=$streams/$name-$few.nwt
    read -ra with <<<"${features[$feature]}"
    : >"$work/without"; : >"$work/with"
    for ((r = 1; r <= (repetitions + 1) / 2; r++)); do
      seconds_of "$file" >>"$work/without"
      if [ "$feature" = "shadow instead" ]; then
        "$nestwalk" run --trace "$file" --machine textbook --mode shadow --json "$work/out.json" >/dev/null 2>&1
        jq .runs[0].replay.seconds "$work/out.json" >>"$work/with"
      else
        seconds_of "$file" "${with[@]}" >>"$work/with"
      fi
    done
    read -r a _ _ < <(median "$work/without")
    read -r b _ _ < <(median "$work/with")
    printf '%14s' "$(awk -v a="$a" -v b="$b" 'BEGIN { printf "%.2fx", b / a }')"
  done; echo
done < <(printf '%s\n' "${!features[@]}" | sort)
