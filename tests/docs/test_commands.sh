#!/usr/bin/env bash
# Every command that the documentation shows is true: runs the ```sh blocks of README.md and docs/*.md.
# Each file's blocks are one script, run in a directory of its own that has the tree's traces/ and scenarios/ in it and
# nestwalk on its PATH, so a reader in the root of the tree sees the same. Blocks fenced otherwise (```console, ```text) are not run.
# shellcheck source=tests/cli/lib.sh
. "${NW_SOURCE_DIR:?the source tree}/tests/cli/lib.sh"
PATH=$(dirname "$NESTWALK"):$PATH

run=0
for document in "$NW_SOURCE_DIR"/README.md "$NW_SOURCE_DIR"/docs/*.md; do
  name=$(basename "$document" .md)
  awk '/^```sh$/ { on = 1; next } /^```/ { on = 0 } on { print }' "$document" >script
  [ -s script ] || continue
  mkdir "$name"
  ln -s "$NW_SOURCE_DIR/traces" "$NW_SOURCE_DIR/scenarios" "$name/"
  mv script "$name.sh"
  run=$((run + 1))
  (cd "$name" && bash -euxo pipefail "../$name.sh") >"$name.log" 2>&1 </dev/null || {
    tail -20 "$name.log" >&2
    fail "the commands of $name.md work"
  }
done
[ $run -ge 2 ] || fail "README.md and the tutorial show commands ($run files do)"

# Links between the documents lead somewhere.
for document in "$NW_SOURCE_DIR"/*.md "$NW_SOURCE_DIR"/docs/*.md; do
  while read -r target; do
    [ -e "$(dirname "$document")/$target" ] || fail "$(basename "$document") links to $target"
  done < <(grep -oE '\]\([^)#]+' "$document" | cut -c3- | grep -vE '^[a-z]+:')
done
finish
