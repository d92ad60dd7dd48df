#!/usr/bin/env bash
# Deliberate faults and the tests that detect them: unit tests, tests/faults/*.patch, listed in
# src/schedules/faults.md; tests of the whole library, tests/faults/whole/*.patch, listed in the README there.
#
#   tests/faults.sh              applies each fault to a copy of the sources and runs its tests there
#   tests/faults.sh run 03 3     the same for some of them, by prefix of their names (whole/: all of these)
#   tests/faults.sh check        quick: each still applies, its tests exist, and the lists name it
#   tests/faults.sh list         writes the lists
#
# A patch begins with the fault, the test that detects it, and how that is built: "plain", or
# "__shuttle" for tests that explore many schedules (src/schedules). Those of the whole library: tests/faults/whole.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/faults/whole.sh
. tests/faults/whole.sh

work=$PWD/target/faults
tree=$work/tree
export CARGO_TARGET_DIR=$work

of() { # KEY PATCH
  sed -n "s/^$1: //p;/^---/q" "$2"
}

page() {
  cat <<'END'
# Faults that were put in on purpose

What a schedule or a scene is worth is shown by what it finds. Each of these faults is a patch in
`tests/faults/`; `make faults` puts one after the other into a copy of the sources and runs the test that is to
find it, and `make test` sees to it that each of them still applies. The tests of `schedules` are built with the
feature `__shuttle`. This page is generated: `tests/faults.sh list`.

| | the fault | found by |
| --- | --- | --- |
END
  local patch name
  for patch in tests/faults/*.patch; do
    name=$(basename "$patch" .patch)
    printf '| %s | %s | `%s` |\n' "${name%%-*}" "$(of Fault "$patch")" "$(of Test "$patch")"
  done
}

# Finds the test's source file: its module's, or the parent module's.
has_test() { # TEST
  local path=${1%::*} name=${1##*::}
  path=src/${path//:://}
  grep -qs "fn $name\b" "$path.rs" "${path%/*}.rs" "${path%/*}/mod.rs" "$path/mod.rs"
}

check() {
  local patch count=0
  for patch in tests/faults/*.patch "$whole"/*.patch; do
    git apply --check "$patch" ||
      { echo "$patch applies no longer: put the same fault into the code as it is now"; return 1; }
    count=$((count + 1))
  done
  for patch in tests/faults/*.patch; do
    has_test "$(of Test "$patch")" || { echo "$patch: there is no test $(of Test "$patch")"; return 1; }
  done
  check_tests_of_the_whole
  diff src/schedules/faults.md <(page) && diff "$whole/README.md" <(page_of_the_whole) ||
    { echo "a list has drifted: run tests/faults.sh list"; return 1; }
  echo "$count passed, 0 failed"
}

# Only the faults change in it: git dates the files, so cargo rebuilds little.
copy_sources() {
  rm -rf "$tree"
  mkdir -p "$tree"
  git ls-files -z --cached --others --exclude-standard | xargs -0 tar -cf - | tar -xf - -C "$tree"
  # What scripts put there outlives the copy, such as Python's environment.
  mkdir -p "$work/others"
  ln -sfn "$work/others" "$tree/target"
}

# Without debug information: that builds much faster.
run_tests() { # BUILD ARGUMENTS
  local features=()
  [ "$1" = plain ] || features=(--features "$1")
  cd "$tree" && timeout 600 cargo test --config 'profile.dev.package.tu-token.debug=false' -p tu-token --lib \
    ${features[@]+"${features[@]}"} "${@:2}"
}

run_one() { # PATCH: says what became of it
  local patch=$1 name build test log said="NOT FOUND"
  name=$(basename "$patch" .patch) build=$(of Build "$patch") test=$(of Test "$patch") log=$work/$name.log
  git apply --directory="${tree#"$PWD"/}" "$patch" || { echo "DOES NOT APPLY: $name"; return 1; }
  if ! (run_tests "$build" --no-run) >"$log" 2>&1; then
    said="DOES NOT BUILD (see $log)"
  elif ! (run_tests "$build" -- --exact "$test") >>"$log" 2>&1; then
    said="found"
  elif ! grep -q '^test result: ok. 1 passed' "$log"; then
    said="NO SUCH TEST"
  fi
  git apply --reverse --directory="${tree#"$PWD"/}" "$patch"
  echo "$said: $name, by $test"
  [ "$said" = found ]
}

run() {
  copy_sources
  local patch beginning missed=0 count=0
  for beginning in "${@:-}"; do
    for patch in tests/faults/$beginning*.patch tests/faults/whole/$beginning*.patch; do
      [ -e "$patch" ] || continue
      case $patch in
        "$whole"/*) run_one_of_the_whole "$patch" || missed=$((missed + 1)) ;;
        *) run_one "$patch" || missed=$((missed + 1)) ;;
      esac
      count=$((count + 1))
    done
  done
  rm -rf "$tree"
  echo "$((count - missed)) of $count faults found"
  [ "$missed" = 0 ]
}

case "${1:-run}" in
  run) run "${@:2}" ;;
  check) check ;;
  list)
    page >src/schedules/faults.md
    page_of_the_whole >"$whole/README.md"
    ;;
  *) sed -n '2,8p' "$0"; exit 2 ;;
esac
