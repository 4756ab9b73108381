#!/bin/bash
# The report, opened from disk in a real browser: every chart is drawn, nothing is asked of the network, and the console stays
# silent. A page with an error in it shows that the test would notice.
set -u
. "$NW_SOURCE_DIR/tests/reports/chromium_page.sh"
find_chromium
fail() { echo "FAILED: $*"; exit 1; }

work=$(mktemp -d "$PWD/run.XXXXXX") && cd "$work" || exit 1
trap 'cd / && rm -rf "$work"' EXIT
"$NESTWALK" gen zipf --accesses 200K --span 64M --stores 0.25 -o t.nwt > /dev/null || fail "gen"
"$NESTWALK" run --trace t.nwt --mode native --mode shadow --mode nested --set vmm.demand_backing=1 --db r.db > /dev/null || fail "run"
"$NESTWALK" report --db r.db --trace t.nwt -o page.html || fail "report"
grep -q "default-src 'none'" page.html || fail "the page has no content security policy"

with_probe page.html probed.html || fail "cannot add the probe"
open_page probed.html dom.html || { tail -n 20 dom.html.log; fail "Chromium did not open the page"; }
found dom.html . || fail "the probe did not run"
found dom.html '.errors == []' > /dev/null || fail "errors in the page"
found dom.html '.asked == []' > /dev/null || fail "the page asks for something"
# Five charts; a canvas of one colour would be blank, and text alone gives shades of one.
found dom.html '(.colours | length) == 5 and all(.colours[]; . >= 8)' > /dev/null || fail "a chart is not drawn"
found dom.html '.pictures == 5' > /dev/null || fail "three walks and two trees are not all drawn"
if grep -E 'CONSOLE' dom.html.log; then fail "the console is not silent"; fi

# The same with an error in the page: the test must see it, or the above shows nothing.
sed 's/type: "bar"/type: "no-such-chart"/' page.html > broken.html
with_probe broken.html probed.html
open_page probed.html dom.html || fail "Chromium did not open the broken page"
found dom.html '.errors | any(test("no-such-chart"))' > /dev/null || fail "an error in the page goes unnoticed"
echo ok
