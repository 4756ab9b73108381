#!/usr/bin/env bash
# nestwalk validate all from outside: usage; and that Ctrl-C, in it and in each check that it runs, leaves nothing changed. What it runs has
# tests of its own, and a whole run measures for longer than a test may take.
# shellcheck source=tests/cli/lib.sh
. "${NW_SOURCE_DIR:?the source tree}/tests/cli/lib.sh"

expect 2 "$NESTWALK" validate all tlb
expect 2 "$NESTWALK" validate all --into nosuch
has err 'nosuch' "a directory that is not there is named, before anything is measured"
touch file
expect 2 "$NESTWALK" validate all --into file
expect 4 "$NESTWALK" validate all --json nosuch/r.json
has err 'nosuch/r.json' "so is a file that cannot be written"

# What a check might change on the machine, and in this directory.
machine() {
  local f
  for f in /proc/sys/vm/nr_hugepages /proc/sys/vm/nr_overcommit_hugepages /sys/kernel/mm/transparent_hugepage/{enabled,defrag} \
    /sys/kernel/mm/hugepages/*/nr_hugepages /sys/kernel/tracing/{set_event,tracing_on,current_tracer,buffer_size_kb}; do
    echo "$f: $(cat "$f" 2>/dev/null)"
  done
  ls /sys/kernel/tracing/instances 2>/dev/null
  grep -cE '^/dev/zram[0-9]+ .*[[:space:]]32767$|/nestwalk-swap-' /proc/swaps
  taskset -p $$ 2>/dev/null
  ls tmp into
}
busy() { # PID: it has a child that measures, or a virtual machine
  [ -n "$(cat "/proc/$1/task/$1/children" 2>/dev/null)" ] || find "/proc/$1/fd" -lname 'anon_inode:kvm-v*' 2>/dev/null | grep -q .
}
mkdir tmp into
before=$(machine)
# interrupt AFTER COMMAND...: SIGINT so many tenths of a second after it began to measure.
interrupt() {
  local after=$1 pid got=0 i
  shift
  # A script's background jobs start with SIGINT ignored, and the program would leave it at that.
  TMPDIR=$PWD/tmp env --default-signal=INT "$NESTWALK" validate "$@" >out 2>err &
  pid=$!
  for ((i = 0; i < 200; i++)); do
    busy $pid && break
    kill -0 $pid 2>/dev/null || break
    sleep 0.05
  done
  sleep "0.$after"
  kill -INT $pid 2>/dev/null
  wait $pid || got=$?
  case $got in
    4) interrupted=$((interrupted + $(grep -c interrupted err))) ;; # or it cannot be done here
    0 | 1) ;; # it was done before
    *) fail "after Ctrl-C $* is exit 4, not $got: $(cat err)" ;;
  esac
  for ((i = 0; i < 100; i++)); do # one that cleans up may be nobody's child
    [ "$(machine)" != "$before" ] || return
    sleep 0.05
  done
  fail "Ctrl-C in $* leaves a change: $(diff <(echo "$before") <(machine))"
}
interrupted=0
for check in tlb programs exits capture shadow reclaim all; do
  interrupt 1 $check
  interrupt 4 $check
done
interrupt 3 all --into into
[ "$(uname -m)" != x86_64 ] || [ $interrupted -gt 2 ] || fail "checks were interrupted $interrupted times only"
finish
