# shellcheck shell=bash
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
    awk -v collect="$NW_SOURCE_DIR/tests/reports/probe_collect.html" -v tell="$NW_SOURCE_DIR/tests/reports/probe_tell.html" '
        function put(file, line) { while ((getline line < file) > 0) print line }
        $0 == "</body>" { put(tell) }
        { print }
        $0 == "<head>" { put(collect) }' "$1" > "$2"
}

# found OUT FILTER: a jq filter of what the probe wrote.
found() { sed -n 's|.*<title>PROBE \(.*\)</title>.*|\1|p' "$1" | sed 's/&lt;/</g; s/&gt;/>/g; s/&amp;/\&/g' | jq -ce "$2"; }
