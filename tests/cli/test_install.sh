#!/usr/bin/env bash
# An installed tree is complete: the program runs from it, and a small program builds against libnestwalk with pkg-config.
# shellcheck source=tests/cli/lib.sh
. "${NW_SOURCE_DIR:?the source tree}/tests/cli/lib.sh"

cmake --install "$NW_BUILD_DIR" --prefix "$here/prefix" >log 2>&1 || { tail -5 log; fail "cmake --install works"; }
find prefix -type f | sort >files
for wanted in bin/nestwalk 'lib.*/libnestwalk\.a' 'include/nestwalk/sim/replay\.h' 'lib.*/pkgconfig/nestwalk\.pc' \
  'share/man/man1/nestwalk\.1' share/bash-completion/completions/nestwalk 'share/nestwalk/traces/.*\.nwt' \
  'share/nestwalk/machines/textbook\.xml' 'share/nestwalk/scenarios/.*\.xml' 'share/nestwalk/schema/scenario\.xsd' share/doc/nestwalk/README.md; do
  has files "^prefix/$wanted\$" "the installed tree has it"
done
expect 0 prefix/bin/nestwalk --version
expect 0 prefix/bin/nestwalk gen sequential --accesses 4096 --span 1M -o t.nwt
expect 0 prefix/bin/nestwalk run --trace t.nwt --machine textbook --json r.json

cat >user.c <<'END'
#include <nestwalk/sim/replay.h>
#include <nestwalk/traces/generate.h>
#include <stdio.h>
int main(void)
{
    struct nw_generate_options o;
    nw_generate_defaults(&o);
    o.accesses = 4096, o.span_bytes = 1 << 20;
    struct nw_config c;
    nw_config_init(&c);
    struct nw_source *source = NULL;
    struct nw_result r;
    struct nw_error err = { 0 };
    if (nw_generator_find("sequential")->open(&source, &o, &err) || nw_replay(source, &c, NULL, &r, &err))
        return fprintf(stderr, "%s\n", err.text), 1;
    printf("%llu\n", (unsigned long long)r.accesses.total);
    nw_result_fini(&r);
    nw_config_fini(&c);
    nw_source_destroy(source);
}
END
cc=$(sed -n 's/^CMAKE_C_COMPILER:[A-Z]*=//p' "$NW_BUILD_DIR/CMakeCache.txt")
sanitize=()
grep -q '^NESTWALK_SANITIZE:BOOL=ON' "$NW_BUILD_DIR/CMakeCache.txt" && sanitize=(-fsanitize=address -fsanitize=undefined)
pc=$(dirname "$(find "$here/prefix" -name nestwalk.pc)")
for static in --static ''; do
  # shellcheck disable=SC2046,SC2086 # flags are words
  expect 0 "$cc" -Wall -Wextra -Werror "${sanitize[@]}" user.c -o user $(PKG_CONFIG_PATH="$pc" pkg-config --cflags --libs $static nestwalk)
  expect 0 ./user
  has out '^4096$' "a program built against libnestwalk runs"
  rm -f user
done
if ! grep -qE '^CMAKE_BUILD_TYPE:STRING=(Debug|RelWithDebInfo)' "$NW_BUILD_DIR/CMakeCache.txt"; then
  ! grep -qaF "$NW_SOURCE_DIR/" prefix/bin/nestwalk || fail "the program names no place of the build machine"
fi
finish
