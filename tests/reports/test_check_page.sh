#!/bin/bash
# The page of `nestwalk iommu check`, opened from disk in a real browser: the picture is drawn, names from the inputs are text and nothing
# else, the filter works, nothing is asked of the network, and the console stays silent.
set -u
. "$NW_SOURCE_DIR/tests/reports/chromium_page.sh"
find_chromium
fail() { echo "FAILED: $*"; exit 1; }

work=$(mktemp -d "$PWD/run.XXXXXX") && cd "$work" || exit 1
trap 'cd / && rm -rf "$work"' EXIT
table=$NW_SOURCE_DIR/tests/data/iommu/DMAR-qemu-q35.dat.xz
cat > 'lspci<b>.txt' << 'END'
00:00.0 Host bridge: A bridge
00:02.0 VGA compatible controller: A <script>document.title = "taken"</script> & "display"
00:1c.0 PCI bridge: A port
	Capabilities: [40] Express (v2) Root Port (Slot+), MSI 00
	Capabilities: [140 v1] Access Control Services
		ACSCtl:	SrcValid+ TransBlk- ReqRedir- CmpltRedir+ UpstreamFwd+ EgressCtrl- DirectTrans-
END
"$NESTWALK" iommu check "$table" 'lspci<b>.txt' --html page.html > /dev/null
[ $? -le 1 ] || fail "iommu check --html"
grep -q "default-src 'none'" page.html || fail "the page has no content security policy"

# What the browser makes of it, and after words were typed and a severity was taken out.
cat > more.html << 'END'
<script>
addEventListener("load", () => {
  const count = () => [...document.querySelectorAll("tr[data-severity]")].filter((row) => !row.hidden && !row.closest(".rule").hidden).length;
  const search = document.getElementById("search"), box = document.querySelector("input[value=warning]");
  const type = (text) => { search.value = text; search.dispatchEvent(new Event("input")); return count(); };
  window.counts = { all: count(), bridge: type("g02 1c.0"), none: type("no such words"), again: type("") };
  box.checked = false;
  box.dispatchEvent(new Event("input"));
  window.counts.lesser = count();
  window.counts.shown = document.getElementById("shown").textContent;
  window.counts.elements = document.querySelectorAll("b").length;
  const probe = JSON.parse(document.title.replace(/^PROBE /, ""));
  document.title = "PROBE " + JSON.stringify({ ...probe, counts: window.counts });
});
</script>
END
with_probe page.html probed.html || fail "cannot add the probe"
sed -i -e '/^<\/body>$/{r more.html
N}' probed.html
open_page probed.html dom.html || { tail -n 20 dom.html.log; fail "Chromium did not open the page"; }
found dom.html . || fail "the probe did not run, or a name of the input did"
found dom.html '.errors == []' > /dev/null || fail "errors in the page"
found dom.html '.asked == []' > /dev/null || fail "the page asks for something"
found dom.html '.pictures == 1' > /dev/null || fail "the topology is not drawn"
found dom.html '.counts | .all >= 2 and .bridge == 1 and .none == 0 and .again == .all' > /dev/null || fail "the search does not filter"
found dom.html '.counts | .lesser < .all and .lesser > 0 and .shown == "\(.lesser) findings shown"' > /dev/null ||
    fail "the severities do not filter"
found dom.html '.counts.elements == 0' > /dev/null || fail "a name of the inputs has become an element"
grep -q 'A &lt;script&gt;document.title' dom.html || fail "the device is not named"
if grep -E 'CONSOLE' dom.html.log; then fail "the console is not silent"; fi
echo ok
