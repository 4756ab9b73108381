#!/usr/bin/env bash
# Installs the Debian 12 packages that nestwalk is built and tested with; does nothing when they are there.
#   ./setup.sh          everything
#   ./setup.sh build    only what building and running need
set -euo pipefail

build=(
  build-essential cmake ninja-build pkg-config
  libzstd-dev libarchive-dev libxxhash-dev nettle-dev  # traces/
  libzydis-dev libtracefs-dev libtraceevent-dev        # traces/, live capture
  libxml2-dev                                          # scenarios/
  libsqlite3-dev libgraphviz-dev node-chart.js         # reports/
  libcmocka-dev libjansson-dev                         # tests/, part of the default build
)
tests=(
  clang clang-format libclang-rt-14-dev shellcheck
  chromium               # opens the report
  man-db bash-completion # read the generated manual page and completion
  acpica-tools           # reads the firmware tables that iommu show is compared with
  jq libxml2-utils sqlite3 xz-utils gzip bzip2 xxd git
)

case "${1:-all}" in
  build) wanted=("${build[@]}") ;;
  all) wanted=("${build[@]}" "${tests[@]}") ;;
  *) echo "usage: ./setup.sh [build|all]" >&2; exit 2 ;;
esac

missing=()
for package in "${wanted[@]}"; do
  state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$state" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} = 0 ]; then
  echo "setup: all ${#wanted[@]} packages are installed"
  exit 0
fi
echo "setup: installing ${missing[*]}"

as_root=()
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || { echo "setup: needs root or sudo to install packages" >&2; exit 4; }
  as_root=(sudo)
fi
apt() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 "$@"; }

# The package lists are fetched only when one of the packages is not in them, or no longer to be had as they say.
log=$(mktemp)
trap 'rm -f "$log"' EXIT
known=yes
for package in "${missing[@]}"; do
  [ -n "$(apt-cache show --no-all-versions "$package" 2>/dev/null)" ] || known=no
done
[ $known = yes ] || apt update
if ! apt install --yes --no-install-recommends "${missing[@]}" >"$log" 2>&1; then
  apt update
  apt install --yes --no-install-recommends "${missing[@]}" >"$log" 2>&1 || {
    cat "$log" >&2
    echo "setup: the packages could not be installed; see above" >&2
    exit 4
  }
fi
echo "setup: installed ${#missing[@]} packages"
