#!/usr/bin/env bash
# `make bench`: compares the hot path with alternatives, each table in one run.
set -euo pipefail
cd "$(dirname "$0")/.."

mkdir -p target/bench
export BENCH_RESULTS=$PWD/target/bench/results.tsv
rm -f "$BENCH_RESULTS"
ln -sf ../release/libtu_token.so target/bench/libtu_token.so.0
c++ -std=c++17 -O2 -Iinclude -c benches/hit.cpp -o target/bench/hit-cpp.o
cc -std=c11 -O2 -D_GNU_SOURCE -Iinclude -c benches/hit.c -o target/bench/hit.o
c++ target/bench/hit.o target/bench/hit-cpp.o -o target/bench/hit \
  -Ltarget/release -Wl,-rpath,"$PWD/target/bench" -ltu_token -lpthread
readers=$(cargo bench --no-run --bench readers -p tu-token --message-format=json 2>/dev/null |
  sed -n 's/.*"executable":"\([^"]*readers[^"]*\)".*/\1/p')

# The size of a typical signed token.
export EMULATOR_OPTIONS="--token-length 670"
EMULATOR_SCOPES="asset.view $(seq -s ' ' -f 'scope.%g' 0 99)"
export EMULATOR_SCOPES
echo "C: the library and a hand-written cache"
scripts/emulator.sh target/bench/hit
echo
echo "Rust: ways to share the current token"
scripts/emulator.sh "$readers"
echo
echo "Go: a cache hit and the cache of golang.org/x/oauth2"
if command -v go >/dev/null 2>&1; then
  rm -rf target/bench/stage
  PREFIX=$PWD/target/bench/stage TARGET_DIR=target/release packaging/install.sh >/dev/null
  eval "$(scripts/go-env.sh "$PWD/target/bench/stage/lib/pkgconfig" "$PWD/target/bench/stage/lib")"
  (cd benches/go && go build -o ../../target/bench/go .)
  scripts/emulator.sh target/bench/go
else
  echo "go is missing"
fi
echo
echo "Python: a cache hit and alternatives"
scripts/emulator.sh benches/python/run.sh || [ $? = 77 ]
