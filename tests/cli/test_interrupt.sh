#!/usr/bin/env bash
# An interrupted command ends cleanly: exit 4, whole results kept, no half-written file.
# shellcheck source=tests/cli/lib.sh
. "${NW_SOURCE_DIR:?the source tree}/tests/cli/lib.sh"

others() { find . -type f ! -name out ! -name err; }
wrote_something() { [ -n "$(others)" ]; }
stored_a_run() { [ "$(sqlite3 -readonly r.db 'select count(*) from runs' 2>/dev/null || echo 0)" -ge 1 ]; }

# interrupt_when CONDITION SIGNAL PID: waits for the condition or the process's end, then sends the signal.
interrupt_when() {
  while kill -0 "$3" 2>/dev/null && ! "$1"; do sleep 0.02; done
  kill "-$2" "$3" 2>/dev/null
}

# Far longer than any test may take, so it is running when the signal comes.
"$NESTWALK" gen uniform --accesses 1000000000000 --span 64M -o long.nwt >out 2>err &
pid=$!
interrupt_when wrote_something TERM $pid
got=0; wait $pid || got=$?
[ $got = 4 ] || fail "an interrupted gen is exit 4, not $got"
has err 'interrupted' "an interruption is called one"
[ -z "$(others)" ] || fail "an interrupted gen leaves a file: $(others)"

expect 0 "$NESTWALK" gen uniform --accesses 1000000 --span 256M -o t.nwt
modes=()
for _ in $(seq 200); do modes+=(--mode nested); done
# A script's background jobs start with SIGINT ignored, and the program would leave it at that.
env --default-signal=INT "$NESTWALK" run --trace t.nwt --engine reference "${modes[@]}" --db r.db >out 2>err &
pid=$!
interrupt_when stored_a_run INT $pid
got=0; wait $pid || got=$?
[ $got = 4 ] || fail "an interrupted run is exit 4, not $got"
has err 'interrupted.*([0-9]+) of 200' "an interrupted run says how many runs it finished"
kept=$(sqlite3 -readonly r.db 'select count(*) from runs')
{ [ "$kept" -ge 1 ] && [ "$kept" -lt 200 ]; } || fail "finished runs are kept: $kept of 200"
expect 0 "$NESTWALK" compare --db r.db 1 1
finish
