#!/usr/bin/env bash
# Builds the library with a clock that tests control, and prints the variables by which Go finds it:
#   eval "$(tests/go/test-clock.sh)"; go test -tags tu_token_test_clock ./...
set -euo pipefail
cd "$(dirname "$0")/../.."

tests/conformance/library.sh >&2
tests/go/library-env.sh "$PWD/target/conformance/go" "$PWD/target/conformance/debug"
