#!/usr/bin/env bash
# Tests of the Go binding against the package in target/stage (see stage_package in tests/steps.sh).
# Usage: tests/go/run.sh style|tests|checked|clock|without_cgo|vendored|pages|example
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/emulator.sh
. tests/emulator.sh

root=$PWD
modules="bindings/go bindings/go/oauth2source examples/go benches/go tests/go/consumer tests/conformance/testees/go tests/redis/go"
tested="bindings/go bindings/go/oauth2source"

eval "$(scripts/go-env.sh "$root/target/stage/lib/pkgconfig" "$root/target/stage/lib")"

fail() {
  echo "$*"
  exit 1
}

need_go() {
  local version
  command -v go >/dev/null 2>&1 || { echo "SKIPPED: go is missing"; exit 77; }
  version=$(go env GOVERSION)
  [[ $version =~ ^go1\.([0-9]+) && ${BASH_REMATCH[1]} -ge 24 ]] ||
    { echo "SKIPPED: go 1.24 is needed, this is $version"; exit 77; }
}

in_each() { # modules, command...
  local module failed=0
  for module in $1; do
    echo "== $module: ${*:2}"
    (cd "$module" && "${@:2}") || failed=1
  done
  return "$failed"
}

# count FILE: how many tests passed and failed, from the output of go test -v.
count() {
  awk '/^ *--- PASS: / {passed++} /^ *--- FAIL: / {failed++} /^(panic|fatal error): / {died++}
    END {if (died && !failed) failed = died; printf "%d passed, %d failed\n", passed, failed}' "$1"
}

# No cached results: Go's cache does not know the C library.
test_each() { # options of go test...
  local log status=0
  mkdir -p target/go
  log=$(mktemp target/go/log.XXXXXX)
  in_each "$tested" go test -count=1 -v "$@" ./... 2>&1 | tee "$log" || status=$?
  count "$log"
  rm -f "$log"
  return "$status"
}

style() {
  # shellcheck disable=SC2086
  local badly
  badly=$(gofmt -l $modules)
  [ -z "$badly" ] || fail "not formatted by gofmt: $badly"
  in_each "$modules" go vet ./...
  in_each "bindings/go" go vet -tags tu_token_static ./...
  in_each "$modules" go mod verify
  in_each "$tested" go mod tidy -diff
  # Programs that use the package must not get further dependencies with it.
  ! grep -q '^require' bindings/go/go.mod || fail "the module bindings/go has a dependency"
}

tests() {
  test_each -race
}

# Go's strictest checks of values passed between the languages, and a collection at every
# allocation.
checked() {
  GOEXPERIMENT=cgocheck2 GOGC=1 test_each -timeout 20m
}

clock() {
  eval "$(tests/go/test-clock.sh)"
  in_each "$tested tests/conformance/testees/go" go vet -tags tu_token_test_clock ./...
  test_each -race -tags tu_token_test_clock
}

# Where cgo is off, or is off because there is no C compiler, the only message says so.
without_cgo() {
  local module tools log
  log=$(mktemp)
  tools=$(dirname "$(command -v go)")
  for module in $tested; do
    ! (cd "$module" && CGO_ENABLED=0 go build ./...) >"$log" 2>&1 || fail "$module builds without cgo"
    says_what_it_needs "$log"
    [ "$(PATH=$tools go env CGO_ENABLED)" = 0 ] || continue
    ! (cd "$module" && PATH=$tools go build ./...) >"$log" 2>&1 || fail "$module builds without a compiler"
    says_what_it_needs "$log"
  done
  rm -f "$log"
  echo "2 passed, 0 failed"
}

says_what_it_needs() { # what the compiler said
  [ "$(grep -c '^[^#]' "$1")" = 1 ] && grep -q 'needs cgo and a C compiler' "$1" || fail "it says: $(cat "$1")"
}

# A copy outside the tree has only what go mod vendor brings and pkg-config finds.
vendored() {
  local place link
  place=$(mktemp -d)
  # shellcheck disable=SC2064
  trap "rm -rf '$place'" EXIT
  cp tests/go/consumer/* "$place"
  cd "$place"
  go mod edit -replace "tutoken.example/tutoken=$root/bindings/go" \
    -replace "tutoken.example/tutoken/oauth2source=$root/bindings/go/oauth2source"
  go mod vendor
  go build -mod=vendor -o shared .
  go build -mod=vendor -tags tu_token_static -o static .
  # Not `grep -q`, which may exit before ldd has written everything.
  ldd shared | grep libtu_token || fail "the shared program does not load the library"
  ! ldd static | grep libtu_token || fail "the static program loads the library"
  for link in shared static; do
    (cd "$root" && scripts/emulator.sh "$place/$link")
  done
  (unset LD_LIBRARY_PATH && cd "$root" && scripts/emulator.sh "$place/static")
  fully_static "$place"
  echo "4 passed, 0 failed"
}

# Where the C compiler has what -static needs.
fully_static() { # directory of the consumer
  echo 'int main(void) { return 0; }' | cc -static -x c - -o probe 2>/dev/null ||
    { echo "SKIPPED: fully static: cc -static does not work here"; return; }
  go build -mod=vendor -tags tu_token_static -ldflags '-extldflags -static' -o whole .
  ! readelf -l whole | grep INTERP || fail "the fully static program loads something"
  (cd "$root" && scripts/emulator.sh "$1/whole")
}

# Every Go block in a page is a program; each is built unchanged, succeeds against an emulator, and
# fails if no token is available.
pages() {
  local page program built=0
  rm -rf target/go/pages && mkdir -p target/go/pages
  cp tests/go/consumer/go.mod tests/go/consumer/go.sum target/go/pages
  (cd target/go/pages && go mod edit -replace "tutoken.example/tutoken=$root/bindings/go" \
    -replace "tutoken.example/tutoken/oauth2source=$root/bindings/go/oauth2source")
  for page in $(scripts/code-blocks.sh go target/go/pages); do
    mkdir "${page%.go}"
    mv "$page" "${page%.go}/main.go"
  done
  for page in target/go/pages/*/; do
    [ -z "$(gofmt -l "$page")" ] || fail "not formatted by gofmt: $page"
    (cd target/go/pages && go vet "./$(basename "$page")" && go build -o "$root/$page" "./$(basename "$page")")
    program=$page$(basename "$page")
    scripts/emulator.sh "$program" || fail "$page fails"
    ! scripts/emulator.sh env TRACKUNIT_CLIENT_SECRET=wrong "$program" || fail "$page succeeds without a token"
    built=$((built + 1))
  done
  [ "$built" -ge 2 ] || fail "only $built programs were found in the pages"
  tests_of_the_pages
  echo "$((built + 1)) passed, 0 failed"
}

# A block that is a test starts `tu-token emulator` itself; here that is the emulator alone.
tests_of_the_pages() {
  local page directory count=0
  mkdir -p target/go/bin
  printf '#!/bin/sh\nshift\nexec "%s" "$@"\n' "$root/target/debug/tu-token-emulator" >target/go/bin/tu-token
  chmod +x target/go/bin/tu-token
  for page in $(scripts/code-blocks.sh 'go test' target/go/pages); do
    directory=${page%.go}-test
    mkdir "$directory"
    mv "$page" "$directory/page_test.go"
    [ -z "$(gofmt -l "$directory")" ] || fail "not as gofmt writes it: $directory"
    (cd target/go/pages && PATH=$root/target/go/bin:$PATH go test -count=1 -v "./$(basename "$directory")") ||
      fail "$page does not pass"
    count=$((count + 1))
  done
  [ "$count" -ge 1 ] || fail "no test was found in the pages"
}

# Against an emulator.
example() {
  local poll=$root/target/go/poll url=$EMULATOR_URL/api/asset/v2/assets?size=3 said
  mkdir -p target/go
  (cd examples/go && go build -o "$poll" .)
  [ "$("$poll" -url "$url" -every 1ms -times 3 2>/dev/null)" = $'3 assets\n3 assets\n3 assets' ] ||
    fail "three requests did not get three responses"
  exactly 1
  # A token that the API rejects once: the program fetches another one and repeats the request.
  fault '{"route":"/api/asset","reject_v2":true,"count":1}'
  "$poll" -url "$url" -times 1
  exactly 3
  # A wrong secret is not tried twice.
  ! TRACKUNIT_CLIENT_SECRET=wrong "$poll" -url "$url" -every 1ms || fail "it succeeds with a wrong secret"
  exactly 4
  ended_by_a_signal "$poll" "$url"
  # By default it requests URLs below IRIS_URL, and does not accept an HTML page.
  [ "$(IRIS_URL=$EMULATOR_URL/ "$poll" -times 1)" = '42 assets' ] || fail "it does not use IRIS_URL"
  fault '{"route":"/api/asset","html":true,"count":1}'
  ! said=$("$poll" -times 1 2>&1) || fail "it accepts a web page as a response"
  grep -q 'not in JSON' <<<"$said" || fail "it says: $said"
  fault '{"route":"/api/asset","body":"{}","count":1}'
  ! "$poll" -times 1 || fail "it accepts a missing list as an empty one"
  echo "7 passed, 0 failed"
}

ended_by_a_signal() {
  local output=target/go/poll.log pid
  : >"$output"
  "$1" -url "$2" -every 1h >>"$output" 2>&1 &
  pid=$!
  for _ in $(seq 1200); do
    grep -q '3 assets' "$output" && break
    sleep 0.05
  done
  kill -TERM "$pid"
  wait "$pid" || fail "it fails on SIGTERM: $(cat "$output")"
  grep -q 'poll: ended' "$output" || fail "it does not report that it was stopped"
}

need_go
"$1"
