#!/usr/bin/env bash
# The rows of docs/validation.md on devices' DMA: shipped scenarios over generated packets, beside published figures.
#   usage: bench/io_figures.sh [NESTWALK]        default: build/release/nestwalk
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
nestwalk=${1:-$here/build/release/nestwalk} scenarios=$here/scenarios/shipped
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
"$nestwalk" gen nic --requests 50K --link 10 -o "$work/10g.nwt" >/dev/null
for queues in 1 8; do
  "$nestwalk" gen nic --requests 50K --link 200 --ring 1024 --recycle --queues $queues --memory 4G -o "$work/200g-$queues.nwt" >/dev/null
done
"$nestwalk" gen virtio-net --requests 20K --link 10 -o "$work/net.nwt" >/dev/null
run() { "$nestwalk" run "$scenarios/$1.xml" --trace "$work/$2.nwt" --json - 2>/dev/null; }
run viommu-2011 10g | jq -r '
  {"strict": "43 %", "deferred": "91 %", "optimistic": "100 %", "sidecore, optimistic": "100 %"} as $published
  | .runs[] | "| \(.label) | \($published[.label] // "") | \(.iommu.link_percent * 10 | round / 10) % | \(.iommu.cycles_per_packet | round) |"'
for queues in 1 8; do
  run iotlb-wall 200g-$queues | jq -r --arg q $queues '
    .runs[] | "| \(.label) | \($q) | \(.iommu.misses_per_page * 100 | round / 100) | \(.iommu.references_per_page * 100 | round / 100) | \(.iommu.link_percent * 10 | round / 10) % |"'
done
run three-io-models net | jq -r '
  .runs[] | "| \(.label) | \([.exits[]?.count] | add // 0) | \(.iommu.notifications) | \(.iommu.copied_bytes) | \(.iommu.cycles_per_packet | round) | \(.iommu.link_percent * 10 | round / 10) % |"'
