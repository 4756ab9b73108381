#!/usr/bin/env bash
# nestwalk validate reclaim from outside: usage, what it says where it cannot be done, and, where it can, the check and a host that is as it was.
# shellcheck source=tests/cli/lib.sh
. "${NW_SOURCE_DIR:?the source tree}/tests/cli/lib.sh"

expect 0 "$NESTWALK" validate reclaim --list
has out '^mglru ' "--list names the programs"
expect 2 "$NESTWALK" validate reclaim --program nosuch
has err 'nosuch.*--list' "a wrong program is met with where the right ones are"
expect 2 "$NESTWALK" validate reclaim --via disk
has err 'swap-file' "a wrong way is met with the right ones"
expect 2 "$NESTWALK" validate reclaim --runs 0
expect 2 "$NESTWALK" validate reclaim --timeout 0
expect 2 "$NESTWALK" validate reclaim sweep
if unshare -m true 2>/dev/null; then
  # shellcheck disable=SC2016  # $0 is the inner shell's
  expect 4 unshare -m sh -c 'mount -t tmpfs none /dev && "$0" validate reclaim --json r.json' "$NESTWALK"
  has err '/dev/kvm' "without KVM it says so"
  empty out "without KVM nothing is printed as a result"
  [ ! -e r.json ] || fail "without KVM no result is written"
fi
[ "$failures" = 0 ] || finish

# A file in memory has nowhere to go.
if [ -w /dev/kvm ] && [ "$(stat -f -c %T /dev/shm 2>/dev/null)" = tmpfs ]; then
  expect 4 "$NESTWALK" validate reclaim --via file --directory /dev/shm
  has err 'in memory itself' "a directory in memory is refused with the reason"
fi

got=0; timeout 200 "$NESTWALK" validate reclaim --runs 2 >out 2>err || got=$?
if [ $got = 4 ]; then
  echo "skipped: the rest needs a guest whose memory can be taken: $(cat err)"
  exit 77
fi
[ $got = 0 ] || fail "the model and the kernel differ (exit $got): $(cat out err)"
has out 'MADV_PAGEOUT' "it says how the pages were taken"
way=$(sed -n 's/^\([a-z-]*\) by madvise.*/\1/p' out)

for w in zram swap-file file; do
  got=0; timeout 200 "$NESTWALK" validate reclaim --via $w --program half --program lru --runs 2 --json - >$w.json 2>err || got=$?
  [ $got != 4 ] || { echo "no $w: $(cat err)"; continue; }
  [ $got = 0 ] || fail "by $w the model and the kernel differ: $(cat $w.json)"
  jq -e --arg w $w '.host.way == $w and ([.points[].regime] | unique == ["half","lru"]) and .holds == ([.regimes[].holds] | all)' $w.json >/dev/null ||
    fail "--via $w --json - has the programs asked for and nothing else"
  jq -e '.regimes[0] | .taken > 1000 and .model == .returned' $w.json >/dev/null || fail "by $w pages were taken, and came back"
done
[ -z "$(ls nestwalk-* 2>/dev/null)" ] || fail "files are left: $(ls)"

# The swap area is made by nestwalk and named in /proc/swaps while it runs; whatever ends the run, it goes.
areas() { grep -cE '^/dev/zram[0-9]+ .*[[:space:]]32767$|/nestwalk-swap-' /proc/swaps; }
zrams() { find /sys/block -name "zram*" | wc -l; }
ours() { # WAY SIGNAL: the number of areas once the run with that signal is over
  local before i pid
  before=$(zrams)
  env --default-signal=INT "$NESTWALK" validate reclaim --via "$1" --runs 1000 >out 2>err &
  pid=$!
  for ((i = 0; i < 400; i++)); do
    find "/proc/$pid/fd" -lname anon_inode:kvm-vm 2>/dev/null | grep -q . && break # a guest is being run
    kill -0 $pid 2>/dev/null || break
    sleep 0.05
  done
  kill -"$2" $pid
  got=0; wait $pid || got=$?
  for ((i = 0; i < 400; i++)); do # after SIGKILL the one that cleans up is nobody's child
    [ "$(areas)" = 0 ] && [ "$(zrams)" -le "$before" ] && [ -z "$(ls nestwalk-* 2>/dev/null)" ] && return 0
    sleep 0.05
  done
  return 1
}
if [ "$way" = zram ] && [ "$(areas)" = 0 ]; then
  ours zram INT || fail "after Ctrl-C a swap area is left: $(cat /proc/swaps)"
  [ $got = 4 ] || fail "an interrupted check is exit 4, not $got"
  ours zram KILL || fail "after SIGKILL a swap area is left: $(cat /proc/swaps)"
fi
finish
