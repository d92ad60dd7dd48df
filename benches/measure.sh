#!/usr/bin/env bash
# Runs the programs of `make bench`, under bench-server. What is compared runs in turn, so that a change of the
# machine's speed meets all of it.
set -euo pipefail
cd "$(dirname "$0")/.."

out=$PWD/target/bench python=$PWD/target/bench-venv/bin/python
passes=1 cold_rounds=7 hit_rounds=15 cold_clients=1000 clients=10000
if [ "$FULL" = 1 ]; then passes=3 cold_rounds=31 hit_rounds=31 clients=100000; fi

# The endpoint is on the first processor.
last=$(($(nproc --all) - 1))
all() { taskset -c "0-$last" "$@"; }
alone() { taskset -c "$last" "$@"; }

prepare() {
  local roots
  roots=$(benches/system-roots.sh)
  cat "$BENCH_CA" >>"$out/endpoint/bundle.pem"
  ip link set lo up 2>/dev/null || true
  # So many clients take as many ports.
  echo 1024 65535 2>/dev/null >/proc/sys/net/ipv4/ip_local_port_range || true
  if ! mount --bind "$out/endpoint/bundle.pem" "$roots" 2>/dev/null; then
    export SSL_CERT_FILE=$out/endpoint/bundle.pem CURL_CA_BUNDLE=$out/endpoint/bundle.pem
  fi
  [ ! -d "$out/stage" ] || export LD_LIBRARY_PATH=$out/stage/lib
}

# peer GROUP ROW all|alone PROGRAM [ARGUMENT...]: one that cannot run becomes a row that says why, and costs nothing else.
peer() {
  local group=$1 row=$2 log=$out/peer.log
  shift 2
  if [ ! -x "$2" ]; then
    # Its build has written the row, with the reason.
    [ "$group" = tls:\ first ] || return 0
    echo "it could not be built" >"$log"
  elif "$@" 2>"$log"; then
    return
  fi
  echo "$row: $(tail -n 1 "$log")" >&2
  printf '%s\t%s\t1\t-\tnot available: %s\n' "$group" "$row" "$(tail -n 1 "$log" | tr '\t' ' ')" >>"$BENCH_RESULTS"
}

hits() {
  local pass
  for ((pass = 0; pass < passes; pass++)); do
    echo "C: a cache hit" && all "$out/hit"
    echo "Rust: a cache hit" && all "$out/readers"
    peer rust google-cloud-auth all "$out/rust-peers/release/bench-rust-peers"
    echo "Go: a cache hit" && peer go "tutoken: Token" all "$out/go-hit"
    peer go "MSAL for Go" all "$out/go-peers"
    echo "Python: a cache hit" && peer python "client.token()" alone "$python" benches/python/hit.py
  done
  echo "Start: the shared library, the Python module, the command"
  peer start "import tu_token" alone "$python" benches/python/start.py
}

cold() {
  local round url=$BENCH_TLS/token port=${BENCH_PLAIN##*:} first=$out/first
  echo "The first token, $cold_rounds rounds"
  for ((round = 0; round < cold_rounds; round++)); do
    alone "$first" tls "tu-token, C" "$url"
    alone "$out/curl" tls "libcurl by hand" "$url"
    peer "tls: first" "tu-token, Go" alone "$out/go-first" tutoken tls "tu-token, Go" "$url"
    peer "tls: first" "Go: x/oauth2" alone "$out/go-first" x/oauth2 tls "Go: x/oauth2" "$url"
    peer "tls: first" "tu-token, Python" alone "$python" benches/python/first.py tu_token tls "tu-token, Python" "$url"
    peer "tls: first" "Python: requests by hand" alone "$python" benches/python/first.py requests tls \
      "Python: requests by hand" "$url"
    # The same with one part less each: what each part costs.
    alone "$first" parts "one certificate" "$url" ca_file "$BENCH_CA"
    alone "$first" parts "plain" "$BENCH_PLAIN/token"
    alone "$first" parts "plain, to an address" "http://127.0.0.1:$port/token"
    alone "$out/bare" parts "the socket calls alone" "$port"
  done
  echo "$cold_clients cold clients"
  alone "$out/many" "tu-token, C" "$url" "$cold_clients"
  echo "Callers on a cold cache"
  for ((round = 0; round < (cold_rounds + 2) / 3; round++)); do
    all "$out/crowd" threads 64 200
    all "$out/crowd" async 10000 200
    # Long enough that all of the threads wait when the token comes.
    all "$out/crowd" threads 10000 3000
    all "$out/crowd" futex 10000 1000
    all "$out/crowd" copies 10000 1000
  done
}

growth() {
  echo "Growth"
  all "$out/threads" "$hit_rounds"
  all "$out/scopes" "$hit_rounds"
  all "$out/sizes" "$hit_rounds"
  all "$out/clients" "$hit_rounds" "$clients"
}

fleet() {
  echo "Fleets, simulated"
  all target/release/bench-fleet
}

prepare
for part in $ONLY; do
  "$part"
done
