#!/usr/bin/env bash
# Two runs of a C program share a token through a Redis server. Needs a running emulator:
#   scripts/emulator.sh tests/c/with_redis.sh DIRECTORY-OF-THE-LIBRARY PROGRAM
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/emulator.sh
. tests/emulator.sh

library=$1 program=$2
directory=$(mktemp -d)
end() {
  { kill "$server" && wait "$server"; } 2>/dev/null || true
  rm -rf "$directory"
}
redis-server --port 0 --save '' --dir "$directory" --unixsocket "$directory/redis.sock" \
  --requirepass hush >"$directory/log" 2>&1 &
server=$!
trap end EXIT
for _ in $(seq 1200); do
  [ ! -S "$directory/redis.sock" ] || break
  sleep 0.05
done

# Instead of the installed library that the program was linked with, which has no such store.
get() {
  LD_LIBRARY_PATH=$library TRACKUNIT_STORE="redis://:hush@$directory/redis.sock" \
    TRACKUNIT_STORE_TIMEOUT=10s TRACKUNIT_LOG=info "$program"
}

first=$(get 2>"$directory/first") || { cat "$directory/first"; exit 1; }
exactly 1
second=$(get 2>"$directory/second") || { cat "$directory/second"; exit 1; }
exactly 1
cat "$directory/first" "$directory/second"
[ "$first" = "$second" ] || { echo "the second run has another token"; exit 1; }
! grep -q hush "$directory/first" "$directory/second" || { echo "the password is shown"; exit 1; }
# The installed one refuses it.
! said=$(TRACKUNIT_STORE="redis://:hush@$directory/redis.sock" "$program" 2>&1)
grep -q 'a Redis store is not built in' <<<"$said"
! grep -q hush <<<"$said" || { echo "the password is shown"; exit 1; }
echo "2 passed, 0 failed"
