# To be sourced: the processes that a step has started.
# shellcheck shell=bash

# Prints the processes that this one has started, and those that they have.
descendants() { # PID
  ps -A -o pid= -o ppid= | awk -v root="$1" '
    { parent[$1] = $2 }
    END {
      for (pid in parent) {
        for (above = parent[pid]; above != "" && above != root && above > 1; above = parent[above]);
        if (above == root) print pid
      }
    }' | sort -n
}

# Those of these processes that have not ended.
alive() { # PID...
  ps -o pid= -o stat= -p "$(tr ' ' , <<<"$*")" 2>/dev/null | awk '$2 !~ /^Z/ {print $1}'
}

# For how long processes may handle SIGTERM.
grace_seconds=10

# Ends these processes.
end_processes() { # PID...
  local attempt
  kill -TERM "$@"
  for attempt in $(seq $((grace_seconds * 5))); do
    # shellcheck disable=SC2046
    set -- $(alive "$@")
    [ $# -gt 0 ] || return 0
    sleep 0.2
  done
  kill -KILL "$@"
} 2>/dev/null

# Ends a process and its descendants, also those that have left its process group.
end_tree() { # PID
  # shellcheck disable=SC2046
  end_processes "$1" $(descendants "$1")
}
