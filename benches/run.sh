#!/usr/bin/env bash
# `make bench`: the hot path of the C library beside a cache made by hand, in one run.
set -euo pipefail
cd "$(dirname "$0")/.."

mkdir -p target/bench
ln -sf ../release/libtu_token.so target/bench/libtu_token.so.0
cc -std=c11 -O2 -D_GNU_SOURCE -Iinclude benches/hit.c -o target/bench/hit \
  -Ltarget/release -Wl,-rpath,"$PWD/target/bench" -ltu_token -lpthread
# A token of the size that signed tokens have.
EMULATOR_OPTIONS="--token-length 670" exec scripts/emulator.sh target/bench/hit
