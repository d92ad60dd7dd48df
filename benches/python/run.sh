#!/usr/bin/env bash
# Measures the Python module. Needs a running emulator (scripts/emulator.sh).
set -euo pipefail
# shellcheck source=bindings/python/tests/environment.sh
. "$(dirname "$0")/../../bindings/python/tests/environment.sh"

environment target/bench-venv benches/python/requirements.txt
rm -rf target/wheels/bench
built=$(maturin build --release --manifest-path bindings/python/Cargo.toml --out target/wheels/bench 2>&1) ||
  { echo "$built"; exit 1; }
target/bench-venv/bin/pip install --quiet --disable-pip-version-check --force-reinstall --no-deps \
  target/wheels/bench/*.whl
target/bench-venv/bin/python benches/python/hit.py
echo
echo "Start: the shared library, the Python module, the command"
cargo build --quiet --release -p tu-token-cli
cc -O2 -o target/bench/start benches/start.c -ldl
target/bench-venv/bin/python benches/python/start.py
