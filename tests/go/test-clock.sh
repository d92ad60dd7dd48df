#!/usr/bin/env bash
# Builds the library with a clock that tests can turn, and prints the variables by which Go finds it:
#   eval "$(tests/go/test-clock.sh)"; go test -tags tu_token_test_clock ./...
set -euo pipefail
cd "$(dirname "$0")/../.."

place=$PWD/target/conformance/go
cargo rustc --quiet -p tu-token --features capi,test-clock --crate-type cdylib --target-dir target/conformance >&2
mkdir -p "$place"
ln -sf ../debug/libtu_token.so "$place/libtu_token.so"
ln -sf ../debug/libtu_token.so "$place/libtu_token.so.0"
cat >"$place/tu_token.pc" <<PC
includedir=$PWD/include

Name: tu_token
Description: built for tests
Version: 0
Cflags: -I\${includedir}
Libs: -L$place -ltu_token
PC
scripts/go-env.sh "$place" "$place"
