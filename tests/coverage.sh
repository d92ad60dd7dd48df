#!/usr/bin/env bash
# `make coverage`: which lines and branches of src/ the tests of the library execute: its unit and integration tests.
# Prints a table, and fails if
#   - a line of the pure core (tests/coverage.py says which files that is) is not executed and
#     tests/coverage-exceptions.txt gives no reason for it, or
#   - fewer than 90 % of all lines are executed.
# The reports are left in target/coverage-report; `tests/coverage.sh --keep` also keeps the build, for another run.
set -euo pipefail
cd "$(dirname "$0")/.."

# LLVM's tools, of the compiler's own version: rustup's component, or Debian's package.
tools() {
  local host version
  host=$(rustc -vV | sed -n 's/^host: //p')
  version=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
  local places=("$(rustc --print sysroot)/lib/rustlib/$host/bin" "/usr/lib/llvm-$version/bin") place
  for place in "${places[@]}"; do
    [ ! -x "$place/llvm-cov" ] || { echo "$place"; return; }
  done
  echo "SKIPPED: LLVM $version's tools are missing: rustup component add llvm-tools, or Debian's llvm-$version" >&2
  exit 77
}

bin=$(tools)
work=$PWD/target/coverage report=$PWD/target/coverage-report
mkdir -p "$report"
rm -rf "$work/profiles" "$report"/*
[ "${1:-}" = --keep ] || trap 'rm -rf "$work"' EXIT

# Branches take an unstable option.
export RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=$work LLVM_PROFILE_FILE=$work/profiles/%m-%p.profraw
export RUSTFLAGS="-Cinstrument-coverage -Zcoverage-options=branch"
options=(-p tu-token --features redis --lib --test integration --test alone)
cargo test "${options[@]}" --no-run --message-format=json >"$report/build.json"
mapfile -t programs < <(grep -o '"executable":"[^"]*"' "$report/build.json" | cut -d'"' -f4)
# Those of build scripts and macros.
rm -rf "$work/profiles"
status=0
cargo test "${options[@]}" --no-fail-fast >"$report/tests.log" 2>&1 || status=$?
[ "$status" = 0 ] || { grep -E '^test .*FAILED|panicked at' "$report/tests.log" | head -n 20; echo "a test failed"; }

# A child that was killed leaves a file that cannot be read.
"$bin/llvm-profdata" merge -sparse -failure-mode=all "$work"/profiles/*.profraw -o "$work/merged.profdata"
objects=()
for program in "${programs[@]}"; do objects+=(-object "$program"); done
"$bin/llvm-cov" export -format=lcov -instr-profile "$work/merged.profdata" "${objects[@]}" \
  --ignore-filename-regex='/registry/|/rustc/|/tests/' >"$report/lcov.info"
tests/coverage.py "$report/lcov.info" "$PWD/src" tests/coverage-exceptions.txt
[ "$status" = 0 ]
