#!/usr/bin/env bash
# The generated manual page is well-formed and says all that --help says; the completion completes.
# shellcheck source=tests/cli/lib.sh
. "${NW_SOURCE_DIR:?the source tree}/tests/cli/lib.sh"

expect 0 "$NESTWALK" help --man
cp out nestwalk.1
has nestwalk.1 '^\.TH NESTWALK 1' "the page has a title"
while read -r name; do
  grep -qxF ".SS nestwalk $name" nestwalk.1 || fail "the manual has $name"
done < <(commands)
has nestwalk.1 'walker\.overlap' "the manual has the parameters"
if command -v groff >/dev/null && command -v man >/dev/null; then
  LC_ALL=C.UTF-8 MANROFFSEQ='' MANWIDTH=100 man --warnings -E UTF-8 -l -Tutf8 -Z nestwalk.1 >/dev/null 2>warnings
  empty warnings "the manual is free of roff warnings"
  LC_ALL=C.UTF-8 MANWIDTH=100 man -l nestwalk.1 2>/dev/null | col -b >page
  has page 'EXIT STATUS' "the page is rendered to its end"
fi

expect 0 "$NESTWALK" help --completion bash
cp out completion.bash
bash -n completion.bash || fail "the completion script parses"
cat >complete.bash <<'END'
# complete.bash WORD...: the completions of the last word, one a line.
. ./completion.bash
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_nestwalk
printf '%s\n' "${COMPREPLY[@]}"
END
completes() { # completes CLAIM WANTED WORD...
  local claim=$1 wanted=$2
  shift 2
  bash complete.bash "$@" >reply 2>&1
  grep -qxF -- "$wanted" reply || fail "$claim: no $wanted among $(tr '\n' ' ' <reply)"
}
touch some.nwt
completes "commands" run nestwalk r
completes "groups" trace nestwalk tr
completes "commands of a group" verify nestwalk trace v
completes "options" --machine nestwalk run --m
completes "options of a subcommand" --help nestwalk trace info --
completes "choices" nested nestwalk run --mode n
completes "choices behind =" nested nestwalk run --mode = n
completes "machines" textbook nestwalk run --machine t
completes "parameters" walker.overlap= nestwalk run --set walk
completes "a parameter's values" 2M nestwalk run --set vmm.backing = 2
completes "files" some.nwt nestwalk run --trace so
completes "files as arguments" some.nwt nestwalk trace info so
finish
