#!/usr/bin/env bash
# Builds the C examples as the CMake project that they are, against the package in target/stage, and runs
# them. Needs an emulator: scripts/emulator.sh tests/c/examples.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/emulator.sh
. tests/emulator.sh

built=target/c-tests/examples
said=target/c-tests/examples.out

fail() {
  echo "$*"
  [ ! -f "$said" ] || cat "$said"
  exit 1
}

ends_with() { # status, command...
  local wanted=$1 status=0
  shift
  "$@" >"$said" 2>&1 || status=$?
  [ "$status" = "$wanted" ] || fail "$* ended with $status"
}

# wait_for COMMAND...: until it succeeds, 60 s at most.
wait_for() {
  for _ in $(seq 1200); do
    if "$@"; then return; fi
    sleep 0.05
  done
  fail "in vain: $*"
}

build() {
  rm -rf "$built"
  cmake -S examples/c -B "$built" -DCMAKE_PREFIX_PATH="$PWD/target/stage" \
    -DCMAKE_C_FLAGS='-Wall -Wextra -Wpedantic -Werror'
  cmake --build "$built"
  [ -x "$built/quickstart" ] || fail "quickstart was not built: is libcurl missing?"
}

event_loop() {
  ends_with 0 "$built/event_loop" 3 10
  [ "$(grep -c '^a token of' "$said")" = 3 ] || fail "not three answers"
  exactly 1
  TRACKUNIT_CLIENT_SECRET=wrong ends_with 1 "$built/event_loop" 1
  grep -q TU_INVALID_CLIENT "$said" || fail "the refusal is not shown"
}

# A signal ends the loop while an answer is pending.
stopped_while_it_waits() {
  local pid status=0
  fault '{"delay":"60s","count":1}'
  "$built/event_loop" >"$said" 2>&1 &
  pid=$!
  wait_for has_requests 3
  kill -TERM "$pid"
  wait "$pid" || status=$?
  [ "$status" = 0 ] && grep -q TU_CLOSED "$said" || fail "SIGTERM ended it with $status"
  curl -sS --fail-with-body -X DELETE "$EMULATOR_URL/_emulator/faults" >/dev/null
}

# Signals that come until the process has gone do not kill it.
signals_until_the_end() {
  local pid status=0
  for _ in $(seq 40); do
    # Here, so that the lines of the last round are not taken for this one's.
    : >"$said"
    "$built/event_loop" -1 1 >>"$said" 2>&1 &
    pid=$!
    wait_for grep -q '^a token of' "$said"
    while kill -TERM "$pid" 2>/dev/null; do :; done
    wait "$pid" || status=$?
    [ "$status" = 0 ] || fail "many SIGTERM ended it with $status"
  done
}

has_requests() { # number
  [ "$(curl -sS "$EMULATOR_URL/_emulator/count?route=token")" -ge "$1" ]
}

events_in_syslog() {
  ends_with 0 "$built/syslog"
  grep -q 'TU_EVENT_FETCH_SUCCEEDED.*scope=asset.view' "$said" || fail "no event of the fetch"
  TRACKUNIT_CLIENT_SECRET=wrong ends_with 1 "$built/syslog"
  grep -q 'TU_EVENT_FETCH_FAILED.*status=TU_INVALID_CLIENT' "$said" || fail "no event of the failure"
  TRACKUNIT_TIMEOUT=never ends_with 1 "$built/syslog"
}

# What the unit relies on: a renamed file is in use at the next renewal, in a process that continues.
rotated_secret() {
  local pid key secrets=target/c-tests/secrets
  rm -rf "$secrets" && mkdir -m 700 "$secrets"
  printf %s "$TRACKUNIT_CLIENT_SECRET" >"$secrets/client_secret"
  fault '{"expires_in":3}'
  curl -sS --fail-with-body -X DELETE "$EMULATOR_URL/_emulator/journal" >/dev/null
  : >"$said"
  env -u TRACKUNIT_CLIENT_SECRET TRACKUNIT_CLIENT_SECRET_FILE="$secrets/client_secret" \
    "$built/event_loop" -1 50 >>"$said" 2>&1 &
  pid=$!
  wait_for grep -q '^a token of' "$said"
  key=$(curl -sS --fail-with-body -X POST "$EMULATOR_URL/api-keys/$TRACKUNIT_CLIENT_ID/rotate" -H 'Content-Type: application/json')
  sed 's/.*"client_secret":"\([^"]*\)".*/\1/' <<<"$key" >"$secrets/client_secret.new"
  mv "$secrets/client_secret.new" "$secrets/client_secret"
  wait_for has_tokens 2
  kill -TERM "$pid"
  wait "$pid" || fail "it did not continue with the new secret"
  rm -r "$secrets"
}

has_tokens() { # number
  [ "$(curl -sS "$EMULATOR_URL/_emulator/journal?route=token" | grep -o '"outcome":"token"' | wc -l)" -ge "$1" ]
}

unit() {
  command -v systemd-analyze >/dev/null || { echo "no systemd-analyze here: the unit is not checked"; return; }
  # The program is not installed here.
  sed 's:^ExecStart=.*:ExecStart=/bin/true:' examples/c/gateway.service >target/c-tests/gateway.service
  ends_with 0 systemd-analyze verify --man=no "$PWD/target/c-tests/gateway.service"
  [ ! -s "$said" ] || fail "systemd-analyze has something to say"
}

build
event_loop
stopped_while_it_waits
signals_until_the_end
events_in_syslog
rotated_secret
unit
echo "7 passed, 0 failed"
