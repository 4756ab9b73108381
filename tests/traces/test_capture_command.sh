#!/usr/bin/env bash
# nestwalk capture from outside: usage, what it says without KVM, and, where there is KVM, interruption and a clean tracefs.
set -u
fails=0
work=$(mktemp -d "$PWD/run.XXXXXX")
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
cd "$work" || exit 1
check() { # DESCRIPTION EXPECTED ACTUAL
  [ "$2" = "$3" ] || { echo "FAIL: $1: expected $2, got $3"; fails=$((fails + 1)); }
}
has() { # DESCRIPTION TEXT FILE
  grep -qF -- "$2" "$3" || { echo "FAIL: $1: no '$2' in:"; cat "$3"; fails=$((fails + 1)); }
}

"$NESTWALK" capture --list >list.txt
check "--list" 0 $?
for workload in btree hashjoin bfs gups transpose vmchurn; do has "--list" "$workload" list.txt; done
"$NESTWALK" capture --workload nosuch -o a.nwt 2>err.txt
check "unknown workload" 2 $?
has "unknown workload" "hashjoin" err.txt
"$NESTWALK" capture --workload btree 2>err.txt
check "no output" 2 $?
"$NESTWALK" capture --workload btree --pages 1G -o a.nwt 2>err.txt
check "pages of a size there is not" 2 $?
"$NESTWALK" capture --workload btree --size 10 -o a.nwt 2>err.txt
check "too small" 2 $?
"$NESTWALK" capture --via clear-refs -o a.nwt 2>err.txt
check "a working set of no process" 2 $?
has "a working set of no process" "--pid" err.txt
"$NESTWALK" capture --workload btree --pid $$ -o a.nwt 2>err.txt
check "a process to be stepped" 2 $?
"$NESTWALK" capture --via idle --pid $$ --range 10-20 -o a.nwt 2>err.txt
check "a range that is not of whole pages" 2 $?
has "a range that is not of whole pages" "START-END" err.txt
"$NESTWALK" capture --via clear-refs --pid $$ --interval 0 -o a.nwt 2>err.txt
check "an interval of no time" 2 $?
"$NESTWALK" capture --via clear-refs --pid 4194305 -o a.nwt 2>err.txt
check "no such process" 2 $?
has "no such process" "4194305" err.txt

if setpriv --reuid=65534 --clear-groups test -x "$NESTWALK" 2>/dev/null; then
  setpriv --reuid=65534 --clear-groups "$NESTWALK" capture --via clear-refs --pid 1 -o a.nwt 2>err.txt
  check "a process of somebody else" 4 $?
  has "a process of somebody else" "not ours" err.txt
fi

# A process from outside: three intervals, or what the kernel refuses.
sleep 100 &
sleeper=$!
"$NESTWALK" capture --via clear-refs --pid $sleeper --interval 0.02 --intervals 3 --range all --json -o a.nwt >a.json 2>err.txt
status=$?
if [ $status = 4 ]; then
  echo "no clear-refs: $(cat err.txt)"
else
  check "clear-refs" 0 $status
  check "three intervals" 3 "$(jq '.intervals | length' a.json)"
  "$NESTWALK" trace verify a.nwt >/dev/null
  check "the working set's trace is sound" 0 $?
  rm -f a.nwt
fi
# It ends while it is watched: that is no failure, and the trace is whole.
("$NESTWALK" capture --via clear-refs --pid $sleeper --interval 0.05 --range all --json -o a.nwt >a.json 2>err.txt
 echo $? >status) &
for ((i = 0; i < 100; i++)); do
  [ -n "$(ls a.nwt* .a.nwt* 2>/dev/null)" ] && break
  sleep 0.05
done
sleep 0.5
kill $sleeper
wait
if [ "$(cat status)" = 0 ]; then
  check "the process ended" '"gone"' "$(jq .end a.json)"
  "$NESTWALK" trace verify a.nwt >/dev/null
  check "the trace of a process that ended is sound" 0 $?
  rm -f a.nwt
else
  check "the process ended, at the worst before an interval was over" 4 "$(cat status)"
fi

# Without /dev/kvm, and without permission to use it.
if unshare -m true 2>/dev/null; then
  # shellcheck disable=SC2016  # $0 is the inner shell's
  unshare -m sh -c 'mount -t tmpfs none /dev && "$0" capture --workload gups -o a.nwt' "$NESTWALK" 2>err.txt
  check "no /dev/kvm" 4 $?
  has "no /dev/kvm" "/dev/kvm" err.txt
  if setpriv --reuid=65534 --clear-groups test ! -w /dev/kvm -a -x "$NESTWALK" 2>/dev/null; then
    setpriv --reuid=65534 --clear-groups "$NESTWALK" capture --workload gups -o a.nwt 2>err.txt
    check "no permission" 4 $?
    has "no permission" "/dev/kvm" err.txt
  fi
fi
[ -z "$(ls ./*.nwt* 2>/dev/null)" ]
check "nothing is left by a failure" 0 $?

finish() {
  [ $fails = 0 ] || exit 1
  exit "$1"
}
if [ ! -w /dev/kvm ]; then
  echo "skipped: the rest needs /dev/kvm"
  finish 77
fi

"$NESTWALK" capture --workload vmchurn --instructions 20000 --json -o a.nwt >a.json
check "capture" 0 $?
has "capture" '"checksum_verified": true' a.json
"$NESTWALK" trace verify a.nwt >/dev/null
check "the trace is sound" 0 $?
"$NESTWALK" capture --workload vmchurn --instructions 20000 -o b.nwt >/dev/null
cmp a.nwt b.nwt
check "same workload, same bytes" 0 $?

# Interrupted while it traces: its temporary file exists from then on.
interrupt() { # OUT OPTIONS...
  local out=$1 i
  shift
  "$NESTWALK" capture --workload vmchurn --operations 100000 --instructions 0 --timeout 100 -o "$out" "$@" >out.txt 2>err.txt &
  local pid=$!
  for ((i = 0; i < 600; i++)); do
    kill -0 $pid 2>/dev/null || break
    [ -n "$(ls "$out"* ".$out"* 2>/dev/null)" ] && break
    sleep 0.1
  done
  kill -TERM $pid
  wait $pid
}
interrupt c.nwt
check "interrupted" 4 $?
"$NESTWALK" trace verify c.nwt >/dev/null
check "the interrupted trace is sound" 0 $?

"$NESTWALK" capture --workload gups --size 256K --operations 300 --via dirty-ring --interval 0.05 --json -o e.nwt >e.json 2>err.txt
check "dirty-ring" 0 $?
check "pages were written" true "$(jq '.knows_written and .pages > 60 and .end == "complete"' e.json)"
"$NESTWALK" trace verify e.nwt >/dev/null
check "the trace of written pages is sound" 0 $?

"$NESTWALK" capture --workload gups --size 256K --operations 300 --via dirty-log --interval 0.05 --hash-pages --json -o h.nwt >h.json 2>err.txt
check "dirty-log with contents" 0 $?
check "contents were read" true "$(jq '.contents | .pages > 60 and .unreadable == 0 and .distinct > 60 and .packed_bytes > 60' h.json)"
check "each is an event" "$(jq .contents.events h.json)" "$("$NESTWALK" trace dump h.nwt | grep -c page-content)"

"$NESTWALK" capture --workload btree --size 512K --operations 500 --instructions 3000 --hash-pages --json -o s.nwt >s.json 2>err.txt
check "stepped, with contents" 0 $?
check "pages that are not zeros" true "$(jq '.events.page_content > 50' s.json)"
cat >s.xml <<'X'
<guests xmlns="urn:nestwalk:guests:1" name="stepped">
  <host memory="64M"/>
  <sharing kind="ksm" sleep-ns="100000" pages-to-scan="10000" page-ns="1"/>
  <vm name="a" memory="16M" kernel="0" count="2"><work trace="s.nwt" access-ns="1000"/></vm>
</guests>
X
"$NESTWALK" run s.xml --json r.json >/dev/null 2>err.txt
check "two guests of it" 0 $?
check "share what was there" true "$(jq '.runs[0] | (.guest.page_hashes > 100) and .sharing.merged > 10 and .lost == 0' r.json)"

"$NESTWALK" capture --workload gups --instructions 3000 --via tracepoints -o d.nwt >out.txt 2>err.txt
status=$?
if [ $status = 4 ]; then
  echo "no tracepoints: $(cat err.txt)"
else
  check "via tracepoints" 0 $status
  has "via tracepoints" "guest walks by KVM" out.txt
  left=0 # instances are named after the process that made them; another capture may be running
  for instance in /sys/kernel/tracing/instances/nestwalk-*; do
    pid=${instance##*/nestwalk-} pid=${pid%%-*}
    [ ! -e "$instance" ] || kill -0 "$pid" 2>/dev/null || left=$((left + 1))
  done
  check "no tracefs instance is left" 0 "$left"
fi
finish 0
