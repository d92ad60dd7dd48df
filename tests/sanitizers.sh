#!/usr/bin/env bash
# `make asan`, `make tsan`: the C library, built with a sanitizer, under the C and C++ tests.
#
#   tests/sanitizers.sh asan [PROGRAM...]   AddressSanitizer and LeakSanitizer; if named, `python`: the suite
#   tests/sanitizers.sh tsan [PROGRAM...]   ThreadSanitizer, with Rust's standard library built the same way
#
# A report of a sanitizer ends its program with status 99. Builds go to target/asan or target/tsan and are removed
# afterwards; KEEP=1 keeps them.
set -euo pipefail
cd "$(dirname "$0")/.."

kind=$1
shift
work=$PWD/target/$kind logs=$PWD/target/$kind-logs
triple=$(rustc -vV | sed -n 's/^host: //p')
library=$work/$triple/debug
export RUSTC_BOOTSTRAP=1 CARGO_PROFILE_DEV_DEBUG=line-tables-only
mkdir -p "$work" "$logs"
[ -n "${KEEP:-}" ] || trap 'rm -rf "$work"' EXIT

# What each program is called with. The figures of tests/steps.sh, smaller: a sanitizer slows down two to twenty times.
arguments() {
  case $1 in
    threads) echo "64 0 30000" ;;
    cancels) echo "200 100 5000" ;;
    forks) echo 50 ;;
    odd_forks) echo 10 ;;
    handler_forks) echo 50 ;;
    races) echo 10 ;;
  esac
}

build_program() { # NAME COMPILER... (with the sanitizer's flags)
  local name=$1 source=tests/c/$1.c standard=-std=c11
  shift
  if [ "$name" = cpp-contract ]; then source=tests/cpp/contract.cpp standard=-std=c++17; fi
  "$@" "$standard" -D_GNU_SOURCE -g -O1 -Iinclude "$source" -o "$work/$name"
}

# Runs a program against an emulator of its own; what it prints goes to its log.
run() { # NAME COMMAND...
  local name=$1 log=$logs/$1.log status=0 started=$SECONDS
  shift
  timeout 800 scripts/emulator.sh "$@" >"$log" 2>&1 || status=$?
  if [ "$status" = 0 ]; then
    printf '%-16s %3s s  no finding\n' "$name" $((SECONDS - started))
    passed=$((passed + 1))
  else
    printf '%-16s %3s s  status %s: %s\n' "$name" $((SECONDS - started)) "$status" "$log"
    grep -m3 -E 'ERROR: |WARNING: Thread|SUMMARY: ' "$log" || tail -n 3 "$log"
    failed=$((failed + 1))
  fi
}

# --- AddressSanitizer ------------------------------------------------------------------------

asan() {
  RUSTFLAGS=-Zsanitizer=address CARGO_TARGET_DIR=$work cargo rustc --quiet --target "$triple" --features capi \
    -p tu-token --crate-type cdylib
  ln -sf libtu_token.so "$library/libtu_token.so.0"
  # Not the programs that measure memory, or leave the process no threads: the sanitizer needs both.
  [ $# -gt 0 ] || set -- contract cpp-contract callbacks races threads cancels forks odd_forks handler_forks
  local program compiler leaks
  for program in "$@"; do
    if [ "$program" = python ]; then
      asan_of_python
      continue
    fi
    compiler=cc
    [ "$program" != cpp-contract ] || compiler=c++
    build_program "$program" "$compiler" -fsanitize=address -fno-omit-frame-pointer \
      -L"$library" -Wl,--no-as-needed -ltu_token -Wl,-rpath,"$library" -lpthread
    # A forked child has the memory of its parent's threads, but not the threads: each of their tokens is a leak there.
    leaks=1
    case $program in *forks) leaks=0 ;; esac
    # shellcheck disable=SC2046
    ASAN_OPTIONS=exitcode=99:detect_stack_use_after_return=1:detect_leaks=$leaks \
      run "$program" "$work/$program" $(arguments "$program")
  done
}

# The interpreter has no sanitizer, so its runtime is loaded first. CPython leaves memory of its own at exit: only what
# the module's code has allocated is a leak of the library.
asan_of_python() {
  # shellcheck source=bindings/python/tests/environment.sh
  . bindings/python/tests/environment.sh
  local stage=$work/python report=$logs/python-leaks
  RUSTFLAGS="-Zsanitizer=address -Cforce-frame-pointers=yes" CARGO_TARGET_DIR=$work \
    cargo build --quiet --target "$triple" -p tu-token-python
  rm -rf "$stage" "$report".*
  mkdir -p "$stage"
  cp -r bindings/python/tu_token "$stage/"
  cp "$library/lib_native.so" "$stage/tu_token/_native.abi3.so"
  ASAN_OPTIONS=exitcode=99:detect_leaks=1 LSAN_OPTIONS=exitcode=0:log_path=$report \
    run python env PYTHONPATH="$stage" PYTHONMALLOC=malloc LD_PRELOAD="$(cc -print-file-name=libasan.so)" \
    python -m pytest -c bindings/python/pyproject.toml --rootdir bindings/python -p no:cacheprovider \
    --timeout 300 -q bindings/python/tests
  # A report is a paragraph; its fifth line and those before are what allocates for everything.
  local leaked
  leaked=$(cat "$report".* 2>/dev/null | awk -v RS= '/^Direct leak/ && /_native/' | tee "$logs/python-leaks.txt" |
    grep -c '^Direct leak' || true)
  echo "python: $leaked leaks of the module"
  [ "$leaked" = 0 ] || failed=$((failed + 1))
}

# --- ThreadSanitizer -------------------------------------------------------------------------

# Without instrumented std every lock is a false report, so std is built too. That takes its source, which Debian has
# for its own compiler: both are unpacked below target/tools, not installed.
tsan_tools() {
  tools=$PWD/target/tools/debian
  [ ! -x "$tools/usr/bin/rustc" ] || return 0
  local packages="rustc-web rust-web-src libstd-rust-web-dev libstd-rust-web-1.96 libllvm22 libclang-rt-22-dev" place
  place=$(mktemp -d)
  # shellcheck disable=SC2086
  (cd "$place" && apt-get download $packages) >"$logs/tools.log" 2>&1 ||
    { echo "SKIPPED: make tsan: Debian's rustc-web cannot be obtained ($logs/tools.log)"; exit 77; }
  mkdir -p "$tools"
  for package in "$place"/*.deb; do dpkg -x "$package" "$tools"; done
  rm -rf "$place"
}

tsan() {
  { command -v clang && command -v llvm-symbolizer; } >/dev/null ||
    { echo "SKIPPED: make tsan: clang or llvm-symbolizer is missing"; exit 77; }
  tsan_tools
  LD_LIBRARY_PATH=$tools/usr/lib/x86_64-linux-gnu RUSTC=$tools/usr/bin/rustc RUSTFLAGS=-Zsanitizer=thread \
    CARGO_TARGET_DIR=$work cargo rustc --quiet -Zbuild-std --target "$triple" --features capi -p tu-token \
    --crate-type cdylib
  ln -sf libtu_token.so "$library/libtu_token.so.0"
  # Not those that share numbers between threads without atomics, as most tests do.
  [ $# -gt 0 ] || set -- races threads
  local program
  for program in "$@"; do
    link_for_tsan "$program" "$work/$program" "$library"
    # shellcheck disable=SC2046
    TSAN_OPTIONS=exitcode=99:suppressions=$PWD/tests/tsan.supp:external_symbolizer_path=$(command -v llvm-symbolizer) \
      run "$program" "$work/$program" $(arguments "$program")
  done
  tsan_of_a_host
}

# A program with the sanitizer, and the library as users have it: without packaging/tsan.supp, each of its locks would
# be a false report.
tsan_of_a_host() {
  CARGO_PROFILE_DEV_DEBUG=0 CARGO_TARGET_DIR=$work/plain cargo rustc --quiet --features capi -p tu-token \
    --crate-type cdylib
  ln -sf libtu_token.so "$work/plain/debug/libtu_token.so.0"
  link_for_tsan threads "$work/host" "$work/plain/debug"
  # shellcheck disable=SC2046
  TSAN_OPTIONS=exitcode=99:suppressions=$PWD/packaging/tsan.supp run host "$work/host" $(arguments threads)
}

# With the runtime of the compiler's own LLVM.
link_for_tsan() { # NAME PROGRAM DIRECTORY-OF-THE-LIBRARY
  local runtime=$tools/usr/lib/llvm-22/lib/clang/22/lib/linux/libclang_rt.tsan-x86_64.a
  clang -std=c11 -D_GNU_SOURCE -g -O1 -Iinclude -fsanitize=thread -c "tests/c/$1.c" -o "$2.o"
  clang "$2.o" -o "$2" -Wl,--whole-archive "$runtime" -Wl,--no-whole-archive "-Wl,--dynamic-list=$runtime.syms" \
    -L"$3" -ltu_token "-Wl,-rpath,$3" -lpthread -lrt -lm -ldl -lresolv
}

passed=0 failed=0
"$kind" "$@"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
