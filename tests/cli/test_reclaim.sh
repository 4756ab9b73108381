#!/usr/bin/env bash
# nestwalk reclaim: its two JSON forms, its table, and what it refuses.
# shellcheck source=tests/cli/lib.sh
source "$(dirname "$0")/lib.sh"

expect 0 "$NESTWALK" gen sequential --accesses 1000 --span 400K --stride 4096 -o loop.nwt
# 100 pages in a loop, 1,000 accesses: LRU and FIFO with fewer frames never find one; with enough, each page faults once.
expect 0 "$NESTWALK" reclaim --trace loop.nwt --policy lru --frames 99 --json -
[ "$(jq -c . out)" = '{"accesses":1000,"faults":1000}' ] || fail "99 frames: $(cat out)"
expect 0 "$NESTWALK" reclaim --trace loop.nwt --policy lru --frames 100 --json one.json
[ "$(jq -c . one.json)" = '{"accesses":1000,"faults":100}' ] || fail "100 frames: $(cat one.json)"
has out '^lru +100 +1000 +100 +10\.0000$' "a table is printed beside a file"

expect 0 "$NESTWALK" reclaim --trace loop.nwt --policy lru,fifo --policy sieve --frames 99,100 --json -
[ "$(jq -r '.results[] | "\(.policy) \(.frames) \(.accesses)"' out | tr '\n' ';')" = \
  "lru 99 1000;lru 100 1000;fifo 99 1000;fifo 100 1000;sieve 99 1000;sieve 100 1000;" ] || fail "results: $(cat out)"
[ "$(jq '.results[5].faults' out)" = 100 ] || fail "sieve with all frames: $(cat out)"

# Several were asked for, even if they are the same.
expect 0 "$NESTWALK" reclaim --trace loop.nwt --policy lru,lru --frames 99 --json -
[ "$(jq -c '.results | map(.policy)' out)" = '["lru"]' ] || fail "a policy twice: $(cat out)"
expect 0 "$NESTWALK" reclaim --trace loop.nwt --policy lru --frames 99 --frames 99 --json -
[ "$(jq -c '.results | map(.frames)' out)" = '[99]' ] || fail "a size twice: $(cat out)"

expect 0 "$NESTWALK" reclaim --trace loop.nwt --frames 50
[ "$(wc -l <out)" = 10 ] || fail "all policies and a head: $(cat out)"
cp out first
expect 0 "$NESTWALK" reclaim --trace loop.nwt --frames 50 --policy all
cmp -s out first || fail "all is the default, and the same each time"

expect 2 "$NESTWALK" reclaim --trace loop.nwt --frames 0
has err 'frames, 1 to 268435456, not .0.' "no frames"
expect 2 "$NESTWALK" reclaim --trace loop.nwt --frames 4,,8
expect 2 "$NESTWALK" reclaim --trace loop.nwt --frames 8 --policy lru,belady
has err "no policy is called 'belady', allowed are: all lru fifo clock random arc s3fifo sieve two-list mglru" "an unknown policy"
# 100 pages: 16 to 128 frames.
expect 0 "$NESTWALK" reclaim --trace loop.nwt --policy lru --json -
[ "$(jq -c '.results | map([.frames, .faults])' out)" = '[[16,1000],[32,1000],[64,1000],[128,100]]' ] || fail "sizes by default: $(cat out)"
expect 0 "$NESTWALK" gen nic --requests 10 -o nic.nwt
expect 3 "$NESTWALK" reclaim --trace nic.nwt --frames 8
has err 'nic\.nwt: no accesses of a processor' "a device's trace"
expect 3 "$NESTWALK" reclaim --trace . --frames 8
has err 'not a regular file' "a directory"
expect 2 "$NESTWALK" reclaim --frames 8
expect 3 "$NESTWALK" reclaim --trace none.nwt --frames 8 --json late.json
has err 'none\.nwt' "the file is named"
[ ! -e late.json ] || fail "a failed study leaves no result"
expect 4 "$NESTWALK" reclaim --trace loop.nwt --frames 8 --json nowhere/out.json
finish
