#!/usr/bin/env bash
# Builds the library with a clock that tests control, and prints the variables by which Go finds it:
#   eval "$(tests/go/test-clock.sh)"; go test -tags tu_token_test_clock ./...
set -euo pipefail
cd "$(dirname "$0")/../.."

tests/conformance/library.sh >&2
library=$PWD/target/conformance/debug
place=$PWD/target/conformance/go
mkdir -p "$place"
cat >"$place/tu_token.pc" <<PC
includedir=$PWD/include

Name: tu_token
Description: built for tests
Version: 0
Cflags: -I\${includedir}
Libs: -L$library -ltu_token
PC
scripts/go-env.sh "$place" "$library"
