# shellcheck shell=bash disable=SC2154,SC2034
command -v go >/dev/null 2>&1 || { echo "SKIPPED: go is missing"; exit 77; }
(
  to=$PWD/$built/testee-go
  eval "$(tests/go/test-clock.sh)"
  cd tests/conformance/testees/go
  go build -tags tu_token_test_clock -o "$to" .
)
command=(env "LD_LIBRARY_PATH=$PWD/$built/debug" "$built/testee-go")
