#!/usr/bin/env bash
# Runs a command against a running emulator: TRACKUNIT_* point at the emulator; EMULATOR_URL is its
# base URL, and so is IRIS_URL, which the examples read. The emulator stops when the command ends,
# however it ends. EMULATOR_OPTIONS: more options for it; EMULATOR_SCOPES: the scopes of its key.
# Usage: scripts/emulator.sh COMMAND [ARGUMENT...]
set -euo pipefail
cd "$(dirname "$0")/.."

emulator=${EMULATOR_BINARY:-target/debug/tu-token-emulator}
if [ ! -x "$emulator" ]; then
  echo "$emulator is missing: build it with \`make emulator\`." >&2
  exit 1
fi
directory=$(mktemp -d)
# shellcheck disable=SC2317  # called by the trap
end() {
  [ -z "${pid:-}" ] || { kill "$pid" && wait "$pid"; } 2>/dev/null || true
  rm -rf "$directory"
}
trap end EXIT

"$emulator" --port 0 --env-file "$directory/env" ${EMULATOR_OPTIONS:-} ${EMULATOR_SCOPES:+--scopes "$EMULATOR_SCOPES"} >"$directory/log" 2>&1 &
pid=$!
for _ in $(seq 1200); do
  [ -f "$directory/env" ] && break
  kill -0 "$pid" 2>/dev/null || break
  sleep 0.05
done
if [ ! -f "$directory/env" ]; then
  echo "the emulator did not start:" >&2
  cat "$directory/log" >&2
  exit 1
fi
# shellcheck disable=SC1091
. "$directory/env"
EMULATOR_URL=${TRACKUNIT_TOKEN_URL%/token/v2}
export EMULATOR_URL IRIS_URL=$EMULATOR_URL
"$@"
