#!/bin/bash
# The report, opened from disk in a real browser: every chart is drawn, nothing is asked of the network, and the console stays
# silent. A page with an error in it shows that the test would notice.
set -u
. "$NW_SOURCE_DIR/tests/reports/chromium_page.sh"
find_chromium
command -v python3 > /dev/null || { echo "skipped: no python3"; exit 77; }
fail() { echo "FAILED: $*"; exit 1; }

work=$(mktemp -d "$PWD/run.XXXXXX") && cd "$work" || exit 1
trap 'cd / && rm -rf "$work"' EXIT
"$NESTWALK" gen zipf --accesses 200K --span 64M --stores 0.25 -o t.nwt > /dev/null || fail "gen"
"$NESTWALK" run --trace t.nwt --mode native --mode shadow --mode nested --set vmm.demand_backing=1 --db r.db > /dev/null || fail "run"
"$NESTWALK" report --db r.db --trace t.nwt -o page.html || fail "report"
grep -q "default-src 'none'" page.html || fail "the page has no content security policy"

with_probe page.html probed.html || fail "cannot add the probe"
open_page probed.html dom.html || { tail -n 20 dom.html.log; fail "Chromium did not open the page"; }
python3 - <<'PYTHON' || fail "the page is not as it should be"
import html, json, re
dom = open("dom.html", encoding="utf-8").read()
match = re.search(r"<title>PROBE (.*?)</title>", dom, re.S)
assert match, "the probe did not run"
found = json.loads(html.unescape(match.group(1)))
print(found)
assert found["errors"] == [], found["errors"]
assert found["asked"] == [], found["asked"]
assert found["canvases"] == 5, found
assert found["drawn"] == 5, found
assert found["svgs"] == 5, "three walks and two trees are drawn"
PYTHON
if grep -E 'CONSOLE' dom.html.log; then fail "the console is not silent"; fi

# The same with an error in the page: the test must see it, or the above shows nothing.
sed 's/type: "bar"/type: "no-such-chart"/' page.html > broken.html
with_probe broken.html probed.html && open_page probed.html dom.html || fail "Chromium did not open the broken page"
grep -q 'PROBE .*no-such-chart' dom.html || fail "an error in the page goes unnoticed"
echo ok
