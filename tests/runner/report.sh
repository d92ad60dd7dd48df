# To be sourced: reports each step, and at the end what failed and why.
# shellcheck shell=bash disable=SC2154

results=() reasons=() skipped=() total_passed=0 total_failed=0

log_of() { # NAME
  echo "$logs/$(tr -c 'a-z0-9\n' '-' <<<"$1").log"
}

# Empties the directory of the logs. One run at a time may use it: two would also build into the same places.
own_logs() {
  { mkdir -p "$logs" && : >>"$logs/.lock"; } ||
    { echo "The tests cannot write their logs to $logs." >&2; return 1; }
  exec 8<"$logs/.lock"
  # macOS has no flock.
  ! command -v flock >/dev/null || flock --nonblock 8 ||
    { echo "The tests are running here already. Wait for that run, or use another clone." >&2; return 1; }
  rm -f "$logs"/*
}

why() { # NUMBER STATUS SECONDS
  if [ -e "$logs/.$1.timed-out" ]; then
    echo "timed out after $(limit_of "$1") s"
  elif [ "$2" -gt 128 ] && kill -l "$(($2 - 128))" >/dev/null 2>&1; then
    echo "killed by signal $(($2 - 128)) (SIG$(kill -l "$(($2 - 128))")) after $3 s"
  else
    echo "exit status $2 after $3 s"
  fi
}

# Saves the times of a step, for --list.
remember() { # NAME SECONDS RESULT CPU-SECONDS
  touch "$times"
  { name=$1 awk -F '\t' '$1 != ENVIRON["name"]' "$times"; printf '%s\t%s\t%s\t%s\n' "$@"; } >"$times.new"
  mv "$times.new" "$times"
}

# The line of a step that has ended, and what its log says if it failed.
report_step() { # NUMBER STATUS SECONDS CPU-SECONDS
  local i=$1 name=${names[$1]} log counted=
  log=$(log_of "$name")
  : >>"$log"
  count "$log" "$2"
  case $2 in
    0) results[i]=ok && say "$name" "ok ($3 s$counted)" ;;
    77) results[i]=skipped && say "$name" "skipped" ;;
    *)
      results[i]=failed reasons[i]=$(why "$1" "$2" "$3")
      say "$name" "FAILED: ${reasons[i]}"
      short_lines "$log" | tail -n 60 | sed 's/^/    /'
      ;;
  esac
  remember "$name" "$3" "${results[i]}" "$4"
}

# The log with its lines cut, because tools take minutes for a line of a gigabyte, and without NUL, which makes grep say
# only that a binary file matches.
short_lines() { # LOG
  LC_ALL=C cut -b 1-1000 "$1" | tr -d '\000'
}

# Reads from the log what passed, failed and was skipped.
count() { # LOG STATUS: adds to the totals and sets `counted`
  local passed failed line before=${#skipped[@]}
  read -r passed failed < <(short_lines "$1" | grep -aE '^(test result: |[0-9]+ passed, [0-9]+ failed)' | tr ';,' '\n\n' |
    awk '/[0-9]+ passed/ {sub(/ passed.*/, ""); sub(/.* /, ""); passed += $0}
      /[0-9]+ failed/ {sub(/ failed.*/, ""); sub(/.* /, ""); failed += $0} END {print passed + 0, failed + 0}')
  [ "$((passed + failed))" = 0 ] || counted=", $passed passed"
  total_passed=$((total_passed + passed)) total_failed=$((total_failed + failed))
  while IFS= read -r line; do skipped+=("$name: ${line#SKIPPED: }"); done < <(short_lines "$1" | grep -a '^SKIPPED: ')
  [ "$2" != 77 ] || [ "${#skipped[@]}" -gt "$before" ] || skipped+=("$name: it does not say why")
}

# The failed tests in a log, or its last lines if it names none.
failures_of() { # LOG LINES
  local named
  named=$(short_lines "$1" | LC_ALL=C awk -f tests/runner/failures.awk)
  if [ -n "$named" ]; then
    head -n "$2" <<<"$named"
    [ "$(wc -l <<<"$named")" -le "$2" ] || echo "... and $(($(wc -l <<<"$named") - $2)) lines more"
  else
    short_lines "$1" | grep -av '^[[:space:]]*$' | tail -n "$(($2 < 4 ? $2 : 4))" | cut -c1-170
  fi
}

# Kept short: some CI machines show only the last lines of the output.
report() {
  local i line failed=0 unmet=() lines
  for i in "${!names[@]}"; do
    case ${results[i]:-} in
      failed) failed=$((failed + 1)) ;;
      unmet) unmet+=("${names[i]}") ;;
    esac
  done
  echo
  for line in ${skipped[@]+"${skipped[@]}"}; do echo "SKIPPED: $line"; done
  lines=$((failed > 0 ? 16 / failed : 0))
  # With many failures, only the names of the steps fit.
  [ "$lines" -gt 0 ] || lines=$((2 * failed + ${#skipped[@]} <= 22))
  for i in "${!names[@]}"; do
    [ "${results[i]:-}" = failed ] || continue
    echo "FAILED: ${names[i]}: ${reasons[i]} ($(log_of "${names[i]}"))"
    [ "$lines" = 0 ] || failures_of "$(log_of "${names[i]}")" "$lines" | sed 's/^/    /'
  done
  if [ ${#unmet[@]} -gt 0 ]; then
    echo "NOT RUN, because they need a step that failed: ${#unmet[@]} steps: $(printf '%s; ' "${unmet[@]}" | cut -c1-400)"
  fi
  # A step that fails without a count of its own counts as one.
  [ "$failed" = 0 ] || [ "$total_failed" -gt 0 ] || total_failed=$failed
  echo "$total_passed passed, $total_failed failed, ${#skipped[@]} skipped, in $SECONDS s"
  [ "$failed" = 0 ] || return 1
  if [ "${CI:-}" = true ] && [ "${#skipped[@]}" -gt 0 ]; then
    echo "With CI=true nothing may be skipped."
    return 1
  fi
}

# The chosen steps in order, with what the last run of each took: seconds, and those of CPU time.
list() {
  local i last seconds result cpu total=0 total_cpu=0
  for i in "${!names[@]}"; do
    [ -n "${chosen[i]}" ] || continue
    last=$(name=${names[i]} awk -F '\t' '$1 == ENVIRON["name"] {print $2, $3, $4}' "$times" 2>/dev/null)
    read -r seconds result cpu <<<"$last"
    total=$((total + ${seconds:-0})) total_cpu=$((total_cpu + ${cpu:-0}))
    printf '%-48s %6s %10s  %s\n' "${names[i]}" "${seconds:+$seconds s}" "${cpu:+CPU $cpu s}" "$result"
  done
  if [ "$total" -gt 0 ]; then
    echo "Together at their last runs: $total s, of which $lanes steps ran at a time; CPU time $total_cpu s"
  else
    echo "None has run here yet."
  fi
}
