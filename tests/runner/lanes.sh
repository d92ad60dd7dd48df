# To be sourced: runs the wanted steps, JOBS at a time (2 by default, on one core 1).
# shellcheck shell=bash disable=SC2154
# shellcheck source=tests/runner/processes.sh
. "$(dirname "${BASH_SOURCE[0]}")/processes.sh"

# Most steps use one core, or wait: two at a time need little more than half the time.
own_words="alone cargo binary"

lanes=${JOBS:-$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)}
case $lanes in
  '' | 0 | *[!0-9]*) echo "JOBS=$lanes: the number of steps to run at a time is 1 or more." >&2; exit 2 ;;
esac
[ -n "${JOBS:-}" ] || [ "$lanes" -lt 2 ] || lanes=2

# For each step the numbers of those it needs, and its words of `own_words`; the process that runs it.
after=() own=() lane_of=() running=()

resolve_needs() {
  local i word other
  after=() own=() lane_of=() running=()
  for i in "${!names[@]}"; do
    after[i]= own[i]=
    [ -n "${wanted[i]}" ] || continue
    for word in ${needs[i]}; do
      case " $own_words " in
        *" $word "*) own[i]+=" $word" ;;
        *) ! other=$(number_of "$word") || after[i]+=" $other" ;;
      esac
    done
  done
}

# The name of a needed step that failed, if any.
missing_need() { # NUMBER: sets `missing`
  local other
  missing=
  for other in ${after[$1]}; do
    case ${results[other]:-} in failed | unmet) missing=${names[other]} ;; esac
  done
}

has_its_needs() { # NUMBER
  local other
  for other in ${after[$1]}; do
    case ${results[other]:-} in '' | running) return 1 ;; esac
  done
}

# Whether it may run together with those that do.
is_compatible() { # NUMBER
  local word other
  [ "${#running[@]}" -gt 0 ] || return 0
  case ${own[$1]} in *alone*) return 1 ;; esac
  for other in "${running[@]}"; do
    case ${own[other]} in *alone*) return 1 ;; esac
    for word in ${own[$1]}; do
      case " ${own[other]} " in *" $word "*) return 1 ;; esac
    done
  done
}

# How early a step starts, if it can. Those that use cargo's lock on target/debug are first, because they cannot
# overlap and together take longest; then what others need, then what is slow. One at a time, it is the table's order.
rank() { # NUMBER: sets `rank`
  rank=0
  [ "$lanes" -gt 1 ] || return 0
  case ${own[$1]} in *cargo*) rank=$((rank + 4)) ;; esac
  [ -z "${ids[$1]}" ] || rank=$((rank + 2))
  case " ${needs[$1]} " in *' slow '*) rank=$((rank + 1)) ;; esac
}

# Sets `next` to the step to start now, if any. Those whose needs have failed are reported.
choose_next() {
  local i rank missing best=-1
  next=
  for i in "${!names[@]}"; do
    [ -n "${wanted[i]}" ] && [ -z "${results[i]:-}" ] || continue
    missing_need "$i"
    if [ -n "$missing" ]; then
      results[i]=unmet reasons[i]=$missing
      say "${names[i]}" "not run: it needs \"$missing\""
    elif has_its_needs "$i" && is_compatible "$i"; then
      rank "$i"
      [ "$rank" -le "$best" ] || { next=$i best=$rank; }
    fi
  done
}

# say NAME RESULT: the line of a step.
say() {
  unshow
  printf '%-44s %s\n' "$1" "$2"
}

# On a terminal the last line names the steps that run.
show_running() {
  local i line=
  [ -t 1 ] || return 0
  for i in "${running[@]}"; do line+="${line:+, }${names[i]}"; done
  line="running: $line"
  printf '\r\033[K%s' "${line:0:$((${COLUMNS:-80} - 1))}"
}

unshow() {
  [ ! -t 1 ] || printf '\r\033[K'
}

# Runs the wanted steps. Each has a process of its own, which writes `NUMBER STATUS SECONDS CPU-SECONDS` to
# descriptor 9.
run_steps() {
  local next
  resolve_needs
  rm -f "$logs/.results"
  mkfifo "$logs/.results" && exec 9<>"$logs/.results"
  while :; do
    while [ "${#running[@]}" -lt "$lanes" ]; do
      choose_next
      [ -n "$next" ] || break
      start_step "$next"
    done
    [ "${#running[@]}" -gt 0 ] || break
    show_running
    wait_for_one
  done
  exec 9<&-
}

limit_of() { # NUMBER
  case " ${needs[$1]} " in *' slow '*) echo $((bound * 2)) ;; *) echo "$bound" ;; esac
}

start_step() { # NUMBER
  local i=$1
  results[i]=running
  running+=("$i")
  lane "$i" &
  lane_of[i]=$!
}

# In a process of its own that this one waits for: bash may crash if a signal comes in `read` with a time limit.
wait_for_one() {
  next_result >"$logs/.result" 8<&- &
  wait $!
  # shellcheck disable=SC2046
  finish_step $(cat "$logs/.result")
}

next_result() {
  local result= part i gone=
  while ! IFS= read -r -t 2 part <&9; do
    # The time limit may come in the middle of a line.
    result+=$part
    # A process of a step that ends without a result: something else has killed it.
    for i in "${running[@]}"; do
      kill -0 "${lane_of[i]}" 2>/dev/null && continue
      [ "$gone" != "$i" ] || { echo "$i 137 0 0"; return; }
      gone=$i
    done
  done
  echo "$result$part"
}

finish_step() { # NUMBER STATUS SECONDS CPU-SECONDS
  local i=$1 other left=()
  wait "${lane_of[i]}" 2>/dev/null
  for other in "${running[@]}"; do [ "$other" = "$i" ] || left+=("$other"); done
  running=(${left[@]+"${left[@]}"})
  report_step "$@"
}

# The process of a step.
lane() { # NUMBER
  local i=$1 step= status=0 from=$SECONDS cpu
  trap end_lane INT TERM HUP QUIT
  local run=(tests/steps.sh)
  case " ${needs[i]} " in *' service '*) run=(scripts/emulator.sh tests/steps.sh) ;; esac
  eval "run+=(${commands[i]})"
  run_bounded "$(limit_of "$i")" "$(log_of "${names[i]}")" "$logs/.$i" "${run[@]}"
  # Not in $(...), a process without children.
  times >"$logs/.$i.cpu"
  cpu=$(awk 'NR == 2 {
    gsub(/,/, "."); split($0, part, /[ms ]+/); printf "%.0f", part[1] * 60 + part[2] + part[3] * 60 + part[4]
  }' "$logs/.$i.cpu")
  echo "$i $status $((SECONDS - from)) $cpu" >&9
}

end_lane() {
  trap '' INT TERM HUP QUIT
  [ -z "$step" ] || end_tree "$step"
  # What watches the step, if anything does.
  { echo >&7; } 2>/dev/null
  exit 130
}

# Standard input is empty. Sets `status`, and `step` while the command runs.
run_bounded() { # SECONDS LOG PREFIX-OF-SCRATCH-FILES COMMAND...
  local watching ended=$3.ended
  rm -f "$3.timed-out" "$ended"
  mkfifo "$ended" && exec 7<>"$ended"
  status=0
  # `timeout` forms a process group and forwards the signal that ends it. Its own limit is for gdb hanging in `watch`.
  timeout --kill-after="$grace_seconds" "$(($1 + 180))" "${@:4}" >"$2" 2>&1 </dev/null 7<&- 8<&- 9<&- &
  step=$!
  watch "$step" "$1" "$2" "$3.timed-out" 2>/dev/null 8<&- 9<&- &
  watching=$!
  wait "$step" || status=$?
  echo >&7
  wait "$watching" 2>/dev/null
  exec 7<&-
  step=
}

# After the time limit, writes the stacks of the step's processes to its log and ends them.
watch() { # PID SECONDS LOG FILE-THAT-SAYS-SO
  # Ends with the step. Not by a signal: one that comes before bash has set up this subshell runs the script's EXIT
  # trap.
  ! read -r -t "$2" _ <&7 || return
  : >"$4"
  tests/runner/stacks.sh "$1" >>"$3" 2>&1
  end_tree "$1"
}

# For Ctrl-C. A second one ends this script at once.
interrupted() {
  trap 'exit 130' INT TERM HUP QUIT
  end_steps 2>/dev/null
  printf '\nInterrupted. The output so far is in %s.\n' "$logs"
  exit 130
}

# Ends the steps that run, and all they have started.
end_steps() {
  local i all
  all=$(descendants $$)
  for i in ${running[@]+"${running[@]}"}; do kill -TERM "${lane_of[i]}"; done
  for i in ${running[@]+"${running[@]}"}; do wait "${lane_of[i]}"; done
  # shellcheck disable=SC2046,SC2086
  set -- $(alive $all)
  [ $# = 0 ] || kill -KILL "$@"
}
