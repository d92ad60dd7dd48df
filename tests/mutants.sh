#!/usr/bin/env bash
# `make mutants`: changes the pure core one small thing at a time (cargo-mutants) and runs its unit tests: a change that
# no test notices is a survivor. All of them take a day, so this runs a sample: MUTANTS=3/40 is the fourth of forty
# parts. It ends after an hour in any case.
#
#   tests/mutants.sh [FILE...]     these files of the core instead of all
#
# Survivors are listed in target/mutants/mutants.out/missed.txt. tests/mutants.txt has those that were judged: each with
# the reason why no test needs to notice it. A survivor that is not in it fails.
set -euo pipefail
cd "$(dirname "$0")/.."

part=${MUTANTS:-0/40} work=$PWD/target/mutants
files=(src/cache src/scope.rs src/life.rs src/lists.rs src/config src/endpoint/headers.rs src/endpoint/pieces.rs
  src/endpoint/readings.rs src/endpoint/redact.rs src/endpoint/remarks.rs src/endpoint/request.rs
  src/endpoint/response.rs src/store/record.rs src/store/seal.rs src/store/redis/wire.rs src/store/circuit.rs
  src/store/holder.rs)
[ $# = 0 ] || files=("$@")

[ -x target/tools/bin/cargo-mutants ] || cargo install --quiet --locked --root target/tools cargo-mutants@27.1.0
options=(--package tu-token --features redis --output "$work" --shard "$part" --no-shuffle --timeout 120
  --build-timeout 600 --colors never --exclude 'src/cache/core/scenes/**' --exclude 'src/**/*tests.rs'
  --exclude 'src/endpoint/redact/*')
for file in "${files[@]}"; do
  if [ -d "$file" ]; then options+=(--file "$file/**"); else options+=(--file "$file"); fi
done
rm -rf "$work"
mkdir -p "$work/tree"
trap 'rm -rf "$work/tree"' EXIT
# The copy of the sources is here. Its builds share the compiled dependencies.
export TMPDIR=$work/tree CARGO_TARGET_DIR=$PWD/target PROPTEST_CASES=200
status=0
timeout 3600 target/tools/bin/cargo-mutants mutants "${options[@]}" -- --lib -- \
  cache:: config:: endpoint:: scope:: life:: lists:: store:: secret:: token:: fuzzing:: >"$work/log" 2>&1 || status=$?
case $status in
  0 | 2 | 3) ;;
  124) echo "an hour is over: the rest of this part was not run" ;;
  *) tail -n 20 "$work/log"; exit 1 ;;
esac

count() {
  wc -l <"$work/mutants.out/$1.txt" | tr -d ' '
}
# Lines move, so they are compared without line and column.
sed -E 's/:[0-9]+:[0-9]+:/:/' "$work/mutants.out/missed.txt" | sort -u >"$work/survivors"
sed -E '/^#/d; s/ # .*//' tests/mutants.txt | sort -u >"$work/judged"
new=$(comm -23 "$work/survivors" "$work/judged")
echo "part $part: $(count caught) caught, $(count timeout) caught by their time limit, $(count unviable) do not compile," \
  "$(count missed) survived"
[ -z "$new" ] || { echo "survivors that were not judged (tests/mutants.txt):"; echo "$new"; exit 1; }
