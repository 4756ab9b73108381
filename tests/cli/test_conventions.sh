#!/usr/bin/env bash
# Every command keeps the conventions of the command line: exit statuses, which stream, widths, colours.
# shellcheck source=tests/cli/lib.sh
. "${NW_SOURCE_DIR:?the source tree}/tests/cli/lib.sh"

expect 0 "$NESTWALK" --version
has out '^nestwalk [0-9]+\.[0-9]+\.[0-9]+$' "--version names a version"
expect 0 "$NESTWALK" --help
has out '^  run ' "--help lists the commands"
expect 2 "$NESTWALK"
empty out "a command line without a command prints nothing on stdout"
expect 2 "$NESTWALK" rnu
has err 'did you mean "run"' "a slip in a command's name is met with the nearest one"
expect 2 "$NESTWALK" trace
expect 2 "$NESTWALK" trace inof
has err 'did you mean "trace info"' "a slip in a subcommand's name is met with the nearest one"
expect 0 "$NESTWALK" trace --help
has out '^  trace verify ' "a group's --help lists its commands"
expect 2 "$NESTWALK" --no-such-option
expect 0 "$NESTWALK" help trace info
has out '^nestwalk trace info - ' "help takes two words"
expect 2 "$NESTWALK" help nothing

names=$(commands)
[ "$(wc -l <<<"$names")" -ge 10 ] || fail "--help lists at least ten commands"
while read -r -a command; do
  name=${command[*]}
  expect 0 "$NESTWALK" "${command[@]}" --help
  has out "^nestwalk $name - " "$name --help says what it is for"
  has out '^ +--help +Print' "$name --help lists --help"
  empty err "$name --help writes nothing to stderr"
  [ "$(awk '{ if (length > most) most = length } END { print most }' out)" -le 100 ] || fail "$name --help fits 100 columns"
  expect 2 "$NESTWALK" "${command[@]}" --no-such-option
  empty out "$name: a usage error writes nothing to stdout"
  has err "^nestwalk $name: unknown option --no-such-option.*\(see nestwalk $name --help\)" "$name names the unknown option"
done <<<"$names"

# Exit statuses.
head -c 4096 /dev/urandom >noise
expect 2 "$NESTWALK" run
has err 'trace' "run without anything says what it needs"
expect 3 "$NESTWALK" trace info noise
has err 'noise' "an error names the file"
expect 3 "$NESTWALK" trace verify noise
expect 3 "$NESTWALK" run --trace noise
expect 3 "$NESTWALK" run noise
expect 3 "$NESTWALK" report --db noise -o x.html
[ ! -e x.html ] || fail "a failing report leaves no file"
expect 2 "$NESTWALK" run --trace noise --mode sideways
has err 'native.*shadow.*nested' "a wrong mode is met with the right ones"
expect 2 "$NESTWALK" gen zipff -o t.nwt
expect 0 "$NESTWALK" gen uniform --accesses 200000 --span 64M -o t.nwt
empty err "no progress is shown where there is no terminal"
expect 2 "$NESTWALK" run --trace t.nwt --set tlb.l2.entrys=3
has err 'tlb\.l2\.entries' "an unknown parameter is met with the nearest one"
expect 2 "$NESTWALK" run --trace t.nwt --machine textbok
has err 'textbook' "an unknown machine is met with the shipped ones"

# Results on stdout, everything else on stderr.
expect 0 "$NESTWALK" run --trace t.nwt --json -
jq -e '.runs | length == 1' out >/dev/null || fail "--json - writes JSON and nothing else"
empty err "run writes nothing to stderr when all is well and there is no terminal"
expect 0 "$NESTWALK" run --trace t.nwt --mode native --mode shadow --mode nested
[ "$(awk '{ if (length > most) most = length } END { print most }' out)" -le 100 ] || fail "the comparison fits 100 columns"
lacks out $'\033' "no colours in a file"

# Output that is lost is not success.
got=0; "$NESTWALK" trace dump t.nwt >/dev/full 2>err || got=$?
[ $got = 4 ] || fail "a full disk under stdout is exit 4, not $got"
has err 'No space left' "a full disk is named"
got=$({ "$NESTWALK" trace dump t.nwt 2>err; echo $? >status; } | head -1 >/dev/null; cat status)
[ "$got" = 4 ] || fail "a reader that goes away is exit 4, not $got"

# Colours on a terminal, unless NO_COLOR is set.
if command -v script >/dev/null; then
  TERM=xterm script -qec "env -u NO_COLOR '$NESTWALK' run --help" /dev/null >colour </dev/null
  has colour $'\033\\[1m' "headings are bold on a terminal"
  TERM=xterm NO_COLOR=1 script -qec "'$NESTWALK' run --help" /dev/null >plain </dev/null
  lacks plain $'\033\\[1m' "NO_COLOR is obeyed"
fi
finish
