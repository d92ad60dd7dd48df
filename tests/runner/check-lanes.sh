#!/usr/bin/env bash
# Checks how `make test` runs two steps at a time: what overlaps, what does not, and how it ends.
set -uo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/runner/checking.sh
. tests/runner/checking.sh
# shellcheck source=tests/runner/processes.sh
. tests/runner/processes.sh

scratch=$(mktemp -d)
driver=
end() {
  [ -z "$driver" ] || end_tree "$driver"
  rm -rf "$scratch"
}
trap end EXIT
trap 'exit 130' INT TERM HUP QUIT

# The parts of tests/run.sh around a table from standard input; its steps use $PLACE.
table() { # NAME
  {
    echo 'set -uo pipefail'
    echo ". tests/runner/choose.sh; . tests/runner/lanes.sh; . tests/runner/report.sh"
    echo "logs=$scratch/$1.logs times=$scratch/$1.times bound=30 grace_seconds=2"
    cat
    echo 'choose ""; trap interrupted INT TERM HUP QUIT; own_logs || exit; run_steps; report'
  } >"$scratch/$1.sh"
  mkdir "$scratch/$1"
}

run_table() { # NAME [JOBS]
  PLACE=$scratch/$1 JOBS=${2:-2} bash "$scratch/$1.sh" 2>&1
}

# Steps, as programs.
mkdir "$scratch/bin"
PATH=$scratch/bin:$PATH
program() { # NAME
  { echo '#!/usr/bin/env bash'; echo 'cd "$PLACE" || exit'; cat; } >"$scratch/bin/$1"
  chmod +x "$scratch/bin/$1"
}
program meets <<'END' # meets OWN OTHER: both must run at the same time
touch "$1"
for _ in $(seq 250); do [ ! -e "$2" ] || { sleep 0.2; exit 0; }; sleep 0.1; done
exit 1
END
program by-itself <<'END' # by-itself NAME: fails if another of that name runs
mkdir "$1" || exit 1
sleep 0.3
rmdir "$1"
END
program fails-in-lines <<'END'
for line in $(seq 40); do echo "line $line of a step that fails"; done
exit 3
END
# Processes that do not end by themselves: in the step's process group, in one of their own, and deaf to SIGTERM.
program clings <<'END'
sleep 600 &
echo $! >>pids
timeout 600 sleep 600 &
echo $! >>pids
bash -c 'trap "" TERM; echo $$ >>pids; while :; do sleep 1; done' &
echo $$ >>pids
touch "clings-$1"
wait
END

all_ended() { # NAME
  local left
  # shellcheck disable=SC2046
  left=$(alive $(cat "$scratch/$1/pids"))
  [ "$(wc -l <"$scratch/$1/pids")" -ge 4 ] && [ -z "$left" ] && echo "all ended" || echo "left: $left"
}

table overlap <<'END'
step "one" "" meets one other
step "other" "" meets other one
END
check "two steps overlap" "2 steps" "$(run_table overlap | grep -c ' ok (') steps"

table needs <<'END'
build late "late" "" sh -c 'sleep 3; touch $PLACE/made'
step "what needs it" "late" sh -c 'test -e $PLACE/made'
step "another meanwhile" "" sh -c 'test ! -e $PLACE/made'
build broken "broken" "" false
step "without it" "broken" touch here
step "the same in two hops" "late broken" touch here
END
said=$(run_table needs)
check "a step waits for what it needs" "3 steps" "$(grep -c ' ok (' <<<"$said") steps"
check "and does not run without it" "$(printf '%-44s %s' "without it" 'not run: it needs "broken"')
$(printf '%-44s %s' "the same in two hops" 'not run: it needs "broken"')
2 steps: without it" "$said"

table words <<'END'
for n in 1 2 3; do step "cargo $n" "cargo" by-itself cargo; done
step "alone" "alone" sh -c 'mkdir $PLACE/any && rmdir $PLACE/any && by-itself others'
for n in 1 2 3; do step "other $n" "binary" by-itself others; done
step "one" "" meets one other
step "other" "cargo" meets other one
END
said=$(run_table words)
check "steps with the same word do not overlap, others do" "9 passed" "$(grep -c ' ok (' <<<"$said") passed"
check "the one that must be alone is the last" "alone" "$(grep ' ok (' <<<"$said" | tail -n 1)"

table failures <<'END'
step "hangs" "" clings failures
step "fails" "" fails-in-lines
step "is killed" "" sh -c 'kill -KILL $$'
for n in 1 2 3 4 5; do step "works $n" "" true; done
limit_of() { case ${names[$1]} in hangs) echo 4 ;; *) echo 30 ;; esac; }
END
said=$(run_table failures)
check "a step that hangs disturbs no other" "FAILED: hangs: timed out after 4 s
FAILED: fails: exit status 3
FAILED: is killed: killed by signal 9 (SIGKILL)
5 steps" "$said
$(grep -c '^works [1-5] .* ok (' <<<"$said") steps"
check "others end meanwhile" "hangs" "$(grep -E '^[a-z].* (ok \(|FAILED: )' <<<"$said" | tail -n 1)"
check "a step that timed out leaves no process" "all ended" "$(all_ended failures)"
check "the lines of a step that fails stay together" "40 lines" \
  "$(sed -n '/^fails .*FAILED/,/^[a-z]/p' <<<"$said" | grep -c '^    line .* of a step that fails') lines"
check "nothing else is between the lines" "0 others" "$(sed '/^$/,$d' <<<"$said" |
  grep -vcE '^(hangs|fails|is killed|works [1-5]) .* (ok \(|FAILED: )|^    ') others"
check "a log has no codes for terminals" "0 lines" "$(grep -c $'\033' <<<"$said") lines"

table ranks <<'END'
step "plain" "" sh -c 'echo plain >>$PLACE/order; sleep 1'
step "slow" "slow" sh -c 'echo slow >>$PLACE/order; sleep 1'
build needed "needed" "" sh -c 'echo needed >>$PLACE/order; sleep 1'
step "after" "needed" sh -c 'echo after >>$PLACE/order; sleep 1'
step "cargo" "cargo" sh -c 'echo cargo >>$PLACE/order; sleep 1'
END
run_table ranks >"$scratch/ranks.said"
check "cargo's lane and what others need come first, then what is slow" "cargo needed / slow plain / after" "$(
  set -- $(cat "$scratch/ranks/order")
  echo "$(printf '%s\n' "$1" "$2" | sort | xargs) / $(printf '%s\n' "$3" "$4" | sort -r | xargs) / $5"
)"

table single <<'END'
step "one" "" by-itself any
step "two" "cargo" by-itself any
step "three" "" by-itself any
END
check "JOBS=1: the table's order" "one two three " \
  "$(run_table single 1 | awk '/ ok \(/ {printf "%s ", $1}')"
check "JOBS=0" "1 or more" "$(run_table single 0)"

in_parts() {
  # shellcheck source=tests/runner/lanes.sh
  . tests/runner/lanes.sh
  # shellcheck disable=SC2034  # next_result reads them
  running=(3) lane_of=([3]=$$)
  mkfifo "$scratch/results" && exec 9<>"$scratch/results"
  { printf '3 0 ' >&9; sleep 3; printf '1 2\n' >&9; } &
  next_result
}
check "a result that is read in parts" "3 0 1 2" "$(in_parts)"

# interrupt SIGNAL WHERE-TO: as Ctrl-C does, to the process group, or as `kill`, to the script alone.
interrupt() {
  local attempt status=0
  table "$1" <<'END'
step "one" "" clings one
step "another" "" clings another
step "never" "" touch here
END
  # With job control, so that the script has a process group and does not ignore SIGINT.
  set -m
  PLACE=$scratch/$1 JOBS=2 bash "$scratch/$1.sh" >"$scratch/$1.said" 2>&1 &
  driver=$!
  set +m
  for attempt in $(seq 200); do
    [ ! -e "$scratch/$1/clings-one" ] || [ ! -e "$scratch/$1/clings-another" ] || break
    sleep 0.1
  done
  kill -"$1" -- "$2$driver"
  wait "$driver" || status=$?
  driver=
  check "SIG$1: exit status" "130" "$status"
  check "SIG$1: it says so" "Interrupted." "$(cat "$scratch/$1.said")"
  check "SIG$1: no process is left" "all ended" "$(all_ended "$1")"
}
interrupt INT -
interrupt TERM -
interrupt HUP ''

finish_checks
