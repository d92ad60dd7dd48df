#!/usr/bin/env bash
# `make forks`: forks at random points of a C program (five sixths of them) and of a Python program, each
# against an emulator with TLS in front of it. The same seed draws the same points.
# Usage: tests/processes/run.sh FORKS [SEED]
set -euo pipefail
cd "$(dirname "$0")/../.."

forks=$1 seed=${2:-$RANDOM}
stage=$PWD/target/forks
front=target/debug/examples/tls-front
cargo build --quiet -p tu-token --example tls-front
PREFIX=$stage TARGET_DIR=target/release packaging/install.sh >/dev/null
export PKG_CONFIG_PATH=$stage/lib/pkgconfig
# shellcheck disable=SC2046
cc -std=c11 -D_GNU_SOURCE -g -O1 -Wall -Wextra tests/c/random_forks.c -o "$stage/random_forks" \
  $(pkg-config --cflags --libs tu_token) -Wl,-rpath,"$stage/lib" -lpthread
scripts/emulator.sh $front "$stage/random_forks" $((forks * 5 / 6)) "$seed"

# shellcheck source=bindings/python/tests/environment.sh
. bindings/python/tests/environment.sh
install_module
scripts/emulator.sh $front --name localhost \
  python bindings/python/tests/random_forks.py $((forks - forks * 5 / 6)) "$seed"
