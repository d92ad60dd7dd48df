#!/usr/bin/env bash
# Checks what docs/abi-policy.md promises: `make abi`.
#
#   tests/abi/run.sh              every check; the library must be built and installed in target/stage
#   tests/abi/run.sh --baseline   makes today's header the baseline: after a release, never before
#
# The baseline is the header of the last release without its comments, and its interface as abidw writes it.
set -euo pipefail
cd "$(dirname "$0")/../.."

here=tests/abi header=include/tu_token.h baseline=$here/baseline
stage=$PWD/target/stage
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0
warnings=(-std=c11 -D_GNU_SOURCE -g -O1 -Wall -Wextra -Wpedantic -Werror)

# expect_success NAME COMMAND...: one case. Prints the last line of its output, or all of it if it failed.
expect_success() {
  local what=$1 status
  shift
  set +e
  (set -e; "$@") >"$work/said" 2>&1
  status=$?
  set -e
  if [ "$status" = 0 ]; then
    echo "ok      $what: $(tail -n 1 "$work/said")"
    passed=$((passed + 1))
  else
    cat "$work/said"
    echo "FAILED  $what"
    failed=$((failed + 1))
  fi
}

# --- The header against the lists and the baseline.

stubs() { # HEADER LIBRARY
  $here/header.py stubs "$1" $baseline/tu_token.h >"$work/stubs.c"
  "${CC:-cc}" -std=c11 -g -shared -fPIC "$work/stubs.c" -o "$2"
}

has_abidiff() {
  command -v abidiff >/dev/null && command -v abidw >/dev/null
}

# Without this machine's paths.
interface() { # LIBRARY
  abidw --no-corpus-path --no-comp-dir-path --no-show-locs "$1"
}

# abidiff ends with 4 or 8 if something has changed. Added functions are permitted, and so are appended members, which
# the stubs do not have.
compare_interfaces() { # HEADER
  stubs "$1" "$work/now.so" || return
  abidiff --no-architecture --no-added-syms $baseline/tu_token.abi "$work/now.so" || return
  echo "$(nm -D --defined-only "$work/now.so" | grep -c ' T tu_') functions, no incompatible change"
}

compare_numbers() { # HEADER
  $here/numbers.py "$1" $baseline/tu_token.h "${2:-packaging/constants.txt}"
}

# --- That these comparisons notice a change.

# noticed COMPARISON CHANGE: the comparison fails for the header changed by this sed script.
noticed() {
  sed -E "$2" $header >"$work/changed.h"
  ! cmp -s $header "$work/changed.h" || { echo "the header has nothing to change: $2"; return 1; }
  "${CC:-cc}" -fsyntax-only -x c "$work/changed.h"
  if "$1" "$work/changed.h" >"$work/comparison" 2>&1; then
    echo "not noticed: $2"
    return 1
  fi
  tail -n 1 "$work/comparison"
}

changes_in_numbers() {
  noticed compare_numbers 's/(TU_CLOSED = )3/\14/'
  noticed compare_numbers 's/(TU_PROXY = )203/\1202/'
  noticed compare_numbers '/TU_EVENT_STORE = 7/d'
  noticed compare_numbers 's/(#define TU_NO_WAIT).*/\1 (-2)/'
  noticed compare_numbers 's/(  TU_INTERNAL = 900)/\1, TU_MORE = 901/'
  noticed compare_numbers 's/(  TU_INTERNAL = 900)/\1, TU_MORE = 400/'
  noticed compare_numbers 's/^  int32_t state;/  int64_t state;/'
  noticed compare_numbers 's/^  uint64_t waits;/  uint64_t added;\n  uint64_t waits;/'
  noticed compare_numbers 's/^#define TU_GET_OPTIONS_INIT.*//'
  echo "9 changes noticed"
}

changes_in_interfaces() {
  noticed compare_interfaces 's/^void tu_free\(void \*owned\);/void tu_freed(void *owned);/'
  noticed compare_interfaces 's/^size_t tu_token_length/int32_t tu_token_length/'
  noticed compare_interfaces 's/(tu_token_at_hand\(const struct tu_client \*client, )const char \*scope/\1int64_t scope/'
  noticed compare_interfaces 's/^  int32_t kind;/  int64_t kind;/'
  noticed compare_interfaces 's/^  int64_t wait_ms;/  uint64_t wait_ms;/'
  noticed compare_interfaces 's/^  const char \*fingerprint;//'
  noticed compare_interfaces 's/^  uint64_t waits;/  uint64_t added;\n  uint64_t waits;/'
  noticed compare_interfaces 's/^(typedef bool \(\*tu_credentials_fn\)\(void \*user_data, )bool refused/\1int64_t refused/'
  echo "8 changes noticed"
}

# What a later version may do.
permitted_additions() {
  sed -E -e 's/^  uint64_t failures;/  uint64_t failures;\n  uint64_t added;/' \
    -e 's/^void tu_free\(void \*owned\);/&\nvoid tu_added(int32_t what);/' \
    -e 's/(  TU_INTERNAL = 900)/\1, TU_ADDED = 901/' $header >"$work/later.h"
  {
    cat packaging/constants.txt
    printf '%s 0.2.0\n' "TU_ADDED 901" "sizeof(tu_stats) 80" "tu_stats.added 72+8"
  } >"$work/later.txt"
  compare_numbers "$work/later.h" "$work/later.txt"
  compare_interfaces "$work/later.h"
}

# --- Programs.

build() { # SOURCE PROGRAM FLAGS...
  "${CC:-cc}" "${warnings[@]}" -Itests/c "$1" -o "$2" "${@:3}" -ldl -lpthread -lm
}

# Against the baseline's header; every function of that is used.
old_program() {
  build $here/old_program.c "$work/old" -I$baseline -L"$stage/lib" -ltu_token -Wl,-rpath,"$stage/lib"
  $here/header.py stubs $baseline/tu_token.h $baseline/tu_token.h | grep -o '\btu_[a-z_]*(' | tr -d '(' | sort -u >"$work/declared"
  nm -u "$work/old" | grep -o 'tu_[a-z_]*' | sort -u | diff "$work/declared" -
  scripts/emulator.sh "$work/old"
}

loaded_again() {
  build $here/load.c "$work/load" -I"$stage/include"
  scripts/emulator.sh "$work/load" "$stage/lib/libtu_token.so" 1000
}

copies() {
  NAME=other rustc --edition 2024 --crate-type staticlib -C panic=unwind -o "$work/libother.a" tests/install/panics.rs
  cp "$stage/lib/libtu_token.so" "$work/libanother.so"
  build $here/copies.c "$work/copies" -I"$stage/include" "$work/libother.a"
  scripts/emulator.sh "$work/copies" "$stage/lib/libtu_token.so" "$work/libanother.so"
  build $here/copies.c "$work/linked" -DLINKED -I"$stage/include" "$work/libother.a" \
    -L"$stage/lib" -ltu_token -Wl,-rpath,"$stage/lib"
  scripts/emulator.sh "$work/linked" "$work/libanother.so"
}

# ---

make_baseline() {
  $here/header.py plain $header >$baseline/tu_token.h
  stubs $baseline/tu_token.h "$work/stubs.so"
  interface "$work/stubs.so" >$baseline/tu_token.abi
  echo "$baseline: made from $header"
}

if [ "${1:-}" = --baseline ]; then
  make_baseline
  exit
fi
if [ "$(getconf LONG_BIT)" = 64 ]; then
  expect_success "numbers" compare_numbers $header
  expect_success "numbers: changes are noticed" changes_in_numbers
else
  echo "SKIPPED: numbers: the list is that of 64-bit machines"
fi
if has_abidiff; then
  expect_success "abidiff" compare_interfaces $header
  expect_success "abidiff: changes are noticed" changes_in_interfaces
  expect_success "additions are permitted" permitted_additions
else
  echo "SKIPPED: abidiff is missing (Debian: abigail-tools)"
fi
expect_success "a program built against the baseline" old_program
expect_success "dlopen and dlclose, 1,000 times" loaded_again
expect_success "two copies and another Rust library" copies

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
