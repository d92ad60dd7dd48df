#!/usr/bin/env bash
# `make fuzz`: runs each fuzz target (src/fuzzing, fuzz/) for FUZZ_SECONDS, 20 by default, and prints a line for each.
#
#   tests/fuzz.sh                  every target
#   tests/fuzz.sh url scope        some of them
#   tests/fuzz.sh --keep [...]     afterwards adds to fuzz/corpus what reached new code, as small as possible
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
  RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=$work PATH=$PWD/target/tools/bin:$PATH cargo fuzz build
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

# The smaller of two inputs that reach the same is kept.
add_to_corpus() { # TARGET
  "$(program "$1")" -merge=1 "fuzz/corpus/$1" "$work/corpus/$1" 2>/dev/null
  echo "$1: $(find "fuzz/corpus/$1" -type f | wc -l) files"
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
