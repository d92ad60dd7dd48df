#!/usr/bin/env bash
# Prints the variables by which Go finds a library that was built for tests and not installed:
#   eval "$(tests/go/library-env.sh PLACE LIBRARY-DIRECTORY)"
# Its pkg-config file is written to PLACE.
set -euo pipefail
cd "$(dirname "$0")/../.."

mkdir -p "$1"
cat >"$1/tu_token.pc" <<PC
includedir=$PWD/include

Name: tu_token
Description: built for tests
Version: 0
Cflags: -I\${includedir}
Libs: -L$2 -ltu_token
PC
scripts/go-env.sh "$1" "$2"
