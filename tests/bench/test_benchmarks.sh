#!/usr/bin/env bash
# The benchmarks run, at a size that says nothing about speed, and their own checks of the counts hold.
# shellcheck source=tests/cli/lib.sh
. "${NW_SOURCE_DIR:?the source tree}/tests/cli/lib.sh"
build=${NW_BUILD_DIR:?the build}

expect 0 "$build/bench/growth" 1000000 24
[ "$(grep -cE '^\| [0-9]+ (M|MiB) \|' out)" = 3 ] || fail "growth prints a row for 1 M accesses, 1 MiB and 16 MiB: $(cat out)"
awk -F'|' '$2 ~ /16 MiB/ { exit !($5 > 4096 && $6 > 12) }' out || fail "16 MiB at random is walked: $(cat out)"
expect 2 "$build/bench/growth" 10
expect 0 "$NW_SOURCE_DIR/bench/replay.sh" "$build" 262144 1
has out '^counters equal those of --engine reference' "the engines are compared"
has out '^no walk cache ' "every feature has a row"
expect 0 "$build/bench/dma" 20000 1 # it compares every address with a loop of its own
[ "$(grep -cE '^\| (hits|misses), ' out)" = 13 ] || fail "dma prints thirteen rows: $(cat out)"
expect 2 "$build/bench/dma" 0
finish
