#!/usr/bin/env bash
# `make asan`, `make tsan`: the library, built with a sanitizer, under the tests of C, C++ and Python.
#
#   tests/sanitizers.sh asan [PROGRAM...]   AddressSanitizer and LeakSanitizer; the program `python` is its whole suite
#   tests/sanitizers.sh tsan [PROGRAM...]   ThreadSanitizer, with Rust's standard library built the same way
#
# A report of a sanitizer ends its program with status 99. The logs stay in target/asan-logs or target/tsan-logs; builds
# and tools that were downloaded are removed afterwards (KEEP=1 keeps them). Exit status 77: something is missing here,
# and the last line says what.
set -euo pipefail
cd "$(dirname "$0")/.."

kind=$1
shift
work=$PWD/target/$kind logs=$PWD/target/$kind-logs tools=$PWD/target/tools/debian
triple=$(rustc -vV | sed -n 's/^host: //p')
library=$work/$triple/debug
export RUSTC_BOOTSTRAP=1 CARGO_PROFILE_DEV_DEBUG=line-tables-only
rm -rf "$logs"
mkdir -p "$work" "$logs"
[ -n "${KEEP:-}" ] || trap 'rm -rf "$work" "$tools"' EXIT

skip() {
  echo "SKIPPED: make $kind: $*"
  exit 77
}

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

# Debian's packages are unpacked below target/tools, not installed.
unpack() { # PACKAGE...
  local place package
  place=$(mktemp -d)
  if ! (cd "$place" && apt-get download "$@") >"$logs/tools.log" 2>&1; then
    rm -rf "$place"
    return 1
  fi
  mkdir -p "$tools"
  for package in "$place"/*.deb; do dpkg -x "$package" "$tools"; done
  rm -rf "$place"
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
  [ "$name" = python ] || programs=$((programs + 1))
  timeout 1200 scripts/emulator.sh "$@" >"$log" 2>&1 || status=$?
  if [ "$status" = 0 ]; then
    printf '%-16s %3s s  no finding\n' "$name" $((SECONDS - started))
  else
    printf '%-16s %3s s  status %s: %s\n' "$name" $((SECONDS - started)) "$status" "$log"
    grep -m3 -E 'ERROR: |WARNING: Thread|SUMMARY: ' "$log" || tail -n 3 "$log"
    failed+=("$name")
  fi
}

# --- AddressSanitizer ------------------------------------------------------------------------

asan() {
  [ -e "$(cc -print-file-name=libasan.so)" ] || skip "the runtime of the C compiler, libasan.so, is missing (Debian: libasan8)"
  # Not the programs that measure memory, or leave the process no threads: the sanitizer needs both.
  [ $# -gt 0 ] || set -- contract cpp-contract callbacks races threads cancels forks odd_forks handler_forks python
  RUSTFLAGS=-Zsanitizer=address CARGO_TARGET_DIR=$work cargo rustc --quiet --target "$triple" --features capi \
    -p tu-token --crate-type cdylib
  ln -sf libtu_token.so "$library/libtu_token.so.0"
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
    case $program in
      forks | odd_forks)
        if ! runtime_for_forks; then
          not_run+="${not_run:+, }$program"
          continue
        fi
        link_for_forks "$program"
        ;;
    esac
    # shellcheck disable=SC2046
    ASAN_OPTIONS=exitcode=99:detect_stack_use_after_return=1:detect_leaks=$leaks \
      run "$program" "$work/$program" $(arguments "$program")
  done
}

# GCC's runtime does not take its allocator's locks for a fork: a child in which one stayed held, because another thread
# was allocating, hangs. LLVM's has done so since version 17. (Not for `handler_forks`: a handler that has interrupted an
# allocation must not wait for its lock.)
runtime_for_forks() {
  runtime=$tools/usr/lib/llvm-22/lib/clang/22/lib/linux
  [ -e "$runtime/libclang_rt.asan-x86_64.so" ] || unpack libclang-rt-22-dev
}

link_for_forks() { # PROGRAM
  cc -std=c11 -D_GNU_SOURCE -g -O1 -Iinclude -fsanitize=address -fno-omit-frame-pointer -c "tests/c/$1.c" -o "$work/$1.o"
  cc "$work/$1.o" -o "$work/$1" -Wl,--no-as-needed "$runtime/libclang_rt.asan-x86_64.so" \
    -Wl,--whole-archive "$runtime/libclang_rt.asan_static-x86_64.a" -Wl,--no-whole-archive \
    -L"$library" -ltu_token "-Wl,-rpath,$library:$runtime" -lpthread
}

# The interpreter has no sanitizer, so the runtime is loaded before it, and the C++ library with it: the runtime finds
# that one's functions at the start or never, and some packages need it.
asan_of_python() {
  # This has said what is missing.
  (. bindings/python/tests/environment.sh) || { not_run+="${not_run:+, }Python's suite"; return 0; }
  # shellcheck source=bindings/python/tests/environment.sh
  . bindings/python/tests/environment.sh
  stage_python "$work/python"
  local reports=$logs/python-report
  # With its interceptor of tls_get_addr, GCC 12's runtime takes numbers for addresses, and crashes.
  local options=intercept_tls_get_addr=0
  ASAN_OPTIONS=exitcode=99:detect_leaks=1:log_path=$reports:$options SANITIZER_REPORTS=$reports \
    LSAN_OPTIONS=suppressions=$PWD/tests/lsan.supp:print_suppressions=0 \
    run python env PATH="$work/python/bin:$PATH" PYTHONPATH="$work/python" PYTHONMALLOC=malloc \
    LD_PRELOAD="$(cc -print-file-name=libasan.so) $(cc -print-file-name=libstdc++.so)" \
    python -m pytest -c bindings/python/pyproject.toml --rootdir bindings/python -p no:cacheprovider \
    -p sanitized --timeout 300 -q bindings/python/tests
  grep -h -m1 'ERROR: ' "$reports".* 2>/dev/null || true
  grep -E '^(NOT RUN|SKIPPED|FAILED|ERROR)[: ]' "$logs/python.log" | cut -c 1-200 || true
  python_tests=$(sed -n 's/^\([0-9]*\) passed, [0-9]* failed$/\1/p' "$logs/python.log")
}

# The package as it is installed, with this module.
stage_python() { # DIRECTORY
  local version
  RUSTFLAGS="-Zsanitizer=address -Cforce-frame-pointers=yes" CARGO_TARGET_DIR=$work \
    cargo build --quiet --target "$triple" -p tu-token-python
  version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
  rm -rf "$1"
  mkdir -p "$1/tu_token-$version.dist-info" "$1/bin"
  printf 'Metadata-Version: 2.1\nName: tu-token\nVersion: %s\n' "$version" >"$1/tu_token-$version.dist-info/METADATA"
  cp -r bindings/python/tu_token tests/sanitized.py "$1/"
  cp "$library/lib_native.so" "$1/tu_token/_native.abi3.so"
  # A test calls the compiler, which frees nothing at its end.
  printf '#!/bin/sh\nunset LD_PRELOAD\nexec "%s" "$@"\n' "$(command -v cc)" >"$1/bin/cc"
  chmod +x "$1/bin/cc"
}

# --- ThreadSanitizer -------------------------------------------------------------------------

# Without instrumented std every lock is a false report, so std is built too. That takes its source, which Debian has
# for its own compiler.
tsan_tools() {
  [ -x "$tools/usr/bin/rustc" ] ||
    unpack rustc-web rust-web-src libstd-rust-web-dev libstd-rust-web-1.96 libllvm22 libclang-rt-22-dev ||
    skip "Debian's rustc-web cannot be downloaded: $logs/tools.log"
}

tsan() {
  { command -v clang && command -v llvm-symbolizer; } >/dev/null || skip "clang or llvm-symbolizer is missing"
  # Not those that share numbers between threads without atomics, as most tests do.
  [ $# -gt 0 ] || set -- races threads
  tsan_tools
  LD_LIBRARY_PATH=$tools/usr/lib/x86_64-linux-gnu RUSTC=$tools/usr/bin/rustc RUSTFLAGS=-Zsanitizer=thread \
    CARGO_TARGET_DIR=$work cargo rustc --quiet -Zbuild-std --target "$triple" --features capi -p tu-token \
    --crate-type cdylib
  ln -sf libtu_token.so "$library/libtu_token.so.0"
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

failed=() programs=0 python_tests= not_run= runtime=
"$kind" "$@"
echo "make $kind: $programs C and C++ programs${python_tests:+, $python_tests Python tests}:" \
  "$([ ${#failed[@]} = 0 ] && echo "no finding" || echo "see what failed: ${failed[*]}")"
[ ${#failed[@]} = 0 ] || exit 1
[ -z "$not_run" ] || skip "$not_run could not be run"
