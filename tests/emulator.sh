# To be sourced: functions that control the running emulator (scripts/emulator.sh).

# fault JSON: switches a fault on.
fault() {
  curl -sS --fail-with-body "$EMULATOR_URL/_emulator/faults" -d "$1" >/dev/null
}

# exactly NUMBER: checks that NUMBER token requests have been made.
exactly() {
  local made
  made=$(curl -sS --fail-with-body "$EMULATOR_URL/_emulator/count?route=/token/v2")
  [ "$made" = "$1" ] || { echo "expected $1 token requests, found $made"; return 1; }
}
