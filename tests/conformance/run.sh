#!/usr/bin/env bash
# Plays the transcripts in tests/vectors to one language's test program ("testee").
# Usage: tests/conformance/run.sh LANGUAGE [--only TEXT]
# TESTEE_UNDER: a program to run the testee under, such as valgrind with its options.
#
# testees/LANGUAGE.sh builds the testee, into target/conformance, and sets `command` to start it.
set -euo pipefail
cd "$(dirname "$0")/../.."
testees=(tests/conformance/testees/*.sh)
testees=("${testees[@]##*/}")
languages=${testees[*]%.sh}
if [ $# = 0 ]; then
  echo "usage: tests/conformance/run.sh LANGUAGE [--only TEXT]; languages: $languages" >&2
  exit 2
fi
language=$1
shift
built=target/conformance
mkdir -p "$built"

# Flags for programs that link what library.sh builds.
c_flags="-g -O1 -Wall -Wextra -Wpedantic -Werror -Iinclude"
c_libraries="-L$built/debug -ltu_token -Wl,-rpath,$PWD/$built/debug -lpthread"

if [ ! -e "tests/conformance/testees/$language.sh" ]; then
  echo "There is no testee for $language; there are: $languages."
  echo "0 passed, 1 failed"
  exit 1
fi
command=()
# shellcheck source=/dev/null
. "tests/conformance/testees/$language.sh"
# Not in target/debug, where it would wait for other steps of `make test`; with the testee's feature, for its crates.
cargo build --quiet -p tu-token-conformance --features testee --bin tu-token-conformance --target-dir "$built"
# shellcheck disable=SC2086
"$built/debug/tu-token-conformance" "$@" "$language" -- ${TESTEE_UNDER:-} "${command[@]}"
