#!/usr/bin/env bash
# Every row of docs/validation.md's first section is what the program prints today.
set -u
document=$NW_SOURCE_DIR/docs/validation.md
if ! "$NW_SOURCE_DIR/bench/walk_references.sh" "$NESTWALK" >rows.txt; then
  echo "FAIL: bench/walk_references.sh failed"
  exit 1
fi
fails=0 rows=0
while IFS= read -r row; do
  [ -n "$row" ] || continue
  rows=$((rows + 1))
  grep -qxF -- "$row" "$document" || { echo "FAIL: docs/validation.md lacks: $row"; fails=$((fails + 1)); }
done <rows.txt
[ $rows = 14 ] || { echo "FAIL: $rows rows instead of 14"; fails=1; }

# So is every row of docs/paging.md's table.
"$NW_SOURCE_DIR/bench/ways_to_page.sh" "$NESTWALK" >ways.txt || { echo "FAIL: bench/ways_to_page.sh failed"; fails=1; }
[ "$(wc -l <ways.txt)" = 40 ] || { echo "FAIL: bench/ways_to_page.sh did not print 40 rows"; fails=1; }
while IFS= read -r row; do
  grep -qxF -- "$row" "$NW_SOURCE_DIR/docs/paging.md" || { echo "FAIL: docs/paging.md lacks: $row"; fails=$((fails + 1)); }
done <ways.txt

# And the figures on devices' DMA.
"$NW_SOURCE_DIR/bench/io_figures.sh" "$NESTWALK" >io.txt || { echo "FAIL: bench/io_figures.sh failed"; fails=1; }
[ "$(wc -l <io.txt)" = 21 ] || { echo "FAIL: bench/io_figures.sh did not print 21 rows"; fails=1; }
while IFS= read -r row; do
  grep -qxF -- "$row" "$document" || { echo "FAIL: docs/validation.md lacks: $row"; fails=$((fails + 1)); }
done <io.txt

# README.md's example output is what its command prints today.
command=$(awk '/^```sh$/ { getline; print; exit }' "$NW_SOURCE_DIR/README.md")
awk '/^```text$/ { on = 1; next } /^```$/ && on { exit } on' "$NW_SOURCE_DIR/README.md" >promised.txt
# shellcheck disable=SC2086  # a list of words
(cd "$NW_SOURCE_DIR" && "$NESTWALK" ${command#nestwalk }) >printed.txt 2>/dev/null
diff promised.txt printed.txt || { echo "FAIL: README.md's output is not what is printed"; fails=1; }
exit $((fails != 0))
