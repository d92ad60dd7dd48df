#!/usr/bin/env bash
# Builds the programs that `make bench` runs, and installs the peers: into target/bench, target/bench-venv and Go's
# module cache. A peer that cannot be installed costs its rows only; the reason becomes the row.
set -euo pipefail
cd "$(dirname "$0")/.."

out=$PWD/target/bench

# missing GROUP ROW LOG: the row says the last line of the log.
missing() {
  printf '%s\t%s\t1\t-\tnot available: %s\n' "$1" "$2" "$(tail -n 1 "$3" | tr '\t' ' ')" >>"$BENCH_RESULTS"
  echo "$2 is not available: $(tail -n 1 "$3")" >&2
}

programs_in_c() {
  local program libraries
  ln -sf ../release/libtu_token.so "$out/libtu_token.so.0"
  for program in cold/first cold/bare cold/curl cold/many cold/crowd growth/threads growth/clients growth/scopes \
      growth/sizes; do
    libraries=-lpthread
    [ "$program" != cold/curl ] || libraries=-lcurl
    # shellcheck disable=SC2086
    cc -std=c11 -O2 -D_GNU_SOURCE -Iinclude "benches/$program.c" -o "$out/$(basename "$program")" \
      -L target/release -Wl,-rpath,"$out" -ltu_token $libraries
  done
  c++ -std=c++17 -O2 -Iinclude -c benches/hit.cpp -o "$out/hit-cpp.o"
  cc -std=c11 -O2 -D_GNU_SOURCE -Iinclude -c benches/hit.c -o "$out/hit.o"
  c++ "$out/hit.o" "$out/hit-cpp.o" -o "$out/hit" -L target/release -Wl,-rpath,"$out" -ltu_token -lpthread
}

start() {
  cc -O2 -o "$out/start" benches/start.c -ldl
  cc -std=c11 -O2 -D_GNU_SOURCE -Wall -Wextra -o "$out/spawn" benches/spawn.c
  cargo build --quiet --release -p tu-token-cli
  # Copies, as an installation makes: the kernel holds what a linker has written in smaller pieces, each with a fault.
  cp target/release/libtu_token.so "$out/loaded.so"
  cp target/release/tu-token "$out/tu-token"
}

size_of_library() {
  strip -o "$out/stripped.so" target/release/libtu_token.so
  awk -v bytes="$(wc -c <"$out/stripped.so")" \
    'BEGIN {printf "size\tlibtu_token.so, stripped\t1\tMB\t%.6f\n", bytes / 1e6}' >>"$BENCH_RESULTS"
}

programs_in_rust() {
  local readers
  cargo build --quiet --release -p tu-token-benches
  readers=$(cargo bench --no-run --bench readers -p tu-token --message-format=json 2>/dev/null |
    sed -n 's/.*"executable":"\([^"]*readers[^"]*\)".*/\1/p')
  ln -sf "$readers" "$out/readers"
}

programs_in_go() {
  rm -f "$out"/go-hit "$out"/go-first "$out"/go-peers
  if ! command -v go >"$out/go.log" 2>&1; then
    echo "go is missing" >"$out/go.log"
    missing go "tutoken: Token" "$out/go.log"
    return
  fi
  rm -rf "$out/stage"
  PREFIX=$out/stage TARGET_DIR=target/release packaging/install.sh >/dev/null
  eval "$(scripts/go-env.sh "$out/stage/lib/pkgconfig" "$out/stage/lib")"
  (cd benches/go && go build -o "$out/go-hit" . && go build -o "$out/go-first" ./first) >"$out/go.log" 2>&1 ||
    missing go "tutoken: Token" "$out/go.log"
  (cd benches/go/peers && go build -o "$out/go-peers" .) >"$out/go.log" 2>&1 ||
    missing go "MSAL for Go" "$out/go.log"
}

programs_in_python() {
  local package venv=$PWD/target/bench-venv packages
  python3 -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 10))' >"$out/python.log" 2>&1 || {
    echo "Python 3.10 or later with its venv module is missing" >"$out/python.log"
    missing python "client.token()" "$out/python.log"
    return
  }
  packages=$(grep '==' benches/python/requirements.txt &&
    grep '^maturin==' bindings/python/tests/requirements.txt)
  if ! cmp -s <(echo "$packages") "$venv/packages.txt"; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    # One by one, so that one that cannot be installed is missing alone: its import says so later.
    for package in $packages; do
      "$venv/bin/pip" install --quiet --disable-pip-version-check "$package" >"$out/python.log" 2>&1 ||
        cat "$out/python.log" >&2
    done
    echo "$packages" >"$venv/packages.txt"
  fi
  rm -rf target/wheels/bench
  PATH=$venv/bin:$PATH VIRTUAL_ENV=$venv maturin build --release --manifest-path bindings/python/Cargo.toml \
    --out target/wheels/bench >"$out/python.log" 2>&1 || { cat "$out/python.log" >&2; exit 1; }
  "$venv/bin/pip" install --quiet --disable-pip-version-check --force-reinstall --no-deps target/wheels/bench/*.whl
}

# Last, because it takes longest.
peers_in_rust() {
  CARGO_TARGET_DIR=$out/rust-peers cargo build --quiet --release --locked \
    --manifest-path benches/rust-peers/Cargo.toml >"$out/rust.log" 2>&1 || missing rust "google-cloud-auth" "$out/rust.log"
}

programs_in_c
start
size_of_library
programs_in_rust
programs_in_go
programs_in_python
peers_in_rust
