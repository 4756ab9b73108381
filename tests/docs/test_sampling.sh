#!/usr/bin/env bash
# docs/sampling.md's example output is what its commands print today.
# shellcheck source=tests/cli/lib.sh
. "${NW_SOURCE_DIR:?the source tree}/tests/cli/lib.sh"
document=$NW_SOURCE_DIR/docs/sampling.md
PATH=$(dirname "$NESTWALK"):$PATH
awk '/^```sh$/ { on = 1; next } /^```$/ && on { exit } on' "$document" >commands.sh
awk '/^```text$/ { on = 1; next } /^```$/ && on { exit } on' "$document" >promised
[ "$(wc -l <promised)" -gt 15 ] || fail "docs/sampling.md shows an example"
expect 0 bash -eu commands.sh
grep -v '^zipf.nwt: 20000000 accesses' out >printed # what gen says
diff promised printed || fail "docs/sampling.md's output is what is printed"
finish
