#!/usr/bin/env bash
# Lets a client program get its tokens from oidc-provider, a certified authorization server that tu-token's authors
# did not write, and asks that server afterwards what it really handed out.
#
#   run.sh PROGRAM [ARGUMENT...]
#
# The program reads TRACKUNIT_CLIENT_ID, TRACKUNIT_CLIENT_SECRET, TRACKUNIT_SCOPE, TRACKUNIT_TOKEN_URL and, in half
# of the runs, TRACKUNIT_CLIENT_AUTH=basic. It prints the access token as the only line on stdout, or fails with an
# exit status other than 0 and prints nothing there. It has 60 s (where the system has `timeout`).
#
# One line for each check (`ok ...` or `FAILED ...`), at the end `N passed, N failed`. Explanations go to stderr.
# Exit status: 0 all passed, 1 something failed, 2 wrong use, 77 skipped (no node, too old a node, or no npm).
#
# Written for bash 3.2 as well, which is what macOS has: no coproc, no mapfile, no empty arrays under `set -u`.
# shellcheck disable=SC2329  # functions are handed to trap, check and run_child by name
set -euo pipefail

if [[ $# -eq 0 ]]; then
  echo "usage: ${0##*/} PROGRAM [ARGUMENT...]" >&2
  exit 2
fi

skip() {
  echo "SKIPPED: $1"
  exit 77
}
command -v node >/dev/null || skip 'node is not installed'
command -v npm >/dev/null || skip 'npm is not installed'
node -e 'const [major, minor] = process.versions.node.split(".").map(Number);
  process.exit(major > 18 || (major === 18 && minor >= 3) ? 0 : 1)' ||
  skip "node $(node --version) is too old, 18.3 or later is needed"

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
dir=$(mktemp -d "${TMPDIR:-/tmp}/tu-oidc-provider.XXXXXX")
passed=0
failed=0
server_pid=
child_pid=

# Ends the server and sets server_status. Its stdout closes when it is gone, so reading there waits for exactly that.
stop_server() {
  server_status=0
  kill -TERM "$server_pid" 2>/dev/null || true
  exec 9>&-
  local began=$SECONDS
  read -r -t 10 <&8 || true
  if [[ $((SECONDS - began)) -ge 10 ]]; then
    kill -KILL "$server_pid" 2>/dev/null || true
  fi
  wait "$server_pid" 2>/dev/null || server_status=$?
  server_pid=
}

cleanup() {
  trap - EXIT
  trap '' HUP INT TERM
  if [[ -n $child_pid ]]; then
    kill -TERM "$child_pid" 2>/dev/null || true
    wait "$child_pid" 2>/dev/null || true
  fi
  if [[ -n $server_pid ]]; then
    stop_server
  fi
  rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# Runs a command in the background and waits for it: bash would put off a signal's trap until a command in the
# foreground has ended. Sets child_status. The command gets neither end of the server's pipes: a client that
# outlives this script must not keep the server's stdin open.
run_child() {
  child_status=0
  "$@" 8<&- 9>&- &
  child_pid=$!
  wait "$child_pid" || child_status=$?
  child_pid=
}

ok() {
  passed=$((passed + 1))
  echo "ok $1"
}
not_ok() {
  failed=$((failed + 1))
  echo "FAILED $1"
}
# check WHAT COMMAND...: ok if the command succeeds.
check() {
  local what=$1
  shift
  if "$@"; then ok "$what"; else not_ok "$what"; fi
}
finish() {
  echo "$passed passed, $failed failed"
  if [[ $failed -ne 0 ]]; then exit 1; fi
  exit 0
}

# --- install ---------------------------------------------------------------------------------------------------
# The copy of the lock is written last, so an interrupted installation is done again. The file lock is for test
# runners that start this script for several client programs at once; npm would delete what the other one uses.
installed() {
  cmp -s "$here/package-lock.json" "$here/node_modules/.installed-lock.json"
}
install_server() {
  cd "$here"
  exec npm ci --no-audit --no-fund --loglevel=error >/dev/null
}
if ! installed; then
  exec 7<"$here/package-lock.json"
  if command -v flock >/dev/null; then
    run_child flock -w 300 7
    if [[ $child_status -ne 0 ]]; then
      not_ok 'another run is still installing the server after 300 s'
      finish
    fi
  fi
  if ! installed; then
    run_child install_server
    if [[ $child_status -ne 0 ]]; then
      not_ok "npm ci: exit status $child_status"
      finish
    fi
    cp "$here/package-lock.json" "$here/node_modules/.installed-lock.json"
  fi
  exec 7<&-
fi

# --- start -----------------------------------------------------------------------------------------------------
mkfifo "$dir/in" "$dir/out"
# This shell alone holds the other end of the server's stdin: however it ends, the server sees the end of file.
# Opened for reading too, because opening a pipe for writing waits for a reader.
exec 9<>"$dir/in"
node "$here/server.mjs" --die-with-stdin <"$dir/in" >"$dir/out" 2>"$dir/server.log" 9>&- &
server_pid=$!
exec 8<"$dir/out"
# Ends when the line is there, when the server has died, or after 30 s.
if ! IFS= read -r -t 30 ready <&8; then
  not_ok 'the server starts within 30 s'
  cat "$dir/server.log" >&2
  finish
fi
ok 'the server starts'
(umask 077 && printf '%s\n' "$ready" >"$dir/ready.json")

node -e '
  const ready = JSON.parse(require("fs").readFileSync(process.argv[1], "utf8"));
  const { "post-client": post, "basic-client": basic } = ready.clients;
  console.log([ready.token_endpoint, ready.allowed_scopes.join(" "), ready.refused_scope, ready.dropped_scope,
    post.client_id, post.client_secret, basic.client_id, basic.client_secret].join("\n"));
' "$dir/ready.json" >"$dir/fields"
{
  IFS= read -r token_url
  IFS= read -r scope
  IFS= read -r refused_scope
  IFS= read -r dropped_scope
  IFS= read -r post_id
  IFS= read -r post_secret
  IFS= read -r basic_id
  IFS= read -r basic_secret
} <"$dir/fields"

# --- checks ----------------------------------------------------------------------------------------------------
program=("$@")
if command -v timeout >/dev/null; then
  program=(timeout 60 "$@")
fi

# client_program AUTH ID SECRET SCOPE
client_program() {
  # The environment may contain real credentials: none of them may reach this server or affect what
  # is tested.
  local name
  for name in "${!TRACKUNIT_@}"; do unset "$name"; done
  export TRACKUNIT_TOKEN_URL=$token_url TRACKUNIT_CLIENT_ID=$2 TRACKUNIT_CLIENT_SECRET=$3 TRACKUNIT_SCOPE=$4
  if [[ $1 == basic ]]; then export TRACKUNIT_CLIENT_AUTH=basic; fi
  export NO_PROXY=127.0.0.1 no_proxy=127.0.0.1
  exec "${program[@]}" </dev/null >"$dir/client.out" 2>"$dir/client.err"
}

# get AUTH ID SECRET SCOPE: runs the client program. Sets child_status, output, messages and requests: what the
# server noted about each token request, which it does before it answers.
get() {
  local before
  before=$(wc -l <"$dir/server.log")
  run_child client_program "$@"
  output=$(tr -d '\0' <"$dir/client.out")
  messages=$(tr -d '\0' <"$dir/client.err")
  requests=$(tail -n "+$((before + 1))" "$dir/server.log" | grep '^token-endpoint ' || true)
}

explain() {
  echo "  exit status $child_status, stdout of ${#output} characters" >&2
  echo "  the server saw: ${requests:-no token request}" >&2
  if [[ -n $messages ]]; then
    printf '%s\n' "  stderr of the client:" "$messages" >&2
  fi
}

is_token() {
  [[ -n $output && $output != *[[:space:]]* ]]
}
# 124 and above: not found, ended by a signal, out of time. A crash is not an answer to a refusal.
failed_properly() {
  [[ $child_status -ge 1 && $child_status -lt 124 ]]
}
# The request is answered once, as expected, and neither repeated nor sent the other way.
server_saw() {
  [[ $requests == "token-endpoint $1" ]]
}
keeps_secret() {
  [[ $messages != *"$1"* && $output != *"$1"* ]]
}
no_token_in_messages() {
  [[ $messages != *"$output"* ]]
}

# good LABEL AUTH ID SECRET
good() {
  local failures=$failed line
  get "$2" "$3" "$4" "$scope"
  check "$1: exit status 0" test "$child_status" -eq 0
  check "$1: one token on stdout" is_token
  check "$1: one request, by client_secret_$2" server_saw "200 - client_secret_$2"
  check "$1: the secret is not shown" keeps_secret "$4"
  if is_token; then
    check "$1: the token is not in the messages" no_token_in_messages
    printf '%s' "$output" >"$dir/token"
    : >"$dir/introspection"
    child_status_of_client=$child_status
    run_child introspect "$1" "$2"
    if [[ $child_status -ne 0 ]]; then
      not_ok "$1: introspection: exit status $child_status"
    fi
    child_status=$child_status_of_client
    while IFS= read -r line; do
      case $line in
        'ok '*) ok "${line#ok }" ;;
        'FAILED '*) not_ok "${line#FAILED }" ;;
        *) not_ok "$1: introspection: $line" ;;
      esac
    done <"$dir/introspection"
  fi
  if [[ $failed -ne $failures ]]; then explain; fi
}
introspect() {
  exec node "$here/introspect.mjs" "$dir/ready.json" "$2-client" "$1" "$scope" <"$dir/token" >"$dir/introspection"
}

# refused LABEL AUTH ID SECRET SCOPE ANSWER
refused() {
  local failures=$failed
  get "$2" "$3" "$4" "$5"
  check "$1: fails with an exit status of its own" failed_properly
  check "$1: nothing on stdout" test -z "$output"
  check "$1: one request, answered $6" server_saw "$6 client_secret_$2"
  check "$1: the secret is not shown" keeps_secret "$4"
  if [[ $failed -ne $failures ]]; then explain; fi
}

for auth in post basic; do
  if [[ $auth == post ]]; then id=$post_id secret=$post_secret; else id=$basic_id secret=$basic_secret; fi
  good "$auth" "$auth" "$id" "$secret"
  refused "$auth, wrong secret" "$auth" "$id" "${secret}x" "$scope" '401 invalid_client'
  refused "$auth, refused scope" "$auth" "$id" "$secret" "${scope%% *} $refused_scope" '400 invalid_scope'
  # The server grants less than asked and says so in its answer only; that token must not be passed off as the
  # one that was asked for.
  refused "$auth, narrowed scope" "$auth" "$id" "$secret" "${scope%% *} $dropped_scope" '200 -'
done

stop_server
check 'the server ends cleanly' test "$server_status" -eq 0
finish
