#!/usr/bin/env bash
# The rows of docs/validation.md's first section, of docs/paging.md's table and of devices' DMA are what the program prints today.
set -u
document=$NW_SOURCE_DIR/docs/validation.md
fails=0

# rows SCRIPT COUNT DOCUMENT: every row that bench/SCRIPT prints is in the document.
rows() {
  local row
  "$NW_SOURCE_DIR/bench/$1" "$NESTWALK" >rows.txt || { echo "FAIL: bench/$1 failed"; fails=1; }
  [ "$(grep -c . rows.txt)" = "$2" ] || { echo "FAIL: bench/$1 did not print $2 rows"; fails=1; }
  while IFS= read -r row; do
    [ -z "$row" ] || grep -qxF -- "$row" "$3" || { echo "FAIL: $3 lacks: $row"; fails=$((fails + 1)); }
  done <rows.txt
}
if [ "${NW_SANITIZED:?1 or 0}" = 0 ]; then # the same replays as in tests/sim, a minute of them
  rows walk_references.sh 14 "$document"
  rows ways_to_page.sh 40 "$NW_SOURCE_DIR/docs/paging.md"
fi
rows io_figures.sh 21 "$document"

# README.md's example output is what its command prints today.
command=$(awk '/^```sh$/ { getline; print; exit }' "$NW_SOURCE_DIR/README.md")
awk '/^```text$/ { on = 1; next } /^```$/ && on { exit } on' "$NW_SOURCE_DIR/README.md" >promised.txt
# shellcheck disable=SC2086  # a list of words
(cd "$NW_SOURCE_DIR" && "$NESTWALK" ${command#nestwalk }) >printed.txt 2>/dev/null
diff promised.txt printed.txt || { echo "FAIL: README.md's output is not what is printed"; fails=1; }
exit $((fails != 0))
