#!/usr/bin/env bash
# Time and memory of the proof of an intent: a device with a domain of 2^PAGES_LOG2 pages of 4 KiB (28: 1 TiB, an image of 2 GiB).
#   bench/iommu_proof.sh [PAGES_LOG2 [UNITS [NESTWALK]]]      needs GNU time, and room for the image in TMPDIR
# Memory: the largest anonymous part (Anonymous of /proc/PID/smaps_rollup, 20 times a second) is the program's own; the resident size has the image's pages,
# which are the file's.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
log2=${1:-28}
units=${2:-vtd amdvi}
nestwalk=${3:-$top/build/release/nestwalk}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
first=$((1 << (log2 + 12))) last=$(((1 << (log2 + 13)) - 1))
# All of it is the guest's; and the other way round, a page in the middle is not.
printf '<intent xmlns="urn:nestwalk:intent:1" others="unchecked"><guest name="a"><device bdf="00:02.0"/><memory first="%d" last="%d"/></guest></intent>\n' \
  $first $last >"$scratch/good.xml"
middle=$((first + (first / 2)))
printf '<intent xmlns="urn:nestwalk:intent:1" others="unchecked"><guest name="a"><device bdf="00:02.0"/><memory first="%d" last="%d"/><memory first="%d" last="%d"/></guest></intent>\n' \
  $first $((middle - 1)) $((middle + 4096)) $last >"$scratch/bad.xml"

printf '| unit | order | intent | seconds | user | system | own memory, MiB | resident, MiB | exit status |\n|---|---|---|---:|---:|---:|---:|---:|---:|\n'
for unit in $units; do
  for order in in-order scattered; do
    options=$("$top/build/release/bench/iommu_image" "$unit" "$log2" $order "$scratch/image")
    for intent in good bad; do
      # shellcheck disable=SC2086
      /usr/bin/time -o "$scratch/time" -f '%e %U %S %M' "$nestwalk" iommu check --intent "$scratch/$intent.xml" $options >"$scratch/out" &
      timer=$! own=0 status=0
      while kill -0 $timer 2>/dev/null; do
        child=$(pgrep -P $timer || true)
        kib=$(awk '/^Anonymous:/ { print $2 }' "/proc/${child:-0}/smaps_rollup" 2>/dev/null || echo 0)
        [ "${kib:-0}" -le "$own" ] || own=$kib
        sleep 0.05
      done
      wait $timer || status=$?
      read -r seconds user system resident < <(tail -1 "$scratch/time")
      printf '| %s | %s | %s | %s | %s | %s | %d | %d | %d |\n' "$unit" $order $intent "$seconds" "$user" "$system" $((own / 1024)) $((resident / 1024)) $status
    done
    rm "$scratch/image"
  done
done
