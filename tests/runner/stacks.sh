#!/usr/bin/env bash
# Prints the thread stacks of a step that timed out: tests/runner/stacks.sh PID shows those of the descendants of PID,
# then one `stack: ` line for each place in this project's code where threads are blocked. Best effort: it needs gdb
# and permission to attach.
set -uo pipefail

# shellcheck source=tests/runner/processes.sh
. "$(dirname "$0")/processes.sh"

# Skips processes that only wait for others.
is_of_interest() {
  case $(ps -o comm= -p "$1") in
    '' | ps | awk | sort | *bash | sh | */sh | make | cargo | timeout | sleep | cat | tee | tail | gdb | *memcheck*) false ;;
  esac
}

# For each thread, its innermost frame in this project's code.
places() {
  awk '
    function flush() { if (place != "" && !(place in count)) order[++number] = place; if (place != "") count[place]++; place = "" }
    /^Thread / { flush() }
    /^#[0-9]+ .* at ((src|tests|cli|emulator|bindings|fleet)\/|.*\/(bindings|tests)\/)/ && place == "" {
      place = $0
      sub(/^#[0-9]+ +/, "", place); sub(/^0x[0-9a-f]+ in /, "", place); sub(/ \(.*\) at /, " at ", place)
    }
    END { flush(); for (i = 1; i <= number && i <= 12; i++) print "stack: " order[i] " (threads: " count[order[i]] ")" }'
}

echo
echo "Processes of the step when its time was up:"
all=$(descendants "$1")
# shellcheck disable=SC2086
ps -o pid=,stat=,etime=,args= -p "$(tr ' \n' ',,' <<<$all | sed 's/,*$//')" 2>/dev/null | cut -c1-200
command -v gdb >/dev/null 2>&1 || { echo "No stacks: gdb is missing."; exit 0; }
shown=0 stacks=$(mktemp)
trap 'rm -f "$stacks"' EXIT
for pid in $all; do
  is_of_interest "$pid" || continue
  [ "$shown" -lt 4 ] || break
  shown=$((shown + 1))
  echo "Stacks of $pid:"
  timeout --kill-after=5 30 gdb -nx -batch -p "$pid" -ex 'set print frame-arguments none' \
    -ex 'thread apply all backtrace 40' 2>&1 </dev/null |
    grep -E '^(Thread |#|.*ptrace)' | cut -c1-240 | tee -a "$stacks"
done
places <"$stacks"
