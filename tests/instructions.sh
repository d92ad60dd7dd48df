#!/usr/bin/env bash
# Counts the instructions of a cache hit in libtu_token.so alone, without those of the C library, which differ from
# processor to processor, and compares them with tests/instructions.txt: a hit with 3 % more fails. Another compiler
# makes other code, so the counts of one that the file does not name are only printed.
#
#   tests/instructions.sh [PROGRAM]           PROGRAM: tests/c/instructions.c, built; target/c-tests/instructions
#   tests/instructions.sh --renew [PROGRAM]   writes the file
set -euo pipefail
cd "$(dirname "$0")/.."

renew=
[ "${1:-}" != --renew ] || { renew=1; shift; }
program=${1:-target/c-tests/instructions}
baseline=tests/instructions.txt calls=1000 most_percent=3
counted="copy get copy_named get_named at_hand"

compiler=$(rustc -vV | awk '/^rustc / { version = $0 } /^host:/ { print version, $2 }')
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Threads apart: those of the library may be at work.
options=(--separate-threads=yes --dump-after=count_warm_up)
for name in $counted; do options+=("--dump-after=count_$name"); done
EMULATOR_SCOPES="asset.view $(seq -s ' ' -f 'scope.%g' 0 99)" EMULATOR_OPTIONS="--token-length 670" \
  scripts/emulator.sh valgrind -q --tool=callgrind "${options[@]}" --callgrind-out-file="$scratch/out" \
  --compress-strings=no --compress-pos=no "$program" $calls

# count NAME: instructions per call. A dump of the first thread holds what it ran since the one before. Lines after
# `calls=` hold the cost of the functions called, which is counted where it arises.
count() {
  local dump
  dump=$(grep -l "^desc: Trigger: --dump-after=count_$1\$" "$scratch"/out.*-01) || return
  awk -v calls=$calls '
    /^ob=/ { own = /libtu_token\.so/ }
    /^calls=/ { getline; next }
    /^[0-9+*-]/ && own { sum += $2 }
    END { printf "%.1f\n", sum / calls }' "$dump"
}

{
  echo "# Instructions of a cache hit in libtu_token.so, per call: tests/instructions.sh --renew"
  echo "$compiler"
  for name in $counted; do echo "$name $(count "$name")"; done
} >"$scratch/now"
for name in $counted; do
  grep -Eq "^$name [0-9]*[1-9][0-9]*\.[0-9]\$" "$scratch/now" ||
    { echo "callgrind has counted nothing of $name" >&2; exit 1; }
done

if [ -n "$renew" ]; then
  cp "$scratch/now" "$baseline"
  cat "$baseline"
  exit
fi
if [ "$compiler" != "$(sed -n 2p "$baseline")" ]; then
  echo "Not compared: $baseline is of $(sed -n 2p "$baseline")."
  sed 1d "$scratch/now"
  exit
fi
awk -v most="$most_percent" '
  /^#|^rustc/ { next }
  NR == FNR { before[$1] = $2; next }
  {
    change = before[$1] > 0 ? ($2 / before[$1] - 1) * 100 : 100
    printf "%-12s %7.1f, was %7.1f (%+.1f %%)\n", $1, $2, before[$1], change
    if (change > most) { print "  rose by more than " most " %"; failed = 1 }
    if (change < -most) fell = 1
  }
  END {
    if (failed) print "A hit takes more instructions than before. If it must: tests/instructions.sh --renew, and say why."
    else if (fell) print "Fewer than before: tests/instructions.sh --renew keeps it so."
    exit failed
  }' "$baseline" "$scratch/now"
