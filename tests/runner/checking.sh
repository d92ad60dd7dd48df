# To be sourced: counts the checks of check.sh and check-lanes.sh.
# shellcheck shell=bash

cases_passed=0 cases_failed=0

# check NAME EXPECTED FOUND: whether FOUND contains every line of EXPECTED.
check() {
  local line wrong=
  while IFS= read -r line; do
    grep -qF -- "$line" <<<"$3" || { wrong=1; echo "$1: lacks: $line"; }
  done <<<"$2"
  if [ -z "$wrong" ]; then
    cases_passed=$((cases_passed + 1))
  else
    cases_failed=$((cases_failed + 1))
    echo "FAILED  $1; it says:"
    printf '%s\n' "$3"
  fi
}

# Prints the sum, and fails if a check did.
finish_checks() {
  echo "$cases_passed passed, $cases_failed failed"
  [ "$cases_failed" = 0 ]
}
