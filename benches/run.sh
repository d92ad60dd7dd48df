#!/usr/bin/env bash
# `make bench`: measures the library beside other ways to get a token, and writes docs/performance.md with its
# charts. About 2 minutes once everything is built; FULL=1 measures more rounds and larger fleets.
# ONLY='hits cold growth fleet': these parts; the page is written only by a whole run. BUILT=1: nothing is built.
set -euo pipefail
cd "$(dirname "$0")/.."

out=$PWD/target/bench
mkdir -p "$out/endpoint"
export BENCH_RESULTS=$out/results.tsv FULL=${FULL:-} ONLY=${ONLY:-hits cold growth fleet}
rm -f "$BENCH_RESULTS"

[ -n "${BUILT:-}" ] || benches/build.sh
benches/facts.sh >"$out/facts.tsv"

# In a network of its own, with the loopback alone: a peer that asks for something elsewhere fails at once. Its files
# are its own too: there the endpoint's authority can be made one of the system's.
isolated=()
if unshare -rnm true 2>/dev/null; then isolated=(unshare -rnm); fi
printf 'network\t%s\n' "${isolated[*]:-shared}" >>"$out/facts.tsv"
cp "$(benches/system-roots.sh)" "$out/endpoint/bundle.pem"

# The endpoint stays on the first processor. What is measured uses all others, or all.
"${isolated[@]}" taskset -c 0 target/release/bench-server "$out/endpoint" benches/measure.sh

case $ONLY in
  'hits cold growth fleet') target/release/bench-report "$BENCH_RESULTS" "$out/facts.tsv" docs ;;
  *) target/release/bench-report "$BENCH_RESULTS" ;;
esac
