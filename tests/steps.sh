#!/usr/bin/env bash
# The steps of `make test` that take more than one command. The list of all steps is in tests/run.sh.
#
#   tests/steps.sh FUNCTION|COMMAND [ARGUMENT...]     runs a function of this file, or another command
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/emulator.sh
. tests/emulator.sh

have() {
  command -v "$1" >/dev/null 2>&1
}

# with_redis COMMAND...: runs tests of which some start a Redis server. Those that find none pass; libtest hides what
# they print, so it is said here. A server that outlives the tests fails the step.
with_redis() {
  local status=0
  if have redis-server; then
    :
  elif have valkey-server; then
    mkdir -p target/tools/valkey
    ln -sf "$(command -v valkey-server)" target/tools/valkey/redis-server
    PATH=$PWD/target/tools/valkey:$PATH
  else
    echo "SKIPPED: tests with a Redis server: neither redis-server nor valkey-server is installed"
  fi
  "$@" || status=$?
  ! redis_servers_of_this_step || { echo "these Redis servers were left running"; return 1; }
  return "$status"
}

# Those in the process group that `make test` gives to each step.
redis_servers_of_this_step() {
  local group
  [ -r /proc/self/stat ] || return 1
  group=$(awk '{print $5}' /proc/self/stat)
  cat /proc/[0-9]*/stat 2>/dev/null | awk -v group="$group" '
    $2 ~ /^\((redis|valkey)-server\)$/ && $5 == group && $3 != "Z" { print; found = 1 }
    END { exit !found }'
}

formatting() {
  cargo fmt --version >/dev/null 2>&1 || { echo "SKIPPED: this toolchain has no rustfmt"; exit 77; }
  cargo fmt --all --check
}

lints() {
  cargo clippy --version >/dev/null 2>&1 || { echo "SKIPPED: this toolchain has no clippy"; exit 77; }
  cargo clippy --workspace --all-targets -- -D warnings
  # The whole workspace again, so that the crates it uses are not checked with other features.
  cargo clippy --workspace --all-targets --features tu-token/capi,tu-token/test-clock,tu-token-conformance/testee \
    -- -D warnings
  # The workspace has the Redis store; the library alone has not.
  cargo clippy -p tu-token --lib --features capi -- -D warnings
}

# With the features of the whole workspace otherwise, so that little is built anew.
command_without_emulator() {
  cargo test --workspace --no-default-features --test integration commands::
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
  # In a place of its own: the compilers share nothing, and would wait for each other.
  cargo "+$oldest" check --locked -p tu-token -p tu-token-python -p tu-token-cli --no-default-features \
    --features tu-token/capi --target-dir target/oldest-rust
}

# With a little optimisation: the tests run in half the time, which is more than compiling takes in addition.
schedules_explored() {
  cargo test --config 'profile.dev.package.tu-token.opt-level=1' -p tu-token --features __shuttle --lib schedules
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

# Installs what `make library` has built where the tests below find it.
stage_package() {
  rm -rf target/stage
  PREFIX=$PWD/target/stage TARGET_DIR=target/release packaging/install.sh
}

all_c_programs="contract callbacks allocations instructions threads own_clock environment print_token forks handler_forks
  odd_forks realtime_forks random_forks cancels shortage scarcity odd_files surroundings slow_parts many_clients soak
  cpp-contract quickstart fleet pages"

# Builds the C tests against the installed package, once as C and once as C++: those named by C_PROGRAMS, or all.
build_c_tests() {
  [ -n "${C_PROGRAMS:-}" ] || rm -rf target/c-tests
  mkdir -p target/c-tests
  export PKG_CONFIG_PATH=$PWD/target/stage/lib/pkgconfig
  local program flags
  flags="-D_GNU_SOURCE -g -O1 -Wall -Wextra -Wpedantic -Werror $(pkg-config --cflags --libs tu_token) -Wl,-rpath,$PWD/target/stage/lib -lpthread"
  for program in ${C_PROGRAMS:-$all_c_programs}; do
    case $program in
      cpp-contract) build_cpp_contract ;;
      quickstart | fleet | pages) "build_$program" ;;
      *) build_c_test "$program" ;;
    esac
  done
}

build_c_test() {
  # shellcheck disable=SC2086
  cc -std=c11 "tests/c/$1.c" -o "target/c-tests/$1" $flags
  # shellcheck disable=SC2086
  c++ -std=c++17 -x c++ "tests/c/$1.c" -x none -o "target/c-tests/$1++" $flags
}

# Together with a file without exceptions: that must not keep the other's from being thrown.
build_cpp_contract() {
  # shellcheck disable=SC2086
  c++ -std=c++17 -fno-exceptions -Dmain=not_called -c tests/header/no_exceptions.cpp \
    -o target/c-tests/no_exceptions.o $flags
  # shellcheck disable=SC2086
  c++ -std=c++17 target/c-tests/no_exceptions.o tests/cpp/contract.cpp \
    -o target/c-tests/cpp-contract $flags
}

build_quickstart() {
  # shellcheck disable=SC2046,SC2086
  cc -std=c11 examples/c/quickstart.c -o target/c-tests/quickstart $flags $(pkg-config --cflags --libs libcurl)
}

build_fleet() {
  # shellcheck disable=SC2046,SC2086
  c++ -std=c++17 examples/cpp/fleet.cpp -o target/c-tests/fleet $flags $(pkg-config --cflags --libs libcurl)
}

# The programs in the pages compile as they stand there.
build_pages() {
  local source
  flags="$flags $(pkg-config --cflags --libs libcurl)"
  rm -rf target/c-tests/pages
  for source in $(scripts/code-blocks.sh c target/c-tests/pages); do
    # shellcheck disable=SC2086
    cc -std=c11 "$source" -o "${source%.c}-c" $flags
  done
  for source in $(scripts/code-blocks.sh cpp target/c-tests/pages); do
    # shellcheck disable=SC2086
    c++ -std=c++17 "$source" -o "${source%.cpp}-cpp" $flags
  done
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

# `make library REDIS=1`, but not optimised, which takes minutes: the same exports and SONAME, and two C programs with
# one token between them.
c_with_redis() {
  have redis-server || return 77
  cargo rustc -p tu-token --features capi,redis --crate-type cdylib
  mkdir -p target/with-redis
  cp target/debug/libtu_token.so target/with-redis/libtu_token.so.0
  MOST_BYTES=none packaging/check-exports.sh target/with-redis/libtu_token.so.0
  scripts/emulator.sh tests/c/with_redis.sh target/with-redis target/c-tests/print_token
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

allocations_of_a_hit() {
  target/c-tests/allocations && target/c-tests/allocations++
}

instructions_of_a_hit() {
  need_valgrind
  tests/instructions.sh
}

clock_of_the_program() {
  target/c-tests/own_clock && target/c-tests/own_clock++
}

environment_of_the_program() {
  target/c-tests/environment && target/c-tests/environment++
}

cancelled_waits() {
  # The aim is a median of 50 ms.
  target/c-tests/cancels 1000 100 500
}

shortage_of_threads() {
  target/c-tests/shortage && target/c-tests/shortage++
}

tls_front=target/debug/examples/tls-front

# `make forks` makes more.
forks_at_random_points() {
  $tls_front target/c-tests/random_forks 1000
}

scarcity() {
  $tls_front target/c-tests/scarcity
}

odd_files() {
  $tls_front target/c-tests/odd_files && $tls_front target/c-tests/surroundings
}

slow_parts() {
  target/c-tests/slow_parts
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
  cargo test -p tu-token-conformance --features testee --target-dir target/conformance
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

# The environment that the steps for Python share.
python_tools() {
  (. bindings/python/tests/environment.sh)
}

# Types, then the tests of the module as a user would have it.
python_module() {
  bindings/python/tests/run.sh
}

python_installed() {
  bindings/python/tests/install.sh
}

# Builds the Python module if it is not installed, or is older than its sources.
# The Python module is installed into a directory of its own: other steps use the environment at the same time.
secrecy() {
  have openssl || { echo "SKIPPED: openssl is missing"; exit 77; }
  # shellcheck source=bindings/python/tests/environment.sh
  . bindings/python/tests/environment.sh
  rm -rf target/wheels/secrecy target/secrecy
  maturin build --quiet --manifest-path bindings/python/Cargo.toml --out target/wheels/secrecy
  pip install --quiet --disable-pip-version-check --no-deps --target target/secrecy/python target/wheels/secrecy/*.whl
  tests/secrecy/run.py
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
  # In the whole workspace, where the crates have been built with the same features.
  local file tests=()
  for file in tests/browser/tests/*.rs; do tests+=(--test "$(basename "$file" .rs)"); done
  cargo test --workspace "${tests[@]}" -- --ignored --test-threads=1
}

# The binding says for each of them what it needs, and skips what cannot be run here.
go_binding() {
  tests/go/run.sh "$1"
}

"$@"
