#!/usr/bin/env bash
# The dependency law, by reading the sources: includes never climb, neighbours never meet, and each third-party library is
# named in one folder only.
# shellcheck source=tests/cli/lib.sh
. "${NW_SOURCE_DIR:?the source tree}/tests/cli/lib.sh"
cd "$NW_SOURCE_DIR" || exit 1

declare -A may=(
  [base]="base"
  [mmu]="base mmu"
  [swap]="base mmu swap"
  [balloon]="base mmu balloon"
  [iommu]="base mmu iommu"
  [traces]="base mmu traces"
  [sim]="base mmu swap balloon iommu traces sim"
  [scenarios]="base mmu swap balloon iommu traces sim scenarios"
  [reports]="base mmu swap balloon iommu traces sim reports"
  [cli]="base mmu swap balloon iommu traces sim scenarios reports"
)
folders=()
for folder in "${!may[@]}"; do # one that has no file yet breaks no law
  [ -d "$folder" ] && folders+=("$folder")
done
sources() { find "$1" -name '*.[ch]' -o -name '*.inc' -o -name '*.in'; }
seen=0
for folder in "${folders[@]}"; do
  while IFS=: read -r file line text; do
    target=$(sed -E 's|.*<nestwalk/([a-z]+)/.*|\1|' <<<"$text")
    seen=$((seen + 1))
    [[ " ${may[$folder]} " == *" $target "* ]] || fail "$file:$line: $folder/ may not include $target/"
  done < <(sources "$folder" | xargs -r grep -nE '^ *# *include <nestwalk/' /dev/null)
  while IFS=: read -r file line text; do
    target=$(realpath -m --relative-to=. "$(dirname "$file")/$(sed -E 's/[^"]*"(.*)".*/\1/' <<<"$text")")
    [[ $target == "$folder"/* ]] || fail "$file:$line: an include that leaves its folder: $text"
  done < <(sources "$folder" | xargs -r grep -nE '^ *# *include "([^"]*/)?\.\./' /dev/null)
done
[ $seen -gt 100 ] || fail "only $seen includes were looked at"

# Third-party headers: neither the C library's, nor the kernel's, nor ours.
while read -r header; do
  users=$(grep -rlE "^ *# *include <$header>" --include='*.[ch]' "${folders[@]}" | cut -d/ -f1 | sort -u)
  [ "$(wc -l <<<"$users")" -le 1 ] || fail "<$header> is used in more than one folder: ${users//$'\n'/ }"
  public=$(grep -rlE "^ *# *include <$header>" --include='*.h' ./*/include || true)
  [ -z "$public" ] || fail "<$header> shows in a public header: $public"
done < <(grep -rhoE '^ *# *include <(zstd|archive|xxhash|nettle/|libxml/|sqlite3|graphviz/|gvc|Zydis/|tracefs|traceevent/|event-parse|jansson)[^>]*>' \
  --include='*.[ch]' "${folders[@]}" | sed -E 's/.*<(.*)>/\1/' | sort -u)
doubled=$(grep -hoE '^nestwalk_use\([a-z]+ .*\)' ./*/CMakeLists.txt | sed -E 's/^nestwalk_use\([a-z]+ (.*)\)/\1/' | tr ' ' '\n' | sort | uniq -d)
[ -z "$doubled" ] || fail "named in two folders: $doubled"
finish
