#!/usr/bin/env bash
# The main job, end to end: captures the memory trace of a B-tree from a live KVM guest (or takes a shipped capture and says
# why), replays it natively, under shadow page tables and under nested paging, prints where the cycles went, and writes
# demo.html and results.db here.
set -euo pipefail
cd "$(dirname "$0")"

./setup.sh build
[ -e build/release/build.ninja ] || cmake --preset release >/dev/null
cmake --build --preset release --target nestwalk
nestwalk=build/release/nestwalk
SECONDS=0

trace=demo.nwt
printf '\n== capture: B-tree lookups in a live guest\n'
status=0
$nestwalk capture --workload btree --output $trace || status=$?
if [ $status = 4 ]; then # no /dev/kvm, or not for us; nestwalk said which
  trace=traces/shipped/btree.nwt
  echo "demo: taking the shipped capture $trace instead"
elif [ $status != 0 ]; then
  exit $status
fi

printf '\n== replay: the same accesses on three machines\n'
rm -f results.db
$nestwalk run --trace $trace --machine amd-zen4 --mode native --mode shadow --mode nested --db results.db

printf '\n== report\n'
$nestwalk report --db results.db --trace $trace --output demo.html
gva=$($nestwalk trace dump $trace --from 1000 --count 200 | awk '$3 == "load" && !gva { gva = $4 } END { print gva }')
cat <<END
Captured and replayed in $SECONDS s. Next:
  demo.html          the report; open it in any browser, no network is needed
  docs/tutorial.md   the same, step by step
  $nestwalk trace info $trace
  $nestwalk explain walk --trace $trace --gva $gva --machine amd-zen4
  $nestwalk run --trace $trace --mode nested --set vmm.backing=2M
END
