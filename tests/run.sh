#!/usr/bin/env bash
# `make test`: runs every check, one line each, and ends with what failed and why.
#
#   tests/run.sh                        every step
#   tests/run.sh 'c: memcheck'          the steps whose names contain this, and what they need; make test ONLY='...'
#   tests/run.sh 'go: tests|python'     several patterns; `*` matches anything, case is ignored
#   tests/run.sh --list [PATTERN]       lists the steps with their time at the last run; make test LIST=1
#
# Two steps run at a time, as far as their needs allow (JOBS=1: one); the line of each is printed when it ends. The
# output of a step goes to target/test-logs. Exit status 77 of a step means that it cannot run here; with CI=true that
# is a failure. TEST_STEP_SECONDS is the time limit of a step, 900 by default; slow ones have twice that.
set -uo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/runner/choose.sh
. tests/runner/choose.sh
# shellcheck source=tests/runner/lanes.sh
. tests/runner/lanes.sh
# shellcheck source=tests/runner/report.sh
. tests/runner/report.sh

logs=target/test-logs times=target/test-times bound=${TEST_STEP_SECONDS:-900}

# --- The steps. tests/runner/choose.sh explains the words in the second column; the functions are in tests/steps.sh.

step "make test: what it chooses and reports" "" tests/runner/check.sh
step "make test: two steps at a time" "" tests/runner/check-lanes.sh
step "formatting" "" formatting
step "lints" "slow cargo" lints
step "rust: build of the tests" "slow cargo binary" cargo test --workspace --no-run
step "rust: unit tests" "cargo redis-server" with_redis cargo test --workspace --no-fail-fast --lib --bins
# The conformance suite's test needs a feature: it is a step below.
step "rust: integration tests" "shells redis-server cargo binary" \
  with_redis cargo test --workspace --exclude tu-token-conformance --no-fail-fast --test '*'
# What takes a minute each: those tests are ignored otherwise.
step "redis: fleets, and a server in trouble" "redis-server venv go slow cargo binary" with_redis tests/redis/run.sh
step "rust: documentation" "cargo" cargo test --workspace --no-fail-fast --doc
step "command: without the emulator" "cargo binary" command_without_emulator
step "rust: packages of the crates" "" packages_of_crates
step "rust: the oldest compiler" "" oldest_rust
step "rust: the same core with the C ABI" "cargo" cargo test -p tu-token --features capi --lib
step "rust: schedules of threads, explored" "slow cargo" schedules_explored
step "rust: faults put in on purpose, the list" "" tests/faults.sh check
step "public CI: the workflow" "go" workflow
step "header: as generated" "cargo" header_drift
build venv "build: Python's tools" "python" python_tools
build library "build: release library" "slow" make --no-print-directory library REDIS=0
# Together with the example and in the whole workspace, crates have the features that the tests give them. Otherwise
# cargo would build many of them twice.
build emulator "build: emulator" "cargo" cargo build --workspace --bin tu-token-emulator --example tls-front
build front "build: TLS in front of the emulator" "cargo" cargo build --workspace --example tls-front
build stage "build: installed package" "library" stage_package
step "library: exports, size, SONAME" "library binutils" exports
step "header: C99 to C17, C++17 to C++23" "c++ clang" tests/header/check.sh
step "package: install, pkg-config, CMake" "library c++ cmake pkg-config" tests/install/run.sh
step "abi: lists, baseline, dlopen, copies" "stage emulator binutils abigail python" tests/abi/run.sh
build programs "c: build against the package" "stage c++ pkg-config libcurl" build_c_tests
step "c and c++: the contract" "emulator c/contract" contract
step "c and c++: callbacks that misbehave" "emulator c/callbacks" callbacks
step "c and c++: the pages' programs" "service c/pages" programs_of_the_pages
step "c: a library with the Redis store" "emulator redis-server c/print_token binutils slow cargo" with_redis c_with_redis
step "c: 64 threads, one request" "service c/threads" one_request_for_64_threads
step "c: 100 refusals, one request" "service c/threads" one_request_for_100_refusals
step "c: children of a busy process" "service c/forks" forked_children
step "c: forks in signal handlers" "service c/handler_forks" forks_in_signal_handlers
step "c: forks at odd moments" "service c/odd_forks" forks_at_odd_moments
step "c: forks of a real-time thread" "c/realtime_forks" forks_of_a_realtime_thread
step "c: what a hit allocates" "service c/allocations" allocations_of_a_hit
step "c: instructions of a hit" "emulator c/instructions valgrind" instructions_of_a_hit
step "c: a program with a clock of its own" "service c/own_clock" clock_of_the_program
step "c: a program that changes its environment" "service c/environment" environment_of_the_program
step "c: 1,000 waits, most of them cancelled" "service c/cancels" cancelled_waits
step "c and c++: no thread to be had" "service c/shortage" shortage_of_threads
step "c: forks at random points" "service front c/random_forks" forks_at_random_points
step "c: no threads, no descriptors, at each place" "service front c/scarcity" scarcity
step "c: odd files, a full disk, chroot" "service front c/odd_files c/surroundings" odd_files
step "c: slow functions, a frozen endpoint" "c/slow_parts" slow_parts
step "c: 10,000 clients, all cold at once" "service c/many_clients" cold_clients
step "c: 10,000 clients renewing" "service c/many_clients" warm_clients
step "c: quickstart, once more after a 401" "service c/quickstart binutils" quickstart_repeats_after_401
step "c: examples, CMake project, systemd unit" "stage service cmake libcurl" tests/c/examples.sh
step "c++: the contract" "service c/cpp-contract" cpp_contract
step "c++: the example, once more after a 401" "service c/fleet" fleet_example
step "rust: the example, once more after a 401" "service" rust_example
step "c: memcheck, the contract" "service c/contract valgrind" memcheck_contract
step "c++: memcheck, the contract" "service c/cpp-contract valgrind" memcheck_cpp
step "c: memcheck, threads" "service c/threads valgrind" memcheck_threads
step "c: memcheck, cancelled waits" "service c/cancels valgrind" memcheck_cancelled_waits
step "c: memcheck, forked children" "service c/forks valgrind" memcheck_forked_children
step "c: memcheck, forks at odd moments" "service c/handler_forks c/odd_forks valgrind" memcheck_forks_at_odd_moments
step "go: gofmt, vet, modules" "stage go" go_binding style
step "go: tests, race detector" "stage go" go_binding tests
step "go: cgocheck2, GOGC=1" "stage go slow" go_binding checked
step "go: a clock that is turned, race detector" "go" go_binding clock
step "the project's home: everything moves along" "stage go python" tests/home/run.sh
step "go: without cgo" "stage go" go_binding without_cgo
step "go: vendored, shared and static" "stage emulator go binutils" go_binding vendored
step "go: the pages' programs" "stage emulator go" go_binding pages
step "go: the example, once more after a 401" "stage service go" go_binding example
step "conformance: that it can fail" "" conformance_can_fail
step "conformance: rust" "" conformance rust
step "conformance: c" "json" conformance c
step "conformance: c++" "c++ json" conformance cpp
step "conformance: python" "venv" conformance python
step "conformance: go" "go" conformance go
step "conformance: memcheck, c" "json valgrind" memcheck_conformance
step "a certified authorization server" "c/print_token" foreign_server
step "emulator: its page in a browser" "browser cargo" page_in_a_browser
step "python: types, tests, documents, examples" "service front venv python-servers redis-server" python_module
build wheel "python: wheel and source distribution" "service venv slow" python_installed
step "dist: what it says if something is missing" "go python" dist_refusals
build command "build: command" "cargo binary" \
  cargo build --workspace --bin tu-token --example tls-front --features tu-token-cli/__man
step "secrecy: output, stores, a core dump" "stage command venv binary" secrecy
step "dist: packages and archives of this machine" \
  "library emulator wheel command c++ cmake go packages slow binary" dist_host

# ---

pattern=${1:-} listing=
if [ "$pattern" = --list ]; then listing=1 pattern=${2:-}; fi
if ! choose "$pattern"; then
  echo "No step has '$pattern' in its name." >&2
  near=$(near_names "$pattern")
  [ -z "$near" ] || printf 'Near it:\n%s\n' "$near" >&2
  echo "make test LIST=1 lists them all." >&2
  exit 2
fi
[ -z "$listing" ] || { list; exit; }

if [ -z "$pattern" ]; then
  tools=test
else
  tools="$(tools_needed)" C_PROGRAMS=$(programs_needed)
  export C_PROGRAMS
fi
# shellcheck disable=SC2086
scripts/setup.sh base $tools || exit
trap interrupted INT TERM HUP QUIT
own_logs || exit 2
run_steps
report
