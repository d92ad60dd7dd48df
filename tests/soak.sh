#!/usr/bin/env bash
# `make soak`: builds tests/c/soak.c against the release library, and runs it against an emulator.
# Usage: tests/soak.sh SECONDS
set -euo pipefail
cd "$(dirname "$0")/.."

stage=$PWD/target/soak
PREFIX=$stage TARGET_DIR=target/release packaging/install.sh >/dev/null
export PKG_CONFIG_PATH=$stage/lib/pkgconfig
# shellcheck disable=SC2046
cc -std=c11 -D_GNU_SOURCE -g -O1 -Wall -Wextra tests/c/soak.c -o "$stage/soak" \
  $(pkg-config --cflags --libs tu_token) -Wl,-rpath,"$stage/lib" -lpthread
scripts/emulator.sh "$stage/soak" "${1:-60}"
