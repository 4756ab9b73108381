#!/bin/bash
# compare, report and explain walk from the command line: answers, exit statuses, and one clear error for bad input.
set -u
work=$(mktemp -d "$PWD/run.XXXXXX") && cd "$work" || exit 1
trap 'cd / && rm -rf "$work"' EXIT
failures=0
fail() { echo "FAILED: $*"; failures=$((failures + 1)); }
# expect STATUS COMMAND...: stdout in out, stderr in err
expect() {
    local want=$1
    shift
    "$@" > out 2> err
    local got=$?
    [ "$got" -eq "$want" ] || { fail "status $got instead of $want: $*"; cat err; }
}
says() { grep -qF -- "$1" "${2:-err}" || { fail "\"$1\" is not in ${2:-err}:"; head -n 5 "${2:-err}"; }; }
one_line_error() { [ "$(wc -l < err)" -eq 1 ] || { fail "not one line of error:"; cat err; }; }
fits() { awk 'length($0) > 100 { print; bad = 1 } END { exit bad }' out || fail "lines of more than 100 columns"; }

"$NESTWALK" gen uniform --accesses 50K --span 64M -o t.nwt > /dev/null || exit 1
"$NESTWALK" gen uniform --accesses 50K --span 64M --seed 7 -o other.nwt > /dev/null || exit 1
expect 0 "$NESTWALK" run --trace t.nwt --mode native --mode shadow --mode nested --db r.db
expect 0 "$NESTWALK" run --trace t.nwt --mode native --mode nested --label again --db r.db

# compare
expect 0 "$NESTWALK" compare --db r.db native shadow nested
says "total cycles" out
fits
expect 0 "$NESTWALK" compare --db r.db 1 2 3 4 5
fits
expect 0 "$NESTWALK" compare --db r.db --all 1 2 3
says "walks.references_nested" out
expect 0 "$NESTWALK" compare --db r.db --list
[ "$(grep -c t.nwt out)" -eq 5 ] || fail "the list does not have five runs"
fits
expect 0 "$NESTWALK" compare --db r.db
says "again native" out
expect 0 "$NESTWALK" compare --db r.db --same 1 4
says "2 runs found the same" out
expect 1 "$NESTWALK" compare --db r.db --same 1 3
says "differ: walks.references:" out
expect 0 "$NESTWALK" compare --db r.db --json 1 3
jq -e '[.runs[].mode] == ["native", "nested"] and
    (.comparison.rows[] | select(.path == "walks.references_per_walk")
     | .values == [4, 24] and .change_percent == [null, 500] and .differs)' out > /dev/null || fail "the comparison's JSON"
expect 0 "$NESTWALK" compare --db r.db --csv 1 3
says "walks.references_per_walk,references,4,24,500" out
expect 2 "$NESTWALK" compare --db r.db 1
expect 2 "$NESTWALK" compare --db r.db --json --csv
expect 3 "$NESTWALK" compare --db r.db 1 99
one_line_error
says 'no run "99"'
says '1 (native), 2 (shadow), 3 (nested), 4 (again native), 5 (again nested)'
expect 3 "$NESTWALK" compare --db missing.db
one_line_error
[ ! -e missing.db ] || fail "compare made a store"
expect 3 "$NESTWALK" compare --db t.nwt
one_line_error
says "no SQLite database"
head -c 20000 r.db > cut.db
expect 3 "$NESTWALK" compare --db cut.db
one_line_error
says "damaged"
expect 3 "$NESTWALK" run --trace t.nwt --mode native --db cut.db
one_line_error

# report
expect 0 "$NESTWALK" report --db r.db -o page.html
[ "$(head -n 1 page.html)" = "<!doctype html>" ] || fail "the page is no HTML"
[ ! -s out ] || fail "report writes to standard output"
expect 0 "$NESTWALK" report --db r.db -o page.html --title "A & B" 1 3
says "<title>A &amp; B</title>" page.html
expect 0 "$NESTWALK" report --db r.db -o again.html --title "A & B" 1 3
cmp page.html again.html || fail "the same report twice differs"
expect 0 "$NESTWALK" report --db r.db --trace t.nwt -o - 1
says "PML4E" out
expect 3 "$NESTWALK" report --db r.db --trace other.nwt -o page2.html
one_line_error
says "is not the trace of run"
[ ! -e page2.html ] || fail "a failed report leaves a page"
expect 4 "$NESTWALK" report --db r.db -o no/such/folder.html
one_line_error
says "no/such/folder.html"
expect 3 "$NESTWALK" report --db r.db -o page3.html nobody
one_line_error
[ -z "$(find . -name '*-wal' -o -name '*-shm' -o -name 'page*.html.*')" ] || fail "side files are left: $(ls)"

# explain walk
expect 0 "$NESTWALK" explain walk --gva 0x7f0000001234
says "24 references (4 guest, 20 nested)" out
fits
known() { # REFERENCES OPTIONS...
    local n=$1
    shift
    expect 0 "$NESTWALK" explain walk --gva 0x7f0000001234 --json "$@"
    jq -e --argjson n "$n" '.outcome == "ok" and .gva == "0x7f0000001234" and (.hpa | endswith("234"))
        and .totals.references == $n and ([.references[] | select(.skipped_by == null)] | length) == $n
        and [.references[].n] == [range(1; (.references | length) + 1)]
        and .totals.cycles == ([.references[].cycles] | add)' out > /dev/null || fail "known answer $n: $*"
}
known 4 --mode native
known 5 --mode native --guest-levels 5
known 24
known 35 --guest-levels 5 --nested-levels 5
known 19 --guest-page 2M
known 19 --nested-page 2M
known 15 --guest-page 2M --nested-page 2M
expect 0 "$NESTWALK" explain walk --gva 0x7f0000001234 --dot w.dot --svg w.svg
says "digraph walk" w.dot
says "<svg" w.svg
says "24 references" out
expect 0 "$NESTWALK" explain walk --gva 0x7f0000001234 --dot -
[ "$(head -n 1 out)" = "digraph walk {" ] || fail "--dot - prints something else"
# what was asked first, and what warm caches save
warm=(--machine intel-skylake --after 0x7f0000002000 --after 0x7f0000003000:store)
expect 0 "$NESTWALK" explain walk --gva 0x7f0000001234 "${warm[@]}"
says "2 references (1 guest, 1 nested)" out
says "guest_pde: hit" out
says "nested_tlb: miss" out
says "skipped: guest_pde knows" out
fits
expect 0 "$NESTWALK" explain walk --gva 0x7f0000001234 "${warm[@]}" --json
jq -e '.totals.references == 2 and (.references | length) == 24 and .fault == null and .upper_page == null
    and .references[0].lookups == [{"cache": "guest_pde", "dimension": "guest", "address": "0x7f0000001234", "hit": true}]
    and .references[0].skipped_by == "guest_pde" and (.references[0].why | contains("PT"))
    and .references[19].why == null' out > /dev/null || fail "look-ups in the JSON"
expect 0 "$NESTWALK" explain walk --gva 0x7f0000001234 "${warm[@]}" --dot warm.dot
[ "$(grep -c 'class="[a-z]* skipped' warm.dot)" -eq 22 ] || fail "skipped references are not shaded"
expect 0 "$NESTWALK" explain walk --gva 0x7f0000001ffc --size 8
says "its upper page" out
expect 0 "$NESTWALK" explain walk --gva 0x7f0000001ffc --size 8 --json
jq -e '.gva == "0x7f0000001ffc" and .upper_page.gva == "0x7f0000002000" and .upper_page.totals.references == 24' \
    out > /dev/null || fail "the upper page in the JSON"
expect 0 "$NESTWALK" explain walk --gva 0x7f0000001ffc --size 4 --json
jq -e '.upper_page == null' out > /dev/null || fail "an access that ends at a page's end crosses"

# faults, bit by bit
traced=$(find "$NW_SOURCE_DIR/traces/shipped" -name '*.nwt' | sort | head -n 1)
expect 0 "$NESTWALK" explain walk --gva 0x1234 --trace "$traced" --store --user
says "error code 0x" out
says "the access was a write" out
fits
expect 0 "$NESTWALK" explain walk --gva 0x1234 --trace "$traced" --store --user --json
jq -e '.fault.kind == "page_fault" and .fault.address == "0x1234" and (.fault.bits | length) == 6
    and ([.fault.bits[] | select(.name == "W/R" or .name == "U/S") | .set] == [true, true])
    and ([.fault.bits[] | select(.set) | [.bit, 1] | .[1] * pow(2; .[0])] | add) as $sum
    | .fault.code == "0x" + ($sum | tostring)' out > /dev/null || fail "the fault's bits"

expect 2 "$NESTWALK" explain walk --gva 0x1000 --after nowhere
says "--after nowhere"
expect 2 "$NESTWALK" explain walk --gva 0x1000 --after 0x1000:peek
expect 2 "$NESTWALK" explain walk --gva 0x1000 --size 0
expect 2 "$NESTWALK" explain walk --gva 0x1000 --size 5000
expect 2 "$NESTWALK" explain walk
expect 2 "$NESTWALK" explain walk --gva nowhere
expect 2 "$NESTWALK" explain walk --gva 0x1000 --store --fetch
expect 2 "$NESTWALK" explain walk --gva 0x1000 --set no.such.path=1
one_line_error
expect 2 "$NESTWALK" explain walk --gva 0x1000 --guest-page 3M
says "--guest-page"
expect 3 "$NESTWALK" explain walk --gva 0x1000 --trace r.db
one_line_error

[ "$failures" -eq 0 ] && echo ok
exit $((failures != 0))
