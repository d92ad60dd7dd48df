#!/usr/bin/env bash
# Checks which steps `make test ONLY=...` chooses, and what the last lines say when steps fail.
set -uo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/runner/choose.sh
. tests/runner/choose.sh
JOBS=1
# shellcheck source=tests/runner/lanes.sh
. tests/runner/lanes.sh
# shellcheck source=tests/runner/report.sh
. tests/runner/report.sh
# shellcheck source=tests/runner/checking.sh
. tests/runner/checking.sh

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'end_steps; exit 130' INT TERM HUP QUIT
logs=$scratch/logs times=$scratch/times
mkdir "$logs"
chosen_by() { # PATTERN: the names of what runs, with `+` before what is only needed
  local i
  choose "$1" || { echo "none"; return; }
  for i in "${!names[@]}"; do
    [ -z "${wanted[i]}" ] || echo "${chosen[i]:++}${names[i]}" | sed "s/^+/:/;t;s/^/+/"
  done
}

build library "build: library" "" true
build emulator "build: emulator" "" true
build programs "c: programs" "library pkg-config" true
step "c: memcheck, forks" "service c/forks valgrind" true
step "c: memcheck, threads" "c/threads valgrind slow" true
step "go: tests" "library go" true

check "a part of the name, with all that it needs" "+build: library
+build: emulator
+c: programs
:c: memcheck, forks
:c: memcheck, threads" "$(chosen_by 'C: memcheck')"
check "of several" ":go: tests" "$(chosen_by 'zzz|go:*ests')"
check "nothing" "none" "$(chosen_by 'no such step')"
check "near names" "c: memcheck, threads" "$(near_names 'memchek thread')"
choose 'memcheck, f'
check "tools" "pkg-config valgrind" "$(tools_needed)"
check "programs" "forks" "$(programs_needed)"
choose 'programs'
check "all programs" "all" "$(programs_needed)all"

# Logs as the test runners write them.
cat >"$scratch/libtest" <<'LOG'
running 3 tests
test waits::one_that_works ... ok
test waits::one_that_hangs has been running for over 60 seconds
test waits::one_that_is_slow has been running for over 60 seconds
test waits::one_that_is_slow ... ok
test waits::one_that_fails ... FAILED

failures:

---- waits::one_that_fails stdout ----

thread 'waits::one_that_fails' (7) panicked at tests/waits.rs:12:5:
assertion `left == right` failed: the requests
  left: 2
 right: 1
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace

thread '<unnamed>' panicked at tests/support/clients.rs:70:9:
waited in vain: the token

failures:
    waits::one_that_fails

test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s
LOG
cat >"$scratch/others" <<'LOG'
FAILED bindings/python/tests/test_loops.py::test_of_a_loop - AssertionError: 1
=== RUN   TestThatPasses
    other_test.go:5: of no interest
--- PASS: TestThatPasses (0.00s)
=== RUN   TestOfGo
    waits_test.go:31: it did not wait
--- FAIL: TestOfGo (0.01s)
tests/c/forks.c:12: not so: made == 1
tests/c/odd_forks.c:58: failed: longest_ms < LONGEST_MS
FAILED  shared, C++
error[E0425]: cannot find value `x` in this scope
error: test failed, to rerun pass `--lib`
  process didn't exit successfully: `/there/target/debug/deps/tu_token-0a1b --quiet` (signal: 6, SIGABRT: process abort signal)
1 passed, 1 failed
LOG

ids=() names=() needs=() commands=() results=()
build broken "a broken build" "" sh -c 'echo "ld: no such library"; exit 3'
step "what needs it" "broken" true
step "libtest" "" sh -c "cat $scratch/libtest; exit 101"
step "others" "" sh -c "cat $scratch/others; exit 1"
step "a signal" "" sh -c 'kill -SEGV $$'
step "a hang" "hangs" sh -c "cat $scratch/libtest; sleep 600"
step "a skip" "" sh -c 'echo "SKIPPED: no browser"; exit 77'
step "a skip without a word" "" sh -c 'exit 77'
step "a skip after binary data" "" sh -c 'printf "a\0b\377\n"; echo "SKIPPED: no moon"; exit 77'
step "a long line" "" sh -c 'head -c 50000000 /dev/zero | tr "\0" x; echo; echo "--- FAIL: TestOfLines"; exit 1'
step "what works" "" sh -c 'echo "7 passed, 0 failed"'
choose ''
limit_of() { # NUMBER
  case ${needs[$1]} in hangs) echo 2 ;; *) echo 60 ;; esac
}
run_steps >"$scratch/said" 2>&1
check "no flood" "short" "$([ "$(wc -c <"$scratch/said")" -lt 20000 ] && echo short)"
said=$(head -c 20000 "$scratch/said")
check "lines of steps" 'not run: it needs "a broken build"
    ld: no such library
skipped' "$said"
check "time and count" "7 passed)" "$(grep '^what works .* ok (' <<<"$said")"
said=$(report)
check "the report" "FAILED: a broken build: exit status 3 after
    ld: no such library
FAILED: libtest: exit status 101 after
    waits::one_that_fails
    tests/waits.rs:12:5: assertion \`left == right\` failed: the requests left: 2 right: 1
FAILED: others: exit status 1 after
FAILED: a signal: killed by signal 11 (SIGSEGV) after
FAILED: a hang: timed out after 2 s
SKIPPED: a skip: no browser
SKIPPED: a skip without a word: it does not say why
SKIPPED: a skip after binary data: no moon
FAILED: a long line: exit status 1 after
    TestOfLines
NOT RUN, because they need a step that failed: 1 steps: what needs it
12 passed, 3 failed, 3 skipped, in" "$said"
check "it fits" "short" "$([ "$(wc -l <<<"$said")" -le 25 ] && echo short)"
check "tests of every kind" "waits::one_that_fails
tests/waits.rs:12:5: assertion \`left == right\` failed: the requests left: 2 right: 1
tests/support/clients.rs:70:9: waited in vain: the token
still running: waits::one_that_hangs
bindings/python/tests/test_loops.py::test_of_a_loop
TestOfGo
waits_test.go:31: it did not wait
tests/c/forks.c:12: not so: made == 1
tests/c/odd_forks.c:58: failed: longest_ms < LONGEST_MS
shared, C++
cannot find value
died: tu_token-0a1b" "$(failures_of "$scratch/libtest" 9; failures_of "$scratch/others" 9)"
check "no test that ended" "none" "$(failures_of "$scratch/libtest" 9 | grep -q slow || echo none)"
check "a second run at the same time" "running here already" "$(own_logs; (own_logs) 2>&1)"
check "no place for logs" "cannot write" "$(logs=/dev/null/logs; own_logs 2>&1)"
quick_steps() {
  trap 'echo ended' EXIT
  local number step status
  for number in $(seq 150); do run_bounded 60 "$scratch/quick" "$scratch/quick" true; done
}
check "the watcher of a quick step runs no trap of the script's" "ended 1 times" "ended $( (quick_steps) | grep -c ended) times"
check "times at the last run" "a hang  
failed
what works" "$(list)"

finish_checks
