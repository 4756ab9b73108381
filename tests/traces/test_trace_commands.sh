#!/bin/bash
# The commands that make and look after traces, end to end.
set -u
fail() { echo "FAILED: $*" >&2; exit 1; }
status() { # EXPECTED COMMAND... : runs it, output in out, messages in err
  local want=$1 got=0; shift
  "$@" >out 2>err || got=$?
  [ "$got" = "$want" ] || fail "$* ended with $got, not $want: $(cat err)"
}
has() { grep -q -- "$2" "$1" || fail "$1 does not have \"$2\": $(head -5 "$1")"; }
dir=$(mktemp -d ./trace_commands.XXXXXX) || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
dir=$PWD

# gen: same seed, same bytes; nothing is left beside the result.
status 0 "$NESTWALK" gen zipf --accesses 200000 --span 64M --stores 0.25 --seed 7 -o a.nwt
has out '^a.nwt: 200000 accesses (0 fetches, '
status 0 "$NESTWALK" gen zipf --accesses 200000 --span 64M --stores 0.25 --seed 7 -o b.nwt
cmp -s a.nwt b.nwt || fail "the same seed gave two traces"
status 0 "$NESTWALK" gen zipf --accesses 200000 --span 64M --stores 0.25 --seed 8 -o b.nwt
cmp -s a.nwt b.nwt && fail "two seeds gave the same trace"
[ "$(ls)" = "$(printf 'a.nwt\nb.nwt\nerr\nout')" ] || fail "files are left over: $(ls)"
status 2 "$NESTWALK" gen uniform -o c.nwt
has err 'accesses'
status 2 "$NESTWALK" gen sequential --accesses 5 --stride 12 -o c.nwt
has err 'stride is 12 bytes, allowed are multiples of 8'
status 4 "$NESTWALK" gen uniform --accesses 5 -o nowhere/c.nwt
has err 'nowhere/c.nwt'

# info and JSON
status 0 "$NESTWALK" trace info a.nwt
has out '^workload  *zipf accesses=200000 span=67108864'
status 0 "$NESTWALK" trace info a.nwt --json
has out '"accesses": { "total": 200000, "fetch": 0, '

# import, plain and compressed: the same trace
printf 'I  1000,4\n S 7ff8,16\n M 2000,8\n' >l.txt
gzip -c l.txt >l.gz
status 0 "$NESTWALK" import --from lackey l.txt -o l.nwt
has out ': 4 accesses (1 fetches, 1 loads, 2 stores)'
status 0 "$NESTWALK" import --from lackey l.gz -o lz.nwt
cmp -s l.nwt lz.nwt || fail "the compressed text gave another trace"
status 0 "$NESTWALK" trace dump l.nwt
cat >want <<'END'
         0  vcpu0  fetch  0x0000000000001000     4  user
         1  vcpu0  store  0x0000000000007ff8    16  user
         2  vcpu0  load   0x0000000000002000     8  user
         3  vcpu0  store  0x0000000000002000     8  user
END
cmp -s out want || fail "the dump is not the trace: $(cat out)"
status 0 "$NESTWALK" trace dump l.nwt --from 1 --count 1 --json
has out '{ "n": 1, "vcpu": 0, "type": "store", "gva": "0x7ff8", "bytes": 16, "user": true }'
echo 'X 1,2' >>l.txt
status 3 "$NESTWALK" import --from lackey l.txt -o bad.nwt
has err 'l.txt:4: '
[ ! -e bad.nwt ] || fail "a failed import left a trace"
status 3 "$NESTWALK" import --from raw64 nothing -o bad.nwt
status 2 "$NESTWALK" import --from elf l.txt -o bad.nwt
has err 'raw64, lackey, csv'

# verify, repair
status 0 "$NESTWALK" trace verify a.nwt b.nwt
printf 'X' | dd of=b.nwt bs=1 seek=150000 conv=notrunc 2>dd.err
status 3 "$NESTWALK" trace verify a.nwt b.nwt
has out '^a.nwt: sound'
has err 'b.nwt: block 1 at offset [0-9]*: '
status 3 "$NESTWALK" trace verify b.nwt --json
has out '"sound": false'
head -c 200000 a.nwt >cut.nwt
status 3 "$NESTWALK" trace dump cut.nwt
has err 'trace repair'
status 0 "$NESTWALK" trace info cut.nwt
has out 'index  *missing'
status 0 "$NESTWALK" trace repair cut.nwt
has out 'kept 65536 accesses'
status 0 "$NESTWALK" trace verify cut.nwt
status 0 "$NESTWALK" trace repair a.nwt -o same.nwt
cmp -s a.nwt same.nwt || fail "the repair of a sound trace changed it"

# cut: pieces say what the whole says
status 0 "$NESTWALK" trace cut a.nwt --from 65530 --count 20 -o piece.nwt
"$NESTWALK" trace dump a.nwt --from 65530 --count 20 | cut -c11- >want
"$NESTWALK" trace dump piece.nwt | cut -c11- >got
cmp -s want got || fail "the piece is not the part of the whole"
[ "$(wc -l <got)" = 20 ] || fail "the piece has not 20 accesses"
status 2 "$NESTWALK" trace cut a.nwt --from 200000 --count 1 -o piece.nwt
has err 'no access 200000'
echo ok
