#!/usr/bin/env bash
# nestwalk validate all from outside: usage. What it runs has tests of its own, and a whole run measures for longer than a test may take.
# shellcheck source=tests/cli/lib.sh
. "${NW_SOURCE_DIR:?the source tree}/tests/cli/lib.sh"

expect 2 "$NESTWALK" validate all tlb
expect 2 "$NESTWALK" validate all --into nosuch
has err 'nosuch' "a directory that is not there is named, before anything is measured"
touch file
expect 2 "$NESTWALK" validate all --into file
finish
