#!/usr/bin/env bash
# Sets up, builds the release preset and runs all tests; arguments go to ctest (./test.sh -R traces/).
set -euo pipefail
cd "$(dirname "$0")"
./setup.sh
[ -e build/release/build.ninja ] || cmake --preset release
cmake --build --preset release
ctest --preset release --output-on-failure "$@"
