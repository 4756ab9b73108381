#!/usr/bin/env bash
# The first example of these documents, its first ```sh block, prints what the first ```text block says.
# shellcheck source=tests/cli/lib.sh
. "${NW_SOURCE_DIR:?the source tree}/tests/cli/lib.sh"
PATH=$(dirname "$NESTWALK"):$PATH
example() { # NAME LEAST_LINES
  local document=$NW_SOURCE_DIR/docs/$1.md
  awk '/^```sh$/ { on = 1; next } /^```$/ && on { exit } on' "$document" >commands.sh
  awk '/^```text$/ { on = 1; next } /^```$/ && on { exit } on' "$document" >promised
  [ "$(wc -l <promised)" -gt "$2" ] || fail "docs/$1.md shows an example"
  expect 0 bash -eu commands.sh
  grep -vE '^zipf.nwt: [0-9]+ accesses' out >printed # what gen says
  diff promised printed || fail "docs/$1.md's output is what is printed"
}
example mrc 30
example sampling 15
finish
