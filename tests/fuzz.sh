#!/usr/bin/env bash
# `make fuzz`: runs each fuzz target (src/fuzzing, fuzz/) for FUZZ_SECONDS, 20 by default, and prints a line for each.
#
#   tests/fuzz.sh                  every target
#   tests/fuzz.sh url scope        some of them
#   tests/fuzz.sh --keep [...]     afterwards adds small inputs that reached new code to fuzz/corpus
#
# It starts with the committed corpora; what it finds on the way is kept in target/fuzz. An input that breaks a property
# is named, and the exit status is 1: copy it to fuzz/corpus/TARGET, where `cargo test` runs it, and fix the code.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${FUZZ_SECONDS:-20} keep= work=$PWD/target/fuzz
if [ "${1:-}" = --keep ]; then keep=1; shift; fi
targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(cd fuzz/fuzz_targets && printf '%s\n' *.rs | sed 's/\.rs$//')

tool() {
  [ -x target/tools/bin/cargo-fuzz ] || cargo install --quiet --locked --root target/tools cargo-fuzz@0.13.2
}

# The sanitizer takes a nightly compiler, or this.
build() {
  mkdir -p "$work"
  RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=$work PATH=$PWD/target/tools/bin:$PATH cargo fuzz build 2>"$work/build.log" ||
    { tail -n 30 "$work/build.log"; exit 1; }
}

run() { # TARGET
  local found=$work/found/$1 log=$work/$1.log dictionary=fuzz/$1.dict options
  mkdir -p "$found" "$work/corpus/$1"
  options=(-max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -artifact_prefix="$found/" -print_final_stats=1)
  [ ! -e "$dictionary" ] || options+=(-dict="$dictionary")
  if "$(program "$1")" "${options[@]}" "$work/corpus/$1" "fuzz/corpus/$1" 2>"$log"; then
    printf '%-14s %9s runs in %s s, %s branches, no finding\n' "$1" \
      "$(last 'stat::number_of_executed_units: *')" "$seconds" "$(last '.* cov: *')"
  else
    printf '%-14s a finding: %s\n' "$1" "$(last "artifact_prefix=.*Test unit written to ")"
    grep -m1 -A2 'panicked at\|ERROR: ' "$log" || true
    return 1
  fi
}

# The word that follows the last place of a pattern in the log.
last() { # PATTERN
  sed -n "s|^$1\([^ ]*\).*|\1|p" "$log" | tail -n 1
}

program() {
  echo "$work/$(rustc -vV | sed -n 's/^host: //p')/release/$1"
}

# Adds the smallest inputs that reach new code, up to 30 files: `cargo test` runs them all.
add_to_corpus() { # TARGET
  local corpus=fuzz/corpus/$1 new=$work/new/$1 file
  rm -rf "$new"
  mkdir -p "$new"
  cp "$corpus"/* "$new/"
  "$(program "$1")" -merge=1 -use_counters=0 "$new" "$work/corpus/$1" 2>/dev/null
  # shellcheck disable=SC2012  # names are hashes
  ls -rS "$new" | while read -r file; do
    [ "$(find "$corpus" -type f | wc -l)" -lt 30 ] || break
    cp -n "$new/$file" "$corpus/"
  done
  echo "$1: $(find "$corpus" -type f | wc -l) files"
}

tool
build
failed=0
for target in "${targets[@]}"; do
  run "$target" || failed=$((failed + 1))
  [ -z "$keep" ] || add_to_corpus "$target"
done
echo "$((${#targets[@]} - failed)) passed, $failed failed"
[ "$failed" = 0 ]
