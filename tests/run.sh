#!/usr/bin/env bash
# `make test`: every check, one line each, and at the end what the runners counted.
#
# The output of a step goes to target/test-logs; it is shown when the step fails. A step that exits
# with 77 could not be run here; with CI=true that is a failure.
set -uo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/emulator.sh
. tests/emulator.sh

logs=target/test-logs
failed=() skipped=() summaries=()
bound=${TEST_STEP_SECONDS:-1800}

# step NAME COMMAND...: runs a command, at most a bounded time, without an input.
step() {
  local name=$1 status=0 from=$SECONDS log
  log=$logs/$(tr -c 'a-z0-9\n' '-' <<<"$name").log
  shift
  printf '%-44s ' "$name"
  # In the background, so that Ctrl-C ends this script at once and the step with it.
  timeout --kill-after=10 "$bound" "$@" >"$log" 2>&1 </dev/null &
  running=$!
  wait "$running" || status=$?
  running=
  while IFS= read -r line; do summaries+=("$name: $line"); done \
    < <(grep -E '^(test result: |[0-9]+ passed, [0-9]+ failed)' "$log")
  while IFS= read -r line; do skipped+=("$name: ${line#SKIPPED: }"); done \
    < <(grep '^SKIPPED: ' "$log")
  case $status in
    0) echo "ok ($((SECONDS - from)) s)" ;;
    77) echo "skipped" ;;
    *)
      echo "FAILED ($status)"
      failed+=("$name")
      tail -n 60 "$log" | sed 's/^/    /'
      ;;
  esac
}

have() {
  command -v "$1" >/dev/null 2>&1
}

formatting() {
  cargo fmt --version >/dev/null 2>&1 || { echo "SKIPPED: this toolchain has no rustfmt"; exit 77; }
  cargo fmt --all --check
}

lints() {
  cargo clippy --version >/dev/null 2>&1 || { echo "SKIPPED: this toolchain has no clippy"; exit 77; }
  cargo clippy --workspace --all-targets -- -D warnings
  cargo clippy -p tu-token --all-targets --features capi,test-clock -- -D warnings
  cargo clippy -p tu-token-conformance --all-targets --features testee -- -D warnings
}

# With the features of the whole workspace otherwise, so that little is built anew.
command_without_emulator() {
  cargo test --workspace --no-default-features --quiet --test commands
  local inside
  inside=$(cargo tree -p tu-token-cli --no-default-features -e normal --prefix none)
  ! grep -E '^(axum|hyper|tokio) ' <<<"$inside"
}

# The lowest Rust version. Where it cannot be had, clippy alone has looked: it knows what the standard library had by
# then, but not the language.
oldest_rust() {
  local oldest
  oldest=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml).0
  rustup run "$oldest" rustc --version ||
    rustup toolchain install "$oldest" --profile minimal --no-self-update ||
    { echo "no Rust $oldest is to be had here"; return 0; }
  cargo "+$oldest" check --locked -p tu-token -p tu-token-python -p tu-token-cli --no-default-features \
    --features tu-token/capi
}

# What would go to a registry: every file and version that a package needs is there. Nothing is sent, and nothing
# built: the test of the Rust example has done that.
packages_of_crates() {
  cargo package -p tu-token -p tu-token-emulator -p tu-token-cli --no-verify --allow-dirty --target-dir target/crates
  local crate
  for crate in tu-token tu-token-emulator tu-token-cli; do
    tar -tf target/crates/package/$crate-[0-9]*.crate >target/crates/list
    grep -q '/LICENSE-APACHE$' target/crates/list && grep -q '/LICENSE-MIT$' target/crates/list ||
      { echo "$crate is packed without its licences"; return 1; }
  done
}

# The workflow of a public CI, which calls the targets of the Makefile.
workflow() {
  local tools=$PWD/target/tools
  [ -x "$tools/actionlint" ] ||
    GOBIN=$tools go install github.com/rhysd/actionlint/cmd/actionlint@v1.7.12 ||
    { echo "SKIPPED: workflow: actionlint cannot be had (it takes Go 1.24 or later and the module proxy)"; exit 77; }
  "$tools/actionlint" -no-color .github/workflows/*.yml
  local target
  grep -o 'make [a-z-]*' .github/workflows/*.yml | while read -r _ target; do
    make -n "$target" >/dev/null || { echo "no target $target"; exit 1; }
  done
}

header_drift() {
  local fresh=$PWD/target/header/tu_token.h
  mkdir -p "$(dirname "$fresh")"
  rm -f "$fresh"
  touch cbindgen.toml # so that the build script runs
  TU_TOKEN_HEADER=$fresh cargo check --features capi,__header -p tu-token
  diff -u include/tu_token.h "$fresh" || { echo "the header has drifted: run \`make header\`"; exit 1; }
}

exports() {
  packaging/check-exports.sh target/release/libtu_token.so
}

# Builds the C tests against the installed package, once as C and once as C++.
build_c_tests() {
  rm -rf target/stage target/c-tests
  mkdir -p target/c-tests
  PREFIX=$PWD/target/stage TARGET_DIR=target/release packaging/install.sh
  export PKG_CONFIG_PATH=$PWD/target/stage/lib/pkgconfig
  local flags
  flags="-D_GNU_SOURCE -g -O1 -Wall -Wextra -Wpedantic -Werror $(pkg-config --cflags --libs tu_token) -Wl,-rpath,$PWD/target/stage/lib -lpthread"
  for program in contract callbacks threads print_token forks handler_forks odd_forks realtime_forks cancels shortage many_clients soak; do
    # shellcheck disable=SC2086
    cc -std=c11 tests/c/$program.c -o target/c-tests/$program $flags
    # shellcheck disable=SC2086
    c++ -std=c++17 -x c++ tests/c/$program.c -x none -o target/c-tests/$program++ $flags
  done
  # Together with a file without exceptions: that must not keep the other's from being thrown.
  # shellcheck disable=SC2086
  c++ -std=c++17 -fno-exceptions -Dmain=not_called -c tests/header/no_exceptions.cpp \
    -o target/c-tests/no_exceptions.o $flags
  # shellcheck disable=SC2086
  c++ -std=c++17 target/c-tests/no_exceptions.o tests/cpp/contract.cpp \
    -o target/c-tests/cpp-contract $flags
  # shellcheck disable=SC2046,SC2086
  {
    flags="$flags $(pkg-config --cflags --libs libcurl)"
    cc -std=c11 examples/c/quickstart.c -o target/c-tests/quickstart $flags
    c++ -std=c++17 examples/cpp/fleet.cpp -o target/c-tests/fleet $flags
    # The programs in the pages are such that compile.
    for source in $(scripts/code-blocks.sh c target/c-tests/pages); do
      cc -std=c11 "$source" -o "${source%.c}-c" $flags
    done
    for source in $(scripts/code-blocks.sh cpp target/c-tests/pages); do
      c++ -std=c++17 "$source" -o "${source%.cpp}-cpp" $flags
    done
  }
}

# Every program of the pages ends well beside an emulator, and with 1 if there is no token to be had.
programs_of_the_pages() {
  local program status count=0
  for program in target/c-tests/pages/*-c target/c-tests/pages/*-cpp; do
    "$program"
    status=0
    TRACKUNIT_CLIENT_SECRET=wrong "$program" || status=$?
    [ "$status" = 1 ] || { echo "$program ends with $status without a token"; return 1; }
    count=$((count + 1))
  done
  echo "$count passed, 0 failed"
}

cpp_contract() {
  target/c-tests/cpp-contract
}

# Where a page for people answers in the place of the API, an example fails, and says why.
fails_at_a_page() {
  local said
  fault '{"route":"/api/asset","html":true,"count":1}'
  ! said=$("$@" 2>&1) || { echo "$* takes a page for an answer: $said"; return 1; }
  echo "$said"
  grep -q 'not in JSON' <<<"$said"
}

fleet_example() {
  test "$(target/c-tests/fleet)" = "42 machines; token requests: 1"
  fault '{"route":"/api/asset","reject_v2":true,"count":1}'
  test "$(target/c-tests/fleet)" = "42 machines; token requests: 2"
  test "$(IRIS_URL=$EMULATOR_URL/ target/c-tests/fleet)" = "42 machines; token requests: 1"
  fails_at_a_page target/c-tests/fleet
}

contract() {
  scripts/emulator.sh target/c-tests/contract && scripts/emulator.sh target/c-tests/contract++
}

callbacks() {
  scripts/emulator.sh target/c-tests/callbacks && scripts/emulator.sh target/c-tests/callbacks++
}

one_request_for_64_threads() {
  fault '{"delay":"200ms"}'
  # 300 ms is the aim, measured by hand; a busy machine gets ten times that.
  target/c-tests/threads 64 0 3000 && exactly 1
}

one_request_for_100_refusals() {
  TRACKUNIT_CLIENT_SECRET=wrong target/c-tests/threads 100 300 3000 && exactly 1
}

forked_children() {
  target/c-tests/forks 200
}

forks_in_signal_handlers() {
  target/c-tests/handler_forks 500 && target/c-tests/handler_forks++ 50
}

forks_at_odd_moments() {
  target/c-tests/odd_forks 40
}

forks_of_a_realtime_thread() {
  target/c-tests/realtime_forks 300
}

cancelled_waits() {
  # The aim is a median of 50 ms.
  target/c-tests/cancels 1000 100 500
}

shortage_of_threads() {
  target/c-tests/shortage && target/c-tests/shortage++
}

cold_clients() {
  target/c-tests/many_clients cold 10000
}

warm_clients() {
  target/c-tests/many_clients warm 10000
}

quickstart_repeats_after_401() {
  target/c-tests/quickstart
  exactly 1
  # A token that the API refuses once: the program gets another and asks again.
  fault '{"route":"/api/asset","reject_v2":true,"count":1}'
  target/c-tests/quickstart
  exactly 3
  # One that the API refuses twice: the program ends with the refusal. What the library is told of it
  # comes as an event, perhaps after the program's end, so it is looked for among the calls.
  fault '{"route":"/api/asset","reject_v2":true,"count":2}'
  local said
  ! said=$(target/c-tests/quickstart 2>&1)
  echo "$said"
  exactly 5
  grep -q 'answered 401' <<<"$said"
  grep -q 'tu_client_api_refused' <<<"$(nm -u target/c-tests/quickstart)"
  # No token goes to a host that is not among api_hosts.
  ! said=$(IRIS_URL=https://iris.trackunit.com.example/ target/c-tests/quickstart 2>&1)
  echo "$said"
  exactly 5
  grep -q 'a token is not sent to https://iris.trackunit.com.example/' <<<"$said"
  fails_at_a_page target/c-tests/quickstart
}

memcheck="valgrind --error-exitcode=9 --fair-sched=yes"
memcheck_leaks="$memcheck --leak-check=full --errors-for-leak-kinds=definite --show-leak-kinds=definite"

need_valgrind() {
  have valgrind || { echo "SKIPPED: valgrind is missing"; exit 77; }
}

no_leak() {
  need_valgrind
  $memcheck_leaks "$@"
}

memcheck_contract() {
  no_leak target/c-tests/contract
}

# As a program outside the workspace is built: with its own list of dependencies. A panic ends it, which is
# refused to the C ABI alone. Nothing is warned of, and no library for C is made beside it.
rust_example() {
  local built=target/examples-rust said others
  local cargo="--locked --manifest-path examples/rust/Cargo.toml --target-dir $built"
  export CARGO_PROFILE_DEV_PANIC=abort
  said=$(cargo build $cargo 2>&1) || { echo "$said"; return 1; }
  if grep '^warning' <<<"$said"; then return 1; fi
  others=$(find "$built" -name 'libtu_token*.so' -o -name 'libtu_token*.a' -o -name 'libtu_token*.dylib')
  [ -z "$others" ] || { echo "made beside a program: $others"; return 1; }
  local run="cargo run --quiet $cargo"
  fault '{"route":"/api/asset","reject_v2":true,"count":1}'
  $run >target/examples-rust.out
  diff target/examples-rust.out - <<<"42 assets
20 machines on the fleet's first page"
  exactly 3
  fails_at_a_page $run
}

memcheck_cpp() {
  no_leak target/c-tests/cpp-contract
}

memcheck_threads() {
  no_leak target/c-tests/threads 16 0 60000
}

memcheck_cancelled_waits() {
  no_leak target/c-tests/cancels 64 16 60000
}

# A child has lost the parent's threads, and what they alone knew of: leaks are not looked for.
memcheck_forked_children() {
  need_valgrind
  $memcheck --leak-check=no target/c-tests/forks 10
}

memcheck_forks_at_odd_moments() {
  need_valgrind
  $memcheck --leak-check=no target/c-tests/handler_forks 10
  $memcheck --leak-check=no target/c-tests/odd_forks 8
}

# A suite that cannot fail is worth nothing.
conformance_can_fail() {
  cargo test -p tu-token-conformance --features testee --quiet
}

conformance() {
  tests/conformance/run.sh "$1"
}

memcheck_conformance() {
  need_valgrind
  TESTEE_UNDER="$memcheck_leaks -q" tests/conformance/run.sh c
}

foreign_server() {
  have npm || { echo "SKIPPED: npm is missing, so is the authorization server we did not write"; exit 77; }
  tests/peers/oidc-provider/run.sh target/c-tests/print_token
}

# Types, then the tests of the module as a user would have it.
python_module() {
  bindings/python/tests/run.sh
}

python_installed() {
  bindings/python/tests/install.sh
}

# What users download, for this machine: packed from what the steps above have built, and used.
dist_host() {
  tests/dist/host.sh
}

dist_refusals() {
  tests/dist/refusals.sh
}

page_in_a_browser() {
  local program
  for program in chromedriver chromium; do
    have "$program" || { echo "SKIPPED: browser: $program is missing"; exit 77; }
  done
  cargo test -p tu-token-browser-tests --quiet -- --ignored --test-threads=1
}

# The binding says for each of them what it needs, and skips what cannot be run here.
go_binding() {
  tests/go/run.sh "$1"
}

# A step that is a function runs in a copy of this script, so that it can be timed out.
if [ "${1:-}" = --function ]; then
  set -e
  shift
  "$@"
  exit
fi

alone() {
  step "$1" tests/run.sh --function "${@:2}"
}

beside() {
  step "$1" scripts/emulator.sh tests/run.sh --function "${@:2}"
}

running=
trap '[ -z "$running" ] || kill "$running"; exit 130' INT TERM
rm -rf "$logs" && mkdir -p "$logs"
alone "formatting" formatting
alone "lints" lints
step "rust: unit and integration tests" cargo test --workspace --quiet
alone "command: without the emulator" command_without_emulator
alone "rust: packages of the crates" packages_of_crates
alone "rust: the oldest compiler" oldest_rust
step "rust: the same core with the C ABI" cargo test -p tu-token --features capi --lib --quiet
step "rust: schedules of threads, explored" cargo test -p tu-token --features __shuttle --lib --quiet schedules
step "rust: faults put in on purpose, the list" tests/faults.sh check
alone "public CI: the workflow" workflow
alone "header: as generated" header_drift
step "build: release library" make --no-print-directory library
step "build: emulator" cargo build -p tu-token-emulator
alone "library: exports, size, SONAME" exports
step "header: C99 to C17, C++17 to C++23" tests/header/check.sh
step "package: install, pkg-config, CMake" tests/install/run.sh
alone "c: build against the package" build_c_tests
alone "c and c++: the contract" contract
alone "c and c++: callbacks that misbehave" callbacks
beside "c and c++: the pages' programs" programs_of_the_pages
beside "c: 64 threads, one request" one_request_for_64_threads
beside "c: 100 refusals, one request" one_request_for_100_refusals
beside "c: children of a busy process" forked_children
beside "c: forks in signal handlers" forks_in_signal_handlers
beside "c: forks at odd moments" forks_at_odd_moments
alone "c: forks of a real-time thread" forks_of_a_realtime_thread
beside "c: 1,000 waits, most of them cancelled" cancelled_waits
beside "c and c++: no thread to be had" shortage_of_threads
beside "c: 10,000 clients, all cold at once" cold_clients
beside "c: 10,000 clients renewing" warm_clients
beside "c: quickstart, once more after a 401" quickstart_repeats_after_401
beside "c++: the contract" cpp_contract
beside "c++: the example, once more after a 401" fleet_example
beside "rust: the example, once more after a 401" rust_example
beside "c: memcheck, the contract" memcheck_contract
beside "c++: memcheck, the contract" memcheck_cpp
beside "c: memcheck, threads" memcheck_threads
beside "c: memcheck, cancelled waits" memcheck_cancelled_waits
beside "c: memcheck, forked children" memcheck_forked_children
beside "c: memcheck, forks at odd moments" memcheck_forks_at_odd_moments
alone "go: gofmt, vet, modules" go_binding style
alone "go: tests, race detector" go_binding tests
alone "go: cgocheck2, GOGC=1" go_binding checked
alone "go: a clock that is turned, race detector" go_binding clock
alone "the project's home: everything moves along" tests/home/run.sh
alone "go: without cgo" go_binding without_cgo
alone "go: vendored, shared and static" go_binding vendored
alone "go: the pages' programs" go_binding pages
beside "go: the example, once more after a 401" go_binding example
alone "conformance: that it can fail" conformance_can_fail
alone "conformance: rust" conformance rust
alone "conformance: c" conformance c
alone "conformance: c++" conformance cpp
alone "conformance: python" conformance python
alone "conformance: go" conformance go
alone "conformance: memcheck, c" memcheck_conformance
alone "a certified authorization server" foreign_server
alone "emulator: its page in a browser" page_in_a_browser
beside "python: types, tests, documents, examples" python_module
beside "python: wheel and source distribution" python_installed
alone "dist: what it says if something is missing" dist_refusals
alone "dist: packages and archives of this machine" dist_host

echo
printf '%s\n' "${summaries[@]}"
total_passed=$(printf '%s\n' "${summaries[@]}" | grep -oE '[0-9]+ passed' | awk '{sum += $1} END {print sum + 0}')
total_failed=$(printf '%s\n' "${summaries[@]}" | grep -oE '[0-9]+ failed' | awk '{sum += $1} END {print sum + 0}')
for line in ${skipped[@]+"${skipped[@]}"}; do echo "SKIPPED: $line"; done
for name in ${failed[@]+"${failed[@]}"}; do echo "FAILED: $name (see $logs)"; done
# A step that fails without a count of its own counts as one.
[ "${#failed[@]}" -gt 0 ] && [ "$total_failed" = 0 ] && total_failed=${#failed[@]}
echo "$total_passed passed, $total_failed failed, ${#skipped[@]} skipped"
[ "${#failed[@]}" = 0 ] || exit 1
if [ "${CI:-}" = true ] && [ "${#skipped[@]}" -gt 0 ]; then
  echo "With CI=true nothing may be skipped."
  exit 1
fi
