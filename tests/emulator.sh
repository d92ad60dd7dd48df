# To be sourced: what a step says to the emulator beside it (scripts/emulator.sh).

# fault JSON: switches a fault on.
fault() {
  curl -sS --fail-with-body "$EMULATOR_URL/_emulator/faults" -d "$1" >/dev/null
}

# exactly NUMBER: that many token requests have been made.
exactly() {
  local made
  made=$(curl -sS --fail-with-body "$EMULATOR_URL/_emulator/count?route=/token/v2")
  [ "$made" = "$1" ] || { echo "expected $1 token requests, found $made"; return 1; }
}
