# shellcheck shell=bash
# Sourced by the scripts here: a fresh directory, and checks that say what they claimed.
set -u
: "${NESTWALK:?the program to test}" "${NW_SOURCE_DIR:?the source tree}"
here=$(mktemp -d "$PWD/run.XXXXXX")
cd "$here" || exit 1
failures=0

fail() {
  echo "FAILED: $*" >&2
  failures=$((failures + 1))
}

# expect STATUS COMMAND...: runs it with output in ./out and messages in ./err.
expect() {
  local wanted=$1 got=0
  shift
  "$@" >out 2>err || got=$?
  if [ "$got" != "$wanted" ]; then
    fail "exit $got, not $wanted: $*"
    sed 's/^/    /' err | head -5 >&2
  fi
}

# has FILE PATTERN CLAIM; lacks FILE PATTERN CLAIM
has() { grep -qE -- "$2" "$1" || fail "$3 ($1 has no /$2/)"; }
lacks() { ! grep -qE -- "$2" "$1" || fail "$3 ($1 has /$2/)"; }
empty() { [ ! -s "$1" ] || fail "$2 ($1: $(head -1 "$1"))"; }

# All commands, one a line, as --help lists them.
commands() { "$NESTWALK" --help | awk '/^Commands/{on=1; next} /^$/{on=0} on{name=substr($0,3,17); sub(/ +$/,"",name); if(name!="") print name}'; }

finish() {
  cd "$NW_SOURCE_DIR" || exit 1
  rm -rf "$here"
  [ "$failures" = 0 ] || { echo "$failures claims failed" >&2; exit 1; }
  exit 0
}
