# chromium_page.sh - sourced: opens a page in headless Chromium and tells what became of it.
# find_chromium sets $CHROMIUM, or skips the test (77) where there is none.
# open_page FILE OUT: the page's DOM, after its scripts ran, into OUT, and Chromium's own log into OUT.log.
find_chromium() {
    for CHROMIUM in chromium chromium-browser google-chrome; do
        command -v "$CHROMIUM" > /dev/null && return 0
    done
    echo "skipped: no Chromium here (Debian package chromium)"
    exit 77
}

open_page() {
    local profile
    profile=$(mktemp -d) || return 1
    timeout 120 "$CHROMIUM" --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run \
        --disable-background-networking --disable-component-update --disable-sync --disable-extensions \
        --enable-logging=stderr --v=0 --user-data-dir="$profile" --window-size=1280,2000 \
        --virtual-time-budget=5000 --dump-dom "file://$(realpath "$1")" > "$2" 2> "$2.log"
    local status=$?
    rm -rf "$profile"
    return $status
}

# with_probe FILE OUT: the page with two scripts added: one before everything that collects errors, one at the end that writes
# what it found into the title: how many canvases there are, how many were drawn on, and the errors.
with_probe() {
    python3 - "$1" "$2" <<'PYTHON'
import sys
page = open(sys.argv[1], encoding="utf-8").read()
collect = """<script>
window.found = [];
addEventListener("error", (e) => window.found.push("error: " + e.message));
addEventListener("unhandledrejection", (e) => window.found.push("rejection: " + e.reason));
addEventListener("securitypolicyviolation", (e) => window.found.push("policy: " + e.violatedDirective + " " + e.blockedURI));
for (const level of ["error", "warn"]) console[level] = (...words) => window.found.push(level + ": " + words.join(" "));
</script>"""
probe = """<script>
addEventListener("load", () => {
  const drawn = [...document.querySelectorAll("canvas")].map((canvas) => {
    const data = canvas.width && canvas.height ? canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data : [];
    const colours = new Set();
    for (let i = 0; i < data.length; i += 4) if (data[i + 3]) colours.add(data[i] << 16 | data[i + 1] << 8 | data[i + 2]);
    return colours.size;
  });
  const asked = performance.getEntriesByType("resource").map((entry) => entry.name);
  document.title = "PROBE " + JSON.stringify({ canvases: drawn.length, drawn: drawn.filter((n) => n >= 4).length, colours: drawn,
    svgs: document.querySelectorAll(".drawing svg").length, asked: asked, errors: window.found });
});
</script>"""
assert page.count("<head>") == 1 and page.count("</body>") == 1
page = page.replace("<head>", "<head>" + collect).replace("</body>", probe + "</body>")
open(sys.argv[2], "w", encoding="utf-8").write(page)
PYTHON
}
