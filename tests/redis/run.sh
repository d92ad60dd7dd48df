#!/usr/bin/env bash
# Runs the tests of stores that take a minute each, all at the same time: fleets of processes, and a Redis server in
# trouble. One of the fleets has programs in C, Python and Go too: those that can be built here.
# Usage: tests/redis/run.sh [PART-OF-A-NAME...]
set -euo pipefail
cd "$(dirname "$0")/../.."

built=$PWD/target/redis
mkdir -p "$built"
programs=rust missing=

# lacks LANGUAGE WHY
lacks() {
  missing+="SKIPPED: no program in $1 among the processes: $2"$'\n'
}

# With the Redis store, which an installed library has only if it was built with it.
build_library() {
  cargo rustc --quiet -p tu-token --features capi,redis --crate-type cdylib
  cp target/debug/libtu_token.so "$built/libtu_token.so.0"
  ln -sf libtu_token.so.0 "$built/libtu_token.so"
}

c_program() {
  cc -std=c11 -D_GNU_SOURCE -g -O1 -Wall -Wextra -Wpedantic -Werror -Iinclude tests/redis/fleet.c -o "$built/fleet-c" \
    -L"$built" -ltu_token -Wl,-rpath,"$built"
  programs+=$'\n'"$built/fleet-c"
}

python_program() {
  (
    # shellcheck source=bindings/python/tests/environment.sh
    . bindings/python/tests/environment.sh
    rm -rf target/wheels/redis
    maturin build --quiet --manifest-path bindings/python/Cargo.toml --out target/wheels/redis
    [ -x "$built/venv/bin/python" ] || "$python" -m venv "$built/venv"
    "$built/venv/bin/pip" install --quiet --disable-pip-version-check --force-reinstall --no-deps target/wheels/redis/*.whl
  ) || { lacks Python "its module cannot be built"; return 0; }
  programs+=$'\n'"$built/venv/bin/python -W error $PWD/tests/redis/fleet.py"
}

go_program() {
  local version
  version=$(go env GOVERSION 2>/dev/null) || { lacks Go "go is missing"; return 0; }
  [[ $version =~ ^go1\.([0-9]+) && ${BASH_REMATCH[1]} -ge 24 ]] ||
    { lacks Go "go 1.24 is needed, this is $version"; return 0; }
  (
    eval "$(tests/go/library-env.sh "$built/go" "$built")"
    cd tests/redis/go
    go build -o "$built/fleet-go" .
  )
  programs+=$'\n'"env LD_LIBRARY_PATH=$built $built/fleet-go"
}

filters=("$@")
[ $# != 0 ] || filters=(redis:: crowd::)
build_library
c_program
python_program
go_program

# As many threads as there are tests: they wait most of the time.
FLEET_PROGRAMS=$programs cargo test --workspace --no-fail-fast --test integration -- \
  --ignored --test-threads=16 "${filters[@]}"
printf %s "$missing"
[ -z "$missing" ] || exit 77
