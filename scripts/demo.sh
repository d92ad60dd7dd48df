#!/usr/bin/env bash
# `make demo`: builds the C demo and runs it against the emulator, or against the real service if
# credentials are in the environment.
set -euo pipefail
cd "$(dirname "$0")/.."

mkdir -p target/demo
cc -std=c11 -O2 -D_GNU_SOURCE -Iinclude examples/c/demo.c -o target/demo/demo \
  -Ltarget/release -Wl,-rpath,"$PWD/target/demo" -ltu_token $(pkg-config --cflags --libs libcurl) -lpthread
# By the name in its SONAME, which `make install` would give it.
ln -sf ../release/libtu_token.so target/demo/libtu_token.so.0

if [ -n "${TRACKUNIT_CLIENT_ID:-}" ] && [ -n "${TRACKUNIT_CLIENT_SECRET:-}" ] \
    && [ -n "${TRACKUNIT_SCOPE:-}" ]; then
  exec target/demo/demo
fi
unset "${!TRACKUNIT_@}"
exec scripts/emulator.sh sh -c 'DEMO_EMULATOR=$EMULATOR_URL exec target/demo/demo'
