#!/usr/bin/env bash
# Builds the C library with a clock that tests control, into target/conformance/debug.
set -euo pipefail
cd "$(dirname "$0")/../.."

cargo rustc --quiet -p tu-token --features capi,test-clock --crate-type cdylib \
  --target-dir target/conformance
# The name that the loader searches for. Never absent, because another step may be using it.
[ -L target/conformance/debug/libtu_token.so.0 ] || ln -sf libtu_token.so target/conformance/debug/libtu_token.so.0
