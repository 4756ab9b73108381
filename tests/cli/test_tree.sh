#!/usr/bin/env bash
# The tree stands on its own: nothing in it names a place on somebody's machine or a package registry.
# shellcheck source=tests/cli/lib.sh
. "${NW_SOURCE_DIR:?the source tree}/tests/cli/lib.sh"
cd "$NW_SOURCE_DIR" || exit 1

files() {
  if [ -e .git ]; then git -c safe.directory='*' ls-files; else find . -path ./build -prune -o -type f -print; fi
}
files >"$here/list"
[ "$(wc -l <"$here/list")" -gt 100 ] || fail "the tree has files"
# A bracket keeps these lines from matching themselves.
patterns='(^|[^]A-Za-z0-9_.})*-])/([w]ork|[h]ome|[r]oot|[U]sers|[m]nt)/|[a-z0-9-]+\.[i]nternal\b|[p]ypi\.|[n]pmjs\.|[a]rtifactory'
xargs -d '\n' grep -nIE -- "$patterns" /dev/null <"$here/list" >"$here/found" || true
while read -r line; do fail "$line"; done <"$here/found"

# Scripts run as they are.
for script in setup.sh demo.sh test.sh .ci/run; do
  [ -x "$script" ] || fail "$script is executable"
  bash -n "$script" || fail "$script parses"
done
finish
